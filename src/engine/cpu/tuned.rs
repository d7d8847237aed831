//! A plan made ready for the CPU: how each convolution is made, where prepared weights lie, how many images take a segment
//! together, and what each step prefetches.

use std::ops::Range;

use candle_core::DType;

use super::isa::Isa;
use super::kernels::conv::{Conv, Direction, Method};
use super::prefetch::{Touch, prefetches};
use crate::arch::op::Shape;
use crate::engine::arena::{BufferId, Place};
use crate::engine::call::{Convolution, KernelCall, Kind, Layer};
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

/// Whether the numbers of several images lie side by side, so that an image is a lane of a vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packing {
    /// Where channels fill vectors badly.
    ByShape,
    /// Nowhere.
    Never,
    /// Wherever the operations allow it.
    Always,
}

/// How many times the operations of full vectors channels may take before images are packed. Packs of sixteen images are larger
/// than the second-level cache from eight channels on, which costs as much as half-empty vectors do: they pay off from 2.7 times
/// the operations on, and not at twice. Packs of eight fit: a network between the two limits trains 2.8 times as fast
/// (docs/performance.md).
fn waste(lanes: usize) -> f64 {
    if lanes > 8 { 2.5 } else { 1.2 }
}

/// The inverse of the least share that those operations have in all numbers of a network.
const SHARE: usize = 8;

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

/// How the segments of a plan are run.
#[derive(Clone, Debug)]
pub struct Grouping {
    /// Images whose numbers lie side by side.
    pub pack: usize,
    /// Of the forward pass.
    pub forward: Vec<Tuning>,
    /// Of the backward pass.
    pub backward: Vec<Tuning>,
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
    /// How single images are run.
    single: Grouping,
    /// How packs of images are run, where they are.
    packed: Option<Grouping>,
    shared_len: usize,
    scratch_len: usize,
}

impl Tuned {
    /// Makes a plan ready.
    ///
    /// # Errors
    /// [`Error::Internal`] for a plan that reads what is not there when images take its segments together.
    pub fn new(isa: Isa, poison: bool, packing: Packing, plan: Plan, dtype: DType) -> Result<Self> {
        // Behind the batch-norms' numbers, in the order of the calls.
        let mut shared_len = plan.shared_len;
        let mut weights = vec![0..0; plan.nodes.len()];
        let pack = pack(&plan, isa, packing, dtype);
        let methods: Vec<Method> = plan
            .nodes
            .iter()
            .map(|node| if pack.is_some() { Method::Direct } else { method(node, plan.fusion) })
            .collect();
        for ((place, node), method) in weights.iter_mut().zip(&plan.nodes).zip(&methods) {
            let len = prepared(node, *method);
            if len > 0 {
                *place = shared_len..shared_len + len.next_multiple_of(16);
                shared_len = place.end;
            }
        }
        let grouped = |pack: usize| {
            let tuned = |segments: &[Segment]| segments.iter().map(|s| tune(&plan, s, pack)).collect::<Vec<_>>();
            let grouping = Grouping { pack, forward: tuned(&plan.forward), backward: tuned(&plan.backward) };
            let together: Vec<usize> = grouping.forward.iter().chain(&grouping.backward).map(|t| t.together).collect();
            verify(&plan, &together).map_err(|why| Error::Internal(format!("a plan for the CPU: {why}")))?;
            Ok::<_, Error>(grouping)
        };
        let single = grouped(1)?;
        let packed = pack.map(grouped).transpose()?;
        let scratch_len = plan.nodes.iter().zip(&methods).map(|(node, m)| scratch(node, *m)).max().unwrap_or(0);
        Ok(Tuned { isa, poison, methods, weights, single, packed, shared_len, scratch_len, plan })
    }

    /// How a batch lies in an arena whose first usable scalar is `start`.
    pub fn lay_out(&self, batch: usize, start: usize) -> ArenaLayout {
        let grouping = match &self.packed {
            // Half-empty packs are still faster than single images.
            Some(packed) if 2 * batch >= packed.pack => packed,
            _ => &self.single,
        };
        let pack = grouping.pack;
        let per_lane = if pack > 1 { 1 } else { self.images_of_a_lane(batch) };
        let gathered = self.plan.gathered_len().next_multiple_of(16);
        let gradient = grouping.backward.iter().map(|s| s.gradient_len * s.together.min(per_lane)).max().unwrap_or(0);
        let gradient = gradient.next_multiple_of(16);
        let own = gathered + gradient + self.scratch_len.next_multiple_of(16);
        ArenaLayout {
            batch,
            pack,
            per_lane,
            lanes: batch.div_ceil(pack).div_ceil(per_lane),
            start,
            shared: self.shared_len.next_multiple_of(16),
            lane: per_lane * self.plan.image_len + own,
            gathered,
            gradient,
            spare: ALIGNMENT / 4,
        }
    }

