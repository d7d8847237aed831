//! Signs of life of a run's workers.
//!
//! A worker writes `RUN/workers/<name>/beat.json` anew every few seconds and removes it when it ends. Ages are differences of
//! two times of files in one folder, so that no clock of a worker counts.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::atomic;
use super::known::RUN;
use super::process::Process;
use super::scratch;
use crate::error::{Error, Result};

pub(super) const WORKERS: &str = "workers";
pub(super) const BEAT: &str = "beat.json";
/// Time without a beat after which a worker usually counts as lost.
pub const LOST_AFTER: Duration = Duration::from_secs(60);
/// Beats in the time after which a worker counts as lost.
const BEATS: u32 = 12;

/// Who a worker is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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
    /// Seconds without a beat after which it counts as lost: it knows how often it beats.
    #[serde(default = "usual")]
    lost_after: f64,
}

fn usual() -> f64 {
    LOST_AFTER.as_secs_f64()
}

/// A worker's sign of life.
#[derive(Clone, Debug)]
pub struct Pulse {
    path: PathBuf,
    text: Vec<u8>,
    /// Time from one beat to the next.
    pub every: Duration,
}

/// A worker as others see it.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    /// What it writes about itself.
    pub folder: PathBuf,
    /// Who it is.
    pub about: About,
    /// Time since its last beat, by this machine's clock.
    pub silent: Duration,
}

impl About {
    /// This process, which computes with these instructions.
    pub(super) fn this(instructions: &str, lost_after: Duration) -> About {
        let Process { host, pid, system } = Process::this();
        let (version, instructions) = (env!("CARGO_PKG_VERSION").to_owned(), instructions.to_owned());
        About { host, pid, system, version, instructions, lost_after: lost_after.as_secs_f64() }
    }

    fn process(&self) -> Process {
        Process { host: self.host.clone(), pid: self.pid, system: self.system.clone() }
    }

    fn lost_after(&self) -> Duration {
        Duration::try_from_secs_f64(self.lost_after).unwrap_or(LOST_AFTER)
    }
}

impl Pulse {
    /// The first beat of a worker, in its folder.
    ///
    /// # Errors
    /// [`Error::Io`] where the folder cannot be written.
    pub(super) fn begin(folder: &Path, about: &About) -> Result<Pulse> {
        let text = serde_json::to_vec(about).map_err(|e| Error::run(folder, e.to_string()))?;
        let path = folder.join(BEAT);
        atomic::write(&path, &text)?;
        Ok(Pulse { path, text, every: about.lost_after() / BEATS })
    }

    /// Says that the worker is at work.
    pub fn beat(&self) {
        scratch::replace(&self.path, &self.text);
    }

    /// Whether a file was written less than so long before this worker's last beat.
    pub(super) fn is_fresh(&self, path: &Path, lost_after: Duration) -> bool {
        let (Some(theirs), Some(ours)) = (written(path), written(&self.path)) else { return false };
        !ours.duration_since(theirs).is_ok_and(|age| age > lost_after)
    }

    /// Whether the worker of another beat is at work: it has beaten, and its process exists as far as can be seen from here.
    pub(super) fn hears(&self, beat: &Path) -> bool {
        let about = read(beat);
        let lost_after = about.as_ref().map_or(LOST_AFTER, About::lost_after);
        self.is_fresh(beat, lost_after) && about.is_none_or(|about| about.process().exists() != Some(false))
    }
}

/// The workers of a run that have not ended. One that was killed is among them, and silent.
pub fn workers(run: &Path) -> Vec<Seen> {
    let folder = run.join(WORKERS);
    let names = atomic::names(&folder).unwrap_or_default();
    let seen = |name: String| {
        let folder = folder.join(name);
        let beat = folder.join(BEAT);
        let about = read(&beat)?;
        let silent = SystemTime::now().duration_since(written(&beat)?).unwrap_or_default();
        Some(Seen { folder, about, silent })
    };
    names.into_iter().filter_map(seen).collect()
}

/// Whether a file has not been written for so long.
///
/// # Errors
/// [`Error::Io`] where its folder cannot be written: the present is the time of a new file there.
pub(super) fn is_silent(path: &Path, lost_after: Duration) -> Result<bool> {
    let now = atomic::temporary(path.parent().unwrap_or(path))?;
    let age = written(now.path()).zip(written(path)).and_then(|(now, then)| now.duration_since(then).ok());
    Ok(age.is_some_and(|age| age > lost_after))
}

/// Whether a process that has locked a folder gives no sign of life, neither by its lock nor as a worker of the run that is
/// there. In a folder that is no run, no process gives any, and this is never known.
///
/// # Errors
/// As [`is_silent`].
pub(super) fn is_lost(folder: &Path, lock: &Path, process: &Process) -> Result<bool> {
    if !folder.join(RUN).exists() || !is_silent(lock, LOST_AFTER)? {
        return Ok(false);
    }
    for worker in workers(folder) {
        if worker.about.process() == *process && !is_silent(&worker.folder.join(BEAT), worker.about.lost_after())? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn read(beat: &Path) -> Option<About> {
    serde_json::from_slice(&fs::read(beat).ok()?).ok()
}

/// When a file was last written. It is opened for that: network file systems then ask the server.
fn written(path: &Path) -> Option<SystemTime> {
    File::open(path).and_then(|file| file.metadata()).and_then(|found| found.modified()).ok()
}
