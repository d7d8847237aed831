//! A run's tables: candidates of a budget, and what each attack left of a network.

use serde::Serialize;

use super::anchor;
use crate::record::{Evaluation, Outcome};
use crate::report::ranked::{Entry, Ranked};
use crate::units::Tally;

/// A cell: what is shown, and the number that it is sorted by.
#[derive(Serialize)]
pub(super) struct Cell {
    text: String,
    key: Option<f64>,
}

impl Cell {
    fn word(text: impl Into<String>) -> Self {
        Cell { text: text.into(), key: None }
    }

    fn number(text: impl Into<String>, key: f64) -> Self {
        Cell { text: text.into(), key: Some(key) }
    }

    fn share(tally: Option<Tally>) -> Self {
        tally.map_or(Cell::word("-"), |tally| Cell::number(tally.to_string(), tally.rate()))
    }
}

/// A candidate.
#[derive(Serialize)]
pub(super) struct CandidateRow<'a> {
    anchor: String,
    arch: &'a str,
    origin: &'static str,
    ranked: bool,
    cells: Vec<Cell>,
    note: &'a str,
}

/// The candidates of a budget.
#[derive(Serialize)]
pub(super) struct BudgetTable<'a> {
    budget: String,
    titles: Vec<String>,
    rows: Vec<CandidateRow<'a>>,
    /// Whether there is anything to be noted.
    noted: bool,
}

/// The tables of a run, the `run`-th of the page.
pub(super) fn budgets(ranked: &Ranked, run: usize) -> Vec<BudgetTable<'_>> {
    let timed = ranked.budgets.iter().flat_map(|b| &b.entries).any(|e| e.record.speed().is_some());
    let attacks: Vec<String> = ranked.protocol.attacks.iter().map(|attack| attack.name()).collect();
    let mut titles: Vec<String> = ["parameters", "MACs"].map(str::to_owned).into();
    if timed {
        titles.extend(["ms forward", "ms training"].map(str::to_owned));
    }
    titles.push("clean".into());
    titles.extend(attacks.iter().cloned());
    titles.extend(["robust", "95 %", "test clean", "test robust"].map(str::to_owned));
    ranked
        .budgets
        .iter()
        .map(|budget| BudgetTable {
            budget: budget.budget.to_string(),
            titles: titles.clone(),
            noted: budget.entries.iter().any(|entry| entry.unranked.is_some()),
            rows: budget.entries.iter().map(|entry| row(entry, run, attacks.len(), timed)).collect(),
        })
        .collect()
}

fn row(entry: &Entry, run: usize, attacks: usize, timed: bool) -> CandidateRow<'_> {
    let record = &entry.record;
    let rank = entry.rank.map_or(Cell::word("-"), |rank| Cell::number(rank.to_string(), f64::from(rank)));
    let (params, macs) = (record.cost.params, record.cost.macs);
    let mut cells =
        vec![rank, Cell::number(params.to_string(), params.0 as f64), Cell::number(macs.to_string(), macs.0 as f64)];
    if timed {
        let of = record.speed().map(|speed| [speed.forward_ms, speed.training_ms]);
        let ms = |i: usize| of.map_or(Cell::word("-"), |ms| Cell::number(format!("{:.3}", ms[i]), ms[i]));
        cells.extend([ms(0), ms(1)]);
    }
    let (found, test) = match &record.outcome {
        Outcome::Ok { validation, test, .. } => (Some(validation), test.as_ref()),
        Outcome::Failed { .. } => (None, None),
    };
    cells.push(Cell::share(found.map(|v| v.clean)));
    cells.extend((0..attacks).map(|i| Cell::share(found.and_then(|v| v.attacks.get(i)).map(|a| a.robust))));
    cells.push(Cell::share(found.map(|v| v.robust)));
    cells.push(Cell::word(found.map_or("-".into(), |v| interval(v.robust))));
    cells.extend([Cell::share(test.map(|t| t.clean)), Cell::share(test.map(|t| t.robust))]);
    CandidateRow {
        anchor: anchor(run, &record.arch),
        arch: &record.arch,
        origin: record.origin.word(),
        ranked: entry.rank.is_some(),
        cells,
        note: entry.unranked.as_deref().unwrap_or(""),
    }
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

/// The 95 % Wilson interval in per cent.
fn interval(tally: Tally) -> String {
    let (low, high) = tally.wilson95();
    format!("{:.2} to {:.2}", 100.0 * low, 100.0 * high)
}
