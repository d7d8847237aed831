//! Projected gradient ascent in a ball and the pixel box, and the noisy single step of N-FGSM.
//!
//! Source: Madry et al. 2018; with [`Loss::Cw`] the attack known as CW-Linf, with [`Loss::Kl`] the inner ascent of TRADES
//! (Zhang et al. 2019); de Jorge et al. 2022. `sign(0) = 0`: a pixel without gradient is not moved.

use candle_core::{CpuStorage, InplaceOp3, Layout, Tensor};

use super::ball::Ball;
use super::{Classifier, Samples};
use crate::engine::{Logits, LossGradient};
use crate::error::Result;
use crate::loss::{Aim, correct, total};
use crate::recipe::Start;
use crate::seed::Stream;
use crate::threat::{Loss, Norm, Pgd};

/// Standard deviation of the noise that the ascent of the divergence starts from: its gradient is zero at the clean image.
const START: f32 = 0.001;

/// The last iterate of projected gradient ascent from one start, `[n, h, w, c]`.
///
/// The divergence ([`Loss::Kl`]) from the clean logits is climbed from the clean image plus a little noise, whatever
/// `random_start` is.
///
/// # Errors
/// Those of [`run`](super::run).
///
/// # Cost
/// `steps` forward and backward passes an image, and one forward pass more for the divergence. Clean image, iterate and
/// gradient of the batch are in memory.
pub fn pgd(classifier: &mut dyn Classifier, samples: Samples<'_>, attack: &Pgd) -> Result<Tensor> {
    let start = match (attack.loss, attack.random_start) {
        (Loss::Kl, _) => Start::Noise,
        (_, true) => Start::Ball,
        (_, false) => Start::Clean,
    };
    let ball = Ball::new(attack.norm, attack.eps.value());
    let climb = Climb { ball, step: attack.step.value() as f32, steps: attack.steps, clip: attack.clip, start };
    climb.aimed(classifier, samples, attack.loss)
}

/// Projected gradient ascent of any loss.
#[derive(Clone, Copy, Debug)]
pub struct Climb {
    /// Where iterates stay.
    pub ball: Ball,
    /// Length of a step.
    pub step: f32,
    /// Number of steps.
    pub steps: u32,
    /// Whether iterates are clipped to `[0, 1]`.
    pub clip: bool,
    /// Where it starts.
    pub start: Start,
}

impl Climb {
    /// Up a loss away from each sample's label; of the divergence, away from the clean logits.
    ///
    /// # Errors
    /// Those of [`run`](super::run).
    ///
    /// # Cost
    /// As [`pgd`].
    pub fn aimed(&self, classifier: &mut dyn Classifier, samples: Samples<'_>, loss: Loss) -> Result<Tensor> {
        let answers = match loss {
            Loss::Kl => classifier.logits(&samples.images.force_contiguous()?)?,
            Loss::Ce | Loss::Cw | Loss::Dlr => Logits { values: vec![], classes: 1 },
        };
        let mut rows = answers.rows();
        let aim = |label: &u32| Aim { clean: rows.next().unwrap_or_default(), ..Aim::away(loss, *label as usize) };
        let aims: Vec<Aim<'_>> = samples.labels.iter().map(aim).collect();
        self.up(classifier, samples, &|logits| total(logits, &aims))
    }

    /// Up any loss of the batch; returns the last iterate, `[n, h, w, c]`.
    ///
    /// # Errors
    /// Those of [`run`](super::run).
    pub fn up(
        &self,
        classifier: &mut dyn Classifier,
        samples: Samples<'_>,
        loss: &dyn Fn(&Logits) -> LossGradient,
    ) -> Result<Tensor> {
        let (clean, x) = self.begin(samples)?;
        self.ascend().climb(classifier, &clean, x, self.steps, loss)
    }

    /// The clean images and where the ascent starts.
    ///
    /// # Errors
    /// [`crate::error::Error::Tensor`] for images that are no f32 `[n, h, w, c]`.
    pub fn begin(&self, samples: Samples<'_>) -> Result<(Tensor, Tensor)> {
        // In-place operations work on whole tensors, and the images may be a view.
        let clean = samples.images.force_contiguous()?;
        let x = match self.start {
            Start::Clean => clean.copy()?,
            Start::Noise => noisy(&clean, &samples, |stream| START * stream.normal())?,
            Start::Ball => {
                let x = random(&clean, &samples, self.ball)?;
                // A step of length zero is the projection alone.
                x.inplace_op3(&clean, &clean, &Ascend { step: 0.0, ..self.ascend() })?;
                x
            }
        };
        Ok((clean, x))
    }

    fn ascend(&self) -> Ascend {
        Ascend { ball: self.ball, step: self.step, clip: self.clip }
    }
}

/// The last iterates of all restarts: of each sample the first that is misclassified, else the last.
///
/// # Errors
/// Those of [`pgd`].
///
/// # Cost
/// `restarts` times that of [`pgd`] and `restarts - 1` forward passes, of every sample: one that is misclassified is attacked
/// again with the batch.
pub fn worst_of_restarts(classifier: &mut dyn Classifier, samples: Samples<'_>, attack: &Pgd) -> Result<Tensor> {
    let mut worst: Option<Tensor> = None;
    for restart in 0..attack.restarts.max(1) {
        let seed = samples.seed.index(u64::from(restart));
        let next = pgd(classifier, Samples { seed, ..samples }, attack)?;
        worst = Some(match worst {
            None => next,
            Some(before) => {
                let logits = classifier.logits(&before)?;
                let rows = correct(&logits, samples.labels).enumerate();
                let picked = rows.map(|(i, right)| if right { &next } else { &before }.narrow(0, i, 1));
                Tensor::cat(&picked.collect::<candle_core::Result<Vec<_>>>()?, 0)?
            }
        });
    }
    worst.map_or_else(|| Ok(samples.images.clone()), Ok)
}

