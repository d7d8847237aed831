//! What the panels have in common: colours, and a panel that has nothing to show.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::{Color, Stylize};
use ratatui::text::Line;
use ratatui::widgets::Block;

/// Colours that any terminal has and that are told apart without red and green; signs differ besides.
pub(super) const FIRST: Color = Color::Cyan;
pub(super) const SECOND: Color = Color::Magenta;
pub(super) const THIRD: Color = Color::Yellow;
pub(super) const FAINT: Color = Color::DarkGray;

/// A frame with a word in its middle.
pub(super) fn nothing(frame: &mut Frame, area: Rect, block: Block<'_>, word: &str) {
    let inner = block.inner(area);
    frame.render_widget(block, area);
    let middle = Rect { y: inner.y + inner.height / 2, height: inner.height.min(1), ..inner };
    frame.render_widget(Line::from(word.to_owned()).fg(FAINT).centered(), middle);
}
