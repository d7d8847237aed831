//! Several kinds of attacked images with a batch-norm each, and a module that tells the kinds apart.

use serde::{Deserialize, Serialize};

use crate::units::Fraction;

/// MultiBN (Lo and Patel 2020) for networks that are built with `norm=multi-batch:3`: clean images go through the first
/// batch-norm, those of the recipe's adversary through the second, occluded ones through the third, each with statistics
/// and affine parameters of its own. In use every batch-norm is the mean of the three, weighted by the softmax of a
/// selection module that looks at the image.
///
/// The published code has the network and the branches; how it trains the module with them is in none of the files that
/// we could read. Ours: the loss of the network *as it is used*, on running statistics, is added, and the module's own
/// cross-entropy on the kind of the image, so that it is trained through the network and for itself.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Selection {
    /// How the occluded images are made.
    pub occlusion: Rectangle,
    /// Weight of the cross-entropy on occluded images through their batch-norm. That of the others is the objective's
    /// `clean` and `attacked`.
    pub occluded: f64,
    /// Weight of the cross-entropy of the network as it is used, the mean over the three kinds.
    pub used: f64,
    /// Weight of the module's cross-entropy, the mean over the three kinds.
    pub told: f64,
}

/// Rectangular occlusion (Wu, Tong and Vorobeychik 2020) at one random place an image, as MultiBN trains with it: grey at
/// first, then moved by signs of the gradient in the pixels, within the pixel box alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rectangle {
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// Length of a step.
    pub step: Fraction,
    /// Number of steps.
    pub steps: u32,
}

impl Selection {
    pub(super) fn fault(&self) -> Option<(&'static str, String)> {
        let Selection { occlusion: Rectangle { height, width, step, .. }, occluded, used, told } = *self;
        let weights = [("occluded", occluded), ("used", used), ("told", told)];
        let bad = weights.into_iter().find(|(_, w)| !(*w > 0.0 && w.is_finite()));
        let sides = [("occlusion.height", height), ("occlusion.width", width)];
        bad.map(|(key, weight)| (key, format!("must be above 0, got {weight}")))
            .or_else(|| {
                let none = sides.into_iter().find(|(_, side)| *side == 0);
                none.map(|(key, _)| (key, "must be at least 1 pixel, got 0".to_owned()))
            })
            .or_else(|| {
                let (far, why) = (step.value(), format!("must be above 0 and at most 1, got {step}"));
                (!(far > 0.0 && far <= 1.0)).then_some(("occlusion.step", why))
            })
    }
}
