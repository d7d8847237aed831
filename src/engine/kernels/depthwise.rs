//! Depthwise convolution.
//!
//! The source is copied once into a zero-padded plane (normalisation, ReLU and crop on the way), so the inner loops know no
//! borders; they run over groups of channels, a block of output pixels in registers. Rows are worked on a few at a time, so
//! that what comes next ([`Separable`](super::separable::Separable)) finds them in the first-level cache.

use std::ops::Range;

use super::load::{Load, Source};
use super::pointwise::store_masked;
use crate::arch::op::{Shape, Window};
use crate::engine::isa::Isa;
use crate::engine::real::Real;
use crate::engine::vector::{Vector, for_groups, vectorized};

/// Scalars of rows that are worked on together: 8 KB of f32, a sixth of a common first-level cache.
const ROWS: usize = 1 << 11;

/// A depthwise convolution of one image, weights `[kh, kw, c]`.
#[derive(Clone, Copy, Debug)]
pub struct Depthwise {
    /// Source `[h, w, c]`, before cropping.
    pub source: Shape,
    /// Output `[oh, ow, c]`.
    pub output: Shape,
    /// Where it looks.
    pub window: Window,
    /// What happens on the way in.
    pub load: Load,
}

/// A plane with a border, rows `row` scalars apart.
#[derive(Clone, Copy, Debug)]
pub struct Plane<'a, T> {
    /// The values.
    pub values: &'a [T],
    /// Scalars from a row to the next.
    pub row: usize,
}

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
    /// The padded source's rows and columns.
    fn padded(&self) -> (usize, usize) {
        let (w, crop) = (&self.window, self.load.crop);
        (self.source.h - crop[0] + 2 * w.pad[0], self.source.w - crop[1] + 2 * w.pad[1])
    }

    /// Scalars of the padded source.
    pub fn padded_len(&self) -> usize {
        let (h, w) = self.padded();
        h * w * self.source.c
    }

    /// Scalars from a row of the padded source to the next.
    pub fn padded_row(&self) -> usize {
        self.padded().1 * self.source.c
    }

    /// The convolution that leads a gradient back where the stride is 1: mirrored taps and complementary padding.
    fn mirrored(&self) -> Option<Depthwise> {
        let w = &self.window;
        let pad = [0, 1].map(|a| (w.dilation[a] * (w.kernel[a] - 1)).checked_sub(w.pad[a]));
        match (w.stride, self.load.crop, pad) {
            ([1, 1], [0, 0], [Some(top), Some(left)]) => Some(Depthwise {
                source: self.output,
                output: self.source,
                window: Window { pad: [top, left], ..*w },
                load: Load::default(),
            }),
            _ => None,
        }
    }

    /// Scalars of the plane in which the output's gradient is handed to [`Depthwise::lead_back`].
    pub fn gradient_len(&self) -> usize {
        self.mirrored().map_or(self.output.len(), |m| m.padded_len())
    }

    /// Where the output's gradient stands in that plane.
    pub fn gradient_inside(&self) -> Inside {
        match self.mirrored() {
            Some(m) => {
                let row = m.padded_row();
                Inside { start: m.window.pad[0] * row + m.window.pad[1] * self.output.c, row }
            }
            None => Inside { start: 0, row: self.output.w * self.output.c },
        }
    }

    /// Scratch of [`Depthwise::lead_back`].
    pub fn lead_back_scratch(&self) -> usize {
        match self.mirrored() {
            Some(_) => self.window.taps() * self.source.c + row_group_len(self.source),
            None => self.padded_len(),
        }
    }

    /// Scalars of scratch memory that forward and backward need.
    pub fn scratch(&self) -> usize {
        self.padded_len().max(self.gradient_len() + self.lead_back_scratch())
    }

    /// Copies the source into the padded plane.
    pub fn pad<T: Real>(&self, isa: Isa, x: Source<'_, T>, plane: &mut [T]) {
        let (c, pad, crop) = (self.source.c, self.window.pad, self.load.crop);
        let inner = (self.source.w - crop[1]) * c;
        isa.run(
            #[inline(always)]
            || {
                for (py, row) in plane[..self.padded_len()].chunks_exact_mut(self.padded_row()).enumerate() {
                    let Some(y) = py.checked_sub(pad[0]).map(|y| y + crop[0]).filter(|y| *y < self.source.h) else {
                        row.fill(T::zero());
                        continue;
                    };
                    let (left, rest) = row.split_at_mut(pad[1] * c);
                    let (mid, right) = rest.split_at_mut(inner);
                    left.fill(T::zero());
                    right.fill(T::zero());
                    x.from((y * self.source.w + crop[1]) * c).read(self.load.relu, mid);
                }
            },
        );
    }

    /// Output rows `rows` from the padded source.
    pub fn rows<T: Real>(&self, isa: Isa, plane: &[T], weight: &[T], rows: Range<usize>, y: &mut [T]) {
        let plane = Plane { values: plane, row: self.padded_row() };
        correlate(isa, plane, weight, &self.window, self.output, rows, y);
    }

    /// `y = depthwise(load(x), weight)`.
    pub fn forward<T: Real>(&self, isa: Isa, x: Source<'_, T>, weight: &[T], y: &mut [T], scratch: &mut [T]) {
        self.pad(isa, x, scratch);
        self.rows(isa, scratch, weight, 0..self.output.h, y);
    }

    /// `dweight += sum over pixels of load(x) dy`.
    pub fn backward_weight<T: Real>(&self, isa: Isa, x: Source<'_, T>, dy: &[T], dweight: &mut [T], scratch: &mut [T]) {
        self.pad(isa, x, scratch);
        let dy = Plane { values: dy, row: self.output.w * self.output.c };
        self.weight_rows(isa, scratch, dy, 0..self.output.h, dweight);
    }

    /// `dweight +=` the part of some output rows, from the padded source; `dy` begins at the first of them.
    pub fn weight_rows<T: Real>(&self, isa: Isa, plane: &[T], dy: Plane<'_, T>, rows: Range<usize>, dweight: &mut [T]) {
        let plane = Plane { values: plane, row: self.padded_row() };
        correlate_weight(isa, plane, dy, &self.window, self.output, rows, dweight);
    }

    /// `dx = load'(x) * (dy depthwise^T weight)`, added to what is there where `accumulate`.
    pub fn backward_input<T: Real>(
        &self,
        isa: Isa,
        x: Option<Source<'_, T>>,
        weight: &[T],
        dy: &[T],
        (dx, accumulate): (&mut [T], bool),
        scratch: &mut [T],
    ) {
        let (plane, scratch) = scratch.split_at_mut(self.gradient_len());
        let inside = self.gradient_inside();
        self.clear_border(plane);
        for (y, row) in dy.chunks_exact(self.output.w * self.output.c).enumerate() {
            plane[inside.start + y * inside.row..][..row.len()].copy_from_slice(row);
        }
        self.lead_back(isa, x, weight, plane, (dx, accumulate), scratch);
    }

    /// Zeros around the inside of a gradient's plane.
    pub fn clear_border<T: Real>(&self, plane: &mut [T]) {
        if self.mirrored().is_some() {
            let (inside, width) = (self.gradient_inside(), self.output.w * self.output.c);
            let mut at = 0;
            for y in 0..self.output.h {
                let row = inside.start + y * inside.row;
                plane[at..row].fill(T::zero());
                at = row + width;
            }
            plane[at..self.gradient_len()].fill(T::zero());
        }
    }

    /// [`Depthwise::backward_input`] from the output's gradient in a plane of [`Depthwise::gradient_len`] scalars.
    pub fn lead_back<T: Real>(
        &self,
        isa: Isa,
        x: Option<Source<'_, T>>,
        weight: &[T],
        plane: &[T],
        (dx, accumulate): (&mut [T], bool),
        scratch: &mut [T],
    ) {
        let (c, width) = (self.source.c, self.source.w * self.source.c);
        let x = x.filter(|_| self.load.relu);
        let Some(back) = self.mirrored() else {
            return self.scatter_back(isa, x, weight, plane, (dx, accumulate), scratch);
        };
        let (flipped, rows_out) = scratch.split_at_mut(self.window.taps() * c);
        for (tap, w) in weight.chunks_exact(c).rev().enumerate() {
            flipped[tap * c..][..c].copy_from_slice(w);
        }
        for rows in row_groups(back.output) {
            let at = rows.start * width..rows.end * width;
            let found = &mut rows_out[..at.len()];
            back.rows(isa, plane, flipped, rows, found);
            store_masked(isa, found, x.map(|x| x.from(at.start)), &mut dx[at], accumulate);
        }
    }

    /// [`Depthwise::lead_back`] at other strides: every output's gradient is spread over the places it looked at.
    fn scatter_back<T: Real>(
        &self,
        isa: Isa,
        x: Option<Source<'_, T>>,
        weight: &[T],
        dy: &[T],
        (dx, accumulate): (&mut [T], bool),
        scratch: &mut [T],
    ) {
        let (c, crop, pad) = (self.source.c, self.load.crop, self.window.pad);
        let padded = &mut scratch[..self.padded_len()];
        let row = self.padded_row();
        padded.fill(T::zero());
        check_reach(Plane { values: padded, row }, &self.window, self.output, self.output.h);
        assert!(dy.len() >= self.output.len() && weight.len() >= self.window.taps() * c);
        let (win, out) = (&self.window, self.output);
        vectorized!(isa, T, scatter(padded, row, weight, dy, win, out));
        let width = self.source.w * c;
        if !accumulate && crop != [0, 0] {
            dx.fill(T::zero());
        }
        for y in crop[0]..self.source.h {
            let from = (y - crop[0] + pad[0]) * row + pad[1] * c;
            let to = y * width + crop[1] * c..(y + 1) * width;
            let found = &padded[from..from + to.len()];
            store_masked(isa, found, x.map(|x| x.from(to.start)), &mut dx[to], accumulate);
        }
    }
}

