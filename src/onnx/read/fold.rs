//! Nodes that do not depend on the image, computed while the file is read: sides of reshapes, masks, constants that an
//! exporter left as chains of nodes.

use std::rc::Rc;

use super::arrays::{beside, counted, over, place, places};
use super::constant::{Constant, Data};
use super::lowering::Lowering;
use super::node::Node;
use super::sides::Gives;
use super::value::Value;
use super::view::IMAGES;
use crate::onnx::proto::{TensorProto, dtype};

/// The operations that are computed on constants but are no layer of a network.
pub const ON_CONSTANTS: [&str; 34] = [
    "Abs",
    "And",
    "Ceil",
    "Constant",
    "ConstantOfShape",
    "Cos",
    "CumSum",
    "Equal",
    "Exp",
    "Floor",
    "GreaterOrEqual",
    "Less",
    "LessOrEqual",
    "Log",
    "Max",
    "Min",
    "Mod",
    "Neg",
    "Not",
    "Or",
    "Range",
    "Reciprocal",
    "ScatterND",
    "ReduceProd",
    "Shape",
    "Sin",
    "Size",
    "Sqrt",
    "Tile",
    "Trunc",
    "Xor",
    "ReduceMin",
    "ReduceSumSquare",
    "Sign",
];

/// What a node gives, if it does not depend on the image.
///
/// # Errors
/// Where its inputs do not fit it, or where it computes with the number of images.
pub fn fold(low: &mut Lowering<'_>, node: &Node<'_>) -> Result<Option<Value>, String> {
    let op = node.op();
    match op.as_str() {
        "Constant" => return constant(low, node).map(|made| Some(Value::Constant(Rc::new(made)))),
        "Shape" => return shape(low, node).map(|made| Some(Value::Constant(Rc::new(made)))),
        "Size" => {
            let sides = low.sides(low.value(node, 0)?);
            let all = sides.iter().try_fold(1i64, |n, s| n.checked_mul(*s)).ok_or("has too many entries")?;
            return Ok(Some(whole(vec![], vec![all])));
        }
        _ => {}
    }
    let mut inputs: Vec<Option<Rc<Constant>>> = Vec::new();
    for at in 0..node.inputs().len() {
        match node.input(at).map(|_| low.value(node, at)).transpose()? {
            None => inputs.push(None),
            Some(Value::Constant(constant)) => inputs.push(Some(constant.clone())),
            Some(_) => return Ok(None),
        }
    }
    let Some(Some(first)) = inputs.first().cloned() else { return Ok(None) };
    if let "ConstantOfShape" | "Expand" = op.as_str() {
        return laid_out(low, node, &op, &first).map(Some);
    }
    let given: Vec<&Constant> = inputs.iter().flatten().map(Rc::as_ref).collect();
    if !keeps_images(&op) && given.iter().any(|c| counts_images(c)) && !is_harmless(&op, &given) {
        return Err("computes with the number of images, which is open".into());
    }
    let made = match op.as_str() {
        "Identity" => return Ok(Some(Value::Constant(first))),
        "Cast" => cast(&first, node.int("to", 0)?)?,
        "Reshape" => first.reshaped(dims(Gives::Reshape, low, node)?),
        "Flatten" => first.reshaped(dims(Gives::Flatten, low, node)?),
        "Squeeze" => first.reshaped(dims(Gives::Squeeze, low, node)?),
        "Unsqueeze" => first.reshaped(dims(Gives::Unsqueeze, low, node)?),
        "Transpose" => {
            let rank = first.dims.len();
            let order = node.ints("perm")?.map_or_else(|| (0..rank as i64).rev().collect(), <[i64]>::to_vec);
            let order = places(&order, rank)?;
            if order.len() != rank {
                return Err(format!("perm={order:?} does not fit a constant of shape {:?}", first.dims));
            }
            first.transposed(&order)
        }
        "Concat" => beside(&given, place(node.int("axis", 0)?, first.dims.len())?)?,
        "Slice" => sliced(low, node, &first)?,
        "Gather" => gathered(node, &first, given.get(1).ok_or("input 1 is missing")?)?,
        "Tile" => tiled(&first, given.get(1).ok_or("input 1 is missing")?.ints()?)?,
        "ScatterND" => scattered(node, &given)?,
        "CumSum" => added_up(node, &first, given.get(1).ok_or("input 1 is missing")?)?,
        "Range" => range(&given)?,
        "Where" => chosen(&given)?,
        "Not" => of_whole(&first, |v| i64::from(v == 0))?,
        "Neg" | "Abs" | "Sign" => signed(&op, &first)?,
        "Sqrt" => of_real(&first, f64::sqrt)?,
        "Exp" => of_real(&first, f64::exp)?,
        "Log" => of_real(&first, f64::ln)?,
        "Reciprocal" => of_real(&first, f64::recip)?,
        "Sin" => of_real(&first, f64::sin)?,
        "Cos" => of_real(&first, f64::cos)?,
        "Tanh" => of_real(&first, f64::tanh)?,
        "Sigmoid" => of_real(&first, |v| 1.0 / (1.0 + (-v).exp()))?,
        "Relu" => of_real(&first, |v| v.max(0.0))?,
        "Floor" => of_real(&first, f64::floor)?,
        "Ceil" => of_real(&first, f64::ceil)?,
        "Trunc" => of_real(&first, f64::trunc)?,
        "Clip" => clipped(&inputs)?,
        "Add" | "Sub" | "Mul" | "Div" | "Pow" | "Mod" | "Min" | "Max" | "Sum" => {
            let mut made = (*first).clone();
            for more in given.iter().skip(1) {
                made = arithmetic(&op, &made, more)?;
            }
            made
        }
        "Equal" | "Greater" | "GreaterOrEqual" | "Less" | "LessOrEqual" | "And" | "Or" | "Xor" => {
            compared(&op, &first, given.get(1).ok_or("input 1 is missing")?)?
        }
        "ReduceMean" | "ReduceSum" | "ReduceProd" | "ReduceMax" | "ReduceMin" | "ReduceL2" | "ReduceSumSquare" => {
            reduced(low, node, &op, &first)?
        }
        _ => return Ok(None),
    };
    Ok(Some(Value::Constant(Rc::new(made))))
}

