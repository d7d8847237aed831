//! Shares of one: the softmax of rows, and of alternatives that lie apart in a pixel.

use super::channels::total;
use crate::engine::call::Softmax;
use crate::engine::cpu::isa::Isa;
use crate::engine::cpu::vector::Number;

/// Every row of `n` scalars becomes its softmax.
pub fn rows<T: Number>(isa: Isa, n: usize, x: &mut [T]) {
    isa.run(
        #[inline(always)]
        || {
            for row in x.chunks_exact_mut(n) {
                let most = row.iter().fold(T::LOWEST, |most, v| most.larger(*v));
                for v in row.iter_mut() {
                    *v = (*v - most).exp();
                }
                let sum = T::ONE
                    / total(
                        n,
                        #[inline(always)]
                        |i| row[i],
                    );
                for v in row.iter_mut() {
                    *v *= sum;
                }
            }
        },
    );
}

/// The gradient of [`rows`], over that of its result: `d <- p (d - sum p d)`.
pub fn rows_backward<T: Number>(isa: Isa, n: usize, p: &[T], d: &mut [T]) {
    isa.run(
        #[inline(always)]
        || {
            for (p, d) in p.chunks_exact(n).zip(d.chunks_exact_mut(n)) {
                let mean = total(
                    n,
                    #[inline(always)]
                    |i| p[i] * d[i],
                );
                for (d, p) in d.iter_mut().zip(p) {
                    *d = *p * (*d - mean);
                }
            }
        },
    );
}

impl Softmax {
    /// `y = softmax(x)`.
    pub fn forward<T: Number>(&self, x: &[T], y: &mut [T]) {
        let step = self.c / self.over;
        for (x, y) in x.chunks_exact(self.c).zip(y.chunks_exact_mut(self.c)) {
            for k in 0..step {
                let places = (k..self.c).step_by(step);
                let most = places.clone().fold(T::LOWEST, |most, i| most.larger(x[i]));
                let mut sum = T::ZERO;
                for i in places.clone() {
                    y[i] = (x[i] - most).exp();
                    sum += y[i];
                }
                for i in places {
                    y[i] /= sum;
                }
            }
        }
    }

    /// `dx (+)= p (dy - sum p dy)`; `p` is made anew in `scratch`, as long as `x`.
    pub fn backward<T: Number>(&self, x: &[T], dy: &[T], (dx, accumulate): (&mut [T], bool), scratch: &mut [T]) {
        let step = self.c / self.over;
        let p = &mut scratch[..x.len()];
        self.forward(x, p);
        for ((p, dy), dx) in p.chunks_exact(self.c).zip(dy.chunks_exact(self.c)).zip(dx.chunks_exact_mut(self.c)) {
            for k in 0..step {
                let places = (k..self.c).step_by(step);
                let mean = places.clone().fold(T::ZERO, |sum, i| sum + p[i] * dy[i]);
                for i in places {
                    let old = if accumulate { dx[i] } else { T::ZERO };
                    dx[i] = old + p[i] * (dy[i] - mean);
                }
            }
        }
    }
}
