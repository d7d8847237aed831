//! Batch normalisation in pieces: what one image can do alone, and the short sums over the batch between them.
//!
//! Source: Ioffe and Szegedy 2015; epsilon and the unbiased running variance as in PyTorch. The moments of the images are
//! merged in order and in double precision (Chan et al. 1983), so they do not depend on the number of threads.

use super::load::Source;
use super::pointwise::stretches;
use crate::arch::op::BATCH_NORM_EPSILON;
use crate::engine::cpu::isa::Isa;
use crate::engine::cpu::vector::{Number, Vector, for_groups, vectorized};

/// One image's per-channel mean and sum of squared deviations: `moments = [mean; c] ++ [m2; c]`.
///
/// One pass: deviations from the first pixel are added up and squared, which loses nothing as long as that pixel lies within
/// a few deviations of the mean.
pub fn moments<T: Number>(isa: Isa, x: &[T], c: usize, moments: &mut [T]) {
    assert!(!x.is_empty() && x.len().is_multiple_of(c) && moments.len() == 2 * c);
    let share = T::of(c as f64 / x.len() as f64);
    vectorized!(isa, T, moments_here(x, c, share, moments));
}

#[inline(always)]
fn moments_here<V: Vector>(x: &[V::Scalar], c: usize, share: V::Scalar, moments: &mut [V::Scalar]) {
    for_groups!(V, c, moments_group(x, c, share, moments));
}

#[inline(always)]
fn moments_group<V: Vector>(c0: usize, x: &[V::Scalar], c: usize, share: V::Scalar, moments: &mut [V::Scalar]) {
    let (mut sum, mut square) = ([V::zero(); 4], [V::zero(); 4]);
    // SAFETY: `c0 + LANES <= c`, and the plane holds whole pixels of `c` channels.
    unsafe {
        let first = V::read(x, c0);
        let mut add = |k: usize, at: usize| {
            let d = V::read(x, at).sub(first);
            sum[k] = sum[k].add(d);
            square[k] = d.mul_add(d, square[k]);
        };
        let whole = x.len() / (4 * c) * (4 * c);
        for at in (c0..whole).step_by(4 * c) {
            for k in 0..4 {
                add(k, at + k * c);
            }
        }
        for at in (whole + c0..x.len()).step_by(c) {
            add(0, at);
        }
        let sum = sum[0].add(sum[1]).add(sum[2].add(sum[3]));
        let square = square[0].add(square[1]).add(square[2].add(square[3]));
        let off = sum.mul(V::splat(share));
        first.add(off).write(moments, c0);
        square.sub(off.mul(sum)).max(V::zero()).write(moments, c + c0);
    }
}

/// Merges the moments of `batch` images into the batch's mean and (biased) variance, channel by channel.
pub fn merge_moments<'a, T: Number>(
    packs: impl Iterator<Item = &'a [T]>,
    batch: usize,
    area: usize,
    mean: &mut [T],
    var: &mut [T],
) {
    let c = mean.len();
    let area = area as f64;
    let (mut m, mut m2, mut n) = (vec![0.0; c], vec![0.0; c], 0.0);
    for (pack, k) in images(packs, batch) {
        let total = n + area;
        for i in 0..c {
            let delta = pack[i].image(k) - m[i];
            m[i] += delta * area / total;
            m2[i] += pack[c + i].image(k) + delta * delta * n * area / total;
        }
        n = total;
    }
    for i in 0..c {
        mean[i] = T::of(m[i]);
        var[i] = T::of(m2[i] / n);
    }
}

/// Every image of a batch: its pack, and its place there.
fn images<'a, T: Number>(packs: impl Iterator<Item = &'a [T]>, batch: usize) -> impl Iterator<Item = (&'a [T], usize)> {
    packs.flat_map(|pack| (0..T::IMAGES).map(move |k| (pack, k))).take(batch)
}

