//! Frank-Wolfe: moves towards the point of the ball where the linearised loss is largest, with step `2 / (t + 2)`, and so
//! needs no projection (Frank and Wolfe 1956; Chen, Zhou, Yi and Gu 2020, algorithm 1 without momentum).

use candle_core::Tensor;
use rayon::prelude::*;

use super::ball::Ball;
use super::cases::{View, on_host};
use super::{Classifier, Samples};
use crate::error::Result;
use crate::loss::Aim;
use crate::threat::{FrankWolfe, Loss};

/// The last iterate, from the clean image up the cross-entropy. The norm is Linf or L2.
///
/// The maximiser over the ball is clipped to the box; under L2 that is not the maximiser over ball and box together.
///
/// # Cost
/// `steps` forward and backward passes an image. Clean image, iterate and gradient of the batch are in memory.
pub fn frank_wolfe(classifier: &mut dyn Classifier, samples: Samples<'_>, attack: &FrankWolfe) -> Result<Tensor> {
    let ball = Ball::new(attack.norm, attack.eps.value());
    on_host(classifier, samples, |view: &mut View<'_>, cases| {
        let one = cases.first().map_or(1, |c| c.clean.len());
        let mut x: Vec<f32> = cases.iter().flat_map(|c| c.clean.iter().copied()).collect();
        let aims: Vec<Aim<'_>> = cases.iter().map(|c| Aim::away(Loss::Ce, c.label)).collect();
        for t in 0..attack.steps {
            let (_, gradient) = view.gradient(&x, &aims)?;
            let gamma = 2.0 / (t as f32 + 2.0);
            let each = x.par_chunks_exact_mut(one).zip(gradient.par_chunks_exact(one));
            each.zip(cases).for_each(|((x, gradient), case)| {
                let mut corner = case.clean.to_vec();
                ball.ascend(&mut corner, gradient, ball.eps);
                ball.retract(&mut corner, case.clean);
                for (x, corner) in x.iter_mut().zip(&corner) {
                    *x += gamma * (corner - *x);
                }
                // Rounding alone can leave the ball.
                ball.retract(x, case.clean);
            });
        }
        Ok(x.chunks_exact(one).map(|x| Some(x.to_vec())).collect())
    })
}
