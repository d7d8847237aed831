//! The nearest point of a hyperplane inside the box `[0, 1]`, exactly, as FAB needs at every step (Croce and Hein 2020,
//! section 3.1). One image at a time, flat `[h * w * c]`.

use crate::threat::Norm;

/// `{v: w . v = b}`.
#[derive(Clone, Copy, Debug)]
pub struct Hyperplane<'a> {
    /// Normal vector.
    pub w: &'a [f32],
    /// Offset.
    pub b: f64,
}

/// Entries of the normal below this are ignored by an L2 projection.
const NEGLIGIBLE: f32 = 1e-8;

impl Hyperplane<'_> {
    /// The smallest change that takes `x`, in the box, onto the plane without leaving the box. Where box and plane do
    /// not meet, the change goes as far towards the plane as the box allows.
    pub fn change(&self, norm: Norm, x: &[f32]) -> Vec<f32> {
        let dot: f64 = self.w.iter().zip(x).map(|(w, x)| f64::from(*w) * f64::from(*x)).sum();
        let gap = dot - self.b;
        // Oriented so that the product must fall: entries move against the sign of w.
        let side = if gap >= 0.0 { 1.0 } else { -1.0 };
        // Per entry: the slope of the product, and the distance to the box.
        let entries: Vec<(f64, f64)> = self
            .w
            .iter()
            .zip(x)
            .map(|(w, x)| {
                let w = side * f64::from(*w);
                let room = if w > 0.0 { f64::from(*x) } else { 1.0 - f64::from(*x) };
                (w, if w == 0.0 { 0.0 } else { room })
            })
            .collect();
        let fall = gap.abs();
        let lengths = match norm {
            // Every entry changes by the same amount, up to the box.
            Norm::Linf => water(&entries, fall, |_| 1.0),
            // Every entry changes in proportion to its weight, up to the box.
            Norm::L2 => water(&entries, fall, |w| if w < f64::from(NEGLIGIBLE) { 0.0 } else { w }),
            Norm::L1 => greedy(&entries, fall),
        };
        lengths.iter().zip(&entries).map(|(l, (w, _))| (-l * w.signum()) as f32).collect()
    }
}

/// Lengths `min(t * speed(|w|), room)` with the smallest `t` at which they take `fall` off the product.
fn water(entries: &[(f64, f64)], fall: f64, speed: impl Fn(f64) -> f64) -> Vec<f64> {
    // When each entry meets the box; those that never move are left out.
    let mut moving: Vec<(f64, usize)> = entries
        .iter()
        .enumerate()
        .filter(|(_, (w, _))| *w != 0.0 && speed(w.abs()) > 0.0)
        .map(|(i, (w, room))| (room / speed(w.abs()), i))
        .collect();
    moving.sort_by(|a, b| a.0.total_cmp(&b.0));
    let rate = |i: usize| entries[i].0.abs() * speed(entries[i].0.abs());
    let mut slope: f64 = moving.iter().map(|(_, i)| rate(*i)).sum();
    let (mut done, mut at, mut t) = (0.0, 0.0, f64::INFINITY);
    for (stop, i) in &moving {
        let next = done + slope * (stop - at);
        if next >= fall {
            t = at + (fall - done) / slope;
            break;
        }
        (done, at) = (next, *stop);
        slope -= rate(*i);
    }
    let length = |(w, room): &(f64, f64)| {
        let speed = speed(w.abs());
        if *w == 0.0 || speed == 0.0 { 0.0 } else { (t * speed).min(*room) }
    };
    entries.iter().map(length).collect()
}

/// The entries of largest weight first, each up to the box.
fn greedy(entries: &[(f64, f64)], fall: f64) -> Vec<f64> {
    let mut order: Vec<usize> = (0..entries.len()).filter(|i| entries[*i].0 != 0.0).collect();
    order.sort_by(|a, b| entries[*b].0.abs().total_cmp(&entries[*a].0.abs()));
    let (mut lengths, mut left) = (vec![0.0; entries.len()], fall);
    for i in order {
        let (w, room) = entries[i];
        lengths[i] = (left / w.abs()).clamp(0.0, room);
        left -= lengths[i] * w.abs();
        if left <= 0.0 {
            break;
        }
    }
    lengths
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attack::ball::{Ball, size};
    use crate::seed::Seed;

    fn linf(x: &[f32], w: &[f32], b: f64) -> Vec<f32> {
        Hyperplane { w, b }.change(Norm::Linf, x)
    }

    fn near(a: &[f32], b: &[f32]) -> bool {
        a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-6)
    }

    /// Known answers of the official projection.
    #[test]
    fn linf_known_answers() {
        assert!(near(&linf(&[0.5, 0.5, 0.5], &[1.0, 2.0, -1.0], 0.5), &[-0.125, -0.125, 0.125]));
        assert!(near(&linf(&[0.1, 0.5, 0.9], &[1.0, 1.0, 1.0], 0.6), &[-0.1, -0.4, -0.4]));
        assert!(near(&linf(&[0.1, 0.5, 0.9], &[1.0, -1.0, 1.0], -0.9), &[-0.1, 0.5, -0.8]));
    }

    /// On the plane where it can be met, in the box, and no other feasible point of the plane is nearer.
    #[test]
    fn nearest_of_many() {
        let mut stream = Seed::root(5).stream();
        let mut draw = |lo: f32, hi: f32| -> Vec<f32> { (0..5).map(|_| stream.uniform_in(lo, hi)).collect() };
        let dot = |w: &[f32], x: &[f32]| w.iter().zip(x).map(|(w, x)| f64::from(w * x)).sum::<f64>();
        for norm in Norm::ALL {
            for _ in 0..200 {
                let (x, w, goal) = (draw(0.0, 1.0), draw(-1.0, 1.0), draw(0.0, 1.0));
                let b = dot(&w, &goal);
                let change = Hyperplane { w: &w, b }.change(norm, &x);
                let to: Vec<f32> = x.iter().zip(&change).map(|(x, d)| x + d).collect();
                assert!((dot(&w, &to) - b).abs() < 1e-5, "{norm}: {} is not {b}", dot(&w, &to));
                assert!(to.iter().all(|v| (-1e-6..=1.0 + 1e-6).contains(v)), "{norm}: {to:?}");
                // `goal` is on the plane and in the box; so is every point between.
                let best = size(norm, change.iter().copied());
                let other = size(norm, goal.iter().zip(&x).map(|(g, x)| g - x));
                assert!(best <= other + 1e-6, "{norm}: {best} is further than {other}");
                // The nearest point's ball reaches no further along w than the plane.
                let mut corner = x.clone();
                let side = if dot(&w, &x) > b { -1.0 } else { 1.0 };
                let toward: Vec<f32> = w.iter().map(|w| w * side).collect();
                let ball = Ball::new(norm, best * 0.999);
                for _ in 0..200 {
                    ball.ascend(&mut corner, &toward, 0.02);
                    ball.project(&mut corner, &x, true);
                }
                let crossed = (dot(&w, &corner) - b).signum() != (dot(&w, &x) - b).signum();
                assert!(!crossed || best < 1e-4, "{norm}: a smaller change crosses the plane");
            }
        }
    }

    #[test]
    fn goes_as_far_as_the_box_where_the_plane_is_beyond() {
        for norm in Norm::ALL {
            let change = Hyperplane { w: &[1.0, -1.0], b: -5.0 }.change(norm, &[0.25, 0.5]);
            assert!(near(&change, &[-0.25, 0.5]), "{norm}: {change:?}");
        }
    }
}
