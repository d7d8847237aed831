//! The one matrix product of the engine: a register tile that reads both factors where they lie.
//!
//! `y[r, j] (+)= sum over taps t and terms k of x[t.x + r x_row + k x_term] * w[t.w + k w_term + j]`
//!
//! Nothing is packed or gathered: a 1x1 convolution is one tap over a row of pixels, a dense convolution one tap per kernel
//! place over a padded plane, a weight gradient one tap whose terms are pixels. Rows times columns of a tile are held in
//! registers over all taps and terms; per term a tile loads its columns of `w` once and broadcasts one `x` a row.

use crate::engine::isa::Isa;
use crate::engine::real::{Real, lanes_mut, lanes_unchecked};

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
    pub fn run<T: Real>(&self, isa: Isa, taps: &[Tap], x: &[T], w: &[T], y: &mut [T], accumulate: bool) {
        isa.run(
            #[inline(always)]
            || self.run_here(isa, taps, x, w, y, accumulate),
        );
    }

    /// [`Product::run`] inside a function that is already compiled for `isa`.
    #[inline(always)]
    pub fn run_here<T: Real>(&self, isa: Isa, taps: &[Tap], x: &[T], w: &[T], y: &mut [T], accumulate: bool) {
        let last = self.rows.saturating_sub(1) * self.x_row;
        self.checked(isa, Factors { taps, x, w, row: |r| r * self.x_row, last }, y, accumulate);
    }

    /// [`Product::run`] of rows that begin anywhere in `x`: `starts` instead of `x_row` says where, one for every row.
    pub fn run_at<T: Real>(&self, isa: Isa, starts: &[usize], taps: &[Tap], x: &[T], w: &[T], y: &mut [T]) {
        assert_eq!(starts.len(), self.rows);
        let last = starts.iter().copied().max().unwrap_or(0);
        isa.run(
            #[inline(always)]
            || {
                // SAFETY: a product asks for rows below `self.rows` only, which is the length of `starts`.
                let row = |r| unsafe { *starts.get_unchecked(r) };
                self.checked(isa, Factors { taps, x, w, row, last }, y, false);
            },
        );
    }

    #[inline(always)]
    fn checked<T: Real, R: Fn(usize) -> usize + Copy>(
        &self,
        isa: Isa,
        f: Factors<'_, T, R>,
        y: &mut [T],
        accumulate: bool,
    ) {
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
        // As many rows as keep the tile in registers: 16 vectors of 32, 8 of 16, 8 of 16.
        // SAFETY: the furthest scalar of every tap was just compared with the slices' lengths.
        unsafe {
            match isa.lanes() {
                16 => self.columns::<T, R, 8, 12, 32>(f, y, accumulate),
                8 => self.columns::<T, R, 4, 4, 16>(f, y, accumulate),
                _ => self.columns::<T, R, 2, 2, 16>(f, y, accumulate),
            }
        }
    }

    /// # Safety
    /// Every row, column, tap and term lies inside its slice.
    #[inline(always)]
    unsafe fn columns<T: Real, R: Fn(usize) -> usize + Copy, const P: usize, const N: usize, const W: usize>(
        &self,
        f: Factors<'_, T, R>,
        y: &mut [T],
        accumulate: bool,
    ) {
        let mut j = 0;
        // SAFETY: `j + L <= cols` in every branch; the rest is the caller's promise.
        unsafe {
            while j + W <= self.cols {
                self.strip::<T, R, P, W>(j, f, y, accumulate);
                j += W;
            }
            if W > 16 && j + 16 <= self.cols {
                self.strip::<T, R, N, 16>(j, f, y, accumulate);
                j += 16;
            }
            if j + 8 <= self.cols {
                self.strip::<T, R, N, 8>(j, f, y, accumulate);
                j += 8;
            }
            if j + 4 <= self.cols {
                self.strip::<T, R, N, 4>(j, f, y, accumulate);
                j += 4;
            }
            while j < self.cols {
                self.strip::<T, R, N, 1>(j, f, y, accumulate);
                j += 1;
            }
        }
    }

    /// All rows of `L` columns.
    ///
    /// # Safety
    /// As [`Product::columns`], and `j + L <= cols`.
    #[inline(always)]
    unsafe fn strip<T: Real, R: Fn(usize) -> usize + Copy, const P: usize, const L: usize>(
        &self,
        j: usize,
        f: Factors<'_, T, R>,
        y: &mut [T],
        accumulate: bool,
    ) {
        let mut r = 0;
        // SAFETY: `r + P <= rows`.
        unsafe {
            while r + P <= self.rows {
                self.tile::<T, R, P, L>([r, j], f, y, accumulate);
                r += P;
            }
            if P > 4 && r + 4 <= self.rows {
                self.tile::<T, R, 4, L>([r, j], f, y, accumulate);
                r += 4;
            }
            while r < self.rows {
                self.tile::<T, R, 1, L>([r, j], f, y, accumulate);
                r += 1;
            }
        }
    }

    /// The tile whose first row and column are `at`.
    ///
    /// # Safety
    /// As [`Product::strip`], and `r + P <= rows`.
    #[inline(always)]
    #[allow(clippy::needless_range_loop)]
    unsafe fn tile<T: Real, R: Fn(usize) -> usize + Copy, const P: usize, const L: usize>(
        &self,
        at: [usize; 2],
        f: Factors<'_, T, R>,
        y: &mut [T],
        accumulate: bool,
    ) {
        let [r, j] = at;
        let mut starts = [0; P];
        for p in 0..P {
            starts[p] = (f.row)(r + p);
        }
        let mut acc = [[T::zero(); L]; P];
        for tap in f.taps {
            let (mut xk, mut wk) = (tap.x, tap.w + j);
            for _ in 0..self.terms {
                // SAFETY: the caller's promise.
                unsafe {
                    let wv: [T; L] = *lanes_unchecked(f.w, wk);
                    for p in 0..P {
                        let b = *f.x.get_unchecked(xk + starts[p]);
                        for l in 0..L {
                            acc[p][l] = b.fma(wv[l], acc[p][l]);
                        }
                    }
                }
                xk += self.x_term;
                wk += self.w_term;
            }
        }
        for p in 0..P {
            let d: &mut [T; L] = lanes_mut(y, (r + p) * self.y_row + j);
            for l in 0..L {
                d[l] = if accumulate { d[l] + acc[p][l] } else { acc[p][l] };
            }
        }
    }
}

/// What is multiplied, and where its rows begin.
#[derive(Clone, Copy)]
struct Factors<'a, T, R> {
    taps: &'a [Tap],
    x: &'a [T],
    w: &'a [T],
    /// A row's first scalar in `x`.
    row: R,
    /// The furthest row's.
    last: usize,
}