/// The affine map that normalisation amounts to: `scale = weight / sqrt(var + eps)`, `shift = bias - mean * scale`.
pub fn fold<T: Number>(mean: &[T], var: &[T], affine: Option<(&[T], &[T])>, scale: &mut [T], shift: &mut [T]) {
    for i in 0..mean.len() {
        let inv = T::ONE / (var[i] + T::of(BATCH_NORM_EPSILON)).sqrt();
        let (weight, bias) = affine.map_or((T::ONE, T::ZERO), |(w, b)| (w[i], b[i]));
        scale[i] = weight * inv;
        shift[i] = bias - mean[i] * scale[i];
    }
}

/// `y = x * scale + shift`.
pub fn apply<T: Number>(isa: Isa, x: &[T], scale: &[T], shift: &[T], y: &mut [T]) {
    Source { values: x, affine: Some((scale, shift)) }.read(isa, false, y);
}

/// [`apply`] on the place of its input.
pub fn apply_in_place<T: Number>(isa: Isa, scale: &[T], shift: &[T], x: &mut [T]) {
    assert!(scale.len() == shift.len() && x.len().is_multiple_of(scale.len()));
    vectorized!(isa, T, apply_here(scale, shift, x));
}

#[inline(always)]
fn apply_here<V: Vector>(scale: &[V::Scalar], shift: &[V::Scalar], x: &mut [V::Scalar]) {
    for run in stretches(x.len(), scale.len()) {
        let x = &mut x[run];
        for_groups!(V, scale.len(), apply_group(scale, shift, x));
    }
}

#[inline(always)]
fn apply_group<V: Vector>(c0: usize, scale: &[V::Scalar], shift: &[V::Scalar], x: &mut [V::Scalar]) {
    // SAFETY: the plane holds whole pixels of `scale.len()` channels, and the group lies inside them.
    unsafe {
        let (a, b) = (V::read(scale, c0), V::read(shift, c0));
        for at in (c0..x.len()).step_by(scale.len()) {
            V::read(x, at).mul_add(a, b).write(x, at);
        }
    }
}

/// One image's `sums = [sum dy; c] ++ [sum dy * xhat; c]` with `xhat = x * unit + offset`.
pub fn backward_sums<T: Number>(isa: Isa, x: &[T], dy: &[T], unit: &[T], offset: &[T], sums: &mut [T]) {
    let c = unit.len();
    assert!(x.len() == dy.len() && x.len().is_multiple_of(c) && offset.len() == c && sums.len() == 2 * c);
    vectorized!(isa, T, sums_here(x, dy, (unit, offset), sums));
}

#[inline(always)]
fn sums_here<V: Vector>(
    x: &[V::Scalar],
    dy: &[V::Scalar],
    affine: (&[V::Scalar], &[V::Scalar]),
    sums: &mut [V::Scalar],
) {
    for_groups!(V, affine.0.len(), sums_group(x, dy, affine, sums));
}

#[inline(always)]
fn sums_group<V: Vector>(
    c0: usize,
    x: &[V::Scalar],
    dy: &[V::Scalar],
    (unit, offset): (&[V::Scalar], &[V::Scalar]),
    sums: &mut [V::Scalar],
) {
    let c = unit.len();
    let (mut sum, mut dot) = ([V::zero(); 4], [V::zero(); 4]);
    // SAFETY: `c0 + LANES <= c`, and both planes hold the same number of whole pixels of `c` channels.
    unsafe {
        let (a, b) = (V::read(unit, c0), V::read(offset, c0));
        let mut add = |k: usize, at: usize| {
            let g = V::read(dy, at);
            sum[k] = sum[k].add(g);
            dot[k] = V::read(x, at).mul_add(a, b).mul_add(g, dot[k]);
        };
        let whole = x.len() / (4 * c) * (4 * c);
        for at in (c0..whole).step_by(4 * c) {
            for k in 0..4 {
                add(k, at + k * c);
            }
        }
        for at in (whole + c0..x.len()).step_by(c) {
            add(0, at);
        }
        sum[0].add(sum[1]).add(sum[2].add(sum[3])).write(sums, c0);
        dot[0].add(dot[1]).add(dot[2].add(dot[3])).write(sums, c + c0);
    }
}

