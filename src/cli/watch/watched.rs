//! A run as it is watched: read anew at every look, from its folder alone.

use std::path::Path;
use std::time::Duration;

use crate::arch::file::short;
use crate::jobs::At;
use crate::jobs::state::{State, name};
use crate::record::{Outcome, Record};
use crate::report::choices::{EdgeCourse, moved};
use crate::report::frontier::Frontier;
use crate::report::protocol::Split;
use crate::report::ranked::Ranked;
use crate::store::run::is_beginning;

/// Time between two looks.
pub(super) const EVERY: Duration = Duration::from_secs(1);
/// Looks without any change after which a run that nobody seems to work on is taken for left.
const PATIENCE: u32 = 30;

/// What is known of a run.
#[derive(Clone, Debug, Default)]
pub(super) struct Watched {
    /// The name of its folder.
    pub name: String,
    /// As it was when it could be read last; none while it has not begun.
    pub state: Option<State>,
    /// How the choice of each edge went.
    pub course: Vec<EdgeCourse>,
    /// Its candidates over their cost, on validation images.
    pub frontier: Option<Frontier>,
    /// Why it could not be read at this look.
    pub trouble: Option<String>,
    /// What its process said last, be it alive or not.
    noted: Option<At>,
    /// Looks since anything changed.
    quiet: u32,
}

impl Watched {
    /// Nothing of a folder yet.
    pub fn new(folder: &Path) -> Self {
        Watched { name: name(folder), ..Watched::default() }
    }

    /// Looks at the folder.
    pub fn look(&mut self, folder: &Path) {
        match State::read(folder) {
            Ok(state) => self.take(state, At::read(folder)),
            // A file system that is away for a moment, or a run that begins: what was seen stays.
            Err(why) => {
                self.trouble = Some(why.to_string()).filter(|_| !is_beginning(folder));
                self.quiet = self.quiet.saturating_add(1);
            }
        }
    }

    /// Takes a state in, and what its process noted last.
    pub fn take(&mut self, mut state: State, noted: Option<At>) {
        let events = |state: &State| state.events.len();
        let grown = self.state.as_ref().is_none_or(|before| events(before) != events(&state));
        // Where the lock is not seen, notes that change tell of a process at work.
        let moves = noted.is_some() && self.noted.is_some() && noted != self.noted;
        self.quiet = if grown || moves { 0 } else { self.quiet.saturating_add(1) };
        if state.worker.is_none() && !state.finished && (moves || self.is_moving()) {
            state.at.clone_from(&noted);
        }
        if grown {
            let ranked = Ranked::new(state.file.seed, &state.records);
            self.frontier = ranked.and_then(|r| Frontier::combine(&[(&self.name, &r)], Split::Validation)).ok();
            self.course = state.course();
        }
        (self.state, self.noted, self.trouble) = (Some(state), noted, None);
    }

    /// Whether notes of a process that is not seen still change.
    fn is_moving(&self) -> bool {
        self.quiet < PATIENCE && self.state.as_ref().is_some_and(|state| state.at.is_some())
    }

    /// Whether nothing more will come: it is finished, or nobody has worked on it for a while.
    pub fn is_over(&self) -> bool {
        match &self.state {
            Some(state) if state.worker.is_some() => false,
            Some(state) => state.finished || self.quiet >= PATIENCE,
            None => false,
        }
    }

    /// What it is at, in a word or two: its stage.
    pub fn stage(&self) -> String {
        let Some(state) = &self.state else { return "not begun".to_owned() };
        let (done, of) = (state.epochs.len(), state.config.search.epochs);
        let stage = match state.epochs.last().map(|epoch| epoch.stage) {
            None | Some(0) => "weights alone",
            Some(1) => "stage one",
            Some(_) => "stage two",
        };
        match (state.finished, &state.alpha) {
            (true, _) => "finished".to_owned(),
            (false, None) => format!("search, {stage}, {done} of {of} epochs"),
            (false, Some(_)) if state.tested() > 0 => format!("test images, {} tested", state.tested()),
            (false, Some(_)) => format!("candidates, {} done", state.records.len()),
        }
    }

    /// What should be known.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings: Vec<String> = Vec::new();
        warnings.extend(self.trouble.clone());
        let Some(state) = &self.state else { return warnings };
        warnings.extend(state.warning.clone());
        if let Some((by, walk)) = moved(&state.epochs).filter(|(by, walk)| by <= walk) {
            warnings.push(format!(
                "the architecture parameters moved {by:.3}, no further than a random walk of as many steps ({walk:.3})"
            ));
        }
        warnings.extend(state.records.iter().filter_map(|record| {
            let why = doubt(record)?;
            Some(format!("{} {} {}: {why}", record.budget, record.origin.word(), short(&record.arch)))
        }));
        warnings
    }
}

/// Why a candidate has no numbers, or the checks that were raised on it.
pub(super) fn doubt(record: &Record) -> Option<String> {
    match &record.outcome {
        Outcome::Failed { reason, .. } => Some(format!("failed: {reason}")),
        Outcome::Ok { validation, .. } if validation.checks.is_empty() => None,
        Outcome::Ok { validation, .. } => {
            let checks: Vec<&str> = validation.checks.iter().map(|check| check.word()).collect();
            Some(format!("not ranked: {}", checks.join(", ")))
        }
    }
}
