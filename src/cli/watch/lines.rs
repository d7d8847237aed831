//! Runs as plain lines, one for every event, where standard output is no terminal.

use std::path::{Path, PathBuf};

use super::watched::{EVERY, Watched, doubt};
use crate::arch::file::short;
use crate::cli::progress::{candidate, epoch};
use crate::cli::{console, files};
use crate::error::Result;
use crate::jobs::Interrupt;
use crate::jobs::state::State;
use crate::record::{Outcome, Record};
use crate::search::trial::{Outcome as Tried, Phase, TrialLine};
use crate::store::event::{Event, StageResult};
use crate::units::Macs;

/// Prints what happens in runs until all of them are over.
pub(super) fn follow(folders: &[PathBuf]) -> Result<()> {
    let interrupt = Interrupt::install(|_| (), || ())?;
    let mut runs: Vec<Followed> = folders.iter().map(|folder| Followed::new(folder)).collect();
    loop {
        for (run, folder) in runs.iter_mut().zip(folders) {
            let named = folders.len() > 1;
            for line in run.news(folder) {
                let name = if named { format!("{}: ", run.watched.name) } else { String::new() };
                if !files::print_on(&format!("{name}{line}\n"))? {
                    return Ok(());
                }
            }
        }
        if runs.iter().all(|run| run.ended) || interrupt.check().is_err() {
            return Ok(());
        }
        std::thread::sleep(EVERY);
    }
}

/// A run and what was told of it.
pub(super) struct Followed {
    watched: Watched,
    /// Events that were told.
    told: usize,
    trouble: Option<String>,
    begun: bool,
    ended: bool,
}

impl Followed {
    pub fn new(folder: &Path) -> Self {
        Followed { watched: Watched::new(folder), told: 0, trouble: None, begun: false, ended: false }
    }

    /// What happened since the last look, in lines.
    pub fn news(&mut self, folder: &Path) -> Vec<String> {
        if self.ended {
            return Vec::new();
        }
        self.watched.look(folder);
        if self.watched.trouble != self.trouble {
            self.trouble.clone_from(&self.watched.trouble);
            if let Some(trouble) = &self.trouble {
                console::say(&format!("warning: {trouble}"));
            }
        }
        let Some(state) = &self.watched.state else { return Vec::new() };
        let mut lines = Vec::new();
        if !self.begun {
            self.begun = true;
            lines.push(format!(
                "{} on {}, seed {}: {}",
                state.config.name,
                state.file.data,
                state.file.seed,
                state.words(folder)
            ));
        }
        lines.extend(state.events.iter().skip(self.told).map(|event| line(event, state)));
        self.told = state.events.len();
        if self.watched.is_over() {
            self.ended = true;
            lines.push(state.words(folder));
        }
        lines
    }
}

/// An event in a line.
fn line(event: &Event, state: &State) -> String {
    match event {
        Event::Stage(StageResult::SearchEpoch(report)) => epoch(report),
        Event::Stage(StageResult::Search { .. }) => "the supernet's search is over".to_owned(),
        Event::Stage(StageResult::Trials(_)) => "the trials are over".to_owned(),
        Event::Trial { budget, trial } => tried(*budget, trial),
        Event::Shared { budget, .. } => format!("{budget}: shared weights are trained"),
        Event::Candidate { record } => with_checks(record),
        Event::Test { arch, origin, budget, evaluation } => {
            let known = state.records.iter().find(|r| r.arch == *arch && r.origin == *origin && r.budget == *budget);
            let summary = known.map_or("", |record| &record.summary);
            let (clean, robust, n) = (evaluation.clean, evaluation.robust, evaluation.clean.total);
            let name = format!("{budget} {} {}", origin.word(), short(arch));
            format!("{name}: clean {clean} robust {robust} on {n} test images ({summary})")
        }
    }
}

/// A trial in a line.
fn tried(budget: Option<Macs>, trial: &TrialLine) -> String {
    let at = budget.map_or("supernet".to_owned(), |budget| budget.to_string());
    let how = match trial.phase {
        Phase::Score => "inherited weights".to_owned(),
        Phase::Train => format!("{:.3} of a training", trial.fidelity.share()),
    };
    match &trial.answer.outcome {
        Tried::Measured { objective } => format!("{at}, trial with {how}: objective {objective:.4}"),
        Tried::Failed { reason } => format!("{at}, trial with {how} failed: {reason}"),
    }
}

fn with_checks(record: &Record) -> String {
    let doubt = doubt(record).filter(|_| !matches!(record.outcome, Outcome::Failed { .. }));
    candidate(record) + &doubt.map_or(String::new(), |doubt| format!("; {doubt}"))
}
