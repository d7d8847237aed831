//! Runs batch-norms: their statistics, what they give, and the sums and lines of their backward pass.

use super::{Call, Lane, NOWHERE, Part};
use crate::engine::arena::Place;
use crate::engine::fuse::Kind;
use crate::engine::kernels::{norm, pointwise};
use crate::engine::parts::{around, disjoint};
use crate::engine::plan::{Action, Gradient, Statistics, Step};
use crate::engine::real::Real;

impl<T: Real> Call<'_, T> {
    pub(super) fn norm_forward(&self, step: &Step, part: Part, shared: &[T], lane: &mut Lane<'_, T>) {
        let i = step.node;
        let Some(place) = &self.plan.norms[i] else { return };
        let from = part.of(self.plan.value[self.plan.nodes[i].inputs[0]]);
        if step.action == Action::Moments {
            let [x, moments] = disjoint(lane.planes, [from, part.of(self.plan.stats[i])]);
            return norm::moments(self.isa, x, place.c, moments);
        }
        let (scale, shift) = shared[place.affine()].split_at(place.c);
        if self.plan.in_place(i) {
            norm::apply_in_place(self.isa, scale, shift, &mut lane.planes[from]);
        } else {
            let [x, y] = disjoint(lane.planes, [from, part.of(self.plan.value[i])]);
            norm::apply(self.isa, x, scale, shift, y);
        }
    }

    pub(super) fn norm_sums(&self, i: usize, part: Part, shared: &[T], lane: &mut Lane<'_, T>) {
        let node = &self.plan.nodes[i];
        let (Some(place), Kind::Norm { affine, .. }) = (&self.plan.norms[i], &node.kind) else { return };
        let (unit, offset) = shared[place.unit()].split_at(place.c);
        let Some(Gradient::Own(grad) | Gradient::Shared { place: grad, .. }) = self.plan.grad[i] else { return };
        let ranges = [part.of(self.plan.value[node.inputs[0]]), part.of(grad), part.of(self.plan.stats[i])];
        let [x, dy, sums] = disjoint(lane.planes, ranges);
        norm::backward_sums(self.isa, x, dy, unit, offset, sums);
        if let (true, Some((weight, bias))) = (self.plan.wrt.params, affine) {
            let (dbias, dweight) = sums.split_at(place.c);
            for (sum, to) in [(dweight, weight), (dbias, bias)] {
                pointwise::axpy(self.isa, self.factor(i), sum, &mut lane.gathered[to.clone()], true);
            }
        }
    }

    pub(super) fn norm_backward(&self, i: usize, accumulate: bool, part: Part, shared: &[T], lane: &mut Lane<'_, T>) {
        let x = self.plan.nodes[i].inputs[0];
        let (Some(Gradient::Own(grad) | Gradient::Shared { place: grad, .. }), Some(dx)) =
            (self.plan.grad[i], self.plan.own_gradient(x))
        else {
            return;
        };
        let Some(line) = self.line(i, shared) else { return };
        let (planes, dx) = around(lane.planes, part.of(dx));
        let x = Some(planes.get(part.of(self.line_source(i)))).filter(|x| !x.is_empty());
        norm::backward(self.isa, line, x, planes.get(part.of(grad)), dx, accumulate);
    }

    /// The plane that a batch-norm's line reads beside the gradient.
    pub(super) fn line_source(&self, norm: usize) -> Place {
        match self.plan.statistics {
            Statistics::Batch => self.plan.value[self.plan.nodes[norm].inputs[0]],
            Statistics::Running => NOWHERE,
        }
    }

    pub(super) fn line<'s>(&self, norm: usize, shared: &'s [T]) -> Option<norm::Line<&'s [T]>> {
        let place = self.plan.norms[norm].as_ref()?;
        let (c, line) = (place.c, &shared[place.line()]);
        Some(norm::Line { gain: &line[..c], slope: &line[c..2 * c], level: &line[2 * c..] })
    }
}
