//! Populations at work: networks drawn from design spaces, each trained shortly and measured, one line of a journal each.
//!
//! A network depends on the seed, its space and its number alone, and is the unit of work: a job that was stopped begins the
//! network it was at anew, gives the bytes it would have given, and may later be continued to more networks.

use std::path::PathBuf;

use candle_core::Device;
use serde_json::{Value, json};

use super::measure::evaluate;
use super::{Interrupt, Progress, memory};
use crate::arch::design_space::{Drawn, parameters};
use crate::arch::file::id_of;
use crate::config::population::{Population, Protocol};
use crate::data::batch::Augment;
use crate::data::loader::Loader;
use crate::data::split::{Splits, index_id};
use crate::data::{Dataset, Source};
use crate::engine::Network;
use crate::error::{Error, Result};
use crate::population::{Member, Parameter, Trained};
use crate::record::Sample;
use crate::report::population::{Method, PopulationReport};
use crate::report::{edf, png};
use crate::seed::Seed;
use crate::store::folder::Folder;
use crate::train::fit::{Position, fit};
use crate::train::retrain::Trainee;

/// What says what a folder is about.
const ABOUT: &str = "spaces.json";

/// How many times larger than its drawing the picture is.
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

/// Draws, trains and measures what is not in the folder yet, and writes `population.json`, `edf.svg` and `edf.png`.
///
/// # Errors
/// [`Error::Stopped`] after a signal; [`Error::Usage`] for spaces that cannot be compared; [`Error::Impossible`] for a space
/// without networks within its limits; whatever reading data or writing the folder fails with. A network that cannot be
/// trained is a line.
pub fn run(job: &Job, interrupt: &Interrupt, progress: &mut dyn Progress) -> Result<PopulationReport> {
    let first = comparable(&job.spaces)?;
    let protocol = &first.protocol;
    let source = Source::parse(job.data.as_ref().unwrap_or(&first.data))?;
    progress.note(&format!("reading {source}"));
    let data = source.load()?;
    let seed = Seed::root(job.seed).child("population");
    let splits = Splits::of(&data, &protocol.images.split())?;
    let data_word = data.name.clone();
    let data_id = data.content_id();
    let spaces: Vec<Value> = job.spaces.iter().map(described).collect();
    let about = json!({
        "schema_version": 1, "seed": job.seed, "data": data_word, "data_id": data_id, "spaces": spaces, "protocol": protocol
    });
    let (mut folder, mut members, warning) = Folder::open(&job.out, "population", ABOUT, &about)?;
    warning.into_iter().for_each(|warning| progress.note(&format!("warning: {warning}")));
    let sample = Sample {
        data: data_word,
        data_id,
        split: "validation".to_owned(),
        n: splits.validation.len() as u64,
        index_id: index_id(&splits.validation),
    };
    let work = Work { protocol, data: &data, splits: &splits, sample: &sample, seed, run: job.seed, interrupt };
    for index in 0..job.n {
        for space in &job.spaces {
            if !members.iter().any(|m: &Member| m.space == space.name && m.index == index) {
                let member = work.member(space, index, progress)?;
                folder.append(&member)?;
                members.push(member);
            }
        }
    }
    let method = Method {
        training: protocol.retrain.method.to_string(),
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
    folder.write_bytes("edf.png", &png::rasterise(&drawing, SCALE)?)?;
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
    fn member(&self, space: &Population, index: u64, progress: &mut dyn Progress) -> Result<Member> {
        let seed = self.seed.child(&space.name).index(index);
        let (image, classes) = (self.data.image, self.data.classes.len());
        let drawn = space.space.draw(&space.limits, image, classes, seed.child("draw"));
        let drawn = drawn.map_err(|why| match why {
            Error::Impossible(why) => Error::Impossible(format!("space `{}`: {why}", space.name)),
            other => other,
        })?;
        let label = format!("{} {index}", space.name);
        let outcome = match self.train(&drawn, &label, seed, progress) {
            Err(Error::NotFinite(reason)) => Trained::Failed { reason },
            other => other?,
        };
        progress.note(&match &outcome {
            Trained::Ok { clean, robust } => format!("{label}: {} MACs, clean {clean}, robust {robust}", drawn.macs),
            Trained::Failed { reason } => format!("{label}: {} MACs, failed: {reason}", drawn.macs),
        });
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

    fn train(&self, drawn: &Drawn, label: &str, seed: Seed, progress: &mut dyn Progress) -> Result<Trained> {
        let device = &Device::Cpu;
        let Protocol { images, retrain, evaluate: measured } = self.protocol;
        let mut trainee = Trainee::new(Network::new(drawn.net.clone(), seed.child("init"), device)?, *retrain)?;
        if let Some(reason) = memory::shortage(trainee.memory()?) {
            return Ok(Trained::Failed { reason });
        }
        let stop = || self.interrupt.check();
        let (ids, augment) = (&self.splits.weights, Augment { crop_pad: images.crop_pad, flip: images.flip });
        let loader = Loader::new(&self.data.train, self.data.image, ids, retrain.batch, seed.child("data"), device)
            .augmented(augment);
        progress.begin(label, 0, loader.steps() as u64 * u64::from(retrain.epochs));
        let taken = fit(&mut trainee, &loader, retrain.epochs, Position::default(), &mut |_, _, loss| {
            progress.step(&format!("loss {loss:.3}"));
            stop()
        });
        progress.end();
        taken?;
        let mut network = trainee.into_network();
        let held = Loader { batch: measured.batch, ..loader.of(&self.splits.validation) };
        let found = evaluate(&mut network, &held, measured, self.sample.clone(), self.run, &mut || stop())?;
        Ok(Trained::Ok { clean: found.clean, robust: found.robust })
    }
}
