//! The layers of a network that is being read, with their weights; the [`Net`] is made of those that the output needs.

use std::collections::{HashMap, HashSet};

use crate::arch::net::Net;
use crate::arch::op::{Op, Shape};
use crate::error::Result;

/// Weights of a layer, in the engine's layout.
#[derive(Clone, Debug, Default)]
pub struct Weights {
    /// The trainable tensors, in the order in which the operation declares them.
    pub trainable: Vec<Vec<f32>>,
    /// Running mean and variance of a batch-norm.
    pub running: Option<[Vec<f32>; 2]>,
}

/// A layer.
#[derive(Clone, Debug)]
pub struct DraftLayer {
    name: String,
    /// The operation.
    pub op: Op,
    inputs: Vec<usize>,
    /// The output shape.
    pub shape: Shape,
    weights: Weights,
}

/// The layers so far, in topological order.
#[derive(Debug, Default)]
pub struct Draft {
    layers: Vec<DraftLayer>,
    names: HashSet<String>,
}

/// Upper limit on the entries of an activation of one image; a larger one is a damaged file and could overflow a count.
const LARGEST: usize = 1 << 30;
/// The longest side of an activation.
const LONGEST: usize = 1 << 15;

impl Draft {
    /// Adds a layer; the name is changed where it is taken.
    pub fn push(&mut self, name: &str, op: Op, inputs: &[usize], weights: Weights) -> Result<usize, String> {
        let shapes: Vec<Shape> = inputs.iter().map(|i| self.layers[*i].shape).collect();
        let shape = op.output(&shapes).map_err(|why| format!("{} {why}", op.name()))?;
        if shape.h > LONGEST || shape.w > LONGEST || shape.len() > LARGEST {
            return Err(format!("would give {shape}, which is too large"));
        }
        let wanted: Vec<usize> = op.params(&shapes).iter().map(|(_, dims)| dims.iter().product()).collect();
        let found: Vec<usize> = weights.trainable.iter().map(Vec::len).collect();
        let running = weights.running.as_ref().map(|r| r.each_ref().map(Vec::len));
        let wanted_running = matches!(op, Op::BatchNorm { .. }).then_some([shape.c; 2]);
        if found != wanted || running != wanted_running {
            return Err(format!("has tensors of {found:?} elements, its inputs need {wanted:?}"));
        }
        let mut all = weights.trainable.iter().chain(weights.running.iter().flatten()).flatten();
        if let Some(bad) = all.find(|v| !v.is_finite()) {
            return Err(format!("a weight is {bad}"));
        }
        let mut unique = if name.is_empty() { op.name().to_owned() } else { name.to_owned() };
        if self.names.contains(&unique) {
            let stem = unique;
            unique = (1..).map(|k| format!("{stem}_{k}")).find(|n| !self.names.contains(n)).unwrap_or_default();
        }
        self.names.insert(unique.clone());
        self.layers.push(DraftLayer { name: unique, op, inputs: inputs.to_vec(), shape, weights });
        Ok(self.layers.len() - 1)
    }

    /// The operations that read the input.
    pub fn of_input(&self) -> impl Iterator<Item = &Op> {
        self.layers.iter().filter(|layer| layer.inputs == [0]).map(|layer| &layer.op)
    }

    /// What comes out of a layer.
    pub fn shape(&self, layer: usize) -> Shape {
        self.layers[layer].shape
    }

    /// The operation of a layer, and its first input.
    pub fn made_by(&self, layer: usize) -> (&Op, Option<usize>) {
        let layer = &self.layers[layer];
        (&layer.op, layer.inputs.first().copied())
    }

    /// The layer of which this one is a slice with these channels.
    pub fn slice_of(&self, layer: usize, range: std::ops::Range<usize>) -> Option<usize> {
        match self.made_by(layer) {
            (Op::Slice { from, len }, source) if (*from..from + len) == range => source,
            _ => None,
        }
    }

    /// Whether another layer reads this one.
    pub fn is_read(&self, layer: usize) -> bool {
        self.layers[layer + 1..].iter().any(|l| l.inputs.contains(&layer))
    }

    /// Gives a convolution or linear layer without a bias one; false for any other layer.
    pub fn add_bias(&mut self, layer: usize, values: &[f32]) -> bool {
        let layer = &mut self.layers[layer];
        match &mut layer.op {
            Op::Conv2d { bias, .. } | Op::Linear { bias, .. } if !*bias && values.len() == layer.shape.c => {
                *bias = true;
                layer.weights.trainable.push(values.to_vec());
                true
            }
            _ => false,
        }
    }

    /// The network up to a layer, and its weights by the names of the engine's tensors.
    ///
    /// # Errors
    /// [`Error::Net`](crate::error::Error::Net) where it is not a classifier.
    pub fn finish(self, output: usize) -> Result<(Net, HashMap<String, Vec<f32>>)> {
        let mut live = vec![false; self.layers.len()];
        live[output] = true;
        // The input stays the first node even of a network that does not read it.
        live[0] = true;
        for at in (0..=output).rev() {
            if live[at] {
                self.layers[at].inputs.iter().for_each(|i| live[*i] = true);
            }
        }
        let (mut net, mut tensors, mut ids) = (Net::new(), HashMap::new(), HashMap::new());
        for (at, layer) in self.layers.into_iter().enumerate().filter(|(at, _)| live[*at]) {
            let inputs: Vec<_> = layer.inputs.iter().filter_map(|i| ids.get(i).copied()).collect();
            let shapes: Vec<Shape> = inputs.iter().map(|id| net.node(*id).shape).collect();
            let suffixes = layer.op.params(&shapes).into_iter().map(|(suffix, _)| suffix);
            for (suffix, values) in suffixes.zip(layer.weights.trainable) {
                tensors.insert(format!("{}.{suffix}", layer.name), values);
            }
            if let Some(running) = layer.weights.running {
                for (suffix, values) in ["running_mean", "running_var"].into_iter().zip(running) {
                    tensors.insert(format!("{}.{suffix}", layer.name), values);
                }
            }
            ids.insert(at, net.add(layer.name, layer.op, &inputs)?);
        }
        net.validate()?;
        Ok((net, tensors))
    }
}
