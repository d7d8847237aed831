//! Vector registers as values: what the register-blocked kernels are written in.
//!
//! A kernel is a function generic over its [`Vector`]; [`vectorized!`] picks the type for the machine's instructions and
//! compiles the kernel for them. Loops over plain arrays become vector code too, but only as long as the compiler sees
//! through them; a tile of accumulators is too much for it to be relied on.

use super::real::Real;

/// Some scalars side by side in a register.
///
/// The methods are meaningful only inside a function compiled for the instructions of the type, which is where
/// [`vectorized!`] puts them.
pub trait Vector: Copy {
    /// What a lane holds.
    type Scalar: Real;
    /// The next narrower vector, for channels that do not fill this one; the narrowest is its own half.
    type Half: Vector<Scalar = Self::Scalar>;
    /// Scalars in a register.
    const LANES: usize;
    /// Registers that hold accumulators without spilling.
    const ACCUMULATORS: usize;

    /// The scalar in every lane.
    fn splat(v: Self::Scalar) -> Self;
    /// # Safety
    /// `LANES` scalars from `at` on can be read.
    unsafe fn load(at: *const Self::Scalar) -> Self;
    /// # Safety
    /// `LANES` scalars from `at` on can be written.
    unsafe fn store(self, at: *mut Self::Scalar);
    /// Fused `self * a + b`.
    fn mul_add(self, a: Self, b: Self) -> Self;
    /// Lane by lane.
    fn add(self, other: Self) -> Self;
    /// Lane by lane.
    fn sub(self, other: Self) -> Self;
    /// Lane by lane.
    fn mul(self, other: Self) -> Self;
    /// The larger of two, lane by lane.
    fn max(self, other: Self) -> Self;
    /// `self` in the lanes where `x > 0`, else 0.
    fn where_positive(self, x: Self) -> Self;
    /// `self` in the lanes where `a == b`, else 0.
    fn where_equal(self, a: Self, b: Self) -> Self;

    /// All lanes added up, neighbours first.
    #[inline(always)]
    fn sum(self) -> Self::Scalar {
        let mut lanes = [Self::Scalar::default(); 16];
        // SAFETY: no vector has more than 16 lanes.
        unsafe { self.store(lanes.as_mut_ptr()) };
        let mut n = Self::LANES;
        while n > 1 {
            n /= 2;
            for i in 0..n {
                lanes[i] = lanes[2 * i] + lanes[2 * i + 1];
            }
        }
        lanes[0]
    }

    /// Zeros.
    #[inline(always)]
    fn zero() -> Self {
        Self::splat(Self::Scalar::default())
    }

    /// [`Vector::load`] from a slice.
    ///
    /// # Safety
    /// `at + LANES` does not exceed the slice's length.
    #[inline(always)]
    unsafe fn read(slice: &[Self::Scalar], at: usize) -> Self {
        debug_assert!(at + Self::LANES <= slice.len(), "{at} + {} in {}", Self::LANES, slice.len());
        // SAFETY: the caller's promise.
        unsafe { Self::load(slice.as_ptr().add(at)) }
    }

    /// [`Vector::store`] into a slice.
    ///
    /// # Safety
    /// `at + LANES` does not exceed the slice's length.
    #[inline(always)]
    unsafe fn write(self, slice: &mut [Self::Scalar], at: usize) {
        debug_assert!(at + Self::LANES <= slice.len(), "{at} + {} in {}", Self::LANES, slice.len());
        // SAFETY: the caller's promise.
        unsafe { self.store(slice.as_mut_ptr().add(at)) }
    }
}

/// An array as a vector: what the target's own instructions make of it, and the single scalar at the end of a row.
#[derive(Clone, Copy, Debug)]
pub struct Array<T, const N: usize>([T; N]);

impl<T: Real, const N: usize> Array<T, N> {
    #[inline(always)]
    fn each(f: impl Fn(usize) -> T) -> Self {
        Array(std::array::from_fn(f))
    }
}

impl<T: Real, const N: usize> Vector for Array<T, N> {
    type Scalar = T;
    type Half = Array<T, 1>;
    const LANES: usize = N;
    const ACCUMULATORS: usize = 8;

