//! Every plan of a network computes what a plain executor computes (`tests/reference`): whatever gradients are wanted, whatever
//! is fused, in both precisions, for any batch and any number of threads; on networks of every family at their real depth,
//! on supernets, and on random graphs. Memory that holds nothing is filled with NaN meanwhile.

use candle_core::{DType, Device, Tensor};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use robustnas::arch::cell::CellOp;
use robustnas::arch::families::cells::{MixLayout, Placement, Skeleton, supernet};
use robustnas::arch::net::{Net, NodeId};
use robustnas::arch::op::{Act, Op, Shape, Window};
use robustnas::engine::{Cpu, Fusion, Logits, LossGradient, Mode, Network, NormMode, ParamLayout, Wrt};
use robustnas::seed::Seed;

#[path = "fixtures/cells.rs"]
mod cells;
#[path = "fixtures/families.rs"]
mod families;
mod reference;

use cells::{DARTS_OPS, DSARA_KINDS, layout};
use families::load;
use reference::{Answer, Call};

const CLASSES: usize = 3;

/// Everything that plans depend on.
#[derive(Clone, Copy, Debug)]
struct Plan {
    wrt: Wrt,
    fusion: Fusion,
    dtype: DType,
}

/// A network with numbers under which everything matters.
struct Subject {
    name: String,
    net: Net,
    layout: ParamLayout,
    state: Vec<f64>,
    mix: Vec<f64>,
}

impl Subject {
    fn new(name: impl Into<String>, net: Net) -> Self {
        let layout = ParamLayout::new(&net);
        let (seed, trainable) = (Seed::root(5), layout.trainable());
        let mut state: Vec<f64> = layout.init(&net, seed);
        let mut noise = seed.child("noise").stream();
        for (i, v) in state.iter_mut().enumerate() {
            // Fresh scales are 1 and shifts 0, running means 0 and variances 1. In single precision, so that both are of
            // the same network.
            let moved = if i < trainable {
                *v + 0.05 * f64::from(noise.normal())
            } else {
                *v + 0.2 * f64::from(noise.uniform())
            };
            *v = f64::from(moved as f32);
        }
        let mix = (0..net.mix_len()).map(|i| 0.1 + 0.02 * (i % 9) as f64).collect();
        Subject { name: name.into(), net, layout, state, mix }
    }

    fn images(&self, n: usize) -> Vec<f64> {
        let mut stream = Seed::root(7).stream();
        (0..n * self.net.input_shape().len()).map(|_| f64::from(stream.uniform())).collect()
    }

    /// The last of several batch-norms, and something dropped where something can be.
    fn mode(&self, norm: NormMode) -> Mode {
        Mode { norm, branch: self.net.branches() - 1, drop: Some(Seed::root(3)) }
    }

    /// What the plain executor gives, in the order of [`PARTS`].
    fn answer(&self, n: usize, norm: NormMode) -> [Vec<f64>; 6] {
        self.answer_with(0.0, n, norm)
    }

    fn answer_with(&self, error: f64, n: usize, norm: NormMode) -> [Vec<f64>; 6] {
        let (images, mode) = (self.images(n), self.mode(norm));
        let (net, layout, state, mix) = (&self.net, &self.layout, &self.state[..], &self.mix[..]);
        let Answer { logits, loss, input, params, mix, state } =
            reference::run(&Call { net, layout, state, images: &images, n, mix, mode, error }, &loss);
        [logits, vec![loss], input, params, mix, state]
    }

    /// How far each part moves when every value and gradient errs by [`ERROR`] of itself: what rounding may do here.
    fn moved(&self, want: &[Vec<f64>; 6], n: usize, norm: NormMode) -> [f64; 6] {
        let found = self.answer_with(ERROR, n, norm);
        std::array::from_fn(|k| distance(&found[k], &want[k]))
    }

