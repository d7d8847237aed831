//! `population.json`: the errors of the networks of design spaces, and their table for a terminal.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::document::{self, GENERATOR, SCHEMA_VERSION};
use super::table::{Cell, align, number, word};
use crate::arch::cost::RULE;
use crate::error::{Error, Result};
use crate::population::{
    Comparison, Images, Interval, Member, Summary, Trained, best_value, compare, matched_weights, summary,
};
use crate::record::Sample;
use crate::seed::Seed;

/// How networks were trained and measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Method {
    /// The training method with its constants.
    pub training: String,
    /// Passes over the training images.
    pub epochs: u32,
    /// Training images.
    pub samples: u64,
    /// The attacks, of which the worst counts.
    pub attacks: Vec<String>,
    /// The images that errors are measured on.
    pub sample: Sample,
}

/// The document.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PopulationReport {
    /// The document's version.
    pub schema_version: u32,
    /// Program and version.
    pub generator: String,
    /// The seed of draws, trainings and resamples.
    pub seed: u64,
    /// The rule of the counts.
    pub counting_rule: String,
    /// How networks were trained and measured.
    pub method: Method,
    /// Bins of multiply-accumulates over which weights match the spaces; absent: every network has the same weight.
    pub matched_bins: Option<usize>,
    /// The spaces.
    pub spaces: Vec<Space>,
    /// Every space with every later one.
    pub comparisons: Vec<Pair>,
}

/// A space and its networks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Space {
    /// Its name.
    pub name: String,
    /// Networks that could not be trained; their errors count as 1.
    pub failed: u64,
    /// Errors on clean images.
    pub clean: Summary,
    /// Errors under attack.
    pub attacked: Summary,
    /// Parameters in the networks with the smallest errors under attack, by resampling a quarter of the networks.
    pub best: Vec<Best>,
    /// The networks, by number.
    pub networks: Vec<Weighted>,
}

/// A parameter of good networks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Best {
    /// The parameter.
    pub name: String,
    /// Its value in the best network of a resample.
    pub value: Interval,
}

/// A network and its weight in the distribution.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Weighted {
    /// The weight; those of a space sum to 1.
    pub weight: f64,
    /// The network.
    #[serde(flatten)]
    pub member: Member,
}

/// A comparison of two spaces.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Pair {
    /// One space.
    pub first: String,
    /// The other.
    pub second: String,
    /// Errors on clean images.
    pub clean: Comparison,
    /// Errors under attack.
    pub attacked: Comparison,
}

impl Space {
    /// The errors of its networks.
    pub fn errors(&self, images: Images) -> Vec<f64> {
        self.networks.iter().map(|n| n.member.error(images)).collect()
    }

    /// The weights of its networks.
    pub fn weights(&self) -> Vec<f64> {
        self.networks.iter().map(|n| n.weight).collect()
    }

    /// The sums of its errors.
    pub fn summary(&self, images: Images) -> &Summary {
        match images {
            Images::Clean => &self.clean,
            Images::Attacked => &self.attacked,
        }
    }
}

impl PopulationReport {
    /// The comparison in a line.
    pub fn summary(&self) -> String {
        let space = |space: &Space| {
            let (clean, attacked) = (100.0 * space.clean.mean, 100.0 * space.attacked.mean);
            format!("{}, mean error {clean:.1} % clean, {attacked:.1} % attacked", space.name)
        };
        self.spaces.iter().map(space).collect::<Vec<_>>().join("; ")
    }

    /// Sums up the networks of some spaces; with `bins`, under weights that match their multiply-accumulates.
    ///
    /// # Errors
    /// [`Error::Usage`] for a space without networks, or spaces whose multiply-accumulates have no bin in common.
    pub fn new(names: &[&str], members: &[Member], method: Method, seed: u64, bins: Option<usize>) -> Result<Self> {
        let populations: Vec<Vec<&Member>> = names
            .iter()
            .map(|name| {
                let mut population: Vec<&Member> = members.iter().filter(|m| m.space == *name).collect();
                population.sort_by_key(|m| m.index);
                population
            })
            .collect();
        if let Some(i) = populations.iter().position(Vec::is_empty) {
            return Err(Error::Usage(format!(
                "the population of `{}` is empty; ask for at least one network",
                names[i]
            )));
        }
        let sizes: Vec<Vec<u64>> = populations.iter().map(|p| p.iter().map(|m| m.macs.0).collect()).collect();
        let weights = match bins {
            None => populations.iter().map(|p| vec![1.0 / p.len() as f64; p.len()]).collect(),
            Some(bins) => matched_weights(&sizes, bins).ok_or_else(|| {
                Error::Usage(format!(
                    "no bin of {bins} has networks of every space; draw more networks, or match over fewer bins"
                ))
            })?,
        };
        let root = Seed::root(seed).child("bootstrap");
        let spaces: Vec<Space> = names
            .iter()
            .zip(populations.iter().zip(weights))
            .map(|(name, (population, weights))| Space::new(name, population, &weights, root.child(name)))
            .collect();
        let mut comparisons = Vec::new();
        for (i, first) in spaces.iter().enumerate() {
            for second in &spaces[i + 1..] {
                let on = |images| compare(&first.errors(images), &second.errors(images));
                let (clean, attacked) = (on(Images::Clean), on(Images::Attacked));
                comparisons.push(Pair { first: first.name.clone(), second: second.name.clone(), clean, attacked });
            }
        }
        Ok(PopulationReport {
            schema_version: SCHEMA_VERSION,
            generator: GENERATOR.to_owned(),
            seed,
            counting_rule: RULE.to_owned(),
            method,
            matched_bins: bins,
            spaces,
            comparisons,
        })
    }

