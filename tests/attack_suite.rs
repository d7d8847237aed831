//! What every attack must hold to, one table for all; known answers of a linear classifier; the suite and its checks.

use candle_core::{Device, Tensor};
use robustnas::arch::families::preact::PreAct;
use robustnas::arch::op::Shape;
use robustnas::attack::ball::Ball;
use robustnas::attack::checks::{judge, look, probe};
use robustnas::attack::suite::{Found, Suite, Verdicts};
use robustnas::attack::{Classifier, Samples, Target, fab, run};
use robustnas::data::Images;
use robustnas::engine::{Logits, LossGradient, Network, NormMode};
use robustnas::error::{Error, Result};
use robustnas::seed::{Seed, Stream};
use robustnas::threat::plan::SINGLES;
use robustnas::threat::{Attack, AttackPlan, Check, Fab, Norm, Threat};
use robustnas::train::fit::Loader;
use robustnas::train::loss::{correct, is_correct};

const IMAGE: Shape = Shape::new(8, 8, 3);
const IDS: [u32; 6] = [3, 14, 15, 92, 65, 35];

fn network() -> Network {
    let net = PreAct::basic(4, [(1, 4), (1, 8)]).lower(IMAGE, 4);
    let mut network = Network::new(net.unwrap(), Seed::root(3), &Device::Cpu).unwrap();
    for _ in 0..20 {
        network.logits(&images(), &[], NormMode::Train).unwrap();
    }
    network
}

fn images() -> Tensor {
    let mut stream = Seed::root(1).stream();
    let pixels: Vec<f32> = (0..IDS.len() * IMAGE.len()).map(|_| stream.uniform_in(-0.2, 1.2).clamp(0.0, 1.0)).collect();
    Tensor::from_vec(pixels, (IDS.len(), IMAGE.h, IMAGE.w, IMAGE.c), &Device::Cpu).unwrap()
}

/// The classes that a network gives, so that every image is worth attacking.
fn answers(classifier: &mut dyn Classifier, images: &Tensor) -> Vec<u32> {
    let top = |row: &[f64]| (0..row.len()).find(|k| is_correct(row, *k)).unwrap() as u32;
    classifier.logits(images).unwrap().rows().map(top).collect()
}

fn bits(t: &Tensor) -> Vec<u32> {
    t.flatten_all().unwrap().to_vec1::<f32>().unwrap().into_iter().map(f32::to_bits).collect()
}

fn rows(t: &Tensor) -> Vec<Vec<f32>> {
    t.flatten_from(1).unwrap().to_vec2().unwrap()
}

fn threat(norm: Norm, eps: &str) -> Threat {
    Threat { norm, eps: eps.parse().unwrap() }
}

/// Every attack under every norm it works under, cut short.
fn every_attack(balls: &[(Norm, &str)]) -> Vec<Attack> {
    let mut all = Vec::new();
    for (norm, eps) in balls {
        for name in SINGLES.map(|n| n.replace('N', "4")) {
            let Ok(plan) = AttackPlan::named(&name, threat(*norm, eps)) else { continue };
            let mut attack = plan.attacks[0];
            match &mut attack {
                Attack::Pgd(a) => a.restarts = 2,
                Attack::Apgd(a) => (a.steps, a.restarts) = (10, 2),
                Attack::Fab(a) => (a.steps, a.restarts) = (5, 2),
                Attack::Square(a) => (a.queries, a.restarts) = (30, 2),
                Attack::Spsa(a) => (a.steps, a.pairs) = (3, 4),
                Attack::Occlusion(a) => (a.height, a.width, a.tries) = (3, 2, 5),
                Attack::SaltPepper(a) => a.tries = 5,
                Attack::Fgsm { .. } | Attack::RFgsm(_) | Attack::MiFgsm(_) | Attack::FrankWolfe(_) => {}
            }
            all.push(attack);
        }
    }
    all
}

const BALLS: [(Norm, &str); 6] = [
    (Norm::Linf, "8/255"),
    (Norm::Linf, "0.4"),
    (Norm::L2, "0.25"),
    (Norm::L2, "3"),
    (Norm::L1, "2"),
    (Norm::L1, "30"),
];

