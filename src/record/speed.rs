//! How long a network takes.

use serde::{Deserialize, Serialize};

/// Measured time of a network on the machine that measured it. The one fact of a record that another run of the same
/// seed does not repeat.
///
/// Multiply-accumulates are no measure of it: a cell network of many small operations takes several times as long as a
/// residual network of the same count.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Speed {
    /// Milliseconds an image of a forward pass with running statistics.
    pub forward_ms: f64,
    /// Milliseconds an image of a training step by the recipe.
    pub training_ms: f64,
    /// Images a pass.
    pub batch: usize,
    /// Threads.
    pub threads: usize,
    /// Passes of each kind, after one that was not timed; the numbers are their medians.
    pub passes: usize,
}