    #[inline(always)]
    fn splat(v: T) -> Self {
        Array([v; N])
    }
    #[inline(always)]
    unsafe fn load(at: *const T) -> Self {
        // SAFETY: the caller's promise; arrays have their element's alignment.
        Array(unsafe { *at.cast::<[T; N]>() })
    }
    #[inline(always)]
    unsafe fn store(self, at: *mut T) {
        // SAFETY: the caller's promise; arrays have their element's alignment.
        unsafe { *at.cast::<[T; N]>() = self.0 }
    }
    #[inline(always)]
    fn mul_add(self, a: Self, b: Self) -> Self {
        Array::each(|i| self.0[i].fma(a.0[i], b.0[i]))
    }
    #[inline(always)]
    fn add(self, other: Self) -> Self {
        Array::each(|i| self.0[i] + other.0[i])
    }
    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        Array::each(|i| self.0[i] - other.0[i])
    }
    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        Array::each(|i| self.0[i] * other.0[i])
    }
    #[inline(always)]
    fn max(self, other: Self) -> Self {
        Array::each(|i| self.0[i].larger(other.0[i]))
    }
    #[inline(always)]
    fn where_positive(self, x: Self) -> Self {
        Array::each(|i| if x.0[i] > T::zero() { self.0[i] } else { T::zero() })
    }
    #[inline(always)]
    fn where_equal(self, a: Self, b: Self) -> Self {
        Array::each(|i| if a.0[i] == b.0[i] { self.0[i] } else { T::zero() })
    }
}

#[cfg(target_arch = "x86_64")]
pub use x86::*;

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::{Array, Vector};

    /// A register type with the intrinsics of its operations.
    macro_rules! register {
        ($name:ident($register:ty) $scalar:ty, $lanes:literal, $accumulators:literal, half $half:ty,
         $splat:ident $load:ident $store:ident $fma:ident $add:ident $sub:ident $mul:ident $max:ident,
         |$v:ident, $a:ident, $b:ident, $how:ident| $keep:expr) => {
            #[doc = concat!(stringify!($lanes), " scalars of `", stringify!($scalar), "`.")]
            #[derive(Clone, Copy, Debug)]
            pub struct $name($register);

            // SAFETY of all blocks: the instructions exist where the type is used (see [`Vector`]); loads and stores are
            // the caller's promise.
            impl Vector for $name {
                type Scalar = $scalar;
                type Half = $half;
                const LANES: usize = $lanes;
                const ACCUMULATORS: usize = $accumulators;

                #[inline(always)]
                fn splat(v: $scalar) -> Self {
                    unsafe { $name($splat(v)) }
                }
                #[inline(always)]
                unsafe fn load(at: *const $scalar) -> Self {
                    unsafe { $name($load(at)) }
                }
                #[inline(always)]
                unsafe fn store(self, at: *mut $scalar) {
                    unsafe { $store(at, self.0) }
                }
                #[inline(always)]
                fn mul_add(self, a: Self, b: Self) -> Self {
                    unsafe { $name($fma(self.0, a.0, b.0)) }
                }
                #[inline(always)]
                fn add(self, other: Self) -> Self {
                    unsafe { $name($add(self.0, other.0)) }
                }
                #[inline(always)]
                fn sub(self, other: Self) -> Self {
                    unsafe { $name($sub(self.0, other.0)) }
                }
                #[inline(always)]
                fn mul(self, other: Self) -> Self {
                    unsafe { $name($mul(self.0, other.0)) }
                }
                #[inline(always)]
                fn max(self, other: Self) -> Self {
                    unsafe { $name($max(self.0, other.0)) }
                }
                #[inline(always)]
                fn where_positive(self, x: Self) -> Self {
                    const $how: i32 = _CMP_GT_OQ;
                    let ($v, $a, $b) = (self.0, x.0, Self::zero().0);
                    unsafe { $name($keep) }
                }
                #[inline(always)]
                fn where_equal(self, a: Self, b: Self) -> Self {
                    const $how: i32 = _CMP_EQ_OQ;
                    let ($v, $a, $b) = (self.0, a.0, b.0);
                    unsafe { $name($keep) }
                }
            }
        };
    }
    register!(F32x16(__m512) f32, 16, 24, half F32x8,
        _mm512_set1_ps _mm512_loadu_ps _mm512_storeu_ps _mm512_fmadd_ps _mm512_add_ps _mm512_sub_ps _mm512_mul_ps
        _mm512_max_ps, |v, a, b, HOW| _mm512_maskz_mov_ps(_mm512_cmp_ps_mask::<HOW>(a, b), v));
    register!(F32x8(__m256) f32, 8, 12, half F32x4,
        _mm256_set1_ps _mm256_loadu_ps _mm256_storeu_ps _mm256_fmadd_ps _mm256_add_ps _mm256_sub_ps _mm256_mul_ps
        _mm256_max_ps, |v, a, b, HOW| _mm256_and_ps(_mm256_cmp_ps::<HOW>(a, b), v));
    register!(F32x4(__m128) f32, 4, 12, half Array<f32, 1>,
        _mm_set1_ps _mm_loadu_ps _mm_storeu_ps _mm_fmadd_ps _mm_add_ps _mm_sub_ps _mm_mul_ps
        _mm_max_ps, |v, a, b, HOW| _mm_and_ps(_mm_cmp_ps::<HOW>(a, b), v));
    register!(F64x8(__m512d) f64, 8, 24, half F64x4,
        _mm512_set1_pd _mm512_loadu_pd _mm512_storeu_pd _mm512_fmadd_pd _mm512_add_pd _mm512_sub_pd _mm512_mul_pd
        _mm512_max_pd, |v, a, b, HOW| _mm512_maskz_mov_pd(_mm512_cmp_pd_mask::<HOW>(a, b), v));
    register!(F64x4(__m256d) f64, 4, 12, half Array<f64, 1>,
        _mm256_set1_pd _mm256_loadu_pd _mm256_storeu_pd _mm256_fmadd_pd _mm256_add_pd _mm256_sub_pd _mm256_mul_pd
        _mm256_max_pd, |v, a, b, HOW| _mm256_and_pd(_mm256_cmp_pd::<HOW>(a, b), v));
}

