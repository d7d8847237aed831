//! The ranked table for a terminal: plain text, aligned, no colours.

use super::columns::{titles, values};
use super::protocol::list;
use super::ranked::Ranked;
use crate::arch::file::short;
use crate::record::Outcome;
use crate::threat::Attack;

/// The table of every budget under a header that states data, attacks and counting rule, and below it whether the searched
/// networks beat the controls. Ends with a newline.
pub fn table(ranked: &Ranked) -> String {
    table_within(ranked, None)
}

/// [`table`] in lines of at most so many characters, as far as words allow: columns are left out until the rows fit, the least
/// telling ones first. What stands in `ranked.json` is not lost.
pub fn table_within(ranked: &Ranked, width: Option<usize>) -> String {
    let wrapped = |text: &str| width.map_or(text.to_owned(), |width| wrap(text, width));
    let mut text = wrapped(&header(ranked));
    for budget in &ranked.budgets {
        let attacks = &ranked.protocol.attacks;
        let timed = budget.entries.iter().any(|entry| entry.record.speed().is_some());
        let mut rows = vec![titles(attacks, timed)];
        let row = |entry| values(entry, attacks.len(), timed).into_iter().map(|v| (v.text, v.number)).collect();
        rows.extend(budget.entries.iter().map(row));
        let mut notes = String::new();
        if let Some(width) = width
            && narrow(&mut rows, attacks, width)
        {
            let unranked = budget.entries.iter().filter_map(|e| Some((&e.record.arch, e.unranked.as_ref()?)));
            notes = unranked.map(|(arch, why)| wrapped(&format!("{}: {why}\n", short(arch)))).collect();
        }
        text.push_str(&format!("\nbudget {} MACs\n", budget.budget));
        text.push_str(&align(&rows));
        text.push_str(&notes);
        if let Some(controls) = &budget.controls {
            text.push_str(&wrapped(&format!("{}\n", controls.sentence)));
        }
    }
    text
}

/// Leaves columns out until the rows fit; whether the notes were among them.
fn narrow(rows: &mut [Vec<Cell>], attacks: &[Attack], width: usize) -> bool {
    let fits = |rows: &[Vec<Cell>]| align(rows).lines().all(|line| line.chars().count() <= width);
    let names = attacks.iter().map(Attack::name);
    let dispensable = ["network", "note", "95 %", "arch"].map(str::to_owned).into_iter().chain(names);
    let dispensable = dispensable.chain(["params", "test clean", "MACs", "clean"].map(str::to_owned));
    let mut without_notes = false;
    for title in dispensable {
        if fits(rows) {
            break;
        }
        let Some(column) = rows.first().and_then(|titles| titles.iter().position(|(cell, _)| *cell == title)) else {
            continue;
        };
        for row in rows.iter_mut() {
            match (&*title, row.get_mut(column)) {
                ("arch", Some((id, _))) => *id = short(id).to_owned(),
                (_, Some(_)) => drop(row.remove(column)),
                (_, None) => {}
            }
        }
        without_notes |= title == "note";
    }
    without_notes
}

/// Breaks lines between words.
fn wrap(text: &str, width: usize) -> String {
    let mut wrapped = String::new();
    for line in text.lines() {
        let mut at = 0;
        for word in line.split_inclusive(' ') {
            let len = word.trim_end().chars().count();
            if at > 0 && at + len > width {
                wrapped.truncate(wrapped.trim_end().len());
                wrapped.push('\n');
                at = 0;
            }
            wrapped.push_str(word);
            at += word.chars().count();
        }
        wrapped.truncate(wrapped.trim_end_matches(' ').len());
        wrapped.push('\n');
    }
    wrapped
}

fn header(ranked: &Ranked) -> String {
    let protocol = &ranked.protocol;
    let mut text = String::new();
    match &protocol.data {
        None => text.push_str("nothing evaluated yet\n"),
        Some(s) => {
            text.push_str(&format!(
                "data     {} {}, n = {} (content {}, indices {})\n",
                s.data, s.split, s.n, s.data_id, s.index_id
            ));
            text.push_str(&format!("attacks  {}\n", list(&protocol.attacks)));
            text.push_str(
                "robust   correct under every attack, with the 95 % Wilson interval; candidates rank by it\n",
            );
        }
    }
    let tested = ranked.budgets.iter().flat_map(|b| &b.entries).find_map(|e| match &e.record.outcome {
        Outcome::Ok { test, .. } => test.as_ref(),
        Outcome::Failed { .. } => None,
    });
    if let Some(test) = tested {
        let s = &test.sample;
        text.push_str(&format!("test     n = {} (indices {}), touched once, after ranking\n", s.n, s.index_id));
    }
    text.push_str(&format!("counts   {}; seed {}\n", protocol.counting_rule, ranked.seed));
    if let Some(speed) = ranked.budgets.iter().flat_map(|b| &b.entries).find_map(|e| e.record.speed()) {
        text.push_str(&format!(
            "ms       an image, in batches of {}, {} threads, median of {} (training: a step by the recipe)\n",
            speed.batch, speed.threads, speed.passes
        ));
    }
    text
}

/// A cell and whether it is a number, which aligns to the right.
pub(super) type Cell = (String, bool);

pub(super) fn number(text: &str) -> Cell {
    (text.to_owned(), true)
}

pub(super) fn word(text: &str) -> Cell {
    (text.to_owned(), false)
}

/// Columns two spaces apart, lines without trailing spaces.
pub(super) fn align(rows: &[Vec<Cell>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |c: usize| rows.iter().filter_map(|r| r.get(c)).map(|(t, _)| t.chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let cells: Vec<String> = row
            .iter()
            .zip(&widths)
            .map(|((t, right), w)| if *right { format!("{t:>w$}") } else { format!("{t:<w$}") })
            .collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    text
}
