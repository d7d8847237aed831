//! Tasks of a run that several processes work at: who has which, and what came out.
//!
//! ```text
//! RUN/workers/<name>/beat.json      who a worker is: written anew every few seconds, removed when it ends
//! RUN/workers/<name>/progress.json  what it is at, for `status`
//! RUN/tasks/<task>/claim-<token>    the name of the worker that has the task; the highest token counts
//! RUN/tasks/<task>/checkpoint/      the state of its training
//! RUN/tasks/<task>/result.json      what came out, with the checksums of its files beside it; written last
//! ```
//!
//! A claim is a file that only one process can create. A task whose worker has not written its beat for some time is taken
//! over under the next token, and goes on from its checkpoint. A worker looks at the tokens before every write and leaves
//! a task that is no longer its own (fencing). Between that look and the write both may write; a task gives the same bytes
//! whoever does it, so that moment is harmless. Ages are differences of two times of files in this folder, so that no clock
//! of a worker counts, and no lock of the file system is needed.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::atomic;
use super::checkpoint::Checkpoints;
use super::claim::Claim;
use super::held::{Held, claim_file, highest};
use super::journal::sum;
use super::lock::host;
use super::scratch;
use crate::error::{Error, IoContext, Result};

const TASKS: &str = "tasks";
const WORKERS: &str = "workers";
const BEAT: &str = "beat.json";
const RESULT: &str = "result.json";
const CHECKPOINT: &str = "checkpoint";
/// The task of the process that appends to the run's journal.
pub(super) const LEADER: &str = "leader";
/// Time without a beat after which a worker usually counts as lost.
pub const LOST_AFTER: Duration = Duration::from_secs(60);
/// Beats in the time after which a worker counts as lost.
const BEATS: u32 = 12;

/// Who a worker is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// The machine's name.
    pub host: String,
    /// The process.
    pub pid: u32,
    /// The system and the numbering of processes in which `pid` names it, where Linux tells.
    pub system: Option<String>,
    /// The program's version.
    pub version: String,
    /// The vector instructions that it computes with. Others give other roundings.
    pub instructions: String,
}

/// A worker of a run, until it is dropped. Others take it for lost where its [`Pulse`] does not beat.
#[derive(Debug)]
pub struct Worker {
    run: PathBuf,
    name: String,
    about: About,
    lost_after: Duration,
    work: String,
    pulse: Pulse,
}

/// A worker's sign of life.
#[derive(Clone, Debug)]
pub struct Pulse {
    path: PathBuf,
    text: Vec<u8>,
    /// Time from one beat to the next.
    pub every: Duration,
}

impl Pulse {
    /// Says that the worker is at work.
    pub fn beat(&self) {
        scratch::replace(&self.path, &self.text);
    }
}

/// What came out of a task.
#[derive(Debug, Serialize, Deserialize)]
struct Stored<T> {
    /// The SHA-256 of each file.
    files: BTreeMap<String, String>,
    result: T,
}

/// A finished task.
#[derive(Debug)]
pub struct Finished<T> {
    /// What came out.
    pub result: T,
    /// Its files.
    pub files: BTreeMap<String, Vec<u8>>,
}

impl Worker {
    /// Joins the workers of a run that has begun, whose work has the name `work`. A worker counts as lost when it has not
    /// beaten for `lost_after`.
    ///
    /// # Errors
    /// [`Error::Io`] where the folder cannot be written.
    pub fn join(run: &Path, work: String, instructions: &str, lost_after: Duration) -> Result<Worker> {
        let (host, pid) = (host(), std::process::id());
        let about = About {
            host: host.clone(),
            pid,
            system: numbering(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            instructions: instructions.to_owned(),
        };
        let unique = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |age| age.subsec_nanos());
        let plain: String = host.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
        let name = format!("{plain}-{pid}-{unique:08x}");
        let folder = run.join(WORKERS).join(&name);
        // The last worker to end removes the common folder, maybe at this moment.
        let begin = || {
            atomic::create_inner(&run.join(WORKERS))?;
            atomic::create_inner(&folder)
        };
        begin().or_else(|_| begin())?;
        let text = serde_json::to_vec(&about).map_err(|e| Error::run(&folder, e.to_string()))?;
        let path = folder.join(BEAT);
        atomic::write(&path, &text)?;
        let pulse = Pulse { path, text, every: lost_after / BEATS };
        Ok(Worker { run: run.to_owned(), name, about, lost_after, work, pulse })
    }

    /// What must beat as long as it works.
    pub fn pulse(&self) -> Pulse {
        self.pulse.clone()
    }

    /// What this worker writes about itself.
    pub fn folder(&self) -> PathBuf {
        self.run.join(WORKERS).join(&self.name)
    }

