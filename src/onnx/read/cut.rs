//! Parts of activations: `Slice`, `Split`, `Gather` of one index.

use super::draft::Weights;
use super::lowering::Lowering;
use super::node::Node;
use super::value::{Activation, Sides, Value};
use super::view::{Axis, Part, View};
use crate::arch::op::{Op, Shape, Window};

/// `Slice` of an activation along one axis after the other, or of a shape.
pub fn slice(low: &mut Lowering<'_>, node: &Node<'_>) -> Result<Value, String> {
    let list = |low: &Lowering<'_>, at: usize| low.ints(node, at);
    let (starts, ends) = (list(low, 1)?.ok_or("has no starts")?, list(low, 2)?.ok_or("has no ends")?);
    let axes = list(low, 3)?.unwrap_or_else(|| (0..starts.len() as i64).collect());
    let steps = list(low, 4)?.unwrap_or_else(|| vec![1; starts.len()]);
    if [ends.len(), axes.len(), steps.len()] != [starts.len(); 3] || steps.iter().any(|s| *s < 1) {
        return Err(format!("from {starts:?} to {ends:?} of the axes {axes:?} by {steps:?} is not supported"));
    }
    if let Value::Sides(sides) = low.value(node, 0)? {
        let ([start], [end], [1]) = (&starts[..], &ends[..], &steps[..]) else {
            return Err("of a shape has more than one axis, or a step".into());
        };
        let (from, to) = range(*start, *end, sides.list.len());
        return Ok(Value::Sides(Sides { list: sides.list[from..to].to_vec(), scalar: false }));
    }
    let mut x = low.settled(node, 0)?;
    let mut strides = [1; 2];
    for (at, axis) in axes.iter().enumerate() {
        let place = place(&x, *axis)?;
        if x.view.axes[place].has_images() {
            return Err("takes some of the images, which is not supported".into());
        }
        let (from, to) = range(starts[at], ends[at], x.view.axes[place].len());
        x = cut(low, x, place, from, to)?;
        if steps[at] > 1 {
            // Rows and columns of planes.
            let side = place.checked_sub(2).filter(|s| *s < 2 && x.view.axes.len() == 4);
            let side = side.ok_or_else(|| format!("has the step {} along axis {axis}", steps[at]))?;
            strides[side] = usize::try_from(steps[at]).map_err(|_| "has a negative step")?;
        }
    }
    if strides != [1; 2] {
        // The maximum of one pixel is that pixel.
        let planes = low.as_planes(x)?;
        let window = Window { kernel: [1; 2], stride: strides, pad: [0; 2], dilation: [1; 2] };
        let layer = low.draft.push(node.name, Op::MaxPool { window }, &[planes.layer], Weights::default())?;
        return Ok(Value::Activation(Activation::new(layer, View::planes(low.draft.shape(layer)))));
    }
    Ok(Value::Activation(x))
}

/// `Split` into parts.
pub fn split(low: &mut Lowering<'_>, node: &Node<'_>) -> Result<Value, String> {
    let x = low.settled(node, 0)?;
    let place = place(&x, node.int("axis", 0)?)?;
    let len = x.view.axes[place].len();
    let count = node.outputs().count();
    let parts = match low.ints(node, 1)? {
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

/// `Gather` of one index of an activation.
pub fn gather(low: &mut Lowering<'_>, node: &Node<'_>) -> Result<Value, String> {
    let x = low.settled(node, 0)?;
    let place = place(&x, node.int("axis", 0)?)?;
    let constant = low.constant(node, 1)?;
    let &[at] = constant.ints()? else {
        return Err(format!("takes {} indices; only one is supported", constant.len()));
    };
    let len = x.view.axes[place].len();
    let from = usize::try_from(if at < 0 { at + len as i64 } else { at }).ok().filter(|from| *from < len);
    let from = from.ok_or_else(|| format!("takes index {at} of {len}"))?;
    if x.view.axes[place].has_images() {
        return Err("takes one of the images, which is not supported".into());
    }
    let mut x = cut(low, x, place, from, from + 1)?;
    if constant.dims.is_empty() {
        x.view.axes.remove(place);
    }
    Ok(Value::Activation(x))
}

/// An axis index, which may be negative.
fn place(x: &Activation, axis: i64) -> Result<usize, String> {
    let rank = x.view.axes.len() as i64;
    let found = usize::try_from(if axis < 0 { axis + rank } else { axis }).ok().filter(|at| *at < rank as usize);
    found.ok_or_else(|| format!("has no axis {axis} in [{}]", x.view.words()))
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
    let axis = &x.view.axes[place];
    if (from, to) == (0, axis.len()) {
        return Ok(x);
    }
    let unfit = || format!("takes {from} to {to} of an axis of [{}] that is not an axis of the planes", x.view.words());
    let [len, stride] = axis.only().ok_or_else(unfit)?;
    let Shape { h, w, c } = low.shape(&x);
    if stride * len == c {
        let kept = (to - from) * stride;
        let op = Op::Slice { from: from * stride, len: kept };
        let layer = low.draft.push("", op, &[x.layer], Weights::default())?;
        let mut view = x.view.with_channels(c, kept);
        view.axes[place] = Axis::steps(to - from, stride);
        return Ok(Activation::new(layer, view));
    }
    if [len, stride] == [h * w, c] && h > 1 && w > 1 {
        let line = low.reshaped(x, Shape::new(1, h * w, c))?;
        return cut(low, line, place, from, to);
    }
    let rows = [len, stride] == [h, w * c];
    if !rows && [len, stride] != [w, c] {
        return Err(unfit());
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
            _ => return Err(unfit()),
        });
    }
    let layer = low.draft.push("", op, &[x.layer], Weights::default())?;
    Ok(Activation::new(layer, View { axes }))
}
