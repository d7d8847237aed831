//! The state while a graph is read: the layers so far, and the value of every tensor. Operations get their inputs from
//! here.

use std::collections::HashMap;
use std::rc::Rc;

use super::arrays::place;
use super::constant::{Constant, Constants};
use super::draft::{Draft, Weights};
use super::node::Node;

use super::value::{Activation, Affine, Length, Value};
use super::view::{Axis, IMAGES, View};
use crate::arch::op::{Op, Shape};

/// A graph while it is read.
pub struct Lowering<'a> {
    /// The layers so far.
    pub draft: Draft,
    /// Decodes constants.
    pub constants: Constants<'a>,
    /// Every tensor by name.
    pub values: HashMap<&'a str, Value>,
    /// How often every tensor is read, as an input or as the output of the graph.
    pub readers: HashMap<&'a str, usize>,
    /// The operator set.
    pub opset: i64,
    /// The number of images, where the file fixes it.
    pub batch: Option<i64>,
}

impl Lowering<'_> {
    /// An input of a node.
    pub fn value(&self, node: &Node<'_>, at: usize) -> Result<&Value, String> {
        let name = node.input(at).ok_or_else(|| format!("input {at} is missing"))?;
        self.values.get(name).ok_or_else(|| {
            format!(
                "reads `{name}`, which no input, initializer or earlier node defines: the file is incomplete, \
                 or its nodes are not in topological order"
            )
        })
    }

    /// An input that must be constant.
    pub fn constant(&self, node: &Node<'_>, at: usize) -> Result<Rc<Constant>, String> {
        match self.value(node, at)? {
            Value::Constant(constant) => Ok(constant.clone()),
            _ => Err(format!(
                "input {at}, `{}`, depends on the image; expected a constant (an initializer)",
                node.input(at).unwrap_or_default()
            )),
        }
    }

    /// An optional input that must be constant.
    pub fn optional(&self, node: &Node<'_>, at: usize) -> Result<Option<Rc<Constant>>, String> {
        node.input(at).map(|_| self.constant(node, at)).transpose()
    }

    /// The elements of an input that must be a constant of shape `[len]`.
    pub fn vector(&self, node: &Node<'_>, at: usize, len: usize) -> Result<Vec<f32>, String> {
        let constant = self.constant(node, at)?;
        let name = node.input(at).unwrap_or_default();
        let values = constant.floats().map_err(|why| format!("`{name}` {why}"))?;
        if values.len() != len {
            return Err(format!("`{name}` has the shape {:?}, expected [{len}]", constant.dims));
        }
        Ok(values.to_vec())
    }

    /// The integers of an optional constant input.
    pub fn ints(&self, node: &Node<'_>, at: usize) -> Result<Option<Vec<i64>>, String> {
        let Some(constant) = self.optional(node, at)? else { return Ok(None) };
        let name = node.input(at).unwrap_or_default();
        Ok(Some(constant.ints().map_err(|why| format!("`{name}` {why}"))?.to_vec()))
    }

    /// An input that is an activation, unchanged.
    pub fn activation(&self, node: &Node<'_>, at: usize) -> Result<Activation, String> {
        let name = node.input(at).unwrap_or_default();
        match self.value(node, at)? {
            Value::Activation(activation) => Ok(activation.clone()),
            Value::Constant(_) | Value::Repeated(_) => Err(format!(
                "input {at}, `{name}`, does not depend on the image; expected an activation: simplify the model, so that \
                 constants are folded"
            )),
            Value::Length(_) => Err(format!("takes `{name}`, a length; only `x / max(|x|, epsilon)` is supported")),
            Value::Scores(_) => Err(format!("takes `{name}`, a product of two activations that was not made a layer")),
            Value::Transformed(_) => Err(format!("takes `{name}`, a product of matrices that was not made a layer")),
            Value::Above(..) => Err(format!("takes `{name}`, a comparison; only a softplus may")),
            Value::Parts(_) => Err(format!("takes `{name}`, which is several tensors")),
        }
    }

    /// Makes layers of what else is a part of a layer that is known by it: attention's scores, products with matrices.
    fn computed(&mut self, node: &Node<'_>, at: usize) -> Result<(), String> {
        let made = match self.value(node, at)?.clone() {
            Value::Scores(scores) => self.made_of_scores(scores)?,
            Value::Transformed(turned) => self.made_of_matrices(node, turned)?,
            _ => return Ok(()),
        };
        if let Some(value) = node.input(at).and_then(|name| self.values.get_mut(name)) {
            *value = Value::Activation(made);
        }
        Ok(())
    }

    /// An activation with its line made a layer; zeros around it may be left.
    pub fn applied(&mut self, node: &Node<'_>, at: usize) -> Result<Activation, String> {
        self.computed(node, at)?;
        let activation = self.activation(node, at)?;
        self.apply(node.input(at).unwrap_or_default(), activation)
    }

    /// Makes the line of a tensor a layer; others that read the tensor read the same layer.
    pub fn apply(&mut self, name: &str, mut activation: Activation) -> Result<Activation, String> {
        activation = self.of_unit_length(activation)?;
        if let Some(affine) = activation.affine.take() {
            if affine != Affine::identity(affine.scale.len()) {
                let (op, weights) = affine.layer()?;
                activation.layer = self.draft.push(name, op, &[activation.layer], weights)?;
            }
            self.remember(name, &activation);
        }
        Ok(activation)
    }

    /// Vectors of unit length over all channels: beside its negative, a vector has the mean zero, so that its deviation is its
    /// length over the root of its channels.
    fn of_unit_length(&mut self, x: Activation) -> Result<Activation, String> {
        let Some(axis) = &x.unit else { return Ok(x) };
        let mut x = x.clone();
        if *axis != Axis::channels(self.shape(&x).c) {
            let place = x.view.axes.iter().rposition(|own| own == axis);
            let place = place.ok_or("divides by a length over an axis that is none any more")?;
            x = self.with_channels(Activation { unit: None, ..x }, place)?;
        }
        let c = self.shape(&x).c;
        if c < 2 {
            return Err("divides a number by its own length, which is not supported".into());
        }
        let negative = Affine { scale: vec![-1.0; c], shift: vec![0.0; c] };
        let (op, weights) = negative.layer()?;
        let negative = self.draft.push("", op, &[x.layer], weights)?;
        let both = self.draft.push("", Op::Concat, &[x.layer, negative], Weights::default())?;
        let root = (c as f32).sqrt().recip();
        let weights = Weights { trainable: vec![vec![root; 2 * c], vec![0.0; 2 * c]], running: None };
        let unit = self.draft.push("", Op::LayerNorm { epsilon: SMALLEST / c as f32 }, &[both], weights)?;
        let layer = self.draft.push("", Op::Slice { from: 0, len: c }, &[unit], Weights::default())?;
        Ok(Activation { layer, unit: None, ..x })
    }

    /// An activation of which nothing is left to do; channels in another order are in that of a layer.
    pub fn settled(&mut self, node: &Node<'_>, at: usize) -> Result<Activation, String> {
        self.unpadded(node, at)?;
        let found = self.applied(node, at)?;
        let ordered = self.in_order(found.clone())?;
        if ordered.layer != found.layer {
            self.remember(node.input(at).unwrap_or_default(), &ordered);
        }
        Ok(ordered)
    }

    /// An input that is an activation, its padding applied; an affine map may remain.
    pub fn unpadded(&mut self, node: &Node<'_>, at: usize) -> Result<Activation, String> {
        self.computed(node, at)?;
        let mut activation = self.activation(node, at)?;
        if let Some([top, left, bottom, right]) = activation.pad.take() {
            let name = node.input(at).unwrap_or_default();
            let op = Op::Pad { top, left, bottom, right };
            activation.layer = self.draft.push(name, op, &[activation.layer], Weights::default())?;
            activation.view = self.planes_of(self.draft.shape(activation.layer));
            self.remember(name, &activation);
        }
        Ok(activation)
    }

    fn remember(&mut self, name: &str, activation: &Activation) {
        if let Some(value) = self.values.get_mut(name) {
            *value = Value::Activation(activation.clone());
        }
    }

    /// An input that is an activation `[n, c, h, w]`, padding and affine map applied.
    pub fn planes(&mut self, node: &Node<'_>, at: usize) -> Result<Activation, String> {
        let activation = self.settled(node, at)?;
        self.as_planes(activation)
    }

    /// An activation with its line drawn, seen as planes of its layer; zeros around it may be left.
    pub fn applied_planes(&mut self, node: &Node<'_>, at: usize) -> Result<Activation, String> {
        let activation = self.applied(node, at)?;
        let activation = self.in_order(activation)?;
        self.as_planes(activation)
    }

    /// Makes a tensor `[n, c, h, w]` a layer of that shape, in whatever order its entries lie.
    pub fn as_planes(&mut self, activation: Activation) -> Result<Activation, String> {
        let axes = &activation.view.axes;
        let in_order = self.as_planes_in_order(activation.clone());
        if in_order.is_err() && axes.len() == 4 && axes[0].len() == 1 {
            let made = self.copies_made(activation)?;
            return self.arranged(made, [&[2], &[3], &[1]]);
        }
        in_order
    }

    /// Reshapes, if necessary, so that a tensor `[n, c, h, w]` is a layer of that shape.
    pub fn as_planes_in_order(&mut self, activation: Activation) -> Result<Activation, String> {
        let sides = activation.view.sides(1);
        let own = self.shape(&activation);
        if activation.view == self.planes_of(own) {
            return Ok(activation);
        }
        let &[_, c, h, w] = &sides[..] else {
            return Err(format!("takes [n, c, h, w], got [{}]", activation.view.words()));
        };
        let shape = Shape::new(h as usize, w as usize, c as usize);
        if activation.view.axes.iter().any(Axis::is_repeated) {
            return self.copied(activation, shape);
        }
        if activation.view != self.planes_of(shape) {
            return Err(format!(
                "takes [n, c, h, w]; [{}] has its entries in another order, and no layer permutes them",
                activation.view.words()
            ));
        }
        self.reshaped(activation, shape)
    }

    /// The same entries in the same order as a layer of another shape.
    pub fn reshaped(&mut self, activation: Activation, shape: Shape) -> Result<Activation, String> {
        if self.shape(&activation) == shape {
            return Ok(activation);
        }
        let layer = self.draft.push("", Op::Reshape { shape }, &[activation.layer], Weights::default())?;
        Ok(Activation { layer, ..activation })
    }

    /// The output shape of an activation's layer.
    pub fn shape(&self, activation: &Activation) -> Shape {
        self.draft.shape(activation.layer)
    }

    /// The batch size in shapes.
    pub fn images(&self) -> i64 {
        self.batch.unwrap_or(IMAGES)
    }

    /// A value's sides as ONNX counts them; of several, those of the first.
    pub fn sides(&self, value: &Value) -> Vec<i64> {
        let of = |view: &View| view.sides(self.images());
        match value {
            Value::Constant(constant) => constant.dims.iter().map(|d| *d as i64).collect(),
            Value::Repeated(constant) => {
                let own = constant.dims.iter().skip(1).map(|d| *d as i64);
                std::iter::once(self.images()).chain(own).collect()
            }
            Value::Activation(x) | Value::Above(x, _) => {
                let mut list = of(&x.view);
                if let (Some([top, left, bottom, right]), [_, _, h, w]) = (x.pad, &mut list[..]) {
                    (*h, *w) = (*h + (top + bottom) as i64, *w + (left + right) as i64);
                }
                list
            }
            Value::Length(Length { of: x, spread }) => {
                let mut list = of(&x.view);
                list.last_mut().filter(|_| !spread).into_iter().for_each(|last| *last = 1);
                list
            }
            Value::Scores(scores) => {
                let mut list = of(&scores.queries.view);
                list.pop();
                list.extend(of(&scores.keys.view).pop());
                list
            }
            Value::Transformed(turned) => {
                let mut list = of(&turned.image.view);
                if let [_, _, h, w] = &mut list[..] {
                    *h = turned.left.dims.first().map_or(0, |d| *d as i64);
                    *w = turned.right.as_ref().map_or(*w, |right| right.dims.last().map_or(0, |d| *d as i64));
                }
                list
            }
            Value::Parts(parts) => parts.first().map(|part| self.sides(part)).unwrap_or_default(),
        }
    }

    /// A layer's planes, `[n, c, h, w]`, as this file sees them: of one image, no axis runs through the images.
    pub fn planes_of(&self, shape: Shape) -> View {
        self.of_images(View::planes(shape))
    }

    /// The same for planes in one axis, `[n, c h w]`.
    pub fn flat_of(&self, shape: Shape) -> View {
        self.of_images(View::flat(shape))
    }

    /// A view as this file has it.
    pub fn of_images(&self, view: View) -> View {
        if self.batch == Some(1) { view.of_one_image() } else { view }
    }

    /// The axes that a node names, as an attribute or as its second input.
    pub fn axes(&self, node: &Node<'_>) -> Result<Option<Vec<i64>>, String> {
        match node.ints("axes")? {
            Some(axes) => Ok(Some(axes.to_vec())),
            None => self.ints(node, 1),
        }
    }

    /// The place of an axis that may be counted from the end.
    pub fn axis(&self, x: &Activation, axis: i64) -> Result<usize, String> {
        place(axis, x.view.axes.len()).map_err(|why| format!("{why}, [{}]", x.view.words()))
    }

    /// Adds a layer; returns its output.
    pub fn push(
        &mut self,
        node: &Node<'_>,
        op: Op,
        inputs: &[usize],
        weights: Weights,
        view: View,
    ) -> Result<Value, String> {
        let layer = self.draft.push(node.name, op, inputs, weights)?;
        Ok(Value::Activation(Activation::new(layer, view)))
    }

    /// Whether a tensor is read once, and no other tensor is of its layer.
    pub fn is_only_reader(&self, name: &str, layer: usize) -> bool {
        let same = |value: &Value| matches!(value, Value::Activation(a) if a.layer == layer);
        self.readers.get(name) == Some(&1)
            && self.values.values().filter(|v| same(v)).count() == 1
            && !self.draft.is_read(layer)
    }

    /// An activation with a line behind it.
    pub fn affine(&self, activation: Activation, behind: impl Fn(usize, &mut f64, &mut f64)) -> Value {
        let channels = self.shape(&activation).c;
        let mut affine = activation.affine.clone().unwrap_or_else(|| Affine::identity(channels));
        for (k, (scale, shift)) in affine.scale.iter_mut().zip(&mut affine.shift).enumerate() {
            behind(k, scale, shift);
        }
        Value::Activation(Activation { affine: Some(affine), ..activation })
    }
}

/// The square of the least length by which PyTorch divides.
const SMALLEST: f32 = 1e-24;
