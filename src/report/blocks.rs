//! Any network as a list of blocks: nodes grouped by the prefix of their names, with sizes and shares of the cost.

use super::svg::{Anchor, Stroke, Svg, text_width};
use crate::arch::cost::per_node;
use crate::arch::net::Net;
use crate::arch::op::Shape;
use crate::units::{Macs, Params};

const INK: &str = "#2b2f36";
const PALE: &str = "#7a828e";
const ROW: f64 = 40.0;
const HIGH: f64 = 26.0;
const TOP: f64 = 62.0;
/// Beyond this many blocks, prefixes are cut to their first part.
const MOST: usize = 60;

/// Nodes with one prefix that follow each other.
struct Block {
    name: String,
    /// Operations with their counts, in order of first appearance.
    ops: Vec<(&'static str, usize)>,
    shape: Shape,
    params: u64,
    macs: u64,
    /// Earlier blocks it reads.
    reads: Vec<usize>,
}

/// The blocks of a network; `parts` is how many parts of a name a prefix keeps.
fn blocks(net: &Net, parts: usize) -> Vec<Block> {
    let mut list: Vec<Block> = Vec::new();
    let mut home: Vec<usize> = Vec::with_capacity(net.len());
    let costs = per_node(net);
    for ((id, node), cost) in net.nodes().zip(&costs) {
        let pieces: Vec<&str> = node.name.split('.').collect();
        let prefix = pieces[..pieces.len().saturating_sub(1).clamp(1, parts)].join(".");
        if list.last().is_none_or(|b| b.name != prefix) {
            let (ops, reads) = (Vec::new(), Vec::new());
            list.push(Block { name: prefix, ops, shape: node.shape, params: 0, macs: 0, reads });
        }
        let here = list.len() - 1;
        let block = &mut list[here];
        match block.ops.iter_mut().find(|(op, _)| *op == node.op.name()) {
            Some((_, n)) => *n += 1,
            None => block.ops.push((node.op.name(), 1)),
        }
        block.shape = node.shape;
        block.params += cost.params.0;
        block.macs += cost.macs.0;
        for from in net.inputs(id).into_iter().map(|i| home[i.index()]) {
            if from != here && !block.reads.contains(&from) {
                block.reads.push(from);
            }
        }
        home.push(here);
    }
    list
}

/// Draws a network top to bottom; arcs on the left are connections that pass blocks over.
pub fn draw(net: &Net) -> Svg {
    let mut list = blocks(net, 2);
    if list.len() > MOST {
        list = blocks(net, 1);
    }
    let ops: Vec<String> = list
        .iter()
        .map(|b| {
            b.ops
                .iter()
                .map(|(op, n)| if *n > 1 { format!("{n} {op}") } else { (*op).into() })
                .collect::<Vec<_>>()
                .join(", ")
        })
        .collect();
    let (params, macs): (u64, u64) = list.iter().fold((0, 0), |(p, m), b| (p + b.params, m + b.macs));
    let widest = |texts: &mut dyn Iterator<Item = f64>| texts.fold(0.0, f64::max);
    let long_arcs = list.iter().enumerate().flat_map(|(i, b)| b.reads.iter().map(move |r| i - r)).filter(|d| *d > 1);
    let margin = 24.0 + long_arcs.map(reach).fold(0.0, f64::max);
    let box_width = 24.0 + widest(&mut list.iter().map(|b| text_width(&b.name, 14.0)));
    let ops_x = margin + box_width + 16.0;
    let shape_x = ops_x + widest(&mut ops.iter().map(|o| text_width(o, 12.0))).max(60.0) + 90.0;
    let (params_x, macs_x, bar_x) = (shape_x + 80.0, shape_x + 160.0, shape_x + 176.0);
    let bar = 140.0;
    let most = list.iter().map(|b| b.macs).max().unwrap_or(0).max(1) as f64;
    let mut svg = Svg::new(bar_x + bar + 24.0, TOP + ROW * list.len() as f64 + 8.0);
    let total = format!("{} parameters, {} MACs", Params(params), Macs(macs));
    svg.text(16.0, 25.0, 17.0, Anchor::Start, INK, &total);
    for (x, anchor, name) in [
        (ops_x, Anchor::Start, "operations"),
        (shape_x, Anchor::End, "output"),
        (params_x, Anchor::End, "parameters"),
        (macs_x, Anchor::End, "MACs"),
        (bar_x, Anchor::Start, "share of MACs"),
    ] {
        svg.text(x, TOP - 12.0, 12.0, anchor, PALE, name);
    }
    for (i, (block, ops)) in list.iter().zip(&ops).enumerate() {
        let y = TOP + ROW * i as f64;
        let middle = y + HIGH / 2.0;
        let centre = margin + box_width / 2.0;
        for from in &block.reads {
            let start = TOP + ROW * *from as f64;
            if i - from == 1 {
                svg.line((centre, start + HIGH), (centre, y - 2.0), Stroke::solid(INK, 1.4));
                svg.arrow_head((centre, y), (0.0, 1.0), INK);
            } else {
                let (a, b, out) = (start + HIGH / 2.0 + 5.0, middle - 5.0, margin - reach(i - from));
                let d = format!("M {margin:.2} {a:.2} C {out:.2} {a:.2} {out:.2} {b:.2} {:.2} {b:.2}", margin - 6.0);
                svg.path(&d, "none", Stroke::solid(PALE, 1.3));
                svg.arrow_head((margin, b), (1.0, 0.0), PALE);
            }
        }
        svg.rect(margin, y, box_width, HIGH, 5.0, "#e9eef6", Stroke::solid("#2f6fc4", 1.3));
        svg.text(centre, y + 18.0, 14.0, Anchor::Middle, INK, &block.name);
        svg.text(ops_x, y + 18.0, 12.0, Anchor::Start, INK, ops);
        svg.text(shape_x, y + 18.0, 12.0, Anchor::End, INK, &block.shape.to_string());
        let count = |n: u64, text: String| if n == 0 { "–".to_owned() } else { text };
        svg.text(params_x, y + 18.0, 12.0, Anchor::End, INK, &count(block.params, Params(block.params).to_string()));
        svg.text(macs_x, y + 18.0, 12.0, Anchor::End, INK, &count(block.macs, Macs(block.macs).to_string()));
        if block.macs > 0 {
            svg.rect(bar_x, y + 5.0, bar * block.macs as f64 / most, HIGH - 10.0, 2.0, "#8fb4e6", Stroke::NONE);
        }
    }
    svg
}

/// How far an arc over `distance` blocks reaches to the left; the curve itself reaches three quarters of it.
fn reach(distance: usize) -> f64 {
    (18.0 + 10.0 * distance as f64).min(90.0)
}
