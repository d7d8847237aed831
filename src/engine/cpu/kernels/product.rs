//! The one matrix product of the engine: a register tile that reads both factors where they lie.
//!
//! `y[r, j] (+)= sum over taps t and terms k of x[t.x + r x_row + k x_term] * w[t.w + k w_term + j]`
//!
//! Nothing is packed or gathered: a 1x1 convolution is one tap over a row of pixels, a dense convolution one tap per kernel
//! place over a padded plane, a weight gradient one tap whose terms are pixels. Rows times columns of a tile are held in
//! registers over all taps and terms; per term a tile loads its columns of `w` once and broadcasts one `x` a row.

use crate::engine::cpu::isa::Isa;
use crate::engine::cpu::vector::{Number, Vector, for_groups, vectorized};

/// Where one tap's terms begin in the two factors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Tap {
    /// In `x`.
    pub x: usize,
    /// In `w`.
    pub w: usize,
}

/// The shape and strides of a product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Product {
    /// Rows of the result.
    pub rows: usize,
    /// Columns of the result, side by side in `w` and `y`.
    pub cols: usize,
    /// Terms that a tap adds up.
    pub terms: usize,
    /// Scalars of `x` from a row to the next.
    pub x_row: usize,
    /// Scalars of `x` from a term to the next.
    pub x_term: usize,
    /// Scalars of `w` from a term to the next.
    pub w_term: usize,
    /// Scalars of `y` from a row to the next.
    pub y_row: usize,
}

impl Product {
    /// `[rows, terms] x [terms, cols]`, all row-major without gaps.
    pub const fn dense(rows: usize, terms: usize, cols: usize) -> Self {
        Product { rows, cols, terms, x_row: terms, x_term: 1, w_term: cols, y_row: cols }
    }

    /// `[terms, rows]^T x [terms, cols]`, all row-major without gaps.
    pub const fn transposed(rows: usize, terms: usize, cols: usize) -> Self {
        Product { rows, cols, terms, x_row: 1, x_term: rows, w_term: cols, y_row: cols }
    }

    /// `y = ..`, or `y += ..` where `accumulate`.
    ///
    /// # Panics
    /// When a factor or the result does not lie inside its slice.
    pub fn run<T: Number>(&self, isa: Isa, taps: &[Tap], x: &[T], w: &[T], y: &mut [T], accumulate: bool) {
        let last = self.rows.saturating_sub(1) * self.x_row;
        self.checked(isa, Factors { taps, x, w, starts: None, last }, y, accumulate);
    }

    /// [`Product::run`] of rows that begin anywhere in `x`: `starts` instead of `x_row` says where, one for every row.
    pub fn run_at<T: Number>(&self, isa: Isa, starts: &[usize], taps: &[Tap], x: &[T], w: &[T], y: &mut [T]) {
        assert_eq!(starts.len(), self.rows);
        let last = starts.iter().copied().max().unwrap_or(0);
        self.checked(isa, Factors { taps, x, w, starts: Some(starts), last }, y, false);
    }

    #[inline(always)]
    fn checked<T: Number>(&self, isa: Isa, f: Factors<'_, T>, y: &mut [T], accumulate: bool) {
        let Product { rows, cols, terms, .. } = *self;
        if rows == 0 || cols == 0 {
            return;
        }
        assert!((rows - 1) * self.y_row + cols <= y.len(), "{self:?} in {}", y.len());
        if terms > 0 {
            for tap in f.taps {
                let x_end = tap.x + f.last + (terms - 1) * self.x_term;
                let w_end = tap.w + (terms - 1) * self.w_term + cols;
                assert!(x_end < f.x.len() && w_end <= f.w.len(), "{self:?} {tap:?} in {} and {}", f.x.len(), f.w.len());
            }
        }
        vectorized!(isa, T, columns(self, f, y, accumulate));
    }
}