    /// Few lanes for large networks: each keeps a weight gradient of its own and reads all prepared weights. A power of two,
    /// to be divided evenly.
    fn images_of_a_lane(&self, batch: usize) -> usize {
        let prepared: usize = self.weights.iter().map(Range::len).sum();
        let most = (LANES / self.plan.gathered_len().max(prepared / 4).max(1)).clamp(2, 16);
        let most = 1 << most.ilog2();
        batch.div_ceil(batch.min(most).max(1))
    }

    /// How a layout's segments are run.
    pub(super) fn grouping(&self, layout: ArenaLayout) -> &Grouping {
        match &self.packed {
            Some(packed) if packed.pack == layout.pack => packed,
            _ => &self.single,
        }
    }

    /// The convolution of a call with the way in which it is made.
    pub(super) fn conv(&self, call: usize, shape: Convolution) -> Conv {
        Conv { shape, method: self.methods[call] }
    }
}

/// The images that lie side by side, if any do: as many as fill a vector of 32-bit numbers.
fn pack(plan: &Plan, isa: Isa, packing: Packing, dtype: DType) -> Option<usize> {
    let dropping = |node: &KernelCall| {
        matches!(&node.kind, Kind::Layer { layer: Layer::Dropout { .. } | Layer::StochasticDepth { .. }, .. })
    };
    let fits = dtype == DType::F32 && isa.lanes() >= 8 && !plan.nodes.iter().any(dropping);
    let wanted = match packing {
        Packing::Never => false,
        Packing::ByShape => narrow(plan, isa.lanes()),
        Packing::Always => true,
    };
    (fits && wanted).then_some(isa.lanes())
}

/// Whether channels fill vectors so badly that images fill them better: whether the vector operations that the planes of
/// depthwise convolutions and pools take are [`waste`] times those of full vectors. Dense convolutions do not count: they are
/// bounded by arithmetic, and their register tiles are as fast on odd channels. Where there are few others, nothing is packed.
fn narrow(plan: &Plan, lanes: usize) -> bool {
    let by_channel = |node: &&KernelCall| {
        matches!(node.kind, Kind::Depthwise { .. } | Kind::Separable { .. } | Kind::MaxPool(_) | Kind::AvgPool { .. })
    };
    let (mut taken, mut full) = (0, 0);
    for Shape { h, w, c } in plan.nodes.iter().filter(by_channel).map(|node| node.shape) {
        taken += h * w * operations(c, lanes) * lanes;
        full += h * w * c;
    }
    let all: usize = plan.nodes.iter().map(|node| node.shape.len()).sum();
    SHARE * full >= all && taken as f64 >= waste(lanes) * full as f64
}

/// Vectors that some channels take: whole ones, ever narrower ones down to four lanes, then single numbers, as kernels do.
fn operations(channels: usize, lanes: usize) -> usize {
    let (mut rest, mut count, mut width) = (channels, 0, lanes);
    while rest > 0 {
        count += rest / width;
        rest %= width;
        width = if width > 4 { width / 2 } else { 1 };
    }
    count
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

fn tune(plan: &Plan, segment: &Segment, pack: usize) -> Tuning {
    // A pack is as many images together as a step should touch.
    let together = if pack > 1 { 1 } else { together(plan, segment) };
    let computed = |s: &&Step| {
        matches!(s.action, Action::Backward { .. })
            && matches!(plan.grad[s.node], Some(Gradient::Line(_) | Gradient::Shared { factor: Some(_), .. }))
    };
    let gradients = segment.steps.iter().filter(computed).map(|s| plan.nodes[s.node].shape.len());
    Tuning { together, gradient_len: gradients.max().unwrap_or(0), prefetch: fetches(plan, segment, pack * together) }
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

/// For every step of a segment, taken by some images, what it fetches for those after it.
fn fetches(plan: &Plan, segment: &Segment, images: usize) -> Vec<Vec<Fetch>> {
    let sized = |list: &[BufferId]| -> Vec<(usize, usize)> {
        list.iter().map(|b| (b.index(), plan.place(*b).len * images)).filter(|(_, len)| *len > 0).collect()
    };
    let touches: Vec<Touch> = segment
        .steps
        .iter()
        .map(|s| Touch { reads: sized(&s.reads), writes: sized(&s.writes), time: spare(plan, s) * images })
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
