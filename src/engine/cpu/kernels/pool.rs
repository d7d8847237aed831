//! Pools of any kernel, stride and padding, forward and backward.
//!
//! All four walks are one: output row by row, a block of pixels in registers where every window lies wholly inside the source,
//! single pixels with clipped windows at the borders. Where the windows of a block are three wide and overlap, each pixel under
//! them is read once: columns are pooled first, then rows of columns.

use std::ops::Range;

use super::prefetch::{self, Prefetch};
use crate::engine::call::Pool;
use crate::engine::cpu::isa::Isa;
use crate::engine::cpu::vector::{Number, Vector, for_groups, vectorized};

/// Output pixels in registers together.
const BLOCK: usize = 6;

/// Source pixels under [`BLOCK`] windows that are three wide, one pixel apart.
const UNDER: usize = BLOCK + 2;

/// The source places under a window along one axis: `start, start + step, ..`.
#[derive(Clone, Copy, Debug)]
struct Under {
    start: usize,
    count: usize,
}

/// The windows of some neighbouring output pixels of a row, all of one size.
#[derive(Clone, Copy, Debug)]
struct Windows {
    /// The first output pixel.
    at: usize,
    rows: Under,
    columns: Under,
    /// Whether there are [`BLOCK`] of them, or one.
    block: bool,
}

/// What a pool keeps of the values under a window.
trait Keep {
    fn first<V: Vector>() -> V;
    fn keep<V: Vector>(kept: V, v: V) -> V;
}

struct Largest;
struct Total;

impl Keep for Largest {
    #[inline(always)]
    fn first<V: Vector>() -> V {
        V::splat(V::Scalar::LOWEST)
    }
    #[inline(always)]
    fn keep<V: Vector>(kept: V, v: V) -> V {
        v.max(kept)
    }
}

impl Keep for Total {
    #[inline(always)]
    fn first<V: Vector>() -> V {
        V::zero()
    }
    #[inline(always)]
    fn keep<V: Vector>(kept: V, v: V) -> V {
        kept.add(v)
    }
}

impl Pool {
    /// What of the source lies under the window of output `out` along an axis.
    #[inline(always)]
    fn under(&self, axis: usize, out: usize) -> Under {
        let w = &self.window;
        let side = if axis == 0 { self.source.h } else { self.source.w };
        let (start, pad, step) = (out * w.stride[axis], w.pad[axis], w.dilation[axis]);
        // The first tap that is not in the padding before the source, and the first one behind its end.
        let first = if step == 1 { pad.saturating_sub(start) } else { pad.saturating_sub(start).div_ceil(step) };
        let room = (side + pad).saturating_sub(start);
        let end = if step == 1 { room } else { room.div_ceil(step) }.min(w.kernel[axis]);
        Under { start: (start + first * step).saturating_sub(pad), count: end.saturating_sub(first) }
    }

    /// The output columns whose windows lie wholly inside the source.
    fn inner(&self) -> Range<usize> {
        let whole = |ox: &usize| {
            let (from, reach) = (ox * self.window.stride[1], self.window.dilation[1] * (self.window.kernel[1] - 1));
            from >= self.window.pad[1] && from - self.window.pad[1] + reach < self.source.w
        };
        let first = (0..self.output.w).find(whole).unwrap_or(self.output.w);
        first..(first..self.output.w).find(|ox| !whole(ox)).unwrap_or(self.output.w)
    }

    /// The pixels of an output row in order, [`BLOCK`] neighbours at a time where they are among the `inner` ones.
    #[inline(always)]
    fn row(&self, oy: usize, inner: &Range<usize>) -> impl Iterator<Item = Windows> {
        let (rows, width, mut ox) = (self.under(0, oy), self.output.w, 0);
        std::iter::from_fn(
            #[inline(always)]
            move || {
                let at = ox;
                let block = inner.start <= at && at + BLOCK <= inner.end;
                ox += if block { BLOCK } else { 1 };
                (at < width).then(|| Windows { at: oy * width + at, rows, columns: self.under(1, at), block })
            },
        )
    }

    /// Whether windows are three wide and begin one pixel apart.
    fn overlaps(&self) -> bool {
        let w = &self.window;
        (w.kernel[1], w.stride[1], w.dilation[1]) == (3, 1, 1)
    }

    /// Every row under the windows, by the place of its first pixel in the source.
    #[inline(always)]
    fn rows(&self, windows: Windows, mut row: impl FnMut(usize)) {
        for ky in 0..windows.rows.count {
            let y = windows.rows.start + ky * self.window.dilation[0];
            row((y * self.source.w + windows.columns.start) * self.source.c);
        }
    }

