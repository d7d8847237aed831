//! Bayesian linear regression: what networks are worth, predicted from a few that were measured.
//!
//! Values are a mean, plus weights times standardised features, plus noise; weights have a normal prior, so that the posterior
//! mean is that of ridge regression. The penalty is the one of seven with the least error when every value is predicted from
//! the others, which linear regression tells without fitting anew (Hastie et al. 2009, equation 7.64).

use crate::seed::Stream;

/// Penalties to choose from, for features whose squares sum to one a group on average.
const PENALTIES: [f64; 7] = [0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0];

/// Features of a network in groups; every group counts alike, however many features it has.
pub type Features = Vec<Vec<f64>>;

/// A regression.
pub struct Ridge {
    /// Of each feature its mean, and what its difference to the mean is multiplied by.
    scaling: Vec<(f64, f64)>,
    /// The mean of the values.
    mean: f64,
    weights: Vec<f64>,
    /// The lower factor of the weights' precision over that of the noise.
    lower: Vec<Vec<f64>>,
    /// The standard deviation of the noise.
    noise: f64,
}

impl Ridge {
    /// Fits values to features, a row a network: `n d^2 + d^3` multiplications a penalty, less a constant.
    ///
    /// # Panics
    /// For rows of different shapes, and other than one value a row.
    pub fn fit(rows: &[Features], values: &[f64]) -> Ridge {
        assert_eq!(rows.len(), values.len(), "one value a row");
        let n = values.len().max(1) as f64;
        let mean = values.iter().sum::<f64>() / n;
        let scaling = scaling(rows);
        let x: Vec<Vec<f64>> = rows.iter().map(|row| scaled(&scaling, row)).collect();
        let y: Vec<f64> = values.iter().map(|value| value - mean).collect();
        let (gram, sides) = sums(&x, &y);
        let fits = PENALTIES.map(|penalty| Fit::new(&x, &y, &gram, &sides, penalty));
        let best = fits.into_iter().reduce(|a, b| if b.left_out < a.left_out { b } else { a });
        let Fit { weights, lower, noise, .. } = best.unwrap_or_else(|| unreachable!("there are penalties"));
        Ridge { scaling, mean, weights, lower, noise }
    }

    /// What a network is expected to be worth.
    pub fn predict(&self, row: &Features) -> f64 {
        self.mean + dot(&self.weights, &scaled(&self.scaling, row))
    }

    /// The same regression with weights drawn from their posterior, for Thompson sampling.
    #[must_use]
    pub fn drawn(mut self, stream: &mut Stream) -> Ridge {
        let mut z: Vec<f64> = self.weights.iter().map(|_| self.noise * f64::from(stream.normal())).collect();
        // The transposed factor's inverse: its covariance is the inverse of the precision.
        for i in (0..z.len()).rev() {
            let above: f64 = (i + 1..z.len()).map(|j| self.lower[j][i] * z[j]).sum();
            z[i] = (z[i] - above) / self.lower[i][i];
        }
        self.weights.iter_mut().zip(z).for_each(|(weight, step)| *weight += step);
        self
    }
}

/// Of each feature its mean and the inverse of its deviation times the root of its group's size; 0 where it does not vary.
fn scaling(rows: &[Features]) -> Vec<(f64, f64)> {
    let Some(first) = rows.first() else { return Vec::new() };
    let n = rows.len() as f64;
    let of = |group: usize, i: usize| {
        let column = || rows.iter().map(move |row| row[group][i]);
        let mean = column().sum::<f64>() / n;
        let deviation = (column().map(|v| (v - mean).powi(2)).sum::<f64>() / n).sqrt();
        let varies = deviation > 1e-9 * mean.abs().max(1.0);
        (mean, if varies { 1.0 / (deviation * (first[group].len() as f64).sqrt()) } else { 0.0 })
    };
    (0..first.len()).flat_map(|group| (0..first[group].len()).map(move |i| (group, i))).map(|(g, i)| of(g, i)).collect()
}

