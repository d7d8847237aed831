//! What a search will take, said before it begins: which budgets can be met, in about how much time and memory.

use std::fmt;

use candle_core::Device;

use super::candidates::{random_genotypes, scalings};
use super::memory::{Needs, shortage};
use super::strategy::supernet::{selection_bytes, selection_forwards};
use super::time::{median_ms, timed};
use crate::arch::cost::{Cost, cost};
use crate::arch::families::cells::{self, Skeleton, derived};
use crate::arch::genotype::Genotype;
use crate::arch::net::Net;
use crate::arch::scaling::{ScalingChoice, residual_control};
use crate::config::strategy::{Method, Pool, Trials};
use crate::config::{Config, Evaluate};
use crate::data::Dataset;
use crate::data::batch::Augment;
use crate::data::loader::Loader;
use crate::data::split::Splits;
use crate::engine::{Cpu, Fusion, Logits, Memory, Network, NormMode, ParamLayout, Wrt};
use crate::error::{Error, Result};
use crate::loss::cross_entropy;
use crate::recipe::Time;
use crate::search::evaluator::passes;
use crate::search::learner::Supernet;
use crate::seed::Seed;
use crate::threat::Attack;
use crate::train::fit::Learner;
use crate::train::trainee::Trainee;
use crate::units::Macs;

/// Genotypes of the space whose scalings stand for all others.
const SAMPLES: u32 = 8;
/// Of these, how many are timed at a budget: networks of one size take up to twice as long as others.
const MEASURED: usize = 3;
/// Images of the small steps that are timed first.
const TIMED: usize = 16;
/// Timed steps of a kind.
const STEPS: usize = 3;
/// Seconds that timing one kind of step may take.
const PATIENCE: f64 = 8.0;
/// Near misses of a budget that are printed.
const SHOWN: usize = 3;
/// Room for reports and the journal.
const SMALL_FILES: u64 = 64 << 20;

/// What is expected of one budget.
#[derive(Clone, Debug, PartialEq)]
pub struct BudgetPlan {
    /// The budget.
    pub budget: Macs,
    /// How many of the samples can be scaled to it.
    pub met: (u32, u32),
    /// The scalings of the first sample that can.
    pub choice: ScalingChoice,
    /// Networks that will be trained.
    pub networks: u32,
    /// Seconds a network; zero where its training does not fit into memory.
    pub seconds: f64,
    /// Bytes of memory a network.
    pub bytes: u64,
    /// Why its networks cannot be trained here, if they cannot; each of them is then a row that says so.
    pub shortage: Option<String>,
}

/// What is expected of the supernet.
#[derive(Clone, Debug, PartialEq)]
pub struct SupernetPlan {
    /// Multiply-accumulates and parameters.
    pub cost: Cost,
    /// Seconds of its search, and of what is asked of it then.
    pub seconds: f64,
    /// Bytes of memory.
    pub bytes: u64,
}

/// The whole plan.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The supernet, if the search has one.
    pub supernet: Option<SupernetPlan>,
    /// Full trainings that the trials of the search amount to, at each budget.
    pub trials: f64,
    /// The budgets.
    pub budgets: Vec<BudgetPlan>,
    /// Bytes of disk that the run may take.
    pub disk_bytes: u64,
}

fn supernet_skeleton(config: &Config, data: &Dataset) -> Result<Skeleton> {
    config.supernet_skeleton(data.image, data.classes.len())
}

/// A fresh supernet with everything that learns.
///
/// # Errors
/// [`Error::Net`] for fewer cells than stages or an image that is too small;
/// [`Error::Usage`] where no image is left for the architecture.
pub fn supernet<'a>(
    config: &Config,
    data: &'a Dataset,
    splits: &'a Splits,
    seed: Seed,
    device: &'a Device,
) -> Result<Supernet<'a>> {
    let layout = config.mix_layout();
    let net = cells::supernet(&supernet_skeleton(config, data)?, &layout)?;
    let network = Network::new(net, seed.child("supernet"), device)?;
    let arch = loader(config, data, &splits.arch, config.search.batch, seed.child("arch"), device);
    Supernet::new(network, layout, config.search, config.derive.edges_per_node, arch, seed)
}

