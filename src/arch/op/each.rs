//! One of every operation.

use super::{Act, Op, Shape, Window};

impl Op {
    /// One instance of every operation with shapes it accepts, for tests that walk the list.
    pub fn each() -> Vec<(Op, Vec<Shape>)> {
        let x = Shape::new(6, 5, 4);
        let conv = |out, window, groups, bias| Op::Conv2d { out, window, groups, bias };
        let mut list = vec![
            (Op::Input { shape: x }, vec![]),
            (Op::Normalize { mean: vec![0.5, 0.4, 0.3, 0.2], std: vec![0.2, 0.3, 0.4, 0.5] }, vec![x]),
            (conv(6, Window::square(3, 1, 1), 1, false), vec![x]),
            (conv(6, Window::square(3, 2, 1), 1, true), vec![x]),
            (conv(6, Window::square(1, 1, 0), 1, false), vec![x]),
            (conv(6, Window::square(1, 2, 0), 1, false), vec![x]),
            (conv(6, Window::square(3, 1, 2), 1, false), vec![x]),
            (conv(6, Window::same(3, 1, 2), 2, false), vec![x]),
            (conv(4, Window::same(3, 1, 1), 4, false), vec![x]),
            (conv(4, Window::same(5, 2, 1), 4, false), vec![x]),
            (conv(4, Window::same(3, 1, 2), 4, false), vec![x]),
            (conv(4, Window::same(5, 2, 2), 4, false), vec![x]),
            (conv(8, Window::same(3, 2, 1), 4, true), vec![x]),
            (conv(6, Window { kernel: [1, 3], stride: [1, 2], pad: [0, 1], dilation: [1, 1] }, 1, false), vec![x]),
            (Op::BatchNorm { affine: true }, vec![x]),
            (Op::BatchNorm { affine: false }, vec![x]),
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
            (Op::Crop { top: 1, left: 1, bottom: 0, right: 0 }, vec![x]),
            (Op::Crop { top: 1, left: 0, bottom: 2, right: 1 }, vec![x]),
            (Op::Pad { top: 0, left: 1, bottom: 2, right: 1 }, vec![x]),
            (Op::MultiBatchNorm { branches: 2 }, vec![x]),
            (Op::LayerNorm { epsilon: 1e-6 }, vec![x]),
            (Op::GroupNorm { groups: 2, epsilon: 1e-5 }, vec![x]),
            (Op::GroupNorm { groups: 4, epsilon: 1e-5 }, vec![x]),
            (Op::Clip { min: -0.25, max: 0.5 }, vec![x]),
            (Op::FlcPool { hamming: false }, vec![x]),
            (Op::FlcPool { hamming: true }, vec![Shape::new(7, 8, 4)]),
            (Op::Mul, vec![x, x]),
            (Op::Mul, vec![x, Shape::new(1, 1, 4)]),
            (Op::Scale { init: 0.5 }, vec![x]),
            (Op::Slice { from: 1, len: 2 }, vec![x]),
            (Op::Reshape { shape: Shape::new(1, 30, 4) }, vec![x]),
            (Op::Softmax { over: 2 }, vec![x]),
            (Op::Softmax { over: 4 }, vec![Shape::new(1, 1, 4)]),
            (Op::Attention { heads: 2 }, vec![Shape::new(3, 2, 12)]),
            (Op::Attention { heads: 1 }, vec![Shape::new(1, 1, 4), Shape::new(1, 6, 8)]),
            (Op::CrossCovariance { heads: 2 }, vec![Shape::new(3, 2, 12)]),
            (Op::ClassToken, vec![x]),
            (Op::Position, vec![x]),
            (Op::SinePosition { channels: 8 }, vec![x]),
            (Op::Dropout { rate: 0.3 }, vec![x]),
            (Op::StochasticDepth { rate: 0.3 }, vec![x]),
            (Op::ConvNorm { out: 6, window: Window::square(3, 2, 1) }, vec![x]),
            (Op::ConvNorm { out: 6, window: Window::square(1, 1, 0) }, vec![x]),
            (Op::Zero { stride: 2 }, vec![x]),
            (Op::MixedSum { weights: vec![2, 0, 1] }, vec![x, x, x]),
        ];
        list.extend(Act::ALL.map(|act| (Op::Act { act }, vec![x])));
        list
    }
}
