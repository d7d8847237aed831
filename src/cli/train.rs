//! `robustnas train`.

use std::num::NonZero;
use std::path::{Path, PathBuf};

use super::args::{Seconds, positive};
use super::console::Console;
use super::ended::{End, EndArguments};
use super::figure::JobFigureArguments;
use super::files;
use super::named::network;
use super::progress::Terminal;
use crate::config::Setting;
use crate::config::train::Train;
use crate::error::{Error, Result};
use crate::jobs::train::Job;
use crate::jobs::trainings::{Evaluation, run};
use crate::recipe::{Decayed, Optimiser, PRESETS, Recipe, Shape};
use crate::report::attacked::table;
use crate::report::seeds::Trained;
use crate::threat::{AttackPlan, Threat};

/// What `train` takes.
#[derive(clap::Args)]
pub struct TrainArguments {
    /// The network: any that `cost` takes.
    #[arg(required_unless_present = "list")]
    net: Option<String>,
    /// Images: synthetic, cifar10:DIR, cifar100:DIR, hf:DIR or folder:DIR.
    #[arg(long, required_unless_present = "list")]
    data: Option<String>,
    /// The method: a word of --list, or pgd-STEPS.
    #[arg(long, required_unless_present_any = ["list", "recipe"])]
    preset: Option<String>,
    /// A file with the tables [train], [split] and [watch]; --preset, --epochs, --batch and --set are laid over it.
    #[arg(long)]
    recipe: Option<PathBuf>,
    /// Passes over the training images. Default: the recipe's.
    #[arg(long, value_parser = positive::<NonZero<u32>>)]
    epochs: Option<NonZero<u32>>,
    /// Images a step. Default: the recipe's.
    #[arg(long, value_parser = positive::<NonZero<usize>>)]
    batch: Option<NonZero<usize>>,
    /// The folder. An earlier part of the same training there is continued.
    #[arg(long, required_unless_present = "list")]
    out: Option<PathBuf>,
    /// Weights to start from, in this program's layout or in PyTorch's. Default: fresh ones; a model.onnx has its own.
    #[arg(long)]
    weights: Option<PathBuf>,
    /// The seed of everything but which images are held out.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Train with so many seeds, from --seed on, each in a folder OUT/seed-N, and print the mean and the spread.
    #[arg(long, default_value = "1", value_parser = positive::<NonZero<u32>>)]
    seeds: NonZero<u32>,
    /// Attack what was kept in the recipe's ball and print that, too: a --plan of `attack`, such as autoattack.
    #[arg(long, value_name = "PLAN")]
    attack: Option<String>,
    /// The first N test images are attacked; 0: all.
    #[arg(long, default_value_t = 1000, requires = "attack")]
    n: usize,
    /// Change a key: train.awp.gamma=0.005, split.validation=500, watch.steps=20. May be given often.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Seconds between checkpoints; no influence on the result.
    #[arg(long, default_value = "60")]
    checkpoint_every: Seconds,
    #[command(flatten)]
    end: EndArguments,
    #[command(flatten)]
    figure: JobFigureArguments,
    /// Write the curves as a TensorBoard event file, too.
    #[arg(long)]
    tensorboard: bool,
    /// Print the methods with their papers, constants and costs, and stop.
    #[arg(long)]
    list: bool,
    /// Print JSON instead of a table.
    #[arg(long)]
    json: bool,
}

/// Trains a network, or goes on with it.
pub fn train(arguments: &TrainArguments, console: Console) -> Result<()> {
    if arguments.list {
        return list(arguments.json);
    }
    let TrainArguments { net: Some(net), data: Some(data), out: Some(out), .. } = arguments else {
        return Err(Error::Usage("train takes a network, --data and --out".into()));
    };
    arguments.end.around(Some(out), console, |end| named(arguments, (net, data, out), end, console))
}

/// Trains a network that was named, on images that were, into a folder.
fn named(
    arguments: &TrainArguments,
    (net, data, out): (&str, &str, &Path),
    end: &End,
    console: Console,
) -> Result<String> {
    let job = Job {
        net: network(net, console)?,
        weights: arguments.weights.clone(),
        data: data.to_owned(),
        config: resolve(arguments)?,
        seed: arguments.seed,
        out: out.to_owned(),
        checkpoint_every: arguments.checkpoint_every.0,
        tensorboard: arguments.tensorboard,
    };
    let evaluation = arguments.attack.as_ref().map(|plan| evaluation(plan, &job, arguments.n)).transpose()?;
    arguments.figure.check()?;
    let (seeds, interrupt) = (arguments.seeds.get(), end.interrupt()?);
    let summary = run(&job, seeds, evaluation.as_ref(), &interrupt, &mut Terminal::new(console))?;
    let folder = if seeds > 1 { "a folder a seed in" } else { "in" };
    console.note(&format!("weights.safetensors, arch.json, curves.csv and curves.svg are {folder} {}", out.display()));
    // Of several seeds the first.
    if let Some(first) = summary.trainings.first() {
        arguments.figure.write(|style| Ok(first.training.figure(style)), console)?;
    }
    match (arguments.json, &summary.trainings[..]) {
        (true, [Trained { training, attacked: None }]) => files::print_json(training)?,
        (true, _) => files::print_json(&summary)?,
        (false, trainings) => {
            let tables = trainings.iter().map(|Trained { training, attacked }| {
                let attacked = attacked.as_ref().map(|found| format!("\n{}", table(found)));
                training.table() + &attacked.unwrap_or_default()
            });
            let mut text = tables.collect::<Vec<_>>().join("\n");
            if seeds > 1 {
                text += &format!("\n{}", summary.table());
            }
            files::print(&text)?;
        }
    }
    let diverged = |trained: &Trained| trained.training.diverged.clone();
    match summary.trainings.iter().find_map(diverged) {
        None => Ok(summary.words()),
        Some(why) => Err(Error::NotFinite(format!("the training diverged {why}; lower train.schedule.lr"))),
    }
}

