//! Operations that move no number of an activation: reshapes that only see it otherwise, and what exporters compute to
//! write such a reshape.

use std::rc::Rc;

use super::constant::{Constant, Numbers};
use super::linear::turned;
use super::lowering::Lowering;
use super::node::Node;
use super::proto::dtype;
use super::value::{Activation, BATCH, Sides, Value, View};

/// `Identity`, `Dropout` and `Cast`: what goes in comes out.
pub fn same(low: &Lowering<'_>, node: &Node<'_>) -> Result<Value, String> {
    Ok(low.value(node, 0)?.clone())
}

/// `Dropout` as it is in use.
pub fn dropout(low: &Lowering<'_>, node: &Node<'_>) -> Result<Value, String> {
    if low.ints(node, 2)?.is_some_and(|training| training.iter().any(|t| *t != 0)) {
        return Err("training_mode is on; export the model after `model.eval()`".into());
    }
    same(low, node)
}

/// `Cast` of an activation to the type it has, or of sides.
pub fn cast(low: &Lowering<'_>, node: &Node<'_>) -> Result<Value, String> {
    let (to, value) = (node.int("to", 0)?, low.value(node, 0)?);
    let has = match value {
        Value::Activation(_) => [dtype::FLOAT, dtype::FLOAT],
        Value::Constant(c) if c.floats().is_ok() => [dtype::FLOAT, dtype::FLOAT],
        Value::Constant(_) | Value::Sides(_) => [dtype::INT64, dtype::INT32],
    };
    match has.into_iter().any(|kind| i64::from(kind) == to) {
        true => Ok(value.clone()),
        false => Err(format!("to {} is not supported", i32::try_from(to).map_or("a type", dtype::name))),
    }
}

/// `Constant`.
pub fn constant(low: &mut Lowering<'_>, node: &Node<'_>) -> Result<Value, String> {
    let vector = |numbers: Numbers, len: usize| Constant { dims: vec![len], numbers };
    let constant = if let Some(tensor) = node.tensor("value")? {
        low.constants.read(tensor).map_err(|why| format!("its value {why}"))?
    } else if let Some(list) = node.floats("value_floats")? {
        vector(Numbers::Float(list.to_vec()), list.len())
    } else if let Some(list) = node.ints("value_ints")? {
        vector(Numbers::Int(list.to_vec()), list.len())
    } else if node.has("value_float") {
        Constant { dims: vec![], numbers: Numbers::Float(vec![node.float("value_float", 0.0)?]) }
    } else if node.has("value_int") {
        Constant { dims: vec![], numbers: Numbers::Int(vec![node.int("value_int", 0)?]) }
    } else {
        return Err("has no value of numbers".into());
    };
    Ok(Value::Constant(Rc::new(constant)))
}

/// `Flatten` from the channels on.
pub fn flatten(low: &Lowering<'_>, node: &Node<'_>) -> Result<Value, String> {
    let x = low.unpadded(node, 0)?;
    let rank = low.sides(&x).list.len() as i64;
    let axis = node.int("axis", 1)?;
    if axis != 1 && axis != 1 - rank {
        return Err(format!("axis={axis} is not supported, only axis=1"));
    }
    Ok(Value::Activation(Activation { view: View::Flat, ..x }))
}

/// `Reshape` between `[n, c, h, w]` and `[n, c h w]`; of a constant, to anything of its length.
pub fn reshape(low: &Lowering<'_>, node: &Node<'_>) -> Result<Value, String> {
    let target = match low.value(node, 1)? {
        Value::Sides(sides) => sides.list.clone(),
        Value::Constant(constant) => constant.ints()?.to_vec(),
        Value::Activation(_) => return Err("takes its shape from an activation's numbers".into()),
    };
    let copied = node.int("allowzero", 0)? == 0;
    let filled = |now: &[i64]| -> Vec<i64> {
        target.iter().enumerate().map(|(i, t)| if *t == 0 && copied { *now.get(i).unwrap_or(&0) } else { *t }).collect()
    };
    if let Value::Constant(constant) = low.value(node, 0)? {
        let now: Vec<i64> = constant.dims.iter().map(|d| *d as i64).collect();
        let dims = resolved(&filled(&now), constant.len())
            .ok_or_else(|| format!("cannot make {target:?} of a constant of shape {:?}", constant.dims))?;
        return Ok(Value::Constant(Rc::new(Constant { dims, numbers: constant.numbers.clone() })));
    }
    let x = low.unpadded(node, 0)?;
    let now = low.sides(&x).list;
    let wanted = filled(&now);
    let shape = low.shape(&x);
    let view = wanted.split_first().and_then(|(first, rest)| {
        let dims = resolved(rest, shape.len())?;
        // Where the number of images is open, the other sides must not be.
        let images = *first == now[0] || *first == BATCH || *first == -1 && !rest.contains(&-1);
        match &dims[..] {
            _ if !images => None,
            [_] => Some(View::Flat),
            [c, h, w] if [*c, *h, *w] == [shape.c, shape.h, shape.w] => Some(View::Planes),
            _ => None,
        }
    });
    let view = view.ok_or_else(|| {
        let text = |list: &[i64]| {
            let words = list.iter().map(|v| if *v == BATCH { "n".into() } else { v.to_string() });
            words.collect::<Vec<String>>().join(", ")
        };
        format!(
            "makes [{}] of [{}]; only [n, c, h, w] and [n, c * h * w] of the same numbers are supported",
            text(&target),
            text(&now)
        )
    })?;
    Ok(Value::Activation(Activation { view, ..x }))
}

