//! Curves over the epochs of something that learns.

use super::axis::Axis;
use super::style::{FAINT, GRID, INK, LINE, Palette, Style, TEXT};
use super::svg::{Anchor, Stroke, Svg, text_width};

/// A curve's name and its points.
pub type Curve<'a> = (&'a str, Vec<(f64, f64)>);

/// Room for the labels left of a panel.
pub const EDGE: f64 = 46.0;

/// Curves over the same epochs.
pub struct Panel {
    /// Where the axis upwards begins.
    pub low: f64,
    /// The last epoch; the first is 1.
    pub last: u32,
    /// An epoch that is marked on named curves.
    pub best: Option<u32>,
    /// Colours and dashes.
    pub style: Style,
}

impl Panel {
    /// Draws it between pixels across and upwards: `up` is bottom and top.
    pub fn draw(&self, svg: &mut Svg, title: &str, series: &[Curve<'_>], across: (f64, f64), up: (f64, f64)) {
        let last = f64::from(self.last.max(2));
        let values = || series.iter().flat_map(|(_, points)| points.iter().map(|(_, v)| *v - self.low));
        let most = values().fold(0.0, f64::max);
        // Names of curves reach into a panel; a small one leaves them room.
        let room = if self.style.is_narrow() && series.len() > 1 { 1.25 } else { 1.05 };
        let high = self.low + if most > 0.0 { room * most } else { 1.0 };
        let x = Axis { values: (1.0, last), pixels: across, log: false };
        let y = Axis { values: (self.low, high), pixels: up, log: false };
        svg.text(across.0 - EDGE, up.1 - 12.0, TEXT, Anchor::Start, INK, title);
        for tick in y.ticks() {
            let at = y.at(tick);
            svg.line((across.0, at), (across.1, at), Stroke::solid(GRID, 1.0));
            // As many digits as tell ticks apart.
            let digits = (1.0 - (high - self.low).log10().floor()).max(0.0) as usize;
            svg.text(across.0 - 6.0, at + 4.0, TEXT, Anchor::End, INK, &format!("{tick:.digits$}"));
        }
        for tick in x.ticks().into_iter().filter(|tick| tick.fract() == 0.0) {
            svg.line((x.at(tick), up.0), (x.at(tick), up.0 + 5.0), Stroke::solid(INK, 1.0));
            svg.text(x.at(tick), up.0 + 20.0, TEXT, Anchor::Middle, INK, &format!("{tick:.0}"));
        }
        svg.line((across.0, up.0), (across.1, up.0), Stroke::solid(INK, 1.0));
        svg.line((across.0, up.0), (across.0, up.1), Stroke::solid(INK, 1.0));
        if series.iter().all(|(_, points)| points.is_empty()) {
            let middle = (f64::midpoint(across.0, across.1), f64::midpoint(up.0, up.1));
            svg.text(middle.0, middle.1, TEXT, Anchor::Middle, FAINT, "none");
        }
        for (i, (name, points)) in series.iter().enumerate() {
            let (colour, dashes) = (self.style.colour(i), self.style.dashes(i));
            let line: Vec<(f64, f64)> = points.iter().map(|(epoch, v)| (x.at(*epoch), y.at(*v))).collect();
            svg.polyline(&line, Stroke::with(colour, 2.0, dashes));
            if let [one] = line[..] {
                svg.circle(one, 3.0, colour, Stroke::NONE);
            }
            let place = (across.1, up.1 - 12.0 + i as f64 * LINE);
            let ink = if self.style.palette == Palette::Grey { INK } else { colour };
            svg.text(place.0, place.1, TEXT, Anchor::End, ink, name);
            if series.len() > 1 && !name.is_empty() {
                let end = place.0 - text_width(name, TEXT) - 2.0;
                svg.line((end - 22.0, place.1 - 4.0), (end, place.1 - 4.0), Stroke::with(colour, 2.0, dashes));
            }
            let best = self.best.and_then(|best| points.iter().find(|(epoch, _)| *epoch == f64::from(best)));
            if let (false, Some((epoch, v))) = (name.is_empty(), best) {
                svg.circle((x.at(*epoch), y.at(*v)), 4.5, colour, Stroke::solid("#ffffff", 1.0));
            }
        }
    }
}
