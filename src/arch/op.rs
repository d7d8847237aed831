//! The primitive operations every network is made of: a closed list. Shape rules and costs are in the files below.

mod count;
mod each;
mod output;

use serde::{Deserialize, Serialize};

pub use count::ParamShapes;
pub use output::{amplitudes, flc_side};

pub use super::shape::{Shape, Window};
use crate::error::{Error, Result};

/// Added to the variance by batch-norm, as in PyTorch.
pub const BATCH_NORM_EPSILON: f64 = 1e-5;
/// Share of a new batch in batch-norm's running statistics, as in PyTorch.
pub const BATCH_NORM_MOMENTUM: f64 = 0.1;

/// Point-wise activations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Act {
    /// `max(x, 0)`, gradient 0 at 0 as in PyTorch.
    Relu,
    /// `1 / (1 + exp(-x))`.
    Sigmoid,
    /// `x sigmoid(x)`, also called Swish.
    Silu,
    /// `x Phi(x)` with the normal distribution function: the exact form, PyTorch's default.
    Gelu,
    /// GELU by the hyperbolic tangent: `x / 2 (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3)))`.
    GeluTanh,
    /// `ln(1 + exp(x))`.
    Softplus,
    /// Hyperbolic tangent.
    Tanh,
    /// The error function.
    Erf,
    /// `x` above 0, `exp(x) - 1` below (Clevert et al. 2016, alpha 1).
    Elu,
}

impl Act {
    /// All of them.
    pub const ALL: [Act; 9] =
        [Act::Relu, Act::Sigmoid, Act::Silu, Act::Gelu, Act::GeluTanh, Act::Softplus, Act::Tanh, Act::Erf, Act::Elu];

    /// The name used in files, messages and drawings.
    pub fn name(self) -> &'static str {
        match self {
            Act::Relu => "relu",
            Act::Sigmoid => "sigmoid",
            Act::Silu => "silu",
            Act::Gelu => "gelu",
            Act::GeluTanh => "gelu_tanh",
            Act::Softplus => "softplus",
            Act::Tanh => "tanh",
            Act::Erf => "erf",
            Act::Elu => "elu",
        }
    }
}

