//! Factors of channels: products of two planes, of a plane and a factor a channel, and what their gradients add up.

use crate::engine::cpu::isa::Isa;
use crate::engine::cpu::vector::Number;

/// `y = x g`, entry by entry, or pixel by pixel where `g` holds one number a channel.
pub fn multiply<T: Number>(isa: Isa, x: &[T], g: &[T], y: &mut [T]) {
    isa.run(
        #[inline(always)]
        || {
            for (y, x) in y.chunks_exact_mut(g.len()).zip(x.chunks_exact(g.len())) {
                for ((y, x), g) in y.iter_mut().zip(x).zip(g) {
                    *y = *x * *g;
                }
            }
        },
    );
}

/// `dx (+)= dy g` for `g` as in [`multiply`].
pub fn multiply_backward<T: Number>(isa: Isa, dy: &[T], g: &[T], dx: &mut [T], accumulate: bool) {
    if !accumulate {
        return multiply(isa, dy, g, dx);
    }
    isa.run(
        #[inline(always)]
        || {
            for (dx, dy) in dx.chunks_exact_mut(g.len()).zip(dy.chunks_exact(g.len())) {
                for ((dx, dy), g) in dx.iter_mut().zip(dy).zip(g) {
                    *dx = dy.fma(*g, *dx);
                }
            }
        },
    );
}

/// `dg (+)= sum over pixels of dy x`, for as many channels as `dg` holds; entry by entry where it holds all.
pub fn factor_backward<T: Number>(isa: Isa, dy: &[T], x: &[T], dg: &mut [T], accumulate: bool) {
    if !accumulate {
        dg.fill(T::ZERO);
    }
    isa.run(
        #[inline(always)]
        || {
            for (dy, x) in dy.chunks_exact(dg.len()).zip(x.chunks_exact(dg.len())) {
                for ((dg, dy), x) in dg.iter_mut().zip(dy).zip(x) {
                    *dg = dy.fma(*x, *dg);
                }
            }
        },
    );
}

/// `sum (+)= dy` over pixels, for as many channels as `sum` holds.
pub fn add_up<T: Number>(isa: Isa, dy: &[T], sum: &mut [T]) {
    isa.run(
        #[inline(always)]
        || {
            for dy in dy.chunks_exact(sum.len()) {
                for (sum, dy) in sum.iter_mut().zip(dy) {
                    *sum += *dy;
                }
            }
        },
    );
}

/// `y = x + b` with one number a channel, or an entry.
pub fn add<T: Number>(isa: Isa, x: &[T], b: &[T], y: &mut [T]) {
    isa.run(
        #[inline(always)]
        || {
            for (y, x) in y.chunks_exact_mut(b.len()).zip(x.chunks_exact(b.len())) {
                for ((y, x), b) in y.iter_mut().zip(x).zip(b) {
                    *y = *x + *b;
                }
            }
        },
    );
}

/// `y += b` with one number a channel.
pub fn add_in_place<T: Number>(isa: Isa, b: &[T], y: &mut [T]) {
    isa.run(
        #[inline(always)]
        || {
            for y in y.chunks_exact_mut(b.len()) {
                for (y, b) in y.iter_mut().zip(b) {
                    *y += *b;
                }
            }
        },
    );
}

/// `sum of f(0..n)`, in sixteen sums side by side so that it becomes vector code.
#[inline(always)]
pub fn total<T: Number>(n: usize, f: impl Fn(usize) -> T) -> T {
    const LANES: usize = 16;
    let mut lanes = [T::ZERO; LANES];
    let whole = n / LANES * LANES;
    for at in (0..whole).step_by(LANES) {
        for (l, lane) in lanes.iter_mut().enumerate() {
            *lane += f(at + l);
        }
    }
    let mut width = LANES;
    while width > 1 {
        width /= 2;
        for l in 0..width {
            lanes[l] += lanes[l + width];
        }
    }
    (whole..n).fold(lanes[0], |sum, i| sum + f(i))
}
