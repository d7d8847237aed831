//! Element-wise operations, arithmetic and activations; and concatenation.

use super::constant::Constant;
use super::draft::Weights;
use super::lowering::Lowering;
use super::node::Node;
use super::product;
use super::value::{Activation, Affine, Sides, Value};
use super::view::{Axis, View};
use crate::arch::op::{Act, Op, Shape};

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

/// Arithmetic of two activations, or of one with a constant.
pub fn arithmetic(low: &mut Lowering<'_>, node: &Node<'_>, what: Arithmetic) -> Result<Value, String> {
    match (low.value(node, 0)?.clone(), low.value(node, 1)?.clone()) {
        (Value::Constant(_), Value::Constant(_)) => {
            Err("has two constants; simplify the model, so that constants are folded".into())
        }
        (Value::Scores(scores), Value::Constant(c)) | (Value::Constant(c), Value::Scores(scores))
            if what == Arithmetic::Mul =>
        {
            scores.times(c.floats()?)
        }
        (Value::Scores(scores), Value::Constant(c)) if what == Arithmetic::Div => {
            scores.times(&c.floats()?.iter().map(|v| 1.0 / v).collect::<Vec<_>>())
        }
        (Value::Transformed(a), Value::Transformed(b)) if what == Arithmetic::Sub => {
            product::spectral_pool(low, node, &a, &b)
        }
        (Value::Activation(x), Value::Length(y)) if what == Arithmetic::Div => product::unit(&x, &y),
        (_, Value::Constant(right)) => with_constant(low, node, 0, &right, what),
        (Value::Constant(left), _) => match what {
            Arithmetic::Div => Err("divides by an activation, which is not supported".into()),
            // `c - x` is `-x + c`.
            Arithmetic::Sub => {
                let x = low.unpadded(node, 1)?;
                let negative = low.affine(x, |_, scale, shift| (*scale, *shift) = (-*scale, -*shift));
                let Value::Activation(x) = negative else { return Err("is not an activation".into()) };
                let values = per_channel(low, &x, &left)?;
                Ok(low.affine(x, |k, _, shift| *shift += values[k]))
            }
            Arithmetic::Add | Arithmetic::Mul => with_constant(low, node, 1, &left, what),
        },
        _ => match what {
            Arithmetic::Add => sum(low, node),
            Arithmetic::Sub => {
                let (x, y) = (low.settled(node, 0)?, low.unpadded(node, 1)?);
                let negative = low.affine(y, |_, scale, shift| (*scale, *shift) = (-*scale, -*shift));
                let Value::Activation(y) = negative else { return Err("is not an activation".into()) };
                let y = low.apply("", y)?;
                add(low, node, vec![x, y])
            }
            Arithmetic::Mul => product::mul(low, node),
            Arithmetic::Div => Err("divides by an activation, which is not supported".into()),
        },
    }
}

/// `x what constant`.
fn with_constant(
    low: &mut Lowering<'_>,
    node: &Node<'_>,
    at: usize,
    constant: &Constant,
    what: Arithmetic,
) -> Result<Value, String> {
    let x = low.unpadded(node, at)?;
    let values = match per_channel(low, &x, constant) {
        Ok(values) => values,
        Err(why) if matches!(what, Arithmetic::Add | Arithmetic::Sub) => {
            return position(low, node, at, constant, what)?.ok_or(why);
        }
        Err(why) => return Err(why),
    };
    // The bias of a layer without one.
    if what == Arithmetic::Add && x.affine.is_none() && low.is_only_reader(node.input(at).unwrap_or_default(), x.layer)
    {
        let bias: Vec<f32> = values.iter().map(|v| *v as f32).collect();
        if low.draft.add_bias(x.layer, &bias) {
            return Ok(Value::Activation(x));
        }
    }
    Ok(low.affine(x, |k, scale, shift| match what {
        Arithmetic::Add => *shift += values[k],
        Arithmetic::Sub => *shift -= values[k],
        Arithmetic::Mul => (*scale, *shift) = (*scale * values[k], *shift * values[k]),
        Arithmetic::Div => (*scale, *shift) = (*scale / values[k], *shift / values[k]),
    }))
}

