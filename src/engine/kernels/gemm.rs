//! Matrix products, from the `gemm` crate.

use crate::engine::isa::Isa;
use crate::engine::real::Real;

/// How a matrix lies in a slice: rows, columns, and the distances between neighbours of each.
#[derive(Clone, Copy, Debug)]
pub struct Mat {
    /// Rows.
    pub rows: usize,
    /// Columns.
    pub cols: usize,
    /// Elements from a row to the next.
    pub row_stride: usize,
    /// Elements from a column to the next.
    pub col_stride: usize,
}

impl Mat {
    /// Row-major, rows `row_stride` apart.
    pub const fn strided(rows: usize, cols: usize, row_stride: usize) -> Self {
        Mat { rows, cols, row_stride, col_stride: 1 }
    }

    /// Row-major without gaps.
    pub const fn dense(rows: usize, cols: usize) -> Self {
        Mat::strided(rows, cols, cols)
    }

    /// The transposed view of the same slice.
    pub const fn t(self) -> Self {
        Mat { rows: self.cols, cols: self.rows, row_stride: self.col_stride, col_stride: self.row_stride }
    }

    fn fits(&self, len: usize) -> bool {
        self.rows == 0 || self.cols == 0 || (self.rows - 1) * self.row_stride + (self.cols - 1) * self.col_stride < len
    }
}

/// `c = a b`, or `c += a b` where `accumulate`.
///
/// # Panics
/// When the shapes do not match or a matrix does not lie inside its slice.
pub fn gemm<T: Real>(_isa: Isa, a: &[T], am: Mat, b: &[T], bm: Mat, c: &mut [T], cm: Mat, accumulate: bool) {
    assert!(am.cols == bm.rows && am.rows == cm.rows && bm.cols == cm.cols, "{am:?} {bm:?} {cm:?}");
    assert!(am.fits(a.len()) && bm.fits(b.len()) && cm.fits(c.len()), "{am:?} {bm:?} {cm:?}");
    // SAFETY: all three matrices were just checked to lie inside their slices; `c` is borrowed mutably, so it
    // overlaps neither `a` nor `b`; `T` is f32 or f64, which the crate supports.
    unsafe {
        gemm::gemm(
            cm.rows,
            cm.cols,
            am.cols,
            c.as_mut_ptr(),
            cm.col_stride as isize,
            cm.row_stride as isize,
            accumulate,
            a.as_ptr(),
            am.col_stride as isize,
            am.row_stride as isize,
            b.as_ptr(),
            bm.col_stride as isize,
            bm.row_stride as isize,
            T::one(),
            T::one(),
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}
