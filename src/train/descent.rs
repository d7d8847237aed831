//! The optimiser of a recipe at work, with what it keeps from step to step.

use candle_core::{Device, Tensor};

use super::adamw::AdamW;
use super::fit::State;
use super::kernels::kernels;
use super::optim::Sgd;
use crate::engine::Network;
use crate::error::Result;
use crate::recipe::{Decayed, Optimiser};

/// An optimiser of a network's weights.
pub enum Descent {
    /// Momentum SGD.
    Sgd(Sgd),
    /// AdamW.
    AdamW(AdamW),
}

/// The names under which vectors are saved.
const MOMENTUM: &str = "momentum";
const FIRST: &str = "first_moment";
const SECOND: &str = "second_moment";

impl Descent {
    /// A fresh optimiser.
    ///
    /// # Errors
    /// [`crate::error::Error::Tensor`] where memory does not suffice.
    pub fn new(optimiser: Optimiser, clip: Option<f64>, network: &Network) -> Result<Self> {
        let weights = network.weights()?;
        let decayed = match optimiser.decayed() {
            Decayed::All => None,
            Decayed::Kernels => Some(kernels(network)),
        };
        Ok(match optimiser {
            Optimiser::Sgd(config) => Descent::Sgd(Sgd::with(config, clip, decayed, &weights)?),
            Optimiser::Adamw(config) => Descent::AdamW(AdamW::new(config, clip, decayed, weights.elem_count())),
        })
    }

    /// One step down a gradient.
    ///
    /// # Errors
    /// [`crate::error::Error::NotFinite`] where the gradient is not a number; the weights are then untouched.
    pub fn step(&mut self, network: &Network, gradient: &Tensor, lr: f64) -> Result<()> {
        let weights = network.weights()?;
        match self {
            Descent::Sgd(sgd) => sgd.step(&weights, gradient, lr),
            Descent::AdamW(adamw) => adamw.step(&weights, gradient, lr),
        }
        .map(drop)
    }

    /// The vectors that it keeps, and its number of steps where it counts them.
    ///
    /// # Errors
    /// [`crate::error::Error::Tensor`] where memory does not suffice.
    pub fn save(&self) -> Result<(Vec<(&'static str, Tensor)>, u64)> {
        match self {
            Descent::Sgd(sgd) => Ok((vec![(MOMENTUM, sgd.momentum().clone())], 0)),
            Descent::AdamW(adamw) => {
                let (first, second) = adamw.moments();
                let tensor = |values: &[f32]| Tensor::from_slice(values, values.len(), &Device::Cpu);
                Ok((vec![(FIRST, tensor(first)?), (SECOND, tensor(second)?)], adamw.steps()))
            }
        }
    }

    /// Takes up what was saved.
    ///
    /// # Errors
    /// [`crate::error::Error::Net`] naming what is missing or does not fit.
    pub fn restore(&mut self, state: &mut State, steps: u64) -> Result<()> {
        match self {
            Descent::Sgd(sgd) => {
                let len = sgd.momentum().elem_count();
                sgd.set_momentum(state.take(MOMENTUM, len)?);
            }
            Descent::AdamW(adamw) => {
                let len = adamw.moments().0.len();
                let (first, second) = (state.take(FIRST, len)?, state.take(SECOND, len)?);
                adamw.restore(first.to_vec1()?, second.to_vec1()?, steps);
            }
        }
        Ok(())
    }
}