    /// Every pixel under the first window, by its place in the source.
    #[inline(always)]
    fn taps(&self, windows: Windows, mut tap: impl FnMut(usize)) {
        self.rows(
            windows,
            #[inline(always)]
            |row| {
                for kx in 0..windows.columns.count {
                    tap(row + kx * self.window.dilation[1] * self.source.c);
                }
            },
        );
    }

    /// The scalars of every output row.
    fn output_rows(&self) -> impl Iterator<Item = (usize, Range<usize>)> {
        let row = self.output.w * self.output.c;
        (0..self.output.h).map(move |oy| (oy, oy * row..(oy + 1) * row))
    }

    /// The scalars of the last source row that an output row looks at.
    fn last_row_under(&self, oy: usize) -> Range<usize> {
        let (rows, len) = (self.under(0, oy), self.source.w * self.source.c);
        let last = rows.start + rows.count.saturating_sub(1) * self.window.dilation[0];
        last * len..(last + 1) * len
    }

    /// # Panics
    /// When the planes have other lengths than the shapes say; the inner loops rely on it and do not look again.
    fn check<T>(&self, source: &[T], output: &[T]) {
        assert!(source.len() == self.source.len() && output.len() == self.output.len(), "{self:?}");
        assert_eq!(self.window.output(self.source.h, self.source.w), Some([self.output.h, self.output.w]), "{self:?}");
    }

    /// The largest value under the window.
    pub fn max_forward<T: Number>(&self, isa: Isa, x: &[T], y: &mut [T], prefetch: &Prefetch) {
        self.check(x, y);
        vectorized!(isa, T, max_here(self, x, y, prefetch));
    }

    /// The whole gradient goes to the first largest value in raster order, as in PyTorch.
    pub fn max_backward<T: Number>(
        &self,
        isa: Isa,
        x: &[T],
        dy: &[T],
        (dx, accumulate): (&mut [T], bool),
        prefetch: &Prefetch,
    ) {
        self.check(x, dy);
        self.check(dx, dy);
        if !accumulate {
            dx.fill(T::ZERO);
        }
        vectorized!(isa, T, max_back_here(self, x, dy, dx, prefetch));
    }

    /// One over the divisor of a window.
    #[inline(always)]
    fn share<T: Number>(&self, windows: Windows, count_include_pad: bool) -> T {
        let count = if count_include_pad { self.window.taps() } else { windows.rows.count * windows.columns.count };
        T::ONE / T::of(count as f64)
    }

    /// The mean under the window.
    pub fn avg_forward<T: Number>(&self, isa: Isa, x: &[T], count_include_pad: bool, y: &mut [T], prefetch: &Prefetch) {
        self.check(x, y);
        vectorized!(isa, T, avg_here(self, x, count_include_pad, y, prefetch));
    }

    /// Every value under the window gets its share of the gradient.
    pub fn avg_backward<T: Number>(
        &self,
        isa: Isa,
        dy: &[T],
        count_include_pad: bool,
        (dx, accumulate): (&mut [T], bool),
        prefetch: &Prefetch,
    ) {
        self.check(dx, dy);
        if !accumulate {
            dx.fill(T::ZERO);
        }
        vectorized!(isa, T, avg_back_here(self, dy, count_include_pad, dx, prefetch));
    }

    /// The mean over all pixels.
    pub fn global_forward<T: Number>(x: &[T], y: &mut [T]) {
        let c = y.len();
        let share = T::ONE / T::of((x.len() / c) as f64);
        y.fill(T::ZERO);
        for pixel in x.chunks_exact(c) {
            for (s, v) in y.iter_mut().zip(pixel) {
                *s += *v;
            }
        }
        for s in y {
            *s *= share;
        }
    }

    /// Every pixel gets an equal share.
    pub fn global_backward<T: Number>(dy: &[T], dx: &mut [T], accumulate: bool) {
        let c = dy.len();
        let share = T::ONE / T::of((dx.len() / c) as f64);
        for pixel in dx.chunks_exact_mut(c) {
            for (d, g) in pixel.iter_mut().zip(dy) {
                *d = if accumulate { *d + *g * share } else { *g * share };
            }
        }
    }
}

// SAFETY of everything below: planes were compared with the shapes, `c0 + LANES <= c`, and `taps` yields places whose pixels lie
// inside the source, for every pixel of a block.

