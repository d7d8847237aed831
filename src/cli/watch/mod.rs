//! `robustnas watch`.

mod candidates;
mod choices;
mod curves;
mod draw;
mod frontier;
mod lines;
mod live;
mod signs;
#[cfg(test)]
mod tests;
mod view;
mod watched;

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use super::console::Console;
use super::rank::among_that;
use super::{files, status};
use crate::error::{Error, Result};
use crate::jobs::state::State;
use crate::store::run::{is_beginning, is_run};

/// What `watch` takes.
#[derive(clap::Args)]
pub struct WatchArguments {
    /// Run folders: finished, at work, or about to begin.
    #[arg(required = true)]
    runs: Vec<PathBuf>,
    /// Print a line for every event instead of a dashboard, and end when the runs are over. So does an output that is no
    /// terminal.
    #[arg(long)]
    plain: bool,
    /// Print how far the runs are, as `status` does, and end.
    #[arg(long)]
    once: bool,
}

/// Shows runs until they are over, or until a key.
pub fn watch(arguments: &WatchArguments, console: Console) -> Result<()> {
    // Of `results/*` those that are runs, and those that one is about to begin in, which are waited for.
    let runs = among_that(&arguments.runs, console, |folder| is_run(folder) || is_beginning(folder));
    for run in &runs {
        there(run)?;
    }
    if arguments.once {
        return once(&runs);
    }
    if arguments.plain || !std::io::stdout().is_terminal() { lines::follow(&runs) } else { live::show(&runs) }
}

/// Refuses a folder that is no run and that none is about to begin in.
fn there(run: &Path) -> Result<()> {
    if !run.exists() {
        let words = "there is no such folder; name a run folder (`search --out`), also one that is still empty";
        return Err(Error::run(run, words));
    }
    if is_beginning(run) { Ok(()) } else { State::read(run).map(drop) }
}

fn once(runs: &[PathBuf]) -> Result<()> {
    let mut text = String::new();
    for (i, run) in runs.iter().enumerate() {
        text += if i > 0 { "\n" } else { "" };
        text += &match is_beginning(run) {
            true => format!("{}: not begun yet\n", run.display()),
            false => status::text_of(&State::read(run)?, run)?,
        };
    }
    files::print(&text)
}
