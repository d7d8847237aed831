//! The Mann-Whitney test, exact, with ties.

use crate::error::{Error, Result};

/// How likely it is, where both come from one distribution, that `first` stands as high above `second` as it does or higher:
/// one-sided, over all ways to deal the numbers to the two groups, which is exact with ties too (Mann and Whitney 1947).
///
/// # Errors
/// [`Error::Impossible`] where a group is empty; [`Error::NotFinite`] where a number is none.
///
/// # Complexity
/// `m (m + n)^3` for `m` numbers first and `n` second: instantly for some hundred in all.
pub fn mann_whitney(first: &[f64], second: &[f64]) -> Result<f64> {
    if first.is_empty() || second.is_empty() {
        return Err(Error::Impossible("a group has no numbers; expected at least 1 in each".into()));
    }
    let mut all: Vec<f64> = first.iter().chain(second).copied().collect();
    if let Some(odd) = all.iter().find(|number| !number.is_finite()) {
        return Err(Error::NotFinite(format!("{odd} among what was measured; expected finite numbers")));
    }
    all.sort_by(f64::total_cmp);
    // Twice the rank that a number shares with its equals, a whole number.
    let rank =
        |number: f64| all.partition_point(|other| *other < number) + all.partition_point(|other| *other <= number) + 1;
    let ranks: Vec<usize> = all.iter().map(|number| rank(*number)).collect();
    let found: usize = first.iter().map(|number| rank(*number)).sum();
    let shares = sums(&ranks, first.len());
    Ok(shares[found..].iter().sum::<f64>().min(1.0))
}

/// Of all choices of `size` of the ranks, the share with each sum.
fn sums(ranks: &[usize], size: usize) -> Vec<f64> {
    let most: usize = ranks.iter().sum();
    // Ways to choose so many with this sum, of the ranks so far, by number and sum.
    let mut ways = vec![vec![0.0; most + 1]; size + 1];
    ways[0][0] = 1.0;
    for (seen, rank) in ranks.iter().enumerate() {
        for chosen in (1..=size.min(seen + 1)).rev() {
            for sum in (*rank..=most).rev() {
                ways[chosen][sum] += ways[chosen - 1][sum - rank];
            }
        }
    }
    let all: f64 = ways[size].iter().sum();
    ways[size].iter().map(|ways| ways / all).collect()
}

/// The share of deals in which `U`, the pairs that the first group wins of `first * second`, is at least each number, where no
/// numbers are equal: entry `u` is for `U >= u`.
pub(super) fn upper_tails(first: usize, second: usize) -> Vec<f64> {
    let ranks: Vec<usize> = (1..=first + second).collect();
    let shares = sums(&ranks, first);
    let least = first * (first + 1) / 2;
    let mut tails: Vec<f64> = shares[least..=least + first * second].to_vec();
    for u in (0..first * second).rev() {
        tails[u] += tails[u + 1];
    }
    tails
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `scipy.stats.mannwhitneyu(A, B, alternative="greater", method="exact").pvalue`, scipy 1.17.1; and 2 of 35 deals.
    #[test]
    fn as_scipy() {
        let a = [45.1, 46.0, 44.2, 45.7, 46.4, 45.3];
        let b = [44.0, 43.1, 44.9, 42.7, 45.2, 43.8, 44.4, 43.0, 44.6, 42.9];
        let p = mann_whitney(&a, &b).unwrap();
        assert!((p - 0.0023726273726273725).abs() < 1e-15, "{p}");
        let p = mann_whitney(&[1.1, 2.2, 3.3], &[0.1, 0.2, 0.3, 1.5]).unwrap();
        assert!((p - 2.0 / 35.0).abs() < 1e-15, "{p}");
        assert_eq!(mann_whitney(&[1.0, 1.0], &[1.0, 1.0, 1.0]).unwrap(), 1.0);
        assert!(mann_whitney(&[], &b).is_err() && mann_whitney(&[f64::NAN], &b).is_err());
    }

    /// Three against three can never be below .05, however far apart.
    #[test]
    fn three_against_three_shows_nothing() {
        let p = mann_whitney(&[10.0, 11.0, 12.0], &[1.0, 2.0, 3.0]).unwrap();
        assert!((p - 0.05).abs() < 1e-15, "{p}");
    }

    /// 7 of the 126 deals of these numbers stand as high; counted by hand of a program that tries them all:
    ///
    /// ```python
    /// for s in itertools.combinations(range(9), 4):
    ///     x, y = [v[i] for i in s], [v[i] for i in range(9) if i not in s]
    ///     count += sum((i > j) + .5 * (i == j) for i in x for j in y) >= 17.5
    /// ```
    #[test]
    fn ties_are_exact() {
        let p = mann_whitney(&[3.0, 4.0, 4.0, 5.0], &[1.0, 2.0, 3.0, 4.0, 2.0]).unwrap();
        assert!((p - 7.0 / 126.0).abs() < 1e-15, "{p}");
    }

    #[test]
    fn tails_are_those_of_the_test() {
        let tails = upper_tails(3, 4);
        assert_eq!(tails.len(), 13);
        assert!((tails[0] - 1.0).abs() < 1e-15 && (tails[12] - 1.0 / 35.0).abs() < 1e-15);
        // U = 11: all but one pair.
        assert!((tails[11] - 2.0 / 35.0).abs() < 1e-15);
    }
}