/// A constant as one value per channel of an activation.
fn per_channel(low: &Lowering<'_>, x: &Activation, constant: &Constant) -> Result<Vec<f64>, String> {
    let (c, values, rank) = (low.shape(x).c, constant.floats()?, x.view.axes.len());
    if let [one] = values
        && constant.dims.len() <= rank
    {
        return Ok(vec![f64::from(*one); c]);
    }
    let place = x.view.axes.iter().rposition(|a| *a == Axis::channels(c));
    // From the last axis, as ONNX broadcasts.
    let behind = place.map(|at| rank - at);
    let mut dims = constant.dims.iter().rev().enumerate();
    let fits = dims.all(|(at, d)| *d == if Some(at + 1) == behind { c } else { 1 });
    if fits && values.len() == c && constant.dims.len() <= rank {
        return Ok(values.iter().map(|v| f64::from(*v)).collect());
    }
    let sides: Vec<String> = (0..rank)
        .map(|at| if Some(at) == place { c.to_string() } else { "1".into() })
        .skip(place.unwrap_or(0))
        .collect();
    let expected = if rank == 4 { format!("1, {}", sides.join(", ")) } else { sides.join(", ") };
    Err(format!(
        "has a constant of shape {:?}; expected a scalar, or one value per channel: [{expected}]",
        constant.dims
    ))
}

/// A sum with a constant of the activation's shape (position embedding), if it is one.
fn position(
    low: &mut Lowering<'_>,
    node: &Node<'_>,
    at: usize,
    constant: &Constant,
    what: Arithmetic,
) -> Result<Option<Value>, String> {
    let x = low.settled(node, at)?;
    let sides = x.view.sides(1);
    let images = x.view.axes.iter().position(Axis::has_images).unwrap_or(0);
    let lead = sides.len().checked_sub(constant.dims.len());
    let same = lead.is_some_and(|lead| {
        lead <= images + 1 && sides[lead..].iter().zip(&constant.dims).all(|(s, d)| *s == *d as i64)
    });
    if !same || images > 0 || low.shape(&x).len() != constant.len() {
        return Ok(None);
    }
    let sign = if what == Arithmetic::Sub { -1.0 } else { 1.0 };
    let mut own = vec![0f32; constant.len()];
    for (entry, value) in x.view.order().into_iter().zip(constant.floats()?) {
        own[entry] = sign * value;
    }
    let weights = Weights { trainable: vec![own], running: None };
    low.push(node, Op::Position, &[x.layer], weights, x.view).map(Some)
}

/// `Sum`, and `Add` of activations; constants among them have one value per channel.
pub fn sum(low: &mut Lowering<'_>, node: &Node<'_>) -> Result<Value, String> {
    let (mut list, mut constants) = (Vec::new(), Vec::new());
    for at in 0..node.inputs().len() {
        match low.value(node, at)? {
            Value::Constant(constant) => constants.push(constant.clone()),
            _ => list.push(low.settled(node, at)?),
        }
    }
    let mut sum = add(low, node, list)?;
    for constant in constants {
        let Value::Activation(x) = sum else { return Err("is not an activation".into()) };
        let values = per_channel(low, &x, &constant)?;
        sum = low.affine(x, |k, _, shift| *shift += values[k]);
    }
    Ok(sum)
}

/// A sum of activations with the same view.
fn add(low: &mut Lowering<'_>, node: &Node<'_>, list: Vec<Activation>) -> Result<Value, String> {
    let first = list.first().cloned().ok_or("adds no activations")?;
    let shape = low.shape(&first);
    let mut layers = Vec::new();
    for mut x in list {
        if x.view != first.view {
            let (own, other) = (first.view.words(), x.view.words());
            x = low.as_planes(x)?;
            if x.view != first.view {
                return Err(format!("takes [{own}] together with [{other}], or with entries in another order"));
            }
        }
        layers.push(low.reshaped(x, shape)?.layer);
    }
    low.push(node, Op::Add, &layers, Weights::default(), first.view)
}

