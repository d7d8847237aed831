//! What an operation does to one image: everything but batch normalisation.

use candle_core::cpu::erf::erf_f64;
use robustnas::arch::op::{Act, Op, Shape};
use robustnas::arch::position;
use robustnas::seed::Stream;

use super::tokens::{Attention, CrossCovariance};
use super::window::{Conv, divisors, largest, walk};
use super::{Context, Gradients, spectral, tokens};

/// `sqrt(2 / pi)`.
const ROOT: f64 = 0.797_884_560_802_865_4;
const CUBIC: f64 = 0.044_715;

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// An activation's value and slope.
fn act(act: Act, x: f64) -> (f64, f64) {
    let s = sigmoid(x);
    match act {
        Act::Relu => (x.max(0.0), if x > 0.0 { 1.0 } else { 0.0 }),
        Act::Sigmoid => (s, s * (1.0 - s)),
        Act::Silu => (x * s, s + x * s * (1.0 - s)),
        Act::Gelu => {
            let phi = 0.5 * (1.0 + erf_f64(x / 2f64.sqrt()));
            (x * phi, phi + x * (-x * x / 2.0).exp() / std::f64::consts::TAU.sqrt())
        }
        Act::GeluTanh => {
            let t = (ROOT * (x + CUBIC * x.powi(3))).tanh();
            (0.5 * x * (1.0 + t), 0.5 * (1.0 + t) + 0.5 * x * (1.0 - t * t) * ROOT * (1.0 + 3.0 * CUBIC * x * x))
        }
        Act::Softplus => (x.max(0.0) + (-x.abs()).exp().ln_1p(), s),
        Act::Tanh => (x.tanh(), 1.0 - x.tanh().powi(2)),
        Act::Elu if x > 0.0 => (x, 1.0),
        Act::Elu => (x.exp() - 1.0, x.exp()),
        Act::Erf => (erf_f64(x), 2.0 / std::f64::consts::PI.sqrt() * (-x * x).exp()),
    }
}

/// What a drop multiplies every entry with.
fn kept(at: &Context<'_>, rate: f32, image: usize, len: usize, entries: bool) -> Vec<f64> {
    let Some(seed) = at.call.mode.drop else { return vec![1.0; len] };
    let mut stream: Stream = seed.child(at.name()).index(image as u64).stream();
    let mut draw = || if stream.uniform() < rate { 0.0 } else { 1.0 / (1.0 - f64::from(rate)) };
    if entries { (0..len).map(|_| draw()).collect() } else { vec![draw(); len] }
}

fn map(x: &[f64], f: impl Fn(f64) -> f64) -> Vec<f64> {
    x.iter().map(|v| f(*v)).collect()
}

/// Every entry of `y` with the entry of `x` that it is, for operations that move entries; an entry may be missing.
fn moves(op: &Op, x: Shape, y: Shape) -> Vec<(usize, usize)> {
    let entry = |s: Shape, row, column, c| (row * s.w + column) * s.c + c;
    let all = |s: Shape| (0..s.h).flat_map(move |r| (0..s.w).flat_map(move |q| (0..s.c).map(move |c| (r, q, c))));
    match op {
        Op::Reshape { .. } => (0..x.len()).map(|i| (i, i)).collect(),
        Op::Permute { dims, order, .. } => (0..x.len()).map(|i| (i, permuted(dims, order, i))).collect(),
        Op::Slice { from, .. } => all(y).map(|(r, q, c)| (entry(y, r, q, c), entry(x, r, q, from + c))).collect(),
        Op::Crop { top, left, .. } => {
            all(y).map(|(r, q, c)| (entry(y, r, q, c), entry(x, r + top, q + left, c))).collect()
        }
        Op::Pad { top, left, .. } => {
            all(x).map(|(r, q, c)| (entry(y, r + top, q + left, c), entry(x, r, q, c))).collect()
        }
        Op::ClassToken => (0..x.len()).map(|i| (i + x.c, i)).collect(),
        _ => panic!("{op:?} moves nothing"),
    }
}

/// The entry of the array with sides `dims` that is entry `i` of it with its axes in `order`.
fn permuted(dims: &[usize], order: &[usize], mut i: usize) -> usize {
    let mut place = vec![0; dims.len()];
    for axis in order.iter().rev() {
        place[*axis] = i % dims[*axis];
        i /= dims[*axis];
    }
    place.iter().zip(dims).fold(0, |at, (place, side)| at * side + place)
}

