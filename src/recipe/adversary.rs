//! What a network is shown in training in place of clean images.

use serde::{Deserialize, Serialize};

use crate::threat::{AttackNorm, Loss, Norm};
use crate::units::Fraction;

/// How the attacked images of a step are made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Adversary {
    /// There are none: clean training.
    None,
    /// Projected gradient ascent (Madry et al. 2018).
    Pgd(Ascent),
    /// One step, from noise or not: FGSM, RS-FGSM, N-FGSM.
    SingleStep(SingleStep),
    /// Frank-Wolfe steps whose number follows the distortion (Tsiligkaridis and Roberts 2022, FW-AT-Adapt).
    FrankWolfe(FrankWolfe),
    /// Ascent that stops for each image when it has converged far enough (Wang et al. 2019, dynamic training by FOSC).
    Fosc(Fosc),
    /// One perturbation that every batch goes on with, moved by the gradient of the weights' own pass (Shafahi et al.
    /// 2019).
    Free(Free),
    /// Perturbations that whole patches share, on several scales (Herrmann et al. 2022, Pyramid AT).
    Pyramid(Pyramid),
}

/// Which statistics batch-norms use while images are attacked. The published codes differ, and so do their results.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Statistics {
    /// Running ones, as of the network in use: TRADES, MART, DIAL, "Bag of Tricks".
    Eval,
    /// Those of the batch, none recorded: Gowal et al. 2020.
    Batch,
    /// Those of the batch, recorded by every pass of the attack: Rice et al. 2020, Wong et al. 2020, N-FGSM.
    Train,
}

impl Statistics {
    /// `eval`, `batch`, `train`.
    pub fn word(self) -> &'static str {
        match self {
            Statistics::Eval => "eval",
            Statistics::Batch => "batch",
            Statistics::Train => "train",
        }
    }
}

impl From<AttackNorm> for Statistics {
    fn from(norm: AttackNorm) -> Self {
        match norm {
            AttackNorm::Eval => Statistics::Eval,
            AttackNorm::Batch => Statistics::Batch,
        }
    }
}

/// Where an ascent starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Start {
    /// At the clean image.
    Clean,
    /// At a random point of the ball.
    Ball,
    /// At normal noise of deviation 0.001, which need not be in the ball: TRADES and MART.
    Noise,
}

/// Projected gradient ascent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ascent {
    /// Norm of the ball.
    #[serde(default)]
    pub norm: Norm,
    /// Radius.
    pub eps: Fraction,
    /// Length of a step.
    pub step: Fraction,
    /// Number of steps.
    pub steps: u32,
    /// What is climbed: `ce`, `cw` or `kl`, the divergence from the clean answers.
    #[serde(default)]
    pub loss: Loss,
    /// Where it starts.
    pub start: Start,
    /// Batch-norms while attacking.
    pub statistics: Statistics,
}

/// One step under Linf. FGSM (Goodfellow et al. 2015) has no noise; RS-FGSM (Wong et al. 2020) noise of the radius, a
/// step of 5/4 of it and the projection; N-FGSM (de Jorge et al. 2022) noise of twice the radius and no projection, so
/// that an image may be moved by up to three radii.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SingleStep {
    /// Radius.
    pub eps: Fraction,
    /// Amplitude of the uniform noise, in radii.
    pub noise: Fraction,
    /// Length of the step, in radii.
    pub step: Fraction,
    /// Whether the image is brought back into the ball.
    pub project: bool,
    /// Whether the noisy image is clipped to the pixel box before its gradient is taken.
    pub clip_start: bool,
    /// Batch-norms while attacking.
    pub statistics: Statistics,
}