/// `y[oy, ox] = sum over taps of plane[oy s + ky d, ox s + kx d] * weight[tap]`, channel by channel; `y` begins at the first of
/// the rows.
fn correlate<T: Real>(
    isa: Isa,
    plane: Plane<'_, T>,
    weight: &[T],
    win: &Window,
    out: Shape,
    rows: Range<usize>,
    y: &mut [T],
) {
    check_reach(plane, win, out, rows.end);
    assert!(weight.len() >= win.taps() * out.c && y.len() >= rows.len() * out.w * out.c);
    vectorized!(isa, T, correlate_here(plane, weight, win, out, &rows, y));
}

#[inline(always)]
fn correlate_here<V: Vector>(
    plane: Plane<'_, V::Scalar>,
    weight: &[V::Scalar],
    win: &Window,
    out: Shape,
    rows: &Range<usize>,
    y: &mut [V::Scalar],
) {
    for_groups!(V, out.c, correlate_group(plane, weight, win, out, rows, y));
}

#[inline(always)]
fn correlate_group<V: Vector>(
    c0: usize,
    plane: Plane<'_, V::Scalar>,
    weight: &[V::Scalar],
    win: &Window,
    out: Shape,
    rows: &Range<usize>,
    y: &mut [V::Scalar],
) {
    match out.w {
        8.. if V::ACCUMULATORS >= 8 => correlate_blocks::<V, 8>(c0, plane, weight, win, out, rows, y),
        4.. => correlate_blocks::<V, 4>(c0, plane, weight, win, out, rows, y),
        _ => correlate_blocks::<V, 1>(c0, plane, weight, win, out, rows, y),
    }
}