fn attacked(classifier: &mut dyn Classifier, from: usize, n: usize, seed: u64, attack: &Attack) -> Tensor {
    let labels = answers(classifier, &images());
    let images = images().narrow(0, from, n).unwrap();
    let samples =
        Samples { images: &images, labels: &labels[from..from + n], ids: &IDS[from..from + n], seed: Seed::root(seed) };
    run(classifier, samples, attack).unwrap()
}

#[test]
fn every_attack_keeps_ball_box_and_network() {
    let mut network = network();
    let before = bits(network.state());
    for attack in every_attack(&BALLS) {
        let x = attacked(&mut Target::deployed(&mut network), 0, IDS.len(), 1, &attack);
        for (x, clean) in rows(&x).iter().zip(rows(&images())) {
            assert!(x.iter().all(|v| (0.0..=1.0).contains(v)), "{attack}: left the box");
            if let Some((norm, eps)) = attack.ball() {
                assert!(Ball::new(norm, eps.value()).holds(x, &clean), "{attack}: left the ball");
            }
        }
        assert_eq!(bits(network.state()), before, "{attack}: changed the network");
    }
}

#[test]
fn every_attack_is_decided_by_seed_and_sample_not_by_the_batch() {
    let mut network = network();
    let target = &mut Target::deployed(&mut network);
    let mut by_seed = 0;
    for attack in every_attack(&BALLS) {
        let whole = bits(&attacked(target, 0, 6, 1, &attack));
        assert_eq!(whole, bits(&attacked(target, 0, 6, 1, &attack)), "{attack}: not repeatable");
        by_seed += usize::from(whole != bits(&attacked(target, 0, 6, 2, &attack)));
        let parts: Vec<u32> = [(0, 1), (1, 3), (4, 2)]
            .iter()
            .flat_map(|(from, n)| bits(&attacked(target, *from, *n, 1, &attack)))
            .collect();
        assert_eq!(whole, parts, "{attack}: depends on the batch");
    }
    assert!(by_seed > 10, "only {by_seed} attacks look at the seed");
}

#[test]
fn no_attack_changes_anything_in_a_ball_of_radius_zero() {
    let mut network = network();
    let target = &mut Target::deployed(&mut network);
    for attack in every_attack(&BALLS) {
        // A radius of zero is refused in plans; as a value it is an attack that may do nothing.
        let text = serde_json::to_value(attack).unwrap();
        let Some(_) = attack.ball() else { continue };
        let mut text = text.as_object().unwrap().clone();
        text["eps"] = "0".into();
        let still: Attack = serde_json::from_value(text.into()).unwrap();
        let x = attacked(target, 0, 6, 1, &still);
        assert_eq!(rows(&x), rows(&images()), "{still}");
    }
}

/// A classifier given by a formula: `weights` are rows of a linear map behind `bend`, which has slope `slope`.
struct Formula<'a> {
    weights: &'a [[f32; 4]],
    /// What a pixel counts as.
    bend: fn(f32) -> f32,
    /// The slope that its gradient reports.
    slope: f32,
    /// What becomes of the logits.
    end: fn(&mut [f64]),
    noise: Option<Stream>,
}

impl<'a> Formula<'a> {
    fn linear(weights: &'a [[f32; 4]]) -> Self {
        Formula { weights, bend: |v| v, slope: 1.0, end: |_| {}, noise: None }
    }
}

impl Classifier for Formula<'_> {
    fn logits(&mut self, x: &Tensor) -> Result<Logits> {
        let mut values = Vec::new();
        for x in x.flatten_from(1)?.to_vec2::<f32>()? {
            let dot =
                |row: &[f32; 4]| row.iter().zip(&x).map(|(w, v)| f64::from(*w) * f64::from((self.bend)(*v))).sum();
            let mut row: Vec<f64> = self.weights.iter().map(dot).collect();
            if let Some(stream) = &mut self.noise {
                row.iter_mut().for_each(|z| *z += f64::from(stream.normal()));
            }
            (self.end)(&mut row);
            values.extend(row);
        }
        Ok(Logits { values, classes: self.weights.len() })
    }

    fn input_gradient(&mut self, x: &Tensor, loss: &dyn Fn(&Logits) -> LossGradient) -> Result<(Logits, Tensor)> {
        let logits = self.logits(x)?;
        let found = loss(&logits);
        let each = found.dlogits.chunks_exact(logits.classes);
        let (weights, slope) = (self.weights, self.slope);
        let one = |d: &[f64], i: usize| d.iter().zip(weights).map(|(d, w)| d * f64::from(w[i])).sum::<f64>();
        // As a network does, in 32 bits.
        let gradient: Vec<f32> = each.flat_map(|d| [0, 1, 2, 3].map(|i| one(d, i) as f32 * slope)).collect();
        Ok((logits, Tensor::from_vec(gradient, x.dims(), x.device())?))
    }
}

