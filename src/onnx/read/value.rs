//! What a tensor of an ONNX graph is while its layers are made.

use std::rc::Rc;

use super::constant::Constant;
use super::draft::Weights;
use super::view::View;
use crate::arch::op::Op;

/// A tensor.
#[derive(Clone, Debug)]
pub enum Value {
    /// The same numbers for every image.
    Constant(Rc<Constant>),
    /// Sides of an activation, as exporters compute them to reshape it.
    Sides(Sides),
    /// What a layer gives.
    Activation(Activation),
    /// The Euclidean length of an activation along its last axis.
    Length(Activation),
    /// How much queries and keys of attention agree.
    Scores(Scores),
    /// An image multiplied by constant matrices from both sides, of which a spectral pool is made.
    Turned(Turned),
    /// What a node with several outputs gives.
    Parts(Vec<Value>),
}

/// How much queries and keys agree, not yet a layer.
#[derive(Clone, Debug)]
pub struct Scores {
    /// The queries.
    pub queries: Activation,
    /// The keys.
    pub keys: Activation,
    /// By what they were multiplied: one number, or one a head.
    pub factor: Vec<f32>,
    /// Whether the softmax over the keys is taken.
    pub shared: bool,
}

/// Some sides of an activation.
#[derive(Clone, Debug, PartialEq)]
pub struct Sides {
    /// In order; [`IMAGES`](super::view::IMAGES) is the number of images.
    pub list: Vec<i64>,
    /// Whether it is one number without an axis.
    pub scalar: bool,
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
    /// Whether it is divided by its length along its last axis: queries or keys of cross-covariance attention.
    pub unit: bool,
}

impl Activation {
    /// A layer's output as it is.
    pub fn new(layer: usize, view: View) -> Self {
        Activation { layer, view, line: None, pad: None, unit: false }
    }
}

/// Products with constant matrices, not yet a layer: `left X right`.
#[derive(Clone, Debug)]
pub struct Turned {
    /// The image, seen as planes.
    pub image: Activation,
    /// On its columns.
    pub left: Rc<Constant>,
    /// On its rows.
    pub right: Option<Rc<Constant>>,
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

pub use crate::arch::op::BATCH_NORM_EPSILON as EPSILON;

impl Line {
    /// That which changes nothing.
    pub fn identity(channels: usize) -> Self {
        Line { scale: vec![1.0; channels], shift: vec![0.0; channels] }
    }

    /// The one factor and the one summand of all channels, if they are the same.
    pub fn uniform(&self) -> Option<(f64, f64)> {
        let one = |list: &[f64]| list.first().copied().filter(|first| list.iter().all(|v| v == first));
        Some((one(&self.scale)?, one(&self.shift)?))
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
