//! Runs a plan on host memory, as one candle custom operation on the arena.
//!
//! The images of a batch are dealt to *lanes*; a lane is one task: it takes its images through a segment one after
//! another and gathers their weight gradients. The number of lanes depends on the network and the batch alone, and
//! lanes are added up in order, so the result is the same for any number of threads.

use std::ops::Range;

use candle_core::{CpuStorage, InplaceOp3, Layout};
use rayon::prelude::*;

use super::fuse::Kind;
use super::isa::Isa;
use super::kernels::depthwise::SeparableGrad;
use super::kernels::pool::Pool;
use super::kernels::{norm, pointwise};
use super::plan::{Action, Merge, Plan, Segment, Statistics, Step};
use super::real::Real;

/// How a batch lies in the arena: the shared part, then one part a lane (its images, gathered gradients, scratch).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArenaLayout {
    /// Images in the batch.
    pub batch: usize,
    /// Images of every lane but perhaps the last.
    pub per_lane: usize,
    /// Lanes.
    pub lanes: usize,
    /// Scalars in the shared part.
    pub shared: usize,
    /// Scalars of one lane.
    pub lane: usize,
    gathered: usize,
}

impl ArenaLayout {
    /// The layout of a plan's arena for a batch.
    pub fn new(plan: &Plan, batch: usize) -> Self {
        // Few lanes for large networks: each keeps a weight gradient of its own.
        let most = ((1 << 25) / plan.gathered_len().max(1)).clamp(2, 16);
        let per_lane = batch.div_ceil(batch.min(most).max(1));
        let gathered = plan.gathered_len().next_multiple_of(16);
        ArenaLayout {
            batch,
            per_lane,
            lanes: batch.div_ceil(per_lane),
            shared: plan.shared_len.next_multiple_of(16),
            lane: per_lane * plan.image_len + gathered + plan.scratch_len.next_multiple_of(16),
            gathered,
        }
    }

    /// Scalars in all.
    pub fn scalars(&self) -> usize {
        self.shared + self.lanes * self.lane
    }

    /// The place of a range of one image's part.
    pub fn of_image(&self, plan: &Plan, image: usize, part: &Range<usize>) -> Range<usize> {
        let base = self.shared + image / self.per_lane * self.lane + image % self.per_lane * plan.image_len;
        base + part.start..base + part.end
    }

    /// The place of the gathered gradients: after a backward pass the sum over the batch stands in the first lane's.
    pub fn gathered(&self, plan: &Plan) -> Range<usize> {
        let at = self.shared + self.per_lane * plan.image_len;
        at..at + plan.gathered_len()
    }
}

/// A pass over a plan; in-place on (arena, state, batch): the batch holds images forward and logit gradients backward.
pub struct Pass<'a> {
    /// The plan.
    pub plan: &'a Plan,
    /// How the batch lies in the arena.
    pub layout: ArenaLayout,
    /// The mixing vector.
    pub mix: &'a [f64],
    /// Backward instead of forward.
    pub backward: bool,
    /// The instructions to run on.
    pub isa: Isa,
}

impl InplaceOp3 for Pass<'_> {
    fn name(&self) -> &'static str {
        "plan-pass"
    }

    fn cpu_fwd(
        &self,
        arena: &mut CpuStorage,
        _: &Layout,
        state: &CpuStorage,
        _: &Layout,
        batch: &CpuStorage,
        _: &Layout,
    ) -> candle_core::Result<()> {
        match (&*arena, state, batch) {
            (CpuStorage::F32(_), CpuStorage::F32(s), CpuStorage::F32(b)) => self.run::<f32>(arena, s, b),
            (CpuStorage::F64(_), CpuStorage::F64(s), CpuStorage::F64(b)) => self.run::<f64>(arena, s, b),
            _ => candle_core::bail!("a plan runs on f32 or f64, with one type for arena, state and batch"),
        }
    }
}

