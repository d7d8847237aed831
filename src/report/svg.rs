//! A small SVG writer: elements in the order they are drawn, coordinates in pixels, one font.

use std::fmt::{Display, Write};

/// The font of every text, the first of which `super::png` has built in.
const FONT: &str = "Ubuntu, 'DejaVu Sans', Helvetica, Arial, sans-serif";
/// Mean advance of a character over the font size, on the wide side so that boxes hold their text in any of the fonts.
const ADVANCE: f64 = 0.56;

/// The anchor of a text: what its `x` is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Anchor {
    /// At its left end.
    Start,
    /// In its middle.
    Middle,
    /// At its right end.
    End,
}

/// A line's colour, width and dashes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stroke<'a> {
    /// A CSS colour.
    pub colour: &'a str,
    /// Pixels.
    pub width: f64,
    /// Lengths of its dashes and gaps in pixels; none where it is solid.
    pub dashes: Option<&'a str>,
}

impl<'a> Stroke<'a> {
    /// A solid line.
    pub const fn solid(colour: &'a str, width: f64) -> Self {
        Stroke { colour, width, dashes: None }
    }

    /// A dashed line.
    pub const fn dashed(colour: &'a str, width: f64) -> Self {
        Stroke { colour, width, dashes: Some("4 3") }
    }

    /// A line with dashes of its own.
    pub const fn with(colour: &'a str, width: f64, dashes: Option<&'a str>) -> Self {
        Stroke { colour, width, dashes }
    }

    /// No line.
    pub const NONE: Stroke<'static> = Stroke::solid("none", 0.0);

    fn attributes(&self) -> String {
        let dashes = self.dashes.map_or(String::new(), |dashes| format!(r#" stroke-dasharray="{}""#, escape(dashes)));
        format!(r#"stroke="{}" stroke-width="{}"{dashes}"#, escape(self.colour), number(self.width))
    }
}

/// The five characters XML reserves, replaced; control characters, which it forbids, dropped.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&apos;"),
            c if c.is_control() && !matches!(c, '\t' | '\n' | '\r') => {}
            c => out.push(c),
        }
    }
    out
}

/// An upper estimate of the width of a text of a size.
pub fn text_width(text: &str, size: f64) -> f64 {
    text.chars().count() as f64 * size * ADVANCE
}

