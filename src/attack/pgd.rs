//! FGSM, PGD and the noisy single step of N-FGSM, all in the Linf ball and the pixel box.
//!
//! Source: Goodfellow et al. 2015; Madry et al. 2018; de Jorge et al. 2022. `sign(0) = 0`: a pixel without gradient is not moved.

use candle_core::{CpuStorage, InplaceOp3, Layout, Tensor};

use super::{Samples, Target};
use crate::error::Result;
use crate::seed::Seed;
use crate::threat::Pgd;
use crate::train::loss::cross_entropy;

/// The last iterate of projected gradient ascent from one start.
///
/// # Cost
/// `steps` forward and backward passes an image.
pub fn pgd(target: &mut Target<'_>, samples: Samples<'_>, attack: &Pgd) -> Result<Tensor> {
    let eps = attack.eps.value() as f32;
    let ascend = Ascend { step: attack.step.value() as f32, eps, clip: attack.clip };
    // In-place operations work on whole tensors, and the images may be a view.
    let clean = samples.images.force_contiguous()?;
    let mut x = clean.copy()?;
    if attack.random_start {
        x = noisy(&clean, samples.ids, samples.seed, eps)?;
        // A step of length zero is the projection alone.
        x.inplace_op3(&clean, &clean, &Ascend { step: 0.0, ..ascend })?;
    }
    for _ in 0..attack.steps {
        let (_, gradient) = target.input_gradient(&x, &|logits| cross_entropy(logits, samples.labels))?;
        x.inplace_op3(&clean, &gradient, &ascend)?;
    }
    Ok(x)
}

/// N-FGSM: noise of `noise * eps`, one step of `eps`, clipped to the box but not to the ball.
pub fn noisy_step(target: &mut Target<'_>, samples: Samples<'_>, eps: f32, noise: f32) -> Result<Tensor> {
    let clean = samples.images.force_contiguous()?;
    let x = noisy(&clean, samples.ids, samples.seed, noise * eps)?;
    let (_, gradient) = target.input_gradient(&x, &|logits| cross_entropy(logits, samples.labels))?;
    let free = Ascend { step: eps, eps: f32::INFINITY, clip: true };
    x.inplace_op3(&clean, &gradient, &free)?;
    Ok(x)
}

/// The images plus uniform noise in `[-radius, radius)`, a stream of its own for every sample; not clipped.
fn noisy(images: &Tensor, ids: &[u32], seed: Seed, radius: f32) -> Result<Tensor> {
    let per_image = images.elem_count() / ids.len();
    let mut noise = Vec::with_capacity(images.elem_count());
    for id in ids {
        let mut stream = seed.index(u64::from(*id)).stream();
        noise.extend((0..per_image).map(|_| stream.uniform_in(-radius, radius)));
    }
    Ok((images + Tensor::from_vec(noise, images.shape(), images.device())?)?)
}

/// `x = box(ball(x + step * sign(gradient)))`, in place; reads the clean image and the gradient.
#[derive(Clone, Copy)]
struct Ascend {
    step: f32,
    eps: f32,
    clip: bool,
}

impl Ascend {
    #[inline(always)]
    fn one(&self, x: f32, clean: f32, gradient: f32) -> f32 {
        let sign = f32::from(i8::from(gradient > 0.0) - i8::from(gradient < 0.0));
        let moved = (x + self.step * sign).clamp(clean - self.eps, clean + self.eps);
        if self.clip { moved.clamp(0.0, 1.0) } else { moved }
    }
}

impl InplaceOp3 for Ascend {
    fn name(&self) -> &'static str {
        "pgd-ascend"
    }

    fn cpu_fwd(
        &self,
        x: &mut CpuStorage,
        _: &Layout,
        clean: &CpuStorage,
        _: &Layout,
        gradient: &CpuStorage,
        _: &Layout,
    ) -> candle_core::Result<()> {
        match (x, clean, gradient) {
            (CpuStorage::F32(x), CpuStorage::F32(c), CpuStorage::F32(g))
                if x.len() == c.len() && x.len() == g.len() =>
            {
                for ((x, c), g) in x.iter_mut().zip(c).zip(g) {
                    *x = self.one(*x, *c, *g);
                }
                Ok(())
            }
            _ => candle_core::bail!("images, clean images and gradients are whole f32 tensors of one shape"),
        }
    }
}
