//! Auto-PGD under Linf and L2 (Croce and Hein 2020, algorithm 1): ascent with momentum from the best point so far, whose
//! step halves at checkpoints when the loss stalls. Untargeted, or against one class after the other (APGD-T).
//!
//! Two details of the authors' code differ from the paper and are kept, since published results have them. The loss after the
//! first step is compared with zero, not with the loss at the start. And where the paper's second condition (equation 9) is
//! that step and best loss are both unchanged since the last checkpoint, the code tests whether the step was halved there.
//!
//! Differences: a sample leaves the batch as soon as it is misclassified, where the authors' code goes on and keeps the
//! latest such point. Every sample has its own random stream.

use candle_core::Tensor;
use rayon::prelude::*;

use super::ball::Ball;
use super::cases::{Case, View, clean_rows, on_host, until_fooled};
use super::climber::{Climber, ask};
use super::{Classifier, Samples};
use crate::error::Result;
use crate::loss::{Aim, targets};
use crate::seed::Seed;
use crate::threat::{Apgd, Norm};

/// Share of a step that is new; the rest repeats the step before.
const ALPHA: f32 = 0.75;
/// The first step, in radii.
const FIRST_STEP: f32 = 2.0;

/// Attacks a batch: for every sample the first misclassified point, else the clean image. The norm is Linf or L2.
///
/// # Errors
/// Those of [`run`](super::run).
///
/// # Cost
/// At most `max(targets, 1) * restarts * (steps + 1)` forward and backward passes an image, fewer once it is misclassified; with
/// targets one forward pass more, for the order of the classes. Seven images of state each.
pub fn apgd(classifier: &mut dyn Classifier, samples: Samples<'_>, attack: &Apgd) -> Result<Tensor> {
    on_host(classifier, samples, |view, cases| {
        every_target(view, cases, attack, &mut |view, cases, aims, run| {
            let climbed = climb(view, cases, aims, &Climb { attack, run, whole: false })?;
            Ok(climbed.into_iter().map(|c| c.fooled).collect())
        })
    })
}

/// One start of an attack on some cases; the index `run` selects its random numbers.
type OneStart<'s> = dyn FnMut(&mut View<'_>, &[Case<'_>], &[Aim<'_>], usize) -> Result<Vec<Option<Vec<f32>>>> + 's;

/// Every target with every restart, on the cases that are not misclassified yet.
pub(super) fn every_target(
    view: &mut View<'_>,
    cases: &[Case<'_>],
    attack: &Apgd,
    start: &mut OneStart<'_>,
) -> Result<Vec<Option<Vec<f32>>>> {
    let restarts = attack.restarts.max(1) as usize;
    if attack.targets == 0 {
        return until_fooled(cases, restarts, |run, cases, _| {
            let aims: Vec<Aim<'_>> = cases.iter().map(|c| Aim::away(attack.loss, c.label)).collect();
            start(view, cases, &aims, run)
        });
    }
    let order: Vec<Vec<usize>> =
        clean_rows(view, cases)?.iter().zip(cases).map(|(row, c)| targets(row, c.label)).collect();
    let classes = order.first().map_or(0, Vec::len).min(attack.targets as usize);
    until_fooled(cases, classes * restarts, |run, cases, which| {
        let target = |i: &usize| Some(order[*i][run / restarts]);
        let aims = cases.iter().zip(which).map(|(c, i)| Aim { target: target(i), ..Aim::away(attack.loss, c.label) });
        start(view, cases, &aims.collect::<Vec<_>>(), run)
    })
}

/// One climb from one start.
pub struct Climb<'a> {
    /// The constants.
    pub attack: &'a Apgd,
    /// The index of the start; its random numbers depend on it.
    pub run: usize,
    /// Whether a sample takes all steps, for training on the point of highest loss; else it stops when misclassified.
    pub whole: bool,
}

/// What a climb found.
#[derive(Clone, Debug)]
pub struct Climbed {
    /// The first misclassified point.
    pub fooled: Option<Vec<f32>>,
    /// The point of highest loss.
    pub best: Vec<f32>,
    /// Its loss.
    pub best_loss: f64,
}

