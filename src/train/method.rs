//! Training methods: what a network is shown in a step.

use candle_core::Tensor;

use crate::attack::pgd::{noisy_step, pgd};
use crate::attack::{Samples, Target};
use crate::config::Method;
use crate::engine::{Network, NormMode};
use crate::error::Result;
use crate::threat::{AttackNorm, Pgd};

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
            let attack = Pgd { eps, step, steps, restarts: 1, random_start: true, clip: true };
            pgd(&mut Target { network, mix, mode: norm_mode(attack_norm) }, samples, &attack)
        }
        Method::NFgsm { eps, noise } => {
            let mode = NormMode::TrainNoRecord;
            noisy_step(&mut Target { network, mix, mode }, samples, eps.value() as f32, noise.value() as f32)
        }
    }
}

/// The method with its constants, in words.
pub fn describe(method: &Method) -> String {
    match method {
        Method::Standard => "standard".into(),
        Method::PgdAt { eps, step, steps, attack_norm } => {
            format!("pgd-at linf {eps} step {step} x{steps} ({attack_norm:?} statistics)").to_lowercase()
        }
        Method::NFgsm { eps, noise } => format!("n-fgsm linf {eps} noise {noise} eps"),
    }
}
