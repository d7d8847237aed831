//! A recipe as files write it: a preset with changes, all of its keys, or one of four methods by its short keys.
//!
//! ```toml
//! [retrain]
//! preset = "trades"              # any of `robustnas train --list`; what follows is laid over it
//! epochs = 30
//! objective = { divergence = 4.0 }
//! awp = { gamma = 0.005, from = 10 }
//! ```
//!
//! The short keys are those of the first space files: `method` with its constants, and `sgd` with a cosine an epoch. A
//! recipe that they can tell is written by them, so that folders of runs say the same as before.

use serde::{Deserialize, Serialize, Serializer};

use super::doc::Doc;
use crate::error::Result;
use crate::recipe::{
    Adversary, Ascent, Augment, Average, Awp, Decayed, Domain, Momentum, Objective, Optimiser, Ramp, Recipe, Schedule,
    Selection, Sgd, Shape, SingleStep, Start, Statistics, preset,
};
use crate::threat::{AttackNorm, Loss, Norm};
use crate::units::Fraction;

/// The table.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawRetrain {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    preset: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    epochs: u32,
    batch: usize,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    clip: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    branch: Option<usize>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    method: Option<Method>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sgd: Option<Sgd>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    adversary: Option<Adversary>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    objective: Option<Objective>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    optimiser: Option<Optimiser>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    schedule: Option<Schedule>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ramp: Option<Ramp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    awp: Option<Awp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    domain: Option<Domain>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    selection: Option<Selection>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    average: Option<Average>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    augment: Option<Augment>,
}

/// The short keys of four methods.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "snake_case", deny_unknown_fields)]
enum Method {
    Standard,
    PgdAt { eps: Fraction, step: Fraction, steps: u32, attack_norm: AttackNorm },
    NFgsm { eps: Fraction, noise: Fraction },
    Trades { eps: Fraction, step: Fraction, steps: u32, beta: f64 },
}

impl Method {
    fn parts(self) -> (&'static str, Adversary, Objective) {
        let (norm, start) = (Norm::Linf, Start::Ball);
        match self {
            Method::Standard => ("standard", Adversary::None, Objective::CLEAN),
            Method::PgdAt { eps, step, steps, attack_norm } => {
                let (loss, statistics) = (Loss::Ce, attack_norm.into());
                let attack = Ascent { norm, eps, step, steps, loss, start, statistics };
                ("pgd-at", Adversary::Pgd(attack), Objective::ATTACKED)
            }
            // Its noisy image is not clipped before its gradient is taken, as the published code's is.
            Method::NFgsm { eps, noise } => {
                let (step, statistics) = (Fraction::new(1, 1), Statistics::Batch);
                let attack = SingleStep { eps, noise, step, project: false, clip_start: false, statistics };
                ("n-fgsm", Adversary::SingleStep(attack), Objective::ATTACKED)
            }
            Method::Trades { eps, step, steps, beta } => {
                let (loss, start, statistics) = (Loss::Kl, Start::Noise, Statistics::Eval);
                let attack = Ascent { norm, eps, step, steps, loss, start, statistics };
                ("trades", Adversary::Pgd(attack), Objective { divergence: beta, ..Objective::CLEAN })
            }
        }
    }

    fn recipe(self, epochs: u32, batch: usize, sgd: Sgd) -> Recipe {
        let (name, adversary, objective) = self.parts();
        let Sgd { lr, lr_min, momentum, weight_decay, clip } = sgd;
        let optimiser = Momentum { momentum, nesterov: false, weight_decay, decayed: Decayed::All };
        Recipe {
            name: name.to_owned(),
            epochs,
            batch,
            clip: Some(clip),
            branch: 0,
            adversary,
            objective,
            optimiser: Optimiser::Sgd(optimiser),
            schedule: Schedule { lr, warmup: 0.0, per_step: false, shape: Shape::Cosine { lr_min } },
            ramp: None,
            awp: None,
            domain: None,
            selection: None,
            average: None,
            augment: Augment::NONE,
        }
    }

