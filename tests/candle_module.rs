//! Networks as modules of candle: the logits and the pixels' gradients are those of the engine.

use std::collections::HashMap;
use std::path::Path;

use candle_core::{DType, Device, Tensor, Var};
use candle_nn::{Module, ModuleT, VarBuilder};
use robustnas::arch::file::ArchFile;
use robustnas::arch::net::Net;
use robustnas::arch::op::{Op, Shape, Window};
use robustnas::engine::{Logits, LossGradient, Mode, Network, NormMode, Wrt};
use robustnas::model::candle::CandleNet;
use robustnas::model::layout::Layout;
use robustnas::model::weights;
use robustnas::seed::Seed;

#[path = "fixtures/around.rs"]
mod around;
#[path = "fixtures/families.rs"]
mod families;

use around::{apart, around, network, pixels};

const IMAGES: usize = 3;

const DEVICE: Device = Device::Cpu;

/// Every operation that is not an input and that a module can have.
fn operations() -> Vec<(String, Net)> {
    let list = Op::each().into_iter().enumerate();
    let list = list.filter(|(_, (op, inputs))| !inputs.is_empty() && !matches!(op, Op::MixedSum { .. }));
    list.map(|(i, (op, inputs))| (format!("{i} {}", op.name()), around(&op, &inputs))).collect()
}

/// Windows that candle's own layers do not have, beyond those of [`Op::each`].
fn windows() -> Vec<(String, Net)> {
    let uneven = |kernel, stride, pad, dilation| Window { kernel, stride, pad, dilation };
    let list = [
        uneven([3, 1], [2, 1], [1, 0], [1, 1]),
        uneven([3, 2], [1, 1], [2, 0], [1, 2]),
        uneven([2, 3], [2, 3], [1, 1], [2, 1]),
        uneven([3, 3], [3, 3], [0, 0], [1, 1]),
    ];
    let x = Shape::new(9, 7, 4);
    let mut cases = Vec::new();
    for (i, window) in list.into_iter().enumerate() {
        let conv = |groups| Op::Conv2d { out: 4, window, groups, bias: true };
        let mut ops = vec![conv(1), conv(2)];
        if (0..2).all(|a| 2 * window.pad[a] <= window.kernel[a]) {
            ops.push(Op::MaxPool { window });
            ops.extend([true, false].map(|count_include_pad| Op::AvgPool { window, count_include_pad }));
        }
        cases.extend(ops.iter().map(|op| (format!("window {i} {}", op.name()), around(op, &[x]))));
    }
    let conv_norm = |window| around(&Op::ConvNorm { out: 3, window }, &[x]);
    cases.push(("strided conv_norm of one tap".into(), conv_norm(Window::square(1, 2, 0))));
    cases.push(("uneven conv_norm".into(), conv_norm(uneven([2, 3], [1, 2], [1, 0], [1, 1]))));
    cases.push(("flc_pool of odd sides".into(), around(&Op::FlcPool { hamming: true }, &[x])));
    cases
}

fn forms() -> Vec<(String, Net)> {
    let load = |form: String| (form.clone(), families::load(&form, Shape::new(32, 32, 3), 10).unwrap());
    families::forms().into_iter().map(load).collect()
}

/// Pixels as candle's users have them, `[n, c, h, w]`.
fn planes(shape: Shape, dtype: DType) -> Tensor {
    pixels(IMAGES, shape, dtype).permute((0, 3, 1, 2)).unwrap().contiguous().unwrap()
}

