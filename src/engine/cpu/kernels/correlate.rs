//! Correlation of a padded plane with a kernel, channel by channel, and its weight gradient: the inner loops of the depthwise
//! convolution, whichever way it goes.

use std::ops::Range;

use super::load::Source;
use crate::arch::op::{Shape, Window};
use crate::engine::cpu::isa::Isa;
use crate::engine::cpu::vector::{Number, Vector, for_groups, vectorized};

/// A plane with a border, rows `row` scalars apart.
#[derive(Clone, Copy, Debug)]
pub struct Plane<'a, T> {
    /// The values.
    pub values: &'a [T],
    /// Scalars from a row to the next.
    pub row: usize,
}

/// What becomes of a result on its way to memory.
#[derive(Clone, Copy, Debug)]
pub struct Finish<'a, T> {
    /// Whether it is added to what is there.
    pub accumulate: bool,
    /// It counts only where what is read of this is positive (the ReLU's derivative).
    pub relu_of: Option<Source<'a, T>>,
    /// Pixels from an output to the next.
    pub apart: usize,
}

impl<T> Default for Finish<'_, T> {
    fn default() -> Self {
        Finish { accumulate: false, relu_of: None, apart: 1 }
    }
}

/// `y[oy, ox] = sum over taps of plane[oy s + ky d, ox s + kx d] * weight[tap]`, channel by channel; `y` begins at the first of
/// the rows, as does what `finish` reads.
///
/// # Panics
/// When something does not reach as far as the shapes say; the inner loops rely on it and do not look again.
pub fn correlate<T: Number>(
    isa: Isa,
    plane: Plane<'_, T>,
    weight: &[T],
    (win, out): (&Window, Shape),
    rows: Range<usize>,
    y: &mut [T],
    finish: Finish<'_, T>,
) {
    check_reach(plane, win, out, rows.end);
    let len = ((rows.len() * out.w).saturating_sub(1) * finish.apart + 1) * out.c;
    assert!(weight.len() >= win.taps() * out.c && y.len() >= len);
    assert!(finish.relu_of.is_none_or(|x| x.values.len() >= len && x.affine.is_none_or(|(a, _)| a.len() == out.c)));
    let taps = Taps { plane, weight, win, out, near: Near::of(win) };
    vectorized!(isa, T, correlate_here(taps, &rows, y, finish));
}

/// What a correlation reads.
#[derive(Clone, Copy)]
struct Taps<'a, T> {
    plane: Plane<'a, T>,
    weight: &'a [T],
    win: &'a Window,
    out: Shape,
    near: Near,
}

/// The most neighbours of a row that are computed together.
const BLOCK: usize = 8;

/// How near the taps of a kernel row lie: those of neighbouring outputs read the same pixels, and where the registers hold
/// them all ([`kernel_row`]) each is read once. Loads, not arithmetic, are what bounds a depthwise convolution.
#[derive(Clone, Copy, Debug)]
enum Near {
    Three,
    Five,
    ThreeDilated,
    FiveDilated,
    ThreeStrided,
    FiveStrided,
    /// Further apart, or too many: every output reads for itself.
    Apart,
}

impl Near {
    fn of(win: &Window) -> Self {
        match (win.kernel[1], win.stride[1], win.dilation[1]) {
            (3, 1, 1) => Near::Three,
            (5, 1, 1) => Near::Five,
            (3, 1, 2) => Near::ThreeDilated,
            (5, 1, 2) => Near::FiveDilated,
            (3, 2, 1) => Near::ThreeStrided,
            (5, 2, 1) => Near::FiveStrided,
            _ => Near::Apart,
        }
    }
}

/// Adds a kernel row's `K` taps, `D` pixels apart, to `B` outputs, `S` pixels apart; a pixel, and a tap's weights, are `c`
/// scalars.
///
/// # Safety
/// `x` and `w` reach as far as the taps do.
#[inline(always)]
unsafe fn kernel_row<V: Vector, const B: usize, const K: usize, const S: usize, const D: usize>(
    x: &[V::Scalar],
    w: &[V::Scalar],
    c: usize,
    acc: &mut [V; B],
) {
    // The longest row is that of five taps at stride 2.
    let mut pixels = [V::zero(); (BLOCK - 1) * 2 + 5];
    let mut at = x.as_ptr();
    for pixel in &mut pixels[..(B - 1) * S + (K - 1) * D + 1] {
        // SAFETY: the caller's promise; one pixel beyond the last is not read.
        unsafe { *pixel = V::load(at) };
        at = at.wrapping_add(c);
    }
    for k in 0..K {
        // SAFETY: the caller's promise.
        let w = unsafe { V::read(w, k * c) };
        for (b, acc) in acc.iter_mut().enumerate() {
            *acc = pixels[b * S + k * D].mul_add(w, *acc);
        }
    }
}

