//! What stands around a step: the weights moved for its gradient, and their average.

use serde::{Deserialize, Serialize};

/// Adversarial weight perturbation (Wu et al. 2020): the step's gradient is taken where the weights of every
/// convolution and linear layer are moved along the objective's own gradient by `gamma` of their length. The published
/// proxy's learning rate is left out: only the direction of its step is used.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Awp {
    /// Length of the perturbation over that of the weights, layer by layer: 0.01 with PGD-AT, 0.005 with TRADES.
    pub gamma: f64,
    /// Epochs without it: 0 with PGD-AT, 10 with TRADES.
    pub from: u32,
}

/// An average of the weights, which is what is measured and kept.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Average {
    /// Exponential: `a = d a + (1 - d) w` behind every step.
    Ema {
        /// The most that is kept.
        decay: f64,
        /// Whether update `t = 0, 1, ..` keeps `min(decay, (1 + t) / (10 + t))` (Gowal et al. 2020), else `decay`.
        warmup: bool,
        /// The epoch from which on it averages; before, it is the network itself.
        from: u32,
        /// Its running statistics.
        statistics: AveragedStatistics,
    },
    /// The mean of all weights behind the steps from an epoch on (Izmailov et al. 2018, a step for their cycle).
    Swa {
        /// That epoch.
        from: u32,
        /// Its running statistics.
        statistics: AveragedStatistics,
    },
}

/// The running statistics of an average.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AveragedStatistics {
    /// Averaged like the weights.
    Average,
    /// Those of the network in training.
    Copy,
}

impl Average {
    /// The epoch from which on it averages.
    pub fn from(&self) -> u32 {
        match self {
            Average::Ema { from, .. } | Average::Swa { from, .. } => *from,
        }
    }

    /// Its running statistics.
    pub fn statistics(&self) -> AveragedStatistics {
        match self {
            Average::Ema { statistics, .. } | Average::Swa { statistics, .. } => *statistics,
        }
    }

    /// What update `t = 0, 1, ..` keeps of the average.
    pub fn kept(&self, t: u64) -> f64 {
        let t = t as f64;
        match self {
            Average::Ema { decay, warmup: true, .. } => decay.min((1.0 + t) / (10.0 + t)),
            Average::Ema { decay, warmup: false, .. } => *decay,
            Average::Swa { .. } => t / (t + 1.0),
        }
    }

    pub(super) fn fault(&self) -> Option<(&'static str, String)> {
        match self {
            Average::Ema { decay, .. } if !(0.0..1.0).contains(decay) => {
                Some(("decay", format!("must be at least 0 and below 1, got {decay}")))
            }
            Average::Ema { .. } | Average::Swa { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The warm-up reaches 0.995 at update 1790 and 0.999 at 8990.
    #[test]
    fn warm_up_ends_where_it_should() {
        let statistics = AveragedStatistics::Copy;
        for (decay, end) in [(0.995, 1790), (0.999, 8990)] {
            let ema = Average::Ema { decay, warmup: true, from: 0, statistics };
            assert_eq!(ema.kept(0), 0.1);
            assert!(ema.kept(end - 1) < decay && (ema.kept(end) - decay).abs() < 1e-12, "{}", ema.kept(end));
            assert_eq!(ema.kept(10 * end), decay);
        }
    }
}