/// What `K` keeps of the windows of `B` neighbours.
#[inline(always)]
unsafe fn kept<V: Vector, K: Keep, const B: usize>(
    pool: &Pool,
    c0: usize,
    x: &[V::Scalar],
    windows: Windows,
) -> [V; B] {
    let step = pool.window.stride[1] * pool.source.c;
    let mut kept = [K::first::<V>(); B];
    if B == BLOCK && pool.overlaps() {
        let mut columns = [K::first::<V>(); UNDER];
        pool.rows(windows, |at| {
            for (k, column) in columns.iter_mut().enumerate() {
                *column = K::keep(*column, unsafe { V::read(x, at + c0 + k * step) });
            }
        });
        for (b, kept) in kept.iter_mut().enumerate() {
            *kept = K::keep(K::keep(columns[b], columns[b + 1]), columns[b + 2]);
        }
        return kept;
    }
    pool.taps(
        windows,
        #[inline(always)]
        |at| {
            for (b, kept) in kept.iter_mut().enumerate() {
                *kept = K::keep(*kept, unsafe { V::read(x, at + c0 + b * step) });
            }
        },
    );
    kept
}

/// Stores `B` neighbours.
#[inline(always)]
unsafe fn store<V: Vector, const B: usize>(
    pool: &Pool,
    c0: usize,
    windows: Windows,
    values: [V; B],
    y: &mut [V::Scalar],
) {
    for (b, v) in values.into_iter().enumerate() {
        unsafe { v.write(y, (windows.at + b) * pool.source.c + c0) };
    }
}

#[inline(always)]
fn max_here<V: Vector>(pool: &Pool, x: &[V::Scalar], y: &mut [V::Scalar], prefetch: &Prefetch) {
    let (c, inner) = (pool.source.c, pool.inner());
    for (oy, row) in pool.output_rows() {
        prefetch::for_writing(&y[row]);
        prefetch.fetch(oy, pool.output.h);
        for_groups!(V, c, max_row(pool, (oy, &inner), x, y));
    }
}

#[inline(always)]
fn max_row<V: Vector>(
    c0: usize,
    pool: &Pool,
    (oy, inner): (usize, &Range<usize>),
    x: &[V::Scalar],
    y: &mut [V::Scalar],
) {
    for windows in pool.row(oy, inner) {
        unsafe {
            if windows.block {
                store::<V, BLOCK>(pool, c0, windows, kept::<V, Largest, BLOCK>(pool, c0, x, windows), y);
            } else {
                store::<V, 1>(pool, c0, windows, kept::<V, Largest, 1>(pool, c0, x, windows), y);
            }
        }
    }
}

#[inline(always)]
fn avg_here<V: Vector>(
    pool: &Pool,
    x: &[V::Scalar],
    count_include_pad: bool,
    y: &mut [V::Scalar],
    prefetch: &Prefetch,
) {
    let (c, inner) = (pool.source.c, pool.inner());
    for (oy, row) in pool.output_rows() {
        prefetch::for_writing(&y[row]);
        prefetch.fetch(oy, pool.output.h);
        for_groups!(V, c, avg_row(pool, (oy, &inner), x, count_include_pad, y));
    }
}

#[inline(always)]
fn avg_row<V: Vector>(
    c0: usize,
    pool: &Pool,
    (oy, inner): (usize, &Range<usize>),
    x: &[V::Scalar],
    count_include_pad: bool,
    y: &mut [V::Scalar],
) {
    for windows in pool.row(oy, inner) {
        let share = V::splat(pool.share(windows, count_include_pad));
        unsafe {
            if windows.block {
                let sums = kept::<V, Total, BLOCK>(pool, c0, x, windows);
                store::<V, BLOCK>(pool, c0, windows, scaled(sums, share), y);
            } else {
                let sums = kept::<V, Total, 1>(pool, c0, x, windows);
                store::<V, 1>(pool, c0, windows, scaled(sums, share), y);
            }
        }
    }
}

#[inline(always)]
fn scaled<V: Vector, const B: usize>(mut values: [V; B], share: V) -> [V; B] {
    for v in &mut values {
        *v = v.mul(share);
    }
    values
}

/// The output's gradient at `B` neighbours.
#[inline(always)]
unsafe fn gradient<V: Vector, const B: usize>(pool: &Pool, c0: usize, windows: Windows, dy: &[V::Scalar]) -> [V; B] {
    let mut g = [V::zero(); B];
    for (b, g) in g.iter_mut().enumerate() {
        *g = unsafe { V::read(dy, (windows.at + b) * pool.source.c + c0) };
    }
    g
}

/// Adds to as many neighbouring pixels as there are values.
#[inline(always)]
unsafe fn add_row<V: Vector>(values: &[V], at: usize, step: usize, dx: &mut [V::Scalar]) {
    for (k, v) in values.iter().enumerate() {
        unsafe { V::read(dx, at + k * step).add(*v).write(dx, at + k * step) };
    }
}

