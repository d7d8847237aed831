//! ConvNorm's preconditioning (Liu et al. 2021): every channel of a full convolution's output is multiplied, in the frequency domain,
//! by the inverse amplitude of the channel's kernels, `v = (sum_i |F(weight[.., i, o])|^2)^(-1/2)`; then it is cropped
//! and every stride-th pixel is kept.
//!
//! The amplitude is even, so the map is symmetric: the backward pass is the same map with the pixels that come in and go out
//! exchanged. No gradient passes through the amplitude. A sum of squares below [`LEAST`] of its mean counts as that: the
//! published code divides by zero there.

use std::f64::consts::TAU;

use rayon::prelude::*;

use super::channels::multiply;
use super::product::{Product, Tap};
use crate::arch::op::Shape;
use crate::engine::call::Precondition;
use crate::engine::cpu::isa::Isa;
use crate::engine::cpu::vector::{Number, Real};

const HERE: [Tap; 1] = [Tap { x: 0, w: 0 }];

/// The smallest power of a frequency, as a share of the mean power.
pub const LEAST: f64 = 1e-9;

/// Pixels of an axis that are there: `first`, `first + step`, ..
#[derive(Clone, Copy)]
struct Axis {
    first: usize,
    step: usize,
    len: usize,
}

/// A plane with some rows and columns of the full one.
#[derive(Clone, Copy)]
struct Grid {
    rows: Axis,
    columns: Axis,
}

impl Precondition {
    /// Scalars of scratch: four spectra and a matrix; of a single tap a plane.
    pub fn scratch(&self) -> usize {
        let Shape { h, w, c } = self.full;
        match self.kernel {
            [1, 1] => self.full.len(),
            _ => 4 * h * (w / 2 + 1) * c + h.max(w) * h.max(w),
        }
    }

    fn whole(&self) -> Grid {
        let axis = |len| Axis { first: 0, step: 1, len };
        Grid { rows: axis(self.full.h), columns: axis(self.full.w) }
    }

    fn kept(&self) -> Grid {
        let axis = |a: usize, len| Axis { first: self.crop[a], step: self.stride[a], len };
        Grid { rows: axis(0, self.output.h), columns: axis(1, self.output.w) }
    }

    /// The inverse amplitudes of weights `[kh, kw, in, out]`.
    pub fn measure<T: Number>(&self, weight: &[T], to: &mut [T]) {
        let ([kh, kw], out) = (self.kernel, self.full.c);
        let inputs = weight.len() / (kh * kw * out);
        let at = |y: usize, x: usize| &weight[(y * kw + x) * inputs * out..][..inputs * out];
        // The power is the transform of the auto-correlation, which has few places; half of them, as it is even.
        let mut places = Vec::new();
        for dy in 0..kh as isize {
            for dx in (1 - kw as isize)..kw as isize {
                if dy > 0 || dx >= 0 {
                    let mut sum = vec![0.0; out];
                    for (y, x) in (0..kh).flat_map(|y| (0..kw).map(move |x| (y, x))) {
                        let (Some(v), Some(u)) = (y.checked_add_signed(dy), x.checked_add_signed(dx)) else { continue };
                        if v >= kh || u >= kw {
                            continue;
                        }
                        for (a, b) in at(y, x).chunks_exact(out).zip(at(v, u).chunks_exact(out)) {
                            for ((sum, a), b) in sum.iter_mut().zip(a).zip(b) {
                                *sum += a.image(0) * b.image(0);
                            }
                        }
                    }
                    places.push(([dy as f64, dx as f64], sum));
                }
            }
        }
        let (_, mean) = &places[0];
        let Shape { h, w, .. } = self.full;
        let columns = self.amplitudes.w;
        to.par_chunks_exact_mut(columns * out).enumerate().for_each(|(row, to)| {
            for (column, to) in to.chunks_exact_mut(out).enumerate() {
                let mut power = mean.clone();
                for ([dy, dx], sum) in &places[1..] {
                    let wave = 2.0 * (TAU * (dy * row as f64 / h as f64 + dx * column as f64 / w as f64)).cos();
                    for (p, s) in power.iter_mut().zip(sum) {
                        *p += wave * s;
                    }
                }
                for ((to, p), mean) in to.iter_mut().zip(power).zip(mean) {
                    let least = (mean * LEAST).max(f64::MIN_POSITIVE);
                    *to = T::of(p.max(least).powf(-0.5));
                }
            }
        });
    }

    /// `y` of the full convolution `x`, with the inverse amplitudes `v`.
    pub fn forward<T: Number>(&self, isa: Isa, x: &[T], v: &[T], y: &mut [T], scratch: &mut [T]) {
        match self.kernel {
            [1, 1] => {
                self.pick(x, y);
                let plane = &mut scratch[..y.len()];
                multiply(isa, y, v, plane);
                y.copy_from_slice(plane);
            }
            _ => self.filter(isa, (x, self.whole()), v, (y, self.kept()), false, scratch),
        }
    }

