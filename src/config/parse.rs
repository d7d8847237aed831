//! A space file as written, and its conversion to a [`Config`] and back.

use std::collections::BTreeMap;
use std::path::Path;

use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize, Serializer};

use super::doc::{Doc, Override, Setting};
use super::evaluate::RawEvaluate;
use super::retrain::{self, RawRetrain};
use super::study::Study;
use super::{CellChoices, Config, Derive, EdgeChoices, Scaling, Search, Split, Supernet};
use crate::arch::cell::CellOp;
use crate::arch::families::cells::{Normalize, Placement};
use crate::error::{Error, Result};
use crate::units::Macs;

/// The file, with optional keys; a [`Config`] has none.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawConfig {
    name: String,
    data: String,
    #[serde(deserialize_with = "budgets")]
    budgets: Vec<RawBudget>,
    seed: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    normalize: Option<Normalize>,
    placement: Placement,
    cells: Vec<RawCells>,
    split: Split,
    supernet: Supernet,
    search: Search,
    derive: Derive,
    scaling: Scaling,
    retrain: RawRetrain,
    evaluate: RawEvaluate,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    study: Option<Study>,
}

/// `[[cells]]`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCells {
    kind: String,
    nodes: usize,
    ops: Vec<CellOp>,
    concat: Vec<usize>,
    /// `"0->3" = [..]`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    edges: BTreeMap<String, Vec<CellOp>>,
}

/// A list of counts, or `"20M,40M"` as on a command line.
fn budgets<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<RawBudget>, D::Error> {
    struct Budgets;
    impl<'de> Visitor<'de> for Budgets {
        type Value = Vec<RawBudget>;
        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("a list such as [\"20M\", \"40M\"]")
        }
        fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
            text.split(',').map(|one| one.parse().map(RawBudget).map_err(E::custom)).collect()
        }
        fn visit_seq<A: de::SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
            let mut budgets = Vec::new();
            while let Some(budget) = list.next_element()? {
                budgets.push(budget);
            }
            Ok(budgets)
        }
    }
    d.deserialize_any(Budgets)
}

/// A count written `"20M"` or in full.
pub(super) struct RawBudget(pub Macs);

impl Serialize for RawBudget {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        match self.0.0 {
            n if n.is_multiple_of(1_000_000) => s.collect_str(&format_args!("{}M", n / 1_000_000)),
            n => s.serialize_u64(n),
        }
    }
}

impl<'de> Deserialize<'de> for RawBudget {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Budget;
        impl Visitor<'_> for Budget {
            type Value = RawBudget;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a count of multiply-accumulates such as \"20M\"")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<RawBudget, E> {
                text.parse().map(RawBudget).map_err(E::custom)
            }
            fn visit_u64<E: de::Error>(self, count: u64) -> Result<RawBudget, E> {
                Ok(RawBudget(Macs(count)))
            }
            fn visit_i64<E: de::Error>(self, count: i64) -> Result<RawBudget, E> {
                u64::try_from(count)
                    .map(|n| RawBudget(Macs(n)))
                    .map_err(|_| E::invalid_value(de::Unexpected::Signed(count), &self))
            }
        }
        d.deserialize_any(Budget)
    }
}

impl Config {
    /// [`Config::resolve`] for a text that names no file of a plan of attacks, as [`Config::to_toml`] writes it.
    ///
    /// # Errors
    /// Those of [`Config::resolve`].
    pub fn from_toml(text: &str, path: &Path, settings: &[Setting]) -> Result<Config> {
        Config::resolve(text, path, settings, &|_| Err(Error::Usage("plans are not read from files here".into())))
    }

    /// A configuration that a run left, which this program wrote. Before there was a choice, genotypes were selected by the
    /// largest architecture parameters.
    ///
    /// # Errors
    /// [`Error::Run`] for one that is damaged.
    pub fn stored(text: &str, path: &Path) -> Result<Config> {
        let advice = "restore the file from a copy or begin a new folder";
        let chosen = toml::from_str::<toml::Table>(text)
            .is_ok_and(|file| file.get("derive").and_then(|derive| derive.get("select")).is_some());
        let before = if chosen { Vec::new() } else { vec![Setting::new("derive.select", "argmax")] };
        Config::from_toml(text, path, &before).map_err(|why| Error::run(path, format!("damaged: {why}; {advice}")))
    }

