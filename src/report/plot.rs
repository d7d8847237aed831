//! The picture of a frontier: accuracy over cost, several runs on one picture.

use super::axis::Axis;
use super::figure::{Figure, comma_separated};
use super::frontier::{Frontier, FrontierNetwork, FrontierPoint, FrontierRun};
use super::protocol::list;
use super::style::{MOST, Style};
use super::svg::{Anchor, Stroke, Svg, text_width, wrap};
use crate::error::{Error, Result};
use crate::record::{Origin, OriginKind};
use crate::units::{Macs, Tally};

pub(super) const INK: &str = "#222222";
pub(super) const FAINT: &str = "#767676";
pub(super) const GRID: &str = "#e6e6e6";

pub(super) const MARGIN: f64 = 24.0;
/// The margin of a figure that has little room.
pub(super) const NARROW_MARGIN: f64 = 6.0;
pub(super) const TEXT: f64 = 13.0;
pub(super) const LINE: f64 = 19.0;
pub(super) const PLOT_HEIGHT: f64 = 420.0;
pub(super) const LEGEND: f64 = 300.0;
const MARKER: f64 = 5.0;

/// Draws a frontier as SVG: robust accuracy filled with its 95 % Wilson interval, clean accuracy hollow, a marker per
/// origin, step lines through the best searched networks. The same document gives the same bytes.
///
/// # Errors
/// [`Error::Usage`] for more runs than there are colours.
pub fn plot(frontier: &Frontier) -> Result<String> {
    Ok(draw(frontier, None, &Style::default())?.finish())
}

/// The same in a style, with its numbers.
///
/// # Errors
/// As [`plot`].
pub fn figure(frontier: &Frontier, style: &Style) -> Result<Figure> {
    let caption = match style.titled {
        true => Vec::new(),
        false => said_of(frontier).into_iter().chain([counted(frontier)]).collect(),
    };
    Ok(Figure { svg: draw(frontier, None, style)?, csv: Some(csv(frontier)?), caption })
}

/// The same for a page: every point says what it is when it is pointed at, and leads to its network.
///
/// # Errors
/// As [`plot`].
pub fn linked(frontier: &Frontier, href: Href<'_>) -> Result<String> {
    Ok(draw(frontier, Some(href), &Style::default())?.finish())
}

/// Where the network of a run, counted from 0, is on the page.
pub type Href<'a> = &'a dyn Fn(usize, &FrontierPoint) -> String;

fn draw(frontier: &Frontier, href: Option<Href<'_>>, style: &Style) -> Result<Svg> {
    if frontier.runs.len() > MOST {
        let runs = frontier.runs.len();
        return Err(Error::Usage(format!("{runs} runs on one picture; at most {MOST} can be told apart")));
    }
    let narrow = style.is_narrow();
    let margin = if narrow { NARROW_MARGIN } else { MARGIN };
    let titles = if style.titled { titles(frontier, style.width - 2.0 * margin) } else { Vec::new() };
    let top = margin + titles.len() as f64 * LINE + 44.0;
    let (left, right) = (margin + 36.0, style.width - margin - if narrow { 0.0 } else { LEGEND });
    let bottom = top + if narrow { 0.72 * (right - left) } else { PLOT_HEIGHT };
    let beside =
        Beside { narrow, left: margin, x: right + 28.0, y: if narrow { bottom + 70.0 } else { top + 4.0 }, style };
    let below = if narrow { 70.0 + beside.short(frontier, None) } else { 72.0 };
    let mut svg = Svg::new(style.width, bottom + below);
    for (i, (title, size)) in titles.iter().enumerate() {
        let colour = if i == 0 { INK } else { FAINT };
        svg.text(margin, margin + 8.0 + i as f64 * LINE, *size, Anchor::Start, colour, title);
    }
    match Axes::over(frontier, (left, right), (bottom, top)) {
        None => {
            svg.rect(left, top, right - left, bottom - top, 0.0, "none", Stroke::solid(FAINT, 1.0));
            let middle = ((left + right) / 2.0, (top + bottom) / 2.0);
            svg.text(middle.0, middle.1, TEXT, Anchor::Middle, FAINT, "no candidate that may be ranked");
        }
        Some(axes) => {
            axes.draw(&mut svg, frontier, narrow);
            let coloured = || frontier.runs.iter().enumerate().map(|(i, run)| (i, run, style.colour(i)));
            coloured().for_each(|(_, run, colour)| axes.intervals(&mut svg, run, colour));
            let several = frontier.runs.len() > 1;
            coloured().for_each(|(i, run, colour)| axes.steps(&mut svg, run, lines(colour, style.dashes(i), several)));
            // Controls below, so that the searched networks stay visible where they coincide.
            for searched in [false, true] {
                for (i, run, colour) in coloured() {
                    let points = run.points.iter().filter(|p| matches!(p.origin, Origin::Searched { .. }) == searched);
                    points.for_each(|point| match href {
                        None => axes.point(&mut svg, point, colour),
                        Some(href) => {
                            svg.link(&href(i, point), &said(&run.name, point), |svg| axes.point(svg, point, colour));
                        }
                    });
                }
            }
            axes.networks(&mut svg, frontier);
        }
    }
    if narrow {
        beside.short(frontier, Some(&mut svg));
    } else {
        beside.full(&mut svg, frontier);
    }
    Ok(svg)
}

