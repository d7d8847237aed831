//! Plans: attacks in order, by name or from a file. A plan's robust accuracy is the worst case over its attacks.

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Apgd, Attack, Fab, FrankWolfe, Loss, MOST, MiFgsm, Norm, Occlusion, Pgd, RFgsm, SaltPepper, Spsa, Square};
use crate::error::{Error, Result, nearest};
use crate::units::Fraction;

/// Attacks in the order they are run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AttackPlan {
    /// A name for tables.
    pub name: String,
    /// Whether an attack gets only the samples that every attack before it has left correct; else each gets all samples
    /// that are correct clean.
    #[serde(default = "yes")]
    pub cascade: bool,
    /// Gradients that are averaged to one, against randomised networks; 1 for all others.
    #[serde(default = "one")]
    pub gradient_samples: u32,
    /// The attacks.
    pub attacks: Vec<Attack>,
    /// Attacks that were changed or left out, and why, as text.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

fn yes() -> bool {
    true
}

/// The default of a count of gradients.
pub(crate) fn one() -> u32 {
    1
}

/// The suites.
pub const SUITES: [&str; 4] = ["autoattack", "autoattack-plus", "rand", "apgd-only"];
/// Attacks that are plans of their own; `N` is a number of steps.
pub const SINGLES: [&str; 15] = [
    "fgsm",
    "r-fgsm",
    "pgd-N",
    "cw-N",
    "mi-fgsm-N",
    "apgd-ce",
    "apgd-dlr",
    "apgd-t",
    "fab",
    "fab-t",
    "square",
    "spsa",
    "frank-wolfe-N",
    "occlusion",
    "salt-pepper",
];

/// Steps of APGD and FAB.
const STEPS: u32 = 100;
/// Queries of Square.
const QUERIES: u32 = 5000;
/// Targets of APGD-T and FAB-T.
const TARGETS: u32 = 9;
/// The size of the occluding rectangle.
const OCCLUSION: u32 = 8;

const fn hundredths(num: u32) -> Fraction {
    Fraction::new(num, 100)
}

/// The threat model of a named attack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Threat {
    /// Norm of the ball.
    pub norm: Norm,
    /// Its radius.
    pub eps: Fraction,
}

impl Threat {
    /// A ball whose radius may be left out under Linf, where 8/255 is usual.
    ///
    /// # Errors
    /// As text, that there is no usual radius.
    pub fn usual(norm: Norm, eps: Option<Fraction>) -> Result<Self, String> {
        match (eps, norm) {
            (Some(eps), _) => Ok(Threat { norm, eps }),
            (None, Norm::Linf) => Ok(Threat { norm, eps: Fraction::of_255(8) }),
            (None, Norm::L2 | Norm::L1) => Err(format!("{norm} has no usual radius")),
        }
    }

    fn apgd(self, loss: Loss, targets: u32, restarts: u32) -> Attack {
        let Threat { norm, eps } = self;
        let rho = hundredths(75);
        Attack::Apgd(Apgd { norm, eps, loss, targets, steps: STEPS, restarts, rho, random_start: true })
    }

    fn fab(self, targets: u32, restarts: u32) -> Attack {
        let Threat { norm, eps } = self;
        let (overshoot, backward, alpha_max) = (hundredths(105), hundredths(90), hundredths(10));
        Attack::Fab(Fab { norm, eps, targets, steps: STEPS, restarts, overshoot, backward, alpha_max })
    }

    fn square(self) -> Attack {
        let Threat { norm, eps } = self;
        Attack::Square(Square { norm, eps, queries: QUERIES, restarts: 1, p: hundredths(80) })
    }

    /// Steps of a tenth of the radius for the margin, of a quarter for other losses.
    fn pgd(self, loss: Loss, steps: u32) -> Result<Attack, String> {
        let Threat { norm, eps } = self;
        let step = self.part(if loss == Loss::Cw { 10 } else { 4 })?;
        Ok(Attack::Pgd(Pgd { norm, eps, step, steps, restarts: 1, random_start: true, clip: true, loss }))
    }

