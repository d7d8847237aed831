//! Activations and normalisation within an image.

use crate::arch::op::Act;

/// A function of one number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Activation {
    /// A named one.
    Act(Act),
    /// Clipping.
    Clip {
        /// Smallest value.
        min: f32,
        /// Largest value.
        max: f32,
    },
}

/// Over which entries an image is normalised.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Over {
    /// The channels of a pixel.
    Pixel,
    /// All pixels of a number of groups of channels.
    Groups(usize),
}

/// Layer or group normalisation of planes of `c` channels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GroupNorm {
    /// Channels.
    pub c: usize,
    /// Over which entries.
    pub over: Over,
    /// Added to the variance.
    pub epsilon: f32,
}
