//! What a run's folder says to those who only read: its description, its events, and whether its files are what was written.
//! Every verb reads a run here, so that all see the same damage.

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::atomic;
use super::event::{self, Event};
use super::journal::{self, Files, Journaled};
use super::known::{ARCHS, JOURNAL, KNOWN_FILES, OF_ARCH, OUTPUTS, intact, lost, present};
use super::run::{Run, read_run};
use crate::error::{Error, IoContext, Result};
use crate::record::Record;

/// A run as far as it is.
#[derive(Clone, Debug, PartialEq)]
pub struct History {
    /// Its description.
    pub run: Run,
    /// Its events in order.
    pub events: Vec<Event>,
    /// What its files hold.
    pub files: Files,
    /// Said when the journal's last line was not written whole: by a process that is writing it, or was killed.
    pub warning: Option<String>,
}

impl History {
    /// Reads a run without a lock and without changing it.
    ///
    /// # Errors
    /// As [`read_run`]; [`Error::Run`] for a journal that is missing, damaged beyond what one append leaves, or that lost
    /// lines, as files show that it does not know.
    pub fn read(path: &Path) -> Result<History> {
        let run = read_run(path)?;
        // Listed before the journal is read: a process at work makes a file known first and writes it then.
        let present = present(path)?;
        let Journaled { events, files, warning } = journal::read(&path.join(JOURNAL))?;
        lost(path, run.file.schema_version, &files, &present)?;
        intact(path, &files, &run.config)?;
        Ok(History { run, events, files, warning })
    }

    /// The records made so far.
    pub fn records(&self) -> Vec<Record> {
        event::records(&self.events)
    }

    /// Whether the run is over: its answer is there and is what was written.
    pub fn is_finished(&self, path: &Path) -> bool {
        let known = self.run.file.schema_version < KNOWN_FILES || self.files.knows(OUTPUTS[0]);
        known && fs::read(path.join(OUTPUTS[0])).is_ok_and(|bytes| self.files.holds(OUTPUTS[0], &bytes))
    }
}

/// Holds an `arch.json` and the weights beside it to the journal of the run or the training that left them. Files that belong
/// to none are as they are. Returns what a reader should be told of the journal.
///
/// # Errors
/// [`Error::Run`] for a file that is not what was written, and for a damaged journal.
pub fn verify(arch: &Path) -> Result<Option<String>> {
    let Some(folder) = arch.parent() else { return Ok(None) };
    // `archs/<id>/arch.json` of a run, or the arch.json of a training.
    let (id, archs) = (folder.file_name(), folder.parent().filter(|up| up.file_name().is_some_and(|n| n == ARCHS)));
    let (root, prefix) = match (id, archs.map(|archs| archs.parent().unwrap_or(Path::new("")))) {
        (Some(id), Some(run)) => (run, format!("{ARCHS}/{}/", id.to_string_lossy())),
        _ => (folder, String::new()),
    };
    let journal = root.join(JOURNAL);
    if !journal.exists() {
        return Ok(None);
    }
    let Journaled { files, warning, .. } = journal::read::<Value>(&journal)?;
    for name in OF_ARCH {
        let path = folder.join(name);
        if !path.exists() {
            continue;
        }
        if !path.is_file() {
            return Err(Error::run(path, "is no file; remove it, and the command that made the file makes it anew"));
        }
        if !files.holds(&format!("{prefix}{name}"), &fs::read(&path).at(&path)?) {
            let words = "is not what was written: its checksum is another one than the journal's; the command that made it \
                         makes it anew";
            return Err(Error::run(path, words));
        }
    }
    Ok(warning)
}

/// The ids of a run's architectures, sorted.
///
/// # Errors
/// [`Error::Io`] where the folder cannot be listed.
pub fn ids(run: &Path) -> Result<Vec<String>> {
    atomic::names(&run.join(ARCHS))
}
