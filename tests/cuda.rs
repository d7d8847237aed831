//! The CUDA backend against the CPU's in double precision: operation by operation, then whole networks: logits, the gradients of
//! image, weights and mixing vector, and running statistics. It runs on a card, or on the CUDA machine in software
//! (`make test-cuda`), which checks every access; without either it fails.

use std::collections::BTreeSet;

use candle_core::{DType, Device, Tensor};
use robustnas::arch::families::cells::{MixLayout, Placement, Skeleton, supernet};
use robustnas::arch::families::preact::PreAct;
use robustnas::arch::net::{Net, NodeId};
use robustnas::arch::op::{Act, Op, Shape, Window};
use robustnas::engine::{Cuda, Fusion, Logits, LossGradient, Mode, Network, NormMode, Wrt};
use robustnas::error::Error;
use robustnas::seed::Seed;

#[path = "fixtures/cells.rs"]
mod cells;
#[path = "fixtures/families.rs"]
mod families;

const CLASSES: usize = 3;
const ALL: Wrt = Wrt { input: true, params: true, mix: true };
const MODES: [NormMode; 3] = [NormMode::Train, NormMode::TrainNoRecord, NormMode::Eval];

/// Largest difference of a vector's numbers, relative to its largest one: of an operation with a batch-norm of as few as three
/// numbers behind it, and of a network some tens of batch-norms deep.
const OF_OPERATION: f64 = 2e-5;
const OF_NETWORK: f64 = 1e-4;

/// Images of cell networks, which halve them twice.
const CELLS: Shape = Shape { h: 12, w: 8, c: 3 };

fn card() -> Device {
    Device::new_cuda(0).expect("a CUDA card; `make test-cuda` brings one in software")
}

/// A smooth loss that treats every logit differently.
fn loss(logits: &Logits) -> LossGradient {
    let weight = |i: usize| 0.3 + 0.1 * (i % 7) as f64;
    let value = logits.values.iter().enumerate().map(|(i, z)| weight(i) * (z + i as f64).sin()).sum();
    let dlogits = logits.values.iter().enumerate().map(|(i, z)| weight(i) * (z + i as f64).cos()).collect();
    LossGradient { value, dlogits }
}

fn numbers(t: &Tensor) -> Vec<f64> {
    t.flatten_all().unwrap().to_dtype(DType::F64).unwrap().to_vec1().unwrap()
}

/// What a pass gives.
#[derive(Debug, Default, PartialEq)]
struct Found {
    logits: Vec<f64>,
    input: Vec<f64>,
    params: Vec<f64>,
    mix: Vec<f64>,
    state: Vec<f64>,
}

impl Found {
    fn parts(&self) -> [(&'static str, &[f64]); 5] {
        let Found { logits, input, params, mix, state } = self;
        [("logits", logits), ("image", input), ("weights", params), ("mixing", mix), ("state", state)]
    }
}

/// A network with numbers that matter: fresh running statistics are 0 and 1, fresh scales 1 and shifts 0.
struct Subject {
    net: Net,
    n: usize,
    state: Vec<f32>,
    pixels: Vec<f32>,
    mix: Vec<f64>,
}

impl Subject {
    fn new(net: Net, n: usize) -> Subject {
        let network = Network::with(net.clone(), Seed::root(5), &Device::Cpu, DType::F32, Fusion::ALL).unwrap();
        let trainable = network.layout().trainable();
        let mut state: Vec<f32> = network.state().to_vec1().unwrap();
        let mut noise = Seed::root(6).stream();
        for (i, v) in state.iter_mut().enumerate() {
            *v = if i < trainable { *v + 0.1 * noise.normal() } else { 0.5 + noise.uniform() };
        }
        let mut stream = Seed::root(7).stream();
        let pixels = (0..n * net.input_shape().len()).map(|_| stream.normal()).collect();
        let mix = (0..net.mix_len()).map(|i| 0.2 + 0.05 * (i % 9) as f64).collect();
        Subject { net, n, state, pixels, mix }
    }

