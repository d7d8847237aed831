//! Operations that only change the view of an activation, and the shape arithmetic that exporters write for them.

use std::rc::Rc;

use super::constant::{Constant, Data};
use super::cut;
use super::linear::turned;
use super::lowering::Lowering;
use super::node::Node;
use super::value::{Activation, Sides, Value};
use super::view::{Axis, words};
use crate::onnx::proto::dtype;

/// `Identity`, `Dropout` and `Cast`: the identity.
pub fn same(low: &Lowering<'_>, node: &Node<'_>) -> Result<Value, String> {
    Ok(low.value(node, 0)?.clone())
}

/// `Dropout` in inference.
pub fn dropout(low: &Lowering<'_>, node: &Node<'_>) -> Result<Value, String> {
    if low.ints(node, 2)?.is_some_and(|training| training.iter().any(|t| *t != 0)) {
        return Err("training_mode is on; export the model after `model.eval()`".into());
    }
    same(low, node)
}

/// `Cast` of an activation to its own type, or of a shape.
pub fn cast(low: &Lowering<'_>, node: &Node<'_>) -> Result<Value, String> {
    let (to, value) = (node.int("to", 0)?, low.value(node, 0)?);
    let has = match value {
        Value::Constant(c) if c.floats().is_ok() => [dtype::FLOAT, dtype::FLOAT],
        Value::Constant(_) | Value::Sides(_) => [dtype::INT64, dtype::INT32],
        _ => [dtype::FLOAT, dtype::FLOAT],
    };
    match has.into_iter().any(|kind| i64::from(kind) == to) {
        true => Ok(value.clone()),
        false => Err(format!("to {} is not supported", i32::try_from(to).map_or("a type", dtype::name))),
    }
}

/// `Constant`.
pub fn constant(low: &mut Lowering<'_>, node: &Node<'_>) -> Result<Value, String> {
    let vector = |data: Data, len: usize| Constant { dims: vec![len], data };
    let constant = if let Some(tensor) = node.tensor("value")? {
        low.constants.read(tensor).map_err(|why| format!("its value {why}"))?
    } else if let Some(list) = node.floats("value_floats")? {
        vector(Data::Float(list.to_vec()), list.len())
    } else if let Some(list) = node.ints("value_ints")? {
        vector(Data::Int(list.to_vec()), list.len())
    } else if node.has("value_float") {
        Constant { dims: vec![], data: Data::Float(vec![node.float("value_float", 0.0)?]) }
    } else if node.has("value_int") {
        Constant { dims: vec![], data: Data::Int(vec![node.int("value_int", 0)?]) }
    } else {
        return Err("has no numeric value".into());
    };
    Ok(Value::Constant(Rc::new(constant)))
}

/// `Flatten` from the channels on.
pub fn flatten(low: &mut Lowering<'_>, node: &Node<'_>) -> Result<Value, String> {
    let x = low.unpadded(node, 0)?;
    let rank = x.view.axes.len() as i64;
    let axis = node.int("axis", 1)?;
    if axis != 1 && axis != 1 - rank {
        return Err(format!("axis={axis} is not supported, only axis=1"));
    }
    let rest: i64 = x.view.sides(low.images())[1..].iter().product();
    seen(low, x, &[low.images(), rest])
}

/// The same activation with another shape.
fn seen(low: &Lowering<'_>, x: Activation, sides: &[i64]) -> Result<Value, String> {
    let view = x.view.reshaped(sides, low.images()).ok_or_else(|| {
        let own = x.view.sides(low.images());
        format!(
            "makes [{}] of [{}]; only shapes with the same elements in the same order are supported",
            words(sides),
            words(&own)
        )
    })?;
    if x.unit {
        return Err("of what is divided by its length is not supported".into());
    }
    Ok(Value::Activation(Activation { view, ..x }))
}

