//! `[study]`: what a study of searches on real trainings consists of.

use serde::{Deserialize, Serialize};

use super::Config;
use super::check::Check;
use super::doc::Doc;
use crate::error::Result;
use crate::threat::Attack;

/// The table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Study {
    /// The strategies that are asked, each for itself.
    pub strategies: Vec<Method>,
    /// Searches of each strategy, each with a seed of its own.
    pub searches: u32,
    /// Trainings of the network that a search found; their mean counts.
    pub trainings: u32,
    /// Random networks, each trained once.
    pub random: u32,
    /// Of these, how many are trained again with another seed: what chance in training is worth.
    pub repeated: u32,
    /// Trainings of the hand-made network.
    pub hand_made: u32,
    /// Full trainings that a search may spend.
    pub spend: f64,
    /// The cheap attack under which searches measure held-out training images, beside clean ones.
    pub objective: Attack,
    /// What is expected to spread, in points: the power of the study is told from it before it begins.
    pub expected: Expected,
    /// Constants of `single-path` (optional).
    #[serde(default)]
    pub single_path: SinglePath,
}

/// A way to search.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, strum::IntoStaticStr)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum Method {
    /// Random search with as many trainings.
    Random,
    /// Regularised evolution of trained networks.
    Evolution,
    /// Local search among trained networks.
    Local,
    /// Successive halving of trained networks.
    Halving,
    /// Shared weights trained a network a step, evolution over what networks inherit, successive halving of the best.
    SinglePath,
}

impl Method {
    /// Its word in files and tables.
    pub fn word(self) -> &'static str {
        self.into()
    }
}

/// Standard deviations in percentage points.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expected {
    /// Among random networks of one size.
    pub architecture_sd: f64,
    /// Among what searches find.
    pub searched_sd: f64,
    /// From training to training of one network.
    pub run_sd: f64,
}

/// Constants of single-path searches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SinglePath {
    /// Epochs of the shared weights' training.
    pub epochs: u32,
    /// Networks that are scored with inherited weights.
    pub candidates: u32,
    /// Held-out images that they are scored on, the first ones.
    pub images: usize,
    /// The latest of them, of which the best has a child.
    pub population: u32,
    /// The best of them, which are trained shortly.
    pub short: u32,
    /// One of so many of these is trained so many times as long, in full.
    pub eta: u32,
}

impl Default for SinglePath {
    fn default() -> Self {
        SinglePath { epochs: 6, candidates: 150, images: 500, population: 25, short: 8, eta: 4 }
    }
}

impl Study {
    /// Checks the table of a configuration.
    ///
    /// # Errors
    /// [`crate::error::Error::Config`] at the key that cannot be.
    pub(super) fn check(&self, config: &Config, doc: &Doc<'_>) -> Result<()> {
        let check = Check { doc };
        let key = |key: &str| format!("study.{key}");
        if self.strategies.is_empty() {
            return Err(
                doc.fail(&key("strategies"), "`study.strategies` is empty; name at least one, such as \"halving\"")
            );
        }
        if let Some(i) = (1..self.strategies.len()).find(|i| self.strategies[..*i].contains(&self.strategies[*i])) {
            let word = self.strategies[i].word();
            return Err(doc.fail(&key(&format!("strategies.{i}")), format!("strategy `{word}` is listed twice")));
        }
        let two = [("searches", self.searches), ("random", self.random)];
        for (name, n) in two {
            check.range(&key(name), n, n >= 2, "at least 2, to know how far they spread")?;
        }
        check.range(&key("trainings"), self.trainings, self.trainings >= 1, "at least 1")?;
        check.range(&key("repeated"), self.repeated, self.repeated <= self.random, "at most `study.random`")?;
        check.range(&key("spend"), self.spend, self.spend >= 1.0 && self.spend.is_finite(), "at least 1")?;
        check.attack(&key("objective"), &self.objective)?;
        let Expected { architecture_sd, searched_sd, run_sd } = self.expected;
        for (name, sd) in [("architecture_sd", architecture_sd), ("searched_sd", searched_sd), ("run_sd", run_sd)] {
            check.not_negative(&key(&format!("expected.{name}")), sd)?;
        }
        check.range(
            &key("expected.run_sd"),
            run_sd,
            architecture_sd + run_sd > 0.0,
            "above 0 where `architecture_sd` is 0",
        )?;
        let SinglePath { epochs, candidates, images, population, short, eta } = self.single_path;
        let at = |name: &str| format!("study.single_path.{name}");
        check.range(&at("epochs"), epochs, epochs >= 1, "at least 1")?;
        check.range(&at("population"), population, (1..=candidates).contains(&population), "from 1 to `candidates`")?;
        check.range(&at("short"), short, (1..=candidates).contains(&short), "from 1 to `candidates`")?;
        check.range(&at("eta"), eta, (2..=short).contains(&eta), "from 2 to `short`")?;
        let held = config.split.validation;
        check.range(&at("images"), images, (1..=held).contains(&images), "from 1 to `split.validation`")?;
        if self.strategies.contains(&Method::SinglePath) {
            let shared = f64::from(epochs) / f64::from(config.retrain.epochs) * (1.0 + config.scaling.tolerance);
            let takes = shared + f64::from(short) / f64::from(eta) + f64::from(short / eta);
            if takes > self.spend {
                let spend = self.spend;
                return Err(doc.fail(
                    &key("spend"),
                    format!("`study.spend` is {spend}, and `single-path` takes {takes:.2} full trainings; raise it, or lower [study.single_path]"),
                ));
            }
        }
        if config.budgets.len() == 1 {
            return Ok(());
        }
        let n = config.budgets.len();
        Err(doc.fail(
            "budgets",
            format!("`budgets` has {n} sizes; a space with [study] has one, at which all are compared"),
        ))
    }
}