/// `Concat` of channels, of a token and tokens, or of shapes.
pub fn concat(low: &mut Lowering<'_>, node: &Node<'_>) -> Result<Value, String> {
    let axis = node.int("axis", 0)?;
    let count = node.inputs().len();
    if (0..count).any(|at| matches!(low.value(node, at), Ok(Value::Sides(_)))) {
        let mut list = Vec::new();
        for at in 0..count {
            match low.value(node, at)? {
                Value::Sides(sides) => list.extend(&sides.list),
                Value::Constant(constant) => list.extend(constant.ints()?),
                _ => return Err("puts an activation beside its own shape".into()),
            }
        }
        return Ok(Value::Sides(Sides { list, scalar: false }));
    }
    if count == 2 && matches!(low.value(node, 0)?, Value::Constant(_)) {
        return class_token(low, node, axis);
    }
    let mut list = Vec::new();
    for at in 0..count {
        list.push(low.settled(node, at)?);
    }
    let first = list.first().cloned().ok_or("has no inputs")?;
    let shape = low.shape(&first);
    let rank = first.view.axes.len() as i64;
    let all: usize = list.iter().map(|x| low.shape(x).c).sum();
    let is_flat = |x: &Activation| x.view == View::flat(low.shape(x));
    let place = place_of(axis, rank);
    // Flattened planes are channel-major, so their concatenation is that of the channels.
    let view = if place == 1 && list.iter().all(is_flat) {
        View::flat(Shape { c: all, ..shape })
    } else {
        let seen = |x: &Activation| {
            let c = low.shape(x).c;
            let own = x.view.axes.iter().rposition(|a| *a == Axis::channels(c));
            (own.map(|at| at as i64) == Some(place)).then(|| x.view.with_channels(c, all))
        };
        let views: Option<Vec<View>> = list.iter().map(seen).collect();
        match views {
            Some(views) if views.iter().all(|v| *v == views[0]) => views[0].clone(),
            _ => return Err(format!("axis={axis} of [{}] is not supported, only the channels", first.view.words())),
        }
    };
    let mut layers = Vec::new();
    for x in list {
        let c = low.shape(&x).c;
        layers.push(low.reshaped(x, Shape { c, ..shape })?.layer);
    }
    low.push(node, Op::Concat, &layers, Weights::default(), view)
}

fn place_of(axis: i64, rank: i64) -> i64 {
    if axis < 0 { axis + rank } else { axis }
}

/// A learned token before all pixels.
fn class_token(low: &mut Lowering<'_>, node: &Node<'_>, axis: i64) -> Result<Value, String> {
    let x = low.settled(node, 1)?;
    let token = low.constant(node, 0)?;
    let (shape, rank) = (low.shape(&x), x.view.axes.len() as i64);
    let place = usize::try_from(place_of(axis, rank)).ok().filter(|at| *at < x.view.axes.len());
    let pixels = place.filter(|at| x.view.axes[*at] == Axis::pixels(shape));
    let (Some(place), true) = (pixels, token.len() == shape.c) else {
        return Err(format!("of a constant {:?} and [{}] is not a class token", token.dims, x.view.words()));
    };
    let weights = Weights { trainable: vec![token.floats()?.to_vec()], running: None };
    let mut view = x.view.clone();
    view.axes[place] = Axis::steps(1 + shape.area(), shape.c);
    low.push(node, Op::ClassToken, &[x.layer], weights, view)
}

/// A point-wise activation.
pub fn act(low: &mut Lowering<'_>, node: &Node<'_>, act: Act) -> Result<Value, String> {
    let x = low.settled(node, 0)?;
    low.push(node, Op::Act { act }, &[x.layer], Weights::default(), x.view)
}