/// A primitive operation. Weights are stored `[kernel rows, kernel columns, in / groups, out]` (convolution) and
/// `[in, out]` (linear).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema, strum::EnumDiscriminants)]
#[strum_discriminants(name(OpKind), vis(pub(super)), derive(strum::EnumIter))]
#[serde(tag = "op", rename_all = "snake_case", deny_unknown_fields)]
pub enum Op {
    /// The image, pixels in `[0, 1]`.
    Input {
        /// `[h, w, c]`.
        shape: Shape,
    },
    /// Layer 0: `(x - mean) / std` per channel.
    Normalize {
        /// Per channel.
        mean: Vec<f32>,
        /// Per channel, positive.
        std: Vec<f32>,
    },
    /// Cross-correlation; depthwise when `groups` is the channel count.
    Conv2d {
        /// Output channels.
        out: usize,
        /// The sliding window.
        window: Window,
        /// Channel groups.
        groups: usize,
        /// Whether a bias is added.
        bias: bool,
    },
    /// A convolution without bias followed by normalisation of every output channel's spectrum (ConvNorm, Liu et al.
    /// 2021): full convolution at stride 1, division of channel `o` by `sqrt(sum_i |F(weight[.., i, o])|^2)`, crop to
    /// the padding, every stride-th pixel. No gradient passes through the divisor; evaluation uses its running average.
    ConvNorm {
        /// Output channels.
        out: usize,
        /// The sliding window; no dilation.
        window: Window,
    },
    /// Batch normalisation, epsilon 1e-5, momentum 0.1, unbiased running variance.
    BatchNorm {
        /// Whether a scale and a shift are learned.
        affine: bool,
    },
    /// Several batch normalisations side by side with a learned scale and shift each, one of which is
    /// selected in each call of the network (separate statistics for clean and adversarial images: Xie et al. 2020).
    MultiBatchNorm {
        /// How many.
        branches: usize,
    },
    /// Normalisation of every pixel over its channels (ConvNeXt, ViT), variance biased, with a learned scale and shift.
    LayerNorm {
        /// Added to the variance.
        epsilon: f32,
    },
    /// Normalisation of every image over the pixels and channels of a group, variance biased, with a learned scale
    /// and shift per channel (Wu and He 2018); instance normalisation where every channel is a group.
    GroupNorm {
        /// Channel groups.
        groups: usize,
        /// Added to the variance.
        epsilon: f32,
    },
    /// A point-wise activation.
    Act {
        /// Which.
        act: Act,
    },
    /// `min(max(x, min), max)`; the gradient passes where `min <= x <= max`, as in PyTorch.
    Clip {
        /// The smallest output.
        min: f32,
        /// The largest output.
        max: f32,
    },
    /// Maximum over the window; padding is ignored; among equal values the first in raster order gets the gradient.
    MaxPool {
        /// The sliding window.
        window: Window,
    },
    /// Mean over the window.
    AvgPool {
        /// The sliding window.
        window: Window,
        /// Whether padding counts in the divisor.
        count_include_pad: bool,
    },
    /// Mean over all pixels.
    GlobalAvgPool,
    /// Downsampling by two in the frequency domain: the low half of the spectrum is kept (FLC pooling, Grabinski et al.
    /// 2022), cropped around the zero frequency for every size.
    FlcPool {
        /// Whether the spectrum is weighted with the square root of a Hamming window before it is cut (ASAP).
        hamming: bool,
    },
    /// Matrix product with a vector `[1, 1, c]`.
    Linear {
        /// Output features.
        out: usize,
        /// Whether a bias is added.
        bias: bool,
    },
    /// Sum of inputs of one shape.
    Add,
    /// Product of two inputs, entry by entry; a second input of `[1, 1, c]` is a factor of every channel.
    Mul,
    /// A learned factor of every channel (layer scale).
    Scale {
        /// Initial value.
        init: f32,
    },
    /// Concatenation of the inputs' channels.
    Concat,
    /// Some channels: `x[.., .., from..from + len]`.
    Slice {
        /// The first one.
        from: usize,
        /// How many.
        len: usize,
    },
    /// The same scalars in the same order, row by row and pixel by pixel, in another shape.
    Reshape {
        /// The other shape.
        shape: Shape,
    },
    /// The entries in another order: those of `[h, w, c]` seen as an array with the sides `dims`, its axes put in another
    /// order, and the result seen as `shape`. PyTorch's `x.reshape(dims).permute(order).reshape(shape)`.
    Permute {
        /// Sides of the array, outermost first.
        dims: Vec<usize>,
        /// For every axis of the result, which one of the array it is.
        order: Vec<usize>,
        /// The shape of the result.
        shape: Shape,
    },
    /// Products of matrices, one for every row: `[h, w, k]` and `[h, k, c]` to `[h, w, c]`.
    Matmul,
    /// Drops rows and columns: `x[top..h - bottom, left..w - right]`.
    Crop {
        /// Rows dropped at the start.
        top: usize,
        /// Columns dropped at the start.
        left: usize,
        /// Rows dropped at the end.
        #[serde(default, skip_serializing_if = "is_zero")]
        bottom: usize,
        /// Columns dropped at the end.
        #[serde(default, skip_serializing_if = "is_zero")]
        right: usize,
    },
    /// Zero padding.
    Pad {
        /// Rows at the start.
        top: usize,
        /// Columns at the start.
        left: usize,
        /// Rows at the end.
        bottom: usize,
        /// Columns at the end.
        right: usize,
    },
    /// Softmax over `over` alternatives, the channels seen as `[over, c / over]`: branches of a selective
    /// kernel, or classes where `over` is the channel count.
    Softmax {
        /// The number of alternatives.
        over: usize,
    },
    /// Scaled dot-product attention of every pixel to every pixel, head by head. One input holds queries, keys and
    /// values side by side, `[h, w, 3 d]`; of two, the first holds the queries `[h', w', d]` and the second keys and
    /// values `[h, w, 2 d]` (class attention).
    Attention {
        /// Heads, each of `d / heads` channels.
        heads: usize,
    },
    /// Attention of channels to channels within a head (XCiT): `[h, w, 3 d]` of queries, keys and values to
    /// `[h, w, d]`; queries and keys have unit length over the pixels, and every head learns the inverse temperature.
    CrossCovariance {
        /// Heads, each of `d / heads` channels.
        heads: usize,
    },
    /// Puts a learned token before the pixels: `[h, w, c]` to `[1, 1 + h w, c]`.
    ClassToken,
    /// Adds learned weights, one for every entry (position embedding).
    Position,
    /// The sines and cosines of every pixel's position that XCiT projects into its tokens, `[h, w, channels]`: those of
    /// the row, then those of the column. Only the input's size matters; it gets no gradient.
    SinePosition {
        /// Channels, a multiple of four.
        channels: usize,
    },
    /// Zeroes entries at random while training and scales the others by `1 / (1 - rate)`; the identity otherwise.
    Dropout {
        /// The share of entries zeroed.
        rate: f32,
    },
    /// Stochastic depth: zeroes whole images at random while training and scales the others by `1 / (1 - rate)`; the
    /// identity otherwise.
    StochasticDepth {
        /// The share of images zeroed.
        rate: f32,
    },
    /// Zeros of the input's shape, spatially strided (DARTS' `none`).
    Zero {
        /// Spatial stride.
        stride: usize,
    },
    /// `sum_i mix[weights[i]] * input_i`, the relaxation of a choice; `mix` is an argument of each call of the network.
    MixedSum {
        /// For every input, its index in the mixing vector.
        weights: Vec<usize>,
    },
}

