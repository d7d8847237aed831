//! Auto-PGD under L1 (Croce and Hein 2021, algorithm 1): sparse steps in balls that shrink from three radii to one,
//! projected exactly onto ball and box; how many entries move follows the sparsity of the best point so far.
//!
//! Differences: a sample leaves the batch as soon as it is misclassified inside the smallest ball, and every sample has its own
//! random stream.

use candle_core::Tensor;
use rayon::prelude::*;

use super::apgd::every_target;
use super::ball::{Ball, sign};
use super::cases::{Case, View, on_host};
use super::climber::{Climber, ask};
use super::{Classifier, Samples};
use crate::error::Result;
use crate::loss::Aim;
use crate::seed::Seed;
use crate::threat::{Apgd, Norm};

/// Radii of the stages, in radii of the ball, and their shares of the steps in per cent; the last takes the rest.
const STAGES: [(f32, u32); 3] = [(3.0, 30), (2.0, 30), (1.0, 40)];
/// Share of the entries that move at first.
const FIRST_SHARE: f64 = 0.2;
/// Later as many as the best point has changed, divided by this.
const SPARSER: f64 = 1.5;
/// A best point sparser than this share of the one before restarts with the longest step.
const MUCH_SPARSER: f64 = 0.95;
/// The shortest step, as a share of the longest.
const SHORTEST: f32 = 0.1;
/// A window's share of a stage's steps, in per cent.
const WINDOW: u32 = 4;

/// Attacks a batch: for every sample the first misclassified point, else the clean image.
///
/// # Cost
/// At most `max(targets, 1) * restarts * (steps + 3)` forward and backward passes an image (each of the three stages evaluates
/// its start), fewer once it is misclassified; with targets one forward pass more, for the order of the classes. Six images of
/// state each.
pub fn apgd(classifier: &mut dyn Classifier, samples: Samples<'_>, attack: &Apgd) -> Result<Tensor> {
    on_host(classifier, samples, |view, cases| {
        every_target(view, cases, attack, &mut |view, cases, aims, run| climb(view, cases, aims, attack, run))
    })
}

/// The part of an image's state that L1 needs.
struct Pace {
    /// Share of the entries that move.
    share: f64,
    /// Changed entries of the best point at the last checkpoint.
    changed: f64,
}

fn climb(
    view: &mut View<'_>,
    cases: &[Case<'_>],
    aims: &[Aim<'_>],
    attack: &Apgd,
    run: usize,
) -> Result<Vec<Option<Vec<f32>>>> {
    let eps = attack.eps.value() as f32;
    let widest = Ball { norm: Norm::L1, eps: STAGES[0].0 * eps };
    let mut climbers: Vec<Climber<'_, Pace>> = cases
        .par_iter()
        .zip(aims)
        .map(|(case, aim)| {
            let x = start(case, widest, attack.random_start, case.seed.child("start").index(run as u64));
            Climber::new(*case, *aim, x, 0.0, Pace { share: FIRST_SHARE, changed: 0.0 })
        })
        .collect();
    let mut left = attack.steps;
    for (number, (radii, percent)) in STAGES.into_iter().enumerate() {
        let last = number + 1 == STAGES.len();
        let steps = if last { left } else { (attack.steps * percent).div_ceil(100).min(left) };
        left -= steps;
        stage(view, &mut climbers, &Stage { ball: Ball { norm: Norm::L1, eps: radii * eps }, steps, last })?;
    }
    Ok(climbers.into_iter().map(|c| c.fooled).collect())
}

/// The clean image, or one with noise in every entry, in the widest ball.
fn start(case: &Case<'_>, ball: Ball, random: bool, seed: Seed) -> Vec<f32> {
    let mut x = case.clean.to_vec();
    if random {
        let mut stream = seed.stream();
        x.iter_mut().for_each(|x| *x += stream.normal());
        ball.project(&mut x, case.clean, true);
    }
    x
}

/// A number of steps in one ball.
struct Stage {
    ball: Ball,
    steps: u32,
    /// Whether a misclassified point counts.
    last: bool,
}

fn stage(view: &mut View<'_>, climbers: &mut [Climber<'_, Pace>], stage: &Stage) -> Result<()> {
    let window = (stage.steps * WINDOW / 100).max(1);
    climbers.par_iter_mut().for_each(|c| c.enter(stage.ball));
    for i in 0..=stage.steps {
        let mut moving: Vec<&mut Climber<'_, Pace>> = climbers.iter_mut().filter(|c| c.fooled.is_none()).collect();
        if moving.is_empty() {
            break;
        }
        if i > 0 {
            moving.par_iter_mut().for_each(|c| c.advance(stage.ball));
        }
        ask(view, moving, stage.last, |c, _| {
            if i > 0 && i % window == 0 {
                c.check(stage.ball.eps);
            }
        })?;
    }
    Ok(())
}

/// Entries in which two images differ.
fn changed(x: &[f32], clean: &[f32]) -> f64 {
    x.iter().zip(clean).filter(|(x, c)| (*x - *c).abs() > 1e-10).count() as f64
}

impl Climber<'_, Pace> {
    /// Begins a stage at the best point so far, brought into the stage's ball.
    fn enter(&mut self, ball: Ball) {
        self.x.copy_from_slice(&self.best);
        ball.project(&mut self.x, self.case.clean, true);
        self.best_loss = f64::NEG_INFINITY;
        self.step = ball.eps;
        // Nothing is changed yet where a climb begins at the clean image.
        (self.pace.share, self.pace.changed) = match changed(&self.x, self.case.clean) {
            0.0 => (FIRST_SHARE, self.x.len() as f64),
            entries => (entries / self.x.len() as f64 / SPARSER, entries),
        };
    }

    /// A step along the signs of the largest entries of the gradient.
    fn advance(&mut self, ball: Ball) {
        let count = ((self.pace.share * self.x.len() as f64) as usize).clamp(1, self.x.len());
        let mut order: Vec<usize> = (0..self.x.len()).collect();
        order.select_nth_unstable_by(count - 1, |a, b| {
            self.gradient[*b].abs().total_cmp(&self.gradient[*a].abs()).then(a.cmp(b))
        });
        order.truncate(count);
        order.retain(|i| self.gradient[*i] != 0.0);
        let length = self.step / order.len().max(1) as f32;
        for i in order {
            self.x[i] += length * sign(self.gradient[i]);
        }
        ball.project(&mut self.x, self.case.clean, true);
    }

    /// At the end of a window: fewer entries, and a shorter step unless the best point became much sparser.
    fn check(&mut self, longest: f32) {
        let now = changed(&self.best, self.case.clean);
        let ratio = now / self.pace.changed.max(1.0);
        self.pace.share = now / self.x.len() as f64 / SPARSER;
        self.pace.changed = now;
        if ratio < MUCH_SPARSER {
            self.step = longest;
            self.turn_back();
        } else {
            self.step = (self.step / SPARSER as f32).max(SHORTEST * longest);
        }
    }
}
