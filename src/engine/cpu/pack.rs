//! Images as lanes: the numbers of several images side by side, in a vector register of their own.
//!
//! In a plane `[h, w, c]` of packs, what the kernels do with a number happens to all images at once, so that vectors are full
//! however few channels a network has. Weights are the same in every image.

use std::ops::{Add, AddAssign, Div, DivAssign, Mul, MulAssign, Neg, Sub, SubAssign};

use super::elementary;
use super::vector::{Array, Number, Vector};
#[cfg(target_arch = "x86_64")]
use super::vector::{F32x8, F32x16};

/// The numbers of `N` images.
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(transparent)]
pub struct Pack<const N: usize>([f32; N]);

impl<const N: usize> Default for Pack<N> {
    #[inline(always)]
    fn default() -> Self {
        Pack([0.0; N])
    }
}

impl<const N: usize> Pack<N> {
    /// Views scalars as packs; what does not fill a pack is left out.
    pub fn view(scalars: &[f32]) -> &[Self] {
        let (packs, _) = scalars.as_chunks::<N>();
        // SAFETY: a pack is its array, by `repr(transparent)`.
        unsafe { std::slice::from_raw_parts(packs.as_ptr().cast(), packs.len()) }
    }

    /// Views scalars as packs; what does not fill a pack is left out.
    pub fn view_mut(scalars: &mut [f32]) -> &mut [Self] {
        let (packs, _) = scalars.as_chunks_mut::<N>();
        // SAFETY: a pack is its array, by `repr(transparent)`.
        unsafe { std::slice::from_raw_parts_mut(packs.as_mut_ptr().cast(), packs.len()) }
    }

    /// The same number in every image.
    #[inline(always)]
    pub fn same(v: f32) -> Self {
        Pack([v; N])
    }

    /// The numbers, image by image.
    pub fn images(&self) -> &[f32; N] {
        &self.0
    }

    /// The numbers, image by image.
    pub fn images_mut(&mut self) -> &mut [f32; N] {
        &mut self.0
    }

    #[inline(always)]
    fn map(self, f: impl Fn(f32) -> f32) -> Self {
        Pack(std::array::from_fn(|i| f(self.0[i])))
    }

    #[inline(always)]
    fn with(self, other: Self, f: impl Fn(f32, f32) -> f32) -> Self {
        Pack(std::array::from_fn(|i| f(self.0[i], other.0[i])))
    }
}

/// An operator, image by image.
macro_rules! operator {
    ($name:ident $method:ident, $assign:ident $in_place:ident) => {
        impl<const N: usize> $name for Pack<N> {
            type Output = Self;
            #[inline(always)]
            fn $method(self, other: Self) -> Self {
                self.with(other, |a, b| a.$method(b))
            }
        }

        impl<const N: usize> $assign for Pack<N> {
            #[inline(always)]
            fn $in_place(&mut self, other: Self) {
                *self = self.$method(other);
            }
        }
    };
}
operator!(Add add, AddAssign add_assign);
operator!(Sub sub, SubAssign sub_assign);
operator!(Mul mul, MulAssign mul_assign);
operator!(Div div, DivAssign div_assign);

impl<const N: usize> Neg for Pack<N> {
    type Output = Self;
    #[inline(always)]
    fn neg(self) -> Self {
        self.map(|v| -v)
    }
}

/// Evaluates `$body` with the constant `$n` for the number of images that lie side by side, or `$other` where no vector holds
/// so many.
macro_rules! by_pack {
    ($images:expr, |$n:ident| $body:expr, else $other:expr) => {
        match $images {
            8 => {
                const $n: usize = 8;
                $body
            }
            16 => {
                const $n: usize = 16;
                $body
            }
            _ => $other,
        }
    };
}
pub(super) use by_pack;