    fn network(&self, plan: Plan) -> Network {
        let seed = Seed::root(1);
        let network = Network::with(self.net.clone(), seed, &Device::Cpu, plan.dtype, plan.fusion).unwrap();
        let mut network = network.run_by(Cpu::widest().poisoned(true));
        let state = Tensor::from_slice(&self.state, self.state.len(), &Device::Cpu).unwrap();
        network.set_state(&state.to_dtype(plan.dtype).unwrap()).unwrap();
        network
    }

    /// What a plan gives, in the order of [`PARTS`]; what is not wanted is not there.
    fn run(&self, plan: Plan, n: usize, norm: NormMode) -> [Option<Vec<f64>>; 6] {
        let mut network = self.network(plan);
        let Shape { h, w, c } = self.net.input_shape();
        let x = Tensor::from_vec(self.images(n), (n, h, w, c), &Device::Cpu).unwrap().to_dtype(plan.dtype).unwrap();
        let mode = self.mode(norm);
        if plan.wrt == Wrt::NOTHING {
            let logits = network.logits(&x, &self.mix, mode).unwrap();
            let value = loss(&logits).value;
            return [Some(logits.values), Some(vec![value]), None, None, None, Some(numbers(network.state()))];
        }
        let g = network.gradients(&x, &self.mix, mode, plan.wrt, &loss).unwrap();
        let state = numbers(network.state());
        let (input, params) = (g.input.as_ref().map(numbers), g.params.as_ref().map(numbers));
        [Some(g.logits.values), Some(vec![g.loss]), input, params, g.mix, Some(state)]
    }

    /// Holds plans to the plain executor; returns how many there were.
    fn hold(&self, plans: &[Plan], n: usize, norm: NormMode) -> usize {
        let want = self.answer(n, norm);
        for plan in plans {
            let found = self.run(*plan, n, norm);
            let wanted = [true, true, plan.wrt.input, plan.wrt.params, plan.wrt.mix, true];
            for (k, part) in PARTS.iter().enumerate() {
                let tag = format!("{} {norm:?} batch {n} {plan:?}: {part}", self.name);
                assert_eq!(found[k].is_some(), wanted[k], "{tag}");
                let Some(found) = &found[k] else { continue };
                assert_eq!(found.len(), want[k].len(), "{tag}");
                let off = distance(found, &want[k]);
                let tolerance = tolerance(plan.dtype, n, part);
                if off > tolerance && plan.dtype == DType::F64 {
                    // A graph may be as ill-conditioned as it likes, and then no two orders of summing agree: it is held
                    // to what a rounding of 1e-15 does to it, as long as that says anything.
                    let rounding = 1e-2 * self.moved(&want, n, norm)[k];
                    assert!(
                        off <= rounding.min(1e-4),
                        "{tag} is off by {off:.1e}, and rounding moves it by {rounding:.1e}"
                    );
                } else {
                    assert!(off <= tolerance, "{tag} is off by {off:.1e}, more than {tolerance:.0e}");
                }
            }
        }
        plans.len()
    }

    /// The same bytes with one thread and with two.
    fn hold_threads(&self, plan: Plan, n: usize, norm: NormMode) {
        let [one, two] = [1, 2].map(|threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let found = pool.install(|| self.run(plan, n, norm));
            found.map(|part| part.map(|v| v.into_iter().map(f64::to_bits).collect::<Vec<_>>()))
        });
        assert!(one == two, "{} {norm:?} batch {n} {plan:?}: one thread and two", self.name);
    }

    /// Whether a batch-norm has planes of one pixel. Of two images it makes nearly the sign of their difference, block after
    /// block: what comes out at last is rounding.
    fn normalizes_pixels(&self) -> bool {
        let is = |op: &Op| matches!(op, Op::BatchNorm { .. } | Op::MultiBatchNorm { .. });
        self.net.nodes().any(|(_, node)| is(&node.op) && node.shape.area() == 1)
    }

    /// Subsets of what can be wanted; a network without choices has no mixing gradient.
    fn wanted(&self) -> Vec<Wrt> {
        let flags = |k: usize| [k & 1 > 0, k & 2 > 0, k & 4 > 0];
        let all = (0..8).map(flags).map(|[input, params, mix]| Wrt { input, params, mix });
        all.filter(|wrt| !wrt.mix || !self.mix.is_empty()).collect()
    }
}

