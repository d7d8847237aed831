//! Populations: the errors of many shortly trained networks of a design space, and statistics of them.
//!
//! Source: Radosavovic et al. 2019 and 2020. A space is judged by the distribution of its networks' errors,
//! `F(e) = sum_i w_i [e_i < e]`, not by its best network; a parameter by its value in the best network of many
//! resamples.

use serde::{Deserialize, Serialize};

use crate::seed::{Seed, Stream};
use crate::study::{TAILS, quantile};
use crate::units::{Macs, Params, Tally};

/// Resamples of a bootstrap; the program of the paper's authors has as many.
const REPEATS: u64 = 2500;

/// Networks of a resample over networks, where the best one is asked for.
const SHARE: f64 = 0.25;

/// A network of a population and its result: one line of the journal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Member {
    /// The space's name.
    pub space: String,
    /// Its index in the population.
    pub index: u64,
    /// Its form.
    pub model: String,
    /// Its architecture id.
    pub arch: String,
    /// Multiply-accumulates.
    pub macs: Macs,
    /// Parameters.
    pub params: Params,
    /// Activations as pycls counts them.
    pub acts: u64,
    /// Its parameters, such as depth and width.
    pub parameters: Vec<Parameter>,
    /// Its result.
    pub outcome: Trained,
}

/// A parameter of a network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Parameter {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: f64,
}

/// The result of a network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Trained {
    /// It was trained and measured on held-out images.
    Ok {
        /// Right on clean images.
        clean: Tally,
        /// Right under every attack.
        robust: Tally,
    },
    /// It could not be trained; its errors count as 1.
    Failed {
        /// Why.
        reason: String,
    },
}

/// The images that an error is measured on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Images {
    /// Clean.
    Clean,
    /// Under the worst of the attacks.
    Attacked,
}

impl Images {
    /// Both.
    pub const ALL: [Images; 2] = [Images::Clean, Images::Attacked];
}

impl Member {
    /// The error in `[0, 1]`; that of a network that could not be trained is 1.
    pub fn error(&self, images: Images) -> f64 {
        match (&self.outcome, images) {
            (Trained::Ok { clean, .. }, Images::Clean) => 1.0 - clean.rate(),
            (Trained::Ok { robust, .. }, Images::Attacked) => 1.0 - robust.rate(),
            (Trained::Failed { .. }, _) => 1.0,
        }
    }
}

/// A bootstrap estimate: median and 95 % interval of the resamples.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Interval {
    /// 2.5 % of resamples are below.
    pub low: f64,
    /// The median of the resamples.
    pub median: f64,
    /// 2.5 % of resamples are above.
    pub high: f64,
}

/// Statistics of the errors of a population.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Summary {
    /// The smallest.
    pub min: f64,
    /// The mean, weighted where weights are given.
    pub mean: f64,
    /// Half of the weight is at or below it.
    pub median: f64,
    /// Of the mean, by resampling all networks.
    pub mean_interval: Interval,
}

/// How often a network of one space has a smaller error than one of another, over all pairs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Comparison {
    /// The share of pairs in which the first is smaller.
    pub below: f64,
    /// The share of pairs in which they are equal.
    pub equal: f64,
}

/// The distribution's steps: every error in ascending order, with the weight of those up to and with it.
pub fn edf(errors: &[f64], weights: &[f64]) -> Vec<(f64, f64)> {
    let mut steps: Vec<(f64, f64)> = errors.iter().copied().zip(weights.iter().copied()).collect();
    steps.sort_by(|a, b| a.0.total_cmp(&b.0));
    let total: f64 = weights.iter().sum();
    let mut sum = 0.0;
    for (_, weight) in &mut steps {
        sum += *weight;
        *weight = sum / total;
    }
    steps
}

/// Sums up errors, none of which may be missing.
pub fn summary(errors: &[f64], weights: &[f64], seed: Seed) -> Summary {
    let steps = edf(errors, weights);
    let mean = |chosen: &mut dyn Iterator<Item = usize>| {
        let (sum, weight) = chosen.fold((0.0, 0.0), |(s, w), i| (s + errors[i] * weights[i], w + weights[i]));
        if weight > 0.0 { sum / weight } else { f64::NAN }
    };
    Summary {
        min: steps.iter().map(|s| s.0).fold(f64::INFINITY, f64::min),
        mean: mean(&mut (0..errors.len())),
        median: steps.iter().find(|s| s.1 >= 0.5).map_or(f64::NAN, |s| s.0),
        mean_interval: bootstrap(seed, |stream| {
            let draws: Vec<usize> = (0..errors.len()).map(|_| stream.below(errors.len())).collect();
            mean(&mut draws.into_iter())
        }),
    }
}

