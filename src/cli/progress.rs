//! A job's events on standard error: words for each, a bar with rate and time left on a terminal, now and then a plain line
//! elsewhere.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::console::Console;
use crate::jobs::{Observer, Progress, Task, duration_words};
use crate::population::{Member, Trained};
use crate::record::{Outcome, Record, SearchEpoch};

/// Time between plain lines, and between those about an attack.
const LINE_EVERY: Duration = Duration::from_secs(20);

/// What the lines of a search's epochs say.
const LEGEND: &str = "epochs: loss of the weights; natural and adversarial loss of the architecture, and gamma, the share of the first in \
    its step; accuracy clean and under PGD on the few images of search.probe (by chance the second may be higher); how far \
    the architecture moved";

/// Shows a bar or prints lines.
pub struct Terminal {
    bar: Option<ProgressBar>,
    stage: String,
    begun: Instant,
    line: Instant,
    first: u64,
    done: u64,
    steps: u64,
    fancy: bool,
    console: Console,
}

impl Terminal {
    /// Looks whether standard error is a terminal.
    pub fn new(console: Console) -> Self {
        let now = Instant::now();
        Terminal {
            bar: None,
            stage: String::new(),
            begun: now,
            line: now,
            first: 0,
            done: 0,
            steps: 0,
            fancy: console != Console::Quiet && std::io::stderr().is_terminal(),
            console,
        }
    }

    fn note(&self, text: &str) {
        self.aside(|| self.console.note(text));
    }

    /// Says something above the bar.
    fn aside(&self, say: impl FnOnce()) {
        match &self.bar {
            Some(bar) => bar.suspend(say),
            None => say(),
        }
    }

    fn begin(&mut self, stage: String, done: u64, steps: u64) {
        let now = Instant::now();
        (self.begun, self.line, self.first, self.done, self.steps) = (now, now, done, done, steps);
        self.stage = stage;
        if self.fancy && steps > 0 {
            let bar = ProgressBar::with_draw_target(Some(steps), ProgressDrawTarget::stderr());
            let template = "{prefix} [{bar:30}] {pos}/{len} {per_sec} {eta} left  {msg}";
            if let Ok(style) = ProgressStyle::with_template(template) {
                bar.set_style(style.progress_chars("=> "));
            }
            bar.set_prefix(self.stage.clone());
            bar.set_position(done);
            bar.reset_eta();
            self.bar = Some(bar);
        }
    }

    fn step(&mut self, detail: String) {
        self.done += 1;
        if let Some(bar) = &self.bar {
            bar.set_message(detail);
            bar.set_position(self.done);
        } else if self.is_time() {
            self.note(&format!("{}: {}/{} {detail} ({})", self.stage, self.done, self.steps, self.left()));
        }
    }

    fn end(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }

    /// Whether the last line is long enough ago for another.
    fn is_time(&mut self) -> bool {
        let is_time = self.console == Console::Verbose || self.line.elapsed() >= LINE_EVERY;
        if is_time {
            self.line = Instant::now();
        }
        is_time
    }

    fn left(&self) -> String {
        let taken = (self.done - self.first) as f64;
        let rate = taken / self.begun.elapsed().as_secs_f64().max(1e-9);
        let left = (self.steps - self.done) as f64 / rate.max(1e-9);
        format!("{rate:.2} steps/s, {} left", duration_words(left))
    }
}

