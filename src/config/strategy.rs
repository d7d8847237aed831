//! How a space is searched: the strategies, and what trials of networks may cost.

use serde::{Deserialize, Serialize};

use super::check::Check;
use super::{Config, Search};
use crate::error::{Error, Result};
use crate::threat::Attack;
use crate::units::is_zero;

/// A way to search.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    strum::IntoStaticStr,
    strum::VariantArray,
)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum Method {
    /// The paper's: a supernet whose architecture follows the adversarial loss, then both losses; then trials of what it
    /// prefers.
    #[default]
    TwoStage,
    /// Random search with as many trainings.
    Random,
    /// Regularised evolution of trained networks.
    Evolution,
    /// Local search among trained networks.
    Local,
    /// Successive halving of trained networks.
    Halving,
    /// A predictor that learns from trained networks which to train next.
    Predictor,
    /// Shared weights trained a network a step, evolution over what networks inherit, successive halving of the best.
    SinglePath,
}

impl Method {
    /// Its word in files and tables.
    pub fn word(self) -> &'static str {
        self.into()
    }
}

/// `[search.trials]`: trainings by which a search chooses, of networks at their budget.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trials {
    /// Full trainings that a search may spend at a budget, parts of trainings by their share.
    pub spend: f64,
    /// The cheap attack under which held-out training images are measured, beside clean ones.
    pub objective: Attack,
    /// Constants of successive halving (optional): of the strategy, and of the best of the two-stage search's pool.
    #[serde(default = "usual")]
    pub halving: Halving,
    /// Constants of a search by a predictor (optional).
    #[serde(default, skip_serializing_if = "Predictor::is_usual")]
    pub predictor: Predictor,
    /// Genotypes that the two-stage search's supernet scores (optional).
    #[serde(default)]
    pub pool: Pool,
    /// Constants of `single-path` (optional).
    #[serde(default)]
    pub single_path: SinglePath,
}

fn usual() -> Halving {
    Halving::USUAL
}

/// Constants of successive halving.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Halving {
    /// Networks of the lowest rung.
    pub networks: usize,
    /// One of so many goes on to the next rung and is trained so many times as long.
    pub eta: usize,
    /// Rungs.
    pub rungs: usize,
    /// The share of a full training that networks of the last rung get (optional; 1).
    #[serde(default = "whole", skip_serializing_if = "is_whole")]
    pub longest: f64,
}

fn whole() -> f64 {
    1.0
}

fn is_whole(share: &f64) -> bool {
    *share == whole()
}

impl Halving {
    /// 27 networks at a ninth, 9 at a third, 3 in full: as much as 9 full trainings.
    pub const USUAL: Halving = Halving { networks: 27, eta: 3, rungs: 3, longest: 1.0 };

    /// Refuses what is no halving.
    ///
    /// # Errors
    /// [`Error::Usage`] with the constant and what it may be.
    pub fn check(&self) -> Result<()> {
        let Halving { networks, eta, rungs, longest } = *self;
        if eta < 2 || rungs == 0 {
            return Err(Error::Usage(format!(
                "halving: eta {eta} and {rungs} rungs; expected an eta of at least 2 and at least 1 rung"
            )));
        }
        if !(longest > 0.0 && longest <= 1.0) {
            return Err(Error::Usage(format!(
                "halving: longest {longest} is no share of a training; expected a number above 0 and at most 1"
            )));
        }
        let least = u32::try_from(rungs - 1).ok().and_then(|power| eta.checked_pow(power));
        match least {
            Some(least) if networks >= least => Ok(()),
            _ => Err(Error::Usage(format!(
                "halving: {networks} networks leave none for the last of {rungs} rungs with eta {eta}; expected at least \
                 eta^(rungs - 1)"
            ))),
        }
    }

    /// Networks of a rung.
    pub fn width(&self, rung: usize) -> usize {
        (0..rung).fold(self.networks, |width, _| width / self.eta)
    }

    /// The share of a full training that a rung gives its networks.
    pub fn share_of(&self, rung: usize) -> f64 {
        (rung + 1..self.rungs).fold(self.longest, |share, _| share / self.eta as f64)
    }

    /// The full trainings that all rungs amount to.
    pub fn trainings(&self) -> f64 {
        (0..self.rungs).map(|rung| self.width(rung) as f64 * self.share_of(rung)).sum()
    }
}

/// Constants of a search by a predictor.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Predictor {
    /// Networks that are drawn before anything is predicted.
    pub drawn: usize,
    /// Networks that it chooses behind them, before the best are trained in full.
    pub chosen: usize,
    /// Networks of which it chooses each.
    pub pool: usize,
    /// The share of a full training that these networks get.
    pub share: f64,
    /// How many of them are trained in full; with 0 the share is 1, and it chooses as long as there is something to spend.
    pub full: usize,
}

impl Predictor {
    /// Eight drawn and eight chosen at a quarter of a training, two in full: as much as six full trainings.
    pub const USUAL: Predictor = Predictor { drawn: 8, chosen: 8, pool: 200, share: 0.25, full: 2 };
    /// All networks in full, ten of them drawn.
    pub const OF_WHOLE_TRAININGS: Predictor = Predictor { drawn: 10, chosen: 0, pool: 200, share: 1.0, full: 0 };

    pub(super) fn is_usual(&self) -> bool {
        *self == Predictor::USUAL
    }

