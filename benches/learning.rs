//! A small network trained adversarially on real images, epoch by epoch: what `benches/peer/learning.py` trains in PyTorch.
//!
//! The program's own loop, method, optimiser and attack, on the images that come first in the data set's files, which the
//! peer can take as well.
//!
//! ```text
//! cargo bench --bench learning -- --data hf:DIR --seed 0 --json FILE
//! ```

use std::num::NonZero;
use std::path::PathBuf;
use std::time::Instant;

use candle_core::Device;
use clap::Parser;
use robustnas::arch::spec::NetSpec;
use robustnas::attack::Target;
use robustnas::attack::suite::Suite;
use robustnas::data::batch::Augment;
use robustnas::data::loader::Loader;
use robustnas::data::{Dataset, Images, Source};
use robustnas::engine::Network;
use robustnas::error::{Error, Result};
use robustnas::recipe::{Adversary, Recipe, Schedule, Shape, SingleStep, Statistics, preset};
use robustnas::seed::Seed;
use robustnas::threat::{Attack, AttackPlan, Pgd};
use robustnas::train::fit::{Position, fit};
use robustnas::train::trainee::Trainee;
use robustnas::units::{Fraction, Tally};
use serde::Serialize;

const EPS: Fraction = Fraction::of_255(8);
const STEP: Fraction = Fraction::of_255(2);
/// N-FGSM (de Jorge et al. 2022) on statistics that nobody records.
const ATTACK: SingleStep = SingleStep {
    eps: EPS,
    noise: Fraction::new(2, 1),
    step: Fraction::new(1, 1),
    project: false,
    clip_start: false,
    statistics: Statistics::Batch,
};
/// Steps of the attack that the network is measured with.
const STEPS: u32 = 10;

#[derive(Parser)]
#[command(about = "Trains a small network with N-FGSM and prints its accuracy after every epoch, a JSON object a line")]
struct Arguments {
    /// The images, such as `hf:DIR`.
    #[arg(long)]
    data: String,
    /// The network.
    #[arg(long, default_value = "preact-resnet:18,width=16")]
    net: String,
    /// Seed of weights, order, augmentation, noise and attacks.
    #[arg(long, default_value = "0")]
    seed: u64,
    /// Passes over the training images.
    #[arg(long, default_value = "8")]
    epochs: NonZero<u32>,
    /// Images a step, and a pass of the evaluation.
    #[arg(long, default_value = "128")]
    batch: NonZero<usize>,
    /// The first so many training images are learnt from.
    #[arg(long, default_value = "10000")]
    train: NonZero<usize>,
    /// The first so many test images are measured after every epoch but the last.
    #[arg(long, default_value = "1000")]
    watch: NonZero<usize>,
    /// The first so many test images are measured after the last epoch.
    #[arg(long, default_value = "10000")]
    test: NonZero<usize>,
    /// Where everything is written when done.
    #[arg(long)]
    json: Option<PathBuf>,
    /// What cargo passes to a benchmark.
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Serialize)]
struct Document {
    contestant: &'static str,
    seed: u64,
    net: String,
    params: usize,
    batch: usize,
    data: Read,
    epochs: Vec<Epoch>,
}

/// What was read, so that two contestants can be seen to have read the same.
#[derive(Serialize)]
struct Read {
    name: String,
    train: usize,
    test: usize,
    /// The mean byte of the images learnt from, and of those measured.
    mean: [f64; 2],
    /// The sum of their labels.
    labels: [u64; 2],
}

#[derive(Serialize)]
struct Epoch {
    epoch: u32,
    /// The mean over the steps.
    loss: f64,
    clean: Tally,
    pgd: Tally,
    /// Of the training, and of the evaluation after it.
    seconds: [f64; 2],
}

fn main() {
    if let Err(why) = run(&Arguments::parse()) {
        eprintln!("{why}");
        std::process::exit(1);
    }
}

