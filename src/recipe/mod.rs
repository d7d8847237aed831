//! How a network is trained, as values.
//!
//! A [`Recipe`] is put together of parts that do not know each other: an adversary, an objective, what is perturbed
//! around a step, what is averaged, how batches are changed, an optimiser, a schedule. The methods of papers are
//! [`PRESETS`], rows of one table.

mod adversary;
mod around;
mod augment;
mod domain;
mod objective;
mod optimiser;
mod passes;
mod preset;
mod schedule;
mod selection;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use adversary::{Adversary, Ascent, Fosc, FrankWolfe, Free, Pyramid, SingleStep, Start, Statistics};
pub use around::{Average, AveragedStatistics, Awp};
pub use augment::Augment;
pub use domain::Domain;
pub use objective::{Objective, alignment_weight};
pub use optimiser::{Adam, AdamW, Decayed, Momentum, Optimiser, Sgd};
pub use passes::{Kind, Pass, Passes};
pub use preset::{PRESETS, Preset, Row, preset, words};
pub use schedule::{Ramp, Schedule, Shape, Time, cosine};
pub use selection::{Rectangle, Selection};

use crate::threat::{Loss, Norm};

/// How a network is trained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// A word for it in results: that of the preset that it was made of.
    pub name: String,
    /// Passes over the training images.
    pub epochs: u32,
    /// Images a step.
    pub batch: usize,
    /// Largest norm of the gradient as a whole (absent: any).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clip: Option<f64>,
    /// Which of several batch-norms side by side attacked images go through, in the attack and in the loss; clean ones,
    /// and the network in use, go through the first (absent: all do).
    #[serde(default, skip_serializing_if = "is_first")]
    pub branch: usize,
    /// What the network is shown.
    pub adversary: Adversary,
    /// What it is to learn from it.
    pub objective: Objective,
    /// The optimiser.
    pub optimiser: Optimiser,
    /// Its learning rate.
    pub schedule: Schedule,
    /// How the attack gets strong (absent: it is from the beginning).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ramp: Option<Ramp>,
    /// Weights moved for the step's gradient (absent: they are not).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub awp: Option<Awp>,
    /// A head that tells clean from attacked images, against which the network learns (absent: none does).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<Domain>,
    /// Occluded images, and a module that tells the kinds of images apart (absent: there are none).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selection: Option<Selection>,
    /// The average that is kept in place of the last weights (absent: none is).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub average: Option<Average>,
    /// How batches are changed (absent: they are not, but for crops and flips).
    #[serde(default, skip_serializing_if = "is_none")]
    pub augment: Augment,
}

fn is_first(branch: &usize) -> bool {
    *branch == 0
}

fn is_none(augment: &Augment) -> bool {
    *augment == Augment::NONE
}

impl Recipe {
    /// The first key that cannot be, or that does not go with another, as a dotted path, and why.
    pub fn fault(&self) -> Option<(String, String)> {
        let counts = [("epochs", self.epochs as usize), ("batch", self.batch)];
        if let Some((key, _)) = counts.into_iter().find(|(_, n)| *n == 0) {
            return Some((key.to_owned(), "must be at least 1, got 0".to_owned()));
        }
        let within = |table: &str, fault: Option<(&'static str, String)>| {
            fault.map(|(key, why)| (format!("{table}.{key}"), why))
        };
        let clip = self.clip.filter(|clip| clip.is_nan() || *clip <= 0.0).map(|clip| ("clip".to_owned(), above(clip)));
        let gamma = self.awp.filter(|awp| awp.gamma <= 0.0 || !awp.gamma.is_finite());
        clip.or_else(|| within("adversary", self.adversary.fault()))
            .or_else(|| within("objective", self.objective.fault()))
            .or_else(|| within("optimiser", self.optimiser.fault()))
            .or_else(|| within("schedule", self.schedule.fault()))
            .or_else(|| within("ramp", self.ramp.and_then(|ramp| ramp.fault())))
            .or_else(|| gamma.map(|awp| ("awp.gamma".to_owned(), above(awp.gamma))))
            .or_else(|| within("domain", self.domain.as_ref().and_then(Domain::fault)))
            .or_else(|| within("selection", self.selection.and_then(|selection| selection.fault())))
            .or_else(|| within("average", self.average.and_then(|average| average.fault())))
            .or_else(|| within("augment", self.augment.fault()))
            .or_else(|| self.unfit().map(|(key, why)| (key.to_owned(), why.to_owned())))
    }

