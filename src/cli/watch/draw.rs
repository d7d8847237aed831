//! The dashboard's picture: from what is known to a frame, with no clock and no files.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Style, Stylize};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Clear, LineGauge, Paragraph, Wrap};

use super::signs::{FAINT, FIRST, THIRD, nothing};
use super::view::{Panel, View};
use super::watched::Watched;
use super::{candidates, choices, curves, frontier};
use crate::jobs::duration_words;

/// Where there is less room than this for panels, a dashboard shows curves and candidates alone.
const WIDE: u16 = 90;
const HIGH: u16 = 20;

/// Warnings beside other panels.
const WARNINGS: usize = 3;

/// Draws the dashboard.
pub(super) fn draw(view: &View, frame: &mut Frame) {
    let Some(run) = view.shown() else { return };
    let warnings = run.warnings();
    let beside = if view.panel == Panel::Warnings { 0 } else { warnings.len().min(WARNINGS) };
    let rows = [1, 1, 1].map(Constraint::Length).into_iter().chain([
        Constraint::Min(0),
        Constraint::Length(beside as u16),
        Constraint::Length(1),
    ]);
    let [names, about, progress, body, said, keys] = Layout::vertical(rows).areas(frame.area());
    frame.render_widget(runs(view), names);
    frame.render_widget(Line::from(words(run)), about);
    task(run, frame, progress);
    match view.panel {
        Panel::All => all(view, run, frame, body),
        Panel::Curves => {
            let [left, right] = halves(body);
            curves::accuracy(run, frame, left);
            curves::losses(run, frame, right);
        }
        Panel::Choices => choices::draw(run, view.scroll, frame, body),
        Panel::Candidates => candidates::draw(run, view.scroll, frame, body),
        Panel::Frontier => frontier::draw(run, frame, body),
        Panel::Warnings => every_warning(&warnings, view.scroll, frame, body),
    }
    frame.render_widget(last_warnings(&warnings, beside), said);
    frame.render_widget(key_line(view, keys.width), keys);
    if view.help {
        help(frame);
    }
}

/// Side by side where there is room, else one below the other.
fn halves(area: Rect) -> [Rect; 2] {
    let halves = [Constraint::Ratio(1, 2), Constraint::Ratio(1, 2)];
    if area.width >= WIDE { Layout::horizontal(halves).areas(area) } else { Layout::vertical(halves).areas(area) }
}

fn all(view: &View, run: &Watched, frame: &mut Frame, area: Rect) {
    if area.width < WIDE || area.height < HIGH {
        let rows = [Constraint::Percentage(50), Constraint::Min(0)];
        let [above, below] = Layout::vertical(rows).areas(area);
        curves::accuracy(run, frame, above);
        candidates::draw(run, view.scroll, frame, below);
        return;
    }
    let records = run.state.as_ref().map_or(0, |state| state.records.len()).min(usize::from(area.height)) as u16;
    // Candidates get what they need, as far as every edge keeps a line, and a few lines in any case; charts get what is left.
    let (least, edges) = ((area.height * 3 / 10).clamp(9, 18), choices::lines(run));
    let rest = area.height - least;
    let table = (records + 3).clamp(6, rest.saturating_sub(edges).max(6));
    let middle = edges.min(rest - table);
    let rows = [Constraint::Min(0), Constraint::Length(middle), Constraint::Length(table)];
    let [above, middle, below] = Layout::vertical(rows).areas(area);
    let [first, second, third] = Layout::horizontal([Constraint::Ratio(1, 3); 3]).areas(above);
    curves::accuracy(run, frame, first);
    curves::losses(run, frame, second);
    frontier::draw(run, frame, third);
    choices::draw(run, 0, frame, middle);
    candidates::draw(run, view.scroll, frame, below);
}

/// The runs, the one that is shown among them.
fn runs(view: &View) -> Line<'static> {
    let mut spans = vec![Span::from("robustnas watch ").fg(FAINT)];
    for (i, run) in view.runs.iter().enumerate() {
        let name = format!(" {} ", run.name);
        spans.push(if i == view.run { name.reversed().bold() } else { Span::from(name) });
    }
    Line::from(spans)
}

