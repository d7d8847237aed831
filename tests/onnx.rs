//! Networks from ONNX files against onnxruntime and PyTorch, and against damaged files. The small models and their answers
//! come from `tests/fixtures/onnx/make.py`.

#[path = "fixtures/net_a.rs"]
mod net_a;

use std::path::{Path, PathBuf};

use candle_core::safetensors::load;
use candle_core::{Device, Tensor};
use proptest::prelude::*;
use robustnas::arch::cost::cost;
use robustnas::arch::op::Shape;
use robustnas::data::npy;
use robustnas::engine::{Network, NormMode};
use robustnas::error::{Error, IoContext, Result};
use robustnas::model::layout::Layout;
use robustnas::model::{named, weights};
use robustnas::onnx::{Model, read};
use robustnas::seed::Seed;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/onnx")
}

fn bytes(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).at(path)
}

fn model(path: &Path) -> Model {
    read(path, Shape::new(32, 32, 3), &bytes).unwrap()
}

/// What is said about a file of these bytes.
fn refusal(bytes: &[u8]) -> String {
    match read(Path::new("m.onnx"), Shape::new(8, 8, 3), &|_| Ok(bytes.to_vec())) {
        Err(why @ Error::Data { .. }) => why.to_string(),
        other => panic!("{other:?}"),
    }
}

fn network(model: Model) -> Network {
    let mut network = Network::new(model.net, Seed::root(0), &Device::Cpu).unwrap();
    weights::set(&mut network, &model.tensors).unwrap();
    network
}

