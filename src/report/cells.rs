//! A genotype's cells as drawings and as DOT text.
//!
//! A cell is drawn like a circuit: every state has a rail that runs to the right from where the state is computed; an
//! operation hangs off the rail of the state it reads; its result runs down into the state it adds to. States only feed
//! later ones, so all lines run right and down and no labels overlap.

use std::fmt::Write;

use super::svg::{Anchor, Stroke, Svg, stack};
use crate::arch::cell::CellOp;
use crate::arch::genotype::{CellGenotype, Edge, Genotype};

/// Colour of wires and letters.
const INK: &str = "#2b2f36";
/// Colour of rails.
const RAIL: &str = "#8a929e";
/// Size of an operation's box.
const BOX: (f64, f64) = (112.0, 22.0);
/// Width of a column: a box and the wires on both sides.
const COLUMN: f64 = 172.0;
/// Left margin with the cell's inputs.
const LEFT: f64 = 82.0;
/// Height of the title.
const TOP: f64 = 52.0;

/// Fill and border of an operation, by its kind.
fn colours(op: CellOp) -> (&'static str, &'static str) {
    match op {
        CellOp::None => ("#f4f4f4", "#9a9a9a"),
        CellOp::SkipConnect => ("#e3f3e3", "#3f8f46"),
        CellOp::MaxPool(_) | CellOp::AvgPool(_) => ("#fdeeda", "#c77b14"),
        CellOp::SepConv(_) => ("#e1ecfb", "#2f6fc4"),
        CellOp::DilConv(_) => ("#efe5fa", "#7d4fc0"),
        CellOp::NorConv(_) | CellOp::Conv7x1_1x7 => ("#ddf3f2", "#1e8a84"),
    }
}

/// The name of a state, by its number as in files: the cell's inputs are 0 and 1.
fn state_name(state: usize) -> String {
    match state {
        0 => "0: c_{k-2}".into(),
        1 => "1: c_{k-1}".into(),
        node => node.to_string(),
    }
}

/// The letter c with an index, centred.
fn indexed(svg: &mut Svg, x: f64, y: f64, index: &str) {
    let left = x - (8.0 + 6.0 * index.len() as f64) / 2.0;
    svg.text(left, y, 16.0, Anchor::Start, INK, "c").text(left + 8.5, y + 4.0, 11.0, Anchor::Start, INK, index);
}

/// All cells of a genotype, one below the other.
pub fn draw(genotype: &Genotype) -> Svg {
    let panels: Vec<Svg> = genotype.cells.iter().map(draw_cell).collect();
    stack(&panels, 6.0)
}

