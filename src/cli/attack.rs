//! `robustnas attack`.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use candle_core::{Device, Tensor};
use serde_json::json;

use super::progress::Terminal;
use super::trained::Trained;
use super::{files, stored};
use crate::attack::Target;
use crate::attack::checks::{doubts, guesses, judge};
use crate::attack::suite::{Finished, Found, Suite, Transferred, Verdicts};
use crate::data::batch::labels;
use crate::data::split::index_id;
use crate::data::{Dataset, Source};
use crate::engine::Network;
use crate::error::{Error, Result};
use crate::pipeline::{Interrupt, Progress, adversarial, duration_words};
use crate::record::Sample;
use crate::report::attacked::{
    AttackReport, AttackResultFile, Attacked, SCHEMA_VERSION, Source as SourceReport, table,
};
use crate::report::examples::{Example, picture};
use crate::report::robustbench::{ModelInfo, Said, standard};
use crate::seed::Seed;
use crate::store::attack::{AttackDir, Timed};
use crate::threat::{AttackPlan, Norm, Threat};
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
    /// Make the attacks on this network, and measure --net with what comes out. Named like --net.
    #[arg(long, value_name = "NET")]
    transfer_from: Option<String>,
    /// The numbers of --transfer-from, as --weights are those of --net.
    #[arg(long, value_name = "WEIGHTS", requires = "transfer_from")]
    source_weights: Option<PathBuf>,
    /// Make no attacks, and measure --net on images that --save-adversarial kept: a file, or a folder of files. They are
    /// checked to be in the ball of --norm and --eps.
    #[arg(long, value_name = "PATH", conflicts_with_all = ["plan", "n", "transfer_from", "out"])]
    adversarial: Option<PathBuf>,
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
    if let Some(path) = &arguments.adversarial {
        let subject = &arguments.subject;
        return stored::measure(subject.measured()?, path, subject.threat()?, subject.batch, arguments.json);
    }
    let Prepared { measured, plan, ids } = arguments.subject.prepare()?;
    let Measured { data, name, mut network, about } = measured;
    let mut source = arguments.source(&data, &network)?;
    let Subject { seed, batch, .. } = arguments.subject;
    let sample = sample(&data, &name, &ids);
    let classes = network.net().classes();
    let mut stated = json!({
        "schema_version": SCHEMA_VERSION,
        "version": env!("CARGO_PKG_VERSION"),
        "network": about,
        "sample": sample,
        "plan": plan,
        "seed": seed,
    });
    if let Some((_, about)) = &source {
        stated["source"] = json!(about);
    }
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
    let mut report = |finished: Finished<'_>| {
        let timed = told.take(&finished, &mut terminal);
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
    };
    let (found, at_source) = match &mut source {
        None => (suite.run(target, &before, &mut report)?, None),
        Some((network, _)) => {
            let made = suite.transfer(&mut Target::deployed(network), target, &before, &mut report)?;
            let Transferred { source, target } = made;
            (target, Some(source))
        }
    };
    // The network that the attacks were made on: its gradients are what is to be doubted, and it makes the examples.
    let attacked = match &mut source {
        None => target,
        Some((network, _)) => &mut Target::deployed(network),
    };
    let found_there = at_source.as_ref().unwrap_or(&found);
    let mut checks = doubts(attacked, &loader, found_there, true)?;
    checks.extend(judge(&plan, found_there));
    // Of a transfer the measured network is another.
    checks.extend(guesses(&labels(&data.test, &ids), &found.clean));
    checks.sort_unstable();
    checks.dedup();
    let examples = if folder.is_some() { examples(&suite, attacked, &found)? } else { Vec::new() };
    let attacks = (0..plan.attacks.len()).map(|i| told.report(&plan, &found, i)).collect();
    let robust = found.robust();
    let (low, high) = robust.wilson95();
    let source = source.zip(at_source).map(|((_, about), found)| source_report(about, &found));
    let result = AttackResultFile {
        schema_version: SCHEMA_VERSION,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        network: about,
        source,
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
        clean_flags: flags(&found.clean),
        robust_flags: flags(&found.standing),
        plan,
    };
    if let Some(folder) = &folder {
        folder.write("result.json", &json!(result))?;
        match ModelInfo::new(&result, data.image, classes, Said::default()) {
            Ok(info) => folder.write("model_info.json", &json!(info))?,
            // Other attacks are not meant for it.
            Err(why) if standard(&result).is_ok() => terminal.note(&format!("no model_info.json: {why}")),
            Err(_) => {}
        }
        if !examples.is_empty() {
            folder.write_bytes("examples.png", &picture(&examples, data.image)?)?;
        }
    }
    if arguments.json { files::print_json(&result) } else { files::print(&table(&result)) }
}

