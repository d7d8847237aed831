//! Doubts: signs that an attack was blind or mistaken, so that a high robust accuracy says little. `docs/attacks.md` tells
//! when each is raised, what it means and what to do.
//!
//! [`guesses`] reads which clean images are right, [`look`] asks the classifier, [`probe`] tries small attacks on it,
//! [`judge`] reads what a plan found; [`raised`] does all of them on samples of a data set. The signs follow Athalye et
//! al. 2018, Carlini et al. 2019 and the warnings of AutoAttack.

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

/// Samples that are enough to look at and to probe.
pub const ENOUGH: usize = 64;
/// Clean passes that must agree.
const PASSES: usize = 5;
/// How far logits of unit length may differ between passes; the order of sums on a parallel machine is no randomness.
const AGREE: f64 = 1e-4;
/// How far probabilities may be from adding up to one.
const SUM: f64 = 1e-5;
/// The share of samples on which a sign is a sign; fewer may be chance.
const MANY: f64 = 0.1;
/// By how much of the samples a weaker attack may be the stronger one.
const SLACK: f64 = 0.02;
/// By how much of the samples an attack without gradients may be the stronger one: AutoAttack's figure.
const BLACK_BOX: f64 = 0.002;
/// Gradient steps from which on an attack is expected to beat those without gradients.
const STRONG: u32 = 10;

/// Every check that a result raises, of all that are made: [`judge`] of the verdicts, [`guesses`] of the clean answers, and
/// [`look`] and, if wanted, [`probe`] of the first samples that are right clean.
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

/// What it tells which of the clean images, with these labels, are right: whether the answers say anything about the images.
/// An attack can do nothing to a constant answer, so all that is right would stay right.
///
/// Chance is the share of the most frequent class, which the best constant answer gets. A sample of one class tells
/// nothing.
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
    // A class that is right throughout, and nothing else.
    if classes.values().any(|class| class.hit == class.total && class.hit == whole.hit) {
        raised.push(Check::ConstantAnswer);
    }
    let most = classes.values().map(|class| class.total).max().unwrap_or_default();
    if whole.wilson95().0 <= (Tally { hit: most, ..whole }).rate() {
        raised.push(Check::CleanAtChance);
    }
    raised
}

/// What the classifier's answers to clean images, and the gradient there, tell.
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

/// What small attacks on correctly classified samples tell: a ball of radius zero, one step against ten, a ball that holds
/// nearly every image. They are made under Linf whatever the plan's norm: they ask for the use of the gradient.
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

/// Whether the attack that should be weaker clearly left fewer of `n` samples. A tie in a few samples is no sign.
fn weaker_wins(weaker: usize, stronger: usize, n: usize) -> bool {
    (stronger as f64 - weaker as f64) > SLACK * n as f64
}

/// What the results of a plan tell.
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

/// Whether one signed step of some radius left clearly fewer samples than many steps in the same ball. Only attacks that
/// were given the same samples can be compared.
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

/// Whether samples that every attack with many gradient steps left standing fell to one without gradients in a ball.
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
