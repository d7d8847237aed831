//! MultiBN at work (Lo and Patel 2020): clean, attacked and occluded images, each through batch-norms of their own, and
//! the module that tells them apart, trained through the network as it is used.

use candle_core::Tensor;

use super::objective::Shown;
use super::vectors::add;
use crate::arch::selection::{kinds, through, told};
use crate::attack::ball::sign;
use crate::attack::{Called, Classifier, Samples};
use crate::engine::{Logits, LossGradient, Mode, Network, NormMode, Wrt};
use crate::error::{Error, Result};
use crate::loss::Targets;
use crate::recipe::{Objective, Rectangle, Selection};

/// Kinds of images: clean, attacked, occluded.
pub const KINDS: usize = 3;
/// The colour that a rectangle begins with.
const GREY: f32 = 0.5;

/// The graphs that a network with a selection module is trained in.
pub struct Branches {
    rule: Selection,
    /// The network through the batch-norms of each kind alone.
    each: Vec<Network>,
    /// The network as it is used, with the module's logits behind its own.
    used: Network,
}

impl Branches {
    /// Those of a network.
    ///
    /// # Errors
    /// [`Error::Usage`] for a network without a selection module for three kinds.
    pub fn new(rule: Selection, network: &Network) -> Result<Self> {
        let net = network.net();
        if kinds(net) != Some(KINDS) {
            return Err(Error::Usage(format!(
                "the recipe trains a module that selects one of {KINDS} batch-norms, and the network has none; \
                 `robustnas train` puts one into networks with norm=multi-batch:{KINDS}"
            )));
        }
        let each = (0..KINDS).map(|kind| network.view(through(net, kind)?)).collect::<Result<_>>()?;
        Ok(Branches { rule, each, used: network.view(told(net)?)? })
    }

    /// The network through the batch-norms of attacked images.
    pub fn attacked(&mut self) -> &mut Network {
        &mut self.each[1]
    }

    /// The occluded images of a batch, `[n, h, w, c]`: at a random place of each, by its number, a grey rectangle that
    /// climbs the loss by signs through the third batch-norms on running statistics.
    ///
    /// # Errors
    /// [`Error::NotFinite`] where the network does not answer in numbers.
    pub fn occluded(&mut self, network: &mut Network, samples: Samples<'_>, targets: Targets<'_>) -> Result<Tensor> {
        let rectangle = self.rule.occlusion;
        network.through(&mut self.each[2], |view| {
            let mode = Mode::from(NormMode::Eval);
            occlude(&mut Called { network: view, mix: &[], mode }, samples, targets, rectangle)
        })
    }

    /// The value of what is learned and its gradient in the weights, `[trainable]`: each kind through its own
    /// batch-norms, recorded with [`NormMode::Train`]; then all of them through the network as it is used, on running
    /// statistics.
    ///
    /// # Errors
    /// [`Error::NotFinite`] where the loss is not a number.
    pub fn gradient(
        &mut self,
        network: &mut Network,
        objective: &Objective,
        shown: Shown<'_>,
        occluded: &Tensor,
        norm: NormMode,
    ) -> Result<(f64, Tensor)> {
        let Branches { rule, each, used } = self;
        let Shown { samples, targets, attacked, .. } = shown;
        let drop = Some(samples.seed.child("drop"));
        let images = [samples.images, attacked, occluded];
        let weights = [objective.clean, objective.attacked, rule.occluded];
        let class = |weight: f64, logits: &Logits| {
            let LossGradient { value, mut dlogits } = targets.cross_entropy(logits, objective.smoothing);
            dlogits.iter_mut().for_each(|d| *d *= weight);
            LossGradient { value: weight * value, dlogits }
        };
        let mut sum: Option<(f64, Tensor)> = None;
        let mut learn = |view: &mut Network, images: &Tensor, mode: Mode, loss: &dyn Fn(&Logits) -> LossGradient| {
            let found = network.through(view, |view| view.gradients(images, &[], mode, Wrt::PARAMS, loss))?;
            match &mut sum {
                Some((value, slope)) => {
                    *value += found.loss;
                    add(slope, found.weights()?)?;
                }
                None => sum = Some((found.loss, found.weights()?.clone())),
            }
            Ok::<(), Error>(())
        };
        for ((view, images), weight) in each.iter_mut().zip(images).zip(weights) {
            learn(view, images, Mode { norm, branch: 0, drop }, &|logits| class(weight, logits))?;
        }
        for (kind, images) in images.into_iter().enumerate() {
            let kinds = vec![kind as u32; samples.ids.len()];
            let share = 1.0 / KINDS as f64;
            learn(used, images, Mode { norm: NormMode::Eval, branch: 0, drop }, &|answers| {
                let (logits, module) = answers.parted(answers.classes - KINDS);
                let own = class(rule.used * share, &logits);
                let told = Targets::Hard(&kinds).cross_entropy(&module, 0.0);
                let slopes: Vec<f64> = told.dlogits.iter().map(|d| rule.told * share * d).collect();
                LossGradient {
                    value: own.value + rule.told * share * told.value,
                    dlogits: Logits::beside(&own.dlogits, logits.classes, &slopes, KINDS),
                }
            })?;
        }
        sum.ok_or_else(|| Error::Internal("no kind of image was shown".into()))
    }
}

