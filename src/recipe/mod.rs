//! How a network is trained, as values.

mod method;
mod optimiser;
mod preset;

use serde::{Deserialize, Serialize};

pub use method::Method;
pub use optimiser::{Adam, Sgd};
pub use preset::{PRESETS, Preset};

/// Training candidates from scratch.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retrain {
    /// Passes over the training images (weights and architecture halves together).
    pub epochs: u32,
    /// Images a step.
    pub batch: usize,
    /// The method.
    pub method: Method,
    /// The optimiser.
    pub sgd: Sgd,
}
