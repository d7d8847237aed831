//! A study by training: searches, random networks and a hand-made one, all trained by one recipe at one size and measured on
//! the test images once.
//!
//! ```text
//! OUT/study.toml       the space file as it was resolved
//! OUT/about.json       what may not change: everything but how many networks and searches there are
//! OUT/journal.jsonl    a line a training, trial and score: the only source of truth
//! OUT/study.json       what it amounts to so far
//! OUT/study.svg, .png  the same as a picture
//! OUT/shared/          weights that the networks of a search share
//! OUT/checkpoint/      the last two states while it works
//! ```
//!
//! Everything random is a child of the study's seed by the name of what it is for, so that neither the order of the work nor
//! kills change a number, and a study that is finished can be given more networks and searches.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::json;

use super::compared::compared;
use super::log::{Log, SearchLog};
use super::plan::Plan;
use crate::arch::genotype::Genotype;
use crate::config::strategy::Method;
use crate::config::study::Study;
use crate::config::{Config, JUDGED, Select};
use crate::data::Source;
use crate::data::split::{Splits, index_id};
use crate::error::{Error, Result};
use crate::jobs::stage::Saver;
use crate::jobs::strategy::{Built, Networks, Search, Trainings};
use crate::jobs::{Interrupt, Observer, Progress};
use crate::report::searches::facts::{Compared, Line, SearchId};
use crate::report::searches::{About, SearchesReport, picture};
use crate::search::zero_cost::ZeroCost;
use crate::seed::Seed;
use crate::store::folder::Folder;

/// What says what a folder is about.
const ABOUT: &str = "about.json";

/// How many times larger than its drawing the picture is.
#[cfg(feature = "png")]
const SCALE: f32 = 2.0;

/// What the user asked for.
pub struct Job {
    /// The space, with its study.
    pub config: Config,
    /// The folder.
    pub out: PathBuf,
    /// Time between checkpoints; has no influence on the outcome.
    pub checkpoint_every: Duration,
}

/// A part of the work.
#[derive(Clone, Copy, Debug)]
enum Part {
    /// A random network's training of this number.
    Random { network: u32, training: u32 },
    /// The hand-made network's.
    HandMade { training: u32 },
    /// A search and the trainings of what it finds.
    Search(SearchId),
}

/// Searches, trains and measures what is not in the folder yet, and writes the report.
///
/// # Errors
/// [`Error::Stopped`] after a signal, with everything saved and the report of what there is; [`Error::Usage`] for a space
/// without `[study]`; [`Error::Impossible`] for a size that networks do not have. A training that fails is a line.
pub fn run(job: &Job, interrupt: &Interrupt, observer: &mut dyn Observer) -> Result<SearchesReport> {
    let config = &job.config;
    let study = config.study.as_ref().ok_or_else(|| {
        Error::Usage(format!("the space `{}` has no [study]; docs/search.md tells what belongs there", config.name))
    })?;
    let source = Source::parse(&config.data)?;
    observer.on(Progress::Reading { source: source.to_string() });
    let idle = interrupt.idle()?;
    let data = source.load()?;
    drop(idle);
    let (splits, data_id) = (Splits::of(&data, &config.split)?, data.content_id());
    let (ids, seed) = (splits.retrain(), Seed::root(config.seed).child("study"));
    let (data_id, ids) = (&data_id[..], &ids[..]);
    let trainings = Trainings { config, trials: study.trials(), data: &data, splits: &splits, ids, seed, interrupt };
    let networks = Networks::new(config, &data, config.budgets[0]);
    if study.hand_made > 0 {
        networks.hand_made()?;
    }
    let plan = Plan::draw(&trainings, study, &networks)?;
    observer.on(Progress::Note(plan.to_string()));
    let about = json!({
        "schema_version": 1,
        "data": data.name,
        "data_id": data_id,
        "trained_on": index_id(ids),
        "held_out": index_id(&splits.validation),
        "tested_on": index_id(&splits.test),
        "config": unsized_config(config)?,
    });
    let (mut folder, lines, warning) = Folder::open(&job.out, "study", ABOUT, &about)?;
    warning.into_iter().for_each(|warning| observer.on(Progress::Warning(warning)));
    folder.write_bytes("study.toml", config.to_toml()?.as_bytes())?;
    let mut saver = Saver::new(folder.checkpoints()?, job.checkpoint_every);
    let mut log = Log { out: job.out.clone(), lines, folder };
    let about = About::new(config, study, &data.name);
    let worked = Work { trainings: &trainings, study, networks: &networks, data_id, log: &mut log, saver: &mut saver }
        .all(observer);
    let report = SearchesReport::new(about, &log.lines);
    if let (Err(Error::Stopped { .. }), Ok(report)) = (&worked, &report) {
        write(&mut log, report, observer)?;
    }
    worked?;
    let report = report?;
    write(&mut log, &report, observer)?;
    saver.clear()?;
    Ok(report)
}

/// The configuration without what a larger study may change, and without the place of the images, whose content is told.
fn unsized_config(config: &Config) -> Result<serde_json::Value> {
    let mut value =
        serde_json::to_value(config).map_err(|e| Error::Internal(format!("a configuration is no JSON: {e}")))?;
    if let Some(config) = value.as_object_mut() {
        config.remove("data");
    }
    // Studies that were begun before there was a choice have none, and are what they were.
    if (config.derive.select, config.derive.images) == (Select::default(), JUDGED)
        && let Some(derive) = value.get_mut("derive").and_then(serde_json::Value::as_object_mut)
    {
        derive.retain(|key, _| key != "select" && key != "images");
    }
    let sizes = ["strategies", "searches", "trainings", "random", "repeated", "hand_made", "expected"];
    if let Some(study) = value.get_mut("study").and_then(serde_json::Value::as_object_mut) {
        study.retain(|key, _| !sizes.contains(&key.as_str()));
    }
    Ok(value)
}

