//! The candidates in the order they came.

use ratatui::Frame;
use ratatui::layout::{Constraint, Rect};
use ratatui::style::{Style, Stylize};
use ratatui::widgets::{Block, Cell, Row, Table};

use super::signs::{THIRD, nothing};
use super::watched::{Watched, doubt};
use crate::arch::file::short;
use crate::record::{Outcome, Record};

/// A column: its title, its width, whether it is of numbers, and the narrowest table that has it.
type Column = (&'static str, u16, bool, u16);

const COLUMNS: [Column; 9] = [
    ("budget", 7, true, 0),
    ("origin", 9, false, 0),
    ("network", 8, false, 70),
    ("params", 8, true, 86),
    ("MACs", 8, true, 0),
    ("clean", 7, true, 0),
    ("robust", 7, true, 0),
    ("test", 7, true, 96),
    ("test robust", 11, true, 96),
];

/// Draws their table, its end at the bottom; `back` lines are scrolled up.
pub(super) fn draw(run: &Watched, back: usize, frame: &mut Frame, area: Rect) {
    let records = run.state.as_ref().map_or(&[][..], |state| &state.records);
    let room = usize::from(area.height.saturating_sub(3));
    let end = records.len().saturating_sub(back.min(records.len().saturating_sub(room)));
    let begin = end.saturating_sub(room);
    let count = match records.len() {
        n if n > room => format!("candidates {} to {end} of {n}", begin + 1),
        n => format!("candidates: {n}"),
    };
    let block = Block::bordered().title(count);
    if records.is_empty() {
        return nothing(frame, area, block, "none yet");
    }
    let shown: Vec<usize> = (0..COLUMNS.len()).filter(|i| COLUMNS[*i].3 <= area.width).collect();
    let cell = |i: usize, text: &str| {
        let (_, width, number, _) = COLUMNS[i];
        Cell::from(if number { format!("{text:>width$}", width = usize::from(width)) } else { text.to_owned() })
    };
    let titles = shown.iter().map(|i| cell(*i, COLUMNS[*i].0)).chain([Cell::from("note")]);
    let rows = records[begin..end].iter().map(|record| {
        let values = values(record);
        let note = doubt(record);
        let style = if note.is_some() { Style::new().fg(THIRD) } else { Style::new() };
        let note = note.unwrap_or_else(|| record.summary.clone());
        Row::new(shown.iter().map(|i| cell(*i, &values[*i])).chain([Cell::from(note)])).style(style)
    });
    let widths = shown.iter().map(|i| Constraint::Length(COLUMNS[*i].1)).chain([Constraint::Fill(1)]);
    let table = Table::new(rows, widths).header(Row::new(titles).bold()).column_spacing(1).block(block);
    frame.render_widget(table, area);
}

/// The candidate in the order of [`COLUMNS`].
fn values(record: &Record) -> [String; 9] {
    let dash = || "-".to_owned();
    let (validation, test) = match &record.outcome {
        Outcome::Ok { validation, test, .. } => (Some(validation), test.as_ref()),
        Outcome::Failed { .. } => (None, None),
    };
    [
        record.budget.to_string(),
        record.origin.word().to_owned(),
        short(&record.arch).to_owned(),
        record.cost.params.to_string(),
        record.cost.macs.to_string(),
        validation.map_or_else(dash, |found| found.clean.to_string()),
        validation.map_or_else(dash, |found| found.robust.to_string()),
        test.map_or_else(dash, |found| found.clean.to_string()),
        test.map_or_else(dash, |found| found.robust.to_string()),
    ]
}
