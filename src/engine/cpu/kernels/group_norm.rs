//! Normalisation within an image: of every pixel over its channels, or of groups of channels over all pixels.
//!
//! With `xhat = (x - mean) / sqrt(var + epsilon)` over `n` entries and `g = dy weight`, the gradient is
//! `dx = (g - mean(g) - xhat mean(g xhat)) / sqrt(var + epsilon)`; statistics are computed again in the backward pass.

use super::channels::{add_up, total};
use crate::engine::call::{GroupNorm, Over};
use crate::engine::cpu::isa::Isa;
use crate::engine::cpu::vector::Number;

/// Scale and shift, `[c]` each.
#[derive(Clone, Copy, Debug)]
pub struct Affine<'a, T> {
    /// Scale.
    pub weight: &'a [T],
    /// Shift.
    pub bias: &'a [T],
}

impl GroupNorm {
    /// Scalars of scratch: what a group's statistics and sums take, a number a channel each.
    pub fn scratch(&self) -> usize {
        4 * self.c
    }

    /// `y = xhat weight + bias`.
    pub fn forward<T: Number>(&self, isa: Isa, x: &[T], affine: Affine<'_, T>, y: &mut [T], scratch: &mut [T]) {
        let c = self.c;
        match self.over {
            Over::Pixel => isa.run(
                #[inline(always)]
                || {
                    for (y, x) in y.chunks_exact_mut(c).zip(x.chunks_exact(c)) {
                        let (mean, inverse) = self.of_pixel(x);
                        for (((y, x), w), b) in y.iter_mut().zip(x).zip(affine.weight).zip(affine.bias) {
                            *y = ((*x - mean) * inverse).fma(*w, *b);
                        }
                    }
                },
            ),
            Over::Groups(groups) => {
                let (mean, rest) = scratch.split_at_mut(c);
                let inverse = &mut rest[..c];
                self.of_groups(isa, groups, x, mean, inverse);
                isa.run(
                    #[inline(always)]
                    || {
                        for (y, x) in y.chunks_exact_mut(c).zip(x.chunks_exact(c)) {
                            for i in 0..c {
                                y[i] = ((x[i] - mean[i]) * inverse[i]).fma(affine.weight[i], affine.bias[i]);
                            }
                        }
                    },
                );
            }
        }
    }

    /// `dx (+)= ..`, see the file's head.
    pub fn backward<T: Number>(
        &self,
        isa: Isa,
        x: &[T],
        weight: &[T],
        dy: &[T],
        (dx, accumulate): (&mut [T], bool),
        scratch: &mut [T],
    ) {
        let c = self.c;
        match self.over {
            Over::Pixel => isa.run(
                #[inline(always)]
                || {
                    let n = T::of(c as f64);
                    for ((dx, x), dy) in dx.chunks_exact_mut(c).zip(x.chunks_exact(c)).zip(dy.chunks_exact(c)) {
                        let (mean, inverse) = self.of_pixel(x);
                        let level = total(
                            c,
                            #[inline(always)]
                            |i| dy[i] * weight[i],
                        ) / n;
                        let slope = total(
                            c,
                            #[inline(always)]
                            |i| dy[i] * weight[i] * (x[i] - mean) * inverse,
                        ) / n;
                        for i in 0..c {
                            let xhat = (x[i] - mean) * inverse;
                            let old = if accumulate { dx[i] } else { T::ZERO };
                            dx[i] = old + inverse * (dy[i] * weight[i] - level - xhat * slope);
                        }
                    }
                },
            ),
            Over::Groups(groups) => {
                let (mean, rest) = scratch.split_at_mut(c);
                let (inverse, rest) = rest.split_at_mut(c);
                let (level, slope) = rest.split_at_mut(c);
                let slope = &mut slope[..c];
                self.of_groups(isa, groups, x, mean, inverse);
                level.fill(T::ZERO);
                slope.fill(T::ZERO);
                isa.run(
                    #[inline(always)]
                    || {
                        for (x, dy) in x.chunks_exact(c).zip(dy.chunks_exact(c)) {
                            for i in 0..c {
                                let g = dy[i] * weight[i];
                                level[i] += g;
                                slope[i] += g * (x[i] - mean[i]) * inverse[i];
                            }
                        }
                    },
                );
                let entries = x.len() / groups;
                share(level, groups, entries);
                share(slope, groups, entries);
                isa.run(
                    #[inline(always)]
                    || {
                        for ((dx, x), dy) in dx.chunks_exact_mut(c).zip(x.chunks_exact(c)).zip(dy.chunks_exact(c)) {
                            for i in 0..c {
                                let xhat = (x[i] - mean[i]) * inverse[i];
                                let old = if accumulate { dx[i] } else { T::ZERO };
                                dx[i] = old + inverse[i] * (dy[i] * weight[i] - level[i] - xhat * slope[i]);
                            }
                        }
                    },
                );
            }
        }
    }

