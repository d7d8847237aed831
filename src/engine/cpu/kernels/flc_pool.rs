//! Linear maps that are simple in the frequency domain, as products with small dense matrices: sides are a few dozen
//! pixels, and channels lie side by side, so a product is faster than a transform of every channel.
//!
//! FLC pooling of a plane `X [h, w]` is `Re(A X B^T)` with the complex matrices `A [h', h]` and `B [w', w]` of
//! [`flc_matrix`](crate::arch::fourier::flc_matrix): `Re A X Re B^T - Im A X Im B^T`.

use super::product::{Product, Tap};
use crate::arch::op::Shape;
use crate::engine::call::FlcPool;
use crate::engine::cpu::isa::Isa;
use crate::engine::cpu::vector::Number;

const HERE: [Tap; 1] = [Tap { x: 0, w: 0 }];

impl FlcPool {
    /// Scalars of scratch: a plane whose columns are transformed, and a matrix.
    pub fn scratch(&self) -> usize {
        let Shape { h, w, c } = self.source;
        h * self.output.w * c + (self.output.h * h).max(self.output.w * w)
    }

    /// `y [h', w', c]` of `x [h, w, c]`.
    pub fn forward<T: Number>(&self, isa: Isa, x: &[T], y: &mut [T], scratch: &mut [T]) {
        let Shape { h, w, c } = self.source;
        let Shape { h: rows, w: columns, .. } = self.output;
        let (plane, matrix) = scratch.split_at_mut(h * columns * c);
        let parts = [(&self.rows.re, &self.columns.re, 1.0), (&self.rows.im, &self.columns.im, -1.0)];
        for (k, (of_rows, of_columns, sign)) in parts.into_iter().enumerate() {
            let m = fill(matrix, of_columns, 1.0);
            for (x, to) in x.chunks_exact(w * c).zip(plane.chunks_exact_mut(columns * c)) {
                Product::dense(columns, w, c).run(isa, &HERE, m, x, to, false);
            }
            let m = fill(matrix, of_rows, sign);
            Product::dense(rows, h, columns * c).run(isa, &HERE, m, plane, y, k > 0);
        }
    }

    /// `dx (+)= ..`: the transposed map.
    pub fn backward<T: Number>(&self, isa: Isa, dy: &[T], (dx, accumulate): (&mut [T], bool), scratch: &mut [T]) {
        let Shape { h, w, c } = self.source;
        let Shape { h: rows, w: columns, .. } = self.output;
        let (plane, matrix) = scratch.split_at_mut(h * columns * c);
        let parts = [(&self.rows.re, &self.columns.re, 1.0), (&self.rows.im, &self.columns.im, -1.0)];
        for (k, (of_rows, of_columns, sign)) in parts.into_iter().enumerate() {
            let m = fill(matrix, of_rows, sign);
            Product::transposed(h, rows, columns * c).run(isa, &HERE, m, dy, plane, false);
            let m = fill(matrix, of_columns, 1.0);
            for (plane, dx) in plane.chunks_exact(columns * c).zip(dx.chunks_exact_mut(w * c)) {
                Product::transposed(w, columns, c).run(isa, &HERE, m, plane, dx, accumulate || k > 0);
            }
        }
    }
}

/// A matrix times a number, in the kernel's precision.
fn fill<'m, T: Number>(to: &'m mut [T], from: &[f64], sign: f64) -> &'m [T] {
    let to = &mut to[..from.len()];
    for (to, v) in to.iter_mut().zip(from) {
        *to = T::of(sign * v);
    }
    to
}
