//! Any network as a figure: on the left all its blocks from image to logits, equal consecutive ones in one row, with
//! sizes and shares of the cost; on the right one block of each kind with all its operations.

mod detail;
mod group;
mod place;
mod strip;

use std::ops::Range;

use self::group::{Block, Groups};
use self::strip::{Sort, size};
use super::svg::{Anchor, Stroke, Svg, stack, text_width};
use crate::arch::net::Net;
use crate::units::{Macs, Params};

const INK: &str = "#2b2f36";
const PALE: &str = "#7a828e";
/// Background of every other stage of one resolution.
const BAND: &str = "#f5f6f9";
/// Height of a row of the overview and of the box in it.
const ROW: f64 = 30.0;
const HIGH: f64 = 22.0;
/// Top of the first row.
const TOP: f64 = 74.0;
/// The least and the greatest width of a box; widths grow with the logarithm of the channels.
const WIDE: (f64, f64) = (44.0, 150.0);
/// Length of the greatest share of the MACs.
const SHARE: f64 = 90.0;
/// Around the figure.
const MARGIN: f64 = 20.0;
/// Between panels.
const BETWEEN: f64 = 14.0;
/// The most kinds drawn in detail.
const DETAILED: usize = 16;

/// Fill and border of kinds, in order of appearance.
const KINDS: [(&str, &str); 8] = [
    ("#cfe1f8", "#2f6fc4"),
    ("#fbd9ae", "#c77b14"),
    ("#dccbf3", "#7d4fc0"),
    ("#c8e8c9", "#3f8f46"),
    ("#f6c9d3", "#b83a5b"),
    ("#bfe7e5", "#1e8a84"),
    ("#f3e6a5", "#a08a12"),
    ("#d8dbe2", "#6b7280"),
];

/// Draws a network under its name.
pub fn draw(name: &str, net: &Net) -> Svg {
    let groups = Groups::of(net);
    let (details, sorts) = details(net, &groups);
    let table = overview(name, net, &groups);
    let legend = legend(&sorts, table.size().0);
    let left = if sorts.is_empty() { table } else { stack(&[table, legend], MARGIN) };
    pack(left, &details)
}

/// The letter of a kind, where it is drawn in detail.
fn letter(groups: &Groups, kind: usize) -> Option<String> {
    let drawn = |k: usize| groups.blocks.iter().any(|block| block.kind == k && block.computes());
    let at = (0..kind).filter(|k| drawn(*k)).count();
    drawn(kind).then(|| match at {
        0..26 => char::from(b'A' + at as u8).to_string(),
        more => more.to_string(),
    })
}

fn colours(kind: usize) -> (&'static str, &'static str) {
    KINDS[kind % KINDS.len()]
}

