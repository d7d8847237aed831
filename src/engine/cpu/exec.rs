//! Runs a plan on host memory, as one candle custom operation on the arena.
//!
//! The images of a batch are divided among *lanes*; a lane is one task: it takes its images through a segment, one or a few at a
//! time, and gathers their weight gradients. The number of lanes depends on the network and the batch alone, and
//! lanes are added up in order, so the result is the same for any number of threads.

mod layers;
mod norms;
mod sums;

use std::ops::Range;

use candle_core::{CpuStorage, InplaceOp3, Layout};
use rayon::prelude::*;

use super::disjoint::{Others, around, disjoint};
use super::isa::Isa;
use super::kernels::conv::{Direction, Target};
use super::kernels::incoming::Incoming;
use super::kernels::load::Source;
use super::kernels::prefetch::Prefetch;
use super::kernels::separable::{Room, Wanted, WeightGradients, Weights};
use super::kernels::{channels, norm, pointwise};
use super::pack::{Pack, by_pack};
use super::tuned::{Fetch, Tuned, Tuning};
use super::vector::Number;
use crate::engine::arena::{BufferId, Place};
use crate::engine::backend::Pass;
use crate::engine::call::{Kind, Layer, Pool};
use crate::engine::layout::ArenaLayout;
use crate::engine::plan::{Action, Gradient, Merge, Plan, Segment, Statistics, Step, groups};
use crate::seed::Seed;

/// A pass over a plan; in place on (arena, state, batch): the batch holds images forward and logit gradients backward.
pub struct Execution<'a> {
    /// The plan, ready to run.
    pub program: &'a Tuned,
    /// What the pass was given.
    pub pass: &'a Pass<'a>,
}

impl InplaceOp3 for Execution<'_> {
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
        let start = self.pass.layout.start;
        match (arena, state, batch, self.pass.layout.pack) {
            (CpuStorage::F32(a), CpuStorage::F32(s), CpuStorage::F32(b), 1) => self.run(&mut a[start..], s, b),
            (CpuStorage::F64(a), CpuStorage::F64(s), CpuStorage::F64(b), 1) => self.run(&mut a[start..], s, b),
            (CpuStorage::F32(a), CpuStorage::F32(s), CpuStorage::F32(b), pack) => by_pack!(
                pack,
                |N| self.packed::<N>(&mut a[start..], s, b),
                else candle_core::bail!("no vector holds {pack} images")
            ),
            _ => candle_core::bail!("a plan runs on f32 or f64, with one type for arena, state and batch"),
        }
        Ok(())
    }
}

impl Execution<'_> {
    /// Runs on packs of `N` images; `arena` begins at its first aligned scalar.
    fn packed<const N: usize>(&self, arena: &mut [f32], state: &[f32], batch: &[f32])
    where
        Pack<N>: Number,
    {
        let state: Vec<Pack<N>> = state.par_iter().map(|v| Pack::same(*v)).collect();
        let layout = self.pass.layout;
        let len = batch.len() / layout.batch;
        let mut packs = vec![Pack::<N>::default(); layout.packs() * len];
        packs.par_chunks_mut(len).zip(batch.par_chunks(N * len)).for_each(|(packs, images)| {
            for (k, image) in images.chunks_exact(len).enumerate() {
                for (pack, v) in packs.iter_mut().zip(image) {
                    pack.images_mut()[k] = *v;
                }
            }
        });
        self.run(Pack::view_mut(arena), &state, &packs);
    }

    /// `arena` begins at its first aligned scalar.
    fn run<T: Number>(&self, arena: &mut [T], state: &[T], batch: &[T]) {
        let Execution { program, pass } = *self;
        let mix: Vec<T> = pass.mix.iter().map(|v| T::of(*v)).collect();
        let layout = pass.layout;
        let call = Call {
            program,
            plan: &program.plan,
            layout,
            state,
            batch,
            mix: &mix,
            isa: program.isa,
            drop: pass.drop,
            poison: program.poison,
        };
        let (shared, lanes) = arena.split_at_mut(layout.shared);
        let lanes = &mut lanes[..layout.lanes * layout.lane];
        if call.poison && pass.direction == Direction::Forward {
            // Nothing is there before the first step.
            lanes.fill(T::of(f64::NAN));
        }
        if pass.direction == Direction::Backward {
            lanes.par_chunks_mut(layout.lane).for_each(|lane| call.split(lane).gathered.fill(T::ZERO));
        }
        call.prepare(pass.direction, shared);
        let grouping = program.grouping(layout);
        let (segments, tuning) = match pass.direction {
            Direction::Forward => (&program.plan.forward, &grouping.forward),
            Direction::Backward => (&program.plan.backward, &grouping.backward),
        };
        for (segment, tuning) in segments.iter().zip(tuning) {
            for merge in &segment.before {
                call.merge(*merge, shared, lanes);
            }
            lanes
                .par_chunks_mut(layout.lane)
                .enumerate()
                .for_each(|(l, lane)| call.segment(segment, tuning, shared, l, lane));
        }
        // Of packs, images are added up as well, when the sums are read.
        if pass.direction == Direction::Backward && T::IMAGES == 1 {
            call.add_up_lanes(lanes);
        }
    }
}

