//! What a process holds that works in a folder: its lock, or its task; what the work is, and how far the journal is.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use sha2::{Digest, Sha256};

use super::held::Held;
use super::lock::Lock;
use crate::error::Result;

/// A claim on a folder, shared by everything that writes into it.
#[derive(Debug)]
pub(super) struct Claim {
    guard: Guard,
    /// Set where the folder is worked at by several processes, of which this one leads.
    leads: OnceLock<Held>,
    /// Names the work: the same settings, seed and data give the same one.
    work: String,
    /// Whole lines of the journal.
    lines: AtomicU64,
}

/// What keeps other processes out.
#[derive(Debug)]
enum Guard {
    /// Of the whole folder.
    Lock(Lock),
    /// Of one task of a run. It has no journal: its lines are 0 for whoever takes it over.
    Task(Arc<Held>),
}

impl Claim {
    /// A claim on the folder of a lock, for the work of a name.
    pub fn new(lock: Lock, work: String) -> Self {
        Claim::of(Guard::Lock(lock), work)
    }

    /// A claim on a task of the work of a name.
    pub fn of_task(task: Arc<Held>, work: String) -> Self {
        Claim::of(Guard::Task(task), work)
    }

    fn of(guard: Guard, work: String) -> Self {
        Claim { guard, leads: OnceLock::new(), work, lines: AtomicU64::new(0) }
    }

    /// The name of the work that `parts` describe.
    pub fn name<'a>(parts: impl IntoIterator<Item = &'a str>) -> String {
        let mut hash = Sha256::new();
        for part in parts {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        hash.finalize().iter().take(8).map(|b| format!("{b:02x}")).collect()
    }

    /// Whether the folder is still the one that was claimed.
    ///
    /// # Errors
    /// As [`Lock::check`] and [`Held::check`].
    pub fn check(&self) -> Result<()> {
        match &self.guard {
            Guard::Lock(lock) => lock.check()?,
            Guard::Task(task) => task.check()?,
        }
        self.leads.get().map_or(Ok(()), Held::check)
    }

    /// From here on the folder is also lost where another process leads the work in it.
    pub fn lead(&self, held: Held) {
        // A folder that is opened once is led once.
        drop(self.leads.set(held));
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
