//! Kernels that touch every scalar once: activations, sums, concatenation, cropping, normalisation of pixels.

use super::load::Source;
use crate::arch::op::Shape;
use crate::engine::isa::Isa;
use crate::engine::real::{Real, for_channels, lanes, lanes_mut};

/// `dst = src`, or `dst += src`; where `x` is given, only at places where what is read of it is positive (the ReLU's
/// derivative).
pub fn store_masked<T: Real>(isa: Isa, src: &[T], x: Option<Source<'_, T>>, dst: &mut [T], accumulate: bool) {
    let zero = T::zero();
    isa.run(
        #[inline(always)]
        || match (x, accumulate) {
            (None, false) => dst.copy_from_slice(src),
            (None, true) => {
                for (d, s) in dst.iter_mut().zip(src) {
                    *d += *s;
                }
            }
            (Some(Source { values, affine: None }), false) => {
                for ((d, s), x) in dst.iter_mut().zip(src).zip(values) {
                    *d = if *x > zero { *s } else { zero };
                }
            }
            (Some(Source { values, affine: None }), true) => {
                for ((d, s), x) in dst.iter_mut().zip(src).zip(values) {
                    *d += if *x > zero { *s } else { zero };
                }
            }
            (Some(Source { values, affine: Some((scale, shift)) }), _) => {
                let c = scale.len();
                for_channels!(c, |c0, L| {
                    let (a, b): (&[T; L], &[T; L]) = (lanes(scale, c0), lanes(shift, c0));
                    let pixels = dst.chunks_exact_mut(c).zip(src.chunks_exact(c)).zip(values.chunks_exact(c));
                    for ((d, s), x) in pixels {
                        let (s, x): (&[T; L], &[T; L]) = (lanes(s, c0), lanes(x, c0));
                        let d: &mut [T; L] = lanes_mut(d, c0);
                        for i in 0..L {
                            let passed = if x[i].fma(a[i], b[i]) > zero { s[i] } else { zero };
                            d[i] = if accumulate { d[i] + passed } else { passed };
                        }
                    }
                });
            }
        },
    );
}

/// `dst = w * x`, or `dst += w * x`.
pub fn axpy<T: Real>(isa: Isa, w: T, x: Source<'_, T>, dst: &mut [T], accumulate: bool) {
    isa.run(
        #[inline(always)]
        || match (x.affine, accumulate) {
            (None, true) => {
                for (d, s) in dst.iter_mut().zip(x.values) {
                    *d = s.fma(w, *d);
                }
            }
            (None, false) => {
                for (d, s) in dst.iter_mut().zip(x.values) {
                    *d = *s * w;
                }
            }
            (Some((scale, shift)), _) => {
                let c = scale.len();
                for_channels!(c, |c0, L| {
                    let (mut a, mut b): ([T; L], [T; L]) = (*lanes(scale, c0), *lanes(shift, c0));
                    for i in 0..L {
                        a[i] *= w;
                        b[i] *= w;
                    }
                    for (d, s) in dst.chunks_exact_mut(c).zip(x.values.chunks_exact(c)) {
                        let (d, s): (&mut [T; L], &[T; L]) = (lanes_mut(d, c0), lanes(s, c0));
                        for i in 0..L {
                            let base = if accumulate { d[i] + b[i] } else { b[i] };
                            d[i] = s[i].fma(a[i], base);
                        }
                    }
                });
            }
        },
    );
}

/// `sum x dy`.
pub fn dot<T: Real>(isa: Isa, x: Source<'_, T>, dy: &[T]) -> T {
    isa.run(
        #[inline(always)]
        || match x.affine {
            None => {
                let mut acc = [T::zero(); 64];
                let (a, b) = (x.values.chunks_exact(64), dy.chunks_exact(64));
                let tail = a.remainder().iter().zip(b.remainder()).fold(T::zero(), |t, (x, y)| x.fma(*y, t));
                for (x, y) in a.zip(b) {
                    for i in 0..64 {
                        acc[i] = x[i].fma(y[i], acc[i]);
                    }
                }
                acc.iter().fold(tail, |t, v| t + *v)
            }
            Some((scale, shift)) => {
                let c = scale.len();
                let mut total = T::zero();
                for_channels!(c, |c0, L| {
                    let (a, b): (&[T; L], &[T; L]) = (lanes(scale, c0), lanes(shift, c0));
                    let mut acc = [[T::zero(); L]; 4];
                    for (p, (x, g)) in x.values.chunks_exact(c).zip(dy.chunks_exact(c)).enumerate() {
                        let (x, g): (&[T; L], &[T; L]) = (lanes(x, c0), lanes(g, c0));
                        for i in 0..L {
                            acc[p & 3][i] = x[i].fma(a[i], b[i]).fma(g[i], acc[p & 3][i]);
                        }
                    }
                    for i in 0..L {
                        total += acc[0][i] + acc[1][i] + (acc[2][i] + acc[3][i]);
                    }
                });
                total
            }
        },
    )
}

