//! The closed list of attacks, each with all its constants.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Loss, Norm};
use crate::units::Fraction;

/// The largest count of steps, restarts, queries or tries. More is a typing error; below it no product of counts overflows.
pub const MOST: u32 = 1_000_000;

/// Projected gradient ascent (Madry et al. 2018); the last iterate counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Pgd {
    /// Norm of the ball.
    #[serde(default)]
    pub norm: Norm,
    /// Radius of the ball.
    pub eps: Fraction,
    /// Length of a step.
    pub step: Fraction,
    /// Number of steps.
    pub steps: u32,
    /// Independent starts; the worst result counts.
    pub restarts: u32,
    /// Whether a start is random in the ball (else the clean image).
    pub random_start: bool,
    /// Whether iterates are clipped to `[0, 1]`.
    pub clip: bool,
    /// The loss that is maximised.
    #[serde(default)]
    pub loss: Loss,
}

impl Pgd {
    /// Ascent of the cross-entropy under Linf from one random start, clipped to the box.
    pub const fn new(eps: Fraction, step: Fraction, steps: u32) -> Self {
        let (norm, loss) = (Norm::Linf, Loss::Ce);
        Pgd { norm, eps, step, steps, restarts: 1, random_start: true, clip: true, loss }
    }
}

/// A random signed step, then a signed gradient step with what is left of the radius (Tramer et al. 2018, R+FGSM).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RFgsm {
    /// Radius under Linf.
    pub eps: Fraction,
    /// Length of the random step, below `eps`; the paper's is half of it.
    pub start: Fraction,
}

/// Signed steps along a decaying sum of gradients (Dong et al. 2018, MI-FGSM), under Linf, from the clean image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MiFgsm {
    /// Radius.
    pub eps: Fraction,
    /// Length of a step.
    pub step: Fraction,
    /// Number of steps.
    pub steps: u32,
    /// Factor of the sum at each step: mu.
    pub decay: Fraction,
}

/// Auto-PGD (Croce and Hein 2020, algorithm 1; under L1 Croce and Hein 2021): ascent with momentum whose step halves
/// when the loss stalls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Apgd {
    /// Norm of the ball.
    #[serde(default)]
    pub norm: Norm,
    /// Radius of the ball.
    pub eps: Fraction,
    /// The loss that is maximised.
    pub loss: Loss,
    /// Target classes, tried one after the other in order of the clean logits; 0: untargeted.
    pub targets: u32,
    /// Number of steps.
    pub steps: u32,
    /// Independent starts (of every target).
    pub restarts: u32,
    /// A window with a smaller share of rising steps halves the step.
    pub rho: Fraction,
    /// Whether a start is random (else the clean image).
    pub random_start: bool,
}

/// Fast adaptive boundary attack (Croce and Hein 2020): looks for the smallest change that is enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Fab {
    /// Norm of the ball.
    #[serde(default)]
    pub norm: Norm,
    /// Radius of the ball: a change counts as a success if it is no larger.
    pub eps: Fraction,
    /// Target classes, tried one after the other in order of the clean logits; 0: untargeted.
    pub targets: u32,
    /// Number of steps.
    pub steps: u32,
    /// Independent starts (of every target); the first is the clean image.
    pub restarts: u32,
    /// How far beyond the linearised boundary a step goes: eta.
    pub overshoot: Fraction,
    /// What is kept of the change after a success: beta.
    pub backward: Fraction,
    /// Largest weight of the clean image's projection: alpha_max.
    pub alpha_max: Fraction,
}

/// Random search with squares (Andriushchenko et al. 2020); sees logits and no gradient. Under L1 as in Croce and
/// Hein 2021.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Square {
    /// Norm of the ball.
    #[serde(default)]
    pub norm: Norm,
    /// Radius of the ball.
    pub eps: Fraction,
    /// Proposals an image and start; each is a forward pass, and so is the start itself.
    pub queries: u32,
    /// Independent starts.
    pub restarts: u32,
    /// Share of the pixels that the first squares cover.
    pub p: Fraction,
}

/// Ascent of the margin along gradients estimated from pairs of random points (Uesato et al. 2018), by Adam, under Linf.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Spsa {
    /// Radius.
    pub eps: Fraction,
    /// Distance of the points from the iterate.
    pub delta: Fraction,
    /// Adam's learning rate.
    pub lr: Fraction,
    /// Pairs of points a step.
    pub pairs: u32,
    /// Number of steps.
    pub steps: u32,
}

