//! The number types that the kernels are written for (`f32` in use, `f64` for checking gradients with the same code) and
//! vector registers of them as values: what the register-blocked kernels are written in.
//!
//! A kernel is a function generic over its [`Vector`]; [`vectorized!`] picks the type for the machine's instructions and
//! compiles the kernel for them. Loops over plain arrays become vector code too, but only as long as the compiler sees
//! through them; a tile of accumulators is too much for it to be relied on.

use std::fmt::Debug;
use std::ops::{Add, AddAssign, Div, DivAssign, Mul, MulAssign, Neg, Sub, SubAssign};

use candle_core::cpu::erf::erf_f64;
use candle_core::{CpuStorage, WithDType};

use super::elementary;

/// What a kernel computes with: a number of one image, or those of several images side by side ([`Pack`](super::pack::Pack)).
/// Everything happens image by image.
pub trait Number:
    Copy
    + Send
    + Sync
    + Debug
    + Default
    + PartialEq
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
    + AddAssign
    + SubAssign
    + MulAssign
    + DivAssign
    + 'static
{
    /// Vectors of what every target has.
    type Portable: Vector<Scalar = Self>;
    /// Vectors of AVX2.
    #[cfg(target_arch = "x86_64")]
    type Avx2: Vector<Scalar = Self>;
    /// Vectors of AVX-512.
    #[cfg(target_arch = "x86_64")]
    type Avx512: Vector<Scalar = Self>;
    /// Images side by side.
    const IMAGES: usize;
    /// 0 in every image.
    const ZERO: Self;
    /// 1 in every image.
    const ONE: Self;
    /// Smaller than every number.
    const LOWEST: Self;
    /// The same number in every image.
    fn of(v: f64) -> Self;
    /// The number of one image.
    fn image(self, k: usize) -> f64;
    /// Fused `self * a + b`.
    fn fma(self, a: Self, b: Self) -> Self;
    /// The larger of two; `other` where one of them is NaN.
    fn larger(self, other: Self) -> Self;
    /// The smaller of two.
    fn smaller(self, other: Self) -> Self;
    /// `self` where `x > 0`, else 0.
    fn where_positive(self, x: Self) -> Self;
    /// `self` where `a == b`, else 0.
    fn where_equal(self, a: Self, b: Self) -> Self;
    /// `self` where `min <= x <= max`, else 0.
    fn where_within(self, x: Self, min: Self, max: Self) -> Self;
    /// Square root.
    fn sqrt(self) -> Self;
    /// `e^self`.
    fn exp(self) -> Self;
    /// `ln(1 + self)` for `0 <= self <= 1`.
    fn ln_1p(self) -> Self;
    /// Hyperbolic tangent.
    fn tanh(self) -> Self;
    /// The error function.
    fn erf(self) -> Self;
}

/// A floating-point type of the engine: what networks hold, in tensors too.
pub trait Real: Number + WithDType {
    /// View of a host storage of this type.
    fn storage(storage: &CpuStorage) -> Option<&[Self]>;
    /// Mutable view of a host storage of this type.
    fn storage_mut(storage: &mut CpuStorage) -> Option<&mut [Self]>;
}

