//! A plan made ready for the CPU: how each convolution is made, where prepared weights lie, how many images take a segment
//! together, and what each step prefetches.

use std::ops::Range;

use super::isa::Isa;
use super::kernels::conv::{Conv, Direction, Method};
use super::prefetch::{Touch, prefetches};
use crate::engine::arena::{BufferId, Place};
use crate::engine::call::{Convolution, KernelCall, Kind};
use crate::engine::fuse::Fusion;
use crate::engine::layout::{ALIGNMENT, ArenaLayout};
use crate::engine::plan::{Action, Gradient, Plan, Segment, Step};
use crate::engine::verify::verify;
use crate::error::{Error, Result};

/// Scalars that stay in the cache between steps: half of a common second-level cache.
const CACHE: usize = 1 << 17;

/// Scalars that the images of a segment may touch in one step, where there are several: what one image leaves in the cache,
/// its next step finds there.
const TOGETHER: usize = 1 << 14;

/// Scalars of a lane's own gradients and prepared weights, above which there are fewer lanes.
const LANES: usize = 1 << 26;

/// A buffer that a later step reads.
#[derive(Clone, Copy, Debug)]
pub struct Fetch {
    /// Where it is.
    pub place: Place,
    /// Whether it is that of the images that come next, not of those that are worked on.
    pub next: bool,
}

/// How a segment is run.
#[derive(Clone, Debug)]
pub struct Tuning {
    /// Images that take the steps together: one, or several small ones that share the reading of large weights.
    pub together: usize,
    /// The longest gradient of an image that is computed on the way into one of the kernels.
    pub gradient_len: usize,
    /// For every step what is fetched into the cache meanwhile.
    pub prefetch: Vec<Vec<Fetch>>,
}

/// A plan with everything that the CPU wants to run it.
#[derive(Debug)]
pub struct Tuned {
    pub(super) isa: Isa,
    pub(super) poison: bool,
    pub(super) plan: Plan,
    /// How every dense convolution is made; of other calls [`Method::Direct`].
    methods: Vec<Method>,
    /// Where every call keeps the weights that are prepared for a pass, in the shared part of the arena.
    pub(super) weights: Vec<Range<usize>>,
    pub(super) forward: Vec<Tuning>,
    pub(super) backward: Vec<Tuning>,
    shared_len: usize,
    scratch_len: usize,
}

impl Tuned {
    /// Makes a plan ready.
    ///
    /// # Errors
    /// [`Error::Internal`] for a plan that reads what is not there when images take its segments together.
    pub fn new(isa: Isa, poison: bool, plan: Plan) -> Result<Self> {
        // Behind the batch-norms' numbers, in the order of the calls.
        let mut shared_len = plan.shared_len;
        let mut weights = vec![0..0; plan.nodes.len()];
        let methods: Vec<Method> = plan.nodes.iter().map(|node| method(node, plan.fusion)).collect();
        for ((place, node), method) in weights.iter_mut().zip(&plan.nodes).zip(&methods) {
            let len = prepared(node, *method);
            if len > 0 {
                *place = shared_len..shared_len + len.next_multiple_of(16);
                shared_len = place.end;
            }
        }
        let tuned = |segments: &[Segment]| segments.iter().map(|s| tune(&plan, s)).collect::<Vec<_>>();
        let (forward, backward) = (tuned(&plan.forward), tuned(&plan.backward));
        let together: Vec<usize> = forward.iter().chain(&backward).map(|t| t.together).collect();
        verify(&plan, &together).map_err(|why| Error::Internal(format!("a plan for the CPU: {why}")))?;
        let scratch_len = plan.nodes.iter().zip(&methods).map(|(node, m)| scratch(node, *m)).max().unwrap_or(0);
        Ok(Tuned { isa, poison, plan, methods, weights, forward, backward, shared_len, scratch_len })
    }

    /// How a batch lies in an arena whose first usable scalar is `start`.
    pub fn layout(&self, batch: usize, start: usize) -> ArenaLayout {
        // Few lanes for large networks: each keeps a weight gradient of its own and reads all prepared weights. A power of
        // two, to be divided evenly.
        let prepared: usize = self.weights.iter().map(Range::len).sum();
        let most = (LANES / self.plan.gathered_len().max(prepared / 4).max(1)).clamp(2, 16);
        let most = 1 << most.ilog2();
        let per_lane = batch.div_ceil(batch.min(most).max(1));
        let gathered = self.plan.gathered_len().next_multiple_of(16);
        let gradient = self.backward.iter().map(|s| s.gradient_len * s.together.min(per_lane)).max().unwrap_or(0);
        let gradient = gradient.next_multiple_of(16);
        let own = gathered + gradient + self.scratch_len.next_multiple_of(16);
        ArenaLayout {
            batch,
            per_lane,
            lanes: batch.div_ceil(per_lane),
            start,
            shared: self.shared_len.next_multiple_of(16),
            lane: per_lane * self.plan.image_len + own,
            gathered,
            gradient,
            spare: ALIGNMENT / 4,
        }
    }

