//! Batch normalisation in pieces: what one image can do alone, and the short sums over the batch between them.
//!
//! Source: Ioffe and Szegedy 2015; epsilon and the unbiased running variance as in PyTorch. The moments of the images are
//! merged in order and in double precision (Chan et al. 1983), so they do not depend on the number of threads.

use crate::engine::isa::Isa;
use crate::engine::real::{Real, for_channels, lanes, lanes_mut};

/// Added to the variance.
pub const EPSILON: f64 = 1e-5;
/// Share of the new batch in the running statistics.
pub const MOMENTUM: f64 = 0.1;

/// One image's per-channel mean and sum of squared deviations: `moments = [mean; c] ++ [m2; c]`.
pub fn moments<T: Real>(isa: Isa, x: &[T], c: usize, moments: &mut [T]) {
    let share = T::one() / T::from_f64((x.len() / c) as f64);
    let (mean, m2) = moments.split_at_mut(c);
    isa.run(
        #[inline(always)]
        || {
            for_channels!(c, |c0, L| {
                let mut sum = [[T::zero(); L]; 4];
                for (p, pixel) in x.chunks_exact(c).enumerate() {
                    let v: &[T; L] = lanes(pixel, c0);
                    for i in 0..L {
                        sum[p & 3][i] += v[i];
                    }
                }
                let mut m = [T::zero(); L];
                for i in 0..L {
                    m[i] = (sum[0][i] + sum[1][i] + (sum[2][i] + sum[3][i])) * share;
                }
                let mut dev = [[T::zero(); L]; 4];
                for (p, pixel) in x.chunks_exact(c).enumerate() {
                    let v: &[T; L] = lanes(pixel, c0);
                    for i in 0..L {
                        let d = v[i] - m[i];
                        dev[p & 3][i] = d.fma(d, dev[p & 3][i]);
                    }
                }
                *lanes_mut(mean, c0) = m;
                let s: &mut [T; L] = lanes_mut(m2, c0);
                for i in 0..L {
                    s[i] = dev[0][i] + dev[1][i] + (dev[2][i] + dev[3][i]);
                }
            });
        },
    );
}

/// Merges the images' moments into the batch's mean and (biased) variance, channel by channel.
pub fn merge_moments<'a, T: Real>(images: impl Iterator<Item = &'a [T]>, area: usize, mean: &mut [T], var: &mut [T]) {
    let c = mean.len();
    let area = area as f64;
    let (mut m, mut m2, mut n) = (vec![0.0; c], vec![0.0; c], 0.0);
    for image in images {
        let total = n + area;
        for i in 0..c {
            let delta = image[i].to_f64() - m[i];
            m[i] += delta * area / total;
            m2[i] += image[c + i].to_f64() + delta * delta * n * area / total;
        }
        n = total;
    }
    for i in 0..c {
        mean[i] = T::from_f64(m[i]);
        var[i] = T::from_f64(m2[i] / n);
    }
}

/// The affine map that normalisation amounts to: `scale = weight / sqrt(var + eps)`, `shift = bias - mean * scale`.
pub fn fold<T: Real>(mean: &[T], var: &[T], affine: Option<(&[T], &[T])>, scale: &mut [T], shift: &mut [T]) {
    for i in 0..mean.len() {
        let inv = T::one() / (var[i] + T::from_f64(EPSILON)).sqrt();
        let (weight, bias) = affine.map_or((T::one(), T::zero()), |(w, b)| (w[i], b[i]));
        scale[i] = weight * inv;
        shift[i] = bias - mean[i] * scale[i];
    }
}

/// `y = x * scale + shift`.
pub fn apply<T: Real>(isa: Isa, x: &[T], scale: &[T], shift: &[T], y: &mut [T]) {
    let c = scale.len();
    isa.run(
        #[inline(always)]
        || {
            for_channels!(c, |c0, L| {
                let (a, b): (&[T; L], &[T; L]) = (lanes(scale, c0), lanes(shift, c0));
                for (x, y) in x.chunks_exact(c).zip(y.chunks_exact_mut(c)) {
                    let v: &[T; L] = lanes(x, c0);
                    let d: &mut [T; L] = lanes_mut(y, c0);
                    for i in 0..L {
                        d[i] = v[i].fma(a[i], b[i]);
                    }
                }
            });
        },
    );
}

/// [`apply`] on the place of its input.
pub fn apply_in_place<T: Real>(isa: Isa, scale: &[T], shift: &[T], x: &mut [T]) {
    let c = scale.len();
    isa.run(
        #[inline(always)]
        || {
            for_channels!(c, |c0, L| {
                let (a, b): (&[T; L], &[T; L]) = (lanes(scale, c0), lanes(shift, c0));
                for pixel in x.chunks_exact_mut(c) {
                    let v: &mut [T; L] = lanes_mut(pixel, c0);
                    for i in 0..L {
                        v[i] = v[i].fma(a[i], b[i]);
                    }
                }
            });
        },
    );
}

