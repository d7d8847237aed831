//! Exported networks: read back, and run by ONNX Runtime, they give the logits of the engine.
//!
//! ONNX Runtime is asked by `make onnx-check`, which names a Python that has it in `ONNX_PYTHON`.

use std::path::{Path, PathBuf};
use std::process::Command;

use candle_core::{DType, Device, Tensor};
use robustnas::arch::net::Net;
use robustnas::arch::op::{Op, Shape};
use robustnas::arch::spec::NetSpec;
use robustnas::engine::{Network, NormMode};
use robustnas::error::{IoContext, Result};
use robustnas::model::weights;
use robustnas::onnx::{Export, read, write};
use robustnas::seed::Seed;
use serde_json::json;

#[path = "fixtures/around.rs"]
mod around;
#[path = "fixtures/families.rs"]
mod families;

use around::{MIX, apart, around, network, pixels};

const IMAGES: usize = 3;

/// Every case: its name and its network.
fn cases() -> Vec<(String, Net)> {
    let mut list = around::operations();
    for (i, text) in families::forms().iter().enumerate() {
        let (net, ..) = NetSpec::parse(text).unwrap().load(Shape::new(32, 32, 3), 10, &bytes).unwrap();
        list.push((format!("{}-{i}", text.split(':').next().unwrap()), net));
    }
    list
}

fn bytes(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).at(path)
}

fn logits(network: &mut Network) -> Vec<f64> {
    let images = pixels(IMAGES, network.net().input_shape(), DType::F32);
    let mix = &MIX[..network.net().mix_len()];
    network.logits(&images, mix, NormMode::Eval).unwrap().values
}

fn exported(network: &Network) -> Vec<u8> {
    let state: Vec<f32> = network.state().to_vec1().unwrap();
    let weights = |name: &str| {
        let tensor = network.layout().tensors().iter().find(|t| t.name == name)?;
        Some(&state[tensor.range.clone()])
    };
    let mix: Vec<f32> = MIX.iter().map(|m| *m as f32).collect();
    write(&Export { net: network.net(), weights: &weights, branch: 0, mix: &mix }).unwrap()
}

/// What the reader does not know again, and what it says: a layer that reads nothing of the image in front of one that is no
/// matrix on every pixel.
fn refusal(op: &Op, alone: bool) -> Option<&'static str> {
    match op {
        Op::SinePosition { .. } | Op::Zero { .. } if alone => Some("takes a constant"),
        _ => None,
    }
}

#[test]
fn files_that_are_read_back_give_the_same_logits() {
    for (name, net) in cases() {
        let alone = name.starts_with(|c: char| c.is_ascii_digit());
        let refused = net.nodes().find_map(|(_, node)| refusal(&node.op, alone));
        let mut own = network(net, IMAGES, DType::F32);
        let file = exported(&own);
        let found = read(Path::new("m.onnx"), Shape::new(1, 1, 1), &|_| Ok(file.clone()));
        if let Some(words) = refused {
            let why = found.unwrap_err().to_string();
            assert!(why.contains(words), "{name}: {why}");
            continue;
        }
        let model = found.unwrap_or_else(|why| panic!("{name}: {why}"));
        let mut back = Network::new(model.net, Seed::root(0), &Device::Cpu).unwrap();
        weights::set(&mut back, &model.tensors).unwrap();
        let apart = apart(&logits(&mut back), &logits(&mut own));
        assert!(apart < 1e-4, "{name}: {apart:.1e}");
    }
}

