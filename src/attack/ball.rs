//! The ball around a clean image, intersected with the box `[0, 1]`: norms, projections, steepest ascent. One image at
//! a time, flat `[h * w * c]`.

use crate::threat::Norm;

/// All images within `eps` of a clean one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ball {
    /// The norm.
    pub norm: Norm,
    /// Radius.
    pub eps: f32,
}

/// Share of the entries that a sparse step under L1 changes (Tramer and Boneh 2019: the quantile 0.99).
const SPARSE: f64 = 0.01;

/// The norm of a change.
pub fn size(norm: Norm, change: impl Iterator<Item = f32>) -> f64 {
    match norm {
        Norm::Linf => change.fold(0.0, |m, v| f64::from(v.abs()).max(m)),
        Norm::L2 => change.map(|v| f64::from(v).powi(2)).sum::<f64>().sqrt(),
        Norm::L1 => change.map(|v| f64::from(v.abs())).sum(),
    }
}

/// The distance of `x` from `clean`.
pub fn distance(norm: Norm, x: &[f32], clean: &[f32]) -> f64 {
    size(norm, x.iter().zip(clean).map(|(x, c)| x - c))
}

/// The sign, with `sign(0) = 0`: an entry without gradient is not changed.
pub fn sign(v: f32) -> f32 {
    f32::from(i8::from(v > 0.0) - i8::from(v < 0.0))
}

/// `scale / size` of an L2 vector, 0 for a zero vector.
fn ratio(scale: f64, size: f64) -> f32 {
    if size > 0.0 { (scale / size) as f32 } else { 0.0 }
}

impl Ball {
    /// A ball.
    pub fn new(norm: Norm, eps: f64) -> Self {
        Ball { norm, eps: eps as f32 }
    }

    /// Moves `x` to the nearest point of the ball and, with `clip`, of the box. Exact, also where ball and box meet;
    /// with `clip`, the clean image is taken to be in the box.
    pub fn project(&self, x: &mut [f32], clean: &[f32], clip: bool) {
        let (lo, hi) = if clip { (0.0, 1.0) } else { (f32::NEG_INFINITY, f32::INFINITY) };
        match self.norm {
            Norm::Linf => {
                for (x, c) in x.iter_mut().zip(clean) {
                    *x = x.clamp(c - self.eps, c + self.eps).clamp(lo, hi);
                }
            }
            // The change z becomes clip(z / (1 + t)), by the stationarity of the Lagrangian.
            Norm::L2 => self.shrink(x, clean, |z, t, room| (z / (1.0 + t)).min(room), (lo, hi)),
            // The change z becomes clip(z - t) on its own side of zero (Croce and Hein 2021, proposition 2.1).
            Norm::L1 => self.shrink(x, clean, |z, t, room| (z - t).max(0.0).min(room), (lo, hi)),
        }
    }

    /// Replaces each change `z` by `shrunk(|z|, t, room)` with the smallest `t >= 0` for which the result is in the
    /// ball. `room` is the distance to the box on that side. `shrunk` is decreasing in `t`, and so is the norm:
    /// bisection to the last bit.
    fn shrink(&self, x: &mut [f32], clean: &[f32], shrunk: impl Fn(f64, f64, f64) -> f64, (lo, hi): (f32, f32)) {
        let changes: Vec<(f64, f64)> = x
            .iter()
            .zip(clean)
            .map(|(x, c)| (f64::from(x - c), f64::from(if x > c { hi - c } else { c - lo })))
            .collect();
        let eps = f64::from(self.eps);
        let fits = |t: f64| {
            let sizes = changes.iter().map(|(z, room)| shrunk(z.abs(), t, *room));
            match self.norm {
                Norm::L2 => sizes.map(|s| s * s).sum::<f64>() <= eps * eps,
                Norm::Linf | Norm::L1 => sizes.sum::<f64>() <= eps,
            }
        };
        let mut t = 0.0;
        if !fits(0.0) {
            if eps == 0.0 {
                x.copy_from_slice(clean);
                return;
            }
            let (mut low, mut high) = (0.0, 1.0);
            while !fits(high) {
                (low, high) = (high, 2.0 * high);
            }
            loop {
                let middle = 0.5 * (low + high);
                if middle <= low || middle >= high {
                    break;
                }
                if fits(middle) { high = middle } else { low = middle }
            }
            t = high;
        }
        for ((x, c), (z, room)) in x.iter_mut().zip(clean).zip(&changes) {
            *x = (c + (shrunk(z.abs(), t, *room) * z.signum()) as f32).clamp(lo, hi);
        }
    }

    /// Brings `x` into ball and box as Auto-PGD does: under L2 the change is scaled down and then clipped, which is
    /// in both but not the nearest point.
    pub fn retract(&self, x: &mut [f32], clean: &[f32]) {
        match self.norm {
            Norm::Linf | Norm::L1 => self.project(x, clean, true),
            Norm::L2 => {
                let size = distance(Norm::L2, x, clean);
                let scale = if size > f64::from(self.eps) { ratio(f64::from(self.eps), size) } else { 1.0 };
                for (x, c) in x.iter_mut().zip(clean) {
                    *x = (c + (*x - c) * scale).clamp(0.0, 1.0);
                }
            }
        }
    }

