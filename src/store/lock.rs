//! One process per folder.
//!
//! The lock is one of the file system (`flock`), which ends with its process however that ends. Some file systems have none
//! (Lustre that is mounted without, NFS without its lock service). There the file itself is the lock: it can be created once,
//! says who has it, and is taken over from a process that is seen to be gone. [`Lock::check`] before every write makes it
//! harmless that two may take it over in the same moment: only the last one's file is there.

use std::fs::{self, File, TryLockError};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use super::process::{Process, host};
use super::{atomic, beat};
use crate::error::{Error, IoContext, Result};

/// What stands in a lock that was given back, where the file itself is the lock.
const NOBODY: &str = "nobody\n";

/// An exclusive lock on a file, held until dropped or until the process ends.
///
/// The file stays: removing it would let a third process lock a new file of the same name beside the second's.
#[derive(Debug)]
pub struct Lock {
    path: PathBuf,
    file: File,
    kind: Kind,
}

/// What keeps others out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// The file system.
    System,
    /// That the file can be created once.
    Created,
}

impl Lock {
    /// Takes the lock without waiting and writes who holds it.
    ///
    /// # Errors
    /// [`Error::Run`] naming the process that holds it.
    pub fn take(path: &Path) -> Result<Lock> {
        let (file, is_new) = match Lock::new_file(path) {
            Ok(file) => (file, true),
            Err(e) if e.kind() == ErrorKind::AlreadyExists => {
                // Created again if it was removed meanwhile.
                (File::options().read(true).write(true).create(true).truncate(false).open(path).at(path)?, false)
            }
            Err(e) => return Err(e).at(path),
        };
        match file.try_lock() {
            Ok(()) => Lock { path: path.to_owned(), file, kind: Kind::System }.signed(),
            Err(TryLockError::WouldBlock) => Err(held(path)),
            Err(TryLockError::Error(e)) if has_no_locks(&e) && is_new => {
                Lock { path: path.to_owned(), file, kind: Kind::Created }.signed()
            }
            Err(TryLockError::Error(e)) if has_no_locks(&e) => Lock::create(path),
            Err(TryLockError::Error(e)) => Err(e).at(path),
        }
    }

    /// The file, which only one process can create.
    fn new_file(path: &Path) -> io::Result<File> {
        File::options().read(true).write(true).create_new(true).open(path)
    }

    /// Takes the lock where the file system has none.
    fn create(path: &Path) -> Result<Lock> {
        if !is_free(path)? {
            return Err(held_or_left(path));
        }
        // The file of whoever had it goes away under a name of our own, so that two who find it free do not share one.
        let aside = atomic::temporary(parent(path))?;
        match fs::rename(path, aside.path()) {
            Err(e) if e.kind() != ErrorKind::NotFound => return Err(e).at(path),
            _ => {}
        }
        match Lock::new_file(path) {
            Ok(file) => Lock { path: path.to_owned(), file, kind: Kind::Created }.signed(),
            Err(e) if e.kind() == ErrorKind::AlreadyExists => Err(held(path)),
            Err(e) => Err(e).at(path),
        }
    }

    /// The lock, with this process's name in it.
    fn signed(mut self) -> Result<Lock> {
        self.say(&Signature::this().to_string()).at(&self.path)?;
        Ok(self)
    }

    fn say(&mut self, text: &str) -> io::Result<()> {
        self.file.set_len(0)?;
        self.file.write_all(text.as_bytes())
    }

    /// Whether nobody holds the lock at this moment; changes nothing.
    ///
    /// # Errors
    /// As [`Lock::take`].
    pub fn probe(path: &Path) -> Result<()> {
        match File::open(path).at(path)?.try_lock_shared() {
            Err(TryLockError::WouldBlock) => Err(held(path)),
            Err(TryLockError::Error(e)) if has_no_locks(&e) && !is_free(path)? => Err(held_or_left(path)),
            _ => Ok(()),
        }
    }

    /// Who holds the lock, as written there; `None` where nobody does.
    pub fn holder(path: &Path) -> Option<String> {
        let file = File::open(path).ok()?;
        let is_held = match file.try_lock_shared() {
            Err(TryLockError::WouldBlock) => true,
            Err(TryLockError::Error(e)) if has_no_locks(&e) => !is_free(path).unwrap_or(false),
            _ => false,
        };
        is_held.then(|| name(path).unwrap_or_default())
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
        let words = "was removed or replaced while this process worked in it; what was done since cannot be kept. Give the \
                     command again to begin anew, or restore the folder";
        Err(Error::run(parent(&self.path), words))
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        if self.kind == Kind::Created && is_same(&self.path, &self.file) {
            // Where this fails, the process is seen to be gone.
            drop(fs::write(&self.path, NOBODY));
        }
    }
}

