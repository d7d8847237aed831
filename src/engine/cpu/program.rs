//! Runs a plan on the CPU.

use candle_core::Tensor;

use super::exec::Execution;
use super::read;
use super::record::Record;
use super::tuned::Tuned;
use crate::engine::arena::Place;
use crate::engine::backend::{Pass, Program};
use crate::engine::layout::ArenaLayout;
use crate::engine::plan::Plan;
use crate::error::Result;

impl Program for Tuned {
    fn plan(&self) -> &Plan {
        &self.plan
    }

    fn layout(&self, batch: usize, start: usize) -> ArenaLayout {
        self.lay_out(batch, start)
    }

    fn run(&self, pass: &Pass<'_>, arena: &Tensor, state: &Tensor, batch: &Tensor) -> Result<()> {
        Ok(arena.inplace_op3(state, batch, &Execution { program: self, pass })?)
    }

    fn buffers(&self, layout: ArenaLayout, arena: &Tensor, place: Place) -> Result<Tensor> {
        read::buffers(layout, arena, place)
    }

    fn gathered(&self, layout: ArenaLayout, arena: &Tensor) -> Result<Tensor> {
        read::gathered(self, layout, arena)
    }

    fn record(&self, layout: ArenaLayout, arena: &Tensor, state: &Tensor) -> Result<()> {
        Ok(state.inplace_op2(arena, &Record { program: self, layout })?)
    }
}
