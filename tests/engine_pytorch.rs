//! The engine against PyTorch: every operation and every cell operation in both precisions, ten steps of adversarial
//! training, and the architecture gradient of a search step; then training and search of networks of real size, where many
//! values share memory. Numbers and formulas: `tests/fixtures/pytorch/make.py`.

use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor};
use robustnas::arch::cell::{CellOp, lower};
use robustnas::arch::families::cells::{MixLayout, Placed, Placement, Skeleton, supernet};
use robustnas::arch::families::preact::PreAct;
use robustnas::arch::net::{Net, NodeId};
use robustnas::arch::op::{Op, Shape, Window};
use robustnas::attack::pgd::pgd;
use robustnas::attack::{Samples, Target};
use robustnas::config::{Order, Search as SearchConfig};
use robustnas::data::Images;
use robustnas::data::loader::{Batch, Loader};
use robustnas::engine::{Fusion, Logits, LossGradient, Network, NormMode, Wrt, euclidean_norm};
use robustnas::loss::cross_entropy;
use robustnas::recipe::{Adam as AdamConfig, Sgd as SgdConfig, Time};
use robustnas::search::distribution::Alpha;
use robustnas::search::learner::Supernet;
use robustnas::search::min_norm::min_norm;
use robustnas::seed::Seed;
use robustnas::threat::{AttackNorm, Pgd};
use robustnas::train::fit::Learner;
use robustnas::train::optim::{Adam, Sgd};
use robustnas::units::Fraction;
use serde::Deserialize;

#[path = "fixtures/cells.rs"]
mod cells;
#[path = "fixtures/families.rs"]
mod families;

use cells::{DARTS_OPS, DSARA_KINDS, layout};
use families::load;

const ALL: Wrt = Wrt { input: true, params: true, mix: true };

/// A number in `[-1, 1]` without a short period.
fn wave(i: usize, phase: f64) -> f64 {
    let i = i as f64;
    (0.37 * i + phase + 2.0 * (1.3 * i).sin()).sin()
}

