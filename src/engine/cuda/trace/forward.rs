//! The forward pass of every kind of call.

use super::Trace;
use crate::arch::op::{Shape, Window};
use crate::engine::call::Load;
use crate::engine::call::{Convolution, Kind, Separable};
use crate::engine::cuda::address::{Address, Incoming, Source};
use crate::engine::cuda::kernels::planes::{self, Among};
use crate::engine::cuda::kernels::sum::{self, Term};
use crate::engine::cuda::kernels::{convolution, depthwise, pointwise, pool};
use crate::error::Result;

/// The second half of a separable pair, which reads what lies between the two.
pub fn pointwise_half(conv: &Separable) -> Convolution {
    let Shape { h, w, .. } = conv.depthwise.output;
    Convolution {
        source: conv.depthwise.output,
        output: Shape::new(h, w, conv.out),
        window: Window::square(1, 1, 0),
        groups: 1,
        load: Load::default(),
    }
}

impl Trace<'_> {
    pub(super) fn forward(&mut self, node: usize) -> Result<()> {
        let (plan, n) = (self.plan(), self.images());
        let call = &plan.nodes[node];
        let (to, len, c) = (self.value(node), self.len(node), call.shape.c);
        let optional = |range: &Option<std::ops::Range<usize>>| {
            range.as_ref().map_or(Address::NONE, |range| self.memory.state(range))
        };
        match &call.kind {
            Kind::Image => self.tape.push(pointwise::apply(Source::plain(self.memory.batch), to, len, c)),
            Kind::Normalize { .. } => {
                let scale = self.memory.constants(node);
                let from = Source { scale, shift: scale.at(c), ..Source::plain(self.value(call.inputs[0])) };
                self.tape.push(pointwise::apply(from, to, len, c));
            }
            Kind::Conv { conv, weight, bias } => {
                let (source, bias) = (self.source(call.inputs[0]).relu(conv.load.relu), optional(bias));
                let conv = convolution::Conv { shape: conv, n, weight: self.memory.state(weight) };
                self.tape.push(conv.forward(source, bias, to));
            }
            Kind::Depthwise { conv, weight, bias } => {
                let (source, bias) = (self.source(call.inputs[0]).relu(conv.load.relu), optional(bias));
                let conv = depthwise::Conv { shape: conv, n, weight: self.memory.state(weight) };
                self.tape.push(conv.forward(source, bias, to));
            }
            Kind::Separable { conv, depthwise: first, pointwise: second } => {
                let source = self.source(call.inputs[0]).relu(conv.depthwise.load.relu);
                let middle = self.take(n * conv.depthwise.output.len());
                let first = depthwise::Conv { shape: &conv.depthwise, n, weight: self.memory.state(first) };
                self.tape.push(first.forward(source, Address::NONE, middle));
                let shape = &pointwise_half(conv);
                let second = convolution::Conv { shape, n, weight: self.memory.state(second) };
                self.tape.push(second.forward(Source::plain(middle), Address::NONE, to));
            }
            Kind::Relu => self.tape.push(pointwise::apply(self.source(call.inputs[0]).relu(true), to, len, c)),
            Kind::MaxPool(pool) => {
                self.tape.push(pool::Pool::new(pool, n).max_forward(self.value(call.inputs[0]), to));
            }
            Kind::AvgPool { pool, count_include_pad } => {
                let pool = pool::Pool::new(pool, n).include_pad(*count_include_pad);
                self.tape.push(pool.avg_forward(self.value(call.inputs[0]), to));
            }
            Kind::GlobalAvgPool => {
                let x = call.inputs[0];
                self.tape.push(pool::Pool::global(plan.nodes[x].shape, n).global_forward(self.value(x), to));
            }
            Kind::Sum { weights } => {
                let terms = self.terms(node, weights);
                for call in sum::forward(&terms, to, len, c) {
                    self.tape.push(call);
                }
            }
            Kind::Concat => {
                let mut at = 0;
                for x in &call.inputs {
                    let width = plan.nodes[*x].shape.c;
                    let from = (Incoming::plain(self.value(*x), width), Among { width, at: 0 });
                    let to = (to, Among { width: c, at }, false);
                    self.tape.push(planes::channels(from, to, n * call.shape.area(), width));
                    at += width;
                }
            }
            Kind::Crop { top, left } => {
                let x = call.inputs[0];
                let from = (Incoming::plain(self.value(x), c), plan.nodes[x].shape);
                self.tape.push(planes::crop(from, (to, call.shape, false), [*top, *left], n));
            }
            Kind::Zero => self.tape.push(pointwise::fill(to, len, 0.0)),
            Kind::Layer { layer, .. } => return self.layer_forward(node, layer),
            // Its steps are others.
            Kind::Norm { .. } => return Err(super::disagree(node, "is a batch-norm and is computed as another call")),
        }
        Ok(())
    }

    /// The addends of a sum.
    pub(super) fn terms(&self, node: usize, weights: &[Option<usize>]) -> Vec<Term> {
        let weight = |w: &Option<usize>| w.map_or(Address::NONE, |w| self.memory.mix(w));
        let inputs = self.plan().nodes[node].inputs.iter().zip(weights);
        inputs.map(|(x, w)| Term::new(self.source(*x), weight(w))).collect()
    }
}
