//! The attacks beside the official code's results on a given network. The long ones are run by `make attack-long`.

#[path = "fixtures/net_a.rs"]
mod net_a;

use candle_core::safetensors::load;
use candle_core::{Device, Tensor};
use robustnas::attack::apgd::{Climb, Climbed, climb};
use robustnas::attack::cases::on_host;
use robustnas::attack::checks::{judge, look, probe};
use robustnas::attack::suite::{Found, Suite};
use robustnas::attack::{Classifier, Samples, Target};
use robustnas::data::loader::Loader;
use robustnas::engine::Network;
use robustnas::loss::{Aim, total};
use robustnas::seed::Seed;
use robustnas::threat::{Apgd, Attack, AttackPlan, Loss, Norm, Threat};
use serde_json::Value;

const N: usize = 128;

fn images() -> (Tensor, Vec<u32>) {
    let data = net_a::data();
    assert_eq!(data.test.len(), N);
    let pixels: Vec<f32> = data.test.pixels.iter().map(|p| f32::from(*p) / 255.0).collect();
    (Tensor::from_vec(pixels, (N, 32, 32, 3), &Device::Cpu).unwrap(), data.test.labels)
}

fn clean() -> std::collections::HashMap<String, Tensor> {
    load(net_a::folder().join("clean.safetensors"), &Device::Cpu).unwrap()
}

fn numbers(t: &Tensor) -> Vec<f64> {
    t.flatten_all().unwrap().to_dtype(candle_core::DType::F64).unwrap().to_vec1().unwrap()
}

#[test]
fn clean_logits_losses_and_input_gradients() {
    clean_answers(net_a::network());
}

#[test]
fn clean_answers_of_the_onnx_file() {
    clean_answers(net_a::network_of_onnx());
}

fn clean_answers(mut network: Network) {
    let ((images, labels), clean) = (images(), clean());
    let mut target = Target::deployed(&mut network);
    let logits = target.logits(&images).unwrap();
    let worst = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    let apart = worst(&logits.values, &numbers(&clean["logits"]));
    println!("logits differ by at most {apart:.1e}");
    assert!(apart < 1e-4);
    for (loss, key) in [(Loss::Ce, "ce"), (Loss::Dlr, "dlr"), (Loss::Cw, "margin")] {
        let aims: Vec<Aim<'_>> = labels.iter().map(|l| Aim::away(loss, *l as usize)).collect();
        let values: Vec<f64> = logits.rows().zip(&aims).map(|(row, aim)| aim.of(row).0).collect();
        let apart = worst(&values, &numbers(&clean[&format!("{key}_loss")]));
        println!("{key} differs by at most {apart:.1e}");
        assert!(apart < 1e-4, "{key}");
        if let Some(want) = clean.get(&format!("{key}_grad_first2_nhwc")) {
            let two = images.narrow(0, 0, 2).unwrap();
            let (_, gradient) = target.input_gradient(&two, &|logits| total(logits, &aims[..2])).unwrap();
            let want = numbers(want);
            let size = want.iter().fold(0f64, |m, g| m.max(g.abs()));
            let apart = worst(&numbers(&gradient), &want) / size;
            println!("{key} gradient differs by at most {apart:.1e} of its largest entry");
            assert!(apart < 1e-4, "{key}");
        }
    }
}

/// The run of an attack in the official results.
fn official(attack: &str, seed: Option<u64>, eps: &str, iterations: Option<u64>) -> Value {
    let results = net_a::json("results.json");
    let same = |run: &&Value| {
        run["attack"] == attack
            && run["seed"].as_u64() == seed
            && run["eps"] == eps
            && iterations.is_none_or(|n| run["iterations"] == n)
    };
    results["runs"].as_array().unwrap().iter().find(same).unwrap_or_else(|| panic!("no {attack} {eps}")).clone()
}

fn flags(run: &Value) -> Vec<bool> {
    run["robust_flags"].as_str().unwrap().chars().map(|c| c == '1').collect()
}

fn agreeing(a: &[bool], b: &[bool]) -> usize {
    a.iter().zip(b).filter(|(a, b)| a == b).count()
}

fn found(plan: &AttackPlan, batch: usize) -> Found {
    let (mut network, data) = (net_a::network(), net_a::data());
    let ids: Vec<u32> = (0..N as u32).collect();
    let seed = Seed::root(0);
    let loader = Loader::new(&data.test, data.image, &ids, batch, seed, &Device::Cpu);
    let suite = Suite { plan, loader: &loader, seed };
    let found = suite.run(&mut Target::deployed(&mut network), &[], &mut |_| Ok(())).unwrap();
    assert_eq!(found.clean().hit, 61);
    assert_eq!(found.outside, 0);
    found
}

fn plan(name: &str, norm: Norm, eps: &str) -> AttackPlan {
    AttackPlan::named(name, Threat { norm, eps: eps.parse().unwrap() }).unwrap()
}

/// From the clean image nothing is random: flags and losses are the official ones.
#[test]
fn attacks_from_clean_agree_image_by_image() {
    from_clean(Loss::Ce, 10);
    let mut pgd = plan("pgd-20", Norm::Linf, "8/255");
    for attack in &mut pgd.attacks {
        let Attack::Pgd(pgd) = attack else { panic!("not PGD") };
        pgd.random_start = false;
    }
    let agree = agreeing(&found(&pgd, N).standing, &flags(&official("pgd20-from-clean", None, "8/255", None)));
    println!("pgd20-from-clean: {agree} of 128 flags");
    assert!(agree >= 127);
}

#[test]
#[ignore = "long: make attack-long"]
fn long_attacks_from_clean_agree_image_by_image() {
    from_clean(Loss::Ce, 100);
    from_clean(Loss::Dlr, 100);
}