/// [`correlate`] for a group of channels, on blocks of `B` pixels.
#[inline(always)]
fn correlate_blocks<V: Vector, const B: usize>(
    c0: usize,
    plane: Plane<'_, V::Scalar>,
    weight: &[V::Scalar],
    win: &Window,
    out: Shape,
    rows: &Range<usize>,
    y: &mut [V::Scalar],
) {
    let c = out.c;
    let [kh, kw] = win.kernel;
    let (sx, dx) = (win.stride[1] * c, win.dilation[1] * c);
    for oy in rows.clone() {
        let to = (oy - rows.start) * out.w * c + c0;
        let mut ox = 0;
        loop {
            let mut acc = [V::zero(); B];
            for ky in 0..kh {
                let base = (oy * win.stride[0] + ky * win.dilation[0]) * plane.row + ox * sx + c0;
                for kx in 0..kw {
                    // SAFETY: `c0 + LANES <= c`, `ox + B <= ow`; the caller has compared the furthest tap of the last
                    // output with the plane's length, and the weights' length.
                    unsafe {
                        let w = V::read(weight, (ky * kw + kx) * c + c0);
                        for (b, acc) in acc.iter_mut().enumerate() {
                            *acc = V::read(plane.values, base + kx * dx + b * sx).mul_add(w, *acc);
                        }
                    }
                }
            }
            for (b, acc) in acc.iter().enumerate() {
                // SAFETY: as above; the caller has compared the last row's end with the result's length.
                unsafe { acc.write(y, to + (ox + b) * c) };
            }
            // The last block ends at the row's end: it may compute some pixels a second time.
            match out.w - ox - B {
                0 => break,
                left => ox += left.min(B),
            }
        }
    }
}