#[test]
#[ignore = "needs a Python with onnxruntime: make onnx-venv onnx-check"]
fn onnxruntime_gives_the_same_logits() {
    let python =
        std::env::var_os("ONNX_PYTHON").map(PathBuf::from).expect("ONNX_PYTHON names a Python with onnxruntime");
    let folder = tempfile::tempdir().unwrap();
    for (name, net) in cases() {
        let mut network = network(net, IMAGES, DType::F32);
        let shape = network.net().input_shape();
        let pixels: Vec<f32> = pixels(IMAGES, shape, DType::F32).flatten_all().unwrap().to_vec1().unwrap();
        let case = json!({"image": shape, "images": IMAGES, "pixels": pixels, "logits": logits(&mut network)});
        std::fs::write(folder.path().join(format!("{name}.onnx")), exported(&network)).unwrap();
        std::fs::write(folder.path().join(format!("{name}.json")), case.to_string()).unwrap();
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/onnx_runtime/compare.py");
    let output = Command::new(&python).arg(script).arg(folder.path()).output();
    let output = output.unwrap_or_else(|why| panic!("{}: {why}", python.display()));
    println!("{}", String::from_utf8_lossy(&output.stdout));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Thousands of small graphs of the operations that are read, drawn from a seed: what is read gives ONNX Runtime's logits, and
/// few are refused. `ROBUSTNAS_GRAPHS` is their number, `ROBUSTNAS_SEED` the seed.
#[test]
#[ignore = "needs a Python with onnx and onnxruntime: make onnx-venv onnx-check; make onnx-graphs for thousands"]
fn random_graphs_give_the_logits_of_onnxruntime() {
    let number = |name: &str, usual: u64| std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(usual);
    let (seed, count) = (number("ROBUSTNAS_SEED", 1), number("ROBUSTNAS_GRAPHS", 300));
    let python =
        std::env::var_os("ONNX_PYTHON").map(PathBuf::from).expect("ONNX_PYTHON names a Python with onnxruntime");
    let folder = tempfile::tempdir().unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/onnx_runtime/random_graphs.py");
    let mut command = Command::new(&python);
    let output = command.arg(script).arg(folder.path()).args([seed.to_string(), count.to_string()]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let (mut worst, mut wrong) = (0f64, Vec::new());
    let mut refused = std::collections::BTreeMap::<String, Vec<u64>>::new();
    for number in 0..count {
        let model = folder.path().join(format!("{number}.onnx"));
        let case: serde_json::Value =
            serde_json::from_slice(&std::fs::read(model.with_extension("json")).unwrap()).unwrap();
        let numbers = |key: &str| -> Vec<f64> {
            case[key].as_array().unwrap().iter().map(|n| n.as_f64().unwrap_or(f64::NAN)).collect()
        };
        let image: Shape = serde_json::from_value(case["image"].clone()).unwrap();
        let found = match read(&model, image, &bytes) {
            Ok(found) => found,
            Err(why) => {
                let why = why.to_string();
                let why = why.split("node `").last().and_then(|w| w.split_once("`: ")).map_or(&*why, |(_, why)| why);
                let words: Vec<&str> =
                    why.split_whitespace().take(8).filter(|w| !w.contains(char::is_numeric)).collect();
                refused.entry(words.join(" ")).or_default().push(number);
                continue;
            }
        };
        let mut network = Network::new(found.net, Seed::root(0), &Device::Cpu).unwrap();
        weights::set(&mut network, &found.tensors).unwrap();
        let pixels: Vec<f32> = numbers("pixels").into_iter().map(|p| p as f32).collect();
        let (images, want) = (case["images"].as_u64().unwrap() as usize, numbers("logits"));
        let pixels = Tensor::from_vec(pixels, (images, image.h, image.w, image.c), &Device::Cpu).unwrap();
        let apart = apart(&network.logits(&pixels, &[], NormMode::Eval).unwrap().values, &want);
        worst = worst.max(apart);
        if apart > 1e-4 {
            wrong.push(format!("graph {number}: apart by {apart:.1e} of the largest logit; {}", case["steps"]));
        }
    }
    let refusals: usize = refused.values().map(Vec::len).sum();
    println!(
        "seed {seed}: {count} graphs, {refusals} refused, the others apart by at most {worst:.1e} of the largest logit"
    );
    for (why, numbers) in &refused {
        println!("{:5}  {why}  (graph {})", numbers.len(), numbers[0]);
    }
    assert!(wrong.is_empty(), "{} of {count} are wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert!(refusals as u64 * 10 <= count, "{refusals} of {count} are refused");
}

/// What cannot be exported is refused by the node's name.
#[test]
fn unfit_networks_are_refused() {
    let op = Op::MixedSum { weights: vec![0, 1] };
    let x = Shape::new(4, 4, 2);
    let net = around(&op, &[x, x]);
    let weights = |_: &str| None;
    let why = write(&Export { net: &net, weights: &weights, branch: 0, mix: &[] }).unwrap_err().to_string();
    assert!(why.contains("node `stem0`") && why.contains("`stem0.weight` are missing"), "{why}");
    let weights = vec![0.5f32; 64];
    let sizes = |name: &str| {
        let of = |stem: &str, len: usize| name.starts_with(stem).then(|| &weights[..len]);
        if name.ends_with("bias") { of("stem", 2) } else { of("stem", 6) }
    };
    let why = write(&Export { net: &net, weights: &sizes, branch: 0, mix: &[1.0] }).unwrap_err().to_string();
    assert!(why.contains("node `op`") && why.contains("mixes 2 inputs"), "{why}");
}