fn worst(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

#[test]
fn small_models_give_what_onnxruntime_gives() {
    let answers: serde_json::Value = serde_json::from_slice(&bytes(&folder().join("answers.json")).unwrap()).unwrap();
    for (name, answer) in answers.as_object().unwrap() {
        let image: [usize; 3] = serde_json::from_value(answer["image"].clone()).unwrap();
        let want: Vec<f64> = serde_json::from_value(answer["logits"].clone()).unwrap();
        let model = model(&folder().join(format!("{name}.onnx")));
        let Shape { h, w, c } = model.net.input_shape();
        assert_eq!([h, w, c], image, "{name}");
        let pixels: Vec<f32> = (0..2 * h * w * c).map(|i| ((i * 37 % 101) as f64 / 101.0) as f32).collect();
        let x = Tensor::from_vec(pixels, (2, h, w, c), &Device::Cpu).unwrap();
        let got = network(model).logits(&x, &[], NormMode::Eval).unwrap();
        let apart = worst(&got.values, &want);
        println!("{name}: logits differ by at most {apart:.1e}");
        assert!(apart < 1e-4, "{name}: {:?} against {want:?}", got.values);
    }
}

/// What onnxruntime computes and no layers here do is refused by the node, never read as something else.
#[test]
fn what_no_layer_computes_is_refused() {
    let folder = folder().join("refused");
    let words: serde_json::Value = serde_json::from_slice(&bytes(&folder.join("words.json")).unwrap()).unwrap();
    for (name, said) in words.as_object().unwrap() {
        let path = folder.join(format!("{name}.onnx"));
        let why = read(&path, Shape::new(32, 32, 3), &bytes).map(|_| ()).unwrap_err().to_string();
        assert!(why.contains(said.as_str().unwrap()), "{name}: {said} is not in: {why}");
    }
    assert_eq!(words.as_object().unwrap().len(), 9);
}

/// A model that PyTorch exported: the logits that PyTorch gave, and those of the same network from its parts.
#[test]
fn the_known_network_gives_its_logits() {
    let data = npy::load(&net_a::folder()).unwrap();
    let pixels: Vec<f32> = data.test.pixels.iter().map(|p| f32::from(*p) / 255.0).collect();
    let x = Tensor::from_vec(pixels, (data.test.len(), 32, 32, 3), &Device::Cpu).unwrap();
    let model = model(&net_a::folder().join("model.onnx"));
    // Its batch-norms are folded into the convolutions; those count alike.
    assert_eq!(cost(&model.net).macs, cost(&net_a::net()).macs);
    let got = network(model).logits(&x, &[], NormMode::Eval).unwrap();
    let stored = &load(net_a::folder().join("clean.safetensors"), &Device::Cpu).unwrap()["logits"];
    let stored: Vec<f32> = stored.flatten_all().unwrap().to_vec1().unwrap();
    let stored: Vec<f64> = stored.into_iter().map(f64::from).collect();
    let own = net_a::network().logits(&x, &[], NormMode::Eval).unwrap();
    let (to_stored, to_own) = (worst(&got.values, &stored), worst(&got.values, &own.values));
    println!("logits differ by at most {to_stored:.1e} from PyTorch's, {to_own:.1e} from those of the parts");
    assert!(to_stored < 1e-4 && to_own < 1e-4);
}

#[test]
fn damaged_files_are_refused() {
    let whole = bytes(&net_a::folder().join("model.onnx")).unwrap();
    for keep in [whole.len() / 2, whole.len() - 1] {
        let why = refusal(&whole[..keep]);
        assert!(why.contains("m.onnx: not an ONNX model, or cut short"), "{why}");
    }
    let why = refusal(&[]);
    assert!(why.contains("no operator set") && why.contains("opset_version=18"), "{why}");
    refusal(b"{\"schema_version\": 1}");
}

/// Data in another file: beside the model, missing, too short.
#[test]
fn external_data_is_read_from_beside_the_model() {
    let path = folder().join("external.onnx");
    let without = |keep: Option<usize>| {
        let read = |file: &Path| match keep {
            _ if file == path => bytes(file),
            Some(keep) => Ok(bytes(file)?[..keep].to_vec()),
            None => Err(Error::data(file, "no such file")),
        };
        robustnas::onnx::read(&path, Shape::new(3, 3, 2), &read).unwrap_err().to_string()
    };
    let why = without(None);
    assert!(why.contains("external.data") && why.contains("keep it beside the model"), "{why}");
    let why = without(Some(8));
    assert!(why.contains("outside of its data file of 8 bytes"), "{why}");
}

/// Weights in either layout know their classes, whatever labels the first images happen to have.
#[test]
fn weights_say_how_many_classes_they_are_of() {
    let (name, image) = ("preact-resnet:18,width=2", Shape::new(32, 32, 3));
    let network = Network::new(named(name, image, 10).unwrap(), Seed::root(1), &Device::Cpu).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("weights.safetensors");
    for layout in [Layout::Own, Layout::Pytorch] {
        std::fs::write(&file, weights::encode(&network, layout).unwrap()).unwrap();
        for (built, said) in [(9, Some(10)), (10, None), (3, Some(10))] {
            let model = robustnas::model::Model::load(name, image, built, &bytes).unwrap();
            assert_eq!(model.classes_of(&file).unwrap(), said, "{layout:?}, {built} classes");
        }
        let why = robustnas::model::Model::load(name, image, 9, &bytes).unwrap();
        let why = why.with_weights(Some(&file), "--weights").map(|_| ()).unwrap_err().to_string();
        assert!(why.contains("these weights are of 10 classes") && why.contains("classes.txt"), "{why}");
    }
}

fn survives(bytes: &[u8]) {
    // Whatever it says, it must say it.
    let _ = read(Path::new("m.onnx"), Shape::new(8, 8, 3), &|_| Ok(bytes.to_vec()));
}

proptest! {
    #[test]
    fn random_bytes_do_not_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        survives(&bytes);
    }

    #[test]
    fn changed_models_do_not_panic(
        which in 0usize..4,
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in proptest::option::weighted(0.1, any::<prop::sample::Index>()),
    ) {
        let name = ["convolutions", "pools", "lines", "views"][which];
        let mut bytes = bytes(&folder().join(format!("{name}.onnx"))).unwrap();
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        survives(&bytes);
    }
}
