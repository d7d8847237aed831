//! Constants in shapes that broadcast with activations.

use super::writer::Writer;
use crate::arch::op::Shape;

/// Adds one value per channel, in a shape that broadcasts over the pixels.
pub fn per_channel(w: &mut Writer<'_, '_>, suffix: &str, values: &[f32], flat: bool) -> String {
    let c = values.len();
    if flat { w.floats(suffix, &[1, c], values) } else { w.floats(suffix, &[1, c, 1, 1], values) }
}

/// Reshapes back to the activation's shape.
pub fn back(w: &mut Writer<'_, '_>, x: &str, shape: Shape, flat: bool) -> String {
    if flat { w.reshape(x, &[shape.c]) } else { w.reshape(x, &[shape.c, shape.h, shape.w]) }
}
