//! Depthwise convolution.
//!
//! The source is copied once into a zero-padded plane (normalisation, ReLU and crop on the way), so the inner loops know no
//! borders; they run over groups of channels, a block of output pixels in registers. Rows are worked on a few at a time, so
//! that what comes next ([`Separable`](crate::engine::Separable)) finds them in the first-level cache.

use std::ops::Range;

use super::correlate::{Finish, Plane, correlate, correlate_weight};
use super::load::Source;
use super::phases::Axis;
use super::{plane, prefetch};
use crate::arch::op::{Shape, Window};
use crate::engine::call::Depthwise;
use crate::engine::cpu::isa::Isa;
use crate::engine::cpu::vector::Number;

/// Scalars of rows that are worked on together: 2 KB of f32, about as many lines as may be under way to a core at once.
const ROWS: usize = 1 << 9;

/// The first scalar of a plane's inside, and the scalars from a row to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inside {
    /// Where the first pixel stands.
    pub start: usize,
    /// Scalars from a row to the next.
    pub row: usize,
}

/// A few rows at a time.
pub fn row_groups(shape: Shape) -> impl Iterator<Item = Range<usize>> {
    let rows = (ROWS / (shape.w * shape.c)).clamp(1, shape.h);
    (0..shape.h).step_by(rows).map(move |r| r..(r + rows).min(shape.h))
}

/// The most scalars that [`row_groups`] puts together.
pub fn row_group_len(shape: Shape) -> usize {
    row_groups(shape).map(|r| r.len()).max().unwrap_or(0) * shape.w * shape.c
}

impl Depthwise {
    /// How the source lies in its padded copy.
    fn copy(&self) -> plane::Plane {
        let (w, crop) = (&self.window, self.load.crop);
        let size = [self.source.h - crop[0] + 2 * w.pad[0], self.source.w - crop[1] + 2 * w.pad[1]];
        plane::Plane { source: self.source, load: self.load, before: w.pad, size }
    }

    /// Scalars of the padded source.
    pub fn padded_len(&self) -> usize {
        self.copy().scalars()
    }

    /// Scalars from a row of the padded source to the next.
    pub fn padded_row(&self) -> usize {
        self.copy().row()
    }

    /// The window along both axes.
    fn axes(&self) -> [Axis; 2] {
        let (w, crop) = (&self.window, self.load.crop);
        let axis = |a: usize, source: usize, output: usize| Axis {
            source: source - crop[a],
            output,
            kernel: w.kernel[a],
            stride: w.stride[a],
            pad: w.pad[a],
            dilation: w.dilation[a],
        };
        [axis(0, self.source.h, self.output.h), axis(1, self.source.w, self.output.w)]
    }

    /// The backward pass of a gradient.
    pub fn back(&self) -> Back {
        let [down, across] = self.axes();
        let row = across.padded() * self.output.c;
        let inside = Inside { start: down.before() * row + across.before() * self.output.c, row };
        Back { conv: *self, down, across, inside, len: down.padded() * row }
    }

    /// Scalars of scratch memory that forward and backward need.
    pub fn scratch(&self) -> usize {
        let back = self.back();
        self.padded_len().max(back.len + back.scratch())
    }

    /// Copies the source into the padded plane.
    pub fn pad<T: Number>(&self, isa: Isa, x: Source<'_, T>, plane: &mut [T]) {
        self.copy().fill(isa, x, 0..self.copy().size[0], plane);
    }

    /// Output rows `rows` from the padded source.
    pub fn rows<T: Number>(&self, isa: Isa, plane: &[T], weight: &[T], rows: Range<usize>, y: &mut [T]) {
        let plane = Plane { values: plane, row: self.padded_row() };
        correlate(isa, plane, weight, (&self.window, self.output), rows, y, Finish::default());
    }

    /// `y = depthwise(load(x), weight)`.
    pub fn forward<T: Number>(&self, isa: Isa, x: Source<'_, T>, weight: &[T], y: &mut [T], scratch: &mut [T]) {
        self.pad(isa, x, scratch);
        self.rows(isa, scratch, weight, 0..self.output.h, y);
    }

    /// `dweight += sum over pixels of load(x) dy`.
    pub fn backward_weight<T: Number>(
        &self,
        isa: Isa,
        x: Source<'_, T>,
        dy: &[T],
        dweight: &mut [T],
        scratch: &mut [T],
    ) {
        self.pad(isa, x, scratch);
        let dy = Plane { values: dy, row: self.output.w * self.output.c };
        self.weight_rows(isa, scratch, dy, 0..self.output.h, dweight);
    }

    /// `dweight +=` the part of some output rows, from the padded source; `dy` begins at the first of them.
    pub fn weight_rows<T: Number>(
        &self,
        isa: Isa,
        plane: &[T],
        dy: Plane<'_, T>,
        rows: Range<usize>,
        dweight: &mut [T],
    ) {
        let plane = Plane { values: plane, row: self.padded_row() };
        correlate_weight(isa, plane, dy, &self.window, self.output, rows, dweight);
    }

