//! Atomic writes: after a crash or a power failure a file is the old one or the new one, never half of it.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use crate::error::{IoContext, Result};

/// Prefix of temporary files, by which [`sweep`] recognises those of a killed process.
const TEMP_PREFIX: &str = ".tmp-";

/// Writes `bytes` as `path`: a temporary file in the same folder, flushed to the disk, renamed, and the folder flushed.
///
/// # Errors
/// [`crate::error::Error::Disk`] when the disk is full, else [`crate::error::Error::Io`]; the old file, if any, is then
/// unchanged.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let folder = parent(path);
    let mut temp = builder().tempfile_in(folder).at(folder)?;
    write_synced(temp.as_file_mut(), path, bytes)?;
    temp.persist(path).map_err(|e| e.error).at(path)?;
    sync_folder(folder)
}

/// Permissions are those of the umask: the default of temporary files (owner only) would hide results from colleagues.
#[cfg(unix)]
fn builder() -> tempfile::Builder<'static, 'static> {
    use std::os::unix::fs::PermissionsExt;
    let mut builder = tempfile::Builder::new();
    builder.prefix(TEMP_PREFIX).permissions(fs::Permissions::from_mode(0o666));
    builder
}

#[cfg(not(unix))]
fn builder() -> tempfile::Builder<'static, 'static> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(TEMP_PREFIX);
    builder
}

/// Writes and flushes to the disk; `path` is what the error names.
pub(super) fn write_synced(file: &mut File, path: &Path, bytes: &[u8]) -> Result<()> {
    file.write_all(bytes).at(path)?;
    file.sync_all().at(path)
}

/// Makes names created or renamed in `folder` survive a power failure.
pub(super) fn sync_folder(folder: &Path) -> Result<()> {
    // Only Unix lets a folder be opened and flushed; elsewhere the rename itself is journalled by the file system.
    if cfg!(unix) { File::open(folder).and_then(|f| f.sync_all()).at(folder) } else { Ok(()) }
}

/// Creates a folder with its parents, flushing the parent of what was created.
///
/// # Errors
/// [`crate::error::Error::Io`] where that is not possible.
pub fn create_folder(folder: &Path) -> Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(folder).at(folder)?;
    sync_folder(parent(folder))
}

/// Removes the temporary files a killed process left in `folder`. Call it only under the run's lock.
pub(super) fn sweep(folder: &Path) -> Result<()> {
    for name in names(folder)?.iter().filter(|n| is_temporary(n)) {
        let path = folder.join(name);
        fs::remove_file(&path).at(&path)?;
    }
    Ok(())
}

/// Whether a file name is that of a temporary file of this module.
pub(super) fn is_temporary(name: &str) -> bool {
    name.starts_with(TEMP_PREFIX)
}

/// The names in a folder, sorted; none when it does not exist.
pub(super) fn names(folder: &Path) -> Result<Vec<String>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(e).at(folder),
    };
    let mut names = Vec::new();
    for entry in entries {
        names.push(entry.at(folder)?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

/// The folder a path is in.
fn parent(path: &Path) -> &Path {
    path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;

    #[test]
    fn replaces_whole_files_and_leaves_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ranked.json");
        write(&path, b"old").unwrap();
        write(&path, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(names(folder.path()).unwrap(), ["ranked.json"]);
    }

    #[test]
    fn sweeps_what_a_killed_process_left() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(".tmp-abc"), b"half").unwrap();
        fs::write(folder.path().join("kept"), b"").unwrap();
        sweep(folder.path()).unwrap();
        assert_eq!(names(folder.path()).unwrap(), ["kept"]);
    }

    #[test]
    fn a_missing_folder_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("absent/file");
        let message = write(&path, b"x").unwrap_err().to_string();
        assert!(message.contains("absent"), "{message}");
    }

    #[test]
    fn a_full_disk_is_a_disk_error() {
        let full = Path::new("/dev/full");
        let Ok(mut file) = File::options().write(true).open(full) else {
            println!("skipped: this system has no writable /dev/full");
            return;
        };
        let error = write_synced(&mut file, full, b"x").unwrap_err();
        assert!(matches!(error, Error::Disk { .. }), "{error}");
        assert_eq!(error.exit_code(), 6);
    }
}
