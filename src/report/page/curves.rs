//! What the epochs of a search and of the trainings behind it were like.

use crate::arch::file::short;
use crate::record::{Outcome, SearchEpoch};
use crate::report::panel::{Curve, EDGE, Panel};
use crate::report::ranked::{Entry, Ranked, RankedBudget};
use crate::report::style::{FAINT, INK, MOST, Style, TEXT};
use crate::report::svg::{Anchor, Stroke, Svg};

const WIDTH: f64 = 1000.0;
const HIGH: f64 = 190.0;
const BETWEEN: f64 = 74.0;

/// Accuracies and losses of the supernet, how far the architecture parameters moved beside a random walk, and the share
/// of operations without weights in the arg-max cells; none without an epoch.
pub fn curves(epochs: &[SearchEpoch]) -> Option<Svg> {
    let last = epochs.last()?.epoch;
    let of = |read: &dyn Fn(&SearchEpoch) -> Option<f64>| -> Vec<(f64, f64)> {
        epochs.iter().filter_map(|epoch| Some((f64::from(epoch.epoch), read(epoch)?))).collect()
    };
    let mean = |epoch: &SearchEpoch| {
        let shares: Vec<f64> = epoch.cells.iter().map(|cell| cell.weightless_share).collect();
        (!shares.is_empty()).then(|| 100.0 * shares.iter().sum::<f64>() / shares.len() as f64)
    };
    let panels = [
        (
            "supernet, images that are right, %",
            vec![
                ("clean", of(&|e| Some(100.0 * e.clean.rate()))),
                ("under attack", of(&|e| Some(100.0 * e.adversarial.rate()))),
            ],
        ),
        (
            "losses, mean of an epoch",
            vec![
                ("weights", of(&|e| Some(e.weight_loss))),
                ("architecture, adversarial", of(&|e| e.adversarial_loss)),
                ("architecture, natural", of(&|e| e.natural_loss)),
            ],
        ),
        (
            "architecture parameters, root mean square",
            vec![("moved", of(&|e| e.alpha_moved)), ("random walk", of(&|e| e.random_walk))],
        ),
        ("operations without weights in the arg-max cells, %", vec![("", of(&mean))]),
    ];
    let wide = (WIDTH - 3.0 * EDGE - 40.0) / 2.0;
    let mut svg = Svg::new(WIDTH, 2.0 * (HIGH + BETWEEN));
    for (i, (title, series)) in panels.iter().enumerate() {
        let left = EDGE + 10.0 + (i % 2) as f64 * (wide + EDGE + 40.0);
        let top = 44.0 + (i / 2) as f64 * (HIGH + BETWEEN);
        Panel { low: 0.0, last, best: None, style: Style::default() }.draw(
            &mut svg,
            title,
            series,
            (left, left + wide),
            (top + HIGH, top),
        );
    }
    Some(svg)
}

/// What a panel of losses leaves at the right for the names of networks.
const NAMES: f64 = 330.0;
const LINE: f64 = 22.0;

/// A network and the loss of each epoch of its training.
struct Trained {
    name: String,
    points: Vec<(f64, f64)>,
}

impl Trained {
    /// None for a network without losses.
    fn of(entry: &Entry) -> Option<Trained> {
        let Outcome::Ok { training, .. } = &entry.record.outcome else { return None };
        let rank = entry.rank.map_or("not ranked".to_owned(), |rank| format!("rank {rank}"));
        let name = format!("{rank}, {} {}", entry.record.origin.word(), short(&entry.record.arch));
        let points: Vec<(f64, f64)> = (1..).map(f64::from).zip(training.losses.iter().copied()).collect();
        (!points.is_empty()).then_some(Trained { name, points })
    }
}

/// The losses of the networks that a run trained, a panel for each budget with the first networks by rank; none where no
/// record has losses, as in those of older versions.
pub fn trainings(ranked: &Ranked) -> Option<Svg> {
    let of = |budget: &RankedBudget| budget.entries.iter().filter_map(Trained::of).collect::<Vec<_>>();
    let mut budgets: Vec<(String, Vec<Trained>)> =
        ranked.budgets.iter().map(|budget| (budget.budget.to_string(), of(budget))).collect();
    budgets.retain(|(_, networks)| !networks.is_empty());
    let points = || budgets.iter().flat_map(|(_, networks)| networks).flat_map(|network| &network.points);
    // Losses differ by little beside what they are, and an axis from 0 would make that less.
    let least = points().map(|(_, loss)| *loss).reduce(f64::min)?;
    let low = (10.0 * least - 0.5).floor().max(0.0) / 10.0;
    let last = points().map(|(epoch, _)| *epoch as u32).max()?;
    let style = Style::default();
    let mut svg = Svg::new(WIDTH, budgets.len() as f64 * (HIGH + BETWEEN));
    for (i, (budget, networks)) in budgets.iter().enumerate() {
        let (left, right) = (EDGE + 10.0, WIDTH - NAMES);
        let top = 44.0 + i as f64 * (HIGH + BETWEEN);
        let shown = &networks[..networks.len().min(MOST)];
        // Names stand beside the panel, where no curve is.
        let series: Vec<Curve<'_>> = shown.iter().map(|network| ("", network.points.clone())).collect();
        let title = format!("{budget} MACs: training loss, mean of an epoch");
        Panel { low, last, best: None, style }.draw(&mut svg, &title, &series, (left, right), (top + HIGH, top));
        for (k, network) in shown.iter().enumerate() {
            let (x, y) = (right + 22.0, top + 10.0 + k as f64 * LINE);
            svg.line((x, y - 4.0), (x + 26.0, y - 4.0), Stroke::with(style.colour(k), 2.0, style.dashes(k)));
            svg.text(x + 34.0, y, TEXT, Anchor::Start, INK, &network.name);
        }
        let more = networks.len() - shown.len();
        if more > 0 {
            let y = top + 10.0 + MOST as f64 * LINE;
            svg.text(right + 56.0, y, TEXT, Anchor::Start, FAINT, &format!("and {more} more, which are not drawn"));
        }
    }
    Some(svg)
}
