//! Measuring a trained network: clean, under a plan of attacks, and with the checks that the result raises. Searches,
//! populations and the `attack` verb do it here.

use crate::attack::Target;
use crate::attack::checks::{guesses, raised};
use crate::attack::suite::{Finished, Suite, Verdicts};
use crate::config::Evaluate;
use crate::data::Dataset;
use crate::data::batch::labels;
use crate::data::loader::Loader;
use crate::data::split::index_id;
use crate::engine::{Network, NormMode, Work, Wrt};
use crate::error::Result;
use crate::record::{Measurement, Sample};
use crate::seed::Seed;
use crate::threat::{AttackPlan, Found};

/// Which images are measured, by which attacks.
pub struct Measure<'a> {
    /// The attacks, fit for the number of classes.
    pub plan: &'a AttackPlan,
    /// The images, a batch at a time.
    pub loader: &'a Loader<'a>,
    /// What results say about the images.
    pub sample: Sample,
    /// Seed of the attacks' random numbers.
    pub seed: u64,
    /// Whether small attacks look for masked gradients.
    pub probe: bool,
}

/// What was found.
pub struct Measured {
    /// On the network.
    pub network: Measurement,
    /// On the network that the attacks were made on, where it is another.
    pub source: Option<Measurement>,
}

impl Measure<'_> {
    /// The plan on its images.
    pub fn suite(&self) -> Suite<'_> {
        Suite { plan: self.plan, loader: self.loader, seed: Seed::root(self.seed) }
    }

    /// Measures a network in evaluation mode; with a `source`, by attacks that are made there. Only samples that are right on
    /// the clean image are attacked. Every [`crate::threat::Check`] that is raised is in the result, once.
    ///
    /// `known` are verdicts of an earlier part of the same measurement, in its order; `report` is told every new batch and may
    /// stop the work with an error.
    ///
    /// # Errors
    /// Those of the attacks, and what `report` fails with.
    ///
    /// # Cost
    /// The passes of every attack on every image that is given to it, and about 75 forward passes of 64 images for `probe`.
    pub fn run(
        &self,
        network: &mut Network,
        mut source: Option<&mut Network>,
        known: &[Verdicts],
        report: &mut dyn FnMut(Finished<'_>) -> Result<()>,
    ) -> Result<Measured> {
        let suite = self.suite();
        let target = &mut Target::deployed(network);
        let (found, at_source) = match &mut source {
            None => (suite.run(target, known, report)?, None),
            Some(source) => {
                let made = suite.transfer(&mut Target::deployed(source), target, known, report)?;
                (made.target, Some(made.source))
            }
        };
        // The network that the attacks were made on: its gradients are what is to be doubted.
        let attacked = match source {
            None => target,
            Some(source) => &mut Target::deployed(source),
        };
        let there = at_source.as_ref().unwrap_or(&found);
        let mut checks = raised(attacked, self.plan, self.loader, there, self.probe)?;
        let source = at_source.map(|found| self.measurement(found, checks.iter().copied().collect()));
        // Of a transfer the measured network is another.
        checks.extend(guesses(&labels(self.loader.images, self.loader.ids), &found.clean));
        Ok(Measured { network: self.measurement(found, checks.into_iter().collect()), source })
    }

    fn measurement(&self, found: Found, checks: Vec<crate::threat::Check>) -> Measurement {
        Measurement {
            sample: self.sample.clone(),
            ids: self.loader.ids.to_vec(),
            plan: self.plan.clone(),
            seed: self.seed,
            found,
            checks,
        }
    }
}

/// Measures a network as a configuration asks for: each attack on all samples of the loader that are right clean.
///
/// `stop` is asked after every batch of work, so that a long measurement can be interrupted.
///
/// # Errors
/// Those of the attacks, and what `stop` fails with.
pub fn evaluate(
    network: &mut Network,
    loader: &Loader<'_>,
    protocol: &Evaluate,
    sample: Sample,
    seed: u64,
    stop: &mut dyn FnMut() -> Result<()>,
) -> Result<Measurement> {
    let plan = protocol.plan().for_classes(network.net().classes())?;
    stop()?;
    let measure = Measure { plan: &plan, loader, sample, seed, probe: protocol.probe };
    Ok(measure.run(network, None, &[], &mut |_| stop())?.network)
}

/// What attacks on a trained network hold in memory, in batches of a size.
pub fn work(batch: usize) -> Work {
    Work { batch, passes: vec![(Wrt::INPUT, NormMode::Eval)], vectors: 0, images: 3 }
}

/// What results say about some images of a data set; `data_id` is its content's hash.
pub fn sample(data: &Dataset, data_id: String, split: &str, ids: &[u32]) -> Sample {
    Sample { data: data.name.clone(), data_id, split: split.to_owned(), n: ids.len() as u64, index_id: index_id(ids) }
}
