//! Kernels that touch every scalar once: activations, sums, concatenation, cropping, normalisation of pixels.

use super::load::Source;
use crate::arch::op::Shape;
use crate::engine::cpu::isa::Isa;
use crate::engine::cpu::vector::{Number, Vector, for_groups, vectorized};

/// Scalars of a plane that are worked on group by group while they are in the first-level cache.
const STRETCH: usize = 1 << 10;

/// Whole pixels of about `STRETCH` scalars: the range of each run.
#[inline(always)]
pub fn stretches(len: usize, c: usize) -> impl Iterator<Item = std::ops::Range<usize>> {
    let run = (STRETCH / c).max(1) * c;
    (0..len).step_by(run).map(move |at| at..(at + run).min(len))
}

/// `dst = src`, or `dst += src`; where `x` is given, only at places where what is read of it is positive (the ReLU's
/// derivative).
pub fn store_masked<T: Number>(isa: Isa, src: &[T], x: Option<Source<'_, T>>, dst: &mut [T], accumulate: bool) {
    let src = &src[..dst.len()];
    match (x, accumulate) {
        (None, false) => dst.copy_from_slice(src),
        (None, true) => vectorized!(isa, T, add_here(src, dst)),
        (Some(x), _) => {
            assert!(x.values.len() >= dst.len());
            vectorized!(isa, T, masked(src, x, dst, accumulate));
        }
    }
}

#[inline(always)]
fn masked<V: Vector>(src: &[V::Scalar], x: Source<'_, V::Scalar>, dst: &mut [V::Scalar], accumulate: bool) {
    match x.affine {
        Some((scale, shift)) => {
            for run in stretches(dst.len(), scale.len()) {
                let (src, x, dst) = (&src[run.clone()], &x.values[run.clone()], &mut dst[run]);
                for_groups!(V, scale.len(), masked_group(src, x, (scale, shift), dst, accumulate));
            }
        }
        // Without per-channel numbers a plane is one long row of scalars.
        None => for_groups!(V, dst.len(), masked_run(src, x.values, dst, accumulate)),
    }
}

#[inline(always)]
fn masked_run<V: Vector>(at: usize, src: &[V::Scalar], x: &[V::Scalar], dst: &mut [V::Scalar], accumulate: bool) {
    // SAFETY: the three are at least as long as the row that is divided into groups.
    unsafe {
        let passed = V::read(src, at).where_positive(V::read(x, at));
        let sum = if accumulate { V::read(dst, at).add(passed) } else { passed };
        sum.write(dst, at);
    }
}

#[inline(always)]
fn add_here<V: Vector>(src: &[V::Scalar], dst: &mut [V::Scalar]) {
    for_groups!(V, dst.len(), add_run(src, dst));
}

#[inline(always)]
fn add_run<V: Vector>(at: usize, src: &[V::Scalar], dst: &mut [V::Scalar]) {
    // SAFETY: both are at least as long as the row that is divided into groups.
    unsafe { V::read(dst, at).add(V::read(src, at)).write(dst, at) };
}

#[inline(always)]
fn masked_group<V: Vector>(
    c0: usize,
    src: &[V::Scalar],
    x: &[V::Scalar],
    (scale, shift): (&[V::Scalar], &[V::Scalar]),
    dst: &mut [V::Scalar],
    accumulate: bool,
) {
    // SAFETY: the three planes are of one length, whole pixels of `scale.len()` channels, and the group lies inside them.
    unsafe {
        let (a, b) = (V::read(scale, c0), V::read(shift, c0));
        for at in (c0..dst.len()).step_by(scale.len()) {
            let passed = V::read(src, at).where_positive(V::read(x, at).mul_add(a, b));
            let sum = if accumulate { V::read(dst, at).add(passed) } else { passed };
            sum.write(dst, at);
        }
    }
}

/// One addend of a weighted sum.
#[derive(Clone, Copy, Debug)]
pub struct Term<'a, T> {
    /// What it is multiplied by.
    pub weight: T,
    /// What is added, `[h, w, c]`.
    pub source: Source<'a, T>,
}