/// Logits of `POINT` are 1.15, .90, .05, .55; class 0 falls to class 1 at a change of .25 / 6 under Linf.
const ROWS: [[f32; 4]; 4] =
    [[1.0, -2.0, 0.5, 1.0], [-1.0, 1.0, 1.0, 0.5], [0.5, 0.5, -1.0, 1.0], [0.0, -1.0, 0.5, 0.5]];
const POINT: [f32; 4] = [0.5, 0.2, 0.9, 0.6];

fn point() -> Tensor {
    Tensor::new(&POINT, &Device::Cpu).unwrap().reshape((1, 1, 1, 4)).unwrap()
}

fn falls(classes: usize, attack: &Attack) -> bool {
    let mut linear = Formula::linear(&ROWS[..classes]);
    let samples = Samples { images: &point(), labels: &[0], ids: &[7], seed: Seed::root(1) };
    let x = run(&mut linear, samples, attack).unwrap();
    !correct(&linear.logits(&x).unwrap(), &[0]).next().unwrap()
}

/// The exact radius of the linear classifier: what looks for the nearest class finds it just above and never below. In
/// other norms the radius is the margin over the dual norm of the weights' difference, `(2, -3, -.5, .5)`.
#[test]
fn strong_attacks_fall_exactly_at_the_radius_of_a_linear_classifier() {
    let l2 = 0.25 / (4.0f64 + 9.0 + 0.25 + 0.25).sqrt();
    let l1 = 0.25 / 3.0;
    for (norm, radius) in [(Norm::Linf, 0.25 / 6.0), (Norm::L2, l2), (Norm::L1, l1)] {
        for name in ["apgd-ce", "apgd-dlr", "apgd-t", "fab", "fab-t", "cw-40", "pgd-40", "square"] {
            // Two classes make untargeted losses exact; targeted ones need no such help.
            let classes = if name.ends_with("-t") || name == "fab" || name == "cw-40" { 4 } else { 2 };
            for (scale, want) in [(0.99, false), (1.01, true)] {
                let eps = format!("{:.6}", radius * scale);
                let Ok(plan) = AttackPlan::named(name, threat(norm, &eps)) else { continue };
                let plan = plan.for_classes(classes).unwrap();
                // Squares on four pixels in a row cannot find every corner in norms but Linf.
                if name == "square" && (norm != Norm::Linf || want) {
                    continue;
                }
                assert_eq!(falls(classes, &plan.attacks[0]), want, "{name} {norm} {eps}");
            }
        }
    }
}

#[test]
fn no_attack_succeeds_below_the_radius() {
    for attack in every_attack(&[(Norm::Linf, "0.0416"), (Norm::L2, "0.068"), (Norm::L1, "0.0833")]) {
        if attack.ball().is_some() {
            assert!(!falls(4, &attack), "{attack}");
        }
    }
}

/// On a linear margin with no box in the way FAB's best point is 1.05 of the distance away after one step, 1.0052133 after
/// two, and no nearer after a hundred.
#[test]
fn fab_known_distances() {
    let attack = |steps| {
        let plan = AttackPlan::named("fab-t", threat(Norm::Linf, "8/255")).unwrap();
        let Attack::Fab(fab) = plan.attacks[0] else { panic!("not FAB") };
        Fab { steps, targets: 1, ..fab }
    };
    for (steps, ratio) in [(1, 1.05), (2, 1.005_213_3), (100, 1.005_213_3)] {
        let samples = Samples { images: &point(), labels: &[0], ids: &[7], seed: Seed::root(1) };
        let found = fab::nearest(&mut Formula::linear(&ROWS), samples, &attack(steps)).unwrap()[0];
        assert!((found / (0.25 / 6.0) - ratio).abs() < 1e-5, "{steps}: {}", found / (0.25 / 6.0));
    }
}