    /// `dweight += sum of dy xhat`, `dbias += sum of dy`.
    pub fn backward_affine<T: Number>(
        &self,
        isa: Isa,
        x: &[T],
        dy: &[T],
        (dweight, dbias): (&mut [T], &mut [T]),
        scratch: &mut [T],
    ) {
        let c = self.c;
        add_up(isa, dy, dbias);
        match self.over {
            Over::Pixel => isa.run(
                #[inline(always)]
                || {
                    for (x, dy) in x.chunks_exact(c).zip(dy.chunks_exact(c)) {
                        let (mean, inverse) = self.of_pixel(x);
                        for ((d, x), dy) in dweight.iter_mut().zip(x).zip(dy) {
                            *d += *dy * (*x - mean) * inverse;
                        }
                    }
                },
            ),
            Over::Groups(groups) => {
                let (mean, rest) = scratch.split_at_mut(c);
                let inverse = &mut rest[..c];
                self.of_groups(isa, groups, x, mean, inverse);
                isa.run(
                    #[inline(always)]
                    || {
                        for (x, dy) in x.chunks_exact(c).zip(dy.chunks_exact(c)) {
                            for i in 0..c {
                                dweight[i] += dy[i] * (x[i] - mean[i]) * inverse[i];
                            }
                        }
                    },
                );
            }
        }
    }

    /// A pixel's mean, and one over its deviation.
    #[inline(always)]
    fn of_pixel<T: Number>(&self, x: &[T]) -> (T, T) {
        let n = T::of(self.c as f64);
        let mean = total(
            self.c,
            #[inline(always)]
            |i| x[i],
        ) / n;
        let var = total(
            self.c,
            #[inline(always)]
            |i| (x[i] - mean) * (x[i] - mean),
        ) / n;
        (mean, T::ONE / (var + T::of(self.epsilon.into())).sqrt())
    }

    /// Every channel's group's mean, and one over its deviation.
    fn of_groups<T: Number>(&self, isa: Isa, groups: usize, x: &[T], mean: &mut [T], inverse: &mut [T]) {
        let (c, entries) = (self.c, x.len() / groups);
        mean.fill(T::ZERO);
        add_up(isa, x, mean);
        share(mean, groups, entries);
        inverse.fill(T::ZERO);
        isa.run(
            #[inline(always)]
            || {
                for x in x.chunks_exact(c) {
                    for i in 0..c {
                        inverse[i] += (x[i] - mean[i]) * (x[i] - mean[i]);
                    }
                }
            },
        );
        share(inverse, groups, entries);
        let epsilon = T::of(self.epsilon.into());
        for v in inverse {
            *v = T::ONE / (*v + epsilon).sqrt();
        }
    }
}

/// Sums of channels into the means of their groups of `entries` entries, written to every channel.
fn share<T: Number>(sums: &mut [T], groups: usize, entries: usize) {
    let n = T::of(entries as f64);
    for group in sums.chunks_exact_mut(sums.len() / groups) {
        let mean = group.iter().fold(T::ZERO, |sum, v| sum + *v) / n;
        group.fill(mean);
    }
}
