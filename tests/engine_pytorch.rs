//! The engine against PyTorch: every operation and every cell operation in both precisions, ten steps of adversarial
//! training, and the architecture gradient of a search step. Numbers and formulas: `tests/fixtures/pytorch/make.py`.

use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor};
use robustnas::arch::cell::{CellOp, lower};
use robustnas::arch::families::cells::{MixEdge, MixKind, MixLayout, Placed, Skeleton, supernet};
use robustnas::arch::families::preact::PreAct;
use robustnas::arch::net::{Net, NodeId};
use robustnas::arch::op::{Op, Shape, Window};
use robustnas::attack::pgd::pgd;
use robustnas::attack::{Samples, Target};
use robustnas::config::Sgd as SgdConfig;
use robustnas::engine::{Fusion, Logits, LossGradient, Network, NormMode, Wrt};
use robustnas::search::distribution::Alpha;
use robustnas::seed::Seed;
use robustnas::threat::Pgd;
use robustnas::train::loss::cross_entropy;
use robustnas::train::optim::Sgd;
use robustnas::units::Fraction;
use serde::Deserialize;

const ALL: Wrt = Wrt { input: true, params: true, mix: true };

/// A number in `[-1, 1]` without a short period.
fn wave(i: usize, phase: f64) -> f64 {
    let i = i as f64;
    (0.37 * i + phase + 2.0 * (1.3 * i).sin()).sin()
}

fn phase_of(name: &str) -> f64 {
    0.013 * name.bytes().enumerate().map(|(k, b)| (k + 1) * usize::from(b)).sum::<usize>() as f64
}

/// The values of a tensor by name and shape, where it has some of its own.
type Values<'a> = &'a dyn Fn(&str, &[usize]) -> Option<Vec<f64>>;

/// Sets every tensor of a network to the fixture's formula; a readout keeps what `readout` gives.
fn set_state(network: &mut Network, readout: Values<'_>) {
    let mut values = Vec::new();
    for tensor in network.layout().tensors() {
        let n: usize = tensor.shape.iter().product();
        let phase = phase_of(&tensor.name);
        let (start, scale) = match tensor.name.rsplit('.').next().unwrap() {
            "weight" if tensor.shape.len() > 1 => (0.0, 1.0 / (n as f64 / *tensor.shape.last().unwrap() as f64).sqrt()),
            "weight" => (1.0, 0.3),
            "bias" => (0.0, 0.3),
            "running_mean" => (0.0, 0.2),
            "running_var" | "running_amplitude" => (0.8, 0.3),
            "temperature" => (1.0, 0.3),
            "running_batches" => (0.0, 0.0),
            other => panic!("no formula for `{other}`"),
        };
        let own = readout(&tensor.name, &tensor.shape);
        values.extend(own.unwrap_or_else(|| (0..n).map(|i| start + scale * wave(i, phase)).collect()));
    }
    let state = Tensor::from_vec(values, network.layout().len(), &Device::Cpu).unwrap();
    network.set_state(&state.to_dtype(network.state().dtype()).unwrap()).unwrap();
}

fn numbers(t: &Tensor) -> Vec<f64> {
    t.flatten_all().unwrap().to_dtype(DType::F64).unwrap().to_vec1().unwrap()
}

fn tensor(values: Vec<f64>, n: usize, s: Shape, dtype: DType) -> Tensor {
    Tensor::from_vec(values, (n, s.h, s.w, s.c), &Device::Cpu).unwrap().to_dtype(dtype).unwrap()
}

/// What the fixture keeps of a long vector.
#[derive(Deserialize)]
struct Digest {
    len: usize,
    dots: [f64; 4],
    some: Vec<f64>,
}

impl Digest {
    /// Holds a vector to the stored one; `tolerance` is relative to the vector's largest number.
    fn check(&self, what: &str, got: &[f64], tolerance: f64) {
        assert_eq!(got.len(), self.len, "{what}: length");
        let largest = got.iter().fold(0.0, |m: f64, v| m.max(v.abs())).max(1e-3);
        for (i, (a, b)) in got.iter().step_by(7).zip(&self.some).enumerate() {
            assert!((a - b).abs() <= tolerance * largest, "{what}[{}]: {a} against {b}", 7 * i);
        }
        // Errors of single numbers add up like a random walk.
        let slack = tolerance * largest * (got.len() as f64).sqrt();
        for (k, b) in self.dots.iter().enumerate() {
            let dot = |(i, x): (usize, &f64)| ((i + 1) as f64 * (k + 1) as f64 * 0.61).cos() * x;
            let a: f64 = got.iter().enumerate().map(dot).sum();
            assert!((a - b).abs() <= slack, "{what}: product {k} is {a} against {b}");
        }
    }
}