/// Forty points that class 0 wins by little.
fn points() -> (Images, Vec<u32>) {
    let mut stream = Seed::root(4).stream();
    let pixels = (0..40).flat_map(|_| POINT.map(|v| (255.0 * v) as u8 + stream.below(12) as u8).to_vec()).collect();
    (Images { pixels, labels: vec![0; 40] }, (0..40).collect())
}

fn raised(classifier: &mut dyn Classifier) -> Vec<Check> {
    let (images, ids) = points();
    let (shape, seed, device) = (Shape::new(1, 1, 4), Seed::root(1), &Device::Cpu);
    let loader = Loader { images: &images, shape, ids: &ids, batch: 40, augment: None, seed, device };
    let batch = loader.plain().next().unwrap().unwrap();
    let samples = Samples { images: &batch.images, labels: &batch.labels, ids: &batch.ids, seed };
    let mut raised = look(classifier, samples).unwrap();
    raised.extend(probe(classifier, samples).unwrap());
    let mut plan = AttackPlan::named("autoattack", threat(Norm::Linf, "0.2")).unwrap().for_classes(4).unwrap();
    for attack in &mut plan.attacks {
        if let Attack::Square(square) = attack {
            square.queries = 300;
        }
    }
    let found = Suite { plan: &plan, loader: &loader, seed }.run(classifier, &[], &mut |_| Ok(())).unwrap();
    raised.extend(judge(&plan, &found));
    raised.sort();
    raised.dedup();
    raised
}

#[test]
fn honest_classifiers_raise_no_check() {
    assert_eq!(raised(&mut Formula::linear(&ROWS)), []);
}

/// The input is rounded to 16 levels: the slope is zero wherever there is one.
#[test]
fn a_quantised_input_raises_zero_gradient() {
    let mut masked = Formula { bend: |v| (v * 15.0).round() / 15.0, slope: 0.0, ..Formula::linear(&ROWS) };
    let raised = raised(&mut masked);
    for check in [Check::ZeroGradient, Check::LossNotRising, Check::LargerEpsNotStronger, Check::BlackBoxStronger] {
        assert!(raised.contains(&check), "{check} is not among {raised:?}");
    }
}

/// Logits are scaled until the softmax saturates in 32 bits.
#[test]
fn saturated_logits_raise_zero_gradient() {
    let mut masked = Formula { end: |row| row.iter_mut().for_each(|z| *z *= 1e4), ..Formula::linear(&ROWS) };
    let raised = raised(&mut masked);
    assert!(raised.contains(&Check::ZeroGradient) && raised.contains(&Check::LossNotRising), "{raised:?}");
}

#[test]
fn a_random_network_raises_random_output() {
    let noise = Some(Seed::root(9).stream());
    let raised = raised(&mut Formula { noise, ..Formula::linear(&ROWS) });
    assert!(raised.contains(&Check::RandomOutput), "{raised:?}");
}

#[test]
fn probabilities_raise_their_check() {
    let softmax = |row: &mut [f64]| {
        let sum: f64 = row.iter().map(|z| z.exp()).sum();
        row.iter_mut().for_each(|z| *z = z.exp() / sum);
    };
    let raised = raised(&mut Formula { end: softmax, ..Formula::linear(&ROWS) });
    assert!(raised.contains(&Check::Probabilities), "{raised:?}");
}

/// A gradient of the wrong sign: climbing leads down.
#[test]
fn a_gradient_that_misleads_raises_loss_not_rising() {
    let raised = raised(&mut Formula { slope: -1.0, ..Formula::linear(&ROWS) });
    for check in [Check::LossNotRising, Check::LargerEpsNotStronger] {
        assert!(raised.contains(&check), "{check} is not among {raised:?}");
    }
}

