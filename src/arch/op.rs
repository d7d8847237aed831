//! The primitive operations every network is made of: a closed list, each with its output shape and its cost.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// The shape of one image's activation, `[h, w, c]`; a vector is `[1, 1, c]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(from = "[usize; 3]", into = "[usize; 3]")]
#[schemars(with = "[usize; 3]")]
pub struct Shape {
    /// Rows.
    pub h: usize,
    /// Columns.
    pub w: usize,
    /// Channels.
    pub c: usize,
}

impl Shape {
    /// `[h, w, c]`.
    pub const fn new(h: usize, w: usize, c: usize) -> Self {
        Shape { h, w, c }
    }

    /// Scalars in one image's activation.
    pub const fn len(self) -> usize {
        self.h * self.w * self.c
    }

    /// Pixels.
    pub const fn area(self) -> usize {
        self.h * self.w
    }

    /// Whether the shape holds nothing.
    pub const fn is_empty(self) -> bool {
        self.len() == 0
    }
}

impl From<[usize; 3]> for Shape {
    fn from([h, w, c]: [usize; 3]) -> Self {
        Shape { h, w, c }
    }
}

impl From<Shape> for [usize; 3] {
    fn from(s: Shape) -> Self {
        [s.h, s.w, s.c]
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}x{}x{}", self.h, self.w, self.c))
    }
}

impl std::str::FromStr for Shape {
    type Err = String;

    /// Reads `32x32x3`.
    fn from_str(text: &str) -> Result<Self, String> {
        let sides: Vec<usize> = text.split('x').map(str::parse).collect::<Result<_, _>>().unwrap_or_default();
        match sides[..] {
            [h, w, c] if h * w * c > 0 => Ok(Shape { h, w, c }),
            _ => Err(format!("`{text}` is not an image size; write HEIGHTxWIDTHxCHANNELS, for example 32x32x3")),
        }
    }
}

/// A sliding window: `[rows, columns]` of kernel, stride, zero padding on both sides, and dilation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Window {
    /// Taps.
    pub kernel: [usize; 2],
    /// Step between outputs.
    pub stride: [usize; 2],
    /// Padding on each side.
    pub pad: [usize; 2],
    /// Distance between taps.
    pub dilation: [usize; 2],
}

impl Window {
    /// A square window without dilation.
    pub const fn square(kernel: usize, stride: usize, pad: usize) -> Self {
        Window { kernel: [kernel; 2], stride: [stride; 2], pad: [pad; 2], dilation: [1; 2] }
    }

    /// A square window of odd size whose padding keeps the size at stride 1.
    pub const fn same(kernel: usize, stride: usize, dilation: usize) -> Self {
        let pad = dilation * (kernel - 1) / 2;
        Window { kernel: [kernel; 2], stride: [stride; 2], pad: [pad; 2], dilation: [dilation; 2] }
    }

    /// Output `[rows, columns]`, or `None` where the window does not fit or is degenerate.
    pub fn output(&self, h: usize, w: usize) -> Option<[usize; 2]> {
        let side = |n: usize, axis: usize| {
            let (k, s, p, d) = (self.kernel[axis], self.stride[axis], self.pad[axis], self.dilation[axis]);
            if k == 0 || s == 0 || d == 0 {
                return None;
            }
            let span = d * (k - 1) + 1;
            (n + 2 * p).checked_sub(span).map(|free| free / s + 1)
        };
        Some([side(h, 0)?, side(w, 1)?])
    }

    /// Taps in the window.
    pub const fn taps(&self) -> usize {
        self.kernel[0] * self.kernel[1]
    }
}

/// Point-wise activations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Act {
    /// `max(x, 0)`, gradient 0 at 0 as in PyTorch.
    Relu,
}

