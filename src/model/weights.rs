//! A network's weights in files: encoding, reading and checks.

use std::collections::HashMap;
use std::path::Path;

use candle_core::Tensor;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use sha2::{Digest, Sha256};

use super::layout::Layout;
use crate::arch::net::Net;
use crate::arch::op::{BATCH_NORM_EPSILON, Op};
use crate::engine::{Network, ParamLayout, ParamTensor};
use crate::error::{Error, IoContext, Result};

/// Metadata key of the layout of a file's weights, and its value for PyTorch's.
const LAYOUT: (&str, &str) = ("layout", "pytorch");

/// The content of a safetensors file of the network's weights; PyTorch's layout is that of `load_state_dict`.
///
/// # Errors
/// [`Error::Tensor`] where safetensors refuses them.
pub fn encode(network: &Network, layout: Layout) -> Result<Vec<u8>> {
    let (net, values) = (network.net(), network.state().to_vec1::<f32>()?);
    let turned = network.layout().tensors().iter().map(|t| {
        let turn = layout.turn(net, &t.name);
        let values = turn.theirs(&values[t.range.clone()], &t.shape);
        (t.name.as_str(), turn.shape(&t.shape), values.iter().flat_map(|v| v.to_le_bytes()).collect())
    });
    let tensors: Vec<(&str, Vec<usize>, Vec<u8>)> = turned.collect();
    let metadata = match layout {
        Layout::Own => None,
        Layout::Pytorch => Some(HashMap::from([(LAYOUT.0.to_owned(), LAYOUT.1.to_owned())])),
    };
    safetensors_of(&tensors, metadata)
}

/// A safetensors file of 32-bit floats: names, shapes and little-endian bytes.
pub(super) fn safetensors_of(
    tensors: &[(&str, Vec<usize>, Vec<u8>)],
    metadata: Option<HashMap<String, String>>,
) -> Result<Vec<u8>> {
    let views = tensors.iter().map(|(name, shape, bytes)| {
        let view = TensorView::new(Dtype::F32, shape.clone(), bytes);
        view.map(|view| (*name, view)).map_err(|e| Error::Tensor(e.to_string()))
    });
    safetensors::serialize(views.collect::<Result<Vec<_>>>()?, metadata).map_err(|e| Error::Tensor(e.to_string()))
}

/// The id of a network's weights: the first 16 hexadecimal digits of the SHA-256 of all of them, as little-endian
/// 32-bit floats in the layout's order.
///
/// # Errors
/// [`Error::Tensor`] where the device cannot be read.
pub fn id_of(network: &Network) -> Result<String> {
    let state: Vec<f32> = network.state().to_vec1()?;
    let mut hash = Sha256::new();
    state.iter().for_each(|v| hash.update(v.to_le_bytes()));
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
    replace(network, decode(network.net(), network.layout(), &bytes, path)?)
}

fn replace(network: &mut Network, values: Vec<f32>) -> Result<()> {
    let len = values.len();
    let device = network.state().device().clone();
    network.set_state(&Tensor::from_vec(values, len, &device)?)
}

/// All weights of a layout, `[layout.len()]`, from tensors under its names and in its order.
///
/// # Errors
/// [`Error::Net`] naming the tensor that is missing or of another length, or that has NaN, an infinity or a negative
/// variance.
pub fn gather(layout: &ParamLayout, tensors: &HashMap<String, Vec<f32>>) -> Result<Vec<f32>> {
    let mut values = Vec::with_capacity(layout.len());
    for ParamTensor { name, shape, range } in layout.tensors() {
        let found = tensors.get(name).filter(|found| found.len() == range.len());
        values.extend(found.ok_or_else(|| Error::Net(format!("`{name}` needs a tensor of shape {shape:?}")))?);
    }
    checked(layout, values)
}

