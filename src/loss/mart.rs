//! The terms of MART (Wang et al. 2020, equations 6 and 8) for one image each, with the published code's small
//! constants, which keep logarithms from zero.

use super::divergence::divergence_of;
use super::rival;

/// `-ln p[y] - ln(1.0001 - max_k p[k] + 1e-12, k != y)` of one row of logits, and its gradient.
pub fn boosted_of(row: &[f64], label: usize) -> (f64, Vec<f64>) {
    let p = softmax(row);
    let rival = rival(row, label);
    let left = 1.0001 - p[rival] + 1e-12;
    let top = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = row.iter().map(|z| (z - top).exp()).sum();
    let value = sum.ln() + top - row[label] - left.ln();
    let gradient = (0..row.len()).map(|k| p[k] - is(k, label) + p[rival] * (is(k, rival) - p[k]) / left);
    (value, gradient.collect())
}

/// `KL(p_clean || p_attacked) (1.0000001 - p_clean[y])` of one row each, and its gradients in the clean and the
/// attacked logits.
pub fn weighted_divergence_of(clean: &[f64], attacked: &[f64], label: usize) -> (f64, Vec<f64>, Vec<f64>) {
    let p = softmax(clean);
    let weight = 1.000_000_1 - p[label];
    let apart = divergence_of(clean, attacked);
    let rise = |k: usize| p[label] * (is(k, label) - p[k]);
    let in_clean = apart.in_p.iter().enumerate().map(|(k, d)| weight * d - apart.value * rise(k)).collect();
    (apart.value * weight, in_clean, apart.in_q.iter().map(|d| weight * d).collect())
}

fn is(k: usize, class: usize) -> f64 {
    f64::from(u8::from(k == class))
}

fn softmax(row: &[f64]) -> Vec<f64> {
    let top = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let parts: Vec<f64> = row.iter().map(|z| (z - top).exp()).collect();
    let sum: f64 = parts.iter().sum();
    parts.into_iter().map(|part| part / sum).collect()
}
