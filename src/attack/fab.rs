//! Fast adaptive boundary attack (Croce and Hein 2020, algorithm 1): steps onto the linearised decision boundary, kept
//! close to the clean image, in search of the smallest change. Untargeted, or against one class after the other (FAB-T).
//!
//! Differences from the authors' code: a sample leaves the batch at the first misclassified point inside the ball, since
//! a smaller change would not count for more; every sample has its own random stream.

use candle_core::Tensor;
use rayon::prelude::*;

use super::ball::{distance, size};
use super::cases::{Case, View, clean_rows, on_host, until_fooled};
use super::hyperplane::Hyperplane;
use super::{Classifier, Samples};
use crate::engine::Logits;
use crate::error::Result;
use crate::loss::{Aim, targets};
use crate::threat::{Fab, Loss, Norm};

/// Lower bound on the length of a projection, against division by zero.
const SHORTEST: f64 = 1e-8;

/// Attacks a batch: for every sample a misclassified point inside the ball, if one was found, else the clean image.
///
/// # Errors
/// Those of [`run`](super::run).
///
/// # Cost
/// One forward pass an image, then at most `targets * restarts * steps` gradients (a forward and a backward pass each) and as many
/// forward passes, fewer once it is misclassified inside the ball. Untargeted, a step takes one gradient per other class:
/// `restarts * steps * (classes - 1)` in all. Five images of state each.
pub fn fab(classifier: &mut dyn Classifier, samples: Samples<'_>, attack: &Fab) -> Result<Tensor> {
    on_host(classifier, samples, |view, cases| {
        let restarts = attack.restarts.max(1) as usize;
        let order: Vec<Vec<usize>> =
            clean_rows(view, cases)?.iter().zip(cases).map(|(row, c)| targets(row, c.label)).collect();
        let classes = order.first().map_or(0, Vec::len);
        let runs = if attack.targets == 0 { 1 } else { classes.min(attack.targets as usize) };
        // The smallest change found so far, of every case: restarts begin near the clean image by its length.
        let mut nearest = vec![f64::INFINITY; cases.len()];
        until_fooled(cases, runs * restarts, |run, cases, which| {
            let mut seekers: Vec<Seeker<'_>> = cases
                .iter()
                .zip(which)
                .map(|(case, i)| {
                    let rivals = match attack.targets {
                        0 => order[*i].clone(),
                        _ => vec![order[*i][run / restarts]],
                    };
                    Seeker { case: *case, rivals, x: begin(case, attack, run % restarts, nearest[*i]), best: None }
                })
                .collect();
            seek(view, &mut seekers, attack)?;
            for (seeker, i) in seekers.iter().zip(which) {
                nearest[*i] = nearest[*i].min(seeker.nearest());
            }
            let eps = attack.eps.value();
            Ok(seekers.into_iter().map(|s| s.best.filter(|b| inside(b.0, eps)).map(|b| b.1)).collect())
        })
    })
}

/// The distance of the nearest misclassified point that one start finds without a ball, against the runner-up class or, without
/// targets, every other; infinite where it finds none.
///
/// # Errors
/// Those of [`fab`].
///
/// # Cost
/// That of [`fab`] with one restart and one target; no sample stops early.
pub fn nearest(classifier: &mut dyn Classifier, samples: Samples<'_>, attack: &Fab) -> Result<Vec<f64>> {
    let mut found = Vec::new();
    on_host(classifier, samples, |view, cases| {
        let free = Fab { eps: crate::units::Fraction::ZERO, ..*attack };
        let rows = clean_rows(view, cases)?;
        let mut seekers: Vec<Seeker<'_>> = cases
            .iter()
            .zip(&rows)
            .map(|(case, row)| {
                let rivals = targets(row, case.label);
                let rivals = if attack.targets == 0 { rivals } else { rivals[..1].to_vec() };
                Seeker { case: *case, rivals, x: case.clean.to_vec(), best: None }
            })
            .collect();
        seek(view, &mut seekers, &free)?;
        found = seekers.iter().map(Seeker::nearest).collect();
        Ok(vec![None; cases.len()])
    })?;
    Ok(found)
}

/// Whether a change of this size is inside the ball.
fn inside(size: f64, eps: f64) -> bool {
    size <= eps
}

/// The first start is the clean image, the others lie about half the smallest change away from it.
fn begin(case: &Case<'_>, attack: &Fab, restart: usize, nearest: f64) -> Vec<f32> {
    let mut x = case.clean.to_vec();
    if restart == 0 {
        return x;
    }
    let mut stream = case.seed.child("start").index(restart as u64).stream();
    let noise: Vec<f32> = match attack.norm {
        Norm::Linf => x.iter().map(|_| stream.uniform_in(-1.0, 1.0)).collect(),
        Norm::L2 | Norm::L1 => x.iter().map(|_| stream.normal()).collect(),
    };
    let scale = 0.5 * nearest.min(attack.eps.value()) / size(attack.norm, noise.iter().copied()).max(1e-12);
    for (x, v) in x.iter_mut().zip(noise) {
        *x = (*x + scale as f32 * v).clamp(0.0, 1.0);
    }
    x
}

