//! The folder of an attack run: what it is about, the verdicts so far, and what is derived from them.
//!
//! ```text
//! OUT/attack.json      what is attacked, with what, on which images
//! OUT/journal.jsonl    the verdicts, batch after batch: the only source of truth
//! OUT/result.json      the answer
//! OUT/examples.png     a few images before and after
//! OUT/adversarial/     on request, the images in which the network errs, a file a batch
//! OUT/lock             held while a process works here
//! ```

use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::atomic;
use super::journal::Journal;
use super::lock::Lock;
use crate::error::{Error, IoContext, Result};

const ABOUT: &str = "attack.json";
const JOURNAL: &str = "journal.jsonl";
const LOCK: &str = "lock";

/// A finished batch and how long it took.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Timed<T> {
    /// What was found.
    pub verdicts: T,
    /// Wall time.
    pub seconds: f64,
}

/// An attack's folder, open for writing by this process alone.
#[derive(Debug)]
pub struct AttackDir<T> {
    path: PathBuf,
    journal: Journal<Timed<T>>,
    _lock: Lock,
}

impl<T: Serialize + DeserializeOwned> AttackDir<T> {
    /// Begins an attack in an absent or empty folder, or goes on with the one that is there; returns the batches that are
    /// done, and a warning about the state they were found in.
    ///
    /// # Errors
    /// [`Error::Run`] for a folder that holds something else, is in use, or belongs to another attack.
    pub fn open(path: &Path, about: &Value) -> Result<(Self, Vec<Timed<T>>, Option<String>)> {
        let foreign = |path: &Path| -> Result<()> {
            let names = atomic::names(path)?;
            let ours = names.is_empty() || names.iter().any(|n| n == ABOUT) || names.iter().all(|n| n == LOCK);
            let words = format!("holds other files and no {ABOUT}; name an empty folder");
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
        let file = path.join(ABOUT);
        if file.exists() {
            let text = std::fs::read_to_string(&file).at(&file)?;
            let stored: Value = serde_json::from_str(&text).map_err(|e| Error::run(&file, e.to_string()))?;
            let differs = differences(&stored, about);
            if !differs.is_empty() {
                let words = format!("belongs to another attack: {}; name another folder", differs.join("; "));
                return Err(Error::run(path, words));
            }
        } else {
            atomic::write(&file, &bytes(&file, about)?)?;
        }
        let (journal, journaled) = Journal::open(&path.join(JOURNAL))?;
        Ok((AttackDir { path: path.to_owned(), journal, _lock: lock }, journaled.events, journaled.warning))
    }

    /// Adds a batch; it is on the disk when this returns.
    pub fn append(&mut self, batch: &Timed<T>) -> Result<()> {
        self.journal.append(batch)
    }

    /// Writes a derived file, replacing an earlier one.
    pub fn write(&self, name: &str, value: &Value) -> Result<()> {
        self.write_bytes(name, &bytes(&self.path.join(name), value)?)
    }

    /// Writes a derived file that is no JSON; its name may have a folder.
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
