//! A search: the order of its stages, each of which can be interrupted and taken up again.
//!
//! One process leads a run; others may join it and train and measure candidates, which are tasks of their own
//! (`store/tasks.rs`). The answer does not depend on how many there are or which does what.
//!
//! | stage | from | gives | left in the run folder |
//! |---|---|---|---|
//! | plan | configuration, data | what can be satisfied, with time and memory | - |
//! | search | supernet, data | architecture parameters, genotypes | an event an epoch, `search` |
//! | trials | genotypes or the space, budgets | genotypes of each budget | an event a trial, `trials` |
//! | candidates | genotypes, budgets | networks | `archs/<id>/arch.json`, `genotype.txt` |
//! | train and evaluate | network, data | record | `weights.safetensors`, an event |
//! | test | ranked records | test numbers | an event, `eval.json` |
//! | rank | records | ranking, frontier | `ranked.json`, `frontier.json`, `frontier.svg`, `report.html` |
//!
//! Which image does what is the same in every run; everything else that is random is a child of the run's seed by a
//! fixed name. Every stage begins with what the journal and the last checkpoint say, so the outcome does not depend on when
//! and how often the process was killed.

mod crew;
mod found;
mod helper;
mod job;
mod leader;
mod member;
mod trials;
mod work;

pub use crew::Crew;
pub use helper::join;
pub use job::Job;

use self::leader::{Leader, Log};
use self::member::Member;
use self::work::Work;
use super::at::Noting;
use super::candidates;
use super::estimate::Plan;
use super::interrupt::Interrupt;
use super::progress::{Observer, Progress};
use super::stage::Saver;
use super::time::duration_words;
use crate::config::Config;
use crate::data::split::Splits;
use crate::data::{Dataset, Source};
use crate::engine::Isa;
use crate::error::{Error, Result};
use crate::report::ranked::Ranked;
use crate::store::event::Event;
use crate::store::history::History;
use crate::store::run::{Opened, RunAbout, RunDir, free_to_take};

/// A run that is open, with everything that it needs.
struct Prepared {
    data: Dataset,
    data_id: String,
    splits: Splits,
    folder: RunDir,
    events: Vec<Event>,
}

/// Begins a run's folder, or opens one that was begun, and does nothing in it: others go on from there.
///
/// # Errors
/// Those of [`run`].
pub fn begin(job: &Job, interrupt: &Interrupt, observer: &mut dyn Observer) -> Result<()> {
    prepare(job, interrupt, observer).map(drop)
}

/// Runs a job to its end, or to the next interruption.
///
/// # Errors
/// [`Error::Stopped`] after a signal, with everything saved; [`Error::Impossible`] before anything is begun when a budget
/// cannot be met; whatever reading data or writing the run folder fails with. A candidate that fails is a record.
pub fn run(job: &Job, interrupt: &Interrupt, observer: &mut dyn Observer) -> Result<Ranked> {
    let observer = &mut Noting::new(observer);
    let Prepared { data, data_id, splits, folder, events } = prepare(job, interrupt, observer)?;
    observer.write_to(&job.out);
    let worker = Member::join(&job.out, folder.work(), job.lost_after)?;
    folder.lead(&worker)?;
    let mut leader = Leader {
        work: Work::new(job, (&data, data_id), &splits, interrupt),
        worker: &worker,
        crew: None,
        saver: Saver::new(folder.checkpoints()?, job.checkpoint_every),
        log: Log { folder, events },
        observer,
    };
    leader.search()?;
    let seed = leader.work.seed;
    let found = found::genotypes(&job.config, seed, &leader.log.events)?;
    let found = found.ok_or_else(|| Error::Internal("a search that is over has no result".into()))?;
    let (candidates, left_out) = candidates::derive(&job.config, &data, &found, seed)?;
    left_out.into_iter().for_each(|genotype| leader.observer.on(Progress::LeftOut(genotype)));
    let crew = job.crew.as_ref().map(|crew| crew.begin(&job.out, &job.config.data, job.checkpoint_every));
    leader.crew = crew.transpose()?;
    leader.candidates(&candidates)?;
    leader.test(&candidates)?;
    leader.crew = None;
    leader.rank()
}

/// Reads the images of a run and divides them; also where they are, in words.
fn images(config: &Config, observer: &mut dyn Observer) -> Result<(String, Dataset, Splits)> {
    let source = Source::parse(&config.data)?;
    observer.on(Progress::Reading { source: source.to_string() });
    let data = source.load()?;
    let splits = Splits::of(&data, &config.split)?;
    Ok((source.to_string(), data, splits))
}

/// Reads the data, tells what the run will take, and opens its folder.
fn prepare(job: &Job, interrupt: &Interrupt, observer: &mut dyn Observer) -> Result<Prepared> {
    let idle = interrupt.idle()?;
    let begun = free_to_take(&job.out)?;
    // Damage is told before data are read.
    let is_over = begun && History::read(&job.out)?.is_finished(&job.out);
    let (source, data, splits) = images(&job.config, observer)?;
    let data_id = data.content_id();
    let about = RunAbout {
        seed: job.config.seed,
        data: source,
        data_id: data_id.clone(),
        argv: job.argv.clone(),
        instructions: Isa::widest().to_string(),
    };
    let mut disk_bytes = 0;
    if job.estimate && !is_over {
        let plan = Plan::draw(&job.config, &data, &splits, &|| interrupt.check())?;
        let (seconds, too_long) = (plan.seconds(), !begun && plan.seconds() > job.longest);
        disk_bytes = plan.disk_bytes;
        observer.on(Progress::Planned(Box::new(plan)));
        if too_long {
            let (words, longest) = (duration_words(seconds), duration_words(job.longest));
            let advice = "choose a smaller space or lower search.epochs, retrain.epochs and split.train, or give --yes";
            return Err(Error::Impossible(format!("about {words} in all, which is more than {longest}; {advice}")));
        }
    }
    drop(idle);
    let text = job.config.to_toml()?;
    let (folder, opened) = RunDir::open(&job.out, &text, about, &|stored, _| {
        Ok(Config::stored(stored, &job.out.join("config.toml"))?.differences(&job.config))
    })?;
    crate::store::disk::ensure_free(&job.out, disk_bytes)?;
    let events = match opened {
        Opened::New => {
            observer.on(Progress::RunStarted { folder: job.out.clone() });
            Vec::new()
        }
        Opened::Resumed { events, warnings } => {
            warnings.into_iter().for_each(|warning| observer.on(Progress::Warning(warning)));
            observer.on(Progress::RunContinued { folder: job.out.clone() });
            events
        }
    };
    Ok(Prepared { data, data_id, splits, folder, events })
}
