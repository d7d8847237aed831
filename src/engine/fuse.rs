//! From a [`Net`] to the operations that are really run: dead nodes dropped, ReLU and crop moved into the loads of the
//! convolutions behind them, depthwise and 1x1 convolutions joined, sums of sums made flat.

use std::ops::Range;

use super::call::{
    Activation, Attention, Convolution, CrossCovariance, Depthwise, FlcPool, GroupNorm, KernelCall, Kind, Layer, Load,
    Matmul, Over, Permute, Pool, Precondition, Separable, Softmax,
};
use super::params::ParamLayout;
use crate::arch::net::{Net, NodeId};
use crate::arch::op::{Act, Op, Shape, Window, amplitudes};
use crate::arch::position;

/// Which rewrites are made; each can be turned off to be tested against the plain plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fusion {
    /// ReLU and crop happen in the load of the convolution that reads them.
    pub load: bool,
    /// A depthwise convolution and the 1x1 convolution that alone reads it become one kernel.
    pub separable: bool,
    /// A batch-norm is applied by those that read it, and its backward pass by the operation before it.
    pub norm: bool,
    /// A sum of mixed sums is one sum, and what is added has its sum's gradient without a copy.
    pub sum: bool,
    /// A 3x3 convolution may be made in Winograd tiles.
    pub winograd: bool,
}

impl Fusion {
    /// Everything.
    pub const ALL: Fusion = Fusion { load: true, separable: true, norm: true, sum: true, winograd: true };
    /// Nothing: one kernel per node.
    pub const NONE: Fusion = Fusion { load: false, separable: false, norm: false, sum: false, winograd: false };
}

/// What a call of a network chooses that changes what is run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Choice {
    /// Which of several batch-norms side by side.
    pub branch: usize,
    /// Whether entries and images are dropped at random; a drop that is not made is no kernel call.
    pub dropping: bool,
}

/// Rewrites a network into kernel calls, in topological order.
pub fn fuse(net: &Net, params: &ParamLayout, fusion: Fusion, choice: Choice) -> Vec<KernelCall> {
    let sources: Vec<(NodeId, Load)> = net.nodes().map(|(id, _)| source(net, id, fusion)).collect();
    let separable = |id: NodeId| fusion.separable.then(|| separable_half(net, id)).flatten();
    // What each node reads once loads and pairs are merged; then only what the output reaches is kept.
    let reads = |id: NodeId| -> Vec<NodeId> {
        match &net.node(id).op {
            Op::Conv2d { .. } | Op::ConvNorm { .. } => {
                let first = separable(id).unwrap_or(id);
                vec![sources[net.inputs(first)[0].index()].0]
            }
            Op::Add | Op::MixedSum { .. } => terms(net, id, fusion).into_iter().map(|(x, _)| x).collect(),
            _ => net.inputs(id).into_vec(),
        }
    };
    let mut live = vec![false; net.len()];
    live[net.output().index()] = true;
    live[0] = true;
    let order: Vec<NodeId> = net.nodes().map(|(id, _)| id).collect();
    for id in order.iter().rev().filter(|id| id.index() > 0) {
        if live[id.index()] {
            for r in reads(*id) {
                live[r.index()] = true;
            }
        }
    }
    let mut place = vec![usize::MAX; net.len()];
    let mut list = Vec::new();
    for id in order.into_iter().filter(|id| live[id.index()]) {
        let inputs: Vec<usize> = reads(id).into_iter().map(|i| place[i.index()]).collect();
        let idle = matches!(net.node(id).op, Op::Dropout { .. } | Op::StochasticDepth { .. }) && !choice.dropping;
        // The logits are the last call's value, so a drop behind them stays.
        if idle && id != net.output() {
            place[id.index()] = inputs[0];
            continue;
        }
        if let Op::ConvNorm { out, window } = &net.node(id).op {
            let load = sources[net.inputs(id)[0].index()].1;
            let [conv, map] = conv_norm(net, id, (*out, window), load, params);
            list.push(KernelCall { inputs, ..conv });
            place[id.index()] = list.len();
            list.push(KernelCall { inputs: vec![list.len() - 1], ..map });
            continue;
        }
        let kind = match separable(id) {
            Some(first) => {
                let depthwise = depthwise(net, first, sources[net.inputs(first)[0].index()].1);
                Kind::Separable {
                    conv: Separable { depthwise, out: net.node(id).shape.c },
                    depthwise: params.of(first)[0].clone(),
                    pointwise: params.of(id)[0].clone(),
                }
            }
            None => plain(net, id, params, &sources, (fusion, choice)),
        };
        place[id.index()] = list.len();
        list.push(KernelCall { kind, inputs, shape: net.node(id).shape });
    }
    list
}

