//! How far two answers are apart.

use crate::engine::Logits;

/// Kullback-Leibler divergence of answers, with its gradients.
#[derive(Clone, Debug)]
pub struct Divergence {
    /// `KL(p || q)`; the mean over rows.
    pub value: f64,
    /// In the logits of `p`, `[n, classes]`.
    pub in_p: Vec<f64>,
    /// In the logits of `q`, `[n, classes]`.
    pub in_q: Vec<f64>,
}

/// `KL(softmax(p) || softmax(q))` of one row each.
pub fn divergence_of(p: &[f64], q: &[f64]) -> Divergence {
    let (log_p, log_q) = (log_softmax(p), log_softmax(q));
    let value: f64 = log_p.iter().zip(&log_q).map(|(p, q)| p.exp() * (p - q)).sum();
    let in_p = log_p.iter().zip(&log_q).map(|(p, q)| p.exp() * (p - q - value)).collect();
    let in_q = log_p.iter().zip(&log_q).map(|(p, q)| q.exp() - p.exp()).collect();
    Divergence { value, in_p, in_q }
}

/// `KL(softmax(p) || softmax(q))`, the mean over rows.
pub fn divergence(p: &Logits, q: &Logits) -> Divergence {
    let share = 1.0 / p.rows().len() as f64;
    let mut found = Divergence { value: 0.0, in_p: Vec::new(), in_q: Vec::new() };
    for (p, q) in p.rows().zip(q.rows()) {
        let row = divergence_of(p, q);
        found.value += row.value * share;
        found.in_p.extend(row.in_p.into_iter().map(|d| d * share));
        found.in_q.extend(row.in_q.into_iter().map(|d| d * share));
    }
    found
}

fn log_softmax(row: &[f64]) -> Vec<f64> {
    let top = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let log_sum = row.iter().map(|z| (z - top).exp()).sum::<f64>().ln();
    row.iter().map(|z| z - top - log_sum).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_logits_stay_finite() {
        let [p, q] = [vec![1e4, -1e4], vec![-1e4, 1e4]].map(|values| Logits { values, classes: 2 });
        assert_eq!(divergence(&p, &q).value, 2e4);
    }
}
