//! Checks: signs of masked gradients and other reasons why a robust accuracy may be too high. `docs/attacks.md` has the
//! condition of each, its meaning and what to do.
//!
//! [`guesses`] checks the clean results, [`look`] the classifier's outputs and gradients, [`probe`] makes small
//! attacks, [`judge`] checks the results of a plan; [`raised`] does all of them on samples of a data set. The signs
//! follow Athalye et al. 2018, Carlini et al. 2019 and the warnings of AutoAttack.

use std::collections::{BTreeMap, BTreeSet};

use candle_core::Tensor;

use super::pgd::pgd;
use super::suite::Found;
use super::{Classifier, Samples};
use crate::data::batch::labels;
use crate::data::loader::Loader;
use crate::engine::Logits;
use crate::error::Result;
use crate::loss::{Aim, correct, cross_entropy_of, total};
use crate::threat::{Attack, AttackPlan, Check, Loss, Pgd};
use crate::units::{Fraction, Tally};

/// Samples for [`look`] and [`probe`].
pub const ENOUGH: usize = 64;
/// Clean passes that must agree.
const PASSES: usize = 5;
/// Tolerance between passes for logits of unit length; parallel sums may round differently.
const AGREE: f64 = 1e-4;
/// Tolerance for the sum of probabilities.
const SUM: f64 = 1e-5;
/// The share of samples above which a sign is reported; fewer may be chance.
const MANY: f64 = 0.1;
/// The share of samples by which a weaker attack may be better.
const SLACK: f64 = 0.02;
/// The share of samples by which an attack without gradients may be better; AutoAttack's value.
const BLACK_BOX: f64 = 0.002;
/// Gradient steps from which on an attack is expected to be better than those without gradients.
const STRONG: u32 = 10;

/// Every check that a result raises, of all that are made: [`judge`] of the results, [`guesses`] of the clean ones, and
/// [`look`] and, if wanted, [`probe`] of the first samples that are correct on the clean image.
///
/// # Cost
/// [`look`]: at most five forward passes and one gradient for 64 images; [`probe`]: [`probe`]'s.
///
/// # Errors
/// Those of the classifier.
pub fn raised(
    classifier: &mut dyn Classifier,
    plan: &AttackPlan,
    loader: &Loader<'_>,
    found: &Found,
    probed: bool,
) -> Result<BTreeSet<Check>> {
    let right = loader.ids.iter().zip(&found.clean).filter(|(_, clean)| **clean).map(|(id, _)| *id);
    let few: Vec<u32> = right.take(ENOUGH).collect();
    let mut raised: BTreeSet<Check> = judge(plan, found).into_iter().collect();
    raised.extend(guesses(&labels(loader.images, loader.ids), &found.clean));
    for batch in (Loader { batch: ENOUGH, ..loader.of(&few) }).plain() {
        let batch = batch?;
        let samples = batch.samples(batch.seed);
        raised.extend(look(classifier, samples)?);
        if probed {
            raised.extend(probe(classifier, samples)?);
        }
    }
    Ok(raised)
}

/// Checks on the clean results: whether the network answers one class for every image, or no better than chance. No
/// attack changes a constant answer, so its robust accuracy would be its clean one.
///
/// Chance is the share of the most frequent class, which the best constant answer gets. Without two classes nothing is
/// checked.
pub fn guesses(labels: &[u32], clean: &[bool]) -> Vec<Check> {
    let mut classes: BTreeMap<u32, Tally> = BTreeMap::new();
    for (label, right) in labels.iter().zip(clean) {
        *classes.entry(*label).or_default() += Tally { hit: u64::from(*right), total: 1 };
    }
    if classes.len() < 2 {
        return Vec::new();
    }
    let mut whole = Tally::default();
    classes.values().for_each(|class| whole += *class);
    let mut raised = Vec::new();
    // All images of one class are correct, and no others.
    if classes.values().any(|class| class.hit == class.total && class.hit == whole.hit) {
        raised.push(Check::ConstantAnswer);
    }
    let most = classes.values().map(|class| class.total).max().unwrap_or_default();
    if whole.wilson95().0 <= (Tally { hit: most, ..whole }).rate() {
        raised.push(Check::CleanAtChance);
    }
    raised
}

/// Checks on the outputs for clean images and the gradients there.
///
/// # Cost
/// At most five forward passes and one gradient an image.
///
/// # Errors
/// Those of the classifier.
pub fn look(classifier: &mut dyn Classifier, samples: Samples<'_>) -> Result<Vec<Check>> {
    let mut raised = Vec::new();
    let first = classifier.logits(samples.images)?;
    let hits = |logits: &Logits| correct(logits, samples.labels).filter(|hit| *hit).count();
    for _ in 1..PASSES {
        let again = classifier.logits(samples.images)?;
        if hits(&again) != hits(&first) || apart(&first, &again) > AGREE {
            raised.push(Check::RandomOutput);
            break;
        }
    }
    let probable = |row: &[f64]| {
        let within = row.iter().all(|p| (-SUM..=1.0 + SUM).contains(p));
        within && (row.iter().sum::<f64>() - 1.0).abs() <= SUM
    };
    if first.rows().all(probable) {
        raised.push(Check::Probabilities);
    }
    let aims: Vec<Aim<'_>> = samples.labels.iter().map(|l| Aim::away(Loss::Ce, *l as usize)).collect();
    let (_, gradient) = classifier.input_gradient(samples.images, &|logits| total(logits, &aims))?;
    let largest: Vec<f32> = gradient.abs()?.flatten_from(1)?.max(1)?.to_vec1()?;
    if many(largest.iter().filter(|g| **g == 0.0).count(), largest.len()) {
        raised.push(Check::ZeroGradient);
    }
    Ok(raised)
}

