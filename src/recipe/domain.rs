//! A second classifier that tells clean from attacked images, and what the network learns from it.

use serde::{Deserialize, Serialize};

use super::Time;

/// Invariance to the attack by a domain head (Levi, Attias and Kontorovich, DIAL): on the features that the network's last
/// layer reads stands a head of two classes, clean and attacked. The head descends the sum of its cross-entropies on
/// both batches, times `weight`; the network *ascends* it, [`Domain::reversal`] times as strong (gradient reversal).
/// The head is no part of the trained network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Domain {
    /// Weight of the head's cross-entropies: the paper's `r`.
    pub weight: f64,
    /// Features of each hidden layer, which is a linear layer, a batch-norm and a ReLU; none: one linear layer.
    pub hidden: Vec<usize>,
}

impl Domain {
    /// How strong the gradient that the network gets from the head is: `2 / (1 + exp(-10 p)) - 1`, where `p` is the
    /// share of the training that is over. The published code divides the step of the epoch by the number of images,
    /// so that its `p` moves with epochs; here it moves with steps.
    pub fn reversal(time: Time) -> f64 {
        let p = (f64::from(time.epoch) + time.step as f64 / time.steps.max(1) as f64) / f64::from(time.epochs.max(1));
        2.0 / (1.0 + (-10.0 * p).exp()) - 1.0
    }

    pub(super) fn fault(&self) -> Option<(&'static str, String)> {
        if !(self.weight > 0.0 && self.weight.is_finite()) {
            return Some(("weight", format!("must be above 0, got {}", self.weight)));
        }
        let empty = || ("hidden", "must be numbers of features, each at least 1; [] is one linear layer".to_owned());
        self.hidden.contains(&0).then(empty)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The published ramp.
    #[test]
    fn the_reversal_grows() {
        for (epoch, want) in [(0, 0.0), (10, 0.4621), (25, 0.8483), (50, 0.9866), (75, 0.9989), (100, 0.9999)] {
            let found = Domain::reversal(Time { epoch, step: 0, steps: 7, epochs: 100 });
            assert!((found - want).abs() < 5e-5, "{epoch}: {found}");
        }
        let within = Domain::reversal(Time { epoch: 9, step: 5, steps: 5, epochs: 100 });
        assert!((within - 0.4621).abs() < 5e-5, "{within}");
    }
}
