//! 3x3 convolutions at stride 1 by Winograd's minimal filtering: F(2x2, 3x3) and F(4x4, 3x3).
//!
//! Source: Lavin and Gray 2016, *Fast Algorithms for Convolutional Neural Networks*. Tiles of `m x m` outputs overlap in
//! `n x n` sources, `n = m + 2`. With one-dimensional maps `B^T`, `G`, `A^T`, applied along both axes,
//!
//! `y = A^T [ (G g G^T) . (B^T d B) ] A`
//!
//! where the pointwise product adds up over channels: `n^2` matrix products `[tiles, c] x [c, out]` in place of `9 m^2`, 2.25 times
//! fewer multiplications for `m = 2` and 4 times fewer for `m = 4`. The gradient of the weights is the adjoint of the same
//! map, `dg = G^T [ (B^T d B) . (A dy A^T) ] G`, with products over tiles; that of the source is a convolution again.
//!
//! Channels lie side by side, so all maps run on vectors of channels.

use super::convolution::Winograd;
use super::load::Source;
use super::plane::Plane;
use super::product::{Product, Tap};
use crate::arch::op::Shape;
use crate::engine::call::Load;
use crate::engine::cpu::isa::Isa;
use crate::engine::cpu::lanes::{for_channels, lanes, lanes_mut};
use crate::engine::cpu::vector::Number;
use crate::engine::mode::Direction;
use std::ops::Range;

/// Tiles of one set of products: enough to make reading the weights worth it, few enough to stay in the second-level cache.
const TILES: usize = 32;

/// Tiles of one set of products of a weight gradient: they are the terms, and each set is mapped back once.
const TERMS: usize = 64;

/// Source channels and output channels of one set of products of a weight gradient.
const BLOCK: [usize; 2] = [64, 32];

/// Scalars between the places' matrices, so that they do not all begin in the same set of the cache.
const GAP: usize = 16;