fn numbers(x: &Tensor) -> Vec<f64> {
    x.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

/// Single precision, as networks are used.
fn logits_apart(net: Net) -> f64 {
    let shape = net.input_shape();
    let mut network = network(net, IMAGES, DType::F32);
    let want = network.logits(&pixels(IMAGES, shape, DType::F32), &[], NormMode::Eval).unwrap();
    let module = CandleNet::of(&network, &DEVICE).unwrap();
    let got = module.forward(&planes(shape, DType::F32)).unwrap();
    assert_eq!(got.dims(), [IMAGES, module.classes()]);
    apart(&numbers(&got), &want.values)
}

/// The gradient of every image's logit 1 in the pixels, in double precision: there a number near a corner of ReLU or a
/// near tie of a maximum does not fall to different sides.
fn gradients_apart(net: Net) -> f64 {
    let shape = net.input_shape();
    let mut network = network(net, IMAGES, DType::F64);
    let module = CandleNet::of(&network, &DEVICE).unwrap();
    let picked = |logits: &Logits| {
        let value = logits.rows().map(|row| row[1]).sum();
        let dlogits = (0..logits.values.len()).map(|i| f64::from(u8::from(i % logits.classes == 1))).collect();
        LossGradient { value, dlogits }
    };
    let found =
        network.gradients(&pixels(IMAGES, shape, DType::F64), &[], NormMode::Eval, Wrt::INPUT, &picked).unwrap();
    let want = found.input.unwrap().permute((0, 3, 1, 2)).unwrap();

    let pixels = Var::from_tensor(&planes(shape, DType::F64)).unwrap();
    let logits = module.forward(&pixels).unwrap();
    let gradients = logits.narrow(1, 1, 1).unwrap().sum_all().unwrap().backward().unwrap();
    // Where the logits do not depend on the pixels, candle has no gradient.
    let got = gradients.get(&pixels).cloned().unwrap_or_else(|| pixels.zeros_like().unwrap());
    assert!(apart(&numbers(&logits), &found.logits.values) < 1e-9);
    apart(&numbers(&got), &numbers(&want))
}

/// Measures every case; the furthest is printed.
fn hold(what: &str, cases: Vec<(String, Net)>, tolerance: f64, measure: impl Fn(Net) -> f64) {
    let measured: Vec<(f64, String)> = cases.into_iter().map(|(name, net)| (measure(net), name)).collect();
    let (apart, name) = measured.iter().max_by(|a, b| a.0.total_cmp(&b.0)).unwrap();
    println!("{what} of {} networks: at most {apart:.1e} of the largest apart ({name})", measured.len());
    let over: Vec<_> = measured.iter().filter(|(apart, _)| *apart > tolerance).collect();
    assert!(over.is_empty(), "{what}: {over:?}");
}

#[test]
fn every_operation_is_the_engines() {
    let cases = || [operations(), windows()].concat();
    assert_eq!((Op::each().len(), operations().len(), windows().len()), (68, 66, 20));
    hold("logits", cases(), 1e-5, logits_apart);
    hold("gradients", cases(), 1e-6, gradients_apart);
}

#[test]
fn every_family_has_the_engines_logits() {
    assert_eq!(forms().len(), 43);
    hold("logits", forms(), 1e-5, logits_apart);
}

#[test]
fn every_family_has_the_engines_gradients() {
    hold("gradients", forms(), 1e-5, gradients_apart);
}

/// A network with a convolution, statistics, a matrix and a position embedding.
fn small() -> Network {
    let mut net = Net::new();
    let image = net.add("image", Op::Input { shape: Shape::new(6, 5, 3) }, &[]).unwrap();
    let window = Window::same(3, 1, 1);
    let conv = net.add("a/conv", Op::Conv2d { out: 4, window, groups: 1, bias: false }, &[image]).unwrap();
    let norm = net.add("a/norm", Op::BatchNorm { affine: true }, &[conv]).unwrap();
    let position = net.add("position", Op::Position, &[norm]).unwrap();
    let pool = net.add("pool", Op::GlobalAvgPool, &[position]).unwrap();
    net.add("fc", Op::Linear { out: 3, bias: true }, &[pool]).unwrap();
    network(net, IMAGES, DType::F32)
}

/// All tensors of a network as they are laid out.
fn own(network: &Network) -> HashMap<String, Vec<f32>> {
    let state: Vec<f32> = network.state().to_vec1().unwrap();
    network.layout().tensors().iter().map(|t| (t.name.clone(), state[t.range.clone()].to_vec())).collect()
}

/// All tensors of a network as PyTorch has them.
fn pytorch(network: &Network) -> HashMap<String, Tensor> {
    let own = own(network);
    let turned = network.layout().tensors().iter().map(|t| {
        let tensor = Tensor::from_slice(&own[&t.name], &t.shape[..], &DEVICE).unwrap();
        let tensor = match t.shape.len() {
            4 => tensor.permute((3, 2, 0, 1)).unwrap(),
            2 => tensor.t().unwrap(),
            _ => tensor,
        };
        (t.name.clone(), tensor.contiguous().unwrap())
    });
    turned.collect()
}

#[test]
fn numbers_come_from_tensors_builders_and_files() {
    let network = small();
    let net = network.net();
    let x = planes(net.input_shape(), DType::F32);
    let want = numbers(&CandleNet::of(&network, &DEVICE).unwrap().forward(&x).unwrap());

    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    let arch = ArchFile::new(net, "small", None, None).unwrap().to_json().unwrap();
    std::fs::write(file("arch.json"), arch).unwrap();
    std::fs::write(file("own.safetensors"), weights::encode(&network, Layout::Own).unwrap()).unwrap();
    candle_core::safetensors::save(&pytorch(&network), file("pytorch.safetensors")).unwrap();

    let builder = VarBuilder::from_tensors(pytorch(&network), DType::F32, &DEVICE);
    let modules = [
        CandleNet::new(net, &own(&network), &DEVICE),
        CandleNet::from_builder(net, &builder),
        CandleNet::load(file("arch.json"), file("own.safetensors"), &DEVICE),
        CandleNet::load(file("arch.json"), file("pytorch.safetensors"), &DEVICE),
    ];
    for module in modules {
        let module = module.unwrap();
        assert_eq!((module.image(), module.classes()), (net.input_shape(), 3));
        assert_eq!(numbers(&module.forward(&x).unwrap()), want);
        // Training is the engine's: a module does the same.
        assert_eq!(numbers(&module.forward_t(&x, true).unwrap()), want);
    }
    // The engine reads PyTorch's order as well.
    let mut again = Network::new(net.clone(), Seed::root(0), &DEVICE).unwrap();
    weights::load(&mut again, &file("pytorch.safetensors")).unwrap();
    assert_eq!(numbers(again.state()), numbers(network.state()));
}

#[test]
fn any_of_several_normalisations_is_used() {
    let net = families::load("wrn:blocks=1,width=0.25,norm=multi-batch:2", Shape::new(16, 16, 3), 10).unwrap();
    let shape = net.input_shape();
    let mut network = network(net, IMAGES, DType::F32);
    let mut answers = Vec::new();
    for branch in 0..2 {
        let mode = Mode { norm: NormMode::Eval, branch, drop: None };
        let want = network.logits(&pixels(IMAGES, shape, DType::F32), &[], mode).unwrap().values;
        let module = CandleNet::of(&network, &DEVICE).unwrap().with_branch(branch).unwrap();
        let got = module.forward(&planes(shape, DType::F32)).unwrap();
        assert!(apart(&numbers(&got), &want) < 1e-5);
        answers.push(want);
    }
    assert_ne!(answers[0], answers[1]);
    let why = CandleNet::of(&network, &DEVICE).unwrap().with_branch(2).unwrap_err().to_string();
    assert!(why.contains("branch 2 of a network that has 2"), "{why}");
}

#[test]
fn what_is_unfit_is_named() {
    let network = small();
    let net = network.net();
    type Change<'a> = &'a dyn Fn(&mut HashMap<String, Vec<f32>>);
    let changed = |change: Change<'_>| {
        let mut tensors = own(&network);
        change(&mut tensors);
        CandleNet::new(net, &tensors, &DEVICE).unwrap_err().to_string()
    };
    let why = changed(&|tensors| drop(tensors.remove("a/conv.weight")));
    assert!(why.contains("`a/conv.weight` needs a tensor of shape [3, 3, 3, 4]"), "{why}");
    let why = changed(&|tensors| tensors.get_mut("fc.bias").unwrap().push(0.0));
    assert!(why.contains("`fc.bias` needs a tensor of shape [3]"), "{why}");
    let why = changed(&|tensors| tensors.get_mut("a/norm.running_var").unwrap()[2] = f32::NAN);
    assert!(why.contains("`a/norm.running_var` holds NaN"), "{why}");

    let mut tensors = pytorch(&network);
    tensors.insert("fc.weight".into(), Tensor::zeros((4, 3), DType::F32, &DEVICE).unwrap());
    let from = |tensors| CandleNet::from_builder(net, &VarBuilder::from_tensors(tensors, DType::F32, &DEVICE));
    let why = from(tensors.clone()).unwrap_err().to_string();
    assert!(why.contains("node `fc`, linear") && why.contains("fc.weight") && why.contains("[4, 3]"), "{why}");
    tensors.remove("a/norm.running_mean");
    let why = from(tensors).unwrap_err().to_string();
    assert!(why.contains("node `a/norm`, batch_norm") && why.contains("a/norm.running_mean"), "{why}");

    let module = CandleNet::of(&network, &DEVICE).unwrap();
    let why = module.forward(&pixels(IMAGES, net.input_shape(), DType::F32)).unwrap_err().to_string();
    assert!(why.contains("takes pixels [n, 3, 6, 5] in [0, 1], got [3, 6, 5, 3]"), "{why}");
}

