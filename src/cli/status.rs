//! `robustnas status`.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::console::{Console, width};
use super::files;
use super::rank::among;
use crate::error::Result;
use crate::jobs::state::State;
use crate::report::ranked::Ranked;
use crate::report::table::table_within;

/// Prints the progress of runs.
pub fn status(runs: &[PathBuf], json: bool, console: Console) -> Result<()> {
    let read = |run: PathBuf| State::read(&run).map(|state| (run, state));
    let all = among(runs, console).into_iter().map(read).collect::<Result<Vec<_>>>()?;
    if json {
        let values: Vec<Value> = all.iter().map(|(_, state)| json_of(state)).collect();
        return match &values[..] {
            [one] => files::print_json(one),
            several => files::print_json(&several),
        };
    }
    let mut text = String::new();
    for (i, (run, state)) in all.iter().enumerate() {
        if let Some(warning) = &state.warning {
            console.warn(warning);
        }
        text += if i > 0 { "\n" } else { "" };
        text += &text_of(state, run)?;
    }
    files::print(&text)
}

fn json_of(state: &State) -> Value {
    json!({
        "schema_version": 1,
        "run": state.file,
        "search": {"epochs": state.config.search.epochs, "done": state.epochs},
        "candidates": {"done": state.records.len(), "failed": state.failed(), "tested": state.tested()},
        "finished": state.finished,
        "worker": state.worker,
        "at": state.at,
        "helpers": state.helpers.iter().map(|(seen, at)| json!({
            "pid": seen.about.pid, "host": seen.about.host, "silent_seconds": seen.silent.as_secs(), "at": at,
        })).collect::<Vec<_>>(),
        "warning": state.warning,
    })
}

/// A run as far as it is, in lines.
pub(super) fn text_of(state: &State, run: &Path) -> Result<String> {
    let file = &state.file;
    let mut text = String::new();
    let _ = writeln!(text, "{}: {} on {}, seed {}", run.display(), state.config.name, file.data, file.seed);
    let _ = writeln!(text, "{}", state.words(run));
    state.helped().iter().for_each(|helper| {
        let _ = writeln!(text, "  {helper}");
    });
    let _ = writeln!(text, "search: {} of {} epochs", state.epochs.len(), state.config.search.epochs);
    for e in &state.epochs {
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
    let (done, failed, tested) = (state.records.len(), state.failed(), state.tested());
    let _ = writeln!(text, "candidates: {done} done, {failed} of them failed, {tested} tested");
    if !state.records.is_empty() {
        text += "\n";
        text += &table_within(&Ranked::new(file.seed, &state.records)?, width());
    }
    Ok(text)
}
