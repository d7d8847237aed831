//! Square attack (Andriushchenko et al. 2020, algorithms 1 and 2): a random search that changes squares of the image and
//! keeps what lowers the margin. It uses logits and no gradient, so masked gradients do not stop it. Linf is here, L2 and L1
//! are in `tiles`.
//!
//! Differences from the authors' code in AutoAttack: every sample draws its own place and colours, where there a batch shares
//! one place at each query.

use candle_core::Tensor;
use rayon::prelude::*;

use super::ball::Ball;
use super::canvas::Canvas;
use super::cases::{Case, View, on_host, until_fooled};
use super::tiles::Tiles;
use super::{Classifier, Samples};
use crate::error::Result;
use crate::loss::Aim;
use crate::seed::Stream;
use crate::threat::{Loss, Norm, Square};

/// Attacks a batch: for every sample a misclassified point, if one was found, else the clean image.
///
/// # Errors
/// Those of [`run`](super::run).
///
/// # Cost
/// At most `restarts * (queries + 1)` forward passes an image, fewer once it is misclassified. Three images of state each.
pub fn square(classifier: &mut dyn Classifier, samples: Samples<'_>, attack: &Square) -> Result<Tensor> {
    on_host(classifier, samples, |view, cases| {
        until_fooled(cases, attack.restarts.max(1) as usize, |run, cases, _| search(view, cases, attack, run))
    })
}

/// The state of one image.
struct Searcher<'a> {
    case: Case<'a>,
    stream: Stream,
    x: Vec<f32>,
    /// The largest other logit minus the label's, at `x`.
    loss: f64,
    /// The next image to evaluate.
    proposal: Vec<f32>,
    fooled: bool,
}

fn search(view: &mut View<'_>, cases: &[Case<'_>], attack: &Square, run: usize) -> Result<Vec<Option<Vec<f32>>>> {
    let [h, w, c] = view.image;
    let ball = Ball::new(attack.norm, attack.eps.value());
    let canvas = Canvas { h, w, c };
    let mut searchers: Vec<Searcher<'_>> = cases
        .par_iter()
        .map(|case| {
            let mut stream = case.seed.child("start").index(run as u64).stream();
            let mut proposal = case.clean.to_vec();
            match ball.norm {
                Norm::Linf => canvas.stripes(&mut proposal, ball, &mut stream),
                Norm::L2 | Norm::L1 => Tiles { canvas, ball }.start(&mut proposal, case.clean, &mut stream),
            }
            let x = case.clean.to_vec();
            Searcher { case: *case, stream, x, loss: f64::NEG_INFINITY, proposal, fooled: false }
        })
        .collect();
    // The start is evaluated like any other proposal, and accepted whatever its loss.
    for query in 0..=attack.queries {
        let mut moving: Vec<&mut Searcher<'_>> = searchers.iter_mut().filter(|s| !s.fooled).collect();
        if moving.is_empty() {
            break;
        }
        if let Some(i) = query.checked_sub(1) {
            let side = canvas.side(attack.p.value() / f64::from(shrink(i)));
            moving.par_iter_mut().for_each(|s| {
                s.proposal.copy_from_slice(&s.x);
                match ball.norm {
                    Norm::Linf => canvas.square(&mut s.proposal, s.case.clean, ball, side, &mut s.stream),
                    Norm::L2 | Norm::L1 => {
                        Tiles { canvas, ball }.step(&mut s.proposal, s.case.clean, side, &mut s.stream);
                    }
                }
            });
        }
        let pixels: Vec<f32> = moving.iter().flat_map(|s| s.proposal.iter().copied()).collect();
        let logits = view.logits(&pixels)?;
        for (s, row) in moving.into_iter().zip(logits.rows()) {
            let (loss, _) = Aim::away(Loss::Cw, s.case.label).of(row);
            s.fooled = s.case.fooled(row);
            if loss > s.loss || s.fooled {
                s.loss = loss;
                std::mem::swap(&mut s.x, &mut s.proposal);
            }
        }
    }
    Ok(searchers.into_iter().map(|s| s.fooled.then_some(s.x)).collect())
}

/// The divisor of `p` at a query, counted from 0.
fn shrink(query: u32) -> u32 {
    match query {
        0..=10 => 1,
        11..=50 => 2,
        51..=200 => 4,
        201..=500 => 8,
        501..=1000 => 16,
        1001..=2000 => 32,
        2001..=4000 => 64,
        4001..=6000 => 128,
        6001..=8000 => 256,
        _ => 512,
    }
}

impl Canvas {
    /// Vertical stripes of `±eps`: a sign for every column and channel.
    fn stripes(&self, x: &mut [f32], ball: Ball, stream: &mut Stream) {
        let signs: Vec<f32> = (0..self.w * self.c).map(|_| if stream.coin() { ball.eps } else { -ball.eps }).collect();
        for row in x.chunks_exact_mut(self.w * self.c) {
            for (x, s) in row.iter_mut().zip(&signs) {
                *x = (*x + s).clamp(0.0, 1.0);
            }
        }
    }

    /// Moves a square at a random place by `±2 eps` per channel, clipped to ball and box.
    fn square(&self, x: &mut [f32], clean: &[f32], ball: Ball, side: usize, stream: &mut Stream) {
        let (top, left) = self.corner(side, stream);
        for channel in 0..self.c {
            let jump = if stream.coin() { 2.0 * ball.eps } else { -2.0 * ball.eps };
            for row in top..top + side {
                for column in left..left + side {
                    let i = self.at(row, column, channel);
                    x[i] = (x[i] + jump).clamp(clean[i] - ball.eps, clean[i] + ball.eps).clamp(0.0, 1.0);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Known answers: the sides of the official code at p = 0.8, whenever they change.
    #[test]
    fn sides_known_answers() {
        let sides = |n: usize| -> Vec<usize> {
            let canvas = Canvas { h: n, w: n, c: 3 };
            [0, 11, 51, 201, 501, 1001, 2001, 4001].map(|query| canvas.side(0.8 / f64::from(shrink(query)))).to_vec()
        };
        assert_eq!(sides(32), [29, 20, 14, 10, 7, 5, 4, 3]);
        assert_eq!(sides(64), [57, 40, 29, 20, 14, 10, 7, 5]);
        assert_eq!(sides(224), [200, 142, 100, 71, 50, 35, 25, 18]);
        assert_eq!([10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000].map(shrink), [1, 2, 4, 8, 16, 32, 64, 128, 256]);
        assert_eq!([8001, 10_000].map(shrink), [512, 512]);
    }

    #[test]
    fn squares_fit_images_that_are_not_square() {
        let mut stream = crate::seed::Seed::root(1).stream();
        let canvas = Canvas { h: 3, w: 9, c: 1 };
        let clean = vec![0.5; 27];
        for share in [1.0, 0.8, 0.1, 0.001] {
            let mut x = clean.clone();
            canvas.square(&mut x, &clean, Ball::new(Norm::Linf, 0.1), canvas.side(share), &mut stream);
            assert_ne!(x, clean, "{share}");
        }
    }
}
