//! Welch's test for means of groups whose spreads differ, and its form with a covariate.

use serde::{Deserialize, Serialize};
use statrs::distribution::{ContinuousCDF, StudentsT};

use super::{CONFIDENCE, Moments};
use crate::error::{Error, Result};

/// What a test says of "the first is larger on average than the second".
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Welch {
    /// First minus second.
    pub difference: f64,
    /// Its standard error.
    pub error: f64,
    /// Degrees of freedom.
    pub df: f64,
    /// How likely a difference as large or larger is where there is none: one-sided.
    pub p: f64,
    /// The lower end of the difference's 95 % interval, two-sided.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

impl Welch {
    /// From an estimate, the square of its error, and degrees of freedom.
    pub(super) fn new(difference: f64, error_squared: f64, df: f64) -> Result<Self> {
        let error = error_squared.sqrt();
        if !(error > 0.0 && df.is_finite() && df > 0.0 && difference.is_finite()) {
            return Err(Error::Impossible(
                "numbers that do not spread cannot be tested; expected some that differ within a group".into(),
            ));
        }
        let internal = |e| Error::Internal(format!("Student's distribution of {df} degrees of freedom: {e}"));
        let student = StudentsT::new(0.0, 1.0, df).map_err(internal)?;
        let reach = student.inverse_cdf(0.5 + CONFIDENCE / 2.0) * error;
        let (low, high) = (difference - reach, difference + reach);
        Ok(Welch { difference, error, df, p: student.sf(difference / error), low, high })
    }
}

/// Welch's test (Welch 1947): is the mean of `first` above that of `second`? Spreads may differ.
///
/// # Errors
/// [`Error::Impossible`] for a group of fewer than two, or where nothing spreads.
pub fn welch(first: &[f64], second: &[f64]) -> Result<Welch> {
    let (a, b) = (Moments::of(first)?, Moments::of(second)?);
    let (va, vb) = (a.error_squared(), b.error_squared());
    let df = (va + vb).powi(2) / (va * va / (a.n - 1) as f64 + vb * vb / (b.n - 1) as f64);
    Welch::new(a.mean - b.mean, va + vb, df)
}

/// A number and what it may depend on besides its group, such as the logarithm of a network's multiply-accumulates.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Measured {
    /// The number.
    pub value: f64,
    /// The covariate.
    pub covariate: f64,
}

