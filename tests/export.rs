//! `robustnas export` and `robustnas import` as a user meets them.

#[path = "fixtures/net_a.rs"]
mod net_a;

use std::collections::HashMap;
use std::path::Path;
use std::process::{Command, Output};

use candle_core::safetensors::{load, save};
use candle_core::{Device, Tensor};
use tempfile::TempDir;

fn run(folder: &TempDir, arguments: &str) -> Output {
    let arguments = arguments.split(' ').map(|a| a.replace("@", &format!("{}/", folder.path().display())));
    Command::new(env!("CARGO_BIN_EXE_robustnas")).args(arguments).output().unwrap()
}

fn done(folder: &TempDir, arguments: &str) -> String {
    let output = run(folder, arguments);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{arguments}: {text}");
    text
}

fn refused(folder: &TempDir, arguments: &str, code: i32, words: &[&str]) {
    let output = run(folder, arguments);
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{arguments}: {text}");
    words.iter().for_each(|w| assert!(text.contains(w), "{arguments} does not say `{w}`: {text}"));
}

fn bytes(folder: &TempDir, name: &str) -> Vec<u8> {
    std::fs::read(folder.path().join(name)).unwrap()
}

fn tensors(path: &Path) -> HashMap<String, Tensor> {
    load(path, &Device::Cpu).unwrap()
}

/// One network in all its forms: each of them leads back to the same numbers.
#[test]
fn every_form_leads_back_to_the_network() {
    let folder = tempfile::tempdir().unwrap();
    let text = done(
        &folder,
        "export preact-resnet:18,width=2 --seed 3 --json @arch.json --onnx @model.onnx --safetensors @weights.safetensors",
    );
    for words in ["arch.json", "operator set 17", "fresh numbers of seed 3"] {
        assert!(text.contains(words), "{text}");
    }
    // An arch.json finds the numbers beside it, and gives the same model.
    let text = done(&folder, "export @arch.json --onnx @again.onnx");
    assert!(text.contains("weights.safetensors"), "{text}");
    assert_eq!(bytes(&folder, "model.onnx"), bytes(&folder, "again.onnx"));
    // The model has its own.
    done(&folder, "export @model.onnx --safetensors @back.safetensors");
    let (own, back) =
        (tensors(&folder.path().join("weights.safetensors")), tensors(&folder.path().join("back.safetensors")));
    let total = |all: &HashMap<String, Tensor>| all.values().map(Tensor::elem_count).sum::<usize>();
    assert_eq!(total(&own), total(&back));
    // Another seed is another network.
    done(&folder, "export preact-resnet:18,width=2 --onnx @other.onnx");
    assert_ne!(bytes(&folder, "model.onnx"), bytes(&folder, "other.onnx"));

    refused(&folder, "export preact-resnet:18", 2, &["--onnx", "--safetensors"]);
    refused(&folder, "export preact-resnet:18,width=2 --genotype @cells.txt", 2, &["is not made of cells"]);
    refused(&folder, "export @model.onnx --weights @weights.safetensors --onnx @x.onnx", 2, &["has its own numbers"]);
    refused(&folder, "export preact-resnet:18 --robustbench @info.json", 2, &["--attacked"]);
    done(&folder, "export dsara:search_spaces/genotypes/ARNAS.txt,channels=4,layers=6 --genotype @cells.txt");
    assert!(String::from_utf8(bytes(&folder, "cells.txt")).unwrap().starts_with("Genotype("));
}

/// A network's figures go into a model_info.json only with the network that they are about.
#[test]
fn figures_go_with_their_network() {
    let folder = tempfile::tempdir().unwrap();
    let source = net_a::folder();
    let (model, data) = (source.join("model.onnx"), source.display().to_string());
    std::fs::copy(model, folder.path().join("net.onnx")).unwrap();
    done(&folder, &format!("attack --net @net.onnx --data npy:{data} --plan fgsm --n 16 --out @attacked"));
    done(&folder, "export @net.onnx --robustbench @info.json --attacked @attacked/result.json");
    let info: serde_json::Value = serde_json::from_slice(&bytes(&folder, "info.json")).unwrap();
    let result: serde_json::Value = serde_json::from_slice(&bytes(&folder, "attacked/result.json")).unwrap();
    let percent = format!("{:.2}", 100.0 * result["clean_correct"].as_f64().unwrap() / 16.0);
    assert_eq!(info["clean_acc"], percent);
    refused(
        &folder,
        "export preact-resnet:18,width=2 --robustbench @info.json --attacked @attacked/result.json",
        3,
        &["is about the network"],
    );
}

/// The numbers of PyTorch under other names, in its own layouts.
#[test]
fn numbers_come_in_by_a_map_of_names() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    done(&folder, "export preact-resnet:18,width=2 --seed 3 --safetensors @own.safetensors");
    let own = tensors(&at("own.safetensors"));
    let mut theirs: HashMap<String, Tensor> = own
        .iter()
        .map(|(name, tensor)| {
            let turned = match tensor.dims().len() {
                4 => tensor.permute([3, 2, 0, 1]).unwrap(),
                2 => tensor.t().unwrap(),
                _ => tensor.clone(),
            };
            (format!("module.{name}"), turned.contiguous().unwrap())
        })
        .collect();
    theirs.insert("module.bn.num_batches_tracked".into(), Tensor::new(&[7i64], &Device::Cpu).unwrap());
    save(&theirs, at("theirs.safetensors")).unwrap();
    let import = "import preact-resnet:18,width=2 --from @theirs.safetensors --map @names.toml --out @in.safetensors";
    std::fs::write(at("names.toml"), "ignore = ['*.num_batches_tracked']\n[names]\n'*' = 'module.*'\n").unwrap();
    done(&folder, import);
    assert_eq!(bytes(&folder, "in.safetensors"), bytes(&folder, "own.safetensors"));

    // All that does not fit is said at once, and nothing is written.
    std::fs::remove_file(at("in.safetensors")).unwrap();
    let lost = own.keys().find(|name| name.ends_with(".running_mean")).unwrap();
    let near = theirs.remove(&format!("module.{lost}")).unwrap();
    theirs.insert(format!("module.{lost}s"), near);
    let unfit = own.keys().find(|name| name.ends_with(".running_var")).unwrap();
    theirs.insert(format!("module.{unfit}"), Tensor::new(&[1f32; 99], &Device::Cpu).unwrap());
    save(&theirs, at("theirs.safetensors")).unwrap();
    std::fs::write(at("names.toml"), "[names]\n'*' = 'module.*'\n").unwrap();
    let lost = format!("did you mean `module.{lost}s`?");
    let unfit = format!("`{unfit}` = `module.{unfit}`: [99] does not fit");
    refused(&folder, import, 3, &["4 tensors do not fit", &lost, &unfit, "num_batches_tracked", "`ignore`"]);
    assert!(!at("in.safetensors").exists());
}