struct Call<'a, T> {
    program: &'a Tuned,
    plan: &'a Plan,
    layout: ArenaLayout,
    state: &'a [T],
    batch: &'a [T],
    mix: &'a [T],
    isa: Isa,
    drop: Option<Seed>,
    poison: bool,
}

/// A lane's memory.
struct Lane<'a, T> {
    /// Every buffer for every image of the lane.
    planes: &'a mut [T],
    /// Gathered gradients.
    gathered: &'a mut [T],
    /// Where a gradient is computed on the way into a kernel.
    gradient: &'a mut [T],
    scratch: &'a mut [T],
    /// What the running step is to fetch.
    prefetch: Prefetch,
}

/// Some images (or packs of images) of a lane: what one kernel call works on.
#[derive(Clone, Copy)]
struct Part {
    /// The first one's place in the lane.
    first: usize,
    count: usize,
    per_lane: usize,
    /// The first one's place in the batch.
    index: usize,
}

impl Part {
    /// The images' buffers, side by side.
    fn of(&self, place: Place) -> Range<usize> {
        let at = place.start * self.per_lane + self.first * place.len;
        at..at + self.count * place.len
    }

    /// One image after the other.
    fn each(self) -> impl Iterator<Item = Part> {
        (0..self.count).map(move |k| Part { first: self.first + k, count: 1, index: self.index + k, ..self })
    }
}

/// What a step is to fetch while it works on an image; the next ones stand `together` images further on.
fn prefetch<T>(fetches: &[Fetch], part: Part, together: usize, planes: &[T]) -> Prefetch {
    let mut prefetch = Prefetch::NOTHING;
    for fetch in fetches {
        let first = part.first + if fetch.next { together } else { 0 };
        if first < part.per_lane {
            prefetch.add(planes, Part { first, ..part }.of(fetch.place));
        }
    }
    prefetch
}

/// A plan that says one thing and a schedule that says another: a fault of the program, which ends it before anything wrong is
/// computed.
fn disagree(node: usize, what: &str) -> ! {
    panic!("internal error: node {node} of a plan {what}")
}

/// Where nothing is written: the gradient of an input that wants none.
const NOWHERE: Place = Place { start: 0, len: 0 };

