//! Files that may be lost: they are replaced as a whole, but not flushed to the disk, and a failure is nobody's.

use std::fs;
use std::path::Path;

use super::atomic;

/// Writes a file in the place of an earlier one, if that is possible.
pub fn replace(path: &Path, bytes: &[u8]) {
    let Some(folder) = path.parent() else { return };
    if let Ok(temp) = atomic::temporary(folder)
        && fs::write(temp.path(), bytes).is_ok()
    {
        drop(temp.persist(path));
    }
}

/// Removes a file, if it is there.
pub fn remove(path: &Path) {
    drop(fs::remove_file(path));
}
