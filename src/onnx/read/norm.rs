//! Normalisations and softmax.

use super::draft::Weights;
use super::lowering::Lowering;
use super::node::Node;
use super::value::{Activation, EPSILON, Value};
use super::view::Axis;
use crate::arch::op::{Op, Shape};

/// `BatchNormalization` in inference. The engine's epsilon is fixed: the difference is added to the variance.
pub fn batch(low: &mut Lowering<'_>, node: &Node<'_>) -> Result<Value, String> {
    node.only("training_mode", 0)?;
    let mut x = low.settled(node, 0)?;
    let mut shape = low.shape(&x);
    // Of flat planes, every entry is a feature.
    let flat = x.view.axes.len() == 2 && x.view == low.flat_of(shape) && shape.area() > 1;
    let mut order: Option<Vec<usize>> = None;
    if flat {
        order = Some(x.view.order());
        shape = Shape::new(1, 1, shape.len());
        x = low.reshaped(x, shape)?;
    } else if x.view.axes.get(1) != Some(&Axis::channels(shape.c)) {
        let place = low.axis(&x, 1)?;
        x = low.with_channels(x, place)?;
        shape = low.shape(&x);
    }
    let numbers = |at: usize| -> Result<Vec<f32>, String> {
        let given = low.vector(node, at, shape.c)?;
        let Some(order) = &order else { return Ok(given) };
        let mut own = vec![0.0; given.len()];
        order.iter().zip(given).for_each(|(entry, v)| own[*entry] = v);
        Ok(own)
    };
    let (mut scale, shift) = (numbers(1)?, numbers(2)?);
    let (mean, mut variance) = (numbers(3)?, numbers(4)?);
    let epsilon = f64::from(node.float("epsilon", EPSILON as f32)?);
    if let Some(bad) = variance.iter().find(|v| f64::from(**v) + epsilon <= 0.0 || v.is_nan()) {
        return Err(format!("has the variance {bad} and the epsilon {epsilon:e}, of which there is no root"));
    }
    // What is left of 1e-5 in single precision is no difference.
    if (epsilon - EPSILON).abs() > 1e-11 {
        for (scale, v) in scale.iter_mut().zip(&mut variance) {
            let all = f64::from(*v) + epsilon;
            *v = (all - EPSILON) as f32;
            if *v < 0.0 {
                // Next to the engine's epsilon such a variance would be rounded away: the scale takes it over.
                *scale = (f64::from(*scale) / all.sqrt()) as f32;
                *v = (1.0 - EPSILON) as f32;
            }
        }
    }
    let weights = Weights { trainable: vec![scale, shift], running: Some([mean, variance]) };
    low.push(node, Op::BatchNorm { affine: true }, &[x.layer], weights, x.view)
}

/// `LayerNormalization` over channels that are the last axis.
pub fn layer(low: &mut Lowering<'_>, node: &Node<'_>) -> Result<Value, String> {
    let mut x = low.settled(node, 0)?;
    let place = low.axis(&x, node.int("axis", -1)?)?;
    if place + 1 != x.view.axes.len() {
        return Err(format!(
            "over the axes from {place} on of [{}] is not supported, only over the last",
            x.view.words()
        ));
    }
    if x.view.axes[place] != Axis::channels(low.shape(&x).c) {
        x = low.with_channels(x, place)?;
    }
    let c = low.shape(&x).c;
    let scale = low.vector(node, 1, c)?;
    let bias = if node.input(2).is_some() { low.vector(node, 2, c)? } else { vec![0.0; c] };
    let weights = Weights { trainable: vec![scale, bias], running: None };
    let op = Op::LayerNorm { epsilon: node.float("epsilon", EPSILON as f32)? };
    low.push(node, op, &[x.layer], weights, x.view)
}

/// `InstanceNormalization` of channels, or of groups reshaped to channels.
pub fn instance(low: &mut Lowering<'_>, node: &Node<'_>) -> Result<Value, String> {
    let mut x = low.settled(node, 0)?;
    let place = low.axis(&x, 1)?;
    let groups = x.view.axes[place].len();
    // The first axis is that of the images, which has no entries where the file is of one.
    if x.view.axes[0].len() > 1 || groups == 0 {
        let words = x.view.words();
        return Err(format!("of [{words}] is not supported; expected channels, or groups of them, behind the images"));
    }
    let is_grouped =
        |x: &Activation, c: usize| c.is_multiple_of(groups) && x.view.axes[place] == Axis::steps(groups, c / groups);
    if !is_grouped(&x, low.shape(&x).c) {
        x = low.with_channels(x, place)?;
    }
    let c = low.shape(&x).c;
    let spread = |list: Vec<f32>| list.into_iter().flat_map(|v| std::iter::repeat_n(v, c / groups)).collect();
    let trainable = vec![spread(low.vector(node, 1, groups)?), spread(low.vector(node, 2, groups)?)];
    let op = Op::GroupNorm { groups, epsilon: node.float("epsilon", EPSILON as f32)? };
    low.push(node, op, &[x.layer], Weights { trainable, running: None }, x.view)
}

/// `Softmax` over channels, over groups of them, or over the keys of attention.
pub fn softmax(low: &mut Lowering<'_>, node: &Node<'_>) -> Result<Value, String> {
    let axis = match low.opset {
        ..13 => before_13(low, node)?,
        _ => node.int("axis", -1)?,
    };
    if let Value::Scores(scores) = low.value(node, 0)?
        && let Ok(shares) = scores.softmax(axis)
    {
        return Ok(shares);
    }
    let mut x = low.settled(node, 0)?;
    let place = low.axis(&x, axis)?;
    let over = x.view.axes[place].len();
    let c = low.shape(&x).c;
    if !c.is_multiple_of(over) || x.view.axes[place] != Axis::steps(over, c / over) {
        x = low.with_channels(x, place)?;
    }
    low.push(node, Op::Softmax { over }, &[x.layer], Weights::default(), x.view)
}

/// Up to operator set 12, a softmax shares among all entries from its axis on: one axis where that is the last.
fn before_13(low: &Lowering<'_>, node: &Node<'_>) -> Result<i64, String> {
    let (axis, rank) = (node.int("axis", 1)?, low.sides(low.value(node, 0)?).len() as i64);
    match axis == -1 || axis == rank - 1 {
        true => Ok(-1),
        false => Err(format!("over the axes from {axis} on, as before operator set 13, is not supported")),
    }
}