impl Winograd<'_> {
    /// Images that fill `most` tiles, and the tiles of each that are taken at a time.
    fn portion(&self, most: usize) -> (usize, usize) {
        ((most / self.tiles()).max(1), self.tiles().min(most))
    }

    /// Scalars from one place's matrix `[tiles, channels]` to the next.
    fn matrix(&self, most: usize, channels: usize) -> usize {
        let (images, part) = self.portion(most);
        images * part * channels + GAP
    }

    fn sources(&self) -> Plane {
        let size = self.grid.map(|tiles| tiles * self.m + 2);
        Plane { source: self.conv.shape.source, load: self.conv.shape.load, before: self.conv.shape.window.pad, size }
    }

    /// The output's gradient in whole tiles.
    fn gradients(&self) -> Plane {
        let size = self.grid.map(|tiles| tiles * self.m);
        Plane { source: self.conv.shape.output, load: Load::default(), before: [0, 0], size }
    }

    /// Scalars of scratch memory of [`Winograd::correlate`].
    pub fn scratch(&self) -> usize {
        let (c, out) = (self.conv.shape.source.c, self.conv.shape.output.c);
        self.sources().scalars() + self.places() * (self.matrix(TILES, c) + self.matrix(TILES, out))
    }

    /// Scalars of scratch memory of [`Winograd::backward_weight`].
    pub fn weight_scratch(&self) -> usize {
        let (c, out) = (self.conv.shape.source.c, self.conv.shape.output.c);
        let matrices = self.matrix(TERMS, c) + self.matrix(TERMS, out) + BLOCK[0] * BLOCK[1] + GAP;
        self.sources().scalars().max(self.gradients().scalars()) + self.places() * matrices
    }

    /// `G g G^T` of weights `[3, 3, n]`, to `[places, n]`.
    pub fn prepare<T: Number>(&self, isa: Isa, weights: &[T], to: &mut [T]) {
        match self.m {
            2 => prepare::<T, 4>(isa, weights, to),
            _ => prepare::<T, 6>(isa, weights, to),
        }
    }

    /// `y = conv(load(x), weights)`, with weights in the panels of [`Conv::panels`].
    pub fn correlate<T: Number>(&self, isa: Isa, x: Source<'_, T>, weights: &[T], y: &mut [T], scratch: &mut [T]) {
        match self.m {
            2 => self.correlate_by::<T, 2, 4>(isa, x, weights, y, scratch),
            _ => self.correlate_by::<T, 4, 6>(isa, x, weights, y, scratch),
        }
    }

    /// `dweight += sum over images and pixels of load(x)^T dy`.
    pub fn backward_weight<T: Number>(
        &self,
        isa: Isa,
        x: Source<'_, T>,
        dy: &[T],
        dweight: &mut [T],
        scratch: &mut [T],
    ) {
        match self.m {
            2 => self.backward_weight_by::<T, 2, 4>(isa, x, dy, dweight, scratch),
            _ => self.backward_weight_by::<T, 4, 6>(isa, x, dy, dweight, scratch),
        }
    }

    fn correlate_by<T: Number, const M: usize, const N: usize>(
        &self,
        isa: Isa,
        x: Source<'_, T>,
        weights: &[T],
        y: &mut [T],
        scratch: &mut [T],
    ) {
        let (c, out) = (self.conv.shape.source.c, self.conv.shape.output.c);
        let panels = self.conv.panels(Direction::Forward);
        let (sources, len) = (self.sources(), self.conv.shape.source.len());
        let [v, p] = [c, out].map(|channels| self.matrix(TILES, channels));
        let (plane, rest) = scratch.split_at_mut(sources.scalars());
        let (transformed, products) = rest.split_at_mut(N * N * v);
        for (images, part) in self.portions(x.values.len() / len, TILES) {
            for (k, image) in images.clone().enumerate() {
                if part.start == 0 {
                    let values = &x.values[image * len..][..len];
                    sources.fill(isa, Source { values, ..x }, 0..sources.size[0], plane);
                }
                let to = &mut transformed[k * part.len() * c..];
                self.gather::<T, M, N>(isa, plane, part.clone(), to, v);
            }
            let rows = images.len() * part.len();
            for place in 0..N * N {
                for panel in panels.each() {
                    let w = panel.width;
                    let product = Product { cols: w, w_term: w, y_row: out, ..Product::dense(rows, c, w) };
                    let tap = Tap { x: place * v, w: place * c * w };
                    let to = &mut products[place * p + panel.col..];
                    product.run(isa, &[tap], transformed, &weights[panel.range], to, false);
                }
            }
            for (k, image) in images.enumerate() {
                let y = &mut y[image * self.conv.shape.output.len()..][..self.conv.shape.output.len()];
                self.scatter::<T, M, N>(isa, &products[k * part.len() * out..], p, part.clone(), y);
            }
        }
    }

    fn backward_weight_by<T: Number, const M: usize, const N: usize>(
        &self,
        isa: Isa,
        x: Source<'_, T>,
        dy: &[T],
        dweight: &mut [T],
        scratch: &mut [T],
    ) {
        let (source, output) = (self.conv.shape.source, self.conv.shape.output);
        let (sources, gradients) = (self.sources(), self.gradients());
        let [v, d] = [source.c, output.c].map(|channels| self.matrix(TERMS, channels));
        let (plane, rest) = scratch.split_at_mut(sources.scalars().max(gradients.scalars()));
        let (transformed, rest) = rest.split_at_mut(N * N * v);
        let (spread, products) = rest.split_at_mut(N * N * d);
        for (images, part) in self.portions(x.values.len() / source.len(), TERMS) {
            for (k, image) in images.clone().enumerate() {
                let values = &x.values[image * source.len()..][..source.len()];
                sources.fill(isa, Source { values, ..x }, 0..sources.size[0], plane);
                let to = &mut transformed[k * part.len() * source.c..];
                self.gather::<T, M, N>(isa, plane, part.clone(), to, v);
                let dy = Source::plain(&dy[image * output.len()..][..output.len()]);
                let whole = if gradients.is_source(dy) {
                    dy.values
                } else {
                    gradients.fill(isa, dy, 0..gradients.size[0], plane);
                    &*plane
                };
                let to = &mut spread[k * part.len() * output.c..];
                self.spread::<T, M, N>(isa, whole, part.clone(), to, d);
            }
            let terms = images.len() * part.len();
            for j in (0..output.c).step_by(BLOCK[1]) {
                for i in (0..source.c).step_by(BLOCK[0]) {
                    let (rows, cols) = (BLOCK[0].min(source.c - i), BLOCK[1].min(output.c - j));
                    let product =
                        Product { rows, cols, terms, x_row: 1, x_term: source.c, w_term: output.c, y_row: cols };
                    for place in 0..N * N {
                        let tap = Tap { x: place * v + i, w: place * d + j };
                        let to = &mut products[place * (rows * cols + GAP)..];
                        product.run(isa, &[tap], transformed, spread, to, false);
                    }
                    let to = &mut dweight[i * output.c + j..];
                    self.fold::<T, N>(isa, products, [rows, cols], to);
                }
            }
        }
    }

    /// The images and their tiles that are taken at a time: some whole images, or a part of one.
    fn portions(&self, n: usize, most: usize) -> impl Iterator<Item = (Range<usize>, Range<usize>)> + use<> {
        let (tiles, (images, part)) = (self.tiles(), self.portion(most));
        (0..n).step_by(images).flat_map(move |first| {
            let images = first..(first + images).min(n);
            (0..tiles).step_by(part).map(move |from| (images.clone(), from..(from + part).min(tiles)))
        })
    }

    /// `B^T d B` of some tiles of a padded plane, to `[places, tiles, c]` with `matrix` scalars from a place to the next.
    fn gather<T: Number, const M: usize, const N: usize>(
        &self,
        isa: Isa,
        plane: &[T],
        tiles: Range<usize>,
        to: &mut [T],
        matrix: usize,
    ) {
        let (c, row) = (self.conv.shape.source.c, self.sources().row());
        isa.run(
            #[inline(always)]
            || {
                for (k, tile) in tiles.clone().enumerate() {
                    let at = (tile / self.grid[1] * row + tile % self.grid[1] * c) * M;
                    for_channels!(c, |c0, L| {
                        let from = Vectors { at: at + c0, step: [row, c] };
                        let to_ = Vectors { at: k * c + c0, step: [N * matrix, matrix] };
                        map::<T, L, N, N>(
                            plane,
                            from,
                            to,
                            to_,
                            #[inline(always)]
                            |d| source(d),
                        );
                    });
                }
            },
        );
    }

    /// `A dy A^T` of some tiles of a gradient in whole tiles, to `[places, tiles, out]`.
    fn spread<T: Number, const M: usize, const N: usize>(
        &self,
        isa: Isa,
        plane: &[T],
        tiles: Range<usize>,
        to: &mut [T],
        matrix: usize,
    ) {
        let (c, row) = (self.conv.shape.output.c, self.gradients().row());
        isa.run(
            #[inline(always)]
            || {
                for (k, tile) in tiles.clone().enumerate() {
                    let at = (tile / self.grid[1] * row + tile % self.grid[1] * c) * M;
                    for_channels!(c, |c0, L| {
                        let from = Vectors { at: at + c0, step: [row, c] };
                        let to_ = Vectors { at: k * c + c0, step: [N * matrix, matrix] };
                        map::<T, L, M, N>(
                            plane,
                            from,
                            to,
                            to_,
                            #[inline(always)]
                            |d| gradient(d),
                        );
                    });
                }
            },
        );
    }

    /// `A^T m A` of some tiles `[places, tiles, out]`, to the output `[oh, ow, out]`.
    fn scatter<T: Number, const M: usize, const N: usize>(
        &self,
        isa: Isa,
        products: &[T],
        matrix: usize,
        tiles: Range<usize>,
        y: &mut [T],
    ) {
        let Shape { h, w, c } = self.conv.shape.output;
        isa.run(
            #[inline(always)]
            || {
                for (k, tile) in tiles.clone().enumerate() {
                    let [top, left] = [tile / self.grid[1] * M, tile % self.grid[1] * M];
                    // The last tiles may reach beyond the output.
                    let (rows, cols) = (h - top, w - left);
                    for_channels!(c, |c0, L| {
                        let from = Vectors { at: k * c + c0, step: [N * matrix, matrix] };
                        let at = (top * w + left) * c + c0;
                        both_ways::<T, L, N, M>(
                            products,
                            from,
                            #[inline(always)]
                            |m| output(m),
                            #[inline(always)]
                            |i, j, v| {
                                if i < rows && j < cols {
                                    *lanes_mut(y, at + (i * w + j) * c) = v.0;
                                }
                            },
                        );
                    });
                }
            },
        );
    }

    /// `dweight[3, 3, rows, cols] += G^T u G`.
    fn fold<T: Number, const N: usize>(&self, isa: Isa, products: &[T], size: [usize; 2], dweight: &mut [T]) {
        let (c, out, [rows, cols]) = (self.conv.shape.source.c, self.conv.shape.output.c, size);
        let matrix = rows * cols + GAP;
        isa.run(
            #[inline(always)]
            || {
                for i in 0..rows {
                    for_channels!(cols, |c0, L| {
                        let from = Vectors { at: i * cols + c0, step: [N * matrix, matrix] };
                        both_ways::<T, L, N, 3>(
                            products,
                            from,
                            #[inline(always)]
                            |u| weight_gradient(u),
                            #[inline(always)]
                            |ky, kx, v| {
                                let d: &mut [T; L] = lanes_mut(dweight, ((ky * 3 + kx) * c + i) * out + c0);
                                for (d, v) in d.iter_mut().zip(&v.0) {
                                    *d += *v;
                                }
                            },
                        );
                    });
                }
            },
        );
    }
}

