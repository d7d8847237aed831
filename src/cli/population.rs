//! `robustnas population`.

use std::path::PathBuf;

use super::console::Console;
use super::ended::EndArguments;
use super::figure::JobFigureArguments;
use super::files;
use super::progress::Terminal;
use crate::config::population::Population;
use crate::error::Result;
use crate::jobs::population::{Job, run};
use crate::report::edf;

/// What `population` takes.
#[derive(clap::Args)]
pub struct PopulationArguments {
    /// Files of design spaces with one protocol.
    #[arg(required = true)]
    spaces: Vec<PathBuf>,
    /// Networks of each space.
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u64).range(1..))]
    n: u64,
    /// Seed of draws, trainings and resamples.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Images: synthetic, cifar10:DIR, cifar100:DIR, hf:DIR or folder:DIR. Default: that of the first file.
    #[arg(long)]
    data: Option<String>,
    /// The folder. Networks of the same populations there are kept; a larger --n adds to them.
    #[arg(long)]
    out: PathBuf,
    /// Weigh networks so that the spaces' multiply-accumulates match over this number of bins.
    #[arg(long, value_name = "BINS", value_parser = clap::value_parser!(u16).range(1..=64))]
    match_macs: Option<u16>,
    #[command(flatten)]
    end: EndArguments,
    #[command(flatten)]
    figure: JobFigureArguments,
    /// Print JSON instead of a table.
    #[arg(long)]
    json: bool,
}

/// Draws, trains and compares populations, or continues.
pub fn population(arguments: &PopulationArguments, console: Console) -> Result<()> {
    arguments.end.around(Some(&arguments.out), console, |end| {
        arguments.figure.check()?;
        let spaces = arguments
            .spaces
            .iter()
            .map(|path| Population::resolve(&files::read(path)?, path, &files::read))
            .collect::<Result<Vec<_>>>()?;
        let job = Job {
            spaces,
            data: arguments.data.clone(),
            n: arguments.n,
            seed: arguments.seed,
            out: arguments.out.clone(),
            bins: arguments.match_macs.map(usize::from),
        };
        let report = run(&job, &end.interrupt()?, &mut Terminal::new(console))?;
        arguments.figure.write(|style| edf::figure(&report, style), console)?;
        console.note(&format!("population.json and edf.svg are in {}", arguments.out.display()));
        if arguments.json {
            files::print_json(&report)?
        } else {
            files::print(&report.table())?
        }
        Ok(report.summary())
    })
}
