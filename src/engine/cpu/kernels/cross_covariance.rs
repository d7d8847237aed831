//! Attention of channels to channels within a head (XCiT, El-Nouby et al. 2021).
//!
//! With `qhat`, `khat` of unit length over the pixels: `logits[i, j] = tau sum_t qhat[t, i] khat[t, j]`,
//! `a = softmax_j(logits)`, `y[t, i] = sum_j a[i, j] v[t, j]`. A length below [`SHORTEST`] counts as that.

use super::product::{Product, Tap};
use super::softmax;
use crate::engine::call::CrossCovariance;
use crate::engine::cpu::isa::Isa;
use crate::engine::cpu::vector::Number;

/// What lengths are at least, as in PyTorch's `normalize`.
pub const SHORTEST: f64 = 1e-12;

/// A head's matrices and lengths, in scratch.
struct Head<'s, T> {
    logits: &'s mut [T],
    shares: &'s mut [T],
    turned: &'s mut [T],
    /// One over the lengths of queries' channels, then of keys'.
    inverse: &'s mut [T],
}

const HERE: [Tap; 1] = [Tap { x: 0, w: 0 }];

impl CrossCovariance {
    /// Scalars of scratch: three matrices, two rows of lengths and two of sums.
    pub fn scratch(&self) -> usize {
        let width = self.width();
        3 * width * width + 4 * width
    }

    fn width(&self) -> usize {
        self.d / self.heads
    }