/// Breaks a text of a size at spaces into lines no wider than `width` pixels.
pub fn wrap(text: &str, size: f64, width: f64) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let fits = lines.last().is_some_and(|l| l.is_empty() || text_width(&format!("{l} {word}"), size) <= width);
        match lines.last_mut() {
            Some(line) if fits => {
                if !line.is_empty() {
                    line.push(' ');
                }
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// At most two decimals, no trailing zeros: the same drawing is the same bytes.
fn number(value: f64) -> String {
    let text = format!("{value:.2}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".into() } else { text.into() }
}

/// A drawing on white.
#[derive(Clone, Debug)]
pub struct Svg {
    width: f64,
    height: f64,
    body: String,
}

impl Svg {
    /// An empty drawing of a size in pixels.
    pub fn new(width: f64, height: f64) -> Self {
        let mut svg = Svg { width, height, body: String::new() };
        svg.rect(0.0, 0.0, width, height, 0.0, "#ffffff", Stroke::NONE);
        svg
    }

    fn element(&mut self, text: impl Display) -> &mut Self {
        // Writing to a string cannot fail.
        let _ = writeln!(self.body, "{text}");
        self
    }

    /// A rectangle from its upper left corner, its corners rounded by `round`.
    #[allow(clippy::too_many_arguments)]
    pub fn rect(&mut self, x: f64, y: f64, w: f64, h: f64, round: f64, fill: &str, stroke: Stroke<'_>) -> &mut Self {
        let [x, y, w, h, r] = [x, y, w, h, round].map(number);
        let (fill, line) = (escape(fill), stroke.attributes());
        self.element(format!(r#"<rect x="{x}" y="{y}" width="{w}" height="{h}" rx="{r}" fill="{fill}" {line}/>"#))
    }

    /// A straight line.
    pub fn line(&mut self, from: (f64, f64), to: (f64, f64), stroke: Stroke<'_>) -> &mut Self {
        let [x1, y1, x2, y2] = [from.0, from.1, to.0, to.1].map(number);
        let line = stroke.attributes();
        self.element(format!(r#"<line x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}" {line}/>"#))
    }

    /// Straight lines through points.
    pub fn polyline(&mut self, points: &[(f64, f64)], stroke: Stroke<'_>) -> &mut Self {
        let points: Vec<String> = points.iter().map(|(x, y)| format!("{},{}", number(*x), number(*y))).collect();
        let line = stroke.attributes();
        self.element(format!(r#"<polyline points="{}" fill="none" {line}/>"#, points.join(" ")))
    }

    /// A filled shape through points.
    pub fn polygon(&mut self, points: &[(f64, f64)], fill: &str, stroke: Stroke<'_>) -> &mut Self {
        let points: Vec<String> = points.iter().map(|(x, y)| format!("{},{}", number(*x), number(*y))).collect();
        let (fill, line) = (escape(fill), stroke.attributes());
        self.element(format!(r#"<polygon points="{}" fill="{fill}" {line}/>"#, points.join(" ")))
    }

    /// A path in SVG's own notation.
    pub fn path(&mut self, d: &str, fill: &str, stroke: Stroke<'_>) -> &mut Self {
        let (d, fill, line) = (escape(d), escape(fill), stroke.attributes());
        self.element(format!(r#"<path d="{d}" fill="{fill}" {line}/>"#))
    }

    /// A circle.
    pub fn circle(&mut self, centre: (f64, f64), radius: f64, fill: &str, stroke: Stroke<'_>) -> &mut Self {
        let [x, y, r] = [centre.0, centre.1, radius].map(number);
        let (fill, line) = (escape(fill), stroke.attributes());
        self.element(format!(r#"<circle cx="{x}" cy="{y}" r="{r}" fill="{fill}" {line}/>"#))
    }

    /// One line of text; `y` is its baseline.
    pub fn text(&mut self, x: f64, y: f64, size: f64, anchor: Anchor, fill: &str, text: &str) -> &mut Self {
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        let ([x, y, size], fill, text) = ([x, y, size].map(number), escape(fill), escape(text));
        self.element(format!(
            r#"<text x="{x}" y="{y}" font-size="{size}" text-anchor="{anchor}" fill="{fill}">{text}</text>"#
        ))
    }

    /// A small arrow head whose tip is at a point, in a direction (right is `(1, 0)`, down `(0, 1)`).
    pub fn arrow_head(&mut self, tip: (f64, f64), direction: (f64, f64), fill: &str) -> &mut Self {
        let ((x, y), (dx, dy)) = (tip, direction);
        let (back, half) = (7.0, 3.5);
        let base = (x - back * dx, y - back * dy);
        let points = [tip, (base.0 - half * dy, base.1 + half * dx), (base.0 + half * dy, base.1 - half * dx)];
        self.polygon(&points, fill, Stroke::NONE)
    }

    /// Draws another drawing with its upper left corner at a point.
    pub fn inset(&mut self, x: f64, y: f64, other: &Svg) -> &mut Self {
        let [x, y] = [x, y].map(number);
        self.element(format!("<g transform=\"translate({x} {y})\">\n{}</g>", other.body))
    }

    /// A part of the drawing that leads somewhere and says what it is when it is pointed at.
    pub fn link(&mut self, href: &str, title: &str, draw: impl FnOnce(&mut Svg)) -> &mut Self {
        self.element(format!("<a href=\"{}\"><title>{}</title>", escape(href), escape(title)));
        draw(self);
        self.element("</a>")
    }

    /// Its size in pixels.
    pub fn size(&self) -> (f64, f64) {
        (self.width, self.height)
    }

    /// The text of the file; it can also be put into an HTML page as it is.
    pub fn finish(&self) -> String {
        self.text_of(&[self.width, self.height].map(number))
    }

    /// The text of a file that is so many points wide on paper.
    pub fn finish_at(&self, points: f64) -> String {
        self.text_of(&[points, points * self.height / self.width].map(|points| format!("{}pt", number(points))))
    }

    fn text_of(&self, [width, height]: &[String; 2]) -> String {
        let [w, h] = [self.width, self.height].map(number);
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {w} {h}\" \
             font-family=\"{FONT}\">\n{}</svg>\n",
            self.body
        )
    }
}

/// Drawings one below the other.
pub fn stack(parts: &[Svg], gap: f64) -> Svg {
    let width = parts.iter().map(|p| p.width).fold(0.0, f64::max);
    let height = parts.iter().map(|p| p.height).sum::<f64>() + gap * parts.len().saturating_sub(1) as f64;
    let mut svg = Svg::new(width, height);
    let mut y = 0.0;
    for part in parts {
        svg.inset(0.0, y, part);
        y += part.height + gap;
    }
    svg
}
