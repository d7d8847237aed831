//! Candidates as trials of Optuna studies: a file of its `JournalFileBackend`, which `optuna-dashboard` and
//! `optuna.load_study` open. The lines are those of `optuna/storages/journal/_storage.py` of version 5.0.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use crate::error::{Error, Result};
use crate::record::{Evaluation, Origin, OriginKind, Outcome, Record};

/// Optuna's operations on a journal.
const CREATE_STUDY: u8 = 0;
const SET_STUDY_USER_ATTR: u8 = 2;
const SET_STUDY_SYSTEM_ATTR: u8 = 3;
const CREATE_TRIAL: u8 = 4;

/// Its states of a trial.
const COMPLETE: u8 = 1;
const FAIL: u8 = 3;

/// Its direction of what is to become large.
const MAXIMIZE: u8 = 2;

/// Who wrote the lines; the same candidates give the same bytes.
const WORKER: &str = "robustnas";

/// The time of every trial, which a run's journal does not have and without which Optuna copies none.
const NEVER: &str = "1970-01-01T00:00:00+00:00";

/// A run, which becomes a study.
pub struct OptunaStudy {
    /// The run's name.
    pub name: String,
    /// What is to be kept of it.
    pub about: Vec<(String, String)>,
    /// Its candidates in the order they came.
    pub records: Vec<Record>,
}

/// The journal of studies, one a run. The values of trials are clean and robust accuracy on validation images. One
/// with a check raised is complete and breaks a constraint, so that Optuna counts it among no best trials, as it is in
/// no ranking.
///
/// # Errors
/// [`Error::Usage`] for two runs of one name, which Optuna cannot tell apart.
pub fn journal(studies: &[OptunaStudy]) -> Result<String> {
    let mut text = String::new();
    let mut names = BTreeSet::new();
    for (id, study) in studies.iter().enumerate() {
        if !names.insert(&study.name) {
            let what = format!("two runs are called {}, and Optuna knows studies by name", study.name);
            return Err(Error::Usage(format!("{what}; give them one at a time")));
        }
        for line in lines(id, study) {
            text.push_str(&line.to_string());
            text.push('\n');
        }
    }
    Ok(text)
}

fn lines(id: usize, study: &OptunaStudy) -> Vec<Value> {
    let directions = [MAXIMIZE, MAXIMIZE];
    let mut lines = vec![
        json!({"op_code": CREATE_STUDY, "worker_id": WORKER, "study_name": study.name, "directions": directions}),
        json!({"op_code": SET_STUDY_SYSTEM_ATTR, "worker_id": WORKER, "study_id": id,
            "system_attr": {"study:metric_names": ["clean", "robust"]}}),
    ];
    lines.extend(study.about.iter().map(|(key, value)| {
        json!({"op_code": SET_STUDY_USER_ATTR, "worker_id": WORKER, "study_id": id, "user_attr": {key: value}})
    }));
    let space = Space::of(&study.records);
    lines.extend(study.records.iter().map(|record| trial(id, record, &space)));
    lines
}

/// What the parameters of a study's trials may be: Optuna wants to know it of every trial.
struct Space {
    layouts: Vec<String>,
    budget: (u64, u64),
    macs: (u64, u64),
    params: (u64, u64),
}

impl Space {
    fn of(records: &[Record]) -> Self {
        let range = |of: fn(&Record) -> u64| {
            let values = || records.iter().map(of).map(|value| value.max(1));
            (values().min().unwrap_or(1), values().max().unwrap_or(1))
        };
        let layouts: BTreeSet<&str> = records.iter().map(|record| &record.summary[..]).collect();
        Space {
            layouts: layouts.into_iter().map(str::to_owned).collect(),
            budget: range(|record| record.budget.0),
            macs: range(|record| record.cost.macs.0),
            params: range(|record| record.cost.params.0),
        }
    }
}