/// `Constant`.
fn constant(low: &mut Lowering<'_>, node: &Node<'_>) -> Result<Constant, String> {
    let one = |numbers: Data| Constant { dims: vec![], data: numbers };
    if let Some(tensor) = node.tensor("value")? {
        low.constants.read(tensor).map_err(|why| format!("its value {why}"))
    } else if let Some(list) = node.floats("value_floats")? {
        Ok(Constant { dims: vec![list.len()], data: Data::Float(list.to_vec()) })
    } else if let Some(list) = node.ints("value_ints")? {
        Ok(Constant::list(list.to_vec()))
    } else if node.has("value_float") {
        Ok(one(Data::Float(vec![node.float("value_float", 0.0)?])))
    } else if node.has("value_int") {
        Ok(one(Data::Int(vec![node.int("value_int", 0)?])))
    } else {
        Err("has no value of numbers".into())
    }
}

/// `Shape`, of an activation as of a constant.
fn shape(low: &Lowering<'_>, node: &Node<'_>) -> Result<Constant, String> {
    let sides = low.sides(low.value(node, 0)?);
    let rank = sides.len() as i64;
    let end_of = |key: &str, default: i64| -> Result<usize, String> {
        let at = node.int(key, default)?;
        Ok((if at < 0 { at.saturating_add(rank) } else { at }).clamp(0, rank) as usize)
    };
    let (start, end) = (end_of("start", 0)?, end_of("end", rank)?);
    Ok(Constant::list(sides.get(start..end).unwrap_or_default().to_vec()))
}

fn whole(dims: Vec<usize>, values: Vec<i64>) -> Value {
    Value::Constant(Rc::new(Constant { dims, data: Data::Int(values) }))
}

