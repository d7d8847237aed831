//! What happens to a plane on its way into a kernel, so that it is never written to memory.

use crate::engine::cpu::isa::Isa;
use crate::engine::cpu::vector::{Number, Vector, for_groups, vectorized};

/// A plane `[h, w, c]` (or several images' planes) to read, normalised on the way in where `affine` is there.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a, T> {
    /// What stands in memory.
    pub values: &'a [T],
    /// Scale and shift per channel: what is read is `value * scale + shift`, then the [`Load`](crate::engine::Load)'s ReLU, then padding
    /// with zeros.
    pub affine: Option<(&'a [T], &'a [T])>,
}

impl<'a, T: Number> Source<'a, T> {
    /// A plane read as it stands.
    pub fn plain(values: &'a [T]) -> Self {
        Source { values, affine: None }
    }

    /// The part from a place on; whole pixels where there is an `affine`.
    #[inline(always)]
    pub fn from(self, at: usize) -> Self {
        Source { values: &self.values[at..], ..self }
    }

    /// Reads as many values as `dst` holds, negative ones as zero where `relu`.
    pub fn read(self, isa: Isa, relu: bool, dst: &mut [T]) {
        let src = &self.values[..dst.len()];
        match self.affine {
            Some((scale, shift)) => {
                assert!(scale.len() == shift.len() && dst.len().is_multiple_of(scale.len()));
                // A bound below which nothing falls stands for no ReLU.
                let least = if relu { T::ZERO } else { T::LOWEST };
                vectorized!(isa, T, affine(src, (scale, shift), least, dst));
            }
            None if relu => vectorized!(isa, T, positive(src, dst)),
            None => dst.copy_from_slice(src),
        }
    }
}

#[inline(always)]
fn positive<V: Vector>(src: &[V::Scalar], dst: &mut [V::Scalar]) {
    for_groups!(V, dst.len(), positive_run(src, dst));
}

#[inline(always)]
fn positive_run<V: Vector>(at: usize, src: &[V::Scalar], dst: &mut [V::Scalar]) {
    // SAFETY: both are as long as the row that is divided into groups.
    unsafe { V::zero().max(V::read(src, at)).write(dst, at) };
}

#[inline(always)]
fn affine<V: Vector>(src: &[V::Scalar], map: (&[V::Scalar], &[V::Scalar]), least: V::Scalar, dst: &mut [V::Scalar]) {
    for_groups!(V, map.0.len(), affine_group(src, map, least, dst));
}

#[inline(always)]
fn affine_group<V: Vector>(
    c0: usize,
    src: &[V::Scalar],
    (scale, shift): (&[V::Scalar], &[V::Scalar]),
    least: V::Scalar,
    dst: &mut [V::Scalar],
) {
    // SAFETY: both planes are of one length, whole pixels of `scale.len()` channels, and the group lies inside them.
    unsafe {
        let (a, b, least) = (V::read(scale, c0), V::read(shift, c0), V::splat(least));
        for at in (c0..dst.len()).step_by(scale.len()) {
            least.max(V::read(src, at).mul_add(a, b)).write(dst, at);
        }
    }
}
