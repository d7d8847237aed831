//! What changes in the course of a training: the learning rate, and how strong the attack is.

use serde::{Deserialize, Serialize};

/// The place of a step in a training.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Time {
    /// Finished epochs.
    pub epoch: u32,
    /// Finished steps of the current epoch.
    pub step: usize,
    /// Steps of an epoch.
    pub steps: usize,
    /// Epochs of the training.
    pub epochs: u32,
}

impl Time {
    /// The first step of a training of one.
    pub const FIRST: Time = Time { epoch: 0, step: 0, steps: 1, epochs: 1 };

    /// In epochs, in the middle of the step, so that no step has the rate 0 of a schedule's end.
    fn middle(self) -> f64 {
        f64::from(self.epoch) + (self.step as f64 + 0.5) / self.steps.max(1) as f64
    }
}

/// A learning rate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    /// The largest learning rate.
    pub lr: f64,
    /// Epochs in which it rises from 0 along a line; behind them the shape goes on as if they had not been.
    #[serde(default)]
    pub warmup: f64,
    /// Whether it moves with every step, else with every epoch.
    #[serde(default)]
    pub per_step: bool,
    /// Its course.
    pub shape: Shape,
}

/// The course of a learning rate over the epochs `0..E`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Shape {
    /// The same throughout.
    Constant,
    /// Half a cosine down to `lr_min`.
    Cosine {
        /// The end.
        lr_min: f64,
    },
    /// Multiplied by `factor` at each milestone.
    Piecewise {
        /// Shares of the training, ascending.
        milestones: Vec<f64>,
        /// The factor.
        factor: f64,
    },
    /// Up from 0 and down to 0 along two lines: the cyclic rate of single-step training.
    Triangular {
        /// Where it is largest, as a share of the training.
        peak: f64,
    },
    /// Up from `lr / start` and down to `lr / (start end)` along two halves of a cosine (Smith and Topin 2018), as
    /// PyTorch's `OneCycleLR`.
    OneCycle {
        /// Where it is largest, as a share of the training; PyTorch's is 0.3.
        peak: f64,
        /// PyTorch's `div_factor`, 25.
        start: f64,
        /// PyTorch's `final_div_factor`, 1e4.
        end: f64,
    },
}

/// A rising strength of the attack: radius and step times `from + (1 - from) t / epochs`, at most 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ramp {
    /// Epochs until it is whole.
    pub epochs: f64,
    /// The strength at the beginning.
    #[serde(default)]
    pub from: f64,
}

/// From `lr` to `lr_min` along half a cosine: `lr_min + (lr - lr_min)(1 + cos(pi e / E)) / 2`.
pub fn cosine(lr: f64, lr_min: f64, epoch: f64, epochs: u32) -> f64 {
    let at = epoch / f64::from(epochs.max(1));
    lr_min + (lr - lr_min) * (1.0 + (std::f64::consts::PI * at).cos()) / 2.0
}

impl Schedule {
    /// The learning rate of a step.
    pub fn at(&self, time: Time) -> f64 {
        let epoch = if self.per_step { time.middle() } else { f64::from(time.epoch) };
        let warm = if self.per_step { epoch } else { epoch + 0.5 };
        if warm < self.warmup {
            return self.lr * warm / self.warmup;
        }
        let share = epoch / f64::from(time.epochs.max(1));
        match &self.shape {
            Shape::Constant => self.lr,
            Shape::Cosine { lr_min } => cosine(self.lr, *lr_min, epoch, time.epochs),
            Shape::Piecewise { milestones, factor } => {
                let reached = |m: &&f64| epoch >= **m * f64::from(time.epochs) - 1e-9;
                self.lr * factor.powi(milestones.iter().filter(reached).count() as i32)
            }
            Shape::Triangular { peak } if share < *peak => self.lr * share / peak,
            Shape::Triangular { peak } => self.lr * (1.0 - share) / (1.0 - peak),
            Shape::OneCycle { peak, start, .. } if share < *peak => {
                let from = self.lr / start;
                from + (self.lr - from) * (1.0 - (std::f64::consts::PI * share / peak).cos()) / 2.0
            }
            Shape::OneCycle { peak, start, end } => {
                let (to, way) = (self.lr / (start * end), (share - peak) / (1.0 - peak));
                to + (self.lr - to) * (1.0 + (std::f64::consts::PI * way).cos()) / 2.0
            }
        }
    }

