//! The file of a training: a recipe, the images, and how it is watched.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::check::Check;
use super::doc::{Doc, Override, Setting};
use super::population::Images;
use super::retrain::{self, RawRetrain};
use crate::error::Result;
use crate::recipe::{Adversary, Recipe};
use crate::threat::{Attack, Norm, Pgd};
use crate::units::Fraction;

/// A resolved file.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Train {
    /// `[train]`: the recipe, with `preset` what is laid over one.
    #[serde(rename = "train")]
    pub recipe: Recipe,
    /// `[split]`.
    pub split: Images,
    /// `[watch]`: the attack that held-out images are measured under, epoch by epoch.
    pub watch: Pgd,
    /// `[guard]` (optional): what is done about a collapse.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub guard: Option<Guard>,
}

/// Catastrophic overfitting: single-step training that suddenly resists its own attack alone (Wong et al. 2020, section
/// 5.4).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Guard {
    /// How far the share of held-out images that are right under the watch's attack has to be below the best epoch's;
    /// the paper's is 0.2.
    pub drop: f64,
    /// What is then done.
    pub reaction: Reaction,
}

/// What is done about a collapse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reaction {
    /// The training ends; the best epoch is kept.
    Stop,
    /// It goes on from the best epoch's weights with a fresh optimiser and average.
    RestoreBest,
    /// The same, and the noise of a single-step adversary grows by a radius.
    RaiseNoise,
}

impl Guard {
    /// Whether the last of some shares has collapsed.
    pub fn collapsed(&self, shares: &[f64]) -> bool {
        let best = shares.iter().copied().fold(0.0, f64::max);
        shares.last().is_some_and(|last| *last < best - self.drop)
    }
}

/// The file as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTrain {
    train: RawRetrain,
    #[serde(default)]
    split: RawSplit,
    #[serde(default)]
    watch: RawWatch,
    guard: Option<Guard>,
}

/// Every training image, 1,000 of them held out, crops and flips as for CIFAR.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawSplit {
    train: usize,
    validation: usize,
    crop_pad: usize,
    flip: bool,
}

impl Default for RawSplit {
    fn default() -> Self {
        RawSplit { train: 0, validation: 1000, crop_pad: 4, flip: true }
    }
}

/// PGD-10 in the recipe's ball by steps of a quarter of its radius, or in 8/255.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawWatch {
    norm: Option<Norm>,
    eps: Option<Fraction>,
    step: Option<Fraction>,
    steps: Option<u32>,
}