    /// Parts that do not go together.
    fn unfit(&self) -> Option<(&'static str, &'static str)> {
        let Recipe { adversary, objective, awp, .. } = self;
        let attacks = *adversary != Adversary::None;
        let free = matches!(adversary, Adversary::Free(_));
        let of_one_label = matches!(adversary, Adversary::Pgd(Ascent { loss: Loss::Cw, .. }));
        let both = objective.reads_clean() && objective.reads_attacked();
        let terms = Objective { clean: objective.clean, attacked: objective.attacked, ..Objective::NOTHING };
        let average_never = self.average.is_some_and(|average| average.from() >= self.epochs);
        [
            (
                !objective.reads_clean() && !objective.reads_attacked(),
                "objective",
                "has no term: give `clean` or `attacked` a weight",
            ),
            (
                objective.reads_attacked() && !attacks,
                "objective",
                "has a term on attacked images, and the adversary is `none`",
            ),
            (
                attacks && !objective.reads_attacked(),
                "objective",
                "looks at no attacked image, so that the attack would be for nothing: give a term on attacked images a \
                 weight, or write adversary = { name = \"none\" }",
            ),
            (
                free && (objective.reads_clean() || objective.boosted > 0.0 || objective.alignment > 0.0),
                "objective",
                "may only have `attacked` with the adversary `free`, whose one pass gives both gradients",
            ),
            (
                free && awp.is_some(),
                "awp",
                "does not go with the adversary `free`, whose one pass gives both gradients",
            ),
            (
                objective.alignment > 0.0 && !attacks,
                "objective.alignment",
                "compares gradients in the ball of the adversary, and there is none",
            ),
            (
                self.augment.mixes() && objective.needs_one_label(),
                "augment",
                "mixes targets, and `objective.boosted` and `objective.weighted_divergence` need one label an image",
            ),
            (
                self.augment.mixes() && of_one_label,
                "augment",
                "mixes targets, and an adversary with the loss `cw` needs one label an image",
            ),
            (self.branch > 0 && !attacks, "branch", "is where attacked images go through, and there is no attack"),
            (
                self.branch > 0 && free,
                "branch",
                "does not go with the adversary `free`, which trains nothing but the branch of the attack",
            ),
            (
                self.domain.is_some() && !both,
                "domain",
                "tells clean from attacked images, and the objective has no term on one of them",
            ),
            (
                self.selection.is_some() && (!both || Objective { smoothing: objective.smoothing, ..terms } != *objective),
                "selection",
                "shows every kind of image on its own: the objective must have `clean` and `attacked`, and nothing else \
                 but `smoothing`",
            ),
            (
                self.selection.is_some() && (self.branch > 0 || self.domain.is_some()),
                "selection",
                "has batch-norms of its own for the kinds of images, and goes with neither `branch` nor `domain`",
            ),
            (self.ramp.is_some() && !attacks, "ramp", "raises the strength of an attack, and there is none"),
            (
                average_never,
                "average.from",
                "is not before the end of the training, so that nothing would be averaged: lower it or raise `epochs`",
            ),
            (
                awp.is_some_and(|awp| awp.from >= self.epochs),
                "awp.from",
                "is not before the end of the training, so that no weight would be moved: lower it or raise `epochs`",
            ),
            (
                self.ramp.is_some_and(|ramp| ramp.epochs > f64::from(self.epochs)),
                "ramp.epochs",
                "is longer than the training, so that the attack would never be whole: lower it or raise `epochs`",
            ),
            (
                self.schedule.warmup >= f64::from(self.epochs),
                "schedule.warmup",
                "is not shorter than the training: lower it or raise `epochs`",
            ),
        ]
        .into_iter()
        .find_map(|(unfit, key, why)| unfit.then_some((key, why)))
    }
}

fn above(value: f64) -> String {
    format!("must be above 0, got {value}")
}

