//! Arrays whose axes are put in another order, and products of matrices.

use super::pointwise::axpy;
use super::product::{Product, Tap};
use crate::engine::call::{Matmul, Permute};
use crate::engine::cpu::isa::Isa;
use crate::engine::cpu::vector::Number;

const HERE: [Tap; 1] = [Tap { x: 0, w: 0 }];

impl Permute {
    /// Every run of the innermost axis, in the order of what comes out: where it begins in what goes in, how many entries it
    /// has, and how far apart they are there.
    fn runs(&self, mut run: impl FnMut(usize, usize, usize)) {
        let Some(([len, stride], outer)) = self.axes.split_last() else { return run(0, 1, 1) };
        let mut at = vec![0; outer.len()];
        let mut from = 0;
        loop {
            run(from, *len, *stride);
            // The next place, the last axis fastest.
            let mut axis = outer.len();
            loop {
                if axis == 0 {
                    return;
                }
                axis -= 1;
                let [len, stride] = outer[axis];
                at[axis] += 1;
                from += stride;
                if at[axis] < len {
                    break;
                }
                from -= at[axis] * stride;
                at[axis] = 0;
            }
        }
    }

    /// `y`, whose entries are those of `x` in another order.
    pub fn forward<T: Number>(&self, x: &[T], y: &mut [T]) {
        let mut rest = y;
        self.runs(|from, len, stride| {
            let (run, behind) = std::mem::take(&mut rest).split_at_mut(len);
            match stride {
                1 => run.copy_from_slice(&x[from..from + len]),
                _ => run.iter_mut().zip(x[from..].iter().step_by(stride)).for_each(|(y, x)| *y = *x),
            }
            rest = behind;
        });
    }

    /// `dx (+)= dy` in the order of `x`.
    pub fn backward<T: Number>(&self, isa: Isa, dy: &[T], (dx, accumulate): (&mut [T], bool)) {
        let mut rest = dy;
        self.runs(|from, len, stride| {
            let (run, behind) = rest.split_at(len);
            match (stride, accumulate) {
                (1, _) => axpy(isa, T::ONE, run, &mut dx[from..from + len], accumulate),
                (_, true) => dx[from..].iter_mut().step_by(stride).zip(run).for_each(|(dx, d)| *dx += *d),
                (_, false) => dx[from..].iter_mut().step_by(stride).zip(run).for_each(|(dx, d)| *dx = *d),
            }
            rest = behind;
        });
    }
}

impl Matmul {
    /// Scalars of scratch: the second matrix transposed.
    pub fn scratch(&self) -> usize {
        self.terms * self.cols
    }

    /// `y = a b`, matrix by matrix.
    pub fn forward<T: Number>(&self, isa: Isa, a: &[T], b: &[T], y: &mut [T]) {
        let product = Product::dense(self.rows, self.terms, self.cols);
        for i in 0..self.batches {
            product.run(isa, &HERE, self.of_a(a, i), self.of_b(b, i), self.of_y_mut(y, i), false);
        }
    }

    /// `da (+)= dy b^T`, matrix by matrix.
    pub fn backward_first<T: Number>(
        &self,
        isa: Isa,
        b: &[T],
        dy: &[T],
        (da, accumulate): (&mut [T], bool),
        scratch: &mut [T],
    ) {
        let turned = &mut scratch[..self.scratch()];
        let product = Product::dense(self.rows, self.cols, self.terms);
        let len = self.rows * self.terms;
        for i in 0..self.batches {
            for (term, row) in self.of_b(b, i).chunks_exact(self.cols).enumerate() {
                row.iter().enumerate().for_each(|(column, v)| turned[column * self.terms + term] = *v);
            }
            product.run(isa, &HERE, self.of_y(dy, i), turned, &mut da[i * len..][..len], accumulate);
        }
    }

