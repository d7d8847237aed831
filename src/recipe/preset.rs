//! The methods of papers: one table of recipes by a word.

use std::str::FromStr;

use super::*;
use crate::error::nearest;
use crate::threat::{Loss, Norm};
use crate::units::Fraction;

/// A row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// The word.
    pub name: &'static str,
    /// Where its constants are from, and where they are not.
    pub paper: &'static str,
    /// The recipe.
    pub recipe: fn() -> Recipe,
}

const EPS: Fraction = Fraction::of_255(8);
const STEP: Fraction = Fraction::of_255(2);

/// Every preset. Milestones and peaks are shares of a training, so that a shorter one keeps its shape; warm-ups, ramps
/// and beginnings are epochs.
pub const PRESETS: &[Row] = &[
    Row { name: "standard", paper: "clean training with the schedule of Rice et al. 2020", recipe: standard },
    Row {
        name: "pgd-at",
        paper: "Madry et al. 2018 as trained by Rice et al. 2020",
        recipe: || pgd_at(Statistics::Train),
    },
    Row {
        name: "pgd-at-eval",
        paper: "the same, attacked on running statistics (Pang et al. 2021, Bag of Tricks)",
        recipe: || Recipe { name: "pgd-at-eval".into(), ..pgd_at(Statistics::Eval) },
    },
    Row {
        name: "pgd-at-batch",
        paper: "the same, attacked on batch statistics that nobody records (Gowal et al. 2020)",
        recipe: || Recipe { name: "pgd-at-batch".into(), ..pgd_at(Statistics::Batch) },
    },
    Row { name: "trades", paper: "Zhang et al. 2019 with the published code's radius 0.031", recipe: trades },
    Row { name: "trades-8-255", paper: "Zhang et al. 2019 in the ball of the leaderboards", recipe: trades_8_255 },
    Row { name: "mart", paper: "Wang et al. 2020, ResNet-18", recipe: mart },
    Row {
        name: "fgsm",
        paper: "Goodfellow et al. 2015 as trained by Andriushchenko and Flammarion 2020",
        recipe: fgsm,
    },
    Row { name: "rs-fgsm", paper: "Wong et al. 2020", recipe: rs_fgsm },
    Row { name: "n-fgsm", paper: "de Jorge et al. 2022", recipe: n_fgsm },
    Row { name: "gradalign", paper: "Andriushchenko and Flammarion 2020", recipe: gradalign },
    Row { name: "free", paper: "Shafahi et al. 2019, m = 8; epochs and schedule are ours", recipe: free },
    Row { name: "fw-at-adapt", paper: "Tsiligkaridis and Roberts 2022", recipe: fw_at_adapt },
    Row {
        name: "dynamic-fosc",
        paper: "Wang et al. 2019; its batch-norm convention is not published, here eval",
        recipe: dynamic_fosc,
    },
    Row { name: "at-awp", paper: "Wu et al. 2020, PGD-AT", recipe: at_awp },
    Row { name: "trades-awp", paper: "Wu et al. 2020, TRADES", recipe: trades_awp },
    Row { name: "dial", paper: "Levi et al. 2021, DIAL-KL, CIFAR-10; its ramp moves with steps here", recipe: dial },
    Row {
        name: "dial-ce",
        paper: "the same with cross-entropies, DIAL-CE; weights as for dial, as no others are published",
        recipe: dial_ce,
    },
    Row {
        name: "cutmix-ema",
        paper: "Rebuffi et al. 2021 without extra data; its attack climbs by Adam, here by signs",
        recipe: cutmix_ema,
    },
    Row {
        name: "pyramid-at",
        paper: "Herrmann et al. 2022, ViT-B; patches are ours, for images of 32 pixels, and RandAugment is left out",
        recipe: pyramid_at,
    },
    Row {
        name: "advprop",
        paper: "Xie et al. 2020, for networks with norm=multi-batch:2; the schedule is ours",
        recipe: advprop,
    },
    Row {
        name: "multi-bn",
        paper: "Lo and Patel 2020, for networks with norm=multi-batch:3; sizes for 32 pixels, schedule and the training \
                of the selection are ours",
        recipe: multi_bn,
    },
    Row { name: "vit-light", paper: "Debenedetti et al. 2023; crops and flips are the data's", recipe: vit_light },
    Row {
        name: "arnas",
        paper: "the released retraining of ARNAS (arXiv 2405.05502), without its auxiliary head",
        recipe: arnas,
    },
    Row { name: "robust-resnet", paper: "Huang et al. 2023, baseline training", recipe: robust_resnet },
];

