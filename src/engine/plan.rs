//! The compiled plan of a network: which kernels run in which order, and where every buffer lives.
//!
//! Only the statistics of batch-norm need the whole batch at once. Everything between two of them is done image by image: a
//! *segment* is a run of steps that one image can take alone, and its planes stay in the cache. The arena is therefore laid
//! out image by image; offsets inside an image's part come from lifetimes over forward and backward together.
//!
//! What is wanted is fixed when the plan is made ([`Wrt`]): a plan for attacks computes no weight gradient, keeps no
//! buffer for one, and visits only nodes that the wanted gradients pass through.

use std::ops::Range;

use super::arena::{BufferId, Lifetimes};
use super::fuse::{Fused, Fusion, Kind, fuse};
use super::params::ParamLayout;
use crate::arch::net::Net;

/// Which gradients are wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Wrt {
    /// Of the image.
    pub input: bool,
    /// Of the trainable parameters.
    pub params: bool,
    /// Of the mixing vector.
    pub mix: bool,
}

impl Wrt {
    /// None: the forward pass alone.
    pub const NOTHING: Wrt = Wrt { input: false, params: false, mix: false };
    /// The image alone (attacks).
    pub const INPUT: Wrt = Wrt { input: true, params: false, mix: false };
    /// The trainable parameters alone (weight steps).
    pub const PARAMS: Wrt = Wrt { input: false, params: true, mix: false };
    /// The mixing vector alone (architecture steps).
    pub const MIX: Wrt = Wrt { input: false, params: false, mix: true };
}

/// Whose statistics batch-norms use: it decides how the plan is cut into segments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Statistics {
    /// The batch's.
    Batch,
    /// The running ones.
    Running,
}

/// One kernel call of one image.
#[derive(Clone, Debug)]
pub(super) struct Step {
    pub node: usize,
    pub action: Action,
}

/// What a step does for its node.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Action {
    /// Computes the value.
    Forward,
    /// The image's moments of a batch-norm's input.
    Moments,
    /// Normalises (in place where value and input share a buffer).
    Normalize,
    /// Takes the loss's gradient of the logits.
    LossGradient,
    /// Gradients of inputs and parameters: for every input whether its gradient is added to what is there, and
    /// whether the inputs' values are read.
    Backward { accumulate: Vec<bool>, reads: bool },
    /// The image's sums of a batch-norm's gradient.
    Sums,
    /// The batch-norm's gradient, in place, then into its input's where that is another buffer.
    NormBackward { accumulate: bool },
}

/// A short computation over the whole batch, between segments.
#[derive(Clone, Copy, Debug)]
pub(super) enum Merge {
    /// Running statistics into scale and shift.
    Fold(usize),
    /// The images' moments into the batch's statistics, scale and shift.
    Moments(usize),
    /// The images' gradient sums into the line of the backward pass.
    Sums(usize),
}

/// Merges, then steps that every image takes alone.
#[derive(Clone, Debug, Default)]
pub(super) struct Segment {
    pub before: Vec<Merge>,
    pub steps: Vec<Step>,
}

/// Where a batch-norm keeps its per-channel numbers in the shared part of the arena.
#[derive(Clone, Debug)]
pub(super) struct NormPlace {
    base: usize,
    pub c: usize,
}

impl NormPlace {
    fn field(&self, k: usize, width: usize) -> Range<usize> {
        let at = self.base + k * self.c;
        at..at + width * self.c
    }
    /// Mean and variance, one after the other.
    pub fn stats(&self) -> Range<usize> {
        self.field(0, 2)
    }
    /// Scale and shift: `y = x scale + shift`.
    pub fn affine(&self) -> Range<usize> {
        self.field(2, 2)
    }
    /// Unit and offset: `xhat = source unit + offset`.
    pub fn unit(&self) -> Range<usize> {
        self.field(4, 2)
    }
    /// Slope and level of the backward line.
    pub fn line(&self) -> Range<usize> {
        self.field(6, 2)
    }
    /// Sums of the gradient.
    pub fn sums(&self) -> Range<usize> {
        self.field(8, 2)
    }
    const FIELDS: usize = 10;
}

/// A compiled network.
#[derive(Clone, Debug)]
pub struct Plan {
    pub(super) nodes: Vec<Fused>,
    pub(super) forward: Vec<Segment>,
    pub(super) backward: Vec<Segment>,
    pub(super) wrt: Wrt,
    pub(super) statistics: Statistics,
    pub(super) value: Vec<BufferId>,
    pub(super) grad: Vec<Option<BufferId>>,
    pub(super) stats: Vec<Option<BufferId>>,
    pub(super) norms: Vec<Option<NormPlace>>,
    pub(super) places: Vec<Range<usize>>,
    pub(super) image_len: usize,
    pub(super) shared_len: usize,
    pub(super) scratch_len: usize,
    pub(super) trainable: usize,
    pub(super) mix_len: usize,
}

