//! The networks that are trained: the supernet's genotypes and the controls, each scaled to every budget.

use super::task::Task;
use crate::arch::cost::{Cost, cost};
use crate::arch::families::cells::{MixLayout, Skeleton, derived};
use crate::arch::file::id_of;
use crate::arch::genotype::Genotype;
use crate::arch::net::Net;
use crate::arch::op::Shape;
use crate::arch::scaling::count::Counts;
use crate::arch::scaling::{ScalingChoice, residual_control};
use crate::config::Config;
use crate::data::Dataset;
use crate::error::{Error, Result};
use crate::record::{Origin, Outcome, Record};
use crate::search::derive::{argmax, random, sample};
use crate::search::distribution::Alpha;
use crate::seed::Seed;
use crate::units::Macs;

/// Draws that may repeat an earlier genotype before the space is taken to hold no more.
const DRAWS: u64 = 200;

/// A network to be trained.
pub struct Candidate {
    /// Where it comes from.
    pub origin: Origin,
    /// The budget it is scaled to.
    pub budget: Macs,
    /// Its cells; none for the hand-made control.
    pub genotype: Option<Genotype>,
    /// Where the cells stand.
    pub skeleton: Option<Skeleton>,
    /// The network.
    pub net: Net,
    /// Its content id.
    pub id: String,
    /// In words.
    pub summary: String,
}

impl Candidate {
    /// Whether a record is about this candidate.
    pub fn is_of(&self, record: &Record) -> bool {
        record.arch == self.id && record.budget == self.budget && record.origin == self.origin
    }

    /// Its training.
    pub fn task(&self) -> Task {
        Task::Train { arch: self.id.clone(), budget: self.budget, origin: self.origin.clone() }
    }

    /// The candidate's record.
    pub fn record(&self, cost: Cost, outcome: Outcome) -> Record {
        Record {
            arch: self.id.clone(),
            origin: self.origin.clone(),
            budget: self.budget,
            summary: self.summary.clone(),
            cost,
            outcome,
        }
    }
}

/// A genotype that cannot be scaled to a budget.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// The budget.
    pub budget: Macs,
    /// Where the genotype is from.
    pub origin: Origin,
    /// What was tried, and the nearest.
    pub reason: String,
}

/// The scalings of a genotype to a budget, for images of a shape and a number of classes.
///
/// # Errors
/// [`Error::Impossible`] where no network of the genotype is within band and tolerance; [`Error::Net`] for an image
/// that is too small.
pub fn scalings(
    config: &Config,
    (image, classes): (Shape, usize),
    genotype: &Genotype,
    budget: Macs,
) -> Result<ScalingChoice> {
    let count = |cells: &[usize], channels: &[usize]| {
        Ok(cost(&derived(&config.scaled_skeleton(image, classes, cells, channels), genotype)?).macs)
    };
    let counts = Counts::new(&count);
    config.scaling.candidates(budget, config.stage_cells()?, &|cells, channels| counts.macs(cells, channels))
}

/// Different genotypes: a first one if given, then draws.
fn distinct(first: Option<Genotype>, n: u32, mut draw: impl FnMut(u64) -> Genotype) -> Vec<Genotype> {
    let mut list: Vec<Genotype> = first.into_iter().collect();
    let mut at = 0;
    while list.len() < n as usize && at < DRAWS {
        let genotype = draw(at);
        if !list.contains(&genotype) {
            list.push(genotype);
        }
        at += 1;
    }
    list.truncate(n as usize);
    list
}

/// The random genotypes of the controls.
pub fn random_genotypes(config: &Config, layout: &MixLayout, n: u32, seed: Seed) -> Vec<Genotype> {
    let seed = seed.child("random");
    distinct(None, n, |i| random(layout, config.derive.edges_per_node, seed.index(i)))
}

/// The arg-max genotype and draws from the distributions.
pub fn from_mixture(config: &Config, alpha: &Alpha, seed: Seed) -> Vec<Genotype> {
    let layout = config.mix_layout();
    let (mix, keep, draws) = (alpha.mix(&layout), config.derive.edges_per_node, seed.child("derive"));
    distinct(Some(argmax(&layout, &mix, keep)), config.derive.genotypes, |i| {
        sample(&layout, &mix, keep, draws.index(i))
    })
}

/// All candidates, budget by budget: searched, random, hand-made; and the genotypes that are left out at a budget. The
/// plan has made sure that not all are. `found` has the searched genotypes of each budget.
///
/// # Errors
/// [`Error::Net`] for an image that is too small for a network; [`Error::Impossible`] for a budget of less than half
/// the smallest hand-made network.
pub fn derive(
    config: &Config,
    data: &Dataset,
    found: &[Vec<Genotype>],
    seed: Seed,
) -> Result<(Vec<Candidate>, Vec<LeftOut>)> {
    let layout = config.mix_layout();
    let controls = random_genotypes(config, &layout, config.derive.random, seed);
    let (mut list, mut left_out) = (Vec::new(), Vec::new());
    for (budget, searched) in config.budgets.iter().zip(found) {
        let origins = (0..).map(|genotype| Origin::Searched { genotype }).zip(searched);
        let randoms = (0..).map(|genotype| Origin::Random { genotype }).zip(&controls);
        for (origin, genotype) in origins.chain(randoms) {
            match scalings(config, data.seen(), genotype, *budget) {
                Ok(choice) => {
                    for scaled in choice.kept {
                        let (image, classes) = data.seen();
                        let skeleton = config.scaled_skeleton(image, classes, &scaled.cells, &scaled.channels);
                        let net = derived(&skeleton, genotype)?;
                        let summary = scaled.summary();
                        list.push(Candidate {
                            origin: origin.clone(),
                            budget: *budget,
                            genotype: Some(genotype.clone()),
                            skeleton: Some(skeleton),
                            id: id_of(&net)?,
                            net,
                            summary,
                        });
                    }
                }
                Err(Error::Impossible(reason)) => left_out.push(LeftOut { budget: *budget, origin, reason }),
                Err(other) => return Err(other),
            }
        }
        if config.derive.hand_made {
            let (resnet, net) = residual_control(*budget, data.image, data.classes.len())?;
            list.push(Candidate {
                origin: Origin::HandMade,
                budget: *budget,
                genotype: None,
                skeleton: None,
                id: id_of(&net)?,
                net,
                summary: resnet.summary(),
            });
        }
    }
    Ok((list, left_out))
}
