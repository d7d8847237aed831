//! What a tensor of an ONNX graph is while its layers are made.

use std::rc::Rc;

use super::constant::Constant;
use crate::arch::op::Op;

use super::draft::Weights;

/// A tensor.
#[derive(Clone, Debug)]
pub enum Value {
    /// The same numbers for every image.
    Constant(Rc<Constant>),
    /// Sides of an activation, as exporters compute them to reshape it.
    Sides(Sides),
    /// What a layer gives.
    Activation(Activation),
}

/// Some sides of an activation.
#[derive(Clone, Debug, PartialEq)]
pub struct Sides {
    /// In order; [`BATCH`] is the number of images.
    pub list: Vec<i64>,
    /// Whether it is one number without an axis.
    pub scalar: bool,
}

/// Stands for the number of images, which no layer depends on. No side of a real tensor can have this value.
pub const BATCH: i64 = i64::MIN;

/// How ONNX sees an activation; the engine's layout is the same for all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    /// `[n, c, h, w]`.
    Planes,
    /// `[n, c h w]`, channels outermost.
    Flat,
}

/// What a layer gives, and what is still to be done to it.
#[derive(Clone, Debug)]
pub struct Activation {
    /// The layer.
    pub layer: usize,
    /// How it is seen.
    pub view: View,
    /// A line per channel, not yet a layer: several of them become one.
    pub line: Option<Line>,
    /// Zeros around it, `[top, left, bottom, right]`, which the window that reads it takes over.
    pub pad: Option<[usize; 4]>,
}

impl Activation {
    /// A layer's output as it is.
    pub fn new(layer: usize, view: View) -> Self {
        Activation { layer, view, line: None, pad: None }
    }
}

/// `x scale + shift` per channel. In double precision: of the mean and deviation that an exporter wrote, the same must
/// come out again.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// Per channel.
    pub scale: Vec<f64>,
    /// Per channel.
    pub shift: Vec<f64>,
}

/// The engine's epsilon of batch-norms.
pub const EPSILON: f64 = 1e-5;

impl Line {
    /// That which changes nothing.
    pub fn identity(channels: usize) -> Self {
        Line { scale: vec![1.0; channels], shift: vec![0.0; channels] }
    }

    /// The operation that computes it: a normalisation where all scales are positive, else a batch-norm of unit variance.
    pub fn layer(&self) -> Result<(Op, Weights), String> {
        if self.scale.iter().chain(&self.shift).any(|v| !v.is_finite()) {
            return Err("divides by zero, or by what is not a number".into());
        }
        let of = |f: fn(f64, f64) -> f64| -> Vec<f32> {
            self.scale.iter().zip(&self.shift).map(|(scale, shift)| f(*scale, *shift) as f32).collect()
        };
        let (mean, std) = (of(|scale, shift| (0.0 - shift) / scale), of(|scale, _| 1.0 / scale));
        if std.iter().all(|s| s.is_normal() && *s > 0.0) && mean.iter().all(|m| m.is_finite()) {
            return Ok((Op::Normalize { mean, std }, Weights::default()));
        }
        let channels = self.scale.len();
        let trainable = vec![of(|scale, _| scale), of(|_, shift| shift)];
        let running = Some([vec![0.0; channels], vec![(1.0 - EPSILON) as f32; channels]]);
        Ok((Op::BatchNorm { affine: true }, Weights { trainable, running }))
    }
}
