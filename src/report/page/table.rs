//! A run's tables: candidates of a budget, and what each attack left of a network.

use serde::Serialize;

use super::anchor;
use crate::record::{Evaluation, Outcome};
use crate::report::columns::{Value, interval, titles, values};
use crate::report::ranked::{Entry, Ranked, RankedBudget};
use crate::units::Tally;

/// A cell: what is shown, and the number that it is sorted by.
#[derive(Serialize)]
pub(super) struct Cell {
    text: String,
    number: bool,
    key: Option<f64>,
}

/// A candidate.
#[derive(Serialize)]
pub(super) struct CandidateRow {
    anchor: String,
    origin: &'static str,
    ranked: bool,
    cells: Vec<Cell>,
}

/// The candidates of a budget.
#[derive(Serialize)]
pub(super) struct BudgetTable {
    budget: String,
    titles: Vec<String>,
    rows: Vec<CandidateRow>,
}

/// The tables of a run, the `run`-th of the page.
pub(super) fn budgets(ranked: &Ranked, run: usize) -> Vec<BudgetTable> {
    let timed = ranked.budgets.iter().flat_map(|b| &b.entries).any(|e| e.record.speed().is_some());
    let attacks = &ranked.protocol.attacks;
    let names: Vec<String> = titles(attacks, timed).into_iter().map(|(title, _)| title).collect();
    let table = |budget: &RankedBudget| {
        // Networks are told of in words further down; notes are a column where there are any.
        let noted = budget.entries.iter().any(|entry| entry.unranked.is_some());
        let shown = |title: &String| title != "network" && (noted || title != "note");
        let row = |entry: &Entry| CandidateRow {
            anchor: anchor(run, &entry.record.arch),
            origin: entry.record.origin.word(),
            ranked: entry.rank.is_some(),
            cells: names
                .iter()
                .zip(values(entry, attacks.len(), timed))
                .filter(|(title, _)| shown(title))
                .map(|(_, Value { text, number, key })| Cell { text, number, key })
                .collect(),
        };
        BudgetTable {
            budget: budget.budget.to_string(),
            titles: names.iter().filter(|title| shown(title)).cloned().collect(),
            rows: budget.entries.iter().map(row).collect(),
        }
    };
    ranked.budgets.iter().map(table).collect()
}

/// A measurement of a network.
#[derive(Serialize)]
pub(super) struct Measured {
    images: String,
    training: String,
    rows: Vec<[String; 3]>,
    checks: String,
}

/// What every attack left of a network, on every sample it was measured on.
pub(super) fn measured(ranked: &Ranked, arch: &str) -> Vec<Measured> {
    let entries = ranked.budgets.iter().flat_map(|budget| &budget.entries).filter(|entry| entry.record.arch == arch);
    let mut all = Vec::new();
    for entry in entries {
        if let Outcome::Ok { training, validation, test, .. } = &entry.record.outcome {
            let trained = format!(
                "as a {} network: {}, {} epochs of {} images, seed {}",
                entry.record.origin.word(),
                training.method,
                training.epochs,
                training.samples,
                training.seed
            );
            all.extend([Some(validation), test.as_ref()].into_iter().flatten().map(|found| of(found, &trained)));
        }
    }
    all
}

fn of(found: &Evaluation, training: &str) -> Measured {
    let line = |name: String, tally: Tally| [name, tally.to_string(), interval(tally)];
    let mut rows = vec![line("clean".into(), found.clean)];
    rows.extend(found.attacks.iter().map(|a| line(a.attack.to_string(), a.robust)));
    rows.push(line("all of them".into(), found.robust));
    let checks: Vec<&str> = found.checks.iter().map(|check| check.word()).collect();
    Measured {
        images: format!("{} {}, n = {}", found.sample.data, found.sample.split, found.sample.n),
        training: training.to_owned(),
        rows,
        checks: if checks.is_empty() { "none raised".into() } else { checks.join(", ") },
    }
}
