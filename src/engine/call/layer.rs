//! Operations that run image by image, keep nothing and compute in the backward pass what they need from what they read.

use std::ops::Range;

use super::attention::{Attention, CrossCovariance, Softmax};
use super::matrix::{Matmul, Permute};
use super::pointwise::{Activation, GroupNorm};
use super::spectrum::{FlcPool, Precondition};
use crate::arch::op::Shape;

/// An operation.
#[derive(Clone, Debug)]
pub enum Layer {
    /// A point-wise function.
    Activation(Activation),
    /// The product of two planes, or of a plane and a factor a channel.
    Mul,
    /// A learned factor a channel.
    Scale,
    /// Normalisation within an image.
    GroupNorm(GroupNorm),
    /// Channels `from..` of `c`.
    Slice { from: usize, c: usize },
    /// The same scalars.
    Reshape,
    /// The same scalars in another order.
    Permute(Permute),
    /// Products of matrices.
    Matmul(Matmul),
    /// Zeros around; `front` rows and columns come before the source.
    Pad { front: [usize; 2], source: Shape, output: Shape },
    /// Shares of one.
    Softmax(Softmax),
    /// Pixels to pixels.
    Attention(Attention),
    /// Channels to channels.
    CrossCovariance(CrossCovariance),
    /// A learned token in front.
    ClassToken,
    /// Learned numbers added.
    Position,
    /// Sines of positions.
    SinePosition(Vec<f64>),
    /// The low half of the spectrum.
    FlcPool(FlcPool),
    /// ConvNorm behind its full convolution: the weights that it measures, and the running inverse amplitudes with their count of batches.
    Precondition { map: Precondition, weight: Range<usize>, running: Range<usize> },
    /// Entries dropped at random.
    Dropout { rate: f32, seed: String },
    /// Images dropped at random.
    StochasticDepth { rate: f32, seed: String },
}

impl Layer {
    /// Whether it has trainable numbers.
    pub fn trains(&self) -> bool {
        matches!(
            self,
            Layer::Scale | Layer::GroupNorm(_) | Layer::CrossCovariance(_) | Layer::ClassToken | Layer::Position
        )
    }

    /// Whether the backward pass reads the inputs' values, given whether input and trainable numbers want gradients.
    pub fn reads_values(&self, through: bool, params: bool) -> bool {
        match self {
            Layer::Activation(_) | Layer::Mul | Layer::Matmul(_) | Layer::Softmax(_) | Layer::Attention(_) => through,
            Layer::GroupNorm(_) | Layer::CrossCovariance(_) => through || params,
            Layer::Scale => params,
            Layer::Slice { .. }
            | Layer::Reshape
            | Layer::Permute(_)
            | Layer::Pad { .. }
            | Layer::ClassToken
            | Layer::Position
            | Layer::SinePosition(_)
            | Layer::FlcPool(_)
            | Layer::Precondition { .. }
            | Layer::Dropout { .. }
            | Layer::StochasticDepth { .. } => false,
        }
    }

    /// Whether it applies a batch-norm in front of it on the way in.
    pub fn applies_norm(&self) -> bool {
        matches!(self, Layer::Activation(_))
    }
}
