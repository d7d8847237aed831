//! FGSM, PGD, the noisy single step of N-FGSM and the divergence's ascent of TRADES, in the Linf ball and the pixel box.
//!
//! Source: Goodfellow et al. 2015; Madry et al. 2018; de Jorge et al. 2022; Zhang et al. 2019. `sign(0) = 0`: a pixel without gradient is not moved.

use candle_core::{CpuStorage, InplaceOp3, Layout, Tensor};

use super::{Samples, Target};
use crate::engine::{Logits, LossGradient};
use crate::error::Result;
use crate::seed::Stream;
use crate::threat::Pgd;
use crate::train::loss::{Divergence, cross_entropy, divergence};

/// Deviation of the noise at which the divergence's ascent starts: at the clean image its gradient is zero.
const START: f32 = 0.001;

/// The last iterate of projected gradient ascent from one start.
///
/// # Cost
/// `steps` forward and backward passes an image.
pub fn pgd(target: &mut Target<'_>, samples: Samples<'_>, attack: &Pgd) -> Result<Tensor> {
    let eps = attack.eps.value() as f32;
    let ascend = Ascend { step: attack.step.value() as f32, eps, clip: attack.clip };
    let clean = samples.images.contiguous()?;
    let x = if attack.random_start {
        let x = noisy(&clean, &samples, |stream| stream.uniform_in(-eps, eps))?;
        // A step of length zero is the projection alone.
        x.inplace_op3(&clean, &clean, &Ascend { step: 0.0, ..ascend })?;
        x
    } else {
        clean.force_contiguous()?
    };
    ascend.climb(target, &clean, x, attack.steps, &|logits| cross_entropy(logits, samples.labels))
}

/// The inner maximisation of TRADES: ascent of `KL(p(clean) || p(x))` from a little noise, the clean answers fixed.
/// The attack's `random_start` has no say in it.
///
/// # Cost
/// That of [`pgd`] and a forward pass.
pub fn diverge(target: &mut Target<'_>, samples: Samples<'_>, attack: &Pgd) -> Result<Tensor> {
    let ascend = Ascend { step: attack.step.value() as f32, eps: attack.eps.value() as f32, clip: attack.clip };
    let clean = samples.images.contiguous()?;
    let x = noisy(&clean, &samples, |stream| START * stream.normal())?;
    let answers = target.logits(&clean)?;
    ascend.climb(target, &clean, x, attack.steps, &|logits| {
        let Divergence { value, in_q, .. } = divergence(&answers, logits);
        LossGradient { value, dlogits: in_q }
    })
}

/// N-FGSM: noise of `noise * eps`, one step of `eps`, clipped to the box but not to the ball.
pub fn noisy_step(target: &mut Target<'_>, samples: Samples<'_>, eps: f32, noise: f32) -> Result<Tensor> {
    let clean = samples.images.contiguous()?;
    let x = noisy(&clean, &samples, |stream| stream.uniform_in(-noise * eps, noise * eps))?;
    let free = Ascend { step: eps, eps: f32::INFINITY, clip: true };
    free.climb(target, &clean, x, 1, &|logits| cross_entropy(logits, samples.labels))
}

/// The images plus noise, drawn from a stream of its own for every sample; not clipped.
fn noisy(images: &Tensor, samples: &Samples<'_>, draw: impl Fn(&mut Stream) -> f32) -> Result<Tensor> {
    let per_image = images.elem_count() / samples.ids.len();
    let mut pixels: Vec<f32> = images.flatten_all()?.to_vec1()?;
    for (id, image) in samples.ids.iter().zip(pixels.chunks_exact_mut(per_image)) {
        let mut stream = samples.seed.index(u64::from(*id)).stream();
        for pixel in image {
            *pixel += draw(&mut stream);
        }
    }
    Ok(Tensor::from_vec(pixels, images.shape(), images.device())?)
}

/// `x = box(ball(x + step * sign(gradient)))`, in place; reads the clean image and the gradient.
#[derive(Clone, Copy)]
struct Ascend {
    step: f32,
    eps: f32,
    clip: bool,
}

impl Ascend {
    /// So many steps from `x` up the loss.
    fn climb(
        &self,
        target: &mut Target<'_>,
        clean: &Tensor,
        x: Tensor,
        steps: u32,
        loss: &dyn Fn(&Logits) -> LossGradient,
    ) -> Result<Tensor> {
        for _ in 0..steps {
            let (_, gradient) = target.input_gradient(&x, loss)?;
            x.inplace_op3(clean, &gradient, self)?;
        }
        Ok(x)
    }

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
        lx: &Layout,
        clean: &CpuStorage,
        lc: &Layout,
        gradient: &CpuStorage,
        lg: &Layout,
    ) -> candle_core::Result<()> {
        // The clean images may be a view into a larger batch.
        let bounds = [lx, lc, lg].map(|layout| layout.contiguous_offsets().map(|(from, to)| from..to));
        match (x, clean, gradient, bounds) {
            (CpuStorage::F32(x), CpuStorage::F32(c), CpuStorage::F32(g), [Some(of_x), Some(of_c), Some(of_g)])
                if of_x.len() == of_c.len() && of_x.len() == of_g.len() =>
            {
                for ((x, c), g) in x[of_x].iter_mut().zip(&c[of_c]).zip(&g[of_g]) {
                    *x = self.one(*x, *c, *g);
                }
                Ok(())
            }
            _ => candle_core::bail!("images, clean images and gradients are contiguous f32 tensors of one shape"),
        }
    }
}
