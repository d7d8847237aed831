//! Intervals by resampling (Efron 1979): of numbers for which there is no formula, such as a hypervolume.

use serde::{Deserialize, Serialize};

use super::CONFIDENCE;

/// The shares of resamples that lie below an interval and its upper end.
pub const TAILS: [f64; 2] = [(1.0 - CONFIDENCE) / 2.0, 1.0 - (1.0 - CONFIDENCE) / 2.0];

/// The number below which a share of some numbers lies, which ascend; none of none.
pub fn quantile(sorted: &[f64], share: f64) -> Option<f64> {
    sorted.get((share * sorted.len().saturating_sub(1) as f64).round() as usize).copied()
}

/// A number, and the interval between the percentiles of its resamples.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// The number, of what was measured.
    pub number: f64,
    /// Below it lie 2.5 % of the resamples.
    pub low: f64,
    /// Above it lie 2.5 % of them.
    pub high: f64,
}

impl Interval {
    /// Of a number and its resamples, of which there must be one at least.
    pub fn of(number: f64, mut resamples: Vec<f64>) -> Interval {
        resamples.sort_by(f64::total_cmp);
        let [low, high] = TAILS.map(|share| quantile(&resamples, share).unwrap_or(number));
        Interval { number, low, high }
    }

    /// Whether the whole interval is above 0, below it, or neither.
    pub fn sign(&self) -> Option<bool> {
        match () {
            () if self.low > 0.0 => Some(true),
            () if self.high < 0.0 => Some(false),
            () => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::Seed;

    #[test]
    fn percentiles_are_those_of_the_resamples() {
        let shuffled: Vec<f64> = (0..=1000).map(|i| f64::from(i * 8 % 1001)).collect();
        assert_eq!(Interval::of(500.0, shuffled), Interval { number: 500.0, low: 25.0, high: 975.0 });
        assert_eq!(Interval::of(1.0, vec![1.0]).sign(), Some(true));
        assert_eq!(Interval { number: 0.1, low: -0.1, high: 0.3 }.sign(), None);
        assert_eq!(Interval { number: -0.2, low: -0.3, high: -0.1 }.sign(), Some(false));
    }

    /// Of a share of images the interval holds the true share in 95 of 100 samples.
    #[test]
    fn the_interval_of_a_share_holds_what_it_is_of() {
        let (share, n, samples) = (0.3, 200, 400);
        let mut held = 0;
        for sample in 0..samples {
            let mut stream = Seed::root(7).index(sample).stream();
            let flags: Vec<bool> = (0..n).map(|_| f64::from(stream.uniform()) < share).collect();
            let rate = |picks: &mut dyn Iterator<Item = usize>| picks.filter(|i| flags[*i]).count() as f64 / n as f64;
            let mut pick = Seed::root(8).index(sample).stream();
            let resamples = (0..300).map(|_| rate(&mut (0..n).map(|_| pick.below(n)))).collect();
            let interval = Interval::of(rate(&mut (0..n)), resamples);
            held += u64::from((interval.low..=interval.high).contains(&share));
        }
        assert!((0.91..0.98).contains(&(held as f64 / samples as f64)), "{held} of {samples}");
    }
}