/// What is multiplied, and where its rows begin.
#[derive(Clone, Copy)]
struct Factors<'a, T> {
    taps: &'a [Tap],
    x: &'a [T],
    w: &'a [T],
    /// Every row's first scalar in `x`, where they are not `x_row` apart.
    starts: Option<&'a [usize]>,
    /// The furthest row's.
    last: usize,
}

// SAFETY of everything below: the furthest scalar of every tap was compared with the slices' lengths; `strip` is called with
// columns that are there, `tile` with rows that are there.

/// Columns from the left, two vectors at a time as long as they are filled, then ever narrower ones.
#[inline(always)]
fn columns<V: Vector>(m: &Product, f: Factors<'_, V::Scalar>, y: &mut [V::Scalar], accumulate: bool) {
    let mut j = 0;
    while j + 2 * V::LANES <= m.cols {
        // As many rows as keep the tile in registers.
        if V::ACCUMULATORS >= 24 {
            strip::<V, 8, 2>(m, j, f, y, accumulate);
        } else {
            strip::<V, 4, 2>(m, j, f, y, accumulate);
        }
        j += 2 * V::LANES;
    }
    let rest = Product { cols: m.cols - j, ..*m };
    for_groups!(V, rest.cols, group(&rest, j, f, y, accumulate));
}

#[inline(always)]
fn group<V: Vector>(
    c0: usize,
    m: &Product,
    first: usize,
    f: Factors<'_, V::Scalar>,
    y: &mut [V::Scalar],
    accumulate: bool,
) {
    if V::ACCUMULATORS >= 24 {
        strip::<V, 16, 1>(m, first + c0, f, y, accumulate);
    } else {
        strip::<V, 8, 1>(m, first + c0, f, y, accumulate);
    }
}

/// All rows of `N` vectors of columns, `P` rows at a time.
#[inline(always)]
fn strip<V: Vector, const P: usize, const N: usize>(
    m: &Product,
    j: usize,
    f: Factors<'_, V::Scalar>,
    y: &mut [V::Scalar],
    accumulate: bool,
) {
    let mut r = 0;
    while r + P <= m.rows {
        tile::<V, P, N>(m, [r, j], f, y, accumulate);
        r += P;
    }
    while r + 4 <= m.rows {
        tile::<V, 4, N>(m, [r, j], f, y, accumulate);
        r += 4;
    }
    while r < m.rows {
        tile::<V, 1, N>(m, [r, j], f, y, accumulate);
        r += 1;
    }
}

/// The tile whose first row and column are `at`.
#[inline(always)]
fn tile<V: Vector, const P: usize, const N: usize>(
    m: &Product,
    at: [usize; 2],
    f: Factors<'_, V::Scalar>,
    y: &mut [V::Scalar],
    accumulate: bool,
) {
    let [r, j] = at;
    let mut starts = [0; P];
    for (p, start) in starts.iter_mut().enumerate() {
        *start = f.starts.map_or((r + p) * m.x_row, |starts| starts[r + p]);
    }
    let mut acc = [[V::zero(); N]; P];
    for tap in f.taps {
        let (mut xk, mut wk) = (tap.x, tap.w + j);
        for _ in 0..m.terms {
            let mut w = [V::zero(); N];
            for (n, w) in w.iter_mut().enumerate() {
                *w = unsafe { V::read(f.w, wk + n * V::LANES) };
            }
            for (acc, start) in acc.iter_mut().zip(starts) {
                let x = unsafe { V::broadcast(f.x, xk + start) };
                for n in 0..N {
                    acc[n] = x.mul_add(w[n], acc[n]);
                }
            }
            xk += m.x_term;
            wk += m.w_term;
        }
    }
    if accumulate {
        for (p, acc) in acc.iter_mut().enumerate() {
            for (n, v) in acc.iter_mut().enumerate() {
                *v = v.add(unsafe { V::read(y, (r + p) * m.y_row + j + n * V::LANES) });
            }
        }
    }
    for (p, acc) in acc.iter().enumerate() {
        for (n, v) in acc.iter().enumerate() {
            unsafe { v.write(y, (r + p) * m.y_row + j + n * V::LANES) };
        }
    }
}