/// Batches of training images.
pub fn loader<'a>(
    config: &Config,
    data: &'a Dataset,
    ids: &'a [u32],
    batch: usize,
    seed: Seed,
    device: &'a Device,
) -> Loader<'a> {
    let augment = Augment { crop_pad: config.split.crop_pad, flip: config.split.flip };
    Loader::new(&data.train, data.image, ids, batch, seed, device).augmented(augment)
}

impl Plan {
    /// Draws the plan: counts scalings, foretells the memory of every part, and times some small steps of the search and of the
    /// trainings of a few networks. `go_on` is asked between its parts.
    ///
    /// # Errors
    /// [`Error::Impossible`] where a budget is out of reach of every sample or the search does not fit into memory; that of
    /// `go_on`.
    pub fn draw(config: &Config, data: &Dataset, splits: &Splits, go_on: &dyn Fn() -> Result<()>) -> Result<Plan> {
        let device = Device::Cpu;
        let seed = Seed::root(config.seed).child("plan");
        let layout = config.mix_layout();
        let mut disk_bytes = SMALL_FILES;
        let whole = match config.search.strategy {
            Method::TwoStage => Some(cells::supernet(&supernet_skeleton(config, data)?, &layout)?),
            Method::Random
            | Method::Evolution
            | Method::Local
            | Method::Halving
            | Method::Predictor
            | Method::SinglePath => None,
        };
        let mut search_bytes = 0;
        if let Some(whole) = &whole {
            let mut search = Memory::of(whole, &Supernet::work_of(&config.search), Fusion::ALL, &Cpu::widest())?;
            search.images += selection_bytes(config, data, splits);
            if let Some(reason) = shortage(search, "the search") {
                let advice = "lower supernet.channels, supernet.layers, search.batch or derive.images, or raise \
                    supernet.partial";
                return Err(Error::Impossible(format!("{reason}; {advice}")));
            }
            search_bytes = search.total();
            disk_bytes += 24 * ParamLayout::new(whole).len() as u64;
        }
        let samples = random_genotypes(config, &layout, SAMPLES, Seed::root(config.seed));
        let mut met = Vec::new();
        for budget in &config.budgets {
            go_on()?;
            met.push(sample(config, data, &samples, *budget)?);
            if config.derive.hand_made {
                residual_control(*budget, data.image, data.classes.len())?;
            }
        }
        let mut budgets = Vec::new();
        for (budget, Met { count, choice, nets }) in config.budgets.iter().zip(met) {
            let kept = choice.kept.len() as u32;
            let networks = (config.derive.genotypes + config.derive.random) * kept + u32::from(config.derive.hand_made);
            // Weights of every network, and three checkpoints of weights and momentum while one is trained.
            let numbers = nets.iter().map(|net| ParamLayout::new(net).len() as u64).max().unwrap_or(0);
            disk_bytes += 4 * numbers * (u64::from(networks) + 6);
            let (mut bytes, mut short, mut times) = (0, None, Vec::new());
            for net in nets {
                go_on()?;
                let needs = Needs::of(&net, &config.retrain, &config.evaluate)?;
                bytes = bytes.max(needs.most());
                match needs.shortage() {
                    Some(reason) => short = Some(reason),
                    None => {
                        let mut trainee = Trainee::timed(Network::new(net, seed, &device)?, &config.retrain)?;
                        times.push(training_seconds(config, data, splits, &mut trainee, &device)?);
                    }
                }
            }
            let seconds = times.iter().sum::<f64>() / times.len().max(1) as f64;
            let (budget, met, shortage) = (*budget, (count, samples.len() as u32), short);
            budgets.push(BudgetPlan { budget, met, choice, networks, seconds, bytes, shortage });
        }
        go_on()?;
        let supernet = match whole {
            Some(whole) => {
                let (trained, forward) = search_seconds(config, data, splits, seed, &device)?;
                let seconds = trained + forward * (selection_passes(config) + pool_passes(config));
                Some(SupernetPlan { cost: cost(&whole), seconds, bytes: search_bytes })
            }
            None => None,
        };
        Ok(Plan { supernet, trials: trials(config), budgets, disk_bytes })
    }

    /// Seconds in all.
    pub fn seconds(&self) -> f64 {
        let search = self.supernet.as_ref().map_or(0.0, |supernet| supernet.seconds);
        search + self.budgets.iter().map(|b| b.seconds * (f64::from(b.networks) + self.trials)).sum::<f64>()
    }
}

