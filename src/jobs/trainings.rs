//! Trainings of one network that differ in the seed alone, and what the networks that come out withstand.
//!
//! ```text
//! OUT/             the training of one seed, or
//! OUT/seed-N/      those of several
//! OUT/summary.json mean and spread over them
//! .../attack/      the attack on the network that a training kept, if one was asked for
//! ```

use std::path::Path;

use serde_json::json;

use super::attack::{self, Subject};
use super::train::{self, Job};
use super::{Interrupt, Observer, Progress};
use crate::arch::cost::cost;
use crate::arch::file::id_of;
use crate::data::{Dataset, Source};
use crate::error::{Error, IoContext, Result};
use crate::model::{Model, weights};
use crate::report::attacked::{AttackResultFile, Attacked};
use crate::report::seeds::{Summary, Trained};
use crate::store::atomic;
use crate::store::run::of_seed;
use crate::threat::AttackPlan;

/// What networks are attacked with when their training is over.
pub struct Evaluation {
    /// The attacks.
    pub plan: AttackPlan,
    /// The first so many test images; 0: all.
    pub n: usize,
}

/// Trains with as many seeds as told, from the job's own on, one after the other; then attacks each network that was
/// kept. A training that diverged keeps none, or that of an epoch before, and the others go on.
///
/// # Errors
/// As [`train::run`] and [`attack::run`]; after a signal the same call goes on.
pub fn run(
    job: &Job,
    seeds: u32,
    evaluation: Option<&Evaluation>,
    interrupt: &Interrupt,
    observer: &mut dyn Observer,
) -> Result<Summary> {
    let idle = interrupt.idle()?;
    let source = Source::parse(&job.data)?;
    observer.on(Progress::Reading { source: source.to_string() });
    let data = source.load()?;
    drop(idle);
    if let Some(Evaluation { .. }) = evaluation
        && data.test.is_empty()
    {
        return Err(Error::Usage(format!("--attack: there are no test images in {}", job.data)));
    }
    let mut list = Vec::new();
    for seed in job.seed..job.seed + u64::from(seeds) {
        let out = if seeds == 1 { job.out.clone() } else { of_seed(&job.out, seed) };
        let own = Job { seed, out: out.clone(), ..job.clone() };
        let training = train::run(&own, &data, interrupt, observer)?;
        let attacked = match evaluation {
            Some(evaluation) if training.best.is_some() => {
                Some(withstands(&out, &data, evaluation, job, interrupt, observer)?)
            }
            _ => None,
        };
        list.push(Trained { training, attacked });
    }
    let summary = Summary::of(list);
    if seeds > 1 {
        let bytes = serde_json::to_vec_pretty(&json!(summary));
        let bytes = bytes.map_err(|e| Error::Internal(format!("a summary is no JSON: {e}")))?;
        atomic::write(&job.out.join("summary.json"), &bytes)?;
    }
    Ok(summary)
}

/// Attacks the network that a folder keeps.
fn withstands(
    out: &Path,
    data: &Dataset,
    evaluation: &Evaluation,
    job: &Job,
    interrupt: &Interrupt,
    observer: &mut dyn Observer,
) -> Result<AttackResultFile> {
    let name = out.join("arch.json").display().to_string();
    let read = |path: &Path| std::fs::read(path).at(path);
    let model = Model::load_for(&name, data.image, data.classes.len(), &read)?;
    let (arch, cost) = (id_of(&model.net)?, cost(&model.net));
    let (network, _) = model.with_weights(None, "--weights")?;
    let weights = weights::id_of(&network)?;
    let about = Attacked { net: name, arch, weights, params: cost.params, macs: cost.macs };
    let images = data.test.len();
    let count = if evaluation.n == 0 { images } else { evaluation.n.min(images) };
    let job = attack::Job {
        data,
        ids: (0..count as u32).collect(),
        plan: evaluation.plan.clone().for_classes(network.net().classes())?,
        subject: Subject { network, about },
        source: None,
        // Of the attack alone: networks of several seeds meet the same.
        seed: 0,
        batch: job.config.recipe.batch,
        out: Some(out.join("attack")),
        save_adversarial: false,
    };
    attack::run(job, interrupt, observer)
}