fn run(arguments: &Arguments) -> Result<()> {
    let data = Source::parse(&arguments.data)?.load()?;
    let (train, test) = (arguments.train.get(), arguments.test.get());
    let watch = arguments.watch.get();
    for (option, asked, half, there) in [
        ("--train", train, "training", data.train.len()),
        ("--test", test, "test", data.test.len()),
        ("--watch", watch, "test", data.test.len()),
    ] {
        if asked > there {
            return Err(Error::Usage(format!("{option} asks for {asked} {half} images, the data set has {there}")));
        }
    }
    let seed = Seed::root(arguments.seed);
    let (net, ..) = NetSpec::parse(&arguments.net)?.load(data.image, data.classes.len(), &|path| {
        std::fs::read(path).map_err(|why| Error::Usage(format!("{}: {why}", path.display())))
    })?;
    let network = Network::new(net, seed.child("init"), &Device::Cpu)?;
    let mut document = Document {
        contestant: "robustnas",
        seed: arguments.seed,
        net: arguments.net.clone(),
        params: network.layout().trainable(),
        batch: arguments.batch.get(),
        data: read(&data, train, test),
        epochs: Vec::new(),
    };
    let batch = arguments.batch.get();
    let epochs = arguments.epochs.get();
    // With the optimiser that PreActResNet-18 is usually trained with (Rice et al. 2020).
    let config = Recipe {
        epochs,
        batch,
        clip: Some(5.0),
        adversary: Adversary::SingleStep(ATTACK),
        schedule: Schedule { lr: 0.1, warmup: 0.0, per_step: false, shape: Shape::Cosine { lr_min: 0.0 } },
        ..preset("pgd-at").map_err(Error::Usage)?
    };
    let mut trainee = Trainee::new(network, config.clone(), seed)?;
    let ids: Vec<u32> = (0..train as u32).collect();
    let loader = Loader::new(&data.train, data.image, &ids, batch, seed.child("train"), &Device::Cpu)
        .augmented(Augment { crop_pad: 4, flip: true });
    let (mut sum, mut steps, mut begun) = (0.0, 0, Instant::now());
    fit(&mut trainee, &loader, epochs, Position::default(), &mut |trainee, at, loss| {
        sum += loss;
        steps += 1;
        if at.step > 0 {
            return Ok(());
        }
        let trained = begun.elapsed().as_secs_f64();
        begun = Instant::now();
        let n = if at.epoch == config.epochs { test } else { watch };
        let (clean, pgd) = measure(trainee.network(), &data, n, batch, seed.child("attack"))?;
        let seconds = [trained, begun.elapsed().as_secs_f64()];
        let epoch = Epoch { epoch: at.epoch, loss: sum / f64::from(steps), clean, pgd, seconds };
        println!("{}", json(&epoch)?);
        document.epochs.push(epoch);
        (sum, steps, begun) = (0.0, 0, Instant::now());
        Ok(())
    })?;
    if let Some(path) = &arguments.json {
        std::fs::write(path, json(&document)? + "\n")
            .map_err(|why| Error::Usage(format!("--json {}: {why}", path.display())))?;
    }
    Ok(())
}

fn json(value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|why| Error::Usage(format!("the result cannot be written: {why}")))
}

/// Clean accuracy and that under PGD, on running statistics, of the first `n` test images. An image counts under PGD when it
/// is right clean and right attacked.
fn measure(network: &mut Network, data: &Dataset, n: usize, batch: usize, seed: Seed) -> Result<(Tally, Tally)> {
    let plan = AttackPlan::new("pgd-10", vec![Attack::Pgd(Pgd::new(EPS, STEP, STEPS))]);
    let ids: Vec<u32> = (0..n as u32).collect();
    let loader = Loader::new(&data.test, data.image, &ids, batch, seed, &Device::Cpu);
    let found =
        Suite { plan: &plan, loader: &loader, seed }.run(&mut Target::deployed(network), &[], &mut |_| Ok(()))?;
    Ok((found.clean(), found.under(0)))
}

fn read(data: &Dataset, train: usize, test: usize) -> Read {
    let mean = |images: &Images, n: usize| {
        let bytes = &images.pixels[..n * data.image.len()];
        bytes.iter().map(|b| u64::from(*b)).sum::<u64>() as f64 / bytes.len() as f64
    };
    let labels = |images: &Images, n: usize| images.labels[..n].iter().map(|l| u64::from(*l)).sum();
    Read {
        name: data.name.clone(),
        train,
        test,
        mean: [mean(&data.train, train), mean(&data.test, test)],
        labels: [labels(&data.train, train), labels(&data.test, test)],
    }
}
