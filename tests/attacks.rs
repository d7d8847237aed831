//! Attacks and evaluations: the threat model is kept, seeds decide everything, and known answers come out.

#[path = "fixtures/attacked.rs"]
mod attacked;

mod fixtures;

use attacked::{IDS, POINT, bits, data, images, linear, loader, network, numbers};
use candle_core::{Device, Tensor};
use robustnas::arch::op::Shape;
use robustnas::attack::pgd::{NoisyStep, pgd};
use robustnas::attack::{Classifier, Samples, Target};
use robustnas::config::Evaluate;
use robustnas::data::Images;
use robustnas::data::loader::Loader;
use robustnas::engine::{Logits, LossGradient, Network, NormMode};
use robustnas::error::{Error, Result};
use robustnas::jobs::measure::evaluate;
use robustnas::loss::{Targets, correct, divergence};
use robustnas::rank::ineligible;
use robustnas::record::{Evaluation, Origin, Outcome, Record, Sample, Training};
use robustnas::seed::Seed;
use robustnas::threat::{Attack, Check, Loss, Pgd};
use robustnas::units::Fraction;

const LABELS: [u32; 6] = [0, 1, 2, 3, 0, 1];

fn fraction(text: &str) -> Fraction {
    text.parse().unwrap()
}

fn config(eps: &str, step: &str, steps: u32, random_start: bool) -> Pgd {
    Pgd { random_start, ..Pgd::new(fraction(eps), fraction(step), steps) }
}

fn run(network: &mut Network, mode: NormMode, images: &Tensor, from: usize, seed: u64, attack: &Pgd) -> Tensor {
    let n = images.dims()[0];
    let (labels, ids) = (&LABELS[from..from + n], &IDS[from..from + n]);
    pgd(&mut Target { network, mix: &[], mode }, Samples { images, labels, ids, seed: Seed::root(seed) }, attack)
        .unwrap()
}

/// The largest change, the smallest and the largest pixel.
fn extent(x: &Tensor, clean: &Tensor) -> (f32, f32, f32) {
    let (x, clean) = (numbers(x), numbers(clean));
    let moved = x.iter().zip(&clean).fold(0f32, |m, (a, b)| m.max((a - b).abs()));
    (moved, x.iter().copied().fold(f32::INFINITY, f32::min), x.iter().copied().fold(f32::NEG_INFINITY, f32::max))
}

#[test]
fn every_attack_stays_in_ball_and_box() {
    let (mut network, clean) = (network(), images());
    for mode in [NormMode::Eval, NormMode::TrainNoRecord] {
        for (eps, step, steps) in [("8/255", "2/255", 7), ("8/255", "8/255", 1), ("2/255", "0.5", 3), ("0.6", "0.2", 4)]
        {
            for random_start in [false, true] {
                let attack = config(eps, step, steps, random_start);
                let radius = attack.eps.value() as f32;
                let (moved, least, most) = extent(&run(&mut network, mode, &clean, 0, 1, &attack), &clean);
                assert!(moved <= radius + 1e-6, "{attack:?}: moved {moved}");
                assert!(least >= 0.0 && most <= 1.0, "{attack:?}: {least} to {most}");
                assert!(moved > 0.9 * radius.min(steps as f32 * attack.step.value() as f32), "{attack:?} did nothing");

                let free = Pgd { clip: false, ..attack };
                let (moved, least, most) = extent(&run(&mut network, mode, &clean, 0, 1, &free), &clean);
                assert!(moved <= radius + 1e-6, "{free:?}: moved {moved}");
                assert!(least < 0.0 && most > 1.0, "{free:?} was clipped: {least} to {most}");
            }
        }
    }
}

/// N-FGSM does not project on the ball: noise of `noise * eps`, then a step of `eps`, inside the box.
#[test]
fn a_noisy_step_stays_in_its_own_ball_and_in_the_box() {
    let (mut network, clean) = (network(), images());
    let (eps, noise) = (8.0 / 255.0, 2.0);
    let samples = Samples { images: &clean, labels: &LABELS, ids: &IDS, seed: Seed::root(1) };
    let mut target = Target { network: &mut network, mix: &[], mode: NormMode::TrainNoRecord };
    let step = NoisyStep { noise: noise * eps, step: eps, eps: None, clip_start: false };
    let targets = Targets::Hard(&LABELS);
    let x = step.up(&mut target, samples, &|logits| targets.cross_entropy(logits, 0.0)).unwrap();
    let (moved, least, most) = extent(&x, &clean);
    assert!(moved <= (1.0 + noise) * eps + 1e-6 && moved > 2.0 * eps, "{moved}");
    assert!(least >= 0.0 && most <= 1.0, "{least} to {most}");
}

