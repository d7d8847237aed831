//! What runs plans. The plan says which calls in which order and where every buffer lies; how they are computed, and what
//! has to be prepared for that, is a backend's alone.

use std::fmt::Debug;

use candle_core::{DType, Tensor};

use super::arena::Place;
use super::layout::ArenaLayout;
use super::mode::Direction;
use super::plan::Plan;
use crate::error::Result;
use crate::seed::Seed;

/// A kind of device that runs plans.
pub trait Backend: Debug + Send + Sync {
    /// Makes a plan runnable on numbers of a type: kernels are chosen and room is found for what they want beside the plan's buffers.
    ///
    /// # Errors
    /// [`Error::Internal`](crate::error::Error::Internal) for a plan that, in the order in which this backend takes it, reads what is not there.
    fn prepare(&self, plan: Plan, dtype: DType) -> Result<Box<dyn Program>>;

    /// Memory for passes, at least `len` scalars.
    ///
    /// # Errors
    /// [`Error::Tensor`](crate::error::Error::Tensor) where the device has no such memory.
    fn arena(&self, len: usize, dtype: DType) -> Result<Arena>;
}

/// A plan with everything that a backend wants to run it.
pub trait Program: Debug + Send + Sync {
    /// The plan.
    fn plan(&self) -> &Plan;

    /// How a batch lies in an arena whose first usable scalar is `start`.
    fn layout(&self, batch: usize, start: usize) -> ArenaLayout;

    /// Runs one direction in place on the arena. `batch` has the images `[n, h, w, c]` forward, the gradient of the logits
    /// `[n, classes]` backward, flat; `state` is the network's.
    ///
    /// # Errors
    /// [`Error::Tensor`](crate::error::Error::Tensor) for tensors of different types.
    fn run(&self, pass: &Pass<'_>, arena: &Tensor, state: &Tensor, batch: &Tensor) -> Result<()>;

    /// One buffer of every image, one after the other, flat.
    ///
    /// # Errors
    /// [`Error::Tensor`](crate::error::Error::Tensor) for an arena of another device.
    fn buffers(&self, layout: ArenaLayout, arena: &Tensor, place: Place) -> Result<Tensor>;

    /// The gradients of the weights and of the mixing vector, those of them that are wanted, added up over the batch that
    /// was run backward last, flat.
    ///
    /// # Errors
    /// [`Error::Tensor`](crate::error::Error::Tensor) for an arena of another device.
    fn gathered(&self, layout: ArenaLayout, arena: &Tensor) -> Result<Tensor>;

    /// Moves the running statistics in `state` towards those of the batch that was run forward last.
    ///
    /// # Errors
    /// [`Error::Tensor`](crate::error::Error::Tensor) for tensors of different types.
    fn record(&self, layout: ArenaLayout, arena: &Tensor, state: &Tensor) -> Result<()>;
}

/// What one pass is given beside its tensors.
#[derive(Clone, Copy, Debug)]
pub struct Pass<'a> {
    /// The direction.
    pub direction: Direction,
    /// How the batch lies in the arena.
    pub layout: ArenaLayout,
    /// The mixing vector.
    pub mix: &'a [f64],
    /// What decides which entries and images are dropped.
    pub drop: Option<Seed>,
}

/// The memory that passes work in.
#[derive(Clone, Debug)]
pub struct Arena {
    /// All of it, flat.
    pub memory: Tensor,
    /// The first aligned scalar.
    pub start: usize,
}
