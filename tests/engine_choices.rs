//! What a call of a network chooses: which of several batch-norms, and what is dropped at random.

use candle_core::{DType, Device, Tensor};
use robustnas::arch::net::Net;
use robustnas::arch::op::{Op, Shape, Window};
use robustnas::engine::{Fusion, Logits, LossGradient, Mode, Network, NormMode, Wrt};
use robustnas::seed::Seed;

const IMAGE: Shape = Shape::new(4, 4, 3);

/// Image, convolution, an operation, and every entry of its output as a logit's share.
fn net(op: Op) -> Net {
    let mut net = Net::new();
    let image = net.add("image", Op::Input { shape: IMAGE }, &[]).unwrap();
    let conv = Op::Conv2d { out: 8, window: Window::square(3, 1, 1), groups: 1, bias: true };
    let conv = net.add("conv", conv, &[image]).unwrap();
    let op = net.add("op", op, &[conv]).unwrap();
    let pool = net.add("pool", Op::GlobalAvgPool, &[op]).unwrap();
    net.add("fc", Op::Linear { out: 5, bias: true }, &[pool]).unwrap();
    net
}

fn network(op: Op) -> Network {
    Network::with(net(op), Seed::root(2), &Device::Cpu, DType::F64, Fusion::ALL).unwrap()
}

fn batch(n: usize) -> Tensor {
    let mut stream = Seed::root(8).stream();
    let pixels: Vec<f64> = (0..n * IMAGE.len()).map(|_| f64::from(stream.uniform())).collect();
    Tensor::from_vec(pixels, (n, IMAGE.h, IMAGE.w, IMAGE.c), &Device::Cpu).unwrap()
}

fn dropping(seed: u64) -> Mode {
    Mode { norm: NormMode::TrainNoRecord, branch: 0, drop: Some(Seed::root(seed)) }
}

#[test]
fn without_a_seed_nothing_is_dropped() {
    let mut plain = network(Op::Scale { init: 1.0 });
    let expected = plain.logits(&batch(3), &[], NormMode::Eval).unwrap();
    for op in [Op::Dropout { rate: 0.5 }, Op::StochasticDepth { rate: 0.5 }] {
        let mut network = network(op.clone());
        assert_eq!(network.logits(&batch(3), &[], NormMode::Eval).unwrap(), expected);
        assert_ne!(network.logits(&batch(3), &[], dropping(1)).unwrap(), expected, "{op:?}");
    }
}

#[test]
fn the_seed_decides_what_is_dropped_for_any_number_of_threads() {
    for op in [Op::Dropout { rate: 0.4 }, Op::StochasticDepth { rate: 0.4 }] {
        let found: Vec<Logits> = [1, 3]
            .map(|threads| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                pool.install(|| network(op.clone()).logits(&batch(9), &[], dropping(7)).unwrap())
            })
            .into();
        assert_eq!(found[0], found[1], "{op:?}");
        assert_ne!(network(op.clone()).logits(&batch(9), &[], dropping(8)).unwrap(), found[0], "{op:?}");
    }
}

/// The share of what is dropped is the rate, whole images under stochastic depth, and the rest makes up for it.
#[test]
fn rates_are_kept_in_the_mean() {
    let mut entries = network(Op::Dropout { rate: 0.25 });
    let ones = |z: &Logits| LossGradient { value: z.values.iter().sum(), dlogits: vec![1.0; z.values.len()] };
    // The gradient of the bias in front of the drop counts what passes: 400 images of 16 pixels.
    let bias_gradient = |network: &mut Network, mode: Mode| -> Vec<f64> {
        let found = network.gradients(&batch(400), &[], mode, Wrt::PARAMS, &ones).unwrap();
        let at = network.layout().tensors().iter().find(|t| t.name == "conv.bias").unwrap().range.clone();
        found.weights().unwrap().to_vec1::<f64>().unwrap()[at].to_vec()
    };
    let all = bias_gradient(&mut network(Op::Scale { init: 1.0 }), NormMode::TrainNoRecord.into());
    for (some, all) in bias_gradient(&mut entries, dropping(1)).iter().zip(&all) {
        assert!((some / all - 1.0).abs() < 0.03, "{some} of {all}");
    }
    let mut images = network(Op::StochasticDepth { rate: 0.25 });
    let logits = images.logits(&batch(400), &[], dropping(1)).unwrap();
    let bias = network(Op::Scale { init: 0.0 }).logits(&batch(1), &[], NormMode::Eval).unwrap();
    let dropped = logits.rows().filter(|row| **row == bias.values).count();
    assert!((70..130).contains(&dropped), "{dropped} of 400");
}

#[test]
fn branches_know_nothing_of_each_other() {
    let mut network = network(Op::MultiBatchNorm { branches: 2 });
    let branch = |norm, branch| Mode { norm, branch, drop: None };
    let state = |network: &Network| network.state().to_vec1::<f64>().unwrap();
    let before = (state(&network), network.logits(&batch(6), &[], branch(NormMode::Eval, 0)).unwrap());
    network.logits(&batch(6), &[], branch(NormMode::Train, 1)).unwrap();
    assert_eq!(network.logits(&batch(6), &[], branch(NormMode::Eval, 0)).unwrap(), before.1);
    let after = state(&network);
    for tensor in network.layout().tensors() {
        let changed = before.0[tensor.range.clone()] != after[tensor.range.clone()];
        assert_eq!(changed, tensor.name.starts_with("op.1."), "{}", tensor.name);
    }
    let why = network.logits(&batch(6), &[], branch(NormMode::Eval, 2)).unwrap_err().to_string();
    assert!(why.contains("branch 2") && why.contains('2'), "{why}");
}
