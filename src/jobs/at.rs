//! What a job is at, left in its folder for those who look on from elsewhere. It is no part of the run's answer: a job
//! that ends removes it, and nobody reads that of a job that does not work.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::progress::{Observer, Progress};
use super::time::duration_words;
use crate::store::scratch;

const FILE: &str = "progress.json";
/// Time between two notes.
const EVERY: Duration = Duration::from_secs(2);

/// A task and how far it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct At {
    /// In words.
    pub task: String,
    /// Steps that are done.
    pub done: u64,
    /// Steps in all.
    pub steps: u64,
    /// About how many seconds the task still takes; unknown before its first step.
    pub seconds_left: Option<f64>,
}

impl At {
    /// What the job that works in a folder said last.
    pub fn read(folder: &Path) -> Option<At> {
        serde_json::from_slice(&std::fs::read(folder.join(FILE)).ok()?).ok()
    }

    /// `search, 120 of 400 steps, 3.2 min left of it`.
    pub fn words(&self) -> String {
        let left = self.seconds_left.map_or(String::new(), |left| format!(", {} left of it", duration_words(left)));
        format!("{}, {} of {} steps{left}", self.task, self.done, self.steps)
    }
}

/// Keeps what a job is at in its folder, and passes every event on.
pub struct Noting<'a> {
    observer: &'a mut dyn Observer,
    path: Option<PathBuf>,
    at: At,
    first: u64,
    begun: Instant,
    written: Option<Instant>,
}

impl<'a> Noting<'a> {
    /// Notes into a folder as soon as [`Noting::write_to`] names it.
    pub fn new(observer: &'a mut dyn Observer) -> Self {
        let at = At { task: String::new(), done: 0, steps: 0, seconds_left: None };
        Noting { observer, path: None, at, first: 0, begun: Instant::now(), written: None }
    }

    /// The folder, which is this job's alone from here on.
    pub fn write_to(&mut self, folder: &Path) {
        self.path = Some(folder.join(FILE));
    }

    /// It is for people: where it cannot be written the work goes on.
    fn write(&mut self) {
        let due = self.written.is_none_or(|at| at.elapsed() >= EVERY);
        if let (Some(path), true) = (&self.path, due) {
            self.written = Some(Instant::now());
            let taken = self.at.done - self.first;
            let rate = taken as f64 / self.begun.elapsed().as_secs_f64().max(1e-9);
            self.at.seconds_left = (taken > 0).then(|| (self.at.steps.saturating_sub(self.at.done)) as f64 / rate);
            if let Ok(text) = serde_json::to_vec(&self.at) {
                scratch::replace(path, &text);
            }
        }
    }
}

impl Observer for Noting<'_> {
    fn on(&mut self, event: Progress) {
        match &event {
            Progress::TaskStarted { task, done, steps } => {
                self.at = At { task: task.to_string(), done: *done, steps: *steps, seconds_left: None };
                (self.first, self.begun, self.written) = (*done, Instant::now(), None);
                self.write();
            }
            Progress::Step { .. } | Progress::Tested { .. } => {
                self.at.done += 1;
                self.write();
            }
            _ => {}
        }
        self.observer.on(event);
    }
}

impl Drop for Noting<'_> {
    fn drop(&mut self) {
        if let Some(path) = &self.path {
            scratch::remove(path);
        }
    }
}
