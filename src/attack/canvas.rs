//! Places of the square attack's proposals in an image.

use crate::seed::Stream;

/// The image's size; pixels are `[h, w, c]`.
#[derive(Clone, Copy)]
pub(super) struct Canvas {
    pub h: usize,
    pub w: usize,
    pub c: usize,
}

impl Canvas {
    /// The index of an entry.
    pub fn at(&self, row: usize, column: usize, channel: usize) -> usize {
        (row * self.w + column) * self.c + channel
    }

    /// The side of a square that covers a share of the pixels.
    pub fn side(&self, share: f64) -> usize {
        let side = (share * (self.h * self.w) as f64).sqrt().round() as usize;
        side.max(1).min(self.h).min(self.w)
    }

    /// The corner of a random square, as in the authors' code: the last row and column are never covered.
    pub fn corner(&self, side: usize, stream: &mut Stream) -> (usize, usize) {
        (stream.below((self.h - side).max(1)), stream.below((self.w - side).max(1)))
    }
}
