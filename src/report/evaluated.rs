//! `eval.json`: the numbers of a run's network on the test images, and which images they count.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::document;
use crate::error::{Error, Result};
use crate::record::{Evaluation, Flags, Measurement};

/// The document.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Evaluated {
    /// The counts, as in the journal and in `ranked.json`.
    #[serde(flatten)]
    pub evaluation: Evaluation,
    /// Sample by sample; absent in documents of older versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flags: Option<Flags>,
}

impl Evaluated {
    /// The document of a measurement.
    pub fn new(measurement: &Measurement) -> Self {
        Evaluated { evaluation: measurement.evaluation(), flags: Some(measurement.flags()) }
    }

    /// Pretty JSON.
    ///
    /// # Errors
    /// [`Error::Internal`] where that cannot be.
    pub fn to_json(&self) -> Result<Vec<u8>> {
        document::to_json("an evaluation", self)
    }

    /// Reads `eval.json`; unknown keys are accepted.
    ///
    /// # Errors
    /// [`Error::Data`] for what is not such a document, and for flags that are not those of its counts.
    pub fn from_json(path: &Path, bytes: &[u8]) -> Result<Self> {
        let document: Evaluated = serde_json::from_slice(bytes).map_err(|why| Error::data(path, why.to_string()))?;
        if let Some(flags) = &document.flags {
            let changed = |why| Error::data(path, format!("{why}: the file was changed"));
            flags.check(&document.evaluation).map_err(changed)?;
        }
        Ok(document)
    }
}
