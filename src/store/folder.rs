//! The folder of a job whose results are lines: a description of the job, the journal, and files derived from it.
//!
//! ```text
//! OUT/ABOUT.json       the description of the job: another job is refused
//! OUT/journal.jsonl    its results, one after another: the only source of truth
//! OUT/lock             held while a process works here
//! ```

use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::atomic;
use super::journal::Journal;
use super::lock::Lock;
use crate::error::{Error, IoContext, Result};

const JOURNAL: &str = "journal.jsonl";
const LOCK: &str = "lock";

/// A job's folder, open for writing by this process alone.
#[derive(Debug)]
pub struct Folder<T> {
    path: PathBuf,
    journal: Journal<T>,
    _lock: Lock,
}

impl<T: Serialize + DeserializeOwned> Folder<T> {
    /// Begins a job (an `attack`) in an absent or empty folder, or continues the one that is there; returns the lines
    /// so far, and a warning if the journal had an incomplete line. `name` is the file of the description.
    ///
    /// # Errors
    /// [`Error::Run`] for a folder that holds other files, is in use, or belongs to another job, and for a damaged
    /// journal.
    pub fn open(path: &Path, job: &str, name: &str, about: &Value) -> Result<(Self, Vec<T>, Option<String>)> {
        let foreign = |path: &Path| -> Result<()> {
            let names = atomic::names(path)?;
            let ours = names.is_empty() || names.iter().any(|n| n == name) || names.iter().all(|n| n == LOCK);
            let words = format!("holds other files and no {name}; name an empty folder");
            if ours || names.iter().all(|n| n == LOCK || atomic::is_temporary(n)) {
                Ok(())
            } else {
                Err(Error::run(path, words))
            }
        };
        foreign(path)?;
        atomic::create_folder(path)?;
        let lock = Lock::take(&path.join(LOCK))?;
        foreign(path)?;
        atomic::sweep(path)?;
        let file = path.join(name);
        if file.exists() {
            let text = std::fs::read_to_string(&file).at(&file)?;
            let stored: Value = serde_json::from_str(&text).map_err(|e| Error::run(&file, e.to_string()))?;
            let differs = differences(&stored, about);
            if !differs.is_empty() {
                let words = format!("belongs to another {job}: {}; name another folder", differs.join("; "));
                return Err(Error::run(path, words));
            }
        } else {
            atomic::write(&file, &bytes(&file, about)?)?;
        }
        let (journal, journaled) = Journal::open(&path.join(JOURNAL))?;
        Ok((Folder { path: path.to_owned(), journal, _lock: lock }, journaled.events, journaled.warning))
    }

    /// Adds a line; it is on the disk when this returns.
    ///
    /// # Errors
    /// As [`Journal::append`].
    pub fn append(&mut self, line: &T) -> Result<()> {
        self.journal.append(line)
    }

    /// Writes a derived file, replacing an earlier one.
    ///
    /// # Errors
    /// As [`write_bytes`](Self::write_bytes).
    pub fn write(&self, name: &str, value: &Value) -> Result<()> {
        self.write_bytes(name, &bytes(&self.path.join(name), value)?)
    }

    /// Writes a derived file other than JSON; its name may have a folder.
    ///
    /// # Errors
    /// [`Error::Disk`] or [`Error::Io`]; an earlier file of this name is then unchanged.
    pub fn write_bytes(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let path = self.path.join(name);
        if let Some(folder) = path.parent() {
            atomic::create_folder(folder)?;
        }
        atomic::write(&path, bytes)
    }
}

fn bytes(path: &Path, value: &Value) -> Result<Vec<u8>> {
    let text = serde_json::to_string_pretty(value).map_err(|e| Error::run(path, e.to_string()))?;
    Ok((text + "\n").into_bytes())
}

/// The top-level keys whose values differ, each with both.
fn differences(stored: &Value, given: &Value) -> Vec<String> {
    let empty = serde_json::Map::new();
    let (a, b) = (stored.as_object().unwrap_or(&empty), given.as_object().unwrap_or(&empty));
    let mut keys: Vec<&String> = a.keys().chain(b.keys()).collect();
    keys.sort_unstable();
    keys.dedup();
    let shown =
        |map: &serde_json::Map<String, Value>, key: &str| map.get(key).map_or("absent".into(), Value::to_string);
    let differing = keys.into_iter().filter(|key| a.get(*key) != b.get(*key));
    differing.map(|key| format!("{key}: {} -> {}", shown(a, key), shown(b, key))).collect()
}
