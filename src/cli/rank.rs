//! `robustnas rank`.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::files;
use crate::error::Result;
use crate::report::ranked::Ranked;
use crate::report::table::table;
use crate::store::run::{read_records, read_run};

/// The ranking of a run.
pub fn ranked(run: &Path) -> Result<Ranked> {
    Ranked::new(read_run(run)?.file.seed, &read_records(run)?)
}

/// The ranked tables of runs.
pub fn rank(runs: &[PathBuf], json: bool) -> Result<()> {
    let all = runs.iter().map(|run| Ok((run, ranked(run)?))).collect::<Result<Vec<_>>>()?;
    if json {
        let value: Vec<_> = all.iter().map(|(run, ranked)| json!({"run": run, "ranked": ranked})).collect();
        return files::print_json(&value);
    }
    let mut text = String::new();
    for (run, ranked) in &all {
        if all.len() > 1 {
            let _ = writeln!(text, "== {}", run.display());
        }
        text += &table(ranked);
        text += "\n";
    }
    files::print(&text)
}
