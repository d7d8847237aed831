//! What a supernet of the two-stage search is asked when it is trained: which genotype it selects, which others it prefers,
//! and how each of them does in it.

use candle_core::Device;

use super::notes::Notes;
use crate::arch::cost::cost;
use crate::arch::genotype::Genotype;
use crate::config::{Config, Order, Select};
use crate::data::Dataset;
use crate::data::loader::Loader;
use crate::data::split::Splits;
use crate::error::Result;
use crate::jobs::{Interrupt, Observer, Progress, Task};
use crate::recipe::Kind;
use crate::search::derive::{argmax, sample};
use crate::search::evaluator::{Evaluator, Relaxed};
use crate::search::learner::Supernet;
use crate::search::select::{measurements, perturb};
use crate::search::space::Space;
use crate::search::space::cells::Cells;
use crate::search::trial::{Fidelity, Origin, Phase, Proposal, Trial};
use crate::seed::Seed;
use crate::threat::Attack;
use crate::units::Macs;

/// Draws that may repeat an earlier genotype before no more are looked for.
const DRAWS: u64 = 200;

/// The first images of the architecture half: no weights were trained on them.
pub fn held_out<'a>(config: &Config, data: &'a Dataset, splits: &'a Splits, images: usize) -> Loader<'a> {
    let ids = &splits.arch[..images.min(splits.arch.len())];
    Loader::new(&data.train, data.image, ids, config.search.batch, Seed::root(config.seed), &Device::Cpu)
}

/// Different genotypes that a supernet prefers, at most `n`: first the one that `derive.select` takes, judged on held-out
/// images, then draws from its distributions and changes of the first one in turn.
///
/// # Errors
/// [`crate::error::Error::Stopped`] after a signal; those of the search's attack.
pub fn preferred(
    supernet: &mut Supernet<'_>,
    config: &Config,
    held: &Loader<'_>,
    n: usize,
    seed: Seed,
    interrupt: &Interrupt,
) -> Result<Vec<Genotype>> {
    let selected = selected(supernet, config, held, seed, interrupt)?;
    Ok(around(supernet, config, selected, n, seed))
}

/// The genotype that `derive.select` takes from a supernet.
fn selected(
    supernet: &mut Supernet<'_>,
    config: &Config,
    held: &Loader<'_>,
    seed: Seed,
    interrupt: &Interrupt,
) -> Result<Genotype> {
    let (layout, mix, keep) = (supernet.layout().clone(), supernet.mix(), config.derive.edges_per_node);
    match config.derive.select {
        Select::Argmax => Ok(argmax(&layout, &mix, keep)),
        Select::Perturb => {
            let shown = supernet.shown(held, seed.child("select"))?;
            perturb(&layout, &mix, keep, &mut |mix| {
                interrupt.check()?;
                supernet.see(&shown, mix)
            })
        }
    }
}

/// The selected genotype, draws and changes.
fn around(supernet: &Supernet<'_>, config: &Config, selected: Genotype, n: usize, seed: Seed) -> Vec<Genotype> {
    let (layout, mix, keep) = (supernet.layout(), supernet.mix(), config.derive.edges_per_node);
    let space = Cells::new(layout.clone(), keep);
    let (draws, mut changes) = (seed.child("derive"), seed.child("changes").stream());
    let mut neighbours = space.neighbours(&selected);
    changes.shuffle(&mut neighbours);
    let mut neighbours = neighbours.into_iter();
    let mut keys = vec![space.key(&selected)];
    let mut list = vec![selected];
    for draw in 0..DRAWS {
        for next in [Some(sample(layout, &mix, keep, draws.index(draw))), neighbours.next()].into_iter().flatten() {
            let key = space.key(&next);
            if list.len() < n && !keys.contains(&key) {
                keys.push(key);
                list.push(next);
            }
        }
    }
    list.truncate(n);
    list
}

/// Scores genotypes in their supernet, from the first that is not in the journal.
///
/// # Errors
/// [`crate::error::Error::Stopped`] after a signal; that of the journal.
pub fn score(
    evaluator: &mut Relaxed<'_, '_>,
    list: &[Genotype],
    name: &str,
    notes: &mut dyn Notes,
    interrupt: &Interrupt,
    observer: &mut dyn Observer,
) -> Result<()> {
    let done = notes.trials(Phase::Score)?.trials().len();
    let task = Task::Trial { name: name.to_owned() };
    observer.on(Progress::TaskStarted { task: task.clone(), done: done as u64, steps: list.len() as u64 });
    for (number, arch) in list.iter().enumerate().skip(done) {
        interrupt.check()?;
        let proposal = Proposal { arch: arch.clone(), fidelity: Fidelity::FULL, origin: Origin::Drawn };
        let answer = evaluator.evaluate(number, &proposal)?;
        notes.keep(Phase::Score, &Trial { proposal, answer })?;
    }
    observer.on(Progress::TaskDone { task });
    Ok(())
}

/// What a supernet's training took, whose weights saw the images of a loader, and the selection on held-out ones behind it. The
/// accuracies that every epoch reports are not counted.
pub fn spent(supernet: &mut Supernet<'_>, config: &Config, weights: &Loader<'_>, held: &Loader<'_>) -> (Macs, Macs) {
    let images = weights.steps() * weights.batch.min(weights.ids.len());
    let passes: f64 = (0..config.search.epochs).map(|epoch| forwards(config, supernet.stage(epoch))).sum();
    let macs = cost(supernet.network().net()).macs.0 as f64;
    let of = |passes: f64| Macs((macs * passes).round() as u64);
    (of(images as f64 * passes), of(held.ids.len() as f64 * selection_forwards(config)))
}

/// Forward passes that selecting a genotype takes an image.
pub fn selection_forwards(config: &Config) -> f64 {
    match config.derive.select {
        Select::Argmax => 0.0,
        Select::Perturb => {
            let measured = measurements(&config.mix_layout(), config.derive.edges_per_node);
            attack_forwards(config) + 2.0 * measured as f64
        }
    }
}

/// Bytes of the images that selecting a genotype holds, as they are and attacked, while the supernet is in memory.
pub fn selection_bytes(config: &Config, data: &Dataset, splits: &Splits) -> u64 {
    match config.derive.select {
        Select::Argmax => 0,
        Select::Perturb => {
            let images = config.derive.images.min(splits.arch.len());
            (2 * images * data.image.len() * size_of::<f32>()) as u64
        }
    }
}

/// Forward passes that an image of an epoch's step costs: attack and weights; from stage one on the architecture's images
/// as well, attacked, with an objective a stage.
pub fn forwards(config: &Config, stage: u8) -> f64 {
    let weights = Kind::Weights.forwards();
    // The mixture's gradient needs those of the activations and no others, as the images' does.
    let mixture = Kind::Input.forwards();
    let attack = attack_forwards(config);
    let objectives = f64::from(stage);
    let moves = if stage > 0 { attack } else { 0.0 };
    let arch = match config.search.order {
        Order::First => objectives * mixture,
        // The inner gradient once; for each objective its own, and two of the mixture at moved weights.
        Order::Second if stage > 0 => weights + objectives * (weights + 2.0 * mixture),
        Order::Second => 0.0,
    };
    attack + weights + moves + arch
}

/// Forward passes that the search's attack takes an image.
fn attack_forwards(config: &Config) -> f64 {
    match config.search.single_step {
        Some(_) => Kind::Input.forwards(),
        // Without the pass that judges its result.
        None => Attack::Pgd(config.search.attack).passes() - 1.0,
    }
}
