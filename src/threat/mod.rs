//! Threat models and attacks as values. A robust accuracy has no meaning without one.

mod attack;
mod check;
mod found;
pub mod plan;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

pub use attack::{
    Apgd, Attack, AttackKind, Fab, FrankWolfe, MOST, MiFgsm, Occlusion, Pgd, RFgsm, SaltPepper, Spsa, Square,
};
pub use check::Check;
pub use found::Found;
pub use plan::{AttackPlan, Threat};

/// The norm of a perturbation of pixels in `[0, 1]`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Norm {
    /// Largest absolute change of a scalar.
    #[default]
    Linf,
    /// Euclidean length of the change.
    L2,
    /// Sum of absolute changes.
    L1,
}

impl Norm {
    /// All three.
    pub const ALL: [Norm; 3] = [Norm::Linf, Norm::L2, Norm::L1];

    /// `linf`, `l2`, `l1`.
    pub fn word(self) -> &'static str {
        match self {
            Norm::Linf => "linf",
            Norm::L2 => "l2",
            Norm::L1 => "l1",
        }
    }
}

impl fmt::Display for Norm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

impl FromStr for Norm {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = Norm::ALL.into_iter().find(|n| text.eq_ignore_ascii_case(n.word()));
        known.ok_or_else(|| format!("`{text}` is not a norm; known: linf, l2, l1"))
    }
}

/// The loss that an attack maximises.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Loss {
    /// Cross-entropy.
    #[default]
    Ce,
    /// The margin of Carlini and Wagner 2017: largest other logit minus the label's.
    Cw,
    /// Difference of logits ratio (Croce and Hein 2020): the margin over the gap between first and third logit.
    Dlr,
    /// KL divergence of the predictions from the clean ones (the attack of TRADES).
    Kl,
}

impl Loss {
    /// `ce`, `cw`, `dlr`, `kl`.
    pub fn word(self) -> &'static str {
        match self {
            Loss::Ce => "ce",
            Loss::Cw => "cw",
            Loss::Dlr => "dlr",
            Loss::Kl => "kl",
        }
    }
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
