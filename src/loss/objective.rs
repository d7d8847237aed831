//! What a training minimises: the terms of an [`Objective`] that look at answers, summed.

use super::divergence::divergence;
use super::mart::{boosted_of, weighted_divergence_of};
use super::targets::Targets;
use crate::engine::{Logits, LossGradient};
use crate::recipe::Objective;

/// An objective's value and its gradients in both answers, zero where it does not look at one.
#[derive(Clone, Debug, PartialEq)]
pub struct Terms {
    /// The value.
    pub value: f64,
    /// In the logits of the clean images, `[n, classes]`.
    pub clean: Vec<f64>,
    /// In the logits of the attacked images, `[n, classes]`.
    pub attacked: Vec<f64>,
}

impl Terms {
    /// As the loss of a pass over the clean images.
    pub fn of_clean(self) -> LossGradient {
        LossGradient { value: self.value, dlogits: self.clean }
    }

    /// As the loss of a pass over the attacked images.
    pub fn of_attacked(self) -> LossGradient {
        LossGradient { value: self.value, dlogits: self.attacked }
    }
}

/// The sum of an objective's terms on the answers to the same images, clean and attacked; [`Objective::alignment`] is
/// none of them, as it looks at gradients. Where the objective looks at one kind of images, the other's answers are not
/// used and may be the same.
///
/// A term that needs one label an image is not a number where targets are mixed ([`Objective::needs_one_label`]).
pub fn terms(objective: &Objective, clean: &Logits, attacked: &Logits, targets: Targets<'_>) -> Terms {
    let Objective { divergence: beta, boosted, weighted_divergence, smoothing, alignment: _, .. } = *objective;
    let zeros = || vec![0.0; clean.values.len()];
    let mut sum = Terms { value: 0.0, clean: zeros(), attacked: zeros() };
    for (weight, logits, into) in
        [(objective.clean, clean, &mut sum.clean), (objective.attacked, attacked, &mut sum.attacked)]
    {
        if weight != 0.0 {
            let found = targets.cross_entropy(logits, smoothing);
            sum.value += weight * found.value;
            add(into, weight, &found.dlogits);
        }
    }
    if beta != 0.0 {
        let found = divergence(clean, attacked);
        sum.value += beta * found.value;
        add(&mut sum.clean, beta, &found.in_p);
        add(&mut sum.attacked, beta, &found.in_q);
    }
    if boosted != 0.0 || weighted_divergence != 0.0 {
        let Targets::Hard(labels) = targets else { return Terms { value: f64::NAN, ..sum } };
        let (n, classes) = (clean.rows().len() as f64, clean.classes);
        for (i, (clean, attacked)) in clean.rows().zip(attacked.rows()).enumerate() {
            let (label, own) = (labels[i] as usize, i * classes..(i + 1) * classes);
            if boosted != 0.0 {
                let (value, gradient) = boosted_of(attacked, label);
                sum.value += boosted / n * value;
                add(&mut sum.attacked[own.clone()], boosted / n, &gradient);
            }
            if weighted_divergence != 0.0 {
                let (value, in_clean, in_attacked) = weighted_divergence_of(clean, attacked, label);
                sum.value += weighted_divergence / n * value;
                add(&mut sum.clean[own.clone()], weighted_divergence / n, &in_clean);
                add(&mut sum.attacked[own], weighted_divergence / n, &in_attacked);
            }
        }
    }
    sum
}

fn add(into: &mut [f64], weight: f64, gradient: &[f64]) {
    for (into, d) in into.iter_mut().zip(gradient) {
        *into += weight * d;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLEAN: [f64; 6] = [2.0, 1.0, 0.0, -0.5, 0.3, 1.2];
    const ATTACKED: [f64; 6] = [1.0, 2.0, 0.0, 0.4, 0.9, -0.2];
    const TRADES: Objective = Objective { divergence: 6.0, ..Objective::CLEAN };
    const MART: Objective = Objective { boosted: 1.0, weighted_divergence: 5.0, ..Objective::NOTHING };

    fn of(objective: &Objective, clean: &[f64], attacked: &[f64], targets: Targets<'_>) -> Terms {
        let logits = |values: &[f64]| Logits { values: values.to_vec(), classes: 3 };
        terms(objective, &logits(clean), &logits(attacked), targets)
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
    #[test]
    fn trades_matches_pytorch() {
        let found = of(&TRADES, &CLEAN, &ATTACKED, Targets::Hard(&[0, 2]));
        let near = |a: &[f64], b: &[f64]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-9);
        assert!(near(&[found.value], &[TORCH_VALUE]), "{found:?}");
        assert!(near(&found.clean, &TORCH_CLEAN) && near(&found.attacked, &TORCH_ATTACKED), "{found:?}");
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

    /// Worked by hand from the definitions, for logits (2, 1, 0) clean and (1, 2, 0) attacked.
    #[test]
    fn known_answers() {
        let found = |objective: &Objective| of(objective, &CLEAN[..3], &ATTACKED[..3], Targets::Hard(&[0])).value;
        let near = |value: f64, want: f64| assert!((value - want).abs() < 1e-6, "{value} against {want}");
        near(found(&Objective { divergence: 1.0, ..Objective::NOTHING }), 0.420_512_5);
        near(found(&TRADES), 2.930_681);
        near(found(&Objective { boosted: 1.0, ..Objective::NOTHING }), 2.501_651_6);
        near(found(&Objective { weighted_divergence: 1.0, ..Objective::NOTHING }), 0.140_770_4);
        near(found(&MART), 3.205_503_6);
    }

    #[test]
    fn gradients_are_those_of_finite_differences() {
        let all = Objective { attacked: 0.7, smoothing: 0.1, clean: 0.3, divergence: 2.0, ..MART };
        for objective in [Objective::CLEAN, Objective::ATTACKED, TRADES, MART, all] {
            let targets = Targets::Hard(&[0, 1]);
            let found = of(&objective, &CLEAN, &ATTACKED, targets);
            for k in 0..CLEAN.len() {
                let moved = |values: [f64; 6], h: f64| {
                    let mut moved = values;
                    moved[k] += h;
                    moved
                };
                let in_clean = |h| of(&objective, &moved(CLEAN, h), &ATTACKED, targets).value;
                let in_attacked = |h| of(&objective, &CLEAN, &moved(ATTACKED, h), targets).value;
                let slope = |at: &dyn Fn(f64) -> f64| (at(1e-6) - at(-1e-6)) / 2e-6;
                assert!((slope(&in_clean) - found.clean[k]).abs() < 1e-7, "{objective:?} clean {k}");
                assert!((slope(&in_attacked) - found.attacked[k]).abs() < 1e-7, "{objective:?} attacked {k}");
            }
        }
    }

    #[test]
    fn mixed_targets_are_none_of_mart_s() {
        let z = Logits { values: CLEAN.to_vec(), classes: 3 };
        let targets = [0.5, 0.5, 0.0, 0.0, 0.0, 1.0];
        assert!(terms(&MART, &z, &z, Targets::Soft(&targets)).value.is_nan());
        assert!(terms(&TRADES, &z, &z, Targets::Soft(&targets)).value.is_finite());
    }
}