    fn part(self, divisor: u32) -> Result<Fraction, String> {
        self.eps.part(divisor).ok_or_else(|| format!("eps {} has no usable {divisor}th part", self.eps))
    }

    /// One attack by its name, with its usual constants.
    fn attack(self, name: &str) -> Result<Attack, String> {
        let Threat { norm, eps } = self;
        let linf = |attack: Attack| match norm {
            Norm::Linf => Ok(attack),
            Norm::L2 | Norm::L1 => Err(format!("`{name}` works under linf, not under {norm}")),
        };
        let steps = |prefix: &str| -> Option<Result<u32, String>> {
            let text = name.strip_prefix(prefix)?;
            let found = text.parse().ok().filter(|n| (1..=100_000).contains(n));
            Some(found.ok_or_else(|| format!("`{name}`: expected a number of steps, as in `{prefix}20`")))
        };
        let attack = match name {
            "fgsm" => linf(Attack::Fgsm { eps })?,
            "r-fgsm" => linf(Attack::RFgsm(RFgsm { eps, start: self.part(2)? }))?,
            "apgd-ce" => self.apgd(Loss::Ce, 0, 1),
            "apgd-dlr" => self.apgd(Loss::Dlr, 0, 1),
            "apgd-t" => self.apgd(Loss::Dlr, TARGETS, 1),
            "fab" => self.fab(0, 1),
            "fab-t" => self.fab(TARGETS, 1),
            "square" => self.square(),
            "spsa" => {
                let (delta, lr) = (hundredths(1), hundredths(1));
                linf(Attack::Spsa(Spsa { eps, delta, lr, pairs: 64, steps: 100 }))?
            }
            "occlusion" => Attack::Occlusion(Occlusion { height: OCCLUSION, width: OCCLUSION, tries: 100 }),
            "salt-pepper" => Attack::SaltPepper(SaltPepper { share: hundredths(10), tries: 100 }),
            _ => {
                if let Some(steps) = steps("mi-fgsm-") {
                    let decay = Fraction::new(1, 1);
                    linf(Attack::MiFgsm(MiFgsm { eps, step: self.part(4)?, steps: steps?, decay }))?
                } else if let Some(steps) = steps("frank-wolfe-") {
                    Attack::FrankWolfe(FrankWolfe { norm, eps, steps: steps? })
                } else if let Some(steps) = steps("pgd-") {
                    self.pgd(Loss::Ce, steps?)?
                } else if let Some(steps) = steps("cw-") {
                    self.pgd(Loss::Cw, steps?)?
                } else {
                    let hint = nearest(name, SUITES.into_iter().chain(SINGLES))
                        .map_or(String::new(), |n| format!("; did you mean `{n}`?"));
                    return Err(format!(
                        "no attack or plan is called `{name}`{hint} Known: {}, {}, or the path of a .toml or .json file",
                        SUITES.join(", "),
                        SINGLES.join(", ")
                    ));
                }
            }
        };
        match attack.fault() {
            Some((key, message)) => Err(format!("`{name}`: `{key}` {message}")),
            None => Ok(attack),
        }
    }
}

impl AttackPlan {
    /// A cascade of attacks.
    pub fn new(name: &str, attacks: Vec<Attack>) -> Self {
        AttackPlan { name: name.to_owned(), cascade: true, gradient_samples: 1, attacks, notes: vec![] }
    }

