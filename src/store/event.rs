//! What happens in a run, as the journal tells it. Facts only; everything else in a run folder is derived from these.

use serde::{Deserialize, Serialize};

use crate::record::{Evaluation, Origin, Outcome, Record, SearchEpoch};
use crate::search::trial::{Spent, TrialLine};
use crate::units::Macs;

/// One line of the journal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[expect(clippy::large_enum_variant, reason = "there are few, and the large variant is the usual one")]
pub enum Event {
    /// A part of the search was finished.
    Stage(StageResult),
    /// A candidate was trained and evaluated on the validation split, or failed.
    Candidate {
        /// The record; its `test` is empty.
        record: Record,
    },
    /// A search tried a network.
    Trial {
        /// At which budget; none of one that a supernet scored, which has its own size.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        budget: Option<Macs>,
        /// What, and what came out.
        #[serde(flatten)]
        trial: TrialLine,
    },
    /// The weights that the networks of a budget share were trained.
    Shared {
        /// The budget.
        budget: Macs,
        /// What that cost.
        spent: Spent,
    },
    /// A ranked candidate was evaluated on the test split.
    Test {
        /// Architecture id of the candidate.
        arch: String,
        /// Its origin: two origins may have drawn the same architecture.
        #[serde(flatten)]
        origin: Origin,
        /// Its budget.
        budget: Macs,
        /// The numbers.
        evaluation: Evaluation,
    },
}

/// What a part of the search gave.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "stage", content = "result")]
pub enum StageResult {
    /// An epoch of the supernet.
    #[serde(rename = "search.epoch")]
    SearchEpoch(SearchEpoch),
    /// The supernet's search as a whole.
    #[serde(rename = "search")]
    Search {
        /// The architecture parameters, one number per candidate operation in the order of the mixing vector.
        alpha: Vec<f64>,
        /// The genotypes that were taken from the supernet, the selected one first; absent where it is the arg-max and draws
        /// from the distributions.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        genotypes: Vec<String>,
        /// What the supernet and the selection cost; absent in older journals.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        spent: Option<Spent>,
    },
    /// The trials of all budgets.
    #[serde(rename = "trials")]
    Trials(Vec<Found>),
}

/// What the trials at a budget found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// The budget.
    pub budget: Macs,
    /// The best genotypes, best first; none where no trial has a result.
    pub genotypes: Vec<String>,
}

/// The records of a run in the order they were made, each with its test evaluation if there is one.
///
/// A result is never edited: of two events about the same candidate the first counts.
pub fn records(events: &[Event]) -> Vec<Record> {
    let mut records: Vec<Record> = Vec::new();
    for event in events {
        match event {
            Event::Stage(_) | Event::Trial { .. } | Event::Shared { .. } => {}
            Event::Candidate { record } => {
                if !records.iter().any(|r| same(r, &record.arch, &record.origin, record.budget)) {
                    records.push(record.clone());
                }
            }
            Event::Test { arch, origin, budget, evaluation } => {
                if let Some(record) = records.iter_mut().find(|r| same(r, arch, origin, *budget))
                    && let Outcome::Ok { test: test @ None, .. } = &mut record.outcome
                {
                    *test = Some(evaluation.clone());
                }
            }
        }
    }
    records
}

/// The epochs of a run's search that are over.
pub fn epochs(events: &[Event]) -> impl Iterator<Item = &SearchEpoch> {
    events.iter().filter_map(|event| match event {
        Event::Stage(StageResult::SearchEpoch(epoch)) => Some(epoch),
        _ => None,
    })
}

/// The architecture parameters that the search of a run ended with, if it has.
pub fn alpha(events: &[Event]) -> Option<&[f64]> {
    events.iter().find_map(|event| match event {
        Event::Stage(StageResult::Search { alpha, .. }) => Some(&alpha[..]),
        _ => None,
    })
}

/// What the supernet of a run and the selection behind it cost, if they are over and the journal says so.
pub fn search_spent(events: &[Event]) -> Option<Spent> {
    events.iter().find_map(|event| match event {
        Event::Stage(StageResult::Search { spent, .. }) => *spent,
        _ => None,
    })
}

/// The genotypes that were taken from the supernet of a run, if its search is over and it says which.
pub fn selected(events: &[Event]) -> Option<&[String]> {
    events.iter().find_map(|event| match event {
        Event::Stage(StageResult::Search { genotypes, .. }) if !genotypes.is_empty() => Some(&genotypes[..]),
        _ => None,
    })
}

/// What the trials of a run found, if they are over.
pub fn found(events: &[Event]) -> Option<&[Found]> {
    events.iter().find_map(|event| match event {
        Event::Stage(StageResult::Trials(found)) => Some(&found[..]),
        _ => None,
    })
}

/// The trials of a budget, or of the supernet.
pub fn trials(events: &[Event], at: Option<Macs>) -> impl Iterator<Item = &TrialLine> {
    events.iter().filter_map(move |event| match event {
        Event::Trial { budget, trial } if *budget == at => Some(trial),
        _ => None,
    })
}

/// What the weights that the networks of a budget share cost, if they are trained.
pub fn shared(events: &[Event], at: Macs) -> Option<Spent> {
    events.iter().find_map(|event| match event {
        Event::Shared { budget, spent } if *budget == at => Some(*spent),
        _ => None,
    })
}

fn same(record: &Record, arch: &str, origin: &Origin, budget: Macs) -> bool {
    record.arch == arch && record.origin == *origin && record.budget == budget
}
