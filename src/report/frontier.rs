//! `frontier.json`: the points of one or several runs over (MACs, clean, robust), dominance, and hypervolumes.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::attacked::AttackResultFile;
use super::document::{self, GENERATOR, SCHEMA_VERSION};
use super::protocol::{Protocol, Split};
use super::ranked::Ranked;
use crate::arch::cost::RULE;
use crate::error::{Error, Result};
use crate::rank::{self, Point, Reference};
use crate::record::{Origin, Record, Speed};
use crate::units::{Macs, Params, Tally};

/// The document.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Frontier {
    /// Version of this layout.
    pub schema_version: u32,
    /// Program and version that wrote it.
    pub generator: String,
    /// The protocol of all measurements here.
    #[serde(flatten)]
    pub protocol: Protocol,
    /// Where hypervolumes are measured from: 1.1 times the largest budget of all runs, accuracies 0. A hypervolume is
    /// the dominated volume of `(1 - macs / reference.macs) x clean x robust`.
    pub reference: Reference,
    /// The runs in the order given.
    pub runs: Vec<FrontierRun>,
    /// Networks of no run that were attacked alike, in the order given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub networks: Vec<FrontierNetwork>,
}

/// A network of no run, which `robustnas attack` measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct FrontierNetwork {
    /// What it is called.
    pub name: String,
    /// As it was named on the command line.
    pub net: String,
    /// Architecture id.
    pub arch: String,
    /// Multiply-accumulates under the document's counting rule.
    pub macs: Macs,
    /// Trainable scalars.
    pub params: Params,
    /// Clean accuracy.
    pub clean: Tally,
    /// Accuracy under the worst case of all attacks.
    pub robust: Tally,
    /// Whether a point of any run in this document, or another network, dominates it.
    pub dominated: bool,
}

impl FrontierNetwork {
    fn new(name: &str, found: &AttackResultFile) -> Self {
        let rate = |hit| Tally { hit, total: found.n };
        FrontierNetwork {
            name: name.to_owned(),
            net: found.network.net.clone(),
            arch: found.network.arch.clone(),
            macs: found.network.macs,
            params: found.network.params,
            clean: rate(found.clean_correct),
            robust: rate(found.robust),
            dominated: false,
        }
    }

    /// The point as [`rank`] sees it.
    pub fn point(&self) -> Point {
        Point { macs: self.macs, clean: self.clean.rate(), robust: self.robust.rate() }
    }
}

/// One run's points.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct FrontierRun {
    /// The run's name.
    pub name: String,
    /// The run's seed.
    pub seed: u64,
    /// Hypervolumes over all budgets.
    pub hypervolume: Volumes,
    /// Hypervolumes of each budget's candidates alone, from the same reference point; budgets ascend.
    pub budgets: Vec<FrontierBudget>,
    /// Candidates that may be ranked, by ascending MACs.
    pub points: Vec<FrontierPoint>,
}

/// Hypervolumes of all points and of those of each origin.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Volumes {
    /// All points.
    pub all: f64,
    /// The searched networks.
    pub searched: f64,
    /// The random controls.
    pub random: f64,
    /// The hand-made controls.
    pub hand_made: f64,
}

/// One budget of a run.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct FrontierBudget {
    /// Multiply-accumulates asked for.
    pub budget: Macs,
    /// Hypervolumes of its candidates.
    pub hypervolume: Volumes,
}

/// A candidate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct FrontierPoint {
    /// Architecture id.
    pub arch: String,
    /// Its origin.
    #[serde(flatten)]
    pub origin: Origin,
    /// The budget it was scaled to.
    pub budget: Macs,
    /// In words.
    pub summary: String,
    /// Multiply-accumulates under the document's counting rule.
    pub macs: Macs,
    /// Trainable scalars.
    pub params: Params,
    /// How long it takes, where that was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub speed: Option<Speed>,
    /// Clean accuracy.
    pub clean: Tally,
    /// Accuracy under the worst case of all attacks.
    pub robust: Tally,
    /// Whether another point of the same run dominates it.
    pub dominated: bool,
    /// Whether a point of any run in this document, or one of its other networks, dominates it.
    pub dominated_overall: bool,
}

impl FrontierPoint {
    /// The point as [`rank`] sees it.
    pub fn point(&self) -> Point {
        Point { macs: self.macs, clean: self.clean.rate(), robust: self.robust.rate() }
    }
}

impl Frontier {
    /// The frontier of several runs, given by name, on one split.
    ///
    /// # Errors
    /// [`Error::Usage`] when counting rules, data sets or attacks differ, naming what and between which runs; when no
    /// run is given.
    pub fn combine(runs: &[(&str, &Ranked)], split: Split) -> Result<Frontier> {
        let mut shared: Option<(&str, Protocol)> = None;
        let mut members = Vec::with_capacity(runs.len());
        for (name, ranked) in runs {
            let records = ranked.records();
            let protocol = Protocol::of(&records, split)?;
            match &mut shared {
                None => shared = Some((name, protocol)),
                Some((first, common)) => {
                    let differences = common.differences(&protocol);
                    if !differences.is_empty() {
                        let what = differences.join("; ");
                        return Err(Error::Usage(format!("runs {first} and {name} cannot be compared: {what}")));
                    }
                    if common.data.is_none() {
                        (*first, *common) = (name, protocol);
                    }
                }
            }
            members.push((*name, ranked.seed, records));
        }
        let Some((_, protocol)) = shared else {
            return Err(Error::Usage("no run given to draw a frontier of".to_owned()));
        };
        let largest = members.iter().flat_map(|(_, _, records)| records).map(|r| r.budget).max().unwrap_or_default();
        let reference = Reference::above(largest);
        let runs: Vec<FrontierRun> = members
            .iter()
            .map(|(name, seed, records)| FrontierRun::new(name, *seed, records, split, reference))
            .collect();
        let generator = GENERATOR.to_owned();
        let mut frontier =
            Frontier { schema_version: SCHEMA_VERSION, generator, protocol, reference, runs, networks: Vec::new() };
        frontier.dominate();
        Ok(frontier)
    }