/// Whether a number of images is among the numbers.
fn counts_images(constant: &Constant) -> bool {
    constant.ints().is_ok_and(|list| list.iter().any(|v| *v != 0 && *v % IMAGES == 0))
}

/// Operations that move numbers, or multiply sides as reshapes do.
fn keeps_images(op: &str) -> bool {
    let moved = ["Identity", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Concat", "Slice", "Gather"];
    moved.contains(&op) || matches!(op, "Where" | "Mul" | "ReduceProd")
}

/// Whether an operation on a number of images has one answer for every number: divided without a rest, compared with what
/// no side is, or with nothing added.
fn is_harmless(op: &str, given: &[&Constant]) -> bool {
    let all = |constant: &Constant, test: fn(i64) -> bool| constant.ints().is_ok_and(|l| l.iter().all(|v| test(*v)));
    let [first, second] = given else { return false };
    match op {
        "Cast" => false,
        "Add" | "Sub" => all(second, |v| v == 0),
        "Div" => divides(first, second),
        "Equal" | "Greater" | "Less" | "GreaterOrEqual" | "LessOrEqual" => {
            all(first, |v| v <= 0) || all(second, |v| v <= 0)
        }
        _ => false,
    }
}

fn divides(first: &Constant, second: &Constant) -> bool {
    let (Ok(first), Ok(&[divisor])) = (first.ints(), second.ints()) else { return false };
    divisor != 0 && first.iter().all(|v| v % divisor == 0)
}

/// The sides that a rule gives, of constants.
fn dims(gives: Gives, low: &Lowering<'_>, node: &Node<'_>) -> Result<Vec<usize>, String> {
    let sides = gives.sides(low, node)?.pop().unwrap_or_default();
    sides.iter().map(|s| usize::try_from(*s).map_err(|_| format!("would give a constant of shape {sides:?}"))).collect()
}

/// `Expand` and `ConstantOfShape`. Of an open number of images one is kept.
fn laid_out(low: &mut Lowering<'_>, node: &Node<'_>, op: &str, first: &Constant) -> Result<Value, String> {
    let (value, mut sides) = match op {
        "Expand" => (first.clone(), Gives::Expand.sides(low, node)?.pop().unwrap_or_default()),
        _ => {
            let fill = match node.tensor("value")? {
                Some(tensor) => single(low, tensor)?,
                None => Data::Float(vec![0.0]),
            };
            (Constant { dims: vec![], data: fill }, first.ints()?.to_vec())
        }
    };
    let lead = sides.len().checked_sub(value.dims.len()).ok_or("has more axes than it is laid over")?;
    let one_kept = low.images() != 1
        && sides.first() == Some(&low.images())
        && (lead > 0 || value.dims.first() == Some(&1))
        && sides.len() > 1;
    if one_kept {
        sides[0] = 1;
    }
    if sides.iter().any(|s| *s != 0 && s % IMAGES == 0) {
        return Err("lays a constant over the images in a way that is not supported".into());
    }
    let dims: Option<Vec<usize>> = sides.iter().map(|s| usize::try_from(*s).ok()).collect();
    let made = Rc::new(value.expanded(&dims.ok_or_else(|| format!("to {sides:?} is not possible"))?)?);
    Ok(if one_kept { Value::Repeated(made) } else { Value::Constant(made) })
}

/// The one number of `ConstantOfShape`.
fn single(low: &mut Lowering<'_>, tensor: &TensorProto) -> Result<Data, String> {
    let read = low.constants.read(tensor).map_err(|why| format!("its value {why}"))?;
    if read.len() == 1 { Ok(read.data) } else { Err("its value is no single number".into()) }
}

/// `Cast` among the types of constants.
fn cast(constant: &Constant, to: i64) -> Result<Constant, String> {
    let kind = i32::try_from(to).unwrap_or(0);
    let numbers = match (&constant.data, kind) {
        (Data::Float(values), dtype::FLOAT | dtype::DOUBLE) => Data::Float(values.clone()),
        (Data::Int(values), dtype::FLOAT | dtype::DOUBLE) => Data::Float(values.iter().map(|v| *v as f32).collect()),
        (Data::Int(values), dtype::INT64 | dtype::INT32) => Data::Int(values.clone()),
        (Data::Float(values), dtype::INT64 | dtype::INT32) => Data::Int(values.iter().map(|v| *v as i64).collect()),
        (Data::Int(values), dtype::BOOL) => Data::Int(values.iter().map(|v| i64::from(*v != 0)).collect()),
        (Data::Float(values), dtype::BOOL) => Data::Int(values.iter().map(|v| i64::from(*v != 0.0)).collect()),
        _ => return Err(format!("to {} is not supported", dtype::name(kind))),
    };
    Ok(Constant { dims: constant.dims.clone(), data: numbers })
}

/// `CumSum`: each number with those before it along an axis.
fn added_up(node: &Node<'_>, constant: &Constant, axis: &Constant) -> Result<Constant, String> {
    node.only("exclusive", 0)?;
    node.only("reverse", 0)?;
    let &[axis] = axis.ints()? else { return Err("has no single axis".into()) };
    let axis = place(axis, constant.dims.len())?;
    let (len, step) = (constant.dims[axis], constant.dims[axis + 1..].iter().product::<usize>());
    let later = (0..constant.len()).filter(|at| at / step % len.max(1) > 0);
    let mut made = constant.clone();
    match &mut made.data {
        Data::Float(values) => later.for_each(|at| values[at] += values[at - step]),
        Data::Int(values) => later.for_each(|at| values[at] = values[at].saturating_add(values[at - step])),
    }
    Ok(made)
}

/// `ScatterND`: numbers put into an array at places, the last side of which counts its first axes.
fn scattered(node: &Node<'_>, given: &[&Constant]) -> Result<Constant, String> {
    let &[into, places, from] = given else { return Err("takes an array, places and numbers".into()) };
    let reduction = node.text("reduction", "none")?;
    if reduction != "none" {
        return Err(format!("reduction={reduction} is not supported"));
    }
    let unfit = || format!("puts {:?} at the places {:?} of {:?}", from.dims, places.dims, into.dims);
    let (depth, lead) = places.dims.split_last().ok_or_else(unfit)?;
    let (outer, inner) = into.dims.split_at_checked(*depth).ok_or_else(unfit)?;
    let run: usize = inner.iter().product();
    if from.dims != [lead, inner].concat() || outer.is_empty() || run == 0 {
        return Err(unfit());
    }
    let starts = places
        .ints()?
        .chunks_exact(*depth)
        .map(|at| at.iter().zip(outer).try_fold(0, |sum, (at, side)| Some(sum * side + place(*at, *side).ok()?)));
    let starts = starts.collect::<Option<Vec<usize>>>().ok_or_else(unfit)?;
    let mut made = into.clone();
    match (&mut made.data, &from.data) {
        (Data::Float(to), Data::Float(from)) => {
            starts
                .iter()
                .zip(from.chunks_exact(run))
                .for_each(|(at, from)| to[at * run..][..run].copy_from_slice(from));
        }
        (Data::Int(to), Data::Int(from)) => {
            starts
                .iter()
                .zip(from.chunks_exact(run))
                .for_each(|(at, from)| to[at * run..][..run].copy_from_slice(from));
        }
        _ => return Err("puts numbers of another type into an array".into()),
    }
    Ok(made)
}

fn sliced(low: &Lowering<'_>, node: &Node<'_>, constant: &Constant) -> Result<Constant, String> {
    let (starts, ends) = (low.ints(node, 1)?.ok_or("has no starts")?, low.ints(node, 2)?.ok_or("has no ends")?);
    let axes = low.ints(node, 3)?.unwrap_or_else(|| (0..starts.len() as i64).collect());
    let steps = low.ints(node, 4)?.unwrap_or_else(|| vec![1; starts.len()]);
    if [ends.len(), axes.len(), steps.len()] != [starts.len(); 3] {
        return Err(format!("from {starts:?} to {ends:?} of the axes {axes:?} by {steps:?} is not possible"));
    }
    let counts = Gives::Slice.sides(low, node)?.pop().unwrap_or_default();
    let mut made = constant.clone();
    for ((start, axis), step) in starts.iter().zip(&axes).zip(&steps) {
        let at = place(*axis, made.dims.len())?;
        let len = made.dims[at] as i64;
        let from = if *start < 0 { start.saturating_add(len) } else { *start };
        let from = if *step > 0 { from.clamp(0, len) } else { from.clamp(-1, len - 1) };
        let count = counts.get(at).copied().unwrap_or(0);
        let entries: Option<Vec<usize>> = (0..count).map(|k| usize::try_from(from + k * step).ok()).collect();
        made = made.taken(at, &entries.ok_or("begins before the first entry")?);
    }
    Ok(made)
}

fn gathered(node: &Node<'_>, constant: &Constant, at: &Constant) -> Result<Constant, String> {
    let axis = place(node.int("axis", 0)?, constant.dims.len())?;
    let len = constant.dims[axis];
    let entries: Option<Vec<usize>> = at.ints()?.iter().map(|k| place(*k, len).ok()).collect();
    let entries = entries.ok_or_else(|| format!("takes the places {:?} of {len}", at.data))?;
    let dims = [&constant.dims[..axis], &at.dims, &constant.dims[axis + 1..]].concat();
    counted(&dims)?;
    Ok(constant.taken(axis, &entries).reshaped(dims))
}

fn tiled(constant: &Constant, times: &[i64]) -> Result<Constant, String> {
    let mut made = constant.clone();
    if times.len() != made.dims.len() {
        return Err(format!("has {} repeats for a constant of shape {:?}", times.len(), made.dims));
    }
    for (axis, times) in times.iter().enumerate() {
        let (len, times) = (made.dims[axis], usize::try_from(*times).map_err(|_| "has a negative repeat")?);
        let mut dims = made.dims.clone();
        dims[axis] = len.checked_mul(times).ok_or("repeats too often")?;
        counted(&dims)?;
        made = made.taken(axis, &(0..dims[axis]).map(|k| k % len).collect::<Vec<_>>());
    }
    Ok(made)
}

fn range(given: &[&Constant]) -> Result<Constant, String> {
    let [start, limit, step] = given else { return Err("takes a start, a limit and a step".into()) };
    if let (Ok(&[start]), Ok(&[limit]), Ok(&[step])) = (start.ints(), limit.ints(), step.ints()) {
        let span = limit.checked_sub(start).filter(|_| step != 0).ok_or("has the step 0")?;
        let count = (span as f64 / step as f64).ceil().max(0.0) as usize;
        counted(&[count])?;
        return Ok(Constant::list((0..count as i64).map(|k| start + k * step).collect()));
    }
    let one = |c: &Constant| match c.floats()? {
        [v] => Ok(f64::from(*v)),
        _ => Err("takes single numbers".to_owned()),
    };
    let (start, limit, step) = (one(start)?, one(limit)?, one(step)?);
    let count = ((limit - start) / step).ceil().max(0.0);
    if !count.is_finite() {
        return Err("has the step 0".into());
    }
    let count = counted(&[count as usize])?;
    let numbers = Data::Float((0..count).map(|k| (start + k as f64 * step) as f32).collect());
    Ok(Constant { dims: vec![count], data: numbers })
}

/// Two constants of one shape.
fn laid<'a>(a: &'a Constant, b: &'a Constant) -> Result<[Constant; 2], String> {
    let dims = over(&a.dims, &b.dims);
    let dims = dims.ok_or_else(|| format!("takes the shapes {:?} and {:?}, which do not fit", a.dims, b.dims))?;
    Ok([a.expanded(&dims)?, b.expanded(&dims)?])
}

