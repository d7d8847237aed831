//! The loss of TRADES (Zhang et al. 2019, equation 5).

use super::cross_entropy::cross_entropy;
use super::divergence::{Divergence, divergence};
use crate::engine::{Logits, LossGradient};

/// What TRADES minimises, `CE(clean) + beta KL(clean || attacked)`, with its gradient in the clean logits.
pub fn trades(clean: &Logits, attacked: &Logits, labels: &[u32], beta: f64) -> LossGradient {
    let LossGradient { value, mut dlogits } = cross_entropy(clean, labels);
    let Divergence { value: apart, in_p, .. } = divergence(clean, attacked);
    for (d, p) in dlogits.iter_mut().zip(in_p) {
        *d += beta * p;
    }
    LossGradient { value: value + beta * apart, dlogits }
}

/// The same loss's gradient in the attacked logits; its value is the divergence's part.
pub fn trades_attacked(clean: &Logits, attacked: &Logits, beta: f64) -> LossGradient {
    let Divergence { value, in_q, .. } = divergence(clean, attacked);
    LossGradient { value: beta * value, dlogits: in_q.into_iter().map(|q| beta * q).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLEAN: [f64; 6] = [2.0, 1.0, 0.0, -0.5, 0.3, 1.2];
    const ATTACKED: [f64; 6] = [1.0, 2.0, 0.0, 0.4, 0.9, -0.2];
    const LABELS: [u32; 2] = [0, 2];
    const BETA: f64 = 6.0;

    fn logits(values: [f64; 6]) -> Logits {
        Logits { values: values.to_vec(), classes: 3 }
    }

    /// torch 2.15:
    ///
    /// ```python
    /// z = torch.tensor([[2., 1., 0.], [-.5, .3, 1.2]], dtype=torch.float64, requires_grad=True)
    /// a = torch.tensor([[1., 2., 0.], [.4, .9, -.2]], dtype=torch.float64, requires_grad=True)
    /// loss = F.cross_entropy(z, torch.tensor([0, 2])) + 6 * F.kl_div(
    ///     F.log_softmax(a, 1), F.softmax(z, 1), reduction="batchmean")
    /// loss.backward(); print(loss.item(), z.grad, a.grad)
    /// ```
    ///
    /// The first row alone has divergence 0.4205125.
    #[test]
    fn trades_matches_pytorch() {
        let (clean, attacked) = (logits(CLEAN), logits(ATTACKED));
        let near = |a: &[f64], b: &[f64]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-9);
        let found = trades(&clean, &attacked, &LABELS, BETA);
        assert!(near(&[found.value], &[TORCH_VALUE]), "{found:?}");
        assert!(near(&found.dlogits, &TORCH_CLEAN), "{found:?}");
        let found = trades_attacked(&clean, &attacked, BETA);
        assert!(near(&found.dlogits, &TORCH_ATTACKED), "{found:?}");
        let first = |values: [f64; 6]| Logits { values: values[..3].to_vec(), classes: 3 };
        let row = divergence(&first(CLEAN), &first(ATTACKED)).value;
        assert!((row - 0.420_512_5).abs() < 1e-7, "{row}");
    }
    const TORCH_VALUE: f64 = 3.266_222_363_330;
    const TORCH_CLEAN: [f64; 6] = [
        0.989_116_963_461,
        -0.920_555_309_972,
        -0.068_561_653_489,
        -0.468_062_449_765,
        -0.811_450_225_735,
        1.279_512_675_499,
    ];
    const TORCH_ATTACKED: [f64; 6] =
        [-1.261_537_454_160, 1.261_537_454_160, 0.0, 0.593_375_470_873, 0.779_395_731_125, -1.372_771_201_999];

    #[test]
    fn trades_gradients_are_those_of_finite_differences() {
        let value = |clean: [f64; 6], attacked| trades(&logits(clean), &logits(attacked), &LABELS, BETA).value;
        let in_clean = trades(&logits(CLEAN), &logits(ATTACKED), &LABELS, BETA).dlogits;
        let in_attacked = trades_attacked(&logits(CLEAN), &logits(ATTACKED), BETA).dlogits;
        let moved = |values: [f64; 6], i: usize, h: f64| {
            let mut values = values;
            values[i] += h;
            values
        };
        let h = 1e-5;
        for i in 0..6 {
            let numeric = (value(moved(CLEAN, i, h), ATTACKED) - value(moved(CLEAN, i, -h), ATTACKED)) / (2.0 * h);
            assert!((numeric - in_clean[i]).abs() < 1e-8, "clean[{i}]: {} against {numeric}", in_clean[i]);
            let numeric = (value(CLEAN, moved(ATTACKED, i, h)) - value(CLEAN, moved(ATTACKED, i, -h))) / (2.0 * h);
            assert!((numeric - in_attacked[i]).abs() < 1e-8, "attacked[{i}]: {} against {numeric}", in_attacked[i]);
        }
    }
}
