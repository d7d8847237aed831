//! The engine learns: a small convolutional network passes 85 % on the embedded images, on which a linear classifier stays
//! below 50 % (`tests/data_synthetic.rs`).

use candle_core::Device;
use robustnas::arch::chain::Chain;
use robustnas::arch::elements::Elements;
use robustnas::arch::net::Net;
use robustnas::arch::op::{Op, Window};
use robustnas::data::Source;
use robustnas::data::loader::Loader;
use robustnas::engine::{Network, NormMode};
use robustnas::loss::correct;
use robustnas::recipe::{Recipe, Schedule, Shape, preset};
use robustnas::seed::Seed;
use robustnas::train::fit::{Position, fit};
use robustnas::train::trainee::Trainee;

#[test]
fn a_small_network_passes_85_percent() {
    let data = Source::Synthetic.load().unwrap();
    let mut net = Net::new();
    let image = net.add("image", Op::Input { shape: data.image }, &[]).unwrap();
    let mut chain = Chain::new(&mut net, "body", image, &Elements::default());
    for (i, (channels, stride)) in [(16, 2), (32, 1), (64, 2)].into_iter().enumerate() {
        chain = chain
            .conv(&format!("conv{i}"), channels, Window::same(3, stride, 1))
            .and_then(|c| c.norm(&format!("bn{i}")))
            .and_then(|c| c.relu(&format!("relu{i}")))
            .unwrap();
    }
    let chain = chain.push("pool", Op::GlobalAvgPool).unwrap();
    chain.push("fc", Op::Linear { out: data.classes.len(), bias: true }).unwrap();

    let schedule = Schedule { lr: 0.1, warmup: 0.0, per_step: false, shape: Shape::Cosine { lr_min: 0.0 } };
    let recipe = Recipe { epochs: 8, batch: 64, clip: Some(5.0), schedule, ..preset("standard").unwrap() };
    let device = Device::Cpu;
    let network = Network::new(net, Seed::root(0), &device).unwrap();
    let mut trainee = Trainee::new(network, recipe.clone(), Seed::root(0)).unwrap();
    let ids: Vec<u32> = (0..data.train.len() as u32).collect();
    let loader = Loader::new(&data.train, data.image, &ids, recipe.batch, Seed::root(1), &device);
    fit(&mut trainee, &loader, recipe.epochs, Position::default(), &mut |_, _, _| Ok(())).unwrap();

    let ids: Vec<u32> = (0..data.test.len() as u32).collect();
    let test = Loader { images: &data.test, ids: &ids, ..loader };
    let mut hits = 0;
    for batch in test.plain() {
        let batch = batch.unwrap();
        let logits = trainee.network().logits(&batch.images, &[], NormMode::Eval).unwrap();
        hits += correct(&logits, &batch.labels).filter(|hit| *hit).count();
    }
    let accuracy = hits as f64 / ids.len() as f64;
    assert!(accuracy > 0.85, "{:.1} % of the test images are right", 100.0 * accuracy);
}