fn prepare<T: Number, const N: usize>(isa: Isa, weights: &[T], to: &mut [T]) {
    let n = weights.len() / 9;
    isa.run(
        #[inline(always)]
        || {
            for_channels!(n, |at, L| {
                let (from, to_) = (Vectors { at, step: [3 * n, n] }, Vectors { at, step: [N * n, n] });
                map::<T, L, 3, N>(
                    weights,
                    from,
                    to,
                    to_,
                    #[inline(always)]
                    |g| weight(g),
                );
            });
        },
    );
}

/// A tile of vectors in a slice: its first one, and the way to the next along both axes.
#[derive(Clone, Copy)]
struct Vectors {
    at: usize,
    step: [usize; 2],
}

/// Applies a one-dimensional map along both axes of a tile.
#[inline(always)]
fn map<T: Number, const L: usize, const A: usize, const B: usize>(
    from: &[T],
    a: Vectors,
    to: &mut [T],
    b: Vectors,
    f: impl Fn([Lanes<T, L>; A]) -> [Lanes<T, L>; B],
) {
    both_ways::<T, L, A, B>(
        from,
        a,
        f,
        #[inline(always)]
        |i, j, v| *lanes_mut(to, b.at + i * b.step[0] + j * b.step[1]) = v.0,
    );
}

