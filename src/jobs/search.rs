//! A search: the order of its stages, each of which can be interrupted and taken up again.
//!
//! | stage | from | gives | left in the run folder |
//! |---|---|---|---|
//! | plan | configuration, data | what can be satisfied, with time and memory | - |
//! | search | supernet, data | architecture parameters | an event an epoch, `search` |
//! | candidates | parameters, budgets | networks | `archs/<id>/arch.json`, `genotype.txt` |
//! | train and evaluate | network, data | record | `weights.safetensors`, an event |
//! | test | ranked records | test numbers | an event, `eval.json` |
//! | rank | records | ranking, frontier | `ranked.json`, `frontier.json`, `frontier.svg`, `report.html` |
//!
//! Which image does what is the same in every run; everything else that is random is a child of the run's seed by a
//! fixed name. Every stage begins with what the journal and the last checkpoint say, so the outcome does not depend on when
//! and how often the process was killed.

use std::path::PathBuf;
use std::time::Duration;

use candle_core::Device;

use super::at::Noting;
use super::candidates::{self, Candidate};
use super::estimate::{self, Plan};
use super::interrupt::Interrupt;
use super::measure::{evaluate, sample};
use super::memory;
use super::page;
use super::progress::{Observer, Progress};
use super::speed::speed;
use super::stage::{Saver, Stage};
use super::task::Task;
use super::time::duration_words;
use crate::arch::file::ArchFile;
use crate::config::Config;
use crate::data::loader::Loader;
use crate::data::split::Splits;
use crate::data::{Dataset, Images, Source};
use crate::engine::Network;
use crate::error::{Error, Result};
use crate::model::layout::Layout;
use crate::model::weights;
use crate::rank::ineligible;
use crate::record::{Evaluation, FailureKind, Measurement, Outcome, Record, Sample, Training};
use crate::report::evaluated::Evaluated;
use crate::report::frontier::Frontier;
use crate::report::plot::plot;
use crate::report::protocol::Split;
use crate::report::ranked::Ranked;
use crate::search::distribution::Alpha;
use crate::seed::Seed;
use crate::store::event::{Event, StageResult, records};
use crate::store::history::History;
use crate::store::run::{Opened, RunAbout, RunDir, free_to_take};
use crate::train::trainee::Trainee;

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
    /// The most seconds that a run may be expected to take.
    pub longest: f64,
}

/// Runs a job to its end, or to the next interruption.
///
/// # Errors
/// [`Error::Stopped`] after a signal, with everything saved; [`Error::Impossible`] before anything is begun when a budget
/// cannot be met; whatever reading data or writing the run folder fails with. A candidate that fails is a record.
pub fn run(job: &Job, interrupt: &Interrupt, observer: &mut dyn Observer) -> Result<Ranked> {
    let observer = &mut Noting::new(observer);
    let idle = interrupt.idle()?;
    let begun = free_to_take(&job.out)?;
    if begun {
        // Damage is told before data are read.
        History::read(&job.out)?;
    }
    let source = Source::parse(&job.config.data)?;
    observer.on(Progress::Reading { source: source.to_string() });
    let data = source.load()?;
    let seed = Seed::root(job.config.seed);
    let splits = Splits::of(&data, &job.config.split)?;
    let about = RunAbout {
        seed: job.config.seed,
        data: source.to_string(),
        data_id: data.content_id(),
        argv: job.argv.clone(),
    };
    let plan = Plan::draw(&job.config, &data, &splits, &|| interrupt.check())?;
    let (seconds, too_long) = (plan.seconds(), !begun && plan.seconds() > job.longest);
    let disk_bytes = plan.disk_bytes;
    observer.on(Progress::Planned(Box::new(plan)));
    if too_long {
        let (words, longest) = (duration_words(seconds), duration_words(job.longest));
        let advice = "choose a smaller space or lower search.epochs, retrain.epochs and split.train, or give --yes";
        return Err(Error::Impossible(format!("about {words} in all, which is more than {longest}; {advice}")));
    }
    drop(idle);
    let text = job.config.to_toml()?;
    let data_id = about.data_id.clone();
    let (folder, opened) = RunDir::open(&job.out, &text, about, &|stored, _| {
        Ok(Config::stored(stored, &job.out.join("config.toml"))?.differences(&job.config))
    })?;
    crate::store::disk::ensure_free(&job.out, disk_bytes)?;
    let events = match opened {
        Opened::New => {
            observer.on(Progress::RunStarted { folder: job.out.clone() });
            Vec::new()
        }
        Opened::Resumed { events, warnings } => {
            warnings.into_iter().for_each(|warning| observer.on(Progress::Warning(warning)));
            observer.on(Progress::RunContinued { folder: job.out.clone() });
            events
        }
    };
    observer.write_to(&job.out);
    let device = Device::Cpu;
    let mut running = RunInProgress {
        config: &job.config,
        data: &data,
        data_id,
        splits: &splits,
        seed,
        device: &device,
        saver: Saver::new(folder.checkpoints()?, job.checkpoint_every),
        log: Log { folder, events },
        interrupt,
        observer,
    };
    let alpha = running.search()?;
    let (candidates, left_out) = candidates::derive(running.config, running.data, &alpha, running.seed)?;
    left_out.into_iter().for_each(|genotype| running.observer.on(Progress::LeftOut(genotype)));
    for candidate in &candidates {
        running.candidate(candidate)?;
    }
    running.test(&candidates)?;
    running.rank()
}

