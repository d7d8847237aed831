//! The order of a plan's steps, and the lifetimes of its buffers.
//!
//! A node's level is the number of batch statistics on the longest way to it, forward and backward; a level is a segment.

use super::arena::{BufferId, Lifetimes, Place};
use super::fuse::{Fused, Fusion, Kind};
use super::kernels::conv::Direction;
use super::plan::{Action, Gradient, Merge, NormPlace, Plan, Segment, Statistics, Step, Wrt};

/// Scalars that the images of a segment may touch in one step: half of a common second-level cache.
const CACHE: usize = 1 << 17;

/// [`Gradient`] before buffers have places.
#[derive(Clone, Copy, Debug)]
enum Held {
    Own(BufferId),
    Shared { buffer: BufferId, factor: Option<usize> },
    Line(usize),
}

/// How a batch-norm's value is held.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Normalized {
    /// Not at all: readers apply it to its input.
    Lazily,
    /// Over its input.
    InPlace,
    /// In a buffer of its own.
    Apart,
}

pub(super) struct Scheduler {
    nodes: Vec<Fused>,
    readers: Vec<Vec<usize>>,
    /// Whether a wanted gradient passes through the node's value.
    needs: Vec<bool>,
    wrt: Wrt,
    statistics: Statistics,
    fusion: Fusion,
    lifetimes: Lifetimes,
    value: Vec<BufferId>,
    grad: Vec<Option<Held>>,
    stats: Vec<Option<BufferId>>,
}

impl Scheduler {
    pub(super) fn new(nodes: Vec<Fused>, wrt: Wrt, statistics: Statistics, fusion: Fusion) -> Self {
        let mut readers = vec![Vec::new(); nodes.len()];
        for (i, n) in nodes.iter().enumerate() {
            for x in &n.inputs {
                readers[*x].push(i);
            }
        }
        let mut s = Scheduler {
            readers,
            needs: Vec::with_capacity(nodes.len()),
            wrt,
            statistics,
            fusion,
            lifetimes: Lifetimes::default(),
            value: Vec::with_capacity(nodes.len()),
            grad: vec![None; nodes.len()],
            stats: vec![None; nodes.len()],
            nodes,
        };
        for i in 0..s.nodes.len() {
            let own = match &s.nodes[i].kind {
                Kind::Image => wrt.input,
                Kind::Sum { weights } => wrt.mix && weights.iter().any(Option::is_some),
                _ => s.wants_params(i),
            };
            let through = s.nodes[i].inputs.iter().any(|x| s.needs[*x]);
            s.needs.push(own || through);
        }
        for i in 0..s.nodes.len() {
            let buffer = match (s.normalized(i), &s.nodes[i].inputs[..]) {
                (Some(Normalized::Lazily | Normalized::InPlace), [x]) => s.value[*x],
                _ => s.lifetimes.declare(s.nodes[i].shape.len()),
            };
            s.value.push(buffer);
        }
        s
    }

    fn wants_params(&self, i: usize) -> bool {
        self.wrt.params
            && match &self.nodes[i].kind {
                Kind::Conv { .. } | Kind::Depthwise { .. } | Kind::Separable { .. } => true,
                Kind::Norm { affine, .. } => affine.is_some(),
                _ => false,
            }
    }

    /// Whether a batch-norm's backward pass reads its normalised input.
    fn reads_source(&self, i: usize) -> bool {
        self.needs[i] && (self.statistics == Statistics::Batch || self.wants_params(i))
    }

    fn normalized(&self, i: usize) -> Option<Normalized> {
        let Kind::Norm { affine, .. } = &self.nodes[i].kind else { return None };
        let x = self.nodes[i].inputs[0];
        let applied = |r: &usize| {
            matches!(
                self.nodes[*r].kind,
                Kind::Conv { .. } | Kind::Depthwise { .. } | Kind::Separable { .. } | Kind::Relu | Kind::Sum { .. }
            )
        };
        let readers = &self.readers[i];
        // A plane that many read is normalised once.
        if self.fusion.norm && (1..=2).contains(&readers.len()) && readers.iter().all(applied) {
            return Some(Normalized::Lazily);
        }
        // Over its input when nobody else reads that and the backward pass can do with the output, which it can when
        // nothing is learned: then the output is the normalised input. (A lazy batch-norm's value is not its place's.)
        let alone = self.readers[x].len() == 1 && !matches!(self.nodes[x].kind, Kind::Image | Kind::Norm { .. });
        let can = alone && (affine.is_none() || !self.reads_source(i));
        Some(if can { Normalized::InPlace } else { Normalized::Apart })
    }

