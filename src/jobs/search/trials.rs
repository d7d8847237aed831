//! The search of a run: its supernet, if the strategy has one, and the trials at each budget.

use std::path::PathBuf;

use super::leader::{Leader, Log};
use super::work::SHARED;
use crate::arch::genotype::Genotype;
use crate::config::Config;
use crate::config::strategy::{Method, Trials};
use crate::error::{Error, Result};
use crate::jobs::estimate;
use crate::jobs::progress::Progress;
use crate::jobs::stage::Stage;
use crate::jobs::strategy::{Networks, Notes, Search, Trainings, supernet};
use crate::jobs::task::Task;
use crate::search::evaluator::Relaxed;
use crate::search::trial::{History, Phase, Spent, Trial, TrialLine};
use crate::store::event::{self, Event, Found, StageResult};
use crate::units::Macs;

impl Leader<'_> {
    /// Searches to the end: behind it the journal has the genotypes of every budget.
    pub fn search(&mut self) -> Result<()> {
        let config = self.work.config;
        if config.search.strategy == Method::TwoStage {
            self.supernet()?;
        }
        match config.search.trials {
            Some(trials) => self.trials(trials),
            None => Ok(()),
        }
    }

    /// The supernet's search, and what it prefers.
    fn supernet(&mut self) -> Result<()> {
        if event::alpha(&self.log.events).is_some() {
            return Ok(());
        }
        let config = self.work.config;
        let (data, splits, seed, device, interrupt) =
            (self.work.data, self.work.splits, self.work.seed, self.work.device, self.work.interrupt);
        let mut supernet = estimate::supernet(config, data, splits, seed, device)?;
        let batch = config.search.batch;
        let loader = estimate::loader(config, data, &splits.weights, batch, seed.child("weights"), device);
        let probe_ids = &splits.arch[..config.search.probe.min(splits.arch.len())];
        let probe = estimate::loader(config, data, probe_ids, batch, seed.child("probe"), device);
        let (log, epochs) = (&mut self.log, config.search.epochs);
        let stage = Stage {
            task: Task::Search,
            loader: &loader,
            epochs,
            saver: Some(&mut self.saver),
            interrupt,
            observer: self.observer,
        };
        let stage = stage.run(&mut supernet, &mut |supernet, epochs, observer| {
            let epoch = epochs - 1;
            let report = supernet.report(epoch, &probe, seed.child("probe").index(u64::from(epoch)))?;
            observer.on(Progress::EpochDone(Box::new(report.clone())));
            // An epoch whose checkpoint was lost is done again and is in the journal already.
            if log.epochs() < epochs { log.append(Event::Stage(StageResult::SearchEpoch(report))) } else { Ok(()) }
        });
        stage.map_err(|why| match why {
            Error::NotFinite(reason) => Error::NotFinite(format!(
                "{reason}; the same command fails there again. Lower search.weights.lr, search.weights.clip or search.arch.lr \
                 (--set) and begin anew in another folder"
            )),
            other => other,
        })?;
        self.saver.keep(&Task::Search, epochs, &supernet)?;
        let held = supernet::held_out(config, data, splits, config.derive.images);
        self.observer.on(Progress::Note("selecting from the supernet".into()));
        let n = config.search.trials.map_or(config.derive.genotypes as usize, |trials| trials.pool.networks);
        let list = supernet::preferred(&mut supernet, config, &held, n, seed, interrupt)?;
        let (training, evaluation) = supernet::spent(&mut supernet, config, &loader, &held);
        let alpha = supernet.learned().alpha.0.clone();
        if let Some(trials) = config.search.trials {
            let held = supernet::held_out(config, data, splits, trials.pool.images);
            let mut evaluator = Relaxed { supernet: &mut supernet, loader: &held, attack: trials.objective };
            let notes = &mut RunNotes { log: &mut self.log, config, budget: None };
            supernet::score(&mut evaluator, &list, "scores in the supernet", notes, interrupt, self.observer)?;
        }
        let genotypes = list.iter().take(config.derive.genotypes as usize).map(ToString::to_string).collect();
        let spent = Some(Spent { trainings: 0.0, training, evaluation });
        self.log.append(Event::Stage(StageResult::Search { alpha, genotypes, spent }))?;
        self.saver.clear()
    }

    /// Trials at every budget.
    fn trials(&mut self, trials: Trials) -> Result<()> {
        if event::found(&self.log.events).is_some() {
            return Ok(());
        }
        let (config, seed) = (self.work.config, self.work.seed.child("trials"));
        let (data, splits, interrupt) = (self.work.data, self.work.splits, self.work.interrupt);
        let ids = splits.retrain();
        let trainings = Trainings { config, trials, data, splits, ids: &ids, seed, interrupt };
        let mut found = Vec::new();
        for budget in config.budgets.iter().copied() {
            let method = config.search.strategy;
            let mut search = Search {
                method,
                name: format!("{budget} {}", method.word()),
                seed: seed.child(&budget.0.to_string()),
                trainings: &trainings,
                networks: &Networks::new(config, data, budget),
                notes: &mut RunNotes { log: &mut self.log, config, budget: Some(budget) },
                unseen: &[],
                saver: &mut self.saver,
                observer: self.observer,
            };
            let tried = match method {
                Method::TwoStage => search.try_best(),
                Method::Random
                | Method::Evolution
                | Method::Local
                | Method::Halving
                | Method::Predictor
                | Method::SinglePath => search.run(),
            };
            let genotypes = match tried {
                Ok(history) => best(&history, config.derive.genotypes as usize),
                Err(Error::Impossible(why)) => {
                    self.observer.on(Progress::Warning(format!("{budget}: {why}")));
                    Vec::new()
                }
                Err(other) => return Err(other),
            };
            found.push(Found { budget, genotypes });
        }
        self.log.append(Event::Stage(StageResult::Trials(found)))?;
        self.saver.clear()
    }
}

