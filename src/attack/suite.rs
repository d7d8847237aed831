//! A plan of attacks over the samples of a data set: which are classified correctly clean, and which under attack.
//!
//! The result of a sample depends only on the classifier, the plan's attack, the seed and the sample. So the samples
//! may be divided into any batches, and a run may be interrupted: it is the list of its [`Verdicts`], and continued
//! from the first of them it gives the same.
//!
//! A [transfer](Suite::transfer) makes the attacks on one network, the source, and measures another with them.

use candle_core::Tensor;
use serde::{Deserialize, Serialize};

use super::ball::Ball;
use super::{Classifier, run};
use crate::data::loader::{Batch, Loader};
use crate::engine::{Logits, LossGradient};
use crate::error::{Error, Result};
use crate::loss::correct;
use crate::seed::Seed;
pub use crate::threat::Found;
use crate::threat::{Attack, AttackPlan};

/// A plan and what it is run on.
pub struct Suite<'a> {
    /// The attacks, fit for the classifier's number of classes; see [`AttackPlan::for_classes`].
    pub plan: &'a AttackPlan,
    /// The samples, a batch at a time, and where batches go.
    pub loader: &'a Loader<'a>,
    /// The seed of all random numbers.
    pub seed: Seed,
}

/// The results of one batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdicts {
    /// The attack's place in the plan; `None`: the clean images.
    pub attack: Option<usize>,
    /// The samples, as indices in the data set.
    pub ids: Vec<u32>,
    /// Whether each is classified correctly.
    pub stands: Vec<bool>,
    /// Whether each is classified correctly by the source of a transfer; empty where there is none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub source: Vec<bool>,
    /// Images that were outside the ball or the box; always 0, unless an attack has a bug.
    #[serde(rename = "strayed")]
    pub outside: u64,
}

/// A batch as it is finished.
pub struct Finished<'a> {
    /// Its results.
    pub verdicts: &'a Verdicts,
    /// The number of samples that its attack gets in all.
    pub given: usize,
    /// The true classes.
    pub labels: &'a [u32],
    /// The clean images, `[n, h, w, c]`.
    pub clean: &'a Tensor,
    /// The attacked images; the clean ones where nothing was attacked.
    pub attacked: &'a Tensor,
}

/// The results of a transfer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transferred {
    /// On the source: those of a direct attack on it.
    pub source: Found,
    /// On the other.
    pub target: Found,
}

