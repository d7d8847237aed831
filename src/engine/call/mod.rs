//! Kernel calls: what a network's graph is rewritten into, as plain descriptions. They say what is computed, on which shapes
//! and with which weights; a backend gives them kernels.

mod attention;
mod check;
mod layer;
mod matrix;
mod pointwise;
mod spectrum;
mod window;

use std::ops::Range;

use crate::arch::op::Shape;

pub use attention::{Attention, CrossCovariance, Softmax};
pub(super) use check::check;
pub use layer::Layer;
pub use matrix::{Matmul, Permute};
pub use pointwise::{Activation, GroupNorm, Over};
pub use spectrum::{FlcPool, Precondition};
pub use window::{Convolution, Depthwise, Load, Pool, Separable};

/// What one kernel call computes. Ranges are places in the state vector ([`ParamLayout`](super::ParamLayout)).
#[derive(Clone, Debug)]
pub enum Kind {
    /// The image.
    Image,
    /// Per-channel shift and scale of pixels.
    Normalize { mean: Vec<f32>, std: Vec<f32> },
    /// Dense or grouped convolution; a linear layer is one on a single pixel.
    Conv { conv: Convolution, weight: Range<usize>, bias: Option<Range<usize>> },
    /// Depthwise convolution.
    Depthwise { conv: Depthwise, weight: Range<usize>, bias: Option<Range<usize>> },
    /// Depthwise, then 1x1.
    Separable { conv: Separable, depthwise: Range<usize>, pointwise: Range<usize> },
    /// Batch-norm; `running` is the place of its running mean and variance, one after the other.
    Norm { affine: Option<(Range<usize>, Range<usize>)>, running: Range<usize> },
    /// `max(x, 0)`.
    Relu,
    /// Largest value under a window.
    MaxPool(Pool),
    /// Mean under a window.
    AvgPool { pool: Pool, count_include_pad: bool },
    /// Mean over pixels.
    GlobalAvgPool,
    /// Weighted sum: the place of every input's weight in the mixing vector; none is 1.
    Sum { weights: Vec<Option<usize>> },
    /// Channels side by side.
    Concat,
    /// First rows and columns dropped.
    Crop { top: usize, left: usize },
    /// Zeros.
    Zero,
    /// An operation that keeps nothing for the backward pass, and the place of its weights.
    Layer { layer: Layer, params: Range<usize> },
}

/// A kernel call and what it reads.
#[derive(Clone, Debug)]
pub struct KernelCall {
    /// What is computed.
    pub kind: Kind,
    /// Which earlier calls it reads.
    pub inputs: Vec<usize>,
    /// Output `[h, w, c]`.
    pub shape: Shape,
}
