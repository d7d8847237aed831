//! What happens in a run, as the journal tells it. Facts only; everything else in a run folder is derived from these.

use serde::{Deserialize, Serialize};

use crate::record::{Evaluation, Origin, Outcome, Record, SearchEpoch};
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
    },
}

/// The records of a run in the order they were made, each with its test evaluation if there is one.
///
/// A result is never edited: of two events about the same candidate the first counts.
pub fn records(events: &[Event]) -> Vec<Record> {
    let mut records: Vec<Record> = Vec::new();
    for event in events {
        match event {
            Event::Stage(_) => {}
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
        Event::Stage(StageResult::Search { .. }) | Event::Candidate { .. } | Event::Test { .. } => None,
    })
}

/// The architecture parameters that the search of a run ended with, if it has.
pub fn alpha(events: &[Event]) -> Option<&[f64]> {
    events.iter().find_map(|event| match event {
        Event::Stage(StageResult::Search { alpha }) => Some(&alpha[..]),
        Event::Stage(StageResult::SearchEpoch(_)) | Event::Candidate { .. } | Event::Test { .. } => None,
    })
}

fn same(record: &Record, arch: &str, origin: &Origin, budget: Macs) -> bool {
    record.arch == arch && record.origin == *origin && record.budget == budget
}