/// Applies a one-dimensional map along both axes of a tile and passes on each result with its place.
#[inline(always)]
#[allow(clippy::needless_range_loop)]
fn both_ways<T: Number, const L: usize, const A: usize, const B: usize>(
    from: &[T],
    a: Vectors,
    f: impl Fn([Lanes<T, L>; A]) -> [Lanes<T, L>; B],
    mut put: impl FnMut(usize, usize, Lanes<T, L>),
) {
    let nothing = Lanes([T::ZERO; L]);
    let mut half = [[nothing; A]; B];
    for x in 0..A {
        let mut column = [nothing; A];
        for y in 0..A {
            column[y] = Lanes(*lanes(from, a.at + y * a.step[0] + x * a.step[1]));
        }
        let column = f(column);
        for i in 0..B {
            half[i][x] = column[i];
        }
    }
    for i in 0..B {
        let row = f(half[i]);
        for j in 0..B {
            put(i, j, row[j]);
        }
    }
}

/// A vector of channels.
#[derive(Clone, Copy)]
struct Lanes<T, const L: usize>([T; L]);

impl<T: Number, const L: usize> Lanes<T, L> {
    #[inline(always)]
    fn plus(mut self, other: Self) -> Self {
        for l in 0..L {
            self.0[l] += other.0[l];
        }
        self
    }

    #[inline(always)]
    fn minus(mut self, other: Self) -> Self {
        for l in 0..L {
            self.0[l] -= other.0[l];
        }
        self
    }

    #[inline(always)]
    fn times(mut self, factor: f64) -> Self {
        let factor = T::of(factor);
        for l in 0..L {
            self.0[l] *= factor;
        }
        self
    }

    /// `self + other factor`.
    #[inline(always)]
    fn plus_times(mut self, other: Self, factor: f64) -> Self {
        let factor = T::of(factor);
        for l in 0..L {
            self.0[l] = other.0[l].fma(factor, self.0[l]);
        }
        self
    }
}