/// One cell.
pub fn draw_cell(cell: &CellGenotype) -> Svg {
    let states = cell.nodes.len() + 2;
    let hanging = |state: usize, node: &[Edge]| node.iter().filter(|e| e.from == state).count();
    // The height of a row is that of the most boxes at its rail in one column.
    let mut y = vec![TOP];
    for state in 0..states {
        let most = cell.nodes.iter().map(|n| hanging(state, n)).max().unwrap_or(0);
        y.push(y[state] + (30.0 + 26.0 * most as f64).max(42.0));
    }
    let column = |target: usize| LEFT + COLUMN * (target - 2) as f64;
    // Where a target's wires run down, and where its own rail starts.
    let collector = |target: usize| column(target) + 18.0 + BOX.0 + 16.0;
    let start = |state: usize| if state < 2 { LEFT - 14.0 } else { collector(state) + 16.0 };
    let out = column(states) + 14.0;
    let (first, last) = (
        cell.concat.iter().copied().min().unwrap_or(states - 1),
        cell.concat.iter().copied().max().unwrap_or(states - 1),
    );
    let mut svg = Svg::new(out + 78.0, y[states - 1] + 34.0);
    svg.text(14.0, 25.0, 17.0, Anchor::Start, INK, &format!("{} cell", cell.kind));

    for (state, &y) in y.iter().enumerate().take(states) {
        let taken = cell.concat.iter().filter(|s| **s == state).count();
        let last_tap = cell.edges().filter(|(_, e)| e.from == state).map(|(to, _)| column(to) + 6.0).last();
        let end = if taken > 0 { out } else { last_tap.unwrap_or(start(state) + 10.0) };
        svg.line((start(state), y), (end, y), Stroke::solid(RAIL, 1.6));
        if taken > 0 {
            svg.arrow_head((out, y), (1.0, 0.0), RAIL);
        }
        if taken > 1 {
            svg.text(out + 55.0, y + 4.0, 12.0, Anchor::Start, INK, &format!("{taken}×"));
        }
    }

    for (i, node) in cell.nodes.iter().enumerate() {
        let (to, wire) = (i + 2, collector(i + 2));
        let mut order: Vec<_> = node.iter().collect();
        order.sort_by_key(|e| e.from);
        let mut hung = vec![0usize; states];
        let boxes: Vec<(f64, usize, CellOp)> = order
            .iter()
            .map(|e| {
                let top = y[e.from] + 9.0 + 26.0 * hung[e.from] as f64;
                hung[e.from] += 1;
                (top, e.from, e.op)
            })
            .collect();
        let highest = boxes.first().map_or(y[to], |(top, _, _)| top + BOX.1 / 2.0);
        // The white line underneath breaks the rails it crosses: a bridge, not a joint.
        svg.line((wire, highest + 4.0), (wire, y[to] - 14.0), Stroke::solid("#ffffff", 7.0));
        svg.line((wire, highest), (wire, y[to] - 14.0), Stroke::solid(INK, 1.4));
        svg.arrow_head((wire, y[to] - 13.0), (0.0, 1.0), INK);
        for (top, from, op) in boxes {
            let (left, middle) = (column(to) + 18.0, top + BOX.1 / 2.0);
            svg.polyline(
                &[(column(to) + 6.0, y[from]), (column(to) + 6.0, middle), (left, middle)],
                Stroke::solid(INK, 1.4),
            );
            svg.circle((column(to) + 6.0, y[from]), 2.6, INK, Stroke::NONE);
            svg.line((left + BOX.0, middle), (wire, middle), Stroke::solid(INK, 1.4));
            let (fill, border) = colours(op);
            let stroke = if op == CellOp::None { Stroke::dashed(border, 1.2) } else { Stroke::solid(border, 1.2) };
            svg.rect(left, top, BOX.0, BOX.1, 4.0, fill, stroke);
            svg.text(left + BOX.0 / 2.0, top + 15.5, 13.0, Anchor::Middle, INK, &op.to_string());
        }
        svg.rect(wire - 16.0, y[to] - 13.0, 32.0, 26.0, 5.0, "#ffffff", Stroke::solid(INK, 1.6));
        svg.text(wire, y[to] + 5.0, 14.0, Anchor::Middle, INK, &state_name(to));
    }
    for (state, y) in y.iter().enumerate().take(2) {
        svg.rect(10.0, y - 13.0, LEFT - 24.0, 26.0, 5.0, "#e9ebef", Stroke::solid(INK, 1.6));
        svg.text(16.0, y + 4.0, 11.0, Anchor::Start, RAIL, &state.to_string());
        indexed(&mut svg, 14.0 + (LEFT - 24.0) / 2.0, y + 4.0, if state == 0 { "k-2" } else { "k-1" });
    }
    svg.rect(out, y[first] - 13.0, 50.0, y[last] - y[first] + 26.0, 5.0, "#e9ebef", Stroke::solid(INK, 1.6));
    let middle = (y[first] + y[last]) / 2.0;
    indexed(&mut svg, out + 25.0, middle + if last > first { -1.0 } else { 4.0 }, "k");
    if last > first {
        svg.text(out + 25.0, middle + 17.0, 11.0, Anchor::Middle, INK, "concat");
    }
    svg
}

/// The cells as a DOT graph, one cluster per kind.
pub fn dot(genotype: &Genotype) -> String {
    let quote = |text: &str| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
    let mut out = String::from("digraph genotype {\n  rankdir=LR;\n  node [shape=box];\n");
    // Writing to a string cannot fail.
    for cell in &genotype.cells {
        let id = |state: &str| quote(&format!("{}/{state}", cell.kind));
        let _ = writeln!(
            out,
            "  subgraph {} {{\n    label={};",
            quote(&format!("cluster_{}", cell.kind)),
            quote(&cell.kind)
        );
        for state in 0..cell.nodes.len() + 2 {
            let name = state_name(state);
            let _ = writeln!(out, "    {} [label={}];", id(&name), quote(&name));
        }
        let _ = writeln!(out, "    {} [label=\"c_{{k}}\"];", id("c_{k}"));
        for (to, edge) in cell.edges() {
            let label = quote(&edge.op.to_string());
            let _ = writeln!(out, "    {} -> {} [label={label}];", id(&state_name(edge.from)), id(&state_name(to)));
        }
        for state in &cell.concat {
            let _ = writeln!(out, "    {} -> {} [style=dashed];", id(&state_name(*state)), id("c_{k}"));
        }
        out.push_str("  }\n");
    }
    out.push_str("}\n");
    out
}