/// What the run is.
fn words(run: &Watched) -> String {
    match &run.state {
        None => "waiting for the run to begin".to_owned(),
        Some(state) => {
            let (name, file) = (&state.config.name, &state.file);
            let worker = match &state.worker {
                Some(worker) => format!(", running ({worker})"),
                None if state.finished || state.at.is_some() => String::new(),
                None => ", nobody works on it".to_owned(),
            };
            format!("{}{worker}: {name} on {}, seed {}", run.stage(), file.data, file.seed)
        }
    }
}

/// How far the present task is; without one, how far the run is.
fn task(run: &Watched, frame: &mut Frame, area: Rect) {
    let Some(state) = &run.state else { return };
    match &state.at {
        Some(at) => {
            let left = at.seconds_left.map_or("time left unknown".into(), |s| format!("{} left", duration_words(s)));
            let ratio = if at.steps > 0 { (at.done as f64 / at.steps as f64).clamp(0.0, 1.0) } else { 0.0 };
            let label = format!("{}: {} of {} steps, {left}", at.task, at.done, at.steps);
            let gauge = LineGauge::default().ratio(ratio).label(label).filled_style(Style::new().fg(FIRST));
            frame.render_widget(gauge.unfilled_style(Style::new().fg(FAINT)), area);
        }
        None => {
            let (epochs, of) = (state.epochs.len(), state.config.search.epochs);
            let (done, failed, tested) = (state.records.len(), state.failed(), state.tested());
            let candidates = format!("{done} candidates, {failed} failed, {tested} tested");
            frame.render_widget(Line::from(format!("{epochs} of {of} epochs of search; {candidates}")), area);
        }
    }
}

fn last_warnings(warnings: &[String], beside: usize) -> Paragraph<'static> {
    let hidden = warnings.len() - beside;
    let lines: Vec<Line<'static>> = warnings
        .iter()
        .take(beside)
        .enumerate()
        .map(|(i, text)| {
            let more =
                if hidden > 0 && i + 1 == beside { format!(" (and {hidden} more, key 6)") } else { String::new() };
            Line::from(vec![Span::from("! ").fg(THIRD).bold(), Span::from(format!("{text}{more}"))])
        })
        .collect();
    Paragraph::new(lines)
}

fn every_warning(warnings: &[String], scroll: usize, frame: &mut Frame, area: Rect) {
    let block = Block::bordered().title("warnings");
    if warnings.is_empty() {
        return nothing(frame, area, block, "none");
    }
    let lines: Vec<Line<'_>> = warnings.iter().skip(scroll).map(|text| Line::from(format!("! {text}"))).collect();
    frame.render_widget(Paragraph::new(lines).wrap(Wrap { trim: false }).block(block), area);
}

fn key_line(view: &View, width: u16) -> Line<'static> {
    let keys = if width < 72 { "q ? Tab " } else { "q quit  ? help  Tab " };
    let mut spans = vec![Span::from(keys).fg(FAINT)];
    for panel in Panel::ALL {
        let word = Span::from(panel.word());
        spans.push(if panel == view.panel { word.reversed() } else { word.fg(FAINT) });
        spans.push(Span::from(" "));
    }
    if view.runs.len() > 1 {
        spans.push(Span::from(format!(" ←→ run {} of {}", view.run + 1, view.runs.len())).fg(FAINT));
    }
    Line::from(spans)
}

const HELP: &[&str] = &[
    "q, Esc, Ctrl-C   quit",
    "Tab, Shift-Tab   next and previous panel; 1 to 6 name one",
    "→ ←              next and previous run",
    "↑ ↓ PgUp PgDn    scroll candidates, choices, warnings",
    "?                this",
    "",
    "Accuracies are of the images that rank candidates, test",
    "accuracies of the test images. How decided an edge is goes",
    "from 0, all operations alike, to 1, one left. Everything is",
    "read from the run folder every second; nothing is changed.",
];

fn help(frame: &mut Frame) {
    let area = frame.area();
    let (width, height) = (64.min(area.width), (HELP.len() as u16 + 2).min(area.height));
    let (x, y) = (area.x + (area.width - width) / 2, area.y + (area.height - height) / 2);
    let area = Rect { x, y, width, height };
    let lines: Vec<Line<'_>> = HELP.iter().map(|line| Line::from(*line)).collect();
    frame.render_widget(Clear, area);
    frame.render_widget(Paragraph::new(lines).block(Block::bordered().title("keys")), area);
}
