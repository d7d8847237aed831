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
    /// Scalars behind everything, so that the first can be aligned.
    pub(super) spare: usize,
}

impl ArenaLayout {
    /// Scalars in all.
    pub fn scalars(&self) -> usize {
        self.shared + self.lanes * self.lane + self.spare
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