/// Moves towards the corner of the ball that the gradient points at, with step `2 / (t + 2)` (Frank and Wolfe 1956; Chen
/// et al. 2020), under Linf or L2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FrankWolfe {
    /// Norm of the ball.
    #[serde(default)]
    pub norm: Norm,
    /// Radius of the ball.
    pub eps: Fraction,
    /// Number of steps.
    pub steps: u32,
}

/// A grey rectangle at random places (Wu et al. 2020, exhaustive search replaced by draws); no norm bounds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Occlusion {
    /// Rows of the rectangle.
    pub height: u32,
    /// Columns of the rectangle.
    pub width: u32,
    /// Places tried.
    pub tries: u32,
}

/// Random pixels turned black or white; no norm bounds it but the share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SaltPepper {
    /// Largest share of the pixels that is changed.
    pub share: Fraction,
    /// Draws tried, of rising share.
    pub tries: u32,
}

/// One attack with all its constants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema, strum::EnumDiscriminants)]
#[strum_discriminants(name(AttackKind), derive(strum::EnumIter, Hash), doc = "The kinds of [`Attack`].")]
#[serde(tag = "attack", rename_all = "snake_case", deny_unknown_fields)]
pub enum Attack {
    /// One signed step of length eps from the clean image (Goodfellow et al. 2015).
    Fgsm {
        /// Radius and step.
        eps: Fraction,
    },
    /// A random step and a signed one.
    RFgsm(RFgsm),
    /// Projected gradient ascent.
    Pgd(Pgd),
    /// Signed steps with momentum.
    MiFgsm(MiFgsm),
    /// Auto-PGD.
    Apgd(Apgd),
    /// Fast adaptive boundary.
    Fab(Fab),
    /// Random squares.
    Square(Square),
    /// Estimated gradients.
    Spsa(Spsa),
    /// Projection-free ascent.
    FrankWolfe(FrankWolfe),
    /// Rectangular occlusion.
    Occlusion(Occlusion),
    /// Salt and pepper.
    SaltPepper(SaltPepper),
}

impl Attack {
    /// The ball that adversarial images stay in; `None` where no norm bounds the change.
    pub fn ball(&self) -> Option<(Norm, Fraction)> {
        match *self {
            Attack::Fgsm { eps } => Some((Norm::Linf, eps)),
            Attack::RFgsm(RFgsm { eps, .. }) | Attack::MiFgsm(MiFgsm { eps, .. }) | Attack::Spsa(Spsa { eps, .. }) => {
                Some((Norm::Linf, eps))
            }
            Attack::Pgd(Pgd { norm, eps, .. })
            | Attack::Apgd(Apgd { norm, eps, .. })
            | Attack::Fab(Fab { norm, eps, .. })
            | Attack::Square(Square { norm, eps, .. })
            | Attack::FrankWolfe(FrankWolfe { norm, eps, .. }) => Some((norm, eps)),
            Attack::Occlusion(_) | Attack::SaltPepper(_) => None,
        }
    }

    /// Whether it uses logits alone, no gradient.
    pub fn black_box(&self) -> bool {
        match self {
            Attack::Square(_) | Attack::Spsa(_) | Attack::Occlusion(_) | Attack::SaltPepper(_) => true,
            Attack::Fgsm { .. }
            | Attack::RFgsm(_)
            | Attack::Pgd(_)
            | Attack::MiFgsm(_)
            | Attack::Apgd(_)
            | Attack::Fab(_)
            | Attack::FrankWolfe(_) => false,
        }
    }

    /// Gradient steps of one start.
    pub fn steps(&self) -> u32 {
        match *self {
            Attack::Fgsm { .. } | Attack::RFgsm(_) => 1,
            Attack::Pgd(Pgd { steps, .. })
            | Attack::MiFgsm(MiFgsm { steps, .. })
            | Attack::Apgd(Apgd { steps, .. })
            | Attack::Fab(Fab { steps, .. })
            | Attack::Spsa(Spsa { steps, .. })
            | Attack::FrankWolfe(FrankWolfe { steps, .. }) => steps,
            Attack::Square(_) | Attack::Occlusion(_) | Attack::SaltPepper(_) => 0,
        }
    }