/// What no honest classifier shows, read from made-up results.
#[test]
fn results_that_contradict_themselves_raise_checks() {
    let plan = |names: &[&str]| {
        let attacks = names.iter().map(|n| AttackPlan::named(n, threat(Norm::Linf, "8/255")).unwrap().attacks[0]);
        AttackPlan { cascade: false, ..AttackPlan::new("two", attacks.collect()) }
    };
    let found = |left: [usize; 2], strayed| {
        let attacks = left.map(|left| (0..100).map(|i| Some(i < left)).collect()).to_vec();
        Found { clean: vec![true; 100], attacks, standing: vec![true; 100], strayed }
    };
    assert_eq!(judge(&plan(&["fgsm", "pgd-20"]), &found([40, 60], 0)), [Check::MoreStepsNotStronger]);
    assert_eq!(judge(&plan(&["fgsm", "pgd-20"]), &found([60, 40], 0)), []);
    assert_eq!(judge(&plan(&["apgd-ce", "square"]), &found([60, 50], 0)), [Check::BlackBoxStronger]);
    assert_eq!(judge(&plan(&["apgd-ce", "square"]), &found([60, 59], 0)), [], "one sample is no sign");
    assert_eq!(judge(&plan(&["apgd-ce", "square"]), &found([60, 70], 1)), [Check::OutOfBounds]);
}

#[test]
fn every_check_has_a_section_in_the_manual() {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/attacks.md")).unwrap();
    for check in Check::ALL {
        let heading = format!("### `{check}`\n");
        let section = text.split(&heading).nth(1).unwrap_or_else(|| panic!("docs/attacks.md has no section `{check}`"));
        let section = section.split("\n### ").next().unwrap();
        for part in ["**Raised when**", "**Means**", "**Do**"] {
            assert!(section.contains(part), "the section `{check}` of docs/attacks.md does not say {part}");
        }
        assert_eq!(serde_json::to_value(check).unwrap(), check.word());
    }
}

/// Labelled as the network answers, three quarters rightly.
fn data(network: &mut Network) -> (Images, Vec<u32>) {
    let mut stream = Seed::root(2).stream();
    let n = 20;
    let mut images =
        Images { pixels: (0..n * IMAGE.len()).map(|_| stream.below(256) as u8).collect(), labels: vec![0; n] };
    let ids: Vec<u32> = (0..n as u32).collect();
    let batch = loader(&images, &ids, n).plain().next().unwrap().unwrap();
    let answers = answers(&mut Target::deployed(network), &batch.images);
    images.labels = answers.iter().enumerate().map(|(i, k)| (k + u32::from(i % 4 == 0)) % 4).collect();
    (images, ids)
}

fn loader<'a>(images: &'a Images, ids: &'a [u32], batch: usize) -> Loader<'a> {
    Loader { images, shape: IMAGE, ids, batch, augment: None, seed: Seed::root(1), device: &Device::Cpu }
}

/// A run that is stopped after any number of batches, and goes on with batches of another size, finds the same.
#[test]
fn a_stopped_suite_goes_on_to_the_same_verdicts() {
    let mut network = network();
    let (images, ids) = data(&mut network);
    let mut plan = AttackPlan::named("autoattack", threat(Norm::Linf, "64/255")).unwrap();
    plan.attacks.retain(|a| !matches!(a, Attack::Fab(_)));
    for attack in &mut plan.attacks {
        match attack {
            Attack::Apgd(a) => a.steps = 5,
            Attack::Square(a) => a.queries = 20,
            _ => {}
        }
    }
    let target = &mut Target::deployed(&mut network);
    let mut go = |batch: usize, known: &[Verdicts], stop_after: usize| {
        let mut seen = Vec::new();
        let loader = loader(&images, &ids, batch);
        let found = Suite { plan: &plan, loader: &loader, seed: Seed::root(5) }.run(target, known, &mut |finished| {
            seen.push(finished.verdicts.clone());
            if seen.len() == stop_after { Err(Error::Stopped { signal: "TEST" }) } else { Ok(()) }
        });
        (found, seen)
    };
    let (whole, all) = go(6, &[], usize::MAX);
    let whole = whole.unwrap();
    assert_eq!(whole.clean().hit, 15);
    assert!(whole.robust().hit < 15, "nothing fell");
    for stop_after in 1..all.len() {
        let (stopped, before) = go(6, &[], stop_after);
        assert!(matches!(stopped, Err(Error::Stopped { .. })));
        for batch in [6, 7, 20] {
            assert_eq!(go(batch, &before, usize::MAX).0.unwrap(), whole, "stopped after {stop_after}, then {batch}");
        }
    }
    let mut foreign = all[..1].to_vec();
    foreign[0].ids[0] += 1;
    assert!(go(6, &foreign, usize::MAX).0.unwrap_err().to_string().contains("other samples"));
}
