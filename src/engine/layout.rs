//! How a batch lies in the arena.

use std::ops::Range;

use super::arena::Place;
use super::plan::Plan;

/// Bytes to which the arena is aligned: a cache line, and the widest vector.
pub const ALIGNMENT: usize = 64;

/// How a batch lies in the arena: the shared part, then one part a lane. A lane holds every buffer of the plan for its
/// images side by side, then its gathered gradients and scratch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArenaLayout {
    /// Images in the batch.
    pub batch: usize,
    /// Images of every lane but perhaps the last.
    pub per_lane: usize,
    /// Lanes.
    pub lanes: usize,
    /// The first scalar that is used.
    pub start: usize,
    /// Scalars in the shared part.
    pub shared: usize,
    /// Scalars of one lane.
    pub lane: usize,
    pub(super) gathered: usize,
    /// Scalars in which a gradient is computed on the way into a kernel.
    pub(super) gradient: usize,
}

impl ArenaLayout {
    /// The layout of a plan's arena for a batch; the arena's first aligned scalar is `start`.
    pub fn new(plan: &Plan, batch: usize, start: usize) -> Self {
        // Few lanes for large networks: each keeps a weight gradient of its own
        // and reads all prepared weights. A power of two, to be divided evenly.
        let most = ((1 << 26) / plan.gathered_len().max(plan.prepared_len() / 4).max(1)).clamp(2, 16);
        let most = 1 << most.ilog2();
        let per_lane = batch.div_ceil(batch.min(most).max(1));
        let gathered = plan.gathered_len().next_multiple_of(16);
        let gradient = plan.backward.iter().map(|s| s.gradient_len * s.together.min(per_lane)).max().unwrap_or(0);
        let gradient = gradient.next_multiple_of(16);
        ArenaLayout {
            batch,
            per_lane,
            lanes: batch.div_ceil(per_lane),
            start,
            shared: plan.shared_len.next_multiple_of(16),
            lane: per_lane * plan.image_len + gathered + gradient + plan.scratch_len.next_multiple_of(16),
            gathered,
            gradient,
        }
    }

    /// Scalars in all, with room to align the first.
    pub fn scalars(&self) -> usize {
        self.shared + self.lanes * self.lane + ALIGNMENT / 4
    }

    /// The place of one image's buffer.
    pub fn of_image(&self, image: usize, place: Place) -> Range<usize> {
        let lane = self.start + self.shared + image / self.per_lane * self.lane;
        let at = lane + place.start * self.per_lane + image % self.per_lane * place.len;
        at..at + place.len
    }

    /// The place of the gathered gradients: after a backward pass the sum over the batch stands in the first lane's.
    pub fn gathered(&self, plan: &Plan) -> Range<usize> {
        let at = self.start + self.shared + self.per_lane * plan.image_len;
        at..at + plan.gathered_len()
    }

    /// The place of a range of the shared part.
    pub fn of_shared(&self, range: Range<usize>) -> Range<usize> {
        self.start + range.start..self.start + range.end
    }
}
