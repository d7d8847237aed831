//! Optimisers, with their schedules.

use serde::{Deserialize, Serialize};

/// Stochastic gradient descent with momentum and a cosine schedule.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sgd {
    /// Initial learning rate.
    pub lr: f64,
    /// Final learning rate of the cosine.
    pub lr_min: f64,
    /// Momentum.
    pub momentum: f64,
    /// L2 decay, added to the gradient.
    pub weight_decay: f64,
    /// Largest global gradient norm.
    pub clip: f64,
}

/// Adam with L2 decay added to the gradient.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Adam {
    /// Learning rate.
    pub lr: f64,
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// L2 decay.
    pub weight_decay: f64,
}
