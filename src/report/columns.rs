//! The columns of a candidate: what every table of a run shows.

use crate::record::{Evaluation, Outcome, Speed};
use crate::threat::Attack;
use crate::units::Tally;

use super::ranked::Entry;

/// What stands in a column.
pub(super) struct Value {
    /// As it is shown.
    pub text: String,
    /// Whether the column is one of numbers.
    pub number: bool,
    /// The number, where there is one.
    pub key: Option<f64>,
}

/// The titles, and whether a column is one of numbers; with milliseconds where `timed`.
pub(super) fn titles(attacks: &[Attack], timed: bool) -> Vec<(String, bool)> {
    let [number, word] = [true, false].map(|number| move |text: &str| (text.to_owned(), number));
    let mut titles = vec![number("rank"), word("arch"), word("origin"), number("params"), number("MACs")];
    if timed {
        titles.extend([number("ms forward"), number("ms training")]);
    }
    titles.push(number("clean"));
    titles.extend(attacks.iter().map(|a| number(&a.name())));
    titles.extend([number("robust"), word("95 %"), number("test clean"), number("test robust")]);
    titles.extend([word("network"), word("note")]);
    titles
}

/// A candidate in the order of [`titles`].
pub(super) fn values(entry: &Entry, attacks: usize, timed: bool) -> Vec<Value> {
    let record = &entry.record;
    let (params, macs) = (record.cost.params, record.cost.macs);
    let mut values = vec![
        number(entry.rank.map(|rank| (rank.to_string(), f64::from(rank)))),
        word(&record.arch),
        word(record.origin.word()),
        number(Some((params.to_string(), params.0 as f64))),
        number(Some((macs.to_string(), macs.0 as f64))),
    ];
    if timed {
        let of = [|speed: Speed| speed.forward_ms, |speed: Speed| speed.training_ms];
        values.extend(of.map(|of| number(record.speed().map(of).map(|ms| (format!("{ms:.3}"), ms)))));
    }
    let (found, test) = match &record.outcome {
        Outcome::Ok { validation, test, .. } => (Some(validation), test.as_ref()),
        Outcome::Failed { .. } => (None, None),
    };
    let share = |tally: Option<Tally>| number(tally.map(|tally| (tally.to_string(), tally.rate())));
    let robust = |found: &Evaluation| found.robust;
    values.push(share(found.map(|v| v.clean)));
    values.extend((0..attacks).map(|i| share(found.and_then(|v| v.attacks.get(i)).map(|a| a.robust))));
    values.push(share(found.map(robust)));
    values.push(word(&found.map_or("-".to_owned(), |v| interval(v.robust))));
    values.extend([share(test.map(|t| t.clean)), share(test.map(robust))]);
    values.extend([word(&record.summary), word(entry.unranked.as_deref().unwrap_or(""))]);
    values
}

fn word(text: &str) -> Value {
    Value { text: text.to_owned(), number: false, key: None }
}

fn number(found: Option<(String, f64)>) -> Value {
    let (text, key) = found.map_or(("-".to_owned(), None), |(text, key)| (text, Some(key)));
    Value { text, number: true, key }
}

/// The 95 % Wilson interval in per cent.
pub(super) fn interval(tally: Tally) -> String {
    let (low, high) = tally.wilson95();
    format!("{:5.2}..{:5.2}", 100.0 * low, 100.0 * high)
}