macro_rules! real {
    (
        $t:ty,
        $variant:ident,
        $portable:ty,
        $avx2:ident,
        $avx512:ident,
        [$exp:path, $ln_1p:path, $tanh:path, $erf:path]
    ) => {
        impl Number for $t {
            type Portable = $portable;
            #[cfg(target_arch = "x86_64")]
            type Avx2 = $avx2;
            #[cfg(target_arch = "x86_64")]
            type Avx512 = $avx512;

            const IMAGES: usize = 1;
            const ZERO: Self = 0.0;
            const ONE: Self = 1.0;
            const LOWEST: Self = <$t>::NEG_INFINITY;

            #[inline(always)]
            #[allow(clippy::cast_possible_truncation, reason = "the precision that the network computes in")]
            fn of(v: f64) -> Self {
                v as $t
            }
            #[inline(always)]
            #[allow(clippy::useless_conversion, reason = "one of the two types is f64")]
            fn image(self, _: usize) -> f64 {
                f64::from(self)
            }
            #[inline(always)]
            fn fma(self, a: Self, b: Self) -> Self {
                self.mul_add(a, b)
            }
            #[inline(always)]
            fn larger(self, other: Self) -> Self {
                if self > other { self } else { other }
            }
            #[inline(always)]
            fn smaller(self, other: Self) -> Self {
                if other < self { other } else { self }
            }
            #[inline(always)]
            fn where_within(self, x: Self, min: Self, max: Self) -> Self {
                if x >= min && x <= max { self } else { 0.0 }
            }
            #[inline(always)]
            fn where_positive(self, x: Self) -> Self {
                if x > 0.0 { self } else { 0.0 }
            }
            #[inline(always)]
            #[allow(clippy::float_cmp, reason = "the largest under a window is one of them")]
            fn where_equal(self, a: Self, b: Self) -> Self {
                if a == b { self } else { 0.0 }
            }
            #[inline(always)]
            fn sqrt(self) -> Self {
                self.sqrt()
            }
            #[inline(always)]
            fn exp(self) -> Self {
                $exp(self)
            }
            #[inline(always)]
            fn ln_1p(self) -> Self {
                $ln_1p(self)
            }
            #[inline(always)]
            fn tanh(self) -> Self {
                $tanh(self)
            }
            #[inline(always)]
            fn erf(self) -> Self {
                $erf(self)
            }
        }

        impl Real for $t {
            fn storage(storage: &CpuStorage) -> Option<&[Self]> {
                match storage {
                    CpuStorage::$variant(data) => Some(data),
                    _ => None,
                }
            }
            fn storage_mut(storage: &mut CpuStorage) -> Option<&mut [Self]> {
                match storage {
                    CpuStorage::$variant(data) => Some(data),
                    _ => None,
                }
            }
        }
    };
}
real!(f32, F32, Array<f32, 4>, F32x8, F32x16, [elementary::exp, elementary::ln_1p, elementary::tanh, elementary::erf]);
real!(f64, F64, Array<f64, 2>, F64x4, F64x8, [f64::exp, f64::ln_1p, f64::tanh, erf_f64]);

/// Some scalars side by side in a register.
///
/// The methods are meaningful only inside a function compiled for the instructions of the type, which is where
/// [`vectorized!`] puts them.
pub trait Vector: Copy {
    /// What a lane holds.
    type Scalar: Number;
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
    /// The scalar `at` of a slice in every lane. Loops that read it by index keep one register for the index; by pointers, a
    /// loop of many rows counts up each.
    ///
    /// # Safety
    /// `at` is less than the slice's length.
    #[inline(always)]
    unsafe fn broadcast(from: &[Self::Scalar], at: usize) -> Self {
        // SAFETY: the caller's promise.
        Self::splat(unsafe { *from.get_unchecked(at) })
    }
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
    /// The larger of two, lane by lane; `other` where one of them is NaN.
    fn max(self, other: Self) -> Self;
    /// `self` in the lanes where `x > 0`, else 0.
    fn where_positive(self, x: Self) -> Self;
    /// `self` in the lanes where `a == b`, else 0.
    fn where_equal(self, a: Self, b: Self) -> Self;

