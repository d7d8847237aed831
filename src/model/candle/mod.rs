//! A network as a `candle_nn::Module`, on any device that candle has.
//!
//! ```no_run
//! use candle_core::{DType, Device, Tensor};
//! use candle_nn::Module;
//! use robustnas::model::candle::CandleNet;
//!
//! let device = Device::Cpu;
//! let net = CandleNet::load("best.json", "best.safetensors", &device)?;
//! let pixels = Tensor::rand(0f32, 1.0, (8, 3, 32, 32), &device)?; // [n, c, h, w] in [0, 1]
//! let logits = net.forward(&pixels)?; // [n, classes]
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The normalisation of pixels is the network's layer 0, so it takes pixels in `[0, 1]`. The logits are those of the
//! engine ([`crate::engine`]) up to rounding.
//!
//! **For inference.** Normalisations use their running statistics and there is no dropout, in
//! `ModuleT::forward_t` with `train = true` as well; training is the engine's work ([`crate::train`]).
//!
//! **Gradients with respect to the pixels flow**, through every operation, and are the engine's. Where candle's own
//! backward pass is lacking or has other conventions, a layer is composed of operations whose backward pass is right:
//!
//! | operation | candle 0.11 | here |
//! |---|---|---|
//! | max pooling | kernel = stride only; the gradient is divided by the window's size | maxima along columns, then rows |
//! | average pooling | kernel = stride only; no padding | a matrix for the rows, one for the columns |
//! | convolution | fails where rows and columns need different padding of the gradient | pixels are padded or cropped before it |
//! | layer normalisation | the fused kernel has none | means and roots |
//! | ReLU, clipping | gradient 1 and 1/2 at the corner | 0 and 1, as PyTorch |
//!
//! Layers that candle lacks are composed, too: spectral layers (FLC pooling, ConvNorm) by Fourier matrices for the
//! image's size, attention and cross-covariance by matrix products. Grouped convolutions are candle's: one call per
//! group.

mod layer;
mod planes;
mod tokens;
mod window;

use std::collections::HashMap;
use std::path::Path;

use candle_core::{Device, Tensor};
use candle_nn::{Module, VarBuilder};

use self::layer::Layer;
use super::layout::Turn;
use super::weights::{decode, gather};
use crate::arch::file::ArchFile;
use crate::arch::net::{Net, NodeId};
use crate::arch::op::Shape;
use crate::engine::{Network, ParamLayout};
use crate::error::{Error, IoContext, Result};

/// A network for inference: pixels `[n, c, h, w]` in `[0, 1]` to logits `[n, classes]`.
#[derive(Clone, Debug)]
pub struct CandleNet {
    steps: Vec<Step>,
    image: Shape,
    classes: usize,
    branches: usize,
    branch: usize,
}

/// A node of the network.
#[derive(Clone, Debug)]
struct Step {
    name: String,
    layer: Layer,
    /// Its inputs.
    inputs: Vec<usize>,
    /// Nodes that no later step reads.
    done: Vec<usize>,
}

impl CandleNet {
    /// A network with its weights, under the names and in the order of [`ParamLayout`] (`docs/export.md` has the
    /// table).
    ///
    /// # Errors
    /// [`Error::Net`] naming the tensor that is missing, of another size or invalid, or the mixed sum of a supernet,
    /// which has no form here; [`Error::Tensor`] where the device refuses.
    pub fn new(net: &Net, tensors: &HashMap<String, Vec<f32>>, device: &Device) -> Result<Self> {
        let layout = ParamLayout::new(net);
        let values = gather(&layout, tensors)?;
        CandleNet::laid_out(net, &layout, &Tensor::new(values, &Device::Cpu)?, device)
    }

    /// A network of the engine with a copy of its weights, in its precision.
    ///
    /// # Errors
    /// As [`CandleNet::new`].
    pub fn of(network: &Network, device: &Device) -> Result<Self> {
        CandleNet::laid_out(network.net(), network.layout(), network.state(), device)
    }

    /// A network from its files: an `arch.json`, and safetensors in this program's order or in PyTorch's.
    ///
    /// # Errors
    /// [`Error::Io`] and [`Error::Data`] naming the file, what is wrong with it and where; else as [`CandleNet::new`].
    pub fn load(arch: impl AsRef<Path>, weights: impl AsRef<Path>, device: &Device) -> Result<Self> {
        let (arch, weights) = (arch.as_ref(), weights.as_ref());
        let (_, net) = ArchFile::from_json(&std::fs::read_to_string(arch).at(arch)?, arch)?;
        let layout = ParamLayout::new(&net);
        let values = decode(&net, &layout, &std::fs::read(weights).at(weights)?, weights)?;
        let values = Tensor::new(values, &Device::Cpu)?;
        CandleNet::laid_out(&net, &layout, &values, device).map_err(|why| why.of_file(arch))
    }

