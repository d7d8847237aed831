//! The axes of accuracy over cost, and what stands between them.

use super::axis::Axis;
use super::frontier::{Frontier, FrontierPoint, FrontierRun};
use super::legend::clip;
use super::marks::{diamond, marker};
use super::placing::Placing;
use super::style::{FAINT, GRID, INK, TEXT};
use super::svg::{Anchor, Stroke, Svg, text_width};
use crate::record::{Origin, OriginKind};
use crate::units::{Macs, Tally};

/// The size of words within the plot.
const SMALL: f64 = 11.0;

/// The axes: multiply-accumulates on x, accuracy in per cent on y.
pub struct Axes {
    /// Multiply-accumulates, logarithmic.
    pub macs: Axis,
    /// Per cent.
    pub accuracy: Axis,
}

impl Axes {
    /// Axes that hold every point and budget; `None` when there is no point.
    pub fn over(frontier: &Frontier, across: (f64, f64), up: (f64, f64)) -> Option<Axes> {
        let points: Vec<&FrontierPoint> = frontier.runs.iter().flat_map(|r| &r.points).collect();
        let networks = &frontier.networks;
        let macs = points.iter().flat_map(|p| [p.macs, p.budget]).chain(networks.iter().map(|n| n.macs));
        let macs: Vec<f64> = macs.map(|m| (m.0 as f64).max(1.0)).collect();
        let (least, most) = (macs.iter().copied().reduce(f64::min)?, macs.iter().copied().reduce(f64::max)?);
        let percent = |rate: f64| 100.0 * rate;
        let measured = || {
            let points = points.iter().map(|p| (p.clean, p.robust));
            points.chain(networks.iter().map(|n| (n.clean, n.robust)))
        };
        let highest = measured().map(|(clean, robust)| percent(clean.rate().max(robust.wilson95().1)));
        let lowest = measured().map(|(clean, robust)| percent(clean.rate().min(robust.wilson95().0)));
        let (highest, lowest) = (highest.fold(0.0, f64::max), lowest.fold(100.0, f64::min));
        // Multiples of ten around the points with a margin; at least twenty points.
        let low = (((lowest - 2.0) / 10.0).floor() * 10.0).clamp(0.0, 80.0);
        let high = (((highest + 2.0) / 10.0).ceil() * 10.0).clamp(low + 20.0, 100.0);
        Some(Axes {
            macs: Axis { values: (least / 1.15, most * 1.15), pixels: across, log: true },
            accuracy: Axis { values: (low, high), pixels: up, log: false },
        })
    }

    pub(super) fn x(&self, macs: Macs) -> f64 {
        self.macs.at((macs.0 as f64).max(1.0))
    }

    pub(super) fn y(&self, rate: f64) -> f64 {
        self.accuracy.at(100.0 * rate)
    }

    /// Grid, frame, ticks, labels and budgets.
    pub(super) fn draw(&self, svg: &mut Svg, frontier: &Frontier, narrow: bool) {
        let ((left, right), (bottom, top)) = (self.macs.pixels, self.accuracy.pixels);
        for tick in self.accuracy.ticks() {
            let y = self.accuracy.at(tick);
            svg.line((left, y), (right, y), Stroke::solid(GRID, 1.0));
            svg.text(left - 8.0, y + 4.5, TEXT, Anchor::End, INK, &format!("{tick:.0}"));
        }
        let mut labels = Labels { y: bottom + 20.0, size: TEXT, colour: INK, gap: 4.0, free: f64::NEG_INFINITY };
        for tick in self.macs.ticks() {
            let x = self.macs.at(tick);
            svg.line((x, top), (x, bottom), Stroke::solid(GRID, 1.0));
            svg.line((x, bottom), (x, bottom + 5.0), Stroke::solid(INK, 1.0));
            labels.write(svg, x, &short(tick));
        }
        let mut budgets: Vec<Macs> = frontier.runs.iter().flat_map(|r| &r.points).map(|p| p.budget).collect();
        budgets.sort();
        budgets.dedup();
        let mut labels = Labels { y: top - 6.0, size: SMALL, colour: FAINT, gap: 6.0, free: left };
        for budget in budgets {
            let x = self.x(budget);
            svg.line((x, top), (x, bottom), Stroke::dashed("#9a9a9a", 1.0));
            labels.write(svg, x, &format!("budget {}", short(budget.0 as f64)));
        }
        svg.line((left, bottom), (right, bottom), Stroke::solid(INK, 1.0));
        svg.line((left, top), (left, bottom), Stroke::solid(INK, 1.0));
        svg.text(left - 36.0, top - 24.0, TEXT, Anchor::Start, INK, "accuracy, %");
        let label = if narrow { "multiply-accumulates (log scale)".to_owned() } else { counted(frontier) };
        svg.text((left + right) / 2.0, bottom + 46.0, TEXT, Anchor::Middle, INK, &label);
    }

