//! Helpers that write the operations of a layer.

use super::Export;
use super::graph::{Attribute, Graph};
use crate::arch::net::Node;
use crate::arch::op::Shape;

/// The output of a layer, as a tensor of the file.
#[derive(Clone, Debug)]
pub struct Tensor {
    /// Its name.
    pub name: String,
    /// One image's activation.
    pub shape: Shape,
    /// Whether it is `[n, c]`, a vector; else `[n, c, h, w]`.
    pub flat: bool,
}

/// Writes one layer.
pub struct Writer<'a, 'b> {
    /// The file's graph.
    pub graph: &'a mut Graph,
    /// The export.
    pub export: &'a Export<'b>,
    /// The layer.
    pub node: &'a Node,
}

impl<'b> Writer<'_, 'b> {
    /// Adds an operation under the layer's name; returns its output.
    pub fn op(&mut self, op: &str, inputs: &[&str], attributes: &[Attribute<'_>]) -> String {
        let name = format!("{}/{op}", self.node.name);
        self.graph.node(&name, op, inputs, attributes)
    }

    /// Adds a constant of floats under the layer's name.
    pub fn floats(&mut self, suffix: &str, dims: &[usize], values: &[f32]) -> String {
        let name = format!("{}.{suffix}", self.node.name);
        self.graph.floats(&name, dims, values)
    }

    /// Adds a scalar.
    pub fn float(&mut self, suffix: &str, value: f32) -> String {
        self.floats(suffix, &[], &[value])
    }

    /// One of the layer's weight tensors, of `len` elements.
    pub fn values(&self, suffix: &str, len: usize) -> Result<&'b [f32], String> {
        let name = format!("{}.{suffix}", self.node.name);
        let found = (self.export.weights)(&name).ok_or_else(|| format!("the weights `{name}` are missing"))?;
        if found.len() != len {
            return Err(format!("`{name}` has {} elements, expected {len}", found.len()));
        }
        Ok(found)
    }

    /// Adds one of the layer's weight tensors in a shape.
    pub fn tensor(&mut self, suffix: &str, dims: &[usize]) -> Result<String, String> {
        let values = self.values(suffix, dims.iter().product())?;
        Ok(self.floats(suffix, dims, values))
    }

    /// An activation as `[n, c, h, w]`.
    pub fn planes(&mut self, x: &Tensor) -> String {
        if !x.flat {
            return x.name.clone();
        }
        let axes = self.graph.ints(&[2, 3]);
        self.op("Unsqueeze", &[&x.name, &axes], &[])
    }

    /// A vector as `[n, c]`.
    pub fn flat(&mut self, x: &Tensor) -> String {
        if x.flat { x.name.clone() } else { self.op("Flatten", &[&x.name], &[Attribute::Int("axis", 1)]) }
    }

    /// A reshape to `[n, sides]`.
    pub fn reshape(&mut self, x: &str, sides: &[usize]) -> String {
        let sides: Vec<i64> = std::iter::once(0).chain(sides.iter().map(|s| *s as i64)).collect();
        let sides = self.graph.ints(&sides);
        self.op("Reshape", &[x, &sides], &[])
    }

    /// Axes in another order.
    pub fn transpose(&mut self, x: &str, order: &[i64]) -> String {
        self.op("Transpose", &[x], &[Attribute::Ints("perm", order)])
    }

    /// `x[.., from..to, ..]` along an axis.
    pub fn slice(&mut self, x: &str, axis: i64, from: usize, to: usize) -> String {
        let ends = [self.graph.ints(&[from as i64]), self.graph.ints(&[to as i64]), self.graph.ints(&[axis])];
        self.op("Slice", &[x, &ends[0], &ends[1], &ends[2]], &[])
    }

    /// Broadcasts `[1, ..]` to the batch of an activation: `[n, sides]`.
    pub fn for_every_image(&mut self, constant: &str, x: &str, sides: &[usize]) -> String {
        let n = self.op("Shape", &[x], &[Attribute::Int("start", 0), Attribute::Int("end", 1)]);
        let sides: Vec<i64> = sides.iter().map(|s| *s as i64).collect();
        let sides = self.graph.ints(&sides);
        let shape = self.op("Concat", &[&n, &sides], &[Attribute::Int("axis", 0)]);
        self.op("Expand", &[constant, &shape], &[])
    }
}
