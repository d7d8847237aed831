//! `robustnas bench`.

use std::num::NonZero;

use serde::Serialize;

use super::args::{ImageArguments, positive};
use super::console::Console;
use super::files;
use super::subject::{Prepared, SubjectArguments};
use crate::bench::step::{Case, Size};
use crate::bench::{Line, attack, step, train};
use crate::error::Result;
use crate::jobs::attack::Subject;
use crate::recipe::Preset;

/// The benchmarks.
#[derive(clap::Subcommand)]
pub enum BenchVerb {
    /// Time the steps of a DSARA search on its supernet.
    #[command(after_help = "Example:\n  robustnas bench step --channels 16 --layers 8 --batch 32 --pgd-steps 7 \
        --threads 2 --cases forward,pgd --json")]
    Step(StepArguments),
    /// Time the training steps of a network.
    #[command(
        after_help = "Example:\n  robustnas bench train --net preact-resnet:18 --method n-fgsm --batch 128 --json"
    )]
    Train(Box<TrainArguments>),
    /// Time a plan of attacks on a trained network, from the clean images to the last attack.
    #[command(
        after_help = "Example:\n  robustnas bench attack --net archs/ID/arch.json --data cifar10:DIR --n 128 --steps 1 --json"
    )]
    Attack(BenchAttackArguments),
}

/// How a measurement is taken and printed.
#[derive(clap::Args)]
struct Measuring {
    /// Timed repetitions, after one that is not timed.
    #[arg(long, default_value = "5", value_parser = positive::<NonZero<usize>>)]
    steps: NonZero<usize>,
    /// Print a JSON object a line. `peak_bytes` is the process's largest resident size so far, on Linux only.
    /// `planned_bytes` is the estimate, from the graph, of how much a case adds to `before_bytes`.
    #[arg(long)]
    json: bool,
}

/// What `bench step` takes.
#[derive(clap::Args)]
pub struct StepArguments {
    /// Channels of the first stage.
    #[arg(long, default_value = "16", value_parser = positive::<NonZero<usize>>)]
    channels: NonZero<usize>,
    /// Cells.
    #[arg(long, default_value = "8", value_parser = positive::<NonZero<usize>>)]
    layers: NonZero<usize>,
    /// Images a step.
    #[arg(long, default_value = "32", value_parser = positive::<NonZero<usize>>)]
    batch: NonZero<usize>,
    /// Steps of the attack.
    #[arg(long, default_value = "7", value_parser = positive::<NonZero<u32>>)]
    pgd_steps: NonZero<u32>,
    /// What to time: forward, weight_step, pgd, first_order_step, second_order_step. Default: all of them.
    #[arg(long, value_delimiter = ',', default_values = Case::ALL.map(Case::word), hide_default_value = true)]
    cases: Vec<Case>,
    #[command(flatten)]
    measuring: Measuring,
}

/// What `bench train` takes.
#[derive(clap::Args)]
pub struct TrainArguments {
    /// The network: preact-resnet:18, wrn:depth=28,width=10, or any other that `cost` takes.
    #[arg(long)]
    net: String,
    #[command(flatten)]
    image: ImageArguments,
    /// The training method: pgd-STEPS or any of `robustnas train --list`.
    #[arg(long)]
    method: Preset,
    /// Images a step.
    #[arg(long, default_value = "128", value_parser = positive::<NonZero<usize>>)]
    batch: NonZero<usize>,
    #[command(flatten)]
    measuring: Measuring,
}

/// What `bench attack` takes.
#[derive(clap::Args)]
pub struct BenchAttackArguments {
    #[command(flatten)]
    subject: SubjectArguments,
    #[command(flatten)]
    measuring: Measuring,
}

/// Runs a benchmark; prints each case as soon as it is measured.
pub fn bench(verb: &BenchVerb, console: Console) -> Result<()> {
    match verb {
        BenchVerb::Step(StepArguments { channels, layers, batch, pgd_steps, cases, measuring }) => {
            let size = Size { channels: channels.get(), layers: layers.get(), pgd_steps: pgd_steps.get() };
            for (i, case) in cases.iter().enumerate() {
                let line = step::measure(*case, size, batch.get(), measuring.steps.get())?;
                tell(&line, measuring.json, i == 0)?;
            }
            Ok(())
        }
        BenchVerb::Train(arguments) => {
            let TrainArguments { net, image, method, batch, measuring } = &**arguments;
            let built = image.load(net, console)?.net;
            let line = train::measure(&built, net, method, batch.get(), measuring.steps.get())?;
            tell(&line, measuring.json, true)
        }
        BenchVerb::Attack(BenchAttackArguments { subject, measuring }) => {
            let Prepared { data, subject: Subject { network, .. }, plan, ids, seed } = subject.prepare(console)?;
            let (net, batch) = (&subject.net, subject.batch);
            let attack = attack::Attack { net, network, data: &data, ids: &ids, plan: &plan, seed, batch };
            tell(&attack::measure(attack, measuring.steps.get())?, measuring.json, true)
        }
    }
}

/// Prints a measurement: a line of JSON, or a row of a table, the first with its heading.
fn tell<T: Serialize>(line: &Line<T>, json: bool, first: bool) -> Result<()> {
    if json {
        return files::print_json_line(line);
    }
    let Line { params, batch, threads, steps, .. } = line;
    let mib = |bytes: u64| format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20));
    let ms = |ms: f64| format!("{ms:.1}");
    let row = |cells: [&str; 8]| {
        let [case, numbers @ ..] = cells;
        numbers.iter().fold(format!("{case:18}"), |text, number| text + &format!(" {number:>11}")) + "\n"
    };
    let mut text = String::new();
    if first {
        text += &format!("{} parameters, batch {batch}, {threads} threads, {steps} timed steps\n", params.0);
        text += &row(["case", "median ms", "fastest", "slowest", "images/s", "peak", "planned", "arena"]);
    }
    text += &row([
        &line.case,
        &ms(line.ms),
        &ms(line.ms_min),
        &ms(line.ms_max),
        &format!("{:.1}", line.images_per_s),
        &line.peak_bytes.map_or("-".into(), mib),
        &mib(line.planned_bytes),
        &mib(line.arena_bytes),
    ]);
    files::print(&text)
}