    /// Takes a task, unless it is finished or another worker has it.
    ///
    /// # Errors
    /// [`Error::Io`] where the folder cannot be read or written.
    pub fn claim(&self, task: &str) -> Result<Option<Held>> {
        let folder = self.run.join(TASKS).join(task);
        if folder.join(RESULT).exists() {
            return Ok(None);
        }
        let highest = highest(&folder)?;
        if let Some(token) = highest
            && self.lives(&claim_file(&folder, token))?
        {
            return Ok(None);
        }
        atomic::create_inner(&self.run.join(TASKS))?;
        atomic::create_inner(&folder)?;
        let token = highest.map_or(1, |token| token + 1);
        let path = claim_file(&folder, token);
        let mut file = match File::options().write(true).create_new(true).open(&path) {
            Ok(file) => file,
            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => return Ok(None),
            Err(e) => return Err(e).at(&path),
        };
        file.write_all(self.name.as_bytes()).at(&path)?;
        file.sync_all().at(&path)?;
        atomic::sync_folder(&folder)?;
        Ok(Some(Held { folder, token, work: self.work.clone() }))
    }

    /// Whether the worker that a claim names is at work.
    fn lives(&self, claim: &Path) -> Result<bool> {
        let owner = match fs::read_to_string(claim) {
            Ok(owner) => owner,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(false),
            Err(e) => return Err(e).at(claim),
        };
        if owner == self.name {
            return Ok(true);
        }
        // Between creating a claim and writing a name into it, the claim itself tells its age.
        if owner.is_empty() {
            return Ok(self.is_fresh(claim));
        }
        Ok(self.is_alive(&self.run.join(WORKERS).join(owner).join(BEAT)))
    }

    /// Whether a worker is at work, by its beat.
    fn is_alive(&self, beat: &Path) -> bool {
        self.is_fresh(beat) && self.exists(beat)
    }

    /// Whether a file was written not long before this worker's last beat.
    fn is_fresh(&self, path: &Path) -> bool {
        let (Some(theirs), Some(ours)) = (written(path), written(&self.pulse.path)) else { return false };
        !ours.duration_since(theirs).is_ok_and(|age| age > self.lost_after)
    }

    /// Whether the process of a beat exists, as far as it can be seen from here.
    fn exists(&self, beat: &Path) -> bool {
        let about = fs::read(beat).ok().and_then(|text| serde_json::from_slice::<About>(&text).ok());
        let Some(about) = about else { return true };
        let visible = about.host == self.about.host && about.system.is_some() && about.system == self.about.system;
        !visible || Path::new("/proc").join(about.pid.to_string()).exists()
    }

    /// The other workers that are alive.
    pub fn others(&self) -> Vec<About> {
        let others = workers(&self.run).into_iter().filter(|seen| seen.folder != self.folder());
        others.filter(|seen| self.is_alive(&seen.folder.join(BEAT))).map(|seen| seen.about).collect()
    }

    /// Whether a process leads the run: one that appends to its journal.
    ///
    /// # Errors
    /// [`Error::Io`] where the folder cannot be read.
    pub fn is_led(&self) -> Result<bool> {
        let folder = self.run.join(TASKS).join(LEADER);
        highest(&folder)?.map_or(Ok(false), |token| self.lives(&claim_file(&folder, token)))
    }

    /// Removes all tasks of the run, which is over, and what workers left that were killed.
    ///
    /// # Errors
    /// [`Error::Io`] where a file cannot be removed.
    pub fn clear(&self) -> Result<()> {
        let workers = self.run.join(WORKERS);
        for name in atomic::names(&workers)? {
            let folder = workers.join(&name);
            if name != self.name && !self.is_alive(&folder.join(BEAT)) {
                atomic::remove_folder(&folder)?;
            }
        }
        atomic::remove_folder(&self.run.join(TASKS))
    }
}

impl Drop for Worker {
    /// What it had is free from here on.
    fn drop(&mut self) {
        drop(fs::remove_dir_all(self.folder()));
        drop(fs::remove_dir(self.run.join(WORKERS)));
    }
}

impl Held {
    /// The states of the task's training.
    ///
    /// # Errors
    /// As [`Checkpoints::open`].
    pub fn checkpoints(self: &Arc<Self>) -> Result<Checkpoints> {
        Checkpoints::of(&self.folder.join(CHECKPOINT), Arc::new(Claim::of_task(Arc::clone(self), self.work.clone())))
    }