impl Pass<'_> {
    fn run<T: Real>(&self, arena: &mut CpuStorage, state: &[T], batch: &[T]) -> candle_core::Result<()> {
        let Some(arena) = T::of_storage(arena) else { candle_core::bail!("the arena has another type") };
        let mix: Vec<T> = self.mix.iter().map(|v| T::from_f64(*v)).collect();
        let call = Call { plan: self.plan, layout: self.layout, state, batch, mix: &mix, isa: self.isa };
        let segments = if self.backward { &self.plan.backward } else { &self.plan.forward };
        let (shared, lanes) = arena.split_at_mut(self.layout.shared);
        let lanes = &mut lanes[..self.layout.lanes * self.layout.lane];
        if self.backward {
            lanes.par_chunks_mut(self.layout.lane).for_each(|lane| call.split(lane).1.fill(T::zero()));
        }
        for segment in segments {
            for merge in &segment.before {
                call.merge(*merge, shared, lanes);
            }
            lanes
                .par_chunks_mut(self.layout.lane)
                .enumerate()
                .for_each(|(l, lane)| call.segment(segment, shared, l, lane));
        }
        if self.backward {
            call.add_up_lanes(lanes);
        }
        Ok(())
    }
}

struct Call<'a, T> {
    plan: &'a Plan,
    layout: ArenaLayout,
    state: &'a [T],
    batch: &'a [T],
    mix: &'a [T],
    isa: Isa,
}

/// What one step of one image works with.
struct Desk<'a, T> {
    /// The image's part of the arena.
    image: &'a mut [T],
    /// The lane's gathered gradients.
    gathered: &'a mut [T],
    scratch: &'a mut [T],
    shared: &'a [T],
    /// The image's place in the batch.
    index: usize,
}

