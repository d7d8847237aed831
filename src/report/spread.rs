//! Runs that differ in the seed alone: what the best networks of each are worth on the mean, and how far that spreads.

use super::protocol::Split;
use super::ranked::Ranked;
use super::table::{Cell, align, number, word};
use crate::rank::by_budget;
use crate::record::{OriginKind, Record};
use crate::study::Moments;
use crate::units::Macs;

/// The best network of a kind at a budget, in every run: chosen by the validation images, told on those of one split.
#[derive(Clone, Debug, PartialEq)]
pub struct SpreadLine {
    /// The budget.
    pub budget: Macs,
    /// What the networks are.
    pub kind: OriginKind,
    /// The share of images that each run's network is right on under every attack, in the order of the runs.
    pub robust: Vec<f64>,
    /// The same without an attack.
    pub clean: Vec<f64>,
    /// Mean and deviation of the robust shares; none of fewer than two.
    pub robust_moments: Option<Moments>,
    /// Those of the clean ones.
    pub clean_moments: Option<Moments>,
}

impl SpreadLine {
    /// The mean of the robust shares.
    pub fn mean(&self) -> f64 {
        self.robust.iter().sum::<f64>() / self.robust.len().max(1) as f64
    }

    /// The least and the most robust run's.
    pub fn ends(&self) -> (f64, f64) {
        let bound = |better: fn(f64, f64) -> f64| self.robust.iter().copied().reduce(better).unwrap_or_default();
        (bound(f64::min), bound(f64::max))
    }
}

/// Several runs of one configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct Spread {
    /// Their seeds.
    pub seeds: Vec<u64>,
    /// Budgets ascend.
    pub lines: Vec<SpreadLine>,
}

impl Spread {
    /// Of the rankings of some runs, on one split.
    pub fn of(runs: &[&Ranked], split: Split) -> Spread {
        let records: Vec<Vec<Record>> = runs.iter().map(|ranked| ranked.records()).collect();
        let rankings: Vec<_> = records.iter().map(|records| by_budget(records)).collect();
        let mut budgets: Vec<Macs> = rankings.iter().flatten().map(|ranking| ranking.budget).collect();
        budgets.sort_unstable();
        budgets.dedup();
        let mut lines = Vec::new();
        for budget in budgets {
            for kind in OriginKind::ALL {
                let of_budget = rankings.iter().filter_map(|run| run.iter().find(|ranking| ranking.budget == budget));
                let best = of_budget.filter_map(|ranking| {
                    split.of(ranking.first(kind)?).map(|found| (found.robust.rate(), found.clean.rate()))
                });
                let (robust, clean): (Vec<f64>, Vec<f64>) = best.unzip();
                if robust.is_empty() {
                    continue;
                }
                let [robust_moments, clean_moments] = [&robust, &clean].map(|shares| Moments::of(shares).ok());
                lines.push(SpreadLine { budget, kind, robust, clean, robust_moments, clean_moments });
            }
        }
        Spread { seeds: runs.iter().map(|ranked| ranked.seed).collect(), lines }
    }

    /// For a terminal: the best network of each run, mean and standard deviation over the seeds.
    pub fn table(&self) -> String {
        let head = ["robust", "clean", "runs", "least robust", "most robust"].map(number);
        let mut rows: Vec<Vec<Cell>> = vec![[word("budget"), word("best")].into_iter().chain(head).collect()];
        let percent = |share: f64| format!("{:.1}", 100.0 * share);
        for line in &self.lines {
            let shown = |shares: &[f64], moments: Option<Moments>| match moments {
                Some(Moments { mean, sd, .. }) => format!("{} ±{}", percent(mean), percent(sd)),
                None => shares.first().map_or(String::new(), |share| percent(*share)),
            };
            let (least, most) = line.ends();
            rows.push(vec![
                word(&line.budget.to_string()),
                word(line.kind.word()),
                number(&shown(&line.robust, line.robust_moments)),
                number(&shown(&line.clean, line.clean_moments)),
                number(&line.robust.len().to_string()),
                number(&percent(least)),
                number(&percent(most)),
            ]);
        }
        align(&rows)
    }
}