/// `B^T`.
#[inline(always)]
fn source<T: Number, const L: usize, const N: usize>(d: [Lanes<T, L>; N]) -> [Lanes<T, L>; N] {
    let mut t = d;
    if N == 4 {
        t[0] = d[0].minus(d[2]);
        t[1] = d[1].plus(d[2]);
        t[2] = d[2].minus(d[1]);
        t[3] = d[1].minus(d[3]);
    } else {
        let (near, far) = (d[3].plus_times(d[1], -4.0), d[4].plus_times(d[2], -4.0));
        let (odd, even) = (d[3].minus(d[1]), d[4].minus(d[2]));
        t[0] = d[4].plus_times(d[0], 4.0).plus_times(d[2], -5.0);
        t[1] = far.plus(near);
        t[2] = far.minus(near);
        t[3] = even.plus_times(odd, 2.0);
        t[4] = even.plus_times(odd, -2.0);
        t[5] = d[5].plus_times(d[1], 4.0).plus_times(d[3], -5.0);
    }
    t
}

/// `A^T`.
#[inline(always)]
fn output<T: Number, const L: usize, const N: usize, const M: usize>(m: [Lanes<T, L>; N]) -> [Lanes<T, L>; M] {
    let mut y = [m[0]; M];
    let (sum, difference) = (m[1].plus(m[2]), m[1].minus(m[2]));
    if N == 4 {
        y[0] = m[0].plus(sum);
        y[1] = difference.minus(m[3]);
    } else {
        let (far, across) = (m[3].plus(m[4]), m[3].minus(m[4]));
        y[0] = m[0].plus(sum).plus(far);
        y[1] = difference.plus_times(across, 2.0);
        y[2] = sum.plus_times(far, 4.0);
        y[3] = difference.plus_times(across, 8.0).plus(m[5]);
    }
    y
}

/// `A`, the adjoint of [`output`].
#[inline(always)]
fn gradient<T: Number, const L: usize, const M: usize, const N: usize>(y: [Lanes<T, L>; M]) -> [Lanes<T, L>; N] {
    let mut d = [y[0]; N];
    if N == 4 {
        d[1] = y[0].plus(y[1]);
        d[2] = y[0].minus(y[1]);
        d[3] = y[1].times(-1.0);
    } else {
        let (even, odd) = (y[0].plus(y[2]), y[1].plus(y[3]));
        let (far, across) = (y[0].plus_times(y[2], 4.0), y[1].plus_times(y[3], 4.0));
        d[1] = even.plus(odd);
        d[2] = even.minus(odd);
        d[3] = far.plus_times(across, 2.0);
        d[4] = far.plus_times(across, -2.0);
        d[5] = y[3];
    }
    d
}

/// `G`.
#[inline(always)]
fn weight<T: Number, const L: usize, const N: usize>(g: [Lanes<T, L>; 3]) -> [Lanes<T, L>; N] {
    let mut u = [g[0]; N];
    let even = g[0].plus(g[2]);
    if N == 4 {
        u[1] = even.plus(g[1]).times(0.5);
        u[2] = even.minus(g[1]).times(0.5);
        u[3] = g[2];
    } else {
        let far = g[0].plus_times(g[2], 4.0);
        u[0] = g[0].times(0.25);
        u[1] = even.plus(g[1]).times(-1.0 / 6.0);
        u[2] = even.minus(g[1]).times(-1.0 / 6.0);
        u[3] = far.plus_times(g[1], 2.0).times(1.0 / 24.0);
        u[4] = far.plus_times(g[1], -2.0).times(1.0 / 24.0);
        u[5] = g[2];
    }
    u
}

/// `G^T`, the adjoint of [`weight`].
#[inline(always)]
fn weight_gradient<T: Number, const L: usize, const N: usize>(u: [Lanes<T, L>; N]) -> [Lanes<T, L>; 3] {
    let (sum, difference) = (u[1].plus(u[2]), u[1].minus(u[2]));
    if N == 4 {
        [u[0].plus_times(sum, 0.5), difference.times(0.5), u[3].plus_times(sum, 0.5)]
    } else {
        let (far, across) = (u[3].plus(u[4]), u[3].minus(u[4]));
        [
            u[0].times(0.25).plus_times(sum, -1.0 / 6.0).plus_times(far, 1.0 / 24.0),
            difference.times(-1.0 / 6.0).plus_times(across, 1.0 / 12.0),
            u[5].plus_times(sum, -1.0 / 6.0).plus_times(far, 1.0 / 6.0),
        ]
    }
}