/// `y = sum of weight * source` over all terms, `c` channels a pixel.
///
/// Terms are read several at a time: a plane from main memory arrives faster beside others.
pub fn sum<T: Number>(isa: Isa, terms: &[Term<'_, T>], c: usize, y: &mut [T]) {
    assert!(terms.iter().all(|t| t.source.values.len() == y.len()) && y.len().is_multiple_of(c));
    assert!(terms.iter().all(|t| t.source.affine.is_none_or(|(a, b)| a.len() == c && b.len() == c)));
    vectorized!(isa, T, sum_here(terms, c, y));
}

#[inline(always)]
fn sum_here<V: Vector>(terms: &[Term<'_, V::Scalar>], c: usize, y: &mut [V::Scalar]) {
    if terms.is_empty() {
        y.fill(V::Scalar::default());
    }
    for run in stretches(y.len(), c) {
        let at = run.start;
        let y = &mut y[run];
        for_groups!(V, c, sum_group(terms, at, c, y));
    }
}

#[inline(always)]
fn sum_group<V: Vector>(c0: usize, terms: &[Term<'_, V::Scalar>], at: usize, c: usize, y: &mut [V::Scalar]) {
    let mut base = V::zero();
    for Term { weight, source } in terms {
        if let Some((_, shift)) = source.affine {
            // SAFETY: an affine map has `c` shifts.
            base = unsafe { V::read(shift, c0) }.mul_add(V::splat(*weight), base);
        }
    }
    let mut rest = terms;
    let mut base = Some(base);
    while !rest.is_empty() {
        let taken = match rest.len() {
            8.. => add_terms::<V, 8>(c0, rest, base, at, c, y),
            4.. => add_terms::<V, 4>(c0, rest, base, at, c, y),
            2.. => add_terms::<V, 2>(c0, rest, base, at, c, y),
            _ => add_terms::<V, 1>(c0, rest, base, at, c, y),
        };
        rest = &rest[taken..];
        base = None;
    }
}

/// `y = base + the first N terms`, or `y += ..` without a base; returns `N`.
#[inline(always)]
fn add_terms<V: Vector, const N: usize>(
    c0: usize,
    terms: &[Term<'_, V::Scalar>],
    base: Option<V>,
    at: usize,
    c: usize,
    y: &mut [V::Scalar],
) -> usize {
    let values: [&[V::Scalar]; N] = std::array::from_fn(|n| &terms[n].source.values[at..at + y.len()]);
    let scale: [V; N] = std::array::from_fn(|n| {
        let Term { weight, source } = terms[n];
        let weight = V::splat(weight);
        // SAFETY: an affine map has `c` scales.
        source.affine.map_or(weight, |(scale, _)| unsafe { V::read(scale, c0) }.mul(weight))
    });
    for p in (c0..y.len()).step_by(c) {
        // SAFETY: all planes are of one length, whole pixels of `c` channels, and the group lies inside them.
        unsafe {
            let mut acc = match base {
                Some(base) => base,
                None => V::read(y, p),
            };
            for n in 0..N {
                acc = V::read(values[n], p).mul_add(scale[n], acc);
            }
            acc.write(y, p);
        }
    }
    N
}

/// `dst = w * x`, or `dst += w * x`.
pub fn axpy<T: Number>(isa: Isa, w: T, x: &[T], dst: &mut [T], accumulate: bool) {
    let x = &x[..dst.len()];
    vectorized!(isa, T, axpy_here(w, x, dst, accumulate));
}

#[inline(always)]
fn axpy_here<V: Vector>(w: V::Scalar, x: &[V::Scalar], dst: &mut [V::Scalar], accumulate: bool) {
    for_groups!(V, dst.len(), axpy_run(w, x, dst, accumulate));
}

#[inline(always)]
fn axpy_run<V: Vector>(at: usize, w: V::Scalar, x: &[V::Scalar], dst: &mut [V::Scalar], accumulate: bool) {
    let w = V::splat(w);
    // SAFETY: both are at least as long as the row that is divided into groups.
    unsafe {
        let x = V::read(x, at);
        let sum = if accumulate { x.mul_add(w, V::read(dst, at)) } else { x.mul(w) };
        sum.write(dst, at);
    }
}

/// `sum x dy`.
pub fn dot<T: Number>(isa: Isa, x: Source<'_, T>, dy: &[T]) -> T {
    assert!(x.values.len() == dy.len());
    let mut total = T::ZERO;
    match x.affine {
        Some((scale, shift)) => vectorized!(isa, T, dot_here(x.values, (scale, shift), dy, &mut total)),
        None => {
            // One channel of scale 1 in as many copies as the widest vector has lanes.
            let (ones, zeros) = ([T::ONE; 16], [T::ZERO; 16]);
            let whole = dy.len() / 16 * 16;
            vectorized!(isa, T, dot_here(&x.values[..whole], (&ones, &zeros), &dy[..whole], &mut total));
            total = x.values[whole..].iter().zip(&dy[whole..]).fold(total, |t, (x, y)| x.fma(*y, t));
        }
    }
    total
}

#[inline(always)]
fn dot_here<V: Vector>(x: &[V::Scalar], affine: (&[V::Scalar], &[V::Scalar]), dy: &[V::Scalar], total: &mut V::Scalar) {
    for_groups!(V, affine.0.len(), dot_group(x, affine, dy, total));
}

#[inline(always)]
fn dot_group<V: Vector>(
    c0: usize,
    x: &[V::Scalar],
    (scale, shift): (&[V::Scalar], &[V::Scalar]),
    dy: &[V::Scalar],
    total: &mut V::Scalar,
) {
    let c = scale.len();
    let mut acc = [V::zero(); 4];
    // SAFETY: both planes are of one length, whole pixels of `c` channels, and the group lies inside them.
    unsafe {
        let (a, b) = (V::read(scale, c0), V::read(shift, c0));
        for (p, at) in (c0..dy.len()).step_by(c).enumerate() {
            let k = p & 3;
            acc[k] = V::read(x, at).mul_add(a, b).mul_add(V::read(dy, at), acc[k]);
        }
    }
    *total += acc[0].add(acc[1]).add(acc[2].add(acc[3])).sum();
}

/// `dst = max(x, 0)`.
pub fn relu<T: Number>(isa: Isa, x: Source<'_, T>, dst: &mut [T]) {
    x.read(isa, true, dst);
}

/// `dst[.., at..at + c] (+)= src`: `c` channels a pixel into a wider plane.
pub fn put_channels<T: Number>(src: &[T], c: usize, dst: &mut [T], width: usize, at: usize, accumulate: bool) {
    for (d, s) in dst.chunks_exact_mut(width).zip(src.chunks_exact(c)) {
        store_run(s, &mut d[at..at + c], accumulate);
    }
}

/// `dst (+)= src[.., at..at + c]`: `c` channels a pixel out of a wider plane.
pub fn take_channels<T: Number>(src: &[T], width: usize, at: usize, dst: &mut [T], c: usize, accumulate: bool) {
    for (s, d) in src.chunks_exact(width).zip(dst.chunks_exact_mut(c)) {
        store_run(&s[at..at + c], d, accumulate);
    }
}

fn store_run<T: Number>(src: &[T], dst: &mut [T], accumulate: bool) {
    if accumulate {
        for (d, s) in dst.iter_mut().zip(src) {
            *d += *s;
        }
    } else {
        dst.copy_from_slice(src);
    }
}

/// `to (+)= from[top.., left..]`, as many rows and columns as `to` has.
pub fn crop<T: Number>(
    from: &[T],
    source: Shape,
    [top, left]: [usize; 2],
    target: Shape,
    (to, accumulate): (&mut [T], bool),
) {
    let run = target.w * target.c;
    for (y, row) in to.chunks_exact_mut(run).enumerate() {
        store_run(&from[((y + top) * source.w + left) * source.c..][..run], row, accumulate);
    }
}

/// `to[top.., left..] (+)= from`, zero around it: the transposed [`crop`].
pub fn place<T: Number>(
    from: &[T],
    source: Shape,
    [top, left]: [usize; 2],
    target: Shape,
    (to, accumulate): (&mut [T], bool),
) {
    let run = source.w * source.c;
    if !accumulate {
        to.fill(T::ZERO);
    }
    for (y, row) in from.chunks_exact(run).enumerate() {
        store_run(row, &mut to[((y + top) * target.w + left) * target.c..][..run], accumulate);
    }
}

/// `dst = (src - mean) / std` per channel.
pub fn normalize_forward<T: Number>(src: &[T], mean: &[f32], std: &[f32], dst: &mut [T]) {
    let c = mean.len();
    for (d, s) in dst.chunks_exact_mut(c).zip(src.chunks_exact(c)) {
        for i in 0..c {
            d[i] = (s[i] - T::of(f64::from(mean[i]))) / T::of(f64::from(std[i]));
        }
    }
}

/// `dx = dy / std` per channel.
pub fn normalize_backward<T: Number>(dy: &[T], std: &[f32], dx: &mut [T], accumulate: bool) {
    let c = std.len();
    for (d, g) in dx.chunks_exact_mut(c).zip(dy.chunks_exact(c)) {
        for i in 0..c {
            let v = g[i] / T::of(f64::from(std[i]));
            d[i] = if accumulate { d[i] + v } else { v };
        }
    }
}