    /// All lanes added up, neighbours first.
    #[inline(always)]
    fn sum(self) -> Self::Scalar {
        let mut lanes = [Self::Scalar::ZERO; 16];
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
        Self::splat(Self::Scalar::ZERO)
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

impl<T: Number, const N: usize> Array<T, N> {
    #[inline(always)]
    fn each(f: impl Fn(usize) -> T) -> Self {
        Array(std::array::from_fn(f))
    }
}

impl<T: Number, const N: usize> Vector for Array<T, N> {
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
        Array::each(|i| self.0[i].where_positive(x.0[i]))
    }
    #[inline(always)]
    fn where_equal(self, a: Self, b: Self) -> Self {
        Array::each(|i| self.0[i].where_equal(a.0[i], b.0[i]))
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
            $crate::engine::cpu::isa::Level::Portable => $kernel::<<$scalar as $crate::engine::cpu::vector::Number>::Portable>($($arg),*),
            #[cfg(target_arch = "x86_64")]
            $crate::engine::cpu::isa::Level::Avx2(v3) => $crate::engine::cpu::isa::compiled_for(
                v3,
                #[inline(always)]
                || $kernel::<<$scalar as $crate::engine::cpu::vector::Number>::Avx2>($($arg),*),
            ),
            #[cfg(target_arch = "x86_64")]
            $crate::engine::cpu::isa::Level::Avx512(v4) => $crate::engine::cpu::isa::compiled_for(
                v4,
                #[inline(always)]
                || $kernel::<<$scalar as $crate::engine::cpu::vector::Number>::Avx512>($($arg),*),
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
            $kernel::<crate::engine::cpu::vector::Array<$vector::Scalar, 1>>(c0, $($arg),*);
            c0 += 1;
        }
    }};
}
pub(crate) use for_groups;

#[cfg(test)]
mod tests {

    use super::*;
    use crate::engine::cpu::isa::{Isa, Level};

    /// As many numbers as the widest vector has lanes, of both signs, with a zero.
    fn numbers<T: Number>(phase: f64) -> Vec<T> {
        (0..16).map(|i| T::of(if i == 5 { 0.0 } else { (1.7 * f64::from(i) + phase).sin() })).collect()
    }

    /// Every operation of a vector against the same on scalars.
    #[inline(always)]
    fn operations<V: Vector>(checked: &mut usize) {
        let zero = V::Scalar::default();
        let (x, y, z) = (numbers::<V::Scalar>(0.3), numbers::<V::Scalar>(1.1), numbers::<V::Scalar>(2.9));
        // Equal to `x` in every other lane.
        let twin: Vec<V::Scalar> = (0..16).map(|i| if i % 2 == 0 { x[i] } else { y[i] }).collect();
        // SAFETY: all slices hold 16 scalars, and no vector has more lanes.
        let (a, b, c, t) = unsafe { (V::read(&x, 0), V::read(&y, 0), V::read(&z, 0), V::read(&twin, 0)) };
        let lanes = |v: V| {
            // One scalar more on both sides, to see that they stay.
            let mut out = vec![V::Scalar::of(7.0); V::LANES + 2];
            // SAFETY: `1 + LANES` scalars are there.
            unsafe { v.write(&mut out, 1) };
            assert!(out[0] == V::Scalar::of(7.0) && out[V::LANES + 1] == V::Scalar::of(7.0));
            out[1..=V::LANES].to_vec()
        };
        let each = |f: &dyn Fn(usize) -> V::Scalar| (0..V::LANES).map(f).collect::<Vec<_>>();
        let expected: [(&str, V, Vec<V::Scalar>); 10] = [
            ("splat", V::splat(y[3]), each(&|_| y[3])),
            ("zero", V::zero(), each(&|_| zero)),
            ("load", a, each(&|i| x[i])),
            ("mul_add", a.mul_add(b, c), each(&|i| x[i].fma(y[i], z[i]))),
            ("add", a.add(b), each(&|i| x[i] + y[i])),
            ("sub", a.sub(b), each(&|i| x[i] - y[i])),
            ("mul", a.mul(b), each(&|i| x[i] * y[i])),
            ("max", a.max(b), each(&|i| x[i].larger(y[i]))),
            ("where_positive", b.where_positive(a), each(&|i| y[i].where_positive(x[i]))),
            ("where_equal", c.where_equal(a, t), each(&|i| if x[i] == twin[i] { z[i] } else { zero })),
        ];
        for (name, found, want) in expected {
            assert_eq!(lanes(found), want, "{name} of {} lanes of {:?}", V::LANES, std::any::type_name::<V::Scalar>());
        }
        // Whole numbers, so that no order of additions rounds.
        let whole: Vec<V::Scalar> = (0..16).map(|i| V::Scalar::of(f64::from(i * i - 40))).collect();
        let sum = whole[..V::LANES].iter().fold(zero, |sum, v| sum + *v);
        // SAFETY: 16 scalars are there.
        assert!(unsafe { V::read(&whole, 0) }.sum() == sum, "sum of {} lanes", V::LANES);
        // A place that is aligned to one scalar alone.
        let shifted: Vec<V::Scalar> = [&[zero][..], &x].concat();
        // SAFETY: 17 scalars are there.
        assert_eq!(lanes(unsafe { V::read(&shifted, 1) }), each(&|i| x[i]), "an unaligned load");
        *checked += V::LANES;
    }