/// The recipe of a word: a row's, or `pgd-STEPS`, which is `pgd-at-eval` with as many steps.
///
/// # Errors
/// The known words, with the nearest one first.
pub fn preset(word: &str) -> Result<Recipe, String> {
    if let Some(row) = PRESETS.iter().find(|row| row.name == word) {
        return Ok((row.recipe)());
    }
    let steps = word.strip_prefix("pgd-").and_then(|n| n.parse().ok()).filter(|n: &u32| *n > 0);
    if let Some(steps) = steps {
        let attack = Ascent { steps, ..ascent(Statistics::Eval) };
        return Ok(Recipe { name: word.to_owned(), adversary: Adversary::Pgd(attack), ..pgd_at(Statistics::Eval) });
    }
    let hint = nearest(word, PRESETS.iter().map(|row| row.name).chain(["pgd-10"]));
    let hint = hint.map(|word| format!("did you mean `{word}`? ")).unwrap_or_default();
    Err(format!("unknown method `{word}`; {hint}known: {}", words()))
}

/// The words of all presets, for messages.
pub fn words() -> String {
    let names: Vec<&str> = PRESETS.iter().map(|row| row.name).collect();
    format!("{}, pgd-STEPS (such as pgd-10)", names.join(", "))
}

/// A recipe by a word, as an argument of the command line.
#[derive(Clone, Debug, PartialEq)]
pub struct Preset {
    /// The word on the command line and in results.
    pub word: String,
    /// The recipe.
    pub recipe: Recipe,
}

impl FromStr for Preset {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(Preset { word: text.to_owned(), recipe: preset(text)? })
    }
}

fn sgd(weight_decay: f64) -> Momentum {
    Momentum { momentum: 0.9, nesterov: false, weight_decay, decayed: Decayed::All }
}

fn piecewise(lr: f64, milestones: &[f64]) -> Schedule {
    let shape = Shape::Piecewise { milestones: milestones.to_vec(), factor: 0.1 };
    Schedule { lr, warmup: 0.0, per_step: false, shape }
}

/// Up and down to the middle and from it, step by step.
fn triangular(lr: f64) -> Schedule {
    Schedule { lr, warmup: 0.0, per_step: true, shape: Shape::Triangular { peak: 0.5 } }
}

fn ascent(statistics: Statistics) -> Ascent {
    let (norm, loss, start) = (Norm::Linf, Loss::Ce, Start::Ball);
    Ascent { norm, eps: EPS, step: STEP, steps: 10, loss, start, statistics }
}

/// The ascent of TRADES and MART.
fn from_noise(loss: Loss, eps: Fraction, step: Fraction) -> Adversary {
    Adversary::Pgd(Ascent { eps, step, loss, start: Start::Noise, ..ascent(Statistics::Eval) })
}

/// The radius and the step of the codes of TRADES and MART.
const POINT_031: Fraction = Fraction::new(31, 1000);
const POINT_007: Fraction = Fraction::new(7, 1000);

fn standard() -> Recipe {
    Recipe {
        name: "standard".into(),
        epochs: 200,
        batch: 128,
        clip: None,
        branch: 0,
        adversary: Adversary::None,
        objective: Objective::CLEAN,
        optimiser: Optimiser::Sgd(sgd(5e-4)),
        schedule: piecewise(0.1, &[0.5, 0.75]),
        ramp: None,
        awp: None,
        domain: None,
        selection: None,
        average: None,
        augment: Augment::NONE,
    }
}

fn pgd_at(statistics: Statistics) -> Recipe {
    let adversary = Adversary::Pgd(ascent(statistics));
    Recipe { name: "pgd-at".into(), adversary, objective: Objective::ATTACKED, ..standard() }
}

fn trades() -> Recipe {
    Recipe {
        name: "trades".into(),
        epochs: 76,
        adversary: from_noise(Loss::Kl, POINT_031, POINT_007),
        objective: Objective { divergence: 6.0, ..Objective::CLEAN },
        optimiser: Optimiser::Sgd(sgd(2e-4)),
        schedule: piecewise(0.1, &[75.0 / 76.0]),
        ..standard()
    }
}

fn trades_8_255() -> Recipe {
    Recipe { name: "trades-8-255".into(), adversary: from_noise(Loss::Kl, EPS, STEP), ..trades() }
}

fn mart() -> Recipe {
    Recipe {
        name: "mart".into(),
        epochs: 120,
        adversary: from_noise(Loss::Ce, POINT_031, POINT_007),
        objective: Objective { boosted: 1.0, weighted_divergence: 5.0, ..Objective::NOTHING },
        optimiser: Optimiser::Sgd(sgd(3.5e-3)),
        schedule: piecewise(0.01, &[0.625, 0.75, 100.0 / 120.0]),
        ..standard()
    }
}

