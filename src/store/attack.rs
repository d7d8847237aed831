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

use std::path::Path;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::folder::Folder;
use crate::error::Result;

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
pub struct AttackDir<T>(Folder<Timed<T>>);

impl<T: Serialize + DeserializeOwned> AttackDir<T> {
    /// Begins an attack in an absent or empty folder, or goes on with the one that is there; returns the batches that are
    /// done, and a warning about the state they were found in.
    ///
    /// # Errors
    /// Those of [`Folder::open`].
    pub fn open(path: &Path, about: &Value) -> Result<(Self, Vec<Timed<T>>, Option<String>)> {
        let (folder, batches, warning) = Folder::open(path, "attack", "attack.json", about)?;
        Ok((AttackDir(folder), batches, warning))
    }

    /// Adds a batch; it is on the disk when this returns.
    pub fn append(&mut self, batch: &Timed<T>) -> Result<()> {
        self.0.append(batch)
    }

    /// Writes a derived file, replacing an earlier one.
    pub fn write(&self, name: &str, value: &Value) -> Result<()> {
        self.0.write(name, value)
    }

    /// Writes a derived file that is no JSON; its name may have a folder.
    pub fn write_bytes(&self, name: &str, bytes: &[u8]) -> Result<()> {
        self.0.write_bytes(name, bytes)
    }
}
