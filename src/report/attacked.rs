//! What `robustnas attack` found, as a document and as a table.

use std::fmt::Write;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::document::{self, SCHEMA_VERSION};
use crate::error::Result;
use crate::record::{Measurement, Sample};
use crate::threat::{Attack, AttackPlan, Check};
use crate::units::{Macs, Params, Tally};

/// The network under attack.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Attacked {
    /// As it was named on the command line.
    pub net: String,
    /// Content id of its layers.
    pub arch: String,
    /// The first 16 hexadecimal digits of the SHA-256 of its numbers, as 32-bit floats in the layout's order.
    pub weights: String,
    /// Trainable scalars.
    pub params: Params,
    /// Multiply-accumulates for one image.
    pub macs: Macs,
}

/// The network that a transfer's attacks were made on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Source {
    /// The network.
    #[serde(flatten)]
    pub network: Attacked,
    /// Samples that it gets right on the clean image.
    pub clean_correct: u64,
    /// Of these, right under every attack, which are made with its own gradients.
    pub robust: u64,
    /// The share of the worst case.
    pub robust_accuracy: f64,
    /// A digit a sample: 1 right on the clean image.
    pub clean_flags: String,
    /// A digit a sample: 1 right under every attack.
    pub robust_flags: String,
}

impl Source {
    /// What a measurement says of the network that attacks were made on.
    pub fn new(network: Attacked, measured: &Measurement) -> Self {
        let Measurement { found, .. } = measured;
        let robust = found.robust();
        Source {
            network,
            clean_correct: found.clean().hit,
            robust: robust.hit,
            robust_accuracy: robust.rate(),
            clean_flags: found.clean_flags(),
            robust_flags: found.robust_flags(),
        }
    }
}

/// What one attack of a plan did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct AttackReport {
    /// Its short name.
    pub name: String,
    /// The attack with all its constants.
    pub config: Attack,
    /// Samples that it was given.
    pub attacked: u64,
    /// Samples that it left right, of those it was given.
    pub stands: u64,
    /// Samples that are right after it and every attack before it.
    pub robust_after: u64,
    /// Wall time, over all parts of the run.
    pub seconds: f64,
    /// A digit a sample: 1 right after the attack, 0 wrong, `-` not given to it.
    pub flags: String,
}

/// The answer of an attack run, with everything that is needed to repeat it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct AttackResultFile {
    /// Version of this document.
    pub schema_version: u32,
    /// The program's version.
    pub version: String,
    /// What was attacked, or measured with the attacks on `source`.
    pub network: Attacked,
    /// The network that the attacks were made on, where it is not `network`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
    /// The images.
    pub sample: Sample,
    /// The plan, fit for the number of classes; its notes say what was changed.
    pub plan: AttackPlan,
    /// Seed of the attacks' random numbers.
    pub seed: u64,
    /// Samples.
    pub n: u64,
    /// Of these, right on the clean image.
    pub clean_correct: u64,
    /// Of these, right under every attack: the worst case.
    pub robust: u64,
    /// The share of the worst case.
    pub robust_accuracy: f64,
    /// Its Wilson interval at 95 %.
    pub interval: [f64; 2],
    /// Every attack in the plan's order.
    pub attacks: Vec<AttackReport>,
    /// Doubts; a result with any is not to be ranked.
    pub checks: Vec<Check>,
    /// The samples' numbers in the data set, in the order of the flags.
    pub ids: Vec<u32>,
    /// A digit a sample: 1 right on the clean image.
    pub clean_flags: String,
    /// A digit a sample: 1 right under every attack.
    pub robust_flags: String,
}

impl AttackResultFile {
    /// The answer of a measurement, whose attacks took so many seconds each.
    pub fn new(network: Attacked, source: Option<Source>, measured: &Measurement, seconds: &[f64]) -> Self {
        let Measurement { sample, ids, plan, seed, found, checks } = measured;
        let report = |(i, (attack, seconds)): (usize, (&Attack, &f64))| AttackReport {
            name: attack.name(),
            config: *attack,
            attacked: found.attacked(i),
            stands: found.under(i).hit,
            robust_after: found.robust_after(i).hit,
            seconds: *seconds,
            flags: found.attack_flags(i),
        };
        let robust = found.robust();
        let (low, high) = robust.wilson95();
        AttackResultFile {
            schema_version: SCHEMA_VERSION,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            network,
            source,
            sample: sample.clone(),
            plan: plan.clone(),
            seed: *seed,
            n: robust.total,
            clean_correct: found.clean().hit,
            robust: robust.hit,
            robust_accuracy: robust.rate(),
            interval: [low, high],
            attacks: plan.attacks.iter().zip(seconds).enumerate().map(report).collect(),
            checks: checks.clone(),
            ids: ids.clone(),
            clean_flags: found.clean_flags(),
            robust_flags: found.robust_flags(),
        }
    }

    /// Reads `result.json`; unknown keys are accepted.
    ///
    /// # Errors
    /// [`crate::error::Error::Data`] for what is not such a document or one of a newer schema.
    pub fn from_json(path: &Path, bytes: &[u8]) -> Result<Self> {
        document::from_json(path, bytes)
    }
}

/// The result for a terminal. Ends with a newline.
pub fn table(result: &AttackResultFile) -> String {
    let mut text = String::new();
    let (n, sample) = (result.n, &result.sample);
    let rate = |hit: u64| Tally { hit, total: n };
    let _ = writeln!(
        text,
        "{} on {} {} (content {}, indices {}), n = {n}, seed {}",
        result.network.net, sample.data, sample.split, sample.data_id, sample.index_id, result.seed
    );
    let _ = writeln!(text, "{:<16}{:>9}{:>9}{:>9}  constants", "images right", "number", "share", "time");
    let _ = writeln!(text, "{:<16}{:>9}{:>9}", "clean", result.clean_correct, rate(result.clean_correct));
    for a in &result.attacks {
        let time = format!("{:.1} s", a.seconds);
        let _ = writeln!(text, "{:<16}{:>9}{:>9}{time:>9}  {}", a.name, a.robust_after, rate(a.robust_after), a.config);
    }
    let [low, high] = result.interval;
    let _ = writeln!(
        text,
        "{:<16}{:>9}{:>9}           95 % interval {:.2}..{:.2}",
        "robust",
        result.robust,
        rate(result.robust),
        100.0 * low,
        100.0 * high
    );
    if let Some(source) = &result.source {
        let Source { network, clean_correct, robust, .. } = source;
        let _ = writeln!(
            text,
            "attacks made on {} (weights {}): itself {} clean, {} robust",
            network.net,
            network.weights,
            rate(*clean_correct),
            rate(*robust)
        );
    }
    for note in &result.plan.notes {
        let _ = writeln!(text, "note: {note}");
    }
    for check in &result.checks {
        let _ = writeln!(text, "check raised: {check}; see docs/attacks.md");
    }
    if result.checks.is_empty() {
        text.push_str("checks for masked gradients and senseless answers: none raised\n");
    }
    text
}