/// One image's `sums = [sum dy; c] ++ [sum dy * xhat; c]` with `xhat = x * unit + offset`.
pub fn backward_sums<T: Real>(isa: Isa, x: &[T], dy: &[T], unit: &[T], offset: &[T], sums: &mut [T]) {
    let c = unit.len();
    let (sum, dot) = sums.split_at_mut(c);
    isa.run(
        #[inline(always)]
        || {
            for_channels!(c, |c0, L| {
                let (a, b): (&[T; L], &[T; L]) = (lanes(unit, c0), lanes(offset, c0));
                let (mut s, mut d) = ([[T::zero(); L]; 2], [[T::zero(); L]; 2]);
                for (p, (x, dy)) in x.chunks_exact(c).zip(dy.chunks_exact(c)).enumerate() {
                    let (v, g): (&[T; L], &[T; L]) = (lanes(x, c0), lanes(dy, c0));
                    for i in 0..L {
                        s[p & 1][i] += g[i];
                        d[p & 1][i] = v[i].fma(a[i], b[i]).fma(g[i], d[p & 1][i]);
                    }
                }
                let so: &mut [T; L] = lanes_mut(sum, c0);
                for i in 0..L {
                    so[i] = s[0][i] + s[1][i];
                }
                let po: &mut [T; L] = lanes_mut(dot, c0);
                for i in 0..L {
                    po[i] = d[0][i] + d[1][i];
                }
            });
        },
    );
}

/// Adds up the images' sums in order and in double precision.
pub fn merge_sums<'a, T: Real>(images: impl Iterator<Item = &'a [T]>, total: &mut [T]) {
    let mut acc = vec![0.0; total.len()];
    for image in images {
        for (a, v) in acc.iter_mut().zip(image) {
            *a += v.to_f64();
        }
    }
    for (t, a) in total.iter_mut().zip(acc) {
        *t = T::from_f64(a);
    }
}

/// The backward pass of a batch-norm as one line per channel, `dx = gain * dy + slope * x + level`.
#[derive(Debug)]
pub struct Line<S> {
    /// What the output's gradient is multiplied by.
    pub gain: S,
    /// What the input is multiplied by; 0 under running statistics.
    pub slope: S,
    /// What is added; 0 under running statistics.
    pub level: S,
}

impl<T: Real> Line<&mut [T]> {
    /// Under running statistics: `dx = factor * scale * dy`.
    pub fn running(&mut self, factor: T, scale: &[T]) {
        for (g, s) in self.gain.iter_mut().zip(scale) {
            *g = factor * *s;
        }
        self.slope.fill(T::zero());
        self.level.fill(T::zero());
    }

    /// Under batch statistics: `dx = factor * scale * (dy - mean(dy) - xhat * mean(dy * xhat))`, where
    /// `xhat = x * unit + offset` and `sums = [sum dy; c] ++ [sum dy * xhat; c]` over `samples` values.
    pub fn batch(&mut self, factor: T, scale: &[T], unit: &[T], offset: &[T], sums: &[T], samples: usize) {
        let c = scale.len();
        let share = T::one() / T::from_f64(samples as f64);
        for i in 0..c {
            let gain = factor * scale[i];
            let (mean, corr) = (sums[i] * share, sums[c + i] * share);
            self.gain[i] = gain;
            self.slope[i] = T::zero() - gain * corr * unit[i];
            self.level[i] = T::zero() - gain * (mean + corr * offset[i]);
        }
    }
}

/// `dx = gain * dy + slope * x + level`, or `dx += ..`; without `x` the slope and level are taken as 0.
pub fn backward<T: Real>(isa: Isa, line: Line<&[T]>, x: Option<&[T]>, dy: &[T], dx: &mut [T], accumulate: bool) {
    let c = line.gain.len();
    isa.run(
        #[inline(always)]
        || {
            for_channels!(c, |c0, L| {
                let a: &[T; L] = lanes(line.gain, c0);
                let (b, e): (&[T; L], &[T; L]) = (lanes(line.slope, c0), lanes(line.level, c0));
                let pixels = dy.chunks_exact(c).zip(dx.chunks_exact_mut(c));
                match x {
                    Some(x) => {
                        for ((g, d), x) in pixels.zip(x.chunks_exact(c)) {
                            let (g, x): (&[T; L], &[T; L]) = (lanes(g, c0), lanes(x, c0));
                            let d: &mut [T; L] = lanes_mut(d, c0);
                            for i in 0..L {
                                let v = g[i].fma(a[i], x[i].fma(b[i], e[i]));
                                d[i] = if accumulate { d[i] + v } else { v };
                            }
                        }
                    }
                    None => {
                        for (g, d) in pixels {
                            let (g, d): (&[T; L], &mut [T; L]) = (lanes(g, c0), lanes_mut(d, c0));
                            for i in 0..L {
                                let v = g[i] * a[i];
                                d[i] = if accumulate { d[i] + v } else { v };
                            }
                        }
                    }
                }
            });
        },
    );
}
