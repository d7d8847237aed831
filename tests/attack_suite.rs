//! What every attack must hold to, one table for all; known answers of a linear classifier; the suite and its checks.

#[path = "fixtures/attacked.rs"]
mod attacked;

use attacked::{IDS, IMAGE, POINT, ROWS, answers, bits, data, images, loader, neighbour, network, rows};
use std::collections::HashSet;

use candle_core::{Device, Tensor};
use robustnas::arch::op::Shape;
use robustnas::attack::ball::Ball;
use robustnas::attack::checks::{guesses, judge, look, probe};
use robustnas::attack::suite::{Found, Suite, Verdicts};
use robustnas::attack::{Classifier, Samples, Target, fab, run};
use robustnas::data::Images;
use robustnas::data::loader::Loader;
use robustnas::engine::{Logits, LossGradient};
use robustnas::error::{Error, Result};
use robustnas::loss::correct;
use robustnas::seed::{Seed, Stream};
use robustnas::threat::plan::SINGLES;
use robustnas::threat::{Attack, AttackKind, AttackPlan, Check, Fab, Loss, Norm, Pgd, Square, Threat};
use robustnas::units::Fraction;

use strum::IntoEnumIterator;

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
    // Names that do not go with a norm are left out above; no attack may be.
    let seen: HashSet<AttackKind> = all.iter().map(AttackKind::from).collect();
    let missing: Vec<AttackKind> = AttackKind::iter().filter(|kind| !seen.contains(kind)).collect();
    assert!(missing.is_empty(), "no plan of one attack has {missing:?}");
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

/// A classifier of ten classes that answers class 0 whatever it is shown, and counts its passes, a gradient as two.
#[derive(Default)]
struct Constant {
    passes: f64,
}

impl Classifier for Constant {
    fn logits(&mut self, x: &Tensor) -> Result<Logits> {
        self.passes += x.dims()[0] as f64;
        let row = (0..10).map(|class| if class == 0 { 20.0 } else { 0.1 * f64::from(class) });
        Ok(Logits { values: row.collect::<Vec<f64>>().repeat(x.dims()[0]), classes: 10 })
    }

    fn input_gradient(&mut self, x: &Tensor, _: &dyn Fn(&Logits) -> LossGradient) -> Result<(Logits, Tensor)> {
        let logits = self.logits(x)?;
        self.passes += x.dims()[0] as f64;
        Ok((logits, x.ones_like()?))
    }
}

#[test]
fn passes_are_those_that_an_attack_makes_on_an_image_that_is_never_misclassified() {
    let images = Tensor::full(0.5f32, (1, 8, 8, 3), &Device::Cpu).unwrap();
    let mut attacks = every_attack(&BALLS);
    attacks.push(Attack::Pgd(Pgd {
        loss: Loss::Kl,
        restarts: 3,
        ..Pgd::new(Fraction::of_255(8), Fraction::of_255(2), 5)
    }));
    for attack in attacks {
        let mut classifier = Constant::default();
        let samples = Samples { images: &images, labels: &[0], ids: &[7], seed: Seed::root(1) };
        let x = run(&mut classifier, samples, &attack).unwrap();
        classifier.logits(&x).unwrap();
        assert_eq!(classifier.passes, attack.passes(), "{attack}");
    }
}

/// A classifier given by a formula: `weights` are rows of a linear map behind `bend`, which has slope `slope`.
struct Formula {
    weights: Vec<Vec<f32>>,
    /// What a pixel counts as.
    bend: fn(f32) -> f32,
    /// The slope that its gradient reports.
    slope: f32,
    /// What becomes of the logits.
    end: fn(&mut [f64]),
    noise: Option<Stream>,
}

impl Formula {
    fn linear(weights: &[[f32; 4]]) -> Self {
        Formula::rows(weights.iter().map(|row| row.to_vec()).collect())
    }

    fn rows(weights: Vec<Vec<f32>>) -> Self {
        Formula { weights, bend: |v| v, slope: 1.0, end: |_| {}, noise: None }
    }
}