/// A parameter's value in good networks: that of the best network of a quarter, drawn with replacement.
pub fn best_value(errors: &[f64], values: &[f64], seed: Seed) -> Interval {
    let draws = ((SHARE * errors.len() as f64).ceil() as usize).max(1);
    bootstrap(seed, |stream| {
        let chosen = (0..draws).map(|_| stream.below(errors.len()));
        // Of equally good networks, the one that was drawn first.
        let best = chosen.reduce(|best, i| if errors[i] < errors[best] { i } else { best });
        best.map_or(f64::NAN, |i| values[i])
    })
}

/// Median and interval of the resamples; NaN is left out.
fn bootstrap(seed: Seed, sample: impl Fn(&mut Stream) -> f64) -> Interval {
    let mut found: Vec<f64> =
        (0..REPEATS).map(|i| sample(&mut seed.index(i).stream())).filter(|v| !v.is_nan()).collect();
    found.sort_by(f64::total_cmp);
    let [low, high] = TAILS;
    let [low, median, high] = [low, 0.5, high].map(|share| quantile(&found, share).unwrap_or(f64::NAN));
    Interval { low, median, high }
}

/// Compares every error of one population with every one of another.
pub fn compare(first: &[f64], second: &[f64]) -> Comparison {
    let pairs = || first.iter().flat_map(|a| second.iter().map(move |b| (a, b)));
    let share = |n: usize| n as f64 / (first.len() * second.len()) as f64;
    Comparison {
        below: share(pairs().filter(|(a, b)| a < b).count()),
        equal: share(pairs().filter(|(a, b)| a == b).count()),
    }
}

/// Weights under which the populations have the same distribution of sizes over a number of bins: the bins hold equally
/// many networks of all populations together, and a bin that some population has no network of counts for none. `None`
/// where no bin is shared.
///
/// The paper matches distributions in this sense; how its code chooses bins is not known to us.
pub fn matched_weights(sizes: &[Vec<u64>], bins: usize) -> Option<Vec<Vec<f64>>> {
    let mut all: Vec<u64> = sizes.concat();
    all.sort_unstable();
    let edges: Vec<u64> = (1..bins).map(|b| all[b * all.len() / bins]).collect();
    let bin = |size: u64| edges.iter().filter(|edge| size >= **edge).count();
    let count = |population: &Vec<u64>, b: usize| population.iter().filter(|s| bin(**s) == b).count();
    let shared: Vec<usize> = (0..bins).filter(|b| sizes.iter().all(|p| count(p, *b) > 0)).collect();
    let weight = |population: &Vec<u64>, size: u64| match shared.iter().find(|b| **b == bin(size)) {
        Some(b) => 1.0 / (shared.len() * count(population, *b)) as f64,
        None => 0.0,
    };
    let weights = sizes.iter().map(|p| p.iter().map(|s| weight(p, *s)).collect()).collect();
    (!shared.is_empty()).then_some(weights)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distribution_of_weighted_errors() {
        assert_eq!(edf(&[0.3, 0.1, 0.2], &[1.0, 2.0, 1.0]), [(0.1, 0.5), (0.2, 0.75), (0.3, 1.0)]);
        let s = summary(&[0.3, 0.1, 0.2], &[1.0; 3], Seed::root(1));
        assert_eq!((s.min, s.median), (0.1, 0.2));
        assert!((s.mean - 0.2).abs() < 1e-12 && (s.mean_interval.median - 0.2).abs() < 0.01);
        assert!(s.mean_interval.low < 0.15 && s.mean_interval.high > 0.25);
    }

    /// With errors that fall as a value rises, good networks have large values: the best of a quarter of 40 is most
    /// often one of the largest few.
    #[test]
    fn best_values_are_those_of_good_networks() {
        let values: Vec<f64> = (0..40).map(f64::from).collect();
        let errors: Vec<f64> = values.iter().map(|v| 1.0 - v / 40.0).collect();
        let found = best_value(&errors, &values, Seed::root(1));
        assert!(found.median >= 36.0 && found.high == 39.0 && found.low < 36.0, "{found:?}");
        assert_eq!(found, best_value(&errors, &values, Seed::root(1)));
    }

    #[test]
    fn comparison_counts_pairs_and_ties() {
        assert_eq!(compare(&[0.1, 0.2], &[0.2, 0.3]), Comparison { below: 0.75, equal: 0.25 });
    }

    #[test]
    fn matched_populations_have_one_distribution_of_sizes() {
        let sizes = [vec![1, 1, 1, 9], vec![1, 9, 9, 9]];
        let weights = matched_weights(&sizes, 2).unwrap();
        let small = |p: usize| sizes[p].iter().zip(&weights[p]).filter(|(s, _)| **s == 1).map(|(_, w)| w).sum::<f64>();
        assert!((small(0) - 0.5).abs() < 1e-12 && (small(1) - 0.5).abs() < 1e-12);
        assert_eq!(matched_weights(&[vec![1, 2], vec![8, 9]], 2), None);
    }
}