#[inline(always)]
fn correlate_here<V: Vector>(
    taps: Taps<'_, V::Scalar>,
    rows: &Range<usize>,
    y: &mut [V::Scalar],
    finish: Finish<'_, V::Scalar>,
) {
    for_groups!(V, taps.out.c, correlate_group(taps, rows, y, finish));
}

#[inline(always)]
fn correlate_group<V: Vector>(
    c0: usize,
    taps: Taps<'_, V::Scalar>,
    rows: &Range<usize>,
    y: &mut [V::Scalar],
    finish: Finish<'_, V::Scalar>,
) {
    let width = taps.out.w;
    for oy in rows.clone() {
        let to = (oy - rows.start) * width;
        let mut ox = 0;
        while ox + BLOCK <= width {
            correlate_block::<V, BLOCK>(c0, taps, [oy, ox], to + ox, y, finish);
            ox += BLOCK;
        }
        while ox + 4 <= width {
            correlate_block::<V, 4>(c0, taps, [oy, ox], to + ox, y, finish);
            ox += 4;
        }
        while ox < width {
            correlate_block::<V, 1>(c0, taps, [oy, ox], to + ox, y, finish);
            ox += 1;
        }
    }
}

/// `B` neighbours of a row, the first at an output pixel, to a pixel of `y`.
#[inline(always)]
fn correlate_block<V: Vector, const B: usize>(
    c0: usize,
    Taps { plane, weight, win, out, near }: Taps<'_, V::Scalar>,
    [oy, ox]: [usize; 2],
    to: usize,
    y: &mut [V::Scalar],
    finish: Finish<'_, V::Scalar>,
) {
    let c = out.c;
    let [kh, kw] = win.kernel;
    let (sx, dx) = (win.stride[1] * c, win.dilation[1] * c);
    // Known when this is compiled: other vectors and blocks get the last case alone.
    let near = if B == BLOCK && V::ACCUMULATORS >= 24 { near } else { Near::Apart };
    let mut acc = [V::zero(); B];
    // SAFETY: `c0 + LANES <= c`, `ox + B <= ow`; the caller has compared the furthest tap of the last output with the plane's
    // length, and the lengths of the weights, of the result and of what `finish` reads.
    unsafe {
        for ky in 0..kh {
            let base = (oy * win.stride[0] + ky * win.dilation[0]) * plane.row + ox * sx + c0;
            let (x, w) = (&plane.values[base..], &weight[ky * kw * c + c0..]);
            match near {
                Near::Three => kernel_row::<V, B, 3, 1, 1>(x, w, c, &mut acc),
                Near::Five => kernel_row::<V, B, 5, 1, 1>(x, w, c, &mut acc),
                Near::ThreeDilated => kernel_row::<V, B, 3, 1, 2>(x, w, c, &mut acc),
                Near::FiveDilated => kernel_row::<V, B, 5, 1, 2>(x, w, c, &mut acc),
                Near::ThreeStrided => kernel_row::<V, B, 3, 2, 1>(x, w, c, &mut acc),
                Near::FiveStrided => kernel_row::<V, B, 5, 2, 1>(x, w, c, &mut acc),
                Near::Apart => {
                    for kx in 0..kw {
                        let w = V::read(w, kx * c);
                        for (b, acc) in acc.iter_mut().enumerate() {
                            *acc = V::read(x, kx * dx + b * sx).mul_add(w, *acc);
                        }
                    }
                }
            }
        }
        let (to, apart) = (to * finish.apart * c + c0, finish.apart * c);
        match finish.relu_of {
            Some(Source { values, affine: Some((scale, shift)) }) => {
                let (scale, shift) = (V::read(scale, c0), V::read(shift, c0));
                for (b, acc) in acc.iter_mut().enumerate() {
                    *acc = acc.where_positive(V::read(values, to + b * apart).mul_add(scale, shift));
                }
            }
            Some(Source { values, affine: None }) => {
                for (b, acc) in acc.iter_mut().enumerate() {
                    *acc = acc.where_positive(V::read(values, to + b * apart));
                }
            }
            None => {}
        }
        if finish.accumulate {
            for (b, acc) in acc.iter_mut().enumerate() {
                *acc = acc.add(V::read(y, to + b * apart));
            }
        }
        for (b, acc) in acc.iter().enumerate() {
            acc.write(y, to + b * apart);
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
///
/// # Panics
/// When something does not reach as far as the shapes say; the inner loops rely on it and do not look again.
pub fn correlate_weight<T: Number>(
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