/// `Reshape` of an activation or a constant to a shape with as many elements.
pub fn reshape(low: &mut Lowering<'_>, node: &Node<'_>) -> Result<Value, String> {
    let target = match low.value(node, 1)? {
        Value::Sides(sides) => sides.list.clone(),
        Value::Constant(constant) => constant.ints()?.to_vec(),
        _ => return Err("computes its shape from the values of an activation".into()),
    };
    let copied = node.int("allowzero", 0)? == 0;
    let filled = |now: &[i64]| -> Vec<i64> {
        target.iter().enumerate().map(|(i, t)| if *t == 0 && copied { *now.get(i).unwrap_or(&0) } else { *t }).collect()
    };
    if let Value::Constant(constant) = low.value(node, 0)? {
        let now: Vec<i64> = constant.dims.iter().map(|d| *d as i64).collect();
        let dims = resolved(&filled(&now), constant.len())
            .ok_or_else(|| format!("cannot make {target:?} of a constant of shape {:?}", constant.dims))?;
        return Ok(Value::Constant(Rc::new(Constant { dims, data: constant.data.clone() })));
    }
    let x = low.unpadded(node, 0)?;
    let wanted = filled(&x.view.sides(low.images()));
    seen(low, x, &wanted)
}

/// `Expand`: the operations after it broadcast anyway, over pixels and over images.
pub fn expand(low: &Lowering<'_>, node: &Node<'_>) -> Result<Value, String> {
    let target = match low.value(node, 1)? {
        Value::Sides(sides) => sides.list.clone(),
        Value::Constant(constant) => constant.ints()?.to_vec(),
        _ => return Err("computes its shape from the values of an activation".into()),
    };
    match low.value(node, 0)? {
        Value::Constant(constant) if target.len() >= constant.dims.len() => same(low, node),
        Value::Length(_) => same(low, node),
        Value::Activation(x) => {
            let now = low.sides(x).list;
            let one = low.shape(x).area() == 1;
            let fits = |(side, wanted): (&i64, &i64)| side == wanted || *wanted == 1 || *side == 1 && one;
            match now.len() == target.len() && now.iter().zip(&target).all(fits) {
                true => same(low, node),
                false => Err(format!("of [{}] to [{}] is not supported", words(&now), words(&target))),
            }
        }
        _ => Err(format!("to [{}] is not supported", words(&target))),
    }
}

/// A shape with its -1 filled in, if it has `len` elements.
fn resolved(sides: &[i64], len: usize) -> Option<Vec<usize>> {
    let known = sides.iter().filter(|s| **s != -1).try_fold(1usize, |n, s| n.checked_mul(usize::try_from(*s).ok()?))?;
    let open = sides.iter().filter(|s| **s == -1).count();
    let missing = match open {
        0 => (known == len).then_some(0)?,
        1 => len.checked_div(known).filter(|m| m * known == len)?,
        _ => return None,
    };
    sides.iter().map(|s| if *s == -1 { Some(missing) } else { usize::try_from(*s).ok() }).collect()
}

/// `Squeeze` and `Unsqueeze` of axes of one entry; of a shape, of its axis.
pub fn squeeze(low: &mut Lowering<'_>, node: &Node<'_>, more: bool) -> Result<Value, String> {
    let axes = match node.ints("axes")? {
        Some(axes) => Some(axes.to_vec()),
        None => low.ints(node, 1)?,
    };
    match low.value(node, 0)? {
        Value::Sides(sides) if sides.list.len() == 1 => Ok(Value::Sides(Sides { scalar: !more, ..sides.clone() })),
        Value::Sides(_) => Err("of a shape is supported for one side only".into()),
        Value::Constant(constant) => {
            let mut dims = constant.dims.clone();
            if more {
                let mut axes = axes.clone().unwrap_or_default();
                let rank = (dims.len() + axes.len()) as i64;
                axes.iter_mut().filter(|a| **a < 0).for_each(|a| *a += rank);
                axes.sort_unstable();
                for axis in axes {
                    let at = usize::try_from(axis).ok().filter(|at| *at <= dims.len());
                    dims.insert(at.ok_or_else(|| format!("has no axis {axis}"))?, 1);
                }
            } else {
                let rank = dims.len() as i64;
                let named = |at: usize| {
                    axes.as_ref().is_none_or(|a| a.contains(&(at as i64)) || a.contains(&(at as i64 - rank)))
                };
                dims = dims.iter().enumerate().filter(|(at, d)| !(**d == 1 && named(*at))).map(|(_, d)| *d).collect();
            }
            Ok(Value::Constant(Rc::new(Constant { dims, data: constant.data.clone() })))
        }
        Value::Activation(_) => {
            let mut x = low.unpadded(node, 0)?;
            let rank = (x.view.axes.len() + if more { axes.as_ref().map_or(0, Vec::len) } else { 0 }) as i64;
            let mut places = match &axes {
                Some(axes) => axes.iter().map(|a| if *a < 0 { a.saturating_add(rank) } else { *a }).collect(),
                None if !more => (0..rank).filter(|at| x.view.axes[*at as usize].0.is_empty()).collect(),
                None => vec![],
            };
            places.sort_unstable();
            for at in if more { places } else { places.into_iter().rev().collect::<Vec<_>>() } {
                let at = usize::try_from(at).ok().filter(|at| *at < rank as usize);
                match at {
                    Some(at) if more && at <= x.view.axes.len() => x.view.axes.insert(at, Axis::default()),
                    Some(at) if !more && x.view.axes.get(at).is_some_and(|a| a.0.is_empty()) => {
                        x.view.axes.remove(at);
                    }
                    _ => return Err(format!("of the axes {axes:?} of [{}] is not possible", x.view.words())),
                }
            }
            Ok(Value::Activation(x))
        }
        _ => Err("is supported for activations, constants and shapes only".into()),
    }
}