/// The step lines of a run, robust and clean. Several runs have dashes of their own, so that width tells the two apart.
fn lines<'a>(colour: &'a str, dashes: Option<&'a str>, several: bool) -> [Stroke<'a>; 2] {
    let clean = if several { Stroke::with(colour, 1.0, dashes) } else { Stroke::dashed(colour, 1.2) };
    [Stroke::with(colour, 2.0, dashes), clean]
}

/// The lines over the plot with their sizes.
fn titles(frontier: &Frontier, width: f64) -> Vec<(String, f64)> {
    let said = said_of(frontier);
    let small = said.iter().flat_map(|text| wrap(text, TEXT, width)).map(|line| (line, TEXT));
    std::iter::once(("Accuracy over cost".to_owned(), 18.0)).chain(small).collect()
}

/// What it was measured on and under, and what its bars are.
fn said_of(frontier: &Frontier) -> Vec<String> {
    measured(frontier, "bars are 95 % Wilson intervals")
}

/// What a frontier was measured on, and under which attacks; and a remark on what is shown of it.
pub(super) fn measured(frontier: &Frontier, remark: &str) -> Vec<String> {
    let Some(s) = &frontier.protocol.data else { return vec!["nothing evaluated".to_owned()] };
    let on =
        format!("{} {} split, n = {} images (content {}, indices {})", s.data, s.split, s.n, s.data_id, s.index_id);
    let attacks = list(&frontier.protocol.attacks);
    vec![on, format!("robust = correct under every one of: {attacks}; {remark}")]
}

pub(super) fn counted(frontier: &Frontier) -> String {
    format!("multiply-accumulates of one image, counted by {} (log scale)", frontier.protocol.counting_rule)
}

