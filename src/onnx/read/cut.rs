//! Parts of activations: `Slice`, `Split`, `Gather` of one index.

use super::arrays::place as place_of;
use super::concat::beside;
use super::constant::Constant;
use super::draft::Weights;
use super::lowering::Lowering;
use super::node::Node;
use super::sides::Gives;
use super::value::{Activation, Value};
use super::view::{Axis, Part, View};
use crate::arch::op::{Op, Shape, Window};

/// `Slice` of an activation along one axis after the other.
pub fn slice(low: &mut Lowering<'_>, node: &Node<'_>) -> Result<Value, String> {
    let list = |low: &Lowering<'_>, at: usize| low.ints(node, at);
    let (starts, ends) = (list(low, 1)?.ok_or("has no starts")?, list(low, 2)?.ok_or("has no ends")?);
    let axes = list(low, 3)?.unwrap_or_else(|| (0..starts.len() as i64).collect());
    let steps = list(low, 4)?.unwrap_or_else(|| vec![1; starts.len()]);
    if [ends.len(), axes.len(), steps.len()] != [starts.len(); 3] || steps.iter().any(|s| *s < 1) {
        return Err(format!("from {starts:?} to {ends:?} of the axes {axes:?} by {steps:?} is not supported"));
    }
    let mut x = low.settled(node, 0)?;
    let mut strides = [1; 2];
    for (at, axis) in axes.iter().enumerate() {
        let place = low.axis(&x, *axis)?;
        let (from, to) = range(starts[at], ends[at], x.view.axes[place].len());
        if x.view.axes[place].has_images() {
            // All of the images are no choice of some.
            if starts[at] == 0 && ends[at] >= low.images() && steps[at] == 1 {
                continue;
            }
            return Err("takes some of the images, which is not supported".into());
        }
        x = cut(low, x, place, from, to)?;
        if steps[at] > 1 {
            let step = usize::try_from(steps[at]).map_err(|_| "has a negative step")?;
            match place.checked_sub(2).filter(|side| *side < 2 && x.view.axes.len() == 4) {
                // Rows and columns of planes.
                Some(side) => strides[side] = step,
                None => x = every(low, x, place, step)?,
            }
        }
    }
    if strides != [1; 2] {
        // The maximum of one pixel is that pixel.
        let planes = low.as_planes(x)?;
        let window = Window { kernel: [1; 2], stride: strides, pad: [0; 2], dilation: [1; 2] };
        let layer = low.draft.push(node.name, Op::MaxPool { window }, &[planes.layer], Weights::default())?;
        return Ok(Value::Activation(Activation::new(layer, low.planes_of(low.draft.shape(layer)))));
    }
    Ok(Value::Activation(x))
}

/// Every `step`-th entry of an axis, which becomes that of the rows.
fn every(low: &mut Lowering<'_>, x: Activation, place: usize, step: usize) -> Result<Activation, String> {
    let x = low.with_rows(x, place)?;
    let window = Window { kernel: [1; 2], stride: [step, 1], pad: [0; 2], dilation: [1; 2] };
    let Shape { w, c, .. } = low.shape(&x);
    let layer = low.draft.push("", Op::MaxPool { window }, &[x.layer], Weights::default())?;
    let mut view = x.view;
    view.axes[place] = Axis::steps(low.draft.shape(layer).h, w * c);
    Ok(Activation::new(layer, view))
}

/// `Split` into parts.
pub fn split(low: &mut Lowering<'_>, node: &Node<'_>) -> Result<Value, String> {
    let x = low.settled(node, 0)?;
    let place = low.axis(&x, node.int("axis", 0)?)?;
    let len = x.view.axes[place].len();
    let count = node.outputs().count();
    // An attribute before operator set 13.
    let given = node.ints("split")?.map(<[i64]>::to_vec);
    let parts = match given.map_or_else(|| low.ints(node, 1), |parts| Ok(Some(parts)))? {
        Some(parts) => parts.iter().map(|p| usize::try_from(*p).unwrap_or(0)).collect(),
        // Equal parts, the last one shorter where the length is not divisible.
        None => {
            let each = len.div_ceil(count.max(1));
            (0..count).map(|k| len.saturating_sub(k * each).min(each)).collect::<Vec<_>>()
        }
    };
    if x.view.axes[place].has_images() || parts.iter().sum::<usize>() != len || parts.len() != count {
        return Err(format!("makes {count} parts {parts:?} of {len}"));
    }
    let (mut list, mut from) = (Vec::new(), 0);
    for part in parts {
        list.push(Value::Activation(cut(low, x.clone(), place, from, from + part)?));
        from += part;
    }
    Ok(Value::Parts(list))
}

/// `Gather` of places of an activation: one, some that follow each other, or all in another order.
pub fn gather(low: &mut Lowering<'_>, node: &Node<'_>) -> Result<Value, String> {
    let axis = node.int("axis", 0)?;
    let constant = low.constant(node, 1)?;
    gathered(low, node, axis, &constant, Gives::Gather)
}