/// # Panics
/// When the furthest tap of the last row's last output lies outside the plane: the inner loops rely on it and do not look
/// again.
fn check_reach<T>(plane: Plane<'_, T>, win: &Window, out: Shape, rows: usize) {
    let far = [rows, out.w].map(|n| n.saturating_sub(1));
    let reach = |a: usize| far[a] * win.stride[a] + (win.kernel[a] - 1) * win.dilation[a];
    let (down, right) = (reach(0) * plane.row, (reach(1) + 1) * out.c);
    assert!(
        right <= plane.row && down + right <= plane.values.len(),
        "{win:?} leaves a plane of {}",
        plane.values.len()
    );
}

/// `dweight[tap] += sum over some rows' pixels of plane[..] * dy[..]`; `dy` begins at the first of the rows.
fn correlate_weight<T: Real>(
    isa: Isa,
    plane: Plane<'_, T>,
    dy: Plane<'_, T>,
    win: &Window,
    out: Shape,
    rows: Range<usize>,
    dweight: &mut [T],
) {
    check_reach(plane, win, out, rows.end);
    let last = rows.len().saturating_sub(1) * dy.row + out.w * out.c;
    assert!(dy.row >= out.w * out.c && dy.values.len() >= last && dweight.len() >= win.taps() * out.c);
    match win.kernel[1] {
        3 => vectorized!(isa, T, weight_rows_3(plane, dy, win, out, &rows, dweight)),
        5 => vectorized!(isa, T, weight_rows_5(plane, dy, win, out, &rows, dweight)),
        _ => {
            for kx in 0..win.kernel[1] {
                let shifted = Plane { values: &plane.values[kx * win.dilation[1] * out.c..], ..plane };
                let dweight = &mut dweight[kx * out.c..];
                vectorized!(isa, T, weight_rows_1(shifted, dy, win, out, &rows, dweight));
            }
        }
    }
}

/// [`correlate_weight`] for some taps of every kernel row, as many as in the name.
macro_rules! weight_rows {
    ($name:ident, $taps:literal, $pixels:literal) => {
        #[inline(always)]
        fn $name<V: Vector>(
            plane: Plane<'_, V::Scalar>,
            dy: Plane<'_, V::Scalar>,
            win: &Window,
            out: Shape,
            rows: &Range<usize>,
            dweight: &mut [V::Scalar],
        ) {
            #[inline(always)]
            fn group<V: Vector>(
                c0: usize,
                plane: Plane<'_, V::Scalar>,
                dy: Plane<'_, V::Scalar>,
                win: &Window,
                out: Shape,
                rows: &Range<usize>,
                dweight: &mut [V::Scalar],
            ) {
                weight_group::<V, $taps, $pixels>(c0, plane, dy, win, out, rows, dweight);
            }
            for_groups!(V, out.c, group(plane, dy, win, out, rows, dweight));
        }
    };
}
weight_rows!(weight_rows_1, 1, 8);
weight_rows!(weight_rows_3, 3, 4);
weight_rows!(weight_rows_5, 5, 2);

