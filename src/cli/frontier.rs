//! `robustnas frontier`.

use std::path::{Path, PathBuf};

use super::console::Console;
use super::figure::{FigureArguments, Format};
use super::files;
use super::rank::{among, by_seeds, ranked};
use crate::error::{Error, IoContext, Result};
use crate::jobs::state::name;
use crate::report::attacked::AttackResultFile;
use crate::report::bands::{self, Band};
use crate::report::frontier::Frontier;
use crate::report::plot::figure;
use crate::report::protocol::Split;
use crate::report::ranked::Ranked;
use crate::store::attack::{ABOUT, RESULT};

/// The images whose accuracies a frontier shows.
#[derive(Clone, Copy, clap::ValueEnum)]
pub enum SplitName {
    /// The images that ranked the candidates.
    Validation,
    /// The images of the final table.
    Test,
}

impl From<SplitName> for Split {
    fn from(name: SplitName) -> Self {
        match name {
            SplitName::Validation => Split::Validation,
            SplitName::Test => Split::Test,
        }
    }
}

/// What `frontier` takes.
#[derive(clap::Args)]
pub struct FrontierArguments {
    /// Run folders; beside them folders of `robustnas attack --out`, whose networks are points by name where they were attacked
    /// as the runs' were (`attack --like`).
    #[arg(required = true)]
    runs: Vec<PathBuf>,
    /// The figure or document: .svg, .png, .pdf, .csv or .json.
    #[arg(long)]
    out: PathBuf,
    /// The images whose accuracies are shown.
    #[arg(long, value_enum, default_value = "test")]
    split: SplitName,
    /// Over seeds: the runs of a folder of several seeds are one band around the mean of their best networks at each budget.
    #[arg(long)]
    bands: bool,
    #[command(flatten)]
    figure: FigureArguments,
}

/// The frontiers of runs in one figure or document.
pub fn frontier(arguments: &FrontierArguments, console: Console) -> Result<()> {
    let FrontierArguments { runs, out, split, bands, figure: options } = arguments;
    let is_document = out.extension().is_some_and(|extension| extension == "json");
    if !is_document {
        Format::of(out, &["json"])?;
    }
    if is_document && *bands {
        let what = "--bands: a document has the runs themselves; expected .svg, .png, .pdf or .csv";
        return Err(Error::Usage(format!("{}: {what}", out.display())));
    }
    let style = options.style()?;
    let (attacked, runs): (Vec<_>, Vec<_>) = runs.iter().cloned().partition(|folder| is_attack(folder));
    if runs.is_empty() {
        let why = "no run is among the folders; networks that were attacked are shown beside runs";
        return Err(Error::Usage(why.to_owned()));
    }
    let networks = networks(&attacked, console)?;
    let runs = among(&runs, console);
    let all = runs.iter().map(|run| Ok((run.clone(), ranked(run, console)?))).collect::<Result<Vec<_>>>()?;
    // Of several seeds the last ones may have only begun.
    let empty = |(_, ranked): &(PathBuf, Ranked)| ranked.budgets.is_empty();
    let (begun, all): (Vec<_>, Vec<_>) = all.into_iter().partition(empty);
    for (run, _) in begun {
        let why = format!("{}: nothing is evaluated yet", run.display());
        if all.is_empty() {
            return Err(Error::Usage(why));
        }
        console.warn(&format!("{why}, left out"));
    }
    let names: Vec<String> = all.iter().map(|(run, _)| name(run)).collect();
    let list: Vec<(&str, &Ranked)> =
        names.iter().map(String::as_str).zip(all.iter().map(|(_, ranked)| ranked)).collect();
    let networks: Vec<(&str, &AttackResultFile)> = networks.iter().map(|(name, found)| (&name[..], found)).collect();
    let frontier = Frontier::combine(&list, (*split).into())?.beside(&networks)?;
    if is_document {
        files::write(out, &frontier.to_json()?)?;
        console.wrote(out);
        return Ok(());
    }
    if *bands {
        let of = |(folder, runs): (&Path, Vec<&Ranked>)| Band::of(&name(folder), &runs, (*split).into());
        let bands: Vec<Band> = by_seeds(&all).into_iter().map(of).collect();
        return options.write(out, &bands::figure(&frontier, &bands, &style)?, console);
    }
    options.write(out, &figure(&frontier, &style)?, console)
}

/// Whether a folder is one of an attack.
fn is_attack(folder: &Path) -> bool {
    folder.join(ABOUT).is_file()
}

/// What attacks found, by the names of their folders. One that raised a check is no number to compare, and is left out like one
/// that has not finished.
fn networks(folders: &[PathBuf], console: Console) -> Result<Vec<(String, AttackResultFile)>> {
    let mut networks = Vec::new();
    for folder in folders {
        let path = folder.join(RESULT);
        if !path.exists() {
            let next = "the same attack command continues it";
            console.warn(&format!("{}: the attack has not finished, left out; {next}", folder.display()));
            continue;
        }
        let found = AttackResultFile::from_json(&path, &std::fs::read(&path).at(&path)?)?;
        if found.checks.is_empty() {
            networks.push((name(folder), found));
        } else {
            let checks: Vec<&str> = found.checks.iter().map(|check| check.word()).collect();
            console.warn(&format!("{}: the attack raised {}, left out", folder.display(), checks.join(", ")));
        }
    }
    Ok(networks)
}
