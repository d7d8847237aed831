//! What chance in training is worth, and how well anything predicts what training makes of a random network.

use serde::{Deserialize, Serialize};

use super::Network;
use super::facts::{Compared, Line, SearchId};
use crate::error::{Error, Result};
use crate::search::zero_cost::{self, ZeroCost};
use crate::study::{Kendall, Moments, kendall, partial};

/// The fewest networks that are correlated.
const FEWEST: usize = 4;

/// What chance in training is worth: networks that were trained twice.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Noise {
    /// Networks that were.
    pub networks: usize,
    /// Standard deviation from training to training of one network.
    pub run_sd: f64,
    /// The standard deviation that random networks would have without it: the rest of their variance, 0 where none is left.
    pub architecture_sd: f64,
    /// How alike two trainings order them: no prediction of one training can be expected to be closer.
    pub test_retest: Option<Kendall>,
}

impl Noise {
    /// Of random networks; nothing where fewer than two were trained twice.
    pub(super) fn of(random: &[&Network]) -> Result<Option<Self>> {
        let twice: Vec<(f64, f64)> = random
            .iter()
            .filter_map(|n| match n.robust[..] {
                [Some(first), Some(second), ..] => Some((first, second)),
                _ => None,
            })
            .collect();
        let all: Vec<f64> = random.iter().filter_map(|n| n.first()).collect();
        if twice.len() < 2 {
            return Ok(None);
        }
        // Two trainings differ by twice the variance of one; their means differ by the seeds, which are the same for all.
        let differences: Vec<f64> = twice.iter().map(|(first, second)| second - first).collect();
        let variance = Moments::of(&differences)?.sd.powi(2) / 2.0;
        let whole = Moments::of(&all)?.sd.powi(2);
        let (first, second): (Vec<f64>, Vec<f64>) = twice.iter().copied().unzip();
        Ok(Some(Noise {
            networks: twice.len(),
            run_sd: variance.sqrt(),
            architecture_sd: (whole - variance).max(0.0).sqrt(),
            test_retest: correlated(&first, &second)?,
        }))
    }
}

/// A number that is known without training a network in full, against the robust accuracy that training gave.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Proxy {
    /// What it is.
    pub name: String,
    /// Random networks that have it.
    pub networks: usize,
    /// How alike both order them.
    pub tau: Kendall,
    /// The part of it that the number of parameters leaves; not for that number itself.
    pub given_params: Option<f64>,
}

impl Proxy {
    /// Of some networks; nothing where they are too few or do not differ.
    fn of(name: &str, networks: &[(f64, &Network)]) -> Result<Option<Self>> {
        let told: Vec<f64> = networks.iter().filter_map(|(_, n)| n.first()).collect();
        let own: Vec<f64> = networks.iter().map(|(own, _)| *own).collect();
        let params: Vec<f64> = networks.iter().map(|(_, n)| n.network.params.0 as f64).collect();
        let Some(tau) = correlated(&own, &told)? else { return Ok(None) };
        let given_params = match (correlated(&own, &params)?, correlated(&params, &told)?) {
            (Some(size), Some(by_size)) if name != PARAMS => {
                Some(partial(tau.tau, size.tau, by_size.tau)).filter(|tau| tau.is_finite())
            }
            _ => None,
        };
        Ok(Some(Proxy { name: name.to_owned(), networks: networks.len(), tau, given_params }))
    }
}

const PARAMS: &str = "parameters";

/// Parameters, multiply-accumulates and the objective of the same training.
pub(super) fn all(random: &[&Network]) -> Result<Vec<Proxy>> {
    type Number = fn(&Network) -> Option<f64>;
    let numbers: [(&str, Number); 4] = [
        (PARAMS, |n| Some(n.network.params.0 as f64)),
        ("multiply-accumulates", |n| Some(n.network.macs.0 as f64)),
        ("objective of the same training", |n| n.objective),
        ("clean accuracy of the same training", |n| n.clean.first().copied().flatten()),
    ];
    let of = |(name, number): (&str, Number)| {
        let known: Vec<(f64, &Network)> = random.iter().filter_map(|n| Some((number(n)?, *n))).collect();
        Proxy::of(name, &known)
    };
    Ok(numbers.into_iter().map(of).collect::<Result<Vec<_>>>()?.into_iter().flatten().collect())
}

/// What fresh weights say.
pub(super) fn foretold(lines: &[Line], random: &[&Network]) -> Result<Vec<Proxy>> {
    let known = lines.iter().filter_map(|line| match line {
        Line::Foretold { network, proxies } => numbered(random, *network).map(|n| (proxies, n)),
        _ => None,
    });
    let known: Vec<(&ZeroCost, &Network)> = known.collect();
    let of = |(name, number): (&str, zero_cost::Number)| {
        Proxy::of(name, &known.iter().map(|(proxies, n)| (number(proxies), *n)).collect::<Vec<_>>())
    };
    Ok(ZeroCost::NUMBERS.into_iter().map(of).collect::<Result<Vec<_>>>()?.into_iter().flatten().collect())
}

/// The scores with a search's shared weights.
pub(super) fn inherited(lines: &[Line], id: SearchId, random: &[&Network]) -> Result<Option<Proxy>> {
    let known: Vec<(f64, &Network)> = lines
        .iter()
        .filter_map(|line| match line {
            Line::Inherited { of, network, objective: Some(objective) } if *of == id => {
                numbered(random, *network).map(|n| (*objective, n))
            }
            _ => None,
        })
        .collect();
    Proxy::of(&format!("inherited weights of search {}", id.search), &known)
}

/// The random network of a number.
fn numbered<'a>(random: &[&'a Network], number: u32) -> Option<&'a Network> {
    random.iter().copied().find(|n| n.of == Compared::Random { number })
}

/// Kendall's tau; nothing for few networks, or where a number is the same for all.
fn correlated(x: &[f64], y: &[f64]) -> Result<Option<Kendall>> {
    if x.len() < FEWEST {
        return Ok(None);
    }
    match kendall(x, y) {
        Ok(tau) => Ok(Some(tau)),
        Err(Error::Impossible(_)) => Ok(None),
        Err(other) => Err(other),
    }
}
