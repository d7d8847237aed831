//! `robustnas attack`.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use candle_core::{Device, Tensor};
use serde_json::json;

use super::files;
use super::named::Named;
use super::progress::Terminal;
use crate::arch::cost::cost;
use crate::arch::file::id_of;
use crate::attack::checks::{ENOUGH, judge, look, probe};
use crate::attack::suite::{Finished, Found, Suite, Verdicts};
use crate::attack::{Samples, Target};
use crate::data::split::index_id;
use crate::data::{Dataset, Source};
use crate::engine::Network;
use crate::error::{Error, Result};
use crate::pipeline::{Interrupt, Progress, adversarial, duration_words, weights};
use crate::record::Sample;
use crate::report::attacked::{AttackReport, AttackResultFile, Attacked, SCHEMA_VERSION, model_info, table};
use crate::report::examples::{Example, picture};
use crate::seed::Seed;
use crate::store::attack::{AttackDir, Timed};
use crate::threat::{AttackPlan, Check, Norm, Threat};
use crate::train::fit::Loader;
use crate::units::Fraction;

/// Time between lines about an attack at work.
const LINE_EVERY: Duration = Duration::from_secs(20);

/// Which network is attacked with what.
#[derive(clap::Args)]
pub struct Subject {
    /// The network: darts:FILE,channels=36,layers=20, preact-resnet:18, an arch.json, a model.onnx, or any other that
    /// `cost` takes.
    #[arg(long)]
    pub net: String,
    /// Its numbers, in this program's layout or in PyTorch's. Default: weights.safetensors beside an arch.json; a
    /// model.onnx has its own.
    #[arg(long)]
    weights: Option<PathBuf>,
    /// Images: npy:DIR, synthetic, cifar10:DIR, cifar100:DIR, hf:DIR or folder:DIR. The test half is attacked.
    #[arg(long)]
    data: String,
    /// autoattack, autoattack-plus, rand, apgd-only, one attack such as fgsm, pgd-20, apgd-t or square, or a .toml or
    /// .json file.
    #[arg(long, default_value = "autoattack")]
    pub plan: String,
    /// Radius of the ball, as a fraction. Default: 8/255; for a file, what it says.
    #[arg(long)]
    eps: Option<Fraction>,
    /// Norm of the ball: linf, l2 or l1. Default: linf; for a file, what it says.
    #[arg(long)]
    norm: Option<Norm>,
    /// The first so many images; 0: all.
    #[arg(long, default_value_t = 1000)]
    n: usize,
    /// Seed of the attacks' random numbers.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Images a pass; no influence on the result.
    #[arg(long, default_value_t = 128)]
    pub batch: usize,
}

/// What `attack` takes.
#[derive(clap::Args)]
pub struct AttackArguments {
    #[command(flatten)]
    subject: Subject,
    /// A folder for verdicts and result; the same command continues an attack that was stopped.
    #[arg(long)]
    out: Option<PathBuf>,
    /// Keep the attacked images in which the network errs: OUT/adversarial, safetensors, a file a batch.
    #[arg(long, requires = "out")]
    save_adversarial: bool,
    /// Print JSON instead of a table.
    #[arg(long)]
    json: bool,
}

/// Images in the picture of examples.
const EXAMPLES: usize = 8;

