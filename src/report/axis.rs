//! Axes of a plot: from values to pixels, and where the ticks go.

/// A straight or logarithmic axis between two pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Axis {
    /// Smallest and largest value; both positive on a logarithmic axis.
    pub values: (f64, f64),
    /// The pixels they fall on.
    pub pixels: (f64, f64),
    /// Whether equal ratios are equally long.
    pub log: bool,
}

impl Axis {
    /// The pixel of a value.
    pub fn at(&self, value: f64) -> f64 {
        let scale = |v: f64| if self.log { v.ln() } else { v };
        let (low, high) = (scale(self.values.0), scale(self.values.1));
        self.pixels.0 + (scale(value) - low) / (high - low) * (self.pixels.1 - self.pixels.0)
    }

    /// Round values within the axis, ascending.
    pub fn ticks(&self) -> Vec<f64> {
        let (low, high) = self.values;
        if self.log {
            // The densest of these that is not crowded; a short axis has round steps instead.
            for steps in [&[1.0, 2.0, 3.0, 5.0, 7.0][..], &[1.0, 2.0, 5.0], &[1.0]] {
                let ticks = decades(low, high, steps);
                if (4..=9).contains(&ticks.len()) {
                    return ticks;
                }
            }
        }
        even(low, high)
    }
}

fn decades(low: f64, high: f64, steps: &[f64]) -> Vec<f64> {
    (low.log10().floor() as i32..=high.log10().ceil() as i32)
        .flat_map(|k| steps.iter().map(move |s| s * 10f64.powi(k)))
        .filter(|t| (low..=high).contains(t))
        .collect()
}

/// A handful of multiples of 1, 2 or 5 times a power of ten.
fn even(low: f64, high: f64) -> Vec<f64> {
    let rough = (high - low) / 5.0;
    let power = 10f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0].map(|s| s * power).into_iter().find(|s| *s >= rough * 0.7).unwrap_or(10.0 * power);
    ((low / step).ceil() as i64..=(high / step).floor() as i64).map(|i| i as f64 * step).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axis(low: f64, high: f64, log: bool) -> Axis {
        Axis { values: (low, high), pixels: (100.0, 200.0), log }
    }

    #[test]
    fn ends_fall_on_the_given_pixels_and_ratios_are_equal() {
        let log = axis(1e6, 1e8, true);
        assert_eq!([1e6, 1e8].map(|v| log.at(v).round()), [100.0, 200.0]);
        assert!((log.at(1e7) - 150.0).abs() < 1e-9);
        assert!((axis(0.0, 50.0, false).at(10.0) - 120.0).abs() < 1e-9);
    }

    #[test]
    fn ticks_are_round_few_and_inside() {
        assert_eq!(axis(0.0, 100.0, false).ticks(), [0.0, 20.0, 40.0, 60.0, 80.0, 100.0]);
        assert_eq!(axis(15e6, 120e6, true).ticks(), [20e6, 30e6, 50e6, 70e6, 100e6]);
        for (low, high) in [(19e6, 21e6), (1e6, 3e6), (17e6, 23e6), (5e5, 4e9), (1.0, 1e12), (9.9e6, 10.1e6)] {
            let ticks = axis(low, high, true).ticks();
            assert!((3..=12).contains(&ticks.len()), "{low} {high}: {ticks:?}");
            assert!(ticks.iter().all(|t| (low..=high).contains(t)), "{low} {high}: {ticks:?}");
        }
    }
}
