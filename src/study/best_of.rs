//! What the best of so many random networks is worth, chosen by one number and told by another: random search of equal cost.

use serde::{Deserialize, Serialize};

use super::{Moments, Welch};
use crate::error::{Error, Result};
use crate::seed::Seed;

/// Resamples from which an error is taken.
const RESAMPLES: u64 = 1000;

/// A network by the number it is chosen by and the number it is judged by.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Chosen {
    /// What it is chosen by: validation.
    pub by: f64,
    /// What is told of it: test.
    pub told: f64,
}

/// The mean of what is told of the best of `networks`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct BestOf {
    /// How many are drawn, of which the best is taken.
    pub networks: usize,
    /// How many were measured.
    pub measured: usize,
    /// The mean over all choices of `networks` of the measured ones.
    pub mean: f64,
    /// Its standard error, by resampling those that were measured (Efron 1979).
    pub error: f64,
}

impl BestOf {
    /// Of networks that were drawn at random.
    ///
    /// # Errors
    /// [`Error::Impossible`] for none, or more than were measured: nothing is known of their best.
    pub fn new(measured: &[Chosen], networks: usize, seed: Seed) -> Result<Self> {
        if !(1..=measured.len()).contains(&networks) {
            return Err(Error::Impossible(format!(
                "the best of {networks} networks, with {} measured; expected at least 1 and at most as many as measured",
                measured.len()
            )));
        }
        let mut order = measured.to_vec();
        order.sort_by(|a, b| b.by.total_cmp(&a.by));
        let shares = shares(measured.len(), networks);
        let mean = |order: &mut dyn Iterator<Item = Chosen>| order.zip(&shares).map(|(n, s)| n.told * s).sum::<f64>();
        let resample = |i| {
            let mut stream = seed.index(i).stream();
            let mut times = vec![0usize; order.len()];
            (0..order.len()).for_each(|_| times[stream.below(order.len())] += 1);
            let again = order.iter().zip(&times).flat_map(|(network, times)| std::iter::repeat_n(*network, *times));
            mean(&mut { again })
        };
        let means: Vec<f64> = (0..RESAMPLES).map(resample).collect();
        let error = Moments::of(&means)?.sd;
        Ok(BestOf { networks, measured: measured.len(), mean: mean(&mut order.iter().copied()), error })
    }

    /// Whether searched networks are better on average than the best of as many random ones. Both errors count, each with
    /// the degrees of freedom of what it was taken from (Satterthwaite's rule, as in Welch's test).
    ///
    /// # Errors
    /// [`Error::Impossible`] for fewer than two searched networks, or where nothing spreads.
    pub fn beaten_by(&self, searched: &[f64]) -> Result<Welch> {
        let searched = Moments::of(searched)?;
        let (own, other) = (searched.error_squared(), self.error * self.error);
        let of_other = (self.measured.max(2) - 1) as f64;
        let df = (own + other).powi(2) / (own * own / (searched.n - 1) as f64 + other * other / of_other);
        Welch::new(searched.mean - self.mean, own + other, df)
    }
}

/// How often each of `n` networks in order is the best of `drawn`: `C(n - 1 - i, drawn - 1) / C(n, drawn)`.
fn shares(n: usize, drawn: usize) -> Vec<f64> {
    let mut share = drawn as f64 / n as f64;
    (0..n)
        .map(|i| {
            let own = share;
            let left = n - 1 - i;
            share *= if left >= drawn { (left - drawn + 1) as f64 / left as f64 } else { 0.0 };
            own
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::Stream;

    #[test]
    fn shares_are_those_of_all_choices() {
        // Of the ten pairs of five, the first is in four, and so on.
        for (found, expected) in shares(5, 2).into_iter().zip([0.4, 0.3, 0.2, 0.1, 0.0]) {
            assert!((found - expected).abs() < 1e-15, "{found} {expected}");
        }
        assert!((shares(400, 17).iter().sum::<f64>() - 1.0).abs() < 1e-12);
        assert_eq!(shares(3, 3)[0], 1.0);
    }

    #[test]
    fn of_three_networks() {
        let network = |by, told| Chosen { by, told };
        // Pairs: (1, 2) and (1, 3) are won by the first, (2, 3) by the second.
        let measured = [network(0.2, 10.0), network(0.1, 40.0), network(0.3, 20.0)];
        let of = |networks| BestOf::new(&measured, networks, Seed::root(1)).unwrap().mean;
        assert!((of(1) - 70.0 / 3.0).abs() < 1e-12);
        assert!((of(2) - (2.0 * 20.0 + 10.0) / 3.0).abs() < 1e-12);
        assert!((of(3) - 20.0).abs() < 1e-12);
        let why = BestOf::new(&measured, 4, Seed::root(1)).unwrap_err().to_string();
        assert!(why.contains("the best of 4 networks, with 3 measured"), "{why}");
    }

    /// The best of 7 normal numbers lies 1.3522 deviations above their mean (Harter 1961).
    #[test]
    fn of_normal_numbers() {
        let mut stream = Seed::root(3).stream();
        let normal = |stream: &mut Stream| f64::from(stream.normal());
        let measured: Vec<Chosen> =
            (0..20_000).map(|_| normal(&mut stream)).map(|v| Chosen { by: v, told: v }).collect();
        let of = BestOf::new(&measured[..2000], 7, Seed::root(1)).unwrap();
        assert!((of.mean - 1.3522).abs() < 4.0 * of.error, "{of:?}");
        assert!((0.01..0.04).contains(&of.error), "{of:?}");
    }

    /// Searches that are random searches of that very cost are found better in about one study of twenty.
    #[test]
    fn no_better_than_itself() {
        let mut stream = Seed::root(4).stream();
        let mut draw = || {
            let told = f64::from(stream.normal());
            Chosen { by: told + f64::from(stream.normal()), told }
        };
        let studies = 400;
        let found = (0..studies).filter(|study| {
            let measured: Vec<Chosen> = (0..30).map(|_| draw()).collect();
            let mut best = || (0..7).map(|_| draw()).reduce(|a, b| if b.by > a.by { b } else { a }).unwrap().told;
            let searched: Vec<f64> = (0..6).map(|_| best()).collect();
            BestOf::new(&measured, 7, Seed::root(*study)).unwrap().beaten_by(&searched).unwrap().p < 0.05
        });
        let found = found.count() as f64 / studies as f64;
        assert!((0.02..0.09).contains(&found), "{found}");
    }
}