fn chosen(given: &[&Constant]) -> Result<Constant, String> {
    let [test, yes, no] = given else { return Err("takes three inputs".into()) };
    let [yes, no] = laid(yes, no)?;
    let [test, yes] = laid(test, &yes)?;
    let [_, no] = laid(&test, &no)?;
    let test = test.ints()?;
    let numbers = match (&yes.data, &no.data) {
        (Data::Float(yes), Data::Float(no)) => Data::Float(pick(test, yes, no)),
        (Data::Int(yes), Data::Int(no)) => Data::Int(pick(test, yes, no)),
        _ => return Err("chooses between numbers of two types".into()),
    };
    Ok(Constant { dims: yes.dims, data: numbers })
}

fn pick<T: Copy>(test: &[i64], yes: &[T], no: &[T]) -> Vec<T> {
    test.iter().zip(yes.iter().zip(no)).map(|(t, (yes, no))| if *t != 0 { *yes } else { *no }).collect()
}

fn of_real(constant: &Constant, f: fn(f64) -> f64) -> Result<Constant, String> {
    let values = constant.floats()?.iter().map(|v| f(f64::from(*v)) as f32).collect();
    Ok(Constant { dims: constant.dims.clone(), data: Data::Float(values) })
}

fn of_whole(constant: &Constant, f: fn(i64) -> i64) -> Result<Constant, String> {
    let values = constant.ints()?.iter().map(|v| f(*v)).collect();
    Ok(Constant { dims: constant.dims.clone(), data: Data::Int(values) })
}

