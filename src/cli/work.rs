//! `robustnas work`.

use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::args::{Seconds, command_line};
use super::console::{Console, say};
use super::progress::Terminal;
use super::search::of_run;
use crate::error::Result;
use crate::jobs::Interrupt;
use crate::jobs::search::{Job, join};

/// What `work` takes.
#[derive(clap::Args)]
pub struct WorkArguments {
    /// The run's folder, which `search` or `submit` began.
    run: PathBuf,
    /// Where the run's images lie on this machine. Default: as the run says.
    #[arg(long)]
    data: Option<String>,
    /// Seconds between checkpoints; no influence on the result.
    #[arg(long, default_value = "60")]
    checkpoint_every: Seconds,
    /// Seconds without a sign of life after which this worker counts as lost and others take its tasks over.
    #[arg(long, default_value = "60")]
    lost_after: Seconds,
    /// Stop, as at a signal, where standard input ends: with the process that began this one.
    #[arg(long, hide = true)]
    until_input_ends: bool,
}

/// Joins a run and works at it until it is over.
pub fn work(arguments: &WorkArguments, console: Console) -> Result<()> {
    let config = of_run(&arguments.run, arguments.data.as_deref())?;
    let job = Job {
        argv: command_line(),
        checkpoint_every: arguments.checkpoint_every.0,
        lost_after: arguments.lost_after.0,
        // It was told when the run was begun, and others that begin now should be helped at once.
        estimate: false,
        ..Job::new(config, arguments.run.clone())
    };
    let mut interrupt = Interrupt::install(say, || ())?;
    if arguments.until_input_ends {
        let ended = Arc::new(AtomicBool::new(false));
        interrupt.also("the end of the search that began it", Arc::clone(&ended));
        std::thread::spawn(move || {
            drop(std::io::stdin().read_to_end(&mut Vec::new()));
            ended.store(true, Ordering::Relaxed);
        });
    }
    join(&job, &interrupt, &mut Terminal::new(console))?;
    console.note(&format!("the run in {} is over", arguments.run.display()));
    Ok(())
}