/// A hundred times a rounding of 1e-15, so that what it moves stands clear of the plain executor's own.
const ERROR: f64 = 1e-13;

const PARTS: [&str; 6] = ["logits", "loss", "image gradient", "weight gradient", "mixing gradient", "state"];

/// Where few images have planes of few pixels, a batch-norm's variance is nearly zero and multiplies rounding, by up to 300 a
/// layer. In single precision, beside that, a kink of a ReLU may be taken from the other side, which moves a gradient by a
/// pixel's share. The faults that this file is for are of the size of what is computed.
fn tolerance(dtype: DType, n: usize, part: &str) -> f64 {
    match (dtype, n) {
        (DType::F64, 1..=3) => 1e-4,
        (DType::F64, _) => 1e-8,
        _ if part.ends_with("gradient") => 0.1,
        _ => 5e-3,
    }
}

/// The length of the difference, relative to that of what is wanted.
fn distance(found: &[f64], want: &[f64]) -> f64 {
    let length = |v: &mut dyn Iterator<Item = f64>| v.map(|x| x * x).sum::<f64>().sqrt();
    let off = length(&mut found.iter().zip(want).map(|(a, b)| a - b));
    // Not a number is not near.
    if off.is_nan() { f64::INFINITY } else { off / length(&mut want.iter().copied()).max(1e-3) }
}

fn numbers(t: &Tensor) -> Vec<f64> {
    t.flatten_all().unwrap().to_dtype(DType::F64).unwrap().to_vec1().unwrap()
}

/// A smooth loss that treats every logit differently: `sum a_i sin(z_i + i)`.
fn loss(logits: &Logits) -> LossGradient {
    let weight = |i: usize| 0.3 + 0.1 * (i % 7) as f64;
    let value = logits.values.iter().enumerate().map(|(i, z)| weight(i) * (z + i as f64).sin()).sum();
    let dlogits = logits.values.iter().enumerate().map(|(i, z)| weight(i) * (z + i as f64).cos()).collect();
    LossGradient { value, dlogits }
}

/// All rewrites, none, each alone and all but each.
fn fusions() -> Vec<Fusion> {
    let switches: [fn(&mut Fusion, bool); 5] = [
        |f, on| f.load = on,
        |f, on| f.separable = on,
        |f, on| f.norm = on,
        |f, on| f.sum = on,
        |f, on| f.winograd = on,
    ];
    let mut list = vec![Fusion::ALL, Fusion::NONE];
    for switch in switches {
        for (mut fusion, on) in [(Fusion::NONE, true), (Fusion::ALL, false)] {
            switch(&mut fusion, on);
            list.push(fusion);
        }
    }
    list
}

const MODES: [NormMode; 3] = [NormMode::Train, NormMode::TrainNoRecord, NormMode::Eval];
const BATCHES: [usize; 5] = [1, 2, 3, 17, 64];