/// All weights of a layout, `[layout.len()]`, from the bytes of a safetensors file; every tensor must be there with its
/// shape. PyTorch's layout is recognised by the metadata or by the shapes.
///
/// # Errors
/// [`Error::Data`] naming the file and the tensor that is missing or of another shape, or that has NaN, an infinity or
/// a negative variance.
pub fn decode(net: &Net, layout: &ParamLayout, bytes: &[u8], path: &Path) -> Result<Vec<f32>> {
    let unreadable = |e: safetensors::SafeTensorError| Error::data(path, e.to_string());
    let file = SafeTensors::deserialize(bytes).map_err(unreadable)?;
    let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(unreadable)?;
    let said = metadata.metadata().as_ref().and_then(|words| words.get(LAYOUT.0)).is_some_and(|word| word == LAYOUT.1);
    let tensors = layout.tensors();
    let fits = |layout: Layout| {
        let shape = |t: &ParamTensor| layout.turn(net, &t.name).shape(&t.shape);
        tensors.iter().all(|t| file.tensor(&t.name).is_ok_and(|view| view.shape() == shape(t)))
    };
    let order = if said || !fits(Layout::Own) && fits(Layout::Pytorch) { Layout::Pytorch } else { Layout::Own };
    let mut values = vec![0f32; layout.len()];
    for tensor in tensors {
        let view = file.tensor(&tensor.name).map_err(|e| Error::data(path, format!("`{}`: {e}", tensor.name)))?;
        let turn = order.turn(net, &tensor.name);
        let want = turn.shape(&tensor.shape);
        if view.shape() != want || view.dtype() != Dtype::F32 {
            let found = (view.shape(), view.dtype());
            let hint = other_classes(net.classes(), view.shape(), &want).unwrap_or_default();
            return Err(Error::data(path, format!("`{}` is {found:?}, expected {want:?} of F32{hint}", tensor.name)));
        }
        let found: Vec<f32> =
            view.data().chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
        values[tensor.range.clone()].copy_from_slice(&turn.own(&found, &tensor.shape));
    }
    checked(layout, values).map_err(|why| why.of_file(path))
}

/// How many classes the weights of a network's last layer in a safetensors file are of, where it is another number than its own.
pub fn classes_of(net: &Net, bytes: &[u8]) -> Option<usize> {
    let head = net.node(net.output());
    let fan = net.inputs(net.output()).first().map(|input| net.node(*input).shape.c)?;
    let file = SafeTensors::deserialize(bytes).ok()?;
    let view = file.tensor(&format!("{}.weight", head.name)).ok().filter(|_| matches!(head.op, Op::Linear { .. }))?;
    // `[in, out]` here, `[out, in]` in PyTorch.
    match *view.shape() {
        [own, out] | [out, own] if own == fan && out != net.classes() => Some(out),
        _ => None,
    }
}

/// What to do about weights of another number of classes: a shape that differs in that side alone.
fn other_classes(classes: usize, found: &[usize], want: &[usize]) -> Option<String> {
    let differ: Vec<(&usize, &usize)> = found.iter().zip(want).filter(|(a, b)| a != b).collect();
    let [(theirs, own)] = differ[..] else { return None };
    (found.len() == want.len() && *own == classes).then(|| {
        format!(
            "; these weights are of {theirs} classes, and the network was built for the {classes} of the data: if the data \
             have the same classes and no image of some, name all in their folder's classes.txt, one a line"
        )
    })
}

/// The numbers, if a network can compute with them.
///
/// Such as NaN, an infinity or a statistic of the wrong sign make a network answer NaN, or one class for every image, and
/// either looks like a number in a table.
///
/// # Errors
/// [`Error::Net`] naming the tensor and its first invalid value.
fn checked(layout: &ParamLayout, values: Vec<f32>) -> Result<Vec<f32>> {
    let fault = layout.tensors().iter().find_map(|ParamTensor { name, range, .. }| {
        let own = &values[range.clone()];
        let signed = [".running_var", ".running_amplitude", ".running_batches"].iter().any(|s| name.ends_with(s));
        // A model with a smaller epsilon has the difference in its variances, which may be negative by it.
        let unfit = |v: f32| !v.is_finite() || signed && f64::from(v) <= -BATCH_NORM_EPSILON;
        let (at, value) = own.iter().enumerate().find(|(_, v)| unfit(**v))?;
        let count = own.iter().filter(|v| unfit(**v)).count();
        let (of, why) =
            (own.len(), if value.is_finite() { "a statistic that cannot be negative" } else { "not a finite number" });
        Some(format!(
            "`{name}` holds {value}, {why} (element {at} of {of}; {count} are invalid); its training diverged or the \
             file is damaged: train or convert it again"
        ))
    });
    fault.map_or(Ok(values), |why| Err(Error::Net(why)))
}
