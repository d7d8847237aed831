//! Populations at work: networks drawn from design spaces, each trained shortly and measured, one line of a journal each.
//!
//! A network depends on the seed, its space and its number alone, and is the unit of work: a job that was stopped begins the
//! network it was at anew, gives the bytes it would have given, and may later be continued to more networks.

use std::path::PathBuf;

use candle_core::Device;
use serde_json::{Value, json};

use super::measure::{evaluate, sample};
use super::memory::Needs;
use super::stage::Stage;
use super::{Interrupt, Observer, Progress, Task};
use crate::arch::design_space::{Drawn, parameters};
use crate::arch::file::id_of;
use crate::config::population::{Population, Protocol};
use crate::data::batch::Augment;
use crate::data::loader::Loader;
use crate::data::split::Splits;
use crate::data::{Dataset, Source};
use crate::engine::Network;
use crate::error::{Error, Result};
use crate::population::{Member, Parameter, Trained};
use crate::record::Sample;
use crate::report::edf;
use crate::report::population::{Method, PopulationReport};
use crate::seed::Seed;
use crate::store::folder::Folder;
use crate::train::trainee::Trainee;

/// What says what a folder is about.
const ABOUT: &str = "spaces.json";

/// How many times larger than its drawing the picture is.
#[cfg(feature = "png")]
const SCALE: f32 = 2.0;

/// What the user asked for.
pub struct Job {
    /// The spaces, in the order of the picture.
    pub spaces: Vec<Population>,
    /// Where the images are, if not where the files say.
    pub data: Option<String>,
    /// Networks of each space.
    pub n: u64,
    /// The seed of everything.
    pub seed: u64,
    /// The folder.
    pub out: PathBuf,
    /// Bins over which multiply-accumulates are matched, if they are.
    pub bins: Option<usize>,
}

/// Draws, trains and measures what is not in the folder yet, and writes `population.json`, `edf.svg` and, with
/// the feature `png`, `edf.png`.
///
/// # Errors
/// [`Error::Stopped`] after a signal; [`Error::Usage`] for spaces that cannot be compared; [`Error::Impossible`] for a space
/// without networks within its limits; whatever reading data or writing the folder fails with. A network that cannot be
/// trained is a line.
pub fn run(job: &Job, interrupt: &Interrupt, observer: &mut dyn Observer) -> Result<PopulationReport> {
    let first = comparable(&job.spaces)?;
    let protocol = &first.protocol;
    let source = Source::parse(job.data.as_ref().unwrap_or(&first.data))?;
    let idle = interrupt.idle()?;
    observer.on(Progress::Reading { source: source.to_string() });
    let data = source.load()?;
    drop(idle);
    let seed = Seed::root(job.seed).child("population");
    let splits = Splits::of(&data, &protocol.images.split())?;
    let data_id = data.content_id();
    let spaces: Vec<Value> = job.spaces.iter().map(described).collect();
    let about = json!({
        "schema_version": 1, "seed": job.seed, "data": data.name, "data_id": data_id, "spaces": spaces, "protocol": protocol
    });
    let (mut folder, mut members, warning) = Folder::open(&job.out, "population", ABOUT, &about)?;
    warning.into_iter().for_each(|warning| observer.on(Progress::Warning(warning)));
    let sample = sample(&data, data_id, "validation", &splits.validation);
    let work = Work { protocol, data: &data, splits: &splits, sample: &sample, seed, run: job.seed, interrupt };
    for index in 0..job.n {
        for space in &job.spaces {
            if !members.iter().any(|m: &Member| m.space == space.name && m.index == index) {
                let member = work.member(space, index, observer)?;
                folder.append(&member)?;
                observer.on(Progress::MemberDone(Box::new(member.clone())));
                members.push(member);
            }
        }
    }
    let method = Method {
        training: protocol.retrain.to_string(),
        epochs: protocol.retrain.epochs,
        samples: splits.weights.len() as u64,
        attacks: protocol.evaluate.attacks.iter().map(ToString::to_string).collect(),
        sample,
    };
    let names: Vec<&str> = job.spaces.iter().map(|s| s.name.as_str()).collect();
    let members: Vec<Member> = members.into_iter().filter(|m| m.index < job.n).collect();
    let report = PopulationReport::new(&names, &members, method, job.seed, job.bins)?;
    let drawing = edf::draw(&report)?;
    folder.write_bytes("population.json", &report.to_json()?)?;
    folder.write_bytes("edf.svg", drawing.as_bytes())?;
    #[cfg(feature = "png")]
    folder.write_bytes("edf.png", &crate::report::png::rasterise(&drawing, SCALE)?)?;
    #[cfg(not(feature = "png"))]
    observer.on(Progress::Note("edf.png is not written: this build has no feature `png`".into()));
    Ok(report)
}