/// Sizes that most networks do without are not written.
fn is_zero(n: &usize) -> bool {
    *n == 0
}

impl Op {
    /// The name used in files, messages and drawings.
    pub fn name(&self) -> &'static str {
        match self {
            Op::Input { .. } => "input",
            Op::Normalize { .. } => "normalize",
            Op::Conv2d { .. } => "conv2d",
            Op::BatchNorm { .. } => "batch_norm",
            Op::Act { act } => act.name(),
            Op::MaxPool { .. } => "max_pool",
            Op::AvgPool { .. } => "avg_pool",
            Op::GlobalAvgPool => "global_avg_pool",
            Op::Linear { .. } => "linear",
            Op::Add => "add",
            Op::Concat => "concat",
            Op::Crop { .. } => "crop",
            Op::MultiBatchNorm { .. } => "multi_batch_norm",
            Op::LayerNorm { .. } => "layer_norm",
            Op::GroupNorm { .. } => "group_norm",
            Op::Clip { .. } => "clip",
            Op::FlcPool { .. } => "flc_pool",
            Op::Mul => "mul",
            Op::Scale { .. } => "scale",
            Op::Slice { .. } => "slice",
            Op::Reshape { .. } => "reshape",
            Op::Permute { .. } => "permute",
            Op::Matmul => "matmul",
            Op::Pad { .. } => "pad",
            Op::Softmax { .. } => "softmax",
            Op::Attention { .. } => "attention",
            Op::CrossCovariance { .. } => "cross_covariance",
            Op::ClassToken => "class_token",
            Op::Position => "position",
            Op::SinePosition { .. } => "sine_position",
            Op::Dropout { .. } => "dropout",
            Op::StochasticDepth { .. } => "stochastic_depth",
            Op::ConvNorm { .. } => "conv_norm",
            Op::Zero { .. } => "zero",
            Op::MixedSum { .. } => "mixed_sum",
        }
    }

    /// Whether it computes on vectors `[n, c]` what it does on `[n, c, 1, 1]`, so that formats which distinguish them
    /// need no reshape.
    pub fn keeps_vectors(&self) -> bool {
        match self {
            Op::Normalize { .. }
            | Op::BatchNorm { .. }
            | Op::MultiBatchNorm { .. }
            | Op::LayerNorm { .. }
            | Op::GroupNorm { .. }
            | Op::Act { .. }
            | Op::Clip { .. }
            | Op::Linear { .. }
            | Op::Add
            | Op::Mul
            | Op::Scale { .. }
            | Op::Concat
            | Op::Slice { .. }
            | Op::Softmax { .. }
            | Op::Dropout { .. }
            | Op::StochasticDepth { .. }
            | Op::MixedSum { .. } => true,
            Op::Input { .. }
            | Op::Conv2d { .. }
            | Op::ConvNorm { .. }
            | Op::MaxPool { .. }
            | Op::AvgPool { .. }
            | Op::GlobalAvgPool
            | Op::FlcPool { .. }
            | Op::Reshape { .. }
            | Op::Permute { .. }
            | Op::Matmul
            | Op::Crop { .. }
            | Op::Pad { .. }
            | Op::Attention { .. }
            | Op::CrossCovariance { .. }
            | Op::ClassToken
            | Op::Position
            | Op::SinePosition { .. }
            | Op::Zero { .. } => false,
        }
    }
}

/// The shape check with a message that names the node, the operation and all shapes.
pub(super) fn checked_output(name: &str, op: &Op, inputs: &[Shape]) -> Result<Shape> {
    op.output(inputs).map_err(|why| {
        let shapes: Vec<String> = inputs.iter().map(Shape::to_string).collect();
        Error::Net(format!("node `{name}`: {} on [{}]: {why}", op.name(), shapes.join(", ")))
    })
}
