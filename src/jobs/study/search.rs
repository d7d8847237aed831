//! One search of a study, trial by trial, each a line of the journal.

use candle_core::Device;

use super::log::Log;
use super::networks::Networks;
use super::training::{ByTraining, Trainings};
use crate::arch::genotype::Genotype;
use crate::config::study::{Method, SinglePath as Constants};
use crate::error::{Error, Result};
use crate::jobs::stage::{Saver, Stage};
use crate::jobs::{Observer, Progress, Task, estimate};
use crate::recipe::Recipe;
use crate::report::searches::facts::{Line, Phase, SearchId, history};
use crate::search::evaluator::{Evaluator, Inherited};
use crate::search::shared::{SinglePath, SizedNet};
use crate::search::space::{Space, pool::Pool};
use crate::search::strategy::{AnyStrategy, Evolution, Halving, Local, Random, step};
use crate::search::trial::{Answer, Fidelity, History, Origin, Outcome, Proposal, Spent, Trial};
use crate::seed::Seed;
use crate::store::checkpoint::{Checkpoints, Loaded, Snapshot};
use crate::units::Macs;

/// A search at work.
pub struct Search<'a, 'b> {
    /// Which.
    pub id: SearchId,
    /// How networks are trained.
    pub trainings: &'a Trainings<'a>,
    /// The networks.
    pub networks: &'a Networks<'a>,
    /// The study's journal.
    pub log: &'b mut Log,
    /// Checkpoints.
    pub saver: &'b mut Saver,
    /// Who looks on.
    pub observer: &'b mut dyn Observer,
}

impl Search<'_, '_> {
    fn seed(&self) -> Seed {
        self.trainings.seed.child(self.id.method.word()).index(u64::from(self.id.search))
    }

    fn name(&self) -> String {
        format!("{} {}", self.id.method.word(), self.id.search)
    }

    /// Searches to the end and returns what was found. Random networks that are new are scored with the search's shared
    /// weights, where it has some.
    ///
    /// # Errors
    /// [`Error::Stopped`] after a signal; [`Error::Impossible`] where no network could be trained.
    pub fn run(&mut self, random: &[Genotype]) -> Result<Genotype> {
        let spend = self.trainings.study.spend;
        match self.id.method {
            Method::Random => self.train(AnyStrategy::Random(Random {}), None, spend)?,
            Method::Evolution => self.train(AnyStrategy::Evolution(Evolution::USUAL), None, spend)?,
            Method::Local => self.train(AnyStrategy::Local(Local {}), None, spend)?,
            Method::Halving => self.train(AnyStrategy::Halving(Halving::USUAL), None, spend)?,
            Method::SinglePath => self.single_path(random)?,
        }
        let found = history(&self.log.lines, self.id, Phase::Train)?;
        let best = found.best().ok_or_else(|| {
            Error::Impossible(format!("{}: none of {} trials has a result", self.name(), found.trials().len()))
        })?;
        Ok(best.proposal.arch.clone())
    }

    /// Tries networks by training them, of the whole space or of some.
    fn train(&mut self, strategy: AnyStrategy, among: Option<Vec<Genotype>>, spend: f64) -> Result<()> {
        let (seed, name) = (self.seed(), self.name());
        let Search { id, trainings, networks, log, saver, observer } = self;
        let mut trials = history(&log.lines, *id, Phase::Train)?;
        let mut evaluator =
            ByTraining { trainings, networks, name, seed: seed.child("trainings"), saver, observer: *observer };
        let space = &networks.space;
        match among {
            None => exhaust(&strategy, space, &mut evaluator, spend, seed.child("train"), &mut trials, &mut |trial| {
                log.append(Line::trial(*id, Phase::Train, trial))
            }),
            Some(networks) => {
                let pool = Pool { space, networks };
                exhaust(&strategy, &pool, &mut evaluator, spend, seed.child("train"), &mut trials, &mut |trial| {
                    log.append(Line::trial(*id, Phase::Train, trial))
                })
            }
        }
    }

    /// Shared weights, evolution over what networks inherit of them, successive halving of the best.
    fn single_path(&mut self, random: &[Genotype]) -> Result<()> {
        let constants = self.trainings.study.single_path;
        let Constants { candidates, population, short, eta, .. } = constants;
        let id = self.id;
        let scored = history(&self.log.lines, id, Phase::Score)?.trials().len();
        let known = |log: &Log, network: u32| {
            let same =
                |line: &Line| matches!(line, Line::Inherited { of, network: n, .. } if (*of, *n) == (id, network));
            log.lines.iter().any(same)
        };
        let unknown: Vec<u32> = (0..random.len() as u32).filter(|network| !known(self.log, *network)).collect();
        if scored < candidates as usize || !unknown.is_empty() {
            let networks = self.networks;
            let size = |genotype: &Genotype| networks.size(genotype);
            let shared = self.shared(&size)?;
            self.scores(
                &shared,
                &unknown,
                random,
                Evolution { population: population as usize, tournament: population as usize },
            )?;
        }
        let scores = history(&self.log.lines, id, Phase::Score)?;
        let mut order: Vec<usize> = (0..scores.trials().len()).collect();
        order.retain(|i| matches!(scores.trials()[*i].answer.outcome, Outcome::Measured { .. }));
        order.sort_by(|a, b| scores.trials()[*b].objective().total_cmp(&scores.trials()[*a].objective()));
        order.truncate(short as usize);
        if order.is_empty() {
            return Err(Error::Impossible(format!("{}: no network could be scored", self.name())));
        }
        let best = order.into_iter().map(|i| scores.trials()[i].proposal.arch.clone()).collect();
        let spent = self.log.lines.iter().find_map(|line| match line {
            Line::Shared { of, spent } if *of == id => Some(spent.trainings),
            _ => None,
        });
        let left = self.trainings.study.spend - spent.unwrap_or(0.0);
        let halving = Halving { networks: short as usize, eta: eta as usize, rungs: 2 };
        self.train(AnyStrategy::Halving(halving), Some(best), left)
    }