impl Train {
    /// Reads a file, with settings laid over it (`train.epochs`, `split.train`).
    ///
    /// # Errors
    /// [`crate::error::Error::Config`] with the line of the offending key; [`crate::error::Error::Usage`] if it came
    /// from a pair.
    pub fn resolve(text: &str, path: &Path, settings: &[Setting]) -> Result<Train> {
        let overrides = Override::list(text, settings);
        let mut doc = Doc::parse(text, path, &overrides)?;
        retrain::by_name(&mut doc, "train");
        let base = retrain::base(&doc, "train")?;
        let doc = doc.over("train", base.as_deref())?;
        let RawTrain { train, split, watch, guard } = doc.read()?;
        let recipe = train.resolve(&doc, "train")?;
        let RawSplit { train, validation, crop_pad, flip } = split;
        let split = Images { train, validation, crop_pad, flip };
        if validation == 0 || (train > 0 && validation >= train) {
            let why =
                format!("{validation} of {train} images are held out; expected at least 1, and some left to train on");
            return Err(doc.fail("split.validation", why));
        }
        let eps = watch.eps.or(recipe.adversary.eps()).unwrap_or(Fraction::of_255(8));
        let step = match watch.step.or(eps.part(4)) {
            Some(step) => step,
            None => return Err(doc.fail("watch", "`watch.step` is missing: a quarter of the radius is no fraction")),
        };
        let watch = Pgd { norm: watch.norm.unwrap_or_default(), ..Pgd::new(eps, step, watch.steps.unwrap_or(10)) };
        Check { doc: &doc }.attack("watch", &Attack::Pgd(watch))?;
        if let Some(Guard { drop, reaction }) = guard {
            if !(drop > 0.0 && drop < 1.0) {
                return Err(
                    doc.fail("guard.drop", format!("`guard.drop` must be strictly between 0 and 1, got {drop}"))
                );
            }
            if reaction == Reaction::RaiseNoise && !matches!(recipe.adversary, Adversary::SingleStep(_)) {
                let why = "`guard.reaction` is `raise-noise`, and no adversary but `single-step` has noise";
                return Err(doc.fail("guard.reaction", why));
            }
        }
        Ok(Train { recipe, split, watch, guard })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::{Shape, preset};

    fn read(text: &str, sets: &[(&str, &str)]) -> Result<Train> {
        let sets: Vec<_> = sets.iter().map(|(key, value)| Setting::new(key, value)).collect();
        Train::resolve(text, Path::new("train.toml"), &sets)
    }

    #[test]
    fn a_preset_is_laid_under_what_is_written() {
        let text = "[train]\npreset = \"trades\"\nepochs = 30\nobjective = { divergence = 4.0 }\nawp = { gamma = 0.005, from = 10 }\n\
                    adversary = { eps = \"8/255\" }\nschedule = { shape = { name = \"cosine\", lr_min = 0.0 } }\n\
                    [split]\ntrain = 256\nvalidation = 64";
        let found = read(text, &[("train.batch", "64")]).unwrap();
        let mut want = preset("trades").unwrap();
        (want.epochs, want.batch, want.objective.divergence) = (30, 64, 4.0);
        want.awp = Some(crate::recipe::Awp { gamma: 0.005, from: 10 });
        want.schedule.shape = Shape::Cosine { lr_min: 0.0 };
        let Adversary::Pgd(attack) = &mut want.adversary else { panic!("{want:?}") };
        attack.eps = Fraction::of_255(8);
        assert_eq!(found.recipe, want);
        assert_eq!((found.split.train, found.split.crop_pad), (256, 4));
        assert_eq!(found.watch, Pgd::new(Fraction::of_255(8), Fraction::of_255(2), 10));
    }

    #[test]
    fn a_recipe_may_have_a_name_of_its_own() {
        let found = read("[train]\npreset = \"trades\"\nname = \"mine\"", &[]).unwrap().recipe;
        assert_eq!(found, Recipe { name: "mine".into(), ..preset("trades").unwrap() });
    }

    #[test]
    fn a_preset_alone_is_enough() {
        for row in crate::recipe::PRESETS {
            assert_eq!(read("", &[("train.preset", row.name)]).unwrap().recipe, (row.recipe)(), "{}", row.name);
        }
    }

    #[test]
    fn a_collapse_is_a_fall_below_the_best() {
        let guard = Guard { drop: 0.2, reaction: Reaction::Stop };
        assert!(!guard.collapsed(&[]) && !guard.collapsed(&[0.1, 0.3, 0.11]));
        assert!(guard.collapsed(&[0.1, 0.3, 0.25, 0.0]) && !guard.collapsed(&[0.3, 0.0, 0.2]));
    }

    #[test]
    fn mistakes_are_answered_with_their_line() {
        for (text, words) in [
            ("[train]\npreset = \"trade\"", &["train.toml:2: ", "did you mean `trades`?"][..]),
            ("[train]\npreset = \"trades\"\n\nepoch = 3", &["train.toml:4: ", "`epoch`", "did you mean `epochs`?"]),
            ("[train]\npreset = \"n-fgsm\"\n[train.adversary]\nnoice = \"2\"", &["train.toml:4: ", "`noice`"]),
            (
                "[train]\npreset = \"free\"\nawp = { gamma = 0.01, from = 0 }",
                &["train.toml:3: ", "`train.awp`", "free"],
            ),
            ("[train]\npreset = \"trades-awp\"\nepochs = 5", &["train.toml:2: ", "`train.awp.from`", "raise `epochs`"]),
            ("[train]\nepochs = 5\nbatch = 8", &["train.toml:1: ", "`preset` is missing"]),
            ("[train]\npreset = \"standard\"\n[split]\ntrain = 10\nvalidation = 10", &["train.toml:5: "]),
            (
                "[train]\npreset = \"pgd-at\"\n[guard]\ndrop = 0.2\nreaction = \"raise-noise\"",
                &["train.toml:5: ", "`single-step`"],
            ),
            ("[train]\npreset = \"standard\"\n[watch]\nsteps = 0", &["train.toml:4: ", "`watch.steps`"]),
        ] {
            let said = read(text, &[]).unwrap_err().to_string();
            assert!(words.iter().all(|word| said.contains(word)), "{words:?}: {said}");
        }
        let said = read("", &[("train.preset", "trades"), ("train.objective.divergence", "-1")]).unwrap_err();
        assert_eq!(
            said.to_string(),
            "--set train.objective.divergence=-1: `train.objective.divergence` must be at least 0, got -1"
        );
        assert_eq!(said.exit_code(), 2);
    }
}
