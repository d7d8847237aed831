//! `robustnas report`.

use std::path::{Path, PathBuf};

use super::console::Console;
use super::files;
use super::frontier::SplitName;
use super::rank::{among, history};
use crate::error::Result;
use crate::jobs::page::page;
use crate::jobs::state;
use crate::report::optuna::{OptunaStudy, journal};
use crate::store::event::records;
use crate::store::history::History;
use crate::store::run::Run;

/// What `report` takes.
#[derive(clap::Args)]
pub struct ReportArguments {
    /// Run folders, finished or at work.
    #[arg(required = true)]
    runs: Vec<PathBuf>,
    /// The page, one HTML file that needs nothing else.
    #[arg(long, required_unless_present = "optuna")]
    out: Option<PathBuf>,
    /// Write the candidates as trials of Optuna: a journal that optuna-dashboard and optuna.load_study open.
    #[arg(long, value_name = "FILE.log")]
    optuna: Option<PathBuf>,
    /// The images whose accuracies the frontier shows.
    #[arg(long, value_enum, default_value = "test")]
    split: SplitName,
}

/// Writes the page of runs, and their candidates for Optuna.
pub fn report(arguments: &ReportArguments, console: Console) -> Result<()> {
    let runs = among(&arguments.runs, console);
    let runs: Vec<&Path> = runs.iter().map(PathBuf::as_path).collect();
    if let Some(out) = &arguments.out {
        files::write(out, page(&runs, arguments.split.into())?.as_bytes())?;
    }
    arguments.optuna.as_ref().map_or(Ok(()), |out| optuna(&runs, out, console))
}

fn optuna(runs: &[&Path], out: &Path, console: Console) -> Result<()> {
    let read = |run: &&Path| {
        let History { run: Run { file, .. }, events, .. } = history(run, console)?;
        let about = [
            ("seed", file.seed.to_string()),
            ("data", format!("{} (content {})", file.data, file.data_id)),
            ("counting_rule", file.counting_rule),
            ("robustnas", file.created_by_version),
        ];
        let about = about.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        Ok(OptunaStudy { name: state::name(run), about, records: records(&events) })
    };
    let studies = runs.iter().map(read).collect::<Result<Vec<_>>>()?;
    files::write(out, journal(&studies)?.as_bytes())
}