    /// The same beside networks that were attacked, given by name.
    ///
    /// # Errors
    /// [`Error::Usage`] for one that was attacked on other images or otherwise than the runs' networks, or by attacks that were
    /// made on another network.
    pub fn beside(mut self, networks: &[(&str, &AttackResultFile)]) -> Result<Frontier> {
        for (name, found) in networks {
            if let Some(source) = &found.source {
                let words = format!("{name} was measured with attacks on {}, which bounds nothing", source.network.net);
                return Err(Error::Usage(format!("{words}; attack it itself")));
            }
            let own = Protocol {
                counting_rule: RULE.to_owned(),
                data: Some(found.sample.clone()),
                attacks: found.plan.attacks.clone(),
                gradient_samples: found.plan.gradient_samples,
            };
            let differences = self.protocol.differences(&own);
            if !differences.is_empty() {
                return Err(Error::Usage(format!(
                    "{name} cannot be compared with the runs: {}; robustnas attack --like RUN attacks a network as the \
                     networks of a run were tested",
                    differences.join("; ")
                )));
            }
            self.networks.push(FrontierNetwork::new(name, found));
        }
        self.dominate();
        Ok(self)
    }

    /// Says of every point whether another one of the document dominates it.
    fn dominate(&mut self) {
        let points = self.runs.iter().flat_map(|run| &run.points).map(FrontierPoint::point);
        let all: Vec<Point> = points.chain(self.networks.iter().map(FrontierNetwork::point)).collect();
        let mut on_frontier = rank::frontier(&all).into_iter();
        for (point, best) in self.runs.iter_mut().flat_map(|run| &mut run.points).zip(&mut on_frontier) {
            point.dominated_overall = !best;
        }
        for (network, best) in self.networks.iter_mut().zip(&mut on_frontier) {
            network.dominated = !best;
        }
    }

    /// Pretty JSON.
    ///
    /// # Errors
    /// [`Error::NotFinite`] where it cannot be written as JSON.
    pub fn to_json(&self) -> Result<Vec<u8>> {
        document::to_json("the frontier", self)
    }

    /// Reads `frontier.json`; unknown keys are accepted.
    ///
    /// # Errors
    /// [`Error::Data`] for another document, or a newer schema.
    pub fn from_json(path: &Path, bytes: &[u8]) -> Result<Frontier> {
        document::from_json(path, bytes)
    }
}

impl FrontierRun {
    fn new(name: &str, seed: u64, records: &[Record], split: Split, reference: Reference) -> Self {
        let mut points: Vec<FrontierPoint> = records
            .iter()
            .filter(|r| rank::ineligible(r).is_none())
            .filter_map(|r| {
                let evaluation = split.of(r)?;
                Some(FrontierPoint {
                    arch: r.arch.clone(),
                    origin: r.origin.clone(),
                    budget: r.budget,
                    summary: r.summary.clone(),
                    macs: r.cost.macs,
                    params: r.cost.params,
                    speed: r.speed(),
                    clean: evaluation.clean,
                    robust: evaluation.robust,
                    dominated: false,
                    dominated_overall: false,
                })
            })
            .collect();
        points.sort_by(|a, b| (a.macs, a.budget, &a.arch, &a.origin).cmp(&(b.macs, b.budget, &b.arch, &b.origin)));
        let plain: Vec<Point> = points.iter().map(FrontierPoint::point).collect();
        for (point, best) in points.iter_mut().zip(rank::frontier(&plain)) {
            point.dominated = !best;
        }
        let mut budgets: Vec<Macs> = records.iter().map(|r| r.budget).collect();
        budgets.sort();
        budgets.dedup();
        let volume = |budget: Macs| Volumes::of(points.iter().filter(|p| p.budget == budget), reference);
        FrontierRun {
            name: name.to_owned(),
            seed,
            hypervolume: Volumes::of(points.iter(), reference),
            budgets: budgets.into_iter().map(|b| FrontierBudget { budget: b, hypervolume: volume(b) }).collect(),
            points,
        }
    }
}

impl Volumes {
    fn of<'a>(points: impl Iterator<Item = &'a FrontierPoint> + Clone, reference: Reference) -> Self {
        let volume = |keep: fn(&Origin) -> bool| {
            let kept: Vec<Point> = points.clone().filter(|p| keep(&p.origin)).map(FrontierPoint::point).collect();
            rank::hypervolume(&kept, reference)
        };
        Volumes {
            all: volume(|_| true),
            searched: volume(|o| matches!(o, Origin::Searched { .. })),
            random: volume(|o| matches!(o, Origin::Random { .. })),
            hand_made: volume(|o| matches!(o, Origin::HandMade)),
        }
    }
}