/// The state of one image.
struct Seeker<'a> {
    case: Case<'a>,
    /// The classes whose decision boundaries it moves towards.
    rivals: Vec<usize>,
    x: Vec<f32>,
    /// The nearest misclassified point and its distance.
    best: Option<(f64, Vec<f32>)>,
}

/// A linearised decision boundary: the rival's logit minus the label's, and its gradient.
#[derive(Clone)]
struct Boundary {
    margin: f64,
    gradient: Vec<f32>,
}

/// The steps of one start, for every sample without a misclassified point inside the ball.
fn seek(view: &mut View<'_>, seekers: &mut [Seeker<'_>], attack: &Fab) -> Result<()> {
    let eps = attack.eps.value();
    for _ in 0..attack.steps {
        let mut moving: Vec<&mut Seeker<'_>> = seekers.iter_mut().filter(|s| !inside(s.nearest(), eps)).collect();
        if moving.is_empty() {
            break;
        }
        let boundaries = nearest_boundaries(view, &moving, attack.norm)?;
        moving.par_iter_mut().zip(boundaries).for_each(|(s, boundary)| s.advance(attack, &boundary));
        let logits = view.logits(&gather(&moving))?;
        moving.par_iter_mut().zip(rows(&logits)).for_each(|(s, row)| s.look(attack, row));
    }
    Ok(())
}

fn gather(seekers: &[&mut Seeker<'_>]) -> Vec<f32> {
    seekers.iter().flat_map(|s| s.x.iter().copied()).collect()
}

fn rows(logits: &Logits) -> Vec<&[f64]> {
    logits.rows().collect()
}

/// For every sample the nearest linearised boundary: margin over the gradient's dual norm.
fn nearest_boundaries(view: &mut View<'_>, seekers: &[&mut Seeker<'_>], norm: Norm) -> Result<Vec<Boundary>> {
    let x = gather(seekers);
    let mut nearest: Vec<Option<(f64, Boundary)>> = vec![None; seekers.len()];
    let rivals = seekers.iter().map(|s| s.rivals.len()).max().unwrap_or(0);
    for k in 0..rivals {
        let aims: Vec<Aim<'_>> =
            seekers.iter().map(|s| Aim { target: Some(s.rivals[k]), ..Aim::away(Loss::Cw, s.case.label) }).collect();
        let (logits, gradient) = view.gradient(&x, &aims)?;
        let one = x.len() / seekers.len();
        for (((best, aim), row), gradient) in
            nearest.iter_mut().zip(&aims).zip(logits.rows()).zip(gradient.chunks_exact(one))
        {
            let (margin, _) = aim.of(row);
            let dual = match norm {
                Norm::Linf => Norm::L1,
                Norm::L2 => Norm::L2,
                Norm::L1 => Norm::Linf,
            };
            let away = margin.abs() / (size(dual, gradient.iter().copied()) + 1e-12);
            if best.as_ref().is_none_or(|(b, _)| away < *b) {
                *best = Some((away, Boundary { margin, gradient: gradient.to_vec() }));
            }
        }
    }
    Ok(nearest.into_iter().flatten().map(|(_, boundary)| boundary).collect())
}

impl Seeker<'_> {
    fn nearest(&self) -> f64 {
        self.best.as_ref().map_or(f64::INFINITY, |b| b.0)
    }

    /// To a point between the projections of iterate and clean image onto the boundary, a little beyond it.
    fn advance(&mut self, attack: &Fab, boundary: &Boundary) {
        let clean = self.case.clean;
        let w = &boundary.gradient;
        let b = w.iter().zip(&self.x).map(|(w, x)| f64::from(*w) * f64::from(*x)).sum::<f64>() - boundary.margin;
        let plane = Hyperplane { w, b };
        let (from_x, from_clean) = (plane.change(attack.norm, &self.x), plane.change(attack.norm, clean));
        let length = |change: &[f32]| size(attack.norm, change.iter().copied()).max(SHORTEST);
        let (to_x, to_clean) = (length(&from_x), length(&from_clean));
        let alpha = (to_x / (to_x + to_clean)).min(attack.alpha_max.value()) as f32;
        let eta = attack.overshoot.value() as f32;
        for ((x, c), (dx, dc)) in self.x.iter_mut().zip(clean).zip(from_x.iter().zip(&from_clean)) {
            *x = ((*x + eta * dx) * (1.0 - alpha) + (c + eta * dc) * alpha).clamp(0.0, 1.0);
        }
    }

    /// Records a misclassified point if it is the nearest so far, and moves back towards the clean image.
    fn look(&mut self, attack: &Fab, row: &[f64]) {
        if !self.case.fooled(row) {
            return;
        }
        let away = distance(attack.norm, &self.x, self.case.clean);
        if away < self.nearest() {
            self.best = Some((away, self.x.clone()));
        }
        let beta = attack.backward.value() as f32;
        for (x, c) in self.x.iter_mut().zip(self.case.clean) {
            *x = c + (*x - c) * beta;
        }
    }
}