fn conv(at: &Context<'_>) -> Option<Conv> {
    match at.op() {
        Op::Conv2d { window, groups, .. } => {
            Some(Conv { x: at.shapes[0], y: at.shape, window: *window, groups: *groups })
        }
        _ => None,
    }
}

/// Alternatives or groups that are normalised together, and the epsilon.
fn groups(at: &Context<'_>) -> (Vec<tokens::Group>, f64) {
    let x = at.shapes[0];
    match at.op() {
        Op::LayerNorm { epsilon } => (tokens::pixels(x), f64::from(*epsilon)),
        Op::GroupNorm { groups, epsilon } => (tokens::channel_groups(x, *groups), f64::from(*epsilon)),
        Op::Softmax { over } => (tokens::alternatives(x, *over), 0.0),
        op => panic!("{op:?} has no groups"),
    }
}

pub fn forward(at: &Context<'_>, inputs: &[&[f64]], image: usize) -> Vec<f64> {
    let (shape, c) = (at.shape, at.shape.c);
    let x = inputs.first().copied().unwrap_or(&[]);
    match at.op() {
        Op::Input { .. } | Op::BatchNorm { .. } | Op::MultiBatchNorm { .. } => panic!("not of one image"),
        Op::Normalize { mean, std } => {
            let of = |(i, v): (usize, &f64)| (v - f64::from(mean[i % c])) / f64::from(std[i % c]);
            x.iter().enumerate().map(of).collect()
        }
        Op::Conv2d { bias, .. } => {
            let mut y = conv(at).unwrap().forward(x, at.param(0));
            if *bias {
                y.iter_mut().enumerate().for_each(|(i, y)| *y += at.param(1)[i % c]);
            }
            y
        }
        Op::Linear { bias, .. } => (0..c)
            .map(|o| {
                let sum: f64 = x.iter().enumerate().map(|(i, v)| v * at.param(0)[i * c + o]).sum();
                sum + if *bias { at.param(1)[o] } else { 0.0 }
            })
            .collect(),
        Op::ConvNorm { out, window } => spectral::conv_norm(at, *out, window, x),
        Op::LayerNorm { .. } | Op::GroupNorm { .. } => {
            let (groups, epsilon) = groups(at);
            let y = tokens::normalize(x, &groups, epsilon);
            y.iter().enumerate().map(|(i, v)| v * at.param(0)[i % c] + at.param(1)[i % c]).collect()
        }
        Op::Act { act: which } => map(x, |v| act(*which, v).0),
        Op::Clip { min, max } => map(x, |v| v.max(f64::from(*min)).min(f64::from(*max))),
        Op::MaxPool { window } => largest(at.shapes[0], shape, window, x).into_iter().map(|i| x[i]).collect(),
        Op::AvgPool { window, count_include_pad } => {
            let divisors = divisors(at.shapes[0], shape, window, *count_include_pad);
            let mut y = vec![0.0; shape.len()];
            walk(at.shapes[0], shape, window, |to, from, _| {
                (0..c).for_each(|i| y[to * c + i] += x[from * c + i] / divisors[to]);
            });
            y
        }
        Op::GlobalAvgPool => {
            let area = at.shapes[0].area() as f64;
            (0..c).map(|i| x.iter().skip(i).step_by(c).sum::<f64>() / area).collect()
        }
        Op::FlcPool { hamming } => spectral::pool(at.shapes[0], shape, *hamming, x),
        Op::Add => (0..shape.len()).map(|i| inputs.iter().map(|x| x[i]).sum()).collect(),
        Op::MixedSum { weights } => {
            (0..shape.len()).map(|i| inputs.iter().zip(weights).map(|(x, w)| at.call.mix[*w] * x[i]).sum()).collect()
        }
        Op::Mul => x.iter().enumerate().map(|(i, v)| v * inputs[1][i % inputs[1].len()]).collect(),
        Op::Scale { .. } => x.iter().enumerate().map(|(i, v)| v * at.param(0)[i % c]).collect(),
        Op::Concat => (0..shape.area())
            .flat_map(|p| inputs.iter().zip(&at.shapes).flat_map(move |(x, s)| x[p * s.c..(p + 1) * s.c].to_vec()))
            .collect(),
        op @ (Op::Slice { .. }
        | Op::Reshape { .. }
        | Op::Permute { .. }
        | Op::Crop { .. }
        | Op::Pad { .. }
        | Op::ClassToken) => {
            let mut y = vec![0.0; shape.len()];
            if matches!(op, Op::ClassToken) {
                y[..c].copy_from_slice(at.param(0));
            }
            moves(op, at.shapes[0], shape).into_iter().for_each(|(to, from)| y[to] = x[from]);
            y
        }
        Op::Softmax { .. } => tokens::softmax(x, &groups(at).0),
        Op::Matmul => {
            let (w, k) = (shape.w, at.shapes[0].c);
            let entry = |i: usize| {
                let (row, (q, j)) = (i / (w * c), (i / c % w, i % c));
                (0..k).map(|t| x[(row * w + q) * k + t] * inputs[1][(row * k + t) * c + j]).sum()
            };
            (0..shape.len()).map(entry).collect()
        }
        Op::Attention { heads } => Attention { d: c, heads: *heads, apart: inputs.len() > 1 }.forward(inputs),
        Op::CrossCovariance { heads } => CrossCovariance { d: c, heads: *heads }.forward(x, at.param(0)),
        Op::Position => x.iter().zip(at.param(0)).map(|(x, p)| x + p).collect(),
        Op::SinePosition { .. } => position::sine(shape),
        Op::Dropout { rate } => product(x, &kept(at, *rate, image, x.len(), true)),
        Op::StochasticDepth { rate } => product(x, &kept(at, *rate, image, x.len(), false)),
        Op::Zero { .. } => vec![0.0; shape.len()],
    }
}

