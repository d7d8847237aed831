//! Random numbers on a grid, as pycls draws them.

use crate::seed::Stream;

/// A whole number, ends included.
pub fn uniform(stream: &mut Stream, [low, high]: [usize; 2]) -> usize {
    low + stream.below(high - low + 1)
}

/// A multiple of `unit`, uniform in its logarithm, ends included: drawn from just below `low` and rounded up.
pub fn log_uniform(stream: &mut Stream, [low, high]: [usize; 2], unit: usize) -> usize {
    let [low, high] = [low, high].map(|n| n as f64 / unit as f64);
    (log_ceil(stream, low, high, 1.0) as usize) * unit
}

/// A multiple of `1 / parts`, uniform in its logarithm, ends included.
pub fn log_uniform_real(stream: &mut Stream, [low, high]: [f64; 2], parts: u32) -> f64 {
    let parts = f64::from(parts);
    log_ceil(stream, low * parts, high * parts, 1.0) / parts
}

/// A power of two below `unit`, a log-uniform multiple of `unit` from there on; the logarithm of both is uniform
/// together.
pub fn power_or_multiple(stream: &mut Stream, [low, high]: [usize; 2], unit: usize) -> usize {
    let power = low << stream.below((high / low).ilog2() as usize + 1);
    if power < unit { power } else { log_uniform(stream, [low.max(unit), high], unit.min(high)) }
}

/// A whole number of steps, rounded up from a log-uniform draw of `(low - min(1, low / 2), high]`.
fn log_ceil(stream: &mut Stream, low: f64, high: f64, step: f64) -> f64 {
    let from = (low - step.min(low / 2.0)).ln();
    let drawn = (high.ln() - f64::from(stream.uniform()) * (high.ln() - from)).exp();
    // The exponential of a logarithm may miss an end by its last digit.
    ((drawn - 1e-9).ceil()).clamp(low.round(), high.round())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::Seed;

    fn counts(mut draw: impl FnMut(&mut Stream) -> usize) -> std::collections::BTreeMap<usize, usize> {
        let mut stream = Seed::root(3).stream();
        let mut found = std::collections::BTreeMap::new();
        (0..8000).for_each(|_| *found.entry(draw(&mut stream)).or_default() += 1);
        found
    }

    #[test]
    fn draws_are_in_range_on_the_grid_and_reach_both_ends() {
        let widths = counts(|s| log_uniform(s, [8, 1024], 8));
        assert!(widths.keys().all(|w| w.is_multiple_of(8) && (8..=1024).contains(w)));
        assert!(widths.contains_key(&8) && *widths.keys().last().unwrap() > 950);
        // Log-uniform: as many draws per doubling; from 64 on the grid is fine enough to test it.
        let between = |low: usize, high: usize| widths.range(low + 1..=high).map(|(_, n)| n).sum::<usize>() as f64;
        assert!((between(64, 128) / between(512, 1024) - 1.0).abs() < 0.15);
        assert_eq!(counts(|s| uniform(s, [2, 4])).keys().copied().collect::<Vec<_>>(), [2, 3, 4]);
        let groups = counts(|s| power_or_multiple(s, [1, 32], 8));
        assert_eq!(groups.keys().copied().collect::<Vec<_>>(), [1, 2, 4, 8, 16, 24, 32]);
        let mut stream = Seed::root(4).stream();
        for _ in 0..1000 {
            let wm = log_uniform_real(&mut stream, [2.0, 3.0], 1000);
            assert!((2.0..=3.0).contains(&wm) && (wm * 1000.0 - (wm * 1000.0).round()).abs() < 1e-9, "{wm}");
        }
    }
}
