//! Point-wise activations other than ReLU, whose gradient is made anew from what went in.

use super::load::Source;
use crate::arch::op::Act;
use crate::engine::call::Activation;
use crate::engine::cpu::isa::Isa;
use crate::engine::cpu::vector::Number;

/// `sqrt(2 / pi)`.
const ROOT: f64 = 0.797_884_560_802_865_4;
/// The cubic term of [`Act::GeluTanh`].
const CUBIC: f64 = 0.044_715;

impl Activation {
    /// `y = f(x)`.
    pub fn forward<T: Number>(self, isa: Isa, x: Source<'_, T>, y: &mut [T]) {
        let of = |v: f64| T::of(v);
        let (one, half) = (T::ONE, of(0.5));
        match self {
            Activation::Act(Act::Relu) => x.read(isa, true, y),
            Activation::Act(Act::Sigmoid) => map(
                isa,
                x,
                y,
                #[inline(always)]
                |x| sigmoid(x),
            ),
            Activation::Act(Act::Silu) => map(
                isa,
                x,
                y,
                #[inline(always)]
                |x| x * sigmoid(x),
            ),
            Activation::Act(Act::Gelu) => {
                map(
                    isa,
                    x,
                    y,
                    #[inline(always)]
                    |x| x * half * (one + (x * of(std::f64::consts::FRAC_1_SQRT_2)).erf()),
                );
            }
            Activation::Act(Act::GeluTanh) => {
                map(
                    isa,
                    x,
                    y,
                    #[inline(always)]
                    |x| x * half * (one + (of(ROOT) * (x * x * x).fma(of(CUBIC), x)).tanh()),
                );
            }
            Activation::Act(Act::Softplus) => {
                map(
                    isa,
                    x,
                    y,
                    #[inline(always)]
                    |x| x.larger(T::ZERO) + (-x.larger(-x)).exp().ln_1p(),
                );
            }
            Activation::Act(Act::Tanh) => map(
                isa,
                x,
                y,
                #[inline(always)]
                |x: T| x.tanh(),
            ),
            Activation::Act(Act::Erf) => map(
                isa,
                x,
                y,
                #[inline(always)]
                |x: T| x.erf(),
            ),
            Activation::Act(Act::Elu) => map(
                isa,
                x,
                y,
                #[inline(always)]
                |x| x.larger(T::ZERO) + (x.smaller(T::ZERO).exp() - one),
            ),
            Activation::Clip { min, max } => {
                let (min, max) = (of(min.into()), of(max.into()));
                map(
                    isa,
                    x,
                    y,
                    #[inline(always)]
                    |x| x.larger(min).smaller(max),
                );
            }
        }
    }

    /// `dx (+)= dy f'(x)`.
    pub fn backward<T: Number>(self, isa: Isa, x: Source<'_, T>, dy: &[T], (dx, accumulate): (&mut [T], bool)) {
        let of = |v: f64| T::of(v);
        let (one, half) = (T::ONE, of(0.5));
        let to = Target { dy, dx, accumulate };
        match self {
            Activation::Act(Act::Relu) => {
                slope(
                    isa,
                    x,
                    to,
                    #[inline(always)]
                    |x| one.where_positive(x),
                );
            }
            Activation::Act(Act::Sigmoid) => slope(
                isa,
                x,
                to,
                #[inline(always)]
                |x| {
                    let s = sigmoid(x);
                    s * (one - s)
                },
            ),
            Activation::Act(Act::Silu) => slope(
                isa,
                x,
                to,
                #[inline(always)]
                |x| {
                    let s = sigmoid(x);
                    s * (one + x * (one - s))
                },
            ),
            Activation::Act(Act::Gelu) => slope(
                isa,
                x,
                to,
                #[inline(always)]
                |x| {
                    let density = (-half * x * x).exp() * of(0.5 * ROOT);
                    half * (one + (x * of(std::f64::consts::FRAC_1_SQRT_2)).erf()) + x * density
                },
            ),
            Activation::Act(Act::GeluTanh) => slope(
                isa,
                x,
                to,
                #[inline(always)]
                |x| {
                    let t = (of(ROOT) * (x * x * x).fma(of(CUBIC), x)).tanh();
                    let inner = of(ROOT) * (x * x).fma(of(3.0 * CUBIC), one);
                    half * (one + t) + half * x * (one - t * t) * inner
                },
            ),
            Activation::Act(Act::Softplus) => slope(
                isa,
                x,
                to,
                #[inline(always)]
                |x| sigmoid(x),
            ),
            Activation::Act(Act::Tanh) => slope(
                isa,
                x,
                to,
                #[inline(always)]
                |x: T| {
                    let t = x.tanh();
                    one - t * t
                },
            ),
            Activation::Act(Act::Erf) => {
                slope(
                    isa,
                    x,
                    to,
                    #[inline(always)]
                    |x| (-x * x).exp() * of(std::f64::consts::FRAC_2_SQRT_PI),
                );
            }
            Activation::Act(Act::Elu) => slope(
                isa,
                x,
                to,
                #[inline(always)]
                |x| x.smaller(T::ZERO).exp(),
            ),
            Activation::Clip { min, max } => {
                let (min, max) = (of(min.into()), of(max.into()));
                slope(
                    isa,
                    x,
                    to,
                    #[inline(always)]
                    |x| one.where_within(x, min, max),
                );
            }
        }
    }
}

#[inline(always)]
fn sigmoid<T: Number>(x: T) -> T {
    T::ONE / (T::ONE + (-x).exp())
}

/// Where a gradient comes from and goes to.
struct Target<'a, T> {
    dy: &'a [T],
    dx: &'a mut [T],
    accumulate: bool,
}

#[inline(always)]
fn map<T: Number>(isa: Isa, x: Source<'_, T>, y: &mut [T], f: impl Fn(T) -> T) {
    let values = &x.values[..y.len()];
    isa.run(
        #[inline(always)]
        || match x.affine {
            None => {
                for (y, x) in y.iter_mut().zip(values) {
                    *y = f(*x);
                }
            }
            Some((scale, shift)) => {
                let c = scale.len();
                for (y, x) in y.chunks_exact_mut(c).zip(values.chunks_exact(c)) {
                    for (((y, x), a), b) in y.iter_mut().zip(x).zip(scale).zip(shift) {
                        *y = f(x.fma(*a, *b));
                    }
                }
            }
        },
    );
}

#[inline(always)]
fn slope<T: Number>(isa: Isa, x: Source<'_, T>, to: Target<'_, T>, f: impl Fn(T) -> T) {
    let Target { dy, dx, accumulate } = to;
    let values = &x.values[..dx.len()];
    isa.run(
        #[inline(always)]
        || match x.affine {
            None if accumulate => {
                for ((d, g), x) in dx.iter_mut().zip(dy).zip(values) {
                    *d += *g * f(*x);
                }
            }
            None => {
                for ((d, g), x) in dx.iter_mut().zip(dy).zip(values) {
                    *d = *g * f(*x);
                }
            }
            Some((scale, shift)) => {
                let c = scale.len();
                for ((d, g), x) in dx.chunks_exact_mut(c).zip(dy.chunks_exact(c)).zip(values.chunks_exact(c)) {
                    for ((((d, g), x), a), b) in d.iter_mut().zip(g).zip(x).zip(scale).zip(shift) {
                        let old = if accumulate { *d } else { T::ZERO };
                        *d = old + *g * f(x.fma(*a, *b));
                    }
                }
            }
        },
    );
}
