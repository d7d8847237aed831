//! Threat models and attacks as values. Every robustness number is meaningless without one of these beside it.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::units::Fraction;

/// What the adversary may do to a pixel vector in `[0, 1]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Norm {
    /// Largest absolute change of a pixel.
    Linf,
}

/// Which statistics batch-norm uses while an attack looks for its perturbation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AttackNorm {
    /// Running statistics, as the deployed network would.
    Eval,
    /// Statistics of the attacked batch; nothing is recorded.
    Batch,
}

/// Projected gradient ascent on the cross-entropy under an Linf bound (Madry et al. 2018).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Pgd {
    /// Radius of the ball.
    pub eps: Fraction,
    /// Length of a step.
    pub step: Fraction,
    /// Number of steps.
    pub steps: u32,
    /// Independent starts; the worst result counts.
    pub restarts: u32,
    /// Whether a start is uniform in the ball (else the clean image).
    pub random_start: bool,
    /// Whether iterates are clipped to `[0, 1]`.
    pub clip: bool,
}

/// One attack with all its constants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(tag = "attack", rename_all = "snake_case", deny_unknown_fields)]
pub enum Attack {
    /// One signed step of length eps from the clean image (Goodfellow et al. 2015).
    Fgsm {
        /// Radius and step.
        eps: Fraction,
    },
    /// Projected gradient ascent.
    Pgd(Pgd),
}

impl Attack {
    /// The radius.
    pub fn eps(&self) -> Fraction {
        match self {
            Attack::Fgsm { eps } => *eps,
            Attack::Pgd(pgd) => pgd.eps,
        }
    }

    /// The short name used in tables: `fgsm`, `pgd-20`.
    pub fn name(&self) -> String {
        match self {
            Attack::Fgsm { .. } => "fgsm".into(),
            Attack::Pgd(pgd) => format!("pgd-{}", pgd.steps),
        }
    }
}

impl fmt::Display for Attack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Attack::Fgsm { eps } => write!(f, "FGSM linf {eps}"),
            Attack::Pgd(p) => write!(
                f,
                "PGD-{} linf {} step {} x{}{}",
                p.steps,
                p.eps,
                p.step,
                p.restarts,
                if p.random_start { "" } else { " from clean" }
            ),
        }
    }
}
