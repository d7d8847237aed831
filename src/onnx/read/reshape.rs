//! Operations that move no number of an activation: it is only seen otherwise.

use super::arrays::over;
use super::lowering::Lowering;
use super::node::Node;
use super::sides::{Gives, reshaped};
use super::value::{Activation, Length, Value};
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

/// `Cast` of an activation to the type it has.
pub fn cast(low: &Lowering<'_>, node: &Node<'_>) -> Result<Value, String> {
    let to = node.int("to", 0)?;
    match to == i64::from(dtype::FLOAT) {
        true => same(low, node),
        false => Err(format!("to {} is not supported", i32::try_from(to).map_or("a type", dtype::name))),
    }
}

/// `Flatten` to two axes.
pub fn flatten(low: &mut Lowering<'_>, node: &Node<'_>) -> Result<Value, String> {
    let x = low.unpadded(node, 0)?;
    let sides = Gives::Flatten.sides(low, node)?.pop().unwrap_or_default();
    seen(low, x, &sides)
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
    if x.unit.is_some() {
        return Err("of what is divided by its length is not supported".into());
    }
    Ok(Value::Activation(Activation { view, ..x }))
}

/// `Reshape` of an activation to sides that hold as much.
pub fn reshape(low: &mut Lowering<'_>, node: &Node<'_>) -> Result<Value, String> {
    let target = low.constant(node, 1)?.ints()?.to_vec();
    let x = low.unpadded(node, 0)?;
    let wanted = reshaped(&x.view.sides(low.images()), &target, node.int("allowzero", 0)? == 0)?;
    seen(low, x, &wanted)
}

/// `Expand`: an activation is seen again and again; lengths are laid over what they are of.
pub fn expand(low: &mut Lowering<'_>, node: &Node<'_>) -> Result<Value, String> {
    let target = low.constant(node, 1)?.ints()?.to_vec();
    if let Value::Length(length) = low.value(node, 0)? {
        let own = length.of.view.sides(low.images());
        return match target == own {
            true => Ok(Value::Length(Length { spread: true, ..length.clone() })),
            false => Err(format!("of a length to [{}] is not supported, only to [{}]", words(&target), words(&own))),
        };
    }
    let x = low.unpadded(node, 0)?;
    let now = x.view.sides(low.images());
    let sides =
        over(&now, &target).ok_or_else(|| format!("of [{}] to [{}] is not possible", words(&now), words(&target)))?;
    low.laid(x, &sides).map(Value::Activation)
}

/// `Squeeze` and `Unsqueeze` of axes of one entry.
pub fn squeeze(low: &mut Lowering<'_>, node: &Node<'_>, more: bool) -> Result<Value, String> {
    let mut x = low.unpadded(node, 0)?;
    let gives = if more { Gives::Unsqueeze } else { Gives::Squeeze };
    let sides = gives.sides(low, node)?.pop().unwrap_or_default();
    // Axes of one entry come and go, and all others keep their order.
    let mut kept = x.view.axes.iter().filter(|a| !a.0.is_empty()).cloned();
    x.view.axes =
        sides.iter().map(|s| if *s == 1 { Axis::default() } else { kept.next().unwrap_or_default() }).collect();
    Ok(Value::Activation(x))
}

/// `Transpose`: an activation is seen otherwise.
pub fn transpose(low: &mut Lowering<'_>, node: &Node<'_>) -> Result<Value, String> {
    let x = low.unpadded(node, 0)?;
    let order = node.ints("perm")?;
    let order = order.map_or_else(|| (0..x.view.axes.len() as i64).rev().collect(), <[i64]>::to_vec);
    let view = x.view.transposed(&order).ok_or_else(|| format!("perm={order:?} does not fit [{}]", x.view.words()))?;
    Ok(Value::Activation(Activation { view, ..x }))
}