    /// The convolution of a call with the way in which it is made.
    pub(super) fn conv(&self, call: usize, shape: Convolution) -> Conv {
        Conv { shape, method: self.methods[call] }
    }
}

fn method(node: &KernelCall, fusion: Fusion) -> Method {
    match &node.kind {
        Kind::Conv { conv, .. } if fusion.winograd => Conv::direct(*conv).fastest().method,
        _ => Method::Direct,
    }
}

/// Scalars of weights that a call wants prepared.
fn prepared(node: &KernelCall, method: Method) -> usize {
    match &node.kind {
        Kind::Conv { conv: shape, .. } => {
            let conv = Conv { shape: *shape, method };
            conv.panels(Direction::Forward).scalars().max(conv.panels(Direction::Backward).scalars())
        }
        Kind::Separable { pointwise, .. } => pointwise.len(),
        Kind::Layer { layer, .. } => layer.prepared(),
        _ => 0,
    }
}

/// Scalars of scratch that a call wants.
fn scratch(node: &KernelCall, method: Method) -> usize {
    match &node.kind {
        Kind::Conv { conv: shape, .. } => Conv { shape: *shape, method }.scratch(),
        Kind::Depthwise { conv, .. } => conv.scratch(),
        Kind::Separable { conv, .. } => conv.scratch(),
        Kind::Layer { layer, .. } => layer.scratch(node.shape.len()),
        _ => 0,
    }
}

fn tune(plan: &Plan, segment: &Segment) -> Tuning {
    let together = together(plan, segment);
    let computed = |s: &&Step| {
        matches!(s.action, Action::Backward { .. })
            && matches!(plan.grad[s.node], Some(Gradient::Line(_) | Gradient::Shared { factor: Some(_), .. }))
    };
    let gradients = segment.steps.iter().filter(computed).map(|s| plan.nodes[s.node].shape.len());
    Tuning { together, gradient_len: gradients.max().unwrap_or(0), prefetch: fetches(plan, segment, together) }
}

/// As many images as fit the cache in every step, and enough to make reading large weights worth it.
fn together(plan: &Plan, segment: &Segment) -> usize {
    let touched = |s: &Step| s.reads.iter().chain(&s.writes).map(|b| plan.place(*b).len).sum::<usize>().max(1);
    let weights = |s: &Step| match &plan.nodes[s.node].kind {
        Kind::Conv { weight, .. } => weight.len(),
        _ => 0,
    };
    let fits = segment.steps.iter().map(|s| TOGETHER / touched(s)).min().unwrap_or(1);
    let weighs = segment.steps.iter().map(|s| weights(s) / touched(s)).max().unwrap_or(1);
    fits.max(weighs).max(1)
}

/// For every step of a segment what it fetches for those after it.
fn fetches(plan: &Plan, segment: &Segment, together: usize) -> Vec<Vec<Fetch>> {
    let sized = |list: &[BufferId]| -> Vec<(usize, usize)> {
        list.iter().map(|b| (b.index(), plan.place(*b).len * together)).filter(|(_, len)| *len > 0).collect()
    };
    let touches: Vec<Touch> = segment
        .steps
        .iter()
        .map(|s| Touch { reads: sized(&s.reads), writes: sized(&s.writes), time: spare(plan, s) * together })
        .collect();
    let placed = |list: Vec<super::prefetch::Fetch>| {
        list.into_iter().map(|e| Fetch { place: plan.places[e.buffer], next: e.next }).collect()
    };
    prefetches(&touches, CACHE).into_iter().map(placed).collect()
}

/// Scalars that a step has the time to fetch for others, an image.
fn spare(plan: &Plan, step: &Step) -> usize {
    let node = &plan.nodes[step.node];
    match (&step.action, &node.kind) {
        (
            Action::Forward | Action::Backward { .. },
            Kind::Separable { .. } | Kind::MaxPool(_) | Kind::AvgPool { .. },
        ) => 3 * node.shape.len(),
        _ => 0,
    }
}