    fn head<'s, T>(&self, scratch: &'s mut [T]) -> (Head<'s, T>, &'s mut [T]) {
        let width = self.width();
        let (logits, rest) = scratch.split_at_mut(width * width);
        let (shares, rest) = rest.split_at_mut(width * width);
        let (turned, rest) = rest.split_at_mut(width * width);
        let (inverse, rest) = rest.split_at_mut(2 * width);
        (Head { logits, shares, turned, inverse }, rest)
    }

    /// Where a head's queries, keys and values begin.
    fn starts(&self, head: usize) -> [usize; 3] {
        [0, 1, 2].map(|part| part * self.d + head * self.width())
    }

    /// `[width, width]` from the channels of two planes: `sum over pixels of a[t, i] b[t, j]`.
    fn across<T: Number>(&self, isa: Isa, (a, a_step): (&[T], usize), b: &[T], to: &mut [T]) {
        let width = self.width();
        let product = Product {
            rows: width,
            cols: width,
            terms: self.pixels,
            x_row: 1,
            x_term: a_step,
            w_term: 3 * self.d,
            y_row: width,
        };
        product.run(isa, &HERE, a, b, to, false);
    }

    /// Lengths, logits and shares of a head.
    fn attend<T: Number>(&self, isa: Isa, head: usize, x: &[T], temperature: T, to: &mut Head<'_, T>) {
        let width = self.width();
        let [q, k, _] = self.starts(head);
        to.inverse.fill(T::ZERO);
        for pixel in x.chunks_exact(3 * self.d) {
            for (half, at) in to.inverse.chunks_exact_mut(width).zip([q, k]) {
                for (sum, v) in half.iter_mut().zip(&pixel[at..at + width]) {
                    *sum = v.fma(*v, *sum);
                }
            }
        }
        for v in to.inverse.iter_mut() {
            *v = T::ONE / v.sqrt().larger(T::of(SHORTEST));
        }
        self.across(isa, (&x[q..], 3 * self.d), &x[k..], to.logits);
        let (of_q, of_k) = to.inverse.split_at(width);
        for (row, q) in to.logits.chunks_exact_mut(width).zip(of_q) {
            for (v, k) in row.iter_mut().zip(of_k) {
                *v = *v * temperature * *q * *k;
            }
        }
        to.shares.copy_from_slice(to.logits);
        softmax::rows(isa, width, to.shares);
    }

    /// `y [pixels, width] (+)= x [pixels, width] m [width, width]` at places of planes.
    fn times<T: Number>(
        &self,
        isa: Isa,
        (x, x_row): (&[T], usize),
        m: &[T],
        (y, y_row): (&mut [T], usize),
        accumulate: bool,
    ) {
        let width = self.width();
        let product = Product { rows: self.pixels, cols: width, terms: width, x_row, x_term: 1, w_term: width, y_row };
        product.run(isa, &HERE, x, m, y, accumulate);
    }

    /// `y = a v`, see the file's head; `temperature` is `tau` of every head.
    pub fn forward<T: Number>(&self, isa: Isa, x: &[T], temperature: &[T], y: &mut [T], scratch: &mut [T]) {
        let width = self.width();
        let (mut room, _) = self.head(scratch);
        for (h, tau) in temperature.iter().enumerate() {
            self.attend(isa, h, x, *tau, &mut room);
            transpose(room.shares, width, room.turned);
            let [.., v] = self.starts(h);
            self.times(isa, (&x[v..], 3 * self.d), room.turned, (&mut y[h * width..], self.d), false);
        }
    }

    /// The gradient of `x`.
    pub fn backward<T: Number>(
        &self,
        isa: Isa,
        x: &[T],
        temperature: &[T],
        dy: &[T],
        (dx, accumulate): (&mut [T], bool),
        scratch: &mut [T],
    ) {
        let (width, step) = (self.width(), 3 * self.d);
        let (mut room, sums) = self.head(scratch);
        let (of_rows, of_columns) = sums[..2 * width].split_at_mut(width);
        if !accumulate {
            dx.fill(T::ZERO);
        }
        for (h, tau) in temperature.iter().enumerate() {
            let [q, k, v] = self.starts(h);
            self.attend(isa, h, x, *tau, &mut room);
            self.times(isa, (&dy[h * width..], self.d), room.shares, (&mut dx[v..], step), true);
            let Head { logits, shares, turned: scores, inverse } = &mut room;
            self.across(isa, (&dy[h * width..], self.d), &x[v..], scores);
            softmax::rows_backward(isa, width, shares, scores);
            // What the lengths give back: sums of score times logit along rows and columns.
            of_columns.fill(T::ZERO);
            for ((scores, logits), sum) in
                scores.chunks_exact(width).zip(logits.chunks_exact(width)).zip(of_rows.iter_mut())
            {
                *sum = T::ZERO;
                for ((s, l), column) in scores.iter().zip(logits).zip(of_columns.iter_mut()) {
                    *sum += *s * *l;
                    *column += *s * *l;
                }
            }
            let (of_q, of_k) = inverse.split_at(width);
            for (row, q) in scores.chunks_exact_mut(width).zip(of_q) {
                for (s, k) in row.iter_mut().zip(of_k) {
                    *s = *s * *tau * *q * *k;
                }
            }
            self.times(isa, (&x[q..], step), scores, (&mut dx[k..], step), true);
            transpose(scores, width, shares);
            self.times(isa, (&x[k..], step), shares, (&mut dx[q..], step), true);
            for (dx, x) in dx.chunks_exact_mut(step).zip(x.chunks_exact(step)) {
                for (at, sums, inverse) in [(q, &*of_rows, of_q), (k, &*of_columns, of_k)] {
                    for i in 0..width {
                        dx[at + i] += -x[at + i] * inverse[i] * inverse[i] * sums[i];
                    }
                }
            }
        }
    }

    /// `dtemperature += sum of score times logit / tau`, head by head.
    pub fn backward_temperature<T: Number>(
        &self,
        isa: Isa,
        x: &[T],
        temperature: &[T],
        dy: &[T],
        dtemperature: &mut [T],
        scratch: &mut [T],
    ) {
        let width = self.width();
        let (mut room, _) = self.head(scratch);
        for (h, (tau, d)) in temperature.iter().zip(dtemperature).enumerate() {
            let [.., v] = self.starts(h);
            // Logits of temperature 1 are what its gradient is weighted with.
            self.attend(isa, h, x, *tau, &mut room);
            self.across(isa, (&dy[h * width..], self.d), &x[v..], room.turned);
            softmax::rows_backward(isa, width, room.shares, room.turned);
            self.attend(
                isa,
                h,
                x,
                T::ONE,
                &mut Head { shares: room.shares, logits: room.logits, turned: &mut [], inverse: room.inverse },
            );
            for (s, l) in room.turned.iter().zip(room.logits.iter()) {
                *d += *s * *l;
            }
        }
    }
}

fn transpose<T: Number>(m: &[T], n: usize, to: &mut [T]) {
    for (i, row) in m.chunks_exact(n).enumerate() {
        for (j, v) in row.iter().enumerate() {
            to[j * n + i] = *v;
        }
    }
}
