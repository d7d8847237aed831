//! `robustnas rank`.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::console::{Console, width};
use super::files;
use crate::error::Result;
use crate::report::protocol::Split;
use crate::report::ranked::Ranked;
use crate::report::spread::Spread;
use crate::report::table::table_within;
use crate::store::history::History;
use crate::store::run::{is_of_seed, of_seeds};

/// What a run's folder says; what there is to be said of its journal is said.
pub fn history(run: &Path, console: Console) -> Result<History> {
    let history = History::read(run)?;
    if let Some(warning) = &history.warning {
        console.warn(warning);
    }
    Ok(history)
}

/// The ranking of a run.
pub fn ranked(run: &Path, console: Console) -> Result<Ranked> {
    let history = history(run, console)?;
    Ranked::new(history.run.file.seed, &history.records())
}

/// The runs of several folders, as of `results/*`: those that are runs, and those of several seeds in one that has such; one
/// that is neither and is alone is taken for a run.
pub fn among(folders: &[PathBuf], console: Console) -> Vec<PathBuf> {
    among_that(folders, console, |_| false)
}

/// The same, with others that a verb can take for runs; where there is none, all folders, so that it says why not.
pub fn among_that(folders: &[PathBuf], console: Console, is: impl Fn(&Path) -> bool) -> Vec<PathBuf> {
    let (mut runs, mut others) = (Vec::new(), Vec::new());
    for folder in folders {
        // What cannot be listed is told where it is read as a run.
        match of_seeds(folder).unwrap_or_default() {
            none if none.is_empty() && is(folder) => runs.push(folder.clone()),
            none if none.is_empty() => others.push(folder),
            some => runs.extend(some),
        }
    }
    if runs.is_empty() {
        return folders.to_vec();
    }
    others.iter().for_each(|other| console.warn(&format!("{}: not a run folder, left out", other.display())));
    runs
}

/// The ranked tables of runs.
pub fn rank(runs: &[PathBuf], json: bool, console: Console) -> Result<()> {
    let all = among(runs, console)
        .into_iter()
        .map(|run| ranked(&run, console).map(|ranked| (run, ranked)))
        .collect::<Result<Vec<_>>>()?;
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
    for (folder, seeds) in by_seeds(&all).into_iter().filter(|(_, seeds)| seeds.len() > 1) {
        let spread = Spread::of(&seeds, Split::Test);
        let _ = writeln!(text, "== {} over {} seeds, test images", folder.display(), seeds.len());
        text += &spread.table();
        text += "\n";
    }
    files::print(&text)
}

/// Runs by what they are runs of: those of several seeds by the folder that they lie in, every other one for itself.
pub fn by_seeds(all: &[(PathBuf, Ranked)]) -> Vec<(&Path, Vec<&Ranked>)> {
    let mut folders: Vec<(&Path, Vec<&Ranked>)> = Vec::new();
    for (run, ranked) in all {
        let folder = if is_of_seed(run) { run.parent().unwrap_or(run) } else { run };
        match folders.iter_mut().find(|(of, _)| *of == folder) {
            Some((_, runs)) => runs.push(ranked),
            None => folders.push((folder, vec![ranked])),
        }
    }
    folders
}
