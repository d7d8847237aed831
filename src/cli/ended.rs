//! A command of the user's that is run when a job ends: a message, the next job, a copy.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::console::{Console, say};
use crate::error::{Error, INTERNAL, Result, STOPPED};
use crate::jobs::Interrupt;

/// What jobs take.
#[derive(clap::Args)]
pub struct EndArguments {
    /// A shell command to run when this one ends, with ROBUSTNAS_RUN (the folder), ROBUSTNAS_OUTCOME (finished, stopped or
    /// failed), ROBUSTNAS_EXIT (the code) and, if finished, ROBUSTNAS_SUMMARY (a line) in its environment.
    #[arg(long, value_name = "CMD")]
    on_end: Option<String>,
}

/// How a job ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Finished,
    Stopped,
    Failed,
}

impl Outcome {
    fn word(self) -> &'static str {
        match self {
            Outcome::Finished => "finished",
            Outcome::Stopped => "stopped",
            Outcome::Failed => "failed",
        }
    }
}

/// A job that is to be told of at its end.
#[derive(Clone)]
pub struct End {
    command: Option<String>,
    console: Console,
    known: Arc<Mutex<Known>>,
}

/// What threads share of it.
struct Known {
    folder: PathBuf,
    /// There is one end, whichever thread sees it first.
    told: bool,
}

impl EndArguments {
    /// Does the work and runs the command behind it, however it ended. `folder` is that of the job as far as it is known yet;
    /// the work gives its summary. The result is that of the work, whatever the command does.
    ///
    /// # Errors
    /// Those of the work.
    pub fn around(
        &self,
        folder: Option<&Path>,
        console: Console,
        work: impl FnOnce(&End) -> Result<String>,
    ) -> Result<()> {
        let known = Known { folder: folder.map(Path::to_owned).unwrap_or_default(), told: false };
        let end = End { command: self.on_end.clone(), console, known: Arc::new(Mutex::new(known)) };
        match catch_unwind(AssertUnwindSafe(|| work(&end))) {
            Ok(Ok(summary)) => {
                end.tell(Outcome::Finished, 0, Some(&summary));
                Ok(())
            }
            Ok(Err(error)) => {
                let outcome = if matches!(error, Error::Stopped { .. }) { Outcome::Stopped } else { Outcome::Failed };
                end.tell(outcome, error.exit_code(), None);
                Err(error)
            }
            Err(panic) => {
                end.tell(Outcome::Failed, INTERNAL, None);
                resume_unwind(panic)
            }
        }
    }
}

impl End {
    /// Names the folder of the job.
    pub fn is_in(&self, folder: &Path) {
        folder.clone_into(&mut self.known().folder);
    }

    /// Signals, the first of which is answered on standard error. One that ends the process because nothing is begun yet is
    /// an end, too.
    ///
    /// # Errors
    /// As [`Interrupt::install`].
    pub fn interrupt(&self) -> Result<Interrupt> {
        let end = self.clone();
        Interrupt::install(say, move || end.tell(Outcome::Stopped, STOPPED, None))
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs the command, once. What it prints goes to standard error: standard output has the job's result.
    fn tell(&self, outcome: Outcome, code: u8, summary: Option<&str>) {
        let Some(command) = &self.command else { return };
        // Held while the command runs: where a signal and the work end at once, neither thread ends the process before it.
        let mut known = self.known();
        if std::mem::replace(&mut known.told, true) {
            return;
        }
        let mut shell = shell(command);
        shell.stdin(Stdio::null()).stdout(std::io::stderr());
        shell.env("ROBUSTNAS_RUN", &known.folder);
        shell.env("ROBUSTNAS_OUTCOME", outcome.word()).env("ROBUSTNAS_EXIT", code.to_string());
        match summary {
            // A variable's text has no NUL, and this one is a line.
            Some(summary) => shell.env("ROBUSTNAS_SUMMARY", summary.replace(['\n', '\0'], " ").trim()),
            None => shell.env_remove("ROBUSTNAS_SUMMARY"),
        };
        match shell.status() {
            Ok(status) if status.success() => {}
            Ok(status) => self.console.warn(&format!("--on-end: `{command}` ended with {status}")),
            Err(why) => self.console.warn(&format!("--on-end: `{command}` cannot be run: {why}")),
        }
    }
}

#[cfg(not(windows))]
fn shell(command: &str) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", command]);
    shell
}

#[cfg(windows)]
fn shell(command: &str) -> Command {
    let mut shell = Command::new("cmd");
    shell.args(["/C", command]);
    shell
}
