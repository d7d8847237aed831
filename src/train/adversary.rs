//! What a network is shown in a step: a recipe's adversary at work.

use candle_core::{DType, Tensor};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::work::norm_mode;
use crate::attack::ball::{Ball, sign};
use crate::attack::pgd::{Climb, NoisyStep};
use crate::attack::{Called, Classifier};
use crate::data::loader::Samples;
use crate::engine::{Logits, LossGradient, Mode, Network};
use crate::error::{Error, Result};
use crate::loss::{Aim, Targets, total};
use crate::recipe::{Adversary, Ascent, Fosc, FrankWolfe, Pyramid, SingleStep, Start, Statistics, Time};
use crate::threat::{Loss, Norm};
use crate::units::Fraction;

/// What an adversary that adapts its steps knows.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Adapted {
    /// The epoch that it is in.
    pub epoch: u32,
    /// The steps that the epoch before was given.
    pub before: u32,
    /// The steps of this epoch behind the monitored images; none yet while they are.
    pub steps: Option<u32>,
    /// Images that were monitored.
    pub seen: u64,
    /// The sum of their distortions.
    pub distortion: f64,
}

impl Default for Adapted {
    fn default() -> Self {
        Adapted { epoch: 0, before: 1, steps: None, seen: 0, distortion: 0.0 }
    }
}

impl Adapted {
    /// The mean distortion of the monitored images.
    pub fn mean(&self) -> Option<f64> {
        (self.seen > 0).then(|| self.distortion / self.seen as f64)
    }

    /// The steps of the next batch of an epoch.
    fn next(&mut self, rule: &FrankWolfe, epoch: u32) -> u32 {
        if self.epoch != epoch {
            *self = Adapted { epoch, before: self.steps.unwrap_or(self.before), ..Adapted::default() };
        }
        self.steps.unwrap_or(rule.steps)
    }

    /// Takes in the distortion of a monitored batch; decides when it has seen enough.
    fn see(&mut self, rule: &FrankWolfe, distortions: &[f64]) {
        if rule.monitor == 0 || self.steps.is_some() {
            return;
        }
        self.seen += distortions.len() as u64;
        self.distortion += distortions.iter().sum::<f64>();
        if self.seen >= rule.monitor {
            self.steps = self.mean().map(|mean| rule.adapted(self.before, mean));
        }
    }
}

/// When and where in a network a batch is attacked.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// The step.
    pub time: Time,
    /// What radius and step are multiplied by.
    pub strength: f64,
    /// Which of several batch-norms images go through.
    pub branch: usize,
}

/// The attacked images of a batch, `[n, h, w, c]`. The clean ones without an attack, and of [`Adversary::Free`], which
/// makes its own within the step.
///
/// Nothing is dropped at random meanwhile, so that an attack is made on one network, but with [`Adversary::Pyramid`],
/// which drops what the loss's passes do; the running statistics change with [`crate::recipe::Statistics::Train`]
/// alone.
///
/// # Errors
/// [`Error::NotFinite`] where the network does not answer in numbers.
pub fn attacked(
    adversary: &Adversary,
    adapted: &mut Adapted,
    network: &mut Network,
    mix: &[f64],
    (samples, targets): (Samples<'_>, Targets<'_>),
    Moment { time, strength, branch }: Moment,
) -> Result<Tensor> {
    let length = |fraction: Fraction| (fraction.value() * strength) as f32;
    let classes = network.net().classes();
    let mode = |statistics: Statistics| Mode { norm: norm_mode(statistics), branch, drop: None };
    match adversary {
        Adversary::None | Adversary::Free(_) => Ok(samples.images.clone()),
        Adversary::Pgd(Ascent { norm, eps, step, steps, loss, start, statistics }) => {
            let target = &mut Called { network, mix, mode: mode(*statistics) };
            let ball = Ball { norm: *norm, eps: length(*eps) };
            let climb = Climb { ball, step: length(*step), steps: *steps, clip: true, start: *start };
            match (targets, loss) {
                // Mixed images leave the labels of neither.
                (Targets::Soft(_), Loss::Ce) => climb.up(target, samples, &|logits| sum(targets, logits)),
                _ => climb.aimed(target, samples, *loss),
            }
        }
        Adversary::SingleStep(SingleStep { eps, noise, step, project, clip_start, statistics }) => {
            let attack = NoisyStep {
                noise: noise.value() as f32 * length(*eps),
                step: (eps.value() * step.value() * strength) as f32,
                eps: project.then(|| length(*eps)),
                clip_start: *clip_start,
            };
            attack.up(&mut Called { network, mix, mode: mode(*statistics) }, samples, &|logits| {
                targets.cross_entropy(logits, 0.0)
            })
        }
        Adversary::FrankWolfe(rule) => {
            let steps = adapted.next(rule, time.epoch);
            let target = &mut Called { network, mix, mode: mode(rule.statistics) };
            let eps = rule.eps.value() * strength;
            let (images, distortions) = frank_wolfe(target, (samples, targets), eps, steps, rule.clip)?;
            adapted.see(rule, &distortions);
            Ok(images)
        }
        Adversary::Fosc(rule) => {
            let target = &mut Called { network, mix, mode: mode(rule.statistics) };
            fosc(target, (samples, targets), rule, strength, rule.tolerance(time.epoch, time.epochs))
        }
        Adversary::Pyramid(rule) => {
            let mode = Mode { drop: Some(samples.seed.child("drop")), ..mode(rule.statistics) };
            pyramid(&mut Called { network, mix, mode }, samples, rule, strength, classes)
        }
    }
}

