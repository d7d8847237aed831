//! The folder of a job whose results are lines: a description of the job, the journal, and files derived from it.
//!
//! ```text
//! OUT/ABOUT.json       the description of the job: another job is refused
//! OUT/journal.jsonl    its results, one after another, and what every file holds: the only source of truth
//! OUT/journal.damaged  what was taken out of the journal, if anything was
//! OUT/lock             held while a process works here
//! ```

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::atomic;
use super::checkpoint::Checkpoints;
use super::claim::Claim;
use super::journal::{Files, Journal};
use super::lock::Lock;
use crate::error::{Error, IoContext, Result};

const JOURNAL: &str = "journal.jsonl";
const LOCK: &str = "lock";

/// A job's folder, open for writing by this process alone.
#[derive(Debug)]
pub struct Folder<T> {
    path: PathBuf,
    journal: Journal<T>,
    claim: Arc<Claim>,
}

impl<T: Serialize + DeserializeOwned> Folder<T> {
    /// Begins a job (an `attack`) in an absent or empty folder, or continues the one that is there; returns the lines
    /// so far, and a warning if the journal had an incomplete line. `name` is the file of the description.
    ///
    /// Of two descriptions with the same `data_id` the key `data` may differ: the same images may lie elsewhere.
    ///
    /// # Errors
    /// [`Error::Run`] for a folder that holds other files, is in use, or belongs to another job, and for a damaged
    /// journal.
    pub fn open(path: &Path, job: &str, name: &str, about: &Value) -> Result<(Self, Vec<T>, Option<String>)> {
        let (file, journal) = (path.join(name), path.join(JOURNAL));
        let foreign = |path: &Path| -> Result<()> {
            if path.exists() && !path.is_dir() {
                return Err(Error::run(path, "is a file; name a folder"));
            }
            // An empty journal is a beginning that was cut short.
            let begun = std::fs::metadata(&journal).is_ok_and(|found| found.is_file() && found.len() == 0);
            let ours = |n: &String| n == LOCK || n == JOURNAL && begun || atomic::is_temporary(n);
            let names = atomic::names(path)?;
            if names.iter().any(|n| n == name) || names.iter().all(ours) {
                return Ok(());
            }
            Err(Error::run(path, format!("holds other files and no {name}; name an empty folder")))
        };
        foreign(path)?;
        atomic::create_folder(path)?;
        let lock = Lock::take(&path.join(LOCK))?;
        foreign(path)?;
        atomic::sweep(path)?;
        let begun = file.exists();
        let mut stored = about.clone();
        if begun {
            let text = crate::error::utf8(std::fs::read(&file).at(&file)?, &file);
            let text = text.map_err(|e| Error::run(path, e.to_string()))?;
            stored = serde_json::from_str(&text).map_err(|e| Error::run(&file, format!("damaged: {e}")))?;
            let differs = differences(&stored, about);
            if !differs.is_empty() {
                let words = format!("belongs to another {job}: {}; name another folder", differs.join("; "));
                return Err(Error::run(path, words));
            }
        }
        let (journal, journaled) = Journal::open(&journal, !begun)?;
        let claim = Claim::new(lock, Claim::name([stored.to_string().as_str()]));
        claim.set_lines(journal.lines());
        if !begun {
            // Last, so that a folder with a description is a complete one.
            atomic::write(&file, &bytes(&file, about)?)?;
        }
        let folder = Folder { path: path.to_owned(), journal, claim: Arc::new(claim) };
        Ok((folder, journaled.events, journaled.warning))
    }

    /// The job's checkpoints.
    ///
    /// # Errors
    /// As [`Checkpoints::open`].
    pub fn checkpoints(&self) -> Result<Checkpoints> {
        Checkpoints::of(&self.path.join("checkpoint"), Arc::clone(&self.claim))
    }

    /// What the folder's files hold.
    pub fn files(&self) -> &Files {
        self.journal.files()
    }

    /// Adds a line; it is on the disk when this returns.
    ///
    /// # Errors
    /// As [`Journal::append`]; [`Error::Run`] where the folder was removed or replaced.
    pub fn append(&mut self, line: &T) -> Result<()> {
        self.claim.check()?;
        self.journal.append(line)?;
        self.claim.set_lines(self.journal.lines());
        Ok(())
    }

    /// Writes a derived file, replacing an earlier one.
    ///
    /// # Errors
    /// As [`write_bytes`](Self::write_bytes).
    pub fn write(&mut self, name: &str, value: &Value) -> Result<()> {
        let content = bytes(&self.path.join(name), value)?;
        self.write_bytes(name, &content)
    }

    /// Writes a derived file other than JSON, and its checksum into the journal; its name may have a folder.
    ///
    /// # Errors
    /// [`Error::Disk`] or [`Error::Io`]; an earlier file of this name is then unchanged. [`Error::Run`] where the folder was
    /// removed or replaced.
    pub fn write_bytes(&mut self, name: &str, bytes: &[u8]) -> Result<()> {
        if let Some((folder, _)) = name.rsplit_once('/') {
            self.claim.check()?;
            atomic::create_inner(&self.path.join(folder))?;
        }
        self.claim.write(&mut self.journal, &self.path, name, bytes)
    }
}

fn bytes(path: &Path, value: &Value) -> Result<Vec<u8>> {
    let text = serde_json::to_string_pretty(value).map_err(|e| Error::run(path, e.to_string()))?;
    Ok((text + "\n").into_bytes())
}

/// The keys whose values differ, each with both: `plan.attacks.0.steps: 20 -> 10`.
fn differences(stored: &Value, given: &Value) -> Vec<String> {
    let (mut a, mut b) = (BTreeMap::new(), BTreeMap::new());
    leaves(String::new(), stored, &mut a);
    leaves(String::new(), given, &mut b);
    let mut keys: Vec<&String> = a.keys().chain(b.keys()).collect();
    keys.sort_unstable();
    keys.dedup();
    let shown = |side: &BTreeMap<String, String>, key| side.get(key).map_or("absent", |v| v).to_owned();
    let same_data = a.get("data_id").is_some_and(|id| b.get("data_id") == Some(id));
    let differing = keys.into_iter().filter(|key| a.get(*key) != b.get(*key));
    let differing = differing.filter(|key| !(same_data && *key == "data"));
    differing.map(|key| format!("{key}: {} -> {}", shown(&a, key), shown(&b, key))).collect()
}

/// The values that hold no others, by dotted path.
fn leaves(path: String, value: &Value, found: &mut BTreeMap<String, String>) {
    let join = |step: &str| if path.is_empty() { step.to_owned() } else { format!("{path}.{step}") };
    match value {
        Value::Object(map) => map.iter().for_each(|(key, value)| leaves(join(key), value, found)),
        Value::Array(list) if list.iter().any(|v| v.is_object() || v.is_array()) => {
            list.iter().enumerate().for_each(|(at, value)| leaves(join(&at.to_string()), value, found));
        }
        leaf => drop(found.insert(path, leaf.to_string())),
    }
}
