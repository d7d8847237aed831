//! One network of every family and of every element: its gradient against differences in double precision, and one step of
//! adversarial training.

use candle_core::{DType, Device, Tensor};
use robustnas::arch::net::Net;
use robustnas::arch::op::{Op, Shape};
use robustnas::attack::Samples;
use robustnas::engine::{Fusion, Logits, Mode, Network, NormMode, Wrt};
use robustnas::loss::{Targets, cross_entropy};
use robustnas::recipe::{Adversary, Ascent, Objective, Sgd as SgdConfig, Start, Statistics, Time};
use robustnas::seed::Seed;
use robustnas::threat::{Loss, Norm};
use robustnas::train::adversary::{Adapted, Moment, attacked};
use robustnas::train::objective::{Shown, gradient};
use robustnas::train::optim::Sgd;
use robustnas::units::Fraction;

#[path = "fixtures/families.rs"]
mod families;
#[path = "fixtures/slopes.rs"]
mod slopes;

use families::load;
use slopes::{agree, moved, noise};

const IMAGE: Shape = Shape::new(32, 32, 3);
const LABELS: [u32; 4] = [0, 1, 2, 1];

/// Pixels in `[0, 1]`.
fn images() -> Vec<f64> {
    let mut stream = Seed::root(5).stream();
    (0..LABELS.len() * IMAGE.len()).map(|_| f64::from(stream.uniform())).collect()
}

fn tensor(x: &[f64], dtype: DType) -> Tensor {
    let shape = (LABELS.len(), IMAGE.h, IMAGE.w, IMAGE.c);
    Tensor::from_slice(x, shape, &Device::Cpu).unwrap().to_dtype(dtype).unwrap()
}

/// A network in double precision whose scales, shifts and statistics are not the fresh ones, under which many entries are zero
/// exactly, where ReLU has its kink.
fn lived_in(net: &Net) -> Network {
    let mut network = Network::with(net.clone(), Seed::root(1), &Device::Cpu, DType::F64, Fusion::ALL).unwrap();
    let mut weights: Vec<f64> = network.weights().unwrap().to_vec1().unwrap();
    let len = weights.len();
    for (w, noise) in weights.iter_mut().zip(noise(len, "fresh")) {
        *w += 0.02 * noise;
    }
    network.set_weights(&Tensor::from_vec(weights, len, &Device::Cpu).unwrap()).unwrap();
    for branch in (0..net.branches()).cycle().take(40) {
        let mode = Mode { norm: NormMode::Train, branch, drop: None };
        network.logits(&tensor(&images(), DType::F64), &[], mode).unwrap();
    }
    network
}

/// Slopes of the loss along random directions, of the image and of the weights.
#[test]
fn gradients_are_slopes_of_the_loss() {
    const ALL: Wrt = Wrt { input: true, params: true, mix: false };
    for form in families::forms() {
        let net = load(&form, IMAGE, 3).unwrap();
        for norm in [NormMode::TrainNoRecord, NormMode::Eval] {
            let mode = Mode { norm, branch: net.branches() - 1, drop: Some(Seed::root(3)) };
            let mut network = lived_in(&net);
            let loss = |logits: &Logits| cross_entropy(logits, &LABELS);
            let x = images();
            let found = network.gradients(&tensor(&x, DType::F64), &[], mode, ALL, &loss).unwrap();
            let flat = |t: &Tensor| t.flatten_all().unwrap().to_vec1::<f64>().unwrap();
            let tag = |what: &str| format!("{form} {norm:?}: the {what}");
            let along = noise(x.len(), "image");
            agree(&tag("image"), &flat(&found.input.unwrap()), &along, &mut |h| {
                let x = tensor(&moved(&x, &along, h), DType::F64);
                loss(&network.logits(&x, &[], mode).unwrap()).value
            });

            let weights = flat(&network.weights().unwrap());
            let mut along = noise(weights.len(), "weights");
            // No gradient passes through the amplitudes that a ConvNorm takes from its weights.
            for (id, node) in net.nodes() {
                if matches!(node.op, Op::ConvNorm { .. }) && norm != NormMode::Eval {
                    along[network.layout().whole(id)].fill(0.0);
                }
            }
            agree(&tag("weights"), &flat(&found.params.unwrap()), &along, &mut |h| {
                let moved = Tensor::from_vec(moved(&weights, &along, h), weights.len(), &Device::Cpu).unwrap();
                network.set_weights(&moved).unwrap();
                loss(&network.logits(&tensor(&x, DType::F64), &[], mode).unwrap()).value
            });
        }
    }
}

/// Attacked images are learned: a small step along the gradient of a step of PGD adversarial training lowers its loss.
#[test]
fn an_adversarial_step_learns() {
    let eps = Fraction::of_255(8);
    let (step, start, statistics) = (Fraction::of_255(4), Start::Ball, Statistics::Eval);
    let attack = Ascent { norm: Norm::Linf, eps, step, steps: 2, loss: Loss::Ce, start, statistics };
    for form in families::forms() {
        let mut network = Network::new(load(&form, IMAGE, 3).unwrap(), Seed::root(1), &Device::Cpu).unwrap();
        let clean = tensor(&images(), DType::F32);
        let samples = Samples { images: &clean, labels: &LABELS, ids: &LABELS, seed: Seed::root(4) };
        let (targets, adapted) = (Targets::Hard(&LABELS), &mut Adapted::default());
        let when = Moment { time: Time::FIRST, strength: 1.0, branch: 0 };
        let attacked = attacked(&Adversary::Pgd(attack), adapted, &mut network, &[], (samples, targets), when).unwrap();
        let away = (&attacked - &clean).unwrap().abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap();
        assert!(away > 0.0 && f64::from(away) <= eps.value() + 1e-6, "{form}: moved by {away}");
        let config = SgdConfig { lr: 1e-3, lr_min: 1e-3, momentum: 0.0, weight_decay: 0.0, clip: 1.0 };
        let mut sgd = Sgd::new(config, &network.weights().unwrap()).unwrap();
        let shown = Shown { samples, targets, attacked: &attacked, eps: eps.value(), branch: 0 };
        let slope =
            |network: &mut Network| gradient(&Objective::ATTACKED, network, &[], shown, NormMode::Train, None).unwrap();
        let (before, down) = slope(&mut network);
        sgd.step(&network.weights().unwrap(), &down, 1e-3).unwrap();
        let (after, _) = slope(&mut network);
        assert!(after < before, "{form}: {before} became {after}");
    }
}
