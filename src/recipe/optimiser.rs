//! Optimisers: how a gradient moves weights.

use serde::{Deserialize, Serialize};

/// The optimiser of a network's weights.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Optimiser {
    /// Stochastic gradient descent with momentum.
    Sgd(Momentum),
    /// Adam with decoupled decay (Loshchilov and Hutter 2019).
    Adamw(AdamW),
}

/// Stochastic gradient descent with momentum; dampening 0.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Momentum {
    /// Momentum.
    pub momentum: f64,
    /// Whether a step looks ahead, as PyTorch's `nesterov`.
    #[serde(default)]
    pub nesterov: bool,
    /// L2 decay, added to the gradient.
    pub weight_decay: f64,
    /// Which weights decay.
    #[serde(default)]
    pub decayed: Decayed,
}

/// Adam with decoupled decay.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdamW {
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Keeps the denominator from zero.
    pub epsilon: f64,
    /// Decay: a step takes `lr weight_decay` of a weight.
    pub weight_decay: f64,
    /// Which weights decay.
    #[serde(default)]
    pub decayed: Decayed,
}

/// Which weights decay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Decayed {
    /// All.
    #[default]
    All,
    /// Those of convolutions and linear layers; not biases, normalisations, tokens, positions and scales.
    Kernels,
}

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

impl Optimiser {
    /// Which weights decay.
    pub fn decayed(&self) -> Decayed {
        match self {
            Optimiser::Sgd(Momentum { decayed, .. }) | Optimiser::Adamw(AdamW { decayed, .. }) => *decayed,
        }
    }

    /// Vectors as long as the weights that it keeps.
    pub(super) fn vectors(&self) -> usize {
        match self {
            Optimiser::Sgd(_) => 1,
            Optimiser::Adamw(_) => 2,
        }
    }

    pub(super) fn fault(&self) -> Option<(&'static str, String)> {
        let kept = |key, value: f64| {
            (!(0.0..1.0).contains(&value)).then(|| (key, format!("must be at least 0 and below 1, got {value}")))
        };
        let decay = |value: f64| {
            let why = || ("weight_decay", format!("must be at least 0, got {value}"));
            (!(value >= 0.0 && value.is_finite())).then(why)
        };
        match *self {
            Optimiser::Sgd(Momentum { momentum, nesterov, weight_decay, .. }) => {
                let ahead = nesterov && momentum == 0.0;
                let why = || ("nesterov", "looks ahead along the momentum, which is 0".to_owned());
                kept("momentum", momentum).or_else(|| decay(weight_decay)).or_else(|| ahead.then(why))
            }
            Optimiser::Adamw(AdamW { beta1, beta2, epsilon, weight_decay, .. }) => {
                let tiny = || ("epsilon", format!("must be above 0, got {epsilon}"));
                let unfit = !(epsilon > 0.0 && epsilon.is_finite());
                kept("beta1", beta1)
                    .or_else(|| kept("beta2", beta2))
                    .or_else(|| unfit.then(tiny))
                    .or_else(|| decay(weight_decay))
            }
        }
    }
}
