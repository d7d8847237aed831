//! What work on a network holds in memory, told from its graph before any of it is taken: a pass over the [`Net`] like the
//! count of its cost.
//!
//! The arena is what the plans themselves lay out, so it is exact. What stands beside it is counted in vectors as long as
//! the weights and in batches of images by those who hold them ([`Work`]); labels, logits and the plans are a few pages.

use candle_core::DType;
use serde::Serialize;

use super::backend::Backend;
use super::fuse::{Choice, Fusion};
use super::mode::{Mode, NormMode};
use super::params::ParamLayout;
use super::plan::{Plan, Setting, Wrt};
use crate::arch::net::Net;
use crate::error::{Error, Result};

/// Refuses memory that the system does not give: asked before it is needed, since running out of it then ends the process.
/// A system that promises more than it has (Linux does) gives what seems possible.
///
/// # Errors
/// [`Error::Impossible`] with what it was for.
pub(super) fn ensure(scalars: usize, bytes_each: usize, what: &str) -> Result<()> {
    let mut probe: Vec<u8> = Vec::new();
    let bytes = scalars.saturating_mul(bytes_each);
    let given = probe.try_reserve_exact(bytes).is_ok();
    // Nothing is written to it; without this the request could be optimised away.
    std::hint::black_box(&probe);
    if given {
        return Ok(());
    }
    Err(Error::Impossible(format!("{what} needs {} MiB of memory, which the system does not give", bytes >> 20)))
}

/// Work on a network, as far as memory goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Work {
    /// Images a pass.
    pub batch: usize,
    /// The kinds of its passes. They share one arena, as large as the largest of them wants it.
    pub passes: Vec<(Wrt, NormMode)>,
    /// Vectors as long as the weights that are held beside the network at once: momentum, gradients, copies.
    pub vectors: usize,
    /// Batches of images that are held at once: clean ones, attacked ones, their gradient.
    pub images: usize,
}

/// Bytes, by what they hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Memory {
    /// The largest pass's values and gradients.
    #[serde(rename = "arena_bytes")]
    pub arena: u64,
    /// Weights and running statistics.
    #[serde(rename = "state_bytes")]
    pub state: u64,
    /// [`Work::vectors`].
    #[serde(rename = "vector_bytes")]
    pub vectors: u64,
    /// [`Work::images`].
    #[serde(rename = "image_bytes")]
    pub images: u64,
}

impl Memory {
    /// What work on a network in single precision holds, with the plans that `fusion` makes and `backend` runs.
    ///
    /// # Errors
    /// [`Error::Internal`] as [`Plan::compile`].
    pub fn of(net: &Net, work: &Work, fusion: Fusion, backend: &dyn Backend) -> Result<Memory> {
        let layout = ParamLayout::new(net);
        let arena = |(wrt, mode): &(Wrt, NormMode)| {
            // A network that learns drops at random where it can.
            let Setting { statistics, choice } = Mode::from(*mode).setting();
            let choice = Choice { dropping: *mode == NormMode::Train, ..choice };
            let setting = Setting { statistics, choice };
            let plan = Plan::compile(net, &layout, *wrt, setting, fusion)?;
            Ok(backend.prepare(plan, DType::F32)?.layout(work.batch, 0).scalars())
        };
        let arenas = work.passes.iter().map(arena).collect::<Result<Vec<_>>>()?;
        let bytes = |scalars: usize| (scalars * size_of::<f32>()) as u64;
        Ok(Memory {
            arena: bytes(arenas.into_iter().max().unwrap_or(0)),
            state: bytes(layout.len()),
            vectors: bytes(work.vectors * layout.trainable()),
            images: bytes(work.images * work.batch * net.input_shape().len()),
        })
    }

    /// All of it.
    pub fn total(&self) -> u64 {
        self.arena + self.state + self.vectors + self.images
    }
}