    pub(super) fn fault(&self) -> Option<(&'static str, String)> {
        let Schedule { lr, warmup, ref shape, .. } = *self;
        if !(lr > 0.0 && lr.is_finite()) {
            return Some(("lr", format!("must be above 0, got {lr}")));
        }
        if !(warmup >= 0.0 && warmup.is_finite()) {
            return Some(("warmup", format!("must be at least 0, got {warmup}")));
        }
        let share = |peak: f64| {
            (!(peak > 0.0 && peak < 1.0)).then(|| ("shape.peak", format!("must be between 0 and 1, got {peak}")))
        };
        let above = |key, value: f64| {
            (!(value > 0.0 && value.is_finite())).then(|| (key, format!("must be above 0, got {value}")))
        };
        match shape {
            Shape::Constant => None,
            Shape::Cosine { lr_min } => (!(*lr_min >= 0.0 && *lr_min <= lr))
                .then(|| ("shape.lr_min", format!("must be at least 0 and at most `lr`, got {lr_min}"))),
            Shape::Piecewise { milestones, factor } => {
                let falls = milestones.windows(2).any(|pair| pair[0] >= pair[1]);
                let unfit = falls || milestones.iter().any(|m| !(0.0..=1.0).contains(m));
                let why = || ("shape.milestones", "must be shares of the training from 0 to 1 that ascend".to_owned());
                unfit.then(why).or_else(|| above("shape.factor", *factor))
            }
            Shape::Triangular { peak } => share(*peak),
            Shape::OneCycle { peak, start, end } => {
                share(*peak).or_else(|| above("shape.start", *start)).or_else(|| above("shape.end", *end))
            }
        }
    }
}

impl Ramp {
    /// The strength of a step.
    pub fn at(&self, time: Time) -> f64 {
        (self.from + (1.0 - self.from) * time.middle() / self.epochs).min(1.0)
    }

    pub(super) fn fault(&self) -> Option<(&'static str, String)> {
        if !(self.epochs > 0.0 && self.epochs.is_finite()) {
            return Some(("epochs", format!("must be above 0, got {}", self.epochs)));
        }
        let from = self.from;
        (!(0.0..1.0).contains(&from)).then(|| ("from", format!("must be at least 0 and below 1, got {from}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEPS: usize = 4;

    fn rates(shape: Shape, warmup: f64, per_step: bool, epochs: u32) -> Vec<f64> {
        let schedule = Schedule { lr: 0.2, warmup, per_step, shape };
        let times = (0..epochs).flat_map(|epoch| (0..STEPS).map(move |step| (epoch, step)));
        times.map(|(epoch, step)| schedule.at(Time { epoch, step, steps: STEPS, epochs })).collect()
    }

    fn near(found: f64, want: f64) -> bool {
        (found - want).abs() < 1e-12
    }

    #[test]
    fn cosine_runs_from_start_to_near_the_end() {
        assert_eq!(cosine(0.1, 0.001, 0.0, 50), 0.1);
        assert!(near(cosine(0.1, 0.001, 25.0, 50), 0.0505));
        assert!(near(cosine(0.1, 0.001, 50.0, 50), 0.001));
    }

    #[test]
    fn a_rate_moves_with_steps_or_with_epochs() {
        let cosine = || Shape::Cosine { lr_min: 0.0 };
        let by_epoch = rates(cosine(), 0.0, false, 4);
        assert!(by_epoch.chunks(STEPS).all(|epoch| epoch.iter().all(|lr| *lr == epoch[0])));
        assert!(near(by_epoch[0], 0.2) && near(by_epoch[2 * STEPS], 0.1));
        let by_step = rates(cosine(), 0.0, true, 4);
        assert!(by_step.windows(2).all(|pair| pair[1] < pair[0]), "{by_step:?}");
        // Half way between the seventh and the eighth of 16 steps is the middle of the training.
        assert!(near((by_step[7] + by_step[8]) / 2.0, 0.1));
    }

    #[test]
    fn triangles_and_cycles_have_their_peak_and_their_ends() {
        let triangle = rates(Shape::Triangular { peak: 0.4 }, 0.0, true, 10);
        assert!(near(triangle[0], 0.2 * 0.5 / 16.0) && near(triangle[39], 0.2 * 0.5 / 24.0), "{triangle:?}");
        let top = triangle.iter().copied().fold(0.0, f64::max);
        assert!(top < 0.2 && top > 0.19 && (triangle[15] == top || triangle[16] == top));
        let cycle = rates(Shape::OneCycle { peak: 0.3, start: 25.0, end: 1e4 }, 0.0, true, 1000);
        assert!((cycle[0] - 0.2 / 25.0).abs() < 1e-6 && (cycle[3999] - 0.2 / 25e4).abs() < 1e-6);
        assert!((cycle[1200] - 0.2).abs() < 1e-6);
        assert!(near((cycle[599] + cycle[600]) / 2.0, (0.2 + 0.2 / 25.0) / 2.0));
    }

    #[test]
    fn milestones_and_warm_up() {
        let rates = rates(Shape::Piecewise { milestones: vec![0.5, 0.75], factor: 0.1 }, 1.0, true, 4);
        let want = [0.2 / 8.0, 0.6 / 8.0, 1.0 / 8.0, 1.4 / 8.0, 0.2, 0.2, 0.2, 0.2, 0.02, 0.02, 0.02, 0.02, 0.002];
        assert!(rates.iter().zip(want).all(|(a, b)| near(*a, b)), "{rates:?}");
    }

    #[test]
    fn a_ramp_ends_at_the_whole_strength() {
        let ramp = Ramp { epochs: 5.0, from: 0.0 };
        let at = |epoch, step| ramp.at(Time { epoch, step, steps: STEPS, epochs: 30 });
        assert!(near(at(0, 0), 0.025) && near(at(2, 2), 0.525) && near(at(4, 3), 0.975));
        assert_eq!([at(5, 0), at(29, 3)], [1.0, 1.0]);
    }
}
