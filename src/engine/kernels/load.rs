//! What happens to a plane on its way into a kernel, so that it is never written to memory.

use crate::engine::real::{Real, for_channels, lanes, lanes_mut};

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

    /// The part from a place on; whole pixels where there is an `affine`.
    #[inline(always)]
    pub fn from(self, at: usize) -> Self {
        Source { values: &self.values[at..], ..self }
    }

    /// Reads as many values as `dst` holds, negative ones as zero where `relu`. Called inside a function that is
    /// compiled for the wanted instructions.
    #[inline(always)]
    pub fn read(self, relu: bool, dst: &mut [T]) {
        let zero = T::zero();
        let src = &self.values[..dst.len()];
        match self.affine {
            Some((scale, shift)) => {
                let c = scale.len();
                for_channels!(c, |c0, L| {
                    let (a, b): ([T; L], [T; L]) = (*lanes(scale, c0), *lanes(shift, c0));
                    for (d, s) in dst.chunks_exact_mut(c).zip(src.chunks_exact(c)) {
                        let (d, s): (&mut [T; L], &[T; L]) = (lanes_mut(d, c0), lanes(s, c0));
                        for i in 0..L {
                            let v = s[i].fma(a[i], b[i]);
                            d[i] = if relu { v.larger(zero) } else { v };
                        }
                    }
                });
            }
            None if relu => {
                for (d, s) in dst.iter_mut().zip(src) {
                    *d = s.larger(zero);
                }
            }
            None => dst.copy_from_slice(src),
        }
    }
}
