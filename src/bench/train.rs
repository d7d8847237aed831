//! A training step of one network by one recipe.

use candle_core::Device;
use serde::Serialize;

use super::{Line, Needs, noise};
use crate::arch::net::Net;
use crate::data::loader::Loader;
use crate::engine::Network;
use crate::error::Result;
use crate::jobs::resident;
use crate::recipe::{Preset, Recipe, Time};
use crate::seed::Seed;
use crate::train::fit::Learner;
use crate::train::trainee::{Trainee, fitted};
use crate::train::work::work;

/// The network and the method.
#[derive(Clone, Debug, Serialize)]
pub struct Training {
    /// The network, as it was named.
    pub net: String,
    /// The method's name.
    pub method: String,
}

/// Times training steps of a network by a preset in batches of a size, `steps` of them after a first one. The learning
/// rate is 0, and what comes in a later epoch is timed in the first.
///
/// # Errors
/// [`crate::error::Error::NotFinite`] where the training diverges; [`crate::error::Error::Usage`] where the preset does not
/// go with the network.
pub fn measure(net: &Net, name: &str, preset: &Preset, batch: usize, steps: usize) -> Result<Line<Training>> {
    let net = fitted(net, &preset.recipe)?;
    let before = resident();
    let (seed, device, shape) = (Seed::root(0).child("bench"), Device::Cpu, net.input_shape());
    let data = noise(shape, net.classes(), batch, seed);
    let ids: Vec<u32> = (0..batch as u32).collect();
    let loader = Loader::new(&data.train, shape, &ids, batch, seed, &device);
    let images = loader.batch(&loader.order(0), 0, 0)?;
    let network = Network::new(net, seed.child("init"), &device)?;
    let recipe = Recipe { batch, ..preset.recipe.clone() };
    let needs = Needs::of(&network, &work(&recipe, batch), before)?;
    let mut trainee = Trainee::timed(network, &recipe)?;
    let training = Training { net: name.to_owned(), method: preset.word.clone() };
    Line::measure(&preset.word, training, needs, steps, &mut || trainee.step(&images, Time::FIRST).map(drop))
}
