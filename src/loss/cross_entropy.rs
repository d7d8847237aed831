//! Cross-entropy, whose label may be any class.

use crate::engine::{Logits, LossGradient};

/// Cross-entropy of one row of logits with its label, and its gradient.
pub fn cross_entropy_of(row: &[f64], label: usize) -> (f64, Vec<f64>) {
    let top = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = row.iter().map(|z| (z - top).exp()).sum();
    let gradient = row.iter().enumerate().map(|(k, z)| (z - top).exp() / sum - f64::from(u8::from(k == label)));
    (sum.ln() + top - row[label], gradient.collect())
}

/// Mean cross-entropy of `[n, classes]` logits with the labels.
pub fn cross_entropy(logits: &Logits, labels: &[u32]) -> LossGradient {
    let share = 1.0 / labels.len() as f64;
    let mut found = LossGradient { value: 0.0, dlogits: Vec::with_capacity(logits.values.len()) };
    for (row, label) in logits.rows().zip(labels) {
        let (value, gradient) = cross_entropy_of(row, *label as usize);
        found.value += value * share;
        found.dlogits.extend(gradient.into_iter().map(|d| d * share));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    /// torch 2.15: `F.cross_entropy(torch.tensor([[1.,2.,3.],[0.,0.,5.]], dtype=torch.float64), torch.tensor([0, 2]))`
    /// gives 1.2105; its gradient's first row is `(softmax - onehot) / 2`.
    #[test]
    fn value_and_gradient() {
        let logits = Logits { values: vec![1.0, 2.0, 3.0, 0.0, 0.0, 5.0], classes: 3 };
        let LossGradient { value, dlogits } = cross_entropy(&logits, &[0, 2]);
        assert!((value - 1.210_5).abs() < 1e-4, "{value}");
        assert!((dlogits[0] - (0.090_030_57 - 1.0) / 2.0).abs() < 1e-8);
        assert!(dlogits.iter().sum::<f64>().abs() < 1e-12);
    }

    #[test]
    fn large_logits_stay_finite() {
        let logits = Logits { values: vec![1e4, -1e4], classes: 2 };
        assert_eq!(cross_entropy(&logits, &[1]).value, 2e4);
    }
}