/// A primitive operation. Weights are stored `[kernel rows, kernel columns, in / groups, out]` (convolution) and
/// `[in, out]` (linear).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
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
        /// Where it looks.
        window: Window,
        /// Channel groups.
        groups: usize,
        /// Whether a bias is added.
        bias: bool,
    },
    /// Batch normalisation, epsilon 1e-5, momentum 0.1, unbiased running variance.
    BatchNorm {
        /// Whether a scale and a shift are learned.
        affine: bool,
    },
    /// A point-wise activation.
    Act {
        /// Which.
        act: Act,
    },
    /// Maximum over the window; padding never wins; of ties the first in raster order takes the gradient.
    MaxPool {
        /// Where it looks.
        window: Window,
    },
    /// Mean over the window.
    AvgPool {
        /// Where it looks.
        window: Window,
        /// Whether padding counts in the divisor.
        count_include_pad: bool,
    },
    /// Mean over all pixels.
    GlobalAvgPool,
    /// A matrix on a vector `[1, 1, c]`.
    Linear {
        /// Output features.
        out: usize,
        /// Whether a bias is added.
        bias: bool,
    },
    /// Sum of inputs of one shape.
    Add,
    /// Channels of the inputs side by side.
    Concat,
    /// Drops the first rows and columns: `x[top.., left..]`.
    Crop {
        /// Rows dropped.
        top: usize,
        /// Columns dropped.
        left: usize,
    },
    /// Zeros of the input's shape, spatially strided (DARTS' `none`).
    Zero {
        /// Spatial stride.
        stride: usize,
    },
    /// `sum_i mix[weights[i]] * input_i`, the relaxation of a choice; `mix` comes with each call of the network.
    MixedSum {
        /// For every input, its place in the mixing vector.
        weights: Vec<usize>,
    },
}

