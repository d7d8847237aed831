//! The backward pass of every kind of call.

use std::ops::Range;

use super::forward::pointwise_half;
use super::{Trace, disagree};
use crate::engine::call::{Kind, Separable};
use crate::engine::cuda::address::{Address, Incoming, Source};
use crate::engine::cuda::call::Parts;
use crate::engine::cuda::kernels::planes::{self, Among};
use crate::engine::cuda::kernels::sum::{self, Term};
use crate::engine::cuda::kernels::{convolution, depthwise, parts, pointwise, pool};
use crate::error::Result;

impl Trace<'_> {
    pub(super) fn backward(&mut self, node: usize, accumulate: &[bool]) -> Result<()> {
        let (plan, n) = (self.plan(), self.images());
        let call = &plan.nodes[node];
        let (x, incoming) = match call.inputs.first() {
            Some(x) => (*x, self.incoming(node)?),
            None => return Err(disagree(node, "goes backward and reads nothing")),
        };
        let target = self.target(x, accumulate[0]);
        match &call.kind {
            Kind::Conv { conv, weight, bias } => {
                let source = self.source(x).relu(conv.load.relu);
                let conv = convolution::Conv { shape: conv, n, weight: self.memory.state(weight) };
                if plan.wrt.params {
                    self.conv_weights(&conv, source, incoming, weight);
                    self.bias(bias.as_ref(), incoming, n * call.shape.area());
                }
                if let Some(to) = target {
                    self.tape.push(conv.input_gradient(source, incoming, to));
                }
            }
            Kind::Depthwise { conv, weight, bias } => {
                let source = self.source(x).relu(conv.load.relu);
                let conv = depthwise::Conv { shape: conv, n, weight: self.memory.state(weight) };
                if plan.wrt.params {
                    self.depthwise_weights(&conv, source, incoming, weight);
                    self.bias(bias.as_ref(), incoming, n * call.shape.area());
                }
                if let Some(to) = target {
                    self.tape.push(conv.input_gradient(source, incoming, to));
                }
            }
            Kind::Separable { conv, depthwise, pointwise } => {
                self.separable(conv, (x, incoming), (depthwise, pointwise), target);
            }
            Kind::Sum { weights } => self.sum(node, weights, incoming, accumulate),
            Kind::Concat => {
                let mut at = 0;
                for (x, accumulate) in call.inputs.iter().zip(accumulate) {
                    let width = plan.nodes[*x].shape.c;
                    if let Some((to, accumulate)) = self.target(*x, *accumulate) {
                        let from = (incoming, Among { width: call.shape.c, at });
                        let to = (to, Among { width, at: 0 }, accumulate);
                        self.tape.push(planes::channels(from, to, n * call.shape.area(), width));
                    }
                    at += width;
                }
            }
            Kind::Layer { layer, .. } => return self.layer_backward(node, layer, incoming, target),
            Kind::Normalize { .. }
            | Kind::Relu
            | Kind::MaxPool(_)
            | Kind::AvgPool { .. }
            | Kind::GlobalAvgPool
            | Kind::Crop { .. }
            | Kind::Zero => {
                if let Some(to) = target {
                    self.through(node, x, incoming, to);
                }
            }
            Kind::Image | Kind::Norm { .. } => return Err(disagree(node, "is no call that goes backward in one step")),
        }
        Ok(())
    }

    /// Calls without weights and with one input, whose gradient is wanted.
    fn through(&mut self, node: usize, x: usize, incoming: Incoming, to: (Address, bool)) {
        let (n, plan) = (self.images(), self.plan());
        let (call, source) = (&plan.nodes[node], plan.nodes[x].shape);
        match &call.kind {
            Kind::Normalize { .. } => {
                let gain = self.memory.constants(node);
                self.tape.push(pointwise::carry(incoming, to, self.len(node)).times_channels(gain));
            }
            Kind::Relu => {
                let mask = self.source(x);
                self.tape.push(pointwise::carry(incoming, to, self.len(node)).masked(mask));
            }
            Kind::MaxPool(pool) => {
                let value = self.value(x);
                self.tape.push(pool::Pool::new(pool, n).max_backward(value, incoming, to));
            }
            Kind::AvgPool { pool, count_include_pad } => {
                let pool = pool::Pool::new(pool, n).include_pad(*count_include_pad);
                self.tape.push(pool.avg_backward(incoming, to));
            }
            Kind::GlobalAvgPool => self.tape.push(pool::Pool::global(source, n).global_backward(incoming, to)),
            Kind::Crop { top, left } => {
                let from = (incoming, call.shape);
                self.tape.push(planes::place(from, (to.0, source, to.1), [*top, *left], n));
            }
            Kind::Zero => {
                if let (to, false) = to {
                    self.tape.push(pointwise::fill(to, self.len(x), 0.0));
                }
            }
            Kind::Image
            | Kind::Conv { .. }
            | Kind::Depthwise { .. }
            | Kind::Separable { .. }
            | Kind::Norm { .. }
            | Kind::Sum { .. }
            | Kind::Concat
            | Kind::Layer { .. } => {}
        }
    }

    fn conv_weights(
        &mut self,
        conv: &convolution::Conv<'_>,
        source: Source,
        incoming: Incoming,
        weight: &Range<usize>,
    ) {
        let (parts, len, to) = (conv.parts(), conv.weights(), self.memory.gathered(weight.start));
        let from = self.parts(parts, len, to);
        self.tape.push(conv.weight_gradient(source, incoming, from));
        self.add_parts(from, parts, len, to);
    }

    fn depthwise_weights(
        &mut self,
        conv: &depthwise::Conv<'_>,
        source: Source,
        incoming: Incoming,
        weight: &Range<usize>,
    ) {
        let (parts, len, to) = (conv.parts(), conv.weights(), self.memory.gathered(weight.start));
        let from = self.parts(parts, len, to);
        self.tape.push(conv.weight_gradient(source, incoming, from));
        self.add_parts(from, parts, len, to);
    }

    fn bias(&mut self, bias: Option<&Range<usize>>, incoming: Incoming, pixels: usize) {
        if let Some(bias) = bias {
            let (parts, to) = (Parts::of(bias.len(), pixels), self.memory.gathered(bias.start));
            let from = self.parts(parts, bias.len(), to);
            self.tape.push(parts::pixels(incoming, parts, from, pixels));
            self.add_parts(from, parts, bias.len(), to);
        }
    }

    /// What lies between the two halves is made anew; its gradient is made once for both.
    fn separable(
        &mut self,
        conv: &Separable,
        (x, incoming): (usize, Incoming),
        (depthwise, pointwise): (&Range<usize>, &Range<usize>),
        target: Option<(Address, bool)>,
    ) {
        let n = self.images();
        let source = self.source(x).relu(conv.depthwise.load.relu);
        let first = depthwise::Conv { shape: &conv.depthwise, n, weight: self.memory.state(depthwise) };
        let shape = &pointwise_half(conv);
        let second = convolution::Conv { shape, n, weight: self.memory.state(pointwise) };
        let len = n * conv.depthwise.output.len();
        if self.plan().wrt.params {
            let middle = self.take(len);
            self.tape.push(first.forward(source, Address::NONE, middle));
            self.conv_weights(&second, Source::plain(middle), incoming, pointwise);
        }
        let gradient = self.take(len);
        self.tape.push(second.input_gradient(Source::default(), incoming, (gradient, false)));
        let incoming = Incoming::plain(gradient, conv.depthwise.output.c);
        if self.plan().wrt.params {
            self.depthwise_weights(&first, source, incoming, depthwise);
        }
        if let Some(to) = target {
            self.tape.push(first.input_gradient(source, incoming, to));
        }
    }

    /// The gradients of weights, then those of the inputs in turn.
    fn sum(&mut self, node: usize, weights: &[Option<usize>], incoming: Incoming, accumulate: &[bool]) {
        let (plan, len) = (self.plan(), self.len(node));
        if plan.wrt.mix {
            let weighted = self.terms(node, weights).into_iter().zip(weights);
            let terms: Vec<Term> =
                weighted.filter_map(|(term, w)| w.map(|w| term.total(self.memory.mixing_gradient(w)))).collect();
            if !terms.is_empty() {
                let scratch = self.take(sum::scratch(len));
                for call in sum::gradients(&terms, incoming, scratch, len) {
                    self.tape.push(call);
                }
            }
        }
        for ((x, weight), accumulate) in plan.nodes[node].inputs.iter().zip(weights).zip(accumulate) {
            if let Some(to) = self.target(*x, *accumulate) {
                let factor = weight.map_or(Address::NONE, |w| self.memory.mix(w));
                self.tape.push(pointwise::carry(incoming, to, len).times(factor));
            }
        }
    }
}