    /// The vector and its halves, down to the single scalar.
    #[inline(always)]
    fn with_halves<V: Vector>(checked: &mut usize) {
        operations::<V>(checked);
        operations::<V::Half>(checked);
        operations::<<V::Half as Vector>::Half>(checked);
        operations::<<<V::Half as Vector>::Half as Vector>::Half>(checked);
    }

    #[test]
    fn every_operation_of_every_register() {
        for isa in Isa::available() {
            let (mut single, mut double) = (0, 0);
            vectorized!(isa, f32, with_halves(&mut single));
            vectorized!(isa, f64, with_halves(&mut double));
            let want = match isa.level() {
                Level::Portable => (4 + 3, 2 + 3),
                #[cfg(target_arch = "x86_64")]
                Level::Avx2(_) => (8 + 4 + 2, 4 + 3),
                #[cfg(target_arch = "x86_64")]
                Level::Avx512(_) => (16 + 8 + 4 + 1, 8 + 4 + 2),
            };
            assert_eq!((single, double), want, "{isa}");
        }
    }

    #[inline(always)]
    fn covered<V: Vector>(groups: &mut Vec<(usize, usize)>, channels: usize) {
        #[inline(always)]
        fn group<V: Vector>(c0: usize, groups: &mut Vec<(usize, usize)>) {
            groups.push((c0, V::LANES));
        }
        for_groups!(V, channels, group(groups));
    }

    /// Groups lie side by side, the widest first, and none looks beyond the last channel.
    #[test]
    fn groups_cover_all_channels_once() {
        for isa in Isa::available() {
            for channels in 0..70 {
                let mut groups = Vec::new();
                vectorized!(isa, f32, covered(&mut groups, channels));
                let mut next = 0;
                for (c0, lanes) in &groups {
                    assert_eq!(*c0, next, "{channels} channels on {isa}: {groups:?}");
                    next += lanes;
                }
                assert_eq!(next, channels, "{channels} channels on {isa}: {groups:?}");
                assert!(groups.is_sorted_by(|a, b| a.1 >= b.1), "{channels} channels on {isa}: {groups:?}");
                let narrow = groups.iter().filter(|g| g.1 == 1).count();
                assert!(narrow < 4, "{channels} channels on {isa} in {narrow} single scalars");
            }
        }
    }

    /// As the comparisons of scalars have it.
    #[test]
    fn what_is_no_number_is_neither_positive_nor_equal() {
        #[inline(always)]
        fn check<V: Vector>(_: ()) {
            let (one, nan) = (V::splat(V::Scalar::of(1.0)), V::splat(V::Scalar::of(f64::NAN)));
            assert!(one.where_positive(nan).sum() == V::Scalar::default());
            assert!(one.where_equal(nan, nan).sum() == V::Scalar::default());
        }
        for isa in Isa::available() {
            vectorized!(isa, f32, check(()));
            vectorized!(isa, f64, check(()));
        }
    }
}
