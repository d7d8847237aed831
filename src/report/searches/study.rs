//! The document of a study by training.

use serde::{Deserialize, Serialize};

use super::facts::{Compared, Line, SearchId};
use super::network::{Cost, Network, cost, networks, random_price};
use super::proxies::{Noise, Proxy, all, foretold, inherited};
use super::questions::{Asked, correct};
use crate::config::Config;
use crate::config::strategy::Method;
use crate::config::study::Study;
use crate::error::Result;
use crate::report::document::{self, GENERATOR, SCHEMA_VERSION};
use crate::seed::Seed;
use crate::study::Moments;
use crate::units::Macs;

/// What was asked, and how networks were trained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct About {
    /// The space's name.
    pub name: String,
    /// The seed of everything.
    pub seed: u64,
    /// The images.
    pub data: String,
    /// The size of all networks.
    pub budget: Macs,
    /// The largest relative distance from it.
    pub tolerance: f64,
    /// The recipe, with epochs and batch.
    pub training: String,
    /// The attacks that `robust` means, all of them.
    pub attacks: Vec<String>,
    /// What searches make large.
    pub objective: String,
    /// How much of each was asked for.
    pub study: Study,
}

impl About {
    /// Of a space file.
    pub fn new(config: &Config, study: &Study, data: &str) -> Self {
        let recipe = &config.retrain;
        About {
            name: config.name.clone(),
            seed: config.seed,
            data: data.to_owned(),
            budget: config.budgets[0],
            tolerance: config.scaling.tolerance,
            training: format!("{recipe}; {} epochs in batches of {}", recipe.epochs, recipe.batch),
            attacks: config.evaluate.attacks.iter().map(ToString::to_string).collect(),
            objective: format!("mean of clean and attacked ({}) accuracy on held-out training images", study.objective),
            study: study.clone(),
        }
    }
}

/// A strategy's searches.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Strategy {
    /// The strategy.
    pub method: Method,
    /// Searches that are done.
    pub searches: usize,
    /// What they found, a number a search.
    pub found: Option<Moments>,
    /// What each cost.
    pub costs: Vec<Cost>,
    /// The questions; nothing where too little is known to ask.
    pub asked: Asked,
    /// The scores that random networks have with the shared weights of each search, against what training made of them.
    pub inherited: Vec<Proxy>,
}

/// The document.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SearchesReport {
    /// The version of this form.
    pub schema_version: u32,
    /// Program and version.
    pub generator: String,
    /// What was asked.
    #[serde(flatten)]
    pub about: About,
    /// What is missing still, in words; nothing where all is done.
    pub missing: Vec<String>,
    /// Random networks, each with its first training.
    pub random: Option<Moments>,
    /// Trainings of the hand-made network.
    pub hand_made: Option<Moments>,
    /// The strategies.
    pub strategies: Vec<Strategy>,
    /// What chance in training is worth.
    pub noise: Option<Noise>,
    /// What predicts the robust accuracy of a random network.
    pub proxies: Vec<Proxy>,
    /// All networks.
    pub networks: Vec<Network>,
}

impl SearchesReport {
    /// From the lines of a journal.
    ///
    /// # Errors
    /// What the tests refuse beyond too few numbers, such as one that is none.
    pub fn new(about: About, lines: &[Line]) -> Result<Self> {
        let networks = networks(lines);
        let random: Vec<&Network> =
            networks.iter().filter(|n| matches!(n.of, Compared::Random { .. }) && n.first().is_some()).collect();
        let hand_made: Vec<f64> = networks
            .iter()
            .filter(|n| n.of == Compared::HandMade)
            .flat_map(|n| n.robust.iter().flatten().copied())
            .collect();
        let seed = Seed::root(about.seed).child("study report");
        let mut strategies = Vec::new();
        for method in about.study.strategies.iter().copied() {
            let found: Vec<(SearchId, &Network)> = networks
                .iter()
                .filter_map(|n| match n.of {
                    Compared::Found(id) if id.method == method && n.mean().is_some() => Some((id, n)),
                    _ => None,
                })
                .collect();
            let costs: Vec<Cost> = found.iter().map(|(id, _)| cost(lines, *id)).collect();
            let means: Vec<&Network> = found.iter().map(|(_, n)| *n).collect();
            let price = random_price(lines);
            let asked = Asked::new(&means, &random, &hand_made, &costs, price, seed.child(method.word()))?;
            let scores = (0..about.study.searches)
                .map(|search| inherited(lines, SearchId { method, search }, &random))
                .collect::<Result<Vec<_>>>()?;
            strategies.push(Strategy {
                method,
                searches: found.len(),
                found: moments(&means.iter().filter_map(|n| n.mean()).collect::<Vec<_>>())?,
                costs,
                asked,
                inherited: scores.into_iter().flatten().collect(),
            });
        }
        correct(strategies.iter_mut().flat_map(|strategy| strategy.asked.each_mut()));
        Ok(SearchesReport {
            schema_version: SCHEMA_VERSION,
            generator: GENERATOR.to_owned(),
            missing: missing(&about.study, &networks),
            random: moments(&random.iter().filter_map(|n| n.first()).collect::<Vec<_>>())?,
            hand_made: moments(&hand_made)?,
            strategies,
            noise: Noise::of(&random)?,
            proxies: [all(&random)?, foretold(lines, &random)?].concat(),
            networks,
            about,
        })
    }

    /// The document's bytes.
    ///
    /// # Errors
    /// [`crate::error::Error::Internal`] for a number that JSON does not have.
    pub fn to_json(&self) -> Result<Vec<u8>> {
        document::to_json("a study", self)
    }
}

/// Mean and spread where there are two numbers.
fn moments(numbers: &[f64]) -> Result<Option<Moments>> {
    if numbers.len() < 2 { Ok(None) } else { Moments::of(numbers).map(Some) }
}

/// What of the study is not done yet.
fn missing(study: &Study, networks: &[Network]) -> Vec<String> {
    let trainings = |of: Compared| networks.iter().find(|n| n.of == of).map_or(0, |n| n.robust.len() as u32);
    let random = |from: u32, n: u32| (0..n).filter(|i| trainings(Compared::Random { number: *i }) < from).count();
    let mut missing = Vec::new();
    let mut tell = |left: usize, all: u32, what: &str| {
        if left > 0 {
            missing.push(format!("{left} of {all} {what}"));
        }
    };
    tell(random(1, study.random), study.random, "random networks");
    tell(random(2, study.repeated), study.repeated, "random networks' second trainings");
    let hand_made = study.hand_made.saturating_sub(trainings(Compared::HandMade));
    tell(hand_made as usize, study.hand_made, "trainings of the hand-made network");
    for method in &study.strategies {
        let undone =
            |search: &u32| trainings(Compared::Found(SearchId { method: *method, search: *search })) < study.trainings;
        let left = (0..study.searches).filter(undone).count();
        tell(left, study.searches, &format!("searches by {} with the trainings of what they found", method.word()));
    }
    missing
}
