//! Runs the operations that keep nothing.

use std::ops::Range;

use smallvec::SmallVec;

use super::{Call, Lane, NOWHERE, Part};

use crate::engine::call::Layer;
use crate::engine::cpu::disjoint::around;
use crate::engine::cpu::kernels::incoming::Incoming;
use crate::engine::cpu::layer::Reads;
use crate::engine::cpu::vector::Number;

impl<T: Number> Call<'_, T> {
    pub(super) fn layer_forward(
        &self,
        i: usize,
        (layer, params): (&Layer, &Range<usize>),
        to: Range<usize>,
        part: Part,
        shared: &[T],
        lane: &mut Lane<'_, T>,
    ) {
        let (others, y) = around(lane.planes, to);
        let values = |x: &usize| others.get(part.of(self.plan.value[*x]));
        let inputs: SmallVec<[&[T]; 2]> = self.plan.nodes[i].inputs.iter().map(values).collect();
        layer.forward(self.reads(i, (layer, params), &inputs, part, shared), y, lane.scratch);
    }

    /// The gradients of all inputs in turn, and of the trainable numbers.
    pub(super) fn layer_backward(
        &self,
        i: usize,
        (layer, params): (&Layer, &Range<usize>),
        (accumulate, reads): (&[bool], bool),
        part: Part,
        shared: &[T],
        lane: &mut Lane<'_, T>,
    ) {
        let node = &self.plan.nodes[i];
        let len = part.count * node.shape.len();
        for (k, (x, acc)) in node.inputs.iter().zip(accumulate).enumerate() {
            let dx = self.plan.own_gradient(*x);
            let (planes, to) = around(lane.planes, part.of(dx.unwrap_or(NOWHERE)));
            let incoming = self.incoming(i, part, shared, &planes);
            // Computed once for all inputs where it has to be.
            let dy = match incoming {
                Incoming::Plain(dy) => dy,
                _ if k == 0 => incoming.part(self.isa, 0..len, lane.gradient),
                _ => &lane.gradient[..len],
            };
            let values = |x: &usize| if reads { planes.get(part.of(self.plan.value[*x])) } else { &[][..] };
            let inputs: SmallVec<[&[T]; 2]> = node.inputs.iter().map(values).collect();
            let reads = self.reads(i, (layer, params), &inputs, part, shared);
            if k == 0 && self.plan.wrt.params && layer.trains() {
                layer.backward_params(reads, dy, &mut lane.gathered[params.clone()], lane.scratch);
            }
            if dx.is_some() {
                layer.backward(reads, k, dy, (to, *acc), lane.scratch);
            }
        }
    }

    fn reads<'a, 'x>(
        &'a self,
        i: usize,
        (layer, params): (&Layer, &Range<usize>),
        inputs: &'x [&'a [T]],
        part: Part,
        shared: &'a [T],
    ) -> Reads<'a, 'x, T> {
        Reads {
            isa: self.isa,
            inputs,
            affine: self.plan.nodes[i].inputs.first().and_then(|x| self.affine(*x, shared)),
            params: &self.state[params.clone()],
            prepared: &shared[self.program.weights[i].start..][..layer.prepared()],
            chance: self.drop.map(|seed| (seed, part.index)),
        }
    }
}
