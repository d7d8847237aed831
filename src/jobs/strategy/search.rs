//! One search by trials at a budget, each trial a line of a journal.

use candle_core::Device;

use super::networks::Networks;
use super::notes::Notes;
use super::supernet;
use super::training::{ByTraining, Trainings};
use crate::arch::genotype::Genotype;
use crate::config::strategy::{Halving, Method, SinglePath as Constants};
use crate::data::loader::Loader;
use crate::error::{Error, Result};
use crate::jobs::stage::{Saver, Stage, Staged};
use crate::jobs::{Observer, Progress, Task, estimate};
use crate::recipe::Recipe;
use crate::search::evaluator::{Evaluator, Inherited, Relaxed};
use crate::search::learner::Supernet;
use crate::search::shared::{SinglePath, SizedNet};
use crate::search::space::{Space, pool::Pool};
use crate::search::strategy::{AnyStrategy, Evolution, Local, Random, step};
use crate::search::trial::{Answer, Fidelity, History, Origin, Outcome, Phase, Proposal, Spent, Trial};
use crate::seed::Seed;
use crate::store::checkpoint::Checkpoints;
use crate::units::Macs;

/// A search at work.
pub struct Search<'a, 'b> {
    /// How it chooses.
    pub method: Method,
    /// What people call it.
    pub name: String,
    /// Its seed.
    pub seed: Seed,
    /// How networks are trained.
    pub trainings: &'a Trainings<'a>,
    /// The networks.
    pub networks: &'a Networks<'a>,
    /// Its lines in the journal.
    pub notes: &'b mut dyn Notes,
    /// Networks that it does not see, which are scored with its shared weights, if it has some.
    pub unseen: &'b [Genotype],
    /// Checkpoints.
    pub saver: &'b mut Saver,
    /// Who looks on.
    pub observer: &'b mut dyn Observer,
}

