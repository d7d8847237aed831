//! Comparison of networks: the ranking within a budget, dominance, the Pareto frontier and its hypervolume.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

use crate::record::{Evaluation, OriginKind, Outcome, Record};
use crate::units::Macs;

/// Why a record may not be ranked, if so.
pub fn ineligible(record: &Record) -> Option<String> {
    match &record.outcome {
        Outcome::Failed { reason, .. } => Some(reason.clone()),
        Outcome::Ok { validation, .. } if !validation.checks.is_empty() => {
            let names: Vec<&str> = validation.checks.iter().map(|c| c.word()).collect();
            Some(format!("checks raised: {}", names.join(", ")))
        }
        Outcome::Ok { validation, .. } if validation.robust.total == 0 || validation.clean.total == 0 => {
            Some("evaluated on no samples".to_owned())
        }
        Outcome::Ok { .. } => None,
    }
}

/// The validation result that a record is ranked by; `None` where [`ineligible`] gives a reason.
fn judged(record: &Record) -> Option<&Evaluation> {
    record.ranked().filter(|v| v.robust.total > 0 && v.clean.total > 0)
}

/// The order of a table, better first: robust accuracy of the validation split under the worst case of all attacks,
/// then clean accuracy, then fewer multiply-accumulates, then the architecture's id; records that may not be ranked
/// come last. Total and deterministic: records that compare equal are the same candidate.
pub fn compare(a: &Record, b: &Record) -> Ordering {
    let numbers = match (judged(a), judged(b)) {
        (Some(a), Some(b)) => {
            let robust = b.robust.rate().total_cmp(&a.robust.rate());
            robust.then(b.clean.rate().total_cmp(&a.clean.rate()))
        }
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => Ordering::Equal,
    };
    numbers
        .then_with(|| a.cost.macs.cmp(&b.cost.macs))
        .then_with(|| a.arch.cmp(&b.arch))
        .then_with(|| a.origin.cmp(&b.origin))
}

/// The candidates of one budget, controls among them.
#[derive(Clone, Debug, PartialEq)]
pub struct Ranking<'a> {
    /// The budget.
    pub budget: Macs,
    /// Candidates that may be ranked, best first.
    pub ranked: Vec<&'a Record>,
    /// The others, each with its reason.
    pub unranked: Vec<(&'a Record, String)>,
}

/// Ranks records within their budgets; budgets ascend. Independent of the order of `records`.
pub fn by_budget(records: &[Record]) -> Vec<Ranking<'_>> {
    let mut sorted: Vec<&Record> = records.iter().collect();
    sorted.sort_by(|a, b| a.budget.cmp(&b.budget).then_with(|| compare(a, b)));
    sorted
        .chunk_by(|a, b| a.budget == b.budget)
        .map(|group| {
            let mut ranking = Ranking { budget: group[0].budget, ranked: Vec::new(), unranked: Vec::new() };
            for record in group {
                match ineligible(record) {
                    None => ranking.ranked.push(record),
                    Some(reason) => ranking.unranked.push((record, reason)),
                }
            }
            ranking
        })
        .collect()
}

impl<'a> Ranking<'a> {
    /// The best candidate of an origin.
    pub fn first(&self, kind: OriginKind) -> Option<&'a Record> {
        self.ranked.iter().copied().find(|record| record.origin.kind() == kind)
    }

    /// Its validation result.
    pub fn best(&self, kind: OriginKind) -> Option<&'a Evaluation> {
        self.first(kind).and_then(judged)
    }

    /// The best searched network against the best control of a kind.
    pub fn standing(&self, control: OriginKind) -> Standing {
        match (self.best(OriginKind::Searched), self.best(control)) {
            (None, _) => Standing::NoSearched,
            (_, None) => Standing::NoControl,
            (Some(searched), Some(control)) => {
                let ((low, high), (other_low, other_high)) = (searched.robust.wilson95(), control.robust.wilson95());
                match () {
                    () if low > other_high => Standing::Beats,
                    () if high < other_low => Standing::Beaten,
                    () => Standing::Overlaps,
                }
            }
        }
    }
}