fn described(space: &Population) -> Value {
    let limits = space.limits;
    let limits = json!({"macs": limits.macs, "params": limits.params, "acts": limits.acts});
    json!({"name": space.name, "space": space.space, "limits": limits})
}

/// The first of some spaces that have one protocol and names of their own.
fn comparable(spaces: &[Population]) -> Result<&Population> {
    let Some((first, others)) = spaces.split_first() else {
        return Err(Error::Usage("no design space is given".to_owned()));
    };
    for (i, other) in others.iter().enumerate() {
        if spaces[..=i].iter().any(|s| s.name == other.name) {
            return Err(Error::Usage(format!("two spaces are called `{}`", other.name)));
        }
        let differs = |what: &str, same: bool| {
            let why = format!("[{what}] of `{}` and `{}` differ; only the space may", first.name, other.name);
            if same { Ok(()) } else { Err(Error::Usage(why)) }
        };
        differs("images", first.protocol.images == other.protocol.images)?;
        differs("retrain", first.protocol.retrain == other.protocol.retrain)?;
        differs("evaluate", first.protocol.evaluate == other.protocol.evaluate)?;
    }
    Ok(first)
}

/// What all networks of a job share.
struct Work<'a> {
    protocol: &'a Protocol,
    data: &'a Dataset,
    splits: &'a Splits,
    sample: &'a Sample,
    seed: Seed,
    run: u64,
    interrupt: &'a Interrupt,
}

impl Work<'_> {
    /// Draws, trains and measures a network.
    fn member(&self, space: &Population, index: u64, observer: &mut dyn Observer) -> Result<Member> {
        let seed = self.seed.child(&space.name).index(index);
        let (image, classes) = (self.data.image, self.data.classes.len());
        let drawn = space.space.draw(&space.limits, image, classes, seed.child("draw"));
        let drawn = drawn.map_err(|why| match why {
            Error::Impossible(why) => Error::Impossible(format!("space `{}`: {why}", space.name)),
            other => other,
        })?;
        let task = Task::Member { space: space.name.clone(), index };
        let outcome = match self.train(&drawn, task, seed, observer) {
            Err(Error::NotFinite(reason)) => Trained::Failed { reason },
            other => other?,
        };
        let parameter = |(name, value): (&str, f64)| Parameter { name: name.to_owned(), value };
        Ok(Member {
            space: space.name.clone(),
            index,
            model: drawn.model.to_string(),
            arch: id_of(&drawn.net)?,
            macs: drawn.macs,
            params: drawn.params,
            acts: drawn.acts,
            parameters: parameters(&drawn.model).into_iter().map(parameter).collect(),
            outcome,
        })
    }

    fn train(&self, drawn: &Drawn, task: Task, seed: Seed, observer: &mut dyn Observer) -> Result<Trained> {
        let device = &Device::Cpu;
        let Protocol { images, retrain, evaluate: protocol } = self.protocol;
        if let Some(reason) = Needs::of(&drawn.net, retrain, protocol)?.shortage() {
            return Ok(Trained::Failed { reason });
        }
        let network = Network::new(drawn.net.clone(), seed.child("init"), device)?;
        let mut trainee = Trainee::new(network, retrain.clone(), seed)?;
        let (ids, augment) = (&self.splits.weights, Augment { crop_pad: images.crop_pad, flip: images.flip });
        let loader = Loader::new(&self.data.train, self.data.image, ids, retrain.batch, seed.child("data"), device)
            .augmented(augment);
        let (epochs, interrupt) = (retrain.epochs, self.interrupt);
        let stage = Stage { task, loader: &loader, epochs, saver: None, interrupt, observer };
        stage.run(&mut trainee, &mut |_, _, _| Ok(()))?;
        let mut network = trainee.into_network()?;
        let held = Loader { batch: protocol.batch, ..loader.of(&self.splits.validation) };
        let measured =
            evaluate(&mut network, &held, protocol, self.sample.clone(), self.run, &mut || interrupt.check())?;
        Ok(Trained::Ok { clean: measured.found.clean(), robust: measured.found.robust() })
    }
}
