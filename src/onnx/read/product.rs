//! Products of two activations, and the operations that are recognised by them.

use super::arrays::over;
use super::constant::Constant;
use super::draft::Weights;
use super::lowering::Lowering;
use super::node::Node;
use super::value::{Activation, Length, Transformed, Value};
use crate::arch::fourier::flc_matrix;
use crate::arch::op::{Act, Op, Shape};

/// The largest epsilon of a division by a length; a larger one would not only avoid a division by zero.
pub const LEAST: f32 = 1e-6;

/// `Mul` of activations: entry by entry, or of planes with one value per channel; SiLU and GELU, recognised by their
/// factors.
pub fn mul(low: &mut Lowering<'_>, node: &Node<'_>) -> Result<Value, String> {
    for (at, other) in [(0, 1), (1, 0)] {
        if let Some(found) = gated(low, node, at, other)? {
            return Ok(found);
        }
    }
    let (x, y) = (low.settled(node, 0)?, low.settled(node, 1)?);
    for (whole, factor) in [(&x, &y), (&y, &x)] {
        let shape = low.shape(whole);
        let numbers = low.shape(factor).len() == shape.c && shape.area() > 1;
        let sides = (whole.view.sides(low.images()), factor.view.sides(low.images()));
        if numbers
            && over(&sides.0, &sides.1).as_ref() == Some(&sides.0)
            && whole.view.of_one_pixel(shape.c).once() == factor.view.once()
        {
            let factor = low.reshaped(factor.clone(), Shape::new(1, 1, shape.c))?;
            return low.push(node, Op::Mul, &[whole.layer, factor.layer], Weights::default(), whole.view.clone());
        }
    }
    let mut pair = low.alike(vec![x, y])?.into_iter();
    let (Some(x), Some(y)) = (pair.next(), pair.next()) else { return Err("has no two factors".into()) };
    let shape = low.shape(&x);
    let y = low.reshaped(y, shape)?;
    low.push(node, Op::Mul, &[x.layer, y.layer], Weights::default(), x.view)
}

/// `x sigmoid(x)`, or `x (1 + erf(x / sqrt 2))` times a factor.
fn gated(low: &mut Lowering<'_>, node: &Node<'_>, at: usize, other: usize) -> Result<Option<Value>, String> {
    let (x, gate) = (low.unpadded(node, at)?, low.unpadded(node, other)?);
    if x.view != gate.view || x.unit.is_some() || gate.unit.is_some() {
        return Ok(None);
    }
    let (op, source) = low.draft.made_by(gate.layer);
    match op {
        Op::Act { act: Act::Sigmoid } if source == Some(x.layer) && x.affine.is_none() && gate.affine.is_none() => {
            let silu = Op::Act { act: Act::Silu };
            low.push(node, silu, &[x.layer], Weights::default(), x.view).map(Some)
        }
        Op::Act { act: Act::Erf } => {
            let Some(inside) = source else { return Ok(None) };
            let (Op::Normalize { mean, std }, Some(inner)) = low.draft.made_by(inside) else { return Ok(None) };
            let halved =
                mean.iter().all(|m| *m == 0.0) && std.iter().all(|s| (s - std::f32::consts::SQRT_2).abs() < 1e-6);
            let affine = (x.affine.as_ref().map(|l| l.uniform()), gate.affine.as_ref().and_then(|l| l.uniform()));
            let (of_x, Some((gain, shift))) = affine else { return Ok(None) };
            let Some((factor, 0.0)) = of_x.unwrap_or(Some((1.0, 0.0))) else { return Ok(None) };
            if inner != x.layer || !halved || gain != shift {
                return Ok(None);
            }
            let layer = low.draft.push(node.name, Op::Act { act: Act::Gelu }, &[x.layer], Weights::default())?;
            let gelu = Activation::new(layer, x.view);
            Ok(Some(low.affine(gelu, |_, scale, _| *scale *= 2.0 * factor * gain)))
        }
        _ => Ok(None),
    }
}

/// `x / |x|` along the last axis: read by attention over channels as it is, by others as a layer.
pub fn unit(x: &Activation, length: &Activation) -> Result<Value, String> {
    let plain = x.affine.is_none() && x.pad.is_none() && x.unit.is_none();
    if x.layer != length.layer || x.view != length.view || !plain {
        return Err("divides by a length that is not its own".into());
    }
    Ok(Value::Activation(Activation { unit: x.view.axes.last().cloned(), ..x.clone() }))
}

/// `ReduceL2` along the last axis.
pub fn length(low: &mut Lowering<'_>, node: &Node<'_>) -> Result<Value, String> {
    let axes = low.axes(node)?.unwrap_or_default();
    let of = low.settled(node, 0)?;
    let last = of.view.axes.len() as i64 - 1;
    if axes != [-1] && axes != [last] || node.int("keepdims", 1)? == 0 {
        return Err(format!("over the axes {axes:?} is not supported, only over the last one, which stays"));
    }
    Ok(Value::Length(Length { of, spread: false }))
}

/// Low-frequency-cut pooling, if it is that: `Re(A X B^T)` as a difference of real products with its matrices.
pub fn spectral_pool(
    low: &mut Lowering<'_>,
    node: &Node<'_>,
    re: &Transformed,
    im: &Transformed,
) -> Result<Option<Value>, String> {
    let shape = low.shape(&re.image);
    let same = re.image.layer == im.image.layer;
    for hamming in [false, true] {
        if !same || shape.h < 2 || shape.w < 2 {
            break;
        }
        let (rows, columns) = (flc_matrix(shape.h, hamming), flc_matrix(shape.w, hamming).transposed());
        let is = |constant: &Constant, values: &[f64], sides: [usize; 2]| {
            let close = |found: &[f32]| found.iter().zip(values).all(|(f, v)| (f64::from(*f) - v).abs() < 1e-6);
            constant.dims == sides && constant.floats().is_ok_and(close)
        };
        let fits = |turned: &Transformed, left: &[f64], right: &[f64]| {
            is(&turned.left, left, rows.sides)
                && turned.right.as_ref().is_some_and(|found| is(found, right, columns.sides))
        };
        if fits(re, &rows.re, &columns.re) && fits(im, &rows.im, &columns.im) {
            let layer = low.draft.push(node.name, Op::FlcPool { hamming }, &[re.image.layer], Weights::default())?;
            let shape = low.draft.shape(layer);
            return Ok(Some(Value::Activation(Activation::new(layer, low.planes_of(shape)))));
        }
    }
    Ok(None)
}