/// Files of an architecture.
const ARCH: &str = "arch.json";
const WEIGHTS: &str = "weights.safetensors";
const EVAL: &str = "eval.json";

/// The name of an architecture's file within the run.
fn in_arch(id: &str, name: &str) -> String {
    format!("archs/{id}/{name}")
}

/// A run at work.
struct RunInProgress<'a> {
    config: &'a Config,
    data: &'a Dataset,
    data_id: String,
    splits: &'a Splits,
    seed: Seed,
    device: &'a Device,
    saver: Saver,
    log: Log,
    interrupt: &'a Interrupt,
    observer: &'a mut dyn Observer,
}

/// The run's folder and what its journal says.
struct Log {
    folder: RunDir,
    events: Vec<Event>,
}

impl Log {
    fn append(&mut self, event: Event) -> Result<()> {
        self.folder.append(&event)?;
        self.events.push(event);
        Ok(())
    }

    fn records(&self) -> Vec<Record> {
        records(&self.events)
    }

    /// What the journal says of finished parts of the search.
    fn stages(&self) -> impl Iterator<Item = &StageResult> {
        self.events.iter().filter_map(|event| match event {
            Event::Stage(result) => Some(result),
            Event::Candidate { .. } | Event::Test { .. } => None,
        })
    }

    /// Finished epochs of the search.
    fn epochs(&self) -> u32 {
        self.stages().filter(|result| matches!(result, StageResult::SearchEpoch(_))).count() as u32
    }

    /// What the search ended with, if it has.
    fn alpha(&self) -> Option<Alpha> {
        self.stages().find_map(|result| match result {
            StageResult::Search { alpha } => Some(Alpha(alpha.clone())),
            StageResult::SearchEpoch(_) => None,
        })
    }
}