    pub(super) fn finish(mut self, trainable: usize, mix_len: usize) -> Plan {
        let mut norms = vec![None; self.nodes.len()];
        let mut shared_len = 0;
        for (i, node) in self.nodes.iter().enumerate() {
            if let Some(how) = self.normalized(i) {
                let c = node.shape.c;
                norms[i] = Some(NormPlace { base: shared_len, c, lazy: how == Normalized::Lazily });
                shared_len += (NormPlace::FIELDS * c).next_multiple_of(16);
            }
        }
        // Behind the batch-norms' numbers, in the order of the nodes.
        let mut prepared = vec![0..0; self.nodes.len()];
        for (place, node) in prepared.iter_mut().zip(&self.nodes) {
            let Kind::Conv { conv, .. } = &node.kind else { continue };
            let len = [Direction::Forward, Direction::Backward].map(|d| conv.panels(d).scalars());
            *place = shared_len..shared_len + len[0].max(len[1]).next_multiple_of(16);
            shared_len = place.end;
        }
        let mut time = 0;
        let mut forward = self.forward(&mut time);
        let wanted = self.needs.last().copied().unwrap_or(false);
        let mut backward = if wanted { self.backward(&mut time) } else { Vec::new() };
        // The logits are read, and the image's gradient is fetched, after everything else.
        let last = self.nodes.len() - 1;
        self.lifetimes.touch(self.value[last], time);
        if let (true, Some(Held::Own(g))) = (self.wrt.input, self.grad[0]) {
            self.lifetimes.touch(g, time);
        }
        let (places, image_len) = self.lifetimes.place();
        for segment in forward.iter_mut().chain(&mut backward) {
            segment.together = self.together(segment, &places);
        }
        let place = |b: BufferId| places[b.index()];
        let grad: Vec<Option<Gradient>> = self
            .grad
            .iter()
            .map(|held| {
                held.map(|held| match held {
                    Held::Own(b) => Gradient::Own(place(b)),
                    Held::Shared { buffer, factor } => Gradient::Shared { place: place(buffer), factor },
                    Held::Line(norm) => Gradient::Line(norm),
                })
            })
            .collect();
        let computed =
            |g: &Option<Gradient>| matches!(g, Some(Gradient::Line(_) | Gradient::Shared { factor: Some(_), .. }));
        let gradient_len = (0..self.nodes.len())
            .filter(|i| computed(&grad[*i]) && !matches!(self.nodes[*i].kind, Kind::Norm { .. }))
            .map(|i| self.nodes[i].shape.len())
            .max()
            .unwrap_or(0);
        Plan {
            value: self.value.iter().map(|b| place(*b)).collect(),
            stats: self.stats.iter().map(|b| b.map(place).unwrap_or_default()).collect(),
            scratch_len: self.nodes.iter().map(scratch).max().unwrap_or(0),
            gradient_len,
            nodes: self.nodes,
            forward,
            backward,
            wrt: self.wrt,
            statistics: self.statistics,
            grad,
            norms,
            prepared,
            image_len,
            shared_len,
            trainable,
            mix_len,
        }
    }

    fn forward(&mut self, time: &mut usize) -> Vec<Segment> {
        let batch = self.statistics == Statistics::Batch;
        let mut level = vec![0; self.nodes.len()];
        let mut segments = vec![Segment::default()];
        for i in 0..self.nodes.len() {
            let ready = self.nodes[i].inputs.iter().map(|x| level[*x]).max().unwrap_or(0);
            level[i] = ready;
            let Some(how) = self.normalized(i) else {
                segments[ready].steps.push(Step { node: i, action: Action::Forward });
                continue;
            };
            if batch {
                level[i] = ready + 1;
                if segments.len() <= level[i] {
                    segments.resize(level[i] + 1, Segment::default());
                }
                segments[ready].steps.push(Step { node: i, action: Action::Moments });
                segments[level[i]].before.push(Merge::Moments(i));
                self.stats[i] = Some(self.lifetimes.declare(2 * self.nodes[i].shape.c));
            } else {
                segments[0].before.push(Merge::Fold(i));
            }
            if how != Normalized::Lazily {
                segments[level[i]].steps.push(Step { node: i, action: Action::Normalize });
            }
        }
        self.live_through(&segments, time);
        segments
    }

