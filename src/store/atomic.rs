//! Atomic writes: after a crash or a power failure a file is the old one or the new one, never half of it.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::error::{IoContext, Result};

/// Prefix of temporary files, by which [`sweep`] recognises those of a killed process.
const TEMP_PREFIX: &str = ".tmp-";

/// Writes `bytes` as `path`: a temporary file in the same folder, flushed to the disk, renamed, and the folder flushed.
/// A link is followed, and the file it points to replaced. What is no regular file (a device, a pipe) is written to.
///
/// # Errors
/// [`crate::error::Error::Disk`] when the disk is full, else [`crate::error::Error::Io`], also for a folder and a file that
/// may not be written; the old file, if any, is then unchanged.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    match fs::metadata(path) {
        Ok(found) if found.is_file() && found.permissions().readonly() => {
            return refused(std::io::ErrorKind::PermissionDenied, "the file is read-only").at(path);
        }
        Ok(found) if found.is_dir() => {
            return refused(std::io::ErrorKind::IsADirectory, "is a folder; name a file").at(path);
        }
        Ok(found) if !found.is_file() => {
            return File::options().write(true).open(path).at(path)?.write_all(bytes).at(path);
        }
        _ => {}
    }
    let path = &followed(path)?;
    let folder = parent(path);
    let mut temp = temporary(folder)?;
    write_synced(temp.as_file_mut(), path, bytes)?;
    temp.persist(path).map_err(|e| e.error).at(path)?;
    sync_folder(folder)
}

fn refused(kind: std::io::ErrorKind, why: &str) -> std::io::Result<()> {
    Err(std::io::Error::new(kind, why))
}

/// The path itself, or the file that a link points to.
fn followed(path: &Path) -> Result<PathBuf> {
    if fs::symlink_metadata(path).is_ok_and(|found| found.is_symlink()) {
        return fs::canonicalize(path).at(path);
    }
    Ok(path.to_owned())
}

/// A temporary file in a folder, that [`sweep`] removes if its process does not.
pub(super) fn temporary(folder: &Path) -> Result<tempfile::NamedTempFile> {
    builder().tempfile_in(folder).at(folder)
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

/// Creates a folder with its parents, flushing the parent of everything that was created.
///
/// # Errors
/// [`crate::error::Error::Io`] where that is not possible.
pub fn create_folder(folder: &Path) -> Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    let missing: Vec<&Path> = folder.ancestors().take_while(|f| !f.as_os_str().is_empty() && !f.exists()).collect();
    fs::create_dir_all(folder).at(folder)?;
    missing.into_iter().try_for_each(|created| sync_folder(parent(created)))
}

/// Creates a folder in one that exists; the parent is not brought back where it was removed.
pub(super) fn create_inner(folder: &Path) -> Result<()> {
    match fs::create_dir(folder) {
        Ok(()) => sync_folder(parent(folder)),
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists && folder.is_dir() => Ok(()),
        Err(e) => Err(e).at(folder),
    }
}

/// Removes the temporary files a killed process left in `folder` and in those beneath it; links are not followed. Call it
/// only under the run's lock.
pub(super) fn sweep(folder: &Path) -> Result<()> {
    for name in names(folder)? {
        let path = folder.join(&name);
        let Ok(found) = fs::symlink_metadata(&path) else { continue };
        if found.is_dir() {
            sweep(&path)?;
        } else if is_temporary(&name) {
            fs::remove_file(&path).at(&path)?;
        }
    }
    Ok(())
}

/// Removes a file; one that is not there is fine.
pub(super) fn remove_file(path: &Path) -> Result<()> {
    unless_gone(fs::remove_file(path)).at(path)
}

/// Removes a folder with all that is in it; one that is not there is fine.
///
/// # Errors
/// [`crate::error::Error::Io`] where it cannot be removed.
pub fn remove_folder(path: &Path) -> Result<()> {
    unless_gone(fs::remove_dir_all(path)).at(path)
}

fn unless_gone(removed: std::io::Result<()>) -> std::io::Result<()> {
    match removed {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
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

    /// The link stays, a pipe is not replaced, and what is read-only is refused.
    #[test]
    #[cfg(unix)]
    fn only_regular_files_are_replaced() {
        use std::os::unix::fs::{FileTypeExt, PermissionsExt, symlink};
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        fs::write(&file, b"old").unwrap();
        symlink(&file, &link).unwrap();
        write(&link, b"new").unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read(&file).unwrap(), b"new");
        write(Path::new("/dev/null"), b"gone").unwrap();
        assert!(fs::metadata("/dev/null").unwrap().file_type().is_char_device());
        fs::set_permissions(&file, fs::Permissions::from_mode(0o444)).unwrap();
        assert!(write(&file, b"x").unwrap_err().to_string().contains("read-only"));
        assert_eq!(fs::read(&file).unwrap(), b"new");
        assert!(write(folder.path(), b"x").unwrap_err().to_string().contains("folder"));
        let dangling = folder.path().join("dangling");
        symlink(folder.path().join("absent"), &dangling).unwrap();
        write(&dangling, b"x").unwrap_err();
        assert_eq!(names(folder.path()).unwrap(), ["dangling", "file", "link"]);
    }

    #[test]
    fn sweeps_what_a_killed_process_left() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(".tmp-abc"), b"half").unwrap();
        fs::create_dir(folder.path().join("inner")).unwrap();
        fs::write(folder.path().join("inner/.tmp-abc"), b"half").unwrap();
        fs::write(folder.path().join("kept"), b"").unwrap();
        sweep(folder.path()).unwrap();
        assert_eq!(names(folder.path()).unwrap(), ["inner", "kept"]);
        assert!(names(&folder.path().join("inner")).unwrap().is_empty());
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