impl<T: Real> Call<'_, T> {
    /// A lane's images, gathered gradients and scratch.
    fn split<'l>(&self, lane: &'l mut [T]) -> (&'l mut [T], &'l mut [T], &'l mut [T]) {
        let (images, rest) = lane.split_at_mut(self.layout.per_lane * self.plan.image_len);
        let (gathered, scratch) = rest.split_at_mut(self.layout.gathered);
        (images, gathered, scratch)
    }

    fn segment(&self, segment: &Segment, shared: &[T], lane_index: usize, lane: &mut [T]) {
        let (images, gathered, scratch) = self.split(lane);
        let first = lane_index * self.layout.per_lane;
        let count = self.layout.per_lane.min(self.layout.batch - first);
        for (k, image) in images.chunks_exact_mut(self.plan.image_len).take(count).enumerate() {
            let mut desk = Desk { image, gathered, scratch, shared, index: first + k };
            for step in &segment.steps {
                match &step.action {
                    Action::Forward => self.forward(step, &mut desk),
                    Action::Moments | Action::Normalize => self.norm_forward(step, &mut desk),
                    Action::LossGradient => {
                        let to = self.plan.grad(step.node).unwrap_or(0..0);
                        let len = to.len();
                        desk.image[to].copy_from_slice(&self.batch[desk.index * len..][..len]);
                    }
                    Action::Backward { accumulate, reads } => self.backward(step, accumulate, *reads, &mut desk),
                    Action::Sums => self.norm_sums(step, &mut desk),
                    Action::NormBackward { accumulate } => self.norm_backward(step, *accumulate, &mut desk),
                }
            }
        }
    }

    /// Adds the lanes' gathered gradients into the first lane's, in order.
    fn add_up_lanes(&self, lanes: &mut [T]) {
        let mut parts: Vec<&mut [T]> =
            lanes.chunks_exact_mut(self.layout.lane).map(|lane| self.split(lane).1).collect();
        let Some((total, others)) = parts.split_first_mut() else { return };
        const RUN: usize = 1 << 12;
        total.par_chunks_mut(RUN).enumerate().for_each(|(k, total)| {
            for other in others.iter() {
                pointwise::store_masked(self.isa, &other[k * RUN..][..total.len()], None, total, true);
            }
        });
    }

    fn merge(&self, merge: Merge, shared: &mut [T], lanes: &[T]) {
        let (Merge::Fold(i) | Merge::Moments(i) | Merge::Sums(i)) = merge;
        let (Some(place), Kind::Norm { affine, running }) = (&self.plan.norms[i], &self.plan.nodes[i].kind) else {
            return;
        };
        let c = place.c;
        let affine = affine.as_ref().map(|(w, b)| (&self.state[w.clone()], &self.state[b.clone()]));
        let area = self.plan.nodes[i].shape.area();
        let per_image = self.plan.stats(i);
        let images = (0..self.layout.batch).map(|k| {
            let at = self.layout.of_image(self.plan, k, &per_image);
            &lanes[at.start - self.layout.shared..at.end - self.layout.shared]
        });
        let [stats, folded, unit, line, sums] =
            disjoint(shared, [place.stats(), place.affine(), place.unit(), place.line(), place.sums()]);
        let (mean, var) = stats.split_at_mut(c);
        let (scale, shift) = folded.split_at_mut(c);
        let (unit, offset) = unit.split_at_mut(c);
        match merge {
            Merge::Fold(_) | Merge::Moments(_) => {
                if let Merge::Fold(_) = merge {
                    let (m, v) = self.state[running.clone()].split_at(c);
                    mean.copy_from_slice(m);
                    var.copy_from_slice(v);
                } else {
                    norm::merge_moments(images, area, mean, var);
                }
                norm::fold(mean, var, affine, scale, shift);
                if self.plan.in_place(i) {
                    unit.fill(T::one());
                    offset.fill(T::zero());
                } else {
                    norm::fold(mean, var, None, unit, offset);
                }
            }
            Merge::Sums(_) => {
                norm::merge_sums(images, sums);
                let (slope, level) = line.split_at_mut(c);
                norm::backward_line(sums, area * self.layout.batch, scale, unit, offset, slope, level);
            }
        }
    }

    fn forward(&self, step: &Step, desk: &mut Desk<'_, T>) {
        let node = &self.plan.nodes[step.node];
        let to = self.plan.value(step.node);
        let from = node.inputs.first().map_or(0..0, |x| self.plan.value(*x));
        match &node.kind {
            Kind::Image => {
                let len = to.len();
                desk.image[to].copy_from_slice(&self.batch[desk.index * len..][..len]);
                return;
            }
            Kind::Add | Kind::MixedSum { .. } => return self.weighted_sum(step.node, to, desk),
            Kind::Concat => {
                let mut at = 0;
                for x in &node.inputs {
                    let c = self.plan.nodes[*x].shape.c;
                    let [x, y] = disjoint(desk.image, [self.plan.value(*x), to.clone()]);
                    pointwise::concat_forward(x, c, y, node.shape.c, at);
                    at += c;
                }
                return;
            }
            _ => {}
        }
        let [x, y] = disjoint(desk.image, [from, to]);
        let scratch = &mut *desk.scratch;
        match &node.kind {
            Kind::Normalize { mean, std } => pointwise::normalize_forward(x, mean, std, y),
            Kind::Conv { conv, weight, bias } => {
                let bias = bias.clone().map(|b| &self.state[b]);
                conv.forward(self.isa, x, &self.state[weight.clone()], bias, y, scratch);
            }
            Kind::Depthwise { conv, weight } => conv.forward(self.isa, x, &self.state[weight.clone()], y, scratch),
            Kind::Separable { conv, depthwise, pointwise } => {
                conv.forward(self.isa, x, &self.state[depthwise.clone()], &self.state[pointwise.clone()], y, scratch);
            }
            Kind::Relu => pointwise::relu(self.isa, x, y),
            Kind::MaxPool(pool) => pool.max_forward(self.isa, x, y),
            Kind::AvgPool { pool, count_include_pad } => pool.avg_forward(self.isa, x, *count_include_pad, y),
            Kind::GlobalAvgPool => Pool::global_forward(x, y),
            Kind::Crop { top, left } => {
                pointwise::crop_forward(x, self.plan.nodes[node.inputs[0]].shape, *top, *left, y);
            }
            Kind::Zero => y.fill(T::zero()),
            Kind::Image | Kind::Norm { .. } | Kind::Add | Kind::Concat | Kind::MixedSum { .. } => {}
        }
    }

    /// Adds up all inputs in one pass over the output, a stretch of it at a time.
    fn weighted_sum(&self, i: usize, to: Range<usize>, desk: &mut Desk<'_, T>) {
        const STRETCH: usize = 1 << 11;
        let node = &self.plan.nodes[i];
        for at in (0..to.len()).step_by(STRETCH) {
            let len = STRETCH.min(to.len() - at);
            for (k, x) in node.inputs.iter().enumerate() {
                let from = self.plan.value(*x).start + at;
                let start = to.start + at;
                let [x, y] = disjoint(desk.image, [from..from + len, start..start + len]);
                match &node.kind {
                    Kind::MixedSum { weights } => pointwise::axpy(self.isa, self.mix[weights[k]], x, y, k > 0),
                    _ => pointwise::store_masked(self.isa, x, None, y, k > 0),
                }
            }
        }
    }

    fn norm_forward(&self, step: &Step, desk: &mut Desk<'_, T>) {
        let i = step.node;
        let Some(place) = &self.plan.norms[i] else { return };
        let from = self.plan.value(self.plan.nodes[i].inputs[0]);
        if step.action == Action::Moments {
            let [x, moments] = disjoint(desk.image, [from, self.plan.stats(i)]);
            return norm::moments(self.isa, x, place.c, moments);
        }
        let (scale, shift) = desk.shared[place.affine()].split_at(place.c);
        if self.plan.in_place(i) {
            norm::apply_in_place(self.isa, scale, shift, &mut desk.image[from]);
        } else {
            let [x, y] = disjoint(desk.image, [from, self.plan.value(i)]);
            norm::apply(self.isa, x, scale, shift, y);
        }
    }

    fn norm_sums(&self, step: &Step, desk: &mut Desk<'_, T>) {
        let i = step.node;
        let node = &self.plan.nodes[i];
        let (Some(place), Kind::Norm { affine, .. }) = (&self.plan.norms[i], &node.kind) else { return };
        let (unit, offset) = desk.shared[place.unit()].split_at(place.c);
        let grad = self.plan.grad(i).unwrap_or(0..0);
        let [x, dy, sums] = disjoint(desk.image, [self.plan.value(node.inputs[0]), grad, self.plan.stats(i)]);
        norm::backward_sums(self.isa, x, dy, unit, offset, sums);
        if let (true, Some((weight, bias))) = (self.plan.wrt.params, affine) {
            let (dbias, dweight) = sums.split_at(place.c);
            pointwise::store_masked(self.isa, dweight, None, &mut desk.gathered[weight.clone()], true);
            pointwise::store_masked(self.isa, dbias, None, &mut desk.gathered[bias.clone()], true);
        }
    }

    fn norm_backward(&self, step: &Step, accumulate: bool, desk: &mut Desk<'_, T>) {
        let i = step.node;
        let Some(place) = &self.plan.norms[i] else { return };
        let x = self.plan.nodes[i].inputs[0];
        let grad = self.plan.grad(i).unwrap_or(0..0);
        let scale = &desk.shared[place.affine()][..place.c];
        match self.plan.statistics {
            Statistics::Batch => {
                let (slope, level) = desk.shared[place.line()].split_at(place.c);
                let [x, dy] = disjoint(desk.image, [self.plan.value(x), grad.clone()]);
                norm::backward_apply(self.isa, x, scale, slope, level, dy);
            }
            Statistics::Running => norm::backward_scale(self.isa, scale, &mut desk.image[grad.clone()]),
        }
        match self.plan.grad(x) {
            Some(dx) if dx != grad => {
                let [dy, dx] = disjoint(desk.image, [grad, dx]);
                pointwise::store_masked(self.isa, dy, None, dx, accumulate);
            }
            _ => {}
        }
    }

    fn backward(&self, step: &Step, accumulate: &[bool], reads: bool, desk: &mut Desk<'_, T>) {
        let plan = self.plan;
        let node = &plan.nodes[step.node];
        let grad = plan.grad(step.node).unwrap_or(0..0);
        match &node.kind {
            Kind::Add | Kind::Concat | Kind::MixedSum { .. } => return self.fan_out(step.node, accumulate, grad, desk),
            _ => {}
        }
        let x = node.inputs[0];
        let dx = plan.grad(x);
        let through = dx.is_some();
        let x_range = if reads { plan.value(x) } else { 0..0 };
        let [x_value, dy, dx] = disjoint(desk.image, [x_range, grad, dx.unwrap_or(0..0)]);
        let (x_value, dy, acc) = (&*x_value, &*dy, accumulate[0]);
        let scratch = &mut *desk.scratch;
        match &node.kind {
            Kind::Conv { conv, weight, bias } => {
                if plan.wrt.params {
                    let ranges = [weight.clone(), bias.clone().unwrap_or(0..0)];
                    let [dweight, dbias] = disjoint(desk.gathered, ranges);
                    conv.backward_weight(self.isa, x_value, dy, dweight, bias.as_ref().map(|_| dbias), scratch);
                }
                if through {
                    conv.backward_input(self.isa, Some(x_value), &self.state[weight.clone()], dy, dx, acc, scratch);
                }
            }
            Kind::Depthwise { conv, weight } => {
                if plan.wrt.params {
                    conv.backward_weight(self.isa, x_value, dy, &mut desk.gathered[weight.clone()], scratch);
                }
                if through {
                    conv.backward_input(self.isa, Some(x_value), &self.state[weight.clone()], dy, dx, acc, scratch);
                }
            }
            Kind::Separable { conv, depthwise, pointwise } => {
                let (w, p) = (&self.state[depthwise.clone()], &self.state[pointwise.clone()]);
                let grads = plan.wrt.params.then(|| {
                    let [depthwise, pointwise] = disjoint(desk.gathered, [depthwise.clone(), pointwise.clone()]);
                    SeparableGrad { depthwise, pointwise }
                });
                conv.backward(self.isa, Some(x_value), w, p, dy, grads, through.then_some((dx, acc)), scratch);
            }
            Kind::Normalize { std, .. } => pointwise::normalize_backward(dy, std, dx, acc),
            Kind::Relu => pointwise::store_masked(self.isa, dy, Some(x_value), dx, acc),
            Kind::MaxPool(pool) => pool.max_backward(self.isa, x_value, dy, dx, acc),
            Kind::AvgPool { pool, count_include_pad } => pool.avg_backward(self.isa, dy, *count_include_pad, dx, acc),
            Kind::GlobalAvgPool => Pool::global_backward(dy, dx, acc),
            Kind::Crop { top, left } => pointwise::crop_backward(dy, plan.nodes[x].shape, *top, *left, dx, acc),
            Kind::Zero if !acc => dx.fill(T::zero()),
            Kind::Zero | Kind::Image | Kind::Norm { .. } | Kind::Add | Kind::Concat | Kind::MixedSum { .. } => {}
        }
    }

    /// The backward pass of operations with several inputs.
    fn fan_out(&self, i: usize, accumulate: &[bool], grad: Range<usize>, desk: &mut Desk<'_, T>) {
        let node = &self.plan.nodes[i];
        let mix_at = self.plan.trainable * usize::from(self.plan.wrt.params);
        let mut channel = 0;
        for (k, (x, acc)) in node.inputs.iter().zip(accumulate).enumerate() {
            let c = self.plan.nodes[*x].shape.c;
            let dx = self.plan.grad(*x);
            if let (Kind::MixedSum { weights }, true) = (&node.kind, self.plan.wrt.mix) {
                let dot = pointwise::dot(self.isa, &desk.image[self.plan.value(*x)], &desk.image[grad.clone()]);
                desk.gathered[mix_at + weights[k]] += dot;
            }
            if let Some(dx) = dx {
                let [dy, dx] = disjoint(desk.image, [grad.clone(), dx]);
                match &node.kind {
                    Kind::Concat => pointwise::concat_backward(dy, node.shape.c, channel, dx, c, *acc),
                    Kind::MixedSum { weights } => pointwise::axpy(self.isa, self.mix[weights[k]], dy, dx, *acc),
                    _ => pointwise::store_masked(self.isa, dy, None, dx, *acc),
                }
            }
            channel += c;
        }
    }
}

/// Several parts of a slice at once.
///
/// # Panics
/// When two of them overlap: the plan's lifetimes are wrong.
fn disjoint<T, const N: usize>(slice: &mut [T], ranges: [Range<usize>; N]) -> [&mut [T]; N] {
    match slice.get_disjoint_mut(ranges.clone()) {
        Ok(parts) => parts,
        Err(why) => panic!("buffers {ranges:?}: {why}"),
    }
}
