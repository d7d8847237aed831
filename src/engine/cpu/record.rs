//! Running statistics, moved towards a batch's.

use candle_core::{CpuStorage, InplaceOp2, Layout};

use super::kernels::conv_norm;
use super::pack::{Pack, by_pack};
use super::tuned::Tuned;
use super::vector::{Number, Real};
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
    /// `arena` from its first aligned scalar on.
    fn run<T: Number, S: Real>(&self, state: &mut [S], arena: &[T]) {
        let plan = &self.program.plan;
        for (i, node) in plan.nodes.iter().enumerate() {
            if let Kind::Layer { layer: Layer::Precondition { map, running, .. }, .. } = &node.kind {
                let seen = &arena[self.program.weights[i].clone()][..map.amplitudes.len()];
                conv_norm::record(seen, &mut state[running.clone()]);
            }
            let (Some(place), Kind::Norm { running, .. }) = (&plan.norms[i], &node.kind) else {
                continue;
            };
            let n = (node.shape.area() * self.layout.batch) as f64;
            let unbiased = S::of(n / (n - 1.0).max(1.0));
            let (keep, take) = (S::of(1.0 - BATCH_NORM_MOMENTUM), S::of(BATCH_NORM_MOMENTUM));
            let stats = &arena[place.stats()];
            for (k, r) in state[running.clone()].iter_mut().enumerate() {
                // The batch's statistics are the same in every image.
                let seen = S::of(stats[k].image(0));
                let seen = if k < place.c { seen } else { seen * unbiased };
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
        let start = self.layout.start;
        match (state, arena, self.layout.pack) {
            (CpuStorage::F32(s), CpuStorage::F32(a), 1) => self.run(s, &a[start..]),
            (CpuStorage::F64(s), CpuStorage::F64(a), 1) => self.run(s, &a[start..]),
            (CpuStorage::F32(s), CpuStorage::F32(a), pack) => by_pack!(
                pack,
                |N| self.run(s, Pack::<N>::view(&a[start..])),
                else candle_core::bail!("no vector holds {pack} images")
            ),
            _ => candle_core::bail!("state and arena have different types"),
        }
        Ok(())
    }
}