/// The ascent of TRADES ends further from the clean answers than it starts, inside ball and box, and leaves the network
/// alone.
#[test]
fn an_ascent_of_the_divergence_stays_in_ball_and_box_and_moves_the_answers() {
    let (mut network, clean) = (network(), images());
    let before = bits(network.state());
    let mut after = |steps: u32, seed: u64, eps: &str| {
        let samples = Samples { images: &clean, labels: &LABELS, ids: &IDS, seed: Seed::root(seed) };
        let mut target = Target { network: &mut network, mix: &[], mode: NormMode::Eval };
        let x = pgd(&mut target, samples, &Pgd { loss: Loss::Kl, ..config(eps, "2/255", steps, true) }).unwrap();
        let answers = [&clean, &x].map(|x| target.logits(x).unwrap());
        (divergence(&answers[0], &answers[1]).value, x)
    };
    let (near, (far, x)) = (after(1, 1, "8/255").0, after(10, 1, "8/255"));
    assert!(near > 0.0 && far > 4.0 * near, "{near} and {far}");
    let (moved, least, most) = extent(&x, &clean);
    assert!(moved <= 8.0 / 255.0 + 1e-6 && least >= 0.0 && most <= 1.0, "moved {moved}, {least} to {most}");
    assert_eq!(bits(&x), bits(&after(10, 1, "8/255").1));
    assert_ne!(bits(&x), bits(&after(10, 2, "8/255").1));
    assert_eq!(numbers(&after(10, 1, "0").1), numbers(&clean));
    assert_eq!(bits(network.state()), before);
}

#[test]
fn a_ball_of_radius_zero_changes_nothing() {
    let (mut network, clean) = (network(), images());
    for random_start in [false, true] {
        let attack = config("0", "2/255", 5, random_start);
        assert_eq!(numbers(&run(&mut network, NormMode::Eval, &clean, 0, 1, &attack)), numbers(&clean));
    }
}

#[test]
fn the_seed_and_the_sample_decide_not_the_batch() {
    let (mut network, clean) = (network(), images());
    let attack = config("8/255", "2/255", 5, true);
    let whole = run(&mut network, NormMode::Eval, &clean, 0, 1, &attack);
    assert_eq!(bits(&whole), bits(&run(&mut network, NormMode::Eval, &clean, 0, 1, &attack)));
    assert_ne!(bits(&whole), bits(&run(&mut network, NormMode::Eval, &clean, 0, 2, &attack)));
    let mut parts = Vec::new();
    for (from, n) in [(0, 1), (1, 3), (4, 2)] {
        // A view into the batch's memory, as a caller may well pass.
        let part = clean.narrow(0, from, n).unwrap();
        parts.extend(bits(&run(&mut network, NormMode::Eval, &part, from, 1, &attack)));
    }
    assert_eq!(bits(&whole), parts);
}

#[test]
fn attacks_leave_the_network_as_it_was() {
    let (mut network, clean) = (network(), images());
    let before = bits(network.state());
    for mode in [NormMode::Eval, NormMode::TrainNoRecord] {
        run(&mut network, mode, &clean, 0, 1, &config("8/255", "2/255", 5, true));
        assert_eq!(bits(network.state()), before, "{mode:?}");
    }
    let (data, _) = data(&mut network, 40);
    measure(&mut network, &data, 5, &[Attack::Pgd(config("8/255", "2/255", 5, true))]);
    assert_eq!(bits(network.state()), before, "evaluation");
}

fn measure(network: &mut Network, images: &Images, batch: usize, attacks: &[Attack]) -> Evaluation {
    doubted(network, &loader(images, &(0..images.len() as u32).collect::<Vec<_>>(), batch), attacks, false)
}

fn doubted(network: &mut Network, loader: &Loader<'_>, attacks: &[Attack], probe: bool) -> Evaluation {
    tried(network, loader, attacks, probe).unwrap()
}

fn tried(network: &mut Network, loader: &Loader<'_>, attacks: &[Attack], probe: bool) -> Result<Evaluation> {
    let n = loader.ids.len() as u64;
    let (data, split) = ("random".into(), "test".into());
    let sample = Sample { data, data_id: "0".into(), split, n, index_id: "0".into() };
    let protocol = Evaluate { batch: loader.batch, probe, time: false, gradient_samples: 1, attacks: attacks.to_vec() };
    Ok(evaluate(network, loader, &protocol, sample, 7, &mut || Ok(()))?.evaluation())
}

