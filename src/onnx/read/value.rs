//! The value of a tensor while an ONNX graph is read.

use std::rc::Rc;

use super::constant::Constant;
use super::draft::Weights;
use super::view::{Axis, View};
use crate::arch::op::Op;

/// A tensor.
#[derive(Clone, Debug)]
pub enum Value {
    /// Numbers that do not depend on the image. A number of images among them is [`IMAGES`](super::view::IMAGES) where that
    /// is open.
    Constant(Rc<Constant>),
    /// A constant that is laid over the images: its first axis, of one entry, stands for theirs.
    Repeated(Rc<Constant>),
    /// What a layer gives.
    Activation(Activation),
    /// The Euclidean length of an activation along its last axis.
    Length(Length),
    /// How much queries and keys of attention agree.
    Scores(Scores),
    /// An image multiplied by constant matrices from both sides, of which a spectral pool is made.
    Transformed(Transformed),
    /// Where an activation is above a number.
    Above(Activation, f32),
    /// What a node with several outputs gives.
    Parts(Vec<Value>),
}

/// Lengths, not yet a layer.
#[derive(Clone, Debug)]
pub struct Length {
    /// Of which the length is taken.
    pub of: Activation,
    /// Whether it is laid over what it is of.
    pub spread: bool,
}

/// How much queries and keys agree, not yet a layer.
#[derive(Clone, Debug)]
pub struct Scores {
    /// The queries.
    pub queries: Activation,
    /// The keys.
    pub keys: Activation,
    /// The factor: one, or one per head.
    pub factor: Vec<f32>,
    /// Whether the softmax over the keys is taken.
    pub shared: bool,
}

/// What a layer gives, and what is still to be done to it.
#[derive(Clone, Debug)]
pub struct Activation {
    /// The layer.
    pub layer: usize,
    /// Its view.
    pub view: View,
    /// A line per channel, not yet a layer: several of them become one.
    pub affine: Option<Affine>,
    /// Zeros around it, `[top, left, bottom, right]`, which the window that reads it takes over.
    pub pad: Option<[usize; 4]>,
    /// Whether it is divided by its length, and along which axis: queries or keys of cross-covariance attention.
    pub unit: Option<Axis>,
}

impl Activation {
    /// A layer's output, unchanged.
    pub fn new(layer: usize, view: View) -> Self {
        Activation { layer, view, affine: None, pad: None, unit: None }
    }
}

/// Products with constant matrices, not yet a layer: `left X right`.
#[derive(Clone, Debug)]
pub struct Transformed {
    /// The image, seen as planes.
    pub image: Activation,
    /// On its columns.
    pub left: Rc<Constant>,
    /// On its rows.
    pub right: Option<Rc<Constant>>,
}

/// `x scale + shift` per channel, in double precision so that the mean and deviation of an exporter are reproduced.
#[derive(Clone, Debug, PartialEq)]
pub struct Affine {
    /// Per channel.
    pub scale: Vec<f64>,
    /// Per channel.
    pub shift: Vec<f64>,
}

pub use crate::arch::op::BATCH_NORM_EPSILON as EPSILON;

impl Affine {
    /// That which changes nothing.
    pub fn identity(channels: usize) -> Self {
        Affine { scale: vec![1.0; channels], shift: vec![0.0; channels] }
    }

    /// Scale and shift, if all channels have the same.
    pub fn uniform(&self) -> Option<(f64, f64)> {
        let one = |list: &[f64]| list.first().copied().filter(|first| list.iter().all(|v| v == first));
        Some((one(&self.scale)?, one(&self.shift)?))
    }

    /// The operation that computes it: a normalisation where all scales are positive, else a batch-norm of unit
    /// variance.
    pub fn layer(&self) -> Result<(Op, Weights), String> {
        if self.scale.iter().chain(&self.shift).any(|v| !v.is_finite()) {
            return Err("divides by zero or NaN".into());
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
