//! One block with all its operations: a chain without a branch is one stack of coloured strips.

use std::collections::BTreeMap;

use super::group::Block;
use super::place::{Form, Item, Layout, Route, Spot};
use super::strip::{Sort, Strip, size};
use super::{INK, PALE};
use crate::arch::cell::CellOp;
use crate::arch::net::{Net, NodeId};
use crate::arch::op::Op;
use crate::report::svg::{Anchor, Stroke, Svg, text_width};

/// Height of a strip and size of its letters.
const STRIP: f64 = 20.0;
const LETTER: f64 = 11.5;
/// Radius of a sum.
const RADIUS: f64 = 10.0;
/// Between two lanes.
const BETWEEN: f64 = 18.0;

/// Labels are short with more units than `CROWDED`, or where one has more than `BROAD` inputs.
const CROWDED: usize = 24;
const BROAD: usize = 5;
/// The most units and nodes of a block that is drawn: a supernet's cell has hundreds.
const MOST: usize = 64;
const LARGEST: usize = 256;

/// Operations drawn together.
struct Unit {
    form: Form,
    strips: Vec<Strip>,
    /// Its nodes; none for inputs and outputs.
    nodes: Vec<NodeId>,
    reads: Vec<usize>,
}

impl Unit {
    fn terminal(label: String, reads: Vec<usize>) -> Self {
        let strips = vec![Strip { short: label.clone(), label, sort: Sort::Selection }];
        Unit { form: Form::Terminal, strips, nodes: Vec::new(), reads }
    }

    fn width(&self) -> f64 {
        match self.form {
            Form::Circle => 2.0 * RADIUS,
            Form::Terminal | Form::Stack | Form::Bar => {
                self.strips.iter().map(|s| text_width(&s.label, LETTER)).fold(0.0, f64::max) + 12.0
            }
        }
    }

    fn height(&self) -> f64 {
        match self.form {
            Form::Circle => 2.0 * RADIUS,
            Form::Terminal | Form::Stack | Form::Bar => STRIP * self.strips.len() as f64,
        }
    }
}

/// The block as a drawing, and the kinds of operations in it; `None` where it does not fit a page.
pub(super) fn draw(net: &Net, block: &Block) -> Option<(Svg, Vec<Sort>)> {
    let mut units = units(net, block);
    if units.len() > MOST || block.nodes.len() > LARGEST {
        return None;
    }
    if units.len() > CROWDED || units.iter().any(|u| u.reads.len() > BROAD) {
        for strip in units.iter_mut().flat_map(|u| &mut u.strips) {
            strip.label.clone_from(&strip.short);
        }
    }
    let inner = units.iter().filter(|u| u.form != Form::Terminal);
    let sorts = inner.flat_map(|u| u.strips.iter().map(|s| s.sort)).collect();
    Some((paint(&units), sorts))
}

fn units(net: &Net, block: &Block) -> Vec<Unit> {
    let mut units: Vec<Unit> = Vec::new();
    // The unit of each node; inputs have their own units.
    let mut home: BTreeMap<NodeId, usize> = BTreeMap::new();
    for id in block.nodes.iter().flat_map(|id| net.inputs(*id)) {
        if !block.nodes.contains(&id) && !home.contains_key(&id) {
            home.insert(id, units.len());
            units.push(Unit::terminal(size(net.node(id).shape), Vec::new()));
        }
    }
    let mut cells: BTreeMap<&str, usize> = BTreeMap::new();
    for id in &block.nodes {
        let inputs = net.inputs(*id);
        let mut reads: Vec<usize> = inputs.iter().map(|i| home[i]).collect();
        reads.sort_unstable();
        reads.dedup();
        let cell = cell_operation(&net.node(*id).name);
        if let Some(unit) = cell.and_then(|(prefix, _)| cells.get(prefix)) {
            units[*unit].nodes.push(*id);
            home.insert(*id, *unit);
            continue;
        }
        // A sum of one term is the term.
        if let (Op::Add, [input], [unit]) = (&net.node(*id).op, &inputs[..], &reads[..])
            && (units[*unit].form == Form::Terminal || units[*unit].nodes.last() == Some(input))
        {
            if units[*unit].form != Form::Terminal {
                units[*unit].nodes.push(*id);
            }
            home.insert(*id, *unit);
            continue;
        }
        let strip = Strip::of(net, *id);
        if let (None, [input], [unit]) = (cell, &inputs[..], &reads[..])
            && units[*unit].form == Form::Stack
            && units[*unit].nodes.last() == Some(input)
            && net.readers(*input).len() == 1
        {
            units[*unit].strips.push(strip);
            units[*unit].nodes.push(*id);
            home.insert(*id, *unit);
            continue;
        }
        let form = match net.node(*id).op {
            Op::Add | Op::Mul if inputs.len() > 1 => Form::Circle,
            _ if reads.len() > 1 => Form::Bar,
            _ => Form::Stack,
        };
        let strip = match cell {
            Some((prefix, op)) => {
                cells.insert(prefix, units.len());
                op.into()
            }
            None => strip,
        };
        home.insert(*id, units.len());
        units.push(Unit { form, strips: vec![strip], nodes: vec![*id], reads });
    }
    // The outputs of the block.
    let leaves =
        |id: &NodeId| *id == net.output() || net.readers(*id).iter().any(|reader| !block.nodes.contains(reader));
    for id in block.nodes.iter().filter(|id| leaves(id)) {
        units.push(Unit::terminal(size(net.node(*id).shape), vec![home[id]]));
    }
    units
}