fn signed(op: &str, constant: &Constant) -> Result<Constant, String> {
    match (op, &constant.data) {
        ("Neg", Data::Float(_)) => of_real(constant, |v| -v),
        ("Neg", Data::Int(_)) => of_whole(constant, i64::wrapping_neg),
        ("Abs", Data::Float(_)) => of_real(constant, f64::abs),
        ("Abs", Data::Int(_)) => of_whole(constant, i64::wrapping_abs),
        (_, Data::Float(_)) => of_real(constant, |v| if v == 0.0 { v } else { v.signum() }),
        (_, Data::Int(_)) => of_whole(constant, i64::signum),
    }
}

fn clipped(inputs: &[Option<Rc<Constant>>]) -> Result<Constant, String> {
    let bound =
        |at: usize, default: f32| match inputs.get(at).and_then(Option::as_ref).map(|c| c.floats()).transpose()? {
            None => Ok(default),
            Some([one]) => Ok(*one),
            Some(_) => Err("has a bound that is no single number".to_owned()),
        };
    let (least, most) = (bound(1, f32::NEG_INFINITY)?, bound(2, f32::INFINITY)?);
    let constant = inputs.first().and_then(Option::as_ref).ok_or("has no input")?;
    let values = constant.floats()?.iter().map(|v| v.max(least).min(most)).collect();
    Ok(Constant { dims: constant.dims.clone(), data: Data::Float(values) })
}

