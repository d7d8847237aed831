//! What a pass left in the arena, as tensors of their own.

use candle_core::{CpuStorage, Storage, Tensor};
use rayon::prelude::*;

use super::pack::{Pack, by_pack};
use super::tuned::Tuned;
use crate::engine::arena::Place;
use crate::engine::layout::ArenaLayout;
use crate::error::{Error, Result};

/// Gradients that one task adds up.
const RUN: usize = 1 << 10;

/// One buffer of every image, one after the other.
pub fn buffers(layout: ArenaLayout, arena: &Tensor, place: Place) -> Result<Tensor> {
    match layout.pack {
        1 => single(layout, arena, place),
        pack => by_pack!(
            pack,
            |N| packed(layout, arena, |all: &[Pack<N>]| unpack(layout, all, place)),
            else Err(no_such(pack))
        ),
    }
}

/// The gradients that were added up over the batch.
pub fn gathered(program: &Tuned, layout: ArenaLayout, arena: &Tensor) -> Result<Tensor> {
    let plan = &program.plan;
    match layout.pack {
        1 => {
            let all = layout.gathered(plan, 0);
            // Not `copy`, which would take the whole arena along.
            Ok(arena.narrow(0, layout.start + all.start, all.len())?.force_contiguous()?)
        }
        pack => by_pack!(
            pack,
            |N| packed(layout, arena, |all: &[Pack<N>]| add_up(program, layout, all)),
            else Err(no_such(pack))
        ),
    }
}

fn no_such(pack: usize) -> Error {
    Error::Internal(format!("a layout of {pack} images side by side, which no vector holds"))
}

fn single(layout: ArenaLayout, arena: &Tensor, place: Place) -> Result<Tensor> {
    let views = (0..layout.batch)
        .map(|i| {
            let at = layout.of_pack(i, place);
            arena.narrow(0, layout.start + at.start, at.len())
        })
        .collect::<candle_core::Result<Vec<_>>>()?;
    match &views[..] {
        // `cat` of one view is that view, which the next pass would write over.
        [one] => Ok(one.force_contiguous()?),
        _ => Ok(Tensor::cat(&views, 0)?),
    }
}

/// Numbers found in an arena of packs.
fn packed<const N: usize>(
    layout: ArenaLayout,
    arena: &Tensor,
    find: impl FnOnce(&[Pack<N>]) -> Vec<f32>,
) -> Result<Tensor> {
    let found = match &*arena.storage_and_layout().0 {
        Storage::Cpu(CpuStorage::F32(all)) => find(Pack::view(&all[layout.start..])),
        _ => return Err(Error::Internal("packs of images in an arena that is not of 32-bit numbers".into())),
    };
    let len = found.len();
    Ok(Tensor::from_vec(found, len, arena.device())?)
}

fn unpack<const N: usize>(layout: ArenaLayout, all: &[Pack<N>], place: Place) -> Vec<f32> {
    let mut found = vec![0.0; layout.batch * place.len];
    found.par_chunks_mut(N * place.len).enumerate().for_each(|(pack, images)| {
        let from = &all[layout.of_pack(pack, place)];
        for (k, image) in images.chunks_exact_mut(place.len).enumerate() {
            for (to, numbers) in image.iter_mut().zip(from) {
                *to = numbers.images()[k];
            }
        }
    });
    found
}

/// Lane by lane and image by image, in order; the last pack's empty places are left out.
fn add_up<const N: usize>(program: &Tuned, layout: ArenaLayout, all: &[Pack<N>]) -> Vec<f32> {
    let plan = &program.plan;
    let mut total = vec![0.0; plan.gathered_len()];
    total.par_chunks_mut(RUN).enumerate().for_each(|(run, total)| {
        for lane in 0..layout.lanes {
            let images = (layout.batch - lane * layout.per_lane * N).min(N);
            let from = &all[layout.gathered(plan, lane)][run * RUN..][..total.len()];
            for (to, numbers) in total.iter_mut().zip(from) {
                *to += numbers.images()[..images].iter().sum::<f32>();
            }
        }
    });
    total
}