/// `dst = max(x, 0)`.
pub fn relu<T: Real>(isa: Isa, x: Source<'_, T>, dst: &mut [T]) {
    let zero = T::zero();
    isa.run(
        #[inline(always)]
        || match x.affine {
            None => {
                for (d, s) in dst.iter_mut().zip(x.values) {
                    *d = s.larger(zero);
                }
            }
            Some((scale, shift)) => {
                for (d, s) in dst.chunks_exact_mut(scale.len()).zip(x.values.chunks_exact(scale.len())) {
                    for (((d, s), a), b) in d.iter_mut().zip(s).zip(scale).zip(shift) {
                        *d = s.fma(*a, *b).larger(zero);
                    }
                }
            }
        },
    );
}

/// Copies `c` channels per pixel into a wider plane at channel `at`.
pub fn concat_forward<T: Real>(src: &[T], c: usize, dst: &mut [T], width: usize, at: usize) {
    for (d, s) in dst.chunks_exact_mut(width).zip(src.chunks_exact(c)) {
        d[at..at + c].copy_from_slice(s);
    }
}

/// Takes `c` channels per pixel out of a wider gradient.
pub fn concat_backward<T: Real>(dy: &[T], width: usize, at: usize, dx: &mut [T], c: usize, accumulate: bool) {
    for (g, d) in dy.chunks_exact(width).zip(dx.chunks_exact_mut(c)) {
        store_run(&g[at..at + c], d, accumulate);
    }
}

fn store_run<T: Real>(src: &[T], dst: &mut [T], accumulate: bool) {
    if accumulate {
        for (d, s) in dst.iter_mut().zip(src) {
            *d += *s;
        }
    } else {
        dst.copy_from_slice(src);
    }
}

/// `dst = src[top.., left..]`.
pub fn crop_forward<T: Real>(src: &[T], from: Shape, top: usize, left: usize, dst: &mut [T]) {
    let run = (from.w - left) * from.c;
    for (y, row) in dst.chunks_exact_mut(run).enumerate() {
        row.copy_from_slice(&src[((y + top) * from.w + left) * from.c..][..run]);
    }
}

/// The gradient of [`crop_forward`]: zero in the rows and columns that were dropped.
pub fn crop_backward<T: Real>(dy: &[T], from: Shape, top: usize, left: usize, dx: &mut [T], accumulate: bool) {
    let run = (from.w - left) * from.c;
    if !accumulate {
        dx.fill(T::zero());
    }
    for (y, row) in dy.chunks_exact(run).enumerate() {
        store_run(row, &mut dx[((y + top) * from.w + left) * from.c..][..run], accumulate);
    }
}

/// `dst = (src - mean) / std` per channel.
pub fn normalize_forward<T: Real>(src: &[T], mean: &[f32], std: &[f32], dst: &mut [T]) {
    let c = mean.len();
    for (d, s) in dst.chunks_exact_mut(c).zip(src.chunks_exact(c)) {
        for i in 0..c {
            d[i] = (s[i] - T::from_f64(f64::from(mean[i]))) / T::from_f64(f64::from(std[i]));
        }
    }
}

/// `dx = dy / std` per channel.
pub fn normalize_backward<T: Real>(dy: &[T], std: &[f32], dx: &mut [T], accumulate: bool) {
    let c = std.len();
    for (d, g) in dx.chunks_exact_mut(c).zip(dy.chunks_exact(c)) {
        for i in 0..c {
            let v = g[i] / T::from_f64(f64::from(std[i]));
            d[i] = if accumulate { d[i] + v } else { v };
        }
    }
}
