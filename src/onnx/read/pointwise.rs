//! Element-wise operations, arithmetic and activations; and concatenation.

use super::arrays::over;
use super::concat::constant_of;
use super::constant::Constant;
use super::draft::Weights;
use super::lowering::Lowering;
use super::node::Node;
use super::product;
use super::value::{Activation, Affine, Value};
use super::view::Axis;
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

/// Arithmetic of two activations, or of one with a constant.
pub fn arithmetic(low: &mut Lowering<'_>, node: &Node<'_>, what: Arithmetic) -> Result<Value, String> {
    // The same numbers for every image, whether they are laid over them or not.
    let plain = |value: &Value| match value {
        Value::Repeated(constant) => Value::Constant(constant.clone()),
        other => other.clone(),
    };
    let pair = (plain(low.value(node, 0)?), plain(low.value(node, 1)?));
    // Attention takes a factor over; other scores become layers.
    let scores = match (&pair.0, &pair.1, what) {
        (Value::Scores(scores), Value::Constant(c), Arithmetic::Mul)
        | (Value::Constant(c), Value::Scores(scores), Arithmetic::Mul) => scores.times(c, |v| v).ok(),
        (Value::Scores(scores), Value::Constant(c), Arithmetic::Div) => scores.times(c, |v| 1.0 / v).ok(),
        _ => None,
    };
    let pool = match (&pair.0, &pair.1, what) {
        (Value::Transformed(a), Value::Transformed(b), Arithmetic::Sub) => product::spectral_pool(low, node, a, b)?,
        _ => None,
    };
    if let Some(known) = scores.or(pool) {
        return Ok(known);
    }
    match pair {
        (Value::Activation(x), Value::Length(y)) if what == Arithmetic::Div => product::unit(&x, &y.of),
        (_, Value::Constant(right)) => with_constant(low, node, 0, &right, what),
        (Value::Constant(left), _) => match what {
            Arithmetic::Div => Err("divides by an activation, which is not supported".into()),
            // `c - x` is `-x + c`.
            Arithmetic::Sub => {
                let x = fitted(low, node, 1, &left)?;
                let negative = low.affine(x, |_, scale, shift| (*scale, *shift) = (-*scale, -*shift));
                let Value::Activation(x) = negative else { return Err("is no activation".into()) };
                plus(low, node, x, &left)
            }
            Arithmetic::Add | Arithmetic::Mul => with_constant(low, node, 1, &left, what),
        },
        _ => match what {
            Arithmetic::Add => sum(low, node),
            Arithmetic::Sub => {
                let (x, y) = (low.settled(node, 0)?, low.unpadded(node, 1)?);
                let negative = low.affine(y, |_, scale, shift| (*scale, *shift) = (-*scale, -*shift));
                let Value::Activation(y) = negative else { return Err("is no activation".into()) };
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
    let x = fitted(low, node, at, constant)?;
    let values = match per_channel(low, &x, constant) {
        Ok(values) => values,
        Err(why) => return entry_by_entry(low, node, x, constant, what)?.ok_or(why),
    };
    // A bias of its own behind a layer without one.
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

/// An activation on which a constant has its place: where the constant has more sides, or sees copies apart, they are made.
fn fitted(low: &mut Lowering<'_>, node: &Node<'_>, at: usize, constant: &Constant) -> Result<Activation, String> {
    let x = low.unpadded(node, at)?;
    let own = x.view.sides(low.images());
    let dims: Vec<i64> = constant.dims.iter().map(|d| *d as i64).collect();
    let sides = over(&own, &dims).ok_or_else(|| {
        format!("of [{}] and a constant of shape {:?} is not possible", x.view.words(), constant.dims)
    })?;
    let copies = x.view.axes.iter().any(Axis::is_repeated) && constant.len() > 1;
    if sides == own && !copies {
        return Ok(x);
    }
    let x = low.apply(node.input(at).unwrap_or_default(), x)?;
    let laid = low.laid(x, &sides)?;
    match low.as_planes_in_order(laid.clone()) {
        Err(_) => low.copies_made(laid),
        planes => planes,
    }
}

/// A constant as a number for every channel of an activation.
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

/// Arithmetic with a constant that has a number for every entry, such as a position embedding, if it is one.
fn entry_by_entry(
    low: &mut Lowering<'_>,
    node: &Node<'_>,
    x: Activation,
    constant: &Constant,
    what: Arithmetic,
) -> Result<Option<Value>, String> {
    let x = low.apply("", x)?;
    let Some(mut numbers) = low.laid_over(&x, constant)? else { return Ok(None) };
    match what {
        Arithmetic::Add => {}
        Arithmetic::Sub => numbers.iter_mut().for_each(|v| *v = -*v),
        Arithmetic::Mul | Arithmetic::Div => {
            if what == Arithmetic::Div {
                numbers.iter_mut().for_each(|v| *v = 1.0 / *v);
            }
            let numbers = low.numbers(x.layer, numbers)?;
            return low.push(node, Op::Mul, &[x.layer, numbers], Weights::default(), x.view).map(Some);
        }
    }
    let weights = Weights { trainable: vec![numbers], running: None };
    low.push(node, Op::Position, &[x.layer], weights, x.view).map(Some)
}

/// The sum with a constant that has a number for every channel, or for every entry.
fn plus(low: &mut Lowering<'_>, node: &Node<'_>, x: Activation, constant: &Constant) -> Result<Value, String> {
    match per_channel(low, &x, constant) {
        Ok(values) => Ok(low.affine(x, |k, _, shift| *shift += values[k])),
        Err(why) => entry_by_entry(low, node, x, constant, Arithmetic::Add)?.ok_or(why),
    }
}

/// `Sum`, and `Add` of activations; constants among them have one value per channel.
pub fn sum(low: &mut Lowering<'_>, node: &Node<'_>) -> Result<Value, String> {
    let (mut list, mut constants) = (Vec::new(), Vec::new());
    for at in 0..node.inputs().len() {
        match constant_of(low.value(node, at)?) {
            Some(constant) => constants.push(constant),
            None => list.push(low.settled(node, at)?),
        }
    }
    let mut sum = add(low, node, list)?;
    for constant in constants {
        let Value::Activation(x) = sum else { return Err("is no activation".into()) };
        sum = plus(low, node, x, &constant)?;
    }
    Ok(sum)
}

/// A sum of activations, laid over one another.
fn add(low: &mut Lowering<'_>, node: &Node<'_>, list: Vec<Activation>) -> Result<Value, String> {
    let list = low.alike(list)?;
    let first = list.first().cloned().ok_or("adds no activations")?;
    let shape = low.shape(&first);
    let mut layers = Vec::new();
    for x in list {
        layers.push(low.reshaped(x, shape)?.layer);
    }
    low.push(node, Op::Add, &layers, Weights::default(), first.view)
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
    with_relu(low, node, &x, x.layer, [alpha, 1.0 - alpha])
}

/// `own` of a layer beside `of_relu` of the positive part of what it is made of.
fn with_relu(
    low: &mut Lowering<'_>,
    node: &Node<'_>,
    x: &Activation,
    layer: usize,
    [own, of_relu]: [f64; 2],
) -> Result<Value, String> {
    let c = low.shape(x).c;
    let scaled = |scale: f64| Some(Affine { scale: vec![scale; c], shift: vec![0.0; c] });
    let relu = low.draft.push("", Op::Act { act: Act::Relu }, &[x.layer], Weights::default())?;
    let own = low.apply("", Activation { layer, affine: scaled(own), ..x.clone() })?;
    let relu = low.apply("", Activation { layer: relu, affine: scaled(of_relu), ..x.clone() })?;
    low.push(node, Op::Add, &[own.layer, relu.layer], Weights::default(), x.view.clone())
}

/// `max(x, 0) + alpha (exp(min(x, 0)) - 1)`.
pub fn elu(low: &mut Lowering<'_>, node: &Node<'_>) -> Result<Value, String> {
    let alpha = f64::from(node.float("alpha", 1.0)?);
    let x = low.settled(node, 0)?;
    if alpha == 1.0 {
        return low.push(node, Op::Act { act: Act::Elu }, &[x.layer], Weights::default(), x.view);
    }
    let own = low.draft.push("", Op::Act { act: Act::Elu }, &[x.layer], Weights::default())?;
    with_relu(low, node, &x, own, [alpha, 1.0 - alpha])
}

/// `gamma` times an ELU.
pub fn selu(low: &mut Lowering<'_>, node: &Node<'_>) -> Result<Value, String> {
    let (alpha, gamma) = (node.float("alpha", 1.673_263_2)?, node.float("gamma", 1.050_701)?);
    let (alpha, gamma) = (f64::from(alpha), f64::from(gamma));
    let x = low.settled(node, 0)?;
    let own = low.draft.push("", Op::Act { act: Act::Elu }, &[x.layer], Weights::default())?;
    with_relu(low, node, &x, own, [gamma * alpha, gamma * (1.0 - alpha)])
}

/// `alpha` times the ELU of `x / alpha`.
pub fn celu(low: &mut Lowering<'_>, node: &Node<'_>) -> Result<Value, String> {
    let alpha = f64::from(node.float("alpha", 1.0)?);
    if !(alpha > 0.0 && alpha.is_finite()) {
        return Err(format!("alpha={alpha} is not supported, only positive ones"));
    }
    let x = low.settled(node, 0)?;
    let c = low.shape(&x).c;
    let affine = Some(Affine { scale: vec![1.0 / alpha; c], shift: vec![0.0; c] });
    let inner = low.apply("", Activation { affine, ..x.clone() })?;
    let layer = low.draft.push(node.name, Op::Act { act: Act::Elu }, &[inner.layer], Weights::default())?;
    Ok(low.affine(Activation { layer, ..x }, |_, scale, _| *scale *= alpha))
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

/// `PRelu` with a slope a channel or an entry: `slope x + (1 - slope) max(x, 0)`.
pub fn prelu(low: &mut Lowering<'_>, node: &Node<'_>) -> Result<Value, String> {
    let x = low.settled(node, 0)?;
    let constant = low.constant(node, 1)?;
    let slopes = match per_channel(low, &x, &constant) {
        Ok(slopes) => slopes,
        Err(why) => {
            let slopes = low.laid_over(&x, &constant)?.ok_or(why)?;
            let rest = low.numbers(x.layer, slopes.iter().map(|s| 1.0 - s).collect())?;
            let slopes = low.numbers(x.layer, slopes)?;
            let relu = low.draft.push("", Op::Act { act: Act::Relu }, &[x.layer], Weights::default())?;
            let own = low.draft.push("", Op::Mul, &[x.layer, slopes], Weights::default())?;
            let relu = low.draft.push("", Op::Mul, &[relu, rest], Weights::default())?;
            return low.push(node, Op::Add, &[own, relu], Weights::default(), x.view);
        }
    };
    let scaled = |of: fn(f64) -> f64| {
        let scale: Vec<f64> = slopes.iter().map(|s| of(*s)).collect();
        Some(Affine { shift: vec![0.0; scale.len()], scale })
    };
    let relu = low.draft.push("", Op::Act { act: Act::Relu }, &[x.layer], Weights::default())?;
    let own = low.apply("", Activation { affine: scaled(|s| s), ..x.clone() })?;
    let relu = low.apply("", Activation { layer: relu, affine: scaled(|s| 1.0 - s), ..x.clone() })?;
    low.push(node, Op::Add, &[own.layer, relu.layer], Weights::default(), x.view)
}

/// `x tanh(ln(1 + exp(x)))`.
pub fn mish(low: &mut Lowering<'_>, node: &Node<'_>) -> Result<Value, String> {
    let x = low.settled(node, 0)?;
    let plus = low.draft.push("", Op::Act { act: Act::Softplus }, &[x.layer], Weights::default())?;
    let gate = low.draft.push("", Op::Act { act: Act::Tanh }, &[plus], Weights::default())?;
    low.push(node, Op::Mul, &[x.layer, gate], Weights::default(), x.view)
}

/// `x > number`, of which a softplus is made.
pub fn above(low: &mut Lowering<'_>, node: &Node<'_>) -> Result<Value, String> {
    let least = low.vector(node, 1, 1)?[0];
    Ok(Value::Above(low.settled(node, 0)?, least))
}

/// `x > 20 ? x : softplus(x)`, as PyTorch writes a softplus: the same number.
pub fn choice(low: &mut Lowering<'_>, node: &Node<'_>) -> Result<Value, String> {
    let (yes, no) = (low.settled(node, 1)?, low.settled(node, 2)?);
    let Value::Above(x, least) = low.value(node, 0)? else {
        return Err("chooses between activations; only a softplus is known that does".into());
    };
    let made = low.draft.made_by(no.layer);
    let is_softplus = matches!(made, (Op::Act { act: Act::Softplus }, Some(of)) if of == x.layer);
    if !is_softplus || yes.layer != x.layer || yes.view != x.view || no.view != x.view || *least < WHERE_STRAIGHT {
        return Err("chooses between activations; only a softplus is known that does".into());
    }
    Ok(Value::Activation(no))
}

/// From here on a softplus is its argument in single precision.
const WHERE_STRAIGHT: f32 = 17.0;
