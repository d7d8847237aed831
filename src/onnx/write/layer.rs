//! Every operation in ONNX.

use super::graph::Attribute;
use super::view::{back, per_channel};
use super::writer::{Tensor, Writer};
use super::{attention, norm, spectral, transpose, windows};
use crate::arch::op::{Act, Op};
use crate::arch::position::sine;

/// Writes a layer; returns its output.
pub fn write(mut w: Writer<'_, '_>, inputs: Vec<Tensor>) -> Result<Tensor, String> {
    let shape = w.node.shape;
    let Some(x) = inputs.first().cloned() else { return Err("has no input".into()) };
    let flat = matches!(w.node.op, Op::Linear { .. }) || w.node.op.keeps_vectors() && inputs.iter().all(|x| x.flat);
    let named: Vec<String> = inputs.iter().map(|x| if flat { w.flat(x) } else { w.planes(x) }).collect();
    let first = named[0].as_str();
    let given = match &w.node.op {
        Op::Input { .. } => return Err("is a second input".into()),
        // The identity in inference.
        Op::Dropout { .. } | Op::StochasticDepth { .. } => return Ok(x),
        Op::Normalize { mean, std } => {
            let (mean, std) = (per_channel(&mut w, "mean", mean, flat), per_channel(&mut w, "std", std, flat));
            let centred = w.op("Sub", &[first, &mean], &[]);
            w.op("Div", &[&centred, &std], &[])
        }
        Op::Conv2d { window, groups, bias, .. } => windows::conv(&mut w, first, x.shape, (window, *groups, *bias))?,
        Op::ConvNorm { window, .. } => spectral::conv_norm(&mut w, first, x.shape, window)?,
        Op::BatchNorm { affine } => norm::batch(&mut w, first, *affine)?,
        Op::MultiBatchNorm { branches } => norm::multi_batch(&mut w, first, *branches)?,
        Op::LayerNorm { epsilon } => norm::layer(&mut w, first, flat, *epsilon)?,
        Op::GroupNorm { groups, epsilon } => norm::group(&mut w, first, flat, *groups, *epsilon)?,
        Op::Act { act } => activation(&mut w, first, *act),
        Op::Clip { min, max } => {
            let (min, max) = (w.float("min", *min), w.float("max", *max));
            w.op("Clip", &[first, &min, &max], &[])
        }
        Op::MaxPool { window } => windows::max_pool(&mut w, first, window),
        Op::AvgPool { window, count_include_pad } => {
            windows::avg_pool(&mut w, first, x.shape, window, *count_include_pad)
        }
        Op::GlobalAvgPool => w.op("GlobalAveragePool", &[first], &[]),
        Op::FlcPool { hamming } => spectral::flc_pool(&mut w, first, x.shape, *hamming),
        Op::Linear { out, bias } => {
            let turned = transpose::planes(w.values("weight", x.shape.c * out)?, *out);
            let weight = w.floats("weight", &[*out, x.shape.c], &turned);
            let bias = if *bias { Some(w.tensor("bias", &[*out])?) } else { None };
            let operands: Vec<&str> = [first, &weight].into_iter().chain(bias.as_deref()).collect();
            w.op("Gemm", &operands, &[Attribute::Int("transB", 1)])
        }
        Op::Add if named.len() == 1 => w.op("Identity", &[first], &[]),
        Op::Add if named.len() == 2 => w.op("Add", &[first, &named[1]], &[]),
        Op::Add => w.op("Sum", &refs(&named), &[]),
        Op::Mul => w.op("Mul", &refs(&named), &[]),
        Op::Scale { .. } => {
            let weight = w.values("weight", shape.c)?;
            let weight = per_channel(&mut w, "weight", weight, flat);
            w.op("Mul", &[first, &weight], &[])
        }
        Op::Concat => w.op("Concat", &refs(&named), &[Attribute::Int("axis", 1)]),
        Op::Slice { from, len } => w.slice(first, 1, *from, from + len),
        Op::Reshape { .. } => {
            let pixels = w.transpose(first, &[0, 2, 3, 1]);
            let reshaped = w.reshape(&pixels, &[shape.h, shape.w, shape.c]);
            w.transpose(&reshaped, &[0, 3, 1, 2])
        }
        Op::Permute { dims, order, .. } => {
            let pixels = w.transpose(first, &[0, 2, 3, 1]);
            let array = w.reshape(&pixels, dims);
            let order: Vec<i64> = std::iter::once(0).chain(order.iter().map(|axis| *axis as i64 + 1)).collect();
            let permuted = w.transpose(&array, &order);
            let reshaped = w.reshape(&permuted, &[shape.h, shape.w, shape.c]);
            w.transpose(&reshaped, &[0, 3, 1, 2])
        }
        Op::Matmul => {
            let rows: Vec<String> = named.iter().map(|x| w.transpose(x, &[0, 2, 3, 1])).collect();
            let product = w.op("MatMul", &refs(&rows), &[]);
            w.transpose(&product, &[0, 3, 1, 2])
        }
        Op::Crop { top, left, .. } => {
            let starts = w.graph.ints(&[*top as i64, *left as i64]);
            let ends = w.graph.ints(&[(top + shape.h) as i64, (left + shape.w) as i64]);
            let axes = w.graph.ints(&[2, 3]);
            w.op("Slice", &[first, &starts, &ends, &axes], &[])
        }
        Op::Pad { top, left, bottom, right } => {
            let around = [0, 0, *top, *left, 0, 0, *bottom, *right].map(|n| n as i64);
            let around = w.graph.ints(&around);
            w.op("Pad", &[first, &around], &[])
        }
        Op::Softmax { over } if *over == shape.c => w.op("Softmax", &[first], &[Attribute::Int("axis", 1)]),
        Op::Softmax { over } => {
            let alternatives = w.reshape(first, &[*over, shape.c / over * shape.area()]);
            let shares = w.op("Softmax", &[&alternatives], &[Attribute::Int("axis", 1)]);
            back(&mut w, &shares, shape, flat)
        }
        Op::Attention { heads } => attention::attention(&mut w, &named, &inputs, *heads),
        Op::CrossCovariance { heads } => attention::cross_covariance(&mut w, first, x.shape, *heads)?,
        Op::ClassToken => attention::class_token(&mut w, first, x.shape)?,
        Op::Position => {
            let turned = transpose::planes(w.values("weight", shape.len())?, shape.c);
            let weight = w.floats("weight", &[1, shape.c, shape.h, shape.w], &turned);
            w.op("Add", &[first, &weight], &[])
        }
        Op::SinePosition { channels } => {
            let positions: Vec<f32> = sine(shape).into_iter().map(|v| v as f32).collect();
            let turned = transpose::planes(&positions, *channels);
            let table = w.floats("table", &[1, shape.c, shape.h, shape.w], &turned);
            w.for_every_image(&table, first, &[shape.c, shape.h, shape.w])
        }
        Op::Zero { .. } => {
            let zero = w.floats("zero", &[1, 1, 1, 1], &[0.0]);
            w.for_every_image(&zero, first, &[shape.c, shape.h, shape.w])
        }
        Op::MixedSum { weights } => mixed_sum(&mut w, &named, weights)?,
    };
    debug_assert!(!given.is_empty());
    let name = w.graph.name(&w.node.name);
    Ok(Tensor { name: w.graph.rename_last(name), shape, flat })
}