    /// Moves `x` by `step` along the steepest ascent of `gradient`: its sign under Linf, its direction under L2, and
    /// under L1 the sign of its largest entries, without those that are at the box already (Tramer and Boneh 2019).
    pub fn ascend(&self, x: &mut [f32], gradient: &[f32], step: f32) {
        match self.norm {
            Norm::Linf => {
                for (x, g) in x.iter_mut().zip(gradient) {
                    *x += step * sign(*g);
                }
            }
            Norm::L2 => {
                let scale = ratio(f64::from(step), size(Norm::L2, gradient.iter().copied()));
                for (x, g) in x.iter_mut().zip(gradient) {
                    *x += scale * g;
                }
            }
            Norm::L1 => {
                let stopped = |x: f32, g: f32| (g > 0.0 && x >= 1.0) || (g < 0.0 && x <= 0.0);
                let mut free: Vec<usize> =
                    (0..x.len()).filter(|i| gradient[*i] != 0.0 && !stopped(x[*i], gradient[*i])).collect();
                free.sort_by(|a, b| gradient[*b].abs().total_cmp(&gradient[*a].abs()));
                free.truncate(((SPARSE * x.len() as f64).ceil() as usize).max(1));
                let share = step / free.len().max(1) as f32;
                for i in free {
                    x[i] += share * sign(gradient[i]);
                }
            }
        }
    }

    /// Whether `x` is in ball and box, but for rounding of 32-bit floats.
    pub fn holds(&self, x: &[f32], clean: &[f32]) -> bool {
        let slack = match self.norm {
            Norm::Linf => 1e-6,
            Norm::L2 | Norm::L1 => 1e-5 * f64::from(self.eps).max(1.0),
        };
        distance(self.norm, x, clean) <= f64::from(self.eps) + slack && x.iter().all(|v| (0.0..=1.0).contains(v))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::Seed;

    fn near(a: &[f32], b: &[f32]) -> bool {
        a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-6)
    }

    fn moved(ball: Ball, clean: &[f32], change: &[f32]) -> Vec<f32> {
        let mut x: Vec<f32> = clean.iter().zip(change).map(|(c, z)| c + z).collect();
        ball.project(&mut x, clean, true);
        x.iter().zip(clean).map(|(x, c)| x - c).collect()
    }

    /// Known answers of the official projection onto the L1 ball and the box.
    #[test]
    fn l1_known_answers() {
        let ball = Ball::new(Norm::L1, 0.6);
        assert!(near(&moved(ball, &[0.2, 0.8, 0.5], &[0.5, -0.3, 0.4]), &[0.3, -0.1, 0.2]));
        assert!(near(&moved(ball, &[0.9, 0.8, 0.5], &[0.5, -0.3, 0.4]), &[0.1, -0.2, 0.3]));
        assert!(near(&moved(ball, &[0.5, 0.5, 0.5], &[0.1, -0.1, 0.1]), &[0.1, -0.1, 0.1]));
    }

    #[test]
    fn l2_without_the_box_is_a_rescaling() {
        let ball = Ball::new(Norm::L2, 0.05);
        assert!(near(&moved(ball, &[0.5, 0.5], &[0.3, -0.4]), &[0.03, -0.04]));
        let mut x = [2.0, 0.5];
        Ball::new(Norm::L2, 1.0).project(&mut x, &[0.5, 0.5], false);
        assert!(near(&x, &[1.5, 0.5]), "{x:?}");
    }

    /// The nearest point is found where it is no further than any of many feasible points.
    #[test]
    fn no_feasible_point_is_nearer() {
        let mut stream = Seed::root(3).stream();
        let mut draw = |lo: f32, hi: f32| -> Vec<f32> { (0..6).map(|_| stream.uniform_in(lo, hi)).collect() };
        for norm in Norm::ALL {
            for eps in [0.1, 0.5, 1.3] {
                let ball = Ball::new(norm, eps);
                for _ in 0..40 {
                    let clean: Vec<f32> = draw(-0.3, 1.3).iter().map(|v| v.clamp(0.0, 1.0)).collect();
                    let far = draw(-1.0, 2.0);
                    let mut x = far.clone();
                    ball.project(&mut x, &clean, true);
                    assert!(ball.holds(&x, &clean), "{norm} {eps}: {x:?} from {clean:?}");
                    let best = distance(Norm::L2, &x, &far);
                    for _ in 0..40 {
                        let mut other: Vec<f32> = x.iter().zip(draw(-0.2, 0.2)).map(|(x, d)| x + d).collect();
                        ball.retract(&mut other, &clean);
                        assert!(ball.holds(&other, &clean), "{norm} {eps}: retracted to {other:?}");
                        assert!(distance(Norm::L2, &other, &far) > best - 1e-5, "{norm} {eps}: {other:?} is nearer");
                    }
                }
            }
        }
    }

    #[test]
    fn a_radius_of_zero_leaves_the_clean_image() {
        for norm in Norm::ALL {
            let clean = [0.3, 0.0, 1.0, 0.7];
            let mut x = [1.0, 1.0, 0.0, 0.2];
            Ball::new(norm, 0.0).project(&mut x, &clean, true);
            assert_eq!(x, clean, "{norm}");
        }
    }
}
