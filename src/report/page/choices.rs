//! How sure a search is of its choices: maps of numbers from 0 to 1.

use crate::record::SearchEpoch;
use crate::report::choices::{EdgeShares, certainty};
use crate::report::svg::{Anchor, Stroke, Svg, stack, text_width};

const INK: &str = "#222222";
const TEXT: f64 = 12.0;
const ROW: f64 = 18.0;
const MARGIN: f64 = 8.0;

/// The shares at the end of a search, a row an edge; none where there is no edge.
pub fn shares(edges: &[EdgeShares]) -> Option<Svg> {
    let mut ops: Vec<&str> = Vec::new();
    for (op, _) in edges.iter().flat_map(|edge| &edge.shares) {
        if !ops.contains(&op.as_str()) {
            ops.push(op);
        }
    }
    let most = edges.iter().flat_map(|e| &e.shares).map(|(_, share)| *share).fold(0.0, f64::max);
    let rows: Vec<Row> = edges
        .iter()
        .map(|edge| Row {
            name: edge.name(),
            cells: ops
                .iter()
                .map(|op| edge.shares.iter().find(|(own, _)| own == op).map(|(_, share)| *share))
                .collect(),
        })
        .collect();
    let title = format!("Share of each operation at the end, % (darkest: {:.1})", 100.0 * most);
    map(&title, &ops.iter().map(|op| (*op).to_owned()).collect::<Vec<_>>(), &rows, most, true)
}

/// How decided each edge was behind each epoch, from 0 where all are alike to 1 where one is left.
pub fn decided(epochs: &[SearchEpoch], edges: &[EdgeShares]) -> Option<Svg> {
    let names: Vec<String> = epochs.iter().map(|epoch| epoch.epoch.to_string()).collect();
    let rows: Vec<Row> = edges
        .iter()
        .enumerate()
        .map(|(at, edge)| Row {
            name: edge.name(),
            cells: epochs.iter().map(|epoch| certainty(epoch, at, edge.shares.len())).collect(),
        })
        .collect();
    let most = rows.iter().flat_map(|row| &row.cells).flatten().copied().fold(0.0, f64::max);
    let title = format!("How decided each edge is, by epoch: 0 all alike, 1 one left (darkest: {most:.3})");
    map(&title, &names, &rows, most, false)
}

/// A row of a map; a cell without a number stays empty.
struct Row {
    name: String,
    cells: Vec<Option<f64>>,
}

/// Numbers as shades up to `most`; with the numbers where `written`.
fn map(title: &str, columns: &[String], rows: &[Row], most: f64, written: bool) -> Option<Svg> {
    if rows.is_empty() || columns.is_empty() {
        return None;
    }
    let left = rows.iter().map(|row| text_width(&row.name, TEXT)).fold(0.0, f64::max) + 2.0 * MARGIN;
    let widest = columns.iter().map(|name| text_width(name, TEXT)).fold(0.0, f64::max);
    let wide = if written { (widest + MARGIN).max(44.0) } else { (760.0 / columns.len() as f64).clamp(4.0, 28.0) };
    // Column names that would run into each other are left out, but for every so many.
    let every = ((widest + 6.0) / wide).ceil().max(1.0) as usize;
    let mut head =
        Svg::new((left + wide * columns.len() as f64 + MARGIN).max(text_width(title, 14.0) + 2.0 * MARGIN), 46.0);
    head.text(MARGIN, 18.0, 14.0, Anchor::Start, INK, title);
    for (i, name) in columns.iter().enumerate().step_by(every) {
        head.text(left + (i as f64 + 0.5) * wide, 40.0, TEXT, Anchor::Middle, INK, name);
    }
    let mut body = Svg::new(head.size().0, rows.len() as f64 * ROW + MARGIN);
    for (i, row) in rows.iter().enumerate() {
        let y = i as f64 * ROW;
        body.text(left - MARGIN, y + 13.0, TEXT, Anchor::End, INK, &row.name);
        for (j, cell) in row.cells.iter().enumerate() {
            let Some(value) = cell else { continue };
            let share = if most > 0.0 { value / most } else { 0.0 };
            let x = left + j as f64 * wide;
            body.rect(x, y, wide - 1.0, ROW - 1.0, 0.0, &shade(share), Stroke::NONE);
            if written {
                let ink = if share > 0.45 { "#ffffff" } else { INK };
                body.text(
                    x + (wide - 1.0) / 2.0,
                    y + 13.0,
                    11.0,
                    Anchor::Middle,
                    ink,
                    &format!("{:.1}", 100.0 * value),
                );
            }
        }
    }
    Some(stack(&[head, body], 0.0))
}

/// White to dark blue, by lightness alone as well: it survives grey print.
fn shade(share: f64) -> String {
    let share = share.clamp(0.0, 1.0);
    let mix = |light: f64, dark: f64| (light + share * (dark - light)).round() as u8;
    format!("#{:02x}{:02x}{:02x}", mix(244.0, 8.0), mix(247.0, 48.0), mix(251.0, 107.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::CellState;
    use crate::units::Tally;

    fn edge(to: usize, shares: &[(&str, f64)]) -> EdgeShares {
        let shares = shares.iter().map(|(op, share)| ((*op).to_owned(), *share)).collect();
        EdgeShares { kind: "robust".into(), edge: (0, to), shares }
    }

    #[test]
    fn an_edge_without_an_operation_has_an_empty_cell() {
        let edges = [edge(2, &[("skip", 0.25), ("pool", 0.75)]), edge(3, &[("skip", 1.0)])];
        let text = shares(&edges).unwrap().finish();
        assert_eq!(["25.0", "75.0", "100.0"].map(|number| text.matches(&format!(">{number}<")).count()), [1, 1, 1]);
        assert!(text.contains("darkest: 100.0") && text.contains("#08306b"), "{text}");
        assert!(shares(&[]).is_none());
    }

    #[test]
    fn certainty_is_0_among_equals_and_1_where_one_is_left() {
        let state = |entropy: Vec<f64>| CellState {
            kind: "robust".into(),
            entropy,
            skip_share: 0.0,
            weightless_share: 0.0,
            moved: None,
        };
        let epoch = |epoch, entropy| SearchEpoch {
            epoch,
            stage: 1,
            weight_loss: 0.0,
            natural_loss: None,
            adversarial_loss: None,
            gamma: None,
            clean: Tally::default(),
            adversarial: Tally::default(),
            alpha_moved: None,
            random_walk: None,
            cells: vec![state(entropy)],
            eigenvalue: None,
            collapsed: false,
        };
        let edges = [edge(2, &[("skip", 0.5), ("pool", 0.5)])];
        let text = decided(&[epoch(1, vec![2f64.ln()]), epoch(2, vec![0.0])], &edges).unwrap().finish();
        assert!(text.contains("darkest: 1.000"), "{text}");
        assert_eq!(["#f4f7fb", "#08306b"].map(|colour| text.matches(colour).count()), [1, 1]);
        assert!(decided(&[], &edges).is_none());
    }
}
