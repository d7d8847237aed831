//! Where a network's numbers live: one flat vector, the trainable scalars first, then the running statistics of every
//! batch-norm. Order and names follow the network; nothing is looked up by hash order.

use std::ops::Range;

use super::real::Real;
use crate::arch::net::{Net, NodeId};
use crate::arch::op::{Op, Shape};
use crate::seed::Seed;

/// A named tensor inside the flat vector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParamTensor {
    /// `node.weight`, `node.bias`, `node.running_mean`, `node.running_var`.
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
                let range = layout.push(format!("{}.{suffix}", node.name), shape);
                layout.of_node[id.index()].push(range);
            }
        }
        layout.trainable = layout.len;
        for (id, node) in net.nodes() {
            if matches!(node.op, Op::BatchNorm { .. }) {
                let c = node.shape.c;
                let mean = layout.push(format!("{}.running_mean", node.name), vec![c]);
                let var = layout.push(format!("{}.running_var", node.name), vec![c]);
                layout.running[id.index()] = mean.start..var.end;
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

    /// Running mean and variance of a batch-norm, one after the other.
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

    /// Fresh values: convolution and linear weights and biases uniform in `+-1/sqrt(fan_in)` (PyTorch's default),
    /// batch-norm scale 1, shift 0, running mean 0, variance 1. Every tensor has a seed of its own, by its name.
    pub fn init<T: Real>(&self, net: &Net, seed: Seed) -> Vec<T> {
        let mut values = vec![T::zero(); self.len];
        for (id, node) in net.nodes() {
            let shapes: Vec<Shape> = net.input_shapes(id);
            let fan_in = match &node.op {
                Op::Conv2d { window, groups, .. } => window.taps() * shapes[0].c / groups,
                Op::Linear { .. } => shapes[0].c,
                Op::BatchNorm { .. } => {
                    if let Some(weight) = self.of(id).first() {
                        values[weight.clone()].fill(T::one());
                    }
                    let running = self.running(id);
                    let c = running.len() / 2;
                    values[running][c..].fill(T::one());
                    continue;
                }
                _ => continue,
            };
            let bound = (1.0 / fan_in as f64).sqrt();
            let stream = &mut seed.child(&node.name).stream();
            for range in self.of(id) {
                for v in &mut values[range.clone()] {
                    *v = T::from_f64((2.0 * f64::from(stream.uniform()) - 1.0) * bound);
                }
            }
        }
        values
    }
}
