//! What a search is asked.

use std::path::PathBuf;
use std::time::Duration;

use super::crew::Crew;
use crate::config::Config;
use crate::store::beat::LOST_AFTER;

/// What the user asked for.
pub struct Job {
    /// The resolved configuration.
    pub config: Config,
    /// The run folder.
    pub out: PathBuf,
    /// The command line, kept for people.
    pub argv: Vec<String>,
    /// Time between checkpoints; has no influence on the outcome.
    pub checkpoint_every: Duration,
    /// Time without a beat after which others count this process as lost.
    pub lost_after: Duration,
    /// Whether to tell beforehand what the run will take, from timed steps, and whether all budgets can be met.
    pub estimate: bool,
    /// The most seconds that a run may be expected to take.
    pub longest: f64,
    /// Workers to be begun for the candidates, in whose place this process then only leads.
    pub crew: Option<Crew>,
}

impl Job {
    /// A search in this process alone, with the program's defaults and no bound on its time.
    pub fn new(config: Config, out: PathBuf) -> Job {
        Job {
            config,
            out,
            argv: Vec::new(),
            checkpoint_every: Duration::from_secs(60),
            lost_after: LOST_AFTER,
            estimate: true,
            longest: f64::INFINITY,
            crew: None,
        }
    }
}