fn arithmetic(op: &str, a: &Constant, b: &Constant) -> Result<Constant, String> {
    let [a, b] = laid(a, b)?;
    let numbers = match (&a.data, &b.data) {
        (Data::Float(x), Data::Float(y)) => {
            let f = |x: f64, y: f64| match op {
                "Add" | "Sum" => x + y,
                "Sub" => x - y,
                "Mul" => x * y,
                "Div" => x / y,
                "Pow" => x.powf(y),
                "Min" => x.min(y),
                "Max" => x.max(y),
                _ => x % y,
            };
            Data::Float(x.iter().zip(y).map(|(x, y)| f(f64::from(*x), f64::from(*y)) as f32).collect())
        }
        (Data::Int(x), Data::Int(y)) => {
            let f = |x: i64, y: i64| match op {
                "Add" | "Sum" => x.checked_add(y),
                "Sub" => x.checked_sub(y),
                "Mul" => x.checked_mul(y),
                "Div" => x.checked_div(y),
                "Min" => Some(x.min(y)),
                "Max" => Some(x.max(y)),
                "Mod" => x.checked_rem_euclid(y).filter(|_| y > 0),
                _ => u32::try_from(y).ok().and_then(|y| x.checked_pow(y)),
            };
            let all: Option<Vec<i64>> = x.iter().zip(y).map(|(x, y)| f(*x, *y)).collect();
            Data::Int(all.ok_or("divides by zero, or leaves the range of whole numbers")?)
        }
        _ => return Err("takes numbers of two types".into()),
    };
    Ok(Constant { dims: a.dims, data: numbers })
}