impl Classifier for Formula {
    fn logits(&mut self, x: &Tensor) -> Result<Logits> {
        let mut values = Vec::new();
        for x in x.flatten_from(1)?.to_vec2::<f32>()? {
            let dot =
                |row: &Vec<f32>| row.iter().zip(&x).map(|(w, v)| f64::from(*w) * f64::from((self.bend)(*v))).sum();
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
        let (weights, slope) = (&self.weights, self.slope);
        let scalars = weights[0].len();
        let one = |d: &[f64], i: usize| d.iter().zip(weights).map(|(d, w)| d * f64::from(w[i])).sum::<f64>();
        // As a network does, in 32 bits.
        let gradient: Vec<f32> = each.flat_map(|d| (0..scalars).map(move |i| one(d, i) as f32 * slope)).collect();
        Ok((logits, Tensor::from_vec(gradient, x.dims(), x.device())?))
    }
}

fn point() -> Tensor {
    Tensor::new(&POINT, &Device::Cpu).unwrap().reshape((1, 1, 1, 4)).unwrap()
}

/// Claims that the linear classifier is held to below.
const HELD: usize = 8 * 3 * 2 - 5;

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
    let mut held = 0;
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
                held += 1;
            }
        }
    }
    // Eight attacks, three norms, two sides of the radius; less the squares that are left out above.
    assert_eq!(held, HELD);
}