    /// Forward passes that the attack, and the pass that judges its result, take for an image that is never misclassified.
    /// A gradient in the image, a forward and a backward pass, counts as two. Untargeted FAB, which takes the gradient of
    /// every other class, is counted for ten classes.
    pub fn passes(&self) -> f64 {
        let runs = |targets: u32, restarts: u32| f64::from(targets.max(1)) * f64::from(restarts.max(1));
        let steps = f64::from(self.steps());
        let attack = match *self {
            Attack::Fgsm { .. } | Attack::RFgsm(_) | Attack::MiFgsm(_) | Attack::FrankWolfe(_) => 2.0 * steps,
            // The divergence needs the clean logits, and between two starts the classifier is asked which samples fell.
            Attack::Pgd(p) => {
                let clean = if p.loss == Loss::Kl { 1.0 } else { 0.0 };
                runs(0, p.restarts) * (clean + 2.0 * steps) + runs(0, p.restarts) - 1.0
            }
            Attack::Apgd(a) => {
                let order = if a.targets > 0 { 1.0 } else { 0.0 };
                let starts = if a.norm == Norm::L1 { 3.0 } else { 1.0 };
                order + runs(a.targets, a.restarts) * 2.0 * (starts + steps)
            }
            Attack::Fab(f) if f.targets == 0 => 1.0 + runs(0, f.restarts) * (9.0 * 2.0 + 1.0) * steps,
            Attack::Fab(f) => 1.0 + runs(f.targets, f.restarts) * 3.0 * steps,
            Attack::Square(s) => runs(0, s.restarts) * (1.0 + f64::from(s.queries)),
            Attack::Spsa(s) => (1.0 + 2.0 * f64::from(s.pairs)) * steps,
            Attack::Occlusion(o) => f64::from(o.tries),
            Attack::SaltPepper(s) => f64::from(s.tries),
        };
        attack + 1.0
    }

    /// The short name used in tables: `fgsm`, `pgd-20`, `apgd-t`.
    pub fn name(&self) -> String {
        match self {
            Attack::Fgsm { .. } => "fgsm".into(),
            Attack::RFgsm(_) => "r-fgsm".into(),
            Attack::Pgd(Pgd { steps, loss: Loss::Ce, .. }) => format!("pgd-{steps}"),
            Attack::Pgd(Pgd { steps, loss: Loss::Cw, .. }) => format!("cw-{steps}"),
            Attack::Pgd(Pgd { steps, loss, .. }) => format!("pgd-{}-{steps}", loss.word()),
            Attack::MiFgsm(m) => format!("mi-fgsm-{}", m.steps),
            Attack::Apgd(Apgd { targets: 0, loss, .. }) => format!("apgd-{}", loss.word()),
            Attack::Apgd(_) => "apgd-t".into(),
            Attack::Fab(Fab { targets: 0, .. }) => "fab".into(),
            Attack::Fab(_) => "fab-t".into(),
            Attack::Square(_) => "square".into(),
            Attack::Spsa(_) => "spsa".into(),
            Attack::FrankWolfe(f) => format!("frank-wolfe-{}", f.steps),
            Attack::Occlusion(_) => "occlusion".into(),
            Attack::SaltPepper(_) => "salt-pepper".into(),
        }
    }

