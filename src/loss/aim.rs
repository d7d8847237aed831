//! What attacks climb, of one image at a time: `(logits of the image) -> (value, gradient)`. A batch's loss is the sum over
//! its images, so that no image's gradient depends on the others.

use super::cross_entropy::cross_entropy_of;
use super::divergence::divergence_of;
use crate::engine::{Logits, LossGradient};
use crate::threat::Loss;

/// Keeps the denominator of the difference of logits ratio from zero. The authors' code adds it, and in 32 bits it vanishes
/// beside any gap that matters. Added in 64 bits it would tilt a plateau: where the label's logit is the third, the ratio
/// is 1 and has no gradient.
const TINY: f64 = 1e-12;

/// A loss of one image. All of them rise towards a misclassification.
#[derive(Clone, Copy, Debug)]
pub struct Aim<'a> {
    /// The kind.
    pub loss: Loss,
    /// The true class.
    pub label: usize,
    /// The class to end in; `None`: any other than the label's.
    pub target: Option<usize>,
    /// The clean image's logits, which the divergence alone looks at.
    pub clean: &'a [f64],
}

impl Aim<'_> {
    /// Away from a label.
    pub fn away(loss: Loss, label: usize) -> Aim<'static> {
        Aim { loss, label, target: None, clean: &[] }
    }

    /// The value, and its gradient in the logits.
    ///
    /// The difference of logits ratio needs three classes, its targeted form four; with fewer it is the margin, and a plan
    /// says so ([`crate::threat::AttackPlan::for_classes`]).
    pub fn of(&self, row: &[f64]) -> (f64, Vec<f64>) {
        match (self.loss, self.target) {
            (Loss::Ce, None) => cross_entropy_of(row, self.label),
            (Loss::Ce, Some(target)) => {
                let (value, gradient) = cross_entropy_of(row, target);
                (-value, gradient.into_iter().map(|d| -d).collect())
            }
            // Too few classes for a ratio leave its numerator.
            (Loss::Cw | Loss::Dlr, target)
                if self.loss == Loss::Cw || row.len() < 3 + usize::from(target.is_some()) =>
            {
                let (value, rival) = self.margin(row);
                let mut gradient = vec![0.0; row.len()];
                gradient[rival] += 1.0;
                gradient[self.label] -= 1.0;
                (value, gradient)
            }
            (Loss::Cw | Loss::Dlr, target) => {
                let order = descending(row);
                // The denominator: the first logit less these, with their weights.
                let less: &[(usize, f64)] = match target {
                    None => &[(order[2], 1.0)],
                    Some(_) => &[(order[2], 0.5), (order[3], 0.5)],
                };
                let gap = (row[order[0]] - less.iter().map(|(k, w)| w * row[*k]).sum::<f64>()).max(TINY);
                let (margin, rival) = self.margin(row);
                let value = margin / gap;
                let mut gradient = vec![0.0; row.len()];
                gradient[rival] += 1.0 / gap;
                gradient[self.label] -= 1.0 / gap;
                gradient[order[0]] -= value / gap;
                for (k, w) in less {
                    gradient[*k] += w * value / gap;
                }
                (value, gradient)
            }
            (Loss::Kl, _) => {
                let found = divergence_of(self.clean, row);
                (found.value, found.in_q)
            }
        }
    }

    /// How far the rival's logit is above the label's, and the rival.
    fn margin(&self, row: &[f64]) -> (f64, usize) {
        let rival = self.target.unwrap_or_else(|| rival(row, self.label));
        (row[rival] - row[self.label], rival)
    }
}

/// The sum of the images' losses, and its gradient.
pub fn total(logits: &Logits, aims: &[Aim<'_>]) -> LossGradient {
    let mut found = LossGradient { value: 0.0, dlogits: Vec::with_capacity(logits.values.len()) };
    for (row, aim) in logits.rows().zip(aims) {
        let (value, gradient) = aim.of(row);
        found.value += value;
        found.dlogits.extend(gradient);
    }
    found
}

/// The class of the largest logit other than the label's; of equal ones the first.
pub fn rival(row: &[f64], label: usize) -> usize {
    let others = (0..row.len()).filter(|k| *k != label);
    others.reduce(|best, k| if row[k] > row[best] { k } else { best }).unwrap_or(label)
}

/// Classes from the largest logit to the smallest; of equal ones the first comes first.
pub fn descending(row: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..row.len()).collect();
    order.sort_by(|a, b| row[*b].total_cmp(&row[*a]));
    order
}

/// The classes other than the label's, from the largest logit to the smallest: what targeted attacks aim at in turn.
pub fn targets(row: &[f64], label: usize) -> Vec<usize> {
    descending(row).into_iter().filter(|k| *k != label).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROW: [f64; 4] = [2.0, 1.0, 0.5, -1.0];

    fn dlr(row: &[f64], label: usize, target: Option<usize>) -> f64 {
        Aim { loss: Loss::Dlr, label, target, clean: &[] }.of(row).0
    }

    /// Known answers of the official losses.
    #[test]
    fn difference_of_logits_ratio() {
        for (label, target, want) in [
            (0, None, -0.666_666_7),
            (1, None, 0.666_666_7),
            (3, None, 2.0),
            (0, Some(1), -0.444_444_4),
            (0, Some(3), -1.333_333_3),
            (1, Some(0), 0.444_444_4),
        ] {
            let got = dlr(&ROW, label, target);
            assert!((got - want).abs() < 1e-6, "{label} {target:?}: {got}");
            let moved = ROW.map(|z| 3.7 * z - 11.0);
            assert!((dlr(&moved, label, target) - got).abs() < 1e-9, "{label} {target:?}: not invariant");
        }
        let linear = [1.15, 0.90, 0.05, 0.55];
        for (target, want) in [(None, -0.416_667), (Some(1), -0.294_118), (Some(2), -1.294_118), (Some(3), -0.705_882)]
        {
            assert!((dlr(&linear, 0, target) - want).abs() < 1e-6, "{target:?}");
        }
    }

    #[test]
    fn gradients_are_those_of_finite_differences() {
        let row = [0.3, 1.7, -0.4, 0.9, 0.1];
        let clean = [0.1, 1.0, 0.2, 0.4, -0.3];
        for loss in [Loss::Ce, Loss::Cw, Loss::Dlr, Loss::Kl] {
            for (label, target) in [(1, None), (0, None), (1, Some(3)), (0, Some(2)), (2, Some(0))] {
                let aim = Aim { loss, label, target, clean: &clean };
                let (_, gradient) = aim.of(&row);
                for k in 0..row.len() {
                    let at = |h: f64| {
                        let mut moved = row;
                        moved[k] += h;
                        aim.of(&moved).0
                    };
                    let numeric = (at(1e-6) - at(-1e-6)) / 2e-6;
                    assert!((numeric - gradient[k]).abs() < 1e-7, "{aim:?} {k}: {} against {numeric}", gradient[k]);
                }
            }
        }
    }

    /// Climbing stops where the label's logit is the third.
    #[test]
    fn a_plateau_has_no_gradient() {
        let (value, gradient) = Aim::away(Loss::Dlr, 1).of(&[1.3, -0.7, 0.123_456_7, -2.0]);
        assert_eq!((value, &gradient[..]), (1.0, &[0.0; 4][..]));
    }

    #[test]
    fn ties_go_to_the_first() {
        assert_eq!(rival(&[1.0, 1.0, 1.0], 0), 1);
        assert_eq!(descending(&[0.0, 2.0, 2.0]), [1, 2, 0]);
        assert_eq!(targets(&[0.0, 2.0, 2.0], 1), [2, 0]);
    }
}
