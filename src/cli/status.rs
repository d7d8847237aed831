//! `robustnas status`.

use std::fmt::Write;
use std::path::Path;

use serde_json::json;

use super::files;
use crate::config::Config;
use crate::error::Result;
use crate::record::{Outcome, SearchEpoch};
use crate::report::ranked::Ranked;
use crate::report::table::table;
use crate::store::event::{Event, StageResult, records};
use crate::store::run::{read_events, read_run};

/// Prints the progress of a run.
pub fn status(run: &Path, json: bool) -> Result<()> {
    let about = read_run(run)?;
    let config = Config::from_toml(&about.config, &run.join("config.toml"), &[])?;
    let journal = read_events(run)?;
    let of_epoch = |event: &Event| match event {
        Event::Stage(StageResult::SearchEpoch(epoch)) => Some(epoch.clone()),
        _ => None,
    };
    let epochs: Vec<SearchEpoch> = journal.events.iter().filter_map(of_epoch).collect();
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