/// The part of an image's state that Linf and L2 need.
struct Pace {
    /// The iterate before.
    before: Vec<f32>,
    stall: Stall,
}

/// Climbs from one start on every case.
///
/// # Errors
/// Those of the classifier.
///
/// # Cost
/// `steps + 1` forward and backward passes a case; without `whole` fewer once it is misclassified.
pub fn climb<'a>(view: &mut View<'_>, cases: &[Case<'a>], aims: &[Aim<'a>], climb: &Climb<'_>) -> Result<Vec<Climbed>> {
    let Climb { attack, run, whole } = *climb;
    let ball = Ball::new(attack.norm, attack.eps.value());
    let begin = |(case, aim): (&Case<'a>, &Aim<'a>)| {
        let mut x = case.clean.to_vec();
        if attack.random_start {
            start(ball, &mut x, case.seed.child("start").index(run as u64));
        }
        let pace = Pace { before: x.clone(), stall: Stall::new(f64::NEG_INFINITY) };
        Climber::new(*case, *aim, x, FIRST_STEP * ball.eps, pace)
    };
    let mut climbers: Vec<Climber<'_, Pace>> = cases.iter().zip(aims).map(begin).collect();
    if climbers.is_empty() {
        return Ok(Vec::new());
    }
    ask(view, climbers.iter_mut().collect(), true, |c, loss| c.pace.stall = Stall::new(loss))?;
    let mut window = Window::new(attack.steps);
    for i in 0..attack.steps {
        let mut moving: Vec<&mut Climber<'_, Pace>> =
            climbers.iter_mut().filter(|c| whole || c.fooled.is_none()).collect();
        if moving.is_empty() {
            break;
        }
        let share = if i == 0 { 1.0 } else { ALPHA };
        moving.par_iter_mut().for_each(|c| c.advance(ball, share));
        let length = window.closes();
        ask(view, moving, true, |c, loss| {
            c.pace.stall.see(loss);
            if let Some(length) = length {
                c.check(length, attack.rho.value());
            }
        })?;
    }
    Ok(climbers.into_iter().map(|c| Climbed { fooled: c.fooled, best: c.best, best_loss: c.best_loss }).collect())
}

/// Moves `x` to a random start: under Linf noise whose largest entry is the radius, under L2 a random direction of that
/// length.
fn start(ball: Ball, x: &mut [f32], seed: Seed) {
    let mut stream = seed.stream();
    let noise: Vec<f32> = match ball.norm {
        Norm::Linf => x.iter().map(|_| stream.uniform_in(-1.0, 1.0)).collect(),
        Norm::L2 | Norm::L1 => x.iter().map(|_| stream.normal()).collect(),
    };
    let scale = ball.eps / super::ball::size(ball.norm, noise.iter().copied()).max(1e-12) as f32;
    for (x, v) in x.iter_mut().zip(noise) {
        *x = (*x + scale * v).clamp(0.0, 1.0);
    }
}

impl Climber<'_, Pace> {
    /// A step along the gradient, averaged with the step before: `x + alpha (z - x) + (1 - alpha) (x - before)`.
    fn advance(&mut self, ball: Ball, share: f32) {
        let mut next = self.x.clone();
        ball.ascend(&mut next, &self.gradient, self.step);
        ball.retract(&mut next, self.case.clean);
        for ((z, x), before) in next.iter_mut().zip(&self.x).zip(&self.pace.before) {
            *z = x + (*z - x) * share + (x - before) * (1.0 - share);
        }
        ball.retract(&mut next, self.case.clean);
        self.pace.before = std::mem::replace(&mut self.x, next);
    }

    /// At the end of a window: halves the step and goes back to the best point, if the loss stalls.
    fn check(&mut self, length: u32, rho: f64) {
        if self.pace.stall.close(self.best_loss, length, rho) {
            self.step /= 2.0;
            self.turn_back();
        }
    }
}

