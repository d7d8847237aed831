//! Gradients at the size that networks are trained at, against slopes of the loss in double precision: of the image, the
//! weights and the mixing vector, under statistics of the batch and running ones, fused and plain. (The second order's
//! gradient of a whole supernet is held to its unrolled loss in `src/search/learner.rs`.)

use candle_core::{DType, Device, Tensor};
use robustnas::arch::families::cells::{Placement, Skeleton, supernet};
use robustnas::arch::net::Net;
use robustnas::arch::op::Shape;
use robustnas::engine::{Fusion, Logits, Mode, Network, NormMode, Wrt};
use robustnas::loss::cross_entropy;
use robustnas::seed::Seed;

#[path = "fixtures/cells.rs"]
mod cells;
#[path = "fixtures/families.rs"]
mod families;
#[path = "fixtures/slopes.rs"]
mod slopes;

use cells::{DARTS_OPS, DSARA_KINDS, layout};
use families::load;
use slopes::{agree, moved, noise};

const IMAGE: Shape = Shape::new(32, 32, 3);
const ALL: Wrt = Wrt { input: true, params: true, mix: true };
/// More than one image a lane, and a last lane that is not full.
const BATCH: usize = 20;

fn tensor(x: &[f64]) -> Tensor {
    Tensor::from_slice(x, (BATCH, IMAGE.h, IMAGE.w, IMAGE.c), &Device::Cpu).unwrap()
}

fn flat(t: &Tensor) -> Vec<f64> {
    t.flatten_all().unwrap().to_vec1().unwrap()
}

fn check(name: &str, net: &Net) {
    let labels: Vec<u32> = (0..BATCH as u32).map(|i| i % 10).collect();
    let loss = |logits: &Logits| cross_entropy(logits, &labels);
    let mut stream = Seed::root(5).stream();
    let x: Vec<f64> = (0..BATCH * IMAGE.len()).map(|_| f64::from(stream.uniform())).collect();
    let mix: Vec<f64> = (0..net.mix_len()).map(|i| 0.1 + 0.02 * (i % 9) as f64).collect();
    for fusion in [Fusion::ALL, Fusion::NONE] {
        for norm in [NormMode::TrainNoRecord, NormMode::Eval] {
            let mode = Mode::from(norm);
            let mut network = Network::with(net.clone(), Seed::root(1), &Device::Cpu, DType::F64, fusion).unwrap();
            for _ in 0..20 {
                network.logits(&tensor(&x), &mix, NormMode::Train).unwrap();
            }
            let found = network.gradients(&tensor(&x), &mix, mode, ALL, &loss).unwrap();
            let tag = |what: &str| format!("{name} {norm:?} {fusion:?}: the {what}");
            let along = noise(x.len(), "image");
            agree(&tag("image"), &flat(&found.input.unwrap()), &along, &mut |h| {
                loss(&network.logits(&tensor(&moved(&x, &along, h)), &mix, mode).unwrap()).value
            });
            if !mix.is_empty() {
                let along = noise(mix.len(), "mix");
                agree(&tag("mixing vector"), &found.mix.unwrap(), &along, &mut |h| {
                    loss(&network.logits(&tensor(&x), &moved(&mix, &along, h), mode).unwrap()).value
                });
            }
            let weights = flat(&network.weights().unwrap());
            let along = noise(weights.len(), "weights");
            agree(&tag("weights"), &flat(&found.params.unwrap()), &along, &mut |h| {
                let moved = Tensor::from_vec(moved(&weights, &along, h), weights.len(), &Device::Cpu).unwrap();
                network.set_weights(&moved).unwrap();
                loss(&network.logits(&tensor(&x), &mix, mode).unwrap()).value
            });
        }
    }
}

#[test]
fn a_preact_resnet_18() {
    check("PreActResNet-18", &load("preact-resnet:18,width=8", IMAGE, 10).unwrap());
}

#[test]
fn the_arnas_network() {
    check("ARNAS", &load("dsara:search_spaces/genotypes/ARNAS.txt,channels=8,layers=8", IMAGE, 10).unwrap());
}

#[test]
fn a_supernet() {
    let skeleton = Skeleton {
        image: IMAGE,
        classes: 10,
        normalize: None,
        stem: 12,
        stem_kind: Default::default(),
        cells: Placement::dsara().row(4, 5).unwrap(),
    };
    check("supernet", &supernet(&skeleton, &layout(&DSARA_KINDS, 4, &DARTS_OPS[1..])).unwrap());
}
