//! An operation as a coloured strip: its label, and the colour of its kind.

use crate::arch::cell::CellOp;
use crate::arch::net::{Net, NodeId};
use crate::arch::op::{Act, Op, Shape, Window};

/// Kinds of operations, each with a colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Sort {
    Convolution,
    Grouped,
    Linear,
    Norm,
    Activation,
    Pool,
    Attention,
    Token,
    Regulariser,
    Selection,
    Arithmetic,
}

impl Sort {
    /// The text of the legend.
    pub fn name(self) -> &'static str {
        match self {
            Sort::Convolution => "convolution",
            Sort::Grouped => "grouped or depthwise convolution",
            Sort::Linear => "linear layer",
            Sort::Norm => "normalisation",
            Sort::Activation => "activation",
            Sort::Pool => "pooling",
            Sort::Attention => "attention, softmax",
            Sort::Token => "class token, position",
            Sort::Regulariser => "layer scale, stochastic depth, dropout",
            Sort::Selection => "selection, concatenation",
            Sort::Arithmetic => "sum, product",
        }
    }

    /// Fill and border.
    pub fn colours(self) -> (&'static str, &'static str) {
        match self {
            Sort::Convolution => ("#d6e5fa", "#2f6fc4"),
            Sort::Grouped => ("#cdeeec", "#1e8a84"),
            Sort::Linear => ("#dcdcf9", "#5a55c8"),
            Sort::Norm => ("#e9ebef", "#878f9b"),
            Sort::Activation => ("#fdf0c4", "#c0981a"),
            Sort::Pool => ("#fce3c6", "#c77b14"),
            Sort::Attention => ("#fadbe6", "#bf3c74"),
            Sort::Token => ("#d9f0d6", "#3f8f46"),
            Sort::Regulariser => ("#ecdffa", "#7d4fc0"),
            Sort::Selection => ("#f8f8f8", "#9a9fa8"),
            Sort::Arithmetic => ("#ffffff", "#2b2f36"),
        }
    }
}

/// One operation, drawn.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Strip {
    pub label: String,
    /// The short label, for blocks of many lanes.
    pub short: String,
    pub sort: Sort,
}

impl Strip {
    /// The strip of a node: kernel, channels, stride, dilation and groups where they are not the defaults.
    pub fn of(net: &Net, id: NodeId) -> Self {
        let node = net.node(id);
        let channels = net.input_shapes(id).first().map_or(0, |x| x.c);
        let label = label(&node.op, channels, node.shape);
        Strip {
            short: short(&node.op, channels).unwrap_or_else(|| label.clone()),
            label,
            sort: sort(&node.op, channels),
        }
    }
}

impl From<CellOp> for Strip {
    /// A candidate operation of a cell, under its name in the literature.
    fn from(op: CellOp) -> Self {
        let sort = match op {
            CellOp::None | CellOp::SkipConnect => Sort::Selection,
            CellOp::MaxPool(_) | CellOp::AvgPool(_) => Sort::Pool,
            CellOp::SepConv(_) | CellOp::DilConv(_) => Sort::Grouped,
            CellOp::NorConv(_) | CellOp::Conv7x1_1x7 => Sort::Convolution,
        };
        Strip { label: op.to_string(), short: op.to_string(), sort }
    }
}

/// The text of a node without channels, sizes and strides: equal for nodes that differ in these only.
pub(super) fn likeness(net: &Net, id: NodeId) -> String {
    let op = &net.node(id).op;
    match op {
        Op::Conv2d { window, .. } => {
            let channels = net.input_shapes(id).first().map_or(0, |x| x.c);
            format!("{:?} {:?} {:?}", sort(op, channels), window.kernel, window.dilation)
        }
        _ => op.name().to_owned(),
    }
}

/// A depthwise convolution is one whose groups are its channels.
fn sort(op: &Op, channels: usize) -> Sort {
    match op {
        Op::Conv2d { groups, .. } if *groups > 1 && channels > 1 => Sort::Grouped,
        Op::Conv2d { .. } | Op::ConvNorm { .. } => Sort::Convolution,
        Op::Linear { .. } => Sort::Linear,
        Op::Normalize { .. }
        | Op::BatchNorm { .. }
        | Op::MultiBatchNorm { .. }
        | Op::LayerNorm { .. }
        | Op::GroupNorm { .. } => Sort::Norm,
        Op::Act { .. } | Op::Clip { .. } => Sort::Activation,
        Op::MaxPool { .. } | Op::AvgPool { .. } | Op::GlobalAvgPool | Op::FlcPool { .. } => Sort::Pool,
        Op::Softmax { .. } | Op::Attention { .. } | Op::CrossCovariance { .. } => Sort::Attention,
        Op::ClassToken | Op::Position | Op::SinePosition { .. } => Sort::Token,
        Op::Scale { .. } | Op::Dropout { .. } | Op::StochasticDepth { .. } => Sort::Regulariser,
        Op::Input { .. }
        | Op::Concat
        | Op::Slice { .. }
        | Op::Reshape { .. }
        | Op::Permute { .. }
        | Op::Crop { .. }
        | Op::Pad { .. }
        | Op::Zero { .. } => Sort::Selection,
        Op::Add | Op::Mul | Op::Matmul | Op::MixedSum { .. } => Sort::Arithmetic,
    }
}