/// Frank-Wolfe ascent of the cross-entropy under Linf: `delta = (1 - g) delta + g eps sign(gradient)` with
/// `g = 2 / (k + 2)` for `k = 0, 1, ..`. The distortion of an image is `|delta| / (eps sqrt(D))`, 1 where all steps agree in every
/// sign.
///
/// Each epoch begins with `steps` steps on `monitor` images; where the mean distortion is at least `ratio`, the rest of
/// the epoch takes half of what the epoch before took (at least one), else two more (at most `most`).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FrankWolfe {
    /// Radius.
    pub eps: Fraction,
    /// Steps while monitoring; the published code's are 2.
    pub steps: u32,
    /// Images that are monitored; 0: all images get `steps` steps.
    pub monitor: u64,
    /// The distortion from which on fewer steps suffice.
    pub ratio: f64,
    /// Most steps.
    pub most: u32,
    /// Whether images are clipped to the pixel box; the published code's are not.
    pub clip: bool,
    /// Batch-norms while attacking.
    pub statistics: Statistics,
}

/// Ascent under Linf from a random point of the ball. Behind its first step an image moves on only while its
/// first-order stationary condition `eps |g|_1 - <x - x0, g>` is above `c_t = max(c_max (1 - t / T), 0)` in epoch `t`,
/// where `T` is `until` of the training.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fosc {
    /// Radius.
    pub eps: Fraction,
    /// Length of a step.
    pub step: Fraction,
    /// Most steps.
    pub steps: u32,
    /// The tolerance at the beginning.
    pub c_max: f64,
    /// The share of the training from which on nothing is tolerated.
    pub until: f64,
    /// Whether the displacement is measured from the random start, as the published code does; the paper measures it
    /// from the clean image.
    pub from_start: bool,
    /// Batch-norms while attacking.
    pub statistics: Statistics,
}

/// Free adversarial training under Linf: every batch is trained on `replays` times.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Free {
    /// Radius.
    pub eps: Fraction,
    /// Length of a step.
    pub step: Fraction,
    /// Steps on a batch; the paper's `m`.
    pub replays: u32,
}

/// Steps by signs down the cross-entropy with a random class, from no perturbation: `x + sum_s multiplier_s
/// up(delta_s)`, where `delta_s` is one number a channel for each patch of level `s`, no larger than the radius, and
/// the image is clipped behind every level. The network drops at random what it drops in the loss's passes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pyramid {
    /// Radius of every level, before its multiplier.
    pub eps: Fraction,
    /// Length of a step.
    pub step: Fraction,
    /// Number of steps.
    pub steps: u32,
    /// Side of the patches of each level, in pixels.
    pub patches: Vec<usize>,
    /// Multiplier of each level.
    pub multipliers: Vec<f64>,
    /// Batch-norms while attacking.
    pub statistics: Statistics,
}

impl Adversary {
    /// The radius, if images are attacked.
    pub fn eps(&self) -> Option<Fraction> {
        match self {
            Adversary::None => None,
            Adversary::Pgd(Ascent { eps, .. })
            | Adversary::SingleStep(SingleStep { eps, .. })
            | Adversary::FrankWolfe(FrankWolfe { eps, .. })
            | Adversary::Fosc(Fosc { eps, .. })
            | Adversary::Free(Free { eps, .. })
            | Adversary::Pyramid(Pyramid { eps, .. }) => Some(*eps),
        }
    }

