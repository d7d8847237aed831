//! Tensors that meet activations in the shape in which these are seen.

use super::writer::Writer;
use crate::arch::op::Shape;

/// A number per channel, in a shape that spreads over the pixels.
pub fn per_channel(w: &mut Writer<'_, '_>, suffix: &str, values: &[f32], flat: bool) -> String {
    let c = values.len();
    if flat { w.floats(suffix, &[1, c], values) } else { w.floats(suffix, &[1, c, 1, 1], values) }
}

/// The sides of an activation that was seen otherwise.
pub fn back(w: &mut Writer<'_, '_>, x: &str, shape: Shape, flat: bool) -> String {
    if flat { w.reshape(x, &[shape.c]) } else { w.reshape(x, &[shape.c, shape.h, shape.w]) }
}