fn product(a: &[f64], b: &[f64]) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| a * b).collect()
}

/// Writes the inputs' gradients and adds to those of parameters and mixing vector.
pub fn backward(at: &Context<'_>, inputs: &[&[f64]], dy: &[f64], image: usize, to: Gradients<'_>) {
    let (shape, c) = (at.shape, at.shape.c);
    let x = inputs.first().copied().unwrap_or(&[]);
    let range = |k: usize| at.range(k);
    match at.op() {
        Op::Input { .. } | Op::BatchNorm { .. } | Op::MultiBatchNorm { .. } => panic!("not of one image"),
        Op::Normalize { std, .. } => {
            to.inputs[0] = dy.iter().enumerate().map(|(i, d)| d / f64::from(std[i % c])).collect();
        }
        Op::Conv2d { bias, .. } => {
            let dweight = &mut to.params[range(0)];
            conv(at).unwrap().backward(x, at.param(0), dy, &mut to.inputs[0], dweight);
            if *bias {
                let dbias = &mut to.params[range(1)];
                dy.iter().enumerate().for_each(|(i, d)| dbias[i % c] += d);
            }
        }
        Op::Linear { bias, .. } => {
            for (i, v) in x.iter().enumerate() {
                for (o, d) in dy.iter().enumerate() {
                    to.params[range(0).start + i * c + o] += v * d;
                    to.inputs[0][i] += at.param(0)[i * c + o] * d;
                }
            }
            if *bias {
                to.params[range(1)].iter_mut().zip(dy).for_each(|(b, d)| *b += d);
            }
        }
        Op::ConvNorm { out, window } => {
            let dweight = &mut to.params[range(0)];
            spectral::conv_norm_backward(at, (*out, window), x, dy, &mut to.inputs[0], dweight);
        }
        Op::LayerNorm { .. } | Op::GroupNorm { .. } => {
            let (groups, epsilon) = groups(at);
            let y = tokens::normalize(x, &groups, epsilon);
            let inner: Vec<f64> = dy.iter().enumerate().map(|(i, d)| d * at.param(0)[i % c]).collect();
            tokens::normalize_backward(x, &groups, epsilon, &inner, &mut to.inputs[0]);
            for (i, d) in dy.iter().enumerate() {
                to.params[range(0).start + i % c] += d * y[i];
                to.params[range(1).start + i % c] += d;
            }
        }
        Op::Act { act: which } => to.inputs[0] = x.iter().zip(dy).map(|(x, d)| d * act(*which, *x).1).collect(),
        Op::Clip { min, max } => {
            let inside = |x: f64| f64::from(*min) <= x && x <= f64::from(*max);
            to.inputs[0] = x.iter().zip(dy).map(|(x, d)| if inside(*x) { *d } else { 0.0 }).collect();
        }
        Op::MaxPool { window } => {
            let best = largest(at.shapes[0], shape, window, x);
            best.into_iter().zip(dy).for_each(|(i, d)| to.inputs[0][i] += d);
        }
        Op::AvgPool { window, count_include_pad } => {
            let divisors = divisors(at.shapes[0], shape, window, *count_include_pad);
            walk(at.shapes[0], shape, window, |out, from, _| {
                (0..c).for_each(|i| to.inputs[0][from * c + i] += dy[out * c + i] / divisors[out]);
            });
        }
        Op::GlobalAvgPool => {
            let area = at.shapes[0].area() as f64;
            to.inputs[0].iter_mut().enumerate().for_each(|(i, dx)| *dx = dy[i % c] / area);
        }
        Op::FlcPool { hamming } => to.inputs[0] = spectral::pool_backward(at.shapes[0], shape, *hamming, dy),
        Op::Add => to.inputs.iter_mut().for_each(|dx| dx.copy_from_slice(dy)),
        Op::MixedSum { weights } => {
            for ((dx, x), w) in to.inputs.iter_mut().zip(inputs).zip(weights) {
                dx.iter_mut().zip(dy).for_each(|(dx, d)| *dx = at.call.mix[*w] * d);
                to.mix[*w] += x.iter().zip(dy).map(|(x, d)| x * d).sum::<f64>();
            }
        }
        Op::Mul => {
            let factor = inputs[1];
            for (i, d) in dy.iter().enumerate() {
                to.inputs[0][i] = d * factor[i % factor.len()];
                to.inputs[1][i % factor.len()] += d * x[i];
            }
        }
        Op::Scale { .. } => {
            for (i, d) in dy.iter().enumerate() {
                to.inputs[0][i] = d * at.param(0)[i % c];
                to.params[range(0).start + i % c] += d * x[i];
            }
        }
        Op::Concat => {
            let mut first = 0;
            for (dx, s) in to.inputs.iter_mut().zip(&at.shapes) {
                for (i, dx) in dx.iter_mut().enumerate() {
                    *dx = dy[i / s.c * c + first + i % s.c];
                }
                first += s.c;
            }
        }
        op @ (Op::Slice { .. }
        | Op::Reshape { .. }
        | Op::Permute { .. }
        | Op::Crop { .. }
        | Op::Pad { .. }
        | Op::ClassToken) => {
            if matches!(op, Op::ClassToken) {
                to.params[range(0)].iter_mut().zip(dy).for_each(|(t, d)| *t += d);
            }
            moves(op, at.shapes[0], shape).into_iter().for_each(|(out, from)| to.inputs[0][from] += dy[out]);
        }
        Op::Softmax { .. } => {
            let (groups, _) = groups(at);
            to.inputs[0] = tokens::softmax_backward(&tokens::softmax(x, &groups), &groups, dy);
        }
        Op::Matmul => {
            let (w, k) = (shape.w, at.shapes[0].c);
            for (i, d) in dy.iter().enumerate() {
                let (row, (q, j)) = (i / (w * c), (i / c % w, i % c));
                for t in 0..k {
                    to.inputs[0][(row * w + q) * k + t] += d * inputs[1][(row * k + t) * c + j];
                    to.inputs[1][(row * k + t) * c + j] += d * x[(row * w + q) * k + t];
                }
            }
        }
        Op::Attention { heads } => {
            Attention { d: c, heads: *heads, apart: inputs.len() > 1 }.backward(inputs, dy, to.inputs);
        }
        Op::CrossCovariance { heads } => {
            let dtemperature = &mut to.params[range(0)];
            let attention = CrossCovariance { d: c, heads: *heads };
            attention.backward(x, at.param(0), dy, &mut to.inputs[0], dtemperature);
        }
        Op::Position => {
            to.inputs[0].copy_from_slice(dy);
            to.params[range(0)].iter_mut().zip(dy).for_each(|(p, d)| *p += d);
        }
        Op::Dropout { rate } => to.inputs[0] = product(dy, &kept(at, *rate, image, dy.len(), true)),
        Op::StochasticDepth { rate } => to.inputs[0] = product(dy, &kept(at, *rate, image, dy.len(), false)),
        Op::SinePosition { .. } | Op::Zero { .. } => {}
    }
}
