//! The cost of an operation: trainable tensors, multiply-accumulates, and what other counting rules add.

use smallvec::{SmallVec, smallvec};

use super::{Op, Shape, Window};

/// Suffixes and shapes of an operation's trainable tensors. Networks are counted by the million, so few are allocated.
pub type ParamShapes = SmallVec<[(&'static str, SmallVec<[usize; 4]>); 2]>;

impl Op {
    /// The trainable tensors: suffix and shape, in storage order.
    pub fn params(&self, inputs: &[Shape]) -> ParamShapes {
        let c = inputs.first().map_or(0, |s| s.c);
        match self {
            Op::Conv2d { out, window, groups, bias } => {
                let [kh, kw] = window.kernel;
                let mut list = smallvec![("weight", smallvec![kh, kw, c / groups, *out])];
                if *bias {
                    list.push(("bias", smallvec![*out]));
                }
                list
            }
            Op::Linear { out, bias } => {
                let mut list = smallvec![("weight", smallvec![c, *out])];
                if *bias {
                    list.push(("bias", smallvec![*out]));
                }
                list
            }
            Op::ConvNorm { out, window: Window { kernel: [kh, kw], .. } } => {
                smallvec![("weight", smallvec![*kh, *kw, c, *out])]
            }
            Op::BatchNorm { affine: true } | Op::LayerNorm { .. } | Op::GroupNorm { .. } => {
                smallvec![("weight", smallvec![c]), ("bias", smallvec![c])]
            }
            Op::MultiBatchNorm { branches } => {
                smallvec![("weight", smallvec![*branches, c]), ("bias", smallvec![*branches, c])]
            }
            Op::Scale { .. } | Op::ClassToken => smallvec![("weight", smallvec![c])],
            Op::Position => inputs.first().map(|x| ("weight", smallvec![x.h, x.w, x.c])).into_iter().collect(),
            Op::CrossCovariance { heads } => smallvec![("temperature", smallvec![*heads])],
            Op::BatchNorm { affine: false }
            | Op::Input { .. }
            | Op::Normalize { .. }
            | Op::Act { .. }
            | Op::Clip { .. }
            | Op::MaxPool { .. }
            | Op::AvgPool { .. }
            | Op::GlobalAvgPool
            | Op::FlcPool { .. }
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
            | Op::Attention { .. }
            | Op::SinePosition { .. }
            | Op::Dropout { .. }
            | Op::StochasticDepth { .. }
            | Op::Zero { .. }
            | Op::MixedSum { .. } => smallvec![],
        }
    }

    /// Multiply-accumulates of one image under `conv-linear-macs/1`: convolutions and linear layers, the two matrix
    /// products of attention and other products of matrices among them, biases not counted.
    pub fn macs(&self, inputs: &[Shape], output: Shape) -> u64 {
        let c = inputs.first().map_or(0, |s| s.c);
        let count = match self {
            Op::Conv2d { window, groups, .. } => output.len() * window.taps() * (c / groups),
            Op::Linear { out, .. } => c * out,
            // The full convolution at stride 1 is what is computed.
            Op::ConvNorm { out, window: Window { kernel: [kh, kw], .. } } => {
                inputs.first().map_or(0, |x| (x.h + kh - 1) * (x.w + kw - 1)) * out * kh * kw * c
            }
            // Scores and their sums of values, every query with every key.
            Op::Attention { .. } => 2 * output.len() * inputs.last().map_or(0, |x| x.area()),
            Op::CrossCovariance { heads } => 2 * output.len() * (output.c / heads),
            Op::Matmul => output.len() * c,
            Op::Input { .. }
            | Op::Normalize { .. }
            | Op::BatchNorm { .. }
            | Op::MultiBatchNorm { .. }
            | Op::LayerNorm { .. }
            | Op::GroupNorm { .. }
            | Op::Scale { .. }
            | Op::ClassToken
            | Op::Position
            | Op::Act { .. }
            | Op::Clip { .. }
            | Op::MaxPool { .. }
            | Op::AvgPool { .. }
            | Op::GlobalAvgPool
            | Op::FlcPool { .. }
            | Op::Add
            | Op::Mul
            | Op::Concat
            | Op::Slice { .. }
            | Op::Reshape { .. }
            | Op::Permute { .. }
            | Op::Crop { .. }
            | Op::Pad { .. }
            | Op::Softmax { .. }
            | Op::SinePosition { .. }
            | Op::Dropout { .. }
            | Op::StochasticDepth { .. }
            | Op::Zero { .. }
            | Op::MixedSum { .. } => 0,
        };
        count as u64
    }

    /// Additions of biases as pycls counts them: one an output channel, not one an output entry.
    pub fn bias_adds(&self) -> u64 {
        match self {
            Op::Conv2d { out, bias: true, .. } | Op::Linear { out, bias: true } => *out as u64,
            _ => 0,
        }
    }

    /// What torchprofile counts beside convolutions and products of matrices: one an output entry for normalisations
    /// with a learned scale, products entry by entry and means. Activations, sums, maxima and softmax are free there.
    pub fn entry_wise(&self, output: Shape) -> u64 {
        match self {
            Op::BatchNorm { affine: true }
            | Op::MultiBatchNorm { .. }
            | Op::LayerNorm { .. }
            | Op::GroupNorm { .. }
            | Op::Mul
            | Op::Scale { .. }
            | Op::AvgPool { .. }
            | Op::GlobalAvgPool => output.len() as u64,
            Op::BatchNorm { affine: false }
            | Op::Conv2d { .. }
            | Op::ConvNorm { .. }
            | Op::Linear { .. }
            | Op::MaxPool { .. }
            | Op::Attention { .. }
            | Op::CrossCovariance { .. }
            | Op::Input { .. }
            | Op::Normalize { .. }
            | Op::Act { .. }
            | Op::Clip { .. }
            | Op::FlcPool { .. }
            | Op::Add
            | Op::Concat
            | Op::Slice { .. }
            | Op::Reshape { .. }
            | Op::Permute { .. }
            | Op::Matmul
            | Op::Crop { .. }
            | Op::Pad { .. }
            | Op::Softmax { .. }
            | Op::ClassToken
            | Op::Position
            | Op::SinePosition { .. }
            | Op::Dropout { .. }
            | Op::StochasticDepth { .. }
            | Op::Zero { .. }
            | Op::MixedSum { .. } => 0,
        }
    }

    /// Activations as pycls counts them: outputs of convolutions, linear layers and windowed pools, in entries. Of
    /// attention, which pycls does not count, the scores and the output; so of other products of matrices.
    pub fn activations(&self, inputs: &[Shape], output: Shape) -> u64 {
        let count = match self {
            Op::Conv2d { .. }
            | Op::ConvNorm { .. }
            | Op::Linear { .. }
            | Op::Matmul
            | Op::MaxPool { .. }
            | Op::AvgPool { .. } => output.len(),
            Op::Attention { heads } => heads * output.area() * inputs.last().map_or(0, |x| x.area()) + output.len(),
            Op::CrossCovariance { heads } => output.c * (output.c / heads) + output.len(),
            Op::BatchNorm { .. }
            | Op::MultiBatchNorm { .. }
            | Op::LayerNorm { .. }
            | Op::GroupNorm { .. }
            | Op::Mul
            | Op::Scale { .. }
            | Op::GlobalAvgPool
            | Op::Input { .. }
            | Op::Normalize { .. }
            | Op::Act { .. }
            | Op::Clip { .. }
            | Op::FlcPool { .. }
            | Op::Add
            | Op::Concat
            | Op::Slice { .. }
            | Op::Reshape { .. }
            | Op::Permute { .. }
            | Op::Crop { .. }
            | Op::Pad { .. }
            | Op::Softmax { .. }
            | Op::ClassToken
            | Op::Position
            | Op::SinePosition { .. }
            | Op::Dropout { .. }
            | Op::StochasticDepth { .. }
            | Op::Zero { .. }
            | Op::MixedSum { .. } => 0,
        };
        count as u64
    }
}