/// Welch's test at equal covariate: the groups' difference in a linear model with one slope for both, its error by the
/// heteroscedastic estimator HC2 (MacKinnon and White 1985), its degrees of freedom by Satterthwaite's rule with a variance
/// for each group (Bell and McCaffrey 2002, whose working model has one for all). Without a covariate it is [`welch`].
///
/// # Errors
/// [`Error::Impossible`] for a group of fewer than two, where nothing spreads, where the covariate does not vary, or where it
/// alone tells the groups apart.
///
/// # Complexity
/// `n^3` for `n` numbers in all.
pub fn welch_adjusted(first: &[Measured], second: &[Measured]) -> Result<Welch> {
    let all: Vec<Measured> = first.iter().chain(second).copied().collect();
    let (n, own) = (all.len(), first.len());
    if own < 2 || n - own < 2 {
        let (own, other) = (own, n - own);
        return Err(Error::Impossible(format!("groups of {own} and {other}; expected at least 2 in each")));
    }
    let centred = |value: &dyn Fn(usize) -> f64| {
        let mean = (0..n).map(value).sum::<f64>() / n as f64;
        (0..n).map(|i| value(i) - mean).collect::<Vec<f64>>()
    };
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let y = centred(&|i| all[i].value);
    let x = centred(&|i| all[i].covariate);
    let group = centred(&|i| f64::from(u8::from(i < own)));
    // What the group adds to the covariate; constant, covariate and this are orthogonal.
    let (xx, gg) = (dot(&x, &x), dot(&group, &group));
    if xx <= f64::EPSILON * all.iter().map(|m| m.covariate * m.covariate).sum::<f64>() {
        return Err(Error::Impossible("the covariate does not vary; test without it".into()));
    }
    let slope = dot(&x, &group) / xx;
    let added: Vec<f64> = group.iter().zip(&x).map(|(g, x)| g - slope * x).collect();
    let aa = dot(&added, &added);
    if aa <= 1e-10 * gg {
        return Err(Error::Impossible("the covariate alone tells the groups apart; no test can part them".into()));
    }
    let hat = |i: usize, j: usize| 1.0 / n as f64 + x[i] * x[j] / xx + added[i] * added[j] / aa;
    let (on_x, difference) = (dot(&x, &y) / xx, dot(&added, &y) / aa);
    let residual = |i: usize| y[i] - on_x * x[i] - difference * added[i];
    // An unbiased estimate of each number's variance, and its weight in that of the difference.
    let spare: Vec<f64> = (0..n).map(|i| 1.0 - hat(i, i)).collect();
    if spare.iter().any(|s| *s < 1e-10) {
        return Err(Error::Impossible("one number alone decides the slope; expected more of them".into()));
    }
    let variance: Vec<f64> = (0..n).map(|i| residual(i).powi(2) / spare[i]).collect();
    let weight: Vec<f64> = (0..n).map(|i| (added[i] / aa).powi(2)).collect();
    let estimate = dot(&weight, &variance);
    let of_group = [&variance[..own], &variance[own..]].map(|v| v.iter().sum::<f64>() / v.len() as f64);
    // The estimate is a quadratic form of the numbers; its mean and variance under the groups' variances.
    let maker = |i: usize, j: usize| f64::from(u8::from(i == j)) - hat(i, j);
    let (mut trace, mut trace_of_square) = (0.0, 0.0);
    for i in 0..n {
        for j in 0..n {
            let inner: f64 = (0..n).map(|k| maker(i, k) * of_group[usize::from(k >= own)] * maker(k, j)).sum();
            trace_of_square += weight[i] / spare[i] * weight[j] / spare[j] * inner * inner;
            if i == j {
                trace += weight[i] / spare[i] * inner;
            }
        }
    }
    Welch::new(difference, estimate, trace * trace / trace_of_square)
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: [f64; 6] = [45.1, 46.0, 44.2, 45.7, 46.4, 45.3];
    const B: [f64; 10] = [44.0, 43.1, 44.9, 42.7, 45.2, 43.8, 44.4, 43.0, 44.6, 42.9];
    const OF_A: [f64; 6] = [2.08, 2.11, 2.03, 2.09, 2.12, 2.06];
    const OF_B: [f64; 10] = [2.04, 1.99, 2.10, 1.98, 2.12, 2.02, 2.07, 1.97, 2.05, 2.00];

    fn measured(values: &[f64], covariates: &[f64]) -> Vec<Measured> {
        let pairs = values.iter().zip(covariates);
        pairs.map(|(value, covariate)| Measured { value: *value, covariate: *covariate }).collect()
    }

    fn near(found: f64, expected: f64, what: &str) {
        assert!((found - expected).abs() < 1e-9 * (1.0 + expected.abs()), "{what}: {found}, expected {expected}");
    }

    /// ```python
    /// r = scipy.stats.ttest_ind(A, B, equal_var=False, alternative="greater")  # scipy 1.17.1
    /// r.statistic, r.df, r.pvalue, scipy.stats.ttest_ind(A, B, equal_var=False).confidence_interval(0.95)
    /// ```
    #[test]
    fn as_scipy() {
        let w = welch(&A, &B).unwrap();
        near(w.difference / w.error, 3.742010999007936, "t");
        near(w.df, 12.060992436541111, "df");
        near(w.p, 0.0013940181464814998, "p");
        near(w.low, 0.6647300381868986, "low");
        near(w.high, 2.515269961813094, "high");
        near(welch(&B, &A).unwrap().p, 1.0 - w.p, "the other way round");
    }

    /// The error as statsmodels gives it; the degrees of freedom by eigenvalues of the same quadratic form.
    ///
    /// ```python
    /// X = numpy.c_[numpy.ones(16), OF_A + OF_B, [1] * 6 + [0] * 10]
    /// m = statsmodels.api.OLS(A + B, X).fit(cov_type="HC2"); m.params[2], m.bse[2]
    /// P = numpy.linalg.inv(X.T @ X) @ X.T; M = numpy.eye(16) - X @ P; h = 1 - numpy.diag(M); v = (M @ y) ** 2 / (1 - h)
    /// D = numpy.diag(abs(P[2]) / numpy.sqrt(1 - h))
    /// W = numpy.diag([v[:6].mean()] * 6 + [v[6:].mean()] * 10)
    /// l = numpy.linalg.eigvalsh(D @ M @ W @ M @ D); df = l.sum() ** 2 / (l ** 2).sum(); scipy.stats.t.sf(t, df)
    /// ```
    #[test]
    fn at_equal_covariate() {
        let w = welch_adjusted(&measured(&A, &OF_A), &measured(&B, &OF_B)).unwrap();
        near(w.difference, 0.7338331234977744, "difference");
        near(w.error, 0.16121094161327798, "error");
        near(w.df, 7.032287407137641, "df");
        near(w.p, 0.0012995859784122358, "p");
    }

    /// A covariate that has no part in anything leaves Welch's difference and, up to the degree that it costs, his error.
    #[test]
    fn without_effect_of_the_covariate_it_is_welch() {
        // Orthogonal to group and values, by construction.
        let (a, b) = ([1.0, 3.0, 3.0, 1.0, 2.0, 2.0], [5.0, 9.0, 9.0, 5.0]);
        let (of_a, of_b) = ([1.0, 1.0, -1.0, -1.0, 0.0, 0.0], [1.0, 1.0, -1.0, -1.0]);
        let (plain, adjusted) =
            (welch(&a, &b).unwrap(), welch_adjusted(&measured(&a, &of_a), &measured(&b, &of_b)).unwrap());
        near(adjusted.difference, plain.difference, "difference");
        assert!((adjusted.error / plain.error - 1.0).abs() < 0.2 && adjusted.df < plain.df, "{adjusted:?} {plain:?}");
    }

    #[test]
    fn what_cannot_be_tested() {
        let why = |w: Result<Welch>| w.unwrap_err().to_string();
        assert!(why(welch(&[1.0], &B)).contains("1 measured"));
        assert!(why(welch(&[1.0, 1.0], &[2.0, 2.0])).contains("do not spread"));
        assert!(why(welch_adjusted(&measured(&A, &[2.0; 6]), &measured(&B, &[2.0; 10]))).contains("does not vary"));
        assert!(
            why(welch_adjusted(&measured(&A, &[2.0; 6]), &measured(&B, &[3.0; 10]))).contains("tells the groups apart")
        );
        assert!(why(welch_adjusted(&measured(&A[..1], &OF_A), &measured(&B, &OF_B))).contains("groups of 1 and 10"));
    }
}
