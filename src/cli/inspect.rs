//! The verbs that look at runs, spaces and data.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::files;
use crate::arch::cost::cost;
use crate::arch::families::cells;
use crate::arch::op::Shape;
use crate::config::Config;
use crate::data::{Source, check};
use crate::error::{Error, Result};
use crate::record::{Outcome, SearchEpoch};
use crate::report::frontier::Frontier;
use crate::report::plot::plot;
use crate::report::png::rasterise;
use crate::report::protocol::Split;
use crate::report::ranked::Ranked;
use crate::report::schema::{NAMES, schema as schema_of};
use crate::report::table::table;
use crate::store::event::{Event, records};
use crate::store::run::{read_events, read_records, read_run};

/// Which numbers a frontier shows.
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

/// What a run found, in order.
pub fn ranked(run: &Path) -> Result<Ranked> {
    Ranked::new(read_run(run)?.file.seed, &read_records(run)?)
}

/// How far a run is.
pub fn status(run: &Path, json: bool) -> Result<()> {
    let about = read_run(run)?;
    let config = Config::from_toml(&about.config, &run.join("config.toml"), &[])?;
    let journal = read_events(run)?;
    let epochs: Vec<SearchEpoch> = journal
        .events
        .iter()
        .filter_map(|event| match event {
            Event::Stage { stage, result } if stage == "search.epoch" => serde_json::from_value(result.clone()).ok(),
            _ => None,
        })
        .collect();
    let records = records(&journal.events);
    let failed = records.iter().filter(|r| matches!(r.outcome, Outcome::Failed { .. })).count();
    let tested = records.iter().filter(|r| matches!(r.outcome, Outcome::Ok { test: Some(_), .. })).count();
    let finished = run.join("ranked.json").exists();
    if json {
        return files::print_json(&json!({
            "schema_version": 1,
            "run": about.file,
            "search": {"epochs": config.search.epochs, "done": epochs},
            "candidates": {"done": records.len(), "failed": failed, "tested": tested},
            "finished": finished,
        }));
    }
    let mut text = String::new();
    let _ = writeln!(text, "{}: {} on {}, seed {}", run.display(), config.name, about.file.data, about.file.seed);
    let _ = writeln!(text, "search: {} of {} epochs", epochs.len(), config.search.epochs);
    for e in &epochs {
        let skips: Vec<String> = e.cells.iter().map(|c| format!("{} {:.0}%", c.kind, 100.0 * c.skip_share)).collect();
        let moved = e.alpha_moved.zip(e.random_walk);
        let moved = moved.map_or(String::new(), |(by, walk)| format!("  alpha {by:.4} (random walk {walk:.4})"));
        let _ = writeln!(
            text,
            "  epoch {:3} stage {}  weight loss {:.3}  clean {}  pgd {}{moved}  skips: {}",
            e.epoch,
            e.stage,
            e.weight_loss,
            e.clean,
            e.adversarial,
            skips.join(", ")
        );
    }
    let _ = writeln!(text, "candidates: {} done, {failed} of them failed, {tested} tested", records.len());
    let _ = writeln!(text, "{}", if finished { "finished" } else { "not finished: the same search command continues" });
    if let Some(warning) = journal.warning {
        let _ = writeln!(text, "warning: {warning}");
    }
    if !records.is_empty() {
        text += "\n";
        text += &table(&Ranked::new(about.file.seed, &records)?);
    }
    files::print(&text)
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

/// The frontiers of runs in one picture or document.
pub fn frontier(runs: &[PathBuf], out: &Path, split: SplitName) -> Result<()> {
    let all = runs
        .iter()
        .map(|run| {
            let name = run.file_name().map_or_else(|| run.display().to_string(), |n| n.to_string_lossy().into_owned());
            Ok((name, ranked(run)?))
        })
        .collect::<Result<Vec<_>>>()?;
    let list: Vec<(&str, &Ranked)> = all.iter().map(|(name, ranked)| (name.as_str(), ranked)).collect();
    let frontier = Frontier::combine(&list, split.into())?;
    match out.extension().and_then(|e| e.to_str()).unwrap_or_default() {
        "svg" => files::write(out, plot(&frontier)?.as_bytes()),
        "png" => files::write(out, &rasterise(&plot(&frontier)?, 2.0)?),
        "json" => files::write(out, &frontier.to_json()?),
        other => Err(Error::Usage(format!("--out: `.{other}` is not known; expected .svg, .png or .json"))),
    }
}

/// Checks a space file.
pub fn space_check(file: &Path, json: bool) -> Result<()> {
    let config = Config::resolve(&files::read(file)?, file, &[], &files::read)?;
    let layout = config.mix_layout();
    let cost = cost(&cells::supernet(&config.supernet_skeleton(Shape::new(32, 32, 3), 10)?, &layout)?);
    if json {
        return files::print_json(&json!({
            "name": config.name,
            "supernet": cost,
            "choices": layout.len(),
            "budgets": config.budgets,
            "image": [32, 32, 3],
            "classes": 10,
        }));
    }
    let mut text = format!("{}: {} is in order\n", file.display(), config.name);
    for kind in &layout.kinds {
        let ops: usize = kind.edges.iter().map(|e| e.ops.len()).sum();
        let _ = writeln!(text, "  {}: {} nodes, {} edges, {ops} choices", kind.kind, kind.nodes, kind.edges.len());
    }
    let _ = writeln!(
        text,
        "  supernet: {} cells of {} channels, {} parameters, {} MACs ({}) on a 32x32x3 image",
        config.supernet.layers, config.supernet.channels, cost.params, cost.macs, cost.rule
    );
    files::print(&text)
}

/// Reads a data set whole.
pub fn data_check(data: &str, json: bool) -> Result<()> {
    let report = check::check(&Source::parse(data)?)?;
    if json { files::print_json(&report) } else { files::print(&report.to_string()) }
}

/// Prints a JSON Schema.
pub fn schema(document: &str) -> Result<()> {
    let found = schema_of(document)
        .ok_or_else(|| Error::Usage(format!("no document is called `{document}`; known: {}", NAMES.join(", "))))?;
    files::print_json(&found)
}
