//! What `robustnas attack --adversarial` found, as a document and as a table.

use std::fmt::Write;

use serde::{Deserialize, Serialize};

use super::attacked::Attacked;
use super::document::SCHEMA_VERSION;
use crate::record::Sample;
use crate::threat::{Check, Found, Norm, Threat};
use crate::units::{Fraction, Tally};

/// A network on images that were attacked earlier.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct StoredResult {
    /// Version of this document.
    pub schema_version: u32,
    /// The program's version.
    pub version: String,
    /// What was measured.
    pub network: Attacked,
    /// The images, as they are in the data.
    pub sample: Sample,
    /// The file or folder of the changed images.
    pub adversarial: String,
    /// Norm of the ball that they are to be in.
    pub norm: Norm,
    /// Its radius.
    pub eps: Fraction,
    /// Stored images.
    pub n: u64,
    /// Of these, right on the clean image.
    pub clean_correct: u64,
    /// Of these, right on the stored image.
    pub robust: u64,
    /// Their share of all.
    pub robust_accuracy: f64,
    /// Its Wilson interval at 95 %.
    pub interval: [f64; 2],
    /// Stored images outside the ball or `[0, 1]`.
    pub outside: u64,
    /// Doubts; a result with any is not to be ranked.
    pub checks: Vec<Check>,
    /// The images' numbers in the data set, in the order of the flags.
    pub ids: Vec<u32>,
    /// A digit an image: 1 right on the clean image.
    pub clean_flags: String,
    /// A digit an image: 1 right on the clean image and on the stored one.
    pub robust_flags: String,
}

impl StoredResult {
    /// What became of stored images under no further attack.
    pub fn new(
        network: Attacked,
        sample: Sample,
        adversarial: String,
        threat: Threat,
        ids: Vec<u32>,
        found: &Found,
    ) -> Self {
        let robust = found.robust();
        let (low, high) = robust.wilson95();
        StoredResult {
            schema_version: SCHEMA_VERSION,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            network,
            sample,
            adversarial,
            norm: threat.norm,
            eps: threat.eps,
            n: robust.total,
            clean_correct: found.clean().hit,
            robust: robust.hit,
            robust_accuracy: robust.rate(),
            interval: [low, high],
            outside: found.outside,
            checks: (found.outside > 0).then_some(Check::OutOfBounds).into_iter().collect(),
            ids,
            clean_flags: found.clean_flags(),
            robust_flags: found.robust_flags(),
        }
    }
}

/// The result for a terminal. Ends with a newline.
pub fn table(result: &StoredResult) -> String {
    let mut text = String::new();
    let StoredResult { n, sample, norm, eps, outside, .. } = result;
    let rate = |hit: u64| Tally { hit, total: *n };
    let _ = writeln!(
        text,
        "{} on {} of {} {} (content {}), n = {n}",
        result.network.net, result.adversarial, sample.data, sample.split, sample.data_id
    );
    let [low, high] = result.interval;
    let _ = writeln!(text, "{:<16}{:>9}{:>9}", "clean", result.clean_correct, rate(result.clean_correct));
    let _ = writeln!(
        text,
        "{:<16}{:>9}{:>9}  95 % interval {:.2}..{:.2}",
        "robust",
        result.robust,
        rate(result.robust),
        100.0 * low,
        100.0 * high
    );
    let _ = writeln!(text, "{:<16}{outside:>9}           {norm} {eps}", "outside");
    for check in &result.checks {
        let _ = writeln!(text, "check raised: {check}; see docs/attacks.md");
    }
    text
}