/// What a case leaves.
#[derive(Deserialize)]
struct Found {
    output: Digest,
    input: Digest,
    params: BTreeMap<String, Digest>,
    running: BTreeMap<String, Digest>,
    #[serde(default)]
    mix: Vec<f64>,
}

#[derive(Deserialize)]
struct OpCase {
    op: Op,
    inputs: Vec<Shape>,
    kind: String,
    batch_statistics: bool,
    #[serde(flatten)]
    found: Found,
}

#[derive(Deserialize)]
struct CellCase {
    cell_op: CellOp,
    stride: usize,
    #[serde(flatten)]
    found: Found,
}

#[derive(Deserialize)]
struct Ops {
    ops: Vec<OpCase>,
    cells: Vec<CellCase>,
}

fn ops() -> Ops {
    serde_json::from_str(include_str!("fixtures/pytorch/ops.json")).unwrap()
}

/// `sum_i cos(0.29 i + 0.1) z_i`: its gradient depends on no logit.
fn loss(logits: &Logits) -> LossGradient {
    let weights: Vec<f64> = (0..logits.values.len()).map(|i| (0.29 * i as f64 + 0.1).cos()).collect();
    let value = weights.iter().zip(&logits.values).map(|(w, z)| w * z).sum();
    LossGradient { value, dlogits: weights }
}

/// Makes a node's whole output the logits: a convolution whose one window is the image and whose weight is the identity.
fn read_out(net: &mut Net, from: NodeId) {
    let s = net.node(from).shape;
    let window = Window { kernel: [s.h, s.w], stride: [1, 1], pad: [0, 0], dilation: [1, 1] };
    net.add("readout", Op::Conv2d { out: s.len(), window, groups: 1, bias: false }, &[from]).unwrap();
}

/// The weights of the readout and of the feeds, which pick channels of the image.
fn plumbing(inputs: &[Shape], name: &str, shape: &[usize]) -> Option<Vec<f64>> {
    let node = name.strip_suffix(".weight")?;
    let (rows, out) = (shape.iter().product::<usize>() / shape.last()?, *shape.last()?);
    let first: usize = match node.strip_prefix("feed") {
        Some(k) => inputs[..k.parse::<usize>().unwrap()].iter().map(|s| s.c).sum(),
        None if node == "readout" => 0,
        None => return None,
    };
    Some((0..rows * out).map(|i| if i / out == first + i % out { 1.0 } else { 0.0 }).collect())
}

fn check_case(tag: &str, net: &Net, inputs: &[Shape], x: &[f64], mode: NormMode, found: &Found) {
    let mix: Vec<f64> = (0..net.mix_len()).map(|i| 0.2 + 0.05 * i as f64).collect();
    for (dtype, tolerance) in [(DType::F64, 1e-10), (DType::F32, 1e-5)] {
        for fusion in [Fusion::ALL, Fusion::NONE] {
            let tag = format!("{tag} {dtype:?} {fusion:?}");
            let mut network = Network::with(net.clone(), Seed::root(1), &Device::Cpu, dtype, fusion).unwrap();
            set_state(&mut network, &|name, shape| plumbing(inputs, name, shape));
            let x = tensor(x.to_vec(), 2, net.input_shape(), dtype);
            let g = network.gradients(&x, &mix, mode, ALL, &loss).unwrap();
            found.output.check(&format!("{tag}: output"), &g.logits.values, tolerance);
            found.input.check(&format!("{tag}: image gradient"), &numbers(&g.input.unwrap()), tolerance);
            let (params, state) = (numbers(&g.params.unwrap()), numbers(network.state()));
            let (mut learned, mut running) = (0, 0);
            for t in network.layout().tensors() {
                if let Some(digest) = found.params.get(&t.name) {
                    digest.check(&format!("{tag}: {} gradient", t.name), &params[t.range.clone()], tolerance);
                    learned += 1;
                } else if let Some(digest) = found.running.get(&t.name) {
                    digest.check(&format!("{tag}: {}", t.name), &state[t.range.clone()], tolerance);
                    running += 1;
                } else {
                    assert!(!t.name.starts_with("op."), "{tag}: PyTorch has no `{}`", t.name);
                }
            }
            assert_eq!((learned, running), (found.params.len(), found.running.len()), "{tag}: tensors");
            assert_eq!(g.mix.as_ref().map(Vec::len), Some(found.mix.len()), "{tag}: mixing vector");
            for (a, b) in g.mix.unwrap().iter().zip(&found.mix) {
                assert!((a - b).abs() <= tolerance * (1.0 + b.abs()), "{tag}: mix {a} against {b}");
            }
        }
    }
}