/// The best genotypes of a search, each once.
fn best(history: &History<Genotype>, n: usize) -> Vec<String> {
    let mut best: Vec<String> = Vec::new();
    for trial in history.ranked() {
        let text = trial.proposal.arch.to_string();
        if best.len() < n && !best.contains(&text) {
            best.push(text);
        }
    }
    best
}

/// The lines of the trials at a budget, or of the supernet's scores, which are those of all budgets.
struct RunNotes<'a> {
    log: &'a mut Log,
    config: &'a Config,
    budget: Option<Macs>,
}

impl RunNotes<'_> {
    /// What lines of a phase say of the budget.
    fn at(&self, phase: Phase) -> Option<Macs> {
        match (phase, self.config.search.strategy) {
            (Phase::Score, Method::TwoStage) => None,
            _ => self.budget,
        }
    }
}

impl Notes for RunNotes<'_> {
    fn trials(&self, phase: Phase) -> Result<History<Genotype>> {
        History::of(event::trials(&self.log.events, self.at(phase)), phase)
    }

    fn keep(&mut self, phase: Phase, trial: &Trial<Genotype>) -> Result<()> {
        self.log.append(Event::Trial { budget: self.at(phase), trial: TrialLine::new(phase, trial) })
    }

    fn shared(&self) -> Option<Spent> {
        self.budget.and_then(|budget| event::shared(&self.log.events, budget))
    }

    fn keep_shared(&mut self, spent: Spent) -> Result<()> {
        let budget = self.budget.ok_or_else(|| Error::Internal("shared weights without a budget".into()))?;
        self.log.append(Event::Shared { budget, spent })
    }

    fn is_scored(&self, _: u32) -> bool {
        true
    }

    fn keep_score(&mut self, number: u32, _: Option<f64>) -> Result<()> {
        Err(Error::Internal(format!("a run has no network {number} that its search does not see")))
    }

    fn folder(&self) -> PathBuf {
        let name = self.budget.map_or_else(|| "supernet".to_owned(), |budget| budget.0.to_string());
        self.log.folder.path().join(SHARED).join(name)
    }
}
