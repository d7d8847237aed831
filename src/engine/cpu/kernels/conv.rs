//! Dense and grouped convolution and its two gradients.
//!
//! A direct convolution is an implicit matrix product: the source is copied once into a zero-padded plane (batch-norm,
//! ReLU and crop on the way; a plain 1x1 convolution reads it where it lies), and one register tile adds up all
//! kernel places of a few output pixels without ever gathering patches. The gradient of the source is at stride 1 the
//! convolution of the output's gradient with mirrored weights, otherwise a product whose columns are scattered. The
//! gradient of the weights is, per kernel row, a product whose terms are pixels.
//!
//! Weights are prepared once per pass ([`Conv::prepare`]): panels of columns, mirrored and transposed or transformed as the
//! pass wants them. All methods take several images, so that small planes share the reading of large weights; what
//! an image's pixel becomes does not depend on the images beside it.

use std::ops::Range;

use super::convolution::Winograd;
pub use super::convolution::{Conv, Method};
use super::load::Source;
use super::panels::Panel;
use super::plane::Plane;
use super::pointwise::store_masked;
use super::product::{Product, Tap};
use crate::engine::cpu::isa::Isa;
use crate::engine::cpu::vector::Number;
pub use crate::engine::mode::Direction;

/// Scalars of padded planes kept at a time where every pixel is read by many taps: half of a common second-level cache.
const PLANES: usize = 1 << 17;

/// The same for a single tap: what was copied should still stand in the first-level cache.
const PIXELS: usize = 1 << 13;

/// Scalars of a source's gradient that wait for their ReLU mask: enough images to share the reading of large weights.
const WAITING: usize = 1 << 18;

/// Output pixels of one product of a scattered gradient.
const SCATTERED: usize = 64;

/// Where the gradient of the source goes.
#[derive(Debug)]
pub struct Target<'a, T> {
    /// The gradient `[n, h, w, c]`.
    pub dx: &'a mut [T],
    /// It is added to what is there.
    pub accumulate: bool,
    /// What the convolution read; looked at for the ReLU's derivative only.
    pub x: Source<'a, T>,
}

/// What is worked on at a time: the same output rows of a few images (all rows, or one image).
struct Block {
    image: usize,
    images: usize,
    rows: Range<usize>,
}

impl Conv {
    /// The zero-padded copy of the source.
    fn plane(&self) -> Plane {
        let (pad, crop) = (self.shape.window.pad, self.shape.load.crop);
        let size = [self.shape.source.h - crop[0] + 2 * pad[0], self.shape.source.w - crop[1] + 2 * pad[1]];
        Plane { source: self.shape.source, load: self.shape.load, before: pad, size }
    }

    /// Prepares one panel of [`Conv::panels`].
    pub fn prepare<T: Number>(&self, isa: Isa, direction: Direction, panel: &Panel, weight: &[T], to: &mut [T]) {
        if let Some(winograd) = Winograd::of(self) {
            let direct = Conv { method: Method::Direct, ..*self };
            let mut taps = vec![T::ZERO; to.len() / winograd.places() * self.shape.window.taps()];
            direct.prepare(isa, direction, panel, weight, &mut taps);
            return winograd.prepare(isa, &taps, to);
        }
        let (taps, c, out) = (self.shape.window.taps(), self.shape.source.c / self.shape.groups, self.shape.output.c);
        let (og, width) = (out / self.shape.groups, panel.width);
        match direction {
            Direction::Forward => {
                let from = weight[panel.group * og + panel.col..].chunks(out);
                for (to, from) in to.chunks_exact_mut(width).zip(from) {
                    to.copy_from_slice(&from[..width]);
                }
            }
            Direction::Backward if self.mirrored().is_some() => {
                for (tap, to) in to.chunks_exact_mut(og * width).enumerate() {
                    let from = &weight[((taps - 1 - tap) * c + panel.col) * out + panel.group * og..];
                    transpose(from, out, width, to);
                }
            }
            Direction::Backward => {
                to.fill(T::ZERO);
                let there = width.min((taps * c).saturating_sub(panel.col));
                if there == width {
                    transpose(&weight[panel.col * out + panel.group * og..], out, width, to);
                } else {
                    for col in 0..there {
                        let from = &weight[(panel.col + col) * out + panel.group * og..][..og];
                        for (to, v) in to.chunks_exact_mut(width).zip(from) {
                            to[col] = *v;
                        }
                    }
                }
            }
        }
    }

