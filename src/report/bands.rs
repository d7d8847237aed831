//! The picture of several runs of a configuration that differ in their seeds: at each budget the mean of the runs' best networks
//! and how far they spread, so that a difference between two searches can be held against the luck of a seed.

use super::axes::{Axes, counted};
use super::figure::{Figure, comma_separated};
use super::frame::Frame;
use super::frontier::Frontier;
use super::legend::{Legend, OTHERS};
use super::marks::{diamonds, marker};
use super::plot::measured;
use super::protocol::Split;
use super::ranked::Ranked;
use super::spread::{Spread, SpreadLine};
use super::style::{FAINT, LINE, MOST, Style, tint};
use super::svg::{Stroke, Svg};
use crate::error::{Error, Result};
use crate::record::OriginKind;

/// How far apart the whiskers of two kinds stand at a budget.
const APART: f64 = 5.0;

/// Runs of several seeds under one name.
#[derive(Clone, Debug, PartialEq)]
pub struct Band {
    /// What they are called.
    pub name: String,
    /// Their best networks.
    pub spread: Spread,
}

impl Band {
    /// Of the rankings of some runs, on one split.
    pub fn of(name: &str, runs: &[&Ranked], split: Split) -> Self {
        Band { name: name.to_owned(), spread: Spread::of(runs, split) }
    }

    /// What the band's legend says beside its name.
    fn seeds(&self) -> String {
        let seeds: Vec<String> = self.spread.seeds.iter().map(ToString::to_string).collect();
        format!("{} {}", if seeds.len() == 1 { "seed" } else { "seeds" }, seeds.join(", "))
    }

    fn of_kind(&self, kind: OriginKind) -> impl DoubleEndedIterator<Item = &SpreadLine> {
        self.spread.lines.iter().filter(move |line| line.kind == kind)
    }
}

/// Draws bands of robust accuracy over budgets. `frontier` has all of their runs, whose protocol it has found to be one.
///
/// # Errors
/// [`Error::Usage`] for more bands than there are colours, and where nothing was measured.
pub fn figure(frontier: &Frontier, bands: &[Band], style: &Style) -> Result<Figure> {
    if bands.len() > MOST {
        let n = bands.len();
        return Err(Error::Usage(format!("{n} bands on one picture; at most {MOST} can be told apart")));
    }
    let caption = match style.titled {
        true => Vec::new(),
        false => said(frontier).into_iter().chain([counted(frontier)]).collect(),
    };
    Ok(Figure { svg: draw(frontier, bands, style)?, csv: Some(csv(bands)?), caption })
}

fn said(frontier: &Frontier) -> Vec<String> {
    let mut said = measured(frontier, "best network of each run at a budget, chosen by validation");
    said.push(
        "lines are means over the seeds; bands and whiskers reach from the least to the most robust run".to_owned(),
    );
    said
}

