//! Runs batch-norms: their statistics, what they give, and the sums and lines of their backward pass.

use super::{Call, Lane, Part, disagree};
use crate::engine::arena::Place;
use crate::engine::call::Kind;
use crate::engine::cpu::disjoint::{around, disjoint};
use crate::engine::cpu::kernels::{norm, pointwise};
use crate::engine::cpu::vector::Number;
use crate::engine::plan::{Action, Gradient, NormPlace, Statistics, Step};

impl<T: Number> Call<'_, T> {
    pub(super) fn norm_forward(&self, step: &Step, part: Part, shared: &[T], lane: &mut Lane<'_, T>) {
        let i = step.node;
        let place = self.norm_place(i);
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
        let Kind::Norm { affine, .. } = &node.kind else { disagree(i, "sums a gradient and is no batch-norm") };
        let place = self.norm_place(i);
        let (unit, offset) = shared[place.unit()].split_at(place.c);
        let grad = part.of(self.norm_gradient(i));
        let ranges = [part.of(self.plan.value[node.inputs[0]]), grad, part.of(self.plan.stats[i])];
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
        let Some(dx) = self.plan.own_gradient(x) else { disagree(i, "writes a gradient that its input has not") };
        let (grad, line) = (self.norm_gradient(i), self.line(i, shared));
        let (planes, dx) = around(lane.planes, part.of(dx));
        let x = self.line_source(i).map(|place| planes.get(part.of(place)));
        norm::backward(self.isa, line, x, planes.get(part.of(grad)), dx, accumulate);
    }

    /// The plane that a batch-norm's backward pass reads beside the gradient: its input, but only under batch statistics.
    pub(super) fn line_source(&self, norm: usize) -> Option<Place> {
        match self.plan.statistics {
            Statistics::Batch => Some(self.plan.value[self.plan.nodes[norm].inputs[0]]),
            Statistics::Running => None,
        }
    }

    pub(super) fn line<'s>(&self, norm: usize, shared: &'s [T]) -> norm::Line<&'s [T]> {
        let place = self.norm_place(norm);
        let (c, line) = (place.c, &shared[place.line()]);
        norm::Line { gain: &line[..c], slope: &line[c..2 * c], level: &line[2 * c..] }
    }

    /// Where a batch-norm's gradient stands; a factor that is still to be multiplied is part of its line.
    pub(super) fn norm_gradient(&self, norm: usize) -> Place {
        match self.plan.grad[norm] {
            Some(Gradient::Own(place) | Gradient::Shared { place, .. }) => place,
            Some(Gradient::Line(_)) | None => disagree(norm, "is a batch-norm without a gradient in memory"),
        }
    }

    fn norm_place(&self, norm: usize) -> &NormPlace {
        let Some(place) = &self.plan.norms[norm] else { disagree(norm, "is no batch-norm and is used as one") };
        place
    }
}
