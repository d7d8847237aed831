//! `robustnas status`.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::console::{Console, width};
use super::files;
use super::rank::among;
use crate::config::Config;
use crate::error::Result;
use crate::jobs::search::LOST_AFTER;
use crate::jobs::{At, duration_words};
use crate::record::{Outcome, Record, SearchEpoch};
use crate::report::ranked::Ranked;
use crate::report::table::table_within;
use crate::store::event::{Event, StageResult};
use crate::store::history::History;
use crate::store::run::worker;
use crate::store::tasks::{Seen, workers};

/// How far a run is.
struct Status {
    history: History,
    config: Config,
    epochs: Vec<SearchEpoch>,
    records: Vec<Record>,
    finished: bool,
    /// Who works on it, and at what.
    worker: Option<String>,
    at: Option<At>,
    /// The processes that joined it, and what they are at.
    helpers: Vec<(Seen, At)>,
}

/// What a process is at.
fn words(at: &At) -> String {
    let left = at.seconds_left.map_or(String::new(), |left| format!(", {} left of it", duration_words(left)));
    format!("{}, {} of {} steps{left}", at.task, at.done, at.steps)
}

/// Prints the progress of runs.
pub fn status(runs: &[PathBuf], json: bool, console: Console) -> Result<()> {
    let all = among(runs, console)
        .into_iter()
        .map(|run| {
            let status = Status::read(&run)?;
            Ok((run, status))
        })
        .collect::<Result<Vec<_>>>()?;
    if json {
        let values: Vec<Value> = all.iter().map(|(_, status)| status.json()).collect();
        return match &values[..] {
            [one] => files::print_json(one),
            several => files::print_json(&several),
        };
    }
    let mut text = String::new();
    for (i, (run, status)) in all.iter().enumerate() {
        if let Some(warning) = &status.history.warning {
            console.warn(warning);
        }
        text += if i > 0 { "\n" } else { "" };
        text += &status.text(run)?;
    }
    files::print(&text)
}

impl Status {
    fn read(run: &Path) -> Result<Status> {
        let history = History::read(run)?;
        let config = Config::stored(&history.run.config, &run.join("config.toml"))?;
        let of_epoch = |event: &Event| match event {
            Event::Stage(StageResult::SearchEpoch(epoch)) => Some(epoch.clone()),
            Event::Stage(StageResult::Search { .. }) | Event::Candidate { .. } | Event::Test { .. } => None,
        };
        let epochs = history.events.iter().filter_map(of_epoch).collect();
        let (records, finished, worker) = (history.records(), history.is_finished(run), worker(run));
        // What a process that was killed said last is out of date.
        let at = worker.is_some().then(|| At::read(run)).flatten();
        let helpers = workers(run).into_iter().filter_map(|seen| At::read(&seen.folder).map(|at| (seen, at))).collect();
        Ok(Status { history, config, epochs, records, finished, worker, at, helpers })
    }

    fn failed(&self) -> usize {
        self.records.iter().filter(|r| matches!(r.outcome, Outcome::Failed { .. })).count()
    }

    fn tested(&self) -> usize {
        self.records.iter().filter(|r| matches!(r.outcome, Outcome::Ok { test: Some(_), .. })).count()
    }

    fn json(&self) -> Value {
        json!({
            "schema_version": 1,
            "run": self.history.run.file,
            "search": {"epochs": self.config.search.epochs, "done": self.epochs},
            "candidates": {"done": self.records.len(), "failed": self.failed(), "tested": self.tested()},
            "finished": self.finished,
            "worker": self.worker,
            "at": self.at,
            "helpers": self.helpers.iter().map(|(seen, at)| json!({
                "pid": seen.about.pid, "host": seen.about.host, "silent_seconds": seen.silent.as_secs(), "at": at,
            })).collect::<Vec<_>>(),
            "warning": self.history.warning,
        })
    }

    /// What the run is doing, in a line.
    fn state(&self, run: &Path) -> String {
        match (&self.worker, &self.at, self.finished) {
            (Some(worker), Some(at), _) => {
                format!("running ({worker}): {}", words(at))
            }
            (Some(worker), None, _) => format!("running ({worker})"),
            (None, _, true) => "finished".to_owned(),
            (None, _, false) => format!("not finished: robustnas search --continue {} goes on", run.display()),
        }
    }

    fn text(&self, run: &Path) -> Result<String> {
        let file = &self.history.run.file;
        let mut text = String::new();
        let _ = writeln!(text, "{}: {} on {}, seed {}", run.display(), self.config.name, file.data, file.seed);
        let _ = writeln!(text, "{}", self.state(run));
        for (Seen { about, silent, .. }, at) in &self.helpers {
            let silent = if *silent > LOST_AFTER {
                format!(", silent for {}", duration_words(silent.as_secs_f64()))
            } else {
                String::new()
            };
            let _ = writeln!(text, "  with pid {} on {}: {}{silent}", about.pid, about.host, words(at));
        }
        let _ = writeln!(text, "search: {} of {} epochs", self.epochs.len(), self.config.search.epochs);
        for e in &self.epochs {
            let skips: Vec<String> =
                e.cells.iter().map(|c| format!("{} {:.0}%", c.kind, 100.0 * c.skip_share)).collect();
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
        let (done, failed, tested) = (self.records.len(), self.failed(), self.tested());
        let _ = writeln!(text, "candidates: {done} done, {failed} of them failed, {tested} tested");
        if !self.records.is_empty() {
            text += "\n";
            text += &table_within(&Ranked::new(file.seed, &self.records)?, width());
        }
        Ok(text)
    }
}
