//! Networks with weights that all share, scored without training.

use super::{Evaluator, passes, score};
use crate::arch::cost::cost;
use crate::arch::genotype::Genotype;
use crate::data::loader::Loader;
use crate::engine::{Network, NormMode};
use crate::error::{Error, Result};
use crate::search::shared::SinglePath;
use crate::search::trial::{Answer, Outcome, Proposal, Spent};
use crate::threat::Attack;
use crate::units::Macs;

/// Answers a search from shared weights: the score of a network with its slices of them, each batch with its own statistics,
/// which another network's would spoil.
pub struct Inherited<'a> {
    /// The weights.
    pub shared: &'a SinglePath<'a>,
    /// Held-out images.
    pub loader: &'a Loader<'a>,
    /// The attack.
    pub attack: Attack,
    /// The last network, for its working memory.
    pub done: Option<Network>,
}

impl Evaluator<Genotype> for Inherited<'_> {
    /// A network without a size, or larger than the weights, fails.
    fn evaluate(&mut self, _: usize, proposal: &Proposal<Genotype>) -> Result<Answer> {
        let nothing = Spent { trainings: 0.0, training: Macs(0), evaluation: Macs(0) };
        let failed = |reason| Ok(Answer { outcome: Outcome::Failed { reason }, spent: nothing });
        let mut network = match self.shared.inherit(&proposal.arch) {
            Err(Error::Impossible(reason) | Error::Net(reason)) => return failed(reason),
            other => other?.0,
        };
        if let Some(done) = self.done.take() {
            network = network.in_place_of(done);
        }
        let found = match score(&mut network, &[], self.loader, &self.attack, NormMode::TrainNoRecord) {
            Err(Error::NotFinite(reason)) => return failed(reason),
            other => other?,
        };
        let images = self.loader.ids.len() as f64 * passes(&self.attack);
        let macs = cost(network.net()).macs.0 as f64;
        self.done = Some(network);
        let evaluation = Macs((macs * images).round() as u64);
        Ok(Answer {
            outcome: Outcome::Measured { objective: found.objective() },
            spent: Spent { evaluation, ..nothing },
        })
    }
}
