//! How far a run is, from what its folder holds: what `status`, the page and `watch` show.

use std::path::Path;

use super::at::At;
use super::time::duration_words;
use crate::config::Config;
use crate::error::Result;
use crate::record::{Outcome, Record, SearchEpoch};
use crate::report::choices::{EdgeCourse, EdgeShares, arrow, certainty};
use crate::search::distribution::Alpha;
use crate::store::beat::{LOST_AFTER, Seen, workers};
use crate::store::event::{self, Event};
use crate::store::history::History;
use crate::store::run::{Run, RunFile, is_of_seed, worker};

/// A run as far as it is.
#[derive(Clone, Debug)]
pub struct State {
    /// Its description.
    pub file: RunFile,
    /// Its configuration as TOML.
    pub text: String,
    /// The same, read.
    pub config: Config,
    /// Its events in order.
    pub events: Vec<Event>,
    /// The epochs of its search.
    pub epochs: Vec<SearchEpoch>,
    /// The architecture parameters that the search ended with.
    pub alpha: Option<Alpha>,
    /// Its candidates.
    pub records: Vec<Record>,
    /// Whether its answer is there.
    pub finished: bool,
    /// Who works on it.
    pub worker: Option<String>,
    /// What they are at.
    pub at: Option<At>,
    /// The other processes that joined it, and what each is at.
    pub helpers: Vec<(Seen, At)>,
    /// What is to be said of its journal.
    pub warning: Option<String>,
}

impl State {
    /// Reads a folder, without a lock and without changing it, also while a run works.
    ///
    /// # Errors
    /// Those of [`History::read`]; [`crate::error::Error::Run`] for a configuration that is damaged.
    pub fn read(folder: &Path) -> Result<State> {
        // Asked first: what a run that ends meanwhile has left is then read.
        let worker = worker(folder);
        let history = History::read(folder)?;
        let finished = history.is_finished(folder);
        // What a process that was killed said last is out of date.
        let at = worker.is_some().then(|| At::read(folder)).flatten();
        let state = State::of(history, &folder.join("config.toml"))?;
        let at_of = |seen: Seen| At::read(&seen.folder).map(|at| (seen, at));
        let helpers = workers(folder).into_iter().filter_map(at_of).collect();
        Ok(State { finished, worker, at, helpers, ..state })
    }

    /// What a history tells: a run on which nobody works and whose answer is not there. `config` is what errors name.
    ///
    /// # Errors
    /// [`crate::error::Error::Run`] for a configuration that is damaged.
    pub fn of(history: History, config: &Path) -> Result<State> {
        let records = history.records();
        let History { run: Run { file, config: text }, events, warning, .. } = history;
        let config = Config::stored(&text, config)?;
        let epochs = event::epochs(&events).cloned().collect();
        let alpha = event::alpha(&events).map(|alpha| Alpha(alpha.to_vec()));
        let (finished, worker, at, helpers) = (false, None, None, Vec::new());
        Ok(State { file, text, config, events, epochs, alpha, records, finished, worker, at, helpers, warning })
    }

    /// Candidates that failed.
    pub fn failed(&self) -> usize {
        self.records.iter().filter(|r| matches!(r.outcome, Outcome::Failed { .. })).count()
    }

    /// Candidates with numbers on the test images.
    pub fn tested(&self) -> usize {
        self.records.iter().filter(|r| matches!(r.outcome, Outcome::Ok { test: Some(_), .. })).count()
    }

    /// What each of the processes that joined the run is at, in a line.
    pub fn helped(&self) -> Vec<String> {
        let line = |(Seen { about, silent, .. }, at): &(Seen, At)| {
            let silent = if *silent > LOST_AFTER {
                format!(", silent for {}", duration_words(silent.as_secs_f64()))
            } else {
                String::new()
            };
            format!("with pid {} on {}: {}{silent}", about.pid, about.host, at.words())
        };
        self.helpers.iter().map(line).collect()
    }

    /// What the run in a folder is doing, in a line.
    pub fn words(&self, folder: &Path) -> String {
        match (&self.worker, &self.at, self.finished) {
            (Some(worker), Some(at), _) => format!("running ({worker}): {}", at.words()),
            // Locks of another machine are not seen over every file system.
            (None, Some(at), _) => format!("running: {}", at.words()),
            (Some(worker), None, _) => format!("running ({worker})"),
            (None, _, true) => "finished".to_owned(),
            (None, _, false) => format!("not finished: robustnas search --continue {} goes on", folder.display()),
        }
    }

    /// How the choice of each edge of its cells went.
    pub fn course(&self) -> Vec<EdgeCourse> {
        let ended = self.alpha.as_ref().map(|alpha| shares(&self.config, alpha)).unwrap_or_default();
        let layout = self.config.mix_layout();
        let edges = layout.edges().enumerate().map(|(at, (kind, edge))| EdgeCourse {
            kind: kind.kind.clone(),
            arrow: arrow((edge.from, edge.to)),
            certainty: self.epochs.iter().map(|epoch| certainty(epoch, at, edge.ops.len())).collect(),
            largest: ended.get(at).and_then(EdgeShares::largest).cloned(),
        });
        edges.collect()
    }
}

/// A run's name: that of its folder, and of the one that it lies in with those of other seeds.
pub fn name(folder: &Path) -> String {
    let last = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned());
    let own = last(folder).unwrap_or_else(|| folder.display().to_string());
    match folder.parent().and_then(last).filter(|_| is_of_seed(folder)) {
        Some(seeds) => format!("{seeds}/{own}"),
        None => own,
    }
}

/// The mixture that a search ended with; none where the stored parameters are of another space.
pub fn shares(config: &Config, alpha: &Alpha) -> Vec<EdgeShares> {
    let layout = config.mix_layout();
    if layout.len() != alpha.0.len() {
        return Vec::new();
    }
    let mix = alpha.mix(&layout);
    layout
        .edges()
        .map(|(kind, edge)| EdgeShares {
            kind: kind.kind.clone(),
            edge: (edge.from, edge.to),
            shares: edge.ops.iter().zip(&mix[edge.offset..]).map(|(op, share)| (op.to_string(), *share)).collect(),
        })
        .collect()
}