    /// Where each gradient is to be found; a reader's comes before that of what it reads.
    fn hold_gradients(&mut self) {
        for i in (0..self.nodes.len()).rev().filter(|i| self.needs[*i]) {
            let alone = match &self.readers[i][..] {
                [r] if !matches!(self.nodes[i].kind, Kind::Image) => Some(*r),
                _ => None,
            };
            let held = alone.and_then(|r| match (&self.nodes[r].kind, self.grad[r]) {
                (Kind::Norm { .. }, _) if self.fusion.norm && !matches!(self.nodes[i].kind, Kind::Norm { .. }) => {
                    Some(Held::Line(r))
                }
                (Kind::Sum { weights }, Some(held)) if self.fusion.sum => {
                    let at = self.nodes[r].inputs.iter().position(|x| *x == i)?;
                    match (held, weights[at]) {
                        (Held::Own(buffer), factor) => Some(Held::Shared { buffer, factor }),
                        (Held::Shared { buffer, factor }, None) => Some(Held::Shared { buffer, factor }),
                        (Held::Shared { buffer, factor: None }, factor) => Some(Held::Shared { buffer, factor }),
                        (Held::Shared { .. } | Held::Line(_), _) => None,
                    }
                }
                _ => None,
            });
            self.grad[i] = Some(held.unwrap_or_else(|| Held::Own(self.lifetimes.declare(self.nodes[i].shape.len()))));
        }
    }

    fn backward(&mut self, time: &mut usize) -> Vec<Segment> {
        let batch = self.statistics == Statistics::Batch;
        let last = self.nodes.len() - 1;
        let n = self.nodes.len();
        self.hold_gradients();
        let mut level = vec![0; n];
        let mut segments = vec![Segment::default()];
        segments[0].steps.push(Step { node: last, action: Action::LossGradient });
        for i in (0..n).rev().filter(|i| self.needs[*i]) {
            let ready = self.readers[i].iter().filter(|r| self.needs[**r]).map(|r| level[*r]).max().unwrap_or(0);
            level[i] = ready;
            match self.nodes[i].kind {
                Kind::Image => continue,
                Kind::Norm { .. } => {
                    if self.reads_source(i) {
                        segments[ready].steps.push(Step { node: i, action: Action::Sums });
                        self.stats[i].get_or_insert_with(|| self.lifetimes.declare(2 * self.nodes[i].shape.c));
                    }
                    let x = self.nodes[i].inputs[0];
                    if !self.needs[x] {
                        continue;
                    }
                    level[i] = ready + usize::from(batch);
                    if segments.len() <= level[i] {
                        segments.resize(level[i] + 1, Segment::default());
                    }
                    segments[level[i]].before.push(Merge::Line(i));
                    if self.receives(x) {
                        let action = Action::NormBackward { accumulate: false };
                        segments[level[i]].steps.push(Step { node: i, action });
                    }
                }
                _ => {
                    let action = Action::Backward { accumulate: vec![], reads: self.backward_reads_values(i) };
                    segments[ready].steps.push(Step { node: i, action });
                }
            }
        }
        self.first_use_writes(&mut segments);
        self.live_through(&segments, time);
        segments
    }

    /// Whether those that read a value write into a gradient of its own.
    fn receives(&self, x: usize) -> bool {
        matches!(self.grad[x], Some(Held::Own(_)))
    }

    /// The first step that reaches a gradient writes it, later ones add to it.
    fn first_use_writes(&self, segments: &mut [Segment]) {
        let mut written = vec![false; self.nodes.len()];
        for step in segments.iter_mut().flat_map(|s| &mut s.steps) {
            let inputs = &self.nodes[step.node].inputs;
            match &mut step.action {
                Action::Backward { accumulate, .. } => {
                    *accumulate = inputs.iter().map(|x| std::mem::replace(&mut written[*x], true)).collect();
                }
                Action::NormBackward { accumulate } => {
                    *accumulate = std::mem::replace(&mut written[inputs[0]], true);
                }
                _ => {}
            }
        }
    }