/// Attacks a network.
pub fn attack(arguments: &AttackArguments) -> Result<()> {
    let Prepared { data, mut network, about, plan, ids } = arguments.subject.prepare()?;
    let Subject { seed, batch, .. } = arguments.subject;
    let sample = Sample {
        data: arguments.subject.data.split(':').next().unwrap_or_default().to_owned(),
        data_id: data.content_id(),
        split: "test".into(),
        n: ids.len() as u64,
        index_id: index_id(&ids),
    };
    let mut stated = json!({
        "schema_version": SCHEMA_VERSION,
        "version": env!("CARGO_PKG_VERSION"),
        "network": about,
        "sample": sample,
        "plan": plan,
        "seed": seed,
    });
    if arguments.save_adversarial {
        // Batches that were finished without it have no file.
        stated["adversarial"] = json!(true);
    }
    let interrupt = Interrupt::install()?;
    let mut terminal = Terminal::new();
    let (mut folder, known) = match &arguments.out {
        None => (None, Vec::new()),
        Some(out) => {
            let (folder, known, warning) = AttackDir::<Verdicts>::open(out, &stated)?;
            warning.iter().for_each(|w| terminal.note(&format!("warning: {w}")));
            if !known.is_empty() {
                terminal.note(&format!("going on after {} batches", known.len()));
            }
            (Some(folder), known)
        }
    };
    let root = Seed::root(seed);
    let (shape, device) = (data.image, &Device::Cpu);
    let loader = Loader { images: &data.test, shape, ids: &ids, batch, augment: None, seed: root, device };
    let mut told = Told::new(&plan, known);
    let before: Vec<Verdicts> = told.batches.iter().map(|b| b.verdicts.clone()).collect();
    let suite = Suite { plan: &plan, loader: &loader, seed: root };
    let target = &mut Target::deployed(&mut network);
    let found = suite.run(target, &before, &mut |finished| {
        let timed = told.take(finished.verdicts, &mut terminal);
        if let Some(folder) = &mut folder {
            // Before the verdicts: what they speak of is there.
            if arguments.save_adversarial {
                save_adversarial(folder, &finished)?;
            }
            folder.append(&timed)?;
        }
        match interrupt.signal() {
            Some(signal) => Err(Error::Stopped { signal }),
            None => Ok(()),
        }
    })?;
    let mut checks = doubts(target, &loader, &found)?;
    checks.extend(judge(&plan, &found));
    checks.sort_unstable();
    checks.dedup();
    let examples = if folder.is_some() { examples(&suite, target, &found)? } else { Vec::new() };
    let attacks = (0..plan.attacks.len()).map(|i| told.report(&plan, &found, i)).collect();
    let robust = found.robust();
    let (low, high) = robust.wilson95();
    let result = AttackResultFile {
        schema_version: SCHEMA_VERSION,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        network: about,
        sample,
        seed,
        n: ids.len() as u64,
        clean_correct: found.clean().hit,
        robust: robust.hit,
        robust_accuracy: robust.rate(),
        interval: [low, high],
        attacks,
        checks,
        ids,
        clean_flags: digits(found.clean.iter().map(|s| Some(*s))),
        robust_flags: digits(found.standing.iter().map(|s| Some(*s))),
        plan,
    };
    if let Some(folder) = &folder {
        folder.write("result.json", &json!(result))?;
        if result.plan.name.starts_with("autoattack") {
            folder.write("model_info.json", &model_info(&result))?;
        }
        if !examples.is_empty() {
            folder.write_bytes("examples.png", &picture(&examples, data.image)?)?;
        }
    }
    if arguments.json { files::print_json(&result) } else { files::print(&table(&result)) }
}

fn digits(flags: impl Iterator<Item = Option<bool>>) -> String {
    flags.map(|f| f.map_or('-', |f| if f { '1' } else { '0' })).collect()
}

/// A [`Subject`] read, and checked against itself.
pub struct Prepared {
    /// The images.
    pub data: Dataset,
    /// The network with its numbers.
    pub network: Network,
    /// What is said about it.
    about: Attacked,
    /// The attacks.
    pub plan: AttackPlan,
    /// The images that are attacked.
    pub ids: Vec<u32>,
}

impl Subject {
    /// Reads what is named.
    pub fn prepare(&self) -> Result<Prepared> {
        let data = Source::parse(&self.data)?.load()?;
        let (network, about) = self.network(&data)?;
        let plan = self.plan()?.for_classes(network.net().classes())?;
        let count = if self.n == 0 { data.test.len() } else { self.n.min(data.test.len()) };
        if count == 0 {
            return Err(Error::Usage(format!("--data {}: there are no test images to attack", self.data)));
        }
        if self.batch == 0 {
            return Err(Error::Usage("--batch 0: expected at least 1".into()));
        }
        Ok(Prepared { data, network, about, plan, ids: (0..count as u32).collect() })
    }

    /// The network with its numbers, and what is said about it.
    fn network(&self, data: &Dataset) -> Result<(Network, Attacked)> {
        // Files know their classes; of arrays of labels the largest is no sure sign of their number.
        let named = Named::load(&self.net, data.image, data.classes.len())?;
        let net = &named.net;
        if net.input_shape() != data.image {
            let words = format!("the network takes {} images, the data has {}", net.input_shape(), data.image);
            return Err(Error::Usage(words));
        }
        if let Some(label) = data.test.labels.iter().find(|l| **l as usize >= net.classes()) {
            let words = format!("the network has {} classes, the data has a label {label}", net.classes());
            return Err(Error::Usage(words));
        }
        let (arch, cost) = (id_of(net)?, cost(net));
        let (network, _) = named.numbered(self.weights.as_deref())?;
        let weights = weights::id_of(&network)?;
        Ok((network, Attacked { net: self.net.clone(), arch, weights, params: cost.params, macs: cost.macs }))
    }

    /// The plan that is named, or that stands in a file.
    fn plan(&self) -> Result<AttackPlan> {
        let norm = self.norm.unwrap_or_default();
        let path = PathBuf::from(&self.plan);
        if path.extension().is_some_and(|e| e == "toml" || e == "json") {
            let own = self.eps.map(|eps| Threat { norm, eps });
            if own.is_none() && self.norm.is_some() {
                return Err(Error::Usage("--norm for a plan from a file needs --eps, too".into()));
            }
            return AttackPlan::from_text(&files::read(&path)?, &path, own);
        }
        let eps = match (self.eps, norm) {
            (Some(eps), _) => eps,
            (None, Norm::Linf) => Fraction::of_255(8),
            (None, Norm::L2 | Norm::L1) => {
                return Err(Error::Usage(format!("--eps is missing: {norm} has no usual radius")));
            }
        };
        AttackPlan::named(&self.plan, Threat { norm, eps }).map_err(|why| Error::Usage(format!("--plan: {why}")))
    }
}

