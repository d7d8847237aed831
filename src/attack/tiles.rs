//! The moves of the square attack under L2 (Andriushchenko et al. 2020, algorithm 3 and supplement B) and L1 (Croce and
//! Hein 2021): bumps whose norm is taken from one window and given to another.
//!
//! The paper gives the L1 form in a sentence, and what is here follows the behaviour of its authors' code: lengths are
//! sums of absolute values, bumps are steeper, a bump gets the length that all channels have spare, and what is too
//! long or outside the box is projected exactly onto both. Its start is not brought to the length of the radius: tiles
//! shorter than it in all stay so until the first windows spend what is left.

use super::ball::{Ball, distance, size};
use super::canvas::Canvas;
use crate::seed::Stream;
use crate::threat::Norm;

/// The smallest window.
const SMALLEST: usize = 3;
/// Tiles on a side of the start.
const TILES: usize = 5;
const TINY: f64 = 1e-12;
/// Under L1 points are projected into this share of the radius, so that rounding does not carry them out.
const L1_SHARE: f32 = 1.0 - 1e-6;

/// The size of one entry, of which a length is made: its square under L2, its absolute value under L1.
fn part(norm: Norm, v: f64) -> f64 {
    match norm {
        Norm::L2 => v * v,
        Norm::Linf | Norm::L1 => v.abs(),
    }
}

/// The length that parts add up to.
fn length_of(norm: Norm, parts: f64) -> f64 {
    match norm {
        Norm::L2 => parts.sqrt(),
        Norm::Linf | Norm::L1 => parts,
    }
}

