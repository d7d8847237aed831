//! Weights that networks share: a step changes the slices of its network alone, training goes on from its state with the same
//! bytes, and a network that is alone is trained as any other.

use candle_core::Device;
use robustnas::arch::families::cells::{Skeleton, derived};
use robustnas::arch::genotype::Genotype;
use robustnas::config::{Config, Setting};
use robustnas::data::loader::Loader;
use robustnas::data::{Dataset, Source};
use robustnas::engine::Network;
use robustnas::error::Result;
use robustnas::recipe::{Recipe, Time, preset};
use robustnas::search::shared::{SinglePath, SizedNet, path};
use robustnas::seed::Seed;
use robustnas::train::fit::Learner;
use robustnas::train::trainee::Trainee;

const TINY: &str = include_str!("../search_spaces/dsara-tiny.toml");

struct Bench {
    config: Config,
    data: Dataset,
    ids: Vec<u32>,
}

impl Bench {
    fn new(images: u32) -> Self {
        Bench::with(images, &[])
    }

    fn with(images: u32, settings: &[Setting]) -> Self {
        let config = Config::from_toml(TINY, std::path::Path::new("tiny.toml"), settings).unwrap();
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

fn steps<L: Learner>(learner: &mut L, loader: &Loader<'_>, epochs: u32, range: std::ops::Range<usize>) -> Vec<f64> {
    let steps = loader.steps();
    let step = |at: usize| {
        let (epoch, step) = (at / steps, at % steps);
        let batch = loader.batch(&loader.order(epoch as u64), epoch as u64, step).unwrap();
        learner.step(&batch, Time { epoch: epoch as u32, step, steps, epochs }).unwrap()
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

/// Where there is but one network, to share its weights is to train it, to the bit.
#[test]
fn sharing_with_nobody_is_training() {
    let kinds = ["accurate", "reduce", "robust"];
    let ops = kinds.map(|kind| Setting::new(&format!("cells.{kind}.ops"), "[\"sep_conv_3x3\"]"));
    let edges = kinds.map(|kind| Setting::new(&format!("cells.{kind}.edges.0->3"), "[]"));
    let bench = Bench::with(64, &[ops, edges].concat());
    let size = |genotype: &Genotype| bench.size(genotype);
    let (recipe, loader) = (recipe("n-fgsm", 2), bench.loader(16));
    let mut shared = bench.shared(&size, &recipe);
    let only = path(&bench.config.mix_layout(), 2, 0, 0, Seed::root(1).child("paths"));
    let mut trainee = Trainee::new(shared.inherit(&only).unwrap().0, recipe, Seed::root(1)).unwrap();
    let losses = steps(&mut shared, &loader, 2, 0..6);
    assert_eq!(losses, steps(&mut trainee, &loader, 2, 0..6));
    let numbers = |network: &Network| network.weights().unwrap().to_vec1::<f32>().unwrap();
    assert!(numbers(&shared.inherit(&only).unwrap().0) == numbers(trainee.network()));
}