#[inline(always)]
fn avg_back_here<V: Vector>(
    pool: &Pool,
    dy: &[V::Scalar],
    count_include_pad: bool,
    dx: &mut [V::Scalar],
    prefetch: &Prefetch,
) {
    let (c, inner) = (pool.source.c, pool.inner());
    for oy in 0..pool.output.h {
        prefetch::for_writing(&dx[pool.last_row_under(oy)]);
        prefetch.fetch(oy, pool.output.h);
        for_groups!(V, c, avg_back_row(pool, (oy, &inner), dy, count_include_pad, dx));
    }
}

#[inline(always)]
fn avg_back_row<V: Vector>(
    c0: usize,
    pool: &Pool,
    (oy, inner): (usize, &Range<usize>),
    dy: &[V::Scalar],
    count_include_pad: bool,
    dx: &mut [V::Scalar],
) {
    for windows in pool.row(oy, inner) {
        let share = V::splat(pool.share(windows, count_include_pad));
        unsafe {
            if windows.block {
                avg_back::<V, BLOCK>(pool, c0, windows, share, dy, dx);
            } else {
                avg_back::<V, 1>(pool, c0, windows, share, dy, dx);
            }
        }
    }
}

#[inline(always)]
unsafe fn avg_back<V: Vector, const B: usize>(
    pool: &Pool,
    c0: usize,
    windows: Windows,
    share: V,
    dy: &[V::Scalar],
    dx: &mut [V::Scalar],
) {
    let step = pool.window.stride[1] * pool.source.c;
    let g = scaled(unsafe { gradient::<V, B>(pool, c0, windows, dy) }, share);
    if B == BLOCK && pool.overlaps() {
        // Every row under the windows gets the same.
        let mut columns = [V::zero(); UNDER];
        for (b, g) in g.iter().enumerate() {
            for column in &mut columns[b..b + 3] {
                *column = column.add(*g);
            }
        }
        return pool.rows(windows, |at| unsafe { add_row(&columns, at + c0, step, dx) });
    }
    pool.taps(
        windows,
        #[inline(always)]
        |at| unsafe { add_row(&g, at + c0, step, dx) },
    );
}

#[inline(always)]
fn max_back_here<V: Vector>(pool: &Pool, x: &[V::Scalar], dy: &[V::Scalar], dx: &mut [V::Scalar], prefetch: &Prefetch) {
    let (c, inner) = (pool.source.c, pool.inner());
    for oy in 0..pool.output.h {
        prefetch::for_writing(&dx[pool.last_row_under(oy)]);
        prefetch.fetch(oy, pool.output.h);
        for_groups!(V, c, max_back_row(pool, (oy, &inner), x, dy, dx));
    }
}

#[inline(always)]
fn max_back_row<V: Vector>(
    c0: usize,
    pool: &Pool,
    (oy, inner): (usize, &Range<usize>),
    x: &[V::Scalar],
    dy: &[V::Scalar],
    dx: &mut [V::Scalar],
) {
    for windows in pool.row(oy, inner) {
        unsafe {
            if windows.block {
                max_back::<V, BLOCK>(pool, c0, windows, x, dy, dx);
            } else {
                max_back::<V, 1>(pool, c0, windows, x, dy, dx);
            }
        }
    }
}

/// The gradient goes to the first place that holds the largest value; what has gone is taken from what is left to give.
#[inline(always)]
unsafe fn max_back<V: Vector, const B: usize>(
    pool: &Pool,
    c0: usize,
    windows: Windows,
    x: &[V::Scalar],
    dy: &[V::Scalar],
    dx: &mut [V::Scalar],
) {
    let step = pool.window.stride[1] * pool.source.c;
    let (best, mut left) =
        unsafe { (kept::<V, Largest, B>(pool, c0, x, windows), gradient::<V, B>(pool, c0, windows, dy)) };
    if B == BLOCK && pool.overlaps() {
        return pool.rows(windows, |at| {
            let (mut pixels, mut given) = ([V::zero(); UNDER], [V::zero(); UNDER]);
            for (k, pixel) in pixels.iter_mut().enumerate() {
                *pixel = unsafe { V::read(x, at + c0 + k * step) };
            }
            for tap in 0..3 {
                for b in 0..B {
                    let now = left[b].where_equal(pixels[b + tap], best[b]);
                    left[b] = left[b].sub(now);
                    given[b + tap] = given[b + tap].add(now);
                }
            }
            unsafe { add_row(&given, at + c0, step, dx) };
        });
    }
    pool.taps(
        windows,
        #[inline(always)]
        |at| {
            for b in 0..B {
                let at = at + c0 + b * step;
                unsafe {
                    let now = left[b].where_equal(V::read(x, at), best[b]);
                    left[b] = left[b].sub(now);
                    V::read(dx, at).add(now).write(dx, at);
                }
            }
        },
    );
}