    /// `dx (+)= ..`.
    pub fn backward<T: Number>(
        &self,
        isa: Isa,
        dy: &[T],
        v: &[T],
        (dx, accumulate): (&mut [T], bool),
        scratch: &mut [T],
    ) {
        match self.kernel {
            [1, 1] => {
                if !accumulate {
                    dx.fill(T::ZERO);
                }
                let Shape { w, c, .. } = self.full;
                let grid = self.kept();
                for (dy, row) in dy.chunks_exact(self.output.w * c).zip(grid.rows.each()) {
                    for (dy, column) in dy.chunks_exact(c).zip(grid.columns.each()) {
                        for ((dx, dy), v) in dx[(row * w + column) * c..][..c].iter_mut().zip(dy).zip(v) {
                            *dx += *dy * *v;
                        }
                    }
                }
            }
            _ => self.filter(isa, (dy, self.kept()), v, (dx, self.whole()), accumulate, scratch),
        }
    }

    /// The kept pixels.
    fn pick<T: Number>(&self, x: &[T], y: &mut [T]) {
        let Shape { w, c, .. } = self.full;
        let grid = self.kept();
        for (y, row) in y.chunks_exact_mut(self.output.w * c).zip(grid.rows.each()) {
            for (y, column) in y.chunks_exact_mut(c).zip(grid.columns.each()) {
                y.copy_from_slice(&x[(row * w + column) * c..][..c]);
            }
        }
    }

    /// The symmetric map from the pixels of one grid, all others being zero, to those of another.
    ///
    /// A spectrum is held as its real part and the negative of its imaginary part.
    fn filter<T: Number>(
        &self,
        isa: Isa,
        (x, from): (&[T], Grid),
        v: &[T],
        (y, to): (&mut [T], Grid),
        accumulate: bool,
        scratch: &mut [T],
    ) {
        let Shape { h, w, c } = self.full;
        let f = w / 2 + 1;
        let (spectra, matrix) = scratch[..self.scratch()].split_at_mut(4 * h * f * c);
        let (lines, planes) = spectra.split_at_mut(2 * h * f * c);
        let (line_re, line_im) = lines.split_at_mut(h * f * c);
        let (re, im) = planes.split_at_mut(h * f * c);
        // Rows of the matrix are frequencies here, pixels in the backward pass.
        for (wave, line) in [(Wave::Cos, &mut *line_re), (Wave::Sin, &mut *line_im)] {
            let m = table(matrix, [f, from.columns.len], |k, j| wave.at(k * from.columns.place(j), w));
            for (x, line) in x.chunks_exact(from.columns.len * c).zip(line.chunks_exact_mut(f * c)) {
                Product::dense(f, from.columns.len, c).run(isa, &HERE, m, x, line, false);
            }
        }
        let rows = from.rows.len;
        let along = Product::dense(h, rows, f * c);
        let m = table(matrix, [h, rows], |k, j| Wave::Cos.at(k * from.rows.place(j), h));
        along.run(isa, &HERE, m, line_re, re, false);
        along.run(isa, &HERE, m, line_im, im, false);
        let m = table(matrix, [h, rows], |k, j| Wave::Sin.at(k * from.rows.place(j), h));
        along.run(isa, &HERE, m, line_re, im, true);
        let m = table(matrix, [h, rows], |k, j| -Wave::Sin.at(k * from.rows.place(j), h));
        along.run(isa, &HERE, m, line_im, re, true);
        for plane in [&mut *re, &mut *im] {
            for (value, v) in plane.iter_mut().zip(v) {
                *value *= *v;
            }
        }
        let rows = to.rows.len;
        let along = Product::dense(rows, h, f * c);
        let m = table(matrix, [rows, h], |j, k| Wave::Cos.at(k * to.rows.place(j), h));
        along.run(isa, &HERE, m, re, line_re, false);
        along.run(isa, &HERE, m, im, line_im, false);
        let m = table(matrix, [rows, h], |j, k| Wave::Sin.at(k * to.rows.place(j), h));
        along.run(isa, &HERE, m, im, line_re, true);
        let m = table(matrix, [rows, h], |j, k| -Wave::Sin.at(k * to.rows.place(j), h));
        along.run(isa, &HERE, m, re, line_im, true);
        for (n, (wave, line)) in [(Wave::Cos, &*line_re), (Wave::Sin, &*line_im)].into_iter().enumerate() {
            let m = table(matrix, [to.columns.len, f], |j, k| {
                // All frequencies but the first and the middle one stand for their negatives, too.
                let twice = if k == 0 || 2 * k == w { 1.0 } else { 2.0 };
                twice * wave.at(k * to.columns.place(j), w) / (h * w) as f64
            });
            for (y, line) in y.chunks_exact_mut(to.columns.len * c).zip(line.chunks_exact(f * c)) {
                Product::dense(to.columns.len, f, c).run(isa, &HERE, m, line, y, accumulate || n > 0);
            }
        }
    }
}