#[test]
fn every_operation() {
    let cases = ops().ops;
    for (op, inputs) in Op::each() {
        assert!(cases.iter().any(|c| c.op == op && c.inputs == inputs), "no numbers for {op:?} on {inputs:?}");
    }
    for case in &cases {
        let largest = case.inputs.iter().copied().max_by_key(|s| s.area()).unwrap_or(Shape::new(6, 5, 4));
        let image = Shape { c: case.inputs.iter().map(|s| s.c).sum::<usize>().max(largest.c), ..largest };
        let mut net = Net::new();
        let from = net.add("image", Op::Input { shape: image }, &[]).unwrap();
        let feeds: Vec<NodeId> = match &case.inputs[..] {
            [] | [_] => vec![from],
            many => many
                .iter()
                .enumerate()
                .map(|(k, s)| {
                    let pick = Op::Conv2d { out: s.c, window: Window::square(1, 1, 0), groups: 1, bias: false };
                    let picked = net.add(format!("feed{k}"), pick, &[from]).unwrap();
                    // A vector beside planes is the mean of its channels.
                    match s.area() {
                        1 => net.add(format!("mean{k}"), Op::GlobalAvgPool, &[picked]).unwrap(),
                        _ => picked,
                    }
                })
                .collect(),
        };
        let out = match case.op {
            Op::Input { .. } => from,
            _ => net.add("op", case.op.clone(), &feeds).unwrap(),
        };
        read_out(&mut net, out);
        let x = (0..2 * image.len()).map(|i| match case.kind.as_str() {
            "constant" => 0.5,
            "zeros" if i % 3 == 0 => 0.0,
            _ => wave(i, 0.2),
        });
        let mode = if case.batch_statistics { NormMode::Train } else { NormMode::Eval };
        let tag = format!("{:?} {}", case.op, case.kind);
        check_case(&tag, &net, &case.inputs, &x.collect::<Vec<_>>(), mode, &case.found);
    }
}

#[test]
fn every_cell_operation() {
    let cases = ops().cells;
    assert!(cases.iter().any(|c| c.cell_op == CellOp::SkipConnect && c.stride == 2), "the factorised reduction");
    for case in &cases {
        let image = Shape::new(6, 6, 4);
        let mut net = Net::new();
        let from = net.add("image", Op::Input { shape: image }, &[]).unwrap();
        let out = lower(&mut net, "op", case.cell_op, from, case.stride, true, false).unwrap();
        read_out(&mut net, out);
        let x: Vec<f64> = (0..2 * image.len()).map(|i| wave(i, 0.2)).collect();
        let tag = format!("{} at stride {}", case.cell_op, case.stride);
        check_case(&tag, &net, &[], &x, NormMode::Train, &case.found);
    }
}