fn refs(names: &[String]) -> Vec<&str> {
    names.iter().map(String::as_str).collect()
}

/// An activation. The operator set has no GELU and SiLU; they are products.
fn activation(w: &mut Writer<'_, '_>, x: &str, act: Act) -> String {
    match act {
        Act::Relu => w.op("Relu", &[x], &[]),
        Act::Sigmoid => w.op("Sigmoid", &[x], &[]),
        Act::Softplus => w.op("Softplus", &[x], &[]),
        Act::Tanh => w.op("Tanh", &[x], &[]),
        Act::Erf => w.op("Erf", &[x], &[]),
        Act::Elu => w.op("Elu", &[x], &[]),
        Act::Silu => {
            let gate = w.op("Sigmoid", &[x], &[]);
            w.op("Mul", &[x, &gate], &[])
        }
        Act::Gelu => {
            let deviation = w.float("deviation", std::f32::consts::SQRT_2);
            let scaled = w.op("Div", &[x, &deviation], &[]);
            let erf = w.op("Erf", &[&scaled], &[]);
            gated(w, x, &erf)
        }
        Act::GeluTanh => {
            let (three, cubic) = (w.float("exponent", 3.0), w.float("cubic", 0.044_715));
            let cube = w.op("Pow", &[x, &three], &[]);
            let cube = w.op("Mul", &[&cube, &cubic], &[]);
            let sum = w.op("Add", &[x, &cube], &[]);
            let slope = w.float("slope", (2.0 / std::f64::consts::PI).sqrt() as f32);
            let scaled = w.op("Mul", &[&sum, &slope], &[]);
            let tanh = w.op("Tanh", &[&scaled], &[]);
            gated(w, x, &tanh)
        }
    }
}

/// `x (1 + s) / 2`.
fn gated(w: &mut Writer<'_, '_>, x: &str, s: &str) -> String {
    let (one, half) = (w.float("one", 1.0), w.float("half", 0.5));
    let share = w.op("Add", &[s, &one], &[]);
    let product = w.op("Mul", &[x, &share], &[]);
    w.op("Mul", &[&product, &half], &[])
}

/// The relaxation of a choice, with fixed mixing weights.
fn mixed_sum(w: &mut Writer<'_, '_>, inputs: &[String], places: &[usize]) -> Result<String, String> {
    let mix = w.export.mix;
    let shares: Option<Vec<f32>> = places.iter().map(|p| mix.get(*p).copied()).collect();
    let shares = shares.ok_or_else(|| {
        format!(
            "mixes {} inputs by a mixing vector, of which {} entries are given: export a network \
             whose choices are made",
            inputs.len(),
            mix.len()
        )
    })?;
    let mut parts = Vec::new();
    for (input, share) in inputs.iter().zip(shares) {
        let share = w.float("share", share);
        parts.push(w.op("Mul", &[input, &share], &[]));
    }
    Ok(w.op("Sum", &refs(&parts), &[]))
}