/// The recipe with the constants that make the method, as records tell it.
impl fmt::Display for Recipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.name)?;
        match &self.adversary {
            Adversary::None => {}
            Adversary::Pgd(Ascent { norm, eps, step, steps, loss, statistics, .. }) => {
                write!(f, " {norm} {eps} step {step} x{steps}")?;
                // The divergence is climbed on running statistics wherever it is published.
                if (*loss, *statistics) != (Loss::Kl, Statistics::Eval) {
                    write!(f, " ({} statistics)", statistics.word())?;
                }
            }
            Adversary::SingleStep(SingleStep { eps, noise, step, project, clip_start, statistics }) => {
                write!(f, " {} {eps} noise {noise} eps", Norm::Linf)?;
                if step.value() != 1.0 {
                    write!(f, " step {step} eps")?;
                }
                let words = [(*project, " projected"), (*clip_start, " clipped")];
                words.iter().filter(|(on, _)| *on).try_for_each(|(_, word)| f.write_str(word))?;
                if *statistics != Statistics::Batch {
                    write!(f, " ({} statistics)", statistics.word())?;
                }
            }
            Adversary::FrankWolfe(FrankWolfe { eps, steps, monitor, ratio, most, .. }) => match monitor {
                0 => write!(f, " {} {eps} x{steps}", Norm::Linf)?,
                _ => write!(f, " {} {eps} up to x{most}, distortion {ratio}", Norm::Linf)?,
            },
            Adversary::Fosc(Fosc { eps, step, steps, c_max, until, .. }) => {
                write!(f, " {} {eps} step {step} up to x{steps}, fosc {c_max} to 0 at {until:.3}", Norm::Linf)?;
            }
            Adversary::Pyramid(Pyramid { eps, step, steps, patches, .. }) => {
                write!(f, " {} {eps} step {step} x{steps} on patches of {patches:?}", Norm::Linf)?;
            }
            Adversary::Free(Free { eps, step, replays }) => {
                write!(f, " {} {eps} step {step}, {replays} replays", Norm::Linf)?;
            }
        }
        if self.branch > 0 {
            write!(f, " through batch-norm {}", self.branch)?;
        }
        let Objective { divergence, weighted_divergence, alignment, smoothing, .. } = self.objective;
        let terms =
            [("beta", divergence), ("beta", weighted_divergence), ("alignment", alignment), ("smoothing", smoothing)];
        terms.iter().filter(|(_, w)| *w > 0.0).try_for_each(|(word, w)| write!(f, " {word} {w}"))?;
        if let Some(Ramp { epochs, .. }) = self.ramp {
            write!(f, ", ramp of {epochs} epochs")?;
        }
        if let Some(Awp { gamma, from }) = self.awp {
            write!(f, ", awp {gamma} from epoch {from}")?;
        }
        if let Some(Domain { weight, .. }) = &self.domain {
            write!(f, ", domain head {weight}")?;
        }
        if let Some(Selection { occlusion: Rectangle { height, width, step, steps }, .. }) = self.selection {
            write!(f, ", occlusion {height}x{width} step {step} x{steps} and selection")?;
        }
        match self.average {
            None => {}
            Some(Average::Ema { decay, .. }) => write!(f, ", ema {decay}")?,
            Some(Average::Swa { from, .. }) => write!(f, ", swa from epoch {from}")?,
        }
        let Augment { cutout, mixup, cutmix, .. } = self.augment;
        let changes = [("cutout", cutout as f64), ("mixup", mixup), ("cutmix", cutmix)];
        changes.iter().filter(|(_, v)| *v > 0.0).try_for_each(|(word, v)| write!(f, ", {word} {v}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_preset_is_sound_and_reads_itself_back() {
        for row in PRESETS {
            let recipe = (row.recipe)();
            assert_eq!((recipe.name.as_str(), recipe.fault()), (row.name, None));
            let text = toml::to_string(&recipe).unwrap();
            assert_eq!(toml::from_str::<Recipe>(&text).unwrap(), recipe, "{text}");
            let text = serde_json::to_string(&recipe).unwrap();
            assert_eq!(serde_json::from_str::<Recipe>(&text).unwrap(), recipe, "{text}");
        }
    }

    #[test]
    fn what_does_not_go_together_is_refused_by_name() {
        type Change = fn(&mut Recipe);
        let cases: &[(&str, Change, &str, &str)] = &[
            ("standard", |r| r.objective = Objective::ATTACKED, "objective", "adversary is `none`"),
            ("n-fgsm", |r| r.objective = Objective::CLEAN, "objective", "no attacked image"),
            ("n-fgsm", |r| r.objective = Objective::NOTHING, "objective", "no term"),
            ("free", |r| r.awp = Some(Awp { gamma: 0.01, from: 0 }), "awp", "free"),
            ("free", |r| r.objective.clean = 1.0, "objective", "free"),
            ("mart", |r| r.augment = Augment { cutmix: 1.0, share: 1.0, ..Augment::NONE }, "augment", "one label"),
            ("standard", |r| r.ramp = Some(Ramp { epochs: 1.0, from: 0.0 }), "ramp", "there is none"),
            ("mart", |r| r.objective.smoothing = 0.1, "objective.smoothing", "there is none"),
            ("pgd-at", |r| r.batch = 0, "batch", "at least 1"),
            ("pgd-at", |r| r.clip = Some(0.0), "clip", "above 0"),
        ];
        for (word, change, key, why) in cases {
            let mut recipe = preset(word).unwrap();
            change(&mut recipe);
            let (found, said) = recipe.fault().unwrap_or_else(|| panic!("{word} {key}"));
            assert!(found == *key && said.contains(why), "{word}: `{found}` {said}");
        }
    }
}