    /// The short keys that tell a recipe, if any do.
    fn of(recipe: &Recipe) -> Option<(Method, Sgd)> {
        let method = match (recipe.name.as_str(), &recipe.adversary) {
            ("standard", Adversary::None) => Method::Standard,
            ("pgd-at", Adversary::Pgd(Ascent { eps, step, steps, statistics, .. })) => {
                let attack_norm = if *statistics == Statistics::Eval { AttackNorm::Eval } else { AttackNorm::Batch };
                Method::PgdAt { eps: *eps, step: *step, steps: *steps, attack_norm }
            }
            ("n-fgsm", Adversary::SingleStep(SingleStep { eps, noise, .. })) => {
                Method::NFgsm { eps: *eps, noise: *noise }
            }
            ("trades", Adversary::Pgd(Ascent { eps, step, steps, .. })) => {
                Method::Trades { eps: *eps, step: *step, steps: *steps, beta: recipe.objective.divergence }
            }
            _ => return None,
        };
        let (Optimiser::Sgd(Momentum { momentum, weight_decay, .. }), Shape::Cosine { lr_min }, Some(clip)) =
            (recipe.optimiser, &recipe.schedule.shape, recipe.clip)
        else {
            return None;
        };
        let sgd = Sgd { lr: recipe.schedule.lr, lr_min: *lr_min, momentum, weight_decay, clip };
        // Whatever they do not tell has to be as they mean it.
        (method.recipe(recipe.epochs, recipe.batch, sgd) == *recipe).then_some((method, sgd))
    }
}

impl RawRetrain {
    /// The recipe of the table at a path.
    ///
    /// # Errors
    /// [`crate::error::Error::Config`] at the key that is missing, cannot be, or does not go with another.
    pub fn resolve(self, doc: &Doc<'_>, at: &str) -> Result<Recipe> {
        let missing = |key: &str| doc.fail(at, format!("the key `{key}` is missing from [{at}]"));
        let RawRetrain { epochs, batch, clip, objective, optimiser, schedule, ramp, awp, average, augment, .. } = self;
        let (domain, selection) = (self.domain, self.selection);
        let (recipe, short) = match (self.method, self.sgd) {
            (None, None) => {
                let adversary = self.adversary.ok_or_else(|| {
                    let why = format!("the key `preset` is missing from [{at}]; write for example preset = \"trades\"");
                    doc.fail(at, why)
                })?;
                let recipe = Recipe {
                    name: self.name.unwrap_or_else(|| "custom".to_owned()),
                    epochs,
                    batch,
                    clip,
                    branch: self.branch.unwrap_or(0),
                    adversary,
                    objective: objective.ok_or_else(|| missing("objective"))?,
                    optimiser: optimiser.ok_or_else(|| missing("optimiser"))?,
                    schedule: schedule.ok_or_else(|| missing("schedule"))?,
                    ramp,
                    awp,
                    domain,
                    selection,
                    average,
                    augment: augment.unwrap_or_default(),
                };
                (recipe, None)
            }
            (None, Some(_)) if self.preset.is_some() => {
                let (key, other) = (format!("{at}.sgd"), format!("{at}.preset"));
                let why = format!("`{key}` stands beside `{other}`; a preset's keys are `optimiser` and `schedule`");
                return Err(doc.fail(&key, why));
            }
            (Some(_), None) => return Err(missing("sgd")),
            (None, Some(_)) => return Err(missing("method")),
            (Some(method), Some(sgd)) => {
                let both = [
                    ("preset", self.preset.is_some()),
                    ("adversary", self.adversary.is_some()),
                    ("objective", objective.is_some()),
                    ("optimiser", optimiser.is_some()),
                    ("schedule", schedule.is_some()),
                    ("clip", clip.is_some()),
                    ("branch", self.branch.is_some()),
                ];
                if let Some((key, _)) = both.into_iter().find(|(_, given)| *given) {
                    let key = format!("{at}.{key}");
                    let why =
                        format!("`{key}` stands beside the short keys `method` and `sgd`; write one or the other");
                    return Err(doc.fail(&key, why));
                }
                if let Method::Trades { beta, .. } = method
                    && !(beta > 0.0 && beta.is_finite())
                {
                    let key = format!("{at}.method.beta");
                    return Err(doc.fail(&key, format!("`{key}` must be above 0, got {beta}")));
                }
                let recipe = method.recipe(epochs, batch, sgd);
                let augment = augment.unwrap_or_default();
                (Recipe { ramp, awp, domain, selection, average, augment, ..recipe }, Some(()))
            }
        };
        match recipe.fault() {
            None => Ok(recipe),
            Some((key, why)) => {
                let key = if short.is_some() { short_key(&key) } else { key };
                Err(doc.fail(&format!("{at}.{key}"), format!("`{at}.{key}` {why}")))
            }
        }
    }
}