    /// Scalars of scratch memory that every pass needs.
    pub fn scratch(&self) -> usize {
        let forward = self.correlate_scratch();
        let backward = match self.mirrored() {
            Some(back) => back.correlate_scratch() + self.waiting().max(back.shape.output.len()),
            None => SCATTERED * self.scattered_cols() + self.shape.source.len(),
        };
        let weight = Winograd::of(self).map_or(forward, |w| w.weight_scratch());
        forward.max(backward).max(weight)
    }

    fn correlate_scratch(&self) -> usize {
        Winograd::of(self).map_or_else(|| self.block_limit().max(self.band(&(0..1))), |w| w.scratch())
    }

    fn waiting(&self) -> usize {
        if self.shape.window.taps() == 1 { PIXELS } else { WAITING }
    }

    fn block_limit(&self) -> usize {
        if self.shape.window.taps() == 1 { PIXELS } else { PLANES }
    }

    /// Scalars of the padded rows under some output rows.
    fn band(&self, rows: &Range<usize>) -> usize {
        let w = &self.shape.window;
        ((rows.len() - 1) * w.stride[0] + w.dilation[0] * (w.kernel[0] - 1) + 1) * self.plane().row()
    }

    fn blocks(&self, n: usize) -> impl Iterator<Item = Block> + use<> {
        let (oh, limit) = (self.shape.output.h, self.block_limit());
        let images = limit / self.band(&(0..oh));
        let rows =
            if images > 0 { oh } else { (1..oh).take_while(|r| self.band(&(0..*r)) <= limit).last().unwrap_or(1) };
        let images = images.max(1);
        (0..n).step_by(images).flat_map(move |image| {
            let images = images.min(n - image);
            (0..oh).step_by(rows).map(move |r| Block { image, images, rows: r..(r + rows).min(oh) })
        })
    }

