//! One signed step: FGSM (Goodfellow et al. 2015, equation 5 of section 4) and R+FGSM (Tramer et al. 2018, equation 7).

use candle_core::Tensor;

use super::ball::{Ball, sign};
use super::pgd::{Ascend, noisy, pgd};
use super::{Classifier, Samples};
use crate::error::Result;
use crate::loss::{Aim, total};
use crate::threat::{Loss, Norm, Pgd, RFgsm};
use crate::units::Fraction;

/// A step of the radius from the clean image up the cross-entropy.
///
/// # Cost
/// One forward and one backward pass an image; three images of memory each.
pub fn fgsm(classifier: &mut dyn Classifier, samples: Samples<'_>, eps: Fraction) -> Result<Tensor> {
    pgd(classifier, samples, &Pgd { random_start: false, ..Pgd::new(eps, eps, 1) })
}

/// A step of `start` along random signs, then one of `eps - start` along the gradient's.
///
/// # Cost
/// That of [`fgsm`].
pub fn r_fgsm(classifier: &mut dyn Classifier, samples: Samples<'_>, attack: &RFgsm) -> Result<Tensor> {
    let (eps, start) = (attack.eps.value() as f32, attack.start.value() as f32);
    let clean = samples.images.force_contiguous()?;
    let x = noisy(&clean, &samples, |stream| start * sign(stream.normal()))?.clamp(0f32, 1f32)?;
    let aims: Vec<Aim<'_>> = samples.labels.iter().map(|l| Aim::away(Loss::Ce, *l as usize)).collect();
    let ascend = Ascend { ball: Ball { norm: Norm::Linf, eps }, step: eps - start, clip: true };
    ascend.climb(classifier, &clean, x, 1, &|logits| total(logits, &aims))
}
