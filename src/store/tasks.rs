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
//! whoever does it, so that moment is harmless. No lock of the file system is needed.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::atomic;
use super::beat::{About, BEAT, Pulse, WORKERS, workers};
use super::checkpoint::Checkpoints;
use super::claim::Claim;
use super::held::{Held, claim_file, highest};
use super::journal::sum;
use crate::error::{Error, IoContext, Result};

const TASKS: &str = "tasks";
const RESULT: &str = "result.json";
const CHECKPOINT: &str = "checkpoint";
/// The task of the process that appends to the run's journal.
pub(super) const LEADER: &str = "leader";

/// A worker of a run, until it is dropped. Others take it for lost where its [`Pulse`] does not beat.
#[derive(Debug)]
pub struct Worker {
    run: PathBuf,
    name: String,
    lost_after: Duration,
    work: String,
    pulse: Pulse,
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
    /// Joins the workers of a run that has begun, whose work has the name `work`. Others count this one as lost when it has
    /// not beaten for `lost_after`.
    ///
    /// # Errors
    /// [`Error::Io`] where the folder cannot be written.
    pub fn join(run: &Path, work: String, instructions: &str, lost_after: Duration) -> Result<Worker> {
        let about = About::this(instructions, lost_after);
        let unique = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |age| age.subsec_nanos());
        let plain: String = about.host.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
        let name = format!("{plain}-{}-{unique:08x}", about.pid);
        let folder = run.join(WORKERS).join(&name);
        // The last worker to end removes the common folder, maybe at this moment.
        let begin = || {
            atomic::create_inner(&run.join(WORKERS))?;
            atomic::create_inner(&folder)
        };
        begin().or_else(|_| begin())?;
        let pulse = Pulse::begin(&folder, &about)?;
        Ok(Worker { run: run.to_owned(), name, lost_after, work, pulse })
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
            return Ok(self.pulse.is_fresh(claim, self.lost_after));
        }
        Ok(self.pulse.hears(&self.run.join(WORKERS).join(owner).join(BEAT)))
    }

    /// The other workers that are alive.
    pub fn others(&self) -> Vec<About> {
        let others = workers(&self.run).into_iter().filter(|seen| seen.folder != self.folder());
        others.filter(|seen| self.pulse.hears(&seen.folder.join(BEAT))).map(|seen| seen.about).collect()
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
            if name != self.name && !self.pulse.hears(&folder.join(BEAT)) {
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

#[cfg(test)]
mod tests {
    use super::super::beat::LOST_AFTER;
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