/// All blocks with their sizes and costs.
fn overview(name: &str, net: &Net, groups: &Groups) -> Svg {
    let (params, macs): (u64, u64) = groups.blocks.iter().fold((0, 0), |(p, m), b| (p + b.params, m + b.macs));
    let names: Vec<String> = groups.rows.iter().map(|row| groups.name_of(row)).collect();
    let sum = |row: &Range<usize>, of: fn(&Block) -> u64| groups.blocks[row.clone()].iter().map(of).sum::<u64>();
    let far = arcs(groups);
    let arc_room = far.iter().map(|(_, _, lane)| 12.0 + 7.0 * *lane as f64).fold(0.0, f64::max);
    let name_w = names.iter().map(|n| text_width(n, 12.5)).fold(text_width("block", 12.0), f64::max);
    let box_x = name_w + 14.0 + arc_room;
    let centre = box_x + WIDE.1 / 2.0;
    let shape_x = box_x + WIDE.1 + 34.0 + 82.0;
    let (params_x, macs_x, share_x) = (shape_x + 74.0, shape_x + 140.0, shape_x + 152.0);
    let width = share_x + SHARE;
    let mut svg = Svg::new(width, TOP + ROW * groups.rows.len() as f64);
    // A name may be a long path or a list of numbers.
    let title_size = 17.0 * (width / text_width(name, 17.0)).min(1.0);
    svg.text(0.0, 25.0, title_size, Anchor::Start, INK, name);
    let (seen, classes) = (size(net.input_shape()), net.classes());
    let about = format!("{} parameters, {} MACs, image {seen}, {classes} classes", Params(params), Macs(macs));
    svg.text(0.0, 43.0, 12.0, Anchor::Start, PALE, &about);
    for (x, anchor, name) in [
        (0.0, Anchor::Start, "block"),
        (centre, Anchor::Middle, "channels"),
        (shape_x, Anchor::End, "output"),
        (params_x, Anchor::End, "parameters"),
        (macs_x, Anchor::End, "MACs"),
        (share_x, Anchor::Start, "share of MACs"),
    ] {
        svg.text(x, TOP - 9.0, 11.5, anchor, PALE, name);
    }
    bands(&mut svg, groups);
    let most = groups.rows.iter().map(|row| sum(row, |b| b.macs)).max().unwrap_or(0).max(1) as f64;
    let widths = widths(groups);
    for (r, (row, name)) in groups.rows.iter().zip(&names).enumerate() {
        let block = &groups.blocks[row.start];
        let (y, w) = (TOP + ROW * r as f64 + (ROW - HIGH) / 2.0, widths[r]);
        if r > 0 {
            svg.line((centre, y - (ROW - HIGH)), (centre, y - 2.0), Stroke::solid(INK, 1.2));
            svg.arrow_head((centre, y), (0.0, 1.0), INK);
        }
        svg.text(0.0, y + 15.5, 12.5, Anchor::Start, INK, name);
        let (fill, border) = colours(block.kind);
        if row.len() > 1 {
            // The edge of a second box: there are several.
            svg.rect(centre - w / 2.0 + 3.0, y - 3.0, w, HIGH, 4.0, fill, Stroke::solid(border, 1.0));
        }
        svg.rect(centre - w / 2.0, y, w, HIGH, 4.0, fill, Stroke::solid(border, 1.2));
        let letter = letter(groups, block.kind).map_or(String::new(), |l| format!("{l} · "));
        svg.text(centre, y + 15.5, 12.5, Anchor::Middle, INK, &format!("{letter}{}", block.shape.c));
        if row.len() > 1 {
            svg.text(box_x + WIDE.1 + 8.0, y + 15.5, 12.5, Anchor::Start, INK, &format!("× {}", row.len()));
        }
        let count = |n: u64, text: String| if n == 0 { "–".to_owned() } else { text };
        let (p, m) = (sum(row, |b| b.params), sum(row, |b| b.macs));
        for (x, text) in [
            (shape_x, size(block.shape)),
            (params_x, count(p, Params(p).to_string())),
            (macs_x, count(m, Macs(m).to_string())),
        ] {
            svg.text(x, y + 15.5, 12.0, Anchor::End, INK, &text);
        }
        if m > 0 {
            svg.rect(share_x, y + 4.0, SHARE * m as f64 / most, HIGH - 8.0, 2.0, fill, Stroke::solid(border, 0.8));
        }
    }
    for (from, to, lane) in far {
        let at = |r: usize| TOP + ROW * r as f64 + ROW / 2.0;
        let (start, end) = (centre - widths[from] / 2.0, centre - widths[to] / 2.0);
        let x = box_x - 6.0 - 7.0 * lane as f64;
        let points = [(start, at(from) + 4.0), (x, at(from) + 4.0), (x, at(to) - 4.0), (end - 2.0, at(to) - 4.0)];
        svg.polyline(&points, Stroke::solid(PALE, 1.1));
        svg.arrow_head((end, at(to) - 4.0), (1.0, 0.0), PALE);
    }
    svg
}

/// The widths of the boxes, by the logarithm of their channels.
fn widths(groups: &Groups) -> Vec<f64> {
    let log = |row: &Range<usize>| (groups.blocks[row.start].shape.c as f64).ln();
    let (low, high) =
        groups.rows.iter().map(log).fold((f64::MAX, f64::MIN), |(low, high), x| (low.min(x), high.max(x)));
    let share = |x: f64| if high > low { (x - low) / (high - low) } else { 1.0 };
    groups.rows.iter().map(|row| WIDE.0 + (WIDE.1 - WIDE.0) * share(log(row))).collect()
}

/// Every other run of rows of one resolution has a band behind it.
fn bands(svg: &mut Svg, groups: &Groups) {
    let side = |r: usize| groups.blocks[groups.rows[r].start].shape.area();
    let (mut start, mut dark) = (0, false);
    for r in 1..=groups.rows.len() {
        if r < groups.rows.len() && side(r) == side(start) {
            continue;
        }
        if dark {
            let (y, h) = (TOP + ROW * start as f64, ROW * (r - start) as f64);
            svg.rect(-8.0, y, svg.size().0 + 12.0, h, 4.0, BAND, Stroke::NONE);
        }
        (start, dark) = (r, !dark);
    }
}