    /// Scores what evolution asks for, and the random networks that no search sees.
    fn scores(
        &mut self,
        shared: &SinglePath<'_>,
        unknown: &[u32],
        random: &[Genotype],
        evolution: Evolution,
    ) -> Result<()> {
        let (id, seed) = (self.id, self.seed());
        let Constants { candidates, images, .. } = self.trainings.study.single_path;
        let loader = self.trainings.held_out(images, seed.child("scores"));
        let interrupt = self.trainings.interrupt;
        let mut evaluator = Inherited { shared, loader: &loader, attack: self.trainings.study.objective, done: None };
        let space = &self.networks.space;
        let mut trials = history(&self.log.lines, id, Phase::Score)?;
        let task = Task::Study { name: format!("{}, scores with inherited weights", self.name()) };
        let (done, steps) = (trials.trials().len() as u64, u64::from(candidates));
        self.observer.on(Progress::TaskStarted { task: task.clone(), done, steps });
        while trials.trials().len() < candidates as usize {
            interrupt.check()?;
            // They cost no training.
            if !step(&evolution, space, &mut evaluator, f64::INFINITY, seed.child("score"), &mut trials)? {
                break;
            }
            if let Some(trial) = trials.trials().last() {
                self.log.append(Line::trial(id, Phase::Score, trial))?;
            }
        }
        self.observer.on(Progress::TaskDone { task });
        for network in unknown {
            interrupt.check()?;
            let arch = random[*network as usize].clone();
            let proposal = Proposal { arch, fidelity: Fidelity::FULL, origin: Origin::Drawn };
            let Answer { outcome, .. } = evaluator.evaluate(0, &proposal)?;
            let objective = match outcome {
                Outcome::Measured { objective } => Some(objective),
                Outcome::Failed { .. } => None,
            };
            self.log.append(Line::Inherited { of: id, network: *network, objective })?;
        }
        Ok(())
    }

    /// The search's shared weights: those of its file, else trained.
    fn shared<'s>(&mut self, size: &'s dyn Fn(&Genotype) -> Result<SizedNet>) -> Result<SinglePath<'s>> {
        let Trainings { config, study, data, ids, interrupt, .. } = *self.trainings;
        let seed = self.seed().child("shared");
        let recipe = Recipe { epochs: study.single_path.epochs, ..config.retrain.clone() };
        if let Some((key, why)) = recipe.fault() {
            return Err(Error::Usage(format!("study.single_path.epochs: with it the recipe's `{key}` {why}")));
        }
        let largest = self.networks.largest(self.trainings.seed.child("sizes"))?;
        let (layout, keep) = (self.networks.space.layout().clone(), config.derive.edges_per_node);
        let mut shared = SinglePath::new(&largest, layout, keep, &recipe, size, seed)?;
        let folder = self.log.out.join("shared").join(format!("{}-{}", self.id.method.word(), self.id.search));
        let mut file = Checkpoints::open(&folder)?;
        let trained = self.log.lines.iter().any(|line| matches!(line, Line::Shared { of, .. } if *of == self.id));
        if trained && let Some(Loaded { snapshot, .. }) = file.load()? {
            shared.set_weights(snapshot.tensors.into_iter().flat_map(|(.., weights)| weights).collect())?;
            return Ok(shared);
        }
        let loader = estimate::loader(config, data, ids, recipe.batch, seed.child("order"), &Device::Cpu);
        let task = Task::Study { name: format!("{}, shared weights", self.name()) };
        let (epochs, saver, observer) = (recipe.epochs, Some(&mut *self.saver), &mut *self.observer);
        let stage = Stage { task, loader: &loader, epochs, saver, interrupt, observer };
        stage.run(&mut shared, &mut |_, _, _| Ok(()))?;
        let weights = shared.weights().to_vec();
        let tensors = vec![("weights".to_owned(), vec![weights.len()], weights)];
        file.save(&Snapshot { meta: serde_json::Value::Null, tensors })?;
        if !trained {
            let shown = shared.macs() as f64 * recipe.batch.min(ids.len()) as f64 * recipe.passes().forwards();
            let training = Macs(shown.round() as u64);
            let whole = self.trainings.spent(self.networks.budget, Fidelity::FULL);
            let trainings = training.0 as f64 / whole.training.0 as f64;
            self.log.append(Line::Shared { of: self.id, spent: Spent { trainings, training, evaluation: Macs(0) } })?;
        }
        Ok(shared)
    }
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
