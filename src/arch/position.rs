//! Position encodings that are formulas.

use std::f64::consts::TAU;

use super::op::Shape;

/// The encoding whose wave lengths go from `2 pi` to `2 pi` times this.
const TEMPERATURE: f64 = 10_000.0;
/// Added to the size, as the published code does.
const EPSILON: f64 = 1e-6;

/// XCiT's Fourier encoding of every pixel (El-Nouby et al. 2021), `[h, w, c]` with `c` a multiple of four: the row's
/// channels, then the column's. Of a row counted from one, `p = 2 pi row / (h + 1e-6)`; channel `i` of `c / 2` is the
/// sine (even `i`) or cosine (odd `i`) of `p / 10000^(2 floor(i / 2) / (c / 2))`; the column alike.
///
/// The paper only states sines and cosines; order, scale and epsilon are those of its published code.
pub fn sine(shape: Shape) -> Vec<f64> {
    let half = shape.c / 2;
    let wave = |at: usize, size: usize, i: usize| {
        let position = TAU * (at + 1) as f64 / (size as f64 + EPSILON);
        let angle = position / TEMPERATURE.powf(2.0 * (i / 2) as f64 / half as f64);
        if i.is_multiple_of(2) { angle.sin() } else { angle.cos() }
    };
    let mut values = Vec::with_capacity(shape.len());
    for row in 0..shape.h {
        for column in 0..shape.w {
            values.extend((0..half).map(|i| wave(row, shape.h, i)));
            values.extend((0..half).map(|i| wave(column, shape.w, i)));
        }
    }
    values
}
