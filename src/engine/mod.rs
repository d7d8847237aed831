//! The engine: networks compiled to plans that run on candle storage, with a backward pass of our own.
//!
//! Nothing here knows attacks, training or files. What is wanted ([`Wrt`]), the batch-norm mode ([`NormMode`]) and the
//! mixing vector are arguments of each call.

mod answer;
mod arena;
mod calls;
mod compile;
mod disjoint;
mod elementary;
mod exec;
mod fuse;
mod isa;
pub mod kernels;
mod lanes;
mod layer;
mod layout;
mod lifetimes;
pub mod memory;
mod mode;
mod network;
mod pages;
mod params;
mod plan;
mod prefetch;
mod reduce;
mod schedule;
mod vector;
mod verify;

pub use answer::{Gradients, Logits, LossGradient};
pub use fuse::{Choice, Fusion};
pub use isa::Isa;
pub use layout::ArenaLayout;
pub use memory::{Memory, Work};
pub use mode::{Mode, NormMode};
pub use network::Network;
pub use params::{ParamLayout, ParamTensor};
pub use plan::{Plan, Setting, Statistics, Wrt};
pub use reduce::euclidean_norm;
pub use vector::Real;

impl From<candle_core::Error> for crate::error::Error {
    fn from(e: candle_core::Error) -> Self {
        crate::error::Error::Tensor(e.to_string())
    }
}
