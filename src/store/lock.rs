//! One process per run folder.

use std::fs::{self, File, TryLockError};
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::error::{Error, IoContext, Result};

/// An exclusive lock on a file, held until dropped or until the process ends, however it ends.
///
/// The file stays: removing it would let a third process lock a new file of the same name beside the second's.
#[derive(Debug)]
pub struct Lock {
    path: PathBuf,
    file: File,
}

impl Lock {
    /// Takes the lock without waiting and writes who holds it.
    ///
    /// # Errors
    /// [`Error::Run`] naming the process that holds it.
    pub fn take(path: &Path) -> Result<Lock> {
        let mut file = File::options().read(true).write(true).create(true).truncate(false).open(path).at(path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(held(path)),
            Err(TryLockError::Error(e)) => return Err(e).at(path),
        }
        file.set_len(0).at(path)?;
        let holder = format!("pid {} on {}\n", std::process::id(), host());
        file.write_all(holder.as_bytes()).at(path)?;
        Ok(Lock { path: path.to_owned(), file })
    }

    /// Whether nobody holds the lock at this moment; changes nothing.
    ///
    /// # Errors
    /// As [`Lock::take`].
    pub fn probe(path: &Path) -> Result<()> {
        match File::open(path).at(path)?.try_lock_shared() {
            Err(TryLockError::WouldBlock) => Err(held(path)),
            _ => Ok(()),
        }
    }

    /// Who holds the lock, as written there; `None` where nobody does.
    pub fn holder(path: &Path) -> Option<String> {
        let file = File::open(path).ok()?;
        let is_held = matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock));
        is_held.then(|| fs::read_to_string(path).unwrap_or_default().trim().to_owned())
    }

    /// Whether the folder is still the one that was locked. Asked before every write, so that a process whose folder was
    /// removed does not go on without leaving anything, and does not write into another run that has taken the place.
    ///
    /// # Errors
    /// [`Error::Run`] where the lock's file is gone or another.
    pub fn check(&self) -> Result<()> {
        if is_same(&self.path, &self.file) {
            return Ok(());
        }
        let folder = self.path.parent().unwrap_or(&self.path);
        let words = "was removed or replaced while this process worked in it; what was done since cannot be kept. Give the \
                     command again to begin anew, or restore the folder";
        Err(Error::run(folder, words))
    }
}

/// Whether a path still names an open file.
#[cfg(unix)]
fn is_same(path: &Path, file: &File) -> bool {
    use std::os::unix::fs::MetadataExt;
    let id = |found: fs::Metadata| (found.dev(), found.ino());
    fs::symlink_metadata(path).map(id).ok().zip(file.metadata().map(id).ok()).is_some_and(|(a, b)| a == b)
}

/// Elsewhere an open file cannot be removed.
#[cfg(not(unix))]
fn is_same(path: &Path, _file: &File) -> bool {
    path.exists()
}

fn held(path: &Path) -> Error {
    // Best effort: the holder may be between locking and writing its name.
    let holder = fs::read_to_string(path).unwrap_or_default();
    let holder = if holder.trim().is_empty() { "pid unknown" } else { holder.trim() };
    let folder = path.parent().unwrap_or(path);
    Error::run(folder, format!("another process ({holder}) is working on this run folder; wait for it or stop it"))
}

/// The machine's name, where the system has one; for messages only.
pub(super) fn host() -> String {
    let from_file = || fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let name = from_file().or_else(|| std::env::var("HOSTNAME").ok()).or_else(|| std::env::var("COMPUTERNAME").ok());
    name.map(|n| n.trim().to_owned()).filter(|n| !n.is_empty()).unwrap_or_else(|| "unknown".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_taker_is_told_who_holds_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let first = Lock::take(&path).unwrap();
        let message = Lock::take(&path).unwrap_err().to_string();
        assert!(message.contains(&format!("pid {}", std::process::id())), "{message}");
        drop(first);
        Lock::take(&path).unwrap();
    }

    #[test]
    #[cfg(unix)]
    fn a_folder_that_was_replaced_is_not_the_locked_one() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("run");
        fs::create_dir(&folder).unwrap();
        let lock = Lock::take(&folder.join("lock")).unwrap();
        lock.check().unwrap();
        fs::rename(&folder, root.path().join("elsewhere")).unwrap();
        assert_eq!(lock.check().unwrap_err().exit_code(), 4);
        fs::create_dir(&folder).unwrap();
        let _other = Lock::take(&folder.join("lock")).unwrap();
        let message = lock.check().unwrap_err().to_string();
        assert!(message.contains("removed or replaced"), "{message}");
    }

    #[test]
    fn a_long_name_of_an_earlier_holder_does_not_linger() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        fs::write(&path, "pid 4294967295 on a-machine-with-a-very-long-name-indeed-that-goes-on-and-on\n").unwrap();
        let _lock = Lock::take(&path).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text, format!("pid {} on {}\n", std::process::id(), host()));
    }
}
