//! Networks as PyTorch: every family and every operation becomes a file, the same one every time, whose numbers this program
//! reads back; and PyTorch makes the same of it.
//!
//! PyTorch is asked by `make torch-check`, where `TORCH_PYTHON` names a Python that has it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use candle_core::{DType, Device, Tensor};
use robustnas::arch::file::id_of;
use robustnas::arch::net::Net;
use robustnas::arch::op::{Act, Op, Shape, Window};
use robustnas::engine::{Fusion, Mode, Network, NormMode, Wrt};
use robustnas::loss::cross_entropy;
use robustnas::model::import::import;
use robustnas::model::layout::Layout;
use robustnas::model::names::NameMap;
use robustnas::model::torch::{self, Export, write};
use robustnas::model::weights;
use robustnas::seed::Seed;
use serde_json::json;

#[path = "fixtures/around.rs"]
mod around;
#[path = "fixtures/elements.rs"]
mod elements;
#[path = "fixtures/families.rs"]
mod families;

use around::{network, operations, pixels};

const IMAGE: Shape = Shape::new(32, 32, 3);
const IMAGES: usize = 8;

fn code(net: &Net, summary: &str) -> String {
    write(&Export { net, summary }).unwrap_or_else(|why| panic!("{summary}: {why}"))
}

fn form(form: &str) -> Net {
    families::load(form, IMAGE, 10).unwrap_or_else(|why| panic!("{form}: {why}"))
}

/// Every network that can be written: a name for a folder, what it is, and the network.
fn cases() -> Vec<(String, String, Net)> {
    let forms = families::forms().into_iter().enumerate().map(|(i, text)| {
        let family = text.split(':').next().unwrap();
        (format!("{family}-{i:02}"), text.clone(), form(&text))
    });
    let alone = operations().into_iter().filter(|(_, net)| net.mix_len() == 0);
    let alone = alone.map(|(name, net)| (name.clone(), name, net));
    let others = [("elements", elements::net(Shape::new(8, 8, 3), 5)), ("interleaved", interleaved())];
    forms.chain(alone).chain(others.map(|(name, net)| (name.to_owned(), name.to_owned(), net))).collect()
}

/// Layers whose names cannot be attributes or stand in the way of each other: `a` and `b` each need a part of the other,
/// a convolution owns layers, and parts are called by numbers and by words of Python.
fn interleaved() -> Net {
    let mut net = Net::new();
    let window = Window::square(3, 1, 1);
    let conv = Op::Conv2d { out: 4, window, groups: 1, bias: true };
    let norm = Op::BatchNorm { affine: true };
    let mut x = net.add("image", Op::Input { shape: Shape::new(6, 6, 3) }, &[]).unwrap();
    let image = x;
    for (name, op) in [
        ("normalize", Op::Normalize { mean: vec![0.5, 0.4, 0.3], std: vec![0.2, 0.3, 0.4] }),
        ("a.conv", conv.clone()),
        ("b.conv", conv.clone()),
        ("a.bn", norm.clone()),
        ("b.bn", norm.clone()),
        ("own", conv.clone()),
        ("own.bn", norm.clone()),
        ("own.class", conv.clone()),
        ("list.0", conv.clone()),
        ("list.1", conv.clone()),
        ("list.1.bn", norm.clone()),
        ("gap.0", norm.clone()),
        ("gap.2.lambda", norm),
        ("attention", Op::Act { act: Act::Silu }),
    ] {
        x = net.add(name, op, &[x]).unwrap();
    }
    let skip = net.add("skip", conv, &[image]).unwrap();
    let sum = net.add("sum", Op::Add, &[x, skip]).unwrap();
    let pool = net.add("head.pool", Op::GlobalAvgPool, &[sum]).unwrap();
    net.add("head.fc", Op::Linear { out: 5, bias: false }, &[pool]).unwrap();
    net
}

/// Words between anything that is no letter, digit or stroke.
fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').filter(|w| !w.is_empty())
}

#[test]
fn every_network_becomes_one_file() {
    for (name, summary, net) in cases() {
        let text = code(&net, &summary);
        assert_eq!(text, code(&net, &summary), "{name}: another text the second time");
        assert!(text.starts_with(&format!("\"\"\"{summary}.\n")) && text.contains(&id_of(&net).unwrap()), "{name}");
        for part in ["class Net(nn.Module):", "def build():", "def load(path):", "if __name__ == \"__main__\":"] {
            assert!(text.contains(part), "{name} has no `{part}`");
        }
        let defined: Vec<&str> =
            text.lines().filter_map(|l| l.strip_prefix("class ").or(l.strip_prefix("def "))).collect();
        let defined: Vec<&str> = defined.iter().map(|line| words(line).next().unwrap()).collect();
        assert_eq!(defined.iter().collect::<BTreeSet<_>>().len(), defined.len(), "{name}: {defined:?}");
        let unused = defined.iter().filter(|d| !["Net", "build", "load", "read_weights", "save"].contains(d));
        for class in unused {
            assert!(text.matches(&format!("{class}(")).count() > 1, "{name}: `{class}` is not used");
        }
        for line in text.lines() {
            let attribute = line.trim().strip_prefix("self.").and_then(|rest| rest.split(" = ").next());
            let words = attribute.unwrap_or("x").split('.');
            let fits = |w: &str| w.contains(['(', '[']) || w.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
            assert!(words.clone().all(fits), "{name}: {line}");
            assert!(line.len() < 140, "{name}: {line}");
        }
    }
}