/// Every plan at a batch that puts two images into a lane, and the other batches, single precision and threads with some plans.
///
/// A lane that has one image alone cannot show what images do to each other, which lanes of few images do.
fn hold_some(subject: &Subject) -> usize {
    let plan = |wrt, fusion, dtype| Plan { wrt, fusion, dtype };
    let wanted = subject.wanted();
    let everything = wanted[wanted.len() - 1];
    let mut seen = 0;
    let sets = wanted.iter().flat_map(|w| [Fusion::ALL, Fusion::NONE].map(|f| plan(*w, f, DType::F64)));
    let sets: Vec<Plan> = sets.collect();
    let rewrites: Vec<Plan> = fusions().into_iter().skip(2).map(|f| plan(everything, f, DType::F64)).collect();
    seen += subject.hold(&[&sets[..], &rewrites].concat(), 17, NormMode::TrainNoRecord);
    seen += subject.hold(&sets, 3, NormMode::Eval);
    let few = [
        plan(everything, Fusion::ALL, DType::F64),
        plan(everything, Fusion::NONE, DType::F64),
        plan(Wrt::INPUT, Fusion::ALL, DType::F64),
        plan(Wrt::NOTHING, Fusion::ALL, DType::F64),
    ];
    seen += subject.hold(&few, 20, NormMode::Train);
    seen += subject.hold(&[few[0], few[3]], 1, NormMode::Train);
    if !subject.normalizes_pixels() {
        seen += subject.hold(&[few[0], few[2]], 2, NormMode::TrainNoRecord);
    }
    let single = few.map(|p| Plan { dtype: DType::F32, ..p });
    seen += subject.hold(&single, 17, NormMode::TrainNoRecord);
    subject.hold_threads(single[0], 17, NormMode::Train);
    subject.hold_threads(single[2], 5, NormMode::TrainNoRecord);
    seen
}

/// The whole product.
fn hold_all(subject: &Subject) -> usize {
    let plans: Vec<Plan> = subject
        .wanted()
        .into_iter()
        .flat_map(|wrt| fusions().into_iter().map(move |fusion| (wrt, fusion)))
        .flat_map(|(wrt, fusion)| [DType::F64, DType::F32].map(|dtype| Plan { wrt, fusion, dtype }))
        .collect();
    let mut seen = 0;
    for (n, norm) in BATCHES.into_iter().flat_map(|n| MODES.map(|norm| (n, norm))) {
        if n == 2 && subject.normalizes_pixels() {
            continue;
        }
        seen += subject.hold(&plans, n, norm);
        plans.iter().step_by(7).for_each(|plan| subject.hold_threads(*plan, n, norm));
    }
    seen
}

/// On small images, but for those that halve them too often.
fn loaded(form: &str) -> Net {
    let [small, large] = [16, 32].map(|side| Shape::new(side, side, 3));
    load(form, small, CLASSES).or_else(|_| load(form, large, CLASSES)).unwrap_or_else(|why| panic!("{form}: {why}"))
}

fn hold_families(part: usize, parts: usize, hold: fn(&Subject) -> usize) {
    let forms = families::deep();
    assert_eq!(forms.len(), 43);
    for form in forms.iter().skip(part).step_by(parts) {
        let seen = hold(&Subject::new(form, loaded(form)));
        assert!(seen >= 30, "{form}: {seen} plans");
    }
}

#[test]
fn families_first_half() {
    hold_families(0, 2, hold_some);
}

#[test]
fn families_second_half() {
    hold_families(1, 2, hold_some);
}

#[test]
#[ignore = "every plan of every family takes an hour; `make prove` runs it"]
fn families_in_every_way() {
    hold_families(0, 1, hold_all);
}

/// The paper's cells: four nodes, every edge with seven operations.
fn cell_supernet(cells: usize, ops: &[CellOp], partial: usize) -> Net {
    let skeleton = Skeleton {
        image: Shape::new(12, 12, 3),
        classes: CLASSES,
        normalize: None,
        stem: 4,
        stem_kind: Default::default(),
        cells: Placement::dsara().row(2 * partial, cells).unwrap(),
    };
    supernet(&skeleton, &MixLayout { partial, ..layout(&DSARA_KINDS, 4, ops) }).unwrap()
}

#[test]
fn supernets() {
    for cells in [5, 8] {
        let seen =
            hold_some(&Subject::new(format!("supernet of {cells} cells"), cell_supernet(cells, &DARTS_OPS[1..], 1)));
        assert!(seen >= 50, "{seen} plans");
    }
}

#[test]
#[ignore = "every plan of the supernets takes half an hour; `make prove` runs it"]
fn supernets_in_every_way() {
    let [a, b] = [CellOp::None, CellOp::NorConv(3)];
    for (cells, ops, partial) in
        [(5, &DARTS_OPS[1..], 1), (8, &DARTS_OPS[1..], 1), (8, &[a, b, CellOp::Conv7x1_1x7][..], 2)]
    {
        hold_all(&Subject::new(format!("supernet of {cells} cells"), cell_supernet(cells, ops, partial)));
    }
}

