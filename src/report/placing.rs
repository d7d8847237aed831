//! Marks that would cover each other are set side by side.

use super::marks::MARKER;

/// From one mark to the next where they touch.
const APART: f64 = 2.0 * MARKER + 1.0;
/// How many marks' widths one is moved at most: farther from its cost it would say something else.
const MOST: u32 = 3;

/// Pairs of marks, each pair one above the other.
pub(super) struct Placing {
    within: (f64, f64),
    taken: Vec<(f64, [f64; 2])>,
}

impl Placing {
    /// Nothing yet, between two pixels across.
    pub fn within(within: (f64, f64)) -> Self {
        Placing { within, taken: Vec::new() }
    }

    /// Takes a place as it is.
    pub fn keep(&mut self, x: f64, heights: [f64; 2]) {
        self.taken.push((x, heights));
    }

    /// The nearest place to `x` at which a pair covers no other; `x` where all of them are taken.
    pub fn place(&mut self, x: f64, heights: [f64; 2]) -> f64 {
        let steps = (1..=MOST).flat_map(|step| [f64::from(step), -f64::from(step)]);
        let places = std::iter::once(x).chain(steps.map(|step| x + step * APART));
        let mut inside = places.filter(|at| (self.within.0..=self.within.1).contains(at));
        let found = inside.find(|at| self.is_free(*at, heights)).unwrap_or(x);
        self.keep(found, heights);
        found
    }

    fn is_free(&self, x: f64, heights: [f64; 2]) -> bool {
        let covers = |taken: &[f64; 2]| taken.iter().any(|a| heights.iter().any(|b| (a - b).abs() < APART));
        // Of two places a mark's width apart, rounding must not say that they overlap.
        self.taken.iter().all(|(at, taken)| (at - x).abs() > APART - 1e-6 || !covers(taken))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_would_cover_another_is_moved() {
        let mut placing = Placing::within((0.0, 500.0));
        assert_eq!(placing.place(100.0, [200.0, 300.0]), 100.0);
        assert_eq!(placing.place(104.0, [50.0, 250.0]), 104.0);
        // Its clean accuracy is where the first one's robust accuracy is.
        assert_eq!(placing.place(100.0, [303.0, 400.0]), 100.0 + APART);
        assert_eq!(placing.place(100.0, [200.0, 300.0]), 100.0 - APART);
    }

    #[test]
    fn marks_stay_within_the_plot_and_near_their_cost() {
        let mut placing = Placing::within((0.0, 500.0));
        let places: Vec<f64> = (0..9).map(|_| placing.place(5.0, [10.0, 20.0])).collect();
        assert_eq!(places[..4], [1.0, 2.0, 3.0, 4.0].map(|i| 5.0 + (i - 1.0) * APART));
        assert!(places[4..].iter().all(|x| *x == 5.0), "{places:?}");
    }
}