/// Calls `kernel::<V, ..>(args)` compiled for an [`Isa`](super::isa::Isa), with the widest [`Vector`] of `$scalar` there.
macro_rules! vectorized {
    ($isa:expr, $scalar:ty, $kernel:ident($($arg:expr),* $(,)?)) => {{
        match $isa.level() {
            $crate::engine::isa::Level::Portable => $kernel::<<$scalar as $crate::engine::real::Real>::Portable>($($arg),*),
            #[cfg(target_arch = "x86_64")]
            $crate::engine::isa::Level::Avx2(v3) => $crate::engine::isa::compiled_for(
                v3,
                #[inline(always)]
                || $kernel::<<$scalar as $crate::engine::real::Real>::Avx2>($($arg),*),
            ),
            #[cfg(target_arch = "x86_64")]
            $crate::engine::isa::Level::Avx512(v4) => $crate::engine::isa::compiled_for(
                v4,
                #[inline(always)]
                || $kernel::<<$scalar as $crate::engine::real::Real>::Avx512>($($arg),*),
            ),
        }
    }};
}
pub(crate) use vectorized;

/// Calls `kernel::<W, ..>(c0, args)` for every group of channels `c0..c0 + W::LANES`, `W` being `$vector` or, towards the end,
/// a narrower one.
macro_rules! for_groups {
    ($vector:ident, $channels:expr, $kernel:ident($($arg:expr),* $(,)?)) => {{
        let channels = $channels;
        let mut c0 = 0;
        while c0 + $vector::LANES <= channels {
            $kernel::<$vector>(c0, $($arg),*);
            c0 += $vector::LANES;
        }
        while c0 + <$vector::Half as Vector>::LANES <= channels && <$vector::Half as Vector>::LANES > 1 {
            $kernel::<$vector::Half>(c0, $($arg),*);
            c0 += <$vector::Half as Vector>::LANES;
        }
        while c0 + <<$vector::Half as Vector>::Half as Vector>::LANES <= channels
            && <<$vector::Half as Vector>::Half as Vector>::LANES > 1
        {
            $kernel::<<$vector::Half as Vector>::Half>(c0, $($arg),*);
            c0 += <<$vector::Half as Vector>::Half as Vector>::LANES;
        }
        while c0 < channels {
            $kernel::<crate::engine::vector::Array<$vector::Scalar, 1>>(c0, $($arg),*);
            c0 += 1;
        }
    }};
}
pub(crate) use for_groups;