    /// Keeps what came out, files first.
    ///
    /// # Errors
    /// As [`Held::check`]; [`Error::Disk`] or [`Error::Io`], with the task unfinished.
    pub fn finish<T: Serialize>(&self, result: &T, files: &[(&str, &[u8])]) -> Result<()> {
        for (name, bytes) in files {
            self.check()?;
            atomic::write(&self.folder.join(name), bytes)?;
        }
        let files = files.iter().map(|(name, bytes)| ((*name).to_owned(), sum(bytes))).collect();
        let path = self.folder.join(RESULT);
        let text = serde_json::to_vec(&Stored { files, result }).map_err(|e| Error::run(&path, e.to_string()))?;
        self.check()?;
        atomic::write(&path, &text)?;
        atomic::remove_folder(&self.folder.join(CHECKPOINT))
    }
}

/// What came out of a task, if it is finished and its files are whole. A result that is not is removed, so that the task is
/// done again.
///
/// # Errors
/// [`Error::Io`] where it cannot be read.
pub fn finished<T: DeserializeOwned>(run: &Path, task: &str) -> Result<Option<Finished<T>>> {
    let folder = run.join(TASKS).join(task);
    let path = folder.join(RESULT);
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e).at(&path),
    };
    let whole = || -> Option<Finished<T>> {
        let stored: Stored<T> = serde_json::from_slice(&bytes).ok()?;
        let read = |(name, known): (String, String)| {
            let bytes = fs::read(folder.join(&name)).ok()?;
            (sum(&bytes) == known).then_some((name, bytes))
        };
        let files = stored.files.into_iter().map(read).collect::<Option<_>>()?;
        Some(Finished { result: stored.result, files })
    };
    let found = whole();
    if found.is_none() {
        atomic::remove_file(&path)?;
    }
    Ok(found)
}

/// Removes the files of a finished task that have been taken over into the run; that it is finished stays known.
///
/// # Errors
/// [`Error::Io`] where a file cannot be removed.
pub fn taken(run: &Path, task: &str) -> Result<()> {
    let folder = run.join(TASKS).join(task);
    for name in atomic::names(&folder)? {
        let path = folder.join(&name);
        if name != RESULT && path.is_file() {
            atomic::remove_file(&path)?;
        }
    }
    Ok(())
}

/// A worker as others see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// What it writes about itself.
    pub folder: PathBuf,
    /// Who it is.
    pub about: About,
    /// Time since its last beat, by this machine's clock.
    pub silent: Duration,
}

/// The workers of a run that have not ended. One that was killed is among them, and silent.
pub fn workers(run: &Path) -> Vec<Seen> {
    let folder = run.join(WORKERS);
    let names = atomic::names(&folder).unwrap_or_default();
    let seen = |name: String| {
        let folder = folder.join(name);
        let beat = folder.join(BEAT);
        let about = serde_json::from_slice(&fs::read(&beat).ok()?).ok()?;
        let silent = SystemTime::now().duration_since(written(&beat)?).unwrap_or_default();
        Some(Seen { folder, about, silent })
    };
    names.into_iter().filter_map(seen).collect()
}

/// When a file was last written. It is opened for that: network file systems then ask the server.
fn written(path: &Path) -> Option<SystemTime> {
    File::open(path).and_then(|file| file.metadata()).and_then(|found| found.modified()).ok()
}

/// Names the system that has been running since its last start, and the numbering of its processes: in the same, a process
/// that is not seen is not there.
fn numbering() -> Option<String> {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let numbers = fs::read_link("/proc/self/ns/pid").ok()?;
    Some(format!("{} {}", boot.trim(), numbers.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn worker(run: &Path) -> Worker {
        Worker::join(run, "work".into(), "AVX2", LOST_AFTER).unwrap()
    }

    #[test]
    fn a_task_has_one_owner_until_it_is_given_back() {
        let run = tempfile::tempdir().unwrap();
        let [one, two] = [(); 2].map(|()| worker(run.path()));
        let held = one.claim("a").unwrap().unwrap();
        assert!(two.claim("a").unwrap().is_none() && one.claim("a").unwrap().is_none() && !held.is_lost());
        held.release();
        assert!(two.claim("a").unwrap().is_some());
    }

    /// One takes a task over and gives it back. Whoever had it has left it at that, and must be able to take it anew, or nobody
    /// would ever do it.
    #[test]
    fn a_task_that_was_taken_over_and_given_back_is_free() {
        let run = tempfile::tempdir().unwrap();
        let [one, two] = [(); 2].map(|()| worker(run.path()));
        let held = one.claim("a").unwrap().unwrap();
        // What `two` does where `one` shows no sign of life for long.
        std::fs::write(claim_file(&held.folder, held.token + 1), &two.name).unwrap();
        assert!(held.is_lost());
        Held { token: held.token + 1, folder: held.folder.clone(), work: held.work.clone() }.release();
        assert!(held.is_lost(), "an abandoned claim counts again");
        let again = one.claim("a").unwrap().unwrap();
        assert_eq!(again.token, held.token + 2);
    }
}