    fn network(&self, device: &Device, dtype: DType, fusion: Fusion) -> Network {
        let mut network = Network::with(self.net.clone(), Seed::root(5), device, dtype, fusion).unwrap();
        if let Device::Cuda(card) = device {
            network = network.run_by(Cuda::on(card).poisoned(true));
        }
        self.reset(&mut network);
        network
    }

    fn reset(&self, network: &mut Network) {
        let (device, dtype) = (network.state().device().clone(), network.state().dtype());
        let state = Tensor::from_slice(&self.state, self.state.len(), &device).unwrap();
        network.set_state(&state.to_dtype(dtype).unwrap()).unwrap();
    }

    fn run(&self, network: &mut Network, norm: NormMode, wrt: Wrt) -> robustnas::error::Result<Found> {
        let Shape { h, w, c } = self.net.input_shape();
        let (device, dtype) = (network.state().device().clone(), network.state().dtype());
        let x = Tensor::from_slice(&self.pixels, (self.n, h, w, c), &device).unwrap().to_dtype(dtype).unwrap();
        let mode = Mode { branch: self.net.branches() - 1, ..Mode::from(norm) };
        let found = network.gradients(&x, &self.mix, mode, wrt, &loss)?;
        Ok(Found {
            logits: found.logits.values,
            input: found.input.as_ref().map(numbers).unwrap_or_default(),
            params: found.params.as_ref().map(numbers).unwrap_or_default(),
            mix: found.mix.unwrap_or_default(),
            state: numbers(network.state()),
        })
    }

