//! Networks by where a run left them: wherever a network is named, a folder or the beginning of an id may stand.

use std::path::{Path, PathBuf};

use super::console::Console;
use super::rank::ranked;
use crate::error::{Error, Result};
use crate::record::OriginKind;
use crate::report::ranked::Entry;
use crate::store::history;
use crate::store::run::is_run;
use crate::units::Macs;

/// Which of a run's networks is meant.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rank {
    /// The place within the budget, from 1; the first without it.
    pub rank: Option<u32>,
    /// Places count networks of this origin alone.
    pub origin: Option<OriginKind>,
    /// The budget; the largest without it.
    pub budget: Option<Macs>,
}

/// The name of a network as `model` takes it: that of a run folder's best, of a training's folder, of `RUN/ID` where `ID` is
/// the beginning of an id; any other name is itself. Files of a run are held to its journal.
///
/// # Errors
/// [`Error::Usage`] for a folder that is none of these and for an id that none or several have; [`Error::Run`] for a file
/// that is not what was written.
pub fn network(name: &str, console: Console) -> Result<String> {
    ranked_network(name, Rank::default(), console)
}

/// [`network`], of a rank where it is a run's.
///
/// # Errors
/// As [`network`]; [`Error::Usage`] for a rank that the run does not have.
pub fn ranked_network(name: &str, rank: Rank, console: Console) -> Result<String> {
    let path = Path::new(name);
    let file = if path.is_dir() {
        if is_run(path) || has_lost_its_description(path) { of_rank(path, rank, console)? } else { in_folder(path)? }
    } else {
        match of_id(path)? {
            Some(file) => file,
            None => path.to_owned(),
        }
    };
    if file.file_name().is_some_and(|n| n == "arch.json")
        && file.exists()
        && let Some(warning) = history::verify(&file)?
    {
        console.warn(&warning);
    }
    file.into_os_string().into_string().map_err(|path| Error::run(path, "is not a path in UTF-8"))
}

/// Whether a folder has a journal and neither a network nor a description: a run that lost it, as reading it will say.
fn has_lost_its_description(folder: &Path) -> bool {
    folder.join("journal.jsonl").exists() && !folder.join("arch.json").exists()
}

/// The network of a folder that is no run: a training's, or an architecture's.
fn in_folder(folder: &Path) -> Result<PathBuf> {
    let file = folder.join("arch.json");
    if file.is_file() {
        return Ok(file);
    }
    let words = format!(
        "{}: the folder is no run and has no arch.json; name a run, or the folder of a training",
        folder.display()
    );
    Err(Error::Usage(words))
}

/// `RUN/ID` and `RUN/archs/ID`, where `ID` is the beginning of one id.
fn of_id(path: &Path) -> Result<Option<PathBuf>> {
    let (Some(parent), Some(id)) = (path.parent(), path.file_name().and_then(|n| n.to_str())) else { return Ok(None) };
    let run = if parent.file_name().is_some_and(|n| n == "archs") { parent.parent().unwrap_or(parent) } else { parent };
    if id.is_empty() || !id.bytes().all(|b| b.is_ascii_hexdigit()) || !is_run(run) {
        return Ok(None);
    }
    let ids = history::ids(run)?;
    let found: Vec<&String> = ids.iter().filter(|known| known.starts_with(id)).collect();
    match found[..] {
        [id] => Ok(Some(run.join("archs").join(id).join("arch.json"))),
        [] => Err(Error::Usage(format!(
            "{}: no network's id begins with `{id}`; it has {}",
            run.display(),
            ids.join(", ")
        ))),
        _ => Err(Error::Usage(format!("{}: several ids begin with `{id}`: {found:?}", run.display()))),
    }
}

/// The arch.json of a rank. Says its origin: the best network of a run need not be one that the search found.
fn of_rank(run: &Path, wanted: Rank, console: Console) -> Result<PathBuf> {
    let Rank { rank, origin, budget } = wanted;
    let ranked = ranked(run, console)?;
    if ranked.budgets.is_empty() {
        return Err(Error::Usage(format!("{}: nothing is evaluated yet", run.display())));
    }
    let found = match budget {
        Some(budget) => ranked.budgets.iter().find(|b| b.budget == budget),
        None => ranked.budgets.iter().max_by_key(|b| b.budget),
    };
    let budgets: Vec<String> = ranked.budgets.iter().map(|b| b.budget.to_string()).collect();
    let found = found.ok_or_else(|| Error::Usage(format!("no such budget; the run has {}", budgets.join(", "))))?;
    let is_meant = |e: &&Entry| e.rank.is_some() && origin.is_none_or(|kind| e.record.origin.kind() == kind);
    let meant: Vec<&Entry> = found.entries.iter().filter(is_meant).collect();
    let rank = rank.unwrap_or(1);
    let entry = (rank as usize).checked_sub(1).and_then(|place| meant.get(place)).ok_or_else(|| {
        let (budget, count, of) = (found.budget, meant.len(), origin.map_or("", OriginKind::word));
        Error::Usage(format!("budget {budget} has no rank {rank}: {count} {of} networks may be ranked there"))
    })?;
    let Entry { rank, record, .. } = entry;
    let robust = record.ranked().map_or(String::new(), |v| format!(", {} robust on validation images", v.robust));
    let (budget, origin) = (found.budget, record.origin.word());
    console.note(&format!(
        "budget {budget}, rank {}: {origin} network {}{robust}",
        rank.unwrap_or_default(),
        record.arch
    ));
    Ok(run.join("archs").join(&record.arch).join("arch.json"))
}
