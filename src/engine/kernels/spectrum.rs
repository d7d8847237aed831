//! Linear maps that are simple in the frequency domain, as products with small dense matrices: sides are a few dozen
//! pixels, and channels lie side by side, so a product is faster than a transform of every channel.
//!
//! FLC pooling of a plane `X [h, w]` is `Re(A X B^T)` with the complex matrices `A [h', h]` and `B [w', w]` that transform, keep the low
//! frequencies and transform back: `Re A X Re B^T - Im A X Im B^T`.

use std::f64::consts::TAU;

use super::product::{Product, Tap};
use crate::arch::op::Shape;
use crate::engine::isa::Isa;
use crate::engine::real::Real;

const HERE: [Tap; 1] = [Tap { x: 0, w: 0 }];

/// Real and imaginary part of a matrix, row-major.
#[derive(Clone, Debug)]
struct Complex {
    re: Vec<f64>,
    im: Vec<f64>,
}

impl Complex {
    /// Transform of `n`, crop to the `kept` frequencies around zero, transform back; the mean is preserved.
    fn low_pass(n: usize, kept: usize, hamming: bool) -> Self {
        let first = n / 2 - kept / 2;
        let mut m = Complex { re: vec![0.0; kept * n], im: vec![0.0; kept * n] };
        for j in first..first + kept {
            let frequency = j as f64 - (n / 2) as f64;
            let window = 0.54 - 0.46 * (TAU * j as f64 / (n - 1) as f64).cos();
            let weight = if hamming { window.sqrt() } else { 1.0 } / n as f64;
            for to in 0..kept {
                for from in 0..n {
                    let angle = TAU * frequency * (to as f64 / kept as f64 - from as f64 / n as f64);
                    m.re[to * n + from] += weight * angle.cos();
                    m.im[to * n + from] += weight * angle.sin();
                }
            }
        }
        m
    }
}

/// FLC pooling of one image.
#[derive(Clone, Debug)]
pub struct FlcPool {
    source: Shape,
    output: Shape,
    rows: Complex,
    columns: Complex,
}

impl FlcPool {
    /// The pooling of a plane; `hamming` weights the spectrum before it is cut.
    pub fn new(source: Shape, output: Shape, hamming: bool) -> Self {
        let rows = Complex::low_pass(source.h, output.h, hamming);
        let columns = Complex::low_pass(source.w, output.w, hamming);
        FlcPool { source, output, rows, columns }
    }

    /// Scalars of scratch: a plane whose columns are transformed, and a matrix.
    pub fn scratch(&self) -> usize {
        let Shape { h, w, c } = self.source;
        h * self.output.w * c + (self.output.h * h).max(self.output.w * w)
    }

    /// `y [h', w', c]` of `x [h, w, c]`.
    pub fn forward<T: Real>(&self, isa: Isa, x: &[T], y: &mut [T], scratch: &mut [T]) {
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
    pub fn backward<T: Real>(&self, isa: Isa, dy: &[T], (dx, accumulate): (&mut [T], bool), scratch: &mut [T]) {
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
fn fill<'m, T: Real>(to: &'m mut [T], from: &[f64], sign: f64) -> &'m [T] {
    let to = &mut to[..from.len()];
    for (to, v) in to.iter_mut().zip(from) {
        *to = T::from_f64(sign * v);
    }
    to
}
