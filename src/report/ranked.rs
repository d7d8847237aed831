//! `ranked.json`: every candidate of a run, ranked within its budget.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::document::{self, GENERATOR, SCHEMA_VERSION};
use super::protocol::{Protocol, Split};
use crate::error::Result;
use crate::rank::{self, Ranking, Standing};
use crate::record::{OriginKind, Record};
use crate::units::Macs;

/// The document. The same records give the same bytes, in whatever order they come.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Ranked {
    /// Version of this layout.
    pub schema_version: u32,
    /// Program and version that wrote it.
    pub generator: String,
    /// The protocol of the validation results, by which candidates are ranked.
    #[serde(flatten)]
    pub protocol: Protocol,
    /// The run's seed.
    pub seed: u64,
    /// The budgets, ascending.
    pub budgets: Vec<RankedBudget>,
}

/// The candidates of one budget: ranked ones first, best first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct RankedBudget {
    /// Multiply-accumulates asked for.
    pub budget: Macs,
    /// The candidates.
    pub entries: Vec<Entry>,
    /// The searched networks against the controls; absent in documents of older versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub controls: Option<Controls>,
}

/// The best searched network of a budget against the best of each kind of control.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Controls {
    /// Random genotypes of the same space.
    pub random: Standing,
    /// Hand-made networks.
    pub hand_made: Standing,
    /// The same in a sentence, with the accuracies.
    pub sentence: String,
}

impl Controls {
    fn of(ranking: &Ranking<'_>) -> Self {
        let [random, hand_made] = [OriginKind::Random, OriginKind::HandMade].map(|kind| ranking.standing(kind));
        Controls { random, hand_made, sentence: sentence(ranking) }
    }
}

/// Whether the searched networks of a budget beat the controls beyond the intervals.
fn sentence(ranking: &Ranking<'_>) -> String {
    let Some(searched) = ranking.best(OriginKind::Searched) else {
        let is_searched = |record: &&Record| record.origin.kind() == OriginKind::Searched;
        let all = || ranking.ranked.iter().copied().chain(ranking.unranked.iter().map(|(record, _)| *record));
        if all().next().is_some() && !all().any(|record| is_searched(&record)) {
            return "No searched network is here, so nothing is shown about the search: none of its cells makes a network of this \
                    size, or none is trained yet."
                .to_owned();
        }
        return "No searched network may be ranked, so nothing is shown about the search.".to_owned();
    };
    let against = |kind: OriginKind| {
        let of = |what: &str| {
            let robust = ranking.best(kind).map_or(String::new(), |best| format!(" ({} robust)", best.robust));
            format!("{what} the best {} control{robust}", kind.word())
        };
        match ranking.standing(kind) {
            Standing::Beats => of("beats") + " beyond the 95 % intervals",
            Standing::Overlaps => of("does not beat") + " beyond the 95 % intervals",
            Standing::Beaten => of("is beaten by") + " beyond the 95 % intervals",
            Standing::NoControl | Standing::NoSearched => format!("has no ranked {} control beside it", kind.word()),
        }
    };
    let [random, hand_made] = [OriginKind::Random, OriginKind::HandMade].map(against);
    format!("The best searched network ({} robust) {random}, and {hand_made}.", searched.robust)
}

/// A candidate and its rank.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Entry {
    /// From 1; null for a candidate that may not be ranked.
    pub rank: Option<u32>,
    /// Why it may not be ranked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unranked: Option<String>,
    /// Its record.
    #[serde(flatten)]
    pub record: Record,
}

impl Ranked {
    /// Ranks the records of a run.
    ///
    /// # Errors
    /// [`crate::error::Error::Usage`] when records were measured differently.
    pub fn new(seed: u64, records: &[Record]) -> Result<Ranked> {
        let protocol = Protocol::of(records, Split::Validation)?;
        let budgets = rank::by_budget(records)
            .into_iter()
            .map(|ranking| {
                let controls = Some(Controls::of(&ranking));
                let ranked = (1..).zip(ranking.ranked).map(|(rank, record)| Entry {
                    rank: Some(rank),
                    unranked: None,
                    record: record.clone(),
                });
                let unranked = ranking.unranked.into_iter().map(|(record, reason)| Entry {
                    rank: None,
                    unranked: Some(reason),
                    record: record.clone(),
                });
                RankedBudget { budget: ranking.budget, entries: ranked.chain(unranked).collect(), controls }
            })
            .collect();
        Ok(Ranked { schema_version: SCHEMA_VERSION, generator: GENERATOR.to_owned(), protocol, seed, budgets })
    }

    /// The records in table order.
    pub fn records(&self) -> Vec<Record> {
        self.budgets.iter().flat_map(|b| &b.entries).map(|e| e.record.clone()).collect()
    }

    /// The run in a line: how many candidates there are, and the best of each budget.
    pub fn summary(&self) -> String {
        let entries = || self.budgets.iter().flat_map(|budget| &budget.entries);
        let ranked = entries().filter(|entry| entry.rank.is_some()).count();
        let best = self.budgets.iter().map(|budget| {
            let first = budget.entries.iter().find(|entry| entry.rank == Some(1));
            let found = first.and_then(|entry| Some((&entry.record, entry.record.ranked()?)));
            let words = found.map_or("none may be ranked".to_owned(), |(record, v)| {
                format!("{} {}, {} clean, {} robust", record.origin.word(), record.arch, v.clean, v.robust)
            });
            format!("{}: {words}", budget.budget)
        });
        let best: Vec<String> = best.collect();
        format!("{} candidates, {ranked} of them ranked; best at {}", entries().count(), best.join("; "))
    }

    /// Pretty JSON.
    ///
    /// # Errors
    /// [`Error::NotFinite`](crate::error::Error::NotFinite) where it cannot be written as JSON.
    pub fn to_json(&self) -> Result<Vec<u8>> {
        document::to_json("the ranking", self)
    }

    /// Reads `ranked.json`; unknown keys are accepted.
    ///
    /// # Errors
    /// [`crate::error::Error::Data`] for another document, or a newer schema.
    pub fn from_json(path: &Path, bytes: &[u8]) -> Result<Ranked> {
        document::from_json(path, bytes)
    }
}
