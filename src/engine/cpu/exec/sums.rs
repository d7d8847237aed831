//! Runs operations with several inputs: sums and concatenations.

use std::ops::Range;

use super::{Call, Lane, NOWHERE, Part};
use crate::engine::call::Kind;
use crate::engine::cpu::disjoint::around;
use crate::engine::cpu::kernels::incoming::Incoming;
use crate::engine::cpu::kernels::load::Source;
use crate::engine::cpu::kernels::pointwise::{self, Term};
use crate::engine::cpu::vector::Number;

impl<T: Number> Call<'_, T> {
    /// Adds up all inputs in one pass over the output.
    pub(super) fn weighted_sum(
        &self,
        i: usize,
        weights: &[Option<usize>],
        to: Range<usize>,
        part: Part,
        shared: &[T],
        lane: &mut Lane<'_, T>,
    ) {
        let node = &self.plan.nodes[i];
        let (others, y) = around(lane.planes, to);
        let terms: Vec<Term<'_, T>> = node
            .inputs
            .iter()
            .zip(weights)
            .map(|(x, w)| Term {
                weight: w.map_or(T::ONE, |w| self.mix[w]),
                source: Source { values: others.get(part.of(self.plan.value[*x])), affine: self.affine(*x, shared) },
            })
            .collect();
        pointwise::sum(self.isa, &terms, node.shape.c, y);
    }

    /// The backward pass of operations with several inputs.
    pub(super) fn fan_out(&self, i: usize, accumulate: &[bool], part: Part, shared: &[T], lane: &mut Lane<'_, T>) {
        let node = &self.plan.nodes[i];
        let mix_at = self.plan.trainable * usize::from(self.plan.wrt.params);
        let mut channel = 0;
        for (k, (x, acc)) in node.inputs.iter().zip(accumulate).enumerate() {
            let c = self.plan.nodes[*x].shape.c;
            let weight = match &node.kind {
                Kind::Sum { weights } => weights[k],
                _ => None,
            };
            let wanted = weight.filter(|_| self.plan.wrt.mix);
            let dx = self.plan.own_gradient(*x);
            let (planes, to) = around(lane.planes, part.of(dx.unwrap_or(NOWHERE)));
            let incoming = self.incoming(i, part, shared, &planes);
            // Computed once for all inputs where it has to be.
            let dy = match incoming {
                Incoming::Plain(dy) => dy,
                _ if k == 0 => incoming.part(self.isa, 0..part.count * node.shape.len(), lane.gradient),
                _ => &lane.gradient[..part.count * node.shape.len()],
            };
            if let Some(w) = wanted {
                let values = planes.get(part.of(self.plan.value[*x]));
                let source = Source { values, affine: self.affine(*x, shared) };
                lane.gathered[mix_at + w] += pointwise::dot(self.isa, source, dy);
            }
            match &node.kind {
                _ if dx.is_none() => {}
                Kind::Concat => pointwise::take_channels(dy, node.shape.c, channel, to, c, *acc),
                _ => {
                    let factor = weight.map_or(T::ONE, |w| self.mix[w]);
                    pointwise::axpy(self.isa, factor, dy, to, *acc);
                }
            }
            channel += c;
        }
    }
}