impl Suite<'_> {
    /// Runs the plan. `known` are verdicts of an earlier part of the same run, in order; `report` is called with every
    /// new batch and may stop the run with an error.
    ///
    /// # Cost
    /// One forward pass per image, and [`Attack::passes`] of every attack per image that it gets: in a cascade those
    /// still correct, else those correct on the clean image. With `gradient_samples` gradients count as many times.
    ///
    /// # Errors
    /// [`Error::Net`] for verdicts that are not of this run; those of the attacks and of `report`.
    pub fn run(
        &self,
        classifier: &mut dyn Classifier,
        known: &[Verdicts],
        report: &mut dyn FnMut(Finished<'_>) -> Result<()>,
    ) -> Result<Found> {
        let [found] = self.passes([classifier], known, report)?;
        Ok(found)
    }

    /// Runs the plan on the source and measures the target with what comes out. An attack gets the samples that it
    /// would get on either network; for each network only those that it would get there count, so the source's results
    /// are those of [`Suite::run`] on it, and source and target have the same results if they are the same network.
    ///
    /// # Errors
    /// As [`Suite::run`].
    pub fn transfer(
        &self,
        source: &mut dyn Classifier,
        target: &mut dyn Classifier,
        known: &[Verdicts],
        report: &mut dyn FnMut(Finished<'_>) -> Result<()>,
    ) -> Result<Transferred> {
        let [source, target] = self.passes([source, target], known, report)?;
        Ok(Transferred { source, target })
    }

    /// Attacks the first of one or two networks and evaluates all of them.
    fn passes<const N: usize>(
        &self,
        mut networks: [&mut dyn Classifier; N],
        known: &[Verdicts],
        report: &mut dyn FnMut(Finished<'_>) -> Result<()>,
    ) -> Result<[Found; N]> {
        let ids = self.loader.ids;
        let mut outside = 0;
        let mut pass = |attack: Option<usize>, ids: &[u32]| -> Result<[Vec<bool>; N]> {
            let mut stands: [Vec<bool>; N] = std::array::from_fn(|_| Vec::with_capacity(ids.len()));
            for before in known.iter().filter(|v| v.attack == attack) {
                let next = ids.get(stands[0].len()..stands[0].len() + before.ids.len());
                let whole = before.by_network::<N>().all(|one| one.len() == before.ids.len());
                if next != Some(&before.ids) || !whole {
                    return Err(Error::Net("the verdicts to go on from are of other samples".into()));
                }
                stands.iter_mut().zip(before.by_network::<N>()).for_each(|(all, one)| all.extend(one));
                outside += before.outside;
            }
            let rest = self.loader.of(&ids[stands[0].len()..]);
            for batch in rest.plain() {
                let batch = batch?;
                let (verdicts, attacked) = self.judge(&mut networks, attack, &batch)?;
                report(Finished {
                    verdicts: &verdicts,
                    given: ids.len(),
                    labels: &batch.labels,
                    clean: &batch.images,
                    attacked: &attacked,
                })?;
                stands.iter_mut().zip(verdicts.by_network::<N>()).for_each(|(all, one)| all.extend(one));
                outside += verdicts.outside;
            }
            Ok(stands)
        };
        let mut found = pass(None, ids)?.map(Found::new);
        for number in 0..self.plan.attacks.len() {
            let left = |found: &Found, place: usize| {
                if self.plan.cascade { found.standing[place] } else { found.clean[place] }
            };
            let places: Vec<usize> = (0..ids.len()).filter(|i| found.iter().any(|f| left(f, *i))).collect();
            let stands = pass(Some(number), &places.iter().map(|i| ids[*i]).collect::<Vec<_>>())?;
            for (found, stands) in found.iter_mut().zip(stands) {
                let mut verdicts = vec![None; ids.len()];
                for (i, stands) in places.iter().zip(stands).filter(|(i, _)| left(found, **i)) {
                    verdicts[*i] = Some(stands);
                }
                found.standing.iter_mut().zip(&verdicts).for_each(|(all, one)| *all &= one.unwrap_or(true));
                found.attacks.push(verdicts);
            }
        }
        found.iter_mut().for_each(|f| f.outside = outside);
        Ok(found)
    }

    /// The images of an attack of the plan, by its index, for a batch. That of a sample does not depend on the rest of
    /// the batch.
    ///
    /// # Errors
    /// Those of the attack.
    pub fn attacked(&self, classifier: &mut dyn Classifier, attack: usize, batch: &Batch) -> Result<Tensor> {
        let (samples, attack) = (batch.samples(self.seed), &self.plan.attacks[attack]);
        match self.plan.gradient_samples {
            0 | 1 => run(classifier, samples, attack),
            times => run(&mut Averaged { classifier, times }, samples, attack),
        }
    }

    /// Attacks a batch on the first of the networks and evaluates all of them on the result.
    fn judge<const N: usize>(
        &self,
        networks: &mut [&mut dyn Classifier; N],
        attack: Option<usize>,
        batch: &Batch,
    ) -> Result<(Verdicts, Tensor)> {
        let Batch { images, labels, ids, .. } = batch;
        let attacked = match attack {
            None => images.clone(),
            Some(attack) => self.attacked(&mut *networks[0], attack, batch)?,
        };
        let outside = match attack.map(|i| &self.plan.attacks[i]) {
            None => 0,
            Some(attack) => outside(attack, images, &attacked)?,
        };
        let mut answers = Vec::with_capacity(N);
        for network in networks {
            answers.push(correct(&network.logits(&attacked)?, labels).collect());
        }
        let stands = answers.pop().unwrap_or_default();
        let source = answers.pop().unwrap_or_default();
        Ok((Verdicts { attack, ids: ids.clone(), stands, source, outside }, attacked))
    }
}

impl Verdicts {
    /// The answers of one network, or of the source and the target of a transfer.
    fn by_network<const N: usize>(&self) -> impl Iterator<Item = &Vec<bool>> {
        [&self.source, &self.stands].into_iter().skip(2 - N)
    }
}

/// The number of images outside the attack's ball or the box.
fn outside(attack: &Attack, clean: &Tensor, attacked: &Tensor) -> Result<u64> {
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
/// randomised classifiers. The logits are those of the last pass.
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