/// `Transpose`: another view of an activation; of a constant matrix, its transpose.
pub fn transpose(low: &mut Lowering<'_>, node: &Node<'_>) -> Result<Value, String> {
    let order = node.ints("perm")?;
    if let Value::Constant(constant) = low.value(node, 0)? {
        let &[rows, columns] = &constant.dims[..] else {
            return Err(format!("of a constant of shape {:?} is not supported, only of a matrix", constant.dims));
        };
        if order == Some(&[0, 1]) {
            return same(low, node);
        }
        let data = match &constant.data {
            Data::Float(values) => Data::Float(turned(values, [rows, columns])),
            Data::Int(values) => Data::Int(turned(values, [rows, columns])),
        };
        return Ok(Value::Constant(Rc::new(Constant { dims: vec![columns, rows], data })));
    }
    let x = low.unpadded(node, 0)?;
    let order = order.map_or_else(|| (0..x.view.axes.len() as i64).rev().collect(), <[i64]>::to_vec);
    let view = x.view.transposed(&order).ok_or_else(|| format!("perm={order:?} does not fit [{}]", x.view.words()))?;
    Ok(Value::Activation(Activation { view, ..x }))
}

/// `Shape`.
pub fn shape(low: &Lowering<'_>, node: &Node<'_>) -> Result<Value, String> {
    let list = match low.value(node, 0)? {
        Value::Sides(sides) => vec![sides.list.len() as i64],
        _ => low.sides(&low.activation(node, 0)?).list,
    };
    let rank = list.len() as i64;
    let place = |key: &str, default: i64| -> Result<usize, String> {
        let at = node.int(key, default)?;
        Ok((if at < 0 { at.saturating_add(rank) } else { at }).clamp(0, rank) as usize)
    };
    let (start, end) = (place("start", 0)?, place("end", rank)?);
    Ok(Value::Sides(Sides { list: list.get(start..end).unwrap_or_default().to_vec(), scalar: false }))
}

/// `Gather` of a shape, or of one index of an activation.
pub fn gather(low: &mut Lowering<'_>, node: &Node<'_>) -> Result<Value, String> {
    let Value::Sides(sides) = low.value(node, 0)? else {
        return cut::gather(low, node);
    };
    node.only("axis", 0)?;
    let places = low.constant(node, 1)?;
    let len = sides.list.len() as i64;
    let list = places.ints()?.iter().map(|at| {
        let at = if *at < 0 { at.saturating_add(len) } else { *at };
        usize::try_from(at).ok().and_then(|at| sides.list.get(at)).copied()
    });
    let list: Option<Vec<i64>> = list.collect();
    let list = list.ok_or_else(|| format!("takes the dimensions {:?} of {len}", places.data))?;
    Ok(Value::Sides(Sides { list, scalar: places.dims.is_empty() }))
}
