//! Every operation, alone and in company, against central differences in double precision: the gradient of the image,
//! of every parameter and of the mixing vector, in every batch-norm mode, with and without fused kernels.

use std::ops::Range;

use candle_core::{DType, Device, Tensor};
use robustnas::arch::cell::CellOp;
use robustnas::arch::families::cells::{MixLayout, Placement, Skeleton, supernet};
use robustnas::arch::families::preact::PreAct;
use robustnas::arch::net::Net;
use robustnas::arch::op::{Op, Shape, Window};
use robustnas::engine::{Fusion, Logits, LossGradient, Mode, Network, NormMode, Wrt};
use robustnas::seed::Seed;

#[path = "fixtures/cells.rs"]
mod cells;

use cells::{DARTS_OPS, DSARA_KINDS, layout};

const ALL: Wrt = Wrt { input: true, params: true, mix: true };

/// A smooth loss that treats every logit differently: `sum a_i sin(z_i + i)`.
fn loss(logits: &Logits) -> LossGradient {
    let weight = |i: usize| 0.3 + 0.1 * (i % 7) as f64;
    let value = logits.values.iter().enumerate().map(|(i, z)| weight(i) * (z + i as f64).sin()).sum();
    let dlogits = logits.values.iter().enumerate().map(|(i, z)| weight(i) * (z + i as f64).cos()).collect();
    LossGradient { value, dlogits }
}

fn image(n: usize, shape: Shape, seed: u64) -> Vec<f64> {
    let mut s = Seed::root(seed).stream();
    (0..n * shape.len()).map(|_| f64::from(s.normal())).collect()
}

struct Subject {
    network: Network,
    shape: Shape,
    n: usize,
    mode: Mode,
}

impl Subject {
    fn tensor(&self, x: &[f64]) -> Tensor {
        Tensor::from_slice(x, (self.n, self.shape.h, self.shape.w, self.shape.c), &Device::Cpu).unwrap()
    }

    fn value(&mut self, x: &[f64], mix: &[f64]) -> f64 {
        let x = self.tensor(x);
        loss(&self.network.logits(&x, mix, self.mode).unwrap()).value
    }
}

/// Compares a gradient with central differences of fourth order at some places, chosen by a fixed stride.
fn check(what: &str, grad: &[f64], mut value_at: impl FnMut(usize, f64) -> f64) {
    const H: f64 = 1e-5;
    let stride = (grad.len() / 60).max(1);
    for i in (0..grad.len()).step_by(stride) {
        let mut across = |h: f64| value_at(i, h) - value_at(i, -h);
        let numeric = (8.0 * across(H) - across(2.0 * H)) / (12.0 * H);
        let tolerance = 1e-6 * (1.0 + numeric.abs().max(grad[i].abs()));
        assert!((numeric - grad[i]).abs() < tolerance, "{what}[{i}]: {} against {numeric}", grad[i]);
    }
}

fn check_net(name: &str, net: Net, n: usize) {
    for fusion in [Fusion::ALL, Fusion::NONE] {
        for norm in [NormMode::TrainNoRecord, NormMode::Eval] {
            // The last of several batch-norms, and the same entries dropped in every call.
            let mode = Mode { norm, branch: net.branches() - 1, drop: Some(Seed::root(3)) };
            let shape = net.input_shape();
            let mix_len = net.mix_len();
            let seed = Seed::root(5);
            let network = Network::with(net.clone(), seed, &Device::Cpu, DType::F64, fusion).unwrap();
            let mut s = Subject { network, shape, n, mode };
            // Fresh running statistics are 0 and 1, fresh scales 1 and shifts 0; move them to places that matter.
            let trainable = s.network.layout().trainable();
            let mut state: Vec<f64> = s.network.state().to_vec1().unwrap();
            let mut noise = seed.child("noise").stream();
            for (i, v) in state.iter_mut().enumerate() {
                *v =
                    if i < trainable { *v + 0.1 * f64::from(noise.normal()) } else { 0.5 + f64::from(noise.uniform()) };
            }
            let len = state.len();
            let set = |s: &mut Subject, v: &[f64]| {
                s.network.set_state(&Tensor::from_slice(v, len, &Device::Cpu).unwrap()).unwrap();
            };
            set(&mut s, &state);
            let x = image(n, shape, 1);
            let mix: Vec<f64> = (0..mix_len).map(|i| 0.2 + 0.05 * i as f64).collect();
            let tag = format!("{name} {norm:?} {fusion:?}");

            let xt = s.tensor(&x);
            let g = s.network.gradients(&xt, &mix, mode, ALL, &loss).unwrap();
            let dx: Vec<f64> = g.input.unwrap().flatten_all().unwrap().to_vec1().unwrap();
            let dw: Vec<f64> = g.params.unwrap().to_vec1().unwrap();
            let dm = g.mix.unwrap();
            check(&format!("{tag}: image"), &dx, |i, h| {
                let mut x = x.clone();
                x[i] += h;
                s.value(&x, &mix)
            });
            let detached = detached(&s.network, norm);
            check(&format!("{tag}: weights"), &dw, |i, h| {
                if detached.iter().any(|range| range.contains(&i)) {
                    return h * dw[i];
                }
                let mut v = state.clone();
                v[i] += h;
                set(&mut s, &v);
                s.value(&x, &mix)
            });
            set(&mut s, &state);
            check(&format!("{tag}: mix"), &dm, |i, h| {
                let mut mix = mix.clone();
                mix[i] += h;
                s.value(&x, &mix)
            });
            // What is not wanted is not there, and leaving it out changes nothing that is.
            for wrt in [Wrt::INPUT, Wrt::PARAMS, Wrt::MIX] {
                let part = s.network.gradients(&xt, &mix, mode, wrt, &loss).unwrap();
                assert_eq!(part.input.is_some(), wrt.input);
                let close =
                    |a: &[f64], b: &[f64]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-12 * (1.0 + b.abs()));
                if let Some(v) = part.input {
                    assert!(close(&v.flatten_all().unwrap().to_vec1::<f64>().unwrap(), &dx), "{tag}: {wrt:?}");
                }
                if let Some(v) = part.params {
                    assert!(close(&v.to_vec1::<f64>().unwrap(), &dw), "{tag}: {wrt:?}");
                }
                if let Some(v) = part.mix {
                    assert!(close(&v, &dm), "{tag}: {wrt:?}");
                }
            }
        }
    }
}

