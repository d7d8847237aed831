//! A task that this process has, by a claim that only one process can make.

use std::path::{Path, PathBuf};

use super::atomic;
use super::scratch;
use crate::error::{Error, Result};

const CLAIM: &str = "claim-";
/// What stands in a claim that was given back. Names of workers end with a process and a number.
const NOBODY: &str = "nobody";

/// A task that this process has.
#[derive(Debug)]
pub struct Held {
    pub(super) folder: PathBuf,
    /// The number of the claim; one with a higher number has taken the task over.
    pub(super) token: u64,
    /// Names the run's work, for checkpoints.
    pub(super) work: String,
}

impl Held {
    /// Whether the task is still this process's.
    ///
    /// # Errors
    /// [`Error::Run`] where another worker has taken it over, or the folder is gone.
    pub fn check(&self) -> Result<()> {
        if highest(&self.folder)? == Some(self.token) {
            return Ok(());
        }
        let words = "was taken over by another worker, or its folder is gone; what was done of it here is left";
        Err(Error::run(&self.folder, words))
    }

    /// Whether it is not.
    pub fn is_lost(&self) -> bool {
        self.check().is_err()
    }

    /// Gives the task back. The claim stays, in nobody's name: whoever had the task before, and has left it since, must not be
    /// taken for its owner again.
    pub fn release(&self) {
        scratch::replace(&claim_file(&self.folder, self.token), NOBODY.as_bytes());
    }
}

/// The claim with a number.
pub(super) fn claim_file(folder: &Path, token: u64) -> PathBuf {
    folder.join(format!("{CLAIM}{token}"))
}

/// The highest number of a claim on a task.
pub(super) fn highest(folder: &Path) -> Result<Option<u64>> {
    let names = atomic::names(folder)?;
    Ok(names.iter().filter_map(|name| name.strip_prefix(CLAIM)?.parse().ok()).max())
}
