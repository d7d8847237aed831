//! The closed list of strategies.

use serde::{Deserialize, Serialize};

use super::{Evolution, Halving, Local, Predictor, Random, Strategy};
use crate::error::Result;
use crate::search::space::Space;
use crate::search::trial::{History, Proposal};
use crate::seed::Seed;

/// One of the strategies, with its constants.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "strategy", rename_all = "kebab-case", deny_unknown_fields)]
pub enum AnyStrategy {
    /// Networks drawn at random.
    Random(Random),
    /// Regularised evolution.
    Evolution(Evolution),
    /// Local search.
    Local(Local),
    /// Successive halving.
    Halving(Halving),
    /// A predictor that learns from trials.
    Predictor(Predictor),
}

impl AnyStrategy {
    /// Every strategy with its usual constants, random first: the others are measured against it.
    pub const USUAL: [AnyStrategy; 5] = [
        AnyStrategy::Random(Random {}),
        AnyStrategy::Evolution(Evolution::USUAL),
        AnyStrategy::Local(Local {}),
        AnyStrategy::Halving(Halving::USUAL),
        AnyStrategy::Predictor(Predictor::OF_WHOLE_TRAININGS),
    ];

    /// Its word in files and tables.
    pub fn name(&self) -> &'static str {
        match self {
            AnyStrategy::Random(_) => "random",
            AnyStrategy::Evolution(_) => "evolution",
            AnyStrategy::Local(_) => "local",
            AnyStrategy::Halving(_) => "halving",
            AnyStrategy::Predictor(_) => "predictor",
        }
    }

    /// Whether it asks for networks that are trained in part.
    pub fn trains_in_part(&self) -> bool {
        match self {
            AnyStrategy::Random(_) | AnyStrategy::Evolution(_) | AnyStrategy::Local(_) => false,
            AnyStrategy::Halving(halving) => halving.rungs > 1,
            AnyStrategy::Predictor(predictor) => predictor.full > 0,
        }
    }

    /// Refuses constants that no search can have.
    ///
    /// # Errors
    /// [`Error::Usage`](crate::error::Error::Usage) with the constant and what it may be.
    pub fn check(&self) -> Result<()> {
        match self {
            AnyStrategy::Random(_) | AnyStrategy::Local(_) => Ok(()),
            AnyStrategy::Evolution(evolution) => evolution.check(),
            AnyStrategy::Halving(halving) => halving.check(),
            AnyStrategy::Predictor(predictor) => predictor.check(),
        }
    }
}

impl<S: Space> Strategy<S> for AnyStrategy {
    fn next(&self, space: &S, history: &History<S::Arch>, seed: Seed) -> Option<Proposal<S::Arch>> {
        match self {
            AnyStrategy::Random(strategy) => strategy.next(space, history, seed),
            AnyStrategy::Evolution(strategy) => strategy.next(space, history, seed),
            AnyStrategy::Local(strategy) => strategy.next(space, history, seed),
            AnyStrategy::Halving(strategy) => strategy.next(space, history, seed),
            AnyStrategy::Predictor(strategy) => strategy.next(space, history, seed),
        }
    }
}
