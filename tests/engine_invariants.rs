//! What holds for every network whatever its numbers are: no dependence on threads, batches or fusion, no hidden state,
//! and refusals in words.

use candle_core::{DType, Device, Tensor};
use robustnas::arch::cell::{CellOp, lower};
use robustnas::arch::families::preact::PreAct;
use robustnas::arch::net::Net;
use robustnas::arch::op::{Op, Shape, Window};
use robustnas::engine::{Fusion, Gradients, Logits, LossGradient, Network, NormMode, Wrt};
use robustnas::error::Error;
use robustnas::seed::Seed;

#[path = "fixtures/elements.rs"]
mod elements;

const ALL: Wrt = Wrt { input: true, params: true, mix: true };
const IMAGE: Shape = Shape::new(8, 8, 3);
const MODES: [NormMode; 3] = [NormMode::Train, NormMode::TrainNoRecord, NormMode::Eval];

/// A residual network, one whose body mixes every cell operation at both strides, and one of everything else.
fn nets() -> [(&'static str, Net); 3] {
    let residual = PreAct::basic(4, [(1, 4), (1, 8)]).lower(IMAGE, 4);
    let mut net = Net::new();
    let image = net.add("image", Op::Input { shape: IMAGE }, &[]).unwrap();
    let mut at = lower(&mut net, "stem", CellOp::NorConv(3), image, 1, true, false).unwrap();
    // An even number of channels, as a factorised reduction wants.
    let window = Window::square(1, 1, 0);
    at = net.add("widen", Op::Conv2d { out: 6, window, groups: 1, bias: false }, &[at]).unwrap();
    let ops = [
        CellOp::None,
        CellOp::MaxPool(3),
        CellOp::AvgPool(3),
        CellOp::SkipConnect,
        CellOp::SepConv(3),
        CellOp::SepConv(5),
        CellOp::DilConv(3),
        CellOp::DilConv(5),
        CellOp::Conv7x1_1x7,
    ];
    for stride in [1, 2] {
        let terms: Vec<_> = ops
            .iter()
            .map(|op| lower(&mut net, &format!("mix{stride}.{op}"), *op, at, stride, false, true).unwrap())
            .collect();
        let weights = (0..terms.len()).collect();
        at = net.add(format!("mix{stride}"), Op::MixedSum { weights }, &terms).unwrap();
    }
    at = net.add("pool", Op::GlobalAvgPool, &[at]).unwrap();
    net.add("fc", Op::Linear { out: 4, bias: true }, &[at]).unwrap();
    [("residual", residual.unwrap()), ("mixed", net), ("elements", elements::net(IMAGE, 4))]
}

fn mix(net: &Net) -> Vec<f64> {
    (0..net.mix_len()).map(|i| 0.05 + 0.02 * i as f64).collect()
}

/// A network whose running statistics are not the fresh ones.
fn network(net: &Net, fusion: Fusion) -> Network {
    let mut network = Network::with(net.clone(), Seed::root(3), &Device::Cpu, DType::F32, fusion).unwrap();
    for k in 0..3 {
        network.logits(&batch(8, 90 + k), &mix(net), NormMode::Train).unwrap();
    }
    network
}

fn batch(n: usize, seed: u64) -> Tensor {
    let mut stream = Seed::root(seed).stream();
    let pixels: Vec<f32> = (0..n * IMAGE.len()).map(|_| stream.uniform()).collect();
    Tensor::from_vec(pixels, (n, IMAGE.h, IMAGE.w, IMAGE.c), &Device::Cpu).unwrap()
}

/// A sum over images, so that an image's gradient does not know its batch.
fn loss(logits: &Logits) -> LossGradient {
    let weight = |i: usize| 0.3 + 0.1 * (i % logits.classes) as f64;
    let value = logits.values.iter().enumerate().map(|(i, z)| weight(i) * z.sin()).sum();
    let dlogits = logits.values.iter().enumerate().map(|(i, z)| weight(i) * z.cos()).collect();
    LossGradient { value, dlogits }
}

fn numbers(t: &Tensor) -> Vec<f32> {
    t.flatten_all().unwrap().to_vec1().unwrap()
}

/// Bits, so that equality means the same bytes and not two zeros of different sign.
fn bits(t: &Tensor) -> Vec<u32> {
    numbers(t).into_iter().map(f32::to_bits).collect()
}

fn all_bits(g: &Gradients) -> (Vec<u64>, Vec<u32>, Vec<u32>, Vec<u64>) {
    let wide = |v: &[f64]| v.iter().map(|x| x.to_bits()).collect();
    let (input, params) = (g.input.as_ref().unwrap(), g.params.as_ref().unwrap());
    (wide(&g.logits.values), bits(input), bits(params), wide(g.mix.as_ref().unwrap()))
}

#[test]
fn the_number_of_threads_changes_no_byte() {
    for (name, net) in nets() {
        for mode in MODES {
            let found: Vec<_> = [1, 2, 3]
                .map(|threads| {
                    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                    pool.install(|| {
                        let mut network = network(&net, Fusion::ALL);
                        let g = network.gradients(&batch(19, 1), &mix(&net), mode, ALL, &loss).unwrap();
                        (all_bits(&g), bits(network.state()))
                    })
                })
                .into();
            assert!(found[0] == found[1] && found[0] == found[2], "{name} {mode:?}");
        }
    }
}

#[test]
fn only_train_touches_the_state_and_only_the_running_part() {
    for (name, net) in nets() {
        for mode in MODES {
            let mut network = network(&net, Fusion::ALL);
            let before = bits(network.state());
            network.logits(&batch(5, 1), &mix(&net), mode).unwrap();
            network.gradients(&batch(5, 2), &mix(&net), mode, ALL, &loss).unwrap();
            let after = bits(network.state());
            let trainable = network.layout().trainable();
            assert_eq!(before[..trainable], after[..trainable], "{name} {mode:?}");
            for t in network.layout().tensors() {
                let changed = before[t.range.clone()] != after[t.range.clone()];
                let running = t.name.contains("running_");
                if t.name.ends_with("running_amplitude") {
                    // Those of the weights, which stand still.
                    continue;
                }
                assert_eq!(changed, running && mode == NormMode::Train, "{name} {mode:?}: {}", t.name);
            }
        }
    }
}

/// Train and TrainNoRecord compute the same; a forward pass leaves nothing behind that a later one could see.
#[test]
fn calls_do_not_depend_on_earlier_calls() {
    for (name, net) in nets() {
        let mix = mix(&net);
        let mut fresh = network(&net, Fusion::ALL);
        let alone = all_bits(&fresh.gradients(&batch(4, 1), &mix, NormMode::TrainNoRecord, ALL, &loss).unwrap());
        let mut used = network(&net, Fusion::ALL);
        used.gradients(&batch(9, 7), &mix, NormMode::Eval, ALL, &loss).unwrap();
        used.gradients(&batch(2, 8), &mix, NormMode::TrainNoRecord, Wrt::INPUT, &loss).unwrap();
        let later = all_bits(&used.gradients(&batch(4, 1), &mix, NormMode::TrainNoRecord, ALL, &loss).unwrap());
        assert!(alone == later, "{name}");
        let recorded = all_bits(&used.gradients(&batch(4, 1), &mix, NormMode::Train, ALL, &loss).unwrap());
        assert!(alone == recorded, "{name}");
    }
}

/// The parts are views into the batch's memory, not copies: a network must not read from the beginning of the memory.
#[test]
fn an_evaluation_does_not_depend_on_how_the_batch_is_cut() {
    for (name, net) in nets() {
        let mix = mix(&net);
        let mut network = network(&net, Fusion::ALL);
        let whole = batch(6, 1);
        let at_once = network.gradients(&whole, &mix, NormMode::Eval, ALL, &loss).unwrap();
        let (mut logits, mut input) = (Vec::new(), Vec::new());
        let mut params = vec![0.0; network.layout().trainable()];
        for (from, len) in [(0, 1), (1, 3), (4, 2)] {
            let part = whole.narrow(0, from, len).unwrap();
            let g = network.gradients(&part, &mix, NormMode::Eval, ALL, &loss).unwrap();
            assert_eq!(g.logits, network.logits(&part, &mix, NormMode::Eval).unwrap(), "{name}");
            logits.extend(g.logits.values);
            input.extend(bits(&g.input.unwrap()));
            for (sum, v) in params.iter_mut().zip(numbers(&g.params.unwrap())) {
                *sum += v;
            }
        }
        assert_eq!(logits, at_once.logits.values, "{name}: logits");
        assert!(input == bits(&at_once.input.unwrap()), "{name}: image gradients");
        check_close(&format!("{name}: weight gradients"), &params, &numbers(&at_once.params.unwrap()));
    }
}

#[test]
fn a_state_may_be_a_view() {
    let [(_, net), ..] = nets();
    let mut network = network(&net, Fusion::ALL);
    let state = network.state().copy().unwrap();
    let before = network.logits(&batch(3, 1), &[], NormMode::Eval).unwrap();
    let padded = Tensor::cat(&[&state.zeros_like().unwrap(), &state], 0).unwrap();
    network.set_state(&padded.narrow(0, state.elem_count(), state.elem_count()).unwrap()).unwrap();
    assert_eq!(network.logits(&batch(3, 1), &[], NormMode::Eval).unwrap(), before);
}

/// Of one image too: what a call returned stays what it was while the network works on.
#[test]
fn later_calls_do_not_change_earlier_results() {
    for (name, net) in nets() {
        let mut network = network(&net, Fusion::ALL);
        for n in [1, 3] {
            let g = network.gradients(&batch(n, 1), &mix(&net), NormMode::Train, ALL, &loss).unwrap();
            let before = all_bits(&g);
            network.gradients(&batch(n, 2), &mix(&net), NormMode::Train, ALL, &loss).unwrap();
            assert!(before == all_bits(&g), "{name}: batch of {n}");
        }
    }
}

/// A gradient is as large as what it holds: not a window into the memory of the whole pass.
#[test]
fn a_weight_gradient_owns_its_memory_alone() {
    let [(_, net), ..] = nets();
    let mut network = network(&net, Fusion::ALL);
    let g = network.gradients(&batch(3, 1), &[], NormMode::Train, Wrt::PARAMS, &loss).unwrap();
    let params = g.params.unwrap();
    let (storage, _) = params.storage_and_layout();
    let candle_core::Storage::Cpu(storage) = &*storage else { panic!("not on the host") };
    assert_eq!(storage.as_slice::<f32>().unwrap().len(), network.layout().trainable());
}

#[test]
fn wrong_shapes_are_refused_in_words() {
    let [(_, residual), (_, mixed), _] = nets();
    let cpu = &Device::Cpu;
    let mut n = network(&residual, Fusion::ALL);
    for dims in [vec![2, 8, 8], vec![2, 8, 8, 4], vec![2, 3, 8, 8], vec![2, 8, 7, 3], vec![0, 8, 8, 3], vec![192]] {
        let x = Tensor::zeros(dims.as_slice(), DType::F32, cpu).unwrap();
        for mode in MODES {
            let refused = n.logits(&x, &[], mode);
            assert!(matches!(&refused, Err(Error::Net(m)) if m.contains("[n, 8, 8, 3]")), "{dims:?}: {refused:?}");
            assert!(matches!(n.gradients(&x, &[], mode, ALL, &loss), Err(Error::Net(_))), "{dims:?}");
        }
    }
    let before = bits(n.state());
    let len = n.layout().len();
    for state in [Tensor::zeros(len + 1, DType::F32, cpu), Tensor::zeros(len, DType::F64, cpu)] {
        assert!(matches!(n.set_state(&state.unwrap()), Err(Error::Net(_))));
    }
    assert_eq!(bits(n.state()), before);
    let mut n = network(&mixed, Fusion::ALL);
    let short = &mix(&mixed)[1..];
    assert!(matches!(n.logits(&batch(2, 1), short, NormMode::Eval), Err(Error::Net(_))));
}

#[test]
fn a_loss_that_is_no_number_is_refused() {
    let [(_, net), ..] = nets();
    let mut n = network(&net, Fusion::ALL);
    for value in [f64::NAN, f64::INFINITY] {
        let bad = |z: &Logits| LossGradient { value, dlogits: vec![0.0; z.values.len()] };
        let refused = n.gradients(&batch(2, 1), &[], NormMode::TrainNoRecord, ALL, &bad);
        assert!(matches!(refused, Err(Error::NotFinite(_))), "{value}");
    }
    let weights = n.weights().unwrap();
    n.set_weights(&(weights * f64::NAN).unwrap()).unwrap();
    let refused = n.gradients(&batch(2, 1), &[], NormMode::TrainNoRecord, ALL, &loss);
    assert!(matches!(refused, Err(Error::NotFinite(_))), "weights that are no numbers");
}

fn check_close(what: &str, a: &[f32], b: &[f32]) {
    let largest = b.iter().fold(0f32, |m, v| m.max(v.abs()));
    assert!(a.len() == b.len() && largest > 0.0, "{what}");
    for (i, (a, b)) in a.iter().zip(b).enumerate() {
        assert!((a - b).abs() <= 1e-5 * largest, "{what}[{i}]: {a} against {b}, the largest is {largest}");
    }
}

/// Every rewrite alone, all but one, and all.
fn fusions() -> Vec<(String, Fusion)> {
    type Switch = fn(&mut Fusion, bool);
    let switches: [(&str, Switch); 5] = [
        ("load", |f, on| f.load = on),
        ("separable", |f, on| f.separable = on),
        ("norm", |f, on| f.norm = on),
        ("sum", |f, on| f.sum = on),
        ("winograd", |f, on| f.winograd = on),
    ];
    let mut list = vec![("all".to_string(), Fusion::ALL)];
    for (name, switch) in switches {
        for (how, base, on) in [("only", Fusion::NONE, true), ("all but", Fusion::ALL, false)] {
            let mut fusion = base;
            switch(&mut fusion, on);
            list.push((format!("{how} {name}"), fusion));
        }
    }
    list
}

#[test]
fn fused_and_plain_plans_agree() {
    for (name, net) in nets() {
        for (mode, (fused, fusion)) in MODES.into_iter().flat_map(|m| fusions().into_iter().map(move |f| (m, f))) {
            let plain = network(&net, Fusion::NONE).state().copy().unwrap();
            let [a, b] = [Fusion::NONE, fusion].map(|fusion| {
                let mut n = network(&net, fusion);
                n.set_state(&plain).unwrap();
                let g = n.gradients(&batch(5, 1), &mix(&net), mode, ALL, &loss).unwrap();
                let narrow = |v: &[f64]| v.iter().map(|x| *x as f32).collect::<Vec<_>>();
                [
                    narrow(&g.logits.values),
                    numbers(&g.input.unwrap()),
                    numbers(&g.params.unwrap()),
                    numbers(n.state()),
                    // A network without choices has no such gradient; compare something all the same.
                    [narrow(&g.mix.unwrap()), vec![1.0]].concat(),
                ]
            });
            for (k, what) in ["logits", "image", "weights", "state", "mix"].iter().enumerate() {
                check_close(&format!("{name} {mode:?} {fused} {what}"), &b[k], &a[k]);
            }
        }
    }
}
