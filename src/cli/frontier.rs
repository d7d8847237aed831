//! `robustnas frontier`.

use std::path::{Path, PathBuf};

use super::console::Console;
use super::files;
use super::rank::{among, ranked};
use crate::error::{Error, Result};
use crate::report::frontier::Frontier;
use crate::report::plot::plot;
use crate::report::protocol::Split;
use crate::report::ranked::Ranked;
use crate::store::run::is_of_seed;

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

/// What a run is called: its folder, and that of the runs of several seeds where it is one of them.
fn name(run: &Path) -> String {
    let last = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned());
    let own = last(run).unwrap_or_else(|| run.display().to_string());
    match run.parent().and_then(last).filter(|_| is_of_seed(run)) {
        Some(folder) => format!("{folder}/{own}"),
        None => own,
    }
}

/// The frontiers of runs in one picture or document.
pub fn frontier(runs: &[PathBuf], out: &Path, split: SplitName, console: Console) -> Result<()> {
    let all = among(runs, console)
        .iter()
        .map(|run| {
            let name = name(run);
            let ranked = ranked(run, console)?;
            if ranked.budgets.is_empty() {
                return Err(Error::Usage(format!("{}: nothing is evaluated yet", run.display())));
            }
            Ok((name, ranked))
        })
        .collect::<Result<Vec<_>>>()?;
    let list: Vec<(&str, &Ranked)> = all.iter().map(|(name, ranked)| (name.as_str(), ranked)).collect();
    let frontier = Frontier::combine(&list, split.into())?;
    match out.extension().and_then(|e| e.to_str()).unwrap_or_default() {
        "svg" => files::write(out, plot(&frontier)?.as_bytes()),
        "png" => files::write_png(out, &plot(&frontier)?),
        "json" => files::write(out, &frontier.to_json()?),
        other => Err(Error::Usage(format!("--out: `.{other}` is not known; expected .svg, .png or .json"))),
    }
}
