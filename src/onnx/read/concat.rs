//! Activations side by side, and constants among them.

use std::rc::Rc;

use super::constant::Constant;
use super::draft::Weights;
use super::lowering::Lowering;
use super::node::Node;
use super::sides::Gives;
use super::value::{Activation, Value};
use super::view::{Axis, View};
use crate::arch::op::{Op, Shape};

/// `Concat` of channels, of tokens, rows or columns, or of a token in front of the others.
pub fn concat(low: &mut Lowering<'_>, node: &Node<'_>) -> Result<Value, String> {
    // All inputs have as many axes.
    Gives::Concat.sides(low, node)?;
    let axis = node.int("axis", 0)?;
    let count = node.inputs().len();
    let of_image = |at: usize| matches!(low.value(node, at), Ok(value) if constant_of(value).is_none());
    let peer = (0..count).find(|at| of_image(*at)).ok_or("is of constants that are laid over the images")?;
    let peer = low.settled(node, peer)?;
    let place = low.axis(&peer, axis)?;
    if count == 2
        && let Some(token) = constant_of(low.value(node, 0)?)
        && token.len() == low.shape(&peer).c
        && peer.view.axes.len() == 3
    {
        return class_token(low, node, &peer, place, &token);
    }
    let mut list = Vec::new();
    for at in 0..count {
        list.push(match constant_of(low.value(node, at)?) {
            Some(constant) => as_layer(low, &peer, place, &constant)?,
            None => low.settled(node, at)?,
        });
    }
    beside(low, node, list, place).map(Value::Activation)
}

/// A constant, laid over the images or not.
pub fn constant_of(value: &Value) -> Option<Rc<Constant>> {
    match value {
        Value::Constant(constant) | Value::Repeated(constant) => Some(constant.clone()),
        _ => None,
    }
}

/// A layer that gives the same numbers for every image, like `peer` but along one axis.
pub fn as_layer(
    low: &mut Lowering<'_>,
    peer: &Activation,
    place: usize,
    constant: &Constant,
) -> Result<Activation, String> {
    let shape = low.shape(peer);
    let unfit = || format!("of a constant of shape {:?} and [{}] is not supported", constant.dims, peer.view.words());
    let len = constant.dims.get(place).copied().filter(|_| constant.dims.len() == peer.view.axes.len());
    let len = len.ok_or_else(unfit)?;
    let axis = &peer.view.axes[place];
    let (view, own) = if *axis == Axis::channels(shape.c) {
        (peer.view.with_channels(shape.c, len), Shape { c: len, ..shape })
    } else if *axis == Axis::pixels(shape) {
        let mut view = peer.view.clone();
        view.axes[place] = Axis::steps(len, shape.c);
        (view, Shape { h: 1, w: len, ..shape })
    } else {
        return Err(unfit());
    };
    let values = constant.floats()?;
    if view.sides(1) != constant.dims.iter().map(|d| *d as i64).collect::<Vec<_>>() || own.len() != values.len() {
        return Err(unfit());
    }
    let (bottom, right) = (shape.h - 1, shape.w - 1);
    let mut layer = low.draft.push("", Op::Slice { from: 0, len: 1 }, &[peer.layer], Weights::default())?;
    if bottom + right > 0 {
        layer = low.draft.push("", Op::Crop { top: 0, left: 0, bottom, right }, &[layer], Weights::default())?;
    }
    layer = low.draft.push("", Op::Zero { stride: 1 }, &[layer], Weights::default())?;
    layer = low.beside_itself(layer, own.len())?;
    let made = low.reshaped(Activation::new(layer, view), own)?;
    if values.iter().all(|v| *v == 0.0) {
        return Ok(made);
    }
    let mut numbers = vec![0f32; values.len()];
    for (entry, value) in made.view.order().into_iter().zip(values) {
        numbers[entry] = *value;
    }
    let weights = Weights { trainable: vec![numbers], running: None };
    let layer = low.draft.push("", Op::Position, &[made.layer], weights)?;
    Ok(Activation { layer, ..made })
}

/// Activations side by side along an axis: channels, or tokens, rows and columns.
pub fn beside(
    low: &mut Lowering<'_>,
    node: &Node<'_>,
    list: Vec<Activation>,
    place: usize,
) -> Result<Activation, String> {
    let mut list = list;
    // Copies lie beside others as layers.
    if list.iter().any(|x| x.view.axes.len() == 4 && x.view.axes.iter().any(Axis::is_repeated)) {
        list = list.into_iter().map(|x| low.as_planes(x)).collect::<Result<_, _>>()?;
    }
    let first = list.first().cloned().ok_or("has no inputs")?;
    let shape = low.shape(&first);
    let all: usize = list.iter().map(|x| low.shape(x).c).sum();
    // Flat planes hold channel after channel, so side by side they are still those of all channels.
    let view = if place == 1 && list.iter().all(|x| x.view == low.flat_of(low.shape(x))) {
        Some(low.flat_of(Shape { c: all, ..shape }))
    } else {
        let seen = |x: &Activation| {
            let c = low.shape(x).c;
            (x.view.axes.get(place) == Some(&Axis::channels(c))).then(|| x.view.with_channels_at(place, c, all))
        };
        let views: Option<Vec<View>> = list.iter().map(seen).collect();
        views.filter(|views| views.iter().all(|v| *v == views[0])).map(|mut views| views.remove(0))
    };
    let Some(view) = view else {
        if let Some(stacked) = stacked(low, node, &list, place)? {
            return Ok(stacked);
        }
        return match along(low, node, list.clone(), place) {
            Err(_) => as_channels(low, node, list, place),
            made => made,
        };
    };
    let mut layers = Vec::new();
    for x in list {
        let c = low.shape(&x).c;
        layers.push(low.reshaped(x, Shape { c, ..shape })?.layer);
    }
    let layer = low.draft.push(node.name, Op::Concat, &layers, Weights::default())?;
    Ok(Activation::new(layer, view))
}

