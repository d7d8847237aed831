//! The picture of populations: the distribution of errors of every space, on clean images and under attack.

use super::axis::Axis;
use super::figure::{Figure, comma_separated};
use super::population::{PopulationReport, Space};
use super::style::{FAINT, GRID, INK, LINE, MOST, Style, TEXT};
use super::svg::{Anchor, Stroke, Svg, wrap};
use crate::error::{Error, Result};
use crate::population::{Images, edf};

const MARGIN: f64 = 24.0;
const PANEL_HEIGHT: f64 = 340.0;
/// Between the panels; the second one's labels are in it.
const GAP: f64 = 70.0;

/// Draws the distributions as SVG: one panel for clean images, one for attacked ones, a step line a space; a dot on
/// each line marks its mean, with the 95 % interval as a bar below the panel. The same document gives the same bytes.
///
/// # Errors
/// [`Error::Usage`] for more spaces than there are colours.
pub fn draw(report: &PopulationReport) -> Result<String> {
    Ok(figure(report, &Style::default())?.svg.finish())
}

/// The same in a style, with its numbers.
///
/// # Errors
/// As [`draw`].
pub fn figure(report: &PopulationReport, style: &Style) -> Result<Figure> {
    if report.spaces.len() > MOST {
        let spaces = report.spaces.len();
        return Err(Error::Usage(format!("{spaces} spaces on one picture; at most {MOST} can be told apart")));
    }
    let narrow = style.is_narrow();
    let (margin, columns) = if narrow { (6.0, 1) } else { (MARGIN, 2) };
    let titles = if style.titled { titles(report, style.width - 2.0 * margin) } else { Vec::new() };
    let caption = if style.titled { Vec::new() } else { said_of(report).to_vec() };
    let top = margin + titles.len() as f64 * LINE + if narrow { 20.0 } else { 34.0 };
    let bars = report.spaces.len() as f64 * LINE;
    // A panel, the bars below it, and its labels.
    let height = PANEL_HEIGHT + 62.0 + bars;
    let legend = top + (2 / columns) as f64 * height + if narrow { 30.0 } else { 0.0 };
    let mut svg = Svg::new(style.width, legend + report.spaces.len() as f64 * LINE + margin);
    for (i, (title, size)) in titles.iter().enumerate() {
        let colour = if i == 0 { INK } else { FAINT };
        svg.text(margin, margin + 8.0 + i as f64 * LINE, *size, Anchor::Start, colour, title);
    }
    let width = if narrow {
        style.width - 2.0 * margin - 46.0 - 10.0
    } else {
        (style.width - 2.0 * margin - 2.0 * 46.0 - GAP + 46.0) / 2.0
    };
    for (i, images) in Images::ALL.into_iter().enumerate() {
        let left = margin + 46.0 + (i % columns) as f64 * (width + GAP);
        let above = top + (i / columns) as f64 * (height + 30.0);
        Panel::over(report, images, (left, left + width), (above + PANEL_HEIGHT, above)).draw(&mut svg, report, style);
    }
    for (i, space) in report.spaces.iter().enumerate() {
        let y = legend + i as f64 * LINE;
        svg.line((margin, y), (margin + 24.0, y), Stroke::with(style.colour(i), 3.0, style.dashes(i)));
        let text = if narrow {
            let (clean, attacked) = (100.0 * space.clean.mean, 100.0 * space.attacked.mean);
            format!("{}: {clean:.1} % clean, {attacked:.1} % attacked", space.name)
        } else {
            format!(
                "{}: {} networks, mean error {:.1} % clean, {:.1} % attacked",
                space.name,
                space.networks.len(),
                100.0 * space.clean.mean,
                100.0 * space.attacked.mean
            )
        };
        svg.text(margin + 32.0, y + 4.5, TEXT, Anchor::Start, INK, &text);
    }
    Ok(Figure { svg, csv: Some(csv(report)?), caption })
}

/// A line a network: what the distributions are made of.
fn csv(report: &PopulationReport) -> Result<String> {
    let networks = report.spaces.iter().flat_map(|space| space.networks.iter().map(move |network| (space, network)));
    let rows = networks.map(|(space, network)| {
        let member = &network.member;
        let errors = Images::ALL.map(|images| member.error(images).to_string());
        let first =
            [space.name.clone(), member.index.to_string(), member.macs.0.to_string(), network.weight.to_string()];
        first.into_iter().chain(errors).collect()
    });
    comma_separated("space,network,macs,weight,error_clean,error_attacked", rows)
}

/// The lines over the panels with their sizes.
fn titles(report: &PopulationReport, width: f64) -> Vec<(String, f64)> {
    let small = said_of(report);
    let lines = small.iter().flat_map(|text| wrap(text, TEXT, width)).map(|line| (line, TEXT));
    std::iter::once(("Error distributions of design spaces".to_owned(), 18.0)).chain(lines).collect()
}