    /// Marks every buffer of every step alive at the step's time.
    fn live_through(&mut self, segments: &[Segment], time: &mut usize) {
        for segment in segments {
            for merge in &segment.before {
                let (Merge::Fold(i) | Merge::Moments(i) | Merge::Line(i)) = merge;
                if let Some(b) = self.stats[*i] {
                    self.lifetimes.touch(b, *time);
                }
            }
            *time += 1;
            for step in &segment.steps {
                for buffer in self.touched(step) {
                    self.lifetimes.touch(buffer, *time);
                }
                *time += 1;
            }
        }
    }

    /// The buffers from which a node's gradient is read.
    fn gradient_buffers(&self, i: usize) -> Vec<BufferId> {
        match self.grad[i] {
            None => vec![],
            Some(Held::Own(buffer) | Held::Shared { buffer, .. }) => vec![buffer],
            Some(Held::Line(norm)) => {
                let mut list = self.gradient_buffers(norm);
                if self.statistics == Statistics::Batch {
                    list.push(self.value[i]);
                }
                list
            }
        }
    }

    fn touched(&self, step: &Step) -> Vec<BufferId> {
        let i = step.node;
        let node = &self.nodes[i];
        let values = || node.inputs.iter().map(|x| self.value[*x]);
        let receiving = || {
            node.inputs.iter().filter_map(|x| match self.grad[*x] {
                Some(Held::Own(buffer)) => Some(buffer),
                _ => None,
            })
        };
        let mut list: Vec<BufferId> = Vec::new();
        match step.action {
            Action::Forward | Action::Normalize => {
                list.push(self.value[i]);
                list.extend(values());
            }
            Action::Moments => {
                list.extend(values());
                list.extend(self.stats[i]);
            }
            Action::LossGradient => list.extend(self.gradient_buffers(i)),
            Action::Sums => {
                list.extend(self.gradient_buffers(i));
                list.extend(self.stats[i]);
                list.extend(values());
            }
            Action::NormBackward { .. } => {
                list.extend(self.gradient_buffers(i));
                list.extend(receiving());
                if self.statistics == Statistics::Batch {
                    list.extend(values());
                }
            }
            Action::Backward { reads, .. } => {
                list.extend(self.gradient_buffers(i));
                list.extend(receiving());
                if reads {
                    list.extend(values());
                }
            }
        }
        list
    }

    fn backward_reads_values(&self, i: usize) -> bool {
        let node = &self.nodes[i];
        let through = node.inputs.iter().any(|x| self.needs[*x]);
        match &node.kind {
            Kind::Conv { conv, .. } => self.wants_params(i) || (through && conv.load.relu),
            Kind::Depthwise { conv, .. } => self.wants_params(i) || (through && conv.load.relu),
            Kind::Separable { conv, .. } => self.wants_params(i) || (through && conv.depthwise.load.relu),
            Kind::Relu | Kind::MaxPool(_) => through,
            Kind::Sum { weights } => self.wrt.mix && weights.iter().any(Option::is_some),
            Kind::Image
            | Kind::Normalize { .. }
            | Kind::Norm { .. }
            | Kind::AvgPool { .. }
            | Kind::GlobalAvgPool
            | Kind::Concat
            | Kind::Crop { .. }
            | Kind::Zero => false,
        }
    }

    /// As many images as fit the cache in every step, and enough to make reading large weights worth it.
    fn together(&self, segment: &Segment, places: &[Place]) -> usize {
        let touched = |s: &Step| self.touched(s).iter().map(|b| places[b.index()].len).sum::<usize>().max(1);
        let fits = segment.steps.iter().map(|s| CACHE / touched(s)).min().unwrap_or(1);
        let weighs = segment.steps.iter().map(|s| weights(&self.nodes[s.node]) / touched(s)).max().unwrap_or(1);
        fits.max(weighs).max(1)
    }
}

fn weights(node: &Fused) -> usize {
    match &node.kind {
        Kind::Conv { weight, .. } => weight.len(),
        _ => 0,
    }
}

fn scratch(node: &Fused) -> usize {
    match &node.kind {
        Kind::Conv { conv, .. } => conv.scratch(),
        Kind::Depthwise { conv, .. } => conv.scratch(),
        Kind::Separable { conv, .. } => conv.scratch(),
        _ => 0,
    }
}
