//! Images as lanes: a network gives the same logits, image gradients and running statistics, to the bit, whether its planes hold
//! single images or packs of them; what is added up over images comes in another order and differs by rounding alone.

use candle_core::{DType, Device, Tensor};
use robustnas::arch::families::cells::{MixLayout, Placement, Skeleton, supernet};
use robustnas::arch::net::Net;
use robustnas::arch::op::{Op, Shape};
use robustnas::engine::{Cpu, Fusion, Isa, Logits, LossGradient, Network, NormMode, Packing, Wrt};
use robustnas::seed::Seed;

#[path = "fixtures/cells.rs"]
mod cells;
#[path = "fixtures/families.rs"]
mod families;

const CLASSES: usize = 3;
const ALL: Wrt = Wrt { input: true, params: true, mix: true };
/// Packs differ in how convolutions are made where tiles are allowed.
const FUSION: Fusion = Fusion { winograd: false, ..Fusion::ALL };

fn loss(logits: &Logits) -> LossGradient {
    let weight = |i: usize| 0.3 + 0.1 * (i % logits.classes) as f64;
    let value = logits.values.iter().enumerate().map(|(i, z)| weight(i) * z.sin()).sum();
    let dlogits = logits.values.iter().enumerate().map(|(i, z)| weight(i) * z.cos()).collect();
    LossGradient { value, dlogits }
}

fn numbers(t: &Tensor) -> Vec<f32> {
    t.flatten_all().unwrap().to_vec1().unwrap()
}

/// What a pass gives: to the bit, and added up over images.
#[derive(Debug, PartialEq)]
struct Found {
    exact: [Vec<u64>; 3],
    sums: [Vec<f32>; 2],
}

fn run(net: &Net, cpu: Cpu, n: usize, norm: NormMode) -> Found {
    let mut network = Network::with(net.clone(), Seed::root(3), &Device::Cpu, DType::F32, FUSION).unwrap().run_by(cpu);
    let Shape { h, w, c } = net.input_shape();
    let mut stream = Seed::root(7).stream();
    let pixels: Vec<f32> = (0..n * h * w * c).map(|_| stream.uniform()).collect();
    let x = Tensor::from_vec(pixels, (n, h, w, c), &Device::Cpu).unwrap();
    let mix: Vec<f64> = (0..net.mix_len()).map(|i| 0.1 + 0.02 * (i % 9) as f64).collect();
    let found = network.gradients(&x, &mix, norm, ALL, &loss).unwrap();
    let bits = |v: Vec<f32>| v.into_iter().map(|v| u64::from(v.to_bits())).collect();
    Found {
        exact: [
            found.logits.values.iter().map(|v| v.to_bits()).collect(),
            bits(numbers(found.input.as_ref().unwrap())),
            bits(numbers(network.state())),
        ],
        sums: [
            numbers(found.params.as_ref().unwrap()),
            found.mix.unwrap_or_default().into_iter().map(|v| v as f32).collect(),
        ],
    }
}

/// Holds packs to single images on every vector width that has packs; returns how many comparisons there were.
fn hold(name: &str, net: &Net, batches: &[usize]) -> usize {
    let mut held = 0;
    for isa in Isa::available().into_iter().filter(|isa| isa.lanes() >= 8) {
        for norm in [NormMode::Train, NormMode::Eval] {
            for n in batches {
                let [single, packed] =
                    [Packing::Never, Packing::Always].map(|p| run(net, Cpu::on(isa).packing(p), *n, norm));
                let tag = format!("{name} on {isa}, {norm:?}, batch {n}");
                assert!(single.exact[0] == packed.exact[0], "{tag}: logits");
                assert!(single.exact[1] == packed.exact[1], "{tag}: image gradients");
                assert!(single.exact[2] == packed.exact[2], "{tag}: running statistics");
                for (part, (a, b)) in ["weights", "mixing"].iter().zip(single.sums.iter().zip(&packed.sums)) {
                    let largest = a.iter().fold(0f32, |m, v| m.max(v.abs()));
                    let off = a.iter().zip(b).fold(0f32, |m, (a, b)| m.max((a - b).abs()));
                    assert!(off <= 2e-5 * largest, "{tag}: {part} off by {off:.1e} of {largest:.1e}");
                }
                held += 1;
            }
        }
    }
    held
}

/// How many comparisons a machine of these instructions makes a network and batch.
fn widths() -> usize {
    2 * Isa::available().iter().filter(|isa| isa.lanes() >= 8).count()
}

#[test]
fn families() {
    let (mut held, mut nets) = (0, 0);
    for form in families::deep() {
        let [small, large] = [8, 32].map(|side| Shape::new(side, side, 3));
        let net = families::load(&form, small, CLASSES).or_else(|_| families::load(&form, large, CLASSES)).unwrap();
        // A last pack that is not full, and one that is.
        held += hold(&form, &net, &[21]);
        nets += 1;
    }
    assert_eq!((nets, held), (43, 43 * widths()));
}

#[test]
fn supernet_of_every_operation() {
    let skeleton = Skeleton {
        image: Shape::new(12, 12, 3),
        classes: CLASSES,
        normalize: None,
        stem: 4,
        stem_kind: Default::default(),
        cells: Placement::dsara().row(2, 5).unwrap(),
    };
    let layout = cells::layout(&cells::DSARA_KINDS, 4, &cells::DARTS_OPS);
    let net = supernet(&skeleton, &MixLayout { partial: 1, ..layout }).unwrap();
    // Less than half a pack is no pack.
    assert_eq!(hold("supernet", &net, &[3, 16, 37]), 3 * widths());
}

/// What is dropped at random is drawn image by image, so such networks are run on single images; asking for packs changes
/// nothing.
#[test]
fn networks_that_drop_take_single_images() {
    let mut net = Net::new();
    let image = net.add("image", Op::Input { shape: Shape::new(6, 6, 3) }, &[]).unwrap();
    let dropped = net.add("drop", Op::Dropout { rate: 0.5 }, &[image]).unwrap();
    let pool = net.add("pool", Op::GlobalAvgPool, &[dropped]).unwrap();
    net.add("fc", Op::Linear { out: CLASSES, bias: true }, &[pool]).unwrap();
    let found = [Packing::Never, Packing::Always].map(|p| {
        let mut network = Network::new(net.clone(), Seed::root(3), &Device::Cpu).unwrap();
        network = network.run_by(Cpu::widest().packing(p));
        let x = Tensor::ones((20, 6, 6, 3), DType::F32, &Device::Cpu).unwrap();
        let mode = robustnas::engine::Mode { norm: NormMode::Train, branch: 0, drop: Some(Seed::root(1)) };
        let found = network.gradients(&x, &[], mode, ALL, &loss).unwrap();
        (found.logits.values, numbers(found.params.as_ref().unwrap()))
    });
    assert!(found[0] == found[1]);
    let rows: Vec<&[f64]> = found[0].0.chunks_exact(CLASSES).collect();
    assert!(rows.iter().any(|row| *row != rows[0]), "nothing was dropped");
}

#[test]
fn packs_give_the_same_bytes_on_any_number_of_threads() {
    let net =
        families::load("dsara:search_spaces/genotypes/ARNAS.txt,channels=4,layers=6", Shape::new(16, 16, 3), CLASSES);
    let net = net.unwrap();
    let [one, two] = [1, 2].map(|threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| run(&net, Cpu::widest().packing(Packing::Always), 50, NormMode::Train))
    });
    assert!(one == two);
}
