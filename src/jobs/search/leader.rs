//! The process that leads a run: it alone appends to the journal. It searches, hands the candidates out as tasks, does those
//! that nobody else has, and takes over what came out in the order of the candidates, so that the journal has the same
//! lines whoever did the work.

use std::sync::Arc;
use std::time::Duration;

use super::crew::AtWork;
use super::work::{Done, EVAL, Part, SHARED, WEIGHTS, Work, in_arch, unless_lost};
use crate::arch::file::ArchFile;
use crate::error::{Error, Result};
use crate::jobs::candidates::Candidate;
use crate::jobs::page;
use crate::jobs::progress::{Observer, Progress};
use crate::jobs::stage::Saver;
use crate::jobs::task::Task;
use crate::rank::ineligible;
use crate::record::{FailureKind, Outcome, Record};
use crate::report::frontier::Frontier;
use crate::report::plot::plot;
use crate::report::protocol::Split;
use crate::report::ranked::Ranked;
use crate::store::atomic;
use crate::store::event::{self, Event};
use crate::store::run::RunDir;
use crate::store::tasks::{self, Finished, Worker};

const ARCH: &str = "arch.json";
const GENOTYPE: &str = "genotype.txt";
/// Between two looks at what others have done.
const WAIT: Duration = Duration::from_millis(200);

/// A run at work.
pub(super) struct Leader<'a> {
    pub work: Work<'a>,
    pub worker: &'a Worker,
    /// Workers that were begun for this run, if any.
    pub crew: Option<AtWork>,
    pub saver: Saver,
    pub log: Log,
    pub observer: &'a mut dyn Observer,
}

/// The run's folder and what its journal says.
pub(super) struct Log {
    pub folder: RunDir,
    pub events: Vec<Event>,
}

impl Log {
    pub fn append(&mut self, event: Event) -> Result<()> {
        self.folder.append(&event)?;
        self.events.push(event);
        Ok(())
    }

    fn records(&self) -> Vec<Record> {
        event::records(&self.events)
    }

    /// Finished epochs of the search.
    pub fn epochs(&self) -> u32 {
        event::epochs(&self.events).count() as u32
    }
}