/// Whether a loss has stopped rising.
struct Stall {
    last: f64,
    rises: u32,
    best_then: f64,
    halved_then: bool,
}

impl Stall {
    fn new(loss_at_start: f64) -> Self {
        Stall { last: 0.0, rises: 0, best_then: loss_at_start, halved_then: true }
    }

    fn see(&mut self, loss: f64) {
        self.rises += u32::from(loss > self.last);
        self.last = loss;
    }

    /// At the end of a window of steps.
    fn close(&mut self, best: f64, length: u32, rho: f64) -> bool {
        let few_rises = f64::from(self.rises) <= rho * f64::from(length);
        let no_gain = !self.halved_then && self.best_then >= best;
        (self.rises, self.best_then, self.halved_then) = (0, best, few_rises || no_gain);
        self.halved_then
    }
}

/// The windows between checkpoints: 22 % of the steps, then each 3 % shorter, no shorter than 6 %.
struct Window {
    length: u32,
    shrink: u32,
    shortest: u32,
    seen: u32,
}

impl Window {
    fn new(steps: u32) -> Self {
        let share = |percent: u32| (steps * percent / 100).max(1);
        Window { length: share(22), shrink: share(3), shortest: share(6), seen: 0 }
    }

    /// Counts a step; the window's length, if this was its last.
    fn closes(&mut self) -> Option<u32> {
        self.seen += 1;
        if self.seen < self.length {
            return None;
        }
        let length = self.length;
        self.seen = 0;
        self.length = length.saturating_sub(self.shrink).max(self.shortest);
        Some(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checkpoints(steps: u32) -> Vec<u32> {
        let mut window = Window::new(steps);
        (1..=steps).filter(|_| window.closes().is_some()).collect()
    }

    /// Known answers: the checkpoints of the official code.
    #[test]
    fn checkpoints_known_answers() {
        assert_eq!(checkpoints(100), [22, 41, 57, 70, 80, 87, 93, 99]);
        assert_eq!(checkpoints(50), [11, 21, 30, 38, 45]);
        assert_eq!(checkpoints(40), [8, 15, 21, 26, 30, 33, 35, 37, 39]);
        assert_eq!(checkpoints(20)[..5], [4, 7, 9, 10, 11]);
        assert_eq!(checkpoints(20).last(), Some(&20));
        assert_eq!(checkpoints(200), [44, 82, 114, 140, 160, 174, 186, 198]);
    }

    /// How often a loss that follows a rule has its step halved in 100 steps.
    fn halvings(loss: impl Fn(u32) -> f64) -> u32 {
        let (mut window, mut stall) = (Window::new(100), Stall::new(loss(0)));
        let (mut best, mut count) = (loss(0), 0);
        for i in 1..=100 {
            best = best.max(loss(i));
            stall.see(loss(i));
            if let Some(length) = window.closes() {
                count += u32::from(stall.close(best, length, 0.75));
            }
        }
        count
    }

    #[test]
    fn a_constant_loss_halves_at_all_checkpoints_and_a_rising_one_never() {
        assert_eq!(halvings(|_| 1.0), 8);
        assert_eq!(halvings(f64::from), 0);
    }

    /// The thresholds of the first condition: it does not hold for 17 rises of 22, and holds for 16.
    #[test]
    fn enough_rises() {
        for (length, enough) in [(22, 17), (19, 15), (16, 13), (13, 10), (10, 8), (7, 6), (6, 5)] {
            for (rises, stalls) in [(enough, false), (enough - 1, true)] {
                let mut stall = Stall { last: 0.0, rises, best_then: 0.0, halved_then: true };
                assert_eq!(stall.close(1.0, length, 0.75), stalls, "{rises} of {length}");
            }
        }
    }

    /// The first loss of a run is compared with zero, not with the loss at the start.
    #[test]
    fn the_first_step_is_compared_with_zero() {
        let mut stall = Stall::new(5.0);
        stall.see(3.0);
        assert_eq!(stall.rises, 1);
    }
}