/// A number in `[-1, 1)` that nothing else follows from: splitmix64 (Steele et al. 2014) from the phase's bits.
fn noise(i: usize, phase: f64) -> f64 {
    let z = phase.to_bits().wrapping_add((i as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 52) as f64 - 1.0
}

fn phase_of(name: &str) -> f64 {
    0.013 * name.bytes().enumerate().map(|(k, b)| (k + 1) * usize::from(b)).sum::<usize>() as f64
}

/// The values of a tensor by name and shape, where it has some of its own.
type Values<'a> = &'a dyn Fn(&str, &[usize]) -> Option<Vec<f64>>;

/// Sets every tensor of a network to the fixture's formula; a readout keeps what `readout` gives.
fn set_state(network: &mut Network, readout: Values<'_>) {
    set_state_of(network, wave, readout);
}

fn set_state_of(network: &mut Network, number: fn(usize, f64) -> f64, readout: Values<'_>) {
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
        values.extend(own.unwrap_or_else(|| (0..n).map(|i| start + scale * number(i, phase)).collect()));
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
    /// How far apart the numbers of `some` stand.
    #[serde(default = "seven")]
    every: usize,
}

fn seven() -> usize {
    7
}

impl Digest {
    /// Holds a vector to the stored one; `tolerance` is relative to the vector's largest number.
    fn check(&self, what: &str, got: &[f64], tolerance: f64) {
        assert_eq!(got.len(), self.len, "{what}: length");
        let largest = got.iter().fold(0.0, |m: f64, v| m.max(v.abs())).max(1e-3);
        for (i, (a, b)) in got.iter().step_by(self.every).zip(&self.some).enumerate() {
            assert!((a - b).abs() <= tolerance * largest, "{what}[{}]: {a} against {b}", self.every * i);
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

/// Three steps from the clean image: nothing in it is drawn.
const ATTACK: Pgd = Pgd { random_start: false, ..Pgd::new(Fraction::of_255(8), Fraction::of_255(2), 3) };

fn attacked(network: &mut Network, mix: &[f64], clean: &Tensor, labels: &[u32]) -> Tensor {
    let ids: Vec<u32> = (0..labels.len() as u32).collect();
    let samples = Samples { images: clean, labels, ids: &ids, seed: Seed::root(1) };
    pgd(&mut Target { network, mix, mode: NormMode::TrainNoRecord }, samples, &ATTACK).unwrap()
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
    layout(&["normal", "reduce"], 2, &ops)
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

const REAL: Shape = Shape::new(32, 32, 3);
/// More than the 16 lanes that the engine deals a batch to at most, so that images share a lane.
const REAL_BATCH: usize = 20;
const REAL_CLASSES: usize = 10;
/// The adversarial objective's factor in stage two: with it neither gradient is the shortest combination by itself.
const LAMBDA: f64 = 0.5;

/// In double precision the engine is within 5e-11 of PyTorch's weights after ten steps.
const F64: f64 = 1e-9;

/// Single precision, several times what PyTorch's own is from its double precision on the same steps: losses of the
/// residual network 1e-4 and weights 7e-4; of the cell network 1e-3 and 5e-3, since more of its ReLUs and pools choose
/// between nearly equal numbers; of the search 3e-3, and architecture parameters 5e-3.
const PREACT_F32: f64 = 2e-3;
const CELLS_F32: f64 = 2e-2;

/// What real networks leave in either precision. Training in single precision is on images that a formula moves: which way
/// a pixel goes whose gradient is nearly zero depends on the order of additions, and of one such pixel in a thousand three
/// steps of an attack make a fifth of all. The small chains above and the search attack in single precision.
#[derive(Deserialize)]
struct Networks {
    float64: Real,
    float32: Real,
}

#[derive(Deserialize)]
struct Real {
    preact_resnet_18: RealTraining,
    arnas: RealTraining,
    search: RealSearch,
}

#[derive(Deserialize)]
struct RealTraining {
    losses: Vec<f64>,
    #[serde(flatten)]
    left: Left,
}

#[derive(Deserialize)]
struct RealSearch {
    steps: Vec<SearchStep>,
    alpha: Vec<f64>,
    #[serde(flatten)]
    left: Left,
}

/// Losses of a search step: of the weights, and of the architecture on attacked and, in stage two, on clean images.
#[derive(Deserialize)]
struct SearchStep {
    weights: f64,
    adversarial: f64,
    natural: Option<f64>,
    gamma: Option<f64>,
}

/// A network's numbers when all is done.
#[derive(Deserialize)]
struct Left {
    weights: BTreeMap<String, Group>,
    running: BTreeMap<String, Group>,
}

/// The tensors of a block or cell one after the other, in the order of their names.
#[derive(Deserialize)]
struct Group {
    tensors: usize,
    #[serde(flatten)]
    digest: Digest,
}

impl Left {
    /// Holds a network to it; returns the tensors compared.
    fn check(&self, what: &str, network: &Network, tolerance: f64) -> usize {
        let state = numbers(network.state());
        let mut tensors: Vec<_> = network.layout().tensors().iter().collect();
        tensors.sort_by(|a, b| a.name.cmp(&b.name));
        let mut found: BTreeMap<(bool, String), (usize, Vec<f64>)> = BTreeMap::new();
        for t in tensors {
            let learned = !t.name.contains(".running_");
            let group = t.name.splitn(3, '.').take(2).collect::<Vec<_>>().join(".");
            let (count, values) = found.entry((learned, group)).or_default();
            *count += 1;
            values.extend_from_slice(&state[t.range.clone()]);
        }
        assert_eq!(found.len(), self.weights.len() + self.running.len(), "{what}: groups");
        let mut seen = 0;
        for ((learned, name), (count, values)) in &found {
            let (kind, groups) = if *learned { ("weights", &self.weights) } else { ("running", &self.running) };
            let group = groups.get(name).unwrap_or_else(|| panic!("{what}: PyTorch has no {kind} of `{name}`"));
            assert_eq!(*count, group.tensors, "{what}: {kind} of {name}");
            group.digest.check(&format!("{what}: {kind} of {name}"), values, tolerance);
            seen += count;
        }
        seen
    }
}

fn networks() -> Networks {
    serde_json::from_str(include_str!("fixtures/pytorch/networks.json")).unwrap()
}

fn real_images(step: usize, dtype: DType) -> Tensor {
    let len = REAL_BATCH * REAL.len();
    let pixels = (0..len).map(|i| 0.5 + 0.5 * noise(step * len + i, 0.2));
    tensor(pixels.collect(), REAL_BATCH, REAL, dtype)
}

fn real_labels(step: usize) -> Vec<u32> {
    (0..REAL_BATCH).map(|i| ((3 * i + step) % REAL_CLASSES) as u32).collect()
}

/// As far from the clean images as an attack may go, along signs of a formula.
fn moved(clean: &Tensor) -> Tensor {
    let signs = (0..REAL_BATCH * REAL.len()).map(|i| EPS * 1f64.copysign(noise(i, 0.7)));
    let away = tensor(signs.collect(), REAL_BATCH, REAL, clean.dtype());
    (clean + away).unwrap().clamp(0f64, 1f64).unwrap()
}

const EPS: f64 = 8.0 / 255.0;

/// The attack in double precision, which the program's own does not work in.
fn attacked_f64(network: &mut Network, mix: &[f64], clean: &Tensor, labels: &[u32], steps: u32, step: f64) -> Tensor {
    let (ce, still) = (|logits: &Logits| cross_entropy(logits, labels), NormMode::TrainNoRecord);
    let (clean, mut x) = (numbers(clean), clean.clone());
    for _ in 0..steps {
        let gradient = numbers(&network.gradients(&x, mix, still, Wrt::INPUT, &ce).unwrap().input.unwrap());
        let ascended = numbers(&x).into_iter().zip(gradient).zip(&clean).map(|((x, g), c)| {
            let sign = if g == 0.0 { 0.0 } else { g.signum() };
            (x + step * sign).clamp(c - EPS, c + EPS).clamp(0.0, 1.0)
        });
        x = tensor(ascended.collect(), labels.len(), network.net().input_shape(), DType::F64);
    }
    x
}

/// The optimiser's rule in double precision, which the program's own does not work in.
struct Descent {
    config: SgdConfig,
    momentum: Vec<f64>,
}

impl Descent {
    fn step(&mut self, network: &mut Network, gradient: &Tensor) {
        let SgdConfig { lr, momentum, weight_decay, clip, .. } = self.config;
        let scale = (clip / (euclidean_norm(gradient).unwrap() + 1e-6)).min(1.0);
        let (mut weights, gradient) = (numbers(&network.weights().unwrap()), numbers(gradient));
        self.momentum.resize(weights.len(), 0.0);
        for ((w, v), g) in weights.iter_mut().zip(&mut self.momentum).zip(gradient) {
            *v = momentum * *v + (scale * g + weight_decay * *w);
            *w -= lr * *v;
        }
        let n = weights.len();
        network.set_weights(&Tensor::from_vec(weights, n, &Device::Cpu).unwrap()).unwrap();
    }
}

/// Learning rates of weights and of architecture parameters.
fn rates(dtype: DType) -> (f64, f64) {
    if dtype == DType::F64 { (0.025, 0.02) } else { (0.001, 0.001) }
}

fn sgd_of(dtype: DType, weight_decay: f64) -> SgdConfig {
    let (lr, _) = rates(dtype);
    SgdConfig { lr, lr_min: lr, momentum: 0.9, weight_decay, clip: 5.0 }
}

/// Ten steps from the formulas' weights; returns the tensors compared at the end.
fn real_training(net: &Net, dtype: DType, want: &RealTraining, tolerance: f64) -> usize {
    let (what, config) = (dtype.as_str(), sgd_of(dtype, 5e-4));
    let mut network = Network::with(net.clone(), Seed::root(1), &Device::Cpu, dtype, Fusion::ALL).unwrap();
    set_state_of(&mut network, noise, &|_, _| None);
    let mut descent = Descent { config, momentum: Vec::new() };
    let mut sgd = Sgd::new(config, &network.weights().unwrap()).unwrap();
    assert_eq!(want.losses.len(), 10);
    for (step, expected) in want.losses.iter().enumerate() {
        let (clean, labels) = (real_images(step, dtype), real_labels(step));
        let x = match dtype {
            DType::F64 => attacked_f64(&mut network, &[], &clean, &labels, 3, 2.0 / 255.0),
            _ => moved(&clean),
        };
        let ce = |logits: &Logits| cross_entropy(logits, &labels);
        let found = network.gradients(&x, &[], NormMode::Train, Wrt::PARAMS, &ce).unwrap();
        close(&format!("{what}: loss of step {step}"), found.loss, *expected, tolerance * expected);
        let gradient = found.params.unwrap();
        match dtype {
            DType::F64 => descent.step(&mut network, &gradient),
            _ => {
                sgd.step(&network.weights().unwrap(), &gradient, config.lr).unwrap();
            }
        }
    }
    want.left.check(what, &network, tolerance)
}

#[test]
fn ten_steps_of_preact_resnet_18() {
    let (net, want) = (load("preact-resnet:18,width=16", REAL, REAL_CLASSES).unwrap(), networks());
    for (dtype, want, tolerance) in [(DType::F64, want.float64, F64), (DType::F32, want.float32, PREACT_F32)] {
        let seen = real_training(&net, dtype, &want.preact_resnet_18, tolerance);
        // 20 convolutions, 17 batch-norms of four tensors, a layer of two.
        assert_eq!(seen, 20 + 4 * 17 + 2);
    }
}

#[test]
fn ten_steps_of_a_derived_cell_network() {
    let (net, want) =
        (load("dsara:search_spaces/genotypes/ARNAS.txt,channels=8,layers=8", REAL, REAL_CLASSES).unwrap(), networks());
    for (dtype, want, tolerance) in [(DType::F64, want.float64, F64), (DType::F32, want.float32, CELLS_F32)] {
        let seen = real_training(&net, dtype, &want.arnas, tolerance);
        // Stem and head; two entrances a cell, of which two halve the size and have one more; five separable convolutions in
        // each of four accurate cells, five dilated ones in each of two reductions and eight in each of two robust cells.
        assert_eq!(seen, 5 + 2 + (8 * 10 + 2) + 4 * 5 * 12 + 2 * 5 * 6 + 2 * 8 * 6);
    }
}

/// DSARA's space: three kinds of cell, 14 edges each, seven operations an edge.
fn space_layout() -> MixLayout {
    layout(&DSARA_KINDS, 4, &DARTS_OPS[1..])
}

fn space_supernet(dtype: DType) -> Network {
    let cells = Placement::dsara().row(4, 5).unwrap();
    let skeleton = Skeleton {
        image: REAL,
        classes: REAL_CLASSES,
        normalize: None,
        stem: 12,
        stem_kind: Default::default(),
        cells,
    };
    let net = supernet(&skeleton, &space_layout()).unwrap();
    let mut network = Network::with(net, Seed::root(1), &Device::Cpu, dtype, Fusion::ALL).unwrap();
    set_state_of(&mut network, noise, &|_, _| None);
    network
}

fn space_alpha() -> Alpha {
    Alpha((0..space_layout().len()).map(|i| 0.1 * noise(i, 1.0)).collect())
}

/// The architecture half: one batch, which every step sees whole.
fn architecture_half() -> Images {
    let byte = |i| (255.0 * (0.5 + 0.5 * noise(i, 2.0)) + 0.5).floor() as u8;
    Images {
        pixels: (0..REAL_BATCH * REAL.len()).map(byte).collect(),
        labels: (0..REAL_BATCH as u32).map(|i| i % REAL_CLASSES as u32).collect(),
    }
}

fn check_step(what: &str, found: &SearchStep, want: &SearchStep, tolerance: f64) {
    close(&format!("{what}: adversarial loss"), found.adversarial, want.adversarial, tolerance * want.adversarial);
    close(&format!("{what}: loss of the weights"), found.weights, want.weights, tolerance * want.weights);
    for (name, found, want) in [("natural loss", found.natural, want.natural), ("gamma", found.gamma, want.gamma)] {
        assert_eq!(found.is_some(), want.is_some(), "{what}: {name}");
        if let (Some(found), Some(want)) = (found, want) {
            close(&format!("{what}: {name}"), found, want, tolerance * (1.0 + want));
        }
    }
}

fn check_search(what: &str, network: &Network, alpha: &Alpha, want: &RealSearch, (state, choices): (f64, f64)) {
    assert_eq!((want.steps.len(), alpha.0.len(), want.alpha.len()), (6, 294, 294));
    for (i, (a, b)) in alpha.0.iter().zip(&want.alpha).enumerate() {
        close(&format!("{what}: alpha {i}"), *a, *b, choices);
    }
    // Stem and head; two entrances a cell, of which two have one more; on 14 edges of five cells two pools, two separable
    // and two dilated convolutions; the reductions' strided skips.
    let edge = 2 * 2 + 2 * 8 + 2 * 4;
    assert_eq!(want.left.check(what, network, state), 5 + 2 + (5 * 6 + 2) + 5 * 14 * edge + 2 * 8 * 4);
}

fn adam_of(dtype: DType) -> AdamConfig {
    AdamConfig { lr: rates(dtype).1, beta1: 0.5, beta2: 0.999, weight_decay: 1e-3 }
}

/// Three steps of stage one and three of stage two, of the first order, in double precision: the step put together from
/// the program's parts.
#[test]
fn search_steps_in_double_precision() {
    let (want, layout) = (networks().float64.search, space_layout());
    let mut network = space_supernet(DType::F64);
    let (mut alpha, mut adam) = (space_alpha(), Adam::new(adam_of(DType::F64), layout.len()));
    let mut descent = Descent { config: sgd_of(DType::F64, 3e-4), momentum: Vec::new() };
    let half = architecture_half();
    let pixels = half.pixels.iter().map(|b| f64::from(*b) / 255.0).collect();
    let clean = tensor(pixels, REAL_BATCH, REAL, DType::F64);
    for (step, expected) in want.steps.iter().enumerate() {
        let mix = alpha.mix(&layout);
        let attacked = attacked_f64(&mut network, &mix, &clean, &half.labels, 1, EPS);
        let mut arch = |x: &Tensor| {
            let ce = |logits: &Logits| cross_entropy(logits, &half.labels);
            let found = network.gradients(x, &mix, NormMode::TrainNoRecord, Wrt::MIX, &ce).unwrap();
            (found.loss, Alpha::gradient(&layout, &mix, &found.mix.unwrap()))
        };
        let (adversarial, mut direction) = arch(&attacked);
        let (mut natural, mut gamma) = (None, None);
        if step >= 3 {
            let (loss, g1) = arch(&clean);
            let g2: Vec<f64> = direction.iter().map(|g| LAMBDA * g).collect();
            let (share, common) = min_norm(&g1, &g2);
            (natural, gamma, direction) = (Some(loss), Some(share), common);
        }
        adam.step(&mut alpha.0, &direction);
        let labels = real_labels(step);
        let ce = |logits: &Logits| cross_entropy(logits, &labels);
        let mix = alpha.mix(&layout);
        let x = attacked_f64(&mut network, &mix, &real_images(step, DType::F64), &labels, 1, EPS);
        let found = network.gradients(&x, &mix, NormMode::Train, Wrt::PARAMS, &ce).unwrap();
        let losses = SearchStep { weights: found.loss, adversarial, natural, gamma };
        check_step(&format!("step {step}"), &losses, expected, F64);
        descent.step(&mut network, &found.params.unwrap());
    }
    check_search("f64", &network, &alpha, &want, (F64, F64));
}

/// The same in single precision, by the program's own search.
#[test]
fn search_steps_under_attack() {
    let (want, layout) = (networks().float32.search, space_layout());
    let config = SearchConfig {
        strategy: Default::default(),
        trials: None,
        collapse: None,
        epochs: 2,
        stage_one_epochs: 1,
        warmup_epochs: 0,
        batch: REAL_BATCH,
        order: Order::First,
        lambda: LAMBDA,
        attack: Pgd { random_start: false, ..Pgd::new(Fraction::of_255(8), Fraction::of_255(8), 1) },
        attack_norm: AttackNorm::Batch,
        single_step: None,
        weights: sgd_of(DType::F32, 3e-4),
        arch: adam_of(DType::F32),
        arch_init: 0.0,
        probe: REAL_BATCH,
    };
    let half = architecture_half();
    let ids: Vec<u32> = (0..REAL_BATCH as u32).collect();
    // Its order does not matter: every batch is the whole half.
    let loader = || Loader::new(&half, REAL, &ids, REAL_BATCH, Seed::root(1), &Device::Cpu);
    let network = space_supernet(DType::F32);
    let mut search = Supernet::new(network, layout, config, 2, loader(), Seed::root(1)).unwrap();
    let mut state = search.state().unwrap();
    state.values["alpha"] = serde_json::to_value(space_alpha()).unwrap();
    search.restore(state).unwrap();
    for (step, expected) in want.steps.iter().enumerate() {
        let images = real_images(step, DType::F32);
        let batch = Batch { images, labels: real_labels(step), ids: ids.clone(), seed: Seed::root(1) };
        let epoch = (step / 3) as u32;
        let weights = search.step(&batch, Time { epoch, step: step % 3, steps: 3, epochs: 2 }).unwrap();
        let told = search.report(epoch, &loader(), Seed::root(1)).unwrap();
        assert_eq!((told.stage, told.weight_loss), (1 + epoch as u8, weights));
        let adversarial = told.adversarial_loss.unwrap();
        let losses = SearchStep { weights, adversarial, natural: told.natural_loss, gamma: told.gamma };
        check_step(&format!("step {step}"), &losses, expected, CELLS_F32);
    }
    let alpha = search.learned().alpha.clone();
    check_search("f32", search.network(), &alpha, &want, (CELLS_F32, CELLS_F32));
}