/// Which test images are measured.
pub fn sample(data: &Dataset, name: &str, ids: &[u32]) -> Sample {
    let (n, split) = (ids.len() as u64, "test".into());
    Sample { data: name.to_owned(), data_id: data.content_id(), split, n, index_id: index_id(ids) }
}

fn source_report(network: Attacked, found: &Found) -> SourceReport {
    let robust = found.robust();
    SourceReport {
        network,
        clean_correct: found.clean().hit,
        robust: robust.hit,
        robust_accuracy: robust.rate(),
        clean_flags: flags(&found.clean),
        robust_flags: flags(&found.standing),
    }
}

/// A digit a sample: 1 where it is right.
pub fn flags(right: &[bool]) -> String {
    right.iter().map(|r| if *r { '1' } else { '0' }).collect()
}

/// A digit a sample: 1 where it is right, `-` where it was not given.
fn digits(right: &[Option<bool>]) -> String {
    right.iter().map(|r| r.map_or('-', |r| if r { '1' } else { '0' })).collect()
}

impl AttackArguments {
    /// The network that the attacks are made on, if it is another than the one that is measured.
    fn source(&self, data: &Dataset, target: &Network) -> Result<Option<(Network, Attacked)>> {
        let Some(net) = &self.transfer_from else { return Ok(None) };
        let named = Trained { net, weights: self.source_weights.as_deref(), option: "--source-weights" };
        let (network, about) = named.load(data)?;
        let (own, theirs) = (network.net().classes(), target.net().classes());
        if own != theirs {
            let words =
                format!("--transfer-from: `{net}` has {own} classes, --net has {theirs}; labels must mean the same");
            return Err(Error::Usage(words));
        }
        Ok(Some((network, about)))
    }
}

/// A network and the images on which it is measured.
pub struct Measured {
    /// The images.
    pub data: Dataset,
    /// The data's name.
    pub name: String,
    /// The network with its numbers.
    pub network: Network,
    /// What is said about it.
    pub about: Attacked,
}

/// A [`Subject`] read, and checked against itself.
pub struct Prepared {
    /// What is attacked.
    pub measured: Measured,
    /// The attacks.
    pub plan: AttackPlan,
    /// The images that are attacked.
    pub ids: Vec<u32>,
}

impl Subject {
    /// Reads what is named.
    pub fn prepare(&self) -> Result<Prepared> {
        let measured = self.measured()?;
        let plan = self.plan()?.for_classes(measured.network.net().classes())?;
        let images = measured.data.test.len();
        let count = if self.n == 0 { images } else { self.n.min(images) };
        Ok(Prepared { measured, plan, ids: (0..count as u32).collect() })
    }

    /// Reads the images and the network.
    fn measured(&self) -> Result<Measured> {
        if self.batch == 0 {
            return Err(Error::Usage("--batch 0: expected at least 1".into()));
        }
        let data = Source::parse(&self.data)?.load()?;
        if data.test.is_empty() {
            return Err(Error::Usage(format!("--data {}: there are no test images to attack", self.data)));
        }
        let named = Trained { net: &self.net, weights: self.weights.as_deref(), option: "--weights" };
        let (network, about) = named.load(&data)?;
        Ok(Measured { name: data.name.clone(), data, network, about })
    }

    /// The ball that is named.
    fn threat(&self) -> Result<Threat> {
        let norm = self.norm.unwrap_or_default();
        Threat::usual(norm, self.eps).map_err(|why| Error::Usage(format!("--eps is missing: {why}")))
    }

    /// The plan that is named, or that stands in a file.
    fn plan(&self) -> Result<AttackPlan> {
        let path = PathBuf::from(&self.plan);
        if AttackPlan::is_file(&path) {
            let own = self.eps.map(|eps| Threat { norm: self.norm.unwrap_or_default(), eps });
            if own.is_none() && self.norm.is_some() {
                return Err(Error::Usage("--norm for a plan from a file needs --eps, too".into()));
            }
            return AttackPlan::from_text(&files::read(&path)?, &path, own);
        }
        AttackPlan::named(&self.plan, self.threat()?).map_err(|why| Error::Usage(format!("--plan: {why}")))
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

/// The batches so far with their times, and what the user was told.
struct Told {
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
        Told { names, passes, batches, since: now, line: now }
    }

    /// Takes in a batch; now and then says how far its attack is.
    fn take(&mut self, finished: &Finished<'_>, terminal: &mut Terminal) -> Timed<Verdicts> {
        let (verdicts, given) = (finished.verdicts, finished.given);
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

    fn report(&self, plan: &AttackPlan, found: &Found, i: usize) -> AttackReport {
        AttackReport {
            name: self.names[i].clone(),
            config: plan.attacks[i],
            attacked: found.attacked(i),
            stands: found.under(i).hit,
            robust_after: found.robust_after(i).hit,
            seconds: self.sum(Some(i)).2,
            flags: digits(&found.attacks[i]),
        }
    }
}
