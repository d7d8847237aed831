//! The protocol of a measurement. Only results of one protocol are put into one table or picture.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::arch::cost::RULE;
use crate::error::{Error, Result};
use crate::record::{Evaluation, Outcome, Record, Sample};
use crate::threat::Attack;

/// The split that a report is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Split {
    /// The images that candidates are ranked by.
    Validation,
    /// Evaluated once, after ranking.
    Test,
}

impl Split {
    /// The evaluation of a record that may be ranked; `None` too where the test evaluation is absent or raised a check.
    pub fn of(self, record: &Record) -> Option<&Evaluation> {
        let validation = record.ranked()?;
        match (self, &record.outcome) {
            (Split::Validation, _) => Some(validation),
            (Split::Test, Outcome::Ok { test, .. }) => test.as_ref().filter(|t| t.checks.is_empty()),
            (Split::Test, Outcome::Failed { .. }) => None,
        }
    }
}

/// Counting rule, images and attacks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Protocol {
    /// The rule of every count of multiply-accumulates.
    pub counting_rule: String,
    /// The images; null when nothing was evaluated.
    pub data: Option<Sample>,
    /// The attacks whose worst case is the robust accuracy; empty when nothing was evaluated.
    pub attacks: Vec<Attack>,
    /// Gradients averaged for one by every attack.
    #[serde(default = "crate::threat::plan::one")]
    pub gradient_samples: u32,
}

impl Protocol {
    /// The protocol that all records share.
    ///
    /// # Errors
    /// [`Error::Usage`] naming what differs between two records.
    pub fn of(records: &[Record], split: Split) -> Result<Protocol> {
        let mut shared: Option<(&Record, Protocol)> = None;
        for record in records {
            let evaluation = split.of(record);
            let own = Protocol {
                counting_rule: record.cost.rule.clone(),
                data: evaluation.map(|e| e.sample.clone()),
                attacks: evaluation.map_or(Vec::new(), |e| e.attacks.iter().map(|a| a.attack).collect()),
                gradient_samples: evaluation.map_or(1, |e| e.gradient_samples),
            };
            match &mut shared {
                None => shared = Some((record, own)),
                Some((first, protocol)) => {
                    let differences = protocol.differences(&own);
                    if !differences.is_empty() {
                        let names = format!("candidates {} and {}", first.arch, record.arch);
                        return Err(Error::Usage(format!("{names} cannot be compared: {}", differences.join("; "))));
                    }
                    if protocol.data.is_none() {
                        (*first, *protocol) = (record, own);
                    }
                }
            }
        }
        let nothing =
            || Protocol { counting_rule: RULE.to_owned(), data: None, attacks: Vec::new(), gradient_samples: 1 };
        Ok(shared.map_or_else(nothing, |(_, protocol)| protocol))
    }

    /// The differences of two protocols, as text with both values; empty when their results may be compared. A protocol
    /// under which nothing was evaluated has no results, so its images and attacks are not compared.
    pub fn differences(&self, other: &Protocol) -> Vec<String> {
        let mut found = Vec::new();
        let mut note = |what: &str, a: String, b: String| {
            if a != b {
                found.push(format!("{what} ({a} against {b})"));
            }
        };
        note("counting rule", self.counting_rule.clone(), other.counting_rule.clone());
        if let (Some(a), Some(b)) = (&self.data, &other.data) {
            // Names are not compared: the same images under two names are the same images.
            if a.data_id != b.data_id {
                note("data_id", format!("{} {}", a.data, a.data_id), format!("{} {}", b.data, b.data_id));
            }
            note("split", a.split.clone(), b.split.clone());
            note("index_id", format!("{} n={}", a.index_id, a.n), format!("{} n={}", b.index_id, b.n));
            note("attacks", list(&self.attacks), list(&other.attacks));
            note("gradient_samples", self.gradient_samples.to_string(), other.gradient_samples.to_string());
        }
        found
    }
}

/// Every attack with all its constants.
pub(super) fn list(attacks: &[Attack]) -> String {
    attacks.iter().map(Attack::to_string).collect::<Vec<_>>().join(", ")
}

impl fmt::Display for Protocol {
    /// One line for headers.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.data {
            None => write!(f, "nothing evaluated; MACs by {}", self.counting_rule),
            Some(s) => {
                write!(f, "{} {} n={}; {}", s.data, s.split, s.n, list(&self.attacks))?;
                if self.gradient_samples > 1 {
                    write!(f, ", mean of {} gradients", self.gradient_samples)?;
                }
                write!(f, "; MACs by {}", self.counting_rule)
            }
        }
    }
}