    /// Pretty JSON.
    ///
    /// # Errors
    /// [`Error::NotFinite`] where it cannot be written as JSON.
    pub fn to_json(&self) -> Result<Vec<u8>> {
        document::to_json("the population", self)
    }

    /// The table: spaces, then the parameters of good networks, then pairs of spaces. Ends with a newline.
    pub fn table(&self) -> String {
        let percent = |share: f64| number(&format!("{:.2}", 100.0 * share));
        let m = &self.method;
        let mut text = format!(
            "data     {} {}, n = {} (content {}, indices {})\ntraining {}, {} epochs of {} images\nattacks  {}\n\n",
            m.sample.data,
            m.sample.split,
            m.sample.n,
            m.sample.data_id,
            m.sample.index_id,
            m.training,
            m.epochs,
            m.samples,
            m.attacks.join(", ")
        );
        let head = ["space", "images"].map(word).into_iter();
        let columns = ["n", "failed", "min %", "mean %", "mean, 95 %", "median %"].map(number);
        let mut rows: Vec<Vec<Cell>> = vec![head.chain(columns).collect()];
        for space in &self.spaces {
            for images in Images::ALL {
                let s = space.summary(images);
                let Interval { low, high, .. } = s.mean_interval;
                rows.push(vec![
                    word(&space.name),
                    word(images_word(images)),
                    number(&space.networks.len().to_string()),
                    number(&space.failed.to_string()),
                    percent(s.min),
                    percent(s.mean),
                    number(&format!("{:.2}..{:.2}", 100.0 * low, 100.0 * high)),
                    percent(s.median),
                ]);
            }
        }
        text.push_str(&align(&rows));
        let mut rows: Vec<Vec<Cell>> =
            vec![vec![word("in the best of"), word("parameter"), number("median"), number("95 %")]];
        for space in &self.spaces {
            for Best { name, value: Interval { low, median, high } } in &space.best {
                let cells = [number(&short(*median)), number(&format!("{}..{}", short(*low), short(*high)))];
                rows.push([word(&space.name), word(name)].into_iter().chain(cells).collect());
            }
        }
        if rows.len() > 1 {
            text.push('\n');
            text.push_str(&align(&rows));
        }
        if !self.comparisons.is_empty() {
            let mut rows: Vec<Vec<Cell>> =
                vec![vec![word("error of"), word("below that of"), number("clean"), number("attacked")]];
            for Pair { first, second, clean, attacked } in &self.comparisons {
                let share =
                    |c: &Comparison| number(&format!("{:.1}% (equal {:.1}%)", 100.0 * c.below, 100.0 * c.equal));
                rows.push(vec![word(first), word(second), share(clean), share(attacked)]);
            }
            text.push('\n');
            text.push_str(&align(&rows));
        }
        text
    }
}

impl Space {
    fn new(name: &str, population: &[&Member], weights: &[f64], seed: Seed) -> Self {
        let errors = |images| population.iter().map(|m| m.error(images)).collect::<Vec<_>>();
        let attacked = errors(Images::Attacked);
        let named = population.first().map(|m| m.parameters.as_slice()).unwrap_or_default();
        let best = named.iter().enumerate().map(|(i, parameter)| {
            let values: Vec<f64> = population.iter().map(|m| m.parameters[i].value).collect();
            Best { name: parameter.name.clone(), value: best_value(&attacked, &values, seed.child("best")) }
        });
        Space {
            name: name.to_owned(),
            failed: population.iter().filter(|m| matches!(m.outcome, Trained::Failed { .. })).count() as u64,
            clean: summary(&errors(Images::Clean), weights, seed.child("mean")),
            best: best.collect(),
            attacked: summary(&attacked, weights, seed.child("mean")),
            networks: population
                .iter()
                .zip(weights)
                .map(|(m, w)| Weighted { weight: *w, member: (*m).clone() })
                .collect(),
        }
    }
}

/// The word for the images an error is measured on.
pub fn images_word(images: Images) -> &'static str {
    match images {
        Images::Clean => "clean",
        Images::Attacked => "attacked",
    }
}

/// At most two decimals.
fn short(value: f64) -> String {
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
