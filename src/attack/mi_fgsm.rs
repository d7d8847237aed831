//! MI-FGSM: signed steps along a decaying sum of gradients, each scaled to unit L1 norm (Dong et al. 2018, algorithm 1).
//!
//! Code that scales by the mean instead of the sum gives the same signs: the whole sum is multiplied by one constant.

use candle_core::Tensor;
use rayon::prelude::*;

use super::ball::{Ball, size};
use super::cases::on_host;
use super::{Classifier, Samples};
use crate::error::Result;
use crate::loss::Aim;
use crate::threat::{Loss, MiFgsm, Norm};

/// The last iterate, from the clean image up the cross-entropy.
///
/// # Cost
/// `steps` forward and backward passes an image. Clean image, iterate, sum and gradient of the batch are in memory.
pub fn mi_fgsm(classifier: &mut dyn Classifier, samples: Samples<'_>, attack: &MiFgsm) -> Result<Tensor> {
    let ball = Ball::new(Norm::Linf, attack.eps.value());
    let (step, decay) = (attack.step.value() as f32, attack.decay.value() as f32);
    on_host(classifier, samples, |view, cases| {
        let one = cases.first().map_or(1, |c| c.clean.len());
        let mut x: Vec<f32> = cases.iter().flat_map(|c| c.clean.iter().copied()).collect();
        let mut sums = vec![0f32; x.len()];
        let aims: Vec<Aim<'_>> = cases.iter().map(|c| Aim::away(Loss::Ce, c.label)).collect();
        for _ in 0..attack.steps {
            let (_, gradient) = view.gradient(&x, &aims)?;
            let each = x.par_chunks_exact_mut(one).zip(sums.par_chunks_exact_mut(one));
            each.zip(gradient.par_chunks_exact(one)).zip(cases).for_each(|(((x, sum), gradient), case)| {
                let length = size(Norm::L1, gradient.iter().copied());
                let scale = if length > 0.0 { (1.0 / length) as f32 } else { 0.0 };
                for (s, g) in sum.iter_mut().zip(gradient) {
                    *s = decay * *s + scale * g;
                }
                ball.ascend(x, sum, step);
                ball.project(x, case.clean, true);
            });
        }
        Ok(x.chunks_exact(one).map(|x| Some(x.to_vec())).collect())
    })
}