impl<T: Number> Call<'_, T> {
    fn split<'l>(&self, lane: &'l mut [T]) -> Lane<'l, T> {
        let (planes, rest) = lane.split_at_mut(self.layout.per_lane * self.plan.image_len);
        let (gathered, rest) = rest.split_at_mut(self.layout.gathered);
        let (gradient, scratch) = rest.split_at_mut(self.layout.gradient);
        Lane { planes, gathered, gradient, scratch, prefetch: Prefetch::NOTHING }
    }

    /// Prepares weights for a pass: those of dense convolutions panel by panel, for the backward pass those of separable ones.
    fn prepare(&self, direction: Direction, shared: &mut [T]) {
        let backward = direction == Direction::Backward;
        let (mut rest, mut at, mut panels) = (shared, 0, Vec::new());
        for (i, (node, place)) in self.plan.nodes.iter().zip(&self.program.weights).enumerate() {
            let wanted = match &node.kind {
                Kind::Conv { .. } => !backward || self.plan.own_gradient(node.inputs[0]).is_some(),
                Kind::Separable { .. } => backward,
                // What the forward pass prepared serves the backward pass.
                Kind::Layer { layer, .. } => !backward && layer.prepared() > 0,
                _ => false,
            };
            if !wanted {
                continue;
            }
            let (mut memory, tail) = std::mem::take(&mut rest)[place.start - at..].split_at_mut(place.len());
            (rest, at) = (tail, place.end);
            match &node.kind {
                Kind::Separable { conv, pointwise, .. } => {
                    conv.prepare(&self.state[pointwise.clone()], &mut memory[..pointwise.len()]);
                }
                Kind::Conv { conv, weight, .. } => {
                    let conv = self.program.conv(i, *conv);
                    for panel in conv.panels(direction).each() {
                        let (to, tail) = std::mem::take(&mut memory).split_at_mut(panel.range.len());
                        memory = tail;
                        panels.push((conv, weight, panel, to));
                    }
                }
                Kind::Layer { layer: Layer::Precondition { map, weight, running }, .. } => {
                    let memory = &mut memory[..map.amplitudes.len()];
                    match self.plan.statistics {
                        Statistics::Batch => map.measure(&self.state[weight.clone()], memory),
                        Statistics::Running => memory.copy_from_slice(&self.state[running.clone()][..memory.len()]),
                    }
                }
                _ => {}
            }
        }
        panels.into_par_iter().for_each(|(conv, weight, panel, to)| {
            conv.prepare(self.isa, direction, &panel, &self.state[weight.clone()], to);
        });
    }

    /// Whether a step's kernel takes several images at once: dense convolutions do, to share the reading of weights.
    fn takes_several(&self, step: &Step) -> bool {
        matches!(self.plan.nodes[step.node].kind, Kind::Conv { .. })
    }

    fn segment(&self, segment: &Segment, tuning: &Tuning, shared: &[T], lane_index: usize, lane: &mut [T]) {
        let per_lane = self.layout.per_lane;
        let mut lane = self.split(lane);
        let begin = lane_index * per_lane;
        let images = per_lane.min(self.layout.packs() - begin);
        let whole = Part { first: 0, count: images, per_lane, index: begin };
        self.bury(&segment.dead_before, whole, &mut lane);
        if self.poison {
            lane.gradient.fill(T::of(f64::NAN));
            lane.scratch.fill(T::of(f64::NAN));
        }
        for group in groups(images, tuning.together) {
            let images = Part { first: group.start, count: group.len(), per_lane, index: begin + group.start };
            for (step, fetches) in segment.steps.iter().zip(&tuning.prefetch) {
                if self.takes_several(step) {
                    self.step(step, images, shared, &mut lane);
                } else {
                    for part in images.each() {
                        lane.prefetch = prefetch(fetches, part, tuning.together, lane.planes);
                        self.step(step, part, shared, &mut lane);
                    }
                }
                self.bury(&step.dead, images, &mut lane);
            }
        }
        self.bury(&segment.dead_behind, whole, &mut lane);
    }

    /// Fills what holds nothing more with numbers that are none, where that is asked for.
    fn bury(&self, dead: &[BufferId], images: Part, lane: &mut Lane<'_, T>) {
        if self.poison {
            for buffer in dead {
                lane.planes[images.of(self.plan.places[buffer.index()])].fill(T::of(f64::NAN));
            }
        }
    }

    fn step(&self, step: &Step, part: Part, shared: &[T], lane: &mut Lane<'_, T>) {
        match &step.action {
            Action::Forward => self.forward(step.node, part, shared, lane),
            Action::Moments | Action::Normalize => self.norm_forward(step, part, shared, lane),
            Action::LossGradient => {
                if let Some(place) = self.plan.own_gradient(step.node) {
                    let from = part.index * place.len..(part.index + part.count) * place.len;
                    lane.planes[part.of(place)].copy_from_slice(&self.batch[from]);
                }
            }
            Action::Backward { accumulate, reads } => self.backward(step.node, accumulate, *reads, part, shared, lane),
            Action::Sums => self.norm_sums(step.node, part, shared, lane),
            Action::NormBackward { accumulate } => self.norm_backward(step.node, *accumulate, part, shared, lane),
        }
    }

    /// Adds the lanes' gathered gradients into the first lane's, in order.
    fn add_up_lanes(&self, lanes: &mut [T]) {
        let mut parts: Vec<&mut [T]> =
            lanes.chunks_exact_mut(self.layout.lane).map(|lane| self.split(lane).gathered).collect();
        let Some((total, others)) = parts.split_first_mut() else { return };
        const RUN: usize = 1 << 12;
        total.par_chunks_mut(RUN).enumerate().for_each(|(k, total)| {
            for other in others.iter() {
                pointwise::store_masked(self.isa, &other[k * RUN..][..total.len()], None, total, true);
            }
        });
    }

    fn merge(&self, merge: Merge, shared: &mut [T], lanes: &[T]) {
        let (Merge::Fold(i) | Merge::Moments(i) | Merge::Line(i)) = merge;
        let (Some(place), Kind::Norm { affine, running }) = (&self.plan.norms[i], &self.plan.nodes[i].kind) else {
            disagree(i, "is merged and is no batch-norm")
        };
        let c = place.c;
        let affine = affine.as_ref().map(|(w, b)| (&self.state[w.clone()], &self.state[b.clone()]));
        let area = self.plan.nodes[i].shape.area();
        let before = self.layout.shared;
        let batch = self.layout.batch;
        let packs = (0..self.layout.packs()).map(|k| {
            let at = self.layout.of_pack(k, self.plan.stats[i]);
            &lanes[at.start - before..at.end - before]
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
                    norm::merge_moments(packs, batch, area, mean, var);
                }
                norm::fold(mean, var, affine, scale, shift);
                if self.plan.in_place(i) {
                    unit.fill(T::ONE);
                    offset.fill(T::ZERO);
                } else {
                    norm::fold(mean, var, None, unit, offset);
                }
            }
            Merge::Line(_) => {
                let (gain, rest) = line.split_at_mut(c);
                let (slope, level) = rest.split_at_mut(c);
                let mut line = norm::Line { gain, slope, level };
                let factor = self.factor(i);
                match self.plan.statistics {
                    Statistics::Running => line.running(factor, scale),
                    Statistics::Batch => {
                        norm::merge_sums(packs, batch, sums);
                        line.batch(factor, scale, unit, offset, sums, area * self.layout.batch);
                    }
                }
            }
        }
    }

    /// What a node's gradient still has to be multiplied by.
    fn factor(&self, node: usize) -> T {
        match self.plan.grad[node] {
            Some(Gradient::Shared { factor: Some(w), .. }) => self.mix[w],
            _ => T::ONE,
        }
    }

    /// Scale and shift of the batch-norm that has to be applied to what stands in a node's place.
    fn affine<'s>(&self, node: usize, shared: &'s [T]) -> Option<(&'s [T], &'s [T])> {
        self.plan.lazy_norm(node).map(|n| shared[n.affine()].split_at(n.c))
    }

    fn forward(&self, i: usize, part: Part, shared: &[T], lane: &mut Lane<'_, T>) {
        let node = &self.plan.nodes[i];
        let to = part.of(self.plan.value[i]);
        match &node.kind {
            Kind::Image => {
                let from = part.index * to.len() / part.count..;
                let len = to.len();
                lane.planes[to].copy_from_slice(&self.batch[from][..len]);
                return;
            }
            Kind::Sum { weights } => return self.weighted_sum(i, weights, to, part, shared, lane),
            Kind::Concat => {
                let mut at = 0;
                for x in &node.inputs {
                    let c = self.plan.nodes[*x].shape.c;
                    let [x, y] = disjoint(lane.planes, [part.of(self.plan.value[*x]), to.clone()]);
                    pointwise::put_channels(x, c, y, node.shape.c, at, false);
                    at += c;
                }
                return;
            }
            Kind::Layer { layer, params } => return self.layer_forward(i, (layer, params), to, part, shared, lane),
            _ => {}
        }
        let from = node.inputs.first().map_or(0..0, |x| part.of(self.plan.value[*x]));
        let affine = node.inputs.first().and_then(|x| self.affine(*x, shared));
        let [x, y] = disjoint(lane.planes, [from, to]);
        let source = Source { values: &*x, affine };
        let (scratch, prefetch) = (&mut *lane.scratch, &lane.prefetch);
        match &node.kind {
            Kind::Normalize { mean, std } => pointwise::normalize_forward(x, mean, std, y),
            Kind::Conv { conv, bias, .. } => {
                let bias = bias.clone().map(|b| &self.state[b]);
                let weights = &shared[self.program.weights[i].clone()];
                self.program.conv(i, *conv).forward(self.isa, source, weights, bias, y, scratch);
            }
            Kind::Depthwise { conv, weight, bias } => {
                conv.forward(self.isa, source, &self.state[weight.clone()], y, scratch);
                if let Some(bias) = bias {
                    channels::add_in_place(self.isa, &self.state[bias.clone()], y);
                }
            }
            Kind::Separable { conv, depthwise, pointwise } => {
                let weights =
                    Weights { depthwise: &self.state[depthwise.clone()], pointwise: &self.state[pointwise.clone()] };
                conv.forward(self.isa, source, weights, y, Room { scratch, prefetch });
            }
            Kind::Relu => pointwise::relu(self.isa, source, y),
            Kind::MaxPool(pool) => pool.max_forward(self.isa, x, y, prefetch),
            Kind::AvgPool { pool, count_include_pad } => pool.avg_forward(self.isa, x, *count_include_pad, y, prefetch),
            Kind::GlobalAvgPool => Pool::global_forward(x, y),
            Kind::Crop { top, left } => {
                pointwise::crop(x, self.plan.nodes[node.inputs[0]].shape, [*top, *left], node.shape, (y, false));
            }
            Kind::Zero => y.fill(T::ZERO),
            Kind::Image | Kind::Norm { .. } | Kind::Sum { .. } | Kind::Concat | Kind::Layer { .. } => {}
        }
    }

    /// Where the gradient of a node's value comes from.
    fn incoming<'s>(&self, i: usize, part: Part, shared: &'s [T], planes: &Others<'s, T>) -> Incoming<'s, T> {
        match self.plan.grad[i] {
            Some(Gradient::Own(place) | Gradient::Shared { place, factor: None }) => {
                Incoming::Plain(planes.get(part.of(place)))
            }
            Some(Gradient::Shared { place, factor: Some(w) }) => {
                Incoming::Scaled { factor: self.mix[w], dy: planes.get(part.of(place)) }
            }
            Some(Gradient::Line(norm)) => {
                let x = self.line_source(norm).map(|place| planes.get(part.of(place)));
                let dy = planes.get(part.of(self.norm_gradient(norm)));
                Incoming::Line { line: self.line(norm, shared), x, dy }
            }
            None => disagree(i, "goes backward and has no gradient"),
        }
    }

    fn backward(&self, i: usize, accumulate: &[bool], reads: bool, part: Part, shared: &[T], lane: &mut Lane<'_, T>) {
        let plan = self.plan;
        let node = &plan.nodes[i];
        match &node.kind {
            Kind::Sum { .. } | Kind::Concat => return self.fan_out(i, accumulate, part, shared, lane),
            Kind::Layer { layer, params } => {
                return self.layer_backward(i, (layer, params), (accumulate, reads), part, shared, lane);
            }
            _ => {}
        }
        let x = node.inputs[0];
        let dx = plan.own_gradient(x);
        let through = dx.is_some();
        let x_range = if reads { part.of(plan.value[x]) } else { 0..0 };
        let (planes, dx) = around(lane.planes, part.of(dx.unwrap_or(NOWHERE)));
        let incoming = self.incoming(i, part, shared, &planes);
        let x_value = planes.get(x_range);
        let source = Source { values: x_value, affine: self.affine(x, shared) };
        let acc = accumulate[0];
        let (scratch, prefetch) = (&mut *lane.scratch, &lane.prefetch);
        if let Kind::Separable { conv, depthwise, pointwise } = &node.kind {
            let turned = self.program.weights[i].start..self.program.weights[i].start + pointwise.len();
            let weights = Weights { depthwise: &self.state[depthwise.clone()], pointwise: &shared[turned] };
            let grads = plan.wrt.params.then(|| {
                let [depthwise, pointwise] = disjoint(lane.gathered, [depthwise.clone(), pointwise.clone()]);
                WeightGradients { depthwise, pointwise }
            });
            let wanted = Wanted { weights: grads, input: through.then_some((dx, acc)) };
            return conv.backward(self.isa, Some(source), weights, incoming, wanted, Room { scratch, prefetch });
        }
        let dy = incoming.part(self.isa, 0..part.count * node.shape.len(), lane.gradient);
        match &node.kind {
            Kind::Conv { conv, weight, bias } => {
                let conv = self.program.conv(i, *conv);
                if plan.wrt.params {
                    let ranges = [weight.clone(), bias.clone().unwrap_or(0..0)];
                    let [dweight, dbias] = disjoint(lane.gathered, ranges);
                    let dbias = bias.as_ref().map(|_| dbias);
                    conv.backward_weight(self.isa, source, dy, dweight, dbias, scratch);
                }
                if through {
                    let target = Target { dx, accumulate: acc, x: source };
                    conv.backward_input(self.isa, &shared[self.program.weights[i].clone()], dy, target, scratch);
                }
            }
            Kind::Depthwise { conv, weight, bias } => {
                if plan.wrt.params {
                    if let Some(bias) = bias {
                        channels::add_up(self.isa, dy, &mut lane.gathered[bias.clone()]);
                    }
                    conv.backward_weight(self.isa, source, dy, &mut lane.gathered[weight.clone()], scratch);
                }
                if through {
                    conv.backward_input(self.isa, Some(source), &self.state[weight.clone()], dy, (dx, acc), scratch);
                }
            }
            _ if !through => {}
            Kind::Normalize { std, .. } => pointwise::normalize_backward(dy, std, dx, acc),
            Kind::Relu => pointwise::store_masked(self.isa, dy, Some(source), dx, acc),
            Kind::MaxPool(pool) => pool.max_backward(self.isa, x_value, dy, (dx, acc), prefetch),
            Kind::AvgPool { pool, count_include_pad } => {
                pool.avg_backward(self.isa, dy, *count_include_pad, (dx, acc), prefetch);
            }
            Kind::GlobalAvgPool => Pool::global_backward(dy, dx, acc),
            Kind::Crop { top, left } => {
                pointwise::place(dy, node.shape, [*top, *left], plan.nodes[x].shape, (dx, acc));
            }
            Kind::Zero if !acc => dx.fill(T::ZERO),
            Kind::Zero
            | Kind::Image
            | Kind::Norm { .. }
            | Kind::Separable { .. }
            | Kind::Sum { .. }
            | Kind::Concat
            | Kind::Layer { .. } => {}
        }
    }
}