/// The sum of cross-entropies, so that no image's gradient is scaled by how many others there are.
fn sum(targets: Targets<'_>, logits: &Logits) -> LossGradient {
    let n = logits.rows().len() as f64;
    let LossGradient { value, mut dlogits } = targets.cross_entropy(logits, 0.0);
    dlogits.iter_mut().for_each(|d| *d *= n);
    LossGradient { value: n * value, dlogits }
}

/// The same, of whole labels through the attacks' own aims.
fn climbed(targets: Targets<'_>, logits: &Logits) -> LossGradient {
    match targets {
        Targets::Hard(labels) => {
            let aims: Vec<Aim<'_>> = labels.iter().map(|label| Aim::away(Loss::Ce, *label as usize)).collect();
            total(logits, &aims)
        }
        Targets::Soft(_) => sum(targets, logits),
    }
}

fn pixels(tensor: &Tensor) -> Result<Vec<f32>> {
    Ok(tensor.flatten_all()?.to_dtype(DType::F32)?.to_vec1()?)
}

/// Frank-Wolfe ascent under Linf from the clean images: what it ends at, and the distortion of each image.
fn frank_wolfe(
    classifier: &mut dyn Classifier,
    (samples, targets): (Samples<'_>, Targets<'_>),
    eps: f64,
    steps: u32,
    clip: bool,
) -> Result<(Tensor, Vec<f64>)> {
    let images = samples.images;
    let clean = pixels(images)?;
    let per_image = clean.len() / samples.ids.len();
    let mut delta = vec![0f32; clean.len()];
    let moved = |delta: &[f32]| -> Result<Tensor> {
        let x: Vec<f32> = clean.iter().zip(delta).map(|(c, d)| c + d).collect();
        Ok(Tensor::from_vec(x, images.dims(), images.device())?)
    };
    for k in 0..steps {
        let (_, gradient) = classifier.input_gradient(&moved(&delta)?, &|logits| climbed(targets, logits))?;
        let (gamma, eps) = (2.0 / (k as f32 + 2.0), eps as f32);
        for ((d, g), c) in delta.iter_mut().zip(pixels(&gradient)?).zip(&clean) {
            *d = (1.0 - gamma) * *d + gamma * eps * sign(g);
            if clip {
                *d = (c + *d).clamp(0.0, 1.0) - c;
            }
        }
    }
    let distortion = |delta: &[f32]| {
        let squares: f64 = delta.iter().map(|d| f64::from(*d).powi(2)).sum();
        (squares / per_image as f64).sqrt() / eps
    };
    Ok((moved(&delta)?, delta.chunks_exact(per_image).map(distortion).collect()))
}

/// First-order stationary condition of an image under Linf: 0 where no point of the ball is better to first order.
fn stationarity(x: &[f32], origin: &[f32], gradient: &[f32], eps: f64) -> f64 {
    let (mut size, mut along) = (0.0, 0.0);
    for ((x, o), g) in x.iter().zip(origin).zip(gradient) {
        size += f64::from(g.abs());
        along += f64::from(x - o) * f64::from(*g);
    }
    eps * size - along
}

