//! How likely a study of a given size is to show an effect of a given size, asked before it begins.

use serde::{Deserialize, Serialize};

use super::mann_whitney::upper_tails;
use super::welch::welch;
use crate::error::{Error, Result};
use crate::seed::Seed;

/// The size of a study and what is known of its noise; all deviations in one unit, such as percentage points.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Design {
    /// Searches, each with a seed of its own.
    pub searched: usize,
    /// Random networks.
    pub random: usize,
    /// How far random networks truly spread.
    pub architecture_sd: f64,
    /// How far what searches find truly spreads.
    pub searched_sd: f64,
    /// What chance in a training and its measuring adds to either.
    pub run_sd: f64,
    /// Trainings of each searched network, whose mean counts; random ones are trained once.
    pub trainings: usize,
    /// The level of the tests.
    pub level: f64,
}

/// The share of studies in which each test shows the effect.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Power {
    /// How much better searched networks truly are.
    pub effect: f64,
    /// Of Welch's test.
    pub welch: f64,
    /// Of the exact Mann-Whitney test.
    pub mann_whitney: f64,
}

/// The power of both one-sided tests by trying `studies` of them with normal noise; its own standard error is at most
/// `0.5 / sqrt(studies)`.
///
/// # Errors
/// [`Error::Usage`] for a design that cannot be tested.
pub fn power(design: &Design, effect: f64, studies: u64, seed: Seed) -> Result<Power> {
    let Design { searched, random, architecture_sd, searched_sd, run_sd, trainings, level } = *design;
    let spreads = [architecture_sd, searched_sd, run_sd];
    let possible = searched >= 2 && random >= 2 && trainings >= 1 && studies >= 1;
    if !possible || !spreads.iter().all(|sd| *sd >= 0.0) || architecture_sd + run_sd <= 0.0 {
        return Err(Error::Usage(format!(
            "no study: {design:?}, tried {studies} times; expected two networks of each kind at least, a training of each, \
             and deviations of which some are above 0"
        )));
    }
    let tails = upper_tails(searched, random);
    let (mut by_welch, mut by_ranks) = (0u64, 0u64);
    for study in 0..studies {
        let mut stream = seed.index(study).stream();
        let mut draws = |n: usize, mean: f64, sd: f64| -> Vec<f64> {
            (0..n).map(|_| mean + sd * f64::from(stream.normal())).collect()
        };
        let found = draws(searched, effect, searched_sd.hypot(run_sd / (trainings as f64).sqrt()));
        let others = draws(random, 0.0, architecture_sd.hypot(run_sd));
        by_welch += u64::from(welch(&found, &others)?.p < level);
        let wins = found.iter().flat_map(|f| others.iter().filter(move |o| f > *o)).count();
        by_ranks += u64::from(tails[wins] < level);
    }
    let share = |count: u64| count as f64 / studies as f64;
    Ok(Power { effect, welch: share(by_welch), mann_whitney: share(by_ranks) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn design(searched: usize, random: usize) -> Design {
        Design { searched, random, architecture_sd: 0.93, searched_sd: 0.6, run_sd: 0.85, trainings: 1, level: 0.05 }
    }

    fn of(design: &Design, effect: f64) -> [f64; 2] {
        let found = power(design, effect, 3000, Seed::root(1)).unwrap();
        [found.welch, found.mann_whitney]
    }

    fn near(found: f64, expected: f64) {
        assert!((found - expected).abs() < 0.03, "{found}, expected {expected}");
    }

    /// Without an effect, both tests find one as often as their level allows.
    #[test]
    fn nothing_is_found_where_nothing_is() {
        let found = of(&Design { searched_sd: 0.93, ..design(6, 30) }, 0.0);
        near(found[0], 0.05);
        assert!(found[1] <= 0.06 && found[1] > 0.03, "{found:?}");
    }

    /// Equal spreads and groups: the power of the t-test, from the noncentral t distribution.
    ///
    /// ```python
    /// n, d = 10, 1 / numpy.hypot(.93, .85); c = scipy.stats.t.ppf(.95, 2 * n - 2)
    /// scipy.stats.nct.sf(c, 2 * n - 2, d * numpy.sqrt(n / 2))
    /// ```
    #[test]
    fn as_the_noncentral_t() {
        near(of(&Design { searched_sd: 0.93, ..design(10, 10) }, 1.0)[0], 0.5249996583889632);
    }

    /// Three against three: Mann-Whitney can show nothing, Welch's test hardly anything.
    #[test]
    fn three_against_three() {
        let found = of(&design(3, 3), 2.0);
        assert_eq!(found[1], 0.0);
        assert!(found[0] < 0.7, "{found:?}");
        assert!(power(&design(1, 3), 1.0, 10, Seed::root(1)).is_err());
    }

    /// 3,000 studies of six searches, each network trained three times, against 30, by scipy's tests: .782 and .654.
    #[test]
    fn as_simulated_with_scipy() {
        let found = of(&Design { trainings: 3, ..design(6, 30) }, 1.0);
        near(found[0], 0.782);
        near(found[1], 0.654);
    }

    #[test]
    fn more_networks_show_more() {
        let found: Vec<[f64; 2]> = [(3, 20), (6, 30), (10, 30)].map(|(k, m)| of(&design(k, m), 1.0)).to_vec();
        assert!(found.windows(2).all(|pair| pair[0][0] < pair[1][0] && pair[0][1] < pair[1][1]), "{found:?}");
    }
}
