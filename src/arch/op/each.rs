//! One of every operation.

use strum::IntoEnumIterator;

use super::{Act, Op, OpKind, Shape, Window};

impl Op {
    /// Instances of every operation with shapes they accept, for tests of all operations. A new operation cannot
    /// be forgotten: the match below does not compile without it.
    pub fn each() -> Vec<(Op, Vec<Shape>)> {
        OpKind::iter().flat_map(instances).collect()
    }
}

/// Instances of one operation, at least one.
fn instances(kind: OpKind) -> Vec<(Op, Vec<Shape>)> {
    let x = Shape::new(6, 5, 4);
    let on_x = |ops: Vec<Op>| ops.into_iter().map(|op| (op, vec![x])).collect();
    let conv = |out, window, groups, bias| Op::Conv2d { out, window, groups, bias };
    match kind {
        OpKind::Input => vec![(Op::Input { shape: x }, vec![])],
        OpKind::Normalize => {
            on_x(vec![Op::Normalize { mean: vec![0.5, 0.4, 0.3, 0.2], std: vec![0.2, 0.3, 0.4, 0.5] }])
        }
        OpKind::Conv2d => on_x(vec![
            conv(6, Window::square(3, 1, 1), 1, false),
            conv(6, Window::square(3, 2, 1), 1, true),
            conv(6, Window::square(1, 1, 0), 1, false),
            conv(6, Window::square(1, 2, 0), 1, false),
            conv(6, Window::square(3, 1, 2), 1, false),
            conv(6, Window::same(3, 1, 2), 2, false),
            conv(4, Window::same(3, 1, 1), 4, false),
            conv(4, Window::same(5, 2, 1), 4, false),
            conv(4, Window::same(3, 1, 2), 4, false),
            conv(4, Window::same(5, 2, 2), 4, false),
            conv(8, Window::same(3, 2, 1), 4, true),
            conv(6, Window { kernel: [1, 3], stride: [1, 2], pad: [0, 1], dilation: [1, 1] }, 1, false),
        ]),
        OpKind::ConvNorm => on_x(vec![
            Op::ConvNorm { out: 6, window: Window::square(3, 2, 1) },
            Op::ConvNorm { out: 6, window: Window::square(1, 1, 0) },
        ]),
        OpKind::BatchNorm => on_x(vec![Op::BatchNorm { affine: true }, Op::BatchNorm { affine: false }]),
        OpKind::MultiBatchNorm => on_x(vec![Op::MultiBatchNorm { branches: 2 }]),
        OpKind::LayerNorm => on_x(vec![Op::LayerNorm { epsilon: 1e-6 }]),
        OpKind::GroupNorm => {
            on_x(vec![Op::GroupNorm { groups: 2, epsilon: 1e-5 }, Op::GroupNorm { groups: 4, epsilon: 1e-5 }])
        }
        OpKind::Act => on_x(Act::ALL.map(|act| Op::Act { act }).to_vec()),
        OpKind::Clip => on_x(vec![Op::Clip { min: -0.25, max: 0.5 }]),
        OpKind::MaxPool => on_x(vec![
            Op::MaxPool { window: Window::square(3, 1, 1) },
            Op::MaxPool { window: Window::square(3, 2, 1) },
            Op::MaxPool { window: Window::square(2, 2, 0) },
        ]),
        OpKind::AvgPool => on_x(vec![
            Op::AvgPool { window: Window::square(3, 1, 1), count_include_pad: false },
            Op::AvgPool { window: Window::square(3, 2, 1), count_include_pad: true },
            Op::AvgPool { window: Window::square(5, 3, 0), count_include_pad: false },
        ]),
        OpKind::GlobalAvgPool => on_x(vec![Op::GlobalAvgPool]),
        OpKind::FlcPool => {
            vec![(Op::FlcPool { hamming: false }, vec![x]), (Op::FlcPool { hamming: true }, vec![Shape::new(7, 8, 4)])]
        }
        OpKind::Linear => [true, false].map(|bias| (Op::Linear { out: 3, bias }, vec![Shape::new(1, 1, 7)])).to_vec(),
        OpKind::Add => vec![(Op::Add, vec![x, x, x])],
        OpKind::Mul => vec![(Op::Mul, vec![x, x]), (Op::Mul, vec![x, Shape::new(1, 1, 4)])],
        OpKind::Scale => on_x(vec![Op::Scale { init: 0.5 }]),
        OpKind::Concat => vec![(Op::Concat, vec![x, Shape { c: 3, ..x }])],
        OpKind::Slice => on_x(vec![Op::Slice { from: 1, len: 2 }]),
        OpKind::Reshape => on_x(vec![Op::Reshape { shape: Shape::new(1, 30, 4) }]),
        OpKind::Permute => on_x(vec![
            Op::Permute { dims: vec![6, 5, 2, 2], order: vec![2, 1, 0, 3], shape: Shape::new(2, 5, 12) },
            Op::Permute { dims: vec![30, 4], order: vec![1, 0], shape: Shape::new(4, 1, 30) },
        ]),
        OpKind::Matmul => vec![(Op::Matmul, vec![Shape::new(3, 4, 4), Shape::new(3, 4, 2)])],
        OpKind::Crop => on_x(vec![
            Op::Crop { top: 1, left: 1, bottom: 0, right: 0 },
            Op::Crop { top: 1, left: 0, bottom: 2, right: 1 },
        ]),
        OpKind::Pad => on_x(vec![Op::Pad { top: 0, left: 1, bottom: 2, right: 1 }]),
        OpKind::Softmax => {
            vec![(Op::Softmax { over: 2 }, vec![x]), (Op::Softmax { over: 4 }, vec![Shape::new(1, 1, 4)])]
        }
        OpKind::Attention => vec![
            (Op::Attention { heads: 2 }, vec![Shape::new(3, 2, 12)]),
            (Op::Attention { heads: 1 }, vec![Shape::new(1, 1, 4), Shape::new(1, 6, 8)]),
        ],
        OpKind::CrossCovariance => vec![(Op::CrossCovariance { heads: 2 }, vec![Shape::new(3, 2, 12)])],
        OpKind::ClassToken => on_x(vec![Op::ClassToken]),
        OpKind::Position => on_x(vec![Op::Position]),
        OpKind::SinePosition => on_x(vec![Op::SinePosition { channels: 8 }]),
        OpKind::Dropout => on_x(vec![Op::Dropout { rate: 0.3 }]),
        OpKind::StochasticDepth => on_x(vec![Op::StochasticDepth { rate: 0.3 }]),
        OpKind::Zero => on_x(vec![Op::Zero { stride: 2 }]),
        OpKind::MixedSum => vec![(Op::MixedSum { weights: vec![2, 0, 1] }, vec![x, x, x])],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_an_instance_of_itself() {
        for kind in OpKind::iter() {
            let found = instances(kind);
            assert!(!found.is_empty() && found.iter().all(|(op, _)| OpKind::from(op) == kind), "{kind:?}");
        }
        assert_eq!(Op::each().len(), 68);
    }
}
