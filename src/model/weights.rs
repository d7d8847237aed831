//! A network's weights in files: encoded, read, checked, and laid out as the engine keeps them.

use std::collections::HashMap;
use std::path::Path;

use candle_core::{Device, Tensor};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use sha2::{Digest, Sha256};

use crate::engine::kernels::norm::EPSILON;
use crate::engine::{Network, ParamLayout, ParamTensor};
use crate::error::{Error, IoContext, Result};

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

/// Sets a network's weights from tensors in the layout and under the names that [`encode`] writes.
///
/// # Errors
/// As [`gather`].
pub fn set(network: &mut Network, tensors: &HashMap<String, Vec<f32>>) -> Result<()> {
    replace(network, gather(network.layout(), tensors)?)
}

/// Reads a network's weights from a file.
///
/// # Errors
/// [`Error::Io`] where it cannot be read; else as [`decode`].
pub fn load(network: &mut Network, path: &Path) -> Result<()> {
    let bytes = std::fs::read(path).at(path)?;
    replace(network, decode(network.layout(), &bytes, path)?)
}

fn replace(network: &mut Network, values: Vec<f32>) -> Result<()> {
    let len = values.len();
    let device = network.state().device().clone();
    network.set_state(&Tensor::from_vec(values, len, &device)?)
}

/// How the weights of a file are laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    /// Convolutions `[h, w, in, out]`, matrices `[in, out]`: as the engine keeps them.
    Own,
    /// Convolutions `[out, in, h, w]`, matrices `[out, in]`: as PyTorch keeps them.
    PyTorch,
}

/// The axes of a tensor in PyTorch's order, in ours.
fn axes(rank: usize) -> &'static [usize] {
    match rank {
        4 => &[2, 3, 1, 0],
        3 => &[0, 1, 2],
        2 => &[1, 0],
        _ => &[0],
    }
}

impl Order {
    /// The shape under which a tensor stands in the file.
    fn shape(self, tensor: &ParamTensor) -> Vec<usize> {
        let mut shape = tensor.shape.clone();
        if self == Order::PyTorch {
            for (own, theirs) in axes(shape.len()).iter().enumerate() {
                shape[*theirs] = tensor.shape[own];
            }
        }
        shape
    }
}

/// All numbers of a layout, `[layout.len()]`, from tensors under its names and in its order.
///
/// # Errors
/// [`Error::Net`] naming the tensor that is missing or unfit, or that holds what no network computes with.
pub fn gather(layout: &ParamLayout, tensors: &HashMap<String, Vec<f32>>) -> Result<Vec<f32>> {
    let mut values = Vec::with_capacity(layout.len());
    for ParamTensor { name, shape, range } in layout.tensors() {
        let found = tensors.get(name).filter(|found| found.len() == range.len());
        values.extend(found.ok_or_else(|| Error::Net(format!("`{name}` needs numbers of shape {shape:?}")))?);
    }
    checked(layout, values)
}

/// All numbers of a layout, `[layout.len()]`, from the bytes of a safetensors file; every tensor must be there with its
/// shape. A file of PyTorch's is known by its shapes.
///
/// # Errors
/// [`Error::Data`] naming the file and the tensor that is missing or unfit, or that holds what no network computes with.
pub fn decode(layout: &ParamLayout, bytes: &[u8], path: &Path) -> Result<Vec<f32>> {
    let file = SafeTensors::deserialize(bytes).map_err(|e| Error::data(path, e.to_string()))?;
    let tensors = layout.tensors();
    let fits =
        |order: Order| tensors.iter().all(|t| file.tensor(&t.name).is_ok_and(|view| view.shape() == order.shape(t)));
    let order = if !fits(Order::Own) && fits(Order::PyTorch) { Order::PyTorch } else { Order::Own };
    let mut values = vec![0f32; layout.len()];
    for tensor in tensors {
        let view = file.tensor(&tensor.name).map_err(|e| Error::data(path, format!("`{}`: {e}", tensor.name)))?;
        let want = order.shape(tensor);
        if view.shape() != want || view.dtype() != Dtype::F32 {
            let found = (view.shape(), view.dtype());
            return Err(Error::data(path, format!("`{}` is {found:?}, expected {want:?} of F32", tensor.name)));
        }
        let numbers: Vec<f32> =
            view.data().chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
        let numbers = match order {
            Order::Own => numbers,
            Order::PyTorch => Tensor::from_vec(numbers, want, &Device::Cpu)?
                .permute(axes(tensor.shape.len()))?
                .flatten_all()?
                .to_vec1()?,
        };
        values[tensor.range.clone()].copy_from_slice(&numbers);
    }
    checked(layout, values).map_err(|why| why.of_file(path))
}

/// The numbers, if a network can compute with them.
///
/// Such as NaN, an infinity or a statistic of the wrong sign make a network answer NaN, or one class for every image, and
/// either looks like a number in a table.
///
/// # Errors
/// [`Error::Net`] naming the tensor that holds what no network computes with.
fn checked(layout: &ParamLayout, values: Vec<f32>) -> Result<Vec<f32>> {
    let fault = layout.tensors().iter().find_map(|ParamTensor { name, range, .. }| {
        let own = &values[range.clone()];
        let signed = [".running_var", ".running_amplitude", ".running_batches"].iter().any(|s| name.ends_with(s));
        // A model with a smaller epsilon than ours has the difference in its variances, which may lie below zero by it.
        let unfit = |v: f32| !v.is_finite() || signed && f64::from(v) <= -EPSILON;
        let (at, value) = own.iter().enumerate().find(|(_, v)| unfit(**v))?;
        let count = own.iter().filter(|v| unfit(**v)).count();
        let (of, why) = (own.len(), if value.is_finite() { "a statistic that cannot be negative" } else { "no number" });
        Some(format!(
            "`{name}` holds {value}, {why} (number {at} of {of}; {count} of them are unfit); its training diverged or the \
             file is damaged: train or convert it again"
        ))
    });
    fault.map_or(Ok(values), |why| Err(Error::Net(why)))
}