/// Blocks that differ in their numbers alone are one class.
#[test]
fn blocks_of_one_form_share_a_class() {
    let classes = |text: &str| text.lines().filter(|line| line.starts_with("class ")).count();
    let wrn = |depth| code(&form(&format!("wrn:depth={depth},width=0.25")), "wrn");
    assert_eq!(classes(&wrn(16)), classes(&wrn(40)));
    let vit = |depth| code(&form(&format!("vit:depth={depth},dim=16,heads=2,patch=4")), "vit");
    assert_eq!(classes(&vit(2)), classes(&vit(12)));
}

/// Regenerate with `UPDATE=1 cargo test --test torch_export` and read the difference.
#[test]
fn golden_files() {
    for (name, text) in [
        ("preact_resnet", "preact-resnet:18,width=4"),
        ("darts", "darts:search_spaces/genotypes/DARTS_V2.txt,channels=4,layers=3"),
    ] {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/torch_{name}.py"));
        // The version is no part of what is compared.
        let found = code(&form(text), text).replace(env!("CARGO_PKG_VERSION"), "VERSION");
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(&file, &found).unwrap();
        }
        let golden = std::fs::read_to_string(&file).expect("no golden file: run once with UPDATE=1");
        assert_eq!(found, golden, "{}", file.display());
    }
}

fn bits(network: &Network) -> Vec<u32> {
    network.state().to_vec1::<f32>().unwrap().into_iter().map(f32::to_bits).collect()
}

/// The written weights come back to the byte, by `--weights` and by a map of names.
#[test]
fn numbers_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("weights.safetensors");
    let map = NameMap::parse("[names]\n'*' = '*'\n", Path::new("names.toml")).unwrap();
    for (name, _, net) in cases().into_iter().filter(|(_, summary, _)| !summary.starts_with("sknet:26")) {
        let own = network(net.clone(), IMAGES, DType::F32);
        std::fs::write(&file, weights::encode(&own, Layout::Pytorch).unwrap()).unwrap();
        let found: BTreeMap<String, Tensor> =
            candle_core::safetensors::load(&file, &Device::Cpu).unwrap().into_iter().collect();
        let expected: BTreeSet<&str> = own.layout().tensors().iter().map(|t| t.name.as_str()).collect();
        assert_eq!(found.keys().map(String::as_str).collect::<BTreeSet<_>>(), expected, "{name}");
        for (_, node) in net.nodes() {
            let Some(weight) = found.get(&format!("{}.weight", node.name)) else { continue };
            if let Op::Conv2d { out, window, .. } = &node.op {
                let [kh, kw] = window.kernel;
                assert_eq!(weight.dims()[..1], [*out], "{name}: {}", node.name);
                assert_eq!(weight.dims()[2..], [kh, kw], "{name}: {}", node.name);
            }
        }
        let fresh = || Network::new(net.clone(), Seed::root(1), &Device::Cpu).unwrap();
        let (mut loaded, mut imported) = (fresh(), fresh());
        weights::load(&mut loaded, &file).unwrap();
        assert_eq!(bits(&loaded), bits(&own), "{name}");
        import(&mut imported, &file, &map).unwrap_or_else(|why| panic!("{name}: {why}"));
        assert_eq!(bits(&imported), bits(&own), "{name}");
    }
}

/// What cannot be written is refused by the layer's name, with what to do.
#[test]
fn unfit_networks_are_refused() {
    let x = Shape::new(4, 4, 2);
    let net = around::around(&Op::MixedSum { weights: vec![0, 1] }, &[x, x]);
    let why = write(&Export { net: &net, summary: "mixed" }).unwrap_err().to_string();
    assert!(why.contains("node `op`") && why.contains("choices are made"), "{why}");
    for (name, word) in [("stem.type", "`type`"), ("stem.", "not a valid name of a module")] {
        let mut net = Net::new();
        let image = net.add("image", Op::Input { shape: Shape::new(1, 1, 3) }, &[]).unwrap();
        net.add(name, Op::Linear { out: 2, bias: true }, &[image]).unwrap();
        let why = write(&Export { net: &net, summary: "odd" }).unwrap_err().to_string();
        assert!(why.contains(&format!("layer `{name}`")) && why.contains(word) && why.contains("rename"), "{why}");
    }
}

