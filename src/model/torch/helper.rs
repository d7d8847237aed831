//! Modules and functions that PyTorch does not have, written into a file that needs them.

use crate::arch::op::Op;

/// One of them, in the order in which they are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Helper {
    /// Layer 0.
    Normalize,
    /// ConvNorm.
    ConvNorm,
    /// Multi-branch batch-norm.
    MultiBatchNorm,
    /// Layer normalisation over channels.
    LayerNorm,
    /// Average pool with dilation.
    DilatedAvgPool,
    /// FLC pool.
    FlcPool,
    /// Layer scale.
    LayerScale,
    /// Attention of pixels.
    Attention,
    /// Attention of channels.
    CrossCovariance,
    /// Class token.
    ClassToken,
    /// Learned position embedding.
    Position,
    /// Sinusoidal position encoding.
    SinePosition,
    /// Stochastic depth.
    StochasticDepth,
}

impl Helper {
    /// The helper of a layer; `flat`: the layer works on vectors `[n, c]`.
    pub fn of(op: &Op, flat: bool) -> Option<Helper> {
        match op {
            Op::Normalize { .. } => Some(Helper::Normalize),
            Op::ConvNorm { .. } => Some(Helper::ConvNorm),
            Op::MultiBatchNorm { .. } => Some(Helper::MultiBatchNorm),
            Op::LayerNorm { .. } => (!flat).then_some(Helper::LayerNorm),
            Op::AvgPool { window, .. } => (window.dilation != [1; 2]).then_some(Helper::DilatedAvgPool),
            Op::FlcPool { .. } => Some(Helper::FlcPool),
            Op::Scale { .. } => Some(Helper::LayerScale),
            Op::Attention { .. } => Some(Helper::Attention),
            Op::CrossCovariance { .. } => Some(Helper::CrossCovariance),
            Op::ClassToken => Some(Helper::ClassToken),
            Op::Position => Some(Helper::Position),
            Op::SinePosition { .. } => Some(Helper::SinePosition),
            Op::StochasticDepth { .. } => Some(Helper::StochasticDepth),
            Op::Input { .. }
            | Op::Conv2d { .. }
            | Op::BatchNorm { .. }
            | Op::GroupNorm { .. }
            | Op::Act { .. }
            | Op::Clip { .. }
            | Op::MaxPool { .. }
            | Op::GlobalAvgPool
            | Op::Linear { .. }
            | Op::Add
            | Op::Mul
            | Op::Concat
            | Op::Slice { .. }
            | Op::Reshape { .. }
            | Op::Permute { .. }
            | Op::Matmul
            | Op::Crop { .. }
            | Op::Pad { .. }
            | Op::Softmax { .. }
            | Op::Dropout { .. }
            | Op::Zero { .. }
            | Op::MixedSum { .. } => None,
        }
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Helper::Normalize => "Normalize",
            Helper::ConvNorm => "ConvNorm",
            Helper::MultiBatchNorm => "MultiBatchNorm",
            Helper::LayerNorm => "LayerNorm2d",
            Helper::DilatedAvgPool => "dilated_avg_pool2d",
            Helper::FlcPool => "FlcPool",
            Helper::LayerScale => "LayerScale",
            Helper::Attention => "attention",
            Helper::CrossCovariance => "CrossCovariance",
            Helper::ClassToken => "ClassToken",
            Helper::Position => "Position",
            Helper::SinePosition => "SinePosition",
            Helper::StochasticDepth => "StochasticDepth",
        }
    }

    /// Its Python.
    pub fn source(self) -> &'static str {
        match self {
            Helper::Normalize => include_str!("helpers/normalize.py"),
            Helper::ConvNorm => include_str!("helpers/conv_norm.py"),
            Helper::MultiBatchNorm => include_str!("helpers/multi_batch_norm.py"),
            Helper::LayerNorm => include_str!("helpers/layer_norm.py"),
            Helper::DilatedAvgPool => include_str!("helpers/dilated_avg_pool.py"),
            Helper::FlcPool => include_str!("helpers/flc_pool.py"),
            Helper::LayerScale => include_str!("helpers/layer_scale.py"),
            Helper::Attention => include_str!("helpers/attention.py"),
            Helper::CrossCovariance => include_str!("helpers/cross_covariance.py"),
            Helper::ClassToken => include_str!("helpers/class_token.py"),
            Helper::Position => include_str!("helpers/position.py"),
            Helper::SinePosition => include_str!("helpers/sine_position.py"),
            Helper::StochasticDepth => include_str!("helpers/stochastic_depth.py"),
        }
    }
}

/// `load`, `build` and `save`.
pub const WEIGHTS: &str = include_str!("helpers/weights.py");

/// What the file does when it is run by itself.
pub const MAIN: &str = include_str!("helpers/main.py");
