//! `robustnas search`.

use std::path::{Path, PathBuf};

use super::args::Seconds;
use super::console::{Console, width};
use super::ended::EndArguments;
use super::progress::Terminal;
use super::{files, spaces};
use crate::config::{Config, Setting};
use crate::error::{Error, Result};
use crate::jobs::DAY;
use crate::jobs::search::{Job, run};
use crate::report::table::table_within;
use crate::store::run::{Run, read_run};
use crate::units::Macs;

/// A space file with changes.
#[derive(clap::Args)]
pub struct SpaceArguments {
    /// A space file, or a name of `space list`; a search without one takes the tiny space on embedded data.
    pub space: Option<PathBuf>,
    /// Images: synthetic, cifar10:DIR, cifar100:DIR, hf:DIR or folder:DIR. Default: what the space says.
    #[arg(long)]
    pub data: Option<String>,
    /// Budgets in multiply-accumulates: 20M,40M,80M. Default: what the space says.
    #[arg(long, value_parser = budgets)]
    budgets: Option<Budgets>,
    /// The seed of everything. Default: what the space says; 0 for a study on a table.
    #[arg(long)]
    pub seed: Option<u64>,
    /// Change a key of the space: search.epochs=25. May be given often.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
}

/// What `search` takes.
#[derive(clap::Args)]
pub struct SearchArguments {
    #[command(flatten)]
    space: SpaceArguments,
    /// Go on with the run in this folder, as it was begun; --data if its images lie elsewhere now.
    #[arg(long = "continue", value_name = "RUN", conflicts_with_all = ["space", "budgets", "out", "seed", "set"])]
    go_on: Option<PathBuf>,
    /// The run folder. Default: results/NAME-seedN. An earlier part of the same run there is continued.
    #[arg(long)]
    out: Option<PathBuf>,
    /// Seconds between checkpoints; no influence on the result.
    #[arg(long, default_value = "60")]
    checkpoint_every: Seconds,
    /// Begin also where the estimate is above three days.
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    end: EndArguments,
    /// Print the resolved configuration and stop.
    #[arg(long)]
    print_config: bool,
    /// Print the ranking as JSON instead of a table.
    #[arg(long)]
    json: bool,
}

/// The most seconds that a run may be expected to take without --yes.
const LONGEST: f64 = 3.0 * DAY;

/// Budgets of one --budgets.
#[derive(Clone)]
struct Budgets(Vec<Macs>);

/// Reads `20M,40M`.
fn budgets(text: &str) -> Result<Budgets, String> {
    text.split(',').map(str::parse).collect::<Result<_, _>>().map(Budgets)
}

/// Runs or continues a search, then prints its table.
pub fn search(arguments: &SearchArguments, console: Console) -> Result<()> {
    let SearchArguments { go_on, out, .. } = arguments;
    if arguments.print_config {
        return files::print(&arguments.space.resolve(go_on.as_deref())?.to_toml()?);
    }
    let given = go_on.as_ref().or(out.as_ref());
    arguments.end.around(given.map(PathBuf::as_path), console, |end| {
        let config = arguments.space.resolve(go_on.as_deref())?;
        let default = || PathBuf::from("results").join(format!("{}-seed{}", config.name, config.seed));
        let out = given.cloned().unwrap_or_else(default);
        end.is_in(&out);
        let job = Job {
            config,
            out: out.clone(),
            argv: std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect(),
            checkpoint_every: arguments.checkpoint_every.0,
            longest: if arguments.yes { f64::INFINITY } else { LONGEST },
        };
        let ranked = run(&job, &end.interrupt()?, &mut Terminal::new(console))?;
        console.note(&format!("ranked.json, frontier.json and frontier.svg are in {}", out.display()));
        if arguments.json {
            files::print_json(&ranked)?
        } else {
            files::print(&table_within(&ranked, width()))?
        }
        Ok(ranked.summary())
    })
}

impl SpaceArguments {
    /// The space, or that of a run to go on with, with the command line's changes.
    pub fn resolve(&self, run: Option<&Path>) -> Result<Config> {
        let mut settings = Vec::new();
        for text in &self.set {
            let (key, value) = text.split_once('=').ok_or_else(|| {
                Error::Usage(format!("--set {text}: expected KEY=VALUE, for example search.epochs=25"))
            })?;
            settings.push(Setting::new(key.trim(), value.trim()));
        }
        let mut option = |key: &str, value: String, words: String| {
            settings.push(Setting { key: key.to_owned(), value, option: format!("--{key} {words}") });
        };
        if let Some(data) = &self.data {
            // Quoted: a source is a word, whatever it looks like.
            option("data", toml::Value::String(data.clone()).to_string(), data.clone());
        }
        if let Some(Budgets(budgets)) = &self.budgets {
            let of = |each: &dyn Fn(&Macs) -> String| budgets.iter().map(each).collect::<Vec<_>>();
            let counts = of(&|budget| budget.0.to_string()).join(", ");
            option("budgets", format!("[{counts}]"), of(&|budget| budget.to_string()).join(","));
        }
        if let Some(seed) = self.seed {
            option("seed", seed.to_string(), seed.to_string());
        }
        if let Some(run) = run {
            let Run { config, .. } = read_run(run)?;
            let path = run.join("config.toml");
            // Read alone first: damage is the run's, not that of an option.
            Config::stored(&config, &path)?;
            return Config::from_toml(&config, &path, &settings);
        }
        let (text, path) = spaces::read(self.space.as_deref().unwrap_or(Path::new(spaces::DEFAULT)))?;
        Config::resolve(&text, &path, &settings, &files::read)
    }
}