    /// Holds the card to the CPU in every mode, with and without fused calls; returns how many vectors were compared.
    fn hold(&self, name: &str, device: &Device, tolerance: f64) -> robustnas::error::Result<usize> {
        let mut held = 0;
        for fusion in [Fusion::ALL, Fusion::NONE] {
            let mut cpu = self.network(&Device::Cpu, DType::F64, fusion);
            let mut card = self.network(device, DType::F32, fusion);
            for norm in MODES {
                let tag = format!("{name} {norm:?} {fusion:?}");
                let found = self.run(&mut card, norm, ALL)?;
                held += compare(&tag, &found, &self.run(&mut cpu, norm, ALL).unwrap(), tolerance);
                [&mut cpu, &mut card].into_iter().for_each(|network| self.reset(network));
                // The arena holds what the first time left, and NaN where that was no longer needed.
                let again = self.run(&mut card, norm, ALL)?;
                self.reset(&mut card);
                assert!(again == found, "{tag}: other bytes the second time");
            }
        }
        Ok(held)
    }
}

/// How many vectors agree; panics where one does not.
fn compare(tag: &str, found: &Found, expected: &Found, tolerance: f64) -> usize {
    let mut held = 0;
    for ((what, found), (_, expected)) in found.parts().into_iter().zip(expected.parts()) {
        assert_eq!(found.len(), expected.len(), "{tag}: {what}");
        let largest = expected.iter().fold(1e-3f64, |m, v| m.max(v.abs()));
        for (i, (a, b)) in found.iter().zip(expected).enumerate() {
            let off = (a - b).abs() / largest;
            assert!(off <= tolerance, "{tag}: {what}[{i}] is {a}, on the CPU {b}: {off:.1e} of {largest:.1e}");
        }
        held += usize::from(!expected.is_empty());
    }
    held
}

fn conv(out: usize, window: Window, groups: usize, bias: bool) -> Op {
    Op::Conv2d { out, window, groups, bias }
}

/// An operation between a linear layer in front (so that its inputs differ) and a head behind.
fn around(op: &Op, inputs: &[Shape]) -> Net {
    let mut net = Net::new();
    let largest = inputs.iter().copied().max_by_key(|s| s.area()).unwrap_or(Shape::new(4, 4, 3));
    let front = if largest.area() == 1 { Shape::new(3, 3, 2) } else { Shape { c: 3, ..largest } };
    let image = net.add("image", Op::Input { shape: front }, &[]).unwrap();
    let feeds: Vec<NodeId> = inputs
        .iter()
        .enumerate()
        .map(|(i, s)| {
            let id = net.add(format!("feed{i}"), conv(s.c, Window::square(1, 1, 0), 1, true), &[image]).unwrap();
            if s.area() == 1 { net.add(format!("pool{i}"), Op::GlobalAvgPool, &[id]).unwrap() } else { id }
        })
        .collect();
    let out = if matches!(op, Op::Input { .. }) { image } else { net.add("op", op.clone(), &feeds).unwrap() };
    headed(net, out)
}

/// A batch-norm beside a value, so that the head's input depends on products, and the head.
fn headed(mut net: Net, out: NodeId) -> Net {
    let norm = net.add("norm", Op::BatchNorm { affine: true }, &[out]).unwrap();
    let sum = net.add("sum", Op::Add, &[out, norm]).unwrap();
    let pool = net.add("tail", Op::GlobalAvgPool, &[sum]).unwrap();
    net.add("fc", Op::Linear { out: CLASSES, bias: true }, &[pool]).unwrap();
    net
}

/// Operations one after the other.
fn chain(shape: Shape, ops: &[Op]) -> Net {
    let mut net = Net::new();
    let mut at = net.add("image", Op::Input { shape }, &[]).unwrap();
    for (i, op) in ops.iter().enumerate() {
        at = net.add(format!("op{i}"), op.clone(), &[at]).unwrap();
    }
    headed(net, at)
}

/// Operations with a kernel.
const THERE: [&str; 18] = [
    "add",
    "avg_pool",
    "batch_norm",
    "concat",
    "conv2d",
    "crop",
    "global_avg_pool",
    "input",
    "linear",
    "max_pool",
    "mixed_sum",
    "multi_batch_norm",
    "normalize",
    "pad",
    "relu",
    "reshape",
    "slice",
    "zero",
];

/// Operations that are still to come.
const MISSING: [&str; 23] = [
    "attention",
    "class_token",
    "clip",
    "conv_norm",
    "cross_covariance",
    "elu",
    "erf",
    "flc_pool",
    "gelu",
    "gelu_tanh",
    "group_norm",
    "layer_norm",
    "matmul",
    "mul",
    "permute",
    "position",
    "scale",
    "sigmoid",
    "silu",
    "sine_position",
    "softmax",
    "softplus",
    "tanh",
];

/// Every operation there is either agrees with the CPU or is refused by name before anything runs.
#[test]
fn every_operation() {
    let device = card();
    let (mut there, mut missing) = (BTreeSet::new(), BTreeSet::new());
    for (i, (op, inputs)) in Op::each().iter().enumerate() {
        // Dropping is no call where nothing is dropped; nothing would be compared.
        if matches!(op, Op::Dropout { .. } | Op::StochasticDepth { .. }) {
            continue;
        }
        match Subject::new(around(op, inputs), 3).hold(&format!("{i}:{}", op.name()), &device, OF_OPERATION) {
            // Logits, image, weights and state in three modes, fused and not; sums have mixing weights besides.
            Ok(held) => {
                assert_eq!(held, if matches!(op, Op::MixedSum { .. }) { 30 } else { 24 }, "{}", op.name());
                there.insert(op.name());
            }
            Err(Error::Impossible(why)) => {
                assert!(why.contains("has no CUDA kernel yet"), "{why}");
                missing.insert(op.name());
            }
            Err(other) => panic!("{}: {other}", op.name()),
        }
    }
    assert_eq!((there, missing), (BTreeSet::from(THERE), BTreeSet::from(MISSING)));
}

/// What is done while a convolution reads: ReLU, crop, a batch-norm; and what its channels and windows may be.
#[test]
fn convolutions_behind_relu_crop_and_norm() {
    let device = card();
    let relu = Op::Act { act: Act::Relu };
    let norm = Op::BatchNorm { affine: true };
    let crop = Op::Crop { top: 1, left: 1, bottom: 0, right: 0 };
    let (deep, point) = (|k, stride, dilation| Window::same(k, stride, dilation), Window::square(1, 1, 0));
    let cases: [(&str, Shape, Vec<Op>); 9] = [
        ("relu, dense", Shape::new(7, 9, 5), vec![relu.clone(), conv(7, Window::square(3, 2, 1), 1, true)]),
        (
            "crop, dense",
            Shape::new(7, 9, 5),
            vec![relu.clone(), crop.clone(), conv(3, Window::square(1, 2, 0), 1, false)],
        ),
        (
            "norm, relu, grouped",
            Shape::new(5, 6, 6),
            vec![norm.clone(), relu.clone(), conv(9, deep(3, 1, 2), 3, false)],
        ),
        ("wide", Shape::new(4, 3, 70), vec![norm.clone(), conv(37, Window::square(3, 1, 1), 1, true)]),
        ("many pixels", Shape::new(24, 25, 2), vec![conv(3, Window::square(3, 1, 1), 1, true)]),
        (
            "relu, depthwise",
            Shape::new(9, 7, 5),
            vec![norm.clone(), relu.clone(), conv(5, deep(5, 2, 2), 5, true), norm.clone()],
        ),
        ("crop, depthwise", Shape::new(9, 7, 33), vec![crop, conv(33, deep(3, 2, 1), 33, false)]),
        (
            "relu, separable",
            Shape::new(9, 7, 5),
            vec![norm.clone(), relu.clone(), conv(5, deep(3, 2, 1), 5, false), conv(7, point, 1, false), norm.clone()],
        ),
        (
            "relu, dilated separable",
            Shape::new(8, 8, 3),
            vec![relu, conv(3, deep(5, 1, 2), 3, false), conv(4, point, 1, false), norm],
        ),
    ];
    for (name, shape, ops) in cases {
        let held = Subject::new(chain(shape, &ops), 3).hold(name, &device, OF_OPERATION).unwrap();
        assert_eq!(held, 24, "{name}");
    }
}

/// More terms than a launch takes, several of which have one weight.
#[test]
fn long_sums() {
    let mut net = Net::new();
    let image = net.add("image", Op::Input { shape: Shape::new(5, 3, 3) }, &[]).unwrap();
    let terms: Vec<NodeId> = (0..19)
        .map(|i| net.add(format!("term{i}"), conv(3, Window::square(1, 1, 0), 1, false), &[image]).unwrap())
        .collect();
    let weights = (0..19).map(|i| i % 7).collect();
    let sum = net.add("mixed", Op::MixedSum { weights }, &terms).unwrap();
    assert_eq!(Subject::new(headed(net, sum), 4).hold("sum", &card(), OF_OPERATION).unwrap(), 30);
}

#[test]
fn a_residual_network() {
    let net = PreAct::basic(4, [(1, 5), (2, 6)]).lower(Shape::new(9, 7, 3), CLASSES).unwrap();
    assert_eq!(Subject::new(net, 3).hold("preact", &card(), OF_NETWORK).unwrap(), 24);
}

#[test]
fn derived_cell_networks() {
    let device = card();
    for form in [
        "dsara:search_spaces/genotypes/ARNAS.txt,channels=3,layers=5",
        "darts:search_spaces/genotypes/DARTS_V2.txt,channels=2,layers=3",
    ] {
        let net = families::load(form, CELLS, CLASSES).unwrap();
        assert_eq!(Subject::new(net, 2).hold(form, &device, OF_NETWORK).unwrap(), 24, "{form}");
    }
}

fn tiny_supernet(channels: usize, partial: usize) -> Net {
    let skeleton = Skeleton {
        image: CELLS,
        classes: CLASSES,
        normalize: None,
        stem: 3,
        stem_kind: Default::default(),
        cells: Placement::dsara().row(channels, 5).unwrap(),
    };
    let layout = MixLayout { partial, ..cells::layout(&cells::DSARA_KINDS, 2, &cells::DARTS_OPS) };
    supernet(&skeleton, &layout).unwrap()
}

#[test]
fn a_supernet_of_every_cell_operation() {
    let subject = Subject::new(tiny_supernet(3, 1), 2);
    assert_eq!(subject.hold("supernet", &card(), OF_NETWORK).unwrap(), 30);
}

#[test]
fn a_supernet_with_partial_channels() {
    let subject = Subject::new(tiny_supernet(4, 2), 2);
    assert_eq!(subject.hold("supernet, 1 in 2", &card(), OF_NETWORK).unwrap(), 30);
}

/// What is not wanted is not there, and leaving it out changes nothing that is by more than rounding.
#[test]
fn what_is_wanted_alone() {
    let device = card();
    let subject = Subject::new(tiny_supernet(2, 1), 2);
    let mut network = subject.network(&device, DType::F32, Fusion::ALL);
    for norm in [NormMode::TrainNoRecord, NormMode::Eval] {
        let whole = subject.run(&mut network, norm, ALL).unwrap();
        for wrt in [Wrt::INPUT, Wrt::PARAMS, Wrt::MIX] {
            let mut part = subject.run(&mut network, norm, wrt).unwrap();
            assert_eq!([!part.input.is_empty(), !part.params.is_empty()], [wrt.input, wrt.params]);
            let all = |wanted: bool, part: &mut Vec<f64>, whole: &[f64]| {
                if !wanted {
                    *part = whole.to_vec();
                }
            };
            all(wrt.input, &mut part.input, &whole.input);
            all(wrt.params, &mut part.params, &whole.params);
            all(wrt.mix, &mut part.mix, &whole.mix);
            assert_eq!(compare(&format!("{norm:?} {wrt:?}"), &part, &whole, OF_NETWORK), 5);
        }
    }
}

/// Steps of gradient descent with recorded statistics: losses stay together, and the same run gives the same bytes.
#[test]
fn training_steps() {
    let device = card();
    let net = PreAct::basic(4, [(1, 4), (1, 6)]).lower(Shape::new(8, 8, 3), CLASSES).unwrap();
    let subject = Subject::new(net, 4);
    let train = |mut network: Network| -> Vec<f64> {
        let trainable = network.layout().trainable();
        let losses = (0..10).map(|_| {
            let found = subject.run(&mut network, NormMode::Train, Wrt::PARAMS).unwrap();
            let (dtype, device) = (network.state().dtype(), network.state().device().clone());
            let step: Vec<f64> = (0..trainable).map(|i| found.state[i] - 0.02 * found.params[i]).collect();
            let step = Tensor::from_vec(step, trainable, &device).unwrap().to_dtype(dtype).unwrap();
            network.set_weights(&step).unwrap();
            loss(&Logits { values: found.logits, classes: CLASSES }).value
        });
        losses.collect()
    };
    let [once, twice] = [(); 2].map(|()| train(subject.network(&device, DType::F32, Fusion::ALL)));
    assert!(once == twice, "other bytes the second time");
    let cpu = train(subject.network(&Device::Cpu, DType::F64, Fusion::ALL));
    assert!(cpu[9] < cpu[0] - 0.1, "nothing was learned: {cpu:?}");
    for (step, (a, b)) in once.iter().zip(&cpu).enumerate() {
        assert!((a - b).abs() < 1e-4 * b.abs().max(1.0), "step {step}: {a}, on the CPU {b}");
    }
}

#[test]
fn double_precision_is_refused() {
    let subject = Subject::new(chain(Shape::new(4, 4, 3), &[]), 2);
    let mut network = Network::with(subject.net.clone(), Seed::root(1), &card(), DType::F64, Fusion::ALL).unwrap();
    let x = Tensor::zeros((2, 4, 4, 3), DType::F64, network.state().device()).unwrap();
    let why = network.logits(&x, &[], NormMode::Eval).unwrap_err();
    assert!(matches!(&why, Error::Impossible(text) if text.contains("f32")), "{why}");
}
