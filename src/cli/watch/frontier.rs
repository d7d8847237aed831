//! Accuracy over cost in characters: a letter an origin, large where it is robust accuracy and small where it is clean.

use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use ratatui::style::{Color, Style, Stylize};
use ratatui::text::{Line, Span};
use ratatui::widgets::Block;

use super::signs::{FAINT, FIRST, SECOND, THIRD, nothing};
use super::watched::Watched;
use crate::record::{Origin, OriginKind};
use crate::report::axes::{Axes, short};
use crate::report::frontier::FrontierPoint;

/// Room for the labels of accuracies.
const LEFT: u16 = 4;

fn sign(kind: OriginKind) -> (char, Color) {
    match kind {
        OriginKind::Searched => ('S', FIRST),
        OriginKind::Random => ('R', SECOND),
        OriginKind::HandMade => ('H', THIRD),
    }
}

/// Draws the candidates that may be ranked, and a step line through the best searched ones.
pub(super) fn draw(run: &Watched, frame: &mut Frame, area: Rect) {
    let signs = OriginKind::ALL.map(|kind| {
        let (letter, colour) = sign(kind);
        Span::from(format!("{letter} {} ", kind.word())).fg(colour)
    });
    let (words, short) = (Line::from("robust %, clean in small letters: "), Line::from(signs.to_vec()));
    let room = usize::from(area.width.saturating_sub(2));
    let title =
        if words.width() + short.width() <= room { words.spans.into_iter().chain(signs).collect() } else { short };
    let block = Block::bordered().title(title);
    let inner = block.inner(area);
    if inner.width < LEFT + 8 || inner.height < 4 {
        return frame.render_widget(block, area);
    }
    // Cells, from the middle of the first to that of the last; rows downwards.
    let across = (f64::from(inner.x + LEFT + 1), f64::from(inner.right() - 1));
    let up = (f64::from(inner.bottom() - 3), f64::from(inner.y));
    let axes = run.frontier.as_ref().and_then(|frontier| Some((frontier, Axes::over(frontier, across, up)?)));
    let Some((frontier, axes)) = axes else {
        return nothing(frame, area, block, "nothing ranked yet");
    };
    frame.render_widget(block, area);
    let place = |point: &FrontierPoint, rate: f64| {
        let (x, y) = (axes.macs.at((point.macs.0 as f64).max(1.0)), axes.accuracy.at(100.0 * rate));
        Position::new(x.round() as u16, y.round() as u16)
    };
    let buffer = frame.buffer_mut();
    frame_of(&axes, inner, buffer);
    for run in &frontier.runs {
        let searched = run.points.iter().filter(|point| matches!(point.origin, Origin::Searched { .. }));
        let mut best: Option<(f64, Position)> = None;
        for point in searched {
            let rate = point.robust.rate();
            if best.is_none_or(|(before, _)| rate > before) {
                let at = place(point, rate);
                if let Some((_, before)) = best {
                    dots(before, at.x, buffer);
                }
                best = Some((rate, at));
            }
        }
        if let Some((_, at)) = best {
            dots(at, inner.right(), buffer);
        }
        // Robust accuracies over clean ones, searched networks over controls.
        for large in [false, true] {
            for kind in [OriginKind::HandMade, OriginKind::Random, OriginKind::Searched] {
                let (letter, colour) = sign(kind);
                let letter = if large { letter } else { letter.to_ascii_lowercase() };
                for point in run.points.iter().filter(|point| point.origin.kind() == kind) {
                    let rate = if large { point.robust.rate() } else { point.clean.rate() };
                    put(buffer, place(point, rate), letter, Style::new().fg(colour));
                }
            }
        }
    }
}

/// A line to the right of a point.
fn dots(from: Position, to: u16, buffer: &mut Buffer) {
    for x in from.x..to {
        put(buffer, Position { x, y: from.y }, '·', Style::new().fg(FIRST));
    }
}

fn put(buffer: &mut Buffer, at: Position, sign: char, style: Style) {
    if let Some(cell) = buffer.cell_mut(at) {
        cell.set_char(sign).set_style(style);
    }
}

/// The axes with their labels.
fn frame_of(axes: &Axes, inner: Rect, buffer: &mut Buffer) {
    let (x, bottom) = (inner.x + LEFT, inner.bottom() - 2);
    let faint = Style::new().fg(FAINT);
    for y in inner.y..bottom {
        put(buffer, Position { x, y }, '│', faint);
    }
    for x in x + 1..inner.right() {
        put(buffer, Position { x, y: bottom }, '─', faint);
    }
    put(buffer, Position { x, y: bottom }, '└', faint);
    // Ticks that would share a line, or nearly, are halved.
    let (ticks, lines) = (axes.accuracy.ticks(), usize::from(bottom - inner.y));
    for tick in ticks.iter().step_by(if 2 * ticks.len() > lines + 2 { 2 } else { 1 }) {
        let y = axes.accuracy.at(*tick).round() as u16;
        buffer.set_string(inner.x, y, format!("{tick:>3.0}"), Style::new());
        put(buffer, Position { x, y }, '┤', faint);
    }
    let mut free = inner.x;
    for tick in axes.macs.ticks() {
        let (at, label) = (axes.macs.at(tick).round() as u16, short(tick));
        let begin = (at.saturating_sub(label.len() as u16 / 2)).min(inner.right() - label.len() as u16);
        // A label that would run into the one before it is left out.
        if begin >= free {
            put(buffer, Position { x: at, y: bottom }, '┬', faint);
            buffer.set_string(begin, bottom + 1, &label, Style::new());
            free = begin + label.len() as u16 + 1;
        }
    }
    let unit = "MACs";
    if free + unit.len() as u16 <= inner.right() {
        buffer.set_string(inner.right() - unit.len() as u16, bottom + 1, unit, faint);
    }
}
