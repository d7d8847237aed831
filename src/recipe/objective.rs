//! What a network is to learn from clean and attacked images.

use serde::{Deserialize, Serialize};

/// A sum of terms, each with its weight; a term of weight 0 is not computed. `p` are probabilities, `y` is the label.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Objective {
    /// Cross-entropy on clean images.
    pub clean: f64,
    /// Cross-entropy on attacked images.
    pub attacked: f64,
    /// `KL(p_clean || p_attacked)`: the beta of TRADES (Zhang et al. 2019, equation 5).
    pub divergence: f64,
    /// MART's boosted cross-entropy on attacked images (Wang et al. 2020, equation 6):
    /// `-ln p_attacked[y] - ln(1 - max_k p_attacked[k], k != y)`.
    pub boosted: f64,
    /// `KL(p_clean || p_attacked) (1 - p_clean[y])`: MART's lambda (equation 8).
    pub weighted_divergence: f64,
    /// `1 - cos(gradient at the clean image, gradient at a random point of the ball)`: GradAlign (Andriushchenko and
    /// Flammarion 2020, equation 6). [`alignment_weight`] has the published weights.
    pub alignment: f64,
    /// Share of the target that cross-entropies give to all classes alike (Szegedy et al. 2016).
    pub smoothing: f64,
}

impl Objective {
    /// Cross-entropy on attacked images alone.
    pub const ATTACKED: Objective = Objective { attacked: 1.0, ..Objective::NOTHING };
    /// Cross-entropy on clean images alone.
    pub const CLEAN: Objective = Objective { clean: 1.0, ..Objective::NOTHING };
    /// No term at all.
    pub const NOTHING: Objective = Objective {
        clean: 0.0,
        attacked: 0.0,
        divergence: 0.0,
        boosted: 0.0,
        weighted_divergence: 0.0,
        alignment: 0.0,
        smoothing: 0.0,
    };

    /// Whether a term looks at the answers to clean images.
    pub fn reads_clean(&self) -> bool {
        [self.clean, self.divergence, self.weighted_divergence].iter().any(|w| *w != 0.0)
    }

    /// Whether a term looks at the answers to attacked images.
    pub fn reads_attacked(&self) -> bool {
        [self.attacked, self.divergence, self.boosted, self.weighted_divergence].iter().any(|w| *w != 0.0)
    }

    /// Whether a term needs one label an image.
    pub fn needs_one_label(&self) -> bool {
        self.boosted != 0.0 || self.weighted_divergence != 0.0
    }

    pub(super) fn fault(&self) -> Option<(&'static str, String)> {
        let Objective { clean, attacked, divergence, boosted, weighted_divergence, alignment, smoothing } = *self;
        let weights = [
            ("clean", clean),
            ("attacked", attacked),
            ("divergence", divergence),
            ("boosted", boosted),
            ("weighted_divergence", weighted_divergence),
            ("alignment", alignment),
        ];
        let bad = weights.into_iter().find(|(_, w)| !(*w >= 0.0 && w.is_finite()));
        if let Some((key, weight)) = bad {
            return Some((key, format!("must be at least 0, got {weight}")));
        }
        if !(0.0..1.0).contains(&smoothing) {
            return Some(("smoothing", format!("must be at least 0 and below 1, got {smoothing}")));
        }
        if smoothing > 0.0 && clean == 0.0 && attacked == 0.0 {
            let why = "smooths the targets of cross-entropies, and there is none: give `clean` or `attacked` a weight";
            return Some(("smoothing", why.to_owned()));
        }
        None
    }
}

/// The published weight of [`Objective::alignment`] for a radius under Linf: `exp(255 eps ln(10) / 8 + ln(0.02))`, that
/// is 0.2 at 8/255 and 2 at 16/255.
pub fn alignment_weight(eps: f64) -> f64 {
    0.02 * 10f64.powf(255.0 * eps / 8.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alignment_weights_are_the_published_ones() {
        for (eps, want) in [(4.0, 0.0632), (8.0, 0.2), (12.0, 0.6325), (16.0, 2.0)] {
            let found = alignment_weight(eps / 255.0);
            assert!((found - want).abs() < 1e-4, "{eps}: {found}");
        }
    }
}
