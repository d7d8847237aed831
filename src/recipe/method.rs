//! Training methods: what a network is shown in a step, and what it is to learn from it.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::threat::AttackNorm;
use crate::units::Fraction;

/// Adversarial training methods.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "snake_case", deny_unknown_fields)]
pub enum Method {
    /// Clean training.
    Standard,
    /// PGD adversarial training (Madry et al. 2018).
    PgdAt {
        /// Radius.
        eps: Fraction,
        /// Step.
        step: Fraction,
        /// Steps.
        steps: u32,
        /// Batch-norm while attacking.
        attack_norm: AttackNorm,
    },
    /// One step from strong noise, no clipping to the ball (de Jorge et al. 2022).
    NFgsm {
        /// Radius; also the step.
        eps: Fraction,
        /// Noise amplitude in units of eps; the paper's is 2.
        noise: Fraction,
    },
    /// Cross-entropy on clean images plus `beta` times the divergence of the answers under attack from the clean ones;
    /// the attack maximises the divergence, on running statistics (Zhang et al. 2019).
    Trades {
        /// Radius.
        eps: Fraction,
        /// Step.
        step: Fraction,
        /// Steps.
        steps: u32,
        /// Weight of the divergence; the paper's is 6.
        beta: f64,
    },
}

impl Method {
    /// What a training step costs, in forward passes of its batch; a backward pass counts as two.
    pub fn passes(&self) -> f64 {
        match *self {
            Method::Standard => 3.0,
            Method::PgdAt { steps, .. } => 3.0 + 2.0 * f64::from(steps),
            Method::NFgsm { .. } => 5.0,
            // The attack's target, the attack, and the loss: a forward pass and two training passes.
            Method::Trades { steps, .. } => 8.0 + 2.0 * f64::from(steps),
        }
    }
}

/// The method with its constants, as records tell it.
impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Method::Standard => write!(f, "standard"),
            Method::PgdAt { eps, step, steps, attack_norm } => {
                let statistics = match attack_norm {
                    AttackNorm::Eval => "eval",
                    AttackNorm::Batch => "batch",
                };
                write!(f, "pgd-at linf {eps} step {step} x{steps} ({statistics} statistics)")
            }
            Method::NFgsm { eps, noise } => write!(f, "n-fgsm linf {eps} noise {noise} eps"),
            Method::Trades { eps, step, steps, beta } => {
                write!(f, "trades linf {eps} step {step} x{steps} beta {beta}")
            }
        }
    }
}