/// A pack as a number, with the vectors that hold it.
macro_rules! number {
    ($images:literal, $avx2:ty, $avx512:ty) => {
        impl Number for Pack<$images> {
            type Portable = Array<Self, 1>;
            #[cfg(target_arch = "x86_64")]
            type Avx2 = $avx2;
            #[cfg(target_arch = "x86_64")]
            type Avx512 = $avx512;

            const IMAGES: usize = $images;
            const ZERO: Self = Pack([0.0; $images]);
            const ONE: Self = Pack([1.0; $images]);
            const LOWEST: Self = Pack([f32::NEG_INFINITY; $images]);

            #[inline(always)]
            fn of(v: f64) -> Self {
                Pack::same(f32::of(v))
            }
            #[inline(always)]
            fn image(self, k: usize) -> f64 {
                f64::from(self.0[k])
            }
            #[inline(always)]
            fn fma(self, a: Self, b: Self) -> Self {
                Pack(std::array::from_fn(|i| self.0[i].mul_add(a.0[i], b.0[i])))
            }
            #[inline(always)]
            fn larger(self, other: Self) -> Self {
                self.with(other, f32::larger)
            }
            #[inline(always)]
            fn smaller(self, other: Self) -> Self {
                self.with(other, f32::smaller)
            }
            #[inline(always)]
            fn where_within(self, x: Self, min: Self, max: Self) -> Self {
                Pack(std::array::from_fn(|i| self.0[i].where_within(x.0[i], min.0[i], max.0[i])))
            }
            #[inline(always)]
            fn where_positive(self, x: Self) -> Self {
                self.with(x, f32::where_positive)
            }
            #[inline(always)]
            fn where_equal(self, a: Self, b: Self) -> Self {
                Pack(std::array::from_fn(|i| self.0[i].where_equal(a.0[i], b.0[i])))
            }
            #[inline(always)]
            fn sqrt(self) -> Self {
                self.map(f32::sqrt)
            }
            #[inline(always)]
            fn exp(self) -> Self {
                self.map(elementary::exp)
            }
            #[inline(always)]
            fn ln_1p(self) -> Self {
                self.map(elementary::ln_1p)
            }
            #[inline(always)]
            fn tanh(self) -> Self {
                self.map(elementary::tanh)
            }
            #[inline(always)]
            fn erf(self) -> Self {
                self.map(elementary::erf)
            }
        }
    };
}
number!(8, Whole<F32x8>, Array<Self, 1>);
number!(16, Array<Self, 1>, Whole<F32x16>);

/// A register that is one pack.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy, Debug)]
pub struct Whole<V>(V);

/// What a register does to its lanes it does to the images of its pack.
macro_rules! whole {
    ($register:ty, $images:literal) => {
        #[cfg(target_arch = "x86_64")]
        impl Vector for Whole<$register> {
            type Scalar = Pack<$images>;
            type Half = Self;
            const LANES: usize = 1;
            const ACCUMULATORS: usize = <$register>::ACCUMULATORS;

            #[inline(always)]
            fn splat(v: Pack<$images>) -> Self {
                // SAFETY: the pack's own numbers.
                Whole(unsafe { <$register>::load(v.0.as_ptr()) })
            }
            #[inline(always)]
            unsafe fn load(at: *const Pack<$images>) -> Self {
                // SAFETY: the caller's promise; a pack is its array.
                Whole(unsafe { <$register>::load(at.cast()) })
            }
            #[inline(always)]
            unsafe fn broadcast(from: &[Pack<$images>], at: usize) -> Self {
                // SAFETY: the caller's promise.
                unsafe { Self::load(from.as_ptr().add(at)) }
            }
            #[inline(always)]
            unsafe fn store(self, at: *mut Pack<$images>) {
                // SAFETY: the caller's promise; a pack is its array.
                unsafe { self.0.store(at.cast()) }
            }
            #[inline(always)]
            fn mul_add(self, a: Self, b: Self) -> Self {
                Whole(self.0.mul_add(a.0, b.0))
            }
            #[inline(always)]
            fn add(self, other: Self) -> Self {
                Whole(self.0.add(other.0))
            }
            #[inline(always)]
            fn sub(self, other: Self) -> Self {
                Whole(self.0.sub(other.0))
            }
            #[inline(always)]
            fn mul(self, other: Self) -> Self {
                Whole(self.0.mul(other.0))
            }
            #[inline(always)]
            fn max(self, other: Self) -> Self {
                Whole(self.0.max(other.0))
            }
            #[inline(always)]
            fn where_positive(self, x: Self) -> Self {
                Whole(self.0.where_positive(x.0))
            }
            #[inline(always)]
            fn where_equal(self, a: Self, b: Self) -> Self {
                Whole(self.0.where_equal(a.0, b.0))
            }
            #[inline(always)]
            fn sum(self) -> Pack<$images> {
                let mut pack = Pack::default();
                // SAFETY: a pack has room for its own numbers.
                unsafe { self.0.store(pack.0.as_mut_ptr()) };
                pack
            }
            #[inline(always)]
            fn zero() -> Self {
                Whole(<$register>::zero())
            }
        }
    };
}
whole!(F32x8, 8);
whole!(F32x16, 16);
