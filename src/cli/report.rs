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
use crate::report::scalars::scalars;
use crate::store::event::{Event, epochs, records};
use crate::store::history::History;
use crate::store::run::Run;

/// What `report` takes.
#[derive(clap::Args)]
pub struct ReportArguments {
    /// Run folders, finished or at work.
    #[arg(required = true)]
    runs: Vec<PathBuf>,
    /// The page, one HTML file that needs nothing else.
    #[arg(long, required_unless_present_any = ["optuna", "tensorboard"])]
    out: Option<PathBuf>,
    /// Write the candidates as trials of Optuna: a journal that optuna-dashboard and optuna.load_study open.
    #[arg(long, value_name = "FILE.log")]
    optuna: Option<PathBuf>,
    /// Write the searches as scalars for TensorBoard, a folder for each run in this one: losses and accuracies by epoch,
    /// objectives by trial, accuracies by candidate.
    #[arg(long, value_name = "DIR")]
    tensorboard: Option<PathBuf>,
    /// The images whose accuracies the frontier shows.
    #[arg(long, value_enum, default_value = "test")]
    split: SplitName,
}

/// Writes the page of runs, and what other programs show of them.
pub fn report(arguments: &ReportArguments, console: Console) -> Result<()> {
    let runs = among(&arguments.runs, console);
    let runs: Vec<&Path> = runs.iter().map(PathBuf::as_path).collect();
    if let Some(out) = &arguments.out {
        files::write(out, page(&runs, arguments.split.into())?.as_bytes())?;
        console.wrote(out);
    }
    if let Some(out) = &arguments.optuna {
        optuna(&runs, out, console)?;
    }
    arguments.tensorboard.as_ref().map_or(Ok(()), |out| tensorboard(&runs, out, console))
}

fn tensorboard(runs: &[&Path], out: &Path, console: Console) -> Result<()> {
    for run in runs {
        let events = history(run, console)?.events;
        let trials: Vec<_> = events
            .iter()
            .filter_map(|event| match event {
                Event::Trial { budget, trial } => Some((*budget, trial)),
                _ => None,
            })
            .collect();
        let bytes = scalars(&epochs(&events).cloned().collect::<Vec<_>>(), &trials, &records(&events));
        let file = out.join(state::name(run)).join("events.out.tfevents.0.robustnas");
        files::folder(file.parent().unwrap_or(out))?;
        files::write(&file, &bytes)?;
        console.wrote(&file);
    }
    Ok(())
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
    files::write(out, journal(&studies)?.as_bytes())?;
    console.wrote(out);
    Ok(())
}