/// Moves the running inverse amplitudes towards a batch's; the number of batches so far stands behind them.
///
/// The share that is taken falls with the number of batches along half a cosine, as published: all of the first, a hundredth at the end.
pub fn record<T: Number, S: Real>(seen: &[T], running: &mut [S]) {
    const BATCHES: f64 = 40_000.0;
    let Some((batches, amplitudes)) = running.split_last_mut() else { return };
    let passed = batches.image(0).min(BATCHES) / BATCHES;
    let share = (0.5 * (1.0 + (std::f64::consts::PI * passed).cos())).max(0.01);
    let (take, keep) = (S::of(share), S::of(1.0 - share));
    for (r, v) in amplitudes.iter_mut().zip(seen) {
        *r = *r * keep + S::of(v.image(0)) * take;
    }
    *batches += S::ONE;
}

impl Axis {
    fn place(self, i: usize) -> usize {
        self.first + self.step * i
    }

    fn each(self) -> impl Iterator<Item = usize> {
        (0..self.len).map(move |i| self.place(i))
    }
}

#[derive(Clone, Copy)]
enum Wave {
    Cos,
    Sin,
}

impl Wave {
    /// At `k / n` of a turn.
    fn at(self, k: usize, n: usize) -> f64 {
        let angle = TAU * (k % n) as f64 / n as f64;
        match self {
            Wave::Cos => angle.cos(),
            Wave::Sin => angle.sin(),
        }
    }
}

/// A matrix by its entries.
fn table<T: Number>(to: &mut [T], [rows, columns]: [usize; 2], entry: impl Fn(usize, usize) -> f64) -> &[T] {
    let to = &mut to[..rows * columns];
    for (i, row) in to.chunks_exact_mut(columns).enumerate() {
        for (j, v) in row.iter_mut().enumerate() {
            *v = T::of(entry(i, j));
        }
    }
    to
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::Seed;

    fn noise(len: usize, seed: u64) -> Vec<f64> {
        let mut stream = Seed::root(seed).stream();
        (0..len).map(|_| f64::from(stream.normal())).collect()
    }

    fn dot(a: &[f64], b: &[f64]) -> f64 {
        a.iter().zip(b).map(|(a, b)| a * b).sum()
    }

    /// Maps of even and odd sides, at every stride, against the sum over all frequencies, and their transposes.
    #[test]
    fn is_the_sum_over_all_frequencies_and_its_own_transpose() {
        for ([h, w], stride) in [([8, 7], 2), ([7, 8], 1), ([6, 6], 3)] {
            let (full, kernel, window) = (Shape::new(h, w, 3), [3, 3], stride);
            let output = Shape::new((h - 3) / stride + 1, (w - 3) / stride + 1, 3);
            let amplitudes = Shape::new(h, w / 2 + 1, 3);
            let map = Precondition { full, output, kernel, amplitudes, crop: [1, 1], stride: [window; 2] };
            let weight = noise(9 * 2 * 3, 1);
            let mut v = vec![0.0; amplitudes.len()];
            map.measure(&weight, &mut v);
            let (x, mut y, mut scratch) = (noise(full.len(), 2), vec![0.0; output.len()], vec![0.0; map.scratch()]);
            map.forward(Isa::widest(), &x, &v, &mut y, &mut scratch);
            // Every output pixel as a double sum over frequencies and pixels; amplitudes by the definition.
            let wave = |a: usize, b: usize| TAU * (a as f64 / h as f64 + b as f64 / w as f64);
            for (at, found) in y.iter().enumerate() {
                let (row, column, o) = (1 + stride * (at / 3 / output.w), 1 + stride * (at / 3 % output.w), at % 3);
                let mut sum = 0.0;
                for (k, l) in (0..h).flat_map(|k| (0..w).map(move |l| (k, l))) {
                    let mut power = 0.0;
                    for i in 0..2 {
                        let (mut re, mut im) = (0.0, 0.0);
                        for t in 0..9 {
                            let (sin, cos) = wave(k * (t / 3), l * (t % 3)).sin_cos();
                            re += weight[(t * 2 + i) * 3 + o] * cos;
                            im += weight[(t * 2 + i) * 3 + o] * sin;
                        }
                        power += re * re + im * im;
                    }
                    for (p, v) in x.chunks_exact(3).enumerate() {
                        let (r, c) = (h + row - p / w, w + column - p % w);
                        sum += v[o] * wave(k * r, l * c).cos() / (power.sqrt() * (h * w) as f64);
                    }
                }
                assert!((found - sum).abs() < 1e-9 * (1.0 + sum.abs()), "{at}: {found} against {sum}");
            }
            let (dy, mut dx) = (noise(output.len(), 3), vec![0.0; full.len()]);
            map.backward(Isa::widest(), &dy, &v, (&mut dx, false), &mut scratch);
            let (there, back) = (dot(&y, &dy), dot(&x, &dx));
            assert!((there - back).abs() < 1e-9 * there.abs(), "{there} against {back}");
        }
    }

    #[test]
    fn the_first_batch_is_all_of_the_running_average() {
        let mut running = [5.0f64, 7.0, 0.0];
        record(&[1.0, 2.0], &mut running);
        assert_eq!(running, [1.0, 2.0, 1.0]);
        record(&[1.0, 2.0], &mut running);
        assert!((running[0] - 1.0).abs() < 1e-12 && running[2] == 2.0);
    }
}