/// The weights whose gradient is by definition not that of the value: ConvNorm's, through the amplitudes of a batch.
fn detached(network: &Network, norm: NormMode) -> Vec<Range<usize>> {
    let (net, layout) = (network.net(), network.layout());
    let is = |op: &Op| matches!(op, Op::ConvNorm { .. }) && norm != NormMode::Eval;
    net.nodes().filter(|(_, node)| is(&node.op)).map(|(id, _)| layout.whole(id)).collect()
}

/// An operation between a linear layer in front (so that its inputs differ) and a head behind.
fn around(op: &Op, inputs: &[Shape]) -> Net {
    let mut net = Net::new();
    let largest = inputs.iter().copied().max_by_key(|s| s.area()).unwrap_or(Shape::new(4, 4, 3));
    let front = if largest.area() == 1 { Shape::new(3, 3, 2) } else { Shape { c: 3, ..largest } };
    let image = net.add("image", Op::Input { shape: front }, &[]).unwrap();
    let feeds: Vec<_> = inputs
        .iter()
        .enumerate()
        .map(|(i, s)| {
            let conv = Op::Conv2d { out: s.c, window: Window::square(1, 1, 0), groups: 1, bias: true };
            let id = net.add(format!("feed{i}"), conv, &[image]).unwrap();
            if s.area() == 1 { net.add(format!("pool{i}"), Op::GlobalAvgPool, &[id]).unwrap() } else { id }
        })
        .collect();
    let out = if matches!(op, Op::Input { .. }) { image } else { net.add("op", op.clone(), &feeds).unwrap() };
    // Squaring is not an operation, so a second normalised path makes the head's input depend on products.
    let norm = net.add("norm", Op::BatchNorm { affine: true }, &[out]).unwrap();
    let sum = net.add("sum", Op::Add, &[out, norm]).unwrap();
    let pool = net.add("tail", Op::GlobalAvgPool, &[sum]).unwrap();
    net.add("fc", Op::Linear { out: 3, bias: true }, &[pool]).unwrap();
    net
}

#[test]
fn every_operation() {
    for (i, (op, inputs)) in Op::each().iter().enumerate() {
        check_net(&format!("{i}:{}", op.name()), around(op, inputs), 3);
    }
}

#[test]
fn a_residual_network() {
    let net = PreAct::basic(4, [(1, 4), (2, 6)]).lower(Shape::new(8, 8, 3), 4);
    check_net("preact", net.unwrap(), 3);
}

/// Wide enough for Winograd tiles, and a size that does not fill the last of them.
#[test]
fn a_network_in_winograd_tiles() {
    let net = PreAct::basic(16, [(1, 16), (1, 16)]).lower(Shape::new(6, 6, 3), 3);
    check_net("winograd", net.unwrap(), 2);
}

#[test]
fn a_supernet_with_every_cell_operation() {
    let ops = [&DARTS_OPS[..], &[CellOp::NorConv(3), CellOp::Conv7x1_1x7]].concat();
    let placement = Placement::dsara();
    for (partial, channels) in [(1, 2), (2, 4)] {
        let skeleton = Skeleton {
            image: Shape::new(8, 8, 3),
            classes: 3,
            normalize: None,
            stem: 4,
            stem_kind: Default::default(),
            cells: placement.row(channels, 5).unwrap(),
        };
        let layout = MixLayout { partial, ..layout(&DSARA_KINDS, 2, &ops) };
        check_net(&format!("supernet, 1 in {partial}"), supernet(&skeleton, &layout).unwrap(), 2);
    }
}
