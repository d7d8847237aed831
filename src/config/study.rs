//! `[study]`: what a study of searches on real trainings consists of.

use serde::{Deserialize, Serialize};

use super::Config;
use super::check::Check;
use super::doc::Doc;
use super::strategy::{Halving, Method, Pool, Predictor, SinglePath, Trials};
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
    /// Constants of successive halving (optional): of `halving`, and of the best of the two-stage search's pool.
    #[serde(default = "usual", skip_serializing_if = "is_usual")]
    pub halving: Halving,
    /// Constants of `predictor` (optional).
    #[serde(default, skip_serializing_if = "Predictor::is_usual")]
    pub predictor: Predictor,
    /// Genotypes that the two-stage search's supernet scores (optional).
    #[serde(default, skip_serializing_if = "is_default")]
    pub pool: Pool,
}

fn usual() -> Halving {
    Halving::USUAL
}

fn is_usual(halving: &Halving) -> bool {
    *halving == Halving::USUAL
}

fn is_default(pool: &Pool) -> bool {
    *pool == Pool::default()
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

impl Study {
    /// What the trials of its searches may cost, and how networks are chosen for them.
    pub fn trials(&self) -> Trials {
        let Study { spend, objective, halving, predictor, pool, single_path, .. } = *self;
        Trials { spend, objective, halving, predictor, pool, single_path }
    }

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
        for method in &self.strategies {
            self.trials().check(*method, "study", config, &check)?;
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
