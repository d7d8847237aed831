//! The file of a population: a design space, limits on the cost of its networks, and the protocol of training and
//! measuring.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::check::Check;
use super::doc::Doc;
use super::evaluate::RawEvaluate;
use super::parse::RawBudget;
use super::retrain::{self, RawRetrain};
use super::{Evaluate, Split};
use crate::arch::design_space::{DesignSpace, Limits};
use crate::error::Result;
use crate::recipe::Recipe;

/// A resolved file.
#[derive(Clone, Debug, PartialEq)]
pub struct Population {
    /// A word for the space; names it in tables and pictures.
    pub name: String,
    /// Default data source, overridden by `--data`.
    pub data: String,
    /// `[space.FAMILY]`.
    pub space: DesignSpace,
    /// `[limits]`.
    pub limits: Limits,
    /// The protocol of every network; the same for spaces that are compared.
    pub protocol: Protocol,
}

/// How networks are trained and measured.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Protocol {
    /// `[images]`.
    pub images: Images,
    /// `[retrain]`.
    #[serde(serialize_with = "retrain::serialize")]
    pub retrain: Recipe,
    /// `[evaluate]`.
    pub evaluate: Evaluate,
}

/// The training images that are used, and how.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Images {
    /// Training images used at all; 0 means every one.
    pub train: usize,
    /// Of these, held out to measure errors.
    pub validation: usize,
    /// Zero padding before a random crop back to size; 0 turns cropping off.
    pub crop_pad: usize,
    /// Whether images are mirrored at random.
    pub flip: bool,
}

/// The file as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPopulation {
    name: String,
    data: String,
    space: DesignSpace,
    #[serde(default)]
    limits: RawLimits,
    images: Images,
    retrain: RawRetrain,
    evaluate: RawEvaluate,
}

/// `[limits]`: counts written `"20M"` or in full, the smaller one first.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawLimits {
    macs: Option<[RawBudget; 2]>,
    params: Option<[RawBudget; 2]>,
    acts: Option<[RawBudget; 2]>,
}

impl Images {
    /// The division of a data set, with nothing kept for an architecture search.
    pub fn split(&self) -> Split {
        let Images { train, validation, crop_pad, flip } = *self;
        Split { train, validation, weights_share: 1.0, test: 0, crop_pad, flip }
    }
}

impl Population {
    /// Reads a file; `read` gives the text of a plan of attacks that it names.
    ///
    /// # Errors
    /// [`Error::Config`](crate::error::Error::Config) with the line of the offending key.
    pub fn resolve(text: &str, path: &Path, read: &dyn Fn(&Path) -> Result<String>) -> Result<Population> {
        let mut doc = Doc::parse(text, path, &[])?;
        retrain::by_name(&mut doc, "retrain");
        let base = retrain::base(&doc, "retrain")?;
        let doc = doc.over("retrain", base.as_deref())?;
        let RawPopulation { name, data, space, limits, images, retrain, evaluate } = doc.read()?;
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if name.is_empty() || !name.chars().all(plain) {
            return Err(
                doc.fail("name", format!("`name` is a word of letters, digits, `-`, `_` and `.`, got `{name}`"))
            );
        }
        space.check().map_err(|(key, why)| doc.fail(&format!("space.{}.{key}", space.word()), why))?;
        let range = |key: &str, range: Option<[RawBudget; 2]>| match range.map(|r| r.map(|count| count.0.0)) {
            Some([low, high]) if low > high => {
                let key = format!("limits.{key}");
                Err(doc.fail(&key, format!("`{key}` goes from {low} down to {high}; write the smaller one first")))
            }
            range => Ok(range),
        };
        let limits = Limits {
            macs: range("macs", limits.macs)?,
            params: range("params", limits.params)?,
            acts: range("acts", limits.acts)?,
        };
        let check = Check { doc: &doc };
        if images.validation == 0 || (images.train > 0 && images.validation >= images.train) {
            let Images { train, validation, .. } = images;
            let why =
                format!("{validation} of {train} images are held out; expected at least 1, and some left to train on");
            return Err(doc.fail("images.validation", why));
        }
        let retrain = retrain.resolve(&doc, "retrain")?;
        let evaluate = evaluate.resolve(&doc, read)?;
        check.evaluate(&evaluate)?;
        Ok(Population { name, data, space, limits, protocol: Protocol { images, retrain, evaluate } })
    }
}
