//! What a study by training knows, line by line of its journal. Everything that is told of it follows from these.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::arch::genotype::Genotype;
use crate::config::strategy::Method;
use crate::error::Result;
use crate::record::Evaluation;
use crate::search::evaluator::Score;
use crate::search::trial::{History, Phase, Spent, TrialLine};
use crate::search::zero_cost::ZeroCost;
use crate::units::{Macs, Params};

/// A line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "line", rename_all = "snake_case")]
#[expect(clippy::large_enum_variant, reason = "most lines are of the large variant")]
pub enum Line {
    /// A network was trained in full and measured, for comparison.
    Trained(Trained),
    /// A search tried a network.
    Trial {
        /// Whose.
        #[serde(flatten)]
        of: SearchId,
        /// What, and what came out.
        #[serde(flatten)]
        trial: TrialLine,
    },
    /// The weights that a search's networks share were trained.
    Shared {
        /// Whose.
        #[serde(flatten)]
        of: SearchId,
        /// What that cost.
        spent: Spent,
    },
    /// A random network's proxies before any training; no search sees them.
    Foretold {
        /// Which random network.
        network: u32,
        /// What its fresh weights say.
        proxies: ZeroCost,
    },
    /// A random network was scored with inherited weights; no search sees it.
    Inherited {
        /// Whose weights.
        #[serde(flatten)]
        of: SearchId,
        /// Which random network.
        network: u32,
        /// Its objective; nothing where it has none.
        objective: Option<f64>,
    },
}

/// A search: those of a strategy are numbered from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SearchId {
    /// The strategy.
    pub method: Method,
    /// Its number.
    pub search: u32,
}

/// Where a network that is compared comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "origin", rename_all = "snake_case")]
pub enum Compared {
    /// Drawn at random.
    Random {
        /// Which.
        number: u32,
    },
    /// What a search found.
    Found(SearchId),
    /// The residual network of the budget.
    HandMade,
}

/// A network, trained in full.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trained {
    /// Where it comes from.
    #[serde(flatten)]
    pub of: Compared,
    /// The number of its training: those of a number see the same images in the same order.
    pub training: u32,
    /// The network.
    pub network: Described,
    /// What became of it.
    pub outcome: Outcome,
}

/// A network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Described {
    /// Content id of the architecture.
    pub arch: String,
    /// Its cells; none of the hand-made one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub genotype: Option<String>,
    /// In words: cells and channels a stage.
    pub summary: String,
    /// Multiply-accumulates of one image.
    pub macs: Macs,
    /// Parameters.
    pub params: Params,
}

/// What became of a training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "snake_case")]
#[expect(clippy::large_enum_variant, reason = "the large variant is the usual one")]
pub enum Outcome {
    /// It was measured behind its last epoch.
    Ok {
        /// What it cost.
        spent: Spent,
        /// On held-out training images, as searches measure.
        validation: Score,
        /// On the test images.
        test: Evaluation,
    },
    /// It failed.
    Failed {
        /// Why.
        reason: String,
    },
}

impl fmt::Display for Compared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Compared::Random { number } => write!(f, "random {number}"),
            Compared::Found(SearchId { method, search }) => write!(f, "found by {} {search}", method.word()),
            Compared::HandMade => f.write_str("hand-made"),
        }
    }
}

impl fmt::Display for Trained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Trained { of, training, network, outcome } = self;
        write!(f, "{of}, training {training}: {} MACs, {}: ", network.macs, network.summary)?;
        match outcome {
            Outcome::Ok { validation, test, .. } => {
                let (clean, attacked) = (validation.clean, validation.attacked);
                write!(
                    f,
                    "held-out {clean} clean, {attacked} attacked; test {} clean, {} robust",
                    test.clean, test.robust
                )
            }
            Outcome::Failed { reason } => write!(f, "failed: {reason}"),
        }
    }
}

/// The trials of a part of a search, in their order.
///
/// # Errors
/// [`crate::error::Error::Data`] for a genotype that is none.
pub fn history(lines: &[Line], of: SearchId, phase: Phase) -> Result<History<Genotype>> {
    let trials = lines.iter().filter_map(|line| match line {
        Line::Trial { of: whose, trial } if *whose == of => Some(trial),
        _ => None,
    });
    History::of(trials, phase)
}

impl Trained {
    /// The share of test images that are right under every attack.
    pub fn robust(&self) -> Option<f64> {
        match &self.outcome {
            Outcome::Ok { test, .. } => Some(test.robust.rate()),
            Outcome::Failed { .. } => None,
        }
    }
}