/// The points, a line each.
fn csv(frontier: &Frontier) -> Result<String> {
    let titles = "run,arch,origin,budget,macs,params,clean,robust,robust_low,robust_high,images,dominated,summary";
    let rows = frontier.runs.iter().flat_map(|run| run.points.iter().map(move |point| (run, point)));
    let rows = rows.map(|(run, p)| {
        let (low, high) = p.robust.wilson95();
        let counts = [p.budget.0, p.macs.0, p.params.0].map(|count| count.to_string());
        let shares = [p.clean.rate(), p.robust.rate(), low, high].map(|share| share.to_string());
        let words = [run.name.clone(), p.arch.clone(), p.origin.word().to_owned()];
        let last = [p.robust.total.to_string(), p.dominated.to_string(), p.summary.clone()];
        words.into_iter().chain(counts).chain(shares).chain(last).collect()
    });
    let networks = frontier.networks.iter().map(|network| {
        let FrontierNetwork { name, net, arch, macs, params, clean, robust, dominated } = network;
        let (low, high) = robust.wilson95();
        let words = [name.clone(), arch.clone(), "attacked".to_owned(), String::new()];
        let counts = [macs.0, params.0].map(|count| count.to_string());
        let shares = [clean.rate(), robust.rate(), low, high].map(|share| share.to_string());
        let last = [robust.total.to_string(), dominated.to_string(), net.clone()];
        words.into_iter().chain(counts).chain(shares).chain(last).collect()
    });
    comma_separated(titles, rows.chain(networks))
}

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
        let mut free = f64::NEG_INFINITY;
        for tick in self.macs.ticks() {
            let (x, label) = (self.macs.at(tick), short(tick));
            svg.line((x, top), (x, bottom), Stroke::solid(GRID, 1.0));
            svg.line((x, bottom), (x, bottom + 5.0), Stroke::solid(INK, 1.0));
            let half = text_width(&label, TEXT) / 2.0;
            // A label does not leave the figure.
            let x = x.min(svg.size().0 - half - 2.0);
            if x - half >= free {
                svg.text(x, bottom + 20.0, TEXT, Anchor::Middle, INK, &label);
                free = x + half + 4.0;
            }
        }
        let mut budgets: Vec<Macs> = frontier.runs.iter().flat_map(|r| &r.points).map(|p| p.budget).collect();
        budgets.sort();
        budgets.dedup();
        let mut free = left;
        for budget in budgets {
            let x = self.x(budget);
            svg.line((x, top), (x, bottom), Stroke::dashed("#9a9a9a", 1.0));
            let label = format!("budget {}", short(budget.0 as f64));
            let half = text_width(&label, 11.0) / 2.0;
            // A label that would overlap the one before it is left out; its line is drawn.
            // Nor does one leave the figure.
            let x = x.min(svg.size().0 - half - 2.0);
            if x - half >= free {
                svg.text(x, top - 6.0, 11.0, Anchor::Middle, FAINT, &label);
                free = x + half + 6.0;
            }
        }
        svg.line((left, bottom), (right, bottom), Stroke::solid(INK, 1.0));
        svg.line((left, top), (left, bottom), Stroke::solid(INK, 1.0));
        svg.text(left - 36.0, top - 24.0, TEXT, Anchor::Start, INK, "accuracy, %");
        let label = if narrow { "multiply-accumulates (log scale)".to_owned() } else { counted(frontier) };
        svg.text((left + right) / 2.0, bottom + 46.0, TEXT, Anchor::Middle, INK, &label);
    }

    /// The best accuracy of the searched networks up to each cost.
    fn steps(&self, svg: &mut Svg, run: &FrontierRun, [robust, clean]: [Stroke<'_>; 2]) {
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

    fn intervals(&self, svg: &mut Svg, run: &FrontierRun, colour: &str) {
        for point in &run.points {
            let (x, (low, high)) = (self.x(point.macs), point.robust.wilson95());
            svg.line((x, self.y(low)), (x, self.y(high)), Stroke::solid(colour, 0.6));
        }
    }

    /// Networks of no run, with their names.
    pub(super) fn networks(&self, svg: &mut Svg, frontier: &Frontier) {
        for FrontierNetwork { name, macs, clean, robust, .. } in &frontier.networks {
            let (x, (low, high)) = (self.x(*macs), robust.wilson95());
            svg.line((x, self.y(low)), (x, self.y(high)), Stroke::solid(INK, 0.6));
            diamond(svg, (x, self.y(clean.rate())), "#ffffff", Stroke::solid(INK, 1.6));
            diamond(svg, (x, self.y(robust.rate())), INK, Stroke::solid("#ffffff", 0.8));
            let (left, right) = self.macs.pixels;
            let name = clip(name, (right - left) / 3.0);
            let fits = x + 9.0 + text_width(&name, 11.0) <= right;
            let (x, anchor) = if fits { (x + 9.0, Anchor::Start) } else { (x - 9.0, Anchor::End) };
            svg.text(x, self.y(robust.rate()) + 4.0, 11.0, anchor, INK, &name);
        }
    }

    fn point(&self, svg: &mut Svg, point: &FrontierPoint, colour: &str) {
        let x = self.x(point.macs);
        marker(svg, point.origin.kind(), (x, self.y(point.clean.rate())), "#ffffff", Stroke::solid(colour, 1.6));
        marker(svg, point.origin.kind(), (x, self.y(point.robust.rate())), colour, Stroke::solid("#ffffff", 0.8));
    }
}

/// A point in words.
fn said(run: &str, point: &FrontierPoint) -> String {
    let FrontierPoint { arch, origin, macs, params, clean, robust, summary, .. } = point;
    let (low, high) = robust.wilson95();
    format!(
        "{run}: {arch}, {}\n{summary}\n{macs} MACs, {params} parameters\nclean {clean}\nrobust {robust} ({:.2} to {:.2})",
        origin.word(),
        100.0 * low,
        100.0 * high
    )
}

/// Circle for searched, triangle for random, square for hand-made networks; about the same area each.
pub(super) fn marker(svg: &mut Svg, kind: OriginKind, (x, y): (f64, f64), fill: &str, stroke: Stroke<'_>) {
    match kind {
        OriginKind::Searched => svg.circle((x, y), MARKER, fill, stroke),
        OriginKind::Random => {
            let (half, up, down) = (MARKER * 1.15, MARKER * 1.25, MARKER * 0.75);
            svg.polygon(&[(x, y - up), (x + half, y + down), (x - half, y + down)], fill, stroke)
        }
        OriginKind::HandMade => {
            let half = MARKER * 0.9;
            svg.rect(x - half, y - half, 2.0 * half, 2.0 * half, 0.0, fill, stroke)
        }
    };
}

/// What networks of no run have for a marker.
fn diamond(svg: &mut Svg, (x, y): (f64, f64), fill: &str, stroke: Stroke<'_>) {
    let half = MARKER * 1.25;
    svg.polygon(&[(x, y - half), (x + half, y), (x, y + half), (x - half, y)], fill, stroke);
}

/// A filled diamond and a hollow one.
pub(super) fn diamonds(svg: &mut Svg, x: f64, y: f64) {
    diamond(svg, (x + 5.0, y), INK, Stroke::NONE);
    diamond(svg, (x + 19.0, y), "#ffffff", Stroke::solid(INK, 1.6));
}

/// What the legend calls networks of no run.
pub(super) const OTHERS: &str = "of no run, attacked alike";

/// Rows of samples and words, written downwards.
pub(super) struct Legend<'a> {
    pub(super) svg: &'a mut Svg,
    pub(super) x: f64,
    pub(super) y: f64,
    pub(super) width: f64,
}

