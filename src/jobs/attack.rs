//! An attack on a trained network: measured batch by batch, each of which is kept, so that a job that was stopped goes on.

use std::path::PathBuf;
use std::time::Instant;

use candle_core::{Device, Tensor};
use serde_json::json;

use super::measure::{Measure, Measured, sample};
use super::{Interrupt, Observer, Progress};
use crate::attack::suite::{Finished, Suite, Verdicts};
use crate::attack::{Classifier, Target};
use crate::data::loader::Loader;
use crate::data::{Dataset, attacked};
use crate::engine::Network;
use crate::error::Result;
use crate::report::attacked::{AttackResultFile, Attacked, Source};
use crate::report::document::SCHEMA_VERSION;
use crate::report::examples::{Example, picture};
use crate::report::robustbench::{ModelInfo, Said, standard};
use crate::seed::Seed;
use crate::store::attack::{RESULT, Timed, open};
use crate::store::folder::Folder;
use crate::threat::{AttackPlan, Found};

/// Images in the picture of examples.
const EXAMPLES: usize = 8;

/// A network with its weights, and what results say about it.
pub struct Subject {
    /// The network.
    pub network: Network,
    /// Its name and what it costs.
    pub about: Attacked,
}

/// What the user asked for.
pub struct Job<'a> {
    /// The images; those of the test half are attacked.
    pub data: &'a Dataset,
    /// Which of them.
    pub ids: Vec<u32>,
    /// What is attacked, or measured with the attacks on `source`.
    pub subject: Subject,
    /// The network that the attacks are made on, if it is another.
    pub source: Option<Subject>,
    /// The attacks, fit for the number of classes.
    pub plan: AttackPlan,
    /// Seed of the attacks' random numbers.
    pub seed: u64,
    /// Images a pass; no influence on the result.
    pub batch: usize,
    /// The folder, if the work is to be kept.
    pub out: Option<PathBuf>,
    /// Whether the images in which the network errs are kept there.
    pub save_adversarial: bool,
}

/// Attacks what is not in the folder yet, and writes `result.json`, `examples.png` and, for RobustBench's plan and images,
/// `model_info.json`.
///
/// # Errors
/// [`crate::error::Error::Stopped`] after a signal, with everything saved; [`crate::error::Error::Run`] for the folder of
/// another attack; those of the attacks.
pub fn run(job: Job<'_>, interrupt: &Interrupt, observer: &mut dyn Observer) -> Result<AttackResultFile> {
    let Job { data, ids, subject, mut source, plan, seed, batch, out, save_adversarial } = job;
    let Subject { mut network, about } = subject;
    let sample = sample(data, data.content_id(), "test", &ids);
    let mut stated = json!({
        "schema_version": SCHEMA_VERSION,
        "version": env!("CARGO_PKG_VERSION"),
        "network": about,
        "sample": sample,
        "plan": plan,
        "seed": seed,
    });
    if let Some(source) = &source {
        stated["source"] = json!(source.about);
    }
    if save_adversarial {
        // Batches that were finished without it have no file.
        stated["adversarial"] = json!(true);
    }
    let (mut folder, known) = match &out {
        None => (None, Vec::new()),
        Some(out) => {
            let (folder, known, warning) = open(out, &stated)?;
            warning.into_iter().for_each(|warning| observer.on(Progress::Warning(warning)));
            if !known.is_empty() {
                observer.on(Progress::AttackContinued { batches: known.len() });
            }
            (Some(folder), known)
        }
    };
    let before: Vec<Verdicts> = known.iter().map(|batch| batch.verdicts.clone()).collect();
    let mut log = Log::new(&plan, known);
    let loader = Loader::new(&data.test, data.image, &ids, batch, Seed::root(seed), &Device::Cpu);
    let measure = Measure { plan: &plan, loader: &loader, sample, seed, probe: true };
    let mut report = |finished: Finished<'_>| {
        let timed = log.take(&finished, observer);
        if let Some(folder) = &mut folder {
            // Before the verdicts: what they speak of is there.
            if save_adversarial {
                keep_adversarial(folder, &finished)?;
            }
            folder.append(&timed)?;
        }
        interrupt.check()
    };
    let from = source.as_mut().map(|source| &mut source.network);
    let found = measure.run(&mut network, from, &before, &mut report)?;
    let Measured { network: measured, source: at_source } = found;
    let reported = source.as_ref().zip(at_source).map(|(s, found)| Source::new(s.about.clone(), &found));
    let seconds: Vec<f64> = (0..plan.attacks.len()).map(|i| log.sum(Some(i)).2).collect();
    let result = AttackResultFile::new(about, reported, &measured, &seconds);
    let Some(folder) = &mut folder else { return Ok(result) };
    folder.write(RESULT, &json!(result))?;
    match ModelInfo::new(&result, data.image, network.net().classes(), Said::default()) {
        Ok(info) => folder.write("model_info.json", &json!(info))?,
        // Other attacks are not meant for it.
        Err(why) if standard(&result).is_ok() => observer.on(Progress::Note(format!("no model_info.json: {why}"))),
        Err(_) => {}
    }
    let attacked = source.as_mut().map_or(&mut network, |source| &mut source.network);
    let examples = examples(&measure.suite(), &mut Target::deployed(attacked), &measured.found, &data.classes)?;
    if !examples.is_empty() {
        folder.write_bytes("examples.png", &picture(&examples, data.image)?)?;
    }
    Ok(result)
}