    /// `dx = load'(x) * (dy depthwise^T weight)`, added to what is there where `accumulate`.
    pub fn backward_input<T: Number>(
        &self,
        isa: Isa,
        x: Option<Source<'_, T>>,
        weight: &[T],
        dy: &[T],
        (dx, accumulate): (&mut [T], bool),
        scratch: &mut [T],
    ) {
        let back = self.back();
        let (plane, scratch) = scratch.split_at_mut(back.len);
        back.clear_border(plane);
        for (y, row) in dy.chunks_exact(self.output.w * self.output.c).enumerate() {
            plane[back.inside.start + y * back.inside.row..][..row.len()].copy_from_slice(row);
        }
        back.lead(isa, x, weight, plane, (dx, accumulate), scratch);
    }
}

/// The backward pass of a [`Depthwise`]: how the output's gradient has to lie, and where it goes.
#[derive(Clone, Copy, Debug)]
pub struct Back {
    conv: Depthwise,
    down: Axis,
    across: Axis,
    /// Scalars of the plane in which the output's gradient is handed over.
    pub len: usize,
    /// Where in it the gradient stands.
    pub inside: Inside,
}

impl Back {
    /// Scratch of [`Back::lead`].
    pub fn scratch(&self) -> usize {
        self.conv.window.taps() * self.conv.source.c
    }

    /// Zeros around the inside of a gradient's plane.
    pub fn clear_border<T: Number>(&self, plane: &mut [T]) {
        let (inside, output) = (self.inside, self.conv.output);
        let (mut at, width) = (0, output.w * output.c);
        for y in 0..output.h {
            let row = inside.start + y * inside.row;
            plane[at..row].fill(T::ZERO);
            at = row + width;
        }
        plane[at..self.len].fill(T::ZERO);
    }

    /// [`Depthwise::backward_input`] from the output's gradient in a plane of [`Back::len`] scalars.
    pub fn lead<T: Number>(
        &self,
        isa: Isa,
        x: Option<Source<'_, T>>,
        weight: &[T],
        plane: &[T],
        (dx, accumulate): (&mut [T], bool),
        scratch: &mut [T],
    ) {
        let Back { conv, down, across, .. } = self;
        let (c, crop, row) = (conv.source.c, conv.load.crop, self.inside.row);
        let x = x.filter(|_| conv.load.relu);
        let reached = crop == [0, 0] && [down, across].iter().all(|a| (0..a.stride).all(|r| a.phase(r).taps > 0));
        if !accumulate && !reached {
            dx.fill(T::ZERO);
        }
        // Every pair of phases with its mirrored weights.
        let (mut pairs, mut rest) = (Vec::with_capacity(down.stride * across.stride), scratch);
        for (ry, rx) in (0..down.stride).flat_map(|ry| (0..across.stride).map(move |rx| (ry, rx))) {
            let (vertical, horizontal) = (down.phase(ry), across.phase(rx));
            let taps = vertical.taps * horizontal.taps;
            if taps == 0 || vertical.count == 0 || horizontal.count == 0 {
                continue;
            }
            let (mirrored, tail) = std::mem::take(&mut rest).split_at_mut(taps * c);
            rest = tail;
            for (k, to) in mirrored.chunks_exact_mut(c).rev().enumerate() {
                let ky = vertical.tap + k / horizontal.taps * vertical.every;
                let kx = horizontal.tap + k % horizontal.taps * horizontal.every;
                to.copy_from_slice(&weight[(ky * conv.window.kernel[1] + kx) * c..][..c]);
            }
            pairs.push((vertical, horizontal, &*mirrored));
        }
        for line in 0..down.source {
            let to = (line + crop[0]) * conv.source.w;
            prefetch::for_writing(&dx[to * c..(to + conv.source.w) * c]);
            for (vertical, horizontal, mirrored) in &pairs {
                if line % down.stride != vertical.first {
                    continue;
                }
                let window = Window {
                    kernel: [vertical.taps, horizontal.taps],
                    stride: [1, 1],
                    pad: [0, 0],
                    dilation: [vertical.dilation, horizontal.dilation],
                };
                let (y, output) = (line / down.stride, Shape::new(vertical.count, horizontal.count, c));
                let start = down.start(*vertical) * row + across.start(*horizontal) * c;
                let plane = Plane { values: &plane[start..], row };
                let at = (to + crop[1] + horizontal.first) * c;
                let dx = &mut dx[at..(to + conv.source.w) * c];
                let finish = Finish { accumulate, relu_of: x.map(|x| x.from(at)), apart: across.stride };
                correlate(isa, plane, mirrored, (&window, output), y..y + 1, dx, finish);
            }
        }
    }
}