/// The candidate operation of a cell that a node is part of, and the name up to it.
fn cell_operation(name: &str) -> Option<(&str, CellOp)> {
    let mut end = 0;
    for part in name.split('.') {
        end += part.len();
        if let Ok(op) = part.parse() {
            return Some((&name[..end], op));
        }
        end += 1;
    }
    None
}

fn paint(units: &[Unit]) -> Svg {
    let items: Vec<Item> =
        units.iter().map(|u| Item { form: u.form, height: u.height(), reads: u.reads.clone() }).collect();
    let layout = Layout::of(&items);
    let own: Vec<f64> = units.iter().map(|u| if u.form == Form::Bar { 0.0 } else { u.width() }).collect();
    let mut lanes = layout.lanes(&own);
    // A bar's words must fit into the lanes it covers.
    for (unit, spot) in units.iter().zip(&layout.spots).filter(|(u, _)| u.form == Form::Bar) {
        let covered = lanes.range(spot.span.0..=spot.span.1);
        let has = covered.map(|(_, w)| w + BETWEEN).sum::<f64>() - BETWEEN;
        if let Some(lane) = lanes.get_mut(&spot.lane) {
            *lane += (unit.width() - has).max(0.0);
        }
    }
    let mut edges: BTreeMap<i32, (f64, f64)> = BTreeMap::new();
    let mut x = 2.0;
    for (lane, width) in lanes {
        edges.insert(lane, (x, x + width));
        x += width + BETWEEN;
    }
    let centre = |lane: i32| edges.get(&lane).map_or(0.0, |(a, b)| (a + b) / 2.0);
    let high = layout.spots.iter().map(Spot::bottom).fold(0.0, f64::max);
    let mut svg = Svg::new(x - BETWEEN + 2.0, high + 4.0);
    for route in &layout.routes {
        line(&mut svg, route, units[route.to].form, &centre);
    }
    joints(&mut svg, &layout.routes, &centre);
    for (unit, spot) in units.iter().zip(&layout.spots) {
        let (left, right) = (edges[&spot.span.0].0, edges[&spot.span.1].1);
        match unit.form {
            Form::Circle => circle(&mut svg, (centre(spot.lane), spot.middle()), &unit.strips[0]),
            Form::Terminal => {
                let (x, w) = (centre(spot.lane) - unit.width() / 2.0, unit.width());
                svg.rect(x, spot.top, w, STRIP, 10.0, "#ffffff", Stroke::solid(PALE, 1.0));
                svg.text(centre(spot.lane), spot.top + 14.0, LETTER, Anchor::Middle, INK, &unit.strips[0].label);
            }
            Form::Stack | Form::Bar => {
                for (i, strip) in unit.strips.iter().enumerate() {
                    let (fill, border) = strip.sort.colours();
                    let y = spot.top + STRIP * i as f64;
                    svg.rect(left, y, right - left, STRIP, 3.0, fill, Stroke::solid(border, 1.0));
                    svg.text((left + right) / 2.0, y + 14.0, LETTER, Anchor::Middle, INK, &strip.label);
                }
            }
        }
    }
    svg
}

/// A sum or a product: the sign is drawn, not written, so that it is centred.
fn circle(svg: &mut Svg, (x, y): (f64, f64), strip: &Strip) {
    svg.circle((x, y), RADIUS, "#ffffff", Stroke::solid(INK, 1.3));
    let arm = 5.0;
    let turned = if strip.label == "×" { arm * std::f64::consts::FRAC_1_SQRT_2 } else { 0.0 };
    let (a, b) = if turned > 0.0 { ((turned, turned), (turned, -turned)) } else { ((arm, 0.0), (0.0, arm)) };
    for (dx, dy) in [a, b] {
        svg.line((x - dx, y - dy), (x + dx, y + dy), Stroke::solid(INK, 1.3));
    }
}

fn line(svg: &mut Svg, route: &Route, into: Form, centre: &dyn Fn(i32) -> f64) {
    let mut points: Vec<(f64, f64)> = route.points.iter().map(|(lane, y)| (centre(*lane), *y)).collect();
    let Some([before, tip]) = points.last_chunk::<2>().copied() else { return };
    let way = (tip.0 - before.0).signum();
    let (tip, direction) = if into == Form::Circle && before.1 == tip.1 {
        ((tip.0 - way * RADIUS, tip.1), (way, 0.0))
    } else {
        (tip, (0.0, 1.0))
    };
    if let Some(last) = points.last_mut() {
        *last = (tip.0 - direction.0 * 2.0, tip.1 - direction.1 * 2.0);
    }
    svg.polyline(&points, Stroke::solid(INK, 1.2));
    svg.arrow_head(tip, direction, INK);
}

/// A dot where a line branches off.
fn joints(svg: &mut Svg, routes: &[Route], centre: &dyn Fn(i32) -> f64) {
    for route in routes {
        let Some([(lane, _), (_, turn), ..]) = route.points.get(..2) else { continue };
        let turns = route.points.len() > 2;
        let goes_on = |other: &&Route| {
            other.from == route.from
                && other.to != route.to
                && other.points.get(1).is_some_and(|p| p.1 > *turn || p.1 == *turn && other.points != route.points)
        };
        if turns && routes.iter().any(|other| goes_on(&other)) {
            svg.circle((centre(*lane), *turn), 2.4, INK, Stroke::NONE);
        }
    }
}
