//! Where a network's numbers live: one flat vector, the trainable scalars first, then the running statistics of every
//! batch-norm. Order and names follow the network; nothing is looked up by hash order.

use std::ops::Range;

use crate::arch::net::{Net, NodeId};
use crate::arch::op::{Op, Shape, amplitudes};
use crate::seed::Seed;

/// A named tensor inside the flat vector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParamTensor {
    /// `node.weight`, `node.bias`, `node.running_mean`, `node.running_var` and the like.
    pub name: String,
    /// Its shape.
    pub shape: Vec<usize>,
    /// Its place.
    pub range: Range<usize>,
}

/// The layout of a network's state vector.
#[derive(Clone, Debug)]
pub struct ParamLayout {
    tensors: Vec<ParamTensor>,
    of_node: Vec<Vec<Range<usize>>>,
    running: Vec<Range<usize>>,
    trainable: usize,
    len: usize,
}

impl ParamLayout {
    /// Lays out a network.
    pub fn new(net: &Net) -> Self {
        let mut layout = ParamLayout {
            tensors: Vec::new(),
            of_node: vec![Vec::new(); net.len()],
            running: vec![0..0; net.len()],
            trainable: 0,
            len: 0,
        };
        for (id, node) in net.nodes() {
            for (suffix, shape) in node.op.params(&net.input_shapes(id)) {
                let range = layout.push(format!("{}.{suffix}", node.name), shape.into_vec());
                layout.of_node[id.index()].push(range);
            }
        }
        layout.trainable = layout.len;
        for (id, node) in net.nodes() {
            let c = node.shape.c;
            let mut push = |suffix: &str, shape| layout.push(format!("{}.{suffix}", node.name), shape);
            let parts = match &node.op {
                Op::BatchNorm { .. } => vec![push("running_mean", vec![c]), push("running_var", vec![c])],
                Op::MultiBatchNorm { branches } => (0..*branches)
                    .flat_map(|k| {
                        [push(&format!("{k}.running_mean"), vec![c]), push(&format!("{k}.running_var"), vec![c])]
                    })
                    .collect(),
                Op::ConvNorm { window, .. } => {
                    let Shape { h, w, c } = amplitudes(net.input_shapes(id)[0], window, c);
                    vec![push("running_amplitude", vec![h, w, c]), push("running_batches", vec![1])]
                }
                _ => continue,
            };
            if let [first, .., last] = &parts[..] {
                layout.running[id.index()] = first.start..last.end;
            }
        }
        layout
    }

    fn push(&mut self, name: String, shape: Vec<usize>) -> Range<usize> {
        let range = self.len..self.len + shape.iter().product::<usize>();
        self.len = range.end;
        self.tensors.push(ParamTensor { name, shape, range: range.clone() });
        range
    }

    /// All tensors in order.
    pub fn tensors(&self) -> &[ParamTensor] {
        &self.tensors
    }

    /// The trainable tensors of a node, in the order its operation declares.
    pub fn of(&self, id: NodeId) -> &[Range<usize>] {
        &self.of_node[id.index()]
    }

    /// All trainable numbers of a node.
    pub fn whole(&self, id: NodeId) -> Range<usize> {
        match (self.of(id).first(), self.of(id).last()) {
            (Some(first), Some(last)) => first.start..last.end,
            _ => 0..0,
        }
    }

    /// Running mean and variance of a batch-norm, one after the other, branch after branch; of a ConvNorm the inverse amplitudes and
    /// the number of batches in them.
    pub fn running(&self, id: NodeId) -> Range<usize> {
        self.running[id.index()].clone()
    }

    /// Trainable scalars: the first part of the vector.
    pub fn trainable(&self) -> usize {
        self.trainable
    }

    /// Scalars in all.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether the network has no numbers.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Fresh values: convolution and linear weights and biases uniform in `+-1/sqrt(fan_in)` (PyTorch's default);
    /// normalisations' scales 1 and shifts 0, running means 0, variances and amplitudes 1; tokens and positions normal with deviation 0.02
    /// (ViT's); temperatures 1; layer scales what they say. Every tensor has a seed of its own, by its name.
    pub fn init(&self, net: &Net, seed: Seed) -> Vec<f64> {
        let mut values = vec![0.0; self.len];
        for (id, node) in net.nodes() {
            let shapes = net.input_shapes(id);
            let tensors = self.of(id);
            let running = &mut values[self.running(id)];
            match &node.op {
                Op::BatchNorm { .. } | Op::MultiBatchNorm { .. } => {
                    for pair in running.chunks_exact_mut(2 * node.shape.c) {
                        pair[node.shape.c..].fill(1.0);
                    }
                }
                Op::ConvNorm { .. } => {
                    if let Some((_batches, amplitudes)) = running.split_last_mut() {
                        amplitudes.fill(1.0);
                    }
                }
                _ => {}
            }
            let stream = &mut seed.child(&node.name).stream();
            let mut uniform = |fan_in: usize| {
                let bound = (1.0 / fan_in as f64).sqrt();
                for v in &mut values[self.whole(id)] {
                    *v = (2.0 * f64::from(stream.uniform()) - 1.0) * bound;
                }
            };
            match &node.op {
                Op::Conv2d { window, groups, .. } => uniform(window.taps() * shapes[0].c / groups),
                Op::ConvNorm { window, .. } => uniform(window.taps() * shapes[0].c),
                Op::Linear { .. } => uniform(shapes[0].c),
                Op::BatchNorm { .. }
                | Op::MultiBatchNorm { .. }
                | Op::LayerNorm { .. }
                | Op::GroupNorm { .. }
                | Op::CrossCovariance { .. } => {
                    if let Some(weight) = tensors.first() {
                        values[weight.clone()].fill(1.0);
                    }
                }
                Op::Scale { init } => values[self.whole(id)].fill(f64::from(*init)),
                Op::ClassToken | Op::Position => {
                    for v in &mut values[self.whole(id)] {
                        *v = 0.02 * f64::from(stream.normal());
                    }
                }
                Op::Input { .. }
                | Op::Normalize { .. }
                | Op::Act { .. }
                | Op::Clip { .. }
                | Op::MaxPool { .. }
                | Op::AvgPool { .. }
                | Op::GlobalAvgPool
                | Op::FlcPool { .. }
                | Op::Add
                | Op::Mul
                | Op::Concat
                | Op::Slice { .. }
                | Op::Reshape { .. }
                | Op::Permute { .. }
                | Op::Matmul
                | Op::Crop { .. }
                | Op::Pad { .. }
                | Op::Softmax { .. }
                | Op::Attention { .. }
                | Op::SinePosition { .. }
                | Op::Dropout { .. }
                | Op::StochasticDepth { .. }
                | Op::Zero { .. }
                | Op::MixedSum { .. } => {}
            }
        }
        values
    }
}
