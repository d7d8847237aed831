//! What is done for one network of a run, by the process that leads it or by one that helps. It depends on the run's
//! configuration, seed and images alone, so that it does not matter who does it.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use candle_core::Device;
use serde::{Deserialize, Serialize};

use super::job::Job;
use crate::arch::file::short;
use crate::config::Config;
use crate::data::loader::Loader;
use crate::data::split::Splits;
use crate::data::{Dataset, Images};
use crate::engine::Network;
use crate::error::{Error, Result};
use crate::jobs::candidates::Candidate;
use crate::jobs::estimate;
use crate::jobs::interrupt::Interrupt;
use crate::jobs::measure::{evaluate, sample};
use crate::jobs::memory::Needs;
use crate::jobs::progress::{Observer, Progress};
use crate::jobs::speed::speed;
use crate::jobs::stage::{Saver, Stage};
use crate::model::layout::Layout;
use crate::model::weights;
use crate::record::{Evaluation, FailureKind, Measurement, Outcome, Sample, Training};
use crate::report::evaluated::Evaluated;
use crate::seed::Seed;
use crate::store::held::Held;
use crate::train::trainee::Trainee;

pub(super) const WEIGHTS: &str = "weights.safetensors";
pub(super) const EVAL: &str = "eval.json";
/// Where weights are kept that networks share, until the run is over.
pub(super) const SHARED: &str = "shared";

/// The name of an architecture's file within the run.
pub(super) fn in_arch(id: &str, name: &str) -> String {
    format!("archs/{id}/{name}")
}

/// A part of a run that any of its workers can take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// A candidate's training and its evaluation on the validation images.
    Train,
    /// Its evaluation on the test images.
    Test,
}

impl Part {
    /// The name of the task: that of the candidate at this place in the list of all.
    pub fn task(self, at: usize, candidate: &Candidate) -> String {
        format!("{self}-{at:03}-{}", short(&candidate.id))
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Part::Train => "train",
            Part::Test => "test",
        })
    }
}

/// What came out of a part.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Done {
    /// A training, with the weights in a file where it came to its end.
    Trained(Box<Outcome>),
    /// An evaluation on the test images, with its details in a file.
    Tested(Evaluation),
    /// Why there is none.
    NotTested(String),
}

/// What every process has that works at a run.
pub(super) struct Work<'a> {
    pub run: &'a Path,
    pub config: &'a Config,
    pub data: &'a Dataset,
    pub data_id: String,
    pub splits: &'a Splits,
    pub seed: Seed,
    pub device: &'a Device,
    pub interrupt: &'a Interrupt,
    pub checkpoint_every: Duration,
}

