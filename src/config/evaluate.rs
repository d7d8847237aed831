//! `[evaluate]` as written: attacks by name, from plan files, or with all their constants; resolved to the last form.

use std::fmt;
use std::path::Path;

use serde::de::value::MapAccessDeserializer;
use serde::de::{self, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize, Serializer};

use super::Evaluate;
use super::doc::Doc;
use crate::error::Result;
use crate::threat::{Attack, AttackPlan, Norm, Threat};
use crate::units::Fraction;

/// The table.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawEvaluate {
    batch: usize,
    /// The ball of attacks by name.
    #[serde(skip_serializing_if = "Option::is_none")]
    norm: Option<Norm>,
    #[serde(skip_serializing_if = "Option::is_none")]
    eps: Option<Fraction>,
    #[serde(skip_serializing_if = "Option::is_none")]
    gradient_samples: Option<u32>,
    #[serde(default)]
    probe: bool,
    #[serde(default)]
    time: bool,
    attacks: RawAttacks,
}

/// One name, or a list of names and tables.
enum RawAttacks {
    One(String),
    List(Vec<RawAttack>),
}

/// What `robustnas attack --plan` takes, or an attack with all its constants.
enum RawAttack {
    Plan(String),
    Whole(Attack),
}

impl<'de> Deserialize<'de> for RawAttacks {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Attacks;
        impl<'de> Visitor<'de> for Attacks {
            type Value = RawAttacks;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of attacks, or the name of a plan such as \"autoattack\"")
            }
            fn visit_str<E: de::Error>(self, name: &str) -> Result<RawAttacks, E> {
                Ok(RawAttacks::One(name.to_owned()))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<RawAttacks, A::Error> {
                let mut attacks = Vec::new();
                while let Some(attack) = list.next_element()? {
                    attacks.push(attack);
                }
                Ok(RawAttacks::List(attacks))
            }
        }
        d.deserialize_any(Attacks)
    }
}

impl<'de> Deserialize<'de> for RawAttack {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct One;
        impl<'de> Visitor<'de> for One {
            type Value = RawAttack;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of an attack such as \"pgd-20\", or a table with all its constants")
            }
            fn visit_str<E: de::Error>(self, name: &str) -> Result<RawAttack, E> {
                Ok(RawAttack::Plan(name.to_owned()))
            }
            fn visit_map<A: MapAccess<'de>>(self, table: A) -> Result<RawAttack, A::Error> {
                Attack::deserialize(MapAccessDeserializer::new(table)).map(RawAttack::Whole)
            }
        }
        d.deserialize_any(One)
    }
}

impl Serialize for RawAttacks {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        match self {
            RawAttacks::One(name) => s.serialize_str(name),
            RawAttacks::List(attacks) => s.collect_seq(attacks),
        }
    }
}

impl Serialize for RawAttack {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        match self {
            RawAttack::Plan(name) => s.serialize_str(name),
            RawAttack::Whole(attack) => attack.serialize(s),
        }
    }
}

impl From<&Evaluate> for RawEvaluate {
    /// With every attack written out, so that it means the same wherever it is read.
    fn from(evaluate: &Evaluate) -> Self {
        let Evaluate { batch, probe, time, gradient_samples, attacks } = evaluate;
        RawEvaluate {
            batch: *batch,
            norm: None,
            eps: None,
            gradient_samples: Some(*gradient_samples),
            probe: *probe,
            time: *time,
            attacks: RawAttacks::List(attacks.iter().copied().map(RawAttack::Whole).collect()),
        }
    }
}

impl RawEvaluate {
    /// Every attack of every plan, in order; `read` gives the text of a plan's file.
    ///
    /// # Errors
    /// Those of [`Doc::fail`] at the entry that is not the name of a plan, cannot be read or has an invalid constant.
    pub fn resolve(self, doc: &Doc<'_>, read: &dyn Fn(&Path) -> Result<String>) -> Result<Evaluate> {
        let entries: Vec<(String, RawAttack)> = match self.attacks {
            RawAttacks::One(name) => vec![("evaluate.attacks".into(), RawAttack::Plan(name))],
            RawAttacks::List(list) => {
                list.into_iter().enumerate().map(|(i, entry)| (format!("evaluate.attacks.{i}"), entry)).collect()
            }
        };
        let mut attacks: Vec<Attack> = Vec::new();
        let mut samples = self.gradient_samples;
        for (key, entry) in entries {
            let fail = |message: String| doc.fail(&key, message);
            let found = match entry {
                RawAttack::Whole(attack) => {
                    if let Some((name, message)) = attack.fault() {
                        return Err(doc.fail(&format!("{key}.{name}"), format!("`{key}.{name}` {message}")));
                    }
                    vec![attack]
                }
                RawAttack::Plan(name) => {
                    let plan = plan(&name, self.norm.unwrap_or_default(), self.eps, read).map_err(fail)?;
                    let wanted = *samples.get_or_insert(plan.gradient_samples);
                    if self.gradient_samples.is_none() && wanted != plan.gradient_samples {
                        return Err(fail(format!(
                            "`{name}` takes the mean of {} gradients, what stands before it of {wanted}; list it alone, \
                             or say for all of them: gradient_samples = {}",
                            plan.gradient_samples,
                            wanted.max(plan.gradient_samples)
                        )));
                    }
                    plan.attacks
                }
            };
            for attack in found {
                if attacks.contains(&attack) {
                    return Err(fail(format!("the attack `{attack}` is listed twice")));
                }
                attacks.push(attack);
            }
        }
        if attacks.is_empty() {
            let message = "`attacks` is empty; robustness needs at least one attack, for example \"autoattack\"";
            return Err(doc.fail("evaluate.attacks", message));
        }
        let RawEvaluate { batch, probe, time, .. } = self;
        Ok(Evaluate { batch, probe, time, gradient_samples: samples.unwrap_or(1), attacks })
    }
}

/// A plan by name, or from a file.
fn plan(
    name: &str,
    norm: Norm,
    eps: Option<Fraction>,
    read: &dyn Fn(&Path) -> Result<String>,
) -> Result<AttackPlan, String> {
    let path = Path::new(name);
    if AttackPlan::is_file(path) {
        let text = read(path).map_err(|e| format!("the plan's file cannot be read: {e}"))?;
        return AttackPlan::from_text(&text, path, None).map_err(|e| e.to_string());
    }
    let threat = Threat::usual(norm, eps).map_err(|why| format!("`evaluate.eps` is missing: {why}"))?;
    AttackPlan::named(name, threat)
}