/// A random search of many queries finds what one query does not, and nothing below the radius. Squares cannot follow every
/// weight: hence the wider balls.
#[test]
fn squares_make_progress_on_a_linear_classifier() {
    let mut stream = Seed::root(8).stream();
    let weights: Vec<f32> = (0..IMAGE.len()).map(|_| stream.normal()).collect();
    let (image, device) = ((1, IMAGE.h, IMAGE.w, IMAGE.c), &Device::Cpu);
    let clean: Vec<f32> = (0..IMAGE.len()).map(|_| stream.uniform_in(0.3, 0.7)).collect();
    let margin = weights.iter().zip(&clean).map(|(w, x)| w * x).sum::<f32>();
    let (winner, zero) = (weights.iter().map(|w| w * margin.signum()).collect::<Vec<_>>(), vec![0.0; IMAGE.len()]);
    let x = Tensor::from_vec(clean, image, device).unwrap();
    let mut linear = Formula::rows(vec![winner, zero]);
    let mut falls = |norm, eps: f64, queries| {
        let eps = format!("{eps:.6}").parse().unwrap();
        let attack = Attack::Square(Square { norm, eps, queries, restarts: 1, p: "0.8".parse().unwrap() });
        let samples = Samples { images: &x, labels: &[0], ids: &[7], seed: Seed::root(1) };
        let found = run(&mut linear, samples, &attack).unwrap();
        !correct(&linear.logits(&found).unwrap(), &[0]).next().unwrap()
    };
    let size = |norm| robustnas::attack::ball::size(norm, weights.iter().copied());
    for (norm, dual, wider) in [(Norm::Linf, Norm::L1, 1.75), (Norm::L2, Norm::L2, 2.25), (Norm::L1, Norm::Linf, 2.0)] {
        let radius = f64::from(margin.abs()) / size(dual);
        assert!(!falls(norm, 0.99 * radius, 300), "{norm}: fell below the radius");
        assert!(!falls(norm, wider * radius, 1), "{norm}: fell at once");
        assert!(falls(norm, wider * radius, 3000), "{norm}: no progress");
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
    let seed = Seed::root(1);
    let loader = Loader::new(&images, Shape::new(1, 1, 4), &ids, 40, seed, &Device::Cpu);
    let batch = loader.plain().next().unwrap().unwrap();
    let samples = batch.samples(seed);
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
    let found = |left: [usize; 2], outside| {
        let attacks = left.map(|left| (0..100).map(|i| Some(i < left)).collect()).to_vec();
        Found { clean: vec![true; 100], attacks, standing: vec![true; 100], outside }
    };
    assert_eq!(judge(&plan(&["fgsm", "pgd-20"]), &found([40, 60], 0)), [Check::MoreStepsNotStronger]);
    assert_eq!(judge(&plan(&["fgsm", "pgd-20"]), &found([60, 40], 0)), []);
    assert_eq!(judge(&plan(&["apgd-ce", "square"]), &found([60, 50], 0)), [Check::BlackBoxStronger]);
    assert_eq!(judge(&plan(&["apgd-ce", "square"]), &found([60, 59], 0)), [], "one sample is no sign");
    assert_eq!(judge(&plan(&["apgd-ce", "square"]), &found([60, 70], 1)), [Check::OutOfBounds]);
}

/// Ten classes of ten images each, or as given.
#[test]
fn answers_that_know_nothing_of_the_images_raise_checks() {
    let labels: Vec<u32> = (0..100).map(|i| i % 10).collect();
    let of = |labels: &[u32], right: &dyn Fn(usize) -> bool| {
        guesses(labels, &(0..labels.len()).map(right).collect::<Vec<_>>())
    };
    let both = [Check::ConstantAnswer, Check::CleanAtChance];
    assert_eq!(of(&labels, &|i| i % 10 == 3), both, "always the class 3");
    assert_eq!(of(&labels, &|i| i < 15), [Check::CleanAtChance], "the interval of 15 % begins at 9.3 %");
    assert_eq!(of(&labels, &|_| false), [Check::CleanAtChance]);
    assert_eq!(of(&labels, &|i| i < 18), [], "that of 18 % at 11.7 %");
    assert_eq!(of(&labels, &|_| true), []);
    // Where classes are uneven, chance is the largest.
    let uneven: Vec<u32> = (0..100).map(|i| u32::from(i >= 70)).collect();
    assert_eq!(of(&uneven, &|i| i < 70), both);
    assert_eq!(of(&uneven, &|i| i < 75), [Check::CleanAtChance]);
    assert_eq!(of(&uneven, &|i| i < 85), []);
    // One class tells nothing.
    assert_eq!((of(&[4; 50], &|_| true), of(&[], &|_| true)), (vec![], vec![]));
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

/// A run that is stopped after any number of batches, and goes on with batches of another size, finds the same.
#[test]
fn a_stopped_suite_goes_on_to_the_same_verdicts() {
    let mut network = network();
    let (images, ids) = data(&mut network, 20);
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

/// From a network to itself nothing is lost; to another, less comes over than its own attacks do. The source's part is what
/// the plan finds on it alone, and a stopped transfer goes on to the same.
#[test]
fn a_transfer_is_made_on_one_network_and_measured_on_another() {
    let (mut source, mut target) = (network(), neighbour());
    let (mut images, ids) = data(&mut source, 120);
    let batch = loader(&images, &ids, 120).plain().next().unwrap().unwrap();
    let theirs = answers(&mut Target::deployed(&mut target), &batch.images);
    // Every other label is the target's answer, so that each network is right where the other errs, and both on some.
    images.labels.iter_mut().zip(theirs).step_by(2).for_each(|(label, answer)| *label = answer);
    for cascade in [true, false] {
        let attacks =
            ["pgd-5", "apgd-ce"].map(|n| AttackPlan::named(n, threat(Norm::Linf, "48/255")).unwrap().attacks[0]);
        let plan = AttackPlan { cascade, ..AttackPlan::new("two", attacks.to_vec()) };
        let loader = loader(&images, &ids, 32);
        let suite = Suite { plan: &plan, loader: &loader, seed: Seed::root(5) };
        let alone = |network| suite.run(&mut Target::deployed(network), &[], &mut |_| Ok(())).unwrap();
        let (at_source, at_target) = (alone(&mut source), alone(&mut target));

        let (mut one, mut same) = (network(), network());
        let (one, same) = (&mut Target::deployed(&mut one), &mut Target::deployed(&mut same));
        let back = suite.transfer(one, same, &[], &mut |_| Ok(())).unwrap();
        assert_eq!((&back.source, &back.target), (&at_source, &at_source), "to itself");

        let (source, target) = (&mut Target::deployed(&mut source), &mut Target::deployed(&mut target));
        let mut seen = Vec::new();
        let over = suite.transfer(source, target, &[], &mut |finished| {
            seen.push(finished.verdicts.clone());
            Ok(())
        });
        let over = over.unwrap();
        assert_eq!(over.source, at_source);
        assert_eq!((&over.target.clean, over.target.outside), (&at_target.clean, 0));
        let stronger = (0..120).filter(|i| !over.target.standing[*i] && at_target.standing[*i]).count();
        let weaker = (0..120).filter(|i| over.target.standing[*i] && !at_target.standing[*i]).count();
        let counts = [at_target.clean(), over.target.robust(), at_target.robust()].map(|t| t.hit);
        assert!(counts[0] > counts[1] && counts[1] > counts[2], "right, transferred, attacked: {counts:?}");
        assert!(10 * stronger <= weaker, "{stronger} against {weaker}");
        for known in [1, 5, seen.len() - 1] {
            let again = suite.transfer(source, target, &seen[..known], &mut |_| Ok(())).unwrap();
            assert_eq!(again, over, "after {known} batches");
        }
        let direct = suite.run(target, &seen[..1], &mut |_| Ok(()));
        assert_eq!(direct.unwrap().clean, at_target.clean, "clean answers are the target's");
    }
}