/// Images with a rectangle at a random place that climbs the cross-entropy.
fn occlude(
    classifier: &mut dyn Classifier,
    samples: Samples<'_>,
    targets: Targets<'_>,
    Rectangle { height, width, step, steps }: Rectangle,
) -> Result<Tensor> {
    let (_, h, w, c) = samples.images.dims4()?;
    let (rows, columns) = (height.min(h), width.min(w));
    let mut pixels: Vec<f32> = samples.images.flatten_all()?.to_vec1()?;
    let seed = samples.seed.child("occlusion");
    // The places of each image's rectangle, a run a row.
    let mut runs = Vec::with_capacity(samples.ids.len() * rows);
    for (i, id) in samples.ids.iter().enumerate() {
        let mut stream = seed.index(u64::from(*id)).stream();
        let (top, left) = (stream.below(h - rows + 1), stream.below(w - columns + 1));
        runs.extend((top..top + rows).map(|row| {
            let from = ((i * h + row) * w + left) * c;
            from..from + columns * c
        }));
    }
    runs.iter().for_each(|run| pixels[run.clone()].fill(GREY));
    let tensor = |pixels: &[f32]| Tensor::from_slice(pixels, samples.images.dims(), samples.images.device());
    for _ in 0..steps {
        let (_, slope) = classifier.input_gradient(&tensor(&pixels)?, &|logits| targets.cross_entropy(logits, 0.0))?;
        let slope: Vec<f32> = slope.flatten_all()?.to_vec1()?;
        for run in &runs {
            for (x, g) in pixels[run.clone()].iter_mut().zip(&slope[run.clone()]) {
                *x = (*x + step.value() as f32 * sign(*g)).clamp(0.0, 1.0);
            }
        }
    }
    Ok(tensor(&pixels)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arch::op::Shape;
    use crate::arch::selection::with_module;
    use crate::engine::Fusion;
    use crate::model;
    use crate::recipe::preset;
    use crate::seed::Seed;
    use crate::units::Fraction;
    use candle_core::{DType, Device};

    const IMAGE: Shape = Shape::new(8, 8, 3);
    const LABELS: [u32; 4] = [0, 1, 2, 1];

    fn images(name: &str, dtype: DType) -> Tensor {
        let mut stream = Seed::root(2).child(name).stream();
        let pixels: Vec<f32> = (0..LABELS.len() * IMAGE.len()).map(|_| stream.uniform()).collect();
        let images = Tensor::from_vec(pixels, (LABELS.len(), IMAGE.h, IMAGE.w, IMAGE.c), &Device::Cpu).unwrap();
        images.to_dtype(dtype).unwrap()
    }

    fn network() -> Network {
        let net = model::named("wrn:channels=3-3-4-4,depths=1-1-1,norm=multi-batch:3,act=silu", IMAGE, 3).unwrap();
        let net = with_module(&net, KINDS).unwrap();
        Network::with(net, Seed::root(1), &Device::Cpu, DType::F64, Fusion::ALL).unwrap()
    }

    fn step(branches: &mut Branches, network: &mut Network, norm: NormMode) -> (f64, Vec<f64>) {
        let [clean, attacked, occluded] = ["clean", "attacked", "occluded"].map(|name| images(name, DType::F64));
        let samples = Samples { images: &clean, labels: &LABELS, ids: &LABELS, seed: Seed::root(3) };
        let targets = Targets::Hard(&LABELS);
        let shown = Shown { samples, targets, attacked: &attacked, eps: 0.1, branch: 0 };
        let objective = preset("multi-bn").unwrap().objective;
        let (value, slope) = branches.gradient(network, &objective, shown, &occluded, norm).unwrap();
        (value, slope.to_vec1().unwrap())
    }

    /// Of convolutions, of every branch, and of the module, which learns through the network, too.
    #[test]
    fn gradients_are_those_of_finite_differences() {
        let rule = preset("multi-bn").unwrap().selection.unwrap();
        let mut network = network();
        let mut branches = Branches::new(rule, &network).unwrap();
        let weights: Vec<f64> = network.weights().unwrap().to_vec1().unwrap();
        let norm = NormMode::TrainNoRecord;
        let (_, gradient) = step(&mut branches, &mut network, norm);
        let scale = gradient.iter().fold(0f64, |m, g| m.max(g.abs()));
        let mut value = |i: usize, h: f64| {
            let mut moved = weights.clone();
            moved[i] += h;
            network.set_weights(&Tensor::from_vec(moved, weights.len(), &Device::Cpu).unwrap()).unwrap();
            step(&mut branches, &mut network, norm).0
        };
        let mut moving = 0;
        for i in (0..gradient.len()).step_by(97) {
            let numeric = (value(i, 1e-6) - value(i, -1e-6)) / 2e-6;
            let off = (numeric - gradient[i]).abs();
            assert!(off < 1e-6 * scale, "weight {i}: {} against {numeric}", gradient[i]);
            moving += usize::from(gradient[i].abs() > 1e-6 * scale);
        }
        assert!(moving > 20, "{moving} weights move");
    }

    /// Each kind moves the running statistics of its own batch-norms, and no pass as in use moves any.
    #[test]
    fn every_kind_has_statistics_of_its_own() {
        let rule = preset("multi-bn").unwrap().selection.unwrap();
        let mut network = network();
        let mut branches = Branches::new(rule, &network).unwrap();
        step(&mut branches, &mut network, NormMode::Train);
        let after: Vec<f64> = network.state().to_vec1().unwrap();
        let mut alone = self::network();
        for (kind, name) in ["clean", "attacked", "occluded"].into_iter().enumerate() {
            let mut view = alone.view(through(alone.net(), kind).unwrap()).unwrap();
            alone
                .through(&mut view, |view| view.logits(&images(name, DType::F64), &[], NormMode::Train).map(drop))
                .unwrap();
        }
        assert_eq!(after, alone.state().to_vec1::<f64>().unwrap());
        let fresh: Vec<f64> = self::network().state().to_vec1().unwrap();
        let trainable = network.layout().trainable();
        assert!(after[trainable..].iter().zip(&fresh[trainable..]).filter(|(a, b)| a != b).count() > 100);
    }

    /// A loss whose slope is one everywhere.
    struct Rising;

    impl Classifier for Rising {
        fn logits(&mut self, x: &Tensor) -> Result<Logits> {
            Ok(Logits { values: vec![0.0; 3 * x.dims()[0]], classes: 3 })
        }

        fn input_gradient(&mut self, x: &Tensor, _: &dyn Fn(&Logits) -> LossGradient) -> Result<(Logits, Tensor)> {
            Ok((self.logits(x)?, x.ones_like()?))
        }
    }

    #[test]
    fn a_rectangle_climbs_and_all_else_stays() {
        let clean = images("clean", DType::F32);
        let samples = Samples { images: &clean, labels: &LABELS, ids: &[0, 1, 2, 3], seed: Seed::root(3) };
        let occluded = |steps| {
            let rectangle = Rectangle { height: 3, width: 5, step: Fraction::new(1, 5), steps };
            let found = occlude(&mut Rising, samples, Targets::Hard(&LABELS), rectangle).unwrap();
            found.flatten_all().unwrap().to_vec1::<f32>().unwrap()
        };
        let before: Vec<f32> = clean.flatten_all().unwrap().to_vec1().unwrap();
        for (steps, colour) in [(0, 0.5), (1, 0.7), (2, 0.9), (3, 1.0), (4, 1.0)] {
            let found = occluded(steps);
            for image in 0..LABELS.len() {
                let own = image * IMAGE.len()..(image + 1) * IMAGE.len();
                let moved = found[own.clone()].iter().zip(&before[own]).filter(|(a, b)| a != b);
                let (count, right) =
                    moved.fold((0, true), |(n, right), (a, _)| (n + 1, right && (a - colour).abs() < 1e-6));
                assert!(right && count == 3 * 5 * 3, "{steps} steps: {count} numbers of image {image}");
            }
        }
        // Another image's rectangle is elsewhere.
        let found = occluded(0);
        let places =
            |image: usize| -> Vec<bool> { (0..IMAGE.len()).map(|i| found[image * IMAGE.len() + i] == 0.5).collect() };
        assert!((1..4).any(|image| places(image) != places(0)));
    }
}
