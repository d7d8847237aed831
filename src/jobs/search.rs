//! A search: the order of its stages, each of which can be interrupted and taken up again.
//!
//! | stage | from | gives | left in the run folder |
//! |---|---|---|---|
//! | plan | configuration, data | what can be satisfied, with time and memory | - |
//! | search | supernet, data | architecture parameters | an event an epoch, `search` |
//! | candidates | parameters, budgets | networks | `archs/<id>/arch.json`, `genotype.txt` |
//! | train and evaluate | network, data | record | `weights.safetensors`, an event |
//! | test | ranked records | test numbers | an event, `eval.json` |
//! | rank | records | ranking, frontier | `ranked.json`, `frontier.json`, `frontier.svg` |
//!
//! Which image does what is the same in every run; everything else that is random is a child of the run's seed by a
//! fixed name. Every stage begins with what the journal and the last checkpoint say, so the outcome does not depend on when
//! and how often the process was killed.

use std::path::{Path, PathBuf};
use std::time::Duration;

use candle_core::{Device, Tensor};
use serde_json::json;

use super::candidates::{self, Candidate};
use super::estimate::{self, Plan};
use super::interrupt::Interrupt;
use super::measure::evaluate;
use super::memory;
use super::progress::Progress;
use super::stage::{self, Saver, Stage};
use crate::arch::file::ArchFile;
use crate::config::Config;
use crate::data::loader::Loader;
use crate::data::split::{Splits, index_id};
use crate::data::{Dataset, Source};
use crate::engine::Network;
use crate::error::{Error, Result};
use crate::model::layout::Layout;
use crate::model::weights;
use crate::rank::ineligible;
use crate::record::{Evaluation, FailureKind, Outcome, Record, Sample, SearchEpoch, Training};
use crate::report::frontier::Frontier;
use crate::report::plot::plot;
use crate::report::protocol::Split;
use crate::report::ranked::Ranked;
use crate::search::distribution::Alpha;
use crate::search::learner::{SearchState, Supernet};
use crate::seed::Seed;
use crate::store::event::{Event, StageResult, records};
use crate::store::run::{Opened, RunAbout, RunDir};
use crate::train::fit::{Position, fit};
use crate::train::retrain::Trainee;

/// What the user asked for.
pub struct Job {
    /// The resolved configuration.
    pub config: Config,
    /// The run folder.
    pub out: PathBuf,
    /// The command line, kept for people.
    pub argv: Vec<String>,
    /// Time between checkpoints; has no influence on the outcome.
    pub checkpoint_every: Duration,
}

/// Runs a job to its end, or to the next interruption.
///
/// # Errors
/// [`Error::Stopped`] after a signal, with everything saved; [`Error::Impossible`] before anything is begun when a budget
/// cannot be met; whatever reading data or writing the run folder fails with. A candidate that fails is a record.
pub fn run(job: &Job, interrupt: &Interrupt, progress: &mut dyn Progress) -> Result<Ranked> {
    let source = Source::parse(&job.config.data)?;
    progress.note(&format!("reading {source}"));
    let data = source.load()?;
    let seed = Seed::root(job.config.seed);
    let splits = Splits::of(&data, &job.config.split)?;
    let about = RunAbout {
        seed: job.config.seed,
        data: source.to_string(),
        data_id: data.content_id(),
        argv: job.argv.clone(),
    };
    let plan = Plan::draw(&job.config, &data, &splits)?;
    progress.note(&plan.to_string());
    let text = job.config.to_toml()?;
    let data_id = about.data_id.clone();
    let (folder, opened) = RunDir::open(&job.out, &text, about, &|stored, given| {
        let read = |text: &str| Config::from_toml(text, Path::new("config.toml"), &[]);
        Ok(read(stored)?.differences(&read(given)?))
    })?;
    crate::store::disk::ensure_free(&job.out, plan.disk_bytes)?;
    let events = match opened {
        Opened::New => {
            progress.note(&format!("new run in {}", job.out.display()));
            Vec::new()
        }
        Opened::Resumed { events, warnings } => {
            for warning in &warnings {
                progress.note(&format!("warning: {warning}"));
            }
            progress.note(&format!("continuing the run in {}", job.out.display()));
            events
        }
    };
    let device = Device::Cpu;
    let mut running = RunInProgress {
        config: &job.config,
        data: &data,
        data_word: data.name.clone(),
        data_id,
        splits: &splits,
        seed,
        device: &device,
        saver: Saver::new(folder.checkpoints()?, job.checkpoint_every),
        folder,
        events,
        interrupt,
        progress,
    };
    let alpha = running.search()?;
    let (candidates, left_out) = candidates::derive(running.config, running.data, &alpha, running.seed)?;
    for line in &left_out {
        running.progress.note(line);
    }
    for candidate in &candidates {
        running.candidate(candidate)?;
    }
    running.test(&candidates)?;
    running.rank()
}