impl Plan {
    /// Compiles a network.
    pub fn compile(net: &Net, params: &ParamLayout, wrt: Wrt, statistics: Statistics, fusion: Fusion) -> Plan {
        let nodes = fuse(net, params, fusion);
        let scheduler = Scheduler::new(nodes, wrt, statistics);
        scheduler.finish(params.trainable(), net.mix_len())
    }

    /// Scalars of one image's part of the arena.
    pub fn image_len(&self) -> usize {
        self.image_len
    }

    /// Scalars of gradient that every lane gathers for itself.
    pub(super) fn gathered_len(&self) -> usize {
        self.trainable * usize::from(self.wrt.params) + self.mix_len * usize::from(self.wrt.mix)
    }

    /// The value's place in an image's part.
    pub(super) fn value(&self, node: usize) -> Range<usize> {
        self.places[self.value[node].index()].clone()
    }

    /// The gradient's place in an image's part, if the node has one.
    pub(super) fn grad(&self, node: usize) -> Option<Range<usize>> {
        self.grad[node].map(|b| self.places[b.index()].clone())
    }

    /// The place of a batch-norm's moments and gradient sums in an image's part.
    pub(super) fn stats(&self, node: usize) -> Range<usize> {
        self.stats[node].map(|b| self.places[b.index()].clone()).unwrap_or(0..0)
    }

    /// Whether a batch-norm writes over its input.
    pub(super) fn in_place(&self, node: usize) -> bool {
        self.nodes[node].inputs.first().is_some_and(|x| self.value[*x] == self.value[node])
    }
}

struct Scheduler {
    nodes: Vec<Fused>,
    readers: Vec<Vec<usize>>,
    /// Whether a wanted gradient passes through the node's value.
    needs: Vec<bool>,
    wrt: Wrt,
    statistics: Statistics,
    lifetimes: Lifetimes,
    value: Vec<BufferId>,
    grad: Vec<Option<BufferId>>,
    stats: Vec<Option<BufferId>>,
}

