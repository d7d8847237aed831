//! The training of one network by one recipe, which can be stopped at any step and taken up again.
//!
//! ```text
//! OUT/train.json           what is trained, by what, on what: another training is refused
//! OUT/arch.json            the network
//! OUT/journal.jsonl        a line an epoch: the only source of truth
//! OUT/weights.safetensors  the best epoch's weights, by held-out training images under attack
//! OUT/last.safetensors     the last epoch's
//! OUT/curves.csv, .svg     the epochs
//! OUT/events.out.tfevents.* the same for TensorBoard, on request
//! OUT/checkpoint/          the last two states while it works
//! ```

use std::path::{Path, PathBuf};
use std::time::Duration;

use candle_core::Device;
use serde_json::json;

use super::stage::{Saver, Stage};
use super::{Interrupt, Observer, Progress, Task, memory};
use crate::arch::file::{ArchFile, id_of};
use crate::attack::Target;
use crate::attack::suite::Suite;
use crate::config::train::{Guard, Reaction, Train};
use crate::data::Dataset;
use crate::data::batch::Augment;
use crate::data::loader::Loader;
use crate::data::split::{Splits, index_id};
use crate::engine::Network;
use crate::error::{Error, IoContext, Result};
use crate::model::layout::Layout;
use crate::model::{Model, weights};
use crate::report::training::{EpochRecord, Event, TrainingReport, best};
use crate::seed::Seed;
use crate::store::folder::Folder;
use crate::threat::{Attack, AttackPlan};
use crate::train::fit::Position;
use crate::train::trainee::{Epoch, Trainee, fitted};
use crate::units::Tally;

/// What says what a folder is about.
const ABOUT: &str = "train.json";
/// The weights that are kept.
const BEST: &str = "weights.safetensors";
/// The curves for TensorBoard, which looks for such names.
const EVENTS: &str = "events.out.tfevents.0.robustnas";

/// What the user asked for.
#[derive(Clone)]
pub struct Job {
    /// The network: any name that `cost` takes.
    pub net: String,
    /// The file of the weights to start from; fresh ones without it, or those of a `model.onnx`.
    pub weights: Option<PathBuf>,
    /// Where the images are, in words.
    pub data: String,
    /// How it is trained and watched.
    pub config: Train,
    /// The seed of fresh weights, order, augmentation, attacks and everything else but the division of the images.
    pub seed: u64,
    /// The folder.
    pub out: PathBuf,
    /// Time between checkpoints; has no influence on the outcome.
    pub checkpoint_every: Duration,
    /// Whether the curves are written for TensorBoard, too.
    pub tensorboard: bool,
}

/// Trains to the end, or to the next interruption. A training that fails by numbers that are none is an outcome.
///
/// # Errors
/// [`Error::Stopped`] after a signal, with everything saved; [`Error::Impossible`] where memory does not suffice;
/// whatever reading the network or writing the folder fails with.
pub fn run(job: &Job, data: &Dataset, interrupt: &Interrupt, observer: &mut dyn Observer) -> Result<TrainingReport> {
    let idle = interrupt.idle()?;
    let splits = Splits::of(data, &job.config.split.split())?;
    let seed = Seed::root(job.seed).child("train");
    let (file, network) = load(job, data, seed)?;
    let recipe = &job.config.recipe;
    let about = json!({
        "schema_version": 1,
        "seed": job.seed,
        "net": job.net,
        "arch": id_of(network.net())?,
        "weights": weights::id_of(&network)?,
        "data": data.name,
        "data_id": data.content_id(),
        "trained_on": index_id(&splits.weights),
        "held_out": index_id(&splits.validation),
        "recipe": recipe,
        "split": job.config.split,
        "watch": job.config.watch,
        "guard": job.config.guard,
    });
    drop(idle);
    let (mut folder, events, warning) = Folder::open(&job.out, "training", ABOUT, &about)?;
    warning.into_iter().for_each(|warning| observer.on(Progress::Warning(warning)));
    folder.write_bytes("arch.json", file.to_json()?.as_bytes())?;
    let mut trainee = Trainee::new(network, recipe.clone(), seed)?;
    if job.config.guard.is_some_and(|guard| guard.reaction != Reaction::Stop) {
        trainee.remember()?;
    }
    if let Some(reason) = memory::shortage(trainee.memory()?, "training") {
        return Err(Error::Impossible(format!("{reason}; lower train.batch")));
    }
    let mut saver = Saver::new(folder.checkpoints()?, job.checkpoint_every);
    let mut log = Log { out: &job.out, folder, events };
    if !log.is_over() {
        let crate::config::population::Images { crop_pad, flip, .. } = job.config.split;
        let (ids, device) = (&splits.weights, Device::Cpu);
        let loader = Loader::new(&data.train, data.image, ids, recipe.batch, seed.child("data"), &device)
            .augmented(Augment { crop_pad, flip });
        let mut following = Following { steps: loader.steps() as u64, next: Position::default(), observer };
        let watch = Watch { job, data, ids: &splits.validation, seed: seed.child("watch") };
        let stage = Stage {
            task: Task::Network,
            loader: &loader,
            epochs: recipe.epochs,
            saver: Some(&mut saver),
            interrupt,
            observer: &mut following,
        };
        let mut collapsed = false;
        let trained = stage.run(&mut trainee, &mut |trainee, epoch, observer| {
            log.end_epoch(trainee, &watch, epoch, observer)?;
            collapsed = log.guard(trainee, job.config.guard, epoch, observer)?;
            if collapsed { Err(Error::Stopped { signal: "the guard" }) } else { Ok(()) }
        });
        match trained {
            Err(Error::NotFinite(reason)) => {
                let Position { epoch, step } = following.next;
                log.append(Event::Diverged { epoch, step: step as u64, reason })?;
            }
            Err(Error::Stopped { .. }) if collapsed => log.finish(&mut trainee)?,
            Ok(()) => log.finish(&mut trainee)?,
            Err(other) => return Err(other),
        }
    }
    let report = log.report(job, data, &splits);
    log.folder.write_bytes("curves.csv", report.csv().as_bytes())?;
    log.folder.write_bytes("curves.svg", report.svg().as_bytes())?;
    if job.tensorboard {
        log.folder.write_bytes(EVENTS, &report.events())?;
    }
    saver.clear()?;
    Ok(report)
}

