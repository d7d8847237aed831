//! What the dashboard shows, and what keys change of it.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::watched::Watched;

/// A part of the dashboard that can have it alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Panel {
    /// Every part that has room.
    #[default]
    All,
    /// The search's accuracies and losses.
    Curves,
    /// How decided each edge is.
    Choices,
    /// The table of candidates.
    Candidates,
    /// Accuracy over cost.
    Frontier,
    /// Everything that should be known.
    Warnings,
}

impl Panel {
    /// In the order of the Tab key.
    pub const ALL: [Panel; 6] =
        [Panel::All, Panel::Curves, Panel::Choices, Panel::Candidates, Panel::Frontier, Panel::Warnings];

    /// Its name.
    pub fn word(self) -> &'static str {
        match self {
            Panel::All => "all",
            Panel::Curves => "curves",
            Panel::Choices => "choices",
            Panel::Candidates => "candidates",
            Panel::Frontier => "frontier",
            Panel::Warnings => "warnings",
        }
    }
}

/// The dashboard's state.
#[derive(Clone, Debug, Default)]
pub(super) struct View {
    /// The runs.
    pub runs: Vec<Watched>,
    /// Which of them is shown.
    pub run: usize,
    /// Which part of it.
    pub panel: Panel,
    /// Whether the keys are explained.
    pub help: bool,
    /// Lines that a list is scrolled by; the table of candidates, whose news are at its end, upwards.
    pub scroll: usize,
}

/// What a key asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// To go on.
    Stay,
    /// To leave.
    Quit,
}

/// Lines of a page key.
const PAGE: usize = 10;

impl View {
    /// The run that is shown.
    pub fn shown(&self) -> Option<&Watched> {
        self.runs.get(self.run)
    }

    /// Does what a key says.
    pub fn key(&mut self, key: KeyEvent) -> Answer {
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        match key.code {
            KeyCode::Char('q') | KeyCode::Char('Q') => return Answer::Quit,
            KeyCode::Char('c') if control => return Answer::Quit,
            KeyCode::Esc if self.help => self.help = false,
            KeyCode::Esc => return Answer::Quit,
            KeyCode::Char('?') | KeyCode::F(1) | KeyCode::Char('h') => self.help = !self.help,
            KeyCode::Tab => self.turn(1),
            KeyCode::BackTab => self.turn(Panel::ALL.len() - 1),
            KeyCode::Right => self.next_run(1),
            KeyCode::Left => self.next_run(self.runs.len().saturating_sub(1)),
            KeyCode::Char(digit @ '1'..='9') => {
                let panel = digit.to_digit(10).and_then(|place| Panel::ALL.get(place as usize - 1));
                self.panel = panel.copied().unwrap_or(self.panel);
                self.scroll = 0;
            }
            KeyCode::Up => self.by(false, 1),
            KeyCode::Down => self.by(true, 1),
            KeyCode::PageUp => self.by(false, PAGE),
            KeyCode::PageDown => self.by(true, PAGE),
            _ => {}
        }
        Answer::Stay
    }

    fn turn(&mut self, by: usize) {
        let at = Panel::ALL.iter().position(|panel| *panel == self.panel).unwrap_or(0);
        self.panel = Panel::ALL[(at + by) % Panel::ALL.len()];
        self.scroll = 0;
    }

    fn next_run(&mut self, by: usize) {
        self.run = (self.run + by) % self.runs.len().max(1);
        self.scroll = 0;
    }

    /// Scrolls. The table of candidates begins at its end, so that up leads away from there.
    fn by(&mut self, down: bool, lines: usize) {
        let from_end = matches!(self.panel, Panel::All | Panel::Candidates);
        let most = self.shown().map_or(0, |run| {
            let records = run.state.as_ref().map_or(0, |state| state.records.len());
            let lines = if from_end { records } else { run.course.len().max(run.warnings().len()) };
            lines.saturating_sub(1)
        });
        self.scroll = match down != from_end {
            true => (self.scroll + lines).min(most),
            false => self.scroll.saturating_sub(lines),
        };
    }
}