impl Scheduler {
    fn new(nodes: Vec<Fused>, wrt: Wrt, statistics: Statistics) -> Self {
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
            lifetimes: Lifetimes::default(),
            value: Vec::with_capacity(nodes.len()),
            grad: vec![None; nodes.len()],
            stats: vec![None; nodes.len()],
            nodes,
        };
        for i in 0..s.nodes.len() {
            let own = match s.nodes[i].kind {
                Kind::Image => wrt.input,
                Kind::MixedSum { .. } => wrt.mix,
                _ => s.wants_params(i),
            };
            let through = s.nodes[i].inputs.iter().any(|x| s.needs[*x]);
            s.needs.push(own || through);
        }
        for i in 0..s.nodes.len() {
            let buffer = match s.nodes[i].inputs[..] {
                [x] if s.normalises_in_place(i, x) => s.value[x],
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

    /// A batch-norm may write over its input when nobody else reads it and the backward pass can do with the output,
    /// which it can when nothing is learned: then the output is the normalised input.
    fn normalises_in_place(&self, i: usize, x: usize) -> bool {
        match &self.nodes[i].kind {
            Kind::Norm { affine, .. } => {
                let alone = self.readers[x].len() == 1 && x + 1 < self.nodes.len();
                let image = matches!(self.nodes[x].kind, Kind::Image);
                alone && !image && (affine.is_none() || !self.reads_source(i))
            }
            _ => false,
        }
    }

    fn finish(mut self, trainable: usize, mix_len: usize) -> Plan {
        let mut norms = vec![None; self.nodes.len()];
        let mut shared_len = 0;
        for (i, node) in self.nodes.iter().enumerate() {
            if matches!(node.kind, Kind::Norm { .. }) {
                let c = node.shape.c;
                norms[i] = Some(NormPlace { base: shared_len, c });
                shared_len += NormPlace::FIELDS * c;
            }
        }
        let mut time = 0;
        let forward = self.forward(&mut time);
        let wanted = self.needs.last().copied().unwrap_or(false);
        let backward = if wanted { self.backward(&mut time) } else { Vec::new() };
        // The logits are read, and the image's gradient is fetched, after everything else.
        let last = self.nodes.len() - 1;
        self.lifetimes.touch(self.value[last], time);
        if let (true, Some(g)) = (self.wrt.input, self.grad[0]) {
            self.lifetimes.touch(g, time);
        }
        let (places, image_len) = self.lifetimes.place();
        let scratch_len = self.nodes.iter().map(scratch).max().unwrap_or(0);
        Plan {
            nodes: self.nodes,
            forward,
            backward,
            wrt: self.wrt,
            statistics: self.statistics,
            value: self.value,
            grad: self.grad,
            stats: self.stats,
            norms,
            places,
            image_len,
            shared_len,
            scratch_len,
            trainable,
            mix_len,
        }
    }

    /// A node's level is the number of batch statistics on the longest way to it; a level is a segment.
    fn forward(&mut self, time: &mut usize) -> Vec<Segment> {
        let batch = self.statistics == Statistics::Batch;
        let mut level = vec![0; self.nodes.len()];
        let mut segments = vec![Segment::default()];
        for i in 0..self.nodes.len() {
            let ready = self.nodes[i].inputs.iter().map(|x| level[*x]).max().unwrap_or(0);
            level[i] = ready;
            let is_norm = matches!(self.nodes[i].kind, Kind::Norm { .. });
            if is_norm && batch {
                level[i] = ready + 1;
                if segments.len() <= level[i] {
                    segments.resize(level[i] + 1, Segment::default());
                }
                segments[ready].steps.push(Step { node: i, action: Action::Moments });
                segments[level[i]].before.push(Merge::Moments(i));
                self.stats[i] = Some(self.lifetimes.declare(2 * self.nodes[i].shape.c));
            } else if is_norm {
                segments[0].before.push(Merge::Fold(i));
            }
            let action = if is_norm { Action::Normalize } else { Action::Forward };
            segments[level[i]].steps.push(Step { node: i, action });
        }
        self.live_through(&segments, time);
        segments
    }

    fn backward(&mut self, time: &mut usize) -> Vec<Segment> {
        let batch = self.statistics == Statistics::Batch;
        let last = self.nodes.len() - 1;
        let n = self.nodes.len();
        for i in 0..n {
            if self.needs[i] && self.grad[i].is_none() {
                self.grad[i] = Some(self.lifetimes.declare(self.nodes[i].shape.len()));
            }
            // A batch-norm's gradient becomes its input's in place when nobody else reads that input.
            if let (Kind::Norm { .. }, [x]) = (&self.nodes[i].kind, &self.nodes[i].inputs[..])
                && self.needs[*x]
                && self.readers[*x].len() == 1
            {
                self.grad[i] = self.grad[*x];
            }
        }
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
                    let through = self.needs[self.nodes[i].inputs[0]];
                    if batch && through {
                        level[i] = ready + 1;
                        if segments.len() <= level[i] {
                            segments.resize(level[i] + 1, Segment::default());
                        }
                        segments[level[i]].before.push(Merge::Sums(i));
                    }
                    if through {
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
                match merge {
                    Merge::Fold(_) => {}
                    Merge::Moments(i) | Merge::Sums(i) => {
                        if let Some(b) = self.stats[*i] {
                            self.lifetimes.touch(b, *time);
                        }
                    }
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

    fn touched(&self, step: &Step) -> Vec<BufferId> {
        let i = step.node;
        let node = &self.nodes[i];
        let values = || node.inputs.iter().map(|x| self.value[*x]);
        let gradients = || node.inputs.iter().filter(|x| self.needs[**x]).filter_map(|x| self.grad[*x]);
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
            Action::LossGradient => list.extend(self.grad[i]),
            Action::Sums => {
                list.extend(self.grad[i]);
                list.extend(self.stats[i]);
                list.push(self.norm_source(i));
            }
            Action::NormBackward { .. } => {
                list.extend(self.grad[i]);
                list.extend(gradients());
                if self.statistics == Statistics::Batch {
                    list.push(self.norm_source(i));
                }
            }
            Action::Backward { reads, .. } => {
                list.extend(self.grad[i]);
                list.extend(gradients());
                if reads {
                    list.extend(values());
                }
            }
        }
        list
    }

    /// The buffer from which a batch-norm's backward pass gets its normalised input.
    fn norm_source(&self, i: usize) -> BufferId {
        self.value[self.nodes[i].inputs[0]]
    }

    fn backward_reads_values(&self, i: usize) -> bool {
        let node = &self.nodes[i];
        let through = node.inputs.iter().any(|x| self.needs[*x]);
        match &node.kind {
            Kind::Conv { conv, .. } => self.wants_params(i) || (through && conv.load.relu),
            Kind::Depthwise { conv, .. } => self.wants_params(i) || (through && conv.load.relu),
            Kind::Separable { conv, .. } => self.wants_params(i) || (through && conv.depthwise.load.relu),
            Kind::Relu | Kind::MaxPool(_) => through,
            Kind::MixedSum { .. } => self.wrt.mix,
            Kind::Image
            | Kind::Normalize { .. }
            | Kind::Norm { .. }
            | Kind::AvgPool { .. }
            | Kind::GlobalAvgPool
            | Kind::Add
            | Kind::Concat
            | Kind::Crop { .. }
            | Kind::Zero => false,
        }
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