/// Ascent in which an image stops where its stationary condition is no more than `tolerance`.
fn fosc(
    classifier: &mut dyn Classifier,
    (samples, targets): (Samples<'_>, Targets<'_>),
    rule: &Fosc,
    strength: f64,
    tolerance: f64,
) -> Result<Tensor> {
    let eps = rule.eps.value() * strength;
    let (ball, step) = (Ball::new(Norm::Linf, eps), (rule.step.value() * strength) as f32);
    let climb = Climb { ball, step, steps: rule.steps, clip: true, start: Start::Ball };
    let (clean, start) = climb.begin(samples)?;
    let (clean, begun) = (pixels(&clean)?, pixels(&start)?);
    let origin = if rule.from_start { &begun } else { &clean };
    let per_image = clean.len() / samples.ids.len();
    let mut x = begun.clone();
    let mut moves = vec![true; samples.ids.len()];
    for k in 0..rule.steps {
        let now = Tensor::from_slice(&x, samples.images.dims(), samples.images.device())?;
        let (_, gradient) = classifier.input_gradient(&now, &|logits| climbed(targets, logits))?;
        let gradient = pixels(&gradient)?;
        let each = x.par_chunks_exact_mut(per_image).zip(clean.par_chunks_exact(per_image));
        let each = each.zip(origin.par_chunks_exact(per_image)).zip(gradient.par_chunks_exact(per_image));
        each.zip(&mut moves).for_each(|((((x, clean), origin), gradient), moves)| {
            *moves &= k == 0 || stationarity(x, origin, gradient, eps) > tolerance;
            if *moves {
                ball.ascend(x, gradient, step);
                ball.project(x, clean, true);
            }
        });
        if !moves.contains(&true) {
            break;
        }
    }
    Ok(Tensor::from_vec(x, samples.images.dims(), samples.images.device())?)
}

/// Descent to random classes by perturbations of patches.
fn pyramid(
    classifier: &mut dyn Classifier,
    samples: Samples<'_>,
    rule: &Pyramid,
    strength: f64,
    classes: usize,
) -> Result<Tensor> {
    let (n, h, w, c) = samples.images.dims4()?;
    let clean = pixels(samples.images)?;
    let (eps, step) = ((rule.eps.value() * strength) as f32, (rule.step.value() * strength) as f32);
    let seed = samples.seed.child("target");
    let classes: Vec<u32> =
        samples.ids.iter().map(|id| seed.index(u64::from(*id)).stream().below(classes) as u32).collect();
    let aims: Vec<Aim<'_>> = classes.iter().map(|class| Aim::away(Loss::Ce, *class as usize)).collect();
    // The place of a pixel's number in a level.
    let place = |side: usize, i: usize| {
        let (image, y, x, channel) = (i / (h * w * c), i / (w * c) % h, i / c % w, i % c);
        ((image * h.div_ceil(side) + y / side) * w.div_ceil(side) + x / side) * c + channel
    };
    let mut levels: Vec<Vec<f32>> =
        rule.patches.iter().map(|side| vec![0.0; n * h.div_ceil(*side) * w.div_ceil(*side) * c]).collect();
    // The image with all levels on it, and up to which level the box leaves each pixel alone, from the last one back.
    let composed = |levels: &[Vec<f32>]| {
        let (mut x, mut open) = (clean.clone(), vec![vec![true; clean.len()]; levels.len()]);
        for (s, ((level, side), multiplier)) in levels.iter().zip(&rule.patches).zip(&rule.multipliers).enumerate() {
            for (i, x) in x.iter_mut().enumerate() {
                *x += *multiplier as f32 * level[place(*side, i)];
                open[s][i] = (0.0..=1.0).contains(x);
                *x = x.clamp(0.0, 1.0);
            }
        }
        for s in (1..levels.len()).rev() {
            let (before, behind) = open.split_at_mut(s);
            before[s - 1].iter_mut().zip(&behind[0]).for_each(|(before, behind)| *before &= behind);
        }
        (x, open)
    };
    for _ in 0..rule.steps {
        let (x, open) = composed(&levels);
        let now = Tensor::from_vec(x, samples.images.dims(), samples.images.device())?;
        let (_, gradient) = classifier.input_gradient(&now, &|logits| total(logits, &aims))?;
        let gradient = pixels(&gradient)?;
        for ((level, side), open) in levels.iter_mut().zip(&rule.patches).zip(&open) {
            let mut slopes = vec![0f32; level.len()];
            let free = gradient.iter().enumerate().filter(|(i, _)| open[*i]);
            free.for_each(|(i, g)| slopes[place(*side, i)] += g);
            level.iter_mut().zip(slopes).for_each(|(d, slope)| *d = (*d - step * sign(slope)).clamp(-eps, eps));
        }
    }
    Ok(Tensor::from_vec(composed(&levels).0, samples.images.dims(), samples.images.device())?)
}