    /// `db (+)= a^T dy`, matrix by matrix.
    pub fn backward_second<T: Number>(&self, isa: Isa, a: &[T], dy: &[T], (db, accumulate): (&mut [T], bool)) {
        let product = Product::transposed(self.terms, self.rows, self.cols);
        let len = self.terms * self.cols;
        for i in 0..self.batches {
            product.run(isa, &HERE, self.of_a(a, i), self.of_y(dy, i), &mut db[i * len..][..len], accumulate);
        }
    }

    fn of_a<'a, T>(&self, a: &'a [T], i: usize) -> &'a [T] {
        let len = self.rows * self.terms;
        &a[i * len..][..len]
    }

    fn of_b<'a, T>(&self, b: &'a [T], i: usize) -> &'a [T] {
        let len = self.terms * self.cols;
        &b[i * len..][..len]
    }

    fn of_y<'a, T>(&self, y: &'a [T], i: usize) -> &'a [T] {
        let len = self.rows * self.cols;
        &y[i * len..][..len]
    }

    fn of_y_mut<'a, T>(&self, y: &'a mut [T], i: usize) -> &'a mut [T] {
        let len = self.rows * self.cols;
        &mut y[i * len..][..len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(len: usize, phase: f64) -> Vec<f64> {
        (0..len).map(|i| (0.7 * i as f64 + phase).sin()).collect()
    }

    fn close(a: &[f64], b: &[f64]) {
        assert!(a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-12), "{a:?} {b:?}");
    }

    #[test]
    fn products_and_their_gradients_are_the_sums_that_they_stand_for() {
        let matmul = Matmul { batches: 2, rows: 3, terms: 5, cols: 17 };
        let Matmul { batches, rows, terms, cols } = matmul;
        let (a, b) = (numbers(batches * rows * terms, 0.1), numbers(batches * terms * cols, 0.2));
        let dy = numbers(batches * rows * cols, 0.3);
        let (mut y, mut da, mut db) = (vec![0.0; dy.len()], vec![1.0; a.len()], vec![1.0; b.len()]);
        for i in 0..batches {
            for (row, column) in (0..rows).flat_map(|r| (0..cols).map(move |c| (r, c))) {
                for term in 0..terms {
                    let at = ((i * rows + row) * terms + term, (i * terms + term) * cols + column);
                    let to = (i * rows + row) * cols + column;
                    y[to] += a[at.0] * b[at.1];
                    da[at.0] += dy[to] * b[at.1];
                    db[at.1] += dy[to] * a[at.0];
                }
            }
        }
        for isa in Isa::available() {
            let mut scratch = vec![0.0; matmul.scratch()];
            let (mut found, mut of_a, mut of_b) = (vec![0.0; y.len()], vec![1.0; a.len()], vec![1.0; b.len()]);
            matmul.forward(isa, &a, &b, &mut found);
            matmul.backward_first(isa, &b, &dy, (&mut of_a, true), &mut scratch);
            matmul.backward_second(isa, &a, &dy, (&mut of_b, true));
            close(&found, &y);
            close(&of_a, &da);
            close(&of_b, &db);
        }
    }

    #[test]
    fn a_permutation_and_its_gradient_undo_each_other() {
        for (dims, order) in
            [([2, 3, 4], [2, 0, 1]), ([2, 3, 4], [1, 0, 2]), ([1, 24, 1], [2, 1, 0]), ([4, 2, 3], [2, 1, 0])]
        {
            let permute = Permute::new(&dims, &order);
            let x = numbers(24, 0.4);
            let (mut y, mut back) = (vec![0.0; 24], vec![0.0; 24]);
            permute.forward(&x, &mut y);
            permute.backward(Isa::widest(), &y, (&mut back, false));
            assert_eq!(back, x, "{dims:?} {order:?}");
            permute.backward(Isa::widest(), &y, (&mut back, true));
            close(&back, &x.iter().map(|v| 2.0 * v).collect::<Vec<_>>());
        }
        let mut y = vec![0.0; 6];
        Permute::new(&[2, 3], &[1, 0]).forward(&[0.0, 1.0, 2.0, 3.0, 4.0, 5.0], &mut y);
        assert_eq!(y, [0.0, 3.0, 1.0, 4.0, 2.0, 5.0]);
    }
}