fn scaled(scaling: &[(f64, f64)], row: &Features) -> Vec<f64> {
    assert_eq!(row.iter().map(Vec::len).sum::<usize>(), scaling.len(), "features of one shape");
    row.iter().flatten().zip(scaling).map(|(value, (mean, by))| (value - mean) * by).collect()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// What fits need of rows and values: products of features, of which those below the diagonal count, and of features with
/// values.
fn sums(x: &[Vec<f64>], y: &[f64]) -> (Vec<Vec<f64>>, Vec<f64>) {
    let d = x.first().map_or(0, Vec::len);
    let (mut gram, mut sides) = (vec![vec![0.0; d]; d], vec![0.0; d]);
    for (row, y) in x.iter().zip(y) {
        for (i, value) in row.iter().enumerate() {
            gram[i][..=i].iter_mut().zip(row).for_each(|(sum, other)| *sum += value * other);
            sides[i] += value * y;
        }
    }
    (gram, sides)
}

/// A fit with one penalty.
struct Fit {
    weights: Vec<f64>,
    lower: Vec<Vec<f64>>,
    noise: f64,
    /// The mean square by which values differ from their predictions from the others.
    left_out: f64,
}

impl Fit {
    fn new(x: &[Vec<f64>], y: &[f64], gram: &[Vec<f64>], sides: &[f64], penalty: f64) -> Fit {
        let n = x.len();
        let lower = factor(gram.len(), |i, j| gram[i][j] + if i == j { penalty } else { 0.0 });
        let weights = backward(&lower, &forward(&lower, sides));
        let (mut left_out, mut residual, mut freedom) = (0.0, 0.0, n as f64);
        for (row, y) in x.iter().zip(y) {
            let half = forward(&lower, row);
            // The mean takes a degree of freedom as well.
            let leverage = dot(&half, &half) + 1.0 / n as f64;
            let error = y - dot(&weights, row);
            left_out += (error / (1.0 - leverage).max(1e-9)).powi(2) / n as f64;
            residual += error * error;
            freedom -= leverage;
        }
        Fit { weights, lower, noise: (residual / freedom.max(1.0)).sqrt(), left_out }
    }
}

/// The lower Cholesky factor of a positive definite matrix.
fn factor(d: usize, matrix: impl Fn(usize, usize) -> f64) -> Vec<Vec<f64>> {
    let mut lower = vec![vec![0.0; d]; d];
    for i in 0..d {
        for j in 0..=i {
            let rest = matrix(i, j) - dot(&lower[i][..j], &lower[j][..j]);
            lower[i][j] = if i == j { rest.sqrt() } else { rest / lower[j][j] };
        }
    }
    lower
}

/// Solves with the factor.
fn forward(lower: &[Vec<f64>], side: &[f64]) -> Vec<f64> {
    let mut x = Vec::with_capacity(side.len());
    for (row, side) in lower.iter().zip(side) {
        let i = x.len();
        x.push((side - dot(&row[..i], &x)) / row[i]);
    }
    x
}

/// Solves with the factor's transpose.
fn backward(lower: &[Vec<f64>], side: &[f64]) -> Vec<f64> {
    let mut x = side.to_vec();
    for i in (0..x.len()).rev() {
        let above: f64 = (i + 1..x.len()).map(|j| lower[j][i] * x[j]).sum();
        x[i] = (x[i] - above) / lower[i][i];
    }
    x
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::Seed;

    fn rows(n: u64, d: usize) -> Vec<Features> {
        (0..n).map(|i| vec![(0..d).map(|j| Seed::root(i).index(j as u64).stream().normal().into()).collect()]).collect()
    }

    #[test]
    fn a_line_is_found_and_what_does_not_vary_is_left_out() {
        let mut x = rows(200, 3);
        x.iter_mut().for_each(|row| row.push(vec![7.0]));
        let y: Vec<f64> = x.iter().map(|row| 2.0 + row[0][0] - 0.5 * row[0][2]).collect();
        let ridge = Ridge::fit(&x, &y);
        for (row, y) in x.iter().zip(&y) {
            assert!((ridge.predict(row) - y).abs() < 0.01);
        }
    }

    /// The closed form of leaving one out against fitting without it.
    #[test]
    fn leaving_one_out_is_fitting_without_it() {
        let x: Vec<Vec<f64>> = rows(12, 3).into_iter().map(|mut row| row.remove(0)).collect();
        let y: Vec<f64> =
            (0..12).map(|i| x[i][0] + 0.3 * f64::from(Seed::root(100 + i as u64).stream().normal())).collect();
        // Columns and values are centred by what is fitted to them, as `Ridge::fit` does once for all rows; a column of ones
        // that is not penalised is the same.
        let mean = |of: &dyn Fn(usize) -> f64, left: usize| (0..12).filter(|i| *i != left).map(of).sum::<f64>() / 11.0;
        let with = |x: &[Vec<f64>], y: &[f64]| {
            let (gram, sides) = sums(x, y);
            Fit::new(x, y, &gram, &sides, 1.0)
        };
        let mut apart = 0.0;
        for left in 0..12 {
            let centre: Vec<f64> = (0..3).map(|j| mean(&|i| x[i][j], left)).collect();
            let middle = mean(&|i| y[i], left);
            let others: Vec<usize> = (0..12).filter(|i| *i != left).collect();
            let row = |i: usize| (0..3).map(|j| x[i][j] - centre[j]).collect::<Vec<f64>>();
            let (rows, values): (Vec<_>, Vec<_>) = others.iter().map(|i| (row(*i), y[*i] - middle)).unzip();
            let fit = with(&rows, &values);
            apart += (y[left] - middle - dot(&fit.weights, &row(left))).powi(2) / 12.0;
        }
        let (centre, middle): (Vec<f64>, f64) =
            ((0..3).map(|j| x.iter().map(|row| row[j]).sum::<f64>() / 12.0).collect(), y.iter().sum::<f64>() / 12.0);
        let rows: Vec<Vec<f64>> = x.iter().map(|row| row.iter().zip(&centre).map(|(v, c)| v - c).collect()).collect();
        let values: Vec<f64> = y.iter().map(|y| y - middle).collect();
        let fit = with(&rows, &values);
        assert!((fit.left_out - apart).abs() < 1e-12 * apart.max(1.0), "{} against {apart}", fit.left_out);
    }

    /// Draws spread by the posterior of the weights: for one standardised feature, noise over the root of its precision.
    #[test]
    fn draws_spread_as_the_posterior_does() {
        let x = rows(50, 1);
        let y: Vec<f64> =
            (0..50).map(|i| x[i][0][0] + f64::from(Seed::root(500 + i as u64).stream().normal())).collect();
        let fit = Ridge::fit(&x, &y);
        let (weight, sd) = (fit.weights[0], fit.noise / fit.lower[0][0]);
        let mut stream = Seed::root(9).stream();
        let draws: Vec<f64> = (0..4000).map(|_| Ridge::fit(&x, &y).drawn(&mut stream).weights[0] - weight).collect();
        let mean = draws.iter().sum::<f64>() / 4000.0;
        let spread = (draws.iter().map(|d| d * d).sum::<f64>() / 4000.0).sqrt();
        assert!(mean.abs() < 0.06 * sd && (spread / sd - 1.0).abs() < 0.05, "{mean} {spread} {sd}");
    }

    #[test]
    fn nothing_measured_predicts_nothing() {
        assert_eq!(Ridge::fit(&[], &[]).predict(&Vec::new()), 0.0);
        let one = Ridge::fit(&rows(1, 2), &[3.0]);
        assert_eq!(one.predict(&vec![vec![5.0, -5.0]]), 3.0);
    }
}
