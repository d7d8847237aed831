//! Trainings of a search or a study: every network by one recipe, on the same images in the same order, in full or in part.

use candle_core::Device;

use super::networks::{Built, Networks};
use crate::arch::genotype::Genotype;
use crate::config::Config;
use crate::config::strategy::Trials;
use crate::data::Dataset;
use crate::data::loader::Loader;
use crate::data::split::Splits;
use crate::engine::{Network, NormMode};
use crate::error::{Error, Result};
use crate::jobs::memory::Needs;
use crate::jobs::stage::{Saver, Stage};
use crate::jobs::{Interrupt, Observer, Progress, Task, estimate};
use crate::search::evaluator::{Evaluator, Score, passes, score};
use crate::search::trial::{Answer, Fidelity, Outcome, Proposal, Spent};
use crate::seed::Seed;
use crate::train::trainee::Trainee;
use crate::units::Macs;

/// What all trainings share.
pub struct Trainings<'a> {
    /// The space file.
    pub config: &'a Config,
    /// What trials may cost, and by what they choose.
    pub trials: Trials,
    /// The images.
    pub data: &'a Dataset,
    /// Which image does what.
    pub splits: &'a Splits,
    /// The training images, in the order in which parts of a training take them.
    pub ids: &'a [u32],
    /// The seed of the job.
    pub seed: Seed,
    /// Whether to stop.
    pub interrupt: &'a Interrupt,
}

/// Seeds of a training.
#[derive(Clone, Copy)]
pub struct Seeds {
    /// Of the weights at the beginning.
    pub fresh: Seed,
    /// Of the images' order and change, and of the attacks.
    pub order: Seed,
}

impl Trainings<'_> {
    /// The images of a part of a training: the first of all, for as many epochs as the whole has.
    pub fn part(&self, fidelity: Fidelity) -> &[u32] {
        let images = (self.ids.len() as f64 * fidelity.share()).round() as usize;
        &self.ids[..images.clamp(1, self.ids.len())]
    }

    /// Held-out training images, all or the first ones.
    pub fn held_out<'b>(&'b self, images: usize, seed: Seed) -> Loader<'b> {
        let ids = &self.splits.validation[..images.min(self.splits.validation.len())];
        Loader::new(&self.data.train, self.data.image, ids, self.config.evaluate.batch, seed, &Device::Cpu)
    }

    /// What a training and its score cost, in multiply-accumulates.
    pub fn spent(&self, macs: Macs, fidelity: Fidelity) -> Spent {
        let recipe = &self.config.retrain;
        let shown = self.part(fidelity).len() as f64 * f64::from(recipe.epochs) * recipe.passes().forwards();
        let measured = self.splits.validation.len() as f64 * passes(&self.trials.objective);
        let times = |images: f64| Macs((macs.0 as f64 * images).round() as u64);
        Spent { trainings: fidelity.share(), training: times(shown), evaluation: times(measured) }
    }

    /// Trains a network, in full or on the first images; behind the last epoch it is scored on held-out training images.
    ///
    /// # Errors
    /// [`Error::NotFinite`] where the training fails; [`Error::Impossible`] where memory does not suffice.
    pub fn train(
        &self,
        built: &Built,
        fidelity: Fidelity,
        seeds: Seeds,
        task: Task,
        saver: &mut Saver,
        observer: &mut dyn Observer,
    ) -> Result<(Network, Score)> {
        let (recipe, seed) = (&self.config.retrain, seeds.fresh.child(&built.described.arch));
        if let Some(reason) = Needs::of(&built.net, recipe, &self.config.evaluate)?.shortage() {
            return Err(Error::Impossible(reason));
        }
        let network = Network::new(built.net.clone(), seed, &Device::Cpu)?;
        let mut trainee = Trainee::new(network, recipe.clone(), seed)?;
        let ids = self.part(fidelity);
        let loader = estimate::loader(self.config, self.data, ids, recipe.batch, seeds.order, &Device::Cpu);
        let (epochs, interrupt) = (recipe.epochs, self.interrupt);
        let stage = Stage { task, loader: &loader, epochs, saver: Some(saver), interrupt, observer };
        stage.run(&mut trainee, &mut |_, _, _| Ok(()))?;
        let mut network = trainee.into_network()?;
        let held = self.held_out(usize::MAX, self.seed.child("held out"));
        let found = score(&mut network, &[], &held, &self.trials.objective, NormMode::Eval)?;
        Ok((network, found))
    }
}

/// Answers a search by training the network for the share that is asked for.
pub struct ByTraining<'a, 'b> {
    /// The trainings.
    pub trainings: &'a Trainings<'a>,
    /// The networks.
    pub networks: &'a Networks<'a>,
    /// The search, for progress.
    pub name: String,
    /// The search's seed: its trainings see the same images in the same order.
    pub seed: Seed,
    /// Checkpoints.
    pub saver: &'b mut Saver,
    /// Who looks on.
    pub observer: &'b mut dyn Observer,
}

impl Evaluator<Genotype> for ByTraining<'_, '_> {
    /// A genotype without a network of the size fails at no cost, one whose training fails at the whole.
    fn evaluate(&mut self, number: usize, proposal: &Proposal<Genotype>) -> Result<Answer> {
        let built = match self.networks.build(&proposal.arch) {
            Err(Error::Impossible(reason)) => {
                let spent = Spent { trainings: 0.0, training: Macs(0), evaluation: Macs(0) };
                return Ok(Answer { outcome: Outcome::Failed { reason }, spent });
            }
            other => other?,
        };
        let fidelity = proposal.fidelity;
        let seeds = Seeds { fresh: self.seed.child("fresh").index(number as u64), order: self.seed.child("order") };
        let name = format!("{}, trial {number} at {:.3} of a training", self.name, fidelity.share());
        let task = Task::Trial { name: name.clone() };
        let outcome = match self.trainings.train(&built, fidelity, seeds, task, self.saver, self.observer) {
            Ok((_, found)) => Outcome::Measured { objective: found.objective() },
            Err(Error::NotFinite(reason)) => Outcome::Failed { reason },
            Err(other) => return Err(other),
        };
        let told = match &outcome {
            Outcome::Measured { objective } => format!("objective {objective:.4}"),
            Outcome::Failed { reason } => format!("failed: {reason}"),
        };
        let macs = built.described.macs;
        self.observer.on(Progress::Note(format!("{name}: {told} ({macs} MACs, {})", built.described.summary)));
        Ok(Answer { outcome, spent: self.trainings.spent(macs, fidelity) })
    }
}
