//! The picture of a study: every network a dot, every kind a row, with its mean and interval.

use super::facts::Compared;
use super::{Network, SearchesReport};
use crate::error::Result;
use crate::report::axis::Axis;
use crate::report::figure::{Figure, comma_separated};
use crate::report::style::{FAINT, GRID, INK, LINE, Style, TEXT};
use crate::report::svg::{Anchor, Stroke, Svg, text_width, wrap};
use crate::study::Moments;

const MARGIN: f64 = 24.0;
/// Between two rows of dots.
const ROW: f64 = 72.0;
/// How far dots of a row are spread upwards and downwards, so that they do not hide each other.
const SPREAD: f64 = 17.0;
const LABELS: f64 = 170.0;

/// A row: its name and its networks, each with its trainings.
struct Row<'a> {
    name: String,
    networks: Vec<&'a Network>,
}

/// Draws the study as SVG. The same document gives the same bytes.
///
/// # Errors
/// [`crate::error::Error::NotFinite`] for a number that is none.
pub fn draw(report: &SearchesReport) -> Result<String> {
    Ok(figure(report, &Style::default())?.svg.finish())
}

/// The same in a style, with its numbers.
///
/// # Errors
/// As [`draw`].
pub fn figure(report: &SearchesReport, style: &Style) -> Result<Figure> {
    let rows = rows(report);
    let (margin, labels) = if style.is_narrow() { (6.0, 150.0) } else { (MARGIN, LABELS) };
    let room = style.width - 2.0 * margin;
    let verdicts = report.verdicts();
    let (mut titles, mut below, mut caption) = (Vec::new(), Vec::new(), Vec::new());
    if style.titled {
        let small = said_of(report);
        titles.push((name(report), 18.0));
        titles.extend(small.iter().flat_map(|text| wrap(text, TEXT, room)).map(|line| (line, TEXT)));
        below = verdicts.iter().flat_map(|sentence| wrap(sentence, TEXT, room)).collect();
    } else {
        caption.push(name(report));
        caption.extend(said_of(report).into_iter().chain(verdicts));
    }
    let top = margin + titles.len() as f64 * LINE + 12.0;
    let bottom = top + rows.len() as f64 * ROW;
    let height = bottom + 46.0 + if style.titled { 10.0 + below.len() as f64 * LINE + margin } else { 0.0 };
    let mut svg = Svg::new(style.width, height);
    for (i, (title, size)) in titles.iter().enumerate() {
        let colour = if i == 0 { INK } else { FAINT };
        svg.text(margin, margin + 8.0 + i as f64 * LINE, *size, Anchor::Start, colour, title);
    }
    let axis = axis(&rows, (margin + labels, style.width - margin.max(14.0)));
    let mut free = f64::NEG_INFINITY;
    for tick in axis.ticks() {
        let (x, label) = (axis.at(tick), format!("{tick}"));
        svg.line((x, top), (x, bottom), Stroke::solid(GRID, 1.0));
        let half = text_width(&label, TEXT) / 2.0;
        if x - half >= free {
            svg.text(x, bottom + 18.0, TEXT, Anchor::Middle, INK, &label);
            free = x + half + 4.0;
        }
    }
    let middle = (axis.pixels.0 + axis.pixels.1) / 2.0;
    let what = if style.is_narrow() { "robust accuracy, %" } else { "robust accuracy on test images, %" };
    svg.text(middle, bottom + 38.0, TEXT, Anchor::Middle, INK, what);
    for (i, row) in rows.iter().enumerate() {
        row.draw(&mut svg, &axis, (margin, top + (i as f64 + 0.5) * ROW), style.colour(i))?;
    }
    for (i, line) in below.iter().enumerate() {
        svg.text(margin, bottom + 64.0 + i as f64 * LINE, TEXT, Anchor::Start, INK, line);
    }
    Ok(Figure { svg, csv: Some(csv(&rows)?), caption })
}