    /// The best accuracy of the searched networks up to each cost.
    pub(super) fn steps(&self, svg: &mut Svg, run: &FrontierRun, [robust, clean]: [Stroke<'_>; 2]) {
        type Accuracy = fn(&FrontierPoint) -> Tally;
        let kinds: [(Accuracy, Stroke<'_>); 2] = [(|p| p.clean, clean), (|p| p.robust, robust)];
        for (accuracy, stroke) in kinds {
            let mut path: Vec<(f64, f64)> = Vec::new();
            let mut best = f64::NEG_INFINITY;
            // Points ascend in cost.
            for point in run.points.iter().filter(|p| matches!(p.origin, Origin::Searched { .. })) {
                let rate = accuracy(point).rate();
                if rate > best {
                    let x = self.x(point.macs);
                    path.extend(path.last().map(|(_, y)| (x, *y)));
                    path.push((x, self.y(rate)));
                    best = rate;
                }
            }
            // To the right end: a larger budget is met by the same network.
            path.extend(path.last().map(|(_, y)| (self.macs.pixels.1, *y)));
            if !path.is_empty() {
                svg.polyline(&path, stroke);
            }
        }
    }

    /// Networks of no run, with their names.
    pub(super) fn networks(&self, svg: &mut Svg, frontier: &Frontier) {
        for network in &frontier.networks {
            let x = self.x(network.macs);
            self.pair(svg, x, (network.clean, network.robust), INK, &diamond);
            let (left, right) = self.macs.pixels;
            let name = clip(&network.name, (right - left) / 3.0);
            let fits = x + 9.0 + text_width(&name, SMALL) <= right;
            let (x, anchor) = if fits { (x + 9.0, Anchor::Start) } else { (x - 9.0, Anchor::End) };
            svg.text(x, self.y(network.robust.rate()) + 4.0, SMALL, anchor, INK, &name);
        }
    }

    /// A candidate of a run, at the pixel `x`.
    pub(super) fn point(&self, svg: &mut Svg, point: &FrontierPoint, x: f64, colour: &str) {
        let kind = point.origin.kind();
        self.pair(svg, x, (point.clean, point.robust), colour, &|svg, at, fill, stroke| {
            marker(svg, kind, at, fill, stroke)
        });
    }

    /// Clean accuracy hollow and robust accuracy filled, with its interval.
    fn pair(&self, svg: &mut Svg, x: f64, (clean, robust): (Tally, Tally), colour: &str, mark: Mark<'_>) {
        let (low, high) = robust.wilson95();
        svg.line((x, self.y(low)), (x, self.y(high)), Stroke::solid(colour, 0.6));
        mark(svg, (x, self.y(clean.rate())), "#ffffff", Stroke::solid(colour, 1.6));
        mark(svg, (x, self.y(robust.rate())), colour, Stroke::solid("#ffffff", 0.8));
    }

    /// Where each candidate stands, run by run: at its cost, or beside it where it would cover another. Searched networks come
    /// first, so that they are moved least; networks of no run have names and are not moved.
    pub(super) fn places(&self, frontier: &Frontier) -> Vec<Vec<f64>> {
        let mut placing = Placing::within(self.macs.pixels);
        let heights = |clean: Tally, robust: Tally| [self.y(clean.rate()), self.y(robust.rate())];
        for network in &frontier.networks {
            placing.keep(self.x(network.macs), heights(network.clean, network.robust));
        }
        let mut places: Vec<Vec<f64>> = frontier.runs.iter().map(|run| vec![0.0; run.points.len()]).collect();
        for searched in [true, false] {
            for (run, places) in frontier.runs.iter().zip(&mut places) {
                for (point, place) in run.points.iter().zip(places) {
                    if (point.origin.kind() == OriginKind::Searched) == searched {
                        *place = placing.place(self.x(point.macs), heights(point.clean, point.robust));
                    }
                }
            }
        }
        places
    }
}

/// What draws a mark at a place, with its filling and its outline.
type Mark<'a> = &'a dyn Fn(&mut Svg, (f64, f64), &str, Stroke<'_>);

/// Labels side by side, ascending.
struct Labels<'a> {
    y: f64,
    size: f64,
    colour: &'a str,
    gap: f64,
    /// From here on nothing is written yet.
    free: f64,
}

impl Labels<'_> {
    /// Writes a label under or over `x`, within the figure. One that would overlap the one before it is left out.
    fn write(&mut self, svg: &mut Svg, x: f64, label: &str) {
        let half = text_width(label, self.size) / 2.0;
        let x = x.min(svg.size().0 - half - 2.0);
        if x - half >= self.free {
            svg.text(x, self.y, self.size, Anchor::Middle, self.colour, label);
            self.free = x + half + self.gap;
        }
    }
}

/// What is counted across, and by which rule.
pub(super) fn counted(frontier: &Frontier) -> String {
    format!("multiply-accumulates of one image, counted by {} (log scale)", frontier.protocol.counting_rule)
}

/// A count in at most four digits and a unit: `20M`, `1.5G`.
pub fn short(value: f64) -> String {
    let units = [(1e9, "G"), (1e6, "M"), (1e3, "k")];
    let (unit, letter) = units.into_iter().find(|(unit, _)| value >= *unit).unwrap_or((1.0, ""));
    let text = format!("{:.2}", value / unit);
    format!("{}{letter}", text.trim_end_matches('0').trim_end_matches('.'))
}