/// The clean images with a perturbation on them, in the box; and where the box cuts nothing off.
///
/// # Errors
/// [`Error::Tensor`] for shapes that differ.
pub(super) fn perturbed(images: &Tensor, delta: &Tensor) -> Result<(Tensor, Vec<bool>)> {
    if images.dims() != delta.dims() {
        return Err(Error::Tensor(format!("a perturbation {:?} of images {:?}", delta.dims(), images.dims())));
    }
    let sums: Vec<f32> = pixels(images)?.iter().zip(pixels(delta)?).map(|(x, d)| x + d).collect();
    let free = sums.iter().map(|v| (0.0..=1.0).contains(v)).collect();
    let x = sums.into_iter().map(|v| v.clamp(0.0, 1.0)).collect();
    Ok((Tensor::from_vec(x, images.dims(), images.device())?, free))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::Statistics;
    use crate::seed::Seed;
    use candle_core::Device;

    const EPS: f64 = 8.0 / 255.0;

    /// A linear loss per image whose slope is what is told, whatever the batch; it counts its passes.
    struct Slopes {
        list: Vec<Vec<f32>>,
        passes: usize,
    }

    impl Classifier for Slopes {
        fn logits(&mut self, x: &Tensor) -> Result<Logits> {
            Ok(Logits { values: vec![0.0; 2 * x.dims()[0]], classes: 2 })
        }

        fn input_gradient(&mut self, x: &Tensor, _: &dyn Fn(&Logits) -> LossGradient) -> Result<(Logits, Tensor)> {
            let slope = self.list[self.passes.min(self.list.len() - 1)].clone();
            self.passes += 1;
            Ok((self.logits(x)?, Tensor::from_vec(slope, x.dims(), x.device())?))
        }
    }

    fn grey(n: usize, pixels: usize) -> Tensor {
        Tensor::full(0.5f32, (n, 1, pixels, 1), &Device::Cpu).unwrap()
    }

    fn samples<'a>(images: &'a Tensor, labels: &'a [u32]) -> (Samples<'a>, Targets<'a>) {
        (Samples { images, labels, ids: labels, seed: Seed::root(1) }, Targets::Hard(labels))
    }

    /// One step has distortion 1; of two whose signs differ in a share `f`, `sqrt(1 - 8 f / 9)`.
    #[test]
    fn distortion_tells_of_signs_that_turn() {
        let images = grey(2, 10);
        let first = vec![1f32; 20];
        for (turned, want) in [(0, 1.0), (1, 0.954_5), (5, 0.745_4), (10, 1.0 / 3.0)] {
            let mut second = first.clone();
            second[10..10 + turned].fill(-1.0);
            let mut classifier = Slopes { list: vec![first.clone(), second], passes: 0 };
            let (x, found) = frank_wolfe(&mut classifier, samples(&images, &[0, 1]), EPS, 2, false).unwrap();
            assert!((found[0] - 1.0).abs() < 1e-6 && (found[1] - want).abs() < 1e-4, "{turned}: {found:?}");
            let away = (x - &images).unwrap().abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap();
            assert!((f64::from(away) - EPS).abs() < 1e-6);
            let mut classifier = Slopes { list: vec![first.clone()], passes: 0 };
            let (_, found) = frank_wolfe(&mut classifier, samples(&images, &[0, 1]), EPS, 1, false).unwrap();
            assert!(found.iter().all(|d| (d - 1.0).abs() < 1e-6), "{found:?}");
        }
    }

    /// In epoch 0 it monitors batches of 4 until it has seen 8 images, then takes what follows; the next epoch begins
    /// anew.
    #[test]
    fn steps_are_decided_once_an_epoch() {
        let statistics = Statistics::Eval;
        let eps = Fraction::of_255(8);
        let rule = FrankWolfe { eps, steps: 2, monitor: 8, ratio: 0.9, most: 15, clip: false, statistics };
        let mut adapted = Adapted::default();
        let mut steps = Vec::new();
        for (epoch, distortion) in [(0, 0.7), (0, 0.8), (0, 0.1), (0, 0.1), (1, 0.95), (1, 0.95), (1, 0.2)] {
            steps.push(adapted.next(&rule, epoch));
            adapted.see(&rule, &[distortion; 4]);
        }
        assert_eq!(steps, [2, 2, 3, 3, 2, 2, 1]);
        assert!((adapted.mean().unwrap() - 0.95).abs() < 1e-12 && adapted.before == 3);
    }

    /// Two levels on an image of four by four: each patch follows the sum of its slopes down, each pixel its own, and
    /// the box ends all.
    #[test]
    fn patches_of_a_pyramid_move_together() {
        let (eps, step) = (Fraction::of_255(3), Fraction::of_255(2));
        let (patches, multipliers) = (vec![2, 1], vec![10.0, 1.0]);
        let rule = Pyramid { eps, step, steps: 2, patches, multipliers, statistics: Statistics::Batch };
        let images = Tensor::full(0.9f32, (1, 4, 4, 1), &Device::Cpu).unwrap();
        // Upper left falls as a whole but for one pixel; upper right rises; lower left is even; lower right has no
        // slope.
        let slopes = vec![1.0, 1.0, -1.0, -1.0, 1.0, -1.0, -1.0, -1.0, 1.0, -1.0, 0.0, 0.0, 1.0, -1.0, 0.0, 0.0];
        let mut classifier = Slopes { list: vec![slopes], passes: 0 };
        let (samples, _) = samples(&images, &[0]);
        let x = pixels(&pyramid(&mut classifier, samples, &rule, 1.0, 2).unwrap()).unwrap();
        let unit = 3.0 / 255.0;
        let (down, own) = (0.9 - 10.0 * unit, [-unit, unit]);
        let want = [
            down + own[0],
            down + own[0],
            1.0,
            1.0,
            down + own[0],
            down + own[1],
            1.0,
            1.0,
            0.9 + own[0],
            0.9 + own[1],
            0.9,
            0.9,
            0.9 + own[0],
            0.9 + own[1],
            0.9,
            0.9,
        ];
        for (i, (x, want)) in x.iter().zip(want).enumerate() {
            assert!((f64::from(*x) - want).abs() < 1e-6, "{i}: {x} against {want}");
        }
    }

    #[test]
    fn stationarity_by_hand() {
        let of = |x: &[f32], g: &[f32]| stationarity(x, &vec![0.5; x.len()], g, 0.1);
        let near = |a: f64, b: f64| assert!((a - b).abs() < 1e-7, "{a} against {b}");
        near(of(&[0.5, 0.5], &[1.0, -1.0]), 0.2);
        near(of(&[0.6, 0.4], &[1.0, -1.0]), 0.0);
        near(of(&[0.4, 0.6], &[1.0, -1.0]), 0.4);
        near(of(&[0.6, 0.5, 0.45], &[2.0, -1.0, 0.5]), 0.175);
    }

    /// The image without tolerance climbs to its corner; with a large one it stops behind the first step.
    #[test]
    fn an_image_stops_where_it_has_converged() {
        let statistics = Statistics::Eval;
        let (eps, step) = (Fraction::of_255(8), Fraction::of_255(2));
        let rule = Fosc { eps, step, steps: 10, c_max: 0.5, until: 1.0, from_start: false, statistics };
        let images = grey(2, 4);
        // The second image's slope is a hundredth of the first's.
        let slopes: Vec<f32> = [1.0, -1.0, 1.0, 1.0].into_iter().chain([0.01, 0.01, -0.01, 0.01]).collect();
        let run = |tolerance| {
            let mut classifier = Slopes { list: vec![slopes.clone()], passes: 0 };
            let x = fosc(&mut classifier, samples(&images, &[0, 1]), &rule, 1.0, tolerance).unwrap();
            (pixels(&x).unwrap(), classifier.passes)
        };
        let (x, passes) = run(0.0);
        assert!(passes >= 5, "{passes}");
        for (x, slope) in x.iter().zip(&slopes) {
            assert!((f64::from(x - 0.5) - EPS * f64::from(slope.signum())).abs() < 1e-6, "{x}");
        }
        // Of the second image's condition no more than 0.08 eps is possible.
        let (stopped, passes) = run(1e3);
        assert_eq!(passes, 2);
        let (only_first, _) = run(0.003);
        let near = only_first[..4].iter().zip(&x[..4]).all(|(a, b)| (a - b).abs() <= 0.003 + 1e-6);
        assert!(near, "{only_first:?} against {x:?}");
        assert_eq!(only_first[4..], stopped[4..]);
    }
}