    /// The first constant out of range: its key, and what is wrong with it.
    pub fn fault(&self) -> Option<(&'static str, String)> {
        let eps = self.ball().and_then(|(norm, eps)| match (norm, eps.value()) {
            (Norm::Linf, e) if e <= 0.0 || e > 1.0 => {
                Some(format!("must be above 0 and at most 1 (pixels are in [0, 1]), got {e}"))
            }
            (_, e) if e <= 0.0 => Some(format!("must be above 0, got {e}")),
            _ => None,
        });
        if let Some(message) = eps {
            return Some(("eps", message));
        }
        let pixel = |key, value: Fraction| {
            let v = value.value();
            let wrong = v <= 0.0 || v > 1.0;
            wrong.then(|| (key, format!("must be above 0 and at most 1 (pixels are in [0, 1]), got {v}")))
        };
        let positive = |key, value: Fraction| {
            (value.value() <= 0.0).then(|| (key, format!("must be above 0, got {}", value.value())))
        };
        let count = |key, n: u32| match n {
            0 => Some((key, "must be at least 1, got 0".to_owned())),
            1..=MOST => None,
            _ => Some((key, format!("must be at most {MOST}, got {n}"))),
        };
        let share = |key, value: Fraction| {
            let v = value.value();
            (v <= 0.0 || v > 1.0).then(|| (key, format!("must be above 0 and at most 1, got {v}")))
        };
        let not_kl =
            |loss| (loss == Loss::Kl).then(|| ("loss", "`kl` is a loss of `pgd` alone; use ce, cw or dlr".to_owned()));
        match *self {
            Attack::Fgsm { .. } => None,
            Attack::RFgsm(a) => pixel("start", a.start)
                .or_else(|| (a.start.value() >= a.eps.value()).then(|| ("start", "must be below `eps`".to_owned()))),
            Attack::Pgd(a) => match a.norm {
                Norm::Linf => pixel("step", a.step),
                Norm::L2 | Norm::L1 => positive("step", a.step),
            }
            .or_else(|| count("steps", a.steps))
            .or_else(|| count("restarts", a.restarts))
            .or_else(|| {
                let same = a.restarts > 1 && !a.random_start;
                let words = format!(
                    "must be 1 without `random_start = true`: {} restarts from the clean image are the same attack",
                    a.restarts
                );
                same.then_some(("restarts", words))
            })
            .or_else(|| {
                let other = a.loss == Loss::Kl && a.norm != Norm::Linf;
                other.then(|| ("loss", "`kl` is climbed under linf alone".to_owned()))
            }),
            Attack::MiFgsm(a) => pixel("step", a.step).or_else(|| count("steps", a.steps)),
            Attack::Apgd(a) => count("steps", a.steps)
                .or_else(|| count("restarts", a.restarts))
                .or_else(|| share("rho", a.rho))
                .or_else(|| not_kl(a.loss)),
            Attack::Fab(a) => count("steps", a.steps)
                .or_else(|| count("restarts", a.restarts))
                .or_else(|| positive("overshoot", a.overshoot))
                .or_else(|| share("backward", a.backward))
                .or_else(|| share("alpha_max", a.alpha_max)),
            Attack::Square(a) => {
                count("queries", a.queries).or_else(|| count("restarts", a.restarts)).or_else(|| share("p", a.p))
            }
            Attack::Spsa(a) => pixel("delta", a.delta)
                .or_else(|| pixel("lr", a.lr))
                .or_else(|| count("pairs", a.pairs))
                .or_else(|| count("steps", a.steps)),
            Attack::FrankWolfe(a) => count("steps", a.steps)
                .or_else(|| (a.norm == Norm::L1).then(|| ("norm", "frank_wolfe works under linf and l2".to_owned()))),
            Attack::Occlusion(a) => {
                count("height", a.height).or_else(|| count("width", a.width)).or_else(|| count("tries", a.tries))
            }
            Attack::SaltPepper(a) => share("share", a.share).or_else(|| count("tries", a.tries)),
        }
    }
}

impl fmt::Display for Attack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let start = |random: bool| if random { "" } else { " from clean" };
        match self {
            Attack::Fgsm { eps } => write!(f, "FGSM linf {eps}"),
            Attack::RFgsm(a) => write!(f, "R-FGSM linf {} start {}", a.eps, a.start),
            Attack::Pgd(p) => {
                let loss = if p.loss == Loss::Ce { String::new() } else { format!(" {}", p.loss.word()) };
                write!(
                    f,
                    "PGD-{}{loss} {} {} step {} x{}{}",
                    p.steps,
                    p.norm,
                    p.eps,
                    p.step,
                    p.restarts,
                    start(p.random_start)
                )
            }
            Attack::MiFgsm(a) => write!(f, "MI-FGSM-{} linf {} step {} decay {}", a.steps, a.eps, a.step, a.decay),
            Attack::Apgd(a) => {
                let targets = if a.targets == 0 { String::new() } else { format!(" {} targets", a.targets) };
                write!(
                    f,
                    "APGD-{} {}{targets} {} {} x{}{}",
                    a.steps,
                    a.loss.word(),
                    a.norm,
                    a.eps,
                    a.restarts,
                    start(a.random_start)
                )
            }
            Attack::Fab(a) => {
                let targets = if a.targets == 0 { String::new() } else { format!(" {} targets", a.targets) };
                write!(f, "FAB-{}{targets} {} {} x{}", a.steps, a.norm, a.eps, a.restarts)
            }
            Attack::Square(a) => write!(f, "Square-{} {} {} x{}", a.queries, a.norm, a.eps, a.restarts),
            Attack::Spsa(a) => write!(f, "SPSA-{} linf {} {} pairs", a.steps, a.eps, a.pairs),
            Attack::FrankWolfe(a) => write!(f, "Frank-Wolfe-{} {} {}", a.steps, a.norm, a.eps),
            Attack::Occlusion(a) => write!(f, "occlusion {}x{} x{}", a.height, a.width, a.tries),
            Attack::SaltPepper(a) => write!(f, "salt-and-pepper {} x{}", a.share, a.tries),
        }
    }
}
