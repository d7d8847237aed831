//! `robustnas search`.

use std::path::{Path, PathBuf};

use super::args::{Seconds, command_line, program};
use super::console::{Console, width};
use super::ended::EndArguments;
use super::progress::Terminal;
use super::{files, spaces};
use crate::config::{Config, Setting};
use crate::error::{Error, Result};
use crate::jobs::DAY;
use crate::jobs::search::{Crew, Job, begin, run};
use crate::report::protocol::Split;
use crate::report::ranked::Ranked;
use crate::report::spread::Spread;
use crate::report::table::table_within;
use crate::store::run::{Run, is_run, of_seed, read_run};
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
    /// Searches with so many seeds, from the first one on, each in a folder of its own within --out.
    #[arg(long, default_value = "1", value_parser = clap::value_parser!(u32).range(1..=1000), conflicts_with = "go_on")]
    seeds: u32,
    /// Processes that train and measure the candidates, which share the threads. The result does not depend on it.
    #[arg(long, default_value = "1", value_parser = clap::value_parser!(u16).range(1..=256))]
    workers: u16,
    /// Begin also where the estimate is above three days.
    #[arg(long)]
    yes: bool,
    /// Begin the run's folder and stop, for `work` or `submit` to go on.
    #[arg(long, conflicts_with_all = ["json", "workers"])]
    begin: bool,
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

/// Runs or continues a search, or one for each of several seeds, then prints its table.
pub fn search(arguments: &SearchArguments, console: Console) -> Result<()> {
    let SearchArguments { go_on, out, .. } = arguments;
    if arguments.print_config {
        return files::print(&arguments.space.resolve(go_on.as_deref())?.to_toml()?);
    }
    let given = go_on.as_ref().or(out.as_ref());
    arguments.end.around(given.map(PathBuf::as_path), console, |end| {
        let config = arguments.space.resolve(go_on.as_deref())?;
        let several = arguments.seeds > 1;
        let default = || {
            let seeds = if several { format!("{}seeds", arguments.seeds) } else { format!("seed{}", config.seed) };
            PathBuf::from("results").join(format!("{}-{seeds}", config.name))
        };
        let out = given.cloned().unwrap_or_else(default);
        if several && is_run(&out) {
            let words = "is the run of one seed; --seeds needs a folder for a run of each";
            return Err(Error::run(&out, words));
        }
        end.is_in(&out);
        let interrupt = end.interrupt()?;
        let mut all = Vec::new();
        for seed in config.seed..config.seed + u64::from(arguments.seeds) {
            let own = if several { of_seed(&out, seed) } else { out.clone() };
            let job = Job {
                argv: command_line(),
                checkpoint_every: arguments.checkpoint_every.0,
                longest: if arguments.yes { f64::INFINITY } else { LONGEST },
                crew: crew(arguments.workers)?,
                ..Job::new(Config { seed, ..config.clone() }, own.clone())
            };
            let own = own.display();
            if arguments.begin {
                begin(&job, &interrupt, &mut Terminal::new(console))?;
                console.note(&format!("nothing is done yet: robustnas work {own} or robustnas submit {own} goes on"));
                continue;
            }
            all.push(run(&job, &interrupt, &mut Terminal::new(console))?);
            console.note(&format!("ranked.json, frontier.json, frontier.svg and report.html are in {own}"));
        }
        print(&all, arguments.json)?;
        Ok(all.iter().map(Ranked::summary).collect::<Vec<_>>().join("; "))
    })
}

/// Prints the tables of runs, and of several what they amount to.
fn print(all: &[Ranked], json: bool) -> Result<()> {
    match all {
        [] => Ok(()),
        [ranked] if json => files::print_json(ranked),
        several if json => files::print_json(&several),
        [ranked] => files::print(&table_within(ranked, width())),
        several => {
            let tables: Vec<String> = several.iter().map(|ranked| table_within(ranked, width())).collect();
            let spread = Spread::of(&several.iter().collect::<Vec<_>>(), Split::Test).table();
            files::print(&format!("{}\nover {} seeds, test images\n{spread}", tables.join("\n"), several.len()))
        }
    }
}

/// The configuration of a run, whose images may lie elsewhere now.
pub fn of_run(run: &Path, data: Option<&str>) -> Result<Config> {
    changed(run, &data.map(images_at).into_iter().collect::<Vec<_>>())
}

/// The configuration of a run with changes.
fn changed(run: &Path, settings: &[Setting]) -> Result<Config> {
    let Run { config, .. } = read_run(run)?;
    let path = run.join("config.toml");
    // Read alone first: damage is the run's, not that of an option.
    Config::stored(&config, &path)?;
    Config::from_toml(&config, &path, settings)
}

/// Says where the images are. Quoted: a source is a word, whatever it looks like.
fn images_at(data: &str) -> Setting {
    let value = toml::Value::String(data.to_owned()).to_string();
    Setting { key: "data".to_owned(), value, option: format!("--data {data}") }
}

/// The workers beside this process, which then leads and does no task itself.
fn crew(workers: u16) -> Result<Option<Crew>> {
    if workers == 1 {
        return Ok(None);
    }
    Ok(Some(Crew { program: program()?, workers, threads: rayon::current_num_threads() / usize::from(workers) }))
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
        settings.extend(self.data.as_deref().map(images_at));
        let mut option = |key: &str, value: String, words: String| {
            settings.push(Setting { key: key.to_owned(), value, option: format!("--{key} {words}") });
        };
        if let Some(Budgets(budgets)) = &self.budgets {
            let of = |each: &dyn Fn(&Macs) -> String| budgets.iter().map(each).collect::<Vec<_>>();
            let counts = of(&|budget| budget.0.to_string()).join(", ");
            option("budgets", format!("[{counts}]"), of(&|budget| budget.to_string()).join(","));
        }
        if let Some(seed) = self.seed {
            option("seed", seed.to_string(), seed.to_string());
        }
        if let Some(run) = run {
            return changed(run, &settings);
        }
        let (text, path) = spaces::read(self.space.as_deref().unwrap_or(Path::new(spaces::DEFAULT)))?;
        Config::resolve(&text, &path, &settings, &files::read)
    }
}
