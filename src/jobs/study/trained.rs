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

use super::log::Log;
use super::networks::Networks;
use super::plan::Plan;
use super::search::Search;
use super::training::Trainings;
use crate::config::Config;
use crate::config::study::{Method, Study};
use crate::data::Source;
use crate::data::split::{Splits, index_id};
use crate::error::{Error, Result};
use crate::jobs::stage::Saver;
use crate::jobs::{Interrupt, Observer, Progress};
use crate::report::searches::facts::{Compared, Line, SearchId, Trained};
use crate::report::searches::{About, SearchesReport, picture};
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
    let trainings = Trainings { config, study, data: &data, splits: &splits, ids, data_id, seed, interrupt };
    let networks = Networks::new(config, &data);
    if study.hand_made > 0 {
        networks.hand_made()?;
    }
    let plan = Plan::draw(&trainings, &networks)?;
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
    let worked = work(&trainings, &networks, &mut log, &mut saver, observer);
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

fn work(
    trainings: &Trainings<'_>,
    networks: &Networks<'_>,
    log: &mut Log,
    saver: &mut Saver,
    observer: &mut dyn Observer,
) -> Result<()> {
    let study = trainings.study;
    let random = networks.random(study.random as usize, trainings.seed.child("random"))?;
    for part in parts(study) {
        match part {
            Part::Random { network, training } => {
                let of = Compared::Random { number: network };
                if !log.trained(of, training) {
                    let built = networks.build(&random[network as usize])?;
                    done(log, trainings.compared(&built, of, training, saver, observer)?, observer)?;
                }
            }
            Part::HandMade { training } => {
                let of = Compared::HandMade;
                if !log.trained(of, training) {
                    done(log, trainings.compared(&networks.hand_made()?, of, training, saver, observer)?, observer)?;
                }
            }
            Part::Search(id) => {
                let found = Search { id, trainings, networks, log, saver, observer }.run(&random)?;
                let built = networks.build(&found)?;
                for training in 0..study.trainings {
                    let of = Compared::Found(id);
                    if !log.trained(of, training) {
                        done(log, trainings.compared(&built, of, training, saver, observer)?, observer)?;
                    }
                }
            }
        }
    }
    Ok(())
}

fn done(log: &mut Log, trained: Trained, observer: &mut dyn Observer) -> Result<()> {
    observer.on(Progress::Note(trained.to_string()));
    log.append(Line::Trained(trained))
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
