//! A process that joins a run: it does tasks that nobody else has, and leads the run where nobody does.

use std::sync::Arc;
use std::time::Duration;

use super::found;
use super::member::Member;
use super::work::{Part, Work, unless_lost};
use super::{Job, images, run as lead};
use crate::engine::Isa;
use crate::error::{Error, Result};
use crate::jobs::at::Noting;
use crate::jobs::candidates::{self, Candidate};
use crate::jobs::interrupt::Interrupt;
use crate::jobs::progress::{Observer, Progress};
use crate::jobs::task::Task;
use crate::rank::ineligible;
use crate::record::{Outcome, Record};
use crate::store::history::History;
use crate::store::run;
use crate::store::tasks::Worker;

/// Between two looks for something to do.
const WAIT: Duration = Duration::from_millis(500);

/// Works at the run of a job until it is over. The job's configuration is the run's, but for where its images are.
///
/// # Errors
/// [`Error::Stopped`] after a signal, with everything saved; [`Error::Run`] for a folder that holds no run, or one of other
/// images, and where another version works at it; whatever reading data or writing fails with.
pub fn join(job: &Job, interrupt: &Interrupt, observer: &mut dyn Observer) -> Result<()> {
    let out = &job.out;
    loop {
        let history = History::read(out)?;
        if history.is_finished(out) {
            return Ok(());
        }
        let worker = Member::join(out, history.run.work(), job.lost_after)?;
        if is_led(&worker, job)? {
            help(&worker, job, &history.run.file.data_id, interrupt, observer)?;
            continue;
        }
        drop(worker);
        let led = lead(job, interrupt, observer);
        if let Err(Error::Run { .. }) = led
            && is_led(&*Member::join(out, history.run.work(), job.lost_after)?, job)?
        {
            // Another was faster: it leads, and this one helps.
            continue;
        }
        return led.map(drop);
    }
}

/// Whether a process leads the run, by its lock or by its beat.
fn is_led(worker: &Worker, job: &Job) -> Result<bool> {
    Ok(run::worker(&job.out).is_some() || worker.is_led()?)
}

/// Does what nobody else has, until the run is over or nobody leads it.
fn help(worker: &Worker, job: &Job, expected: &str, interrupt: &Interrupt, observer: &mut dyn Observer) -> Result<()> {
    let Job { config, out, .. } = job;
    let observer = &mut Noting::new(observer);
    let idle = interrupt.idle()?;
    let (source, data, splits) = images(config, observer)?;
    let data_id = data.content_id();
    if data_id != expected {
        let words = format!("the run's images have the content {expected}, and {source} has {data_id}; give --data");
        return Err(Error::run(out, words));
    }
    same_program(worker, job, observer)?;
    observer.write_to(&worker.folder());
    observer.on(Progress::RunJoined { folder: out.clone() });
    drop(idle);
    let work = Work::new(job, (&data, data_id), &splits, interrupt);
    let mut derived: Option<Vec<Candidate>> = None;
    let mut declined = Vec::new();
    loop {
        interrupt.check()?;
        let history = History::read(out)?;
        if history.is_finished(out) || !is_led(worker, job)? {
            return Ok(());
        }
        let list = match &derived {
            Some(list) => list,
            None => match found::genotypes(config, work.seed, &history.events)? {
                Some(found) => derived.insert(candidates::derive(config, &data, &found, work.seed)?.0),
                None => {
                    std::thread::sleep(WAIT);
                    continue;
                }
            },
        };
        let records = history.records();
        let mut parts = list.iter().enumerate().filter_map(|(at, candidate)| {
            let part = open(records.iter().find(|r| candidate.is_of(r)))?;
            (!declined.contains(&at)).then_some((at, candidate, part))
        });
        let taken = parts.find_map(|(at, candidate, part)| {
            worker.claim(&part.task(at, candidate)).map(|held| held.map(|held| (at, candidate, part, held))).transpose()
        });
        let taken = match taken.transpose() {
            // Whoever led the run may have ended it meanwhile, and its tasks with it.
            Err(_) if History::read(out)?.is_finished(out) => return Ok(()),
            taken => taken?,
        };
        let Some((at, candidate, part, held)) = taken else {
            std::thread::sleep(WAIT);
            continue;
        };
        // The leader may have taken the result over, and the run may be at its end, since the journal was read.
        let now = History::read(out)?;
        if now.is_finished(out) || open(now.records().iter().find(|r| candidate.is_of(r))) != Some(part) {
            held.release();
            continue;
        }
        if let Some(reason) = work.shortage(part, candidate)? {
            observer.on(Progress::Warning(format!("{} is left to others: {reason}", part.task(at, candidate))));
            declined.push(at);
            held.release();
            continue;
        }
        let held = Arc::new(held);
        if part == Part::Test {
            observer.on(Progress::TaskStarted { task: Task::Test, done: 0, steps: 1 });
        }
        let done = work.perform(part, candidate, &held, observer);
        if part == Part::Test {
            observer.on(Progress::TaskDone { task: Task::Test });
        }
        unless_lost(done, &held, observer)?;
    }
}

/// What is to be done for a candidate, by what the journal says of it.
fn open(record: Option<&Record>) -> Option<Part> {
    match record {
        None => Some(Part::Train),
        Some(record) => match &record.outcome {
            Outcome::Ok { test: None, .. } if ineligible(record).is_none() => Some(Part::Test),
            Outcome::Ok { .. } | Outcome::Failed { .. } => None,
        },
    }
}

/// Refuses to work beside another version; says where the answer may differ in its last digits.
fn same_program(worker: &Worker, job: &Job, observer: &mut dyn Observer) -> Result<()> {
    let others = worker.others();
    let ours = env!("CARGO_PKG_VERSION");
    if let Some(other) = others.iter().find(|other| other.version != ours) {
        let words = format!(
            "robustnas {} works at this run (pid {} on {}), and this is {ours}; join it with that version",
            other.version, other.pid, other.host
        );
        return Err(Error::run(&job.out, words));
    }
    let isa = Isa::widest().to_string();
    if let Some(other) = others.iter().find(|other| other.instructions != isa) {
        observer.on(Progress::Warning(format!(
            "{} computes with {} and this machine with {isa}: networks come out in other digits than on one machine",
            other.host, other.instructions
        )));
    }
    Ok(())
}
