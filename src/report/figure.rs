//! A figure: a drawing, what it shows as numbers, and how it becomes a file.

use super::style::{Palette, grey};
use super::svg::Svg;
use crate::error::{Error, Result};

/// Pixels of an inch, as SVG has it.
pub const PIXELS: f64 = 96.0;
/// Points of an inch.
pub const POINTS: f64 = 72.0;

/// A figure.
#[derive(Clone, Debug)]
pub struct Figure {
    /// The drawing.
    pub svg: Svg,
    /// What it shows, as comma-separated values with a line of titles; none for a drawing of a network.
    pub csv: Option<String>,
    /// What it was measured on, where the drawing does not say it itself.
    pub caption: Vec<String>,
}

impl Figure {
    /// The text of an SVG file, `width` points wide on paper; in its own pixels without one.
    pub fn svg_text(&self, width: Option<f64>, palette: Palette) -> String {
        let text = match width {
            Some(width) => self.svg.finish_at(width),
            None => self.svg.finish(),
        };
        match palette {
            Palette::Colour => text,
            Palette::Grey => in_greys(&text),
        }
    }
}

/// A table with a line of titles.
///
/// # Errors
/// [`Error::Internal`] for a row of another length than the titles'.
pub fn comma_separated(titles: &str, rows: impl Iterator<Item = Vec<String>>) -> Result<String> {
    let bad = |why: String| Error::Internal(format!("a table of a figure cannot be written: {why}"));
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(titles.split(',')).map_err(|e| bad(e.to_string()))?;
    for row in rows {
        writer.write_record(row).map_err(|e| bad(e.to_string()))?;
    }
    let bytes = writer.into_inner().map_err(|e| bad(e.to_string()))?;
    String::from_utf8(bytes).map_err(|e| bad(e.to_string()))
}

/// Every colour of an SVG text as the grey of its luminance. Greys stay as they are.
fn in_greys(svg: &str) -> String {
    let mut text = String::with_capacity(svg.len());
    let mut rest = svg;
    while let Some(at) = rest.find("\"#") {
        let (before, colour) = rest.split_at(at + 1);
        text.push_str(before);
        let end = colour.find('"').unwrap_or(colour.len());
        let (colour, after) = colour.split_at(end);
        text.push_str(&grey(colour).unwrap_or_else(|| colour.to_owned()));
        rest = after;
    }
    text + rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::svg::{Anchor, Stroke};

    #[test]
    fn greys_leave_words_alone() {
        let mut svg = Svg::new(200.0, 100.0);
        svg.rect(0.0, 0.0, 10.0, 10.0, 0.0, "#0072b2", Stroke::solid("#123456", 1.0));
        svg.text(0.0, 50.0, 13.0, Anchor::Start, "#222222", "\"#d55e00\" is a colour");
        let figure = Figure { svg, csv: None, caption: Vec::new() };
        let text = figure.svg_text(Some(100.0), Palette::Grey);
        assert!(text.contains("fill=\"#5e5e5e\"") && !text.contains("#0072b2") && !text.contains("#123456"), "{text}");
        assert!(text.contains("&quot;#d55e00&quot; is a colour"), "{text}");
        assert!(text.contains("width=\"100pt\" height=\"50pt\" viewBox=\"0 0 200 100\""), "{text}");
    }
}
