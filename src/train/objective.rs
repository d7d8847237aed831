//! The gradient of a recipe's objective in the weights.

use candle_core::Tensor;

use super::align::{REACH, alignment};
use super::domain::{Critic, Side};
use super::vectors::{add, blend};
use crate::attack::Samples;
use crate::engine::{Logits, LossGradient, Mode, Network, NormMode, Wrt};
use crate::error::{Error, Result};
use crate::loss::{Targets, terms};
use crate::recipe::Objective;

/// A loss of answers.
type Loss<'a> = &'a dyn Fn(&Logits) -> LossGradient;

/// What a network is shown in a step.
#[derive(Clone, Copy)]
pub struct Shown<'a> {
    /// The clean images with their numbers and the step's seed.
    pub samples: Samples<'a>,
    /// What the answers should be.
    pub targets: Targets<'a>,
    /// The attacked images; the clean ones where there is no attack.
    pub attacked: &'a Tensor,
    /// The radius of the attack, as strong as it is by now.
    pub eps: f64,
    /// Which of several batch-norms attacked images go through; clean ones go through the first.
    pub branch: usize,
}

/// The value of an objective and its gradient in the weights, `[trainable]`. Batch-norms use the statistics of what
/// they see, recorded with [`NormMode::Train`]; what is dropped at random follows the step's seed.
///
/// An objective on both kinds of images shows them as two batches, each with statistics of its own. Its loss needs the
/// answers to both at once and a pass keeps one batch: the attacked images' answers are computed first, without a
/// gradient. TRADES' published code, too, makes three forward passes here, but records the clean batch twice.
/// A `critic`, which goes with such an objective, is shown the features of both batches, and the network ascends its
/// loss.
///
/// # Errors
/// [`Error::NotFinite`] where the loss is not a number; [`Error::Internal`] for a term that needs one label an image
/// where targets are mixed, which a recipe with both is refused for.
pub fn gradient(
    objective: &Objective,
    network: &mut Network,
    mix: &[f64],
    shown: Shown<'_>,
    norm: NormMode,
    mut critic: Option<&mut Critic>,
) -> Result<(f64, Tensor)> {
    let Shown { samples, targets, attacked, eps, branch } = shown;
    if objective.needs_one_label() && matches!(targets, Targets::Soft(_)) {
        return Err(Error::Internal("an objective that needs one label an image got mixed targets".into()));
    }
    let mode = Mode { norm, branch: 0, drop: Some(samples.seed.child("drop")) };
    let side = Mode { branch, ..mode };
    let (value, gradient) = match (objective.reads_clean(), objective.reads_attacked()) {
        (true, true) => {
            let answers = network.logits(attacked, mix, Mode { norm: NormMode::TrainNoRecord, ..side })?;
            let mut pass = |images: &Tensor, mode: Mode, kind: Side, loss: Loss<'_>| match &mut critic {
                None => network.gradients(images, mix, mode, Wrt::PARAMS, loss),
                Some(critic) => critic.gradients(network, images, mix, mode, kind, loss),
            };
            let clean = pass(samples.images, mode, Side::Clean, &|logits| {
                terms(objective, logits, &answers, targets).of_clean()
            })?;
            let moved = pass(attacked, side, Side::Attacked, &|logits| {
                let found = terms(objective, &clean.logits, logits, targets).of_attacked();
                // The value of both is in the clean pass's.
                LossGradient { value: 0.0, ..found }
            })?;
            add(clean.weights()?, moved.weights()?)?;
            (clean.loss + moved.loss, clean.weights()?.clone())
        }
        (reads_clean, _) => {
            let (images, mode) = if reads_clean { (samples.images, mode) } else { (attacked, side) };
            let found = network.gradients(images, mix, mode, Wrt::PARAMS, &|logits| {
                let terms = terms(objective, logits, logits, targets);
                if reads_clean { terms.of_clean() } else { terms.of_attacked() }
            })?;
            (found.loss, found.weights()?.clone())
        }
    };
    if objective.alignment == 0.0 {
        return Ok((value, gradient));
    }
    let (apart, slope) = alignment(network, mix, samples, targets, eps, REACH)?;
    blend(&gradient, 1.0, &slope, objective.alignment)?;
    Ok((value + objective.alignment * apart, gradient))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arch::families::preact::PreAct;
    use crate::arch::op::Shape;
    use crate::engine::Fusion;
    use crate::seed::Seed;
    use candle_core::{DType, Device};

    const IMAGE: Shape = Shape::new(6, 6, 3);
    const LABELS: [u32; 4] = [0, 1, 2, 1];
    const SHARES: [f64; 12] = [0.7, 0.3, 0.0, 0.1, 0.4, 0.5, 0.0, 0.0, 1.0, 0.2, 0.2, 0.6];
    const TRADES: Objective = Objective { divergence: 6.0, ..Objective::CLEAN };
    const MART: Objective = Objective { boosted: 1.0, weighted_divergence: 5.0, ..Objective::NOTHING };

    fn network() -> Network {
        let net = PreAct::basic(3, [(1, 3), (1, 4)]).lower(IMAGE, 3);
        Network::with(net.unwrap(), Seed::root(1), &Device::Cpu, DType::F64, Fusion::ALL).unwrap()
    }

    fn images(name: &str) -> Tensor {
        let mut stream = Seed::root(2).child(name).stream();
        let pixels: Vec<f64> = (0..LABELS.len() * IMAGE.len()).map(|_| f64::from(stream.uniform())).collect();
        Tensor::from_vec(pixels, (LABELS.len(), IMAGE.h, IMAGE.w, IMAGE.c), &Device::Cpu).unwrap()
    }

    fn numbers(t: &Tensor) -> Vec<f64> {
        t.to_vec1().unwrap()
    }

    fn step(objective: &Objective, targets: Targets<'_>, network: &mut Network) -> (f64, Vec<f64>) {
        let (clean, attacked) = (images("clean"), images("attacked"));
        let samples = Samples { images: &clean, labels: &LABELS, ids: &LABELS, seed: Seed::root(3) };
        let shown = Shown { samples, targets, attacked: &attacked, eps: 0.1, branch: 0 };
        let (loss, slope) = gradient(objective, network, &[], shown, NormMode::Train, None).unwrap();
        (loss, numbers(&slope))
    }

    /// All terms reach the weights through the batches they look at, each with statistics of its own.
    #[test]
    fn gradients_are_those_of_finite_differences() {
        let smooth = Objective { clean: 0.5, smoothing: 0.1, ..Objective::ATTACKED };
        let hard = Targets::Hard(&LABELS);
        for (objective, targets) in [
            (Objective::CLEAN, hard),
            (Objective::ATTACKED, Targets::Soft(&SHARES)),
            (TRADES, hard),
            (TRADES, Targets::Soft(&SHARES)),
            (MART, hard),
            (smooth, hard),
        ] {
            let mut network = network();
            let weights = numbers(&network.weights().unwrap());
            let (_, gradient) = step(&objective, targets, &mut network);
            let scale = gradient.iter().fold(0f64, |m, g| m.max(g.abs()));
            let mut value = |i: usize, h: f64| {
                let mut moved = weights.clone();
                moved[i] += h;
                network.set_weights(&Tensor::from_vec(moved, weights.len(), &Device::Cpu).unwrap()).unwrap();
                step(&objective, targets, &mut network).0
            };
            for i in (0..gradient.len()).step_by(7) {
                let numeric = (value(i, 1e-6) - value(i, -1e-6)) / 2e-6;
                let off = (numeric - gradient[i]).abs();
                assert!(off < 1e-6 * scale, "{objective:?} weight {i}: {} against {numeric}", gradient[i]);
            }
        }
    }

    #[test]
    fn the_clean_batch_is_recorded_and_then_the_attacked_one() {
        let (mut stepped, mut shown) = (network(), network());
        step(&TRADES, Targets::Hard(&LABELS), &mut stepped);
        for name in ["clean", "attacked"] {
            shown.logits(&images(name), &[], NormMode::Train).unwrap();
        }
        assert_eq!(numbers(stepped.state()), numbers(shown.state()));
    }

    #[test]
    fn mixed_targets_are_refused_where_one_label_is_needed() {
        let (clean, mut network) = (images("clean"), network());
        let samples = Samples { images: &clean, labels: &LABELS, ids: &LABELS, seed: Seed::root(3) };
        let shown = Shown { samples, targets: Targets::Soft(&SHARES), attacked: &clean, eps: 0.1, branch: 0 };
        let found = gradient(&MART, &mut network, &[], shown, NormMode::Train, None);
        assert!(matches!(found, Err(Error::Internal(_))));
    }
}
