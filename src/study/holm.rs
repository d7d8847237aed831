//! Holm's correction for several questions.

/// The probabilities of several tests such that the chance of any false finding among them stays below the level that each is
/// compared with (Holm 1979); in the order given.
pub fn holm(p: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|a, b| p[*a].total_cmp(&p[*b]));
    let mut corrected = vec![0.0; p.len()];
    let mut largest = 0.0f64;
    for (smaller, i) in order.into_iter().enumerate() {
        largest = largest.max((p[i] * (p.len() - smaller) as f64).min(1.0));
        corrected[i] = largest;
    }
    corrected
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `statsmodels.stats.multitest.multipletests([.01, .04, .03], method="holm")[1]`
    #[test]
    fn as_statsmodels() {
        assert_eq!(holm(&[0.01, 0.04, 0.03]), [0.03, 0.06, 0.06]);
        assert_eq!(holm(&[0.6, 0.5]), [1.0, 1.0]);
        assert_eq!(holm(&[0.2]), [0.2]);
        assert!(holm(&[]).is_empty());
    }
}
