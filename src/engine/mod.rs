//! The engine: networks compiled to plans that run on candle storage, with a backward pass of our own.
//!
//! Nothing here knows attacks, training or files. What is wanted ([`Wrt`]), the batch-norm mode ([`NormMode`]) and the
//! mixing vector are arguments of each call.

//!
//! The neutral half turns a graph into a [`Plan`]: `fuse` rewrites it into kernel calls, `schedule` orders them and the
//! lifetimes of their buffers give these places. A [`Backend`] runs plans: [`cpu`], and with the feature `cuda` a card.

mod answer;
mod arena;
mod backend;
mod call;
mod compile;
pub mod cpu;
#[cfg(feature = "cuda")]
pub mod cuda;
mod device;
mod fuse;
mod layout;
mod lifetimes;
pub mod memory;
mod mode;
mod network;
mod params;
mod plan;
mod reduce;
mod schedule;
mod verify;

pub use answer::{Gradients, Logits, LossGradient};
pub use backend::{Arena, Backend, Pass, Program};
pub use call::{
    Activation, Attention, Convolution, CrossCovariance, Depthwise, FlcPool, GroupNorm, Load, Over, Pool, Precondition,
    Separable, Softmax,
};
pub use cpu::{Cpu, Isa, Packing, Real};
#[cfg(feature = "cuda")]
pub use cuda::Cuda;
pub use device::backend_of;
pub use fuse::{Choice, Fusion};
pub use layout::ArenaLayout;
pub use memory::{Memory, Work};
pub use mode::{Direction, Mode, NormMode};
pub use network::Network;
pub use params::{ParamLayout, ParamTensor};
pub use plan::{Plan, Setting, Statistics, Wrt};
pub use reduce::euclidean_norm;

impl From<candle_core::Error> for crate::error::Error {
    fn from(e: candle_core::Error) -> Self {
        crate::error::Error::Tensor(e.to_string())
    }
}