/// What a random graph is made of: an operation on some earlier node, chosen by number.
#[derive(Clone, Debug)]
struct Draw {
    what: u8,
    from: usize,
    other: usize,
}

/// A graph of whatever fits: every draw adds a node that reads an earlier one, or two of one shape.
fn random_graph(draws: &[Draw]) -> Net {
    let mut net = Net::new();
    let mut weights = 0;
    let mut ids = vec![net.add("image", Op::Input { shape: Shape::new(8, 8, 3) }, &[]).unwrap()];
    let conv = |out, window, groups| Op::Conv2d { out, window, groups, bias: false };
    for (i, Draw { what, from, other }) in draws.iter().enumerate() {
        // Recent nodes more often, so that graphs grow deep.
        let x = ids[ids.len() - 1 - from % ids.len().min(4)];
        let shape = net.node(x).shape;
        let alike: Vec<NodeId> = ids.iter().copied().filter(|id| net.node(*id).shape == shape && *id != x).collect();
        let second = alike.get(other % alike.len().max(1)).copied();
        let halves = shape.h > 2;
        let op = match what % 14 {
            0 | 1 => conv(4, Window::square(3, 1, 1), 1),
            2 => conv(6, Window::square(1, 1, 0), 1),
            3 if halves => conv(4, Window::square(3, 2, 1), 1),
            4 => conv(shape.c, Window::square(3, 1, 1), shape.c),
            5 | 6 => Op::BatchNorm { affine: true },
            7 => Op::BatchNorm { affine: false },
            8 | 9 => Op::Act { act: Act::Relu },
            10 => Op::MaxPool { window: Window::square(3, 1, 1) },
            11 if halves => Op::AvgPool { window: Window::square(3, 2, 1), count_include_pad: false },
            12 => Op::Act { act: Act::Silu },
            _ => Op::Add,
        };
        let reads = match (&op, second) {
            (Op::Add, Some(y)) => vec![x, y],
            (Op::Add, None) => continue,
            _ => vec![x],
        };
        let op = match op {
            // Every other sum is a mixed one.
            Op::Add if other % 2 == 0 => {
                weights += 2;
                Op::MixedSum { weights: vec![weights - 2, weights - 1] }
            }
            op => op,
        };
        ids.push(net.add(format!("node{i}"), op, &reads).unwrap());
    }
    let last = ids[ids.len() - 1];
    let pool = net.add("pool", Op::GlobalAvgPool, &[last]).unwrap();
    net.add("fc", Op::Linear { out: CLASSES, bias: true }, &[pool]).unwrap();
    net
}

proptest! {
    // The same graphs in every run: a fault that shows once in a hundred runs is one that nobody can go after.
    #![proptest_config(ProptestConfig {
        cases: 48,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(1),
        ..ProptestConfig::default()
    })]
    #[test]
    fn random_graphs(
        draws in prop::collection::vec((0u8..14, 0usize..8, 0usize..8), 8..60),
        n in prop_oneof![1usize..9, 17usize..50],
        wanted in 0usize..8,
        rewrite in 0usize..12,
    ) {
        let draws: Vec<Draw> = draws.into_iter().map(|(what, from, other)| Draw { what, from, other }).collect();
        let subject = Subject::new("random graph", random_graph(&draws));
        let choices = subject.wanted();
        let wrt = [choices[choices.len() - 1], choices[wanted % choices.len()]];
        let fusion = [Fusion::NONE, Fusion::ALL, fusions()[rewrite]];
        let plans: Vec<Plan> = wrt
            .into_iter()
            .flat_map(|wrt| fusion.map(|fusion| Plan { wrt, fusion, dtype: DType::F64 }))
            .collect();
        subject.hold(&plans, n, NormMode::Train);
        subject.hold(&plans, n, NormMode::Eval);
    }
}
