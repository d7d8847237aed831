//! Weights that networks share: a step changes the slices of its network alone, training goes on from its state with the same
//! bytes, and networks learn by what others learned.

use candle_core::Device;
use robustnas::arch::families::cells::{Skeleton, derived};
use robustnas::arch::genotype::Genotype;
use robustnas::config::Config;
use robustnas::data::loader::Loader;
use robustnas::data::{Dataset, Source};
use robustnas::engine::NormMode;
use robustnas::error::Result;
use robustnas::recipe::{Recipe, Time, preset};
use robustnas::search::evaluator::score;
use robustnas::search::shared::{SinglePath, SizedNet, path};
use robustnas::seed::Seed;
use robustnas::threat::Attack;
use robustnas::train::fit::Learner;
use robustnas::units::Fraction;

const TINY: &str = include_str!("../search_spaces/dsara-tiny.toml");

struct Bench {
    config: Config,
    data: Dataset,
    ids: Vec<u32>,
}

impl Bench {
    fn new(images: u32) -> Self {
        let config = Config::from_toml(TINY, std::path::Path::new("tiny.toml"), &[]).unwrap();
        Bench { config, data: Source::Synthetic.load().unwrap(), ids: (0..images).collect() }
    }

    /// Two widths, by the first operation.
    fn skeleton(&self, genotype: &Genotype) -> Skeleton {
        let narrow = genotype.cells[0].nodes[0][0].op.has_weights();
        let channels = if narrow { [4, 6, 4] } else { [6, 8, 6] };
        self.config.scaled_skeleton(self.data.image, self.data.classes.len(), &[1, 1, 1], &channels)
    }

    fn size(&self, genotype: &Genotype) -> Result<SizedNet> {
        let skeleton = self.skeleton(genotype);
        Ok(SizedNet { net: derived(&skeleton, genotype)?, skeleton })
    }

    fn loader(&self, batch: usize) -> Loader<'_> {
        Loader::new(&self.data.train, self.data.image, &self.ids, batch, Seed::root(5), &Device::Cpu)
    }

    fn shared<'a>(&self, size: &'a dyn Fn(&Genotype) -> Result<SizedNet>, recipe: &Recipe) -> SinglePath<'a> {
        let largest = self.config.scaled_skeleton(self.data.image, self.data.classes.len(), &[1, 1, 1], &[6, 8, 6]);
        SinglePath::new(&[largest], self.config.mix_layout(), 2, recipe, size, Seed::root(1)).unwrap()
    }
}

fn recipe(word: &str, epochs: u32) -> Recipe {
    Recipe { epochs, batch: 16, ..preset(word).unwrap() }
}

fn steps(shared: &mut SinglePath<'_>, loader: &Loader<'_>, epochs: u32, range: std::ops::Range<usize>) -> Vec<f64> {
    let steps = loader.steps();
    let step = |at: usize| {
        let (epoch, step) = (at / steps, at % steps);
        let batch = loader.batch(&loader.order(epoch as u64), epoch as u64, step).unwrap();
        shared.step(&batch, Time { epoch: epoch as u32, step, steps, epochs }).unwrap()
    };
    range.map(step).collect()
}

/// What the network of the first step has of the store changes, and nothing else does.
#[test]
fn a_step_changes_its_own_slices() {
    let bench = Bench::new(32);
    let size = |genotype: &Genotype| bench.size(genotype);
    let mut shared = bench.shared(&size, &recipe("standard", 2));
    let before = shared.weights().to_vec();
    let first = path(&bench.config.mix_layout(), 2, 0, 0, Seed::root(1).child("paths"));
    let (_, places) = shared.inherit(&first).unwrap();
    steps(&mut shared, &bench.loader(16), 2, 0..1);
    let mut own = vec![false; before.len()];
    places.iter().for_each(|place| own[*place as usize] = true);
    let changed: Vec<bool> = before.iter().zip(shared.weights()).map(|(a, b)| a != b).collect();
    assert!(changed.iter().zip(&own).all(|(changed, own)| !changed || *own), "others' weights changed");
    let moved = changed.iter().filter(|changed| **changed).count();
    assert!(moved * 10 > places.len() * 9 && places.len() < before.len(), "{moved} of {}", places.len());
}

/// With momentum, with two moments and a count, and with a perturbation of images that all networks share.
#[test]
fn training_goes_on_from_its_state() {
    let bench = Bench::new(64);
    let size = |genotype: &Genotype| bench.size(genotype);
    let loader = bench.loader(16);
    for word in ["n-fgsm", "vit-light", "free"] {
        let recipe = recipe(word, 20);
        let mut whole = bench.shared(&size, &recipe);
        steps(&mut whole, &loader, 20, 0..6);
        let mut half = bench.shared(&size, &recipe);
        steps(&mut half, &loader, 20, 0..3);
        let mut rest = bench.shared(&size, &recipe);
        rest.restore(half.state().unwrap()).unwrap();
        steps(&mut rest, &loader, 20, 3..6);
        assert!(whole.weights() == rest.weights(), "{word}");
        assert_eq!(whole.macs(), rest.macs());
    }
}

#[test]
fn networks_learn_from_each_other() {
    let bench = Bench::new(512);
    let size = |genotype: &Genotype| bench.size(genotype);
    let mut shared = bench.shared(&size, &recipe("standard", 6));
    let loader = bench.loader(32);
    let last = loader.steps() * 6;
    steps(&mut shared, &loader, 6, 0..last);
    // A network that was most likely never drawn, on images that nobody saw.
    let genotype = path(&bench.config.mix_layout(), 2, 1_000_003, 7, Seed::root(77));
    let held: Vec<u32> = (1000..1256).collect();
    let mut network = shared.inherit(&genotype).unwrap().0;
    let attack = Attack::Fgsm { eps: Fraction::of_255(2) };
    let found = score(&mut network, &loader.of(&held), &attack, NormMode::TrainNoRecord).unwrap();
    assert!(found.clean.rate() > 0.2, "{found:?}: chance is a tenth");
    assert!(found.attacked.hit <= found.clean.hit);
}
