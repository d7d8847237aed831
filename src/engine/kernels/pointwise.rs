//! Kernels that touch every scalar once: activations, sums, concatenation, cropping, normalisation of pixels.

use crate::arch::op::Shape;
use crate::engine::isa::Isa;
use crate::engine::real::Real;

/// `dst = src`, or `dst += src`; where `x` is given, only at places with `x > 0` (the ReLU's derivative).
pub fn store_masked<T: Real>(isa: Isa, src: &[T], x: Option<&[T]>, dst: &mut [T], accumulate: bool) {
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
            (Some(x), false) => {
                for ((d, s), x) in dst.iter_mut().zip(src).zip(x) {
                    *d = if *x > zero { *s } else { zero };
                }
            }
            (Some(x), true) => {
                for ((d, s), x) in dst.iter_mut().zip(src).zip(x) {
                    *d += if *x > zero { *s } else { zero };
                }
            }
        },
    );
}

/// `dst = a * src`, or `dst += a * src`.
pub fn axpy<T: Real>(isa: Isa, a: T, src: &[T], dst: &mut [T], accumulate: bool) {
    isa.run(
        #[inline(always)]
        || {
            if accumulate {
                for (d, s) in dst.iter_mut().zip(src) {
                    *d = s.fma(a, *d);
                }
            } else {
                for (d, s) in dst.iter_mut().zip(src) {
                    *d = *s * a;
                }
            }
        },
    );
}

/// `sum a b`, in eight interleaved partial sums.
pub fn dot<T: Real>(isa: Isa, a: &[T], b: &[T]) -> T {
    isa.run(
        #[inline(always)]
        || {
            let mut acc = [T::zero(); 32];
            let (a, b) = (a.chunks_exact(32), b.chunks_exact(32));
            let tail = a.remainder().iter().zip(b.remainder()).fold(T::zero(), |t, (x, y)| x.fma(*y, t));
            for (x, y) in a.zip(b) {
                for i in 0..32 {
                    acc[i] = x[i].fma(y[i], acc[i]);
                }
            }
            acc.iter().fold(tail, |t, v| t + *v)
        },
    )
}

/// `dst = max(src, 0)`.
pub fn relu<T: Real>(isa: Isa, src: &[T], dst: &mut [T]) {
    isa.run(
        #[inline(always)]
        || {
            for (d, s) in dst.iter_mut().zip(src) {
                *d = s.larger(T::zero());
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
