//! The moves of the square attack under L2 (Andriushchenko et al. 2020, algorithm 3 and supplement B): bumps whose length
//! is taken from one window and given to another.

use super::ball::{Ball, distance, size};
use super::square::Canvas;
use crate::seed::Stream;
use crate::threat::Norm;

/// The smallest window.
const SMALLEST: usize = 3;
/// Tiles on a side of the start.
const TILES: usize = 5;
const TINY: f64 = 1e-12;

/// Moves in an image and a ball.
pub(super) struct Tiles {
    pub canvas: Canvas,
    pub ball: Ball,
}

/// A square window.
#[derive(Clone, Copy)]
struct Window {
    top: usize,
    left: usize,
    side: usize,
}

impl Window {
    fn contains(&self, row: usize, column: usize) -> bool {
        (self.top..self.top + self.side).contains(&row) && (self.left..self.left + self.side).contains(&column)
    }
}

impl Tiles {
    /// Bumps of random sign on a grid of tiles, at the length of the radius.
    pub fn start(&self, x: &mut [f32], clean: &[f32], stream: &mut Stream) {
        let Canvas { h, w, c } = self.canvas;
        let side = (h.min(w) / TILES).max(1);
        let mut delta = vec![0f64; x.len()];
        let offset = |n: usize| (n - TILES.min(n / side) * side) / 2;
        for top in (0..TILES.min(h / side)).map(|i| offset(h) + i * side) {
            for left in (0..TILES.min(w / side)).map(|i| offset(w) + i * side) {
                let bump = eta(side, stream);
                for channel in 0..c {
                    let sign = if stream.coin() { 1.0 } else { -1.0 };
                    for (i, v) in bump.iter().enumerate() {
                        delta[self.canvas.at(top + i / side, left + i % side, channel)] += sign * v;
                    }
                }
            }
        }
        self.place(x, clean, &delta);
    }

    /// Empties one window and gives its length, and what the ball has left, to a bump in another.
    pub fn step(&self, x: &mut [f32], clean: &[f32], side: usize, stream: &mut Stream) {
        let Canvas { h, w, c } = self.canvas;
        let side = (side.max(SMALLEST) | 1).min(h).min(w);
        let draw = |stream: &mut Stream| {
            let (top, left) = self.canvas.corner(side, stream);
            Window { top, left, side }
        };
        let (to, from) = (draw(stream), draw(stream));
        let mut delta: Vec<f64> = x.iter().zip(clean).map(|(x, c)| f64::from(x - c)).collect();
        let eps = f64::from(self.ball.eps);
        let spare = (eps * eps - distance(Norm::L2, x, clean).powi(2)).max(0.0) / c as f64;
        let bump = eta(side, stream);
        for channel in 0..c {
            let inside = |test: &dyn Fn(usize, usize) -> bool| -> f64 {
                let scalars = (0..h * w).filter(|i| test(i / w, i % w));
                scalars.map(|i| delta[self.canvas.at(i / w, i % w, channel)].powi(2)).sum()
            };
            let both = inside(&|r, k| to.contains(r, k) || from.contains(r, k));
            let there = inside(&|r, k| to.contains(r, k)).sqrt();
            let sign = if stream.coin() { 1.0 } else { -1.0 };
            let index = |i: usize| self.canvas.at(to.top + i / side, to.left + i % side, channel);
            let mut new: Vec<f64> =
                bump.iter().enumerate().map(|(i, v)| sign * v + delta[index(i)] / (there + TINY)).collect();
            let length = new.iter().map(|v| v * v).sum::<f64>().sqrt() + TINY;
            let scale = (spare + both).sqrt() / length;
            new.iter_mut().for_each(|v| *v *= scale);
            for i in 0..side * side {
                delta[self.canvas.at(from.top + i / side, from.left + i % side, channel)] = 0.0;
            }
            for (i, v) in new.into_iter().enumerate() {
                delta[index(i)] = v;
            }
        }
        self.place(x, clean, &delta);
    }

    /// `x = box(clean + eps * delta / |delta|)`.
    fn place(&self, x: &mut [f32], clean: &[f32], delta: &[f64]) {
        let length = size(Norm::L2, delta.iter().map(|v| *v as f32)) + TINY;
        let scale = f64::from(self.ball.eps) / length;
        for ((x, c), d) in x.iter_mut().zip(clean).zip(delta) {
            *x = (c + (scale * d) as f32).clamp(0.0, 1.0);
        }
    }
}

/// A bump of one sign above one of the other, of unit length, `[side, side]`; lying down half of the time.
fn eta(side: usize, stream: &mut Stream) -> Vec<f64> {
    let upper = side / 2;
    let mut bump = hill(upper, side);
    bump.extend(hill(side - upper, side).into_iter().map(|v| -v));
    let length = bump.iter().map(|v| v * v).sum::<f64>().sqrt().max(TINY);
    bump.iter_mut().for_each(|v| *v /= length);
    if stream.coin() {
        bump = (0..side * side).map(|i| bump[(i % side) * side + i / side]).collect();
    }
    bump
}

/// Nested squares round the middle of `[rows, columns]`, the `j`-th adding `1 / (j + 1)^2`, at unit length.
fn hill(rows: usize, columns: usize) -> Vec<f64> {
    let mut hill = vec![0f64; rows * columns];
    let (row, column) = (rows / 2, columns / 2);
    for j in 0..(row + 1).max(column + 1) {
        let weight = 1.0 / ((j + 1) * (j + 1)) as f64;
        for r in row.saturating_sub(j)..(row + j + 1).min(rows) {
            for k in column.saturating_sub(j)..(column + j + 1).min(columns) {
                hill[r * columns + k] += weight;
            }
        }
    }
    let length = hill.iter().map(|v| v * v).sum::<f64>().sqrt().max(TINY);
    hill.iter_mut().for_each(|v| *v /= length);
    hill
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hills_and_bumps() {
        let length = |v: &[f64]| v.iter().map(|v| v * v).sum::<f64>().sqrt();
        let three = hill(3, 3);
        // Middle 1 + 1/4, round it 1/4.
        assert!((three[4] / three[0] - 5.0).abs() < 1e-12);
        let mut stream = crate::seed::Seed::root(2).stream();
        for side in [1, 2, 3, 6, 7] {
            let bump = eta(side, &mut stream);
            assert_eq!(bump.len(), side * side);
            assert!((length(&bump) - 1.0).abs() < 1e-9, "{side}");
            assert!(side == 1 || bump.iter().any(|v| *v > 0.0) && bump.iter().any(|v| *v < 0.0), "{side}");
        }
    }

    #[test]
    fn moves_stay_in_the_ball_and_keep_its_length() {
        let mut stream = crate::seed::Seed::root(2).stream();
        let tiles = Tiles { canvas: Canvas { h: 12, w: 10, c: 3 }, ball: Ball::new(Norm::L2, 0.5) };
        let clean = vec![0.5; 360];
        let mut x = clean.clone();
        tiles.start(&mut x, &clean, &mut stream);
        for side in [10, 7, 5, 4, 3, 2, 1] {
            tiles.step(&mut x, &clean, side, &mut stream);
            assert!((distance(Norm::L2, &x, &clean) - 0.5).abs() < 1e-4, "{side}");
        }
    }
}
