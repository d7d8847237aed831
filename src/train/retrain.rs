//! Training one network from scratch by a method.

use candle_core::Tensor;

use super::fit::{Learner, Position};
use super::method::{training_images, weight_gradient, work};
use super::optim::Sgd;
use super::schedule::cosine;
use crate::data::loader::Batch;
use crate::engine::{Memory, Network};
use crate::error::Result;
use crate::recipe::Retrain;

/// A derived network in training.
pub struct Trainee {
    network: Network,
    sgd: Sgd,
    config: Retrain,
}

impl Trainee {
    /// A fresh trainee.
    pub fn new(network: Network, config: Retrain) -> Result<Self> {
        let sgd = Sgd::new(config.sgd, &network.weights()?)?;
        Ok(Trainee { network, sgd, config })
    }

    /// The network.
    pub fn network(&mut self) -> &mut Network {
        &mut self.network
    }

    /// What its steps hold in memory, the network and the momentum among it.
    ///
    /// # Errors
    /// [`Error::Internal`](crate::error::Error::Internal) as a plan's.
    pub fn memory(&self) -> Result<Memory> {
        self.network.memory(&work(&self.config.method, self.config.batch))
    }

    /// The trained network.
    pub fn into_network(self) -> Network {
        self.network
    }

    /// All numbers of the network, and the momentum.
    pub fn save(&self) -> (&Tensor, &Tensor) {
        (self.network.state(), self.sgd.momentum())
    }

    /// Takes up saved numbers.
    pub fn restore(&mut self, network: &Tensor, momentum: Tensor) -> Result<()> {
        self.network.set_state(network)?;
        self.sgd.set_momentum(momentum);
        Ok(())
    }
}

impl Learner for Trainee {
    fn step(&mut self, batch: &Batch, at: Position) -> Result<f64> {
        let lr = cosine(self.config.sgd.lr, self.config.sgd.lr_min, at.epoch, self.config.epochs);
        let samples = batch.samples(batch.seed.child("attack"));
        let method = &self.config.method;
        let images = training_images(method, &mut self.network, &[], samples)?;
        let (loss, gradient) = weight_gradient(method, &mut self.network, &[], samples, &images)?;
        self.sgd.step(&self.network.weights()?, &gradient, lr)?;
        Ok(loss)
    }
}
