//! The state of an image in Auto-PGD, and the evaluation of loss and gradient, for all norms. Step rule and restart rule are
//! those of the norm.

use super::cases::{Case, View};
use crate::error::Result;
use crate::loss::Aim;

/// The state of one image.
pub(super) struct Climber<'a, Pace> {
    pub case: Case<'a>,
    pub aim: Aim<'a>,
    pub x: Vec<f32>,
    /// Gradient of the loss at `x`.
    pub gradient: Vec<f32>,
    pub best: Vec<f32>,
    pub best_gradient: Vec<f32>,
    pub best_loss: f64,
    /// The first misclassified point.
    pub fooled: Option<Vec<f32>>,
    /// Length of a step.
    pub step: f32,
    /// State that only one norm needs.
    pub pace: Pace,
}

impl<'a, Pace> Climber<'a, Pace> {
    /// At its start, not evaluated yet.
    pub fn new(case: Case<'a>, aim: Aim<'a>, x: Vec<f32>, step: f32, pace: Pace) -> Self {
        let (best, flat) = (x.clone(), vec![0.0; x.len()]);
        let (gradient, best_gradient, best_loss, fooled) = (flat.clone(), flat, f64::NEG_INFINITY, None);
        Climber { case, aim, x, gradient, best, best_gradient, best_loss, fooled, step, pace }
    }

    /// Records logits and gradient at `x`, with `counts` also whether it is misclassified; returns the loss.
    fn look(&mut self, row: &[f64], gradient: &[f32], counts: bool) -> f64 {
        let (loss, _) = self.aim.of(row);
        self.gradient.copy_from_slice(gradient);
        if counts && self.fooled.is_none() && self.case.fooled(row) {
            self.fooled = Some(self.x.clone());
        }
        if loss > self.best_loss {
            self.best_loss = loss;
            self.best.copy_from_slice(&self.x);
            self.best_gradient.copy_from_slice(gradient);
        }
        loss
    }

    /// Goes back to the best point so far.
    pub fn turn_back(&mut self) {
        self.x.copy_from_slice(&self.best);
        self.gradient.copy_from_slice(&self.best_gradient);
    }
}

/// Evaluates loss and gradient at the iterates of at least one climber, then calls `then` with each and its loss.
pub(super) fn ask<'a, Pace>(
    view: &mut View<'_>,
    climbers: Vec<&mut Climber<'a, Pace>>,
    counts: bool,
    mut then: impl FnMut(&mut Climber<'a, Pace>, f64),
) -> Result<()> {
    let x: Vec<f32> = climbers.iter().flat_map(|c| c.x.iter().copied()).collect();
    let aims: Vec<Aim<'_>> = climbers.iter().map(|c| c.aim).collect();
    let (logits, gradient) = view.gradient(&x, &aims)?;
    let one = x.len() / climbers.len();
    for ((c, row), gradient) in climbers.into_iter().zip(logits.rows()).zip(gradient.chunks_exact(one)) {
        let loss = c.look(row, gradient, counts);
        then(c, loss);
    }
    Ok(())
}
