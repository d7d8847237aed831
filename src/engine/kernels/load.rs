//! What happens to a plane on its way into a kernel, so that it is never written to memory.

use crate::engine::real::Real;

/// ReLU and cropping in front of a convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Load {
    /// Negative values count as zero.
    pub relu: bool,
    /// First source row and column that exist.
    pub crop: [usize; 2],
}

/// A plane `[h, w, c]` (or several images' planes) to read, normalised on the way in where `affine` is there.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a, T> {
    /// What stands in memory.
    pub values: &'a [T],
    /// Scale and shift per channel: what is read is `value * scale + shift`, then the [`Load`]'s ReLU, then padding
    /// with zeros.
    pub affine: Option<(&'a [T], &'a [T])>,
}

impl<'a, T: Real> Source<'a, T> {
    /// A plane read as it stands.
    pub fn plain(values: &'a [T]) -> Self {
        Source { values, affine: None }
    }
}
