//! What the answers to a batch should be: a class an image, or shares of classes.

use super::cross_entropy::cross_entropy_of;
use crate::engine::{Logits, LossGradient};

/// The targets of a batch of `n` images.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Targets<'a> {
    /// Classes, `[n]`.
    Hard(&'a [u32]),
    /// Shares that sum to 1, `[n, classes]`: of mixed images.
    Soft(&'a [f64]),
}

impl Targets<'_> {
    /// Mean cross-entropy of `[n, classes]` logits with the targets, of which `smoothing` is given to all classes
    /// alike; and its gradient.
    pub fn cross_entropy(&self, logits: &Logits, smoothing: f64) -> LossGradient {
        let share = 1.0 / logits.rows().len() as f64;
        let mut found = LossGradient { value: 0.0, dlogits: Vec::with_capacity(logits.values.len()) };
        for (i, row) in logits.rows().enumerate() {
            let (value, gradient) = match self {
                Targets::Hard(labels) if smoothing == 0.0 => cross_entropy_of(row, labels[i] as usize),
                _ => cross_entropy_with(row, &self.row(i, row.len(), smoothing)),
            };
            found.value += value * share;
            found.dlogits.extend(gradient.into_iter().map(|d| d * share));
        }
        found
    }

    /// The shares of one image, smoothed.
    fn row(&self, i: usize, classes: usize, smoothing: f64) -> Vec<f64> {
        let share = |k: usize| match self {
            Targets::Hard(labels) => f64::from(u8::from(labels[i] as usize == k)),
            Targets::Soft(rows) => rows[i * classes + k],
        };
        (0..classes).map(|k| (1.0 - smoothing) * share(k) + smoothing / classes as f64).collect()
    }
}

/// Cross-entropy of one row of logits with shares that sum to 1, and its gradient.
fn cross_entropy_with(row: &[f64], shares: &[f64]) -> (f64, Vec<f64>) {
    let top = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = row.iter().map(|z| (z - top).exp()).sum();
    let log_sum = sum.ln() + top;
    // A class without a share has no part, however small its probability.
    let parts = row.iter().zip(shares).filter(|(_, share)| **share != 0.0);
    let value = parts.map(|(z, share)| share * (log_sum - z)).sum();
    (value, row.iter().zip(shares).map(|(z, share)| (z - top).exp() / sum - share).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loss::cross_entropy;

    const LOGITS: [f64; 6] = [2.0, 1.0, 0.0, -0.5, 0.3, 1.2];

    fn logits(values: &[f64]) -> Logits {
        Logits { values: values.to_vec(), classes: 3 }
    }

    /// A label is all shares in one class, and smoothing a mean with the even shares.
    #[test]
    fn shares_smoothing_and_labels_agree() {
        let z = logits(&LOGITS);
        let hard = Targets::Hard(&[0, 2]);
        let soft = Targets::Soft(&[1.0, 0.0, 0.0, 0.0, 0.0, 1.0]);
        let (a, b) = (hard.cross_entropy(&z, 0.0), soft.cross_entropy(&z, 0.0));
        assert_eq!(a.value, cross_entropy(&z, &[0, 2]).value);
        assert!((a.value - b.value).abs() < 1e-12);
        // -ln softmax of (2, 1, 0): 0.4076059, 1.4076059, 2.4076059.
        let one = Targets::Hard(&[0]).cross_entropy(&logits(&LOGITS[..3]), 0.3).value;
        assert!((one - (0.8 * 0.407_605_96 + 0.1 * 1.407_605_96 + 0.1 * 2.407_605_96)).abs() < 1e-7, "{one}");
    }

    #[test]
    fn gradients_are_those_of_finite_differences() {
        let shares = [0.7, 0.3, 0.0, 0.1, 0.4, 0.5];
        for (targets, smoothing) in
            [(Targets::Soft(&shares), 0.0), (Targets::Soft(&shares), 0.1), (Targets::Hard(&[0, 2]), 0.2)]
        {
            let found = targets.cross_entropy(&logits(&LOGITS), smoothing);
            for k in 0..LOGITS.len() {
                let at = |h: f64| {
                    let mut moved = LOGITS;
                    moved[k] += h;
                    targets.cross_entropy(&logits(&moved), smoothing).value
                };
                let numeric = (at(1e-6) - at(-1e-6)) / 2e-6;
                assert!((numeric - found.dlogits[k]).abs() < 1e-8, "{targets:?} {k}");
            }
        }
    }

    #[test]
    fn a_class_without_a_share_may_be_impossible() {
        let z = Logits { values: vec![0.0, f64::NEG_INFINITY], classes: 2 };
        assert_eq!(Targets::Soft(&[1.0, 0.0]).cross_entropy(&z, 0.0).value, 0.0);
    }
}