/// What samples of the space are at a budget.
struct Met {
    /// How many can be scaled to it.
    count: u32,
    /// The scalings of the first that can.
    choice: ScalingChoice,
    /// The networks that are timed, of the first ones that can.
    nets: Vec<Net>,
}

/// Scales samples to a budget.
fn sample(config: &Config, data: &Dataset, samples: &[Genotype], budget: Macs) -> Result<Met> {
    let (mut first, mut nets) = (None, Vec::new());
    let mut count = 0;
    let mut why = None;
    for genotype in samples {
        match scalings(config, data.seen(), genotype, budget) {
            Ok(choice) => {
                count += 1;
                if let Some(scaled) = choice.kept.first().filter(|_| nets.len() < MEASURED) {
                    let (image, classes) = data.seen();
                    let skeleton = config.scaled_skeleton(image, classes, &scaled.cells, &scaled.channels);
                    nets.push(derived(&skeleton, genotype)?);
                }
                first.get_or_insert(choice);
            }
            Err(Error::Impossible(reason)) => why = Some(reason),
            Err(other) => return Err(other),
        }
    }
    match first {
        Some(choice) => Ok(Met { count, choice, nets }),
        None => Err(Error::Impossible(why.unwrap_or_else(|| format!("no network of {budget}: the space is empty")))),
    }
}

/// Seconds an image of a step of a learner at a moment: the median of a few steps behind one that is not timed.
///
/// A step is timed in the batches that it will have, since a plan's time is not proportional to them; in small ones where
/// that would take long, as a small step then tells.
pub(super) fn seconds_an_image<L: Learner>(learner: &mut L, loader: &Loader<'_>, at: Time) -> Result<f64> {
    let mut timed = |batch: usize| {
        let loader = Loader { batch: batch.min(loader.ids.len()), ..*loader };
        let images = loader.batch(&loader.order(0), 0, 0)?;
        let ms = median_ms(STEPS, || learner.step(&images, at).map(drop))?;
        Ok::<f64, Error>(1e-3 * ms / images.labels.len() as f64)
    };
    let small = timed(loader.batch.min(TIMED))?;
    let whole = small * loader.batch as f64 * (STEPS + 1) as f64;
    if loader.batch > TIMED && whole < PATIENCE { timed(loader.batch) } else { Ok(small) }
}

fn training_seconds(
    config: &Config,
    data: &Dataset,
    splits: &Splits,
    trainee: &mut Trainee,
    device: &Device,
) -> Result<f64> {
    let ids = splits.retrain();
    let batches = loader(config, data, &ids, config.retrain.batch, Seed::root(0), device);
    let step = seconds_an_image(trainee, &batches, Time::FIRST)?;
    let training = step * (batches.steps() * batches.batch) as f64 * f64::from(config.retrain.epochs);
    // Two thirds of the images are taken to be right and attacked.
    let Evaluate { gradient_samples, attacks, batch, .. } = &config.evaluate;
    let few = loader(config, data, &ids, (*batch).min(4 * TIMED), Seed::root(0), device);
    let images = few.batch(&few.order(0), 0, 0)?;
    let network = trainee.network();
    let forward = 1e-3 * median_ms(STEPS, || network.logits(&images.images, &[], NormMode::Eval).map(drop))?;
    let gradient = 1e-3
        * median_ms(STEPS, || {
            let loss = |logits: &Logits| cross_entropy(logits, &images.labels);
            network.gradients(&images.images, &[], NormMode::Eval, Wrt::INPUT, &loss).map(drop)
        })?;
    let of = |a: &Attack| match a.steps() {
        0 => a.passes() * forward,
        _ => f64::from(*gradient_samples) * a.passes() / 2.0 * gradient,
    };
    let attacked = 2.0 / 3.0 * attacks.iter().map(of).sum::<f64>();
    let measured = (splits.validation.len() + splits.test.len()) as f64;
    Ok(training + (forward + attacked) / images.labels.len() as f64 * measured)
}

/// Full trainings that the trials at a budget amount to.
fn trials(config: &Config) -> f64 {
    config.search.trials.map_or(0.0, |trials| match config.search.strategy {
        Method::TwoStage => trials.halving.trainings(),
        Method::Random
        | Method::Evolution
        | Method::Local
        | Method::Halving
        | Method::Predictor
        | Method::SinglePath => trials.spend,
    })
}

