//! What only token networks need: a learned token in front, and the positions that XCiT projects.

use crate::arch::op::Shape;
use crate::engine::real::Real;

/// `y = [token, x]`.
pub fn class_forward<T: Real>(x: &[T], token: &[T], y: &mut [T]) {
    let (first, rest) = y.split_at_mut(token.len());
    first.copy_from_slice(token);
    rest.copy_from_slice(x);
}

/// The value of one place of a position: sines in even channels and cosines in odd ones, `at` counted from 1 of `n`, in channels
/// `0..half`, of wave lengths from `2 pi` to `10,000` times that (DETR's, with its 1e-6 in the divisor).
fn wave(at: usize, n: usize, channel: usize, half: usize) -> f64 {
    let angle = at as f64 / (n as f64 + 1e-6) * std::f64::consts::TAU;
    let length = 10_000f64.powf(2.0 * (channel / 2) as f64 / half as f64);
    if channel.is_multiple_of(2) { (angle / length).sin() } else { (angle / length).cos() }
}

/// The positions of a plane: those of the row in the first half of the channels, those of the column in the second.
pub fn sine_positions<T: Real>(shape: Shape, y: &mut [T]) {
    let half = shape.c / 2;
    for (p, pixel) in y.chunks_exact_mut(shape.c).enumerate() {
        let (row, column) = (p / shape.w + 1, p % shape.w + 1);
        for (i, v) in pixel.iter_mut().enumerate() {
            let (at, n) = if i < half { (row, shape.h) } else { (column, shape.w) };
            *v = T::from_f64(wave(at, n, i % half, half));
        }
    }
}

/// The positions of a plane as a list, `[h, w, c]`.
pub fn sine_table(shape: Shape) -> Vec<f64> {
    let mut table = vec![0.0; shape.len()];
    sine_positions(shape, &mut table);
    table
}