/// The best searched network of a budget against the best control of a kind, by the 95 % intervals of their robust
/// validation accuracies. Intervals that overlap decide nothing: without a difference beyond them, the search has shown
/// nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// Its interval lies above the control's.
    Beats,
    /// The intervals overlap.
    Overlaps,
    /// Its interval lies below the control's.
    Beaten,
    /// No searched network may be ranked.
    NoSearched,
    /// No control of the kind may be ranked.
    NoControl,
}

/// A network as the frontier sees it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// Cost; less is better.
    pub macs: Macs,
    /// Clean accuracy in `[0, 1]`; more is better.
    pub clean: f64,
    /// Accuracy under the worst case of all attacks in `[0, 1]`; more is better.
    pub robust: f64,
}

impl Point {
    /// The point of an evaluation.
    pub fn new(macs: Macs, evaluation: &Evaluation) -> Self {
        Point { macs, clean: evaluation.clean.rate(), robust: evaluation.robust.rate() }
    }

    /// Whether `self` is nowhere worse than `other` and somewhere better. Equal points do not dominate each other.
    pub fn dominates(&self, other: &Point) -> bool {
        let no_worse = self.macs <= other.macs && self.clean >= other.clean && self.robust >= other.robust;
        no_worse && self != other
    }
}

/// For each point whether no other dominates it.
pub fn frontier(points: &[Point]) -> Vec<bool> {
    points.iter().map(|p| !points.iter().any(|q| q.dominates(p))).collect()
}

/// The reference point of the hypervolume. Clean and robust accuracy start at 0; only the cost must be chosen.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Reference {
    /// Multiply-accumulates of the reference point.
    pub macs: f64,
    /// Clean accuracy of the reference point.
    pub clean: f64,
    /// Robust accuracy of the reference point.
    pub robust: f64,
}

impl Reference {
    /// A tenth above the largest budget, so that a network that just meets that budget still counts; accuracies 0.
    pub fn above(largest_budget: Macs) -> Self {
        Reference { macs: largest_budget.0 as f64 * 1.1, clean: 0.0, robust: 0.0 }
    }
}

/// The volume of `(1 - macs / reference.macs) x clean x robust` that the points dominate, in `[0, 1]`; exact, by
/// slices of constant cost. Points at or beyond the reference add nothing. Bit for bit independent of the order.
///
/// # Complexity
/// `n^2 log n`; frontiers here have tens of points.
pub fn hypervolume(points: &[Point], reference: Reference) -> f64 {
    let mut boxes: Vec<[f64; 3]> = points
        .iter()
        .map(|p| [1.0 - p.macs.0 as f64 / reference.macs, p.clean - reference.clean, p.robust - reference.robust])
        .filter(|b| b.iter().all(|side| *side > 0.0))
        .collect();
    boxes.sort_by(|a, b| b[0].total_cmp(&a[0]).then(b[1].total_cmp(&a[1])).then(b[2].total_cmp(&a[2])));
    let mut volume = 0.0;
    for end in 1..=boxes.len() {
        let next = boxes.get(end).map_or(0.0, |b| b[0]);
        let thickness = boxes[end - 1][0] - next;
        if thickness > 0.0 {
            volume += thickness * area(&boxes[..end]);
        }
    }
    volume
}

/// The area under the staircase of the boxes' last two sides.
fn area(boxes: &[[f64; 3]]) -> f64 {
    let mut sides: Vec<(f64, f64)> = boxes.iter().map(|b| (b[1], b[2])).collect();
    sides.sort_by(|a, b| b.0.total_cmp(&a.0).then(b.1.total_cmp(&a.1)));
    let (mut area, mut height) = (0.0, 0.0);
    for (width, tall) in sides {
        if tall > height {
            area += width * (tall - height);
            height = tall;
        }
    }
    area
}