/// Forward passes of an image through the supernet that the scores of its pool take.
fn pool_passes(config: &Config) -> f64 {
    config.search.trials.map_or(0.0, |Trials { pool: Pool { networks, images, .. }, objective, .. }| {
        (networks * images) as f64 * passes(&objective)
    })
}

/// Forward passes of an image through the supernet that selecting a genotype from it takes.
pub(super) fn selection_passes(config: &Config) -> f64 {
    config.derive.images as f64 * selection_forwards(config)
}

/// The epochs of the search by their stages, each with its own kind of step, and the reports behind them; and the seconds of
/// an image's forward pass through the supernet.
pub(super) fn search_seconds(
    config: &Config,
    data: &Dataset,
    splits: &Splits,
    seed: Seed,
    device: &Device,
) -> Result<(f64, f64)> {
    let mut frozen = config.clone();
    (frozen.search.weights.lr, frozen.search.weights.lr_min) = (0.0, 0.0);
    let mut supernet = supernet(&frozen, data, splits, seed, device)?;
    let batch = config.search.batch;
    let batches = loader(&frozen, data, &splits.weights, batch, seed, device);
    let mut seconds = 0.0;
    for stage in 0..=2 {
        let own: Vec<u32> = (0..config.search.epochs).filter(|epoch| supernet.stage(*epoch) == stage).collect();
        if let Some(epoch) = own.first() {
            let at = Time { epoch: *epoch, step: 0, steps: batches.steps(), epochs: config.search.epochs };
            let step = seconds_an_image(&mut supernet, &batches, at)?;
            seconds += step * (batches.steps() * batch * own.len()) as f64;
        }
    }
    let probe = &splits.arch[..config.search.probe.min(splits.arch.len())];
    let few = loader(&frozen, data, &probe[..probe.len().min(TIMED)], batch, seed, device);
    if few.ids.is_empty() {
        return Ok((seconds, 0.0));
    }
    let images = few.batch(&few.order(0), 0, 0)?;
    let mix = supernet.mix();
    let network = supernet.network();
    let forward = median_ms(STEPS, || network.logits(&images.images, &mix, NormMode::TrainNoRecord).map(drop))?;
    let forward = 1e-3 * forward / images.labels.len() as f64;
    let (_, report) = timed(|| supernet.report(0, &few, seed))?;
    Ok((seconds + report * probe.len() as f64 / few.ids.len() as f64 * f64::from(config.search.epochs), forward))
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mib = |bytes: u64| bytes >> 20;
        if let Some(SupernetPlan { cost: Cost { params, macs, rule, .. }, seconds, bytes }) = &self.supernet {
            let (time, mib) = (super::duration_words(*seconds), mib(*bytes));
            writeln!(f, "supernet: {params} parameters, {macs} MACs ({rule}); search about {time} and {mib} MiB")?;
        }
        if self.trials > 0.0 {
            writeln!(f, "trials that choose: {:.2} full trainings at each budget", self.trials)?;
        }
        writeln!(
            f,
            "{:>10}  {:>11}  {:>8}  {:>12}  {:>9}  {:>9}  an example: cells, channels, depth share, MACs",
            "budget", "satisfiable", "networks", "time each", "memory", "left out"
        )?;
        for b in &self.budgets {
            let example =
                b.choice.kept.first().map_or(String::new(), |s| {
                    format!("{:?} {:?} {:.3} {}", s.cells, s.channels, s.depth_share, s.macs)
                });
            writeln!(
                f,
                "{:>10}  {:>11}  {:>8}  {:>12}  {:>9}  {:>9}  {example}",
                b.budget,
                format!("{} of {}", b.met.0, b.met.1),
                b.networks,
                super::duration_words(b.seconds),
                format!("{} MiB", mib(b.bytes)),
                b.choice.rejected_total,
            )?;
            if let Some(why) = &b.shortage {
                writeln!(f, "{:>10}  {why}: its networks will be rows without numbers; lower retrain.batch", "")?;
            }
            for r in b.choice.rejected.iter().take(SHOWN) {
                let macs = r.macs.map_or("-".into(), |m| m.to_string());
                writeln!(f, "{:>10}  left out: {:?} {:?} {macs}: {}", "", r.cells, r.channels, r.reason)?;
            }
        }
        write!(f, "about {} in all, {} MiB of disk", super::duration_words(self.seconds()), mib(self.disk_bytes))
    }
}