/// What networks were trained and measured on.
fn said_of(report: &PopulationReport) -> [String; 3] {
    let (m, s) = (&report.method, &report.method.sample);
    let weights = match report.matched_bins {
        None => "every network weighs the same".to_owned(),
        Some(bins) => format!("weights match the spaces' multiply-accumulates over {bins} bins"),
    };
    let on =
        format!("{} {} split, n = {} images (content {}, indices {})", s.data, s.split, s.n, s.data_id, s.index_id);
    let trained = format!("trained {} epochs on {} images: {}; {weights}", m.epochs, m.samples, m.training);
    let attacked = format!(
        "attacked = wrong clean or under any of: {}; bars are 95 % bootstrap intervals of the mean",
        m.attacks.join(", ")
    );
    [on, trained, attacked]
}

/// One panel: errors in per cent across, the share of networks with a smaller error upwards.
struct Panel {
    images: Images,
    error: Axis,
    share: Axis,
}

impl Panel {
    /// A panel around all errors on some images, never narrower than ten points.
    fn over(report: &PopulationReport, images: Images, across: (f64, f64), up: (f64, f64)) -> Self {
        let errors: Vec<f64> = report.spaces.iter().flat_map(|s| s.errors(images)).map(|e| 100.0 * e).collect();
        let lowest = errors.iter().copied().fold(100.0, f64::min);
        let highest = errors.iter().copied().fold(0.0, f64::max);
        let low = ((lowest - 1.0) / 5.0).floor().max(0.0) * 5.0;
        let high = (((highest + 1.0) / 5.0).ceil() * 5.0).min(100.0).max(low + 10.0);
        Panel {
            images,
            error: Axis { values: (low, high), pixels: across, log: false },
            share: Axis { values: (0.0, 1.0), pixels: up, log: false },
        }
    }

    fn draw(&self, svg: &mut Svg, report: &PopulationReport, style: &Style) {
        let ((left, right), (bottom, top)) = (self.error.pixels, self.share.pixels);
        for tick in self.share.ticks() {
            let y = self.share.at(tick);
            svg.line((left, y), (right, y), Stroke::solid(GRID, 1.0));
            svg.text(left - 8.0, y + 4.5, TEXT, Anchor::End, INK, &format!("{tick:.1}"));
        }
        for tick in self.error.ticks() {
            let x = self.error.at(tick);
            svg.line((x, top), (x, bottom), Stroke::solid(GRID, 1.0));
            svg.line((x, bottom), (x, bottom + 5.0), Stroke::solid(INK, 1.0));
            svg.text(x, bottom + 20.0, TEXT, Anchor::Middle, INK, &format!("{tick:.0}"));
        }
        svg.line((left, bottom), (right, bottom), Stroke::solid(INK, 1.0));
        svg.line((left, top), (left, bottom), Stroke::solid(INK, 1.0));
        let share = if style.is_narrow() { "share" } else { "share of networks" };
        let (images, on) = match self.images {
            Images::Clean => ("clean images", "error on clean images, %"),
            Images::Attacked => ("under attack", "error under attack, %"),
        };
        let what = format!("{share} with a smaller error, {images}");
        svg.text(left - 30.0, top - 14.0, TEXT, Anchor::Start, INK, &what);
        svg.text((left + right) / 2.0, bottom + 40.0, TEXT, Anchor::Middle, INK, on);
        for (i, space) in report.spaces.iter().enumerate() {
            let stroke = Stroke::with(style.colour(i), 2.0, style.dashes(i));
            self.steps(svg, space, stroke);
            let summary = space.summary(self.images);
            let y = bottom + 58.0 + i as f64 * LINE;
            let x = |error: f64| self.error.at(100.0 * error);
            let (low, high) = (summary.mean_interval.low, summary.mean_interval.high);
            svg.line((x(low), y), (x(high), y), stroke);
            svg.circle((x(summary.mean), y), 4.5, stroke.colour, Stroke::solid("#ffffff", 0.8));
        }
    }

    /// The distribution's steps, from the left end to the right one.
    fn steps(&self, svg: &mut Svg, space: &Space, stroke: Stroke<'_>) {
        let mut path = vec![(self.error.pixels.0, self.share.at(0.0))];
        let mut level = self.share.at(0.0);
        for (error, share) in edf(&space.errors(self.images), &space.weights()) {
            let x = self.error.at(100.0 * error);
            path.push((x, level));
            level = self.share.at(share);
            path.push((x, level));
        }
        path.push((self.error.pixels.1, level));
        svg.polyline(&path, stroke);
    }
}