/// `GatherND` of places along the first axis.
pub fn gather_nd(low: &mut Lowering<'_>, node: &Node<'_>) -> Result<Value, String> {
    node.only("batch_dims", 0)?;
    let constant = low.constant(node, 1)?;
    match constant.dims.split_last() {
        Some((1, dims)) => gathered(low, node, 0, &constant.reshaped(dims.to_vec()), Gives::GatherNd),
        _ => Err(format!("takes places of the shape {:?}; only those along one axis are supported", constant.dims)),
    }
}

fn gathered(
    low: &mut Lowering<'_>,
    node: &Node<'_>,
    axis: i64,
    constant: &Constant,
    gives: Gives,
) -> Result<Value, String> {
    let x = low.settled(node, 0)?;
    let place = low.axis(&x, axis)?;
    let len = x.view.axes[place].len();
    if x.view.axes[place].has_images() {
        return Err("takes one of the images, which is not supported".into());
    }
    let entries = constant.ints()?.iter().map(|at| place_of(*at, len).ok());
    let entries = entries.collect::<Option<Vec<usize>>>();
    let entries = entries.ok_or_else(|| format!("takes the places {:?} of {len}", constant.data))?;
    // Parts in which every entry follows the one before.
    let mut parts: Vec<[usize; 2]> = Vec::new();
    for at in &entries {
        match parts.last_mut() {
            Some([_, to]) if *to == *at => *to += 1,
            _ => parts.push([*at, at + 1]),
        }
    }
    let mut list = Vec::new();
    for [from, to] in parts {
        list.push(cut(low, x.clone(), place, from, to)?);
    }
    let mut x = match list.len() {
        0 => return Err("takes no places".into()),
        1 => list.remove(0),
        _ => beside(low, node, list, place)?,
    };
    match constant.dims.len() {
        0 => {
            x.view.axes.remove(place);
        }
        1 => {}
        _ => {
            let sides = gives.sides(low, node)?.pop().unwrap_or_default();
            x.view = x.view.reshaped(&sides, low.images()).ok_or("takes places in a table that is no reshape")?;
        }
    }
    Ok(Value::Activation(x))
}

/// The ends of a slice as ONNX counts them, within `0..=len`.
fn range(start: i64, end: i64, len: usize) -> (usize, usize) {
    let len = len as i64;
    let place = |at: i64| (if at < 0 { at.saturating_add(len) } else { at }).clamp(0, len);
    let (from, to) = (place(start), place(end));
    (from as usize, to.max(from) as usize)
}

/// The entries `from..to` of an axis: channels, rows, columns, or pixels in their order.
fn cut(low: &mut Lowering<'_>, x: Activation, place: usize, from: usize, to: usize) -> Result<Activation, String> {
    if (from, to) == (0, x.view.axes[place].len()) {
        return Ok(x);
    }
    if let Some(made) = cut_in_order(low, x.clone(), place, from, to)? {
        return Ok(made);
    }
    let channels = low.with_channels(x, place)?;
    let made = cut_in_order(low, channels, place, from, to)?;
    made.ok_or_else(|| format!("takes {from} to {to} of an axis, which no layer does"))
}

/// The same of an axis of the planes; `None` of another.
fn cut_in_order(
    low: &mut Lowering<'_>,
    x: Activation,
    place: usize,
    from: usize,
    to: usize,
) -> Result<Option<Activation>, String> {
    let Some([len, stride]) = x.view.axes[place].only() else { return Ok(None) };
    let Shape { h, w, c } = low.shape(&x);
    if stride * len == c {
        let kept = (to - from) * stride;
        let op = Op::Slice { from: from * stride, len: kept };
        let layer = low.draft.push("", op, &[x.layer], Weights::default())?;
        let mut view = x.view.with_channels(c, kept);
        view.axes[place] = Axis::steps(to - from, stride);
        return Ok(Some(Activation::new(layer, view)));
    }
    if [len, stride] == [h * w, c] && h > 1 && w > 1 {
        let line = low.reshaped(x, Shape::new(1, h * w, c))?;
        return cut_in_order(low, line, place, from, to);
    }
    let rows = [len, stride] == [h, w * c];
    if !rows && [len, stride] != [w, c] {
        return Ok(None);
    }
    let (front, back) = (from, len - to);
    let op = match rows {
        true => Op::Crop { top: front, left: 0, bottom: back, right: 0 },
        false => Op::Crop { top: 0, left: front, bottom: 0, right: back },
    };
    // The stride between rows is the length of a row.
    let columns = if rows { w } else { to - from };
    let mut axes = Vec::new();
    for (at, axis) in x.view.axes.iter().enumerate() {
        axes.push(match axis.only() {
            _ if at == place && rows => Axis::steps(to - from, columns * c),
            _ if at == place => Axis::steps(to - from, c),
            Some([n, stride]) if h > 1 && w > 1 && [n, stride] == [h, w * c] => Axis::steps(h, columns * c),
            Some([n, stride]) if [n, stride] == [w, c] || n * stride <= c => axis.clone(),
            None if axis.0.iter().all(|p| *p == Part::Images) => axis.clone(),
            _ => return Ok(None),
        });
    }
    let layer = low.draft.push("", op, &[x.layer], Weights::default())?;
    Ok(Some(Activation::new(layer, View { axes })))
}