impl Op {
    /// The name used in files, messages and drawings.
    pub fn name(&self) -> &'static str {
        match self {
            Op::Input { .. } => "input",
            Op::Normalize { .. } => "normalize",
            Op::Conv2d { .. } => "conv2d",
            Op::BatchNorm { .. } => "batch_norm",
            Op::Act { act: Act::Relu } => "relu",
            Op::MaxPool { .. } => "max_pool",
            Op::AvgPool { .. } => "avg_pool",
            Op::GlobalAvgPool => "global_avg_pool",
            Op::Linear { .. } => "linear",
            Op::Add => "add",
            Op::Concat => "concat",
            Op::Crop { .. } => "crop",
            Op::Zero { .. } => "zero",
            Op::MixedSum { .. } => "mixed_sum",
        }
    }

    /// The output shape for the given input shapes, or what does not fit.
    pub fn output(&self, inputs: &[Shape]) -> Result<Shape, String> {
        let one = || match inputs {
            [x] => Ok(*x),
            _ => Err(format!("takes one input, got {}", inputs.len())),
        };
        let windowed = |x: Shape, window: &Window| {
            let [h, w] = window.output(x.h, x.w).ok_or_else(|| {
                format!("window {:?} with padding {:?} does not fit into {x}", window.kernel, window.pad)
            })?;
            Ok::<_, String>((h, w))
        };
        let positive = |what: &str, n: usize| if n == 0 { Err(format!("{what} is zero")) } else { Ok(()) };
        let shape = match self {
            Op::Input { shape } => match inputs {
                [] => *shape,
                _ => return Err("takes no input".into()),
            },
            Op::Normalize { mean, std } => {
                let x = one()?;
                if mean.len() != x.c || std.len() != x.c || std.iter().any(|s| s.is_nan() || *s <= 0.0) {
                    return Err(format!(
                        "has {} means and {} deviations for {x}; one of each per channel, deviations positive",
                        mean.len(),
                        std.len()
                    ));
                }
                x
            }
            Op::Conv2d { out, window, groups, .. } => {
                let x = one()?;
                positive("the number of output channels", *out)?;
                positive("the number of groups", *groups)?;
                if x.c % groups != 0 || out % groups != 0 {
                    return Err(format!("{groups} groups divide neither both of {} inputs and {out} outputs", x.c));
                }
                let (h, w) = windowed(x, window)?;
                Shape::new(h, w, *out)
            }
            Op::BatchNorm { .. } | Op::Act { .. } => one()?,
            Op::MaxPool { window } | Op::AvgPool { window, .. } => {
                let x = one()?;
                if (0..2).any(|a| 2 * window.pad[a] > window.kernel[a]) {
                    return Err(format!("padding {:?} is over half of the kernel {:?}", window.pad, window.kernel));
                }
                let (h, w) = windowed(x, window)?;
                Shape::new(h, w, x.c)
            }
            Op::GlobalAvgPool => Shape::new(1, 1, one()?.c),
            Op::Linear { out, .. } => {
                let x = one()?;
                positive("the number of output features", *out)?;
                if x.area() != 1 {
                    return Err(format!("takes a vector, got {x}"));
                }
                Shape::new(1, 1, *out)
            }
            Op::Add => {
                let first = *inputs.first().ok_or("takes at least one input")?;
                if let Some(other) = inputs.iter().find(|s| **s != first) {
                    return Err(format!("cannot add {first} and {other}"));
                }
                first
            }
            Op::Concat => {
                let first = *inputs.first().ok_or("takes at least one input")?;
                if let Some(other) = inputs.iter().find(|s| (s.h, s.w) != (first.h, first.w)) {
                    return Err(format!("cannot put {first} and {other} side by side"));
                }
                Shape { c: inputs.iter().map(|s| s.c).sum(), ..first }
            }
            Op::Crop { top, left } => {
                let x = one()?;
                if *top >= x.h || *left >= x.w {
                    return Err(format!("cannot drop {top} rows and {left} columns of {x}"));
                }
                Shape::new(x.h - top, x.w - left, x.c)
            }
            Op::Zero { stride } => {
                let x = one()?;
                positive("the stride", *stride)?;
                Shape::new(x.h.div_ceil(*stride), x.w.div_ceil(*stride), x.c)
            }
            Op::MixedSum { weights } => {
                if weights.len() != inputs.len() {
                    return Err(format!("has {} weights for {} inputs", weights.len(), inputs.len()));
                }
                Op::Add.output(inputs)?
            }
        };
        if shape.is_empty() { Err(format!("would produce the empty shape {shape}")) } else { Ok(shape) }
    }

    /// The trainable tensors: suffix and shape, in storage order.
    pub fn params(&self, inputs: &[Shape]) -> Vec<(&'static str, Vec<usize>)> {
        let c = inputs.first().map_or(0, |s| s.c);
        match self {
            Op::Conv2d { out, window, groups, bias } => {
                let [kh, kw] = window.kernel;
                let mut list = vec![("weight", vec![kh, kw, c / groups, *out])];
                if *bias {
                    list.push(("bias", vec![*out]));
                }
                list
            }
            Op::Linear { out, bias } => {
                let mut list = vec![("weight", vec![c, *out])];
                if *bias {
                    list.push(("bias", vec![*out]));
                }
                list
            }
            Op::BatchNorm { affine: true } => vec![("weight", vec![c]), ("bias", vec![c])],
            Op::BatchNorm { affine: false }
            | Op::Input { .. }
            | Op::Normalize { .. }
            | Op::Act { .. }
            | Op::MaxPool { .. }
            | Op::AvgPool { .. }
            | Op::GlobalAvgPool
            | Op::Add
            | Op::Concat
            | Op::Crop { .. }
            | Op::Zero { .. }
            | Op::MixedSum { .. } => vec![],
        }
    }

    /// Multiply-accumulates of one image under `conv-linear-macs/1`: convolutions and linear layers, biases not counted.
    pub fn macs(&self, inputs: &[Shape], output: Shape) -> u64 {
        let c = inputs.first().map_or(0, |s| s.c);
        let count = match self {
            Op::Conv2d { window, groups, .. } => output.len() * window.taps() * (c / groups),
            Op::Linear { out, .. } => c * out,
            Op::Input { .. }
            | Op::Normalize { .. }
            | Op::BatchNorm { .. }
            | Op::Act { .. }
            | Op::MaxPool { .. }
            | Op::AvgPool { .. }
            | Op::GlobalAvgPool
            | Op::Add
            | Op::Concat
            | Op::Crop { .. }
            | Op::Zero { .. }
            | Op::MixedSum { .. } => 0,
        };
        count as u64
    }

    /// One instance of every operation with shapes it accepts, for tests that walk the list.
    pub fn each() -> Vec<(Op, Vec<Shape>)> {
        let x = Shape::new(6, 5, 4);
        let conv = |out, window, groups, bias| Op::Conv2d { out, window, groups, bias };
        vec![
            (Op::Input { shape: x }, vec![]),
            (Op::Normalize { mean: vec![0.5, 0.4, 0.3, 0.2], std: vec![0.2, 0.3, 0.4, 0.5] }, vec![x]),
            (conv(6, Window::square(3, 1, 1), 1, false), vec![x]),
            (conv(6, Window::square(3, 2, 1), 1, true), vec![x]),
            (conv(6, Window::square(1, 1, 0), 1, false), vec![x]),
            (conv(6, Window::square(1, 2, 0), 1, false), vec![x]),
            (conv(6, Window::same(3, 1, 2), 2, false), vec![x]),
            (conv(4, Window::same(3, 1, 1), 4, false), vec![x]),
            (conv(4, Window::same(5, 2, 1), 4, false), vec![x]),
            (conv(4, Window::same(3, 1, 2), 4, false), vec![x]),
            (conv(4, Window::same(5, 2, 2), 4, false), vec![x]),
            (conv(8, Window::same(3, 2, 1), 4, true), vec![x]),
            (conv(6, Window { kernel: [1, 3], stride: [1, 2], pad: [0, 1], dilation: [1, 1] }, 1, false), vec![x]),
            (Op::BatchNorm { affine: true }, vec![x]),
            (Op::BatchNorm { affine: false }, vec![x]),
            (Op::Act { act: Act::Relu }, vec![x]),
            (Op::MaxPool { window: Window::square(3, 1, 1) }, vec![x]),
            (Op::MaxPool { window: Window::square(3, 2, 1) }, vec![x]),
            (Op::MaxPool { window: Window::square(2, 2, 0) }, vec![x]),
            (Op::AvgPool { window: Window::square(3, 1, 1), count_include_pad: false }, vec![x]),
            (Op::AvgPool { window: Window::square(3, 2, 1), count_include_pad: true }, vec![x]),
            (Op::AvgPool { window: Window::square(5, 3, 0), count_include_pad: false }, vec![x]),
            (Op::GlobalAvgPool, vec![x]),
            (Op::Linear { out: 3, bias: true }, vec![Shape::new(1, 1, 7)]),
            (Op::Linear { out: 3, bias: false }, vec![Shape::new(1, 1, 7)]),
            (Op::Add, vec![x, x, x]),
            (Op::Concat, vec![x, Shape { c: 3, ..x }]),
            (Op::Crop { top: 1, left: 1 }, vec![x]),
            (Op::Zero { stride: 2 }, vec![x]),
            (Op::MixedSum { weights: vec![2, 0, 1] }, vec![x, x, x]),
        ]
    }
}

/// The shape check with a message that names the node, the operation and all shapes.
pub(super) fn checked_output(name: &str, op: &Op, inputs: &[Shape]) -> Result<Shape> {
    op.output(inputs).map_err(|why| {
        let shapes: Vec<String> = inputs.iter().map(Shape::to_string).collect();
        Error::Net(format!("node `{name}`: {} on [{}]: {why}", op.name(), shapes.join(", ")))
    })
}
