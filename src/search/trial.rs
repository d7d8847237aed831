//! Trials: a network that was asked for, what it was worth and what that cost; and all trials of a search.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::arch::genotype::Genotype;
use crate::error::{Error, Result};
use crate::units::Macs;

/// How much of a full training a network gets, in `(0, 1]`.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Fidelity(f64);

impl Fidelity {
    /// The whole training.
    pub const FULL: Fidelity = Fidelity(1.0);

    /// A share of it.
    ///
    /// # Errors
    /// [`Error::Usage`] for a share outside `(0, 1]`.
    pub fn new(share: f64) -> Result<Self> {
        if share > 0.0 && share <= 1.0 {
            return Ok(Fidelity(share));
        }
        Err(Error::Usage(format!("{share} is no share of a training; expected a number above 0 and at most 1")))
    }

    /// The share.
    pub fn share(self) -> f64 {
        self.0
    }

    /// A share that was checked to be one.
    pub(in crate::search) fn of(share: f64) -> Self {
        debug_assert!(share > 0.0 && share <= 1.0, "{share}");
        Fidelity(share)
    }
}

impl TryFrom<f64> for Fidelity {
    type Error = Error;

    fn try_from(share: f64) -> Result<Self> {
        Fidelity::new(share)
    }
}

impl From<Fidelity> for f64 {
    fn from(fidelity: Fidelity) -> f64 {
        fidelity.0
    }
}

/// Where a network comes from; trials count from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// Drawn from the space.
    Drawn,
    /// Another trial's network with a change.
    Mutated {
        /// That trial.
        parent: usize,
    },
    /// The network of another trial, now trained for longer.
    Promoted {
        /// That trial.
        from: usize,
    },
}

/// What a strategy asks for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Proposal<A> {
    /// The architecture.
    pub arch: A,
    /// How long it is to be trained.
    pub fidelity: Fidelity,
    /// Where it comes from.
    pub origin: Origin,
}

/// What became of a trial.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It was measured.
    Measured {
        /// What the search is to make large; a finite number.
        objective: f64,
    },
    /// It could not be; the search goes on without it.
    Failed {
        /// Why.
        reason: String,
    },
}

/// What a trial cost.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spent {
    /// The full trainings that it amounts to.
    pub trainings: f64,
    /// Multiply-accumulates of training, in the evaluator's unit: whole where it trains; where a table answers, those of one
    /// image through the network, times the share of the training, which training's cost is proportional to.
    pub training: Macs,
    /// Multiply-accumulates of measuring; none where a table answers.
    pub evaluation: Macs,
}

/// What an evaluator says of a proposal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// What became of it.
    pub outcome: Outcome,
    /// What it cost.
    pub spent: Spent,
}

/// A proposal with its answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trial<A> {
    /// What was asked.
    pub proposal: Proposal<A>,
    /// What was answered.
    pub answer: Answer,
}

impl<A> Trial<A> {
    /// The objective; that of a trial which failed is below every other.
    pub fn objective(&self) -> f64 {
        match self.answer.outcome {
            Outcome::Measured { objective } => objective,
            Outcome::Failed { .. } => f64::NEG_INFINITY,
        }
    }
}

/// A part of a search.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Networks are scored with inherited weights.
    Score,
    /// Networks are trained.
    Train,
}

/// A trial as a journal has it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrialLine {
    /// In which part of the search.
    pub phase: Phase,
    /// What was tried, as text.
    pub genotype: String,
    /// How long it was trained.
    pub fidelity: Fidelity,
    /// Where it comes from.
    pub origin: Origin,
    /// What was answered.
    pub answer: Answer,
}

impl TrialLine {
    /// The line of a trial.
    pub fn new(phase: Phase, trial: &Trial<Genotype>) -> Self {
        let Trial { proposal: Proposal { arch, fidelity, origin }, answer } = trial.clone();
        TrialLine { phase, genotype: arch.to_string(), fidelity, origin, answer }
    }

    /// The trial of a line.
    ///
    /// # Errors
    /// [`Error::Data`] for a genotype that is none.
    pub fn trial(&self) -> Result<Trial<Genotype>> {
        let TrialLine { genotype, fidelity, origin, answer, .. } = self;
        let arch = Genotype::parse(genotype, Path::new("journal.jsonl"))?;
        Ok(Trial { proposal: Proposal { arch, fidelity: *fidelity, origin: *origin }, answer: answer.clone() })
    }
}

impl History<Genotype> {
    /// The trials of a part of a search, in the order of a journal's lines.
    ///
    /// # Errors
    /// [`Error::Data`] for a genotype that is none.
    pub fn of<'a>(lines: impl IntoIterator<Item = &'a TrialLine>, phase: Phase) -> Result<Self> {
        let lines = lines.into_iter().filter(|line| line.phase == phase);
        Ok(History { trials: lines.map(TrialLine::trial).collect::<Result<_>>()? })
    }
}

/// What a search has cost so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Ledger {
    /// Trials.
    pub trials: usize,
    /// The full trainings that they amount to.
    pub trainings: f64,
    /// Multiply-accumulates of training ([`Spent::training`]).
    pub training: Macs,
    /// Multiply-accumulates of measuring.
    pub evaluation: Macs,
}

/// All trials of a search in their order: all that a strategy knows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct History<A> {
    trials: Vec<Trial<A>>,
}

impl<A> Default for History<A> {
    fn default() -> Self {
        History { trials: Vec::new() }
    }
}

impl<A> History<A> {
    /// The trials.
    pub fn trials(&self) -> &[Trial<A>] {
        &self.trials
    }

    /// The next trial.
    pub fn push(&mut self, trial: Trial<A>) {
        self.trials.push(trial);
    }

    /// What they cost.
    pub fn ledger(&self) -> Ledger {
        self.trials.iter().fold(Ledger::default(), |sum, trial| Ledger {
            trials: sum.trials + 1,
            trainings: sum.trainings + trial.answer.spent.trainings,
            training: Macs(sum.training.0 + trial.answer.spent.training.0),
            evaluation: Macs(sum.evaluation.0 + trial.answer.spent.evaluation.0),
        })
    }

    /// The trials that were measured, best first: those of networks that were trained longer before others, then by the
    /// objective; of equals, the first.
    pub fn ranked(&self) -> Vec<&Trial<A>> {
        let measured = self.trials.iter().filter(|trial| matches!(trial.answer.outcome, Outcome::Measured { .. }));
        let mut ranked: Vec<&Trial<A>> = measured.collect();
        let by = |trial: &Trial<A>| (trial.proposal.fidelity.share(), trial.objective());
        ranked.sort_by(|a, b| {
            let ((a_share, a), (b_share, b)) = (by(a), by(b));
            b_share.total_cmp(&a_share).then(b.total_cmp(&a))
        });
        ranked
    }

    /// What the search found: the first of the [ranked](Self::ranked) trials. Nothing where no network was measured.
    pub fn best(&self) -> Option<&Trial<A>> {
        self.ranked().first().copied()
    }

    /// Of some trials, the one with the largest objective; of equals, the latest.
    pub(in crate::search) fn best_of(&self, among: impl IntoIterator<Item = usize>) -> Option<usize> {
        let best = |a: usize, b: usize| {
            let (first, second) = (self.trials[a].objective(), self.trials[b].objective());
            if (second, b) > (first, a) { b } else { a }
        };
        among.into_iter().reduce(best)
    }
}
