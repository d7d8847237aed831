//! Wall time, for people.

use std::time::Instant;

use crate::error::Result;

/// Seconds of a day.
pub const DAY: f64 = 86_400.0;

/// Seconds of wall time in words: `3 s`, `4.5 min`, `7.2 h`, `12.5 days`, `3.7 years`.
pub fn duration_words(seconds: f64) -> String {
    match seconds {
        s if s < 100.0 => format!("{s:.0} s"),
        s if s < 6000.0 => format!("{:.1} min", s / 60.0),
        s if s < 3.0 * DAY => format!("{:.1} h", s / 3600.0),
        s if s < 730.0 * DAY => format!("{:.1} days", s / DAY),
        s => format!("{:.1} years", s / (365.25 * DAY)),
    }
}

/// Runs something once and says how long it took.
///
/// # Errors
/// Those of the work.
pub fn timed<T>(work: impl FnOnce() -> Result<T>) -> Result<(T, f64)> {
    let start = Instant::now();
    let value = work()?;
    Ok((value, start.elapsed().as_secs_f64()))
}

/// The wall times of `n` runs, at least one, after one that is not timed, in milliseconds, ascending.
///
/// # Errors
/// Those of the work.
pub fn times_ms(n: usize, mut work: impl FnMut() -> Result<()>) -> Result<Vec<f64>> {
    work()?;
    let mut times = Vec::with_capacity(n);
    for _ in 0..n {
        times.push(1e3 * timed(&mut work)?.1);
    }
    times.sort_by(f64::total_cmp);
    Ok(times)
}

/// The median of [`times_ms`].
///
/// # Errors
/// Those of the work.
pub fn median_ms(n: usize, work: impl FnMut() -> Result<()>) -> Result<f64> {
    times_ms(n, work).map(|times| median(&times))
}

/// The median of ascending numbers, at least one.
pub fn median(ascending: &[f64]) -> f64 {
    let n = ascending.len();
    f64::midpoint(ascending[(n - 1) / 2], ascending[n / 2])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_times_are_days_and_years() {
        let words = [4.0, 200.0, 7_000.0, 2.9 * DAY, 3.0 * DAY, 1359.3 * DAY].map(duration_words);
        assert_eq!(words, ["4 s", "3.3 min", "1.9 h", "69.6 h", "3.0 days", "3.7 years"]);
    }
}
