//! A cell network at the level of stages: the sequence of cells with their widths and sizes.

use super::svg::{Anchor, Stroke, Svg};
use crate::arch::families::cells::{Placed, Skeleton};

const INK: &str = "#2b2f36";
/// Fill and border per kind, in order of first appearance.
const KINDS: [(&str, &str); 6] = [
    ("#cfe1f8", "#2f6fc4"),
    ("#fbd9ae", "#c77b14"),
    ("#dccbf3", "#7d4fc0"),
    ("#c8e8c9", "#3f8f46"),
    ("#bfe7e5", "#1e8a84"),
    ("#f6c9d3", "#b83a5b"),
];
/// Width of a cell and of the stem, head and image.
const CELL: f64 = 30.0;
const END: f64 = 84.0;
/// Least width of a group, so that its label fits.
const GROUP: f64 = 124.0;
const GAP: f64 = 18.0;
/// Height of the highest cell.
const HIGH: f64 = 110.0;
const TOP: f64 = 44.0;

/// Equal consecutive cells.
struct Group<'a> {
    cell: &'a Placed,
    count: usize,
    /// The output shape of each.
    size: (usize, usize),
}

/// Draws the sequence; heights follow the resolution.
pub fn draw(skeleton: &Skeleton) -> Svg {
    let mut groups: Vec<Group<'_>> = Vec::new();
    let stem = skeleton.stem_kind.size(skeleton.image);
    let (mut h, mut w) = stem;
    for cell in &skeleton.cells {
        if cell.reduction {
            (h, w) = (h.div_ceil(2), w.div_ceil(2));
        }
        match groups.last_mut() {
            Some(g) if g.cell == cell && !cell.reduction => g.count += 1,
            _ => groups.push(Group { cell, count: 1, size: (h, w) }),
        }
    }
    let mut kinds: Vec<&str> = Vec::new();
    for g in &groups {
        if !kinds.contains(&g.cell.kind.as_str()) {
            kinds.push(&g.cell.kind);
        }
    }
    let colour = |kind: &str| KINDS[kinds.iter().position(|k| *k == kind).unwrap_or(0) % KINDS.len()];
    let group_width = |g: &Group<'_>| (g.count as f64 * CELL).max(GROUP);
    let width = 32.0 + 3.0 * (END + GAP) + groups.iter().map(|g| group_width(g) + GAP).sum::<f64>();
    let mut svg = Svg::new(width, TOP + HIGH + 78.0);
    let high = |h: usize| (HIGH * (h as f64 / stem.0 as f64).sqrt()).max(34.0);
    let axis = TOP + HIGH / 2.0;
    let below = TOP + HIGH + 20.0;
    svg.text(
        16.0,
        25.0,
        17.0,
        Anchor::Start,
        INK,
        &format!("{} cells, {} classes", skeleton.cells.len(), skeleton.classes),
    );
    svg.line((40.0, axis), (width - 40.0, axis), Stroke::solid(INK, 1.4));

    let mut x = 16.0;
    let end = |svg: &mut Svg, x: &mut f64, name: &str, height: f64, lines: [String; 2]| {
        svg.rect(*x, axis - height / 2.0, END, height, 5.0, "#e9ebef", Stroke::solid(INK, 1.4));
        svg.text(*x + END / 2.0, axis + 5.0, 14.0, Anchor::Middle, INK, name);
        for (i, line) in lines.iter().enumerate() {
            svg.text(*x + END / 2.0, below + 17.0 * i as f64, 12.0, Anchor::Middle, INK, line);
        }
        *x += END + GAP;
    };
    let image = skeleton.image;
    end(&mut svg, &mut x, "image", HIGH, [format!("{} channels", image.c), format!("{}×{}", image.h, image.w)]);
    end(&mut svg, &mut x, "stem", HIGH, [format!("{} channels", skeleton.stem), format!("{}×{}", stem.0, stem.1)]);
    svg.arrow_head((16.0 + END + GAP, axis), (1.0, 0.0), INK);
    for g in &groups {
        let (fill, border) = colour(&g.cell.kind);
        let (width, height) = (group_width(g), high(g.size.0));
        let cell = if g.cell.reduction { 56.0 } else { CELL };
        let mut left = x + (width - cell * g.count as f64) / 2.0;
        let stroke = Stroke::solid(border, 1.4);
        let middle = x + width / 2.0;
        svg.arrow_head((if g.cell.reduction { left } else { left + 2.5 }, axis), (1.0, 0.0), INK);
        for _ in 0..g.count {
            if g.cell.reduction {
                // A funnel: input height on the left, output height on the right.
                let enters = high(g.size.0 * 2);
                let corners = [
                    (left, axis - enters / 2.0),
                    (left + cell, axis - height / 2.0),
                    (left + cell, axis + height / 2.0),
                    (left, axis + enters / 2.0),
                ];
                svg.polygon(&corners, fill, stroke);
            } else {
                svg.rect(left + 2.5, axis - height / 2.0, cell - 5.0, height, 4.0, fill, stroke);
            }
            left += cell;
        }
        let title = if g.cell.reduction { g.cell.kind.clone() } else { format!("{} × {}", g.count, g.cell.kind) };
        svg.text(middle, below, 14.0, Anchor::Middle, border, &title);
        svg.text(middle, below + 17.0, 12.0, Anchor::Middle, INK, &format!("C = {}", g.cell.channels));
        svg.text(middle, below + 34.0, 12.0, Anchor::Middle, INK, &format!("{}×{}", g.size.0, g.size.1));
        x += width + GAP;
    }
    svg.arrow_head((x, axis), (1.0, 0.0), INK);
    svg.rect(x, axis - 20.0, END, 40.0, 5.0, "#e9ebef", Stroke::solid(INK, 1.4));
    svg.text(x + END / 2.0, axis + 5.0, 14.0, Anchor::Middle, INK, "head");
    svg.text(x + END / 2.0, below, 12.0, Anchor::Middle, INK, "mean, linear");
    svg.text(x + END / 2.0, below + 17.0, 12.0, Anchor::Middle, INK, &format!("{} logits", skeleton.classes));
    svg
}
