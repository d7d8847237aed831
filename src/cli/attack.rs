//! `robustnas attack`.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use candle_core::{Device, Tensor};
use serde_json::json;

use super::progress::Terminal;
use super::subject::{Measured, Prepared, Subject, Trained, flags, sample};
use super::{files, stored};
use crate::attack::Target;
use crate::attack::checks::{guesses, raised};
use crate::attack::suite::{Finished, Found, Suite, Transferred, Verdicts};
use crate::data::Dataset;
use crate::data::attacked;
use crate::data::batch::labels;
use crate::data::loader::Loader;
use crate::engine::Network;
use crate::error::{Error, Result};
use crate::jobs::{Interrupt, Progress, duration_words};
use crate::report::attacked::{
    AttackReport, AttackResultFile, Attacked, SCHEMA_VERSION, Source as SourceReport, table,
};
use crate::report::examples::{Example, picture};
use crate::report::robustbench::{ModelInfo, Said, standard};
use crate::seed::Seed;
use crate::store::attack::{AttackDir, Timed};
use crate::threat::AttackPlan;

/// Time between lines about an attack at work.
const LINE_EVERY: Duration = Duration::from_secs(20);

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
    let loader = Loader::new(&data.test, data.image, &ids, batch, root, &Device::Cpu);
    let mut log = Log::new(&plan, known);
    let before: Vec<Verdicts> = log.batches.iter().map(|b| b.verdicts.clone()).collect();
    let suite = Suite { plan: &plan, loader: &loader, seed: root };
    let target = &mut Target::deployed(&mut network);
    let mut report = |finished: Finished<'_>| {
        let timed = log.take(&finished, &mut terminal);
        if let Some(folder) = &mut folder {
            // Before the verdicts: what they speak of is there.
            if arguments.save_adversarial {
                save_adversarial(folder, &finished)?;
            }
            folder.append(&timed)?;
        }
        interrupt.check()
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
    let mut checks = raised(attacked, &plan, &loader, found_there, true)?;
    // Of a transfer the measured network is another.
    checks.extend(guesses(&labels(&data.test, &ids), &found.clean));
    let checks = checks.into_iter().collect();
    let examples = if folder.is_some() { examples(&suite, attacked, &found)? } else { Vec::new() };
    let attacks = (0..plan.attacks.len()).map(|i| log.report(&plan, &found, i)).collect();
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

/// Keeps the images of a batch in which the network errs under an attack.
fn save_adversarial(folder: &AttackDir<Verdicts>, finished: &Finished<'_>) -> Result<()> {
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
fn examples(suite: &Suite<'_>, target: &mut Target<'_>, found: &Found) -> Result<Vec<Example>> {
    let ids = suite.loader.ids;
    let fallen = (0..ids.len()).filter_map(|i| found.fell_to(i).map(|attack| (ids[i], attack)));
    let mut examples = Vec::new();
    for (id, attack) in fallen.take(EXAMPLES) {
        for batch in suite.loader.of(&[id]).plain() {
            let batch = batch?;
            let attacked = suite.attacked(target, attack, &batch)?;
            let pixels = |t: &Tensor| t.flatten_all()?.to_vec1();
            examples.push(Example { clean: pixels(&batch.images)?, attacked: pixels(&attacked)? });
        }
    }
    Ok(examples)
}

/// The batches so far with their times, and what the user was log.
struct Log {
    names: Vec<String>,
    passes: Vec<f64>,
    batches: Vec<Timed<Verdicts>>,
    since: Instant,
    line: Instant,
}

impl Log {
    fn new(plan: &AttackPlan, batches: Vec<Timed<Verdicts>>) -> Self {
        let now = Instant::now();
        let names = plan.attacks.iter().map(crate::threat::Attack::name).collect();
        let passes = plan.attacks.iter().map(crate::threat::Attack::passes).collect();
        Log { names, passes, batches, since: now, line: now }
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
