//! What `robustnas attack --adversarial` found, as a document and as a table.

use std::fmt::Write;

use serde::{Deserialize, Serialize};

use super::attacked::Attacked;
use crate::record::Sample;
use crate::threat::{Check, Norm};
use crate::units::{Fraction, Tally};

/// The version of the document.
pub const SCHEMA_VERSION: u32 = 1;

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
