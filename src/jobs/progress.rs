//! How a job tells how far it is: events, for whoever looks on. None of it reaches the job's folder.

use std::path::PathBuf;

use super::candidates::LeftOut;
use super::estimate::Plan;
use super::task::Task;
use crate::population::Member;
use crate::record::{Evaluation, Record, SearchEpoch};
use crate::train::fit::Position;

/// What happened in a job.
#[derive(Clone, Debug, PartialEq)]
pub enum Progress {
    /// A data set is about to be read.
    Reading {
        /// Where from.
        source: String,
    },
    /// What a search will take; nothing is begun yet.
    Planned(Box<Plan>),
    /// A run began in an empty folder.
    RunStarted {
        /// The folder.
        folder: PathBuf,
    },
    /// A run goes on in its folder.
    RunContinued {
        /// The folder.
        folder: PathBuf,
    },
    /// This process joined a run that another one leads.
    RunJoined {
        /// The folder.
        folder: PathBuf,
    },
    /// An attack goes on in its folder.
    AttackContinued {
        /// Batches that are done.
        batches: usize,
    },
    /// A task of so many steps begins.
    TaskStarted {
        /// The task.
        task: Task,
        /// Steps that an earlier part of the job took.
        done: u64,
        /// Steps in all.
        steps: u64,
    },
    /// A step of training was taken.
    Step {
        /// The next step.
        next: Position,
        /// The stage of a search that the next step belongs to.
        stage: Option<u8>,
        /// The step's loss.
        loss: f64,
    },
    /// An epoch of the supernet is over.
    EpochDone(Box<SearchEpoch>),
    /// The task is over, or was left by an error.
    TaskDone {
        /// The task.
        task: Task,
    },
    /// A genotype cannot be scaled to a budget.
    LeftOut(LeftOut),
    /// A candidate was trained and measured, or failed.
    CandidateDone(Box<Record>),
    /// A candidate was measured on the test images: a step of [`Task::Test`].
    Tested {
        /// Its id.
        arch: String,
        /// Its numbers.
        evaluation: Box<Evaluation>,
    },
    /// A candidate has no numbers on the test images.
    NotTested {
        /// Its id.
        arch: String,
        /// Why.
        reason: String,
    },
    /// A network of a population was trained and measured, or failed.
    MemberDone(Box<Member>),
    /// A batch was attacked.
    Attacked {
        /// The attack's short name.
        attack: String,
        /// Images that it is done with.
        done: usize,
        /// Images that it is given in all.
        given: usize,
        /// Of those done, still right.
        stand: usize,
        /// Seconds that the attack will take about.
        left: f64,
        /// Seconds that the whole plan will take at most.
        at_most: f64,
    },
    /// Something about the state of a folder that its owner should know.
    Warning(String),
    /// Something else worth a line.
    Note(String),
}

/// Who looks on.
pub trait Observer {
    /// Takes an event in.
    fn on(&mut self, event: Progress);
}

/// Looks away.
impl Observer for () {
    fn on(&mut self, _: Progress) {}
}

/// Keeps all of them.
impl Observer for Vec<Progress> {
    fn on(&mut self, event: Progress) {
        self.push(event);
    }
}