fn draw(frontier: &Frontier, bands: &[Band], style: &Style) -> Result<Svg> {
    let frame = Frame::new(style, "Robust accuracy over cost, several seeds", &said(frontier));
    let rows = bands.len() * 2 + OriginKind::ALL.len() + usize::from(!frontier.networks.is_empty());
    let mut svg = frame.picture(if frame.narrow { 76.0 + rows as f64 * LINE } else { 72.0 });
    let Some(axes) = Axes::over(frontier, frame.across(), frame.up()) else {
        return Err(Error::Usage("no candidate of these runs may be ranked; there is nothing to draw".to_owned()));
    };
    axes.draw(&mut svg, frontier, frame.narrow);
    let coloured = || bands.iter().enumerate().map(|(i, band)| (i, band, style.colour(i)));
    for (_, band, colour) in coloured() {
        filled(&mut svg, &axes, band, &tint(colour));
    }
    for kind in OriginKind::ALL.into_iter().rev() {
        for (i, band, colour) in coloured() {
            line(&mut svg, &axes, band, kind, (colour, i as f64 - (bands.len() - 1) as f64 / 2.0));
        }
    }
    axes.networks(&mut svg, frontier);
    let mut legend = Legend::beside(&mut svg, &frame);
    let x = legend.x;
    for (_, band, colour) in coloured() {
        legend.row(&band.name, |svg, x, y| {
            svg.rect(x, y - 5.0, 24.0, 10.0, 0.0, &tint(colour), Stroke::NONE);
            svg.line((x, y), (x + 24.0, y), Stroke::solid(colour, 2.0));
        });
        legend.words(x + 32.0, FAINT, &band.seeds());
    }
    for kind in OriginKind::ALL {
        let words = match kind {
            OriginKind::Searched => "best searched network",
            OriginKind::Random => "best random control",
            OriginKind::HandMade => "hand-made control",
        };
        legend.row(words, |svg, x, y| {
            svg.line((x, y), (x + 24.0, y), stroke(FAINT, kind));
            marker(svg, kind, (x + 12.0, y), FAINT, Stroke::NONE);
        });
    }
    if !frontier.networks.is_empty() {
        legend.row(OTHERS, diamonds);
    }
    Ok(svg)
}

/// From the least to the most robust searched network, budget by budget.
fn filled(svg: &mut Svg, axes: &Axes, band: &Band, tint: &str) {
    let ends = |line: &SpreadLine| (axes.x(line.budget), line.ends());
    let upper = band.of_kind(OriginKind::Searched).map(|line| (ends(line).0, axes.y(ends(line).1.1)));
    let lower = band.of_kind(OriginKind::Searched).rev().map(|line| (ends(line).0, axes.y(ends(line).1.0)));
    let outline: Vec<(f64, f64)> = upper.chain(lower).collect();
    if outline.len() > 2 {
        svg.polygon(&outline, tint, Stroke::NONE);
    }
}

/// The means of a kind, with whiskers; `place` counts bands from the middle one.
fn line(svg: &mut Svg, axes: &Axes, band: &Band, kind: OriginKind, (colour, place): (&str, f64)) {
    let side = match kind {
        OriginKind::Searched => 0.0,
        OriginKind::Random => -1.0,
        OriginKind::HandMade => 1.0,
    };
    let x = |line: &SpreadLine| axes.x(line.budget) + APART * (3.0 * place + side);
    let path: Vec<(f64, f64)> = band.of_kind(kind).map(|line| (x(line), axes.y(line.mean()))).collect();
    svg.polyline(&path, stroke(colour, kind));
    for (line, at) in band.of_kind(kind).zip(&path) {
        let (low, high) = line.ends();
        svg.line((at.0, axes.y(low)), (at.0, axes.y(high)), Stroke::solid(colour, 1.0));
        marker(svg, kind, *at, colour, Stroke::solid("#ffffff", 0.8));
    }
}

fn stroke(colour: &str, kind: OriginKind) -> Stroke<'_> {
    match kind {
        OriginKind::Searched => Stroke::solid(colour, 2.0),
        OriginKind::Random => Stroke::with(colour, 1.0, Some("6 3")),
        OriginKind::HandMade => Stroke::with(colour, 1.0, Some("2 3")),
    }
}

/// A line a band, kind and budget.
fn csv(bands: &[Band]) -> Result<String> {
    let lines = bands.iter().flat_map(|band| band.spread.lines.iter().map(move |line| (band, line)));
    let rows = lines.map(|(band, line)| {
        let (low, high) = line.ends();
        let sd = line.robust_moments.map_or(String::new(), |moments| moments.sd.to_string());
        let numbers = [line.mean(), low, high].map(|share| share.to_string());
        let words =
            [band.name.clone(), line.kind.word().to_owned(), line.budget.0.to_string(), line.robust.len().to_string()];
        words.into_iter().chain(numbers).chain([sd]).collect()
    });
    comma_separated("runs,kind,budget,seeds,robust_mean,robust_least,robust_most,robust_sd", rows)
}
