//! The picture of populations: the distribution of errors of every space, on clean images and under attack.

use super::axis::Axis;
use super::plot::{COLOURS, FAINT, GRID, INK};
use super::population::{PopulationReport, Space};
use super::svg::{Anchor, Stroke, Svg, wrap};
use crate::error::{Error, Result};
use crate::population::{Images, edf};

const WIDTH: f64 = 1040.0;
const MARGIN: f64 = 24.0;
const TEXT: f64 = 13.0;
const LINE: f64 = 19.0;
const PANEL_HEIGHT: f64 = 340.0;
/// Between the panels; the second one's labels are in it.
const GAP: f64 = 70.0;

/// Draws the distributions as SVG: one panel for clean images, one for attacked ones, a step line a space; a dot on
/// each line marks its mean, with the 95 % interval as a bar below the panel. The same document gives the same bytes.
///
/// # Errors
/// [`Error::Usage`] for more spaces than there are colours.
pub fn draw(report: &PopulationReport) -> Result<String> {
    if report.spaces.len() > COLOURS.len() {
        let (spaces, most) = (report.spaces.len(), COLOURS.len());
        return Err(Error::Usage(format!("{spaces} spaces on one picture; at most {most} can be told apart")));
    }
    let titles = titles(report);
    let top = MARGIN + titles.len() as f64 * LINE + 34.0;
    let bars = report.spaces.len() as f64 * LINE;
    let legend = top + PANEL_HEIGHT + 62.0 + bars;
    let mut svg = Svg::new(WIDTH, legend + report.spaces.len() as f64 * LINE + MARGIN);
    for (i, (title, size)) in titles.iter().enumerate() {
        let colour = if i == 0 { INK } else { FAINT };
        svg.text(MARGIN, MARGIN + 8.0 + i as f64 * LINE, *size, Anchor::Start, colour, title);
    }
    let width = (WIDTH - 2.0 * MARGIN - 2.0 * 46.0 - GAP + 46.0) / 2.0;
    for (i, images) in Images::ALL.into_iter().enumerate() {
        let left = MARGIN + 46.0 + i as f64 * (width + GAP);
        Panel::over(report, images, (left, left + width), (top + PANEL_HEIGHT, top)).draw(&mut svg, report);
    }
    for (i, (space, colour)) in report.spaces.iter().zip(COLOURS).enumerate() {
        let y = legend + i as f64 * LINE;
        svg.line((MARGIN, y), (MARGIN + 24.0, y), Stroke::solid(colour, 3.0));
        let text = format!(
            "{}: {} networks, mean error {:.1} % clean, {:.1} % attacked",
            space.name,
            space.networks.len(),
            100.0 * space.clean.mean,
            100.0 * space.attacked.mean
        );
        svg.text(MARGIN + 32.0, y + 4.5, TEXT, Anchor::Start, INK, &text);
    }
    Ok(svg.finish())
}

/// The lines over the panels with their sizes.
fn titles(report: &PopulationReport) -> Vec<(String, f64)> {
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
    let small = [on, trained, attacked];
    let lines = small.iter().flat_map(|text| wrap(text, TEXT, WIDTH - 2.0 * MARGIN)).map(|line| (line, TEXT));
    std::iter::once(("Error distributions of design spaces".to_owned(), 18.0)).chain(lines).collect()
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

    fn draw(&self, svg: &mut Svg, report: &PopulationReport) {
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
        let (what, on) = match self.images {
            Images::Clean => ("share of networks with a smaller error, clean images", "error on clean images, %"),
            Images::Attacked => ("share of networks with a smaller error, under attack", "error under attack, %"),
        };
        svg.text(left - 30.0, top - 14.0, TEXT, Anchor::Start, INK, what);
        svg.text((left + right) / 2.0, bottom + 40.0, TEXT, Anchor::Middle, INK, on);
        for (i, (space, colour)) in report.spaces.iter().zip(COLOURS).enumerate() {
            self.steps(svg, space, colour);
            let summary = space.summary(self.images);
            let y = bottom + 58.0 + i as f64 * LINE;
            let x = |error: f64| self.error.at(100.0 * error);
            let (low, high) = (summary.mean_interval.low, summary.mean_interval.high);
            svg.line((x(low), y), (x(high), y), Stroke::solid(colour, 2.0));
            svg.circle((x(summary.mean), y), 4.5, colour, Stroke::solid("#ffffff", 0.8));
        }
    }

    /// The distribution's steps, from the left end to the right one.
    fn steps(&self, svg: &mut Svg, space: &Space, colour: &str) {
        let mut path = vec![(self.error.pixels.0, self.share.at(0.0))];
        let mut level = self.share.at(0.0);
        for (error, share) in edf(&space.errors(self.images), &space.weights()) {
            let x = self.error.at(100.0 * error);
            path.push((x, level));
            level = self.share.at(share);
            path.push((x, level));
        }
        path.push((self.error.pixels.1, level));
        svg.polyline(&path, Stroke::solid(colour, 2.0));
    }
}
