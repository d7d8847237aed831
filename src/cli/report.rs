//! `robustnas report`.

use std::path::{Path, PathBuf};

use super::console::Console;
use super::files;
use super::frontier::SplitName;
use super::rank::among;
use crate::error::Result;
use crate::jobs::page::page;

/// What `report` takes.
#[derive(clap::Args)]
pub struct ReportArguments {
    /// Run folders, finished or at work.
    #[arg(required = true)]
    runs: Vec<PathBuf>,
    /// The page, one HTML file that needs nothing else.
    #[arg(long)]
    out: PathBuf,
    /// The images whose accuracies the frontier shows.
    #[arg(long, value_enum, default_value = "test")]
    split: SplitName,
}

/// Writes the page of runs.
pub fn report(arguments: &ReportArguments, console: Console) -> Result<()> {
    let runs = among(&arguments.runs, console);
    let runs: Vec<&Path> = runs.iter().map(PathBuf::as_path).collect();
    files::write(&arguments.out, page(&runs, arguments.split.into())?.as_bytes())
}