/// A run at work.
struct RunInProgress<'a> {
    config: &'a Config,
    data: &'a Dataset,
    data_word: String,
    data_id: String,
    splits: &'a Splits,
    seed: Seed,
    device: &'a Device,
    saver: Saver,
    folder: RunDir,
    events: Vec<Event>,
    interrupt: &'a Interrupt,
    progress: &'a mut dyn Progress,
}

impl RunInProgress<'_> {
    fn append(&mut self, event: Event) -> Result<()> {
        self.folder.append(&event)?;
        self.events.push(event);
        Ok(())
    }

    /// What the journal says of finished parts of the search.
    fn stages(&self) -> impl Iterator<Item = &StageResult> {
        self.events.iter().filter_map(|event| match event {
            Event::Stage(result) => Some(result),
            Event::Candidate { .. } | Event::Test { .. } => None,
        })
    }

    fn journaled_epochs(&self) -> u32 {
        self.stages().filter(|result| matches!(result, StageResult::SearchEpoch(_))).count() as u32
    }

    /// The supernet's search: its architecture parameters.
    fn search(&mut self) -> Result<Alpha> {
        let found = self.stages().find_map(|result| match result {
            StageResult::Search { alpha } => Some(Alpha(alpha.clone())),
            StageResult::SearchEpoch(_) => None,
        });
        if let Some(alpha) = found {
            return Ok(alpha);
        }
        let config = self.config;
        let mut supernet = estimate::supernet(config, self.data, self.splits, self.seed, self.device)?;
        let loader = estimate::loader(
            config,
            self.data,
            &self.splits.weights,
            config.search.batch,
            self.seed.child("weights"),
            self.device,
        );
        let probe_ids = &self.splits.arch[..config.search.probe.min(self.splits.arch.len())];
        let probe =
            estimate::loader(config, self.data, probe_ids, config.search.batch, self.seed.child("probe"), self.device);
        let mut from = Position::default();
        if let Some((meta, tensors)) = self.saver.load(&Stage::Search, self.progress)? {
            let state: SearchState = stage::read(&meta, "search")?;
            from = stage::read(&meta, "position")?;
            let [network, momentum] = &tensors[..] else { return Err(stage::foreign("two tensors")) };
            supernet.restore(state, network, momentum.clone())?;
        }
        let steps = loader.steps() as u64;
        let total = steps * u64::from(config.search.epochs);
        self.progress.begin("search", steps * u64::from(from.epoch) + from.step as u64, total);
        let this = &mut *self;
        fit(&mut supernet, &loader, config.search.epochs, from, &mut |supernet: &mut Supernet<'_>, at, loss| {
            this.progress.step(&format!("epoch {} stage {} loss {loss:.3}", at.epoch + 1, supernet.stage(at.epoch)));
            if at.step == 0 {
                let epoch = at.epoch - 1;
                let seed = this.seed.child("probe").index(u64::from(epoch));
                let report = supernet.report(epoch, &probe, seed)?;
                this.progress.note(&epoch_line(&report));
                if this.journaled_epochs() < at.epoch {
                    this.append(Event::Stage(StageResult::SearchEpoch(report)))?;
                }
            }
            this.pause(&Stage::Search, |meta| {
                let (state, network, momentum) = supernet.save();
                meta.insert("search".into(), json!(state));
                meta.insert("position".into(), json!(at));
                vec![("network", network.clone()), ("momentum", momentum.clone())]
            })
        })?;
        this.progress.end();
        let alpha = supernet.save().0.alpha.clone();
        this.append(Event::Stage(StageResult::Search { alpha: alpha.0.clone() }))?;
        Ok(alpha)
    }

    /// Between two steps: saves when it is time to, stops when asked to.
    fn pause(
        &mut self,
        stage: &Stage,
        snapshot: impl FnOnce(&mut serde_json::Map<String, serde_json::Value>) -> Vec<(&'static str, Tensor)>,
    ) -> Result<()> {
        // Asked once: a signal that comes while this is decided waits for the next step, which saves first.
        let go_on = self.interrupt.check();
        if go_on.is_err() || self.saver.is_due() {
            self.saver.save(stage, snapshot)?;
        }
        go_on
    }

    /// Trains and evaluates a candidate, unless the journal has its record.
    fn candidate(&mut self, candidate: &Candidate) -> Result<()> {
        if records(&self.events).iter().any(|r| candidate.is_of(r)) {
            return Ok(());
        }
        let file = ArchFile::new(
            &candidate.net,
            candidate.summary.clone(),
            candidate.genotype.clone(),
            candidate.skeleton.clone(),
        )?;
        let mut files = vec![("arch.json", file.to_json()?.into_bytes())];
        if let Some(genotype) = &candidate.genotype {
            files.push(("genotype.txt", format!("{genotype}\n").into_bytes()));
        }
        let files: Vec<(&str, &[u8])> = files.iter().map(|(n, b)| (*n, &b[..])).collect();
        self.folder.write_arch(&candidate.id, &files)?;
        let outcome = match self.train_and_evaluate(candidate) {
            Ok(outcome) => outcome,
            Err(Error::NotFinite(reason)) => Outcome::Failed { kind: FailureKind::Nan, reason },
            Err(Error::Net(reason)) => Outcome::Failed { kind: FailureKind::Invalid, reason },
            Err(other) => return Err(other),
        };
        if let Outcome::Failed { reason, .. } = &outcome {
            self.progress.note(&format!("{} failed: {reason}", candidate.id));
        }
        let record = candidate.record(file.cost, outcome);
        self.append(Event::Candidate { record })
    }

    fn train_and_evaluate(&mut self, candidate: &Candidate) -> Result<Outcome> {
        let config = self.config;
        let stage =
            Stage::Train { arch: candidate.id.clone(), budget: candidate.budget, origin: candidate.origin.clone() };
        let seed = self.seed.child("train").child(&candidate.id);
        let network = Network::new(candidate.net.clone(), seed.child("init"), self.device)?;
        let mut trainee = Trainee::new(network, config.retrain)?;
        if let Some(reason) = memory::shortage(trainee.memory()?) {
            return Ok(Outcome::Failed { kind: FailureKind::Oom, reason });
        }
        let ids = self.splits.retrain();
        let loader = estimate::loader(config, self.data, &ids, config.retrain.batch, seed.child("data"), self.device);
        let mut from = Position::default();
        if let Some((meta, tensors)) = self.saver.load(&stage, self.progress)? {
            from = stage::read(&meta, "position")?;
            let [network, momentum] = &tensors[..] else { return Err(stage::foreign("two tensors")) };
            trainee.restore(network, momentum.clone())?;
        }
        let steps = loader.steps() as u64;
        let total = steps * u64::from(config.retrain.epochs);
        let name = format!("{} {} {}", candidate.budget, candidate.origin.word(), &candidate.id[..8]);
        self.progress.begin(&name, steps * u64::from(from.epoch) + from.step as u64, total);
        let this = &mut *self;
        fit(&mut trainee, &loader, config.retrain.epochs, from, &mut |trainee: &mut Trainee, at, loss| {
            this.progress.step(&format!("loss {loss:.3}"));
            this.pause(&stage, |meta| {
                let (network, momentum) = trainee.save();
                meta.insert("position".into(), json!(at));
                vec![("network", network.clone()), ("momentum", momentum.clone())]
            })
        })?;
        this.progress.end();
        let mut network = trainee.into_network();
        let ids = &self.splits.validation;
        let validation = self.measure(&mut network, &self.data.train, ids, "validation")?;
        self.progress.note(&format!(
            "{name}: clean {} robust {} on {} validation images",
            validation.clean, validation.robust, validation.clean.total
        ));
        self.folder.write_arch(&candidate.id, &[("weights.safetensors", &weights::encode(&network, Layout::Own)?)])?;
        let training = Training {
            method: config.retrain.method.to_string(),
            epochs: config.retrain.epochs,
            samples: loader.ids.len() as u64,
            seed: config.seed,
        };
        Ok(Outcome::Ok { training, validation, test: None })
    }

    fn measure(
        &mut self,
        network: &mut Network,
        images: &crate::data::Images,
        ids: &[u32],
        split: &str,
    ) -> Result<Evaluation> {
        let sample = Sample {
            data: self.data_word.clone(),
            data_id: self.data_id.clone(),
            split: split.to_owned(),
            n: ids.len() as u64,
            index_id: index_id(ids),
        };
        self.same_images(&sample)?;
        let batch = self.config.evaluate.batch;
        let loader = Loader::new(images, self.data.image, ids, batch, self.seed, self.device);
        let interrupt = self.interrupt;
        evaluate(network, &loader, &self.config.evaluate, sample, self.config.seed, &mut || interrupt.check())
    }

    /// Holds a measurement to the images of those in the journal: an older version drew other ones from the run's seed.
    fn same_images(&self, sample: &Sample) -> Result<()> {
        let records = records(&self.events);
        let before = records.iter().filter_map(|record| match &record.outcome {
            Outcome::Ok { validation, test, .. } => Some([Some(validation), test.as_ref()]),
            Outcome::Failed { .. } => None,
        });
        let mut before = before.flatten().flatten().map(|evaluation| &evaluation.sample);
        match before.find(|other| other.split == sample.split && other.index_id != sample.index_id) {
            None => Ok(()),
            Some(other) => Err(Error::run(
                self.folder.path(),
                format!(
                    "holds results on other {} images (indices {}) than this version measures ({}), and both cannot stand \
                     in one ranking; finish the run with the version that began it, or begin it anew in another folder",
                    sample.split, other.index_id, sample.index_id
                ),
            )),
        }
    }

    /// The final table's numbers: every ranked candidate once on the test images.
    fn test(&mut self, candidates: &[Candidate]) -> Result<()> {
        let untested: Vec<Record> = records(&self.events)
            .into_iter()
            .filter(|r| ineligible(r).is_none() && matches!(r.outcome, Outcome::Ok { test: None, .. }))
            .collect();
        let todo: Vec<&Candidate> = candidates.iter().filter(|c| untested.iter().any(|r| c.is_of(r))).collect();
        self.progress.begin("test", 0, todo.len() as u64);
        for candidate in todo {
            let mut network = Network::new(candidate.net.clone(), self.seed, self.device)?;
            let folder = self.folder.path().join("archs").join(&candidate.id);
            weights::load(&mut network, &folder.join("weights.safetensors"))?;
            let evaluation = match self.measure(&mut network, &self.data.test, &self.splits.test, "test") {
                // It keeps its place, which the validation images gave it, and has no test numbers.
                Err(Error::NotFinite(reason)) => {
                    self.progress.note(&format!("{} has no test numbers: {reason}", candidate.id));
                    continue;
                }
                other => other?,
            };
            let mut bytes = serde_json::to_vec_pretty(&evaluation).map_err(stage::unwritable)?;
            bytes.push(b'\n');
            self.folder.write_arch(&candidate.id, &[("eval.json", &bytes)])?;
            self.append(Event::Test {
                arch: candidate.id.clone(),
                origin: candidate.origin.clone(),
                budget: candidate.budget,
                evaluation,
            })?;
            self.progress.step(&candidate.id);
        }
        self.progress.end();
        Ok(())
    }

    /// Writes the run's answer.
    fn rank(&mut self) -> Result<Ranked> {
        let ranked = Ranked::new(self.config.seed, &records(&self.events))?;
        self.folder.write_output("ranked.json", &ranked.to_json()?)?;
        let frontier = Frontier::combine(&[(&self.config.name, &ranked)], Split::Test)?;
        self.folder.write_output("frontier.json", &frontier.to_json()?)?;
        self.folder.write_output("frontier.svg", plot(&frontier)?.as_bytes())?;
        self.saver.clear()?;
        Ok(ranked)
    }
}

fn epoch_line(report: &SearchEpoch) -> String {
    let of = |v: Option<f64>| v.map_or("-".into(), |v| format!("{v:.3}"));
    let cells: Vec<String> = report
        .cells
        .iter()
        .map(|c| {
            let entropy = c.entropy.iter().sum::<f64>() / c.entropy.len().max(1) as f64;
            format!("{} entropy {entropy:.3} skips {:.0}%", c.kind, 100.0 * c.skip_share)
        })
        .collect();
    let moved = report.alpha_moved.zip(report.random_walk);
    let moved =
        moved.map_or("-".into(), |(moved, walk)| format!("{moved:.4} (a random walk would by about {walk:.4})"));
    format!(
        "epoch {} stage {}: weights {:.3} natural {} adversarial {} gamma {} clean {} pgd {} alpha moved by {moved} | {}",
        report.epoch,
        report.stage,
        report.weight_loss,
        of(report.natural_loss),
        of(report.adversarial_loss),
        of(report.gamma),
        report.clean,
        report.adversarial,
        cells.join(", ")
    )
}
