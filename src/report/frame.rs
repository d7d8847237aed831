//! Where the plot of a picture of accuracy over cost is, and what is written above it.

use super::style::{FAINT, INK, LINE, Style, TEXT};
use super::svg::{Anchor, Svg, wrap};

const MARGIN: f64 = 24.0;
/// The margin of a figure that has little room.
const NARROW_MARGIN: f64 = 6.0;
const PLOT_HEIGHT: f64 = 420.0;
/// The width of a legend beside a plot.
const LEGEND: f64 = 300.0;

/// The edges of a plot in a picture.
pub(super) struct Frame {
    /// Whether the legend is below the plot.
    pub narrow: bool,
    /// The room at the edges of the picture.
    pub margin: f64,
    pub left: f64,
    pub right: f64,
    pub top: f64,
    pub bottom: f64,
    width: f64,
    titles: Vec<(String, f64)>,
}

impl Frame {
    /// A frame in a style, below a title and what is said of the picture.
    pub fn new(style: &Style, title: &str, said: &[String]) -> Frame {
        let (narrow, width) = (style.is_narrow(), style.width);
        let margin = if narrow { NARROW_MARGIN } else { MARGIN };
        let small = said.iter().flat_map(|text| wrap(text, TEXT, width - 2.0 * margin)).map(|line| (line, TEXT));
        let titles = std::iter::once((title.to_owned(), 18.0)).chain(small);
        let titles: Vec<(String, f64)> = if style.titled { titles.collect() } else { Vec::new() };
        let top = margin + titles.len() as f64 * LINE + 44.0;
        let (left, right) = (margin + 36.0, width - margin - if narrow { 0.0 } else { LEGEND });
        let bottom = top + if narrow { 0.72 * (right - left) } else { PLOT_HEIGHT };
        Frame { narrow, margin, left, right, top, bottom, width, titles }
    }

    /// The picture, with its titles, and with so much room below the plot's axis.
    pub fn picture(&self, below: f64) -> Svg {
        let mut svg = Svg::new(self.width, self.bottom + below);
        for (i, (title, size)) in self.titles.iter().enumerate() {
            let colour = if i == 0 { INK } else { FAINT };
            svg.text(self.margin, self.margin + 8.0 + i as f64 * LINE, *size, Anchor::Start, colour, title);
        }
        svg
    }

    /// Where words end on the right.
    pub fn end(&self) -> f64 {
        self.width - self.margin
    }

    /// Left and right.
    pub fn across(&self) -> (f64, f64) {
        (self.left, self.right)
    }

    /// Bottom and top.
    pub fn up(&self) -> (f64, f64) {
        (self.bottom, self.top)
    }
}
