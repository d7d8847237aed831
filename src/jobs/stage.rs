//! What a stage saves between two steps, and how it finds it again.

use std::time::{Duration, Instant};

use candle_core::{Device, Tensor};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::Progress;
use crate::error::{Error, Result};
use crate::record::Origin;
use crate::store::checkpoint::{Checkpoints, Snapshot};
use crate::units::Macs;

/// Which stage a checkpoint belongs to.
#[derive(Clone, Debug, PartialEq)]
pub enum Stage {
    /// The supernet's search.
    Search,
    /// A candidate's training.
    Train {
        /// Its id.
        arch: String,
        /// Its budget.
        budget: Macs,
        /// Its origin.
        origin: Origin,
    },
}

impl Stage {
    fn to_json(&self) -> Value {
        match self {
            Stage::Search => json!({"stage": "search"}),
            Stage::Train { arch, budget, origin } => {
                json!({"stage": "train", "arch": arch, "budget": budget, "origin": origin})
            }
        }
    }
}

/// Saves a stage's state now and then.
pub struct Saver {
    checkpoints: Checkpoints,
    every: Duration,
    last: Instant,
}

impl Saver {
    /// Saves into a run's checkpoints.
    pub fn new(checkpoints: Checkpoints, every: Duration) -> Self {
        Saver { checkpoints, every, last: Instant::now() }
    }

    /// Whether the last checkpoint is old enough for another.
    pub fn is_due(&self) -> bool {
        self.last.elapsed() >= self.every
    }

    /// Saves a stage's state: small values into the map, vectors by name.
    pub fn save(
        &mut self,
        stage: &Stage,
        snapshot: impl FnOnce(&mut Map<String, Value>) -> Vec<(&'static str, Tensor)>,
    ) -> Result<()> {
        let mut meta = Map::new();
        let tensors = snapshot(&mut meta)
            .into_iter()
            .map(|(name, tensor)| Ok((name.to_owned(), tensor.dims().to_vec(), tensor.flatten_all()?.to_vec1()?)))
            .collect::<Result<Vec<_>>>()?;
        meta.insert("of".into(), stage.to_json());
        self.checkpoints.save(&Snapshot { meta: Value::Object(meta), tensors })?;
        self.last = Instant::now();
        Ok(())
    }

    /// The last state saved by this very stage, if the newest checkpoint is one; a damaged newer one is reported.
    pub fn load(&mut self, stage: &Stage, progress: &mut dyn Progress) -> Result<Option<(Value, Vec<Tensor>)>> {
        let Some(loaded) = self.checkpoints.load()? else { return Ok(None) };
        if let Some(warning) = &loaded.warning {
            progress.note(&format!("warning: {warning}"));
        }
        let Snapshot { meta, tensors } = loaded.snapshot;
        if meta["of"] != stage.to_json() {
            return Ok(None);
        }
        let tensors = tensors
            .into_iter()
            .map(|(_, shape, values)| Ok(Tensor::from_vec(values, shape, &Device::Cpu)?))
            .collect::<Result<Vec<_>>>()?;
        Ok(Some((meta, tensors)))
    }

    /// Removes the checkpoints of a finished run.
    pub fn clear(&mut self) -> Result<()> {
        self.checkpoints.clear()
    }
}

/// A value out of a checkpoint's small part.
pub fn read<T: DeserializeOwned>(meta: &Value, key: &str) -> Result<T> {
    serde_json::from_value(meta[key].clone()).map_err(|e| foreign(&format!("`{key}`: {e}")))
}

/// A checkpoint whose checksum is right and whose content is not.
pub fn foreign(what: &str) -> Error {
    Error::run(
        "checkpoint",
        format!("not a checkpoint of this stage ({what}); remove the folder to begin the stage anew"),
    )
}

/// JSON that could not be written; a bug, but one that loses nothing.
pub fn unwritable(e: serde_json::Error) -> Error {
    Error::run("journal", format!("cannot be written as JSON: {e}"))
}
