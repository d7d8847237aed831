//! The steps of a DSARA search, and the passes they are made of.

use std::path::Path;
use std::str::FromStr;

use candle_core::Device;
use serde::Serialize;

use super::{Line, Needs, noise};
use crate::arch::op::Shape;
use crate::config::{Config, Order, Supernet};
use crate::data::split::Splits;
use crate::engine::{NormMode, Work, Wrt};
use crate::error::{Result, nearest};
use crate::jobs::estimate::{loader, supernet};
use crate::jobs::resident;
use crate::recipe::Time;
use crate::search::learner::Supernet as Subject;
use crate::seed::Seed;
use crate::train::fit::Learner;

/// The space, part of the program so that it needs no checkout.
const SPACE: &str = include_str!("../../search_spaces/dsara.toml");
const IMAGE: Shape = Shape::new(32, 32, 3);
const CLASSES: usize = 10;

/// The cases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Case {
    /// The logits of a batch, batch statistics.
    Forward,
    /// The weights' gradient and an optimiser's step.
    WeightStep,
    /// The search's attack on a batch.
    Pgd,
    /// A step of stage two of the first order: two attacks, the architecture's step, the weights' step.
    FirstOrderStep,
    /// The same of the second order.
    SecondOrderStep,
}

impl Case {
    /// Every case, the cheaper ones first.
    pub const ALL: [Case; 5] =
        [Case::Forward, Case::WeightStep, Case::Pgd, Case::FirstOrderStep, Case::SecondOrderStep];

    /// The word on the command line and in results.
    pub fn word(self) -> &'static str {
        match self {
            Case::Forward => "forward",
            Case::WeightStep => "weight_step",
            Case::Pgd => "pgd",
            Case::FirstOrderStep => "first_order_step",
            Case::SecondOrderStep => "second_order_step",
        }
    }

    /// Its memory: that of a search step for whole steps, one pass and the momentum for parts of one.
    fn work(self, subject: &Subject<'_>, batch: usize) -> Work {
        let part = |wrt, vectors, images| Work { batch, passes: vec![(wrt, NormMode::TrainNoRecord)], vectors, images };
        match self {
            Case::Forward => part(Wrt::NOTHING, 1, 1),
            Case::WeightStep => part(Wrt::PARAMS, 2, 1),
            Case::Pgd => part(Wrt::INPUT, 1, 3),
            Case::FirstOrderStep | Case::SecondOrderStep => subject.work(),
        }
    }
}

impl FromStr for Case {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Case::ALL.into_iter().find(|case| case.word() == text).ok_or_else(|| {
            let hint = nearest(text, Case::ALL.map(Case::word)).map(|w| format!("did you mean `{w}`? "));
            let known = Case::ALL.map(Case::word).join(", ");
            format!("unknown case `{text}`; {}known: {known}", hint.unwrap_or_default())
        })
    }
}

/// The supernet's size and the attack's length.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Size {
    /// Channels of the first stage.
    pub channels: usize,
    /// Cells.
    pub layers: usize,
    /// Steps of the attack.
    pub pgd_steps: u32,
}

/// Times a case on the DSARA supernet of a size with its search's constants, `steps` times after a first time.
///
/// # Errors
/// [`crate::error::Error::Net`] for fewer cells than stages.
pub fn measure(case: Case, size: Size, batch: usize, steps: usize) -> Result<Line<Size>> {
    let mut config = Config::from_toml(SPACE, Path::new("search_spaces/dsara.toml"), &[])?;
    config.supernet = Supernet { channels: size.channels, layers: size.layers, partial: config.supernet.partial };
    config.search.batch = batch;
    config.search.attack.steps = size.pgd_steps;
    config.search.order = if case == Case::SecondOrderStep { Order::Second } else { Order::First };
    // The first step is one of stage two.
    (config.search.warmup_epochs, config.search.stage_one_epochs) = (0, 0);

    let before = resident();
    let (seed, device) = (Seed::root(config.seed).child("bench"), Device::Cpu);
    let data = noise(IMAGE, CLASSES, 2 * batch, seed);
    let (weights, arch) = (0..2 * batch as u32).partition(|i| (*i as usize) < batch);
    let splits = Splits { weights, arch, validation: Vec::new(), test: Vec::new() };
    let mut supernet = supernet(&config, &data, &splits, seed, &device)?;
    let loader = loader(&config, &data, &splits.weights, batch, seed, &device);
    let images = loader.batch(&loader.order(0), 0, 0)?;
    let work = case.work(&supernet, batch);
    let needs = Needs::of(supernet.network(), &work, before)?;
    let (mix, lr) = (supernet.mix(), config.search.weights.lr);
    Line::measure(case.word(), size, needs, steps, &mut || match case {
        Case::Forward => supernet.network().logits(&images.images, &mix, NormMode::TrainNoRecord).map(drop),
        Case::WeightStep => supernet.weight_step(&images.images, &images.labels, lr).map(drop),
        Case::Pgd => supernet.attack(&images, &mix).map(drop),
        Case::FirstOrderStep | Case::SecondOrderStep => supernet.step(&images, Time::FIRST).map(drop),
    })
}
