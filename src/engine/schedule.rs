//! The order of a plan's steps, and the lifetimes of its buffers.
//!
//! A node's level is the number of batch statistics on the longest way to it, forward and backward; a level is a segment.

use super::arena::{BufferId, Lifetimes};
use super::call::{KernelCall, Kind};
use super::fuse::Fusion;
use super::lifetimes::{Death, mark};
use super::plan::{Action, Gradient, Merge, NormPlace, Plan, Segment, Statistics, Step, Wrt};

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
    nodes: Vec<KernelCall>,
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
    pub(super) fn new(nodes: Vec<KernelCall>, wrt: Wrt, statistics: Statistics, fusion: Fusion) -> Self {
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
                Kind::Layer { layer, .. } => layer.trains(),
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
        let applied = |r: &usize| match &self.nodes[*r].kind {
            Kind::Conv { .. } | Kind::Depthwise { .. } | Kind::Separable { .. } | Kind::Relu | Kind::Sum { .. } => true,
            Kind::Layer { layer, .. } => layer.applies_norm(),
            _ => false,
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
        let mut forward = self.forward();
        let wanted = self.needs.last().copied().unwrap_or(false);
        let mut backward = if wanted { self.backward() } else { Vec::new() };
        let deaths = self.live_through(&mut forward, &mut backward);
        let (places, image_len) = self.lifetimes.place();
        for (k, segment) in forward.iter_mut().chain(&mut backward).enumerate() {
            bury(segment, 2 * k, &deaths);
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
        Plan {
            results: self.results(),
            value: self.value.iter().map(|b| place(*b)).collect(),
            stats: self.stats.iter().map(|b| b.map(place).unwrap_or_default()).collect(),
            nodes: self.nodes,
            forward,
            backward,
            wrt: self.wrt,
            statistics: self.statistics,
            fusion: self.fusion,
            grad,
            norms,
            places,
            image_len,
            shared_len,
            trainable,
            mix_len,
        }
    }

    fn forward(&mut self) -> Vec<Segment> {
        let batch = self.statistics == Statistics::Batch;
        let mut level = vec![0; self.nodes.len()];
        let mut segments = vec![Segment::default()];
        for i in 0..self.nodes.len() {
            let ready = self.nodes[i].inputs.iter().map(|x| level[*x]).max().unwrap_or(0);
            level[i] = ready;
            let Some(how) = self.normalized(i) else {
                segments[ready].steps.push(Step::new(i, Action::Forward));
                continue;
            };
            if batch {
                level[i] = ready + 1;
                if segments.len() <= level[i] {
                    segments.resize(level[i] + 1, Segment::default());
                }
                segments[ready].steps.push(Step::new(i, Action::Moments));
                segments[level[i]].before.push(Merge::Moments(i));
                self.stats[i] = Some(self.lifetimes.declare(2 * self.nodes[i].shape.c));
            } else {
                segments[0].before.push(Merge::Fold(i));
            }
            if how != Normalized::Lazily {
                segments[level[i]].steps.push(Step::new(i, Action::Normalize));
            }
        }
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

    fn backward(&mut self) -> Vec<Segment> {
        let batch = self.statistics == Statistics::Batch;
        let last = self.nodes.len() - 1;
        let n = self.nodes.len();
        self.hold_gradients();
        let mut level = vec![0; n];
        let mut segments = vec![Segment::default()];
        segments[0].steps.push(Step::new(last, Action::LossGradient));
        for i in (0..n).rev().filter(|i| self.needs[*i]) {
            let ready = self.readers[i].iter().filter(|r| self.needs[**r]).map(|r| level[*r]).max().unwrap_or(0);
            level[i] = ready;
            match self.nodes[i].kind {
                Kind::Image => continue,
                Kind::Norm { .. } => {
                    if self.reads_source(i) {
                        segments[ready].steps.push(Step::new(i, Action::Sums));
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
                        segments[level[i]].steps.push(Step::new(i, action));
                    }
                }
                _ => {
                    let action = Action::Backward { accumulate: vec![], reads: self.backward_reads_values(i) };
                    segments[ready].steps.push(Step::new(i, action));
                }
            }
        }
        self.first_use_writes(&mut segments);
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

    /// Tells every step what it touches, in the order of execution, and from that when buffers are alive.
    fn live_through(&mut self, forward: &mut [Segment], backward: &mut [Segment]) -> Vec<Death> {
        let mut spans = Vec::new();
        for segment in forward.iter_mut().chain(backward.iter_mut()) {
            // Merges read what every image keeps for them.
            segment.merged = segment.before.iter().filter_map(|merge| self.merged(merge)).collect();
            spans.push(vec![segment.merged.clone()]);
            for step in &mut segment.steps {
                (step.reads, step.writes) = (self.read(step), self.written(step));
            }
            spans.push(segment.steps.iter().map(|s| s.reads.iter().chain(&s.writes).copied().collect()).collect());
        }
        let results = self.results();
        mark(&mut self.lifetimes, &spans, &results)
    }

    /// What a merge reads of every image.
    fn merged(&self, merge: &Merge) -> Option<BufferId> {
        match merge {
            Merge::Fold(_) => None,
            Merge::Moments(i) => self.stats[*i],
            Merge::Line(i) => self.stats[*i].filter(|_| self.statistics == Statistics::Batch),
        }
    }

    /// What is read when everything is done: the logits, and the image's gradient where it is wanted.
    fn results(&self) -> Vec<BufferId> {
        let gradient = match self.grad[0] {
            Some(Held::Own(gradient)) if self.wrt.input => Some(gradient),
            _ => None,
        };
        self.value.last().copied().into_iter().chain(gradient).collect()
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

    /// What a step reads.
    fn read(&self, step: &Step) -> Vec<BufferId> {
        let i = step.node;
        let (gradient, values) = match step.action {
            Action::Forward | Action::Normalize | Action::Moments => (false, true),
            Action::LossGradient => (false, false),
            Action::Sums => (true, true),
            Action::NormBackward { .. } => (true, self.statistics == Statistics::Batch),
            Action::Backward { reads, .. } => (true, reads),
        };
        let mut list = if gradient { self.gradient_buffers(i) } else { Vec::new() };
        if values {
            list.extend(self.nodes[i].inputs.iter().map(|x| self.value[*x]));
        }
        list
    }

    /// What a step writes or adds to.
    fn written(&self, step: &Step) -> Vec<BufferId> {
        let i = step.node;
        match step.action {
            Action::Forward | Action::Normalize => vec![self.value[i]],
            Action::Moments | Action::Sums => self.stats[i].into_iter().collect(),
            Action::LossGradient => self.gradient_buffers(i),
            Action::NormBackward { .. } | Action::Backward { .. } => {
                let receiving = |x: &usize| match self.grad[*x] {
                    Some(Held::Own(buffer)) => Some(buffer),
                    _ => None,
                };
                self.nodes[i].inputs.iter().filter_map(receiving).collect()
            }
        }
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
            Kind::Layer { layer, .. } => layer.reads_values(through, self.wants_params(i)),
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
}

/// Tells a segment, whose merges are span `first` and whose steps are the next, what is dead behind each of them.
fn bury(segment: &mut Segment, first: usize, deaths: &[Death]) {
    let dead = |when: Death, touched: &[BufferId]| -> Vec<BufferId> {
        let mut list: Vec<BufferId> = touched.iter().copied().filter(|b| deaths[b.index()] == when).collect();
        list.sort_by_key(|b| b.index());
        list.dedup();
        list
    };
    // What a merge reads was written in another span, so it dies with this one and not with a step of it.
    segment.dead_before = dead(Death::Span(first), &segment.merged);
    let mut all = Vec::new();
    for (k, step) in segment.steps.iter_mut().enumerate() {
        let touched = [&step.reads[..], &step.writes].concat();
        step.dead = dead(Death::Step { span: first + 1, step: k }, &touched);
        all.extend(touched);
    }
    segment.dead_behind = dead(Death::Span(first + 1), &all);
}