/// The numbers of a step: everything `tests/torch/compare.py` looks at. The step is one in double precision, where no
/// activation lies so near to its kink that the two programs are on different sides of it.
fn dump(folder: &Path, code: &str, network: &mut Network) {
    std::fs::create_dir_all(folder).unwrap();
    let save = |name: &str, bytes: Vec<u8>| std::fs::write(folder.join(name), bytes).unwrap();
    let images = pixels(IMAGES, network.net().input_shape(), DType::F32);
    let labels: Vec<u32> = (0..IMAGES).map(|i| (i * 7 % network.net().classes()) as u32).collect();
    // Of several batch normalisations the last, so that the branch matters.
    let branch = network.net().branches() - 1;
    let mode = |norm| Mode { norm, branch, drop: None };
    for _ in 0..3 {
        network.logits(&images, &[], mode(NormMode::Train)).unwrap();
    }
    save("net.py", code.as_bytes().to_vec());
    save("weights.safetensors", weights::encode(network, Layout::Pytorch).unwrap());
    save("example.safetensors", torch::example(network).unwrap());
    let logits = network.logits(&images, &[], mode(NormMode::Eval)).unwrap().values;

    let net = network.net().clone();
    let mut double = Network::with(net, Seed::root(0), &Device::Cpu, DType::F64, Fusion::ALL).unwrap();
    double.set_state(&network.state().to_dtype(DType::F64).unwrap()).unwrap();
    let loss = |logits: &_| cross_entropy(logits, &labels);
    let exact = images.to_dtype(DType::F64).unwrap();
    let found = double.gradients(&exact, &[], mode(NormMode::Train), Wrt::PARAMS, &loss).unwrap();
    // Without momentum so far: the gradient, and the weights' decay.
    let (lr, decay) = (0.1, 5e-4);
    let (gradients, own) = (found.weights().unwrap().clone(), double.weights().unwrap());
    let step = ((&own * decay).unwrap() + &gradients).unwrap();
    double.set_weights(&(own - (step * lr).unwrap()).unwrap()).unwrap();
    let mut numbers = |name: &str, values: &Tensor| {
        network.set_state(&values.to_dtype(DType::F32).unwrap()).unwrap();
        save(name, weights::encode(network, Layout::Pytorch).unwrap());
    };
    numbers("stepped.safetensors", double.state());
    double.set_state(&double.state().zeros_like().unwrap()).unwrap();
    double.set_weights(&gradients).unwrap();
    numbers("gradients.safetensors", double.state());
    let pixels: Vec<f32> = images.flatten_all().unwrap().to_vec1().unwrap();
    let case = json!({
        "image": network.net().input_shape(), "pixels": pixels, "labels": labels, "branch": branch, "logits": logits,
        "loss": found.loss, "lr": lr, "weight_decay": decay,
    });
    save("case.json", case.to_string().into_bytes());
}

#[test]
#[ignore = "needs a Python with torch: make torch-check"]
fn pytorch_makes_the_same_of_it() {
    let python = std::env::var_os("TORCH_PYTHON").map(PathBuf::from);
    let python = python.expect("TORCH_PYTHON names no Python with torch; `make torch-check` does");
    let folder = tempfile::tempdir().unwrap();
    for (name, summary, net) in cases() {
        let text = code(&net, &summary);
        dump(&folder.path().join(name), &text, &mut network(net, IMAGES, DType::F32));
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/torch/compare.py");
    let output = Command::new(&python).arg(script).arg(folder.path()).output();
    let output = output.unwrap_or_else(|why| panic!("{}: {why}", python.display()));
    println!("{}", String::from_utf8_lossy(&output.stdout));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    // The file by itself, as a user would run it: it compares itself with the engine.
    let at = folder.path().join("preact-resnet-01");
    let run = |arguments: &[&str]| {
        let output = Command::new(&python).args(arguments).current_dir(&at).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let said = run(&["net.py"]);
    let apart = said.split("by at most ").nth(1).and_then(|rest| rest.split(' ').next()?.parse::<f64>().ok());
    assert!(said.contains("[4, 10]") && apart.is_some_and(|apart| apart < 1e-4), "{said}");
    // What it saves it reads, and so does the official format's own reader.
    run(&[
        "-c",
        "import net, torch\n\
         saved = net.load('weights.safetensors')\n\
         net.save(saved, 'saved.safetensors')\n\
         one, two = net.read_weights('weights.safetensors'), net.read_weights('saved.safetensors')\n\
         assert one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)",
    ]);
    // The counters of batch-norms, which `state_dict` has, are no weights.
    let bytes = std::fs::read(at.join("saved.safetensors")).unwrap();
    let saved = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    assert!(saved.names().iter().all(|name| !name.ends_with("num_batches_tracked")));
}