impl RunInProgress<'_> {
    /// The supernet's search: its architecture parameters.
    fn search(&mut self) -> Result<Alpha> {
        if let Some(alpha) = self.log.alpha() {
            return Ok(alpha);
        }
        let RunInProgress { config, data, splits, seed, device, .. } = *self;
        let mut supernet = estimate::supernet(config, data, splits, seed, device)?;
        let batch = config.search.batch;
        let loader = estimate::loader(config, data, &splits.weights, batch, seed.child("weights"), device);
        let probe_ids = &splits.arch[..config.search.probe.min(splits.arch.len())];
        let probe = estimate::loader(config, data, probe_ids, batch, seed.child("probe"), device);
        let log = &mut self.log;
        let stage = Stage {
            task: Task::Search,
            loader: &loader,
            epochs: config.search.epochs,
            saver: Some(&mut self.saver),
            interrupt: self.interrupt,
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
        let alpha = supernet.learned().alpha.clone();
        self.log.append(Event::Stage(StageResult::Search { alpha: alpha.0.clone() }))?;
        Ok(alpha)
    }

    /// Trains and evaluates a candidate, unless the journal has its record and its files are what was written. Files that
    /// are not are made anew, which gives the same bytes.
    fn candidate(&mut self, candidate: &Candidate) -> Result<()> {
        let file = ArchFile::new(
            &candidate.net,
            candidate.summary.clone(),
            candidate.genotype.clone(),
            candidate.skeleton.clone(),
        )?;
        let mut files = vec![(ARCH, file.to_json()?.into_bytes())];
        if let Some(genotype) = &candidate.genotype {
            files.push(("genotype.txt", format!("{genotype}\n").into_bytes()));
        }
        let lost = |(name, bytes): &(&str, Vec<u8>)| self.whole(&candidate.id, name).as_ref() != Some(bytes);
        let files: Vec<(&str, &[u8])> = files.iter().filter(|f| lost(f)).map(|(n, b)| (*n, &b[..])).collect();
        let known = self.log.records().into_iter().find(|r| candidate.is_of(r));
        if known.is_some() {
            files.iter().for_each(|(name, _)| self.made_anew(&candidate.id, name));
        }
        self.log.folder.write_arch(&candidate.id, &files)?;
        match known {
            Some(Record { outcome: Outcome::Failed { .. }, .. }) => Ok(()),
            Some(Record { outcome: Outcome::Ok { validation, .. }, .. }) => {
                if self.whole(&candidate.id, WEIGHTS).is_some() {
                    return Ok(());
                }
                self.made_anew(&candidate.id, WEIGHTS);
                match self.train_and_evaluate(candidate)? {
                    Outcome::Ok { validation: again, .. } if again == validation => Ok(()),
                    _ => Err(self.otherwise(&candidate.id)),
                }
            }
            None => {
                let outcome = match self.train_and_evaluate(candidate) {
                    Ok(outcome) => outcome,
                    Err(Error::NotFinite(reason)) => Outcome::Failed { kind: FailureKind::Nan, reason },
                    Err(Error::Net(reason)) => Outcome::Failed { kind: FailureKind::Invalid, reason },
                    Err(other) => return Err(other),
                };
                let record = candidate.record(file.cost, outcome);
                self.log.append(Event::Candidate { record: record.clone() })?;
                self.observer.on(Progress::CandidateDone(Box::new(record)));
                Ok(())
            }
        }
    }

    /// A file of an architecture, if it is what was written.
    fn whole(&self, id: &str, name: &str) -> Option<Vec<u8>> {
        self.log.folder.whole(&in_arch(id, name))
    }

    /// Says that a file is made anew.
    fn made_anew(&mut self, id: &str, name: &str) {
        let name = in_arch(id, name);
        self.observer.on(Progress::Warning(format!("{name} is missing or is not what was written; it is made anew")));
    }

    /// What is made anew and does not come out as before.
    fn otherwise(&self, id: &str) -> Error {
        let why = format!(
            "network {id} comes out otherwise than the journal says, which another version or another machine wrote; \
             restore its files from a copy, go on there, or begin anew in another folder"
        );
        Error::run(self.log.folder.path(), why)
    }

    fn train_and_evaluate(&mut self, candidate: &Candidate) -> Result<Outcome> {
        let RunInProgress { config, data, splits, device, .. } = *self;
        let seed = self.seed.child("train").child(&candidate.id);
        let need = Trainee::memory_of(&candidate.net, &config.retrain)?;
        if let Some(reason) = memory::shortage(need, "training") {
            return Ok(Outcome::Failed { kind: FailureKind::Oom, reason });
        }
        let network = Network::new(candidate.net.clone(), seed.child("init"), device)?;
        let mut trainee = Trainee::new(network, config.retrain.clone(), seed)?;
        let ids = splits.retrain();
        let loader = estimate::loader(config, data, &ids, config.retrain.batch, seed.child("data"), device);
        let stage = Stage {
            task: candidate.task(),
            loader: &loader,
            epochs: config.retrain.epochs,
            saver: Some(&mut self.saver),
            interrupt: self.interrupt,
            observer: self.observer,
        };
        stage.run(&mut trainee, &mut |_, _, _| Ok(()))?;
        let mut network = trainee.into_network()?;
        let validation = self.measure(&mut network, &data.train, &splits.validation, "validation")?.evaluation();
        self.keep(&candidate.id, WEIGHTS, &weights::encode(&network, Layout::Own)?)?;
        let training = Training {
            method: config.retrain.to_string(),
            epochs: config.retrain.epochs,
            samples: loader.ids.len() as u64,
            seed: config.seed,
        };
        let speed = if config.evaluate.time { Some(speed(&candidate.net, &config.retrain)?) } else { None };
        Ok(Outcome::Ok { training, validation, test: None, speed })
    }

    /// Writes a file of an architecture, which must be the one that was written before, if one was.
    fn keep(&mut self, id: &str, name: &str, bytes: &[u8]) -> Result<()> {
        if !self.log.folder.files().holds(&in_arch(id, name), bytes) {
            return Err(self.otherwise(id));
        }
        self.log.folder.write_arch(id, &[(name, bytes)])
    }

    fn measure(&self, network: &mut Network, images: &Images, ids: &[u32], split: &str) -> Result<Measurement> {
        let sample = sample(self.data, self.data_id.clone(), split, ids);
        self.same_images(&sample)?;
        let Config { evaluate: protocol, seed, .. } = self.config;
        let loader = Loader::new(images, self.data.image, ids, protocol.batch, self.seed, self.device);
        evaluate(network, &loader, protocol, sample, *seed, &mut || self.interrupt.check())
    }

    /// Holds a measurement to the images of those in the journal: an older version drew other ones from the run's seed.
    fn same_images(&self, sample: &Sample) -> Result<()> {
        let records = self.log.records();
        let before = records.iter().filter_map(|record| match &record.outcome {
            Outcome::Ok { validation, test, .. } => Some([Some(validation), test.as_ref()]),
            Outcome::Failed { .. } => None,
        });
        let mut before = before.flatten().flatten().map(|evaluation| &evaluation.sample);
        match before.find(|other| other.split == sample.split && other.index_id != sample.index_id) {
            None => Ok(()),
            Some(other) => Err(Error::run(
                self.log.folder.path(),
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
        let records = self.log.records();
        let todo: Vec<(&Candidate, Option<&Evaluation>)> = candidates
            .iter()
            .filter_map(|candidate| {
                let record = records.iter().find(|r| candidate.is_of(r)).filter(|r| ineligible(r).is_none())?;
                let Outcome::Ok { test, .. } = &record.outcome else { return None };
                let done = test.is_some() && self.whole(&candidate.id, EVAL).is_some();
                (!done).then_some((candidate, test.as_ref()))
            })
            .collect();
        self.observer.on(Progress::TaskStarted { task: Task::Test, done: 0, steps: todo.len() as u64 });
        let tested = todo.into_iter().try_for_each(|(candidate, known)| self.test_one(candidate, known));
        self.observer.on(Progress::TaskDone { task: Task::Test });
        tested
    }

    /// Measures a candidate on the test images. Where its result is known, the file that has its details is made anew.
    fn test_one(&mut self, candidate: &Candidate, known: Option<&Evaluation>) -> Result<()> {
        let arch = candidate.id.clone();
        if known.is_some() {
            self.made_anew(&arch, EVAL);
        }
        let mut network = Network::new(candidate.net.clone(), Seed::root(0), self.device)?;
        weights::load(&mut network, &self.log.folder.path().join(in_arch(&arch, WEIGHTS)))?;
        let measured = match self.measure(&mut network, &self.data.test, &self.splits.test, "test") {
            // It keeps its place, which the validation images gave it, and has no test numbers.
            Err(Error::NotFinite(reason)) => {
                self.observer.on(Progress::NotTested { arch, reason });
                return Ok(());
            }
            other => other?,
        };
        let evaluation = measured.evaluation();
        if known.is_some_and(|known| *known != evaluation) {
            return Err(self.otherwise(&arch));
        }
        self.keep(&arch, EVAL, &Evaluated::new(&measured).to_json()?)?;
        if known.is_some() {
            return Ok(());
        }
        self.log.append(Event::Test {
            arch: arch.clone(),
            origin: candidate.origin.clone(),
            budget: candidate.budget,
            evaluation: evaluation.clone(),
        })?;
        self.observer.on(Progress::Tested { arch, evaluation: Box::new(evaluation) });
        Ok(())
    }

    /// Writes the run's answer.
    fn rank(&mut self) -> Result<Ranked> {
        let ranked = Ranked::new(self.config.seed, &self.log.records())?;
        self.log.folder.write_output("ranked.json", &ranked.to_json()?)?;
        let frontier = Frontier::combine(&[(&self.config.name, &ranked)], Split::Test)?;
        self.log.folder.write_output("frontier.json", &frontier.to_json()?)?;
        self.log.folder.write_output("frontier.svg", plot(&frontier)?.as_bytes())?;
        let page = page::page(&[self.log.folder.path()], Split::Test)?;
        self.log.folder.write_output("report.html", page.as_bytes())?;
        self.saver.clear()?;
        Ok(ranked)
    }
}
