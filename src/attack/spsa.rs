//! SPSA: ascent of the margin by Adam along gradients estimated from pairs of points on both sides of the iterate (Spall
//! 1992; Uesato et al. 2018, algorithm 1). It uses logits and no gradient.

use candle_core::Tensor;
use rayon::prelude::*;

use super::ball::Ball;
use super::cases::{Case, View, on_host};
use super::{Classifier, Samples};
use crate::error::Result;
use crate::loss::Aim;
use crate::seed::Stream;
use crate::threat::{Loss, Norm, Spsa};

/// Adam's beta1, beta2 and epsilon.
const BETA1: f32 = 0.9;
const BETA2: f32 = 0.999;
const EPSILON: f32 = 1e-8;
/// Pairs of points in one forward pass.
const CHUNK: usize = 64;

/// Attacks a batch: for every sample the first misclassified iterate, else the clean image.
///
/// # Cost
/// `steps * (2 * pairs + 1)` forward passes an image, fewer once it is misclassified. Samples are attacked one by one, in
/// batches of at most 128 perturbed images.
pub fn spsa(classifier: &mut dyn Classifier, samples: Samples<'_>, attack: &Spsa) -> Result<Tensor> {
    on_host(classifier, samples, |view, cases| cases.iter().map(|case| one(view, case, attack)).collect())
}

/// One image at a time: its pairs fill a batch.
fn one(view: &mut View<'_>, case: &Case<'_>, attack: &Spsa) -> Result<Option<Vec<f32>>> {
    let ball = Ball::new(Norm::Linf, attack.eps.value());
    let (delta, lr) = (attack.delta.value() as f32, attack.lr.value() as f32);
    let aim = Aim::away(Loss::Cw, case.label);
    let mut stream = case.seed.stream();
    let mut x = case.clean.to_vec();
    let (mut first, mut second) = (vec![0f32; x.len()], vec![0f32; x.len()]);
    for step in 1..=attack.steps as i32 {
        let gradient = estimate(view, &x, &aim, (delta, attack.pairs as usize), &mut stream)?;
        let (correction1, correction2) = (1.0 - BETA1.powi(step), 1.0 - BETA2.powi(step));
        for (((x, g), m), v) in x.iter_mut().zip(&gradient).zip(&mut first).zip(&mut second) {
            *m = BETA1 * *m + (1.0 - BETA1) * g;
            *v = BETA2 * *v + (1.0 - BETA2) * g * g;
            *x += lr * (*m / correction1) / ((*v / correction2).sqrt() + EPSILON);
        }
        ball.project(&mut x, case.clean, true);
        if case.fooled(view.logits(&x)?.rows().next().unwrap_or_default()) {
            return Ok(Some(x));
        }
    }
    Ok(None)
}

/// The mean over random signs `s` of `s * (loss(x + delta s) - loss(x - delta s)) / (2 delta)`.
fn estimate(
    view: &mut View<'_>,
    x: &[f32],
    aim: &Aim<'_>,
    (delta, pairs): (f32, usize),
    stream: &mut Stream,
) -> Result<Vec<f32>> {
    let mut sum = vec![0f32; x.len()];
    let mut left = pairs;
    while left > 0 {
        let now = left.min(CHUNK);
        left -= now;
        let signs: Vec<Vec<f32>> =
            (0..now).map(|_| x.iter().map(|_| if stream.coin() { 1.0 } else { -1.0 }).collect()).collect();
        let side = |sign: &[f32], way: f32| x.iter().zip(sign).map(|(x, s)| x + way * delta * s).collect::<Vec<f32>>();
        let points: Vec<f32> = signs.par_iter().flat_map_iter(|s| [side(s, 1.0), side(s, -1.0)].concat()).collect();
        let logits = view.logits(&points)?;
        let losses: Vec<f64> = logits.rows().map(|row| aim.of(row).0).collect();
        for (sign, pair) in signs.iter().zip(losses.chunks_exact(2)) {
            let slope = ((pair[0] - pair[1]) / (2.0 * f64::from(delta) * pairs as f64)) as f32;
            for (sum, s) in sum.iter_mut().zip(sign) {
                *sum += slope * s;
            }
        }
    }
    Ok(sum)
}