/// The largest distance between two passes' logits of one sample, each scaled to unit length.
fn apart(a: &Logits, b: &Logits) -> f64 {
    let unit = |row: &[f64]| -> Vec<f64> {
        let length = row.iter().map(|z| z * z).sum::<f64>().sqrt().max(f64::MIN_POSITIVE);
        row.iter().map(|z| z / length).collect()
    };
    let distance =
        |(a, b): (&[f64], &[f64])| unit(a).iter().zip(unit(b)).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt();
    a.rows().zip(b.rows()).map(distance).fold(0.0, f64::max)
}

fn many(count: usize, of: usize) -> bool {
    count as f64 > MANY * of as f64
}

/// Checks by small attacks on correctly classified samples: a ball of radius zero, one step against ten, a ball that
/// contains nearly every image. They use Linf whatever the plan's norm, since they test the gradient.
///
/// # Cost
/// 33 gradients and four forward passes an image.
///
/// # Errors
/// Those of the classifier.
pub fn probe(classifier: &mut dyn Classifier, samples: Samples<'_>) -> Result<Vec<Check>> {
    let n = samples.labels.len();
    let from_clean = |eps, step, steps| Pgd { random_start: false, ..Pgd::new(eps, step, steps) };
    let (eps, quarter) = (Fraction::of_255(8), Fraction::of_255(2));
    let mut after = |attack: Pgd| -> Result<(usize, Tensor, Logits)> {
        let x = pgd(classifier, samples, &attack)?;
        let logits = classifier.logits(&x)?;
        Ok((correct(&logits, samples.labels).filter(|hit| *hit).count(), x, logits))
    };
    let mut raised = Vec::new();
    let (still, same, clean) = after(Pgd::new(Fraction::ZERO, quarter, 2))?;
    if still != n || (same - samples.images)?.abs()?.flatten_all()?.max(0)?.to_scalar::<f32>()? != 0.0 {
        raised.push(Check::ZeroEpsDiffers);
    }
    let (one_step, ..) = after(from_clean(eps, eps, 1))?;
    let (ten_steps, _, climbed) = after(from_clean(eps, quarter, 10))?;
    if weaker_wins(one_step, ten_steps, n) {
        raised.push(Check::MoreStepsNotStronger);
    }
    let loss = |row: &[f64], label: &u32| cross_entropy_of(row, *label as usize).0;
    let pairs = clean.rows().zip(climbed.rows()).zip(samples.labels);
    if many(pairs.filter(|((before, after), label)| loss(after, label) <= loss(before, label)).count(), n) {
        raised.push(Check::LossNotRising);
    }
    let (far, ..) = after(from_clean(Fraction::of_255(128), Fraction::of_255(16), 20))?;
    if many(far, n) {
        raised.push(Check::LargerEpsNotStronger);
    }
    Ok(raised)
}

/// Whether the weaker attack left clearly fewer of `n` samples correct. A difference of a few samples is not reported.
fn weaker_wins(weaker: usize, stronger: usize, n: usize) -> bool {
    (stronger as f64 - weaker as f64) > SLACK * n as f64
}

/// Checks on the results of a plan.
pub fn judge(plan: &AttackPlan, found: &Found) -> Vec<Check> {
    let mut raised = Vec::new();
    if single_step_wins(plan, found) {
        raised.push(Check::MoreStepsNotStronger);
    }
    if black_box_wins(plan, found) {
        raised.push(Check::BlackBoxStronger);
    }
    if found.outside > 0 {
        raised.push(Check::OutOfBounds);
    }
    raised
}

/// Whether one signed step of some radius left clearly fewer samples correct than many steps in the same ball. Only
/// attacks on the same samples are compared.
fn single_step_wins(plan: &AttackPlan, found: &Found) -> bool {
    let least = |attack: &Attack, single: bool| {
        let alike =
            |other: &Attack| !other.black_box() && other.ball() == attack.ball() && (other.steps() == 1) == single;
        let numbers = plan.attacks.iter().enumerate().filter(|(_, a)| alike(a)).map(|(i, _)| i);
        numbers.map(|i| found.under(i).hit as usize).min()
    };
    !plan.cascade
        && plan.attacks.iter().any(|attack| match (least(attack, true), least(attack, false)) {
            (Some(one), Some(more)) => weaker_wins(one, more, found.clean.len()),
            _ => false,
        })
}

/// Whether samples that are correct under every attack with many gradient steps are misclassified under one without
/// gradients.
fn black_box_wins(plan: &AttackPlan, found: &Found) -> bool {
    let numbers = |test: &dyn Fn(&Attack) -> bool| -> Vec<usize> {
        (0..plan.attacks.len()).filter(|i| test(&plan.attacks[*i])).collect()
    };
    let strong = numbers(&|a| !a.black_box() && a.steps() >= STRONG);
    let blind = numbers(&|a| a.black_box() && a.ball().is_some());
    let fell = |i: usize, attacks: &[usize]| attacks.iter().any(|a| found.attacks[*a][i] == Some(false));
    let met = |i: usize| strong.iter().any(|a| found.attacks[*a][i].is_some());
    let beaten = (0..found.clean.len()).filter(|i| met(*i) && !fell(*i, &strong) && fell(*i, &blind)).count();
    beaten as f64 > (BLACK_BOX * found.clean.len() as f64).max(1.0)
}