impl Leader<'_> {
    /// Has every candidate trained and evaluated, unless the journal has its record and its files are what was written.
    /// Files that are not are made anew, which gives the same bytes.
    pub fn candidates(&mut self, list: &[Candidate]) -> Result<()> {
        for (at, candidate) in list.iter().enumerate() {
            let file = ArchFile::new(
                &candidate.net,
                candidate.summary.clone(),
                candidate.genotype.clone(),
                candidate.skeleton.clone(),
            )?;
            let known = self.log.records().into_iter().find(|r| candidate.is_of(r));
            self.describe(candidate, &file, known.is_some())?;
            let validation = match known {
                Some(Record { outcome: Outcome::Failed { .. }, .. }) => continue,
                Some(Record { outcome: Outcome::Ok { validation, .. }, .. }) => {
                    if self.whole(&candidate.id, WEIGHTS).is_some() {
                        continue;
                    }
                    self.made_anew(&candidate.id, WEIGHTS);
                    Some(validation)
                }
                None => None,
            };
            self.same_images(Part::Train)?;
            let (result, bytes) = self.done(Part::Train, list, at, WEIGHTS)?;
            let Done::Trained(outcome) = result else { return Err(mixed_up(&candidate.id)) };
            if let Outcome::Ok { .. } = *outcome {
                self.keep(&candidate.id, WEIGHTS, &bytes)?;
            }
            match validation {
                None => {
                    let record = candidate.record(file.cost, *outcome);
                    self.log.append(Event::Candidate { record: record.clone() })?;
                    self.observer.on(Progress::CandidateDone(Box::new(record)));
                }
                Some(known) => match *outcome {
                    Outcome::Ok { validation: again, .. } if again == known => {}
                    _ => return Err(self.otherwise(&candidate.id)),
                },
            }
            tasks::taken(self.work.run, &Part::Train.task(at, candidate))?;
        }
        Ok(())
    }

    /// Writes what a candidate is, where that is not there.
    fn describe(&mut self, candidate: &Candidate, file: &ArchFile, is_known: bool) -> Result<()> {
        let mut files = vec![(ARCH, file.to_json()?.into_bytes())];
        if let Some(genotype) = &candidate.genotype {
            files.push((GENOTYPE, format!("{genotype}\n").into_bytes()));
        }
        let lost = |(name, bytes): &(&str, Vec<u8>)| self.whole(&candidate.id, name).as_ref() != Some(bytes);
        let files: Vec<(&str, &[u8])> = files.iter().filter(|f| lost(f)).map(|(n, b)| (*n, &b[..])).collect();
        if is_known {
            files.iter().for_each(|(name, _)| self.made_anew(&candidate.id, name));
        }
        self.log.folder.write_arch(&candidate.id, &files)
    }

    /// What came out of a part of the candidate at a place in the list, and its file. Until it is there this process does
    /// what nobody else does, from this candidate on.
    fn done(&mut self, part: Part, list: &[Candidate], at: usize, file: &str) -> Result<(Done, Vec<u8>)> {
        let mut waits = false;
        loop {
            self.work.interrupt.check()?;
            if let Some(Finished { result, mut files }) = tasks::finished(self.work.run, &part.task(at, &list[at]))? {
                return Ok((result, files.remove(file).unwrap_or_default()));
            }
            if self.is_relieved()? || !self.take_one(part, list, at)? {
                if !waits {
                    self.observer.on(Progress::Note(format!("waiting for {}", part.task(at, &list[at]))));
                    waits = true;
                }
                std::thread::sleep(WAIT);
            }
        }
    }

    /// Whether workers of its own do everything.
    fn is_relieved(&mut self) -> Result<bool> {
        self.crew.as_mut().map_or(Ok(false), AtWork::is_at_work)
    }

    /// Does a part that nobody else has; whether there was one.
    fn take_one(&mut self, part: Part, list: &[Candidate], from: usize) -> Result<bool> {
        let records = self.log.records();
        for (at, candidate) in list.iter().enumerate().skip(from) {
            if !self.is_open(part, candidate, &records) {
                continue;
            }
            let Some(held) = self.worker.claim(&part.task(at, candidate))? else { continue };
            let held = Arc::new(held);
            // What a network was trained with suffices to test it, or will again: that is for the pass to say.
            let shortage = if part == Part::Train { self.work.shortage(part, candidate)? } else { None };
            let done = match shortage {
                Some(reason) => self.work.failed(&held, FailureKind::Oom, reason),
                None => self.work.perform(part, candidate, &held, self.observer),
            };
            unless_lost(done, &held, self.observer)?;
            return Ok(true);
        }
        Ok(false)
    }

    /// Whether a part of a candidate is still to be done.
    fn is_open(&self, part: Part, candidate: &Candidate, records: &[Record]) -> bool {
        match (part, records.iter().find(|r| candidate.is_of(r))) {
            (Part::Train, Some(Record { outcome: Outcome::Ok { .. }, .. })) => {
                self.whole(&candidate.id, WEIGHTS).is_none()
            }
            (Part::Train, record) => record.is_none(),
            (Part::Test, record) => record.is_some_and(|r| self.is_untested(r)),
        }
    }

    /// Whether a record lacks its numbers on the test images, or the file with their details.
    fn is_untested(&self, record: &Record) -> bool {
        match &record.outcome {
            Outcome::Ok { test, .. } => {
                ineligible(record).is_none() && (test.is_none() || self.whole(&record.arch, EVAL).is_none())
            }
            Outcome::Failed { .. } => false,
        }
    }

    /// A file of an architecture, if it is what was written.
    fn whole(&self, id: &str, name: &str) -> Option<Vec<u8>> {
        self.log.folder.whole(&in_arch(id, name))
    }

    /// Says that a file is made anew.
    fn made_anew(&mut self, id: &str, name: &str) {
        let name = in_arch(id, name);
        self.observer.on(Progress::Warning(format!("{name} is missing or is not what was written; it is made anew")));
    }

    /// What is made anew and does not come out as before.
    fn otherwise(&self, id: &str) -> Error {
        let why = format!(
            "network {id} comes out otherwise than the journal says, which another version or another machine wrote; \
             restore its files from a copy, go on there, or begin anew in another folder"
        );
        Error::run(self.log.folder.path(), why)
    }

    /// Writes a file of an architecture, which must be the one that was written before, if one was.
    fn keep(&mut self, id: &str, name: &str, bytes: &[u8]) -> Result<()> {
        if !self.log.folder.files().holds(&in_arch(id, name), bytes) {
            return Err(self.otherwise(id));
        }
        self.log.folder.write_arch(id, &[(name, bytes)])
    }

    /// Holds the images that a part measures to those of the journal: an older version drew other ones from the run's seed.
    fn same_images(&self, part: Part) -> Result<()> {
        let sample = self.work.sample(part);
        let records = self.log.records();
        let before = records.iter().filter_map(|record| match &record.outcome {
            Outcome::Ok { validation, test, .. } => Some([Some(validation), test.as_ref()]),
            Outcome::Failed { .. } => None,
        });
        let mut before = before.flatten().flatten().map(|evaluation| &evaluation.sample);
        match before.find(|other| other.split == sample.split && other.index_id != sample.index_id) {
            None => Ok(()),
            Some(other) => Err(Error::run(
                self.log.folder.path(),
                format!(
                    "holds results on other {} images (indices {}) than this version measures ({}), and both cannot stand \
                     in one ranking; finish the run with the version that began it, or begin it anew in another folder",
                    sample.split, other.index_id, sample.index_id
                ),
            )),
        }
    }

    /// The final table's numbers: every ranked candidate once on the test images.
    pub fn test(&mut self, list: &[Candidate]) -> Result<()> {
        let records = self.log.records();
        let open: Vec<(usize, &Record)> = (0..list.len())
            .filter_map(|at| Some((at, records.iter().find(|r| list[at].is_of(r))?)))
            .filter(|(_, record)| self.is_untested(record))
            .collect();
        self.observer.on(Progress::TaskStarted { task: Task::Test, done: 0, steps: open.len() as u64 });
        let tested = open.into_iter().try_for_each(|(at, record)| self.test_one(list, at, record));
        self.observer.on(Progress::TaskDone { task: Task::Test });
        tested
    }

    /// Has a candidate measured on the test images. Where its result is known, the file that has its details is made anew.
    fn test_one(&mut self, list: &[Candidate], at: usize, record: &Record) -> Result<()> {
        let candidate = &list[at];
        let Outcome::Ok { test: known, .. } = &record.outcome else { return Ok(()) };
        let arch = candidate.id.clone();
        if known.is_some() {
            self.made_anew(&arch, EVAL);
        }
        self.same_images(Part::Test)?;
        let (result, details) = self.done(Part::Test, list, at, EVAL)?;
        let evaluation = match result {
            Done::Tested(evaluation) => evaluation,
            Done::NotTested(reason) => {
                self.observer.on(Progress::NotTested { arch, reason });
                return Ok(());
            }
            Done::Trained(_) => return Err(mixed_up(&arch)),
        };
        if known.as_ref().is_some_and(|known| *known != evaluation) {
            return Err(self.otherwise(&arch));
        }
        self.keep(&arch, EVAL, &details)?;
        tasks::taken(self.work.run, &Part::Test.task(at, candidate))?;
        if known.is_some() {
            return Ok(());
        }
        self.log.append(Event::Test {
            arch: arch.clone(),
            origin: candidate.origin.clone(),
            budget: candidate.budget,
            evaluation: evaluation.clone(),
        })?;
        self.observer.on(Progress::Tested { arch, evaluation: Box::new(evaluation) });
        Ok(())
    }

    /// Writes the run's answer.
    pub fn rank(&mut self) -> Result<Ranked> {
        let config = self.work.config;
        let ranked = Ranked::new(config.seed, &self.log.records())?;
        self.log.folder.write_output("ranked.json", &ranked.to_json()?)?;
        let frontier = Frontier::combine(&[(&config.name, &ranked)], Split::Test)?;
        self.log.folder.write_output("frontier.json", &frontier.to_json()?)?;
        self.log.folder.write_output("frontier.svg", plot(&frontier)?.as_bytes())?;
        let page = page::page(&[self.log.folder.path()], Split::Test)?;
        self.log.folder.write_output("report.html", page.as_bytes())?;
        self.saver.clear()?;
        atomic::remove_folder(&self.log.folder.path().join(SHARED))?;
        // Last: from here on nobody leads the run.
        self.worker.clear()?;
        Ok(ranked)
    }
}

/// A task that holds the result of another.
fn mixed_up(id: &str) -> Error {
    Error::Internal(format!("the task of network {id} holds the result of another part"))
}
