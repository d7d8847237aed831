//! What a network answers: logits, and gradients of a loss on them.

use candle_core::Tensor;

use crate::error::{Error, Result};

/// The logits of a batch, `[n, classes]`, in double precision whatever the network computes in.
#[derive(Clone, Debug, PartialEq)]
pub struct Logits {
    /// Row-major.
    pub values: Vec<f64>,
    /// Columns.
    pub classes: usize,
}

impl Logits {
    /// One row per image.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = &[f64]> {
        self.values.chunks_exact(self.classes)
    }

    /// The first `at` columns and the others, of a network with two answers side by side.
    pub fn parted(&self, at: usize) -> (Logits, Logits) {
        let columns = |range: std::ops::Range<usize>| Logits {
            values: self.rows().flat_map(|row| &row[range.clone()]).copied().collect(),
            classes: range.len(),
        };
        (columns(0..at), columns(at..self.classes))
    }

    /// Rows of `own` and of `others` numbers side by side: the gradient in [`Logits::parted`] answers.
    pub fn beside(a: &[f64], own: usize, b: &[f64], others: usize) -> Vec<f64> {
        a.chunks_exact(own).zip(b.chunks_exact(others)).flat_map(|(a, b)| a.iter().chain(b)).copied().collect()
    }
}

/// A loss's value and its gradient with respect to the logits.
#[derive(Clone, Debug)]
pub struct LossGradient {
    /// The value.
    pub value: f64,
    /// `[n, classes]`.
    pub dlogits: Vec<f64>,
}

/// What a backward pass found; only what was wanted is there.
#[derive(Clone, Debug)]
pub struct Gradients {
    /// The logits of the forward pass.
    pub logits: Logits,
    /// The loss.
    pub loss: f64,
    /// `[n, h, w, c]`.
    pub input: Option<Tensor>,
    /// `[trainable]`.
    pub params: Option<Tensor>,
    /// As long as the mixing vector that was given.
    pub mix: Option<Vec<f64>>,
}

impl Gradients {
    /// The weights' gradient, `[trainable]`.
    ///
    /// # Errors
    /// [`Error::Internal`] when it was not asked for.
    pub fn weights(&self) -> Result<&Tensor> {
        self.params.as_ref().ok_or_else(|| unasked("weights"))
    }

    /// The mixing vector's gradient.
    ///
    /// # Errors
    /// [`Error::Internal`] when it was not asked for.
    pub fn mixing(&self) -> Result<&[f64]> {
        self.mix.as_deref().ok_or_else(|| unasked("mixing vector"))
    }
}

fn unasked(what: &str) -> Error {
    Error::Internal(format!("the gradient of the {what} is read and was not asked for"))
}
