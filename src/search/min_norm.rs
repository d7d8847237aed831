//! The common descent direction of two objectives.
//!
//! Source: Désidéri 2012 (MGDA), closed form for two gradients as in Sener and Koltun 2018. Unlike the released search
//! code of DSARA's successor, which divides by zero when both gradients coincide, equal gradients give that gradient.

/// The point of smallest norm on the segment between two gradients, `gamma g1 + (1 - gamma) g2`, and its `gamma`.
///
/// Its negative does not increase either objective to first order: `g_i . d >= |d|^2` for both.
pub fn min_norm(g1: &[f64], g2: &[f64]) -> (f64, Vec<f64>) {
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f64>();
    let difference: Vec<f64> = g2.iter().zip(g1).map(|(b, a)| b - a).collect();
    let square = dot(&difference, &difference);
    let gamma = if square > 0.0 { (dot(&difference, g2) / square).clamp(0.0, 1.0) } else { 0.5 };
    let direction = g1.iter().zip(g2).map(|(a, b)| gamma * a + (1.0 - gamma) * b).collect();
    (gamma, direction)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_answers() {
        assert_eq!(min_norm(&[1.0, 0.0], &[0.0, 1.0]), (0.5, vec![0.5, 0.5]));
        assert_eq!(min_norm(&[1.0, 0.0], &[3.0, 1.0]), (1.0, vec![1.0, 0.0]));
        assert_eq!(min_norm(&[2.0, 0.0], &[1.0, 1.0]), (0.0, vec![1.0, 1.0]));
        assert_eq!(min_norm(&[1.0, 2.0], &[1.0, 2.0]).1, [1.0, 2.0]);
        // (a, b, c) = (g1.g1, g1.g2, g2.g2) -> (weight of g1, squared norm).
        for ((g1, g2), (weight, norm)) in [
            (([2.0, 0.0], [0.0, 1.0]), (0.2, 0.8)),
            (([1.0, 0.0], [-1.0, 3f64.sqrt()]), (0.714_285_7, 0.428_571_4)),
            (([2f64.sqrt(), 0.0], [0.0, 3f64.sqrt()]), (0.6, 1.2)),
        ] {
            let (gamma, d) = min_norm(&g1, &g2);
            assert!((gamma - weight).abs() < 1e-7 && (d[0] * d[0] + d[1] * d[1] - norm).abs() < 1e-7);
        }
    }

    proptest! {
        #[test]
        fn descends_on_both(g in prop::collection::vec((-5.0..5.0f64, -5.0..5.0f64), 1..12)) {
            let (g1, g2): (Vec<f64>, Vec<f64>) = g.into_iter().unzip();
            let (gamma, d) = min_norm(&g1, &g2);
            prop_assert!((0.0..=1.0).contains(&gamma));
            let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f64>();
            prop_assert!(dot(&g1, &d) >= dot(&d, &d) - 1e-9);
            prop_assert!(dot(&g2, &d) >= dot(&d, &d) - 1e-9);
        }
    }
}
