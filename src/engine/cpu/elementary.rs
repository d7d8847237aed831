//! Special functions in single precision without branches or calls, so that loops over them become vector code: the
//! standard library's are called one number at a time.

use std::f32::consts::LOG2_E;

/// Adding this rounds a small number to the nearest integer, which then stands in the lowest bits.
const ROUND: f32 = 12_582_912.0;

/// `e^x`, to two units in the last place; 0 below -87.3, infinite above 88.7.
///
/// `2^n e^r` with `|r| <= ln 2 / 2`, the polynomial by Moshier (Cephes).
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    let inside = x.clamp(-87.3, 88.7);
    let shifted = inside.mul_add(LOG2_E, ROUND);
    let n = shifted - ROUND;
    let r = n.mul_add(-LN2_LOW, n.mul_add(-LN2_HIGH, inside));
    let mut p = 1.987_569_1e-4_f32;
    for c in [1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5] {
        p = p.mul_add(r, c);
    }
    let series = p.mul_add(r * r, r) + 1.0;
    // Two factors, since 2^128 is no number and e^88.7 is one.
    let n = shifted.to_bits() as i32 - ROUND.to_bits() as i32;
    let power = |n: i32| f32::from_bits(((n + 127) << 23) as u32);
    let y = series * power(n >> 1) * power(n - (n >> 1));
    if x > 88.73 {
        f32::INFINITY
    } else if x < -87.3 {
        0.0
    } else if x.is_nan() {
        x
    } else {
        y
    }
}

/// `ln(1 + x)` for `0 <= x <= 1`, to two units in the last place: `2 artanh(x / (2 + x))` as a series.
#[inline(always)]
pub fn ln_1p(x: f32) -> f32 {
    let s = x / (2.0 + x);
    let square = s * s;
    let mut p = 1.0 / 15.0;
    for odd in [13.0, 11.0, 9.0, 7.0, 5.0, 3.0] {
        p = square.mul_add(p, 1.0 / odd);
    }
    2.0 * (p * square).mul_add(s, s)
}

/// Hyperbolic tangent, to 2.5e-7.
#[inline(always)]
pub fn tanh(x: f32) -> f32 {
    1.0 - 2.0 / (exp(2.0 * x) + 1.0)
}

/// The error function, to three units in the last place: a quotient of polynomials fitted on `[-4, 4]`, outside of which it is one
/// in single precision (the coefficients are those of Eigen).
#[inline(always)]
pub fn erf(x: f32) -> f32 {
    let x = x.clamp(-4.0, 4.0);
    let square = x * x;
    let mut p = -2.726_142_4e-10_f32;
    for c in [2.770_681_5e-8, -2.101_024_1e-6, -5.692_506_4e-5, -7.349_906_2e-4, -2.954_6e-3, -1.609_603_3e-2] {
        p = p.mul_add(square, c);
    }
    let mut q = -1.456_607_2e-5_f32;
    for c in [-2.133_740_6e-4, -1.682_827e-3, -7.373_329_2e-3, -1.426_473_9e-2] {
        q = q.mul_add(square, c);
    }
    x * p / q
}

#[cfg(test)]
mod tests {
    use candle_core::cpu::erf::erf_f64;

    /// The largest error over a range, relative to the larger of the value and `least`.
    fn error(of: impl Fn(f32) -> f32, exact: impl Fn(f64) -> f64, from: f32, to: f32, least: f64) -> f64 {
        let at = |i: u32| from + (to - from) * i as f32 / 1e5;
        let one = |x: f32| (f64::from(of(x)) - exact(f64::from(x))).abs() / exact(f64::from(x)).abs().max(least);
        (0..=100_000).map(|i| one(at(i))).fold(0.0, f64::max)
    }

    #[test]
    fn agree_with_double_precision() {
        assert!(error(super::exp, f64::exp, -87.2, 88.7, 0.0) < 2.5e-7);
        assert!(error(super::ln_1p, f64::ln_1p, 0.0, 1.0, 1e-30) < 2.5e-7);
        assert!(error(super::tanh, f64::tanh, -12.0, 12.0, 1.0) < 2.5e-7);
        assert!(error(super::erf, erf_f64, -6.0, 6.0, 1e-6) < 4e-7);
    }

    #[test]
    fn ends_of_the_exponential() {
        assert_eq!(super::exp(0.0), 1.0);
        assert_eq!(super::exp(-1000.0), 0.0);
        assert_eq!(super::exp(1000.0), f32::INFINITY);
        assert!(super::exp(f32::NAN).is_nan());
    }
}
