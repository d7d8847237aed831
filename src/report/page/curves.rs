//! What the epochs of a search were like.

use crate::record::SearchEpoch;
use crate::report::panel::{EDGE, Panel};
use crate::report::style::Style;
use crate::report::svg::Svg;

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
        Panel { last, best: None, style: Style::default() }.draw(
            &mut svg,
            title,
            series,
            (left, left + wide),
            (top + HIGH, top),
        );
    }
    Some(svg)
}
