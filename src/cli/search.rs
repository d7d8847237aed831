//! `robustnas search`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::files;
use super::progress::Terminal;
use crate::config::{Config, Setting};
use crate::error::{Error, Result};
use crate::jobs::Interrupt;
use crate::jobs::search::{Job, run};
use crate::report::table::table;
use crate::units::Macs;

/// What `search` takes.
#[derive(clap::Args)]
pub struct SearchArguments {
    /// A space file; default: the tiny space on embedded data.
    space: Option<PathBuf>,
    /// Images: synthetic, cifar10:DIR, cifar100:DIR, hf:DIR or folder:DIR. Default: what the space says.
    #[arg(long)]
    data: Option<String>,
    /// Budgets in multiply-accumulates: 20M,40M,80M. Default: what the space says.
    #[arg(long, value_delimiter = ',')]
    budgets: Vec<Macs>,
    /// The run folder. Default: results/NAME-seedN. An earlier part of the same run there is continued.
    #[arg(long)]
    out: Option<PathBuf>,
    /// The run's seed. Default: what the space says.
    #[arg(long)]
    seed: Option<u64>,
    /// Change a key of the space: search.epochs=25. May be given often.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Seconds between checkpoints; no influence on the result.
    #[arg(long, default_value_t = 60.0)]
    checkpoint_every: f64,
    /// Print the resolved configuration and stop.
    #[arg(long)]
    print_config: bool,
    /// Print the ranking as JSON instead of a table.
    #[arg(long)]
    json: bool,
}

/// The space of a search without arguments, part of the program so that it needs no checkout.
const TINY: &str = include_str!("../../search_spaces/dsara-tiny.toml");

/// Runs or continues a search, then prints its table.
pub fn search(arguments: &SearchArguments) -> Result<()> {
    let config = resolve(arguments)?;
    if arguments.print_config {
        return files::print(&config.to_toml()?);
    }
    if !(arguments.checkpoint_every >= 0.0 && arguments.checkpoint_every.is_finite()) {
        return Err(Error::Usage(format!("--checkpoint-every {}: expected seconds", arguments.checkpoint_every)));
    }
    let default = || PathBuf::from("results").join(format!("{}-seed{}", config.name, config.seed));
    let out = arguments.out.clone().unwrap_or_else(default);
    let job = Job {
        config,
        out: out.clone(),
        argv: std::env::args().collect(),
        checkpoint_every: Duration::from_secs_f64(arguments.checkpoint_every),
    };
    let interrupt = Interrupt::install()?;
    let ranked = run(&job, &interrupt, &mut Terminal::new())?;
    eprintln!("ranked.json, frontier.json and frontier.svg are in {}", out.display());
    if arguments.json { files::print_json(&ranked) } else { files::print(&table(&ranked)) }
}

/// The space with the command line's changes.
fn resolve(arguments: &SearchArguments) -> Result<Config> {
    let mut settings = Vec::new();
    for text in &arguments.set {
        let (key, value) = text
            .split_once('=')
            .ok_or_else(|| Error::Usage(format!("--set {text}: expected KEY=VALUE, for example search.epochs=25")))?;
        settings.push(Setting::new(key.trim(), value.trim()));
    }
    let mut option = |key: &str, value: String, words: String| {
        settings.push(Setting { key: key.to_owned(), value, option: format!("--{key} {words}") });
    };
    if let Some(data) = &arguments.data {
        // Quoted: a source is a word, whatever it looks like.
        option("data", toml::Value::String(data.clone()).to_string(), data.clone());
    }
    if !arguments.budgets.is_empty() {
        let of = |each: &dyn Fn(&Macs) -> String| arguments.budgets.iter().map(each).collect::<Vec<_>>();
        let counts = of(&|budget| budget.0.to_string()).join(", ");
        option("budgets", format!("[{counts}]"), of(&|budget| budget.to_string()).join(","));
    }
    if let Some(seed) = arguments.seed {
        option("seed", seed.to_string(), seed.to_string());
    }
    match &arguments.space {
        Some(path) => Config::resolve(&files::read(path)?, path, &settings, &files::read),
        None => Config::resolve(TINY, Path::new("search_spaces/dsara-tiny.toml"), &settings, &files::read),
    }
}
