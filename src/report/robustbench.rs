//! RobustBench's `model_info` file, and the conditions on a result for it.
//!
//! The file puts a figure beside published ones, so it must be the same measurement. That is decided by the content of
//! a result, its attacks with their constants and its images, never by the name of a plan.

use serde::Serialize;

use super::attacked::AttackResultFile;
use crate::arch::op::Shape;
use crate::threat::{AttackPlan, Norm, Threat};
use crate::units::{Fraction, Tally};

/// A data set of RobustBench.
struct Benchmark {
    name: &'static str,
    classes: usize,
    /// Rows and columns of its images, if they are fixed.
    side: Option<usize>,
    /// How many of the test images are measured: the first.
    images: u64,
    balls: &'static [Radius],
}

/// A threat model of RobustBench.
struct Radius {
    norm: Norm,
    eps: Fraction,
    /// As RobustBench writes it.
    word: &'static str,
}

const fn linf(of_255: u32, word: &'static str) -> Radius {
    Radius { norm: Norm::Linf, eps: Fraction::of_255(of_255), word }
}

/// Of github.com/RobustBench/robustbench (Croce et al. 2021); its corruptions are measured without attacks.
const BENCHMARKS: [Benchmark; 3] = [
    Benchmark {
        name: "cifar10",
        classes: 10,
        side: Some(32),
        images: 10_000,
        balls: &[linf(8, "8/255"), Radius { norm: Norm::L2, eps: Fraction::new(1, 2), word: "0.5" }],
    },
    Benchmark { name: "cifar100", classes: 100, side: Some(32), images: 10_000, balls: &[linf(8, "8/255")] },
    Benchmark { name: "imagenet", classes: 1000, side: None, images: 5_000, balls: &[linf(4, "4/255")] },
];

/// Facts that only those who trained a network know. What is not given stays empty in the file.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Said {
    /// Whether it was trained on other data, too.
    pub additional_data: Option<bool>,
    /// The robust accuracy, in per cent, that they report.
    pub reported: Option<f64>,
}

/// The file. Texts about people and papers are left for a person to fill in.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ModelInfo {
    link: &'static str,
    name: &'static str,
    authors: &'static str,
    additional_data: Option<bool>,
    number_forward_passes: u32,
    dataset: &'static str,
    venue: &'static str,
    architecture: String,
    eps: &'static str,
    clean_acc: String,
    reported: Option<String>,
    autoattack_acc: String,
    unreliable: bool,
}

impl ModelInfo {
    /// The file of a result about a network of `classes` that takes an `image`.
    ///
    /// # Errors
    /// As text, every difference between the result and standard AutoAttack on the images that RobustBench measures.
    pub fn new(result: &AttackResultFile, image: Shape, classes: usize, said: Said) -> Result<Self, String> {
        let mut faults = Vec::new();
        if result.source.is_some() {
            faults.push("the attacks were made on another network (--transfer-from)".to_owned());
        }
        let threat = standard(result).map_err(|why| faults.push(why)).ok();
        let benchmark = BENCHMARKS.iter().find(|b| {
            b.classes == classes && image.c == 3 && b.side.is_none_or(|side| [image.h, image.w] == [side; 2])
        });
        if benchmark.is_none() {
            let known = BENCHMARKS.map(|b| format!("{} ({} classes)", b.name, b.classes)).join(", ");
            faults.push(format!("it has no data set of {image} images in {classes} classes; it has {known}"));
        }
        let mut ball = None;
        if let Some(benchmark) = benchmark {
            if let Some(threat) = threat {
                ball = benchmark.balls.iter().find(|b| b.is(threat));
                if ball.is_none() {
                    let known: Vec<String> = benchmark.balls.iter().map(|b| format!("{} {}", b.norm, b.word)).collect();
                    let (name, known) = (benchmark.name, known.join(" and "));
                    faults.push(format!("of {name} it has {known}, not {} {}", threat.norm, threat.eps));
                }
            }
            if !is_first(&result.ids, benchmark.images) || result.sample.split != "test" {
                let (n, split, images) = (result.n, &result.sample.split, benchmark.images);
                faults.push(format!(
                    "n = {n} images of `{split}`; expected the first {images} test images (--n {images})"
                ));
            }
        }
        let ones = |flags: &str| flags.matches('1').count() as u64;
        let counted = [result.n, ones(&result.clean_flags), ones(&result.robust_flags)];
        if counted != [result.ids.len() as u64, result.clean_correct, result.robust] {
            faults.push("its counts are not those of its images' flags: the file was changed".to_owned());
        }
        match (benchmark, ball) {
            (Some(benchmark), Some(ball)) if faults.is_empty() => Ok(ModelInfo::of(result, benchmark, ball, said)),
            _ => Err(format!("not a result for RobustBench: {}", faults.join("; "))),
        }
    }

    fn of(result: &AttackResultFile, benchmark: &Benchmark, ball: &Radius, said: Said) -> Self {
        let percent = |hit: u64| format!("{:.2}", 100.0 * Tally { hit, total: result.n }.rate());
        ModelInfo {
            link: "",
            name: "",
            authors: "",
            additional_data: said.additional_data,
            number_forward_passes: 1,
            dataset: benchmark.name,
            venue: "",
            architecture: result.network.net.clone(),
            eps: ball.word,
            clean_acc: percent(result.clean_correct),
            reported: said.reported.map(|percent| format!("{percent:.2}")),
            autoattack_acc: percent(result.robust),
            unreliable: !result.checks.is_empty(),
        }
    }

    /// Data set and threat model as text: `cifar10 8/255`.
    pub fn words(&self) -> String {
        format!("{} {}", self.dataset, self.eps)
    }
}

impl Radius {
    fn is(&self, threat: Threat) -> bool {
        self.norm == threat.norm && self.eps.value().to_bits() == threat.eps.value().to_bits()
    }
}

/// The ball for which a result's attacks are standard AutoAttack, whatever the name of the plan.
///
/// # Errors
/// As text, the first attack that is not as published.
pub fn standard(result: &AttackResultFile) -> Result<Threat, String> {
    let AttackPlan { attacks, gradient_samples, .. } = &result.plan;
    let expected = "expected standard AutoAttack (--plan autoattack)";
    let ball = attacks.first().and_then(crate::threat::Attack::ball);
    let (norm, eps) = ball.ok_or_else(|| format!("the attacks have no ball; {expected}"))?;
    let threat = Threat { norm, eps };
    let suite = AttackPlan::named("autoattack", threat)?;
    if let Some((own, published)) = attacks.iter().zip(&suite.attacks).find(|(own, published)| own != published) {
        return Err(format!("an attack is `{own}` where `{published}` is published; {expected}"));
    }
    if attacks.len() != suite.attacks.len() {
        let names = |list: &[crate::threat::Attack]| list.iter().map(|a| a.name()).collect::<Vec<_>>().join(", ");
        return Err(format!("the attacks are {}, published are {}; {expected}", names(attacks), names(&suite.attacks)));
    }
    if *gradient_samples != 1 {
        return Err(format!("gradients are means of {gradient_samples}; {expected}"));
    }
    if !result.attacks.iter().map(|report| report.config).eq(attacks.iter().copied()) {
        return Err("the attacks that were made are not those of the plan: the file was changed".to_owned());
    }
    Ok(threat)
}

/// Whether these are the first `n` images, each once.
fn is_first(ids: &[u32], n: u64) -> bool {
    let mut sorted = ids.to_vec();
    sorted.sort_unstable();
    sorted.iter().map(|id| u64::from(*id)).eq(0..n)
}
