//! A plain executor: one operation after the other for the whole batch, in double precision, every value kept. No
//! segments, lanes, fused kernels or shared memory; slow, and what plans are held to.
//!
//! What an operation computes is held to PyTorch elsewhere (`tests/engine_pytorch.rs`); this says what a *network* computes.
#![allow(dead_code)] // each test file uses its part

mod image;
mod norm;
mod spectral;
mod tokens;
mod window;

use std::ops::Range;

use robustnas::arch::net::{Net, NodeId};
use robustnas::arch::op::{Op, Shape};
use robustnas::engine::{Logits, LossGradient, Mode, NormMode, ParamLayout};
use robustnas::seed::Seed;

/// What a network is called with.
pub struct Call<'a> {
    pub net: &'a Net,
    pub layout: &'a ParamLayout,
    /// All numbers of the network, `[layout.len()]`.
    pub state: &'a [f64],
    /// Images `[n, h, w, c]`.
    pub images: &'a [f64],
    pub n: usize,
    pub mix: &'a [f64],
    pub mode: Mode,
    /// A relative error of every value and every gradient, as if they had fewer digits; 0: none.
    pub error: f64,
}

impl Call<'_> {
    /// The numbers of a node with the call's error.
    fn rounded(&self, mut numbers: Vec<f64>, id: NodeId, what: &str) -> Vec<f64> {
        if self.error > 0.0 {
            let mut noise = Seed::root(11).child(what).index(id.index() as u64).stream();
            numbers.iter_mut().for_each(|v| *v *= 1.0 + self.error * f64::from(noise.normal()));
        }
        numbers
    }
}

/// What it gives.
pub struct Answer {
    pub logits: Vec<f64>,
    pub loss: f64,
    /// `[n, h, w, c]`.
    pub input: Vec<f64>,
    /// `[trainable]`.
    pub params: Vec<f64>,
    pub mix: Vec<f64>,
    /// All numbers of the network behind the call, with statistics recorded where the mode does.
    pub state: Vec<f64>,
}

/// What a node reads beside its inputs.
pub struct Context<'a> {
    pub call: &'a Call<'a>,
    pub id: NodeId,
    pub shapes: Vec<Shape>,
    pub shape: Shape,
}

impl Context<'_> {
    pub fn op(&self) -> &Op {
        &self.call.net.node(self.id).op
    }

    pub fn name(&self) -> &str {
        &self.call.net.node(self.id).name
    }

    /// A trainable tensor.
    pub fn param(&self, k: usize) -> &[f64] {
        &self.call.state[self.range(k)]
    }

    pub fn range(&self, k: usize) -> Range<usize> {
        self.call.layout.of(self.id)[k].clone()
    }

    pub fn params(&self) -> usize {
        self.call.layout.of(self.id).len()
    }

    pub fn running(&self) -> Range<usize> {
        self.call.layout.running(self.id)
    }

    /// Whether statistics are the batch's.
    pub fn batch(&self) -> bool {
        self.call.mode.norm != NormMode::Eval
    }
}

/// Gradients that a node adds to.
pub struct Gradients<'a> {
    /// Of its inputs, for the whole batch.
    pub inputs: &'a mut [Vec<f64>],
    pub params: &'a mut [f64],
    pub mix: &'a mut [f64],
}

/// Runs a network forward and backward.
pub fn run(call: &Call<'_>, loss: &dyn Fn(&Logits) -> LossGradient) -> Answer {
    let net = call.net;
    let contexts: Vec<Context<'_>> = net
        .nodes()
        .map(|(id, node)| Context { call, id, shapes: net.input_shapes(id).into_vec(), shape: node.shape })
        .collect();
    // What does not reach the output is no part of the computation.
    let mut reached = vec![false; net.len()];
    reached[net.output().index()] = true;
    for at in contexts.iter().rev() {
        if reached[at.id.index()] {
            net.inputs(at.id).iter().for_each(|x| reached[x.index()] = true);
        }
    }
    let mut state = call.state.to_vec();
    let mut values: Vec<Vec<f64>> = Vec::new();
    for at in &contexts {
        let inputs: Vec<&[f64]> = net.inputs(at.id).iter().map(|x| &values[x.index()][..]).collect();
        if call.mode.norm == NormMode::Train && reached[at.id.index()] {
            norm::record(at, &inputs, &mut state);
        }
        let value = forward(at, &inputs);
        values.push(call.rounded(value, at.id, "values"));
    }
    let output = net.output().index();
    let logits = Logits { values: values[output].clone(), classes: net.classes() };
    let found = loss(&logits);
    let mut gradients: Vec<Vec<f64>> = values.iter().map(|v| vec![0.0; v.len()]).collect();
    gradients[output] = found.dlogits;
    let (mut params, mut mix) = (vec![0.0; call.layout.trainable()], vec![0.0; call.mix.len()]);
    for at in contexts.iter().rev() {
        let reads = net.inputs(at.id);
        let inputs: Vec<&[f64]> = reads.iter().map(|x| &values[x.index()][..]).collect();
        let dy = call.rounded(gradients[at.id.index()].clone(), at.id, "gradients");
        let mut found: Vec<Vec<f64>> = inputs.iter().map(|x| vec![0.0; x.len()]).collect();
        let to = Gradients { inputs: &mut found, params: &mut params, mix: &mut mix };
        backward(at, &inputs, &dy, to);
        for (x, found) in reads.iter().zip(found) {
            for (sum, v) in gradients[x.index()].iter_mut().zip(found) {
                *sum += v;
            }
        }
    }
    let input = std::mem::take(&mut gradients[0]);
    Answer { logits: logits.values, loss: found.value, input, params, mix, state }
}

/// The value of a node for the whole batch.
fn forward(at: &Context<'_>, inputs: &[&[f64]]) -> Vec<f64> {
    match at.op() {
        Op::Input { .. } => at.call.images.to_vec(),
        Op::BatchNorm { .. } | Op::MultiBatchNorm { .. } => norm::forward(at, inputs[0]),
        _ => (0..at.call.n)
            .flat_map(|k| {
                let y = image::forward(at, &of_image(at, inputs, k), k);
                assert_eq!(y.len(), at.shape.len(), "{}", at.name());
                y
            })
            .collect(),
    }
}

fn backward(at: &Context<'_>, inputs: &[&[f64]], dy: &[f64], to: Gradients<'_>) {
    match at.op() {
        Op::Input { .. } => {}
        Op::BatchNorm { .. } | Op::MultiBatchNorm { .. } => norm::backward(at, inputs[0], dy, to),
        _ => {
            for k in 0..at.call.n {
                let dy = &dy[k * at.shape.len()..][..at.shape.len()];
                let mut found: Vec<Vec<f64>> = at.shapes.iter().map(|s| vec![0.0; s.len()]).collect();
                let one = Gradients { inputs: &mut found, params: to.params, mix: to.mix };
                image::backward(at, &of_image(at, inputs, k), dy, k, one);
                for ((all, found), shape) in to.inputs.iter_mut().zip(found).zip(&at.shapes) {
                    all[k * shape.len()..][..shape.len()].copy_from_slice(&found);
                }
            }
        }
    }
}

/// One image's part of every input.
fn of_image<'v>(at: &Context<'_>, inputs: &[&'v [f64]], k: usize) -> Vec<&'v [f64]> {
    inputs.iter().zip(&at.shapes).map(|(x, s)| &x[k * s.len()..][..s.len()]).collect()
}
