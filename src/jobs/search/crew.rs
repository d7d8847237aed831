//! Workers that a search begins on its own machine: processes that join its run and end with it.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::error::{Error, IoContext, Result, STOPPED};

/// How workers are begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Crew {
    /// This program.
    pub program: PathBuf,
    /// How many.
    pub workers: u16,
    /// Threads of each.
    pub threads: usize,
}

/// Workers that were begun.
pub(super) struct AtWork {
    run: PathBuf,
    children: Vec<Child>,
}

impl Crew {
    /// Begins the workers of a run, whose images are at `data`.
    ///
    /// # Errors
    /// [`Error::Io`] where the program cannot be run.
    pub(super) fn begin(&self, run: &Path, data: &str, checkpoint_every: Duration) -> Result<AtWork> {
        let mut crew = AtWork { run: run.to_owned(), children: Vec::new() };
        for _ in 0..self.workers {
            let child = Command::new(&self.program)
                .args(["work", "--until-input-ends", "--quiet", "--threads", &self.threads.max(1).to_string()])
                .args(["--data", data, "--checkpoint-every", &checkpoint_every.as_secs_f64().to_string()])
                .arg("--")
                .arg(run)
                .stdin(Stdio::piped())
                .stdout(Stdio::null())
                .spawn()
                .at(&self.program)?;
            crew.children.push(child);
        }
        Ok(crew)
    }
}

impl AtWork {
    /// Whether any of them is left. Where none is, the search goes on alone.
    ///
    /// # Errors
    /// [`Error::Run`] where one ended by an error, which it has told: others would meet it too.
    pub fn is_at_work(&mut self) -> Result<bool> {
        let mut left = Vec::new();
        for mut child in self.children.drain(..) {
            match child.try_wait().at(&self.run)? {
                None => left.push(child),
                Some(status) => match status.code() {
                    // It was killed, or asked to stop: what it had is taken over.
                    None | Some(0) => {}
                    Some(code) if code == i32::from(STOPPED) => {}
                    Some(code) => {
                        let words = format!("a worker ended with exit code {code}; its message is above");
                        return Err(Error::run(&self.run, words));
                    }
                },
            }
        }
        self.children = left;
        Ok(!self.children.is_empty())
    }
}

impl Drop for AtWork {
    /// Their input ends, they save what they are at, and end.
    fn drop(&mut self) {
        self.children.iter_mut().for_each(|child| drop(child.stdin.take()));
        for child in &mut self.children {
            drop(child.wait());
        }
    }
}