    /// The padded planes of a block side by side, and the scalars of each.
    fn load<'p, T: Number>(&self, isa: Isa, x: Source<'p, T>, block: &Block, scratch: &'p mut [T]) -> (&'p [T], usize) {
        let (plane, top) = (self.plane(), block.rows.start * self.shape.window.stride[0]);
        let image = |k: usize| &x.values[(block.image + k) * self.shape.source.len()..][..self.shape.source.len()];
        if plane.is_source(x) {
            let end = (block.image + block.images) * self.shape.source.len();
            return (
                &x.values[block.image * self.shape.source.len() + top * plane.row()..end],
                self.shape.source.len(),
            );
        }
        let band = self.band(&block.rows);
        let copies = &mut scratch[..block.images * band];
        for (k, copy) in copies.chunks_exact_mut(band).enumerate() {
            plane.fill(isa, Source { values: image(k), ..x }, top..top + band / plane.row(), copy);
        }
        (copies, band)
    }

    /// Whether the pixels that a block reads lie at equal distances.
    fn is_even(&self, block: &Block, image: usize) -> bool {
        let dense = self.shape.window.taps() == 1 && self.shape.window.stride == [1, 1];
        dense && (block.images == 1 || image == block.rows.len() * self.plane().row())
    }

    /// Taps of a product; those of a kernel row are joined where their terms lie side by side.
    fn taps(&self) -> (Vec<[usize; 2]>, usize) {
        let (c, w, row) = (self.shape.source.c / self.shape.groups, &self.shape.window, self.plane().row());
        let joined = self.shape.groups == 1 && w.dilation[1] == 1;
        let (places, terms) = if joined { (1, w.kernel[1] * c) } else { (w.kernel[1], c) };
        let taps = (0..w.kernel[0]).flat_map(|ky| {
            (0..places).map(move |kx| {
                [ky * w.dilation[0] * row + kx * w.dilation[1] * self.shape.source.c, (ky * w.kernel[1] + kx) * c]
            })
        });
        (taps.collect(), terms)
    }

    /// `y = conv(load(x), weights)`; `weights` are [`Panels`].
    fn correlate<T: Number>(&self, isa: Isa, x: Source<'_, T>, weights: &[T], y: &mut [T], scratch: &mut [T]) {
        let panels = self.panels(Direction::Forward);
        if let Some(winograd) = Winograd::of(self) {
            return winograd.correlate(isa, x, weights, y, scratch);
        }
        let (out, ow, c) = (self.shape.output.c, self.shape.output.w, self.shape.source.c);
        let (places, terms) = self.taps();
        let step = [self.shape.window.stride[0] * self.plane().row(), self.shape.window.stride[1] * c];
        let mut starts = Vec::new();
        for block in self.blocks(x.values.len() / self.shape.source.len()) {
            let (planes, image) = self.load(isa, x, &block, scratch);
            let pixels = block.images * block.rows.len() * ow;
            let y = &mut y[(block.image * self.shape.output.h + block.rows.start) * ow * out..][..pixels * out];
            let even = self.is_even(&block, image);
            if !even {
                starts.clear();
                for k in 0..block.images {
                    for r in 0..block.rows.len() {
                        starts.extend((0..ow).map(|ox| k * image + r * step[0] + ox * step[1]));
                    }
                }
            }
            for panel in panels.each() {
                let (width, group) = (panel.width, panel.group);
                let taps: Vec<Tap> =
                    places.iter().map(|[x, w]| Tap { x: x + group * panels.terms, w: w * width }).collect();
                let product =
                    Product { rows: pixels, cols: width, terms, x_row: c, x_term: 1, w_term: width, y_row: out };
                let y = &mut y[group * panels.cols + panel.col..];
                let weights = &weights[panel.range];
                if even {
                    product.run(isa, &taps, planes, weights, y, false);
                } else {
                    product.run_at(isa, &starts, &taps, planes, weights, y);
                }
            }
        }
    }

    /// `y = conv(load(x), weight) + bias` of the images `[n, h, w, c]` that `x` holds, with weights that were prepared for
    /// [`Direction::Forward`].
    pub fn forward<T: Number>(
        &self,
        isa: Isa,
        x: Source<'_, T>,
        weights: &[T],
        bias: Option<&[T]>,
        y: &mut [T],
        scratch: &mut [T],
    ) {
        self.correlate(isa, x, weights, y, scratch);
        if let Some(bias) = bias {
            for pixel in y.chunks_exact_mut(bias.len()) {
                for (v, b) in pixel.iter_mut().zip(bias) {
                    *v += *b;
                }
            }
        }
    }

    /// `dweight += sum over images and pixels of load(x)^T dy`, `dbias += sum dy`.
    pub fn backward_weight<T: Number>(
        &self,
        isa: Isa,
        x: Source<'_, T>,
        dy: &[T],
        dweight: &mut [T],
        dbias: Option<&mut [T]>,
        scratch: &mut [T],
    ) {
        match Winograd::of(self) {
            Some(winograd) => winograd.backward_weight(isa, x, dy, dweight, scratch),
            None => self.correlate_weight(isa, x, dy, dweight, scratch),
        }
        if let Some(dbias) = dbias {
            for pixel in dy.chunks_exact(dbias.len()) {
                for (d, v) in dbias.iter_mut().zip(pixel) {
                    *d += *v;
                }
            }
        }
    }

    fn correlate_weight<T: Number>(&self, isa: Isa, x: Source<'_, T>, dy: &[T], dweight: &mut [T], scratch: &mut [T]) {
        let (out, ow, c) = (self.shape.output.c, self.shape.output.w, self.shape.source.c);
        let (cg, og) = (c / self.shape.groups, out / self.shape.groups);
        let (places, rows) = self.taps();
        let step = [self.shape.window.stride[0] * self.plane().row(), self.shape.window.stride[1] * c];
        // A product's pixels should stay in the first-level cache, but be many against the weights it adds to.
        let pixels = if dweight.len() < 1 << 16 { 64 } else { 256 };
        for block in self.blocks(x.values.len() / self.shape.source.len()) {
            let (planes, image) = self.load(isa, x, &block, scratch);
            let dy = &dy[(block.image * self.shape.output.h + block.rows.start) * ow * out..];
            // Lines of pixels at equal distances.
            let lines: Vec<Tap> = if self.is_even(&block, image) {
                let all = block.images * block.rows.len() * ow;
                (0..all).step_by(pixels).map(|p| Tap { x: p * c, w: p * out }).collect()
            } else {
                let line =
                    |k: usize, r: usize| Tap { x: k * image + r * step[0], w: (k * block.rows.len() + r) * ow * out };
                (0..block.images).flat_map(|k| (0..block.rows.len()).map(move |r| line(k, r))).collect()
            };
            let even = self.is_even(&block, image);
            let together = if even { 1 } else { (pixels / ow).max(1) };
            let count = block.images * block.rows.len() * ow;
            for some in lines.chunks(together) {
                let terms = if even { pixels.min(count - some[0].w / out) } else { ow };
                for group in 0..self.shape.groups {
                    for [x, w] in &places {
                        let taps: Vec<Tap> =
                            some.iter().map(|t| Tap { x: t.x + x + group * cg, w: t.w + group * og }).collect();
                        let product =
                            Product { rows, cols: og, terms, x_row: 1, x_term: step[1], w_term: out, y_row: out };
                        product.run(isa, &taps, planes, dy, &mut dweight[w * out + group * og..], true);
                    }
                }
            }
        }
    }

    /// `dx = load'(x) * (dy conv^T weight)` of the images that `dy` holds, with weights that were prepared for
    /// [`Direction::Backward`].
    pub fn backward_input<T: Number>(
        &self,
        isa: Isa,
        weights: &[T],
        dy: &[T],
        target: Target<'_, T>,
        scratch: &mut [T],
    ) {
        let (len, masked) = (self.shape.source.len(), self.shape.load.relu);
        let Target { dx, accumulate, x } = target;
        let Some(back) = self.mirrored() else {
            let (plane, cols) = scratch.split_at_mut(len);
            for (k, (dy, dx)) in dy.chunks_exact(self.shape.output.len()).zip(dx.chunks_exact_mut(len)).enumerate() {
                self.scatter(isa, weights, dy, plane, cols);
                let x = masked.then(|| Source { values: &x.values[k * len..][..len], ..x });
                store_masked(isa, plane, x, dx, accumulate);
            }
            return;
        };
        let (crop, inner) = (self.shape.load.crop, back.shape.output);
        if !masked && !accumulate && crop == [0, 0] {
            return back.correlate(isa, Source::plain(dy), weights, dx, scratch);
        }
        if inner.is_empty() {
            // A crop that leaves no pixel: nothing of the source is in the answer.
            if !accumulate {
                dx.fill(T::ZERO);
            }
            return;
        }
        let images = (self.waiting() / inner.len()).max(1);
        let (waiting, scratch) = scratch.split_at_mut(images * inner.len());
        let each = dy.chunks(images * self.shape.output.len()).zip(dx.chunks_mut(images * len));
        for (k, (dy, dx)) in each.enumerate() {
            let waiting = &mut waiting[..dx.len() / len * inner.len()];
            back.correlate(isa, Source::plain(dy), weights, waiting, scratch);
            let at = k * images * len;
            if crop == [0, 0] {
                let x = masked.then(|| Source { values: &x.values[at..][..dx.len()], ..x });
                store_masked(isa, waiting, x, dx, accumulate);
                continue;
            }
            if !accumulate {
                dx.fill(T::ZERO);
            }
            let (row, skip) = (inner.w * inner.c, crop[1] * inner.c);
            for (r, from) in waiting.chunks_exact(row).enumerate() {
                let to =
                    (r / inner.h * self.shape.source.h + crop[0] + r % inner.h) * self.shape.source.w * inner.c + skip;
                let x = masked.then(|| Source { values: &x.values[at + to..][..row], ..x });
                store_masked(isa, from, x, &mut dx[to..to + row], true);
            }
        }
    }

    /// The gradient `[h, w, c]` of one image's source: every pixel's product, each column added where it came from.
    fn scatter<T: Number>(&self, isa: Isa, weights: &[T], dy: &[T], plane: &mut [T], scratch: &mut [T]) {
        let panels = self.panels(Direction::Backward);
        let (out, c, k) = (self.shape.output.c, self.shape.source.c, self.shape.window.kernel);
        let cg = c / self.shape.groups;
        plane.fill(T::ZERO);
        let pixels = self.shape.output.area();
        for first in (0..pixels).step_by(SCATTERED) {
            let rows = SCATTERED.min(pixels - first);
            for group in 0..self.shape.groups {
                let cols = &mut scratch[..rows * panels.cols];
                for panel in panels.each().filter(|p| p.group == group) {
                    let (width, terms) = (panel.width, panels.terms);
                    let product =
                        Product { rows, cols: width, terms, x_row: out, x_term: 1, w_term: width, y_row: panels.cols };
                    let tap = Tap { x: first * out + group * terms, w: 0 };
                    product.run(isa, &[tap], dy, &weights[panel.range], &mut cols[panel.col..], false);
                }
                isa.run(
                    #[inline(always)]
                    || {
                        for (p, cols) in cols.chunks_exact(panels.cols).enumerate() {
                            let (oy, ox) = ((first + p) / self.shape.output.w, (first + p) % self.shape.output.w);
                            for ky in 0..k[0] {
                                let Some(y) = self.under(0, oy, ky) else { continue };
                                for kx in 0..k[1] {
                                    let Some(x) = self.under(1, ox, kx) else { continue };
                                    let from = &cols[(ky * k[1] + kx) * cg..][..cg];
                                    let to = &mut plane[(y * self.shape.source.w + x) * c + group * cg..][..cg];
                                    for (d, s) in to.iter_mut().zip(from) {
                                        *d += *s;
                                    }
                                }
                            }
                        }
                    },
                );
            }
        }
    }

    /// The source row (or column) under a kernel place, if it exists.
    #[inline(always)]
    fn under(&self, axis: usize, out: usize, k: usize) -> Option<usize> {
        let w = &self.shape.window;
        let crop = self.shape.load.crop[axis];
        let side = if axis == 0 { self.shape.source.h } else { self.shape.source.w };
        let at = (out * w.stride[axis] + k * w.dilation[axis] + crop).checked_sub(w.pad[axis])?;
        (at >= crop && at < side).then_some(at)
    }
}