/// NaN logits would count as errors and a gradient without numbers leads nowhere; neither is a measurement.
#[test]
fn what_is_no_number_ends_an_evaluation() {
    let mut network = network();
    let (data, ids) = data(&mut network, 8);
    let attacks = [Attack::Fgsm { eps: fraction("8/255") }];
    let tensors = network.layout().tensors();
    let last = tensors.iter().rfind(|t| t.name.ends_with("fc.weight")).unwrap().range.clone();
    let state: Vec<f32> = network.state().to_vec1().unwrap();
    // In the last layer: a ReLU behind an earlier one would make zeros of it.
    for value in [f32::NAN, f32::INFINITY] {
        let mut state = state.clone();
        state[last.clone()].fill(value);
        let len = state.len();
        network.set_state(&Tensor::from_vec(state, len, &Device::Cpu).unwrap()).unwrap();
        let found = tried(&mut network, &loader(&data, &ids, 8), &attacks, false);
        let Err(Error::NotFinite(why)) = found else { panic!("weights of {value}: {found:?}") };
        assert!(why.contains("logit of class 0 is ") && why.contains("image 0 of a batch of 8"), "{why}");
    }
    let mut linear = linear(2);
    let x = Tensor::new(&POINT, &Device::Cpu).unwrap().reshape((1, 1, 1, 4)).unwrap();
    let steep = |_: &Logits| LossGradient { value: 1.0, dlogits: vec![1e38, -1e38] };
    linear.set_state(&Tensor::from_vec(vec![4f32; 8], 8, &Device::Cpu).unwrap()).unwrap();
    linear.set_state(&(linear.state() * 1e10).unwrap()).unwrap();
    let found = Target::deployed(&mut linear).input_gradient(&x, &steep);
    let Err(Error::NotFinite(why)) = found else { panic!("{found:?}") };
    assert!(why.contains("gradient in the pixels") && why.contains("image 0 of a batch of 1"), "{why}");
}

/// Two linear classes whose weights are the known ones times `scale`, and forty points near the known one.
fn scaled(scale: f32, probe: bool) -> Evaluation {
    let mut network = linear(2);
    let weights: Vec<f32> = numbers(network.state()).iter().map(|w| scale * w).collect();
    network.set_state(&Tensor::from_vec(weights, 8, &Device::Cpu).unwrap()).unwrap();
    let mut stream = Seed::root(4).stream();
    let pixels = (0..40).flat_map(|_| POINT.map(|v| (255.0 * v) as u8 + stream.below(12) as u8).to_vec()).collect();
    let (images, ids) = (Images { pixels, labels: vec![0; 40] }, (0..40).collect::<Vec<u32>>());
    let loader = Loader { shape: Shape::new(1, 1, 4), ..loader(&images, &ids, 16) };
    doubted(&mut network, &loader, &[Attack::Pgd(config("0.2", "0.05", 10, false))], probe)
}

/// A search's evaluation doubts what it measured as `robustnas attack` does. A softmax that saturates masks every gradient:
/// nothing falls, which is seen at once, and the probes say what follows from it.
#[test]
fn an_evaluation_raises_checks_on_a_masked_network() {
    let honest = scaled(1.0, true);
    assert_eq!((honest.checks, honest.robust.hit), (vec![], 0));
    let masked = scaled(1e5, false);
    assert_eq!((masked.clean.hit, masked.robust.hit), (40, 40), "the same classes, and the attack is blind");
    assert_eq!(masked.checks, [Check::ZeroGradient]);
    let probed = scaled(1e5, true);
    assert_eq!(probed.checks, [Check::ZeroGradient, Check::LargerEpsNotStronger, Check::LossNotRising]);
    let training = Training { method: "none".into(), epochs: 1, samples: 1, seed: 1, losses: vec![] };
    let record = Record {
        outcome: Outcome::Ok { training, validation: probed, test: None, speed: None },
        ..fixtures::record("0", Origin::HandMade, 1, 1, 1, 1)
    };
    assert!(record.ranked().is_none());
    assert_eq!(ineligible(&record).unwrap(), "checks raised: zero_gradient, larger_eps_not_stronger, loss_not_rising");
    let kept: Record = serde_json::from_str(&serde_json::to_string(&record).unwrap()).unwrap();
    assert_eq!(kept, record);
}

/// A network whose weights are zero answers the first class whatever it sees, and no attack changes that.
#[test]
fn a_constant_answer_is_not_ranked() {
    let mut network = network();
    let (mut data, ids) = data(&mut network, 40);
    data.labels = (0..40).map(|i| i % 4).collect();
    let len = network.layout().len();
    network.set_state(&Tensor::zeros(len, candle_core::DType::F32, &Device::Cpu).unwrap()).unwrap();
    let found = doubted(&mut network, &loader(&data, &ids, 16), &[Attack::Fgsm { eps: fraction("8/255") }], false);
    assert_eq!((found.clean.hit, found.robust.hit), (10, 10));
    assert!([Check::ConstantAnswer, Check::CleanAtChance].iter().all(|c| found.checks.contains(c)), "{found:?}");
    let training = Training { method: "none".into(), epochs: 1, samples: 1, seed: 1, losses: vec![] };
    let outcome = Outcome::Ok { training, validation: found, test: None, speed: None };
    let record = Record { outcome, ..fixtures::record("0", Origin::HandMade, 1, 1, 1, 1) };
    assert!(record.ranked().is_none());
    assert!(ineligible(&record).unwrap().contains("constant_answer, clean_at_chance"));
}