impl Observer for Terminal {
    fn on(&mut self, event: Progress) {
        match event {
            Progress::Reading { source } => self.note(&format!("reading {source}")),
            Progress::Planned(plan) => self.note(&plan.to_string()),
            Progress::RunStarted { folder } => self.note(&format!("new run in {}", folder.display())),
            Progress::RunJoined { folder } => self.note(&format!("working at the run in {}", folder.display())),
            Progress::RunContinued { folder } => self.note(&format!("continuing the run in {}", folder.display())),
            Progress::AttackContinued { batches } => self.note(&format!("going on after {batches} batches")),
            Progress::TaskStarted { task, done, steps } => {
                if task == Task::Search {
                    self.note(LEGEND);
                }
                self.begin(task.to_string(), done, steps);
            }
            Progress::Step { next, stage: Some(stage), loss } => {
                self.step(format!("epoch {} stage {stage} loss {loss:.3}", next.epoch + 1));
            }
            Progress::Step { loss, .. } => self.step(format!("loss {loss:.3}")),
            Progress::EpochDone(report) => self.note(&epoch(&report)),
            Progress::TaskDone { .. } => self.end(),
            Progress::LeftOut(genotype) => {
                let (budget, origin) = (genotype.budget, genotype.origin.word());
                self.note(&format!("{budget} {origin} genotype left out: {}", genotype.reason));
            }
            Progress::CandidateDone(record) => self.note(&candidate(&record)),
            Progress::Tested { arch, .. } => self.step(arch),
            Progress::NotTested { arch, reason } => self.note(&format!("{arch} has no test numbers: {reason}")),
            Progress::MemberDone(found) => self.note(&member(&found)),
            Progress::Attacked { attack, done, given, stand, left, at_most } => {
                if self.is_time() {
                    let (left, at_most) = (duration_words(left), duration_words(at_most));
                    let found = format!("{done} of {given} images, {stand} stand");
                    self.note(&format!("{attack}: {found}; about {left} left, {at_most} at most in all"));
                }
            }
            Progress::Warning(text) => self.aside(|| self.console.warn(&text)),
            Progress::Note(text) => self.note(&text),
        }
    }
}

/// A candidate in a line.
pub(super) fn candidate(record: &Record) -> String {
    match &record.outcome {
        Outcome::Ok { validation, .. } => {
            let (arch, budget, origin) = (record.arch.clone(), record.budget, record.origin.clone());
            let (clean, robust) = (validation.clean, validation.robust);
            let task = Task::Train { arch, budget, origin };
            format!("{task}: clean {clean} robust {robust} on {} validation images", clean.total)
        }
        Outcome::Failed { reason, .. } => format!("{} failed: {reason}", record.arch),
    }
}

fn member(found: &Member) -> String {
    let task = Task::Member { space: found.space.clone(), index: found.index };
    match &found.outcome {
        Trained::Ok { clean, robust } => format!("{task}: {} MACs, clean {clean}, robust {robust}", found.macs),
        Trained::Failed { reason } => format!("{task}: {} MACs, failed: {reason}", found.macs),
    }
}

/// An epoch of a search in a line.
pub(super) fn epoch(report: &SearchEpoch) -> String {
    let of = |v: Option<f64>| v.map_or("-".into(), |v| format!("{v:.3}"));
    let cells: Vec<String> = report
        .cells
        .iter()
        .map(|c| {
            let entropy = c.entropy.iter().sum::<f64>() / c.entropy.len().max(1) as f64;
            let moved = c.moved.map_or(String::new(), |moved| format!(" moved {moved:.3}"));
            format!("{} entropy {entropy:.3}{moved} skips {:.0}%", c.kind, 100.0 * c.skip_share)
        })
        .collect();
    let moved = report.alpha_moved.zip(report.random_walk);
    let moved =
        moved.map_or("-".into(), |(moved, walk)| format!("{moved:.4} (a random walk would by about {walk:.4})"));
    format!(
        "epoch {} stage {}: weights {:.3} natural {} adversarial {} gamma {} clean {} pgd {} alpha moved by {moved}{} | {}",
        report.epoch,
        report.stage,
        report.weight_loss,
        of(report.natural_loss),
        of(report.adversarial_loss),
        of(report.gamma),
        report.clean,
        report.adversarial,
        if report.collapsed { "; collapsed: it is what it was before this epoch, and stays" } else { "" },
        cells.join(", ")
    )
}
