//! Scaled dot-product attention of pixels to pixels (Vaswani et al. 2017), head by head.
//!
//! Queries, keys and values are read where they lie, side by side in the channels of one or two planes; a head's scores are one
//! matrix in scratch. Nothing is kept for the backward pass: the scores are computed again.

use super::product::{Product, Tap};
use super::softmax;
use crate::engine::call::Attention;
use crate::engine::cpu::isa::Isa;
use crate::engine::cpu::vector::Number;

/// Where a head's vectors lie in a plane.
#[derive(Clone, Copy)]
struct Lines {
    /// The first scalar.
    at: usize,
    /// Scalars from a pixel to the next.
    step: usize,
}

/// The planes that are attended with: queries' and that of keys and values, which may be the same.
#[derive(Clone, Copy, Debug)]
pub struct Planes<'a, T> {
    /// Of the queries.
    pub queries: &'a [T],
    /// Of keys and values.
    pub keys: &'a [T],
}

const HERE: [Tap; 1] = [Tap { x: 0, w: 0 }];

impl Attention {
    /// Scalars of scratch: scores and their gradient, and one side of a product transposed.
    pub fn scratch(&self) -> usize {
        2 * self.queries * self.keys + self.keys * self.width()
    }

    /// Channels of a head.
    fn width(&self) -> usize {
        self.d / self.heads
    }

    fn query(&self, head: usize) -> Lines {
        Lines { at: head * self.width(), step: if self.apart { self.d } else { 3 * self.d } }
    }

    fn key(&self, head: usize) -> Lines {
        let (before, all) = if self.apart { (0, 2) } else { (1, 3) };
        Lines { at: before * self.d + head * self.width(), step: all * self.d }
    }

    fn value(&self, head: usize) -> Lines {
        let key = self.key(head);
        Lines { at: key.at + self.d, ..key }
    }

    /// Rows `[queries, width]` of `a` times rows `[keys, width]` of `b`, transposed: `[queries, keys]`.
    fn against<T: Number>(
        &self,
        isa: Isa,
        (a, of_a): (&[T], Lines),
        (b, of_b): (&[T], Lines),
        to: &mut [T],
        turned: &mut [T],
    ) {
        let (n, width) = (self.keys, self.width());
        for (t, row) in b[of_b.at..].chunks(of_b.step).take(n).enumerate() {
            for (i, v) in row[..width].iter().enumerate() {
                turned[i * n + t] = *v;
            }
        }
        let product =
            Product { rows: self.queries, cols: n, terms: width, x_row: of_a.step, x_term: 1, w_term: n, y_row: n };
        product.run(isa, &HERE, &a[of_a.at..], turned, to, false);
    }

    /// A head's shares `[queries, keys]`.
    fn shares<T: Number>(&self, isa: Isa, head: usize, planes: Planes<'_, T>, shares: &mut [T], turned: &mut [T]) {
        self.against(isa, (planes.queries, self.query(head)), (planes.keys, self.key(head)), shares, turned);
        let scale = self.scale::<T>();
        for v in shares.iter_mut() {
            *v *= scale;
        }
        softmax::rows(isa, self.keys, shares);
    }

    /// `1 / sqrt(width)`.
    fn scale<T: Number>(&self) -> T {
        T::of(1.0 / (self.width() as f64).sqrt())
    }

    /// `y [queries, d] = softmax(q k^T / sqrt(width)) v`.
    pub fn forward<T: Number>(&self, isa: Isa, planes: Planes<'_, T>, y: &mut [T], scratch: &mut [T]) {
        let (m, n, width) = (self.queries, self.keys, self.width());
        let (shares, rest) = scratch.split_at_mut(m * n);
        let turned = &mut rest[m * n..][..n * width];
        for head in 0..self.heads {
            self.shares(isa, head, planes, shares, turned);
            let value = self.value(head);
            let product =
                Product { rows: m, cols: width, terms: n, x_row: n, x_term: 1, w_term: value.step, y_row: self.d };
            product.run(isa, &HERE, shares, &planes.keys[value.at..], &mut y[head * width..], false);
        }
    }

    /// The gradient of one plane: of all where queries, keys and values lie in one, of the queries where `first`, else of
    /// keys and values.
    pub fn backward<T: Number>(
        &self,
        isa: Isa,
        planes: Planes<'_, T>,
        first: bool,
        dy: &[T],
        (dx, accumulate): (&mut [T], bool),
        scratch: &mut [T],
    ) {
        let (m, n, width, d) = (self.queries, self.keys, self.width(), self.d);
        let (shares, rest) = scratch.split_at_mut(m * n);
        let (scores, turned) = rest.split_at_mut(m * n);
        let turned = &mut turned[..n * width];
        let scale = self.scale::<T>();
        let (of_queries, of_keys) = (!self.apart || first, !self.apart || !first);
        for head in 0..self.heads {
            let (query, key, value) = (self.query(head), self.key(head), self.value(head));
            self.shares(isa, head, planes, shares, turned);
            // Transposed products: terms are the rows of both factors.
            let answers =
                |w_term, y_row| Product { rows: n, cols: width, terms: m, x_row: 1, x_term: n, w_term, y_row };
            if of_keys {
                answers(d, value.step).run(isa, &HERE, shares, &dy[head * width..], &mut dx[value.at..], accumulate);
            }
            self.against(isa, (dy, Lines { at: head * width, step: d }), (planes.keys, value), scores, turned);
            softmax::rows_backward(isa, n, shares, scores);
            for v in scores.iter_mut() {
                *v *= scale;
            }
            if of_queries {
                let product = Product {
                    rows: m,
                    cols: width,
                    terms: n,
                    x_row: n,
                    x_term: 1,
                    w_term: key.step,
                    y_row: query.step,
                };
                product.run(isa, &HERE, scores, &planes.keys[key.at..], &mut dx[query.at..], accumulate);
            }
            if of_keys {
                let asked = &planes.queries[query.at..];
                answers(query.step, key.step).run(isa, &HERE, scores, asked, &mut dx[key.at..], accumulate);
            }
        }
    }
}
