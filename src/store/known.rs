//! The files of a run that its journal knows. A file is made known before it is written, so one that is there and not known
//! shows that the journal has lost lines.

use std::path::Path;

use super::atomic;
use super::journal::Files;
use crate::error::{Error, Result};

/// The description of a run: a folder that has it is one.
pub(super) const RUN: &str = "run.json";
pub(super) const JOURNAL: &str = "journal.jsonl";
pub(super) const ARCHS: &str = "archs";
pub(super) const CONFIG: &str = "config.toml";
/// The files of an architecture.
pub(super) const OF_ARCH: [&str; 4] = ["arch.json", "genotype.txt", "weights.safetensors", "eval.json"];
/// The files at the top of a run that follow from its journal alone; the first one is its answer.
pub(super) const OUTPUTS: [&str; 3] = ["ranked.json", "frontier.json", "frontier.svg"];
/// The version of the folder's layout from which on the journal knows its files.
pub(super) const KNOWN_FILES: u32 = 2;

/// The files of a run that its journal should know.
///
/// # Errors
/// [`Error::Io`] where the folder cannot be listed.
pub(super) fn present(path: &Path) -> Result<Vec<String>> {
    let mut names: Vec<String> = OUTPUTS.iter().map(|name| (*name).to_owned()).collect();
    for id in atomic::names(&path.join(ARCHS))? {
        names.extend(OF_ARCH.iter().map(|name| format!("{ARCHS}/{id}/{name}")));
    }
    names.retain(|name| path.join(name).exists());
    Ok(names)
}

/// Refuses a run whose configuration is not the one that it was begun with.
///
/// # Errors
/// [`Error::Run`] naming the file.
pub(super) fn intact(path: &Path, files: &Files, config: &str) -> Result<()> {
    if files.holds(CONFIG, config.as_bytes()) {
        return Ok(());
    }
    let words = "damaged: it is not what the run was begun with; restore it from a copy or begin a new folder";
    Err(Error::run(path.join(CONFIG), words))
}

/// Refuses a run whose journal does not know a file that is there; `schema` is the version of the run's layout.
///
/// # Errors
/// [`Error::Run`] naming the file.
pub(super) fn lost(path: &Path, schema: u32, files: &Files, present: &[String]) -> Result<()> {
    let unknown = present.iter().find(|name| !files.knows(name)).filter(|_| schema >= KNOWN_FILES);
    unknown.map_or(Ok(()), |name| {
        let words = format!(
            "has lost lines: it does not know {name}, which is there; restore it from a copy or begin a new folder"
        );
        Err(Error::run(path.join(JOURNAL), words))
    })
}