/// `Gelu`, exact or by the hyperbolic tangent.
pub fn gelu(low: &mut Lowering<'_>, node: &Node<'_>) -> Result<Value, String> {
    match node.text("approximate", "none")?.as_str() {
        "none" => act(low, node, Act::Gelu),
        "tanh" => act(low, node, Act::GeluTanh),
        other => Err(format!("approximate={other} is not supported")),
    }
}

/// `Clip`; with zero as the only bound it is a ReLU.
pub fn clip(low: &mut Lowering<'_>, node: &Node<'_>) -> Result<Value, String> {
    let bound = |low: &Lowering<'_>, at: usize| -> Result<Option<f32>, String> {
        if node.input(at).is_none() { Ok(None) } else { Ok(Some(low.vector(node, at, 1)?[0])) }
    };
    let bounds = (bound(low, 1)?, bound(low, 2)?);
    if let (Value::Length(x), (Some(least), None)) = (low.value(node, 0)?, bounds) {
        // Avoids a division by zero.
        return if least <= product::LEAST { Ok(Value::Length(x.clone())) } else { Err("limits a length".into()) };
    }
    let x = low.settled(node, 0)?;
    let op = match bounds {
        (Some(0.0), None) => Op::Act { act: Act::Relu },
        (min, max) => Op::Clip { min: min.unwrap_or(f32::MIN), max: max.unwrap_or(f32::MAX) },
    };
    low.push(node, op, &[x.layer], Weights::default(), x.view)
}

/// `max(0, min(1, alpha x + beta))`, and that times `x`.
pub fn hard_sigmoid(low: &mut Lowering<'_>, node: &Node<'_>, swish: bool) -> Result<Value, String> {
    let (alpha, beta) = match swish {
        true => (1.0 / 6.0, 0.5),
        false => (f64::from(node.float("alpha", 0.2)?), f64::from(node.float("beta", 0.5)?)),
    };
    let x = low.settled(node, 0)?;
    let c = low.shape(&x).c;
    let affine = Some(Affine { scale: vec![alpha; c], shift: vec![beta; c] });
    let gate = low.apply("", Activation { affine, ..x.clone() })?;
    let op = Op::Clip { min: 0.0, max: 1.0 };
    if !swish {
        return low.push(node, op, &[gate.layer], Weights::default(), x.view);
    }
    let gate = low.draft.push("", op, &[gate.layer], Weights::default())?;
    low.push(node, Op::Mul, &[x.layer, gate], Weights::default(), x.view)
}

/// `alpha x + (1 - alpha) max(x, 0)`.
pub fn leaky_relu(low: &mut Lowering<'_>, node: &Node<'_>) -> Result<Value, String> {
    let alpha = f64::from(node.float("alpha", 0.01)?);
    let x = low.settled(node, 0)?;
    let c = low.shape(&x).c;
    let scaled = |scale: f64| Some(Affine { scale: vec![scale; c], shift: vec![0.0; c] });
    let relu = low.draft.push("", Op::Act { act: Act::Relu }, &[x.layer], Weights::default())?;
    let own = low.apply("", Activation { affine: scaled(alpha), ..x.clone() })?;
    let relu = low.apply("", Activation { layer: relu, affine: scaled(1.0 - alpha), ..x.clone() })?;
    low.push(node, Op::Add, &[own.layer, relu.layer], Weights::default(), x.view)
}

/// `Pow` with a small whole exponent: a product.
pub fn pow(low: &mut Lowering<'_>, node: &Node<'_>) -> Result<Value, String> {
    let exponent = low.vector(node, 1, 1)?[0];
    let times = [2.0, 3.0].iter().position(|e| *e == exponent);
    let times = times.ok_or_else(|| format!("by {exponent} is not supported, only by 2 or 3"))?;
    let x = low.settled(node, 0)?;
    let mut layer = x.layer;
    for _ in 0..times {
        layer = low.draft.push("", Op::Mul, &[x.layer, layer], Weights::default())?;
    }
    low.push(node, Op::Mul, &[x.layer, layer], Weights::default(), x.view)
}
