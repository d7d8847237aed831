//! Images and the network's answers to them, so that who runs its PyTorch form can see that it is the same network.

use candle_core::Tensor;

use crate::arch::op::Shape;
use crate::engine::{Mode, Network, NormMode};
use crate::error::Result;
use crate::model::weights::safetensors_of;
use crate::seed::Seed;

/// Images of an example.
const IMAGES: usize = 4;

/// The content of `example.safetensors`: `pixels` `[4, c, h, w]`, drawn evenly from `[0, 1]`, and `logits` `[4, classes]`, with
/// running statistics.
///
/// # Errors
/// [`crate::error::Error::Tensor`] where the device cannot be read; [`crate::error::Error::NotFinite`] for logits that are no
/// numbers.
pub fn example(network: &mut Network) -> Result<Vec<u8>> {
    let Shape { h, w, c } = network.net().input_shape();
    let mut stream = Seed::root(0).child("example").stream();
    let pixels: Vec<f32> = (0..IMAGES * h * w * c).map(|_| stream.uniform()).collect();
    let device = network.state().device().clone();
    let pixels = Tensor::from_vec(pixels, (IMAGES, h, w, c), &device)?;
    let mode = Mode { norm: NormMode::Eval, branch: 0, drop: None };
    let logits: Vec<f32> = network.logits(&pixels, &[], mode)?.values.iter().map(|logit| *logit as f32).collect();
    let pixels = pixels.permute((0, 3, 1, 2))?.flatten_all()?.to_vec1()?;
    let bytes = |values: &[f32]| values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
    let tensors = [
        ("pixels", vec![IMAGES, c, h, w], bytes(&pixels)),
        ("logits", vec![IMAGES, network.net().classes()], bytes(&logits)),
    ];
    safetensors_of(&tensors, None)
}
