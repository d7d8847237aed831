//! How decided each edge is: a line an edge, a column a kind of cell.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::Stylize;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Paragraph};

use super::signs::{FAINT, FIRST, nothing};
use super::watched::Watched;
use crate::report::choices::EdgeCourse;

/// Bars are scaled to the most decided edge, but no further than to this: what decides less is noise.
const LEAST: f64 = 0.01;
/// From nothing to the most.
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/// A column narrower than this has no bars.
const COLUMN: u16 = 24;

/// The lines that show every edge, with the frame.
pub(super) fn lines(run: &Watched) -> u16 {
    kinds(run).iter().map(|(_, edges)| edges.len()).max().map_or(3, |edges| edges as u16 + 3)
}

/// The edges of each kind of cell.
fn kinds(run: &Watched) -> Vec<(&str, Vec<&EdgeCourse>)> {
    let mut kinds: Vec<(&str, Vec<&EdgeCourse>)> = Vec::new();
    for edge in &run.course {
        match kinds.iter_mut().find(|(kind, _)| *kind == edge.kind) {
            Some((_, edges)) => edges.push(edge),
            None => kinds.push((&edge.kind, vec![edge])),
        }
    }
    kinds
}

/// Draws them; where they do not fit, `scroll` of them are passed over.
pub(super) fn draw(run: &Watched, scroll: usize, frame: &mut Frame, area: Rect) {
    let most = run.course.iter().flat_map(|edge| &edge.certainty).flatten().copied().fold(0.0, f64::max);
    let scale = most.max(LEAST);
    let block = Block::bordered()
        .title(format!("how decided each edge is, by epoch: 0 all alike, 1 one left (highest {most:.3})"));
    if run.course.iter().all(|edge| edge.certainty.is_empty()) {
        return nothing(frame, area, block, "no epoch yet");
    }
    let inner = block.inner(area);
    frame.render_widget(block, area);
    let kinds = kinds(run);
    let columns = (inner.width / COLUMN).clamp(1, kinds.len() as u16) as usize;
    let each = kinds.len().div_ceil(columns);
    let areas = Layout::horizontal(vec![Constraint::Ratio(1, columns as u32); columns]).split(inner);
    for (part, area) in kinds.chunks(each).zip(areas.iter()) {
        let mut lines: Vec<Line<'_>> = Vec::new();
        for (kind, edges) in part {
            lines.push(Line::from((*kind).to_owned()).bold());
            lines.extend(edges.iter().map(|edge| line(edge, scale, area.width.saturating_sub(1))));
        }
        let room = usize::from(area.height);
        let skip = scroll.min(lines.len().saturating_sub(room));
        let hidden = lines.len().saturating_sub(skip + room);
        let mut shown: Vec<Line<'_>> = lines.into_iter().skip(skip).take(room).collect();
        if hidden > 0
            && let Some(last) = shown.last_mut()
        {
            *last = Line::from(format!("and {} more (key 3)", hidden + 1)).fg(FAINT);
        }
        frame.render_widget(Paragraph::new(shown), *area);
    }
}

/// `0→2 ▁▂▃ 0.021 16.2% sep_conv_3x3`.
fn line(edge: &EdgeCourse, scale: f64, width: u16) -> Line<'static> {
    let last = edge.certainty.last().copied().flatten();
    let last = last.map_or("-".to_owned(), |value| format!("{value:.3}"));
    let largest = edge.largest.as_ref().map_or(String::new(), |(op, share)| format!(" {:4.1}% {op}", 100.0 * share));
    let ends = edge.arrow.chars().count().max(4) + 1 + 1 + last.len();
    let width = usize::from(width);
    // Bars may take what words leave, and at least a few where there is room for any.
    let room = width.saturating_sub(ends + largest.len()).clamp(4.min(width.saturating_sub(ends)), 40);
    let shown = edge.certainty.len().min(room);
    let bars: String = edge.certainty[edge.certainty.len() - shown..].iter().map(|value| bar(*value, scale)).collect();
    let arrow = format!("{:<4} ", edge.arrow);
    let words = format!(" {last}{largest}");
    // What does not fit would run into the next column.
    let left = width.saturating_sub(arrow.chars().count() + bars.chars().count());
    let words: String = words.chars().take(left).collect();
    Line::from(vec![Span::from(arrow).fg(FAINT), Span::from(bars).fg(FIRST), Span::from(words)])
}

fn bar(value: Option<f64>, scale: f64) -> char {
    value.map_or(' ', |value| BARS[((value / scale * 7.0).round() as usize).min(7)])
}
