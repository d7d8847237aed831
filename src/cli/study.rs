//! `robustnas study`.

use std::path::{Path, PathBuf};

use super::args::Seconds;
use super::console::Console;
use super::ended::{End, EndArguments};
use super::figure::JobFigureArguments;
use super::progress::Terminal;
use super::{files, search};
use crate::error::{Error, Result};
use crate::jobs::study::{table, trained};
use crate::report::searches::picture;
use crate::search::strategy::AnyStrategy;

/// What `study` takes: a space whose networks are trained, or a table of networks that others have trained.
#[derive(clap::Args)]
pub struct StudyArguments {
    #[command(flatten)]
    space: search::SpaceArguments,
    /// The folder of a study by training. Default: results/study-NAME-seedN. An earlier part of the same study there is
    /// continued; larger numbers of networks and searches add to it.
    #[arg(long, conflicts_with = "table")]
    out: Option<PathBuf>,
    /// Seconds between checkpoints; no influence on the result.
    #[arg(long, default_value = "60", conflicts_with = "table")]
    checkpoint_every: Seconds,
    /// A table with a line for each network of NAS-Bench-201: comma-separated, with the columns `arch` and `macs`.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["space", "data", "budgets", "set"], requires_all = ["objective", "report"])]
    table: Option<PathBuf>,
    /// The column that searches make large.
    #[arg(long, value_name = "COLUMN", requires = "table")]
    objective: Option<String>,
    /// The column by which what they found is judged; no search sees it.
    #[arg(long, value_name = "COLUMN", requires = "table")]
    report: Option<String>,
    /// Full trainings that a search on a table may ask for.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    queries: u64,
    /// Searches of each strategy on a table.
    #[arg(long, default_value_t = 400, value_parser = clap::value_parser!(u64).range(2..=100_000))]
    repeats: u64,
    /// Standard deviation of what each answer of a table errs by, in the objective's units: 0.01 is one point of an accuracy.
    #[arg(long, default_value_t = 0.0, value_name = "SD")]
    noise: f64,
    /// What an answer of a table after next to no training errs by, falling linearly to nothing at a full one: an assumption,
    /// without which strategies that train in part are not asked.
    #[arg(long, value_name = "SD", requires = "table")]
    partial: Option<f64>,
    #[command(flatten)]
    end: EndArguments,
    #[command(flatten)]
    figure: JobFigureArguments,
    /// Print JSON instead of tables.
    #[arg(long)]
    json: bool,
}

/// Compares strategies on a table, or by training.
pub fn study(arguments: &StudyArguments, console: Console) -> Result<()> {
    arguments.end.around(arguments.out.as_deref(), console, |end| {
        arguments.figure.check()?;
        match (&arguments.table, &arguments.space.space) {
            (Some(path), _) => on_table(arguments, path),
            (None, Some(_)) => by_training(arguments, end, console),
            (None, None) => {
                let what = "name a space file with [study], or --table with a table of trained networks";
                Err(Error::Usage(what.into()))
            }
        }
    })
}

fn on_table(arguments: &StudyArguments, path: &Path) -> Result<String> {
    arguments.figure.none("a study on a table")?;
    let column = |name: &str, given: &Option<String>| {
        given.clone().ok_or_else(|| Error::Usage(format!("--{name} is missing: a column of the table")))
    };
    let job = table::Job {
        table: path.to_owned(),
        strategies: AnyStrategy::USUAL.to_vec(),
        objective: column("objective", &arguments.objective)?,
        report: column("report", &arguments.report)?,
        queries: arguments.queries,
        repeats: arguments.repeats,
        noise: arguments.noise,
        partial: arguments.partial,
        seed: arguments.space.seed.unwrap_or(0),
    };
    let report = table::run(&job)?;
    if arguments.json {
        files::print_json(&report)?
    } else {
        files::print(&report.text())?
    }
    let (strategies, repeats) = (job.strategies.len(), job.repeats);
    Ok(format!("{strategies} strategies, {repeats} searches of each on {}", path.display()))
}

fn by_training(arguments: &StudyArguments, end: &End, console: Console) -> Result<String> {
    let config = arguments.space.resolve(None)?;
    let default = || PathBuf::from("results").join(format!("study-{}-seed{}", config.name, config.seed));
    let out = arguments.out.clone().unwrap_or_else(default);
    end.is_in(&out);
    let job = trained::Job { config, out: out.clone(), checkpoint_every: arguments.checkpoint_every.0 };
    let report = trained::run(&job, &end.interrupt()?, &mut Terminal::new(console))?;
    arguments.figure.write(|style| picture::figure(&report, style), console)?;
    console.note(&format!("study.json and study.svg are in {}", out.display()));
    if arguments.json {
        files::print_json(&report)?
    } else {
        files::print(&report.text())?
    }
    Ok(report.verdicts().join(" "))
}