/// Sides with the one that is -1 filled in, if they hold `len` numbers.
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

/// `Squeeze` and `Unsqueeze` of rows and columns of a single pixel; of sides, of their axis.
pub fn squeeze(low: &Lowering<'_>, node: &Node<'_>, more: bool) -> Result<Value, String> {
    let axes = match node.ints("axes")? {
        Some(axes) => Some(axes.to_vec()),
        None => low.ints(node, 1)?,
    };
    let only = || format!("of the axes {axes:?} is not supported, only of rows and columns, [2, 3], of a single pixel");
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
            Ok(Value::Constant(Rc::new(Constant { dims, numbers: constant.numbers.clone() })))
        }
        Value::Activation(_) => {
            let x = low.unpadded(node, 0)?;
            let mut places: Vec<i64> =
                axes.iter().flatten().map(|a| if *a < 0 { a.saturating_add(4) } else { *a }).collect();
            places.sort_unstable();
            let (from, to) = if more { (View::Flat, View::Planes) } else { (View::Planes, View::Flat) };
            if x.view != from || places != [2, 3] || low.shape(&x).area() != 1 {
                return Err(only());
            }
            Ok(Value::Activation(Activation { view: to, ..x }))
        }
    }
}

/// `Transpose` that leaves an activation alone; of a constant matrix, any.
pub fn transpose(low: &Lowering<'_>, node: &Node<'_>) -> Result<Value, String> {
    let order = node.ints("perm")?;
    match low.value(node, 0)? {
        Value::Constant(constant) => {
            let &[rows, columns] = &constant.dims[..] else {
                return Err(format!("of a constant of shape {:?} is not supported, only of a matrix", constant.dims));
            };
            if order == Some(&[0, 1]) {
                return same(low, node);
            }
            let numbers = match &constant.numbers {
                Numbers::Float(values) => Numbers::Float(turned(values, [rows, columns])),
                Numbers::Int(values) => Numbers::Int(turned(values, [rows, columns])),
            };
            Ok(Value::Constant(Rc::new(Constant { dims: vec![columns, rows], numbers })))
        }
        Value::Sides(_) => Err("of a shape is not supported".into()),
        Value::Activation(x) => {
            let rank = low.sides(x).list.len() as i64;
            match order {
                Some(order) if order.iter().copied().eq(0..rank) => same(low, node),
                _ => Err(format!("perm={order:?} is not supported: images and planes stay [n, c, h, w]")),
            }
        }
    }
}

/// `Shape`.
pub fn shape(low: &Lowering<'_>, node: &Node<'_>) -> Result<Value, String> {
    let x = low.activation(node, 0)?;
    if x.pad.is_some() {
        return Err("of a padded activation is not supported".into());
    }
    let list = low.sides(&x).list;
    let rank = list.len() as i64;
    let place = |key: &str, default: i64| -> Result<usize, String> {
        let at = node.int(key, default)?;
        Ok((if at < 0 { at.saturating_add(rank) } else { at }).clamp(0, rank) as usize)
    };
    let (start, end) = (place("start", 0)?, place("end", rank)?);
    Ok(Value::Sides(Sides { list: list.get(start..end).unwrap_or_default().to_vec(), scalar: false }))
}

/// `Gather` of sides.
pub fn gather(low: &Lowering<'_>, node: &Node<'_>) -> Result<Value, String> {
    let Value::Sides(sides) = low.value(node, 0)? else {
        return Err("is supported for shapes only".into());
    };
    node.only("axis", 0)?;
    let places = low.constant(node, 1)?;
    let len = sides.list.len() as i64;
    let list = places.ints()?.iter().map(|at| {
        let at = if *at < 0 { at.saturating_add(len) } else { *at };
        usize::try_from(at).ok().and_then(|at| sides.list.get(at)).copied()
    });
    let list: Option<Vec<i64>> = list.collect();
    let list = list.ok_or_else(|| format!("takes the sides {:?} of {len}", places.numbers))?;
    Ok(Value::Sides(Sides { list, scalar: places.dims.is_empty() }))
}
