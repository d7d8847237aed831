//! How a batch lies in the arena.

use std::ops::Range;

use super::arena::Place;
use super::plan::Plan;

/// Bytes to which the arena is aligned: a cache line, and the widest vector.
pub const ALIGNMENT: usize = 64;

/// How a batch lies in the arena: the shared part, then one part a lane. A lane holds every buffer of the plan for its
/// images side by side, then its gathered gradients and scratch. All counts but [`ArenaLayout::start`] and
/// [`ArenaLayout::scalars`] are of numbers, each of which is that of `pack` images.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArenaLayout {
    /// Images in the batch.
    pub batch: usize,
    /// Images whose numbers lie side by side: 1, or as many as fill a vector.
    pub pack: usize,
    /// Packs of every lane but perhaps the last.
    pub per_lane: usize,
    /// Lanes.
    pub lanes: usize,
    /// The first scalar that is used.
    pub start: usize,
    /// The shared part.
    pub shared: usize,
    /// One lane.
    pub lane: usize,
    /// Gradients that a lane gathers over its images.
    pub(super) gathered: usize,
    /// Where a gradient is computed on the way into a kernel.
    pub(super) gradient: usize,
    /// Scalars behind everything, so that the first can be aligned.
    pub(super) spare: usize,
}

impl ArenaLayout {
    /// Scalars in all.
    pub fn scalars(&self) -> usize {
        self.pack * (self.shared + self.lanes * self.lane) + self.spare
    }

    /// Packs in the batch; the last may have fewer images.
    pub fn packs(&self) -> usize {
        self.batch.div_ceil(self.pack)
    }

    /// The place of one pack's buffer, counted from `start`.
    pub fn of_pack(&self, pack: usize, place: Place) -> Range<usize> {
        let lane = self.shared + pack / self.per_lane * self.lane;
        let at = lane + place.start * self.per_lane + pack % self.per_lane * place.len;
        at..at + place.len
    }

    /// The place of a lane's gathered gradients, counted from `start`; those of single images are added up in the first
    /// lane's.
    pub fn gathered(&self, plan: &Plan, lane: usize) -> Range<usize> {
        let at = self.shared + lane * self.lane + self.per_lane * plan.image_len;
        at..at + plan.gathered_len()
    }
}
