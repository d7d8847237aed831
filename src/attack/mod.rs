//! Attacks. An attack sees logits and input gradients of a frozen network and nothing else.

pub mod pgd;

use candle_core::Tensor;

use crate::engine::{Logits, LossGradient, Network, NormMode, Wrt};
use crate::error::Result;
use crate::seed::Seed;

/// What is attacked: a network whose weights stand still, with its mixing vector and batch-norm mode.
pub struct Target<'a> {
    /// The network.
    pub network: &'a mut Network,
    /// Its mixing vector; empty for a derived network.
    pub mix: &'a [f64],
    /// Batch-norm while attacking; never [`NormMode::Train`], which would record the attack in the network.
    pub mode: NormMode,
}

impl Target<'_> {
    /// The logits of `[n, h, w, c]`.
    pub fn logits(&mut self, x: &Tensor) -> Result<Logits> {
        self.network.logits(x, self.mix, self.mode)
    }

    /// Logits and the gradient of a loss in the image, `[n, h, w, c]`.
    pub fn input_gradient(&mut self, x: &Tensor, loss: &dyn Fn(&Logits) -> LossGradient) -> Result<(Logits, Tensor)> {
        let found = self.network.gradients(x, self.mix, self.mode, Wrt::INPUT, loss)?;
        let gradient = found.input.ok_or_else(|| crate::error::Error::Net("no input gradient was computed".into()))?;
        Ok((found.logits, gradient))
    }
}

/// The images under attack. A sample's random numbers come from its number in the data set, so the result does not depend
/// on the batch it is in.
#[derive(Clone, Copy)]
pub struct Samples<'a> {
    /// Pixels in `[0, 1]`, `[n, h, w, c]`.
    pub images: &'a Tensor,
    /// True labels.
    pub labels: &'a [u32],
    /// Numbers in the data set.
    pub ids: &'a [u32],
    /// The attack's seed.
    pub seed: Seed,
}