/// Planes along a new axis: their channels side by side.
fn stacked(
    low: &mut Lowering<'_>,
    node: &Node<'_>,
    list: &[Activation],
    place: usize,
) -> Result<Option<Activation>, String> {
    let (first, c) = (&list[0], low.shape(&list[0]).c);
    let channels = first.view.axes.iter().rposition(|axis| c > 1 && *axis == Axis::channels(c));
    let alike = list.iter().all(|x| x.view == first.view && low.shape(x) == low.shape(first));
    let (Some(channels), true, true) = (channels, alike, first.view.axes[place] == Axis::default()) else {
        return Ok(None);
    };
    let layers: Vec<usize> = list.iter().map(|x| x.layer).collect();
    let mut view = first.view.with_channels_at(channels, c, c * list.len());
    view.axes[channels] = Axis::channels(c);
    view.axes[place] = Axis::steps(list.len(), c);
    let layer = low.draft.push(node.name, Op::Concat, &layers, Weights::default())?;
    Ok(Some(Activation::new(layer, view)))
}

/// Activations side by side along any axis, which becomes that of the channels.
fn as_channels(
    low: &mut Lowering<'_>,
    node: &Node<'_>,
    list: Vec<Activation>,
    place: usize,
) -> Result<Activation, String> {
    let list = list.into_iter().map(|x| low.with_channels(x, place)).collect::<Result<Vec<_>, _>>()?;
    let layers: Vec<usize> = list.iter().map(|x| x.layer).collect();
    let layer = low.draft.push(node.name, Op::Concat, &layers, Weights::default())?;
    let (own, all) = (low.shape(&list[0]).c, low.draft.shape(layer).c);
    Ok(Activation::new(layer, list[0].view.with_channels_at(place, own, all)))
}

/// Tokens, rows or columns one behind the other: each with zeros where the others are, and their sum.
fn along(low: &mut Lowering<'_>, node: &Node<'_>, list: Vec<Activation>, place: usize) -> Result<Activation, String> {
    let first = list.first().cloned().ok_or("has no inputs")?;
    let rank = first.view.axes.len();
    let words = first.view.words();
    let unfit =
        || format!("of [{words}] along axis {place} is not supported; expected channels, tokens, rows or columns");
    let tokens = rank == 3;
    let mut parts = Vec::new();
    for x in list {
        let own = low.shape(&x);
        if !tokens {
            parts.push(low.as_planes_in_order(x)?);
            continue;
        }
        let others = (0..rank).all(|at| at == place || x.view.axes[at] == first.view.axes[at]);
        if !others || x.view.axes[place] != Axis::pixels(own) || own.c != low.shape(&first).c {
            return Err(unfit());
        }
        parts.push(low.reshaped(x, Shape { h: 1, w: own.area(), c: own.c })?);
    }
    let rows = match (tokens, place) {
        (true, _) | (false, 3) => false,
        (false, 2) => true,
        _ => return Err(unfit()),
    };
    let len = |low: &Lowering<'_>, x: &Activation| if rows { low.shape(x).h } else { low.shape(x).w };
    let all: usize = parts.iter().map(|x| len(low, x)).sum();
    let (mut layers, mut front) = (Vec::new(), 0);
    for x in &parts {
        let back = all - front - len(low, x);
        let op = match rows {
            true => Op::Pad { top: front, left: 0, bottom: back, right: 0 },
            false => Op::Pad { top: 0, left: front, bottom: 0, right: back },
        };
        layers.push(low.draft.push("", op, &[x.layer], Weights::default())?);
        front += len(low, x);
    }
    let layer = low.draft.push(node.name, Op::Add, &layers, Weights::default())?;
    let shape = low.draft.shape(layer);
    let mut view = if tokens { first.view } else { low.planes_of(shape) };
    if tokens {
        view.axes[place] = Axis::pixels(shape);
    }
    Ok(Activation::new(layer, view))
}

/// A learned token in front of all pixels.
fn class_token(
    low: &mut Lowering<'_>,
    node: &Node<'_>,
    x: &Activation,
    place: usize,
    token: &Constant,
) -> Result<Value, String> {
    let shape = low.shape(x);
    if x.view.axes[place] != Axis::pixels(shape) || token.dims.last() != Some(&shape.c) {
        return Err(format!("of a constant {:?} and [{}] is no class token", token.dims, x.view.words()));
    }
    let weights = Weights { trainable: vec![token.floats()?.to_vec()], running: None };
    let mut view = x.view.clone();
    view.axes[place] = Axis::steps(1 + shape.area(), shape.c);
    low.push(node, Op::ClassToken, &[x.layer], weights, view)
}
