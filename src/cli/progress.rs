//! Progress on standard error: a bar with rate and time left on a terminal, now and then a plain line elsewhere.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::jobs::{Progress, duration_words};

/// Time between plain lines.
const LINE_EVERY: Duration = Duration::from_secs(20);

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
}

impl Terminal {
    /// Looks whether standard error is a terminal.
    pub fn new() -> Self {
        let now = Instant::now();
        Terminal {
            bar: None,
            stage: String::new(),
            begun: now,
            line: now,
            first: 0,
            done: 0,
            steps: 0,
            fancy: std::io::stderr().is_terminal(),
        }
    }

    fn left(&self) -> String {
        let taken = (self.done - self.first) as f64;
        let rate = taken / self.begun.elapsed().as_secs_f64().max(1e-9);
        let left = (self.steps - self.done) as f64 / rate.max(1e-9);
        format!("{rate:.2} steps/s, {} left", duration_words(left))
    }
}

impl Progress for Terminal {
    fn note(&mut self, text: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| eprintln!("{text}")),
            None => eprintln!("{text}"),
        }
    }

    fn begin(&mut self, stage: &str, done: u64, steps: u64) {
        let now = Instant::now();
        (self.begun, self.line, self.first, self.done, self.steps) = (now, now, done, done, steps);
        stage.clone_into(&mut self.stage);
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

    fn step(&mut self, detail: &str) {
        self.done += 1;
        if let Some(bar) = &self.bar {
            bar.set_message(detail.to_owned());
            bar.set_position(self.done);
        } else if self.line.elapsed() >= LINE_EVERY {
            self.line = Instant::now();
            eprintln!("{}: {}/{} {detail} ({})", self.stage, self.done, self.steps, self.left());
        }
    }

    fn end(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}