/// Ties and zeros, said without PyTorch: the first place in raster order takes all, and ReLU passes nothing at 0.
#[test]
fn ties() {
    let shape = Shape::new(2, 2, 1);
    for (op, value, want) in [
        (Op::MaxPool { window: Window::square(2, 2, 0) }, 0.5, vec![1.0, 0.0, 0.0, 0.0]),
        (Op::Act { act: robustnas::arch::op::Act::Relu }, 0.0, vec![0.0; 4]),
    ] {
        let mut net = Net::new();
        let image = net.add("image", Op::Input { shape }, &[]).unwrap();
        let out = net.add("op", op, &[image]).unwrap();
        read_out(&mut net, out);
        for fusion in [Fusion::ALL, Fusion::NONE] {
            let mut network = Network::with(net.clone(), Seed::root(1), &Device::Cpu, DType::F32, fusion).unwrap();
            set_state(&mut network, &|name, shape| plumbing(&[], name, shape));
            let x = tensor(vec![value; 4], 1, shape, DType::F32);
            let one = |z: &Logits| LossGradient { value: z.values.iter().sum(), dlogits: vec![1.0; z.values.len()] };
            let g = network.gradients(&x, &[], NormMode::Eval, Wrt::INPUT, &one).unwrap();
            assert_eq!(numbers(&g.input.unwrap()), want);
        }
    }
}

const BATCH: usize = 4;
const IMAGE: Shape = Shape::new(8, 8, 3);

#[derive(Deserialize)]
struct Chains {
    training: Vec<Training>,
    search: Search,
    search_f64: Search,
}

#[derive(Deserialize)]
struct Training {
    clip: f64,
    losses: Vec<f64>,
    running: BTreeMap<String, Vec<f64>>,
    weights: BTreeMap<String, Digest>,
}

#[derive(Deserialize)]
struct Search {
    natural: ArchGradient,
    adversarial: ArchGradient,
}

#[derive(Deserialize)]
struct ArchGradient {
    loss: f64,
    gradient: Vec<f64>,
}

fn chains() -> Chains {
    serde_json::from_str(include_str!("fixtures/pytorch/chains.json")).unwrap()
}

fn images(step: usize, dtype: DType) -> Tensor {
    let len = BATCH * IMAGE.len();
    let pixels = (0..len).map(|i| 0.5 + 0.5 * wave(step * len + i, 0.2));
    tensor(pixels.collect(), BATCH, IMAGE, dtype).clamp(0f64, 1f64).unwrap()
}

fn labels(step: usize) -> Vec<u32> {
    (0..BATCH).map(|i| ((i + step) % 4) as u32).collect()
}

fn attacked(network: &mut Network, mix: &[f64], clean: &Tensor, labels: &[u32]) -> Tensor {
    let (eps, step) = (Fraction::of_255(8), Fraction::of_255(2));
    let attack = Pgd { random_start: false, ..Pgd::new(eps, step, 3) };
    let samples = Samples { images: clean, labels, ids: &[0, 1, 2, 3], seed: Seed::root(1) };
    pgd(&mut Target { network, mix, mode: NormMode::TrainNoRecord }, samples, &attack).unwrap()
}

fn close(what: &str, a: f64, b: f64, tolerance: f64) {
    assert!((a - b).abs() <= tolerance, "{what}: {a} against {b}");
}

/// PyTorch's own float32 run is within 2e-7 of its float64 run. The tolerance is wider because a pixel whose gradient is
/// nearly zero may take the other sign under another order of summation: it then moves by up to 4/255 against the
/// reference, which changes a loss by some 1e-5.
#[test]
fn ten_steps_of_adversarial_training() {
    const TOLERANCE: f64 = 2e-4;
    let chains = chains().training;
    assert_eq!(chains.iter().map(|c| c.clip).collect::<Vec<_>>(), [5.0, 1.0]);
    for want in chains {
        training_chain(&want, TOLERANCE);
    }
}

