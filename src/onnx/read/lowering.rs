//! The state of a reading: the layers so far, and what every tensor is. Operations get their inputs from here.

use std::collections::HashMap;
use std::rc::Rc;

use super::constant::{Constant, Constants};
use super::draft::{Draft, Weights};
use super::node::Node;
use super::value::{Activation, Line, Sides, Value};
use super::view::{IMAGES, View};
use crate::arch::op::{Op, Shape};

/// A reading of a graph.
pub struct Lowering<'a> {
    /// The layers so far.
    pub draft: Draft,
    /// Makes constants of messages.
    pub constants: Constants<'a>,
    /// Every tensor by name.
    pub values: HashMap<&'a str, Value>,
    /// How often every tensor is read, as an input or as the output of the graph.
    pub readers: HashMap<&'a str, usize>,
    /// The number of images, where the file fixes it.
    pub batch: Option<i64>,
}

impl Lowering<'_> {
    /// An input of a node.
    pub fn value(&self, node: &Node<'_>, at: usize) -> Result<&Value, String> {
        let name = node.input(at).ok_or_else(|| format!("input {at} is missing"))?;
        self.values.get(name).ok_or_else(|| {
            format!(
                "reads `{name}`, which no input, initializer or node before it gives: the file is incomplete, \
                 or its nodes are in no topological order"
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

    /// An input that must be constant where it is there.
    pub fn optional(&self, node: &Node<'_>, at: usize) -> Result<Option<Rc<Constant>>, String> {
        node.input(at).map(|_| self.constant(node, at)).transpose()
    }

    /// The numbers of an input that must be a constant of `len` numbers.
    pub fn vector(&self, node: &Node<'_>, at: usize, len: usize) -> Result<Vec<f32>, String> {
        let constant = self.constant(node, at)?;
        let name = node.input(at).unwrap_or_default();
        let values = constant.floats().map_err(|why| format!("`{name}` {why}"))?;
        if values.len() != len {
            return Err(format!("`{name}` has the shape {:?}, expected [{len}]", constant.dims));
        }
        Ok(values.to_vec())
    }

    /// Whole numbers: an input that is constant, where it is there.
    pub fn ints(&self, node: &Node<'_>, at: usize) -> Result<Option<Vec<i64>>, String> {
        let Some(constant) = self.optional(node, at)? else { return Ok(None) };
        let name = node.input(at).unwrap_or_default();
        Ok(Some(constant.ints().map_err(|why| format!("`{name}` {why}"))?.to_vec()))
    }

    /// An input that is an activation, as it is.
    pub fn activation(&self, node: &Node<'_>, at: usize) -> Result<Activation, String> {
        let name = node.input(at).unwrap_or_default();
        match self.value(node, at)? {
            Value::Activation(activation) => Ok(activation.clone()),
            Value::Constant(_) | Value::Sides(_) => Err(format!(
                "input {at}, `{name}`, does not depend on the image; expected an activation: simplify the model, so that \
                 constants are folded"
            )),
            Value::Length(_) => Err(format!("takes `{name}`, a length; only `x / max(|x|, epsilon)` is supported")),
            Value::Scores(_) => Err(format!(
                "takes `{name}`, a product of two activations; only attention, softmax(q k) v, is supported"
            )),
            Value::Turned(_) => Err(format!(
                "takes `{name}`, planes multiplied by matrices; only those of low-frequency-cut pooling are supported"
            )),
            Value::Parts(_) => Err(format!("takes `{name}`, which is several tensors")),
        }
    }

    /// An activation with its line made a layer; zeros around it may be left.
    pub fn drawn(&mut self, node: &Node<'_>, at: usize) -> Result<Activation, String> {
        let activation = self.activation(node, at)?;
        self.draw(node.input(at).unwrap_or_default(), activation)
    }

    /// Makes the line of a tensor a layer; others that read the tensor read the same layer.
    pub fn draw(&mut self, name: &str, mut activation: Activation) -> Result<Activation, String> {
        if activation.unit {
            return Err(format!("takes `{name}`, divided by its length; only attention over channels may"));
        }
        if let Some(line) = activation.line.take() {
            if line != Line::identity(line.scale.len()) {
                let (op, weights) = line.layer()?;
                activation.layer = self.draft.push(name, op, &[activation.layer], weights)?;
            }
            self.remember(name, &activation);
        }
        Ok(activation)
    }

    /// An activation of which nothing is left to do.
    pub fn settled(&mut self, node: &Node<'_>, at: usize) -> Result<Activation, String> {
        self.unpadded(node, at)?;
        self.drawn(node, at)
    }

    /// An activation whose zeros around it are a layer; its line may be left.
    pub fn unpadded(&mut self, node: &Node<'_>, at: usize) -> Result<Activation, String> {
        let mut activation = self.activation(node, at)?;
        if let Some([top, left, bottom, right]) = activation.pad.take() {
            let name = node.input(at).unwrap_or_default();
            let op = Op::Pad { top, left, bottom, right };
            activation.layer = self.draft.push(name, op, &[activation.layer], Weights::default())?;
            activation.view = View::planes(self.draft.shape(activation.layer));
            self.remember(name, &activation);
        }
        Ok(activation)
    }

    fn remember(&mut self, name: &str, activation: &Activation) {
        if let Some(value) = self.values.get_mut(name) {
            *value = Value::Activation(activation.clone());
        }
    }

    /// An activation of which nothing is left to do, seen as planes of its layer.
    pub fn planes(&mut self, node: &Node<'_>, at: usize) -> Result<Activation, String> {
        let activation = self.settled(node, at)?;
        self.as_planes(activation)
    }

    /// An activation with its line drawn, seen as planes of its layer; zeros around it may be left.
    pub fn drawn_planes(&mut self, node: &Node<'_>, at: usize) -> Result<Activation, String> {
        let activation = self.drawn(node, at)?;
        self.as_planes(activation)
    }

    /// Sees to it that a tensor `[n, c, h, w]` is a layer of that shape.
    pub fn as_planes(&mut self, activation: Activation) -> Result<Activation, String> {
        let sides = activation.view.sides(1);
        let own = self.shape(&activation);
        if activation.view == View::planes(own) {
            return Ok(activation);
        }
        let &[_, c, h, w] = &sides[..] else {
            return Err(format!("takes [n, c, h, w], got [{}]", activation.view.words()));
        };
        let shape = Shape::new(h as usize, w as usize, c as usize);
        if activation.view != View::planes(shape) {
            return Err(format!(
                "takes [n, c, h, w]; [{}] has its entries in another order, which no layer can change",
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

    /// What comes out of an activation's layer.
    pub fn shape(&self, activation: &Activation) -> Shape {
        self.draft.shape(activation.layer)
    }

    /// How many images ONNX counts.
    pub fn images(&self) -> i64 {
        self.batch.unwrap_or(IMAGES)
    }

    /// An activation's sides as ONNX counts them.
    pub fn sides(&self, activation: &Activation) -> Sides {
        let mut list = activation.view.sides(self.images());
        if let (Some([top, left, bottom, right]), [_, _, h, w]) = (activation.pad, &mut list[..]) {
            (*h, *w) = (*h + (top + bottom) as i64, *w + (left + right) as i64);
        }
        Sides { list, scalar: false }
    }

    /// Adds a layer and gives what comes out of it.
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

    /// Whether a tensor is read once, and its layer is nothing else.
    pub fn is_only_reader(&self, name: &str, layer: usize) -> bool {
        let same = |value: &Value| matches!(value, Value::Activation(a) if a.layer == layer);
        self.readers.get(name) == Some(&1)
            && self.values.values().filter(|v| same(v)).count() == 1
            && !self.draft.is_read(layer)
    }

    /// An activation with a line behind it.
    pub fn line(&self, activation: Activation, behind: impl Fn(usize, &mut f64, &mut f64)) -> Value {
        let channels = self.shape(&activation).c;
        let mut line = activation.line.clone().unwrap_or_else(|| Line::identity(channels));
        for (k, (scale, shift)) in line.scale.iter_mut().zip(&mut line.shift).enumerate() {
            behind(k, scale, shift);
        }
        Value::Activation(Activation { line: Some(line), ..activation })
    }
}
