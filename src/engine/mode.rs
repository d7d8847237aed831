//! How a network is called.

use super::fuse::Choice;
use super::plan::{Setting, Statistics};
use crate::seed::Seed;

/// Which way a pass goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the image to the logits.
    Forward,
    /// From the logits' gradient to those that are wanted.
    Backward,
}

/// What batch-norms do. An argument of every call; no network remembers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NormMode {
    /// Batch statistics, recorded in the running ones.
    Train,
    /// Batch statistics, nothing recorded: attacks on a training network.
    TrainNoRecord,
    /// Running statistics.
    Eval,
}

/// How a network is called. An argument of every call, like the mixing vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mode {
    /// What normalisations with statistics of the batch do.
    pub norm: NormMode,
    /// Which of several batch-norms side by side.
    pub branch: usize,
    /// What decides which entries and images are dropped at random; none are without it.
    pub drop: Option<Seed>,
}

impl From<NormMode> for Mode {
    /// The first branch, and nothing dropped.
    fn from(norm: NormMode) -> Self {
        Mode { norm, branch: 0, drop: None }
    }
}

impl Mode {
    /// The plan it takes.
    pub(super) fn setting(self) -> Setting {
        let statistics = match self.norm {
            NormMode::Train | NormMode::TrainNoRecord => Statistics::Batch,
            NormMode::Eval => Statistics::Running,
        };
        Setting { statistics, choice: Choice { branch: self.branch, dropping: self.drop.is_some() } }
    }
}
