//! A plan made ready for a device, and its passes.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use candle_core::cuda_backend::cudarc::driver::{CudaStream, DevicePtr, DevicePtrMut};
use candle_core::cuda_backend::{CudaStorage, WrapErr};
use candle_core::{CpuStorage, CudaDevice, InplaceOp2, InplaceOp3, Layout, Tensor};

use super::address::Address;
use super::launch::Kernels;
use super::memory::{Memory, Uploads, lay_out};
use super::trace::{recording, trace};
use crate::engine::arena::Place;
use crate::engine::backend::{Pass, Program};
use crate::engine::layout::ArenaLayout;
use crate::engine::mode::Direction;
use crate::engine::plan::{Plan, Statistics};
use crate::engine::verify::verify_at_once;
use crate::error::{Error, Result};

/// A plan whose kernels are loaded.
#[derive(Debug)]
pub struct Prepared {
    plan: Plan,
    uploads: Uploads,
    poison: bool,
    kernels: Kernels,
    /// Scalars of scratch that a batch wants, by its size.
    scratch: Mutex<HashMap<usize, usize>>,
}

impl Prepared {
    /// Makes a plan ready: compiles what it launches.
    ///
    /// # Errors
    /// [`Error::Impossible`] for an operation without a kernel; [`Error::Internal`] for a plan that reads what is not there;
    /// [`Error::Tensor`] where a kernel does not compile.
    pub fn new(device: &CudaDevice, plan: Plan, poison: bool) -> Result<Prepared> {
        verify_at_once(&plan).map_err(|why| Error::Internal(format!("a plan for CUDA: {why}")))?;
        let uploads = Uploads::of(&plan);
        let memory = nowhere(&plan, &uploads, 1);
        let directions = [Direction::Forward, Direction::Backward];
        let traced = directions.map(|d| trace(memory, d, poison)).into_iter().collect::<Result<Vec<_>>>()?;
        let recording = recording(&memory);
        let kernels = Kernels::load(device, traced.iter().map(|t| &t.tape).chain([&recording]))?;
        Ok(Prepared { plan, uploads, poison, kernels, scratch: Mutex::default() })
    }

    /// Scalars of scratch for a batch. One whose planes are too large to be counted is refused when it is run.
    fn scratch(&self, batch: usize) -> usize {
        let mut known = self.scratch.lock().unwrap_or_else(PoisonError::into_inner);
        *known.entry(batch).or_insert_with(|| {
            let memory = nowhere(&self.plan, &self.uploads, batch);
            let traced = [Direction::Forward, Direction::Backward].map(|d| trace(memory, d, false));
            traced.into_iter().flatten().map(|t| t.scratch).max().unwrap_or(0)
        })
    }
}

/// A batch that has no memory.
fn nowhere<'a>(plan: &'a Plan, uploads: &'a Uploads, batch: usize) -> Memory<'a> {
    let layout = lay_out(plan, uploads, 0, batch, 0);
    // Not the address that means none.
    let [arena, state, batch] = [Address::new(4); 3];
    Memory { plan, uploads, layout, arena, state, batch }
}

impl Program for Prepared {
    fn plan(&self) -> &Plan {
        &self.plan
    }

    fn layout(&self, batch: usize, start: usize) -> ArenaLayout {
        lay_out(&self.plan, &self.uploads, self.scratch(batch), batch, start)
    }

    fn run(&self, pass: &Pass<'_>, arena: &Tensor, state: &Tensor, batch: &Tensor) -> Result<()> {
        Ok(arena.inplace_op3(state, batch, &Run { program: self, pass })?)
    }

    fn buffers(&self, layout: ArenaLayout, arena: &Tensor, place: Place) -> Result<Tensor> {
        // With one lane the images' buffers lie side by side.
        let at = layout.start + layout.shared + place.start * layout.batch;
        Ok(arena.narrow(0, at, place.len * layout.batch)?.force_contiguous()?)
    }