    /// A suite or an attack by name, with its usual constants.
    ///
    /// `autoattack` is AutoAttack standard (Croce and Hein 2020; L1: Croce and Hein 2021), `autoattack-plus` its slower
    /// form, `rand` its form for randomised networks, `apgd-only` its first two attacks.
    ///
    /// # Errors
    /// As text, what is wrong with the name.
    pub fn named(name: &str, threat: Threat) -> Result<Self, String> {
        let (ce, targeted) = match threat.norm {
            Norm::L1 => (threat.apgd(Loss::Ce, 0, 5), threat.apgd(Loss::Dlr, 5, 1)),
            Norm::Linf | Norm::L2 => (threat.apgd(Loss::Ce, 0, 1), threat.apgd(Loss::Dlr, TARGETS, 1)),
        };
        let attacks = match name {
            "autoattack" => vec![ce, targeted, threat.fab(TARGETS, 1), threat.square()],
            "autoattack-plus" => vec![
                threat.apgd(Loss::Ce, 0, 5),
                threat.apgd(Loss::Dlr, 0, 5),
                threat.fab(0, 5),
                threat.square(),
                threat.apgd(Loss::Dlr, TARGETS, 1),
                threat.fab(TARGETS, 1),
            ],
            "rand" => vec![threat.apgd(Loss::Ce, 0, 1), threat.apgd(Loss::Dlr, 0, 1)],
            "apgd-only" => vec![ce, targeted],
            _ => vec![threat.attack(name)?],
        };
        let mut plan = AttackPlan::new(name, attacks);
        if name == "rand" {
            plan.gradient_samples = 20;
        }
        match plan.attacks.iter().find_map(Attack::fault) {
            Some((key, message)) => Err(format!("plan `{name}`: `{key}` {message}")),
            None => Ok(plan),
        }
    }

    /// Whether what is to be a plan's name is the path of a file.
    pub fn is_file(path: &Path) -> bool {
        path.extension().is_some_and(|e| e == "toml" || e == "json")
    }

    /// Reads a plan: TOML, or JSON where the file's name ends so. An attack is a name, or a table with all its
    /// constants; `norm` and `eps` may be given once at the top.
    ///
    /// ```toml
    /// name = "two"
    /// norm = "linf"
    /// eps = "8/255"
    /// attacks = ["apgd-ce", { attack = "square", queries = 1000, restarts = 1, p = "0.8" }]
    /// ```
    ///
    /// # Errors
    /// [`Error::Data`] with what was expected.
    pub fn from_text(text: &str, path: &Path, threat: Option<Threat>) -> Result<Self> {
        let bad = |message: String| Error::data(path, message);
        let json = path.extension().is_some_and(|e| e == "json");
        let mut plan: Map<String, Value> = match json {
            true => serde_json::from_str(text).map_err(|e| bad(format!("not a plan: {e}")))?,
            false => toml::from_str(text).map_err(|e| bad(format!("not a plan: {e}")))?,
        };
        let mut top = |key: &str| plan.remove(key).map(|v| serde_json::from_value::<Value>(v).unwrap_or_default());
        let (norm, eps) = (top("norm"), top("eps"));
        let own = |key: &str, value: Option<Value>, given: Option<String>| match (value, given) {
            (_, Some(given)) => Ok(Some(Value::String(given))),
            (Some(value @ Value::String(_)), None) => Ok(Some(value)),
            (None, None) => Ok(None),
            (Some(other), None) => Err(bad(format!("`{key}` is a string such as \"linf\" or \"8/255\", got {other}"))),
        };
        let norm = own("norm", norm, threat.map(|t| t.norm.to_string()))?;
        let eps = own("eps", eps, threat.map(|t| t.eps.to_string()))?;
        let Some(Value::Array(attacks)) = plan.get_mut("attacks") else {
            return Err(bad("`attacks` is missing; it is a list of names or tables".into()));
        };
        for (i, attack) in attacks.iter_mut().enumerate() {
            let at = |message: String| bad(format!("attacks[{i}]: {message}"));
            match attack {
                Value::String(name) => {
                    let threat = named_threat(norm.as_ref(), eps.as_ref()).map_err(at)?;
                    let found = threat.attack(name).map_err(at)?;
                    *attack = serde_json::to_value(found).map_err(|e| at(e.to_string()))?;
                }
                Value::Object(table) => {
                    let kind = table.get("attack").and_then(Value::as_str).unwrap_or_default();
                    let (takes_norm, takes_eps) = takes(kind);
                    for (key, value, takes) in [("norm", &norm, takes_norm), ("eps", &eps, takes_eps)] {
                        if let (true, Some(value)) = (takes && !table.contains_key(key), value) {
                            table.insert(key.to_owned(), value.clone());
                        }
                    }
                }
                other => return Err(at(format!("expected a name or a table, got {other}"))),
            }
        }
        let plan: AttackPlan = serde_json::from_value(Value::Object(plan)).map_err(|e| bad(e.to_string()))?;
        if plan.attacks.is_empty() {
            return Err(bad("`attacks` is empty; robustness needs at least one attack".into()));
        }
        let samples = plan.gradient_samples;
        if !(1..=MOST).contains(&samples) {
            return Err(bad(format!("`gradient_samples` must be from 1 to {MOST}, got {samples}")));
        }
        for (i, attack) in plan.attacks.iter().enumerate() {
            if let Some((key, message)) = attack.fault() {
                return Err(bad(format!("attacks[{i}]: `{key}` {message}")));
            }
        }
        Ok(plan)
    }