/// What a key of a recipe is called among the short ones.
fn short_key(key: &str) -> String {
    let short = match key {
        "clip" => "sgd.clip",
        "schedule.lr" => "sgd.lr",
        "schedule.shape.lr_min" => "sgd.lr_min",
        "objective.divergence" => "method.beta",
        other => {
            return match other.split_once('.') {
                Some(("adversary", key)) => format!("method.{key}"),
                Some(("optimiser", key)) => format!("sgd.{key}"),
                _ => other.to_owned(),
            };
        }
    };
    short.to_owned()
}

impl From<&Recipe> for RawRetrain {
    fn from(recipe: &Recipe) -> Self {
        let Recipe { name, epochs, batch, clip, adversary, objective, optimiser, schedule, .. } = recipe.clone();
        let Recipe { ramp, awp, selection, average, augment, .. } = *recipe;
        let short = Method::of(recipe);
        let long = short.is_none();
        RawRetrain {
            preset: None,
            name: long.then_some(name),
            epochs,
            batch,
            clip: clip.filter(|_| long),
            branch: Some(recipe.branch).filter(|branch| *branch > 0),
            method: short.map(|(method, _)| method),
            sgd: short.map(|(_, sgd)| sgd),
            adversary: long.then_some(adversary),
            objective: long.then_some(objective),
            optimiser: long.then_some(optimiser),
            schedule: long.then_some(schedule),
            ramp,
            awp,
            domain: recipe.domain.clone(),
            selection,
            average,
            augment: Some(augment).filter(|augment| *augment != Augment::NONE),
        }
    }
}

/// A recipe as files write it.
pub(super) fn serialize<S: Serializer>(recipe: &Recipe, s: S) -> Result<S::Ok, S::Error> {
    RawRetrain::from(recipe).serialize(s)
}

/// Makes a method that is only a name the preset of that name, and lets a preset of the command line take the place of the
/// file's short keys, which tell another method.
pub(super) fn by_name(doc: &mut Doc<'_>, at: &str) {
    let (method, preset) = (format!("{at}.method"), format!("{at}.preset"));
    if doc.word(&method).is_some() {
        doc.rename(at, "method", "preset");
    }
    let short = ["method", "sgd"];
    if doc.is_set(&preset) && !short.iter().any(|key| doc.is_set(&format!("{at}.{key}"))) {
        short.iter().for_each(|key| doc.remove(at, key));
    }
}

/// The text of the preset that a file's table names, to be laid under it; none where it names none.
///
/// # Errors
/// [`crate::error::Error::Config`] at a word that is no preset.
pub(super) fn base(doc: &Doc<'_>, at: &str) -> Result<Option<String>> {
    let key = format!("{at}.preset");
    let Some(word) = doc.word(&key) else { return Ok(None) };
    let recipe = preset(&word).map_err(|why| doc.fail(&key, format!("`{key}`: {why}")))?;
    let text = toml::to_string(&recipe)
        .map_err(|e| crate::error::Error::Internal(format!("the preset `{word}` is no TOML: {e}")))?;
    Ok(Some(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::PRESETS;

    const SHORT: [Method; 4] = [
        Method::Standard,
        Method::PgdAt { eps: EPS, step: STEP, steps: 7, attack_norm: AttackNorm::Batch },
        Method::NFgsm { eps: EPS, noise: Fraction::new(2, 1) },
        Method::Trades { eps: EPS, step: STEP, steps: 10, beta: 6.0 },
    ];
    const EPS: Fraction = Fraction::of_255(8);
    const STEP: Fraction = Fraction::of_255(2);
    const SGD: Sgd = Sgd { lr: 0.1, lr_min: 0.001, momentum: 0.9, weight_decay: 1e-4, clip: 5.0 };

    /// The words of records, which older results have, too.
    #[test]
    fn short_keys_tell_what_they_always_told() {
        let words = SHORT.map(|method| method.recipe(8, 32, SGD).to_string());
        assert_eq!(
            words,
            [
                "standard",
                "pgd-at linf 8/255 step 2/255 x7 (batch statistics)",
                "n-fgsm linf 8/255 noise 2 eps",
                "trades linf 8/255 step 2/255 x10 beta 6",
            ]
        );
        for method in SHORT {
            let recipe = method.recipe(8, 32, SGD);
            assert_eq!(Method::of(&recipe), Some((method, SGD)));
            let averaged = Recipe { clip: None, ..recipe };
            assert_eq!(Method::of(&averaged), None);
        }
    }

    #[test]
    fn no_preset_is_mistaken_for_a_short_form() {
        assert!(PRESETS.iter().all(|row| Method::of(&(row.recipe)()).is_none()));
    }
}
