//! Running statistics, moved towards a batch's.

use candle_core::{CpuStorage, InplaceOp2, Layout};

use super::kernels::conv_norm;
use super::tuned::Tuned;
use super::vector::Real;
use crate::arch::op::BATCH_NORM_MOMENTUM;
use crate::engine::call::{Kind, Layer};
use crate::engine::layout::ArenaLayout;

/// In place on the state, reads the arena.
pub struct Record<'a> {
    /// What was run forward.
    pub program: &'a Tuned,
    /// How the batch lies in the arena.
    pub layout: ArenaLayout,
}

impl Record<'_> {
    fn run<T: Real>(&self, state: &mut [T], arena: &[T]) {
        let plan = &self.program.plan;
        for (i, node) in plan.nodes.iter().enumerate() {
            if let Kind::Layer { layer: Layer::Precondition { map, running, .. }, .. } = &node.kind {
                let seen = &arena[self.layout.of_shared(self.program.weights[i].clone())][..map.amplitudes.len()];
                conv_norm::record(seen, &mut state[running.clone()]);
            }
            let (Some(place), Kind::Norm { running, .. }) = (&plan.norms[i], &node.kind) else {
                continue;
            };
            let n = (node.shape.area() * self.layout.batch) as f64;
            let unbiased = T::from_f64(n / (n - 1.0).max(1.0));
            let (keep, take) = (T::from_f64(1.0 - BATCH_NORM_MOMENTUM), T::from_f64(BATCH_NORM_MOMENTUM));
            let stats = &arena[self.layout.of_shared(place.stats())];
            for (k, r) in state[running.clone()].iter_mut().enumerate() {
                let seen = if k < place.c { stats[k] } else { stats[k] * unbiased };
                *r = *r * keep + seen * take;
            }
        }
    }
}

impl InplaceOp2 for Record<'_> {
    fn name(&self) -> &'static str {
        "record-statistics"
    }

    fn cpu_fwd(&self, state: &mut CpuStorage, _: &Layout, arena: &CpuStorage, _: &Layout) -> candle_core::Result<()> {
        match (state, arena) {
            (CpuStorage::F32(s), CpuStorage::F32(a)) => self.run(s, a),
            (CpuStorage::F64(s), CpuStorage::F64(a)) => self.run(s, a),
            _ => candle_core::bail!("state and arena have different types"),
        }
        Ok(())
    }
}