/// `to[r, i] = from[i, r]`, rows of `from` `stride` apart and rows of `to` `width` long; a cache line of every row at a time.
fn transpose<T: Number>(from: &[T], stride: usize, width: usize, to: &mut [T]) {
    const RUN: usize = 16;
    for (block, to) in to.chunks_mut(RUN * width).enumerate() {
        let count = to.len() / width;
        for i in 0..width {
            let from = &from[i * stride + block * RUN..][..count];
            for (r, v) in from.iter().enumerate() {
                to[r * width + i] = *v;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arch::op::{Shape, Window};
    use crate::engine::call::{Convolution, Load};
    use crate::engine::cpu::vector::Real;
    use crate::seed::Seed;

    fn numbers<T: Real>(n: usize, seed: u64) -> Vec<T> {
        let mut stream = Seed::root(seed).stream();
        (0..n).map(|_| T::of(f64::from(stream.normal()))).collect()
    }

    /// Shapes that reach every path: joined and single taps, scattered gradients, groups, crops, ragged tiles.
    fn convs() -> Vec<Conv> {
        let conv = |side: [usize; 2], c: [usize; 2], groups: usize, window: Window, load: Load| {
            let [oh, ow] = [0, 1].map(|a| {
                let reach = window.dilation[a] * (window.kernel[a] - 1) + 1;
                (side[a] - load.crop[a] + 2 * window.pad[a] - reach) / window.stride[a] + 1
            });
            let source = Shape::new(side[0], side[1], c[0]);
            Conv::direct(Convolution { source, output: Shape::new(oh, ow, c[1]), window, groups, load })
        };
        let relu = Load { relu: true, crop: [0, 0] };
        let crop = Load { relu: true, crop: [1, 1] };
        let wide = Window { kernel: [1, 7], stride: [1, 1], pad: [0, 3], dilation: [1, 1] };
        let mut list = vec![
            conv([5, 4], [3, 7], 1, Window::same(3, 1, 1), Load::default()),
            conv([6, 6], [16, 20], 1, Window::same(3, 2, 1), relu),
            conv([4, 4], [8, 35], 1, Window::square(1, 1, 0), relu),
            conv([5, 5], [8, 9], 1, Window::square(1, 2, 0), crop),
            conv([5, 5], [18, 6], 2, Window::same(3, 1, 2), relu),
            conv([4, 5], [8, 8], 1, wide, crop),
            conv([1, 1], [9, 10], 1, Window::square(1, 1, 0), Load::default()),
        ];
        for load in [Load::default(), crop] {
            let winograd = conv([7, 6], [9, 17], 1, Window::same(3, 1, 1), load);
            list.extend(
                [Method::Direct, Method::Winograd2, Method::Winograd4].map(|method| Conv { method, ..winograd }),
            );
        }
        list
    }

    struct Found<T> {
        y: Vec<T>,
        dx: Vec<T>,
        dweight: Vec<T>,
    }

    fn run<T: Real>(conv: &Conv, isa: Isa, x: Source<'_, T>, dy: &[T], weight: &[T]) -> Found<T> {
        let prepared = [Direction::Forward, Direction::Backward].map(|direction| {
            let panels = conv.panels(direction);
            let mut to = vec![T::of(f64::NAN); panels.scalars()];
            panels.each().for_each(|p| conv.prepare(isa, direction, &p, weight, &mut to[p.range.clone()]));
            to
        });
        let mut scratch = vec![T::of(f64::NAN); conv.scratch()];
        let (mut y, mut dweight) = (vec![T::of(f64::NAN); dy.len()], vec![T::ZERO; weight.len()]);
        // Half of the gradient is there already.
        let mut dx = vec![T::ONE; x.values.len()];
        conv.forward(isa, x, &prepared[0], None, &mut y, &mut scratch);
        conv.backward_weight(isa, x, dy, &mut dweight, None, &mut scratch);
        conv.backward_input(isa, &prepared[1], dy, Target { dx: &mut dx, accumulate: true, x }, &mut scratch);
        Found { y, dx, dweight }
    }

    /// By the definition, one image.
    fn plainly(conv: &Conv, x: Source<'_, f64>, dy: &[f64], weight: &[f64]) -> Found<f64> {
        let Convolution { source, output, window, groups, .. } = conv.shape;
        let (cg, og) = (source.c / groups, output.c / groups);
        let mut f = Found { y: vec![0.0; dy.len()], dx: vec![1.0; source.len()], dweight: vec![0.0; weight.len()] };
        for (at, gradient) in dy.iter().enumerate() {
            let (o, ox, oy) = (at % output.c, at / output.c % output.w, at / output.c / output.w);
            for w in 0..window.taps() * cg {
                let (i, kx, ky) = (w % cg, w / cg % window.kernel[1], w / cg / window.kernel[1]);
                let (Some(y), Some(x_)) = (conv.under(0, oy, ky), conv.under(1, ox, kx)) else { continue };
                let c = o / og * cg + i;
                let from = (y * source.w + x_) * source.c + c;
                let value = x.affine.map_or(x.values[from], |(a, b)| x.values[from] * a[c] + b[c]);
                let passes = !conv.shape.load.relu || value > 0.0;
                let place = w * output.c + o;
                f.y[at] += if passes { value * weight[place] } else { 0.0 };
                f.dweight[place] += if passes { value * gradient } else { 0.0 };
                f.dx[from] += if passes { weight[place] * gradient } else { 0.0 };
            }
        }
        f
    }

    /// The largest difference against the largest number.
    fn error<T: Real>(a: &[T], b: &[T]) -> f64 {
        assert_eq!(a.len(), b.len());
        let largest = b.iter().fold(0.0f64, |m, v| m.max(v.to_f64().abs()));
        // Not `max`, which would pass over what is no number.
        let worst = a.iter().zip(b).map(|(a, b)| (a.to_f64() - b.to_f64()).abs());
        worst.fold(0.0, |m: f64, e| if e <= m { m } else { e }) / largest
    }

    #[test]
    fn every_path_follows_the_definition_on_every_instruction_set() {
        for conv in convs() {
            let n = 3;
            let (x, dy) =
                (numbers::<f64>(n * conv.shape.source.len(), 1), numbers::<f64>(n * conv.shape.output.len(), 2));
            let weight = numbers::<f64>(
                conv.shape.window.taps() * conv.shape.source.c / conv.shape.groups * conv.shape.output.c,
                3,
            );
            let (scale, shift) = (numbers::<f64>(conv.shape.source.c, 4), numbers::<f64>(conv.shape.source.c, 5));
            for affine in [None, Some((&scale[..], &shift[..]))] {
                let each: Vec<Found<f64>> = x
                    .chunks_exact(conv.shape.source.len())
                    .zip(dy.chunks_exact(conv.shape.output.len()))
                    .map(|(values, dy)| plainly(&conv, Source { values, affine }, dy, &weight))
                    .collect();
                let y: Vec<f64> = each.iter().flat_map(|f| f.y.clone()).collect();
                let dx: Vec<f64> = each.iter().flat_map(|f| f.dx.clone()).collect();
                let dweight: Vec<f64> = (0..weight.len()).map(|i| each.iter().map(|f| f.dweight[i]).sum()).collect();
                for isa in Isa::available() {
                    let found = run(&conv, isa, Source { values: &x, affine }, &dy, &weight);
                    for (what, a, b) in
                        [("y", &found.y, &y), ("dx", &found.dx, &dx), ("dweight", &found.dweight, &dweight)]
                    {
                        assert!(error(a, b) < 1e-13, "{isa} {what} {:.1e} {conv:?}", error(a, b));
                    }
                }
            }
        }
    }

    #[test]
    fn an_image_does_not_know_those_beside_it() {
        for conv in convs() {
            let (x, dy) =
                (numbers::<f32>(5 * conv.shape.source.len(), 1), numbers::<f32>(5 * conv.shape.output.len(), 2));
            let weight = numbers::<f32>(
                conv.shape.window.taps() * conv.shape.source.c / conv.shape.groups * conv.shape.output.c,
                3,
            );
            let together = run(&conv, Isa::widest(), Source::plain(&x), &dy, &weight);
            let images = x.chunks_exact(conv.shape.source.len()).zip(dy.chunks_exact(conv.shape.output.len()));
            for (k, (x, dy)) in images.enumerate() {
                let alone = run(&conv, Isa::widest(), Source::plain(x), dy, &weight);
                assert!(alone.y == together.y[k * dy.len()..][..dy.len()], "{conv:?}");
                assert!(alone.dx == together.dx[k * x.len()..][..x.len()], "{conv:?}");
            }
        }
    }

    /// In `f32` the larger tile's sums of far apart numbers cost a digit; measured 1e-6 and 1e-5 at these channels.
    #[test]
    fn winograd_tiles_cost_little_precision() {
        let shape = Shape::new(8, 8, 64);
        let (window, load) = (Window::same(3, 1, 1), Load::default());
        let direct = Conv::direct(Convolution { source: shape, output: shape, window, groups: 1, load });
        let (x, dy) = (numbers::<f32>(2 * shape.len(), 1), numbers::<f32>(2 * shape.len(), 2));
        let weight = numbers::<f32>(9 * 64 * 64, 3);
        let of = |conv: &Conv| run(conv, Isa::widest(), Source::plain(&x), &dy, &weight);
        let exact = of(&direct);
        for (method, most) in [(Method::Winograd2, 4e-6), (Method::Winograd4, 4e-5)] {
            let found = of(&Conv { method, ..direct });
            for (a, b) in [(&found.y, &exact.y), (&found.dx, &exact.dx), (&found.dweight, &exact.dweight)] {
                assert!(error(a, b) < most, "{method:?} {:.1e}", error(a, b));
            }
        }
    }

    #[test]
    fn the_fastest_method_is_a_matter_of_shape() {
        let of = |side: usize, c: usize, stride: usize| {
            let source = Shape::new(side, side, c);
            let output = Shape::new(side.div_ceil(stride), side.div_ceil(stride), c);
            let (window, load) = (Window::same(3, stride, 1), Load::default());
            Conv::direct(Convolution { source, output, window, groups: 1, load }).fastest().method
        };
        assert_eq!(
            [of(32, 64, 1), of(8, 256, 1), of(4, 512, 1), of(2, 64, 1)],
            [Method::Winograd4, Method::Winograd4, Method::Winograd2, Method::Direct]
        );
        assert_eq!([of(32, 8, 1), of(32, 64, 2), of(1, 64, 1)], [Method::Direct; 3]);
    }
}
