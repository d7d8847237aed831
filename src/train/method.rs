//! Training methods: what a network is shown in a step, and what it learns from it.

use candle_core::Tensor;

use super::optim::add;
use crate::attack::pgd::{noisy_step, pgd};
use crate::attack::{Samples, Target};
use crate::engine::{Mode, Network, NormMode, Work, Wrt};
use crate::error::Result;
use crate::loss::{cross_entropy, trades, trades_attacked};
use crate::recipe::Method;
use crate::threat::{AttackNorm, Loss, Pgd};

/// The batch-norm mode of an attack on a network in training.
pub fn norm_mode(norm: AttackNorm) -> NormMode {
    match norm {
        AttackNorm::Eval => NormMode::Eval,
        AttackNorm::Batch => NormMode::TrainNoRecord,
    }
}

/// The images that a method trains on, from clean ones. The network is left as it was found.
///
/// N-FGSM's published code runs its attack in training mode and so records attack statistics; here the attack uses batch
/// statistics and records nothing.
pub fn training_images(method: &Method, network: &mut Network, mix: &[f64], samples: Samples<'_>) -> Result<Tensor> {
    match *method {
        Method::Standard => Ok(samples.images.clone()),
        Method::PgdAt { eps, step, steps, attack_norm } => {
            let attack = Pgd::new(eps, step, steps);
            pgd(&mut Target { network, mix, mode: norm_mode(attack_norm) }, samples, &attack)
        }
        Method::NFgsm { eps, noise } => {
            let mode = NormMode::TrainNoRecord;
            noisy_step(&mut Target { network, mix, mode }, samples, eps.value() as f32, noise.value() as f32)
        }
        Method::Trades { eps, step, steps, beta: _ } => {
            let attack = Pgd { loss: Loss::Kl, ..Pgd::new(eps, step, steps) };
            pgd(&mut Target { network, mix, mode: NormMode::Eval }, samples, &attack)
        }
    }
}

/// How a network is called to learn: statistics of the batch, recorded, and what is dropped at random by the step's seed. Attacks drop
/// nothing, so that they are made on one network.
fn train_mode(samples: Samples<'_>) -> Mode {
    Mode { norm: NormMode::Train, branch: 0, drop: Some(samples.seed.child("drop")) }
}

/// The loss of a step and its gradient in the weights, with the statistics of what the network saw recorded. `attacked`
/// are the method's [`training_images`].
///
/// TRADES shows clean and attacked images as two batches, each with statistics of its own. Its loss needs the answers to
/// both at once and a pass keeps one batch: the attacked images' answers are computed first, without a gradient. Its
/// published code, too, makes three forward passes here, but records the clean batch twice.
pub fn weight_gradient(
    method: &Method,
    network: &mut Network,
    mix: &[f64],
    samples: Samples<'_>,
    attacked: &Tensor,
) -> Result<(f64, Tensor)> {
    let (labels, mode) = (samples.labels, train_mode(samples));
    match *method {
        Method::Standard | Method::PgdAt { .. } | Method::NFgsm { .. } => {
            let found = network.gradients(attacked, mix, mode, Wrt::PARAMS, &|logits| cross_entropy(logits, labels))?;
            Ok((found.loss, found.weights()?.clone()))
        }
        Method::Trades { beta, .. } => {
            let answers = network.logits(attacked, mix, Mode { norm: NormMode::TrainNoRecord, ..mode })?;
            let clean = network
                .gradients(samples.images, mix, mode, Wrt::PARAMS, &|logits| trades(logits, &answers, labels, beta))?;
            let moved = network
                .gradients(attacked, mix, mode, Wrt::PARAMS, &|logits| trades_attacked(&clean.logits, logits, beta))?;
            add(clean.weights()?, moved.weights()?)?;
            Ok((clean.loss, clean.weights()?.clone()))
        }
    }
}

/// What a step by a method holds in memory: the passes of its attack and its loss; momentum and the gradients that its loss
/// has; the clean images and, where it attacks, the attacked ones and their gradient.
pub fn work(method: &Method, batch: usize) -> Work {
    let learning = (Wrt::PARAMS, NormMode::Train);
    let (passes, gradients, images) = match *method {
        Method::Standard => (vec![learning], 1, 1),
        Method::PgdAt { attack_norm, .. } => (vec![(Wrt::INPUT, norm_mode(attack_norm)), learning], 1, 3),
        Method::NFgsm { .. } => (vec![(Wrt::INPUT, NormMode::TrainNoRecord), learning], 1, 3),
        Method::Trades { .. } => (vec![(Wrt::INPUT, NormMode::Eval), learning], 2, 3),
    };
    Work { batch, passes, vectors: 1 + gradients, images }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arch::families::preact::PreAct;
    use crate::arch::op::Shape;
    use crate::engine::Fusion;
    use crate::seed::Seed;
    use crate::units::Fraction;
    use candle_core::{DType, Device};

    const IMAGE: Shape = Shape::new(6, 6, 3);
    const LABELS: [u32; 4] = [0, 1, 2, 1];
    const TRADES: Method = Method::Trades { eps: Fraction::of_255(8), step: Fraction::of_255(2), steps: 10, beta: 6.0 };

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

    fn step(network: &mut Network) -> (f64, Vec<f64>) {
        let (clean, attacked) = (images("clean"), images("attacked"));
        let samples = Samples { images: &clean, labels: &LABELS, ids: &LABELS, seed: Seed::root(3) };
        let (loss, gradient) = weight_gradient(&TRADES, network, &[], samples, &attacked).unwrap();
        (loss, numbers(&gradient))
    }

    /// Both terms reach the weights through both batches, each with statistics of its own.
    #[test]
    fn trades_gradient_is_that_of_finite_differences() {
        let mut network = network();
        let weights = numbers(&network.weights().unwrap());
        let (_, gradient) = step(&mut network);
        let scale = gradient.iter().fold(0f64, |m, g| m.max(g.abs()));
        let mut value = |i: usize, h: f64| {
            let mut moved = weights.clone();
            moved[i] += h;
            network.set_weights(&Tensor::from_vec(moved, weights.len(), &Device::Cpu).unwrap()).unwrap();
            step(&mut network).0
        };
        for i in (0..gradient.len()).step_by(7) {
            let numeric = (value(i, 1e-6) - value(i, -1e-6)) / 2e-6;
            assert!((numeric - gradient[i]).abs() < 1e-6 * scale, "weight {i}: {} against {numeric}", gradient[i]);
        }
    }

    #[test]
    fn trades_records_the_clean_batch_and_then_the_attacked_one() {
        let (mut stepped, mut shown) = (network(), network());
        step(&mut stepped);
        for name in ["clean", "attacked"] {
            shown.logits(&images(name), &[], NormMode::Train).unwrap();
        }
        assert_eq!(numbers(stepped.state()), numbers(shown.state()));
    }
}
