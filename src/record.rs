//! Facts about runs: what was measured, on what, against which attack. A leaf: nothing here computes.

mod measurement;
mod speed;

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::arch::cost::Cost;
use crate::threat::Attack;
pub use crate::threat::Check;
use crate::units::{Macs, Tally};
pub use measurement::{Flags, Measurement};
pub use speed::Speed;

/// Where a candidate came from.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(tag = "origin", rename_all = "snake_case")]
pub enum Origin {
    /// The supernet's genotype: 0 is the arg-max, the others were drawn from the edge distributions.
    Searched {
        /// Which.
        genotype: u32,
    },
    /// Control: a uniformly random genotype of the same space.
    Random {
        /// Which.
        genotype: u32,
    },
    /// Control: a residual network of the same multiply-accumulates.
    HandMade,
}

impl Origin {
    /// Which of the three.
    pub fn kind(&self) -> OriginKind {
        match self {
            Origin::Searched { .. } => OriginKind::Searched,
            Origin::Random { .. } => OriginKind::Random,
            Origin::HandMade => OriginKind::HandMade,
        }
    }

    /// The word used in tables: `searched`, `random`, `hand-made`.
    pub fn word(&self) -> &'static str {
        self.kind().word()
    }
}

/// The kinds of [`Origin`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OriginKind {
    /// Of the search.
    Searched,
    /// Control: a random genotype.
    Random,
    /// Control: a residual network.
    HandMade,
}

impl OriginKind {
    /// All of them.
    pub const ALL: [OriginKind; 3] = [OriginKind::Searched, OriginKind::Random, OriginKind::HandMade];

    /// The word used in tables: `searched`, `random`, `hand-made`.
    pub fn word(self) -> &'static str {
        match self {
            OriginKind::Searched => "searched",
            OriginKind::Random => "random",
            OriginKind::HandMade => "hand-made",
        }
    }
}

impl FromStr for OriginKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = OriginKind::ALL.into_iter().find(|kind| kind.word() == text);
        known.ok_or_else(|| format!("`{text}` is no origin; known: {}", OriginKind::ALL.map(Self::word).join(", ")))
    }
}

/// On which samples a number was measured.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Sample {
    /// The data set's name, for people: `synthetic`, `cifar10`, a folder's. Older versions wrote the format (`hf`).
    pub data: String,
    /// Content hash of the data set (first 16 hexadecimal digits of SHA-256 over images and labels).
    pub data_id: String,
    /// `validation` or `test`.
    pub split: String,
    /// Number of samples.
    pub n: u64,
    /// Hash of the set of sample indices; in older results, of the indices in their order.
    pub index_id: String,
}

/// What one attack left.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct AttackResult {
    /// The attack with all its constants.
    #[serde(flatten)]
    pub attack: Attack,
    /// Samples correct on the clean image and still correct under the attack.
    pub robust: Tally,
}

/// Clean and adversarial accuracy on one sample of a data set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Evaluation {
    /// On what.
    pub sample: Sample,
    /// Accuracy on clean images.
    pub clean: Tally,
    /// Gradients averaged for one by every attack; 1 unless the network answers at random.
    #[serde(default = "crate::threat::plan::one", skip_serializing_if = "is_one")]
    pub gradient_samples: u32,
    /// Accuracy under each attack, alone.
    pub attacks: Vec<AttackResult>,
    /// Accuracy under the worst case of all attacks.
    pub robust: Tally,
    /// Doubts raised; an evaluation with any is not ranked.
    pub checks: Vec<Check>,
    /// Seed of the attacks' random numbers.
    pub seed: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's form")]
fn is_one(count: &u32) -> bool {
    *count == 1
}

/// How a candidate was trained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Training {
    /// The method with its constants, as in the configuration.
    pub method: String,
    /// Passes over the training samples.
    pub epochs: u32,
    /// Training samples.
    pub samples: u64,
    /// The run's seed.
    pub seed: u64,
    /// Mean loss of the steps of each epoch; absent in records of older versions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub losses: Vec<f64>,
}

