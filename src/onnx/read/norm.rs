//! Normalisations and softmax.

use super::draft::Weights;
use super::lowering::Lowering;
use super::node::Node;
use super::value::{EPSILON, Value};
use super::view::Axis;
use crate::arch::op::Op;

/// `BatchNormalization` in inference. The engine's epsilon is fixed: the difference is added to the variance.
pub fn batch(low: &mut Lowering<'_>, node: &Node<'_>) -> Result<Value, String> {
    node.only("training_mode", 0)?;
    let x = low.settled(node, 0)?;
    let shape = low.shape(&x);
    if x.view.axes.get(1) != Some(&Axis::channels(shape.c)) {
        return Err(format!("of [{}], reshaped from {} planes, is not supported", x.view.words(), shape.c));
    }
    let trainable = vec![low.vector(node, 1, shape.c)?, low.vector(node, 2, shape.c)?];
    let (mean, mut variance) = (low.vector(node, 3, shape.c)?, low.vector(node, 4, shape.c)?);
    let epsilon = f64::from(node.float("epsilon", EPSILON as f32)?);
    // 1e-5 in single precision is the same epsilon.
    if (epsilon - EPSILON).abs() > 1e-11 {
        variance.iter_mut().for_each(|v| *v = (f64::from(*v) + epsilon - EPSILON) as f32);
    }
    let weights = Weights { trainable, running: Some([mean, variance]) };
    low.push(node, Op::BatchNorm { affine: true }, &[x.layer], weights, x.view)
}

/// `LayerNormalization` over channels that are the last axis.
pub fn layer(low: &mut Lowering<'_>, node: &Node<'_>) -> Result<Value, String> {
    let x = low.settled(node, 0)?;
    let (c, rank) = (low.shape(&x).c, x.view.axes.len() as i64);
    let axis = node.int("axis", -1)?;
    if axis != -1 && axis != rank - 1 || x.view.axes.last() != Some(&Axis::channels(c)) {
        let words = x.view.words();
        return Err(format!("over axis {axis} of [{words}] is not supported; only over all channels, the last axis"));
    }
    let scale = low.vector(node, 1, c)?;
    let bias = if node.input(2).is_some() { low.vector(node, 2, c)? } else { vec![0.0; c] };
    let weights = Weights { trainable: vec![scale, bias], running: None };
    let op = Op::LayerNorm { epsilon: node.float("epsilon", EPSILON as f32)? };
    low.push(node, op, &[x.layer], weights, x.view)
}

/// `InstanceNormalization` of channels, or of groups reshaped to channels.
pub fn instance(low: &mut Lowering<'_>, node: &Node<'_>) -> Result<Value, String> {
    let x = low.settled(node, 0)?;
    let (c, words) = (low.shape(&x).c, x.view.words());
    let groups = x.view.axes.get(1).map_or(0, Axis::len);
    if groups == 0 || c % groups != 0 || x.view.axes[1] != Axis::steps(groups, c / groups) {
        return Err(format!("of [{words}] is not supported; expected channels, or groups of them, behind the images"));
    }
    let spread = |list: Vec<f32>| list.into_iter().flat_map(|v| std::iter::repeat_n(v, c / groups)).collect();
    let trainable = vec![spread(low.vector(node, 1, groups)?), spread(low.vector(node, 2, groups)?)];
    let op = Op::GroupNorm { groups, epsilon: node.float("epsilon", EPSILON as f32)? };
    low.push(node, op, &[x.layer], Weights { trainable, running: None }, x.view)
}

/// `Softmax` over channels, over groups of them, or over the keys of attention.
pub fn softmax(low: &mut Lowering<'_>, node: &Node<'_>) -> Result<Value, String> {
    let axis = node.int("axis", -1)?;
    if let Value::Scores(scores) = low.value(node, 0)? {
        return scores.softmax(axis);
    }
    let x = low.settled(node, 0)?;
    let (c, rank) = (low.shape(&x).c, x.view.axes.len() as i64);
    let found = usize::try_from(if axis < 0 { axis + rank } else { axis }).ok().and_then(|at| x.view.axes.get(at));
    match found.map(Axis::len) {
        Some(over) if c % over == 0 && found == Some(&Axis::steps(over, c / over)) => {
            low.push(node, Op::Softmax { over }, &[x.layer], Weights::default(), x.view)
        }
        _ => Err(format!("over axis {axis} of [{}] is not supported; only over channels", x.view.words())),
    }
}