fn compared(op: &str, a: &Constant, b: &Constant) -> Result<Constant, String> {
    let [a, b] = laid(a, b)?;
    let test = |x: f64, y: f64| match op {
        "Equal" => x == y,
        "Greater" => x > y,
        "GreaterOrEqual" => x >= y,
        "Less" => x < y,
        "LessOrEqual" => x <= y,
        "And" => x != 0.0 && y != 0.0,
        "Or" => x != 0.0 || y != 0.0,
        _ => (x != 0.0) != (y != 0.0),
    };
    let values = match (&a.data, &b.data) {
        (Data::Float(x), Data::Float(y)) => {
            x.iter().zip(y).map(|(x, y)| i64::from(test(f64::from(*x), f64::from(*y)))).collect()
        }
        // Whole numbers below 2^53, as sides are.
        (Data::Int(x), Data::Int(y)) => x.iter().zip(y).map(|(x, y)| i64::from(test(*x as f64, *y as f64))).collect(),
        _ => return Err("compares numbers of two types".into()),
    };
    Ok(Constant { dims: a.dims, data: Data::Int(values) })
}

fn reduced(low: &Lowering<'_>, node: &Node<'_>, op: &str, constant: &Constant) -> Result<Constant, String> {
    let rank = constant.dims.len();
    let axes = low.axes(node)?.unwrap_or_default();
    if axes.is_empty() && node.int("noop_with_empty_axes", 0)? != 0 {
        return Ok(constant.clone());
    }
    let mut taken = places(&axes, rank)?;
    if taken.is_empty() {
        taken = (0..rank).collect();
    }
    let kept: Vec<usize> = (0..rank).filter(|at| !taken.contains(at)).collect();
    let count: usize = taken.iter().map(|at| constant.dims[*at]).product();
    let turned = constant.transposed(&[&kept[..], &taken[..]].concat());
    let dims = dims(Gives::Reduce, low, node)?;
    if count == 0 {
        return Err("reduces an axis without entries".into());
    }
    let numbers = match &turned.data {
        Data::Float(values) => {
            let f = |list: &[f32]| {
                let all = list.iter().map(|v| f64::from(*v));
                let made: f64 = match op {
                    "ReduceMean" => all.sum::<f64>() / count as f64,
                    "ReduceSum" => all.sum(),
                    "ReduceProd" => all.product(),
                    "ReduceMax" => all.fold(f64::NEG_INFINITY, f64::max),
                    "ReduceMin" => all.fold(f64::INFINITY, f64::min),
                    "ReduceL2" => all.map(|v| v * v).sum::<f64>().sqrt(),
                    _ => all.map(|v| v * v).sum(),
                };
                made as f32
            };
            Data::Float(values.chunks_exact(count).map(f).collect())
        }
        Data::Int(values) => {
            let f = |list: &[i64]| match op {
                "ReduceSum" => list.iter().try_fold(0i64, |n, v| n.checked_add(*v)),
                "ReduceProd" => list.iter().try_fold(1i64, |n, v| n.checked_mul(*v)),
                "ReduceMax" => list.iter().max().copied(),
                "ReduceMin" => list.iter().min().copied(),
                _ => None,
            };
            let all: Option<Vec<i64>> = values.chunks_exact(count).map(f).collect();
            Data::Int(all.ok_or("of whole numbers is not supported")?)
        }
    };
    Ok(Constant { dims, data: numbers })
}