fn from_clean(loss: Loss, steps: u32) {
    let (mut network, (images, labels)) = (net_a::network(), images());
    let (norm, eps, rho) = (Norm::Linf, "8/255".parse().unwrap(), "0.75".parse().unwrap());
    let attack = Apgd { norm, eps, loss, targets: 0, steps, restarts: 1, rho, random_start: false };
    let run = official(&format!("apgd-{}-from-clean", loss.word()), None, "8/255", Some(u64::from(steps)));
    let ids: Vec<u32> = (0..N as u32).collect();
    let samples = Samples { images: &images, labels: &labels, ids: &ids, seed: Seed::root(0) };
    let mut climbed: Vec<Climbed> = Vec::new();
    on_host(&mut Target::deployed(&mut network), samples, |view, cases| {
        let aims: Vec<Aim<'_>> = cases.iter().map(|c| Aim::away(loss, c.label)).collect();
        climbed = climb(view, cases, &aims, &Climb { attack: &attack, run: 0, whole: true })?;
        Ok(vec![None; cases.len()])
    })
    .unwrap();
    let stands: Vec<bool> = climbed.iter().map(|c| c.fooled.is_none()).collect();
    let agree = agreeing(&stands, &flags(&run));
    let losses: Vec<(f64, f64)> = run["best_loss"]
        .as_array()
        .unwrap()
        .iter()
        .zip(&climbed)
        .filter_map(|(want, c)| Some((want.as_f64()?, c.best_loss)))
        .collect();
    let near = losses.iter().filter(|(a, b)| (a - b).abs() <= 1e-3).count();
    let name = loss.word();
    println!("apgd-{name}-{steps} from clean: {agree} of 128 flags, {near} of {} losses within 1e-3", losses.len());
    assert!(agree >= 127, "{name} {steps}: {agree}");
    assert!(near as f64 >= 0.95 * losses.len() as f64, "{name} {steps}: {near} of {}", losses.len());
}

/// The count that an attack leaves is at most `slack` away from those of the official code's seeds.
fn count(name: &str, official_name: &str, (norm, eps): (Norm, &str), slack: u64) {
    let robust = found(&plan(name, norm, eps), N).robust().hit;
    let results = net_a::json("results.json");
    let word = if norm == Norm::L2 { "L2" } else { "Linf" };
    let same = |run: &&Value| run["attack"] == official_name && run["eps"] == eps && run["norm"] == word;
    let counts: Vec<u64> =
        results["runs"].as_array().unwrap().iter().filter(same).map(|r| r["robust"].as_u64().unwrap()).collect();
    println!("{name} {norm} {eps}: {robust} of 128; official {counts:?}");
    let (least, most) = (*counts.iter().min().unwrap(), *counts.iter().max().unwrap());
    assert!(robust + slack >= least && robust <= most + slack, "{name}: {robust} against {counts:?}");
}

#[test]
fn short_attacks_leave_what_the_official_ones_leave() {
    count("fgsm", "fgsm", (Norm::Linf, "8/255"), 1);
    count("pgd-20", "pgd20", (Norm::Linf, "8/255"), 1);
    count("cw-40", "cw-linf40", (Norm::Linf, "8/255"), 1);
}

#[test]
#[ignore = "long: make attack-long"]
fn long_attacks_leave_what_the_official_ones_leave() {
    count("pgd-100", "pgd100", (Norm::Linf, "8/255"), 1);
    count("apgd-ce", "apgd-ce", (Norm::Linf, "8/255"), 1);
    count("apgd-ce", "apgd-ce", (Norm::Linf, "4/255"), 1);
    count("apgd-ce", "apgd-ce", (Norm::L2, "128/255"), 1);
    count("apgd-t", "apgd-t", (Norm::Linf, "8/255"), 1);
    count("fab-t", "fab-t", (Norm::Linf, "8/255"), 1);
    count("square", "square", (Norm::Linf, "8/255"), 3);
}

/// The standard suite: flags, counts after each attack, and no doubt about this honest network.
#[test]
#[ignore = "long: make attack-long"]
fn long_the_cascade_agrees_image_by_image() {
    let plan = plan("autoattack", Norm::Linf, "8/255");
    let found = found(&plan, N);
    let after: Vec<u64> = (0..4).map(|i| found.robust_after(i).hit).collect();
    for seed in [0, 1] {
        let run = official("standard-cascade", Some(seed), "8/255", None);
        let agree = agreeing(&found.standing, &flags(&run));
        println!("cascade, official seed {seed}: {agree} of 128 flags, {after:?} against {}", run["stages"]);
        assert!(agree >= 126);
    }
    assert!(judge(&plan, &found).is_empty(), "{:?}", judge(&plan, &found));
}

#[test]
fn no_check_is_raised_on_an_honest_network() {
    let (mut network, (images, labels)) = (net_a::network(), images());
    let mut target = Target::deployed(&mut network);
    let logits = target.logits(&images).unwrap();
    let right: Vec<usize> =
        robustnas::loss::correct(&logits, &labels).enumerate().filter(|(_, hit)| *hit).map(|(i, _)| i).collect();
    let rows: Vec<Tensor> = right.iter().map(|i| images.narrow(0, *i, 1).unwrap()).collect();
    let (images, labels): (Tensor, Vec<u32>) =
        (Tensor::cat(&rows, 0).unwrap(), right.iter().map(|i| labels[*i]).collect());
    let ids: Vec<u32> = right.iter().map(|i| *i as u32).collect();
    let samples = Samples { images: &images, labels: &labels, ids: &ids, seed: Seed::root(0) };
    assert_eq!(look(&mut target, samples).unwrap(), []);
    assert_eq!(probe(&mut target, samples).unwrap(), []);
}