/// Connections that skip rows: from, to, and the lane of each, so that none covers another.
fn arcs(groups: &Groups) -> Vec<(usize, usize, usize)> {
    let row_of = |block: usize| groups.rows.iter().position(|row| row.contains(&block)).unwrap_or(0);
    let mut pairs: Vec<(usize, usize)> = groups
        .blocks
        .iter()
        .enumerate()
        .flat_map(|(i, b)| b.reads.iter().map(move |r| (row_of(*r), row_of(i))))
        .filter(|(from, to)| to - from > 1)
        .collect();
    pairs.sort_by_key(|(from, to)| (to - from, *from));
    pairs.dedup();
    let mut placed: Vec<(usize, usize, usize)> = Vec::new();
    for (from, to) in pairs {
        let meets = |lane: usize| placed.iter().any(|(a, b, l)| *l == lane && *a < to && from < *b);
        let lane = (0..).find(|lane| !meets(*lane)).unwrap_or(0);
        placed.push((from, to, lane));
    }
    placed
}

/// One block of each kind: of those with the largest share of the cost where there are too many.
fn details(net: &Net, groups: &Groups) -> (Vec<Svg>, Vec<Sort>) {
    let cost = |kind: usize| -> u64 { groups.blocks.iter().filter(|b| b.kind == kind).map(|b| b.macs).sum() };
    let mut kinds: Vec<usize> = (0..groups.kinds)
        .filter(|k| {
            let first = groups.blocks.iter().find(|b| b.kind == *k);
            first.is_some_and(Block::computes)
        })
        .collect();
    kinds.sort_by_key(|k| std::cmp::Reverse(cost(*k)));
    kinds.truncate(DETAILED);
    kinds.sort_unstable();
    let (mut panels, mut sorts) = (Vec::new(), Vec::new());
    for kind in kinds {
        let longest = groups.rows_of(kind).reduce(|a, b| if b.len() > a.len() { b } else { a });
        let Some(row) = longest else { continue };
        let Some((body, own)) = detail::draw(net, &groups.blocks[row.end - 1]) else { continue };
        panels.push(panel(groups, row, &body));
        sorts.extend(own);
    }
    sorts.sort_unstable();
    sorts.dedup();
    (panels, sorts)
}

/// A detail under its title: the letter, which block it is, and the other blocks of the kind.
fn panel(groups: &Groups, row: &Range<usize>, body: &Svg) -> Svg {
    let kind = groups.blocks[row.start].kind;
    let count = |row: &Range<usize>| match row.len() {
        1 => groups.name_of(row),
        n => format!("{} (× {n})", groups.name_of(row)),
    };
    let title = count(row);
    let others: Vec<String> = groups.rows_of(kind).filter(|r| *r != row).map(count).collect();
    let (w, h) = body.size();
    let head = 26.0 + text_width(&title, 13.5);
    let width = w.max(head).max(if others.is_empty() { 0.0 } else { 190.0 }) + 24.0;
    let mut lines: Vec<String> = Vec::new();
    for (i, other) in others.iter().enumerate() {
        let word = if i == 0 { format!("also {other}") } else { other.clone() };
        match lines.last_mut() {
            Some(line) if text_width(&format!("{line}, {word},"), 11.0) <= width - 24.0 => {
                *line += &format!(", {word}")
            }
            Some(line) => {
                line.push(',');
                lines.push(word);
            }
            None => lines.push(word),
        }
    }
    let top = 40.0 + 14.0 * lines.len() as f64 + 6.0;
    let mut svg = Svg::new(width, top + h + 12.0);
    svg.rect(0.5, 0.5, width - 1.0, top + h + 11.0, 6.0, "#ffffff", Stroke::solid("#d5d9e0", 1.0));
    let (fill, border) = colours(kind);
    svg.rect(12.0, 11.0, 20.0, 20.0, 4.0, fill, Stroke::solid(border, 1.2));
    svg.text(22.0, 25.5, 13.0, Anchor::Middle, INK, &letter(groups, kind).unwrap_or_default());
    svg.text(40.0, 26.0, 13.5, Anchor::Start, INK, &title);
    for (i, line) in lines.iter().enumerate() {
        svg.text(12.0, 45.0 + 14.0 * i as f64, 11.0, Anchor::Start, PALE, line);
    }
    svg.inset((width - w) / 2.0, top, body);
    svg
}