/// What a sum adds up, with the place of each weight. A mixed sum that only another sum reads is no node of its own.
fn terms(net: &Net, id: NodeId, fusion: Fusion) -> Vec<(NodeId, Option<usize>)> {
    let inputs = net.inputs(id);
    match &net.node(id).op {
        Op::MixedSum { weights } => inputs.into_iter().zip(weights.iter().copied().map(Some)).collect(),
        _ => inputs
            .into_iter()
            .flat_map(|x| {
                let alone = net.readers(x).len() == 1;
                match net.node(x).op {
                    Op::MixedSum { .. } if fusion.sum && alone => terms(net, x, fusion),
                    _ => vec![(x, None)],
                }
            })
            .collect(),
    }
}

/// Looks through ReLUs and crops: the node whose values a convolution behind `id` should read, and how.
fn source(net: &Net, id: NodeId, fusion: Fusion) -> (NodeId, Load) {
    let mut at = id;
    let mut load = Load::default();
    if !fusion.load {
        return (at, load);
    }
    loop {
        match &net.node(at).op {
            Op::Act { act: Act::Relu } => load.relu = true,
            Op::Crop { top, left, bottom: 0, right: 0 } => {
                load.crop[0] += top;
                load.crop[1] += left;
            }
            _ => return (at, load),
        }
        at = net.inputs(at)[0];
    }
}

fn is_depthwise(net: &Net, id: NodeId) -> bool {
    match &net.node(id).op {
        Op::Conv2d { out, groups, .. } => *groups > 1 && groups == out && *groups == net.input_shapes(id)[0].c,
        _ => false,
    }
}

/// The depthwise half of a 1x1 convolution that alone reads it.
fn separable_half(net: &Net, id: NodeId) -> Option<NodeId> {
    let Op::Conv2d { window, groups: 1, bias: false, .. } = net.node(id).op else { return None };
    let first = net.inputs(id)[0];
    let alone = net.readers(first).len() == 1;
    let biased = matches!(net.node(first).op, Op::Conv2d { bias: true, .. });
    (window == Window::square(1, 1, 0) && is_depthwise(net, first) && alone && !biased).then_some(first)
}

fn depthwise(net: &Net, id: NodeId, load: Load) -> Depthwise {
    let Op::Conv2d { window, .. } = net.node(id).op else { unreachable!("only called for depthwise convolutions") };
    let source = uncropped(net.input_shapes(id)[0], load);
    Depthwise { source, output: net.node(id).shape, window, load }
}

/// The shape before the crop that a load makes.
fn uncropped(shape: Shape, load: Load) -> Shape {
    Shape::new(shape.h + load.crop[0], shape.w + load.crop[1], shape.c)
}

/// A full convolution at stride 1, and what makes its spectrum flat.
fn conv_norm(
    net: &Net,
    id: NodeId,
    (out, window): (usize, &Window),
    load: Load,
    params: &ParamLayout,
) -> [KernelCall; 2] {
    let x = net.input_shapes(id)[0];
    let ([kh, kw], [pad_h, pad_w]) = (window.kernel, window.pad);
    let full = Shape::new(x.h + kh - 1, x.w + kw - 1, out);
    let wide = Window { kernel: [kh, kw], stride: [1; 2], pad: [kh - 1, kw - 1], dilation: [1; 2] };
    let conv = Convolution { source: uncropped(x, load), output: full, window: wide, groups: 1, load };
    let output = net.node(id).shape;
    let crop = [kh - 1 - pad_h, kw - 1 - pad_w];
    let amplitudes = amplitudes(x, window, out);
    let map = Precondition { full, output, kernel: window.kernel, amplitudes, crop, stride: window.stride };
    let weight = params.of(id)[0].clone();
    let layer = Layer::Precondition { map, weight: weight.clone(), running: params.running(id) };
    [
        KernelCall { kind: Kind::Conv { conv, weight, bias: None }, inputs: vec![], shape: full },
        KernelCall { kind: Kind::Layer { layer, params: 0..0 }, inputs: vec![], shape: output },
    ]
}

