//! What a process holds that works in a folder: its lock, what the work is, and how far the journal is.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use sha2::{Digest, Sha256};

use super::lock::Lock;
use crate::error::Result;

/// A claim on a folder, shared by everything that writes into it.
#[derive(Debug)]
pub(super) struct Claim {
    lock: Lock,
    /// Names the work: the same settings, seed and data give the same one.
    work: String,
    /// Whole lines of the journal.
    lines: AtomicU64,
}

impl Claim {
    /// A claim on the folder of a lock for work that `parts` describe.
    pub fn new<'a>(lock: Lock, parts: impl IntoIterator<Item = &'a str>) -> Self {
        let mut hash = Sha256::new();
        for part in parts {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        let work = hash.finalize().iter().take(8).map(|b| format!("{b:02x}")).collect();
        Claim { lock, work, lines: AtomicU64::new(0) }
    }

    /// Whether the folder is still the one that was claimed.
    ///
    /// # Errors
    /// As [`Lock::check`].
    pub fn check(&self) -> Result<()> {
        self.lock.check()
    }

    /// The name of the work.
    pub fn work(&self) -> &str {
        &self.work
    }

    /// Whole lines of the journal.
    pub fn lines(&self) -> u64 {
        self.lines.load(Ordering::Relaxed)
    }

    /// Says how many whole lines the journal has.
    pub fn set_lines(&self, lines: u64) {
        self.lines.store(lines, Ordering::Relaxed);
    }

    /// Makes a file known to the journal and then writes it: a file that the journal does not know shows that lines of it are
    /// lost.
    ///
    /// # Errors
    /// Those of the journal and of [`super::atomic::write`].
    pub fn write<T>(
        &self,
        journal: &mut super::journal::Journal<T>,
        root: &Path,
        name: &str,
        bytes: &[u8],
    ) -> Result<()>
    where
        T: serde::Serialize + serde::de::DeserializeOwned,
    {
        self.check()?;
        journal.append_file(name, bytes)?;
        self.set_lines(journal.lines());
        super::atomic::write(&root.join(name), bytes)
    }
}
