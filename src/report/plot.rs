//! The picture of a frontier: accuracy over cost, several runs on one picture.

use super::axes::{Axes, counted, short};
use super::figure::{Figure, comma_separated};
use super::frame::Frame;
use super::frontier::{Frontier, FrontierPoint};
use super::legend::{Legend, OTHERS, clip};
use super::marks::{diamonds, markers, step};
use super::protocol::list;
use super::style::{FAINT, INK, LINE, MOST, Style, TEXT};
use super::svg::{Anchor, Stroke, Svg, text_width};
use crate::error::{Error, Result};
use crate::record::OriginKind;
use crate::units::{Macs, Params, Tally};

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
    let frame = Frame::new(style, "Accuracy over cost", &said_of(frontier));
    let beside = Beside { frame: &frame, style };
    let below = if frame.narrow { 70.0 + beside.short(frontier, None) } else { 72.0 };
    let mut svg = frame.picture(below);
    match Axes::over(frontier, frame.across(), frame.up()) {
        None => {
            let Frame { left, right, top, bottom, .. } = frame;
            svg.rect(left, top, right - left, bottom - top, 0.0, "none", Stroke::solid(FAINT, 1.0));
            let middle = ((left + right) / 2.0, (top + bottom) / 2.0);
            svg.text(middle.0, middle.1, TEXT, Anchor::Middle, FAINT, "no candidate that may be ranked");
        }
        Some(axes) => {
            axes.draw(&mut svg, frontier, frame.narrow);
            let places = axes.places(frontier);
            let several = frontier.runs.len() > 1;
            for (i, run) in frontier.runs.iter().enumerate() {
                axes.steps(&mut svg, run, lines(style.colour(i), style.dashes(i), several));
            }
            // Controls below, so that the searched networks stay visible where they coincide.
            for searched in [false, true] {
                for (i, (run, places)) in frontier.runs.iter().zip(&places).enumerate() {
                    let points = run.points.iter().zip(places);
                    let points = points.filter(|(p, _)| (p.origin.kind() == OriginKind::Searched) == searched);
                    points.for_each(|(point, x)| match href {
                        None => axes.point(&mut svg, point, *x, style.colour(i)),
                        Some(href) => {
                            let draw = |svg: &mut Svg| axes.point(svg, point, *x, style.colour(i));
                            svg.link(&href(i, point), &said(&run.name, point), draw);
                        }
                    });
                }
            }
            axes.networks(&mut svg, frontier);
        }
    }
    if frame.narrow {
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

/// The points, a line each, and then the networks of no run.
fn csv(frontier: &Frontier) -> Result<String> {
    let titles = "run,arch,origin,budget,macs,params,clean,robust,robust_low,robust_high,images,dominated,summary";
    let row =
        |words: [&str; 3], budget: String, counts: (Macs, Params), (clean, robust): (Tally, Tally), last: [&str; 2]| {
            let (low, high) = robust.wilson95();
            let shares = [clean.rate(), robust.rate(), low, high].map(|share| share.to_string());
            let counts = [budget, counts.0.0.to_string(), counts.1.0.to_string()];
            let words = words.map(str::to_owned).into_iter().chain(counts).chain(shares);
            words.chain([robust.total.to_string()]).chain(last.map(str::to_owned)).collect::<Vec<String>>()
        };
    let points = frontier.runs.iter().flat_map(|run| run.points.iter().map(move |point| (run, point)));
    let points = points.map(|(run, p)| {
        let last = [&p.dominated.to_string(), p.summary.as_str()];
        row(
            [&run.name, &p.arch, p.origin.word()],
            p.budget.0.to_string(),
            (p.macs, p.params),
            (p.clean, p.robust),
            last,
        )
    });
    let networks = frontier.networks.iter().map(|n| {
        let last = [&n.dominated.to_string(), n.net.as_str()];
        row([&n.name, &n.arch, "attacked"], String::new(), (n.macs, n.params), (n.clean, n.robust), last)
    });
    comma_separated(titles, points.chain(networks))
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

/// Origins and what they are called.
const ORIGINS: [(OriginKind, &str); 3] = [
    (OriginKind::Searched, "searched"),
    (OriginKind::Random, "random control"),
    (OriginKind::HandMade, "hand-made control"),
];

/// Where the legend is: right of the plot, or below it.
struct Beside<'a> {
    frame: &'a Frame,
    style: &'a Style,
}

impl Beside<'_> {
    fn full(&self, svg: &mut Svg, frontier: &Frontier) {
        let mut legend = Legend::beside(svg, self.frame);
        let x = legend.x;
        for (i, run) in frontier.runs.iter().enumerate() {
            legend.row(&run.name, |svg, x, y| {
                let stroke = Stroke::with(self.style.colour(i), 3.0, self.style.dashes(i));
                svg.line((x, y), (x + 24.0, y), stroke);
            });
            let volume = format!("seed {}, hypervolume {:.4}", run.seed, run.hypervolume.searched);
            legend.words(x + 32.0, FAINT, &volume);
        }
        legend.gap();
        for (kind, text) in ORIGINS {
            legend.row(text, |svg, x, y| markers(svg, kind, x, y));
        }
        if !frontier.networks.is_empty() {
            legend.row(OTHERS, diamonds);
        }
        legend.note("filled: robust; hollow: clean");
        legend.note("side by side: of nearly one cost");
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
        let (left, right, top) = (self.frame.margin, self.frame.end(), self.frame.bottom + 70.0);
        let (mut x, mut y) = (left, top);
        for (i, (text, sample)) in items.iter().enumerate() {
            let indent = if i + 1 == items.len() { 0.0 } else { 32.0 };
            let wide = indent + text_width(text, TEXT);
            if x > left && x + wide > right {
                (x, y) = (left, y + LINE);
            }
            if let Some(svg) = svg.as_deref_mut() {
                sample(svg, x, y);
                let words = clip(text, right - x - indent);
                svg.text(x + indent, y + 4.5, TEXT, Anchor::Start, INK, &words);
            }
            x += wide + 14.0;
        }
        y - top + LINE
    }
}
