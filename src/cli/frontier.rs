//! `robustnas frontier`.

use std::path::{Path, PathBuf};

use super::console::Console;
use super::files;
use super::rank::ranked;
use crate::error::{Error, Result};
use crate::report::frontier::Frontier;
use crate::report::plot::plot;
use crate::report::protocol::Split;
use crate::report::ranked::Ranked;

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

/// The frontiers of runs in one picture or document.
pub fn frontier(runs: &[PathBuf], out: &Path, split: SplitName, console: Console) -> Result<()> {
    let all = runs
        .iter()
        .map(|run| {
            let name = run.file_name().map_or_else(|| run.display().to_string(), |n| n.to_string_lossy().into_owned());
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