/// Adds up the sums of `batch` images in order and in double precision.
pub fn merge_sums<'a, T: Number>(packs: impl Iterator<Item = &'a [T]>, batch: usize, total: &mut [T]) {
    let mut acc = vec![0.0; total.len()];
    for (pack, k) in images(packs, batch) {
        for (a, v) in acc.iter_mut().zip(pack) {
            *a += v.image(k);
        }
    }
    for (t, a) in total.iter_mut().zip(acc) {
        *t = T::of(a);
    }
}

/// The backward pass of a batch-norm as one line per channel, `dx = gain * dy + slope * x + level`.
#[derive(Clone, Copy, Debug)]
pub struct Line<S> {
    /// What the output's gradient is multiplied by.
    pub gain: S,
    /// What the input is multiplied by; 0 under running statistics.
    pub slope: S,
    /// What is added; 0 under running statistics.
    pub level: S,
}

impl<T: Number> Line<&mut [T]> {
    /// Under running statistics: `dx = factor * scale * dy`.
    pub fn running(&mut self, factor: T, scale: &[T]) {
        for (g, s) in self.gain.iter_mut().zip(scale) {
            *g = factor * *s;
        }
        self.slope.fill(T::ZERO);
        self.level.fill(T::ZERO);
    }

    /// Under batch statistics: `dx = factor * scale * (dy - mean(dy) - xhat * mean(dy * xhat))`, where
    /// `xhat = x * unit + offset` and `sums = [sum dy; c] ++ [sum dy * xhat; c]` over `samples` values.
    pub fn batch(&mut self, factor: T, scale: &[T], unit: &[T], offset: &[T], sums: &[T], samples: usize) {
        let c = scale.len();
        let share = T::ONE / T::of(samples as f64);
        for i in 0..c {
            let gain = factor * scale[i];
            let (mean, corr) = (sums[i] * share, sums[c + i] * share);
            self.gain[i] = gain;
            self.slope[i] = T::ZERO - gain * corr * unit[i];
            self.level[i] = T::ZERO - gain * (mean + corr * offset[i]);
        }
    }
}

/// `dx = gain * dy + slope * x + level`, or `dx += ..`; without `x` the slope and level are taken as 0.
pub fn backward<T: Number>(isa: Isa, line: Line<&[T]>, x: Option<&[T]>, dy: &[T], dx: &mut [T], accumulate: bool) {
    let c = line.gain.len();
    assert!(dy.len() == dx.len() && dx.len().is_multiple_of(c) && x.is_none_or(|x| x.len() == dx.len()));
    assert!(line.slope.len() == c && line.level.len() == c);
    vectorized!(isa, T, backward_here(&line, x, dy, dx, accumulate));
}

#[inline(always)]
fn backward_here<V: Vector>(
    line: &Line<&[V::Scalar]>,
    x: Option<&[V::Scalar]>,
    dy: &[V::Scalar],
    dx: &mut [V::Scalar],
    accumulate: bool,
) {
    for run in stretches(dx.len(), line.gain.len()) {
        let (x, dy, dx) = (x.map(|x| &x[run.clone()]), &dy[run.clone()], &mut dx[run]);
        for_groups!(V, line.gain.len(), backward_group(line, x, dy, dx, accumulate));
    }
}

#[inline(always)]
fn backward_group<V: Vector>(
    c0: usize,
    line: &Line<&[V::Scalar]>,
    x: Option<&[V::Scalar]>,
    dy: &[V::Scalar],
    dx: &mut [V::Scalar],
    accumulate: bool,
) {
    // SAFETY: all planes are of one length, whole pixels of as many channels as the line has, and the group lies inside them.
    unsafe {
        let (gain, slope, level) = (V::read(line.gain, c0), V::read(line.slope, c0), V::read(line.level, c0));
        for at in (c0..dx.len()).step_by(line.gain.len()) {
            let g = V::read(dy, at);
            let v = match x {
                Some(x) => g.mul_add(gain, V::read(x, at).mul_add(slope, level)),
                None => g.mul(gain),
            };
            let v = if accumulate { V::read(dx, at).add(v) } else { v };
            v.write(dx, at);
        }
    }
}