    /// The first key that cannot be, and why.
    pub fn fault(&self) -> Option<(&'static str, String)> {
        let distance = |key, value: Fraction| {
            let v = value.value();
            let why = format!("must be above 0 and at most 1 (pixels are in [0, 1]), got {value}");
            (!(v > 0.0 && v <= 1.0)).then_some((key, why))
        };
        let count = |key, n: u32| (n == 0).then(|| (key, "must be at least 1, got 0".to_owned()));
        let eps = self.eps().and_then(|eps| distance("eps", eps));
        eps.or_else(|| match self {
            Adversary::None => None,
            Adversary::Pgd(Ascent { step, steps, loss, start, .. }) => {
                let unfit = match (loss, start) {
                    (Loss::Dlr, _) => Some(("loss", "must be ce, cw or kl, got dlr".to_owned())),
                    (Loss::Kl, Start::Clean) => {
                        let why = "`clean` is where the divergence has no gradient; write \"noise\" or \"ball\"";
                        Some(("start", why.to_owned()))
                    }
                    _ => None,
                };
                distance("step", *step).or_else(|| count("steps", *steps)).or(unfit)
            }
            Adversary::SingleStep(SingleStep { step, .. }) => {
                (step.value() <= 0.0).then(|| ("step", format!("must be above 0 radii, got {step}")))
            }
            Adversary::FrankWolfe(FrankWolfe { steps, most, ratio, .. }) => {
                let why = || ("ratio", format!("must be at least 0, got {ratio}"));
                count("steps", *steps).or_else(|| count("most", *most)).or_else(|| (*ratio < 0.0).then(why))
            }
            Adversary::Fosc(Fosc { step, steps, c_max, until, .. }) => {
                let negative = || ("c_max", format!("must be at least 0, got {c_max}"));
                let never =
                    || ("until", format!("must be above 0 and at most 1, a share of the training, got {until}"));
                distance("step", *step)
                    .or_else(|| count("steps", *steps))
                    .or_else(|| (*c_max < 0.0).then(negative))
                    .or_else(|| (!(*until > 0.0 && *until <= 1.0)).then(never))
            }
            Adversary::Free(Free { step, replays, .. }) => {
                distance("step", *step).or_else(|| count("replays", *replays))
            }
            Adversary::Pyramid(Pyramid { step, steps, patches, multipliers, .. }) => {
                let sides = patches.is_empty() || patches.contains(&0);
                let sides = sides.then(|| ("patches", "must be sides of at least 1 pixel, one a level".to_owned()));
                let fit = multipliers.len() == patches.len() && multipliers.iter().all(|m| *m > 0.0 && m.is_finite());
                let why = || ("multipliers", "must be as many as `patches`, each above 0".to_owned());
                distance("step", *step).or_else(|| count("steps", *steps)).or(sides).or_else(|| (!fit).then(why))
            }
        })
    }
}

impl Fosc {
    /// The tolerance of an epoch.
    pub fn tolerance(&self, epoch: u32, epochs: u32) -> f64 {
        (self.c_max - f64::from(epoch) * self.c_max / (self.until * f64::from(epochs))).max(0.0)
    }
}

impl FrankWolfe {
    /// The steps of an epoch behind its monitored images, from those of the epoch before and the mean distortion.
    pub fn adapted(&self, before: u32, distortion: f64) -> u32 {
        if distortion >= self.ratio { (before / 2).max(1) } else { (before + 2).min(self.most) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tolerance_falls_to_zero() {
        let eps = Fraction::of_255(8);
        let statistics = Statistics::Train;
        let fosc = Fosc { eps, step: eps, steps: 10, c_max: 0.5, until: 100.0 / 120.0, from_start: false, statistics };
        let found = [0, 50, 99, 100, 119].map(|epoch| fosc.tolerance(epoch, 120));
        assert!(found.iter().zip([0.5, 0.25, 0.005, 0.0, 0.0]).all(|(a, b)| (a - b).abs() < 1e-12), "{found:?}");
    }

    /// Algorithm 2 of the paper: from one step, in epochs of low, low, high, high and high distortion.
    #[test]
    fn steps_follow_the_distortion() {
        let (eps, statistics) = (Fraction::of_255(8), Statistics::Eval);
        let rule = FrankWolfe { eps, steps: 2, monitor: 1000, ratio: 0.9, most: 4, clip: false, statistics };
        let mut steps = vec![1];
        for distortion in [0.5, 0.89, 0.9, 0.99, 1.0, 1.0] {
            steps.push(rule.adapted(steps[steps.len() - 1], distortion));
        }
        assert_eq!(steps, [1, 3, 4, 2, 1, 1, 1]);
    }
}