impl Legend<'_> {
    /// A sample drawn at `(x, y)` and its meaning.
    pub(super) fn row(&mut self, text: &str, sample: impl Fn(&mut Svg, f64, f64)) {
        sample(self.svg, self.x, self.y);
        self.words(self.x + 32.0, INK, text);
    }

    fn note(&mut self, text: &str) {
        self.words(self.x, FAINT, text);
    }

    fn gap(&mut self) {
        self.y += LINE / 2.0;
    }

    pub(super) fn words(&mut self, x: f64, colour: &str, text: &str) {
        self.svg.text(x, self.y + 4.5, TEXT, Anchor::Start, colour, &clip(text, self.width - MARGIN - x));
        self.y += LINE;
    }
}

/// Origins and what they are called.
const ORIGINS: [(OriginKind, &str); 3] = [
    (OriginKind::Searched, "searched"),
    (OriginKind::Random, "random control"),
    (OriginKind::HandMade, "hand-made control"),
];

/// Where the legend is: right of the plot, or below it.
struct Beside<'a> {
    narrow: bool,
    left: f64,
    x: f64,
    y: f64,
    style: &'a Style,
}

impl Beside<'_> {
    fn full(&self, svg: &mut Svg, frontier: &Frontier) {
        let mut legend = Legend { svg, x: self.x, y: self.y, width: self.style.width };
        for (i, run) in frontier.runs.iter().enumerate() {
            legend.row(&run.name, |svg, x, y| {
                let stroke = Stroke::with(self.style.colour(i), 3.0, self.style.dashes(i));
                svg.line((x, y), (x + 24.0, y), stroke);
            });
            let volume = format!("seed {}, hypervolume {:.4}", run.seed, run.hypervolume.searched);
            legend.words(self.x + 32.0, FAINT, &volume);
        }
        legend.gap();
        for (kind, text) in ORIGINS {
            legend.row(text, |svg, x, y| markers(svg, kind, x, y));
        }
        if !frontier.networks.is_empty() {
            legend.row(OTHERS, diamonds);
        }
        legend.note("filled: robust; hollow: clean");
        legend.gap();
        for (stroke, text) in lines(FAINT, None, frontier.runs.len() > 1)
            .into_iter()
            .zip(["best searched, robust", "best searched, clean"])
        {
            legend.row(text, |svg, x, y| step(svg, stroke, x, y));
        }
        legend.gap();
        legend.note("hypervolume of the searched networks");
        legend.note(&format!("from {} MACs and 0 % accuracy", short(frontier.reference.macs)));
    }

    /// Rows of samples and words across the figure; returns their height. Without a drawing it only measures.
    fn short(&self, frontier: &Frontier, mut svg: Option<&mut Svg>) -> f64 {
        if !self.narrow {
            return 0.0;
        }
        type Sample<'s> = Box<dyn Fn(&mut Svg, f64, f64) + 's>;
        let mut items: Vec<(&str, Sample<'_>)> = Vec::new();
        let several = frontier.runs.len() > 1;
        for (i, run) in frontier.runs.iter().enumerate().filter(|_| several) {
            let stroke = Stroke::with(self.style.colour(i), 2.0, self.style.dashes(i));
            items.push((
                &run.name,
                Box::new(move |svg, x, y| {
                    let _ = svg.line((x, y), (x + 24.0, y), stroke);
                }),
            ));
        }
        for (kind, text) in ORIGINS {
            items.push((text, Box::new(move |svg, x, y| markers(svg, kind, x, y))));
        }
        if !frontier.networks.is_empty() {
            items.push((OTHERS, Box::new(diamonds)));
        }
        for (stroke, text) in lines(FAINT, None, several).into_iter().zip(["best robust", "best clean"]) {
            items.push((text, Box::new(move |svg, x, y| step(svg, stroke, x, y))));
        }
        items.push(("filled: robust, hollow: clean", Box::new(|_, _, _| {})));
        let (mut x, mut y) = (self.left, self.y);
        for (i, (text, sample)) in items.iter().enumerate() {
            let indent = if i + 1 == items.len() { 0.0 } else { 32.0 };
            let wide = indent + text_width(text, TEXT);
            if x > self.left && x + wide > self.style.width - self.left {
                (x, y) = (self.left, y + LINE);
            }
            if let Some(svg) = svg.as_deref_mut() {
                sample(svg, x, y);
                let words = clip(text, self.style.width - self.left - x - indent);
                svg.text(x + indent, y + 4.5, TEXT, Anchor::Start, INK, &words);
            }
            x += wide + 14.0;
        }
        y - self.y + LINE
    }
}

