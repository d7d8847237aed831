//! The CUDA backend: the same plans on a card, in f32 and on one stream.
//!
//! A pass is a *tape* of launches (`tape.rs`), which `trace.rs` makes from the plan without a device: a few launches a call, each
//! for the whole batch, in the order of the plan. `compile.rs` makes the kernels by NVRTC, `launch.rs` plays the tape. Every
//! reduction has an order that shapes alone decide, and nothing is added atomically: same seed, same bytes on the same kind of
//! card.
//!
//! Whatever the CPU backend has and this one has not is an error when the plan is prepared, never done elsewhere.

mod address;
mod call;
mod compile;
mod kernels;
mod launch;
mod memory;
mod program;
mod tape;
mod trace;

use candle_core::{CudaDevice, DType};

use super::backend::{Arena, Backend, Program};
use super::plan::Plan;
use crate::error::{Error, Result};
use program::Prepared;

/// A card.
#[derive(Clone, Debug)]
pub struct Cuda {
    device: CudaDevice,
    poison: bool,
}

impl Cuda {
    /// A device of candle's.
    pub fn on(device: &CudaDevice) -> Cuda {
        Cuda { device: device.clone(), poison: cfg!(debug_assertions) }
    }

    /// With memory that holds nothing more filled with NaN, or not: whoever reads a buffer after its life spoils the result. Debug
    /// builds do it unasked; it costs a launch a buffer.
    pub fn poisoned(self, poison: bool) -> Cuda {
        Cuda { poison, ..self }
    }
}

impl Backend for Cuda {
    fn prepare(&self, plan: Plan, dtype: DType) -> Result<Box<dyn Program>> {
        match dtype {
            DType::F32 => Ok(Box::new(Prepared::new(&self.device, plan, self.poison)?)),
            other => Err(Error::Impossible(format!("CUDA kernels compute in f32, not in {other:?}"))),
        }
    }

    fn arena(&self, len: usize, dtype: DType) -> Result<Arena> {
        // The driver's memory begins on a multiple of 256 bytes.
        Ok(Arena { memory: launch::unwritten(&self.device, len, dtype)?, start: 0 })
    }
}
