//! Learning rates as values of the epoch.

/// From `lr` to `lr_min` along half a cosine, constant within an epoch: `lr_min + (lr - lr_min)(1 + cos(pi e / E)) / 2`.
pub fn cosine(lr: f64, lr_min: f64, epoch: u32, epochs: u32) -> f64 {
    let at = f64::from(epoch) / f64::from(epochs.max(1));
    lr_min + (lr - lr_min) * (1.0 + (std::f64::consts::PI * at).cos()) / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cosine_runs_from_start_to_near_the_end() {
        assert_eq!(cosine(0.1, 0.001, 0, 50), 0.1);
        assert!((cosine(0.1, 0.001, 25, 50) - 0.0505).abs() < 1e-12);
        assert!((cosine(0.1, 0.001, 50, 50) - 0.001).abs() < 1e-12);
    }
}