/// The attacks of a plan in the ball that the training watches.
fn evaluation(plan: &str, job: &Job, n: usize) -> Result<Evaluation> {
    let watch = job.config.watch;
    let threat = Threat { norm: watch.norm, eps: watch.eps };
    let path = Path::new(plan);
    let plan = match AttackPlan::is_file(path) {
        true => AttackPlan::from_text(&files::read(path)?, path, Some(threat))?,
        false => AttackPlan::named(plan, threat).map_err(|why| Error::Usage(format!("--attack: {why}")))?,
    };
    Ok(Evaluation { plan, n })
}

/// The recipe with the command line's changes.
fn resolve(arguments: &TrainArguments) -> Result<Train> {
    let mut settings = Vec::new();
    let options = [
        ("preset", arguments.preset.clone()),
        ("epochs", arguments.epochs.map(|n| n.to_string())),
        ("batch", arguments.batch.map(|n| n.to_string())),
    ];
    for (option, value) in options {
        if let Some(value) = value {
            let key = format!("train.{option}");
            settings.push(Setting { key, option: format!("--{option} {value}"), value });
        }
    }
    for text in &arguments.set {
        let (key, value) = text
            .split_once('=')
            .ok_or_else(|| Error::Usage(format!("--set {text}: expected KEY=VALUE, for example split.train=5000")))?;
        settings.push(Setting::new(key.trim(), value.trim()));
    }
    match &arguments.recipe {
        Some(path) => Train::resolve(&files::read(path)?, path, &settings),
        None => Train::resolve("", Path::new("command line"), &settings),
    }
}

/// Prints the presets.
fn list(json: bool) -> Result<()> {
    if json {
        let row = |row: &crate::recipe::Row| {
            let recipe = (row.recipe)();
            serde_json::json!({"paper": row.paper, "cost": recipe.passes().relative(), "recipe": recipe})
        };
        return files::print_json(&PRESETS.iter().map(row).collect::<Vec<_>>());
    }
    let mut text = String::from("Cost is that of a step over a step of clean training, at the most it can be.\n");
    for row in PRESETS {
        let recipe = (row.recipe)();
        let cost = recipe.passes().relative();
        text += &format!("\n{:14} cost {cost:4.1}   {}\n", row.name, row.paper);
        text += &format!("    {recipe}\n    {}\n", schedule(&recipe));
    }
    text += "\npgd-STEPS      pgd-at-eval with as many steps\n";
    files::print(&text)
}

/// The constants of a recipe's optimiser and schedule, in words.
fn schedule(recipe: &Recipe) -> String {
    let (word, decay) = match recipe.optimiser {
        Optimiser::Sgd(sgd) if sgd.nesterov => (format!("sgd momentum {} nesterov", sgd.momentum), sgd.weight_decay),
        Optimiser::Sgd(sgd) => (format!("sgd momentum {}", sgd.momentum), sgd.weight_decay),
        Optimiser::Adamw(adamw) => (format!("adamw {} {}", adamw.beta1, adamw.beta2), adamw.weight_decay),
    };
    let of = match recipe.optimiser.decayed() {
        Decayed::All => "",
        Decayed::Kernels => " of kernels",
    };
    let lr = recipe.schedule.lr;
    let course = match &recipe.schedule.shape {
        Shape::Constant => String::new(),
        Shape::Cosine { lr_min } => format!(" by a cosine to {lr_min}"),
        Shape::Piecewise { milestones, factor } => {
            let shares: Vec<String> = milestones.iter().map(|m| format!("{:.1}", 100.0 * m)).collect();
            format!(" times {factor} at {} %", shares.join(", "))
        }
        Shape::Triangular { peak } => format!(" up to {} % and down by lines", 100.0 * peak),
        Shape::OneCycle { peak, .. } => format!(" up to {} % and down by cosines", 100.0 * peak),
    };
    let warmup = if recipe.schedule.warmup > 0.0 {
        format!(", {} epochs of warm-up", recipe.schedule.warmup)
    } else {
        String::new()
    };
    let clip = recipe.clip.map_or(String::new(), |clip| format!(", gradients clipped to {clip}"));
    format!(
        "{} epochs of batches of {}, {word}, decay {decay}{of}, lr {lr}{course}{warmup}{clip}",
        recipe.epochs, recipe.batch
    )
}