/// The overview in the upper left corner and every panel as high up as there is room: on the page whose format comes
/// nearest to a sheet's with the least empty space, the panels in their order or the larger ones first.
fn pack(left: Svg, panels: &[Svg]) -> Svg {
    let (first, total): (f64, f64) = (left.size().0, panels.iter().map(|p| p.size().0 + BETWEEN).sum());
    let widest = panels.iter().map(|p| p.size().0).fold(first, f64::max);
    let widths = (0..=24).map(|i| widest + (first + total - widest).max(0.0) * f64::from(i) / 24.0);
    let in_order: Vec<usize> = (0..panels.len()).collect();
    let by = |size: fn(&Svg) -> f64| {
        let mut order = in_order.clone();
        order.sort_by(|a, b| size(&panels[*b]).total_cmp(&size(&panels[*a])));
        order
    };
    let orders = [(in_order.clone(), 1.0), (by(|p| p.size().0), 1.1), (by(|p| p.size().1), 1.1)];
    let page = |width: f64, order: &[usize]| {
        let mut placed = vec![[0.0, 0.0, first, left.size().1]];
        for (w, h) in order.iter().map(|p| panels[*p].size()) {
            let [x, y] = highest(&placed, w, width);
            placed.push([x, y, x + w, y + h]);
        }
        placed
    };
    let side = |placed: &[[f64; 4]], axis: usize| placed.iter().map(|p| p[axis]).fold(0.0, f64::max);
    let waste = |placed: &[[f64; 4]]| {
        let (w, h) = (side(placed, 2), side(placed, 3));
        w * h * (1.0 + 0.6 * (w / h / std::f64::consts::SQRT_2).ln().abs())
    };
    let pages = widths.flat_map(|width| orders.iter().map(move |(order, weight)| (page(width, order), order, *weight)));
    let best = pages.min_by(|a, b| (waste(&a.0) * a.2).total_cmp(&(waste(&b.0) * b.2)));
    let Some((places, order, _)) = best else { return left };
    let mut svg = Svg::new(side(&places, 2) + 2.0 * MARGIN, side(&places, 3) + 2.0 * MARGIN);
    let parts = std::iter::once(&left).chain(order.iter().map(|p| &panels[*p]));
    for (part, [x, y, ..]) in parts.zip(&places) {
        svg.inset(MARGIN + x, MARGIN + y, part);
    }
    svg
}

/// The position of a panel of width `w` on a page: as high as possible, then as far left.
fn highest(placed: &[[f64; 4]], w: f64, width: f64) -> [f64; 2] {
    let starts = std::iter::once(0.0).chain(placed.iter().map(|p| p[2] + BETWEEN));
    let spots = starts.filter(|x| *x == 0.0 || x + w <= width + 0.5).map(|x| {
        let above = placed.iter().filter(|p| p[0] < x + w + BETWEEN && x < p[2] + BETWEEN);
        [x, above.map(|p| p[3] + BETWEEN).fold(0.0, f64::max)]
    });
    spots
        .min_by(|a, b| (a[1], a[0]).partial_cmp(&(b[1], b[0])).unwrap_or(std::cmp::Ordering::Equal))
        .unwrap_or_default()
}

/// The legend of the strips, in lines no wider than `width`.
fn legend(sorts: &[Sort], width: f64) -> Svg {
    let (mut x, mut y) = (0.0, 0.0);
    let mut spots = Vec::new();
    for sort in sorts.iter().filter(|sort| **sort != Sort::Arithmetic) {
        let w = 38.0 + text_width(sort.name(), 11.5);
        if x > 0.0 && x + w > width {
            (x, y) = (0.0, y + 22.0);
        }
        spots.push((*sort, x, y));
        x += w;
    }
    let mut svg = Svg::new(width, y + 18.0);
    for (sort, x, y) in spots {
        let (fill, border) = sort.colours();
        svg.rect(x + 0.5, y + 2.5, 18.0, 13.0, 3.0, fill, Stroke::solid(border, 1.0));
        svg.text(x + 24.0, y + 13.0, 11.5, Anchor::Start, INK, sort.name());
    }
    svg
}