fn training_chain(want: &Training, tolerance: f64) {
    let net = PreAct::basic(4, [(1, 4), (1, 8)]).lower(IMAGE, 4);
    let mut network = Network::new(net.unwrap(), Seed::root(1), &Device::Cpu).unwrap();
    set_state(&mut network, &|_, _| None);
    let config = SgdConfig { lr: 0.1, lr_min: 0.0, momentum: 0.9, weight_decay: 5e-4, clip: want.clip };
    let mut sgd = Sgd::new(config, &network.weights().unwrap()).unwrap();
    for (step, expected) in want.losses.iter().enumerate() {
        let (clean, labels) = (images(step, DType::F32), labels(step));
        let x = attacked(&mut network, &[], &clean, &labels);
        let ce = |logits: &Logits| cross_entropy(logits, &labels);
        let found = network.gradients(&x, &[], NormMode::Train, Wrt::PARAMS, &ce).unwrap();
        close(&format!("loss of step {step}"), found.loss, *expected, tolerance * expected);
        sgd.step(&network.weights().unwrap(), &found.params.unwrap(), 0.1).unwrap();
    }
    let state = numbers(network.state());
    let mut seen = 0;
    for t in network.layout().tensors() {
        let got = &state[t.range.clone()];
        if let Some(running) = want.running.get(&t.name) {
            assert_eq!(got.len(), running.len(), "{}", t.name);
            for (a, b) in got.iter().zip(running) {
                close(&t.name, *a, *b, tolerance * (1.0 + b.abs()));
            }
            seen += 1;
        }
        if let Some(weight) = want.weights.get(&t.name) {
            weight.check(&t.name, got, tolerance);
            seen += 1;
        }
    }
    assert_eq!((want.losses.len(), seen), (10, network.layout().tensors().len()));
}

fn mix_layout() -> MixLayout {
    let ops = [
        CellOp::None,
        CellOp::MaxPool(3),
        CellOp::AvgPool(3),
        CellOp::SkipConnect,
        CellOp::SepConv(3),
        CellOp::DilConv(3),
    ];
    let mut offset = 0;
    let kinds = ["normal", "reduce"].map(|kind| {
        let edges = [(0, 2), (1, 2), (0, 3), (1, 3), (2, 3)].map(|(from, to)| {
            offset += ops.len();
            MixEdge { from, to, ops: ops.to_vec(), offset: offset - ops.len() }
        });
        MixKind { kind: kind.into(), nodes: 2, edges: edges.to_vec(), concat: vec![2, 3] }
    });
    MixLayout { kinds: kinds.to_vec(), partial: 1 }
}

fn check_arch(what: &str, network: &mut Network, x: &Tensor, layout: &MixLayout, mix: &[f64], want: &ArchGradient) {
    let labels = labels(0);
    let tolerance = if network.state().dtype() == DType::F64 { 1e-10 } else { 2e-4 };
    let ce = |logits: &Logits| cross_entropy(logits, &labels);
    let found = network.gradients(x, mix, NormMode::TrainNoRecord, Wrt::MIX, &ce).unwrap();
    close(&format!("{what}: loss"), found.loss, want.loss, tolerance * want.loss);
    let gradient = Alpha::gradient(layout, mix, &found.mix.unwrap());
    assert_eq!(gradient.len(), want.gradient.len());
    let largest = want.gradient.iter().fold(0.0, |m: f64, g| m.max(g.abs()));
    assert!(largest > 1e-3, "{what}: a gradient that says nothing");
    for (i, (a, b)) in gradient.iter().zip(&want.gradient).enumerate() {
        close(&format!("{what}: gradient {i}"), *a, *b, tolerance * largest);
    }
}

/// The architecture gradient of one first-order search step; in double precision on clean images (attacks run in single).
#[test]
fn a_search_step() {
    let want = chains();
    let layout = mix_layout();
    let placed = |kind: &str, channels, reduction| Placed { kind: kind.into(), channels, reduction };
    let skeleton = Skeleton {
        image: IMAGE,
        classes: 4,
        normalize: None,
        stem: 6,
        stem_kind: Default::default(),
        cells: vec![placed("normal", 4, false), placed("reduce", 8, true), placed("normal", 8, false)],
    };
    let net = supernet(&skeleton, &layout).unwrap();
    let mix = Alpha((0..layout.len()).map(|i| 0.5 * wave(i, 1.0)).collect()).mix(&layout);
    for fusion in [Fusion::ALL, Fusion::NONE] {
        for (dtype, want) in [(DType::F64, &want.search_f64), (DType::F32, &want.search)] {
            let mut network = Network::with(net.clone(), Seed::root(1), &Device::Cpu, dtype, fusion).unwrap();
            set_state(&mut network, &|_, _| None);
            let clean = images(0, dtype);
            check_arch("natural", &mut network, &clean, &layout, &mix, &want.natural);
            if dtype == DType::F32 {
                let x = attacked(&mut network, &mix, &clean, &labels(0));
                check_arch("adversarial", &mut network, &x, &layout, &mix, &want.adversarial);
            }
        }
    }
}