#[test]
fn files_that_do_not_fit_are_named() {
    let network = small();
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    let load = |arch: &Path, weights: &Path| CandleNet::load(arch, weights, &DEVICE).unwrap_err().to_string();
    let why = load(&file("arch.json"), &file("weights.safetensors"));
    assert!(why.contains("arch.json"), "{why}");

    let arch = ArchFile::new(network.net(), "small", None, None).unwrap().to_json().unwrap();
    std::fs::write(file("arch.json"), &arch[..arch.len() / 2]).unwrap();
    let why = load(&file("arch.json"), &file("weights.safetensors"));
    assert!(why.contains("not an arch.json"), "{why}");
    std::fs::write(file("arch.json"), arch).unwrap();
    let why = load(&file("arch.json"), &file("weights.safetensors"));
    assert!(why.contains("weights.safetensors"), "{why}");
    std::fs::write(file("weights.safetensors"), "no tensors").unwrap();
    let why = load(&file("arch.json"), &file("weights.safetensors"));
    assert!(why.contains("weights.safetensors"), "{why}");
    let mut tensors = pytorch(&network);
    tensors.remove("position.weight");
    candle_core::safetensors::save(&tensors, file("weights.safetensors")).unwrap();
    let why = load(&file("arch.json"), &file("weights.safetensors"));
    assert!(why.contains("weights.safetensors") && why.contains("a/conv.weight"), "{why}");
}

#[test]
fn a_supernet_is_refused() {
    let x = Shape::new(4, 4, 2);
    let net = around(&Op::MixedSum { weights: vec![0, 1] }, &[x, x]);
    let network = Network::new(net, Seed::root(0), &DEVICE).unwrap();
    let why = CandleNet::of(&network, &DEVICE).unwrap_err().to_string();
    assert!(why.contains("node `op`, mixed_sum") && why.contains("derive a network"), "{why}");
}