/// The network that is named, with the weights that it starts from.
fn load(job: &Job, data: &Dataset, seed: Seed) -> Result<(ArchFile, Network)> {
    let read = |path: &Path| std::fs::read(path).at(path);
    let mut model = Model::load_for(&job.net, data.image, data.classes.len(), &read)?;
    model.net = fitted(&model.net, &job.config.recipe)?;
    let file = ArchFile::new(&model.net, job.net.clone(), model.genotype.clone(), model.skeleton.clone())?;
    let network = match (&job.weights, job.net.ends_with(".onnx")) {
        (None, false) => Network::new(model.net, seed.child("init"), &Device::Cpu)?,
        (weights, _) => model.with_weights(weights.as_deref(), "--weights")?.0,
    };
    Ok((file, network))
}

/// Remembers the next step.
struct Following<'a> {
    /// Steps of an epoch.
    steps: u64,
    next: Position,
    observer: &'a mut dyn Observer,
}

impl Observer for Following<'_> {
    fn on(&mut self, event: Progress) {
        match &event {
            Progress::TaskStarted { done, .. } => {
                self.next = Position { epoch: (done / self.steps) as u32, step: (done % self.steps) as usize };
            }
            Progress::Step { next, .. } => self.next = *next,
            _ => {}
        }
        self.observer.on(event);
    }
}

/// Held-out images and the attack that they are measured under.
struct Watch<'a> {
    job: &'a Job,
    data: &'a Dataset,
    ids: &'a [u32],
    seed: Seed,
}

impl Watch<'_> {
    /// Those that are right, clean and under attack.
    fn measure(&self, network: &mut Network) -> Result<(Tally, Tally)> {
        let plan = AttackPlan::new("watch", vec![Attack::Pgd(self.job.config.watch)]);
        let plan = plan.for_classes(network.net().classes())?;
        let (device, batch) = (Device::Cpu, self.job.config.recipe.batch);
        let loader = Loader::new(&self.data.train, self.data.image, self.ids, batch, self.seed, &device);
        let suite = Suite { plan: &plan, loader: &loader, seed: self.seed };
        // To its end, whatever the signals: nothing is saved before it is over.
        let found = suite.run(&mut Target::deployed(network), &[], &mut |_| Ok(()))?;
        Ok((found.clean(), found.robust()))
    }
}

/// The journal, with its folder.
struct Log<'a> {
    out: &'a Path,
    folder: Folder<Event>,
    events: Vec<Event>,
}