    /// The plan for networks of a number of classes. The difference of logits ratio compares three classes, its
    /// targeted form four: with fewer it is replaced by the margin (`cw`). There are no more targets than other
    /// classes. Every change is in the notes.
    ///
    /// # Errors
    /// [`Error::Usage`] for fewer than two classes: nothing can be misclassified.
    pub fn for_classes(mut self, classes: usize) -> Result<Self> {
        if classes < 2 {
            return Err(Error::Usage(format!("a network with {classes} class cannot be attacked")));
        }
        let others = u32::try_from(classes - 1).unwrap_or(u32::MAX);
        for attack in &mut self.attacks {
            let name = attack.name();
            let targets = match attack {
                Attack::Apgd(Apgd { targets, .. }) | Attack::Fab(Fab { targets, .. }) => Some(targets),
                _ => None,
            };
            if let Some(targets) = targets.filter(|t| **t > others) {
                self.notes.push(format!("{name}: {others} targets instead of {targets}, there are {classes} classes"));
                *targets = others;
            }
            let (loss, least) = match attack {
                Attack::Apgd(Apgd { loss, targets, .. }) => (loss, if *targets > 0 { 4 } else { 3 }),
                Attack::Pgd(Pgd { loss, .. }) => (loss, 3),
                _ => continue,
            };
            if *loss == Loss::Dlr && classes < least {
                self.notes.push(format!(
                    "{name}: the margin instead of the difference of logits ratio, which needs {least} classes; there are {classes}"
                ));
                *loss = Loss::Cw;
            }
        }
        Ok(self)
    }
}

/// The ball that a named attack in a file is for.
fn named_threat(norm: Option<&Value>, eps: Option<&Value>) -> Result<Threat, String> {
    let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
    let norm = text(norm).map_or(Ok(Norm::Linf), |t| t.parse())?;
    let eps = text(eps).ok_or("an attack by name needs `eps` at the top of the plan, for example eps = \"8/255\"")?;
    Ok(Threat { norm, eps: eps.parse()? })
}

