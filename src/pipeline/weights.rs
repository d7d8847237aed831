//! A network's numbers as a safetensors file, under the names of its layout.

use std::collections::HashMap;
use std::path::Path;

use candle_core::Tensor;
use safetensors::tensor::{Dtype, TensorView};
use sha2::{Digest, Sha256};

use crate::engine::Network;
use crate::error::{Error, IoContext, Result};
use crate::model::weights::{decode, gather};

/// The content of a file of the network's numbers.
pub fn encode(network: &Network) -> Result<Vec<u8>> {
    let values: Vec<f32> = network.state().to_vec1()?;
    let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    let views = network
        .layout()
        .tensors()
        .iter()
        .map(|t| {
            let view = TensorView::new(Dtype::F32, t.shape.clone(), &bytes[4 * t.range.start..4 * t.range.end]);
            view.map(|view| (t.name.clone(), view)).map_err(|e| Error::Tensor(e.to_string()))
        })
        .collect::<Result<Vec<_>>>()?;
    safetensors::serialize(views, None).map_err(|e| Error::Tensor(e.to_string()))
}

/// Which numbers a network has: the first 16 hexadecimal digits of the SHA-256 of all of them, as 32-bit floats in the
/// layout's order.
pub fn id_of(network: &Network) -> Result<String> {
    let numbers: Vec<f32> = network.state().to_vec1()?;
    let mut hash = Sha256::new();
    numbers.iter().for_each(|v| hash.update(v.to_le_bytes()));
    Ok(hash.finalize().iter().take(8).map(|b| format!("{b:02x}")).collect())
}

/// Sets a network's numbers from tensors in the layout and under the names that [`encode`] writes.
///
/// # Errors
/// [`Error::Net`] naming the tensor that is missing or unfit, or that holds what no network computes with.
pub fn set(network: &mut Network, tensors: &HashMap<String, Vec<f32>>) -> Result<()> {
    let values = gather(network.layout(), tensors)?;
    replace(network, values)
}

/// Reads a network's numbers; every tensor must be there with its shape. A file of PyTorch's is known by its shapes.
///
/// # Errors
/// [`Error::Data`] naming the tensor that is missing or unfit, or that holds what no network computes with.
pub fn load(network: &mut Network, path: &Path) -> Result<()> {
    let bytes = std::fs::read(path).at(path)?;
    let values = decode(network.layout(), &bytes, path)?;
    replace(network, values)
}

fn replace(network: &mut Network, values: Vec<f32>) -> Result<()> {
    let len = values.len();
    let device = network.state().device().clone();
    network.set_state(&Tensor::from_vec(values, len, &device)?)
}