/// A filled marker and a hollow one.
fn markers(svg: &mut Svg, kind: OriginKind, x: f64, y: f64) {
    marker(svg, kind, (x + 5.0, y), FAINT, Stroke::NONE);
    marker(svg, kind, (x + 19.0, y), "#ffffff", Stroke::solid(FAINT, 1.6));
}

/// A step of a line.
fn step(svg: &mut Svg, stroke: Stroke<'_>, x: f64, y: f64) {
    svg.polyline(&[(x, y + 4.0), (x + 10.0, y + 4.0), (x + 10.0, y - 4.0), (x + 24.0, y - 4.0)], stroke);
}

/// A text cut with an ellipsis where it would leave the picture.
fn clip(text: &str, width: f64) -> String {
    if text_width(text, TEXT) <= width {
        return text.to_owned();
    }
    let mut kept: String = text.to_owned();
    while !kept.is_empty() && text_width(&kept, TEXT) + text_width("...", TEXT) > width {
        kept.pop();
    }
    kept + "..."
}

/// A count in at most four digits and a unit: `20M`, `1.5G`.
pub fn short(value: f64) -> String {
    let units = [(1e9, "G"), (1e6, "M"), (1e3, "k")];
    let (unit, letter) = units.into_iter().find(|(unit, _)| value >= *unit).unwrap_or((1.0, ""));
    let text = format!("{:.2}", value / unit);
    format!("{}{letter}", text.trim_end_matches('0').trim_end_matches('.'))
}
