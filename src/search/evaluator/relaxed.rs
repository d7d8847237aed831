//! Genotypes as mixtures of a supernet, scored without training.

use super::{Evaluator, passes, score};
use crate::arch::cost::cost;
use crate::arch::genotype::Genotype;
use crate::data::loader::Loader;
use crate::engine::NormMode;
use crate::error::{Error, Result};
use crate::search::derive::one_hot;
use crate::search::learner::Supernet;
use crate::search::trial::{Answer, Outcome, Proposal, Spent};
use crate::threat::Attack;
use crate::units::Macs;

/// Answers a search from a supernet: the score of its network with a genotype's operations alone, each batch with its own
/// statistics. Its size is the supernet's, whatever the budget.
pub struct Relaxed<'a, 'b> {
    /// The supernet.
    pub supernet: &'a mut Supernet<'b>,
    /// Held-out images.
    pub loader: &'a Loader<'a>,
    /// The attack.
    pub attack: Attack,
}

impl Evaluator<Genotype> for Relaxed<'_, '_> {
    fn evaluate(&mut self, _: usize, proposal: &Proposal<Genotype>) -> Result<Answer> {
        let mix = one_hot(self.supernet.layout(), &proposal.arch);
        let network = self.supernet.network();
        let images = self.loader.ids.len() as f64 * passes(&self.attack);
        let evaluation = Macs((cost(network.net()).macs.0 as f64 * images).round() as u64);
        let outcome = match score(network, &mix, self.loader, &self.attack, NormMode::TrainNoRecord) {
            Ok(found) => Outcome::Measured { objective: found.objective() },
            Err(Error::NotFinite(reason)) => Outcome::Failed { reason },
            Err(other) => return Err(other),
        };
        Ok(Answer { outcome, spent: Spent { trainings: 0.0, training: Macs(0), evaluation } })
    }
}