/// Keeps the images of a batch in which the network errs under an attack.
fn save_adversarial(folder: &AttackDir<Verdicts>, finished: &Finished<'_>) -> Result<()> {
    let Verdicts { attack: Some(attack), ids, stands, .. } = finished.verdicts else { return Ok(()) };
    let fallen: Vec<u32> = (0..ids.len() as u32).filter(|i| !stands[*i as usize]).collect();
    let (Some(first), Some(_)) = (ids.first(), fallen.first()) else { return Ok(()) };
    let of = |all: &[u32]| fallen.iter().map(|i| all[*i as usize]).collect::<Vec<_>>();
    let places = Tensor::new(fallen.as_slice(), finished.attacked.device())?;
    let images = finished.attacked.index_select(&places, 0)?;
    let bytes = adversarial::encode(&images, &of(ids), &of(finished.labels))?;
    folder.write_bytes(&format!("adversarial/{attack}-{first}.safetensors"), &bytes)
}

/// The first images that fell, attacked once more: what comes out depends on the image alone.
fn examples(suite: &Suite<'_>, target: &mut Target<'_>, found: &Found) -> Result<Vec<Example>> {
    let ids = suite.loader.ids;
    let fallen = (0..ids.len()).filter_map(|i| found.fell_to(i).map(|attack| (ids[i], attack)));
    let mut examples = Vec::new();
    for (id, attack) in fallen.take(EXAMPLES) {
        for batch in (Loader { ids: &[id], augment: None, ..*suite.loader }).plain() {
            let batch = batch?;
            let attacked = suite.attacked(target, attack, &batch)?;
            let pixels = |t: &Tensor| t.flatten_all()?.to_vec1();
            examples.push(Example { clean: pixels(&batch.images)?, attacked: pixels(&attacked)? });
        }
    }
    Ok(examples)
}

/// Looks at, and probes, the first images that are right clean.
fn doubts(target: &mut Target<'_>, loader: &Loader<'_>, found: &Found) -> Result<Vec<Check>> {
    let right = loader.ids.iter().zip(&found.clean).filter(|(_, clean)| **clean).map(|(id, _)| *id);
    let few: Vec<u32> = right.take(ENOUGH).collect();
    let mut checks = Vec::new();
    for batch in (Loader { ids: &few, batch: ENOUGH, augment: None, ..*loader }).plain() {
        let batch = batch?;
        let samples = Samples { images: &batch.images, labels: &batch.labels, ids: &batch.ids, seed: batch.seed };
        checks.extend(look(target, samples)?);
        checks.extend(probe(target, samples)?);
    }
    Ok(checks)
}

/// The batches so far with their times, and what the user was told.
struct Told {
    cascade: bool,
    names: Vec<String>,
    passes: Vec<f64>,
    batches: Vec<Timed<Verdicts>>,
    since: Instant,
    line: Instant,
}

impl Told {
    fn new(plan: &AttackPlan, batches: Vec<Timed<Verdicts>>) -> Self {
        let now = Instant::now();
        let names = plan.attacks.iter().map(crate::threat::Attack::name).collect();
        let passes = plan.attacks.iter().map(crate::threat::Attack::passes).collect();
        Told { cascade: plan.cascade, names, passes, batches, since: now, line: now }
    }

    /// Takes in a batch; now and then says how far its attack is.
    fn take(&mut self, verdicts: &Verdicts, terminal: &mut Terminal) -> Timed<Verdicts> {
        let now = Instant::now();
        let seconds = now.duration_since(self.since).as_secs_f64();
        self.since = now;
        let timed = Timed { verdicts: verdicts.clone(), seconds };
        self.batches.push(timed.clone());
        if let Some(i) = verdicts.attack
            && now.duration_since(self.line) >= LINE_EVERY
        {
            self.line = now;
            let (done, stands, spent) = self.sum(Some(i));
            let given = self.given(i);
            let left = spent / done.max(1) as f64 * given.saturating_sub(done) as f64;
            // What the attacks behind it cost, if as many images get to them as stand now.
            let still = stands as f64 + given.saturating_sub(done) as f64;
            let later: f64 = self.passes[i + 1..].iter().sum();
            let whole = left + spent / done.max(1) as f64 / self.passes[i].max(1.0) * later * still;
            terminal.note(&format!(
                "{}: {done} of {given} images, {stands} stand; about {} left, {} at most in all",
                self.names[i],
                duration_words(left),
                duration_words(whole)
            ));
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

    /// The images that an attack is given: in a cascade those that stood after the one before.
    fn given(&self, attack: usize) -> usize {
        self.sum(if self.cascade { attack.checked_sub(1) } else { None }).1
    }

    fn report(&self, plan: &AttackPlan, found: &Found, i: usize) -> AttackReport {
        AttackReport {
            name: self.names[i].clone(),
            config: plan.attacks[i],
            attacked: found.attacked(i),
            stands: found.under(i).hit,
            robust_after: found.robust_after(i).hit,
            seconds: self.sum(Some(i)).2,
            flags: digits(found.attacks[i].iter().copied()),
        }
    }
}
