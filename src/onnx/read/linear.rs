//! Matrices on vectors: `Gemm` and `MatMul`.

use super::attention;
use super::constant::Constant;
use super::draft::Weights;
use super::lowering::Lowering;
use super::node::Node;
use super::value::{Activation, Transformed, Value};
use super::view::{Axis, View};
use crate::arch::op::{Op, Shape, Window};

/// `alpha x W + beta b`, with `W` transposed or not.
pub fn gemm(low: &mut Lowering<'_>, node: &Node<'_>) -> Result<Value, String> {
    node.only("transA", 0)?;
    let (alpha, beta) = (node.float("alpha", 1.0)?, node.float("beta", 1.0)?);
    let x = low.settled(node, 0)?;
    if x.view.axes.len() != 2 {
        return Err(format!("takes [n, features], got [{}]", x.view.words()));
    }
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

/// `x W`, whose bias is an `Add` after it; a matrix times planes from either side; or attention.
pub fn matmul(low: &mut Lowering<'_>, node: &Node<'_>) -> Result<Value, String> {
    match (low.value(node, 0)?.clone(), low.value(node, 1)?.clone()) {
        (Value::Constant(left), Value::Activation(_)) => {
            Ok(Value::Transformed(Transformed { image: low.planes(node, 1)?, left, right: None }))
        }
        (Value::Transformed(turned @ Transformed { right: None, .. }), Value::Constant(right)) => {
            Ok(Value::Transformed(Transformed { right: Some(right), ..turned }))
        }
        (Value::Activation(_), Value::Constant(_)) => {
            let x = low.settled(node, 0)?;
            let matrix = matrix(low, node, false)?;
            layer(low, node, &x, matrix, None)
        }
        _ => attention::product(low, node),
    }
}

impl Lowering<'_> {
    /// Planes multiplied by constant matrices, `left X right`, as layers.
    pub fn made_of_matrices(&mut self, node: &Node<'_>, planes: Transformed) -> Result<Activation, String> {
        let of = |constant: &Constant, transposed: bool| -> Result<(Vec<f32>, [usize; 2]), String> {
            let &[rows, columns] = &constant.dims[..] else {
                return Err(format!("multiplies by a constant of shape {:?}, expected a matrix", constant.dims));
            };
            let values = constant.floats()?;
            Ok(match transposed {
                true => (turned(values, [rows, columns]), [columns, rows]),
                false => (values.to_vec(), [rows, columns]),
            })
        };
        let rows_last = |x: Activation| {
            let view = x.view.transposed(&[0, 1, 3, 2]).ok_or("is of no planes")?;
            Ok::<_, String>(Activation { view, ..x })
        };
        // A product from the left is one of the columns.
        let image = rows_last(planes.image)?;
        let mut made = layer(self, node, &image, of(&planes.left, true)?, None)?;
        if let Value::Activation(x) = made {
            made = Value::Activation(rows_last(x)?);
        }
        if let (Value::Activation(x), Some(right)) = (&made, &planes.right) {
            made = layer(self, node, &x.clone(), of(right, false)?, None)?;
        }
        match made {
            Value::Activation(x) => Ok(x),
            _ => Err("is no activation".into()),
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

/// The transpose of a matrix.
pub fn turned<T: Copy>(values: &[T], [rows, columns]: [usize; 2]) -> Vec<T> {
    (0..columns).flat_map(|column| (0..rows).map(move |row| values[row * columns + column])).collect()
}

/// The layer: on channels a 1x1 convolution; on all entries of an image, in any order, a convolution with a kernel of
/// the image's size, which is the same sum.
fn layer(
    low: &mut Lowering<'_>,
    node: &Node<'_>,
    x: &Activation,
    (weight, [fan, out]): (Vec<f32>, [usize; 2]),
    bias: Option<Vec<f32>>,
) -> Result<Value, String> {
    let Shape { h, w, c } = low.shape(x);
    let Some((last, others)) = x.view.axes.split_last() else { return Err("takes a scalar".into()) };
    if fan != last.len() || last.has_images() || out == 0 {
        return Err(format!("has the matrix [{fan}, {out}] for {} features", last.len()));
    }
    if *last != Axis::channels(c) && others.iter().any(|a| a.len() > 1) {
        let channels = low.with_channels(x.clone(), others.len())?;
        return layer(low, node, &channels, (weight, [fan, out]), bias);
    }
    let has_bias = bias.is_some();
    let with = |weight| Weights { trainable: std::iter::once(weight).chain(bias).collect(), running: None };
    if *last == Axis::channels(c) {
        let view = x.view.with_channels(c, out);
        let op = match h * w {
            1 => Op::Linear { out, bias: has_bias },
            _ => Op::Conv2d { out, window: Window::square(1, 1, 0), groups: 1, bias: has_bias },
        };
        return low.push(node, op, &[x.layer], with(weight), view);
    }
    let mut own = vec![0f32; h * w * c * out];
    for (entry, row) in x.view.order().into_iter().zip(weight.chunks_exact(out)) {
        // An entry that is seen several times has the sum of its rows.
        own[entry * out..][..out].iter_mut().zip(row).for_each(|(sum, w)| *sum += w);
    }
    let window = Window { kernel: [h, w], stride: [1; 2], pad: [0; 2], dilation: [1; 2] };
    let op = Op::Conv2d { out, window, groups: 1, bias: has_bias };
    let axes = others.iter().cloned().chain([Axis::channels(out)]).collect();
    low.push(node, op, &[x.layer], with(own), View { axes })
}
