//! Operations that look at one place at a time: arithmetic, batch-norm, ReLU; and channels side by side.

use super::constant::Constant;
use super::draft::Weights;
use super::lowering::Lowering;
use super::node::Node;
use super::value::{Activation, EPSILON, Sides, Value, View};
use crate::arch::op::{Act, Op};

/// The four arithmetic operations.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Arithmetic {
    /// `Add`.
    Add,
    /// `Sub`.
    Sub,
    /// `Mul`.
    Mul,
    /// `Div`.
    Div,
}

/// A sum of two activations, or arithmetic with a number per channel.
pub fn arithmetic(low: &mut Lowering<'_>, node: &Node<'_>, what: Arithmetic) -> Result<Value, String> {
    let constant = |at: usize| match low.value(node, at) {
        Ok(Value::Constant(constant)) => Ok(Some(constant.clone())),
        Ok(_) => Ok(None),
        Err(why) => Err(why),
    };
    match (constant(0)?, constant(1)?) {
        (None, None) if what == Arithmetic::Add => sum(low, node),
        (None, None) => Err("of two activations is not supported; only with a constant per channel".into()),
        (None, Some(right)) => behind(low, node, 0, &right, what),
        (Some(left), None) => match what {
            Arithmetic::Div => Err("divides by an activation, which is not supported".into()),
            // `c - x` is `-x + c`.
            Arithmetic::Sub => {
                let x = low.unpadded(node, 1)?;
                let negative = low.line(x, |_, scale, shift| (*scale, *shift) = (-*scale, -*shift));
                let Value::Activation(x) = negative else { return Err("is no activation".into()) };
                let numbers = per_channel(low, &x, &left)?;
                Ok(low.line(x, |k, _, shift| *shift += numbers[k]))
            }
            Arithmetic::Add | Arithmetic::Mul => behind(low, node, 1, &left, what),
        },
        (Some(_), Some(_)) => Err("has two constants; simplify the model, so that constants are folded".into()),
    }
}

/// `x what constant`.
fn behind(
    low: &mut Lowering<'_>,
    node: &Node<'_>,
    at: usize,
    constant: &Constant,
    what: Arithmetic,
) -> Result<Value, String> {
    let x = low.unpadded(node, at)?;
    let numbers = per_channel(low, &x, constant)?;
    // A bias of its own behind a layer without one.
    if what == Arithmetic::Add && x.line.is_none() && low.is_only_reader(node.input(at).unwrap_or_default(), x.layer) {
        let bias: Vec<f32> = numbers.iter().map(|v| *v as f32).collect();
        if low.draft.add_bias(x.layer, &bias) {
            return Ok(Value::Activation(x));
        }
    }
    Ok(low.line(x, |k, scale, shift| match what {
        Arithmetic::Add => *shift += numbers[k],
        Arithmetic::Sub => *shift -= numbers[k],
        Arithmetic::Mul => (*scale, *shift) = (*scale * numbers[k], *shift * numbers[k]),
        Arithmetic::Div => (*scale, *shift) = (*scale / numbers[k], *shift / numbers[k]),
    }))
}

/// A constant as a number for every channel of an activation.
fn per_channel(low: &Lowering<'_>, x: &Activation, constant: &Constant) -> Result<Vec<f64>, String> {
    let (shape, values) = (low.shape(x), constant.floats()?);
    let rank = low.sides(x).list.len();
    if let [one] = values
        && constant.dims.len() <= rank
    {
        return Ok(vec![f64::from(*one); shape.c]);
    }
    let fits = match (x.view, &constant.dims[..]) {
        (View::Planes, [1, c, 1, 1] | [c, 1, 1]) => *c == shape.c,
        (View::Flat, [1, c] | [c]) => *c == shape.c && shape.area() == 1,
        _ => false,
    };
    if fits {
        return Ok(values.iter().map(|v| f64::from(*v)).collect());
    }
    let expected = match x.view {
        View::Planes => format!("[1, {}, 1, 1]", shape.c),
        View::Flat => format!("[{}]", shape.c),
    };
    Err(format!("has a constant of shape {:?}; expected one number, or one a channel: {expected}", constant.dims))
}

/// `Sum`, and `Add` of activations.
pub fn sum(low: &mut Lowering<'_>, node: &Node<'_>) -> Result<Value, String> {
    let (layers, view) = all(low, node)?;
    low.push(node, Op::Add, &layers, Weights::default(), view)
}

/// `Concat` of channels, or of sides.
pub fn concat(low: &mut Lowering<'_>, node: &Node<'_>) -> Result<Value, String> {
    let axis = node.int("axis", 0)?;
    if (0..node.inputs().len()).any(|at| matches!(low.value(node, at), Ok(Value::Sides(_)))) {
        let mut list = Vec::new();
        for at in 0..node.inputs().len() {
            match low.value(node, at)? {
                Value::Sides(sides) => list.extend(&sides.list),
                Value::Constant(constant) => list.extend(constant.ints()?),
                Value::Activation(_) => return Err("puts an activation beside its own shape".into()),
            }
        }
        return Ok(Value::Sides(Sides { list, scalar: false }));
    }
    let (layers, view) = all(low, node)?;
    let rank = if view == View::Planes { 4 } else { 2 };
    if axis != 1 && axis != 1 - rank {
        return Err(format!("axis={axis} is not supported, only axis=1, the channels"));
    }
    // Flat planes hold channel after channel, so side by side they are still those of all channels.
    low.push(node, Op::Concat, &layers, Weights::default(), view)
}

/// All inputs, which must be activations of one view.
fn all(low: &mut Lowering<'_>, node: &Node<'_>) -> Result<(Vec<usize>, View), String> {
    let mut layers = Vec::new();
    let mut view = None;
    for at in 0..node.inputs().len() {
        let x = low.settled(node, at)?;
        if *view.get_or_insert(x.view) != x.view {
            return Err("takes [n, c, h, w] together with [n, features]".into());
        }
        layers.push(x.layer);
    }
    Ok((layers, view.ok_or("has no inputs")?))
}

/// `Relu`.
pub fn relu(low: &mut Lowering<'_>, node: &Node<'_>) -> Result<Value, String> {
    let x = low.settled(node, 0)?;
    low.push(node, Op::Act { act: Act::Relu }, &[x.layer], Weights::default(), x.view)
}

/// `BatchNormalization` as it is in use. The engine's epsilon is fixed: the difference goes into the variance.
pub fn batch_norm(low: &mut Lowering<'_>, node: &Node<'_>) -> Result<Value, String> {
    node.only("training_mode", 0)?;
    let x = low.settled(node, 0)?;
    let shape = low.shape(&x);
    if x.view == View::Flat && shape.area() != 1 {
        return Err(format!("of [n, {}] that was {} planes is not supported", shape.len(), shape.c));
    }
    let trainable = vec![low.vector(node, 1, shape.c)?, low.vector(node, 2, shape.c)?];
    let (mean, mut variance) = (low.vector(node, 3, shape.c)?, low.vector(node, 4, shape.c)?);
    let epsilon = f64::from(node.float("epsilon", EPSILON as f32)?);
    // What is left of 1e-5 in single precision is no difference.
    if (epsilon - EPSILON).abs() > 1e-11 {
        variance.iter_mut().for_each(|v| *v = (f64::from(*v) + epsilon - EPSILON) as f32);
    }
    let weights = Weights { trainable, running: Some([mean, variance]) };
    low.push(node, Op::BatchNorm { affine: true }, &[x.layer], weights, x.view)
}
