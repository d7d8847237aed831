//! The CPU backend: vector kernels on host memory, images divided among threads.

mod disjoint;
mod elementary;
mod exec;
mod isa;
pub mod kernels;
mod lanes;
mod layer;
mod pack;
mod pages;
mod prefetch;
mod program;
mod read;
mod record;
mod tuned;
mod vector;

use candle_core::{CpuStorage, DType, Device, Storage, Tensor};
use tuned::Tuned;

pub use isa::Isa;
pub use tuned::Packing;
pub use vector::Real;

use super::backend::{Arena, Backend, Program};
use super::layout::ALIGNMENT;
use super::plan::Plan;
use crate::error::Result;

/// The CPU, with the instructions that its kernels run on.
#[derive(Clone, Copy, Debug)]
pub struct Cpu {
    isa: Isa,
    poison: bool,
    packing: Packing,
}

impl Cpu {
    /// With the widest vectors of this machine.
    pub fn widest() -> Cpu {
        Cpu::on(Isa::widest())
    }

    /// With chosen instructions.
    pub fn on(isa: Isa) -> Cpu {
        Cpu { isa, poison: cfg!(debug_assertions), packing: Packing::ByShape }
    }

    /// With memory that holds nothing filled with NaN, or not: whoever reads a buffer before it is written or after its life
    /// spoils the result. Debug builds do it unasked; it costs about as much again as the pass.
    pub fn poisoned(self, poison: bool) -> Cpu {
        Cpu { poison, ..self }
    }

    /// With images as lanes where it is said; every choice gives the same logits and image gradients to the bit, weights'
    /// gradients that are added up in another order.
    pub fn packing(self, packing: Packing) -> Cpu {
        Cpu { packing, ..self }
    }
}

impl Backend for Cpu {
    fn prepare(&self, plan: Plan, dtype: DType) -> Result<Box<dyn Program>> {
        Ok(Box::new(Tuned::new(self.isa, self.poison, self.packing, plan, dtype)?))
    }

    fn arena(&self, len: usize, dtype: DType) -> Result<Arena> {
        /// The first scalar on a cache line.
        fn aligned<T>(memory: &[T]) -> usize {
            pages::large(memory);
            memory.as_ptr().align_offset(ALIGNMENT)
        }
        let memory = Tensor::zeros(len, dtype, &Device::Cpu)?;
        let start = match &*memory.storage_and_layout().0 {
            Storage::Cpu(CpuStorage::F32(v)) => aligned(v),
            Storage::Cpu(CpuStorage::F64(v)) => aligned(v),
            _ => 0,
        };
        Ok(Arena { memory, start })
    }
}
