//! `robustnas rank`.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::console::{Console, width};
use super::files;
use crate::error::Result;
use crate::report::ranked::Ranked;
use crate::report::table::table_within;
use crate::store::history::History;
use crate::store::run::is_run;

/// The ranking of a run; what there is to be said of its journal is said.
pub fn ranked(run: &Path, console: Console) -> Result<Ranked> {
    let history = History::read(run)?;
    if let Some(warning) = &history.warning {
        console.warn(warning);
    }
    Ranked::new(history.run.file.seed, &history.records())
}

/// Those of several folders that are runs, as of `results/*`; one alone is taken for a run.
pub fn among(folders: &[PathBuf], console: Console) -> Vec<&PathBuf> {
    among_that(folders, console, is_run)
}

/// Those of several folders that a verb can take for runs; where none is, all of them, so that it says why not.
pub fn among_that(folders: &[PathBuf], console: Console, is: impl Fn(&Path) -> bool) -> Vec<&PathBuf> {
    let (runs, others): (Vec<&PathBuf>, Vec<&PathBuf>) = folders.iter().partition(|folder| is(folder));
    if runs.is_empty() {
        return folders.iter().collect();
    }
    others.iter().for_each(|other| console.warn(&format!("{}: not a run folder, left out", other.display())));
    runs
}

/// The ranked tables of runs.
pub fn rank(runs: &[PathBuf], json: bool, console: Console) -> Result<()> {
    let all =
        among(runs, console).into_iter().map(|run| Ok((run, ranked(run, console)?))).collect::<Result<Vec<_>>>()?;
    if json {
        let value: Vec<_> =
            all.iter().map(|(run, ranked)| json!({"run": run.display().to_string(), "ranked": ranked})).collect();
        return files::print_json(&value);
    }
    let mut text = String::new();
    for (run, ranked) in &all {
        if all.len() > 1 {
            let _ = writeln!(text, "== {}", run.display());
        }
        text += &table_within(ranked, width());
        text += "\n";
    }
    files::print(&text)
}