/// A row of `K` taps and `U` pixels at a time, for a group of channels.
#[inline(always)]
fn weight_group<V: Vector, const K: usize, const U: usize>(
    c0: usize,
    plane: Plane<'_, V::Scalar>,
    dy: Plane<'_, V::Scalar>,
    win: &Window,
    out: Shape,
    rows: &Range<usize>,
    dweight: &mut [V::Scalar],
) {
    let c = out.c;
    let [kh, kw] = win.kernel;
    let (sx, dx) = (win.stride[1] * c, win.dilation[1] * c);
    let whole = out.w / U * U;
    for ky in 0..kh {
        let mut acc = [[V::zero(); K]; U];
        for oy in rows.clone() {
            let base = (oy * win.stride[0] + ky * win.dilation[0]) * plane.row + c0;
            let grad = (oy - rows.start) * dy.row + c0;
            // SAFETY: `c0 + LANES <= c`; the caller has compared the furthest tap with the plane's length, and `dy`'s.
            unsafe {
                let pixel = |ox: usize, acc: &mut [V; K]| {
                    let g = V::read(dy.values, grad + ox * c);
                    for (kx, acc) in acc.iter_mut().enumerate() {
                        *acc = V::read(plane.values, base + ox * sx + kx * dx).mul_add(g, *acc);
                    }
                };
                for ox in (0..whole).step_by(U) {
                    for (u, acc) in acc.iter_mut().enumerate() {
                        pixel(ox + u, acc);
                    }
                }
                for ox in whole..out.w {
                    pixel(ox, &mut acc[0]);
                }
            }
        }
        for kx in 0..K {
            let sum = acc[1..].iter().fold(acc[0][kx], |sum, acc| sum.add(acc[kx]));
            let at = (ky * kw + kx) * c + c0;
            // SAFETY: the caller has compared the taps with the length.
            unsafe { V::read(dweight, at).add(sum).write(dweight, at) };
        }
    }
}

/// `plane[o s + k d] += dy[o] weight[k]` over all outputs `o` and taps `k`, a tap of a row at a time.
#[inline(always)]
fn scatter<V: Vector>(
    plane: &mut [V::Scalar],
    row: usize,
    weight: &[V::Scalar],
    dy: &[V::Scalar],
    win: &Window,
    out: Shape,
) {
    for_groups!(V, out.c, scatter_group(plane, row, weight, dy, win, out));
}

#[inline(always)]
fn scatter_group<V: Vector>(
    c0: usize,
    plane: &mut [V::Scalar],
    row: usize,
    weight: &[V::Scalar],
    dy: &[V::Scalar],
    win: &Window,
    out: Shape,
) {
    let c = out.c;
    let [kh, kw] = win.kernel;
    for oy in 0..out.h {
        for ky in 0..kh {
            for kx in 0..kw {
                let to = (oy * win.stride[0] + ky * win.dilation[0]) * row + kx * win.dilation[1] * c + c0;
                // SAFETY: `c0 + LANES <= c`; the caller has compared the furthest tap with the plane's length, and the
                // lengths of `dy` and `weight`.
                unsafe {
                    let w = V::read(weight, (ky * kw + kx) * c + c0);
                    for ox in 0..out.w {
                        let at = to + ox * win.stride[1] * c;
                        let g = V::read(dy, (oy * out.w + ox) * c + c0);
                        g.mul_add(w, V::read(plane, at)).write(plane, at);
                    }
                }
            }
        }
    }
}