impl<'a> Search<'a, '_> {
    /// Searches to the end and returns all trials of trained networks.
    ///
    /// # Errors
    /// [`Error::Stopped`] after a signal; [`Error::Impossible`] where no network could be scored.
    pub fn run(&mut self) -> Result<History<Genotype>> {
        let spend = self.trainings.trials.spend;
        match self.method {
            Method::Random => self.train(AnyStrategy::Random(Random {}), None, spend)?,
            Method::Evolution => self.train(AnyStrategy::Evolution(Evolution::USUAL), None, spend)?,
            Method::Local => self.train(AnyStrategy::Local(Local {}), None, spend)?,
            Method::Halving => self.train(AnyStrategy::Halving(self.trainings.trials.halving), None, spend)?,
            Method::Predictor => self.train(AnyStrategy::Predictor(self.trainings.trials.predictor), None, spend)?,
            Method::SinglePath => self.single_path()?,
            Method::TwoStage => return self.two_stage(),
        }
        self.notes.trials(Phase::Train)
    }

    /// Tries networks by training them, of the whole space or of some.
    fn train(&mut self, strategy: AnyStrategy, among: Option<Vec<Genotype>>, spend: f64) -> Result<()> {
        let Search { trainings, networks, notes, saver, observer, seed, name, .. } = self;
        let mut trials = notes.trials(Phase::Train)?;
        let (seed, name) = (*seed, name.clone());
        let mut evaluator =
            ByTraining { trainings, networks, name, seed: seed.child("trainings"), saver, observer: *observer };
        let (space, seed) = (*networks, seed.child("train"));
        let keep = &mut |trial: &Trial<Genotype>| notes.keep(Phase::Train, trial);
        match among {
            None => exhaust(&strategy, space, &mut evaluator, spend, seed, &mut trials, keep),
            Some(networks) => {
                exhaust(&strategy, &Pool { space, networks }, &mut evaluator, spend, seed, &mut trials, keep)
            }
        }
    }

    /// A supernet whose architecture learns; what it prefers, scored in it; successive halving of the best.
    fn two_stage(&mut self) -> Result<History<Genotype>> {
        let pool = self.trainings.trials.pool;
        let unscored = self.unscored();
        let begun = !self.notes.trials(Phase::Train)?.trials().is_empty();
        if self.notes.shared().is_none() || !unscored.is_empty() || !begun {
            let mut supernet = self.supernet()?;
            let Trainings { config, data, splits, interrupt, .. } = *self.trainings;
            let held = supernet::held_out(config, data, splits, config.derive.images);
            let list = supernet::preferred(&mut supernet, config, &held, pool.networks, self.seed, interrupt)?;
            let held = supernet::held_out(config, data, splits, pool.images);
            let attack = self.trainings.trials.objective;
            let mut evaluator = Relaxed { supernet: &mut supernet, loader: &held, attack };
            let name = format!("{}, scores in the supernet", self.name);
            supernet::score(&mut evaluator, &list, &name, self.notes, interrupt, self.observer)?;
            self.score_unseen(&mut evaluator, &unscored)?;
        }
        self.try_best()
    }

    /// Successive halving of the networks that have the best scores, of the selected one, which was scored first, and of some
    /// that are drawn without a score.
    ///
    /// # Errors
    /// As [`Search::run`].
    pub fn try_best(&mut self) -> Result<History<Genotype>> {
        let halving = self.trainings.trials.halving;
        let drawn = self.trainings.trials.pool.drawn;
        let mut tried = self.best_scored(halving.networks - drawn, true)?;
        tried.extend(self.drawn(drawn, &tried)?);
        let (left, spend) = (self.left(), self.trainings.trials.spend);
        if left < halving.trainings() {
            return Err(too_dear(&self.name, spend - left, spend, halving));
        }
        self.train(AnyStrategy::Halving(halving), Some(tried), left)?;
        self.notes.trials(Phase::Train)
    }

    /// What the search may spend on trials.
    fn left(&self) -> f64 {
        self.trainings.trials.spend - self.notes.shared().map_or(0.0, |spent| spent.trainings)
    }

    /// The genotypes of the best scores; the first one that was scored is among them where `first` says so.
    fn best_scored(&self, n: usize, first: bool) -> Result<Vec<Genotype>> {
        let scores = self.notes.trials(Phase::Score)?;
        let mut best = scores.ranked();
        if let (true, Some(selected)) = (first, scores.trials().first()) {
            best.retain(|trial| !std::ptr::eq(*trial, selected));
            best.insert(0, selected);
        }
        best.truncate(n);
        if best.is_empty() {
            return Err(Error::Impossible(format!("{}: no network could be scored", self.name)));
        }
        Ok(best.into_iter().map(|trial| trial.proposal.arch.clone()).collect())
    }

    /// Random networks of the budget, others than those that are tried already.
    fn drawn(&self, n: usize, tried: &[Genotype]) -> Result<Vec<Genotype>> {
        if n == 0 {
            return Ok(Vec::new());
        }
        let space = &self.networks.space;
        let known: Vec<_> = tried.iter().map(|genotype| space.key(genotype)).collect();
        let mut drawn = self.networks.random(n + tried.len(), self.seed.child("drawn"))?;
        drawn.retain(|genotype| !known.contains(&space.key(genotype)));
        drawn.truncate(n);
        Ok(drawn)
    }

    /// The networks that the search does not see and that have no score yet.
    fn unscored(&self) -> Vec<u32> {
        (0..self.unseen.len() as u32).filter(|number| !self.notes.is_scored(*number)).collect()
    }

    /// Scores networks that the search does not see.
    fn score_unseen(&mut self, evaluator: &mut impl Evaluator<Genotype>, numbers: &[u32]) -> Result<()> {
        for number in numbers {
            self.trainings.interrupt.check()?;
            let arch = self.unseen[*number as usize].clone();
            let proposal = Proposal { arch, fidelity: Fidelity::FULL, origin: Origin::Drawn };
            let Answer { outcome, .. } = evaluator.evaluate(0, &proposal)?;
            let objective = match outcome {
                Outcome::Measured { objective } => Some(objective),
                Outcome::Failed { .. } => None,
            };
            self.notes.keep_score(*number, objective)?;
        }
        Ok(())
    }

    /// Shared weights, evolution over what networks inherit of them, successive halving of the best.
    fn single_path(&mut self) -> Result<()> {
        let Constants { candidates, population, short, eta, .. } = self.trainings.trials.single_path;
        let scored = self.notes.trials(Phase::Score)?.trials().len();
        let unscored = self.unscored();
        if scored < candidates as usize || !unscored.is_empty() {
            let networks = self.networks;
            let size = |genotype: &Genotype| networks.size(genotype);
            let shared = self.shared(&size)?;
            let population = population as usize;
            self.inherited(&shared, &unscored, Evolution { population, tournament: population })?;
        }
        let best = self.best_scored(short as usize, false)?;
        let left = self.left();
        let halving = Halving { networks: short as usize, eta: eta as usize, rungs: 2, longest: 1.0 };
        self.train(AnyStrategy::Halving(halving), Some(best), left)
    }

    /// Scores what evolution asks for, and the networks that the search does not see.
    fn inherited(&mut self, shared: &SinglePath<'_>, unscored: &[u32], evolution: Evolution) -> Result<()> {
        let seed = self.seed;
        let Constants { candidates, images, .. } = self.trainings.trials.single_path;
        let loader = self.trainings.held_out(images, seed.child("scores"));
        let interrupt = self.trainings.interrupt;
        let attack = self.trainings.trials.objective;
        let mut evaluator = Inherited { shared, loader: &loader, attack, done: None };
        let space = &self.networks.space;
        let mut trials = self.notes.trials(Phase::Score)?;
        let task = Task::Trial { name: format!("{}, scores with inherited weights", self.name) };
        let (done, steps) = (trials.trials().len() as u64, u64::from(candidates));
        self.observer.on(Progress::TaskStarted { task: task.clone(), done, steps });
        while trials.trials().len() < candidates as usize {
            interrupt.check()?;
            // They cost no training.
            if !step(&evolution, space, &mut evaluator, f64::INFINITY, seed.child("score"), &mut trials)? {
                break;
            }
            if let Some(trial) = trials.trials().last() {
                self.notes.keep(Phase::Score, trial)?;
            }
        }
        self.observer.on(Progress::TaskDone { task });
        self.score_unseen(&mut evaluator, unscored)
    }

    /// The search's shared weights, from their folder as far as they are trained there.
    fn shared<'s>(&mut self, size: &'s dyn Fn(&Genotype) -> Result<SizedNet>) -> Result<SinglePath<'s>> {
        let Trainings { config, trials, data, ids, .. } = *self.trainings;
        let seed = self.seed.child("shared");
        let recipe = Recipe { epochs: trials.single_path.epochs, ..config.retrain.clone() };
        if let Some((key, why)) = recipe.fault() {
            return Err(Error::Usage(format!("single_path.epochs: with it the recipe's `{key}` {why}")));
        }
        let largest = self.networks.largest(self.trainings.seed.child("sizes"))?;
        let (layout, keep) = (self.networks.space.layout().clone(), config.derive.edges_per_node);
        let mut shared = SinglePath::new(&largest, layout, keep, &recipe, size, seed)?;
        let loader = estimate::loader(config, data, ids, recipe.batch, seed.child("order"), &Device::Cpu);
        self.train_shared(&mut shared, &loader, recipe.epochs, "shared weights", |shared| {
            let shown = shared.macs() as f64 * recipe.batch.min(ids.len()) as f64 * recipe.passes().forwards();
            (Macs(shown.round() as u64), Macs(0))
        })?;
        Ok(shared)
    }

    /// The search's supernet, from its folder as far as it is trained there.
    fn supernet(&mut self) -> Result<Supernet<'a>> {
        let Trainings { config, data, splits, .. } = *self.trainings;
        let seed = self.seed.child("supernet");
        let mut supernet = estimate::supernet(config, data, splits, seed, &Device::Cpu)?;
        let loader =
            estimate::loader(config, data, &splits.weights, config.search.batch, seed.child("weights"), &Device::Cpu);
        let held = supernet::held_out(config, data, splits, config.derive.images);
        let epochs = config.search.epochs;
        self.train_shared(&mut supernet, &loader, epochs, "supernet", |supernet| {
            supernet::spent(supernet, config, &loader, &held)
        })?;
        Ok(supernet)
    }

    /// Trains weights that the networks of the search share, as far as their folder does not have them, and writes down what
    /// that cost in training and evaluation.
    fn train_shared<L: Staged>(
        &mut self,
        learner: &mut L,
        loader: &Loader<'_>,
        epochs: u32,
        what: &str,
        spent: impl FnOnce(&mut L) -> (Macs, Macs),
    ) -> Result<()> {
        let task = Task::Trial { name: format!("{}, {what}", self.name) };
        let mut kept = self.saver.of(Checkpoints::open(&self.notes.folder())?);
        let (interrupt, observer) = (self.trainings.interrupt, &mut *self.observer);
        let stage = Stage { task: task.clone(), loader, epochs, saver: Some(&mut kept), interrupt, observer };
        stage.run(learner, &mut |_, _, _| Ok(()))?;
        if self.notes.shared().is_some() {
            return Ok(());
        }
        kept.keep(&task, epochs, learner)?;
        let (training, evaluation) = spent(learner);
        let whole = self.trainings.spent(self.networks.budget, Fidelity::FULL);
        let trainings = training.0 as f64 / whole.training.0 as f64;
        self.notes.keep_shared(Spent { trainings, training, evaluation })
    }
}

/// Says that a supernet leaves its search too little for trials.
pub fn too_dear(search: &str, supernet: f64, spend: f64, halving: Halving) -> Error {
    Error::Impossible(format!(
        "{search}: its supernet costs {supernet:.2} of the {spend} full trainings that a search may spend, which leaves less \
         than the {:.2} of its trials; raise `spend`, or lower search.epochs or `halving`",
        halving.trainings()
    ))
}

/// Goes on with a search until it has nothing to ask or nothing to spend.
fn exhaust<S: Space<Arch = Genotype>>(
    strategy: &AnyStrategy,
    space: &S,
    evaluator: &mut impl Evaluator<Genotype>,
    spend: f64,
    seed: Seed,
    trials: &mut History<Genotype>,
    keep: &mut dyn FnMut(&Trial<Genotype>) -> Result<()>,
) -> Result<()> {
    while step(strategy, space, evaluator, spend, seed, trials)? {
        if let Some(trial) = trials.trials().last() {
            keep(trial)?;
        }
    }
    Ok(())
}