    /// Refuses what is no such search.
    ///
    /// # Errors
    /// [`Error::Usage`] with the constant and what it may be.
    pub fn check(&self) -> Result<()> {
        let Predictor { drawn, chosen, pool, share, full } = *self;
        let fault = if drawn < 2 {
            format!("drawn {drawn}; expected at least 2, of which something can be learnt")
        } else if pool == 0 {
            "a pool of 0; expected at least 1".to_owned()
        } else if !(share > 0.0 && share <= 1.0) {
            format!("share {share} is no share of a training; expected a number above 0 and at most 1")
        } else if (full == 0) != (share == 1.0) {
            format!(
                "share {share} and full {full}; expected a share below 1 with some in full, or a share of 1 with none"
            )
        } else if full > drawn + chosen {
            format!("full {full} of {drawn} drawn and {chosen} chosen; expected at most all of them")
        } else {
            return Ok(());
        };
        Err(Error::Usage(format!("predictor: {fault}")))
    }

    /// The full trainings that it takes at least.
    pub fn trainings(&self) -> f64 {
        match self.full {
            0 => (self.drawn + 1) as f64,
            full => (self.drawn + self.chosen) as f64 * self.share + full as f64,
        }
    }
}

impl Default for Predictor {
    fn default() -> Self {
        Predictor::USUAL
    }
}

/// Genotypes that the two-stage search's supernet scores: what it selects, draws from its distributions, changes of the
/// selected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Pool {
    /// How many.
    pub networks: usize,
    /// Images of the architecture half that they are scored on, the first ones.
    pub images: usize,
    /// How many of the networks that are tried are drawn from the whole space instead, without a score (optional; 0): a supernet
    /// that misleads then costs trials, and the trials say whether it did.
    #[serde(skip_serializing_if = "is_zero")]
    pub drawn: usize,
}

impl Default for Pool {
    fn default() -> Self {
        Pool { networks: 64, images: 500, drawn: 0 }
    }
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

impl Search {
    /// Checks that the strategy has what it chooses by.
    ///
    /// # Errors
    /// [`crate::error::Error::Config`] at the key that cannot be.
    pub(super) fn check_strategy(&self, config: &Config, check: &Check<'_>) -> Result<()> {
        match (self.strategy, &self.trials) {
            (method, Some(trials)) => trials.check(method, "search.trials", config, check),
            (Method::TwoStage, None) => Ok(()),
            (method, None) => {
                let word = method.word();
                let words = format!(
                    "`{word}` chooses by trials, and there is no [search.trials]; write one: spend = 9.0, objective = \
                     {{ attack = \"fgsm\", eps = \"8/255\" }}"
                );
                Err(check.doc.fail("search.strategy", words))
            }
        }
    }
}

impl Trials {
    /// Checks the constants that a strategy uses; `at` is the table that they are in.
    ///
    /// # Errors
    /// [`crate::error::Error::Config`] at the key that cannot be.
    pub(super) fn check(&self, method: Method, at: &str, config: &Config, check: &Check<'_>) -> Result<()> {
        let key = |key: &str| format!("{at}.{key}");
        check.range(&key("spend"), self.spend, self.spend > 0.0 && self.spend.is_finite(), "above 0")?;
        check.attack(&key("objective"), &self.objective)?;
        let affordable = |takes: f64| {
            check.require(takes <= self.spend + 1e-9, &key("spend"), || {
                let (spend, word) = (self.spend, method.word());
                format!(
                    "`spend` is {spend}, and `{word}` takes {takes:.2} full trainings; raise it, or lower the constants of \
                     [{at}]"
                )
            })
        };
        match method {
            Method::Random | Method::Evolution | Method::Local => affordable(1.0),
            Method::Halving => {
                self.halving(at, check)?;
                affordable(self.halving.trainings())
            }
            Method::Predictor => {
                let why = |why: Error| check.doc.fail(&key("predictor"), why.to_string());
                self.predictor.check().map_err(why)?;
                affordable(self.predictor.trainings())
            }
            Method::TwoStage => {
                self.halving(at, check)?;
                let Pool { networks, images, drawn } = self.pool;
                let tried = self.halving.networks;
                check.range(&key("pool.drawn"), drawn, drawn < tried, "less than `halving.networks`")?;
                let enough = networks >= tried - drawn;
                check.range(
                    &key("pool.networks"),
                    networks,
                    enough,
                    "at least `halving.networks` less `pool.drawn`",
                )?;
                check.range(&key("pool.images"), images, images >= 1, "at least 1")?;
                affordable(self.halving.trainings())
            }
            Method::SinglePath => self.single_path(at, config, check).and_then(affordable),
        }
    }

    fn halving(&self, at: &str, check: &Check<'_>) -> Result<()> {
        let key = format!("{at}.halving");
        self.halving.check().map_err(|why| check.doc.fail(&key, why.to_string()))
    }

    /// The full trainings that a single-path search takes.
    fn single_path(&self, at: &str, config: &Config, check: &Check<'_>) -> Result<f64> {
        let SinglePath { epochs, candidates, images, population, short, eta } = self.single_path;
        let at = |name: &str| format!("{at}.single_path.{name}");
        check.range(&at("epochs"), epochs, epochs >= 1, "at least 1")?;
        check.range(&at("population"), population, (1..=candidates).contains(&population), "from 1 to `candidates`")?;
        check.range(&at("short"), short, (1..=candidates).contains(&short), "from 1 to `candidates`")?;
        check.range(&at("eta"), eta, (2..=short).contains(&eta), "from 2 to `short`")?;
        let held = config.split.validation;
        check.range(&at("images"), images, (1..=held).contains(&images), "from 1 to `split.validation`")?;
        let shared = f64::from(epochs) / f64::from(config.retrain.epochs) * (1.0 + config.scaling.tolerance);
        Ok(shared + f64::from(short) / f64::from(eta) + f64::from(short / eta))
    }
}