/// What a holder writes into the file: `pid 7 on a-machine`, and on a second line what makes that a name.
struct Signature(Process);

impl Signature {
    fn this() -> Self {
        Signature(Process::this())
    }

    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        let (pid, host) = lines.next()?.strip_prefix("pid ")?.split_once(" on ")?;
        let system = lines.next().map(str::to_owned);
        Some(Signature(Process { host: host.to_owned(), pid: pid.parse().ok()?, system }))
    }
}

impl std::fmt::Display for Signature {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Process { host, pid, system } = &self.0;
        writeln!(f, "pid {pid} on {host}")?;
        system.iter().try_for_each(|system| writeln!(f, "{system}"))
    }
}

/// Whether an error says that the file system has no locks.
fn has_no_locks(error: &io::Error) -> bool {
    error.kind() == ErrorKind::Unsupported || is_no_lock(error)
}

#[cfg(unix)]
fn is_no_lock(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::ENOLCK)
}

#[cfg(not(unix))]
fn is_no_lock(_error: &io::Error) -> bool {
    false
}

/// Whether nobody has a lock whose file is all that there is: it was given back, or its process is gone. Of a process on
/// another machine that can be told in the folder of a run only, by its sign of life.
fn is_free(path: &Path) -> Result<bool> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(true),
        Err(e) => return Err(e).at(path),
    };
    let Some(Signature(process)) = Signature::parse(&text) else {
        // Given back, or created in this moment and not signed yet.
        return Ok(text == NOBODY || beat::is_silent(path, beat::LOST_AFTER)?);
    };
    match process.exists() {
        Some(exists) => Ok(!exists),
        None => beat::is_lost(parent(path), path, &process),
    }
}

fn parent(path: &Path) -> &Path {
    path.parent().unwrap_or(path)
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

/// Who is named in a lock.
fn name(path: &Path) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    text.lines().next().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty())
}

fn held(path: &Path) -> Error {
    // Best effort: the holder may be between locking and writing its name.
    let holder = name(path).unwrap_or_else(|| "pid unknown".to_owned());
    Error::run(
        parent(path),
        format!("another process ({holder}) is working on this run folder; wait for it or stop it"),
    )
}

/// As [`held`], where a process that has died elsewhere cannot be told from one that lives.
fn held_or_left(path: &Path) -> Error {
    let holder = name(path).unwrap_or_else(|| "pid unknown".to_owned());
    let words = format!(
        "another process ({holder}) is working on this run folder, or was when it died; this file system has no locks, which \
         would tell. Wait for it or stop it; if it is gone, remove {} (seen from {})",
        path.display(),
        host()
    );
    Error::run(parent(path), words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_taker_is_told_who_holds_it() {
        for take in [Lock::take, Lock::create] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("lock");
            let first = take(&path).unwrap();
            let message = take(&path).unwrap_err().to_string();
            assert!(message.contains(&format!("pid {}", std::process::id())), "{message}");
            drop(first);
            drop(take(&path).unwrap());
        }
    }

    /// The signature of a process that is surely gone, on this machine or on another.
    fn left_by(elsewhere: bool) -> String {
        let mut gone = Process { pid: u32::MAX, ..Process::this() };
        if elsewhere {
            gone.host = "elsewhere".into();
        }
        Signature(gone).to_string()
    }

    /// Without locks of the file system: a process of this machine is seen to be gone, one of another is not.
    #[test]
    #[cfg(target_os = "linux")]
    fn a_lock_of_a_process_that_is_gone_is_taken_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        fs::write(&path, left_by(false)).unwrap();
        drop(Lock::create(&path).unwrap());
        assert_eq!(fs::read_to_string(&path).unwrap(), NOBODY);
        fs::write(&path, left_by(true)).unwrap();
        let message = Lock::create(&path).unwrap_err().to_string();
        assert!(message.contains("pid 4294967295 on elsewhere") && message.contains("remove"), "{message}");
        fs::remove_file(&path).unwrap();
        Lock::create(&path).unwrap();
    }

    /// Two that found a lock free in the same moment: the first one's file is gone, and it writes no more.
    #[test]
    #[cfg(unix)]
    fn of_two_that_take_a_lock_over_the_last_has_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let first = Lock::create(&path).unwrap();
        fs::rename(&path, folder.path().join("aside")).unwrap();
        let second = Lock::create(&path).unwrap();
        assert!(first.check().is_err());
        second.check().unwrap();
        drop(first);
        assert!(Lock::create(&path).is_err(), "the first one gave the second one's lock away");
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
        fs::write(&path, left_by(true) + "and\nmany\nmore\nlines\nthat go on and on and on and on and on\n").unwrap();
        let _lock = Lock::take(&path).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), Signature::this().to_string());
    }
}
