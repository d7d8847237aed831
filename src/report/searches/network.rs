//! Networks of a study with all of their trainings, and what a search cost.

use serde::{Deserialize, Serialize};

use super::facts::{Compared, Described, Line, Outcome, SearchId, Trained};
use crate::search::trial::{Phase, TrialLine};

/// A network with its trainings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Network {
    /// Where it comes from.
    #[serde(flatten)]
    pub of: Compared,
    /// The network.
    #[serde(flatten)]
    pub network: Described,
    /// Its objective after its first training.
    pub objective: Option<f64>,
    /// Clean accuracy on test images, training by training; nothing for one that failed.
    pub clean: Vec<Option<f64>>,
    /// Robust accuracy on test images.
    pub robust: Vec<Option<f64>>,
}

impl Network {
    /// Its first training's robust accuracy.
    pub fn first(&self) -> Option<f64> {
        self.robust.first().copied().flatten()
    }

    /// The mean of its trainings behind the first; none where one of them failed or there is none.
    pub fn again(&self) -> Option<f64> {
        let later: Vec<f64> = self.robust.get(1..)?.iter().copied().collect::<Option<_>>()?;
        (!later.is_empty()).then(|| later.iter().sum::<f64>() / later.len() as f64)
    }

    /// The mean of its trainings that did not fail.
    pub fn mean(&self) -> Option<f64> {
        let known: Vec<f64> = self.robust.iter().flatten().copied().collect();
        (!known.is_empty()).then(|| known.iter().sum::<f64>() / known.len() as f64)
    }
}

/// What a search cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// Networks that were trained, in full or in part.
    pub trained: usize,
    /// Networks that were scored with inherited weights.
    pub scored: usize,
    /// The full trainings that all of it amounts to, without measuring.
    pub trainings: f64,
    /// Multiply-accumulates of training.
    pub training: u64,
    /// Multiply-accumulates of measuring.
    pub evaluation: u64,
}

/// All networks with their trainings, by origin and number.
pub(super) fn networks(lines: &[Line]) -> Vec<Network> {
    let mut trained: Vec<&Trained> = lines
        .iter()
        .filter_map(|line| match line {
            Line::Trained(trained) => Some(trained),
            Line::Trial { .. } | Line::Shared { .. } | Line::Foretold { .. } | Line::Inherited { .. } => None,
        })
        .collect();
    trained.sort_by_key(|t| (t.of, t.training));
    let of_network = |trainings: &[&Trained]| Network {
        of: trainings[0].of,
        network: trainings[0].network.clone(),
        objective: match &trainings[0].outcome {
            Outcome::Ok { validation, .. } => Some(validation.objective()),
            Outcome::Failed { .. } => None,
        },
        clean: trainings
            .iter()
            .map(|t| match &t.outcome {
                Outcome::Ok { test, .. } => Some(test.clean.rate()),
                Outcome::Failed { .. } => None,
            })
            .collect(),
        robust: trainings.iter().map(|t| t.robust()).collect(),
    };
    trained.chunk_by(|a, b| a.of == b.of).map(of_network).collect()
}

/// What a search cost, by its lines.
pub(super) fn cost(lines: &[Line], id: SearchId) -> Cost {
    let mut cost = Cost::default();
    for line in lines {
        let spent = match line {
            Line::Trial { of, trial: TrialLine { phase, answer, .. } } if *of == id => {
                match phase {
                    Phase::Score => cost.scored += 1,
                    Phase::Train => cost.trained += 1,
                }
                answer.spent
            }
            Line::Shared { of, spent } if *of == id => *spent,
            _ => continue,
        };
        cost.trainings += spent.trainings;
        cost.training += spent.training.0;
        cost.evaluation += spent.evaluation.0;
    }
    cost
}

/// What random search pays for a network, in multiply-accumulates of training and measuring; the mean.
pub(super) fn random_price(lines: &[Line]) -> Option<f64> {
    let prices: Vec<f64> = lines
        .iter()
        .filter_map(|line| match line {
            Line::Trained(Trained { of: Compared::Random { .. }, outcome: Outcome::Ok { spent, .. }, .. }) => {
                Some((spent.training.0 + spent.evaluation.0) as f64)
            }
            _ => None,
        })
        .collect();
    (!prices.is_empty()).then(|| prices.iter().sum::<f64>() / prices.len() as f64)
}
