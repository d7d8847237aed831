//! Clean and adversarial accuracy of a trained network, with doubts.

use candle_core::Tensor;

use crate::attack::pgd::pgd;
use crate::attack::{Samples, Target};
use crate::engine::{Network, NormMode};
use crate::error::Result;
use crate::record::{AttackResult, Check, Evaluation, Sample};
use crate::seed::Seed;
use crate::threat::{Attack, Pgd};
use crate::train::fit::{Batch, Loader};
use crate::train::loss::{correct, cross_entropy};
use crate::units::{Fraction, Tally};

/// One attack as projected gradient ascent: FGSM is a single step of the radius from the clean image.
fn as_pgd(attack: &Attack) -> Pgd {
    match *attack {
        Attack::Fgsm { eps } => Pgd { eps, step: eps, steps: 1, restarts: 1, random_start: false, clip: true },
        Attack::Pgd(pgd) => pgd,
    }
}

/// A weaker attack than many steps: its accuracy should not be the lower one by more than noise.
const SINGLE_STEP: u32 = 1;

/// Evaluates a network on all samples of a loader, in evaluation mode. Only samples that are right on the clean image are
/// attacked; the last iterate of every restart counts.
///
/// `stop` is asked before every batch of work, so that a long evaluation can be interrupted.
pub fn evaluate(
    network: &mut Network,
    loader: &Loader<'_>,
    attacks: &[Attack],
    sample: Sample,
    seed: u64,
    stop: &mut dyn FnMut() -> Result<()>,
) -> Result<Evaluation> {
    let mut checks = Vec::new();
    let mut clean = Tally::default();
    let mut survivors = Vec::new();
    for (i, batch) in loader.plain().enumerate() {
        stop()?;
        let batch = batch?;
        let logits = network.logits(&batch.images, &[], NormMode::Eval)?;
        if i == 0 && network.logits(&batch.images, &[], NormMode::Eval)? != logits {
            checks.push(Check::RandomOutput);
        }
        for (id, hit) in batch.ids.iter().zip(correct(&logits, &batch.labels)) {
            clean += Tally { hit: u64::from(hit), total: 1 };
            if hit {
                survivors.push(*id);
            }
        }
    }
    let mut standing = vec![true; survivors.len()];
    let mut results = Vec::new();
    let mut blind = Tally::default();
    let right = Loader { ids: &survivors, augment: None, images: loader.images, device: loader.device, ..*loader };
    for attack in attacks {
        let mut robust = 0;
        let mut at = 0;
        for batch in right.plain() {
            stop()?;
            let batch = batch?;
            let flags = withstands(network, &batch, attack, Seed::root(seed))?;
            if results.is_empty() {
                blind += zero_gradients(network, &batch)?;
            }
            for flag in flags {
                robust += u64::from(flag);
                standing[at] &= flag;
                at += 1;
            }
        }
        results.push(AttackResult { attack: *attack, robust: Tally { hit: robust, total: clean.total } });
    }
    if blind.rate() > 0.1 {
        checks.push(Check::ZeroGradient);
    }
    if single_step_wins(&results) {
        checks.push(Check::MoreStepsNotStronger);
    }
    let robust = Tally { hit: standing.iter().filter(|s| **s).count() as u64, total: clean.total };
    Ok(Evaluation { sample, clean, attacks: results, robust, checks, seed })
}

/// Which samples stay right under every restart of an attack.
fn withstands(network: &mut Network, batch: &Batch, attack: &Attack, seed: Seed) -> Result<Vec<bool>> {
    let config = as_pgd(attack);
    let mut flags = vec![true; batch.labels.len()];
    for restart in 0..config.restarts.max(1) {
        let samples = Samples {
            images: &batch.images,
            labels: &batch.labels,
            ids: &batch.ids,
            seed: seed.child(&attack.name()).index(u64::from(restart)),
        };
        let mut target = Target { network, mix: &[], mode: NormMode::Eval };
        let attacked: Tensor = pgd(&mut target, samples, &config)?;
        let logits = target.logits(&attacked)?;
        for (flag, hit) in flags.iter_mut().zip(correct(&logits, &batch.labels)) {
            *flag &= hit;
        }
    }
    Ok(flags)
}

/// Samples on which the loss has no input gradient at all.
fn zero_gradients(network: &mut Network, batch: &Batch) -> Result<Tally> {
    let mut target = Target { network, mix: &[], mode: NormMode::Eval };
    let (_, gradient) = target.input_gradient(&batch.images, &|logits| cross_entropy(logits, &batch.labels))?;
    let largest: Vec<f32> = gradient.abs()?.flatten_from(1)?.max(1)?.to_vec1()?;
    Ok(Tally { hit: largest.iter().filter(|g| **g == 0.0).count() as u64, total: largest.len() as u64 })
}

/// Whether a single step of some radius left clearly fewer samples than many steps of the same radius.
fn single_step_wins(results: &[AttackResult]) -> bool {
    let of = |single: bool, eps: Fraction| {
        results
            .iter()
            .filter(|r| r.attack.eps() == eps && (as_pgd(&r.attack).steps == SINGLE_STEP) == single)
            .map(|r| r.robust)
            .min_by_key(|t| t.hit)
    };
    results.iter().any(|r| match (of(true, r.attack.eps()), of(false, r.attack.eps())) {
        // Two points of slack: a tie in a small sample is no sign of masked gradients.
        (Some(one), Some(many)) => one.rate() + 0.02 < many.rate(),
        _ => false,
    })
}
