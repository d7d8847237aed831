//! Timing a network on this machine.

use candle_core::{Device, Tensor};

use super::time::median_ms;
use crate::arch::net::Net;
use crate::arch::op::Shape;
use crate::data::loader::Batch;
use crate::engine::{Network, NormMode};
use crate::error::Result;
use crate::recipe::{Recipe, Time};
use crate::record::Speed;
use crate::seed::Seed;
use crate::train::fit::Learner;
use crate::train::trainee::Trainee;

/// Timed passes of each kind.
pub const PASSES: usize = 5;

/// Times a fresh network: forward passes, and training steps by a recipe in its batches, on images of noise.
///
/// # Errors
/// [`crate::error::Error::NotFinite`] where a step's loss is no number; [`crate::error::Error::Tensor`] where memory does
/// not suffice.
///
/// # Cost
/// [`PASSES`] and one forward passes and training steps of a batch.
pub fn speed(net: &Net, recipe: &Recipe) -> Result<Speed> {
    let seed = Seed::root(0).child("speed");
    let batch = noise(net, recipe.batch, seed)?;
    let images = batch.labels.len() as f64;
    let mut trainee = Trainee::timed(Network::new(net.clone(), seed, &Device::Cpu)?, recipe)?;
    let forward = median_ms(PASSES, || trainee.network().logits(&batch.images, &[], NormMode::Eval).map(drop))?;
    let training = median_ms(PASSES, || trainee.step(&batch, Time::FIRST).map(drop))?;
    Ok(Speed {
        forward_ms: forward / images,
        training_ms: training / images,
        batch: recipe.batch,
        threads: rayon::current_num_threads(),
        passes: PASSES,
    })
}

/// Images of uniform noise with uniform labels.
fn noise(net: &Net, n: usize, seed: Seed) -> Result<Batch> {
    let Shape { h, w, c } = net.input_shape();
    let mut stream = seed.child("noise").stream();
    let pixels: Vec<f32> = (0..n * h * w * c).map(|_| stream.uniform()).collect();
    let labels = (0..n).map(|_| stream.below(net.classes()) as u32).collect();
    let images = Tensor::from_vec(pixels, (n, h, w, c), &Device::Cpu)?;
    Ok(Batch { images, labels, ids: (0..n as u32).collect(), seed })
}