impl Log<'_> {
    fn append(&mut self, event: Event) -> Result<()> {
        self.folder.append(&event)?;
        self.events.push(event);
        Ok(())
    }

    fn is_over(&self) -> bool {
        self.events.iter().any(|event| matches!(event, Event::Finished | Event::Diverged { .. }))
    }

    fn epochs(&self) -> Vec<EpochRecord> {
        let record = |event: &Event| match event {
            Event::Epoch(record) => Some(record.clone()),
            Event::Diverged { .. } | Event::Collapsed { .. } | Event::Finished => None,
        };
        self.events.iter().filter_map(record).collect()
    }

    /// Up to an epoch: a training that lost its last checkpoint does some again.
    fn epochs_to(&self, epoch: u32) -> Vec<EpochRecord> {
        let mut epochs = self.epochs();
        epochs.retain(|r| r.epoch <= epoch);
        epochs
    }

    /// Measures the network behind an epoch, and keeps its weights where they are the best so far.
    fn end_epoch(
        &mut self,
        trainee: &mut Trainee,
        watch: &Watch<'_>,
        epoch: u32,
        observer: &mut dyn Observer,
    ) -> Result<()> {
        let (clean, robust) = trainee.deployed(|network| watch.measure(network))?;
        let Epoch { loss, lr, eps, distortion, steps } = trainee.end_epoch();
        let record = EpochRecord { epoch, loss, lr, eps, clean, robust, distortion, steps };
        match self.epochs().iter().find(|r| r.epoch == epoch) {
            Some(before) if *before == record => {}
            Some(_) => {
                let why = format!(
                    "epoch {epoch} comes out otherwise than the journal says, which another version or another machine \
                     wrote; go on there, or begin anew in another folder"
                );
                return Err(Error::run(self.out, why));
            }
            None => {
                observer.on(Progress::Note(format!(
                    "epoch {epoch}: loss {loss:.4}, {clean} right clean and {robust} under attack of {} held-out images",
                    clean.total
                )));
                self.append(Event::Epoch(record))?;
            }
        }
        if best(&self.epochs_to(epoch)) == Some(epoch) {
            let kept = trainee.deployed(|network| weights::encode(network, Layout::Own))?;
            self.folder.write_bytes(BEST, &kept)?;
            if trainee.remembers() {
                trainee.remember()?;
            }
        }
        Ok(())
    }

    /// Reacts to a collapse behind an epoch; whether the training ends with it.
    fn guard(
        &mut self,
        trainee: &mut Trainee,
        guard: Option<Guard>,
        epoch: u32,
        observer: &mut dyn Observer,
    ) -> Result<bool> {
        let epochs = self.epochs_to(epoch);
        let shares: Vec<f64> = epochs.iter().map(|r| r.robust.rate()).collect();
        let (Some(guard), Some(last), Some(best)) = (guard, shares.last(), best(&epochs)) else { return Ok(false) };
        if !guard.collapsed(&shares) {
            return Ok(false);
        }
        let raises = guard.reaction == Reaction::RaiseNoise;
        let did = match guard.reaction {
            Reaction::Stop => "the training ends".to_owned(),
            Reaction::RestoreBest => format!("on from epoch {best}"),
            Reaction::RaiseNoise => format!("on from epoch {best}, with noise larger by a radius"),
        };
        if guard.reaction != Reaction::Stop {
            trainee.begin_at_remembered(raises)?;
        }
        if !self.events.iter().any(|event| matches!(event, Event::Collapsed { epoch: known, .. } if *known == epoch)) {
            let highest = shares.iter().copied().fold(0.0, f64::max);
            let (now, then) = (100.0 * last, 100.0 * highest);
            let what = format!("{now:.1} % are right under attack, of {then:.1} % at best: {did}");
            observer.on(Progress::Note(format!("guard: {what}")));
            self.append(Event::Collapsed { epoch, what })?;
        }
        Ok(guard.reaction == Reaction::Stop)
    }

    /// Writes the last epoch's weights; then the training is over.
    fn finish(&mut self, trainee: &mut Trainee) -> Result<()> {
        let last = trainee.deployed(|network| weights::encode(network, Layout::Own))?;
        self.folder.write_bytes("last.safetensors", &last)?;
        self.append(Event::Finished)
    }

    fn report(&self, job: &Job, data: &Dataset, splits: &Splits) -> TrainingReport {
        let epochs = self.epochs();
        let diverged = self.events.iter().find_map(|event| match event {
            Event::Diverged { epoch, step, reason } => {
                Some(format!("in epoch {} behind {step} of its steps: {reason}", epoch + 1))
            }
            Event::Epoch(_) | Event::Collapsed { .. } | Event::Finished => None,
        });
        let what = |event: &Event| match event {
            Event::Collapsed { epoch, what } => Some(format!("behind epoch {epoch} {what}")),
            Event::Epoch(_) | Event::Diverged { .. } | Event::Finished => None,
        };
        let collapses = self.events.iter().filter_map(what).collect();
        let (train, held) = (&splits.weights, &splits.validation);
        let recipe = &job.config.recipe;
        TrainingReport {
            net: job.net.clone(),
            recipe: format!("{recipe}; {} epochs in batches of {}", recipe.epochs, recipe.batch),
            images: format!(
                "{}: {} training images, {} of them held out (indices {})",
                data.name,
                train.len() + held.len(),
                held.len(),
                index_id(held)
            ),
            watch: Attack::Pgd(job.config.watch).to_string(),
            seed: job.seed,
            best: best(&epochs),
            epochs,
            collapses,
            diverged,
        }
    }
}
