//! What a study will take and what it can show, said before it begins.

use std::fmt;

use candle_core::Device;

use crate::config::strategy::{Method, Pool};
use crate::config::study::{Expected, Study};
use crate::engine::Network;
use crate::error::Result;
use crate::jobs::strategy::{Networks, Trainings, supernet, too_dear};
use crate::jobs::{duration_words, estimate};
use crate::recipe::Time;
use crate::search::evaluator::passes;
use crate::search::trial::Fidelity;
use crate::seed::Seed;
use crate::study::{Design, Power, power};
use crate::train::trainee::Trainee;
use crate::units::Macs;

/// Studies that are tried for each power.
const TRIED: u64 = 2000;

/// Effects whose power is told, in points.
const EFFECTS: [f64; 4] = [0.5, 1.0, 1.5, 2.0];

/// The level of the tests.
const LEVEL: f64 = 0.05;

/// What a study will take.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The size of all networks.
    pub budget: Macs,
    /// Seconds of a full training with its measurements.
    pub training: f64,
    /// Full trainings for comparison.
    pub compared: u32,
    /// Of each strategy: its name, searches, and the seconds of one.
    pub searches: Vec<(Method, u32, f64)>,
    /// Power of question A for some effects.
    pub powers: Vec<Power>,
    /// What was expected.
    pub design: Design,
}

impl Plan {
    /// Times a small step of a random network and tries two thousand studies of this size with normal noise.
    ///
    /// # Errors
    /// As `Networks::random`; [`crate::error::Error::Usage`] for a study that cannot be tested, and
    /// [`crate::error::Error::Impossible`] for a supernet that leaves its search too little for trials.
    pub fn draw(trainings: &Trainings<'_>, study: &Study, networks: &Networks<'_>) -> Result<Plan> {
        if study.strategies.contains(&Method::TwoStage) {
            affordable(trainings, study, networks)?;
        }
        let Trainings { config, data, splits, ids, seed, .. } = *trainings;
        let genotype = networks.random(1, seed.child("random"))?.remove(0);
        let built = networks.build(&genotype)?;
        let network = Network::new(built.net, seed, &Device::Cpu)?;
        let mut trainee = Trainee::timed(network, &config.retrain)?;
        let recipe = &config.retrain;
        let few = estimate::loader(config, data, ids, recipe.batch.min(ids.len()), Seed::root(0), &Device::Cpu);
        let image = estimate::seconds_an_image(&mut trainee, &few, Time::FIRST)?;
        let forward = image / recipe.passes().forwards();
        let held = splits.validation.len() as f64 * passes(&study.objective);
        // About half of the images are right, and attacked.
        let attacks: f64 = config.evaluate.attacks.iter().map(|attack| attack.passes()).sum();
        let tested = splits.test.len() as f64 * (1.0 + attacks / 2.0);
        let in_full = image * ids.len() as f64 * f64::from(recipe.epochs);
        let training = in_full + forward * (held + tested);
        let Study { searches, trainings: each, random, repeated, hand_made, spend, single_path, halving, .. } = study;
        let supernet = match study.strategies.contains(&Method::TwoStage) {
            true => {
                let Pool { networks, images, .. } = study.pool;
                let scores = (networks as f64 + f64::from(*random)) * images as f64 * passes(&study.objective);
                let (trained, forward) = estimate::search_seconds(config, data, splits, seed, &Device::Cpu)?;
                trained + (scores + estimate::selection_passes(config)) * forward
            }
            false => 0.0,
        };
        let of = |method: &Method| match method {
            Method::Random | Method::Evolution | Method::Local | Method::Halving | Method::Predictor => {
                spend * (in_full + forward * held)
            }
            Method::TwoStage => supernet + halving.trainings() * (in_full + forward * held),
            Method::SinglePath => {
                let shared = in_full * f64::from(single_path.epochs) / f64::from(recipe.epochs);
                let networks = f64::from(single_path.candidates + random);
                let scores = networks * single_path.images as f64 * passes(&study.objective) * forward;
                let (short, eta) = (f64::from(single_path.short), f64::from(single_path.eta));
                shared + scores + short / eta * 2.0 * in_full
            }
        };
        let compared = random + repeated + hand_made + study.strategies.len() as u32 * searches * each;
        let Expected { architecture_sd, searched_sd, run_sd } = study.expected;
        let design = Design {
            searched: *searches as usize,
            random: *random as usize,
            architecture_sd,
            searched_sd,
            run_sd,
            trainings: *each as usize,
            level: LEVEL,
        };
        let seed = Seed::root(0).child("power");
        let powers = EFFECTS.iter().map(|effect| power(&design, *effect, TRIED, seed)).collect::<Result<_>>()?;
        let searches = study.strategies.iter().map(|method| (*method, *searches, of(method))).collect();
        Ok(Plan { budget: networks.budget, training, compared, searches, powers, design })
    }

    /// Seconds in all.
    pub fn seconds(&self) -> f64 {
        let searches: f64 = self.searches.iter().map(|(_, n, seconds)| f64::from(*n) * seconds).sum();
        searches + f64::from(self.compared) * self.training
    }
}

/// Whether the supernet of a two-stage search leaves enough for its trials: known before anything is trained.
fn affordable(trainings: &Trainings<'_>, study: &Study, networks: &Networks<'_>) -> Result<()> {
    let Trainings { config, data, splits, seed, .. } = *trainings;
    let mut whole = estimate::supernet(config, data, splits, seed, &Device::Cpu)?;
    let batch = config.search.batch;
    let weights = estimate::loader(config, data, &splits.weights, batch, Seed::root(0), &Device::Cpu);
    let held = supernet::held_out(config, data, splits, config.derive.images);
    let (training, _) = supernet::spent(&mut whole, config, &weights, &held);
    let cost = training.0 as f64 / trainings.spent(networks.budget, Fidelity::FULL).training.0 as f64;
    match study.spend - cost < study.halving.trainings() {
        true => Err(too_dear("two-stage", cost, study.spend, study.halving)),
        false => Ok(()),
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (each, n) = (duration_words(self.training), self.compared);
        writeln!(f, "networks of {} MACs; {n} full trainings to compare, about {each} each", self.budget)?;
        for (method, n, seconds) in &self.searches {
            writeln!(f, "{n} searches by {}, about {} each", method.word(), duration_words(*seconds))?;
        }
        let Design { searched, random, architecture_sd, searched_sd, run_sd, trainings, .. } = self.design;
        writeln!(
            f,
            "power: {searched} searches whose networks are trained {trainings} times against {random} random networks, if \
             these spread by {architecture_sd} points, what is found by {searched_sd} and trainings by {run_sd}; one \
             question alone, at {LEVEL}"
        )?;
        for Power { effect, welch, mann_whitney } in &self.powers {
            let share = |power: f64| format!("{:.0} %", 100.0 * power);
            let (welch, ranks) = (share(*welch), share(*mann_whitney));
            writeln!(f, "  {effect:+.1} points: shown by Welch's test in {welch} of studies, by ranks in {ranks}")?;
        }
        write!(f, "about {} in all", duration_words(self.seconds()))
    }
}