/// All parts, those of a kind spread evenly over the whole, so that half of the work is half of a study.
fn parts(study: &Study) -> Vec<Part> {
    let Study { searches, random, repeated, hand_made, strategies, .. } = study;
    let mut kinds: Vec<Vec<Part>> = vec![
        (0..*random).map(|network| Part::Random { network, training: 0 }).collect(),
        (0..*repeated).map(|network| Part::Random { network, training: 1 }).collect(),
        (0..*hand_made).map(|training| Part::HandMade { training }).collect(),
    ];
    let of =
        |method: &Method| (0..*searches).map(|search| Part::Search(SearchId { method: *method, search })).collect();
    kinds.extend(strategies.iter().map(of));
    let mut parts: Vec<(f64, Part)> = Vec::new();
    for kind in kinds {
        let n = kind.len() as f64;
        parts.extend(kind.into_iter().enumerate().map(|(i, part)| ((i as f64 + 0.5) / n, part)));
    }
    parts.sort_by(|a, b| a.0.total_cmp(&b.0));
    parts.into_iter().map(|(_, part)| part).collect()
}

/// A study at work.
struct Work<'a, 'b> {
    trainings: &'a Trainings<'a>,
    study: &'a Study,
    networks: &'a Networks<'a>,
    data_id: &'a str,
    log: &'b mut Log,
    saver: &'b mut Saver,
}

impl Work<'_, '_> {
    /// Does all parts that are not done.
    fn all(&mut self, observer: &mut dyn Observer) -> Result<()> {
        let seed = self.trainings.seed;
        let random = self.networks.random(self.study.random as usize, seed.child("random"))?;
        for part in parts(self.study) {
            match part {
                Part::Random { network, training } => {
                    let built = || self.networks.build(&random[network as usize]);
                    self.foretell(&built, network)?;
                    self.compare(&built, Compared::Random { number: network }, training, observer)?;
                }
                Part::HandMade { training } => {
                    self.compare(&|| self.networks.hand_made(), Compared::HandMade, training, observer)?;
                }
                Part::Search(id) => {
                    let found = self.search(id, &random, observer)?;
                    for training in 0..self.study.trainings {
                        self.compare(&|| self.networks.build(&found), Compared::Found(id), training, observer)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// What a search found.
    fn search(&mut self, id: SearchId, random: &[Genotype], observer: &mut dyn Observer) -> Result<Genotype> {
        let (method, name) = (id.method, format!("{} {}", id.method.word(), id.search));
        let mut search = Search {
            method,
            name: name.clone(),
            seed: self.trainings.seed.child(method.word()).index(u64::from(id.search)),
            trainings: self.trainings,
            networks: self.networks,
            notes: &mut SearchLog { log: self.log, id },
            unseen: random,
            saver: self.saver,
            observer,
        };
        let trials = search.run()?;
        let best = trials.best().map(|trial| trial.proposal.arch.clone());
        best.ok_or_else(|| Error::Impossible(format!("{name}: none of {} trials has a result", trials.trials().len())))
    }

    /// Measures a random network's proxies on the first held-out training images, where that is not done. A network whose
    /// fresh weights give none has no line.
    fn foretell(&mut self, built: &dyn Fn() -> Result<Built>, network: u32) -> Result<()> {
        if self.log.foretold(network) {
            return Ok(());
        }
        let Trainings { config, trials, seed, interrupt, .. } = *self.trainings;
        interrupt.check()?;
        let seed = seed.child("foretold");
        let held = self.trainings.held_out(config.retrain.batch, seed);
        let images = held.batch(held.ids, 0, 0)?;
        match ZeroCost::of(&built()?.net, &images, &trials.objective, seed) {
            Ok(proxies) => self.log.append(Line::Foretold { network, proxies }),
            Err(Error::NotFinite(_)) => Ok(()),
            Err(other) => Err(other),
        }
    }

    /// Trains a network for comparison, where that is not done.
    fn compare(
        &mut self,
        built: &dyn Fn() -> Result<Built>,
        of: Compared,
        training: u32,
        observer: &mut dyn Observer,
    ) -> Result<()> {
        if self.log.trained(of, training) {
            return Ok(());
        }
        let trained = compared(self.trainings, self.data_id, &built()?, (of, training), self.saver, observer)?;
        observer.on(Progress::Note(trained.to_string()));
        self.log.append(Line::Trained(trained))
    }
}

fn write(log: &mut Log, report: &SearchesReport, observer: &mut dyn Observer) -> Result<()> {
    let drawing = picture::draw(report)?;
    log.folder.write_bytes("study.json", &report.to_json()?)?;
    log.folder.write_bytes("study.svg", drawing.as_bytes())?;
    #[cfg(feature = "png")]
    log.folder.write_bytes("study.png", &crate::report::png::rasterise(&drawing, SCALE)?)?;
    #[cfg(not(feature = "png"))]
    observer.on(Progress::Note("study.png is not written: this build has no feature `png`".into()));
    #[cfg(feature = "png")]
    let _ = observer;
    Ok(())
}
