//! The folder of an attack: what it is about, the verdicts so far, and what is derived from them.
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

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::folder::Folder;
use crate::attack::suite::Verdicts;
use crate::error::Result;

/// The file that says what is attacked, which every such folder has.
pub const ABOUT: &str = "attack.json";
/// The answer's file.
pub const RESULT: &str = "result.json";

/// A finished batch and how long it took.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Timed {
    /// What was found.
    pub verdicts: Verdicts,
    /// Wall time.
    pub seconds: f64,
}

/// Begins an attack in an absent or empty folder, or goes on with the one that is there; returns the batches that are done,
/// and a warning about the state they were found in.
///
/// # Errors
/// Those of [`Folder::open`].
pub fn open(path: &Path, about: &Value) -> Result<(Folder<Timed>, Vec<Timed>, Option<String>)> {
    Folder::open(path, "attack", ABOUT, about)
}
