//! A plan of attacks over the samples of a data set: who is right clean, and who stays right.
//!
//! The verdict on a sample depends on the classifier, the plan's attack, the seed and the sample alone. So the samples may
//! be cut into batches anywhere, shared out, or left and taken up again: a run is the list of its [`Verdicts`], and one
//! continued from the first of them gives the same.

use candle_core::Tensor;
use serde::{Deserialize, Serialize};

use super::ball::Ball;
use super::{Classifier, Samples, run};
use crate::engine::{Logits, LossGradient};
use crate::error::{Error, Result};
use crate::seed::Seed;
use crate::threat::{Attack, AttackPlan};
use crate::train::fit::{Batch, Loader};
use crate::train::loss::correct;
use crate::units::Tally;

/// A plan and what it is run on.
pub struct Suite<'a> {
    /// The attacks, fit for the classifier's number of classes; see [`AttackPlan::for_classes`].
    pub plan: &'a AttackPlan,
    /// The samples, a batch at a time, and where batches go.
    pub loader: &'a Loader<'a>,
    /// The seed of all random numbers.
    pub seed: Seed,
}

/// What one batch gave.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdicts {
    /// The attack's place in the plan; `None`: the clean images.
    pub attack: Option<usize>,
    /// The samples, by number.
    pub ids: Vec<u32>,
    /// Whether each is classified correctly.
    pub stands: Vec<bool>,
    /// Images that were outside the ball or the box; always 0 but for a mistake in an attack.
    pub strayed: u64,
}

/// A batch as it is finished.
pub struct Finished<'a> {
    /// What it gave.
    pub verdicts: &'a Verdicts,
    /// The true classes.
    pub labels: &'a [u32],
    /// The clean images, `[n, h, w, c]`.
    pub clean: &'a Tensor,
    /// The attacked images; the clean ones where nothing was attacked.
    pub attacked: &'a Tensor,
}

/// What became of the samples, in the loader's order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Right on the clean image.
    pub clean: Vec<bool>,
    /// Under each attack of the plan; `None` for a sample that it was not given.
    pub attacks: Vec<Vec<Option<bool>>>,
    /// Right clean and under every attack: the worst case.
    pub standing: Vec<bool>,
    /// Adversarial images outside ball or box.
    pub strayed: u64,
}

impl Found {
    /// Accuracy on clean images.
    pub fn clean(&self) -> Tally {
        tally(self.clean.iter().copied())
    }

    /// Accuracy in the worst case over all attacks.
    pub fn robust(&self) -> Tally {
        tally(self.standing.iter().copied())
    }

    /// The share of all samples that an attack of the plan left right, of those it was given.
    pub fn under(&self, attack: usize) -> Tally {
        tally(self.attacks[attack].iter().map(|s| *s == Some(true)))
    }

    /// The first attack that a sample, by its place, fell to.
    pub fn fell_to(&self, place: usize) -> Option<usize> {
        self.attacks.iter().position(|a| a[place] == Some(false))
    }

    /// Accuracy in the worst case over the attacks up to this one.
    pub fn robust_after(&self, attack: usize) -> Tally {
        let fell = |i: usize| self.attacks[..=attack].iter().any(|a| a[i] == Some(false));
        tally((0..self.clean.len()).map(|i| self.clean[i] && !fell(i)))
    }

    /// How many samples an attack was given.
    pub fn attacked(&self, attack: usize) -> u64 {
        self.attacks[attack].iter().flatten().count() as u64
    }
}

fn tally(hits: impl Iterator<Item = bool>) -> Tally {
    hits.fold(Tally::default(), |mut sum, hit| {
        sum += Tally { hit: u64::from(hit), total: 1 };
        sum
    })
}