fn length(norm: Norm, v: &[f64]) -> f64 {
    length_of(norm, v.iter().map(|v| part(norm, *v)).sum())
}

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
    /// Bumps of random sign on a grid of tiles; under L2 at the length of the radius.
    pub fn start(&self, x: &mut [f32], clean: &[f32], stream: &mut Stream) {
        let Canvas { h, w, c } = self.canvas;
        let side = (h.min(w) / TILES).max(1);
        let mut delta = vec![0f64; x.len()];
        let offset = |n: usize| (n - TILES.min(n / side) * side) / 2;
        for top in (0..TILES.min(h / side)).map(|i| offset(h) + i * side) {
            for left in (0..TILES.min(w / side)).map(|i| offset(w) + i * side) {
                let bump = eta(self.ball.norm, side, stream);
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
        let Ball { norm, eps } = self.ball;
        let spare = (part(norm, f64::from(eps)) - part(norm, distance(norm, x, clean))).max(0.0) / c as f64;
        // Under L1 every channel is given what all of them could have; the projection takes back what is too much.
        let generous = if norm == Norm::L1 { c as f64 } else { 1.0 };
        let bump = eta(norm, side, stream);
        for channel in 0..c {
            let inside = |test: &dyn Fn(usize, usize) -> bool| -> f64 {
                let scalars = (0..h * w).filter(|i| test(i / w, i % w));
                scalars.map(|i| part(norm, delta[self.canvas.at(i / w, i % w, channel)])).sum()
            };
            let both = inside(&|r, k| to.contains(r, k) || from.contains(r, k));
            let there = length_of(norm, inside(&|r, k| to.contains(r, k)));
            let sign = if stream.coin() { 1.0 } else { -1.0 };
            let index = |i: usize| self.canvas.at(to.top + i / side, to.left + i % side, channel);
            let mut new: Vec<f64> =
                bump.iter().enumerate().map(|(i, v)| sign * v + delta[index(i)] / (there + TINY)).collect();
            let scale = generous * length_of(norm, spare + both) / (length(norm, &new) + TINY);
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

    /// Makes an image of a change: under L2 `box(clean + eps * delta / |delta|)`, under L1 the nearest point of ball
    /// and box.
    fn place(&self, x: &mut [f32], clean: &[f32], delta: &[f64]) {
        let Ball { norm, eps } = self.ball;
        if norm == Norm::L1 {
            for ((x, c), d) in x.iter_mut().zip(clean).zip(delta) {
                *x = c + *d as f32;
            }
            return Ball { norm, eps: L1_SHARE * eps }.project(x, clean, true);
        }
        let length = size(norm, delta.iter().map(|v| *v as f32)) + TINY;
        let scale = f64::from(eps) / length;
        for ((x, c), d) in x.iter_mut().zip(clean).zip(delta) {
            *x = (c + (scale * d) as f32).clamp(0.0, 1.0);
        }
    }
}

/// A bump of one sign above one of the other, of unit length, `[side, side]`; lying down half of the time.
fn eta(norm: Norm, side: usize, stream: &mut Stream) -> Vec<f64> {
    let upper = side / 2;
    let mut bump = hill(norm, upper, side);
    bump.extend(hill(norm, side - upper, side).into_iter().map(|v| -v));
    let length = length(norm, &bump).max(TINY);
    bump.iter_mut().for_each(|v| *v /= length);
    if stream.coin() {
        bump = (0..side * side).map(|i| bump[(i % side) * side + i / side]).collect();
    }
    bump
}

/// Nested squares round the middle of `[rows, columns]`, the `j`-th adding `1 / (j + 1)^2`, under L1 `1 / (j + 1)^4`,
/// at unit length.
fn hill(norm: Norm, rows: usize, columns: usize) -> Vec<f64> {
    let mut hill = vec![0f64; rows * columns];
    let (row, column) = (rows / 2, columns / 2);
    for j in 0..(row + 1).max(column + 1) {
        let square = ((j + 1) * (j + 1)) as f64;
        let weight = 1.0 / if norm == Norm::L1 { square * square } else { square };
        for r in row.saturating_sub(j)..(row + j + 1).min(rows) {
            for k in column.saturating_sub(j)..(column + j + 1).min(columns) {
                hill[r * columns + k] += weight;
            }
        }
    }
    let length = length(norm, &hill).max(TINY);
    hill.iter_mut().for_each(|v| *v /= length);
    hill
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hills_and_bumps() {
        // Middle 1 + 1/4, round it 1/4; under L1 a sixteenth.
        for (norm, ratio) in [(Norm::L2, 5.0), (Norm::L1, 17.0)] {
            let three = hill(norm, 3, 3);
            assert!((three[4] / three[0] - ratio).abs() < 1e-12, "{norm}");
            let mut stream = crate::seed::Seed::root(2).stream();
            for side in [1, 2, 3, 6, 7] {
                let bump = eta(norm, side, &mut stream);
                assert_eq!(bump.len(), side * side);
                assert!((length(norm, &bump) - 1.0).abs() < 1e-9, "{norm} {side}");
                assert!(side == 1 || bump.iter().any(|v| *v > 0.0) && bump.iter().any(|v| *v < 0.0), "{norm} {side}");
            }
        }
    }

    #[test]
    fn moves_stay_in_the_ball_and_keep_its_length() {
        let canvas = Canvas { h: 12, w: 10, c: 3 };
        let clean = vec![0.5; 360];
        for (norm, eps) in [(Norm::L2, 0.5), (Norm::L1, 6.0)] {
            let mut stream = crate::seed::Seed::root(2).stream();
            let ball = Ball::new(norm, eps);
            let tiles = Tiles { canvas, ball };
            let mut x = clean.clone();
            tiles.start(&mut x, &clean, &mut stream);
            for side in [10, 7, 5, 4, 3, 2, 1] {
                tiles.step(&mut x, &clean, side, &mut stream);
                assert!(ball.holds(&x, &clean), "{norm} {side}");
                assert!((distance(norm, &x, &clean) / eps - 1.0).abs() < 2e-4, "{norm} {side}");
            }
        }
    }

    /// Where the start leaves some of the radius, the windows spend it.
    #[test]
    fn a_wide_l1_ball_is_filled() {
        let canvas = Canvas { h: 25, w: 25, c: 3 };
        let clean = vec![0.5; 1875];
        let ball = Ball::new(Norm::L1, 90.0);
        let (tiles, mut stream) = (Tiles { canvas, ball }, crate::seed::Seed::root(2).stream());
        let mut x = clean.clone();
        tiles.start(&mut x, &clean, &mut stream);
        let begun = distance(Norm::L1, &x, &clean);
        assert!(begun > 10.0 && begun < 89.0, "{begun}");
        (0..50).for_each(|_| tiles.step(&mut x, &clean, 9, &mut stream));
        let filled = distance(Norm::L1, &x, &clean);
        assert!(filled > 89.9 && ball.holds(&x, &clean), "{begun} to {filled}");
    }
}