/// A line a training.
fn csv(rows: &[Row<'_>]) -> Result<String> {
    let networks =
        rows.iter().flat_map(|row| row.networks.iter().enumerate().map(move |(i, network)| (row, i, network)));
    let trainings = networks.flat_map(|(row, i, network)| {
        let known = network.robust.iter().enumerate();
        known.filter_map(move |(training, robust)| {
            let robust = (*robust)?;
            Some(vec![row.name.clone(), i.to_string(), training.to_string(), robust.to_string()])
        })
    });
    comma_separated("kind,network,training,robust", trainings)
}

fn name(report: &SearchesReport) -> String {
    format!("Study {}: searched and random networks", report.about.name)
}

/// What networks were trained and measured on, and what the picture shows of them.
fn said_of(report: &SearchesReport) -> Vec<String> {
    let about = &report.about;
    let kind = format!("{} MACs within {:.1} %, {}", about.budget, 100.0 * about.tolerance, about.data);
    let mut small = vec![
        format!("{kind}; trained by {}; attacked by {}", about.training, about.attacks.join(", ")),
        "a dot is a network (the mean of its trainings, the line from the lowest to the highest); bars are 95 % intervals \
         of the mean"
            .to_owned(),
    ];
    if !report.missing.is_empty() {
        small.push(format!("not finished: {} are missing", report.missing.join(", ")));
    }
    small
}

/// Rows that have something to show.
fn rows(report: &SearchesReport) -> Vec<Row<'_>> {
    let of = |name: String, is: &dyn Fn(&Compared) -> bool| Row {
        name,
        networks: report.networks.iter().filter(|n| is(&n.of) && n.mean().is_some()).collect(),
    };
    let mut rows = vec![
        of("random".into(), &|of| matches!(of, Compared::Random { .. })),
        of("hand-made".into(), &|of| *of == Compared::HandMade),
    ];
    for strategy in &report.strategies {
        let name = format!("found by {}", strategy.method.word());
        rows.push(of(name, &|of| matches!(of, Compared::Found(id) if id.method == strategy.method)));
    }
    rows.retain(|row| !row.networks.is_empty());
    rows
}

/// Around all numbers, in percent, never narrower than two points.
fn axis(rows: &[Row<'_>], pixels: (f64, f64)) -> Axis {
    let all: Vec<f64> =
        rows.iter().flat_map(|r| &r.networks).flat_map(|n| n.robust.iter().flatten()).map(|r| 100.0 * r).collect();
    let low = all.iter().copied().fold(100.0, f64::min).floor();
    let high = all.iter().copied().fold(0.0, f64::max).ceil();
    Axis { values: (low.min(98.0), high.max(low.min(98.0) + 2.0)), pixels, log: false }
}

impl Row<'_> {
    fn draw(&self, svg: &mut Svg, axis: &Axis, (left, y): (f64, f64), colour: &str) -> Result<()> {
        let percent = |share: f64| axis.at(100.0 * share);
        // A row of one network is about its trainings.
        let one = self.networks.len() == 1;
        let dots: Vec<f64> = match self.networks[..] {
            [network] => network.robust.iter().flatten().copied().collect(),
            _ => self.networks.iter().filter_map(|n| n.mean()).collect(),
        };
        let n = dots.len();
        for (i, dot) in dots.iter().enumerate() {
            let at = y - 6.0 + SPREAD * ((i * 7 % n.max(1)) as f64 / n.max(2) as f64 - 0.5);
            if !one {
                let known = || self.networks[i].robust.iter().flatten().copied();
                let ends = (known().fold(1.0, f64::min), known().fold(0.0, f64::max));
                svg.line((percent(ends.0), at), (percent(ends.1), at), Stroke::solid(colour, 1.0));
            }
            svg.circle((percent(*dot), at), 4.0, colour, Stroke::solid("#ffffff", 0.8));
        }
        let mut label = format!("{n} {}", if one { "trainings" } else { "networks" });
        if n > 1 {
            let moments = Moments::of(&dots)?;
            let reach = interval(&moments);
            let bar = y + 18.0;
            // Of two networks it may be wider than the picture, where it ends at the edge.
            let edges = (axis.pixels.0 - 8.0, axis.pixels.1 + 8.0);
            let end = |share: f64| (percent(share).clamp(edges.0, edges.1), bar);
            svg.line(end(moments.mean - reach), end(moments.mean + reach), Stroke::solid(INK, 2.0));
            svg.circle((percent(moments.mean), bar), 4.5, colour, Stroke::solid(INK, 1.2));
            label = format!("{label}, mean {:.2} %", 100.0 * moments.mean);
        }
        svg.text(left, y - 6.0, TEXT, Anchor::Start, INK, &self.name);
        svg.text(left, y + 12.0, TEXT, Anchor::Start, FAINT, &label);
        Ok(())
    }
}

/// Half of the 95 % interval of a mean, by Student's distribution.
fn interval(moments: &Moments) -> f64 {
    use statrs::distribution::{ContinuousCDF, StudentsT};
    let student = StudentsT::new(0.0, 1.0, (moments.n - 1) as f64);
    student.map_or(0.0, |student| student.inverse_cdf(0.5 + crate::study::CONFIDENCE / 2.0))
        * moments.error_squared().sqrt()
}