fn plain(
    net: &Net,
    id: NodeId,
    params: &ParamLayout,
    sources: &[(NodeId, Load)],
    (fusion, choice): (Fusion, Choice),
) -> Kind {
    let node = net.node(id);
    let shapes = net.input_shapes(id);
    let pool = |window: Window| Pool { source: shapes[0], output: node.shape, window };
    let tensors = params.of(id);
    let c = node.shape.c;
    let layer = |layer: Layer| Kind::Layer { layer, params: params.whole(id) };
    let norm = |over, epsilon| Layer::GroupNorm(GroupNorm { c, over, epsilon });
    match &node.op {
        Op::Input { .. } => Kind::Image,
        Op::Normalize { mean, std } => Kind::Normalize { mean: mean.clone(), std: std.clone() },
        Op::Conv2d { window, groups, .. } => {
            let load = sources[net.inputs(id)[0].index()].1;
            if is_depthwise(net, id) {
                let (weight, bias) = (tensors[0].clone(), tensors.get(1).cloned());
                return Kind::Depthwise { conv: depthwise(net, id, load), weight, bias };
            }
            let source = uncropped(shapes[0], load);
            let (output, groups) = (node.shape, *groups);
            let conv = Convolution { source, output, window: *window, groups, load };
            Kind::Conv { conv, weight: tensors[0].clone(), bias: tensors.get(1).cloned() }
        }
        Op::Linear { .. } => {
            let conv = Convolution {
                source: shapes[0],
                output: node.shape,
                window: Window::square(1, 1, 0),
                groups: 1,
                load: Load::default(),
            };
            Kind::Conv { conv, weight: tensors[0].clone(), bias: tensors.get(1).cloned() }
        }
        Op::BatchNorm { affine } => {
            Kind::Norm { affine: affine.then(|| (tensors[0].clone(), tensors[1].clone())), running: params.running(id) }
        }
        Op::MultiBatchNorm { branches } => {
            let branch = choice.branch.min(branches - 1);
            let part = |tensor: &Range<usize>| tensor.start + branch * c..tensor.start + (branch + 1) * c;
            let all = params.running(id);
            let len = all.len() / branches;
            let running = all.start + branch * len..all.start + (branch + 1) * len;
            Kind::Norm { affine: Some((part(&tensors[0]), part(&tensors[1]))), running }
        }
        Op::Act { act: Act::Relu } => Kind::Relu,
        Op::MaxPool { window } => Kind::MaxPool(pool(*window)),
        Op::AvgPool { window, count_include_pad } => {
            Kind::AvgPool { pool: pool(*window), count_include_pad: *count_include_pad }
        }
        Op::GlobalAvgPool => Kind::GlobalAvgPool,
        Op::Add | Op::MixedSum { .. } => {
            Kind::Sum { weights: terms(net, id, fusion).into_iter().map(|(_, w)| w).collect() }
        }
        Op::Concat => Kind::Concat,
        Op::Crop { top, left, .. } => Kind::Crop { top: *top, left: *left },
        Op::Zero { .. } => Kind::Zero,
        Op::Act { act } => layer(Layer::Activation(Activation::Act(*act))),
        Op::Clip { min, max } => layer(Layer::Activation(Activation::Clip { min: *min, max: *max })),
        Op::Mul => layer(Layer::Mul),
        Op::Scale { .. } => layer(Layer::Scale),
        Op::LayerNorm { epsilon } => layer(norm(Over::Pixel, *epsilon)),
        Op::GroupNorm { groups, epsilon } => layer(norm(Over::Groups(*groups), *epsilon)),
        Op::Slice { from, .. } => layer(Layer::Slice { from: *from, c: shapes[0].c }),
        Op::Reshape { .. } => layer(Layer::Reshape),
        Op::Permute { dims, order, .. } => layer(Layer::Permute(Permute::new(dims, order))),
        Op::Matmul => {
            let (a, b) = (shapes[0], shapes[1]);
            layer(Layer::Matmul(Matmul { batches: a.h, rows: a.w, terms: a.c, cols: b.c }))
        }
        Op::Pad { top, left, .. } => layer(Layer::Pad { front: [*top, *left], source: shapes[0], output: node.shape }),
        Op::Softmax { over } => layer(Layer::Softmax(Softmax { c, over: *over })),
        Op::Attention { heads } => {
            let (queries, keys) = (shapes[0].area(), shapes[shapes.len() - 1].area());
            layer(Layer::Attention(Attention { queries, keys, d: c, heads: *heads, apart: shapes.len() > 1 }))
        }
        Op::CrossCovariance { heads } => {
            layer(Layer::CrossCovariance(CrossCovariance { pixels: node.shape.area(), d: c, heads: *heads }))
        }
        Op::ClassToken => layer(Layer::ClassToken),
        Op::Position => layer(Layer::Position),
        Op::SinePosition { .. } => layer(Layer::SinePosition(position::sine(node.shape))),
        Op::FlcPool { hamming } => layer(Layer::FlcPool(FlcPool::new(shapes[0], node.shape, *hamming))),
        Op::Dropout { rate } => layer(Layer::Dropout { rate: *rate, seed: node.name.clone() }),
        Op::StochasticDepth { rate } => layer(Layer::StochasticDepth { rate: *rate, seed: node.name.clone() }),
        Op::ConvNorm { .. } => unreachable!("is two kernel calls"),
    }
}