    /// Reads a space file and merges settings into it, later ones over earlier ones. `read` gives the text of the files that
    /// `evaluate.attacks` names.
    ///
    /// # Errors
    /// [`Error::Config`] with the line of the offending key; [`Error::Usage`] if it came from a setting.
    pub fn resolve(
        text: &str,
        path: &Path,
        settings: &[Setting],
        read: &dyn Fn(&Path) -> Result<String>,
    ) -> Result<Config> {
        let overrides = Override::list(text, settings);
        let mut doc = Doc::parse(text, path, &overrides)?;
        retrain::by_name(&mut doc, "retrain");
        let base = retrain::base(&doc, "retrain")?;
        let doc = doc.over("retrain", base.as_deref())?;
        let raw: RawConfig = doc.read()?;
        let mut cells = Vec::with_capacity(raw.cells.len());
        for (i, cell) in raw.cells.into_iter().enumerate() {
            let mut edges = Vec::with_capacity(cell.edges.len());
            for (key, ops) in cell.edges {
                let (from, to) = edge(&key).map_err(|message| doc.fail(&format!("cells.{i}.edges.{key}"), message))?;
                edges.push(EdgeChoices { from, to, ops });
            }
            edges.sort_by_key(|e| (e.to, e.from));
            let RawCells { kind, nodes, ops, concat, edges: _ } = cell;
            cells.push(CellChoices { kind, nodes, ops, edges, concat });
        }
        let mut budgets: Vec<Macs> = raw.budgets.into_iter().map(|b| b.0).collect();
        budgets.sort_unstable();
        let config = Config {
            name: raw.name,
            data: raw.data,
            budgets,
            seed: raw.seed,
            normalize: raw.normalize,
            placement: raw.placement,
            cells,
            split: raw.split,
            supernet: raw.supernet,
            search: raw.search,
            derive: raw.derive,
            scaling: raw.scaling,
            retrain: raw.retrain.resolve(&doc, "retrain")?,
            evaluate: raw.evaluate.resolve(&doc, read)?,
            study: raw.study,
        };
        super::check::check(&config, &doc)?;
        Ok(config)
    }

    /// The whole file, every value written out; [`Config::from_toml`] reads it back to an equal configuration.
    ///
    /// # Errors
    /// [`Error::Usage`] for a value that TOML cannot hold.
    pub fn to_toml(&self) -> Result<String> {
        toml::to_string(&self.raw())
            .map_err(|e| Error::Usage(format!("the configuration cannot be written as TOML: {e}")))
    }

    /// The keys whose values differ, each as `search.epochs: 50 -> 20` (this one's value first).
    pub fn differences(&self, other: &Config) -> Vec<String> {
        let (mut ours, mut theirs) = (BTreeMap::new(), BTreeMap::new());
        for (config, keys) in [(self, &mut ours), (other, &mut theirs)] {
            let tree = serde_json::to_value(config.raw()).expect("plain structs with string keys are JSON");
            flatten(String::new(), &tree, keys);
        }
        let mut keys: Vec<&String> = ours.keys().chain(theirs.keys()).collect();
        keys.sort_unstable();
        keys.dedup();
        let shown = |side: &BTreeMap<String, String>, key| side.get(key).map_or("absent", |v| v).to_owned();
        keys.into_iter()
            .filter(|key| ours.get(*key) != theirs.get(*key))
            .map(|key| format!("{key}: {} -> {}", shown(&ours, key), shown(&theirs, key)))
            .collect()
    }

    fn raw(&self) -> RawConfig {
        let cell = |c: &CellChoices| RawCells {
            kind: c.kind.clone(),
            nodes: c.nodes,
            ops: c.ops.clone(),
            concat: c.concat.clone(),
            edges: c.edges.iter().map(|e| (format!("{}->{}", e.from, e.to), e.ops.clone())).collect(),
        };
        RawConfig {
            name: self.name.clone(),
            data: self.data.clone(),
            budgets: self.budgets.iter().copied().map(RawBudget).collect(),
            seed: self.seed,
            normalize: self.normalize.clone(),
            placement: self.placement.clone(),
            cells: self.cells.iter().map(cell).collect(),
            split: self.split,
            supernet: self.supernet,
            search: self.search,
            derive: self.derive,
            scaling: self.scaling,
            retrain: RawRetrain::from(&self.retrain),
            evaluate: RawEvaluate::from(&self.evaluate),
            study: self.study.clone(),
        }
    }
}

fn edge(key: &str) -> Result<(usize, usize), String> {
    key.split_once("->")
        .and_then(|(from, to)| Some((from.trim().parse().ok()?, to.trim().parse().ok()?)))
        .ok_or_else(|| format!("`{key}` is not an edge; write \"source->target\", for example \"0->2\""))
}

/// Leaves by dotted path; elements of a list of tables go by their kind, else by their number.
fn flatten(path: String, tree: &serde_json::Value, leaves: &mut BTreeMap<String, String>) {
    use serde_json::Value::{Array, Object};
    let join = |step: &str| if path.is_empty() { step.to_owned() } else { format!("{path}.{step}") };
    match tree {
        Object(map) => map.iter().for_each(|(key, value)| flatten(join(key), value, leaves)),
        Array(list) if list.iter().any(|e| e.is_object()) => {
            for (i, value) in list.iter().enumerate() {
                let step = value.get("kind").and_then(|k| k.as_str()).map_or(i.to_string(), str::to_owned);
                flatten(join(&step), value, leaves);
            }
        }
        leaf => drop(leaves.insert(path, leaf.to_string())),
    }
}
