//! Matrices on vectors: `Gemm` and `MatMul`.

use super::draft::Weights;
use super::lowering::Lowering;
use super::node::Node;
use super::value::{Activation, Value, View};
use crate::arch::op::{Op, Shape, Window};

/// `alpha x W + beta b`, with `W` transposed or not.
pub fn gemm(low: &mut Lowering<'_>, node: &Node<'_>) -> Result<Value, String> {
    node.only("transA", 0)?;
    let (alpha, beta) = (node.float("alpha", 1.0)?, node.float("beta", 1.0)?);
    let x = flat(low, node)?;
    let (mut weight, [fan, out]) = matrix(low, node, node.int("transB", 0)? != 0)?;
    weight.iter_mut().for_each(|w| *w *= alpha);
    let mut bias = None;
    if let Some(constant) = low.optional(node, 2)? {
        let name = node.input(2).unwrap_or_default();
        let values = constant.floats().map_err(|why| format!("`{name}` {why}"))?;
        let all = match values {
            [one] => vec![beta * one; out],
            _ if values.len() == out && constant.dims.last() == Some(&out) => values.iter().map(|b| beta * b).collect(),
            _ => return Err(format!("`{name}` has the shape {:?}, expected [{out}]", constant.dims)),
        };
        bias = Some(all);
    }
    layer(low, node, &x, (weight, [fan, out]), bias)
}

/// `x W`. A bias comes as an `Add` behind it.
pub fn matmul(low: &mut Lowering<'_>, node: &Node<'_>) -> Result<Value, String> {
    let x = flat(low, node)?;
    let matrix = matrix(low, node, false)?;
    layer(low, node, &x, matrix, None)
}

fn flat(low: &mut Lowering<'_>, node: &Node<'_>) -> Result<Activation, String> {
    let x = low.settled(node, 0)?;
    match x.view {
        View::Flat => Ok(x),
        View::Planes => {
            let shape = low.shape(&x);
            Err(format!("takes [n, features], got [n, {}, {}, {}]", shape.c, shape.h, shape.w))
        }
    }
}

/// The second input, `[in, out]` row-major, and its shape.
fn matrix(low: &Lowering<'_>, node: &Node<'_>, transposed: bool) -> Result<(Vec<f32>, [usize; 2]), String> {
    let constant = low.constant(node, 1)?;
    let name = node.input(1).unwrap_or_default();
    let values = constant.floats().map_err(|why| format!("`{name}` {why}"))?;
    let &[rows, columns] = &constant.dims[..] else {
        return Err(format!("`{name}` has the shape {:?}, expected a matrix", constant.dims));
    };
    Ok(if transposed { (turned(values, [rows, columns]), [columns, rows]) } else { (values.to_vec(), [rows, columns]) })
}

/// A matrix with rows and columns exchanged.
pub fn turned<T: Copy>(values: &[T], [rows, columns]: [usize; 2]) -> Vec<T> {
    (0..columns).flat_map(|column| (0..rows).map(move |row| values[row * columns + column])).collect()
}

/// The layer: on planes that were made flat a convolution with a kernel of their size, which is the same sum.
fn layer(
    low: &mut Lowering<'_>,
    node: &Node<'_>,
    x: &Activation,
    (weight, [fan, out]): (Vec<f32>, [usize; 2]),
    bias: Option<Vec<f32>>,
) -> Result<Value, String> {
    let Shape { h, w, c } = low.shape(x);
    if fan != c * h * w || out == 0 {
        return Err(format!("has the matrix [{fan}, {out}] for {} features", c * h * w));
    }
    let has_bias = bias.is_some();
    let with = |weight| Weights { trainable: std::iter::once(weight).chain(bias).collect(), running: None };
    if h * w == 1 {
        return low.push(node, Op::Linear { out, bias: has_bias }, &[x.layer], with(weight), View::Flat);
    }
    let mut own = vec![0f32; weight.len()];
    for (feature, row) in weight.chunks_exact(out).enumerate() {
        let (channel, pixel) = (feature / (h * w), feature % (h * w));
        own[(pixel * c + channel) * out..][..out].copy_from_slice(row);
    }
    let window = Window { kernel: [h, w], stride: [1; 2], pad: [0; 2], dilation: [1; 2] };
    let op = Op::Conv2d { out, window, groups: 1, bias: has_bias };
    low.push(node, op, &[x.layer], with(own), View::Flat)
}
