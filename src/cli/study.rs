//! `robustnas study`.

use std::path::PathBuf;

use super::files;
use crate::error::Result;
use crate::jobs::study::{Job, run};
use crate::search::strategy::AnyStrategy;

/// What `study` takes.
#[derive(clap::Args)]
pub struct StudyArguments {
    /// A table with a line for each network of NAS-Bench-201: comma-separated, with the columns `arch` and `macs`.
    #[arg(long, value_name = "FILE")]
    table: PathBuf,
    /// The column that searches make large.
    #[arg(long, value_name = "COLUMN")]
    objective: String,
    /// The column by which what they found is judged; no search sees it.
    #[arg(long, value_name = "COLUMN")]
    report: String,
    /// Full trainings that a search may ask for.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    queries: u64,
    /// Searches of each strategy.
    #[arg(long, default_value_t = 400, value_parser = clap::value_parser!(u64).range(2..=100_000))]
    repeats: u64,
    /// Standard deviation of what each answer errs by, in the objective's units: 0.01 is one point of an accuracy.
    #[arg(long, default_value_t = 0.0, value_name = "SD")]
    noise: f64,
    /// What an answer after next to no training errs by, falling linearly to nothing at a full one: an assumption, without
    /// which strategies that train in part are not asked.
    #[arg(long, value_name = "SD")]
    partial: Option<f64>,
    /// Seed of searches, errors and resamples.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Print JSON instead of tables.
    #[arg(long)]
    json: bool,
}

/// Compares the strategies on a table.
pub fn study(arguments: &StudyArguments) -> Result<()> {
    let job = Job {
        table: arguments.table.clone(),
        strategies: AnyStrategy::USUAL.to_vec(),
        objective: arguments.objective.clone(),
        report: arguments.report.clone(),
        queries: arguments.queries,
        repeats: arguments.repeats,
        noise: arguments.noise,
        partial: arguments.partial,
        seed: arguments.seed,
    };
    let report = run(&job)?;
    if arguments.json { files::print_json(&report) } else { files::print(&report.text()) }
}