impl Suite<'_> {
    /// Runs the plan. `known` are verdicts of an earlier part of the same run, in its order; `report` is told every new
    /// batch and may stop the run with an error.
    ///
    /// # Errors
    /// [`Error::Net`] for verdicts that are not of this run.
    pub fn run(
        &self,
        classifier: &mut dyn Classifier,
        known: &[Verdicts],
        report: &mut dyn FnMut(Finished<'_>) -> Result<()>,
    ) -> Result<Found> {
        let ids = self.loader.ids;
        let mut strayed = 0;
        let mut pass = |attack: Option<usize>, ids: &[u32]| -> Result<Vec<bool>> {
            let mut stands = Vec::with_capacity(ids.len());
            for before in known.iter().filter(|v| v.attack == attack) {
                if ids.get(stands.len()..stands.len() + before.ids.len()) != Some(&before.ids) {
                    return Err(Error::Net("the verdicts to go on from are of other samples".into()));
                }
                stands.extend(&before.stands);
                strayed += before.strayed;
            }
            let rest = Loader { ids: &ids[stands.len()..], augment: None, ..*self.loader };
            for batch in rest.plain() {
                let batch = batch?;
                let (verdicts, attacked) = self.judge(classifier, attack, &batch)?;
                report(Finished {
                    verdicts: &verdicts,
                    labels: &batch.labels,
                    clean: &batch.images,
                    attacked: &attacked,
                })?;
                stands.extend(&verdicts.stands);
                strayed += verdicts.strayed;
            }
            Ok(stands)
        };
        let clean = pass(None, ids)?;
        let mut standing = clean.clone();
        let mut attacks = Vec::with_capacity(self.plan.attacks.len());
        for number in 0..self.plan.attacks.len() {
            let given = if self.plan.cascade { &standing } else { &clean };
            let places: Vec<usize> = (0..ids.len()).filter(|i| given[*i]).collect();
            let stands = pass(Some(number), &places.iter().map(|i| ids[*i]).collect::<Vec<_>>())?;
            let mut verdicts = vec![None; ids.len()];
            for (i, stands) in places.into_iter().zip(stands) {
                verdicts[i] = Some(stands);
                standing[i] &= stands;
            }
            attacks.push(verdicts);
        }
        Ok(Found { clean, attacks, standing, strayed })
    }

    /// What the attack of a number in the plan makes of a batch: of each sample the same image, whatever else is in it.
    ///
    /// # Errors
    /// Those of the attack.
    pub fn attacked(&self, classifier: &mut dyn Classifier, attack: usize, batch: &Batch) -> Result<Tensor> {
        let Batch { images, labels, ids, .. } = batch;
        let (samples, attack) = (Samples { images, labels, ids, seed: self.seed }, &self.plan.attacks[attack]);
        match self.plan.gradient_samples {
            0 | 1 => run(classifier, samples, attack),
            times => run(&mut Averaged { classifier, times }, samples, attack),
        }
    }

    /// Attacks a batch and asks the classifier for its answers to what came out.
    fn judge(
        &self,
        classifier: &mut dyn Classifier,
        attack: Option<usize>,
        batch: &Batch,
    ) -> Result<(Verdicts, Tensor)> {
        let Batch { images, labels, ids, .. } = batch;
        let attacked = match attack {
            None => images.clone(),
            Some(attack) => self.attacked(classifier, attack, batch)?,
        };
        let strayed = match attack.map(|i| &self.plan.attacks[i]) {
            None => 0,
            Some(attack) => strayed(attack, images, &attacked)?,
        };
        let stands = correct(&classifier.logits(&attacked)?, labels).collect();
        Ok((Verdicts { attack, ids: ids.clone(), stands, strayed }, attacked))
    }
}

/// How many images are outside the attack's ball or the box.
fn strayed(attack: &Attack, clean: &Tensor, attacked: &Tensor) -> Result<u64> {
    // An attack of the PGD family that does not clip promises no box.
    if matches!(attack, Attack::Pgd(pgd) if !pgd.clip) {
        return Ok(0);
    }
    let ball = attack.ball().map(|(norm, eps)| Ball::new(norm, eps.value()));
    let rows = |t: &Tensor| -> Result<Vec<Vec<f32>>> { Ok(t.flatten_from(1)?.to_vec2()?) };
    let inside = |x: &[f32], clean: &[f32]| match ball {
        Some(ball) => ball.holds(x, clean),
        None => x.iter().all(|v| (0.0..=1.0).contains(v)),
    };
    Ok(rows(attacked)?.iter().zip(rows(clean)?).filter(|(x, clean)| !inside(x, clean)).count() as u64)
}

/// A classifier whose gradient is the mean of several: expectation over transformation (Athalye et al. 2018), for
/// classifiers that answer at random. The logits are the last pass's.
struct Averaged<'a> {
    classifier: &'a mut dyn Classifier,
    times: u32,
}

impl Classifier for Averaged<'_> {
    fn logits(&mut self, x: &Tensor) -> Result<Logits> {
        self.classifier.logits(x)
    }

    fn input_gradient(&mut self, x: &Tensor, loss: &dyn Fn(&Logits) -> LossGradient) -> Result<(Logits, Tensor)> {
        let (mut logits, mut sum) = self.classifier.input_gradient(x, loss)?;
        for _ in 1..self.times {
            let (last, gradient) = self.classifier.input_gradient(x, loss)?;
            (logits, sum) = (last, (sum + gradient)?);
        }
        Ok((logits, (sum / f64::from(self.times))?))
    }
}