/// Whether a kind of attack has a norm and a radius.
fn takes(kind: &str) -> (bool, bool) {
    match kind {
        "pgd" | "apgd" | "fab" | "square" | "frank_wolfe" => (true, true),
        "fgsm" | "r_fgsm" | "mi_fgsm" | "spsa" => (false, true),
        _ => (false, false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINF: Threat = Threat { norm: Norm::Linf, eps: Fraction::of_255(8) };

    fn names(plan: &AttackPlan) -> Vec<String> {
        plan.attacks.iter().map(Attack::name).collect()
    }

    #[test]
    fn suites_are_the_published_ones() {
        let plan = |name| AttackPlan::named(name, LINF).unwrap();
        assert_eq!(names(&plan("autoattack")), ["apgd-ce", "apgd-t", "fab-t", "square"]);
        assert_eq!(names(&plan("autoattack-plus")), ["apgd-ce", "apgd-dlr", "fab", "square", "apgd-t", "fab-t"]);
        assert_eq!(names(&plan("apgd-only")), ["apgd-ce", "apgd-t"]);
        assert_eq!(plan("rand").gradient_samples, 20);
        let sparse = AttackPlan::named("autoattack", Threat { norm: Norm::L1, eps: "12".parse().unwrap() }).unwrap();
        assert_eq!(names(&sparse), ["apgd-ce", "apgd-t", "fab-t", "square"]);
        let Attack::Apgd(targeted) = sparse.attacks[1] else { panic!("{sparse:?}") };
        assert_eq!((targeted.targets, sparse.notes.len()), (5, 0));
    }

    #[test]
    fn every_name_is_a_plan_and_its_attack_says_the_name_back() {
        for name in SINGLES.map(|n| n.replace('N', "40")) {
            let plan = AttackPlan::named(&name, LINF).unwrap();
            assert!(name.starts_with(&plan.attacks[0].name()), "{name}: {}", plan.attacks[0].name());
            let text = serde_json::to_string(&plan).unwrap();
            assert_eq!(serde_json::from_str::<AttackPlan>(&text).unwrap(), plan);
            let read = AttackPlan::from_text(&text, Path::new("plan.json"), None).unwrap();
            assert_eq!(read, plan, "{name} read back");
        }
        let pgd = AttackPlan::named("pgd-20", LINF).unwrap().attacks[0].to_string();
        assert_eq!(pgd, "PGD-20 linf 8/255 step 2/255 x1");
        let mistake = AttackPlan::named("apgd-ec", LINF).unwrap_err();
        assert!(mistake.contains("did you mean `apgd-ce`?"), "{mistake}");
        assert!(AttackPlan::named("pgd-x", LINF).unwrap_err().contains("number of steps"));
    }

    #[test]
    fn a_file_may_say_the_ball_once() {
        let text = r#"
            name = "two"
            eps = "8/255"
            attacks = ["apgd-ce", { attack = "square", queries = 1000, restarts = 1, p = "0.8" }]
        "#;
        let plan = AttackPlan::from_text(text, Path::new("two.toml"), None).unwrap();
        assert_eq!(names(&plan), ["apgd-ce", "square"]);
        assert!(plan.attacks.iter().all(|a| a.ball() == Some((Norm::Linf, LINF.eps))));
        let other = Threat { norm: Norm::L2, eps: "0.5".parse().unwrap() };
        let plan = AttackPlan::from_text(text, Path::new("two.toml"), Some(other)).unwrap();
        assert!(plan.attacks.iter().all(|a| a.ball() == Some((other.norm, other.eps))), "the caller's ball counts");
        for (from, to, word) in [
            ("queries = 1000", "queries = 0", "`queries` must be at least 1"),
            ("queries = 1000", "queries = 4000000000", "`queries` must be at most 1000000"),
            ("queries = 1000", "queries = 5000000000", "5000000000"),
            ("name = \"two\"", "name = \"two\"\ngradient_samples = 0", "from 1 to 1000000"),
            ("eps = \"8/255\"", "", "needs `eps`"),
            ("queries", "querries", "querries"),
            ("\"apgd-ce\"", "3", "a name or a table"),
            ("attacks", "atacks", "`attacks` is missing"),
        ] {
            let error = AttackPlan::from_text(&text.replace(from, to), Path::new("two.toml"), None).unwrap_err();
            assert!(error.to_string().contains(word), "{to}: {error}");
        }
    }

    #[test]
    fn few_classes_are_said_and_not_skipped() {
        let plan = |classes| AttackPlan::named("autoattack", LINF).unwrap().for_classes(classes).unwrap();
        assert_eq!(plan(10), AttackPlan::named("autoattack", LINF).unwrap());
        for (classes, targets, loss) in [(4, 3, Loss::Dlr), (3, 2, Loss::Cw), (2, 1, Loss::Cw)] {
            let plan = plan(classes);
            assert_eq!(names(&plan), ["apgd-ce", "apgd-t", "fab-t", "square"]);
            let Attack::Apgd(apgd) = plan.attacks[1] else { panic!("{plan:?}") };
            assert_eq!((apgd.targets, apgd.loss), (targets, loss));
            assert!(plan.notes.iter().any(|n| n.contains(&format!("{targets} targets"))), "{:?}", plan.notes);
        }
        let dlr = |classes| AttackPlan::named("apgd-dlr", LINF).unwrap().for_classes(classes).unwrap();
        assert!(dlr(3).notes.is_empty());
        assert!(dlr(2).notes[0].contains("needs 3 classes"));
        assert!(AttackPlan::named("fgsm", LINF).unwrap().for_classes(1).is_err());
    }
}