fn label(op: &Op, channels: usize, out: Shape) -> String {
    match op {
        Op::Input { shape } => format!("image {}", size(*shape)),
        Op::Normalize { .. } => "normalise".into(),
        Op::Conv2d { out, window, groups, .. } if *groups > 1 && *groups == channels => {
            format!("{} depthwise, {out}{}", kernel(window), step(window))
        }
        Op::Conv2d { out, window, groups: 1, .. } => format!("{} conv, {out}{}", kernel(window), step(window)),
        Op::Conv2d { out, window, groups, .. } => {
            format!("{} conv, {out}{}, {groups} groups", kernel(window), step(window))
        }
        Op::ConvNorm { out, window } => format!("{} flat conv, {out}{}", kernel(window), step(window)),
        Op::BatchNorm { .. } => "batch norm".into(),
        Op::MultiBatchNorm { branches } => format!("{branches} batch norms"),
        Op::LayerNorm { .. } => "layer norm".into(),
        Op::GroupNorm { groups, .. } if *groups == channels => "instance norm".into(),
        Op::GroupNorm { groups, .. } => format!("group norm, {groups} groups"),
        Op::Act { act } => word(*act).into(),
        Op::Clip { min, max } => format!("clip to {min}, {max}"),
        Op::MaxPool { window } => format!("{} max pool{}", kernel(window), step(window)),
        Op::AvgPool { window, .. } => format!("{} average pool{}", kernel(window), step(window)),
        Op::GlobalAvgPool => "global average pool".into(),
        Op::FlcPool { hamming: false } => "FLC pool".into(),
        Op::FlcPool { hamming: true } => "FLC pool, Hamming".into(),
        Op::Linear { out, .. } => format!("linear, {out}"),
        Op::Add => "+".into(),
        Op::Mul => "×".into(),
        Op::Scale { .. } => "layer scale".into(),
        Op::Concat => format!("concat, {}", out.c),
        Op::Slice { from, len } => format!("channels {from} to {}", from + len - 1),
        Op::Reshape { shape } => format!("reshape, {}", size(*shape)),
        Op::Permute { shape, .. } => format!("permute, {}", size(*shape)),
        Op::Matmul => "matrix product".into(),
        Op::Crop { .. } => format!("crop to {}×{}", out.h, out.w),
        Op::Pad { .. } => format!("pad to {}×{}", out.h, out.w),
        Op::Softmax { over } => format!("softmax over {over}"),
        Op::Attention { heads } => format!("attention, {heads} heads"),
        Op::CrossCovariance { heads } => format!("cross-covariance, {heads} heads"),
        Op::ClassToken => "class token".into(),
        Op::Position => "position".into(),
        Op::SinePosition { channels } => format!("sine position, {channels}"),
        Op::Dropout { .. } => "dropout".into(),
        Op::StochasticDepth { .. } => "stochastic depth".into(),
        Op::Zero { .. } => "zero".into(),
        Op::MixedSum { weights } => format!("mixed sum of {}", weights.len()),
    }
}

/// The label of a frequent operation where room is scarce.
fn short(op: &Op, channels: usize) -> Option<String> {
    match op {
        Op::Conv2d { out, window, groups, .. } if *groups > 1 && *groups == channels => {
            Some(format!("{} dw, {out}{}", kernel(window), step(window)))
        }
        Op::Conv2d { out, window, groups: 1, .. } => Some(format!("{}, {out}{}", kernel(window), step(window))),
        Op::Conv2d { out, window, groups, .. } => {
            Some(format!("{}, {out}, g {groups}{}", kernel(window), step(window)))
        }
        Op::AvgPool { window, .. } => Some(format!("{} average{}", kernel(window), step(window))),
        Op::BatchNorm { .. } => Some("BN".into()),
        Op::LayerNorm { .. } => Some("LN".into()),
        Op::GlobalAvgPool => Some("global average".into()),
        Op::Slice { from, len } => Some(format!("{from}–{}", from + len - 1)),
        _ => None,
    }
}

/// An activation as papers write it.
fn word(act: Act) -> &'static str {
    match act {
        Act::Relu => "ReLU",
        Act::Silu => "SiLU",
        Act::Gelu => "GELU",
        Act::GeluTanh => "GELU (tanh)",
        Act::Elu => "ELU",
        Act::Sigmoid | Act::Softplus | Act::Tanh | Act::Erf => act.name(),
    }
}

fn kernel(window: &Window) -> String {
    format!("{}×{}", window.kernel[0], window.kernel[1])
}

/// Stride and dilation, where they are not 1.
fn step(window: &Window) -> String {
    let one = |name: &str, [a, b]: [usize; 2]| match (a, b) {
        (1, 1) => String::new(),
        (a, b) if a == b => format!(", {name} {a}"),
        (a, b) => format!(", {name} {a}×{b}"),
    };
    one("stride", window.stride) + &one("dilation", window.dilation)
}

/// `32×32×16`; a vector is its length.
pub(super) fn size(shape: Shape) -> String {
    if shape.area() == 1 { shape.c.to_string() } else { format!("{}×{}×{}", shape.h, shape.w, shape.c) }
}