#[test]
fn robust_accuracy_is_never_above_clean() {
    let mut network = network();
    let (data, _) = data(&mut network, 40);
    let attacks: Vec<Attack> = ["0", "1/255", "8/255", "64/255"]
        .iter()
        .flat_map(|eps| [Attack::Fgsm { eps: fraction(eps) }, Attack::Pgd(config(eps, "2/255", 10, true))])
        .collect();
    let found = measure(&mut network, &data, 7, &attacks);
    assert_eq!((found.clean.hit, found.clean.total), (30, 40));
    for result in &found.attacks {
        assert!(result.robust.hit <= found.clean.hit, "{}", result.attack);
        assert!(found.robust.hit <= result.robust.hit, "{}: the worst case is not the worst", result.attack);
        assert_eq!(result.robust.total, found.clean.total);
    }
    for result in &found.attacks[..2] {
        assert_eq!(result.robust.hit, found.clean.hit, "{}: nothing was allowed", result.attack);
    }
    assert!(found.attacks[7].robust.hit < found.clean.hit, "a quarter of the range and no success");
    // The cut into batches is no part of the measurement; nor is the company of other attacks.
    // 30 are attacked, so batches of 29 leave one image alone.
    for batch in [1, 29, 40] {
        assert_eq!(measure(&mut network, &data, batch, &attacks), found, "batches of {batch}");
    }
    assert_eq!(measure(&mut network, &data, 9, &attacks[5..6]).attacks[..], found.attacks[5..6]);
}

/// Whether an attack turns x = (.5, .2, .9, .6), which class 0 wins by .25 over class 1, and the margin it leaves.
fn linear_attack(classes: usize, attack: &Pgd) -> (bool, f64) {
    let mut network = linear(classes);
    let x = Tensor::new(&POINT, &Device::Cpu).unwrap().reshape((1, 1, 1, 4)).unwrap();
    let clean = network.logits(&x, &[], NormMode::Eval).unwrap();
    for (z, want) in clean.values.iter().zip([1.15, 0.90, 0.05, 0.55]) {
        assert!((z - want).abs() < 1e-6, "{clean:?}");
    }
    let x = run(&mut network, NormMode::Eval, &x, 0, 1, attack);
    let z = network.logits(&x, &[], NormMode::Eval).unwrap();
    (!correct(&z, &[0]).next().unwrap(), z.values[0] - z.values[1])
}

/// Of two classes the loss and the margin have one gradient, so the attack is exact: the radius is .25 / 6.
#[test]
fn two_linear_classes_fall_exactly_at_the_radius() {
    for (eps, falls) in [("0.0416", false), ("0.0417", true)] {
        let single = config(eps, eps, 1, false);
        assert_eq!(linear_attack(2, &single).0, falls, "fgsm {eps}");
        for random_start in [false, true] {
            let many = config(eps, "0.02", 10, random_start);
            assert_eq!(linear_attack(2, &many).0, falls, "pgd {eps}");
        }
    }
    // At .05 the margin is -.05; at .3 the third pixel meets the end of the box, which keeps -1.55 at -1.45.
    for (eps, margin) in [("0.05", -0.05), ("0.3", -1.45)] {
        let (_, got) = linear_attack(2, &config(eps, "0.1", 10, false));
        assert!((got - margin).abs() < 1e-5, "{eps}: {got}");
    }
}

/// Of four classes the cross-entropy moves the third pixel for class 2, against class 1: it gains 5 eps of the margin, not
/// 6. Below the radius no attack may succeed; this one does from .25 / 5 on.
#[test]
fn four_linear_classes_fall_where_the_cross_entropy_points() {
    for (eps, falls) in [("0.0416", false), ("0.0499", false), ("0.0501", true), ("0.3", true)] {
        assert_eq!(linear_attack(4, &config(eps, eps, 1, false)).0, falls, "{eps}");
    }
    for random_start in [false, true] {
        assert!(!linear_attack(4, &config("0.0416", "0.01", 20, random_start)).0);
        assert!(linear_attack(4, &config("0.0501", "0.01", 20, random_start)).0);
    }
}