    fn gathered(&self, layout: ArenaLayout, arena: &Tensor) -> Result<Tensor> {
        let all = layout.gathered(&self.plan, 0);
        Ok(arena.narrow(0, layout.start + all.start, all.len())?.force_contiguous()?)
    }

    fn record(&self, layout: ArenaLayout, arena: &Tensor, state: &Tensor) -> Result<()> {
        match self.plan.statistics {
            Statistics::Batch => Ok(state.inplace_op2(arena, &Record { program: self, layout })?),
            Statistics::Running => {
                Err(Error::Internal("running statistics are recorded by a plan that reads them".into()))
            }
        }
    }
}

/// A pass over a plan; in place on (arena, state, batch).
struct Run<'a> {
    program: &'a Prepared,
    pass: &'a Pass<'a>,
}

impl InplaceOp3 for Run<'_> {
    fn name(&self) -> &'static str {
        "plan-pass"
    }

    fn cpu_fwd(
        &self,
        _: &mut CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
    ) -> candle_core::Result<()> {
        candle_core::bail!("a plan for CUDA runs on CUDA's memory")
    }

    fn cuda_fwd(
        &self,
        arena: &mut CudaStorage,
        _: &Layout,
        state: &CudaStorage,
        of_state: &Layout,
        batch: &CudaStorage,
        of_batch: &Layout,
    ) -> candle_core::Result<()> {
        let Run { program, pass } = *self;
        let (plan, uploads, layout) = (&program.plan, &program.uploads, pass.layout);
        let stream = arena.device.cuda_stream();
        let arena = arena.as_cuda_slice_mut::<f32>()?;
        let values = uploads.values(pass.mix);
        if !values.is_empty() {
            let range = uploads.range();
            let mut place = arena.slice_mut(layout.start + range.start..layout.start + range.end);
            stream.memcpy_htod(&values, &mut place).w()?;
        }
        // What guards the order of work on several streams; it must live until all is queued.
        let (arena, _arena) = arena.device_ptr_mut(&stream);
        let (state, _state) = reading(state, of_state, &stream)?;
        let (batch, _batch) = reading(batch, of_batch, &stream)?;
        let memory = Memory { plan, uploads, layout, arena: Address::new(arena), state, batch };
        let traced = trace(memory, pass.direction, program.poison).map_err(candle_core::Error::wrap)?;
        program.kernels.play(&traced.tape)
    }
}

/// Running statistics, moved towards a batch's; in place on the state, reads the arena.
struct Record<'a> {
    program: &'a Prepared,
    layout: ArenaLayout,
}

impl InplaceOp2 for Record<'_> {
    fn name(&self) -> &'static str {
        "record-statistics"
    }

    fn cpu_fwd(&self, _: &mut CpuStorage, _: &Layout, _: &CpuStorage, _: &Layout) -> candle_core::Result<()> {
        candle_core::bail!("a plan for CUDA runs on CUDA's memory")
    }

    fn cuda_fwd(
        &self,
        state: &mut CudaStorage,
        of_state: &Layout,
        arena: &CudaStorage,
        of_arena: &Layout,
    ) -> candle_core::Result<()> {
        let Record { program, layout } = *self;
        let (plan, uploads) = (&program.plan, &program.uploads);
        let stream = arena.device.cuda_stream();
        let (arena, _arena) = reading(arena, of_arena, &stream)?;
        let (state, _state) = state.as_cuda_slice_mut::<f32>()?.device_ptr_mut(&stream);
        let state = Address::new(state).at(of_state.start_offset());
        let memory = Memory { plan, uploads, layout, arena, state, batch: Address::NONE };
        program.kernels.play(&recording(&memory))
    }
}

/// Where a tensor's numbers are, and what tells other streams that they are read.
fn reading<'a>(
    storage: &'a CudaStorage,
    layout: &Layout,
    stream: &'a CudaStream,
) -> candle_core::Result<(Address, impl Drop + use<'a>)> {
    let (at, guard) = storage.as_cuda_slice::<f32>()?.device_ptr(stream);
    Ok((Address::new(at).at(layout.start_offset()), guard))
}
