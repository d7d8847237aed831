//! Free adversarial training (Shafahi et al. 2019, algorithm 1): the pass that trains the weights also moves the
//! perturbation.

use candle_core::Tensor;

use super::adversary::perturbed;
use super::descent::Descent;
use super::objective::Shown;
use super::work::BOTH;
use crate::attack::ball::sign;
use crate::engine::{Mode, Network, NormMode};
use crate::error::{Error, Result};
use crate::recipe::{Free, Objective};

/// Trains on a batch `replays` times. `delta` is the perturbation that the batch before left, `[n, h, w, c]`; returns
/// the mean loss.
///
/// A pixel that the box cuts off is not moved, as its gradient ends there.
///
/// # Errors
/// [`Error::NotFinite`] where the training diverges.
pub fn replay(
    rule: &Free,
    objective: &Objective,
    network: &mut Network,
    descent: &mut Descent,
    delta: &mut Tensor,
    shown: Shown<'_>,
    (lr, strength): (f64, f64),
) -> Result<f64> {
    let Shown { samples, targets, .. } = shown;
    let (eps, step) = ((rule.eps.value() * strength) as f32, (rule.step.value() * strength) as f32);
    let mut losses = 0.0;
    for replay in 0..rule.replays {
        let (x, free) = perturbed(samples.images, delta)?;
        let drop = samples.seed.child("drop").index(u64::from(replay));
        let mode = Mode { norm: NormMode::Train, branch: 0, drop: Some(drop) };
        let found = network.gradients(&x, &[], mode, BOTH, &|logits| {
            let mut loss = targets.cross_entropy(logits, objective.smoothing);
            loss.value *= objective.attacked;
            loss.dlogits.iter_mut().for_each(|d| *d *= objective.attacked);
            loss
        })?;
        losses += found.loss;
        descent.step(network, found.weights()?, lr)?;
        let slope = found.input.ok_or_else(|| Error::Internal("no input gradient was computed".into()))?;
        let slope: Vec<f32> = slope.flatten_all()?.to_vec1()?;
        let before: Vec<f32> = delta.flatten_all()?.to_vec1()?;
        let moved = before.iter().zip(slope).zip(free);
        let moved = moved.map(|((d, g), free)| (d + if free { step * sign(g) } else { 0.0 }).clamp(-eps, eps));
        *delta = Tensor::from_vec(moved.collect(), delta.dims(), delta.device())?;
    }
    Ok(losses / f64::from(rule.replays))
}