    /// A network with the weights of a `VarBuilder`, on its device and in its precision: under the names of
    /// [`ParamLayout`], convolutions `[out, in / groups, rows, columns]` and matrices `[out, in]` as PyTorch and candle
    /// keep them, all others as there. They are read once: variables that change later do not change the network.
    ///
    /// # Errors
    /// [`Error::Net`] naming the node and the tensor that is missing or of another shape, or the mixed sum of a
    /// supernet.
    pub fn from_builder(net: &Net, vb: &VarBuilder) -> Result<Self> {
        net.validate()?;
        let mut steps = Vec::with_capacity(net.len());
        for (id, node) in net.nodes() {
            let layer = Layer::new(&node.op, &net.input_shapes(id), node.shape, &vb.pp(&node.name));
            let layer = layer.map_err(|why| Error::Net(format!("node `{}`, {}: {why}", node.name, node.op.name())))?;
            let reads = net.inputs(id);
            let is_last = |read: &&NodeId| net.readers(**read).last() == Some(&id);
            let done = reads.iter().filter(is_last).map(|read| read.index()).collect();
            let inputs = reads.iter().map(|read| read.index()).collect();
            steps.push(Step { name: node.name.clone(), layer, inputs, done });
        }
        Ok(CandleNet { steps, image: net.input_shape(), classes: net.classes(), branches: net.branches(), branch: 0 })
    }

    /// A network with all weights in one tensor, in the engine's layout.
    fn laid_out(net: &Net, layout: &ParamLayout, state: &Tensor, device: &Device) -> Result<Self> {
        let mut tensors = HashMap::new();
        for tensor in layout.tensors() {
            let values = state.narrow(0, tensor.range.start, tensor.range.len())?.reshape(&tensor.shape[..])?;
            let values = match Turn::of(net, &tensor.name).axes() {
                Some(axes) => values.permute(axes)?.contiguous()?,
                None => values,
            };
            tensors.insert(tensor.name.clone(), values);
        }
        CandleNet::from_builder(net, &VarBuilder::from_tensors(tensors, state.dtype(), device))
    }

    /// The same network with another branch of its multi-branch batch-norms; the default is the first.
    ///
    /// # Errors
    /// [`Error::Net`] for a branch that does not exist.
    pub fn with_branch(self, branch: usize) -> Result<Self> {
        if branch >= self.branches {
            let has = self.branches;
            return Err(Error::Net(format!("batch-norm branch {branch} of a network that has {has}, counted from 0")));
        }
        Ok(CandleNet { branch, ..self })
    }

    /// The size of an image, `[h, w, c]`; a batch is `[n, c, h, w]`.
    pub fn image(&self) -> Shape {
        self.image
    }

    /// Logits an image.
    pub fn classes(&self) -> usize {
        self.classes
    }
}

impl Module for CandleNet {
    /// Logits `[n, classes]` of pixels `[n, c, h, w]` in `[0, 1]`.
    ///
    /// # Errors
    /// The expected shape, for pixels of another one; the layer at which the device refused.
    fn forward(&self, pixels: &Tensor) -> candle_core::Result<Tensor> {
        let Shape { h, w, c } = self.image;
        match pixels.dims() {
            [n, found @ ..] if *n > 0 && *found == [c, h, w] => {}
            found => candle_core::bail!("the network takes pixels [n, {c}, {h}, {w}] in [0, 1], got {found:?}"),
        }
        // A value is dropped after its last reader; candle's graph keeps those that gradients need.
        let mut values: Vec<Option<Tensor>> = vec![None; self.steps.len()];
        let mut last = pixels.clone();
        for (at, step) in self.steps.iter().enumerate() {
            let inputs: Vec<&Tensor> = step.inputs.iter().filter_map(|read| values[*read].as_ref()).collect();
            let inputs = if step.inputs.is_empty() { vec![pixels] } else { inputs };
            let value = step.layer.forward(&inputs, self.branch);
            last = value.map_err(|why| why.context(format!("layer `{}`", step.name)))?;
            values[at] = Some(last.clone());
            step.done.iter().for_each(|read| values[*read] = None);
        }
        last.flatten_from(1)
    }
}
