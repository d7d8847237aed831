//! The engine: networks compiled to plans that run on candle storage, with a backward pass of our own.
//!
//! Nothing here knows attacks, training or files. What is wanted ([`Wrt`]), the batch-norm mode ([`NormMode`]) and the
//! mixing vector are arguments of each call.

mod ahead;
mod arena;
mod exec;
mod fuse;
mod isa;
pub mod kernels;
mod layer;
mod layout;
mod lifetimes;
pub mod memory;
mod network;
mod pages;
mod params;
mod parts;
mod plan;
mod real;
mod schedule;
mod special;
mod vector;
mod verify;

pub use fuse::{Choice, Fusion};
pub use isa::Isa;
pub use layout::ArenaLayout;
pub use memory::{Memory, Work};
pub use network::{Gradients, Logits, LossGradient, Mode, Network, NormMode};
pub use params::{ParamLayout, ParamTensor};
pub use plan::{Plan, Setting, Statistics, Wrt};
pub use real::Real;

impl From<candle_core::Error> for crate::error::Error {
    fn from(e: candle_core::Error) -> Self {
        crate::error::Error::Tensor(e.to_string())
    }
}