/// Why a candidate has no numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// A loss or weight stopped being a number.
    Nan,
    /// Memory ran out.
    Oom,
    /// The network could not be built.
    Invalid,
}

/// What became of a candidate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(tag = "status", rename_all = "snake_case")]
#[expect(clippy::large_enum_variant, reason = "there are few, and the large variant is the usual one")]
pub enum Outcome {
    /// Trained and evaluated.
    Ok {
        /// How it was trained.
        training: Training,
        /// On the validation split; ranking uses this and nothing else.
        validation: Evaluation,
        /// On the test split, touched once, after ranking.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        test: Option<Evaluation>,
        /// How long it takes on the machine that trained it, where `evaluate.time` asks.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        speed: Option<Speed>,
    },
    /// Failed; the run went on.
    Failed {
        /// The kind of failure.
        kind: FailureKind,
        /// In words.
        reason: String,
    },
}

/// One candidate at one budget.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Record {
    /// Content id of the architecture (its `arch.json`).
    pub arch: String,
    /// Where it came from.
    #[serde(flatten)]
    pub origin: Origin,
    /// The budget it was scaled to.
    pub budget: Macs,
    /// In words: family, cells per stage, channels.
    pub summary: String,
    /// Its cost, under a named rule.
    pub cost: Cost,
    /// What became of it.
    #[serde(flatten)]
    pub outcome: Outcome,
}

impl Record {
    /// How long the network takes, where that was measured.
    pub fn speed(&self) -> Option<Speed> {
        match self.outcome {
            Outcome::Ok { speed, .. } => speed,
            Outcome::Failed { .. } => None,
        }
    }

    /// The validation numbers of a record that may be ranked.
    pub fn ranked(&self) -> Option<&Evaluation> {
        match &self.outcome {
            Outcome::Ok { validation, .. } if validation.checks.is_empty() => Some(validation),
            _ => None,
        }
    }
}

/// One epoch of the supernet's search.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct SearchEpoch {
    /// Counted from 1.
    pub epoch: u32,
    /// 0 while only the weights learn, then 1 (adversarial loss alone) and 2 (both losses).
    pub stage: u8,
    /// Mean loss of the weight steps, on adversarial images.
    pub weight_loss: f64,
    /// Mean loss on clean images of the architecture half; absent while nobody asked for it.
    pub natural_loss: Option<f64>,
    /// Mean loss on adversarial images of the architecture half.
    pub adversarial_loss: Option<f64>,
    /// Mean share of the natural gradient in the common descent direction (stage two).
    pub gamma: Option<f64>,
    /// Accuracy of the supernet on clean probe images (batch statistics).
    pub clean: Tally,
    /// Accuracy under the search's inner attack on the same images.
    pub adversarial: Tally,
    /// How far the architecture parameters are from where they began, root mean square; absent in older journals.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alpha_moved: Option<f64>,
    /// How far steps of random signs would have brought them, `lr * sqrt(steps)` of Adam. Parameters that moved no further
    /// say little about the operations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub random_walk: Option<f64>,
    /// Per kind of cell, the state of its choices.
    pub cells: Vec<CellState>,
    /// The dominant eigenvalue of the architecture's Hessian on the probe images, where it was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eigenvalue: Option<f64>,
    /// Whether the search collapsed: its parameters are those of the last epoch that did not, and stay.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub collapsed: bool,
}

/// How decided a kind of cell is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct CellState {
    /// The kind.
    pub kind: String,
    /// Entropy of every edge's distribution, in nats, in order of target and source.
    pub entropy: Vec<f64>,
    /// Share of skip connections among the operations that the arg-max genotype would keep: the collapse watch.
    pub skip_share: f64,
    /// Share of operations without weights (pools and skips).
    pub weightless_share: f64,
    /// How far its architecture parameters are from where they began, root mean square; absent in older journals.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moved: Option<f64>,
}