/// Keeps the images of a batch in which the network errs under an attack.
fn keep_adversarial(folder: &mut Folder<Timed>, finished: &Finished<'_>) -> Result<()> {
    let Verdicts { attack: Some(attack), ids, stands, .. } = finished.verdicts else { return Ok(()) };
    let fallen: Vec<u32> = (0..ids.len() as u32).filter(|i| !stands[*i as usize]).collect();
    let (Some(first), Some(_)) = (ids.first(), fallen.first()) else { return Ok(()) };
    let of = |all: &[u32]| fallen.iter().map(|i| all[*i as usize]).collect::<Vec<_>>();
    let places = Tensor::new(fallen.as_slice(), finished.attacked.device())?;
    let images = finished.attacked.index_select(&places, 0)?;
    let bytes = attacked::encode(&images, &of(ids), &of(finished.labels))?;
    folder.write_bytes(&format!("adversarial/{attack}-{first}.safetensors"), &bytes)
}

/// The first images that fell, attacked once more: what comes out depends on the image alone.
fn examples(suite: &Suite<'_>, target: &mut Target<'_>, found: &Found, classes: &[String]) -> Result<Vec<Example>> {
    // A network may know more classes than the data.
    let name = |class: usize| classes.get(class).cloned().unwrap_or_else(|| class.to_string());
    let ids = suite.loader.ids;
    let fallen = (0..ids.len()).filter_map(|i| found.fell_to(i).map(|attack| (ids[i], attack)));
    let mut examples = Vec::new();
    for (id, attack) in fallen.take(EXAMPLES) {
        for batch in suite.loader.of(&[id]).plain() {
            let batch = batch?;
            let attacked = suite.attacked(target, attack, &batch)?;
            let pixels = |t: &Tensor| t.flatten_all()?.to_vec1();
            let logits = target.logits(&attacked)?.values;
            let answer = (0..logits.len()).max_by(|a, b| logits[*a].total_cmp(&logits[*b])).unwrap_or(0);
            let label = batch.labels.first().map_or(0, |label| *label as usize);
            examples.push(Example {
                clean: pixels(&batch.images)?,
                attacked: pixels(&attacked)?,
                classes: [name(label), name(answer)],
                attack: suite.plan.attacks[attack].name(),
            });
        }
    }
    Ok(examples)
}

/// The batches so far with their times.
struct Log {
    names: Vec<String>,
    passes: Vec<f64>,
    batches: Vec<Timed>,
    since: Instant,
}

impl Log {
    fn new(plan: &AttackPlan, batches: Vec<Timed>) -> Self {
        let names = plan.attacks.iter().map(crate::threat::Attack::name).collect();
        let passes = plan.attacks.iter().map(crate::threat::Attack::passes).collect();
        Log { names, passes, batches, since: Instant::now() }
    }

    /// Takes in a batch, and tells how far its attack is.
    fn take(&mut self, finished: &Finished<'_>, observer: &mut dyn Observer) -> Timed {
        let (verdicts, given) = (finished.verdicts, finished.given);
        let now = Instant::now();
        let seconds = now.duration_since(self.since).as_secs_f64();
        self.since = now;
        let timed = Timed { verdicts: verdicts.clone(), seconds };
        self.batches.push(timed.clone());
        if let Some(i) = verdicts.attack {
            let (done, stand, spent) = self.sum(Some(i));
            let rest = given.saturating_sub(done) as f64;
            let left = spent / done.max(1) as f64 * rest;
            // What the attacks behind it cost, if as many images get to them as stand now.
            let later: f64 = self.passes[i + 1..].iter().sum();
            let at_most = left + spent / done.max(1) as f64 / self.passes[i].max(1.0) * later * (stand as f64 + rest);
            observer.on(Progress::Attacked { attack: self.names[i].clone(), done, given, stand, left, at_most });
        }
        timed
    }

    /// Images, those that stand, and seconds of a pass.
    fn sum(&self, attack: Option<usize>) -> (usize, usize, f64) {
        let of = self.batches.iter().filter(|b| b.verdicts.attack == attack);
        of.fold((0, 0, 0.0), |(n, stands, seconds), b| {
            let hits = b.verdicts.stands.iter().filter(|s| **s).count();
            (n + b.verdicts.ids.len(), stands + hits, seconds + b.seconds)
        })
    }
}