fn single(name: &str, epochs: u32, lr: f64, attack: SingleStep) -> Recipe {
    let (adversary, schedule) = (Adversary::SingleStep(attack), triangular(lr));
    Recipe { name: name.into(), epochs, adversary, objective: Objective::ATTACKED, schedule, ..standard() }
}

const FGSM: SingleStep = SingleStep {
    eps: EPS,
    noise: Fraction::ZERO,
    step: Fraction::new(1, 1),
    project: true,
    clip_start: true,
    statistics: Statistics::Train,
};

fn fgsm() -> Recipe {
    single("fgsm", 30, 0.3, FGSM)
}

fn rs_fgsm() -> Recipe {
    single("rs-fgsm", 15, 0.2, SingleStep { noise: Fraction::new(1, 1), step: Fraction::new(5, 4), ..FGSM })
}

fn n_fgsm() -> Recipe {
    single("n-fgsm", 30, 0.2, SingleStep { noise: Fraction::new(2, 1), project: false, ..FGSM })
}

fn gradalign() -> Recipe {
    let recipe = single("gradalign", 30, 0.3, SingleStep { step: Fraction::new(5, 4), ..FGSM });
    let alignment = alignment_weight(EPS.value());
    Recipe { objective: Objective { alignment, ..Objective::ATTACKED }, ..recipe }
}

fn free() -> Recipe {
    Recipe {
        name: "free".into(),
        epochs: 25,
        adversary: Adversary::Free(Free { eps: EPS, step: EPS, replays: 8 }),
        objective: Objective::ATTACKED,
        optimiser: Optimiser::Sgd(sgd(2e-4)),
        ..standard()
    }
}

fn fw_at_adapt() -> Recipe {
    let statistics = Statistics::Eval;
    let attack = FrankWolfe { eps: EPS, steps: 2, monitor: 1000, ratio: 0.9, most: 15, clip: false, statistics };
    Recipe {
        name: "fw-at-adapt".into(),
        epochs: 30,
        batch: 512,
        adversary: Adversary::FrankWolfe(attack),
        objective: Objective::ATTACKED,
        optimiser: Optimiser::Sgd(Momentum { nesterov: true, ..sgd(5e-4) }),
        schedule: piecewise(0.1, &[0.5]),
        ..standard()
    }
}

fn dynamic_fosc() -> Recipe {
    let attack = Fosc {
        eps: POINT_031,
        step: Fraction::new(31, 4000),
        steps: 10,
        c_max: 0.5,
        until: 100.0 / 120.0,
        from_start: false,
        statistics: Statistics::Eval,
    };
    Recipe {
        name: "dynamic-fosc".into(),
        epochs: 120,
        adversary: Adversary::Fosc(attack),
        objective: Objective::ATTACKED,
        optimiser: Optimiser::Sgd(sgd(1e-4)),
        schedule: piecewise(0.01, &[0.5, 100.0 / 120.0]),
        ..standard()
    }
}

fn at_awp() -> Recipe {
    Recipe { name: "at-awp".into(), awp: Some(Awp { gamma: 0.01, from: 0 }), ..pgd_at(Statistics::Train) }
}

fn trades_awp() -> Recipe {
    Recipe {
        name: "trades-awp".into(),
        adversary: from_noise(Loss::Kl, EPS, STEP),
        objective: Objective { divergence: 6.0, ..Objective::CLEAN },
        awp: Some(Awp { gamma: 0.005, from: 10 }),
        ..standard()
    }
}

fn dial() -> Recipe {
    Recipe {
        name: "dial".into(),
        epochs: 100,
        adversary: from_noise(Loss::Kl, POINT_031, POINT_007),
        objective: Objective { divergence: 8.0, ..Objective::CLEAN },
        optimiser: Optimiser::Sgd(sgd(7e-4)),
        schedule: piecewise(0.1, &[0.75, 0.9]),
        domain: Some(Domain { weight: 6.0, hidden: vec![100] }),
        ..standard()
    }
}

fn dial_ce() -> Recipe {
    Recipe {
        name: "dial-ce".into(),
        adversary: from_noise(Loss::Ce, POINT_031, POINT_007),
        objective: Objective { attacked: 8.0, ..Objective::CLEAN },
        ..dial()
    }
}