fn trial(study: usize, record: &Record, space: &Space) -> Value {
    let origins = OriginKind::ALL.map(OriginKind::word);
    let origin = origins.iter().position(|word| *word == record.origin.word());
    let layout = space.layouts.iter().position(|known| *known == record.summary);
    let number = |count: u64| json!(count.max(1) as f64);
    // A category is known by its place.
    let params = [
        ("origin", categories(&origins), json!(origin)),
        ("layout", categories(&space.layouts), json!(layout)),
        ("budget", integers(space.budget), number(record.budget.0)),
        ("macs", integers(space.macs), number(record.cost.macs.0)),
        ("params", integers(space.params), number(record.cost.params.0)),
    ];
    // A distribution is JSON in a text.
    let distributions: Map<String, Value> =
        params.iter().map(|(name, of, _)| ((*name).to_owned(), Value::String(of.to_string()))).collect();
    let params: Map<String, Value> = params.into_iter().map(|(name, _, value)| (name.to_owned(), value)).collect();
    let (state, values) = match &record.outcome {
        Outcome::Ok { validation, .. } => (COMPLETE, json!([validation.clean.rate(), validation.robust.rate()])),
        Outcome::Failed { .. } => (FAIL, Value::Null),
    };
    json!({
        "op_code": CREATE_TRIAL,
        "worker_id": WORKER,
        "study_id": study,
        "datetime_start": NEVER,
        "datetime_complete": NEVER,
        "state": state,
        "value": null,
        "values": values,
        "distributions": distributions,
        "params": params,
        "user_attrs": about(record),
        "system_attrs": constraints(record),
        "intermediate_values": {},
    })
}

/// Whether a candidate may be ranked, as Optuna's constraints have it: above 0 is broken.
fn constraints(record: &Record) -> Value {
    match &record.outcome {
        Outcome::Ok { validation, .. } => json!({"constraints": [validation.checks.len() as f64]}),
        Outcome::Failed { .. } => json!({}),
    }
}

/// What else is known of a candidate.
fn about(record: &Record) -> Value {
    let mut about = Map::new();
    about.insert("arch".into(), json!(record.arch));
    if let Origin::Searched { genotype } | Origin::Random { genotype } = record.origin {
        about.insert("genotype".into(), json!(genotype));
    }
    match &record.outcome {
        Outcome::Ok { training, validation, test, .. } => {
            let (low, high) = validation.robust.wilson95();
            about.insert("robust_95".into(), json!([low, high]));
            about.insert("images".into(), json!(validation.clean.total));
            about.insert("training".into(), json!(training.method));
            about.insert("epochs".into(), json!(training.epochs));
            let checks: Vec<&str> = validation.checks.iter().map(|check| check.word()).collect();
            about.insert("checks".into(), json!(checks));
            let mut test_of = |name: &str, of: fn(&Evaluation) -> f64| {
                if let Some(test) = test {
                    about.insert(name.to_owned(), json!(of(test)));
                }
            };
            test_of("test_clean", |found| found.clean.rate());
            test_of("test_robust", |found| found.robust.rate());
        }
        Outcome::Failed { reason, .. } => drop(about.insert("reason".into(), json!(reason))),
    }
    Value::Object(about)
}

/// One of some words.
fn categories(choices: &[impl AsRef<str>]) -> Value {
    let choices: Vec<&str> = choices.iter().map(AsRef::as_ref).collect();
    json!({"name": "CategoricalDistribution", "attributes": {"choices": choices}})
}

/// A count, whose ratios matter.
fn integers((low, high): (u64, u64)) -> Value {
    json!({"name": "IntDistribution", "attributes": {"log": true, "step": 1, "low": low, "high": high}})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_studies_need_two_names() {
        let study = |name: &str| OptunaStudy { name: name.into(), about: Vec::new(), records: Vec::new() };
        assert_eq!(journal(&[study("a"), study("b")]).unwrap().lines().count(), 4);
        let message = journal(&[study("a"), study("a")]).unwrap_err().to_string();
        assert!(message.contains("two runs are called a"), "{message}");
    }
}
