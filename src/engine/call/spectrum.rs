//! Operations that are simple in the frequency domain.

use crate::arch::fourier::{Complex, flc_matrix};
use crate::arch::op::Shape;

/// FLC pooling of one image (Grabinski et al. 2022): a plane `X [h, w]` becomes `Re(A X B^T)` with complex matrices
/// `A [h', h]` and `B [w', w]` of [`flc_matrix`].
#[derive(Clone, Debug)]
pub struct FlcPool {
    /// Source `[h, w, c]`.
    pub source: Shape,
    /// Output `[h', w', c]`.
    pub output: Shape,
    /// `A`.
    pub rows: Complex,
    /// `B`.
    pub columns: Complex,
}

impl FlcPool {
    /// The pooling of a plane; `hamming` weights the spectrum before it is cut.
    pub fn new(source: Shape, output: Shape, hamming: bool) -> Self {
        let [rows, columns] = [source.h, source.w].map(|n| flc_matrix(n, hamming));
        FlcPool { source, output, rows, columns }
    }
}

/// ConvNorm's preconditioning of one image behind its full convolution (Liu et al. 2021): every channel is multiplied, in
/// the frequency domain, by the inverse amplitude of its kernels, then cropped and strided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Precondition {
    /// What the full convolution gives, `[h + kh - 1, w + kw - 1, out]`.
    pub full: Shape,
    /// What comes out.
    pub output: Shape,
    /// The convolution's kernel.
    pub kernel: [usize; 2],
    /// The inverse amplitudes' shape.
    pub amplitudes: Shape,
    /// Rows and columns cropped in front.
    pub crop: [usize; 2],
    /// Every how many pixels one is kept.
    pub stride: [usize; 2],
}
