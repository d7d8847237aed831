//! A training step of one network by one method.

use candle_core::Device;
use serde::Serialize;

use super::{Line, Needs, noise};
use crate::arch::net::Net;
use crate::data::loader::Loader;
use crate::engine::Network;
use crate::error::Result;
use crate::jobs::resident;
use crate::recipe::{Preset, Retrain, Sgd};
use crate::seed::Seed;
use crate::train::fit::{Learner, Position};
use crate::train::method::work;
use crate::train::retrain::Trainee;

/// The usual schedule of PreActResNet-18 (Rice et al. 2020), with this program's gradient clipping.
const SGD: Sgd = Sgd { lr: 0.1, lr_min: 0.0, momentum: 0.9, weight_decay: 5e-4, clip: 5.0 };

/// The network and the method.
#[derive(Clone, Debug, Serialize)]
pub struct Training {
    /// The network, as it was named.
    pub net: String,
    /// The method's name.
    pub method: String,
}

/// Times training steps of a network, `steps` of them after a first one.
///
/// # Errors
/// [`crate::error::Error::NotFinite`] where the training diverges.
pub fn measure(net: Net, name: &str, preset: &Preset, batch: usize, steps: usize) -> Result<Line<Training>> {
    let before = resident();
    let (seed, device, shape) = (Seed::root(0).child("bench"), Device::Cpu, net.input_shape());
    let data = noise(shape, net.classes(), batch, seed);
    let ids: Vec<u32> = (0..batch as u32).collect();
    let loader = Loader::new(&data.train, shape, &ids, batch, seed, &device);
    let images = loader.batch(&loader.order(0), 0, 0)?;
    let network = Network::new(net, seed.child("init"), &device)?;
    let mut trainee = Trainee::new(network, Retrain { epochs: 1, batch, method: preset.method, sgd: SGD })?;
    let needs = Needs::of(trainee.network(), &work(&preset.method, batch), before)?;
    let training = Training { net: name.to_owned(), method: preset.word.clone() };
    Line::measure(&preset.word, training, needs, steps, &mut || trainee.step(&images, Position::default()).map(drop))
}