/// One signed step under Linf from uniform noise: FGSM, RS-FGSM and N-FGSM.
#[derive(Clone, Copy, Debug)]
pub struct NoisyStep {
    /// Amplitude of the noise.
    pub noise: f32,
    /// Length of the step.
    pub step: f32,
    /// The ball into which the image is brought back; none: it is clipped to the box alone.
    pub eps: Option<f32>,
    /// Whether the noisy image is clipped to the box before its gradient is taken.
    pub clip_start: bool,
}

impl NoisyStep {
    /// Takes the step up a loss of the batch; returns `[n, h, w, c]`.
    ///
    /// # Errors
    /// Those of [`run`](super::run).
    ///
    /// # Cost
    /// A forward and a backward pass.
    pub fn up(
        &self,
        classifier: &mut dyn Classifier,
        samples: Samples<'_>,
        loss: &dyn Fn(&Logits) -> LossGradient,
    ) -> Result<Tensor> {
        let clean = samples.images.force_contiguous()?;
        let noise = self.noise;
        let x = if noise > 0.0 {
            noisy(&clean, &samples, |stream| stream.uniform_in(-noise, noise))?
        } else {
            clean.copy()?
        };
        let x = if self.clip_start { x.clamp(0f32, 1f32)? } else { x };
        let ball = Ball { norm: Norm::Linf, eps: self.eps.unwrap_or(f32::INFINITY) };
        Ascend { step: self.step, ball, clip: true }.climb(classifier, &clean, x, 1, loss)
    }
}

/// A random point of the ball: uniform under Linf, else a random direction of uniform length.
fn random(clean: &Tensor, samples: &Samples<'_>, ball: Ball) -> Result<Tensor> {
    let Ball { norm, eps } = ball;
    match norm {
        Norm::Linf => noisy(clean, samples, |stream| stream.uniform_in(-eps, eps)),
        Norm::L2 | Norm::L1 => {
            let per_image = clean.elem_count() / samples.ids.len();
            let mut noise = Vec::with_capacity(clean.elem_count());
            for id in samples.ids {
                let mut stream = samples.seed.index(u64::from(*id)).stream();
                let length = eps * stream.uniform();
                let draws: Vec<f32> = (0..per_image).map(|_| stream.normal()).collect();
                let scale = length / super::ball::size(norm, draws.iter().copied()) as f32;
                noise.extend(draws.into_iter().map(|v| scale * v));
            }
            Ok((clean + Tensor::from_vec(noise, clean.shape(), clean.device())?)?)
        }
    }
}

/// The images plus noise, from a random stream per sample; not clipped.
pub(super) fn noisy(images: &Tensor, samples: &Samples<'_>, draw: impl Fn(&mut Stream) -> f32) -> Result<Tensor> {
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

/// `x = box(ball(x + step * steepest(gradient)))`, in place; reads the clean image and the gradient.
#[derive(Clone, Copy)]
pub(super) struct Ascend {
    /// The ball that iterates are projected onto.
    pub ball: Ball,
    /// Length of a step.
    pub step: f32,
    /// Whether they are clipped to `[0, 1]`.
    pub clip: bool,
}

impl Ascend {
    /// `steps` steps from `x` up the loss.
    pub fn climb(
        &self,
        classifier: &mut dyn Classifier,
        clean: &Tensor,
        x: Tensor,
        steps: u32,
        loss: &dyn Fn(&Logits) -> LossGradient,
    ) -> Result<Tensor> {
        for _ in 0..steps {
            let (_, gradient) = classifier.input_gradient(&x, loss)?;
            x.inplace_op3(clean, &gradient, self)?;
        }
        Ok(x)
    }

    fn one(&self, x: &mut [f32], clean: &[f32], gradient: &[f32]) {
        if self.step != 0.0 {
            self.ball.ascend(x, gradient, self.step);
        }
        self.ball.project(x, clean, self.clip);
    }
}

impl InplaceOp3 for Ascend {
    fn name(&self) -> &'static str {
        "pgd-ascend"
    }

    fn cpu_fwd(
        &self,
        x: &mut CpuStorage,
        layout: &Layout,
        clean: &CpuStorage,
        _: &Layout,
        gradient: &CpuStorage,
        _: &Layout,
    ) -> candle_core::Result<()> {
        let images = layout.dims().first().copied().unwrap_or(1).max(1);
        match (x, clean, gradient) {
            (CpuStorage::F32(x), CpuStorage::F32(c), CpuStorage::F32(g))
                if x.len() == c.len() && x.len() == g.len() =>
            {
                let one = (x.len() / images).max(1);
                for ((x, c), g) in x.chunks_exact_mut(one).zip(c.chunks_exact(one)).zip(g.chunks_exact(one)) {
                    self.one(x, c, g);
                }
                Ok(())
            }
            _ => candle_core::bail!("images, clean images and gradients are contiguous f32 tensors of one shape"),
        }
    }
}
