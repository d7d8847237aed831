//! The number types that the kernels are written for: `f32` in use, `f64` for checking gradients with the same code.

use std::fmt::Debug;
use std::ops::{AddAssign, Neg};

use candle_core::cpu::erf::erf_f64;
use candle_core::{CpuStorage, WithDType};

use super::special;
use super::vector::{Array, Vector};

/// A floating-point type of the engine.
pub trait Real: WithDType + Send + Sync + Debug + Neg<Output = Self> + AddAssign + Default {
    /// Vectors of what every target has.
    type Portable: Vector<Scalar = Self>;
    /// Vectors of AVX2.
    #[cfg(target_arch = "x86_64")]
    type Avx2: Vector<Scalar = Self>;
    /// Vectors of AVX-512.
    #[cfg(target_arch = "x86_64")]
    type Avx512: Vector<Scalar = Self>;
    /// Smaller than every number.
    const LOWEST: Self;
    /// Fused `self * a + b`.
    fn fma(self, a: Self, b: Self) -> Self;
    /// The larger of two.
    fn larger(self, other: Self) -> Self;
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
    /// Mutable view of a host storage of this type.
    fn of_storage(storage: &mut CpuStorage) -> Option<&mut [Self]>;
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
        impl Real for $t {
            type Portable = $portable;
            #[cfg(target_arch = "x86_64")]
            type Avx2 = super::vector::$avx2;
            #[cfg(target_arch = "x86_64")]
            type Avx512 = super::vector::$avx512;

            const LOWEST: Self = <$t>::NEG_INFINITY;

            #[inline(always)]
            fn fma(self, a: Self, b: Self) -> Self {
                self.mul_add(a, b)
            }
            #[inline(always)]
            fn larger(self, other: Self) -> Self {
                if other > self { other } else { self }
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
            fn of_storage(storage: &mut CpuStorage) -> Option<&mut [Self]> {
                match storage {
                    CpuStorage::$variant(data) => Some(data),
                    _ => None,
                }
            }
        }
    };
}
real!(f32, F32, Array<f32, 4>, F32x8, F32x16, [special::exp, special::ln_1p, special::tanh, special::erf]);
real!(f64, F64, Array<f64, 2>, F64x4, F64x8, [f64::exp, f64::ln_1p, f64::tanh, erf_f64]);

/// Calls `$body` for every group of channels `c0..c0 + L`, `L` a constant of 16, 8, 4 or 1, so that the inner loops
/// over `[T; L]` become whole vector instructions whatever the number of channels.
macro_rules! for_channels {
    ($channels:expr, |$c0:ident, $lanes:ident| $body:block) => {{
        let channels = $channels;
        let mut $c0 = 0;
        while $c0 + 16 <= channels {
            const $lanes: usize = 16;
            $body
            $c0 += 16;
        }
        while $c0 + 8 <= channels {
            const $lanes: usize = 8;
            $body
            $c0 += 8;
        }
        while $c0 + 4 <= channels {
            const $lanes: usize = 4;
            $body
            $c0 += 4;
        }
        while $c0 < channels {
            const $lanes: usize = 1;
            $body
            $c0 += 1;
        }
    }};
}
pub(crate) use for_channels;

/// `slice[at..at + L]` as an array.
#[inline(always)]
pub fn lanes<T, const L: usize>(slice: &[T], at: usize) -> &[T; L] {
    slice[at..at + L].first_chunk().expect("the range has length L")
}

/// `slice[at..at + L]` as a mutable array.
#[inline(always)]
pub fn lanes_mut<T, const L: usize>(slice: &mut [T], at: usize) -> &mut [T; L] {
    slice[at..at + L].first_chunk_mut().expect("the range has length L")
}
