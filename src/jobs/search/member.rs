//! This process as a worker of a run: its pulse beats in a thread of its own, whatever the work waits for.

use std::ops::Deref;
use std::path::Path;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::engine::Isa;
use crate::error::Result;
use crate::store::tasks::Worker;

/// A worker whose pulse beats until it is dropped.
pub(super) struct Member {
    // Dropped before the worker, whose files go then.
    _beat: Beat,
    worker: Worker,
}

struct Beat {
    ended: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Member {
    /// Joins a run.
    ///
    /// # Errors
    /// As [`Worker::join`].
    pub fn join(run: &Path, work: String, lost_after: Duration) -> Result<Member> {
        let worker = Worker::join(run, work, &Isa::widest().to_string(), lost_after)?;
        let pulse = worker.pulse();
        let (ended, until) = channel();
        let thread = std::thread::spawn(move || {
            while until.recv_timeout(pulse.every) == Err(RecvTimeoutError::Timeout) {
                pulse.beat();
            }
        });
        Ok(Member { _beat: Beat { ended: Some(ended), thread: Some(thread) }, worker })
    }
}

impl Deref for Member {
    type Target = Worker;

    fn deref(&self) -> &Worker {
        &self.worker
    }
}

impl Drop for Beat {
    fn drop(&mut self) {
        drop(self.ended.take());
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}
