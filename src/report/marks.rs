//! Marks of points, and samples of them for legends.

use super::style::{FAINT, INK};
use super::svg::{Stroke, Svg};
use crate::record::OriginKind;

/// Half the width of a mark, in pixels.
pub(super) const MARKER: f64 = 5.0;

/// Circle for searched, triangle for random, square for hand-made networks; about the same area each.
pub(super) fn marker(svg: &mut Svg, kind: OriginKind, (x, y): (f64, f64), fill: &str, stroke: Stroke<'_>) {
    match kind {
        OriginKind::Searched => svg.circle((x, y), MARKER, fill, stroke),
        OriginKind::Random => {
            let (half, up, down) = (MARKER * 1.15, MARKER * 1.25, MARKER * 0.75);
            svg.polygon(&[(x, y - up), (x + half, y + down), (x - half, y + down)], fill, stroke)
        }
        OriginKind::HandMade => {
            let half = MARKER * 0.9;
            svg.rect(x - half, y - half, 2.0 * half, 2.0 * half, 0.0, fill, stroke)
        }
    };
}

/// What networks of no run have for a marker.
pub(super) fn diamond(svg: &mut Svg, (x, y): (f64, f64), fill: &str, stroke: Stroke<'_>) {
    let half = MARKER * 1.25;
    svg.polygon(&[(x, y - half), (x + half, y), (x, y + half), (x - half, y)], fill, stroke);
}

/// A filled diamond and a hollow one.
pub(super) fn diamonds(svg: &mut Svg, x: f64, y: f64) {
    diamond(svg, (x + 5.0, y), INK, Stroke::NONE);
    diamond(svg, (x + 19.0, y), "#ffffff", Stroke::solid(INK, 1.6));
}

/// A filled marker and a hollow one.
pub(super) fn markers(svg: &mut Svg, kind: OriginKind, x: f64, y: f64) {
    marker(svg, kind, (x + 5.0, y), FAINT, Stroke::NONE);
    marker(svg, kind, (x + 19.0, y), "#ffffff", Stroke::solid(FAINT, 1.6));
}

/// A step of a line.
pub(super) fn step(svg: &mut Svg, stroke: Stroke<'_>, x: f64, y: f64) {
    svg.polyline(&[(x, y + 4.0), (x + 10.0, y + 4.0), (x + 10.0, y - 4.0), (x + 24.0, y - 4.0)], stroke);
}