impl<'a> Work<'a> {
    /// That of a job whose images were read.
    pub fn new(
        job: &'a Job,
        (data, data_id): (&'a Dataset, String),
        splits: &'a Splits,
        interrupt: &'a Interrupt,
    ) -> Self {
        Work {
            run: &job.out,
            config: &job.config,
            data,
            data_id,
            splits,
            seed: Seed::root(job.config.seed),
            device: &Device::Cpu,
            interrupt,
            checkpoint_every: job.checkpoint_every,
        }
    }

    /// Does a part and keeps what came out with its task.
    pub fn perform(
        &self,
        part: Part,
        candidate: &Candidate,
        held: &Arc<Held>,
        observer: &mut dyn Observer,
    ) -> Result<()> {
        match part {
            Part::Train => match self.train(candidate, held, observer) {
                Ok((outcome, bytes)) => held.finish(&Done::Trained(Box::new(outcome)), &[(WEIGHTS, &bytes)]),
                Err(Error::NotFinite(reason)) => self.failed(held, FailureKind::Nan, reason),
                Err(Error::Net(reason)) => self.failed(held, FailureKind::Invalid, reason),
                Err(other) => Err(other),
            },
            Part::Test => match self.test(candidate) {
                Ok(measured) => {
                    let details = Evaluated::new(&measured).to_json()?;
                    held.finish(&Done::Tested(measured.evaluation()), &[(EVAL, &details)])
                }
                // It keeps its place, which the validation images gave it, and has no test numbers.
                Err(Error::NotFinite(reason)) => held.finish(&Done::NotTested(reason), &[]),
                Err(other) => Err(other),
            },
        }
    }

    /// Keeps that a training failed.
    pub fn failed(&self, held: &Held, kind: FailureKind, reason: String) -> Result<()> {
        held.finish(&Done::Trained(Box::new(Outcome::Failed { kind, reason })), &[])
    }

    /// Why this machine has not the memory for a part of a candidate, if it has not.
    pub fn shortage(&self, part: Part, candidate: &Candidate) -> Result<Option<String>> {
        let needs = Needs::of(&candidate.net, &self.config.retrain, &self.config.evaluate)?;
        Ok(match part {
            Part::Train => needs.shortage(),
            Part::Test => needs.shortage_of_evaluation(),
        })
    }

    /// Trains a candidate and evaluates it on the validation images; its outcome and its weights.
    fn train(
        &self,
        candidate: &Candidate,
        held: &Arc<Held>,
        observer: &mut dyn Observer,
    ) -> Result<(Outcome, Vec<u8>)> {
        let Work { config, data, splits, device, .. } = *self;
        let seed = self.seed.child("train").child(&candidate.id);
        let network = Network::new(candidate.net.clone(), seed.child("init"), device)?;
        let mut trainee = Trainee::new(network, config.retrain.clone(), seed)?;
        let ids = splits.retrain();
        let loader = estimate::loader(config, data, &ids, config.retrain.batch, seed.child("data"), device);
        let mut saver = Saver::new(held.checkpoints()?, self.checkpoint_every);
        let stage = Stage {
            task: candidate.task(),
            loader: &loader,
            epochs: config.retrain.epochs,
            saver: Some(&mut saver),
            interrupt: self.interrupt,
            observer,
        };
        stage.run(&mut trainee, &mut |trainee, _, _| {
            trainee.end_epoch();
            Ok(())
        })?;
        let losses = trainee.losses().to_vec();
        let mut network = trainee.into_network()?;
        let validation = self.measure(&mut network, Part::Train)?.evaluation();
        let bytes = weights::encode(&network, Layout::Own)?;
        let training = Training {
            method: config.retrain.to_string(),
            epochs: config.retrain.epochs,
            samples: loader.ids.len() as u64,
            seed: config.seed,
            losses,
        };
        let speed = if config.evaluate.time { Some(speed(&candidate.net, &config.retrain)?) } else { None };
        Ok((Outcome::Ok { training, validation, test: None, speed }, bytes))
    }

    /// Measures a candidate that the run has trained on the test images.
    fn test(&self, candidate: &Candidate) -> Result<Measurement> {
        let mut network = Network::new(candidate.net.clone(), Seed::root(0), self.device)?;
        weights::load(&mut network, &self.run.join(in_arch(&candidate.id, WEIGHTS)))?;
        self.measure(&mut network, Part::Test)
    }

    /// The images that a part measures: among which, which of them, and what they are called.
    fn measured(&self, part: Part) -> (&Images, &[u32], &'static str) {
        match part {
            Part::Train => (&self.data.train, &self.splits.validation, "validation"),
            Part::Test => (&self.data.test, &self.splits.test, "test"),
        }
    }

    /// Which images a part measures, as results name them.
    pub fn sample(&self, part: Part) -> Sample {
        let (_, ids, split) = self.measured(part);
        sample(self.data, self.data_id.clone(), split, ids)
    }

    fn measure(&self, network: &mut Network, part: Part) -> Result<Measurement> {
        let Config { evaluate: protocol, seed, .. } = self.config;
        let (images, ids, _) = self.measured(part);
        let loader = Loader::new(images, self.data.image, ids, protocol.batch, self.seed, self.device);
        evaluate(network, &loader, protocol, self.sample(part), *seed, &mut || self.interrupt.check())
    }
}

/// What came of work at a task: that it was taken over meanwhile is no fault, and its result is somebody else's.
pub(super) fn unless_lost(done: Result<()>, held: &Held, observer: &mut dyn Observer) -> Result<()> {
    match done {
        Err(why) if held.is_lost() => {
            observer.on(Progress::Warning(why.to_string()));
            Ok(())
        }
        other => other,
    }
}
