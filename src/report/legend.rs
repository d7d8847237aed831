//! A legend: samples and what they mean.

use super::frame::Frame;
use super::style::{FAINT, INK, LINE, TEXT};
use super::svg::{Anchor, Svg, text_width};

/// What the legend calls networks of no run.
pub(super) const OTHERS: &str = "of no run, attacked alike";

/// Rows of samples and words, written downwards.
pub(super) struct Legend<'a> {
    svg: &'a mut Svg,
    pub(super) x: f64,
    y: f64,
    /// Where words must end.
    right: f64,
}

impl<'a> Legend<'a> {
    /// One beside a plot, or below it where that is where the room is.
    pub(super) fn beside(svg: &'a mut Svg, frame: &Frame) -> Self {
        let (x, y) =
            if frame.narrow { (frame.margin, frame.bottom + 72.0) } else { (frame.right + 28.0, frame.top + 4.0) };
        Legend { svg, x, y, right: frame.end() }
    }

    /// A sample drawn at `(x, y)` and its meaning.
    pub(super) fn row(&mut self, text: &str, sample: impl Fn(&mut Svg, f64, f64)) {
        sample(self.svg, self.x, self.y);
        self.words(self.x + 32.0, INK, text);
    }

    pub(super) fn note(&mut self, text: &str) {
        self.words(self.x, FAINT, text);
    }

    pub(super) fn gap(&mut self) {
        self.y += LINE / 2.0;
    }

    pub(super) fn words(&mut self, x: f64, colour: &str, text: &str) {
        self.svg.text(x, self.y + 4.5, TEXT, Anchor::Start, colour, &clip(text, self.right - x));
        self.y += LINE;
    }
}

/// A text cut with an ellipsis where it would leave the picture.
pub(super) fn clip(text: &str, width: f64) -> String {
    if text_width(text, TEXT) <= width {
        return text.to_owned();
    }
    let mut kept: String = text.to_owned();
    while !kept.is_empty() && text_width(&kept, TEXT) + text_width("...", TEXT) > width {
        kept.pop();
    }
    kept + "..."
}
