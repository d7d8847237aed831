//! The depthwise separable pair, depthwise then 1x1, as one kernel.
//!
//! What lies between the two is made a few rows at a time and used at once: it never leaves the first-level cache, and the
//! backward pass makes it anew.

use super::correlate::Plane;
use super::depthwise::{row_group_len, row_groups};
use super::incoming::Incoming;
use super::load::Source;
use super::prefetch::{self, Prefetch};
use super::product::{Product, Tap};
use crate::engine::call::Separable;
use crate::engine::cpu::isa::Isa;
use crate::engine::cpu::vector::Number;

/// The two weights of a [`Separable`].
#[derive(Clone, Copy, Debug)]
pub struct Weights<'a, T> {
    /// `[kh, kw, c]`.
    pub depthwise: &'a [T],
    /// `[c, out]`; in the backward pass `[out, c]`, as [`Separable::prepare`] has it.
    pub pointwise: &'a [T],
}

/// The two weight gradients of a [`Separable`].
#[derive(Debug)]
pub struct WeightGradients<'a, T> {
    /// `[kh, kw, c]`.
    pub depthwise: &'a mut [T],
    /// `[c, out]`.
    pub pointwise: &'a mut [T],
}

/// What a backward pass of a [`Separable`] is to find.
#[derive(Debug)]
pub struct Wanted<'a, T> {
    /// Weight gradients, added to what is there.
    pub weights: Option<WeightGradients<'a, T>>,
    /// The input's gradient, and whether it is added to what is there.
    pub input: Option<(&'a mut [T], bool)>,
}

/// What a kernel has beside its operands.
#[derive(Debug)]
pub struct Room<'a, T> {
    /// Memory to work in.
    pub scratch: &'a mut [T],
    /// What comes into the cache meanwhile.
    pub prefetch: &'a Prefetch,
}

const ONCE: [Tap; 1] = [Tap { x: 0, w: 0 }];

impl Separable {
    /// Scalars of scratch memory that forward and backward need.
    pub fn scratch(&self) -> usize {
        let d = &self.depthwise;
        let (rows, back) = (row_group_len(d.output), d.back());
        let incoming = rows / d.output.c * self.out;
        d.padded_len() + rows + incoming + back.len + back.scratch()
    }

    /// The 1x1 weights `[c, out]` as the backward pass reads them, `[out, c]`.
    pub fn prepare<T: Number>(&self, pointwise: &[T], turned: &mut [T]) {
        for (j, row) in turned.chunks_exact_mut(self.depthwise.output.c).enumerate() {
            for (k, t) in row.iter_mut().enumerate() {
                *t = pointwise[k * self.out + j];
            }
        }
    }

    /// `y = pointwise(depthwise(load(x)))`.
    pub fn forward<T: Number>(
        &self,
        isa: Isa,
        x: Source<'_, T>,
        weights: Weights<'_, T>,
        y: &mut [T],
        Room { scratch, prefetch }: Room<'_, T>,
    ) {
        let d = &self.depthwise;
        let (plane, scratch) = scratch.split_at_mut(d.padded_len());
        d.pad(isa, x, plane);
        let groups = row_groups(d.output).count();
        for (k, rows) in row_groups(d.output).enumerate() {
            let pixels = rows.start * d.output.w..rows.end * d.output.w;
            let y = &mut y[pixels.start * self.out..pixels.end * self.out];
            prefetch::for_writing(y);
            let mid = &mut scratch[..pixels.len() * d.output.c];
            d.rows(isa, plane, weights.depthwise, rows, mid);
            prefetch.fetch(k, groups);
            Product::dense(pixels.len(), d.output.c, self.out).run(isa, &ONCE, mid, weights.pointwise, y, false);
        }
    }

    /// The gradients that are wanted. `x` is read for weight gradients and for the ReLU's derivative.
    pub fn backward<T: Number>(
        &self,
        isa: Isa,
        x: Option<Source<'_, T>>,
        weights: Weights<'_, T>,
        dy: Incoming<'_, T>,
        wanted: Wanted<'_, T>,
        Room { scratch, prefetch }: Room<'_, T>,
    ) {
        let d = &self.depthwise;
        let (c, ow) = (d.output.c, d.output.w);
        let (plane, scratch) = scratch.split_at_mut(d.padded_len());
        let (mid, scratch) = scratch.split_at_mut(row_group_len(d.output));
        let (incoming, scratch) = scratch.split_at_mut(mid.len() / c * self.out);
        let back = d.back();
        let (gradient, scratch) = scratch.split_at_mut(back.len);
        let inside = back.inside;
        back.clear_border(gradient);
        let Wanted { weights: mut grads, input } = wanted;
        if let (Some(_), Some(x)) = (&grads, x) {
            d.pad(isa, x, plane);
        }
        let groups = row_groups(d.output).count();
        for (k, rows) in row_groups(d.output).enumerate() {
            prefetch.fetch(k, groups);
            let pixels = rows.start * ow..rows.end * ow;
            let dy = dy.part(isa, pixels.start * self.out..pixels.end * self.out, incoming);
            let start = inside.start + rows.start * inside.row;
            for (k, dy) in dy.chunks_exact(ow * self.out).enumerate() {
                let to = &mut gradient[start + k * inside.row..][..ow * c];
                Product::dense(ow, self.out, c).run(isa, &ONCE, dy, weights.pointwise, to, false);
            }
            if let Some(grads) = &mut grads {
                let mid = &mut mid[..pixels.len() * c];
                d.rows(isa, plane, weights.depthwise, rows.clone(), mid);
                Product::transposed(c, pixels.len(), self.out).run(isa, &ONCE, mid, dy, grads.pointwise, true);
                let found = Plane { values: &gradient[start..], row: inside.row };
                d.weight_rows(isa, plane, found, rows, grads.depthwise);
            }
        }
        if let Some(dx) = input {
            back.lead(isa, x, weights.depthwise, gradient, dx, scratch);
        }
    }
}