fn cutmix_ema() -> Recipe {
    let nesterov = Momentum { nesterov: true, decayed: Decayed::Kernels, ..sgd(5e-4) };
    let statistics = AveragedStatistics::Copy;
    Recipe {
        name: "cutmix-ema".into(),
        epochs: 400,
        batch: 1024,
        // The attack's target is the mixed label.
        adversary: Adversary::Pgd(ascent(Statistics::Batch)),
        objective: Objective { divergence: 6.0, ..Objective::CLEAN },
        optimiser: Optimiser::Sgd(nesterov),
        schedule: Schedule { warmup: 10.0, per_step: true, ..piecewise(0.4, &[2.0 / 3.0]) },
        average: Some(Average::Ema { decay: 0.995, warmup: true, from: 0, statistics }),
        augment: Augment { cutmix: 1.0, share: 1.0, ..Augment::NONE },
        ..standard()
    }
}

fn vit_light() -> Recipe {
    let (eps, step) = (Fraction::of_255(4), Fraction::of_255(6));
    let decayed = Decayed::Kernels;
    Recipe {
        name: "vit-light".into(),
        epochs: 100,
        batch: 512,
        adversary: Adversary::Pgd(Ascent { eps, step, steps: 1, ..ascent(Statistics::Train) }),
        objective: Objective { smoothing: 0.1, ..Objective::ATTACKED },
        optimiser: Optimiser::Adamw(AdamW { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 0.5, decayed }),
        schedule: Schedule { lr: 5e-4, warmup: 10.0, per_step: false, shape: Shape::Cosine { lr_min: 1e-5 } },
        ramp: Some(Ramp { epochs: 10.0, from: 0.0 }),
        ..standard()
    }
}

fn robust_resnet() -> Recipe {
    Recipe {
        name: "robust-resnet".into(),
        epochs: 100,
        clip: Some(5.0),
        schedule: piecewise(0.1, &[0.75, 0.9]),
        ..trades_8_255()
    }
}

fn arnas() -> Recipe {
    let attack = Ascent { step: Fraction::new(1, 100), steps: 7, start: Start::Noise, ..ascent(Statistics::Eval) };
    Recipe {
        name: "arnas".into(),
        batch: 32,
        clip: Some(5.0),
        adversary: Adversary::Pgd(attack),
        objective: Objective::ATTACKED,
        optimiser: Optimiser::Sgd(sgd(1e-4)),
        schedule: piecewise(0.1, &[0.495, 0.745]),
        augment: Augment { cutout: 16, ..Augment::NONE },
        ..standard()
    }
}

fn pyramid_at() -> Recipe {
    // The published radius and step are those of pixels in [-1, 1].
    let attack = Pyramid {
        eps: Fraction::of_255(3),
        step: Fraction::new(1, 510),
        steps: 5,
        patches: vec![8, 4, 1],
        multipliers: vec![20.0, 10.0, 1.0],
        statistics: Statistics::Batch,
    };
    let decayed = Decayed::Kernels;
    Recipe {
        name: "pyramid-at".into(),
        epochs: 300,
        batch: 4096,
        clip: Some(1.0),
        adversary: Adversary::Pyramid(attack),
        objective: Objective { attacked: 1.0, ..Objective::CLEAN },
        optimiser: Optimiser::Adamw(AdamW { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 0.1, decayed }),
        // 10,000 steps of warm-up are 32 epochs of ImageNet.
        schedule: Schedule { lr: 1e-3, warmup: 32.0, per_step: true, shape: Shape::Cosine { lr_min: 0.0 } },
        augment: Augment { mixup: 0.5, share: 1.0, ..Augment::NONE },
        ..standard()
    }
}

fn advprop() -> Recipe {
    let (eps, step) = (Fraction::of_255(4), Fraction::of_255(1));
    Recipe {
        name: "advprop".into(),
        branch: 1,
        adversary: Adversary::Pgd(Ascent { eps, step, steps: 5, ..ascent(Statistics::Eval) }),
        // The mean over clean and attacked images.
        objective: Objective { clean: 0.5, attacked: 0.5, ..Objective::NOTHING },
        ..standard()
    }
}

fn multi_bn() -> Recipe {
    let (eps, step) = (Fraction::of_255(4), Fraction::of_255(1));
    // The published rectangle is 30 of 112 pixels wide and high.
    let occlusion = Rectangle { height: 9, width: 9, step: Fraction::new(1, 10), steps: 5 };
    let third = 1.0 / 3.0;
    Recipe {
        name: "multi-bn".into(),
        adversary: Adversary::Pgd(Ascent { eps, step, steps: 5, ..ascent(Statistics::Eval) }),
        // The mean over the three kinds.
        objective: Objective { clean: third, attacked: third, ..Objective::NOTHING },
        selection: Some(Selection { occlusion, occluded: third, used: 1.0, told: 1.0 }),
        ..standard()
    }
}
