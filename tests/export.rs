//! `robustnas export` and `robustnas import` as a user meets them.

#[path = "fixtures/net_a.rs"]
mod net_a;

use std::collections::HashMap;
use std::path::Path;
use std::process::{Command, Output};

use candle_core::safetensors::{load, save};
use candle_core::{Device, Tensor};
use robustnas::threat::{Attack, AttackPlan, Norm, Threat};
use serde_json::Value;
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
    for words in ["arch.json", "operator set 17", "fresh weights of seed 3"] {
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
    refused(&folder, "export @model.onnx --weights @weights.safetensors --onnx @x.onnx", 2, &["has its own weights"]);
    refused(&folder, "export preact-resnet:18 --robustbench @info.json", 2, &["--attacked"]);
    done(&folder, "export dsara:search_spaces/genotypes/ARNAS.txt,channels=4,layers=6 --genotype @cells.txt");
    assert!(String::from_utf8(bytes(&folder, "cells.txt")).unwrap().starts_with("Genotype("));
}

/// A result becomes a model_info.json only if it is about the network and standard AutoAttack on all images of its data,
/// whatever its plan is called; what the program cannot know is what the user says.
#[test]
fn figures_for_robustbench_are_standard_autoattack() {
    let folder = tempfile::tempdir().unwrap();
    let source = net_a::folder();
    let (model, data) = (source.join("model.onnx"), source.display().to_string());
    std::fs::copy(model, folder.path().join("net.onnx")).unwrap();
    done(&folder, &format!("attack --net @net.onnx --data npy:{data} --plan fgsm --n 16 --out @attacked"));
    assert!(!folder.path().join("attacked/model_info.json").exists(), "FGSM is no AutoAttack");
    let export = "export @net.onnx --robustbench @info.json --additional-data false --attacked";
    let words = ["`FGSM linf 8/255`", "expected standard AutoAttack", "first 10000 test images (--n 10000)"];
    refused(&folder, &format!("{export} @attacked/result.json"), 3, &words);

    // The same file as it would be of the suite.
    let written: Value = serde_json::from_slice(&bytes(&folder, "attacked/result.json")).unwrap();
    let suite = |norm: Norm, eps: &str, name: &str| {
        let mut result = written.clone();
        let threat = Threat { norm, eps: eps.parse().unwrap() };
        let mut plan = AttackPlan::named("autoattack", threat).unwrap();
        plan.name = name.into();
        let report = &written["attacks"][0];
        let of = |attack: &Attack| {
            let mut report = report.clone();
            (report["name"], report["config"]) = (attack.name().into(), serde_json::to_value(attack).unwrap());
            report
        };
        result["attacks"] = plan.attacks.iter().map(of).collect();
        result["plan"] = serde_json::to_value(&plan).unwrap();
        result["n"] = 10_000.into();
        result["ids"] = (0..10_000).collect();
        (result["clean_correct"], result["robust"]) = (8_000.into(), 4_321.into());
        result["clean_flags"] = format!("{:0<10000}", "1".repeat(8_000)).into();
        result["robust_flags"] = format!("{:0<10000}", "1".repeat(4_321)).into();
        result
    };
    let write = |result: &Value| std::fs::write(folder.path().join("r.json"), result.to_string()).unwrap();
    let info = || serde_json::from_slice::<Value>(&bytes(&folder, "info.json")).unwrap();

    write(&suite(Norm::Linf, "8/255", "my own plan"));
    done(&folder, &format!("{export} @r.json"));
    let found = info();
    assert_eq!([&found["autoattack_acc"], &found["clean_acc"]], ["43.21", "80.00"]);
    assert_eq!([&found["dataset"], &found["eps"]], ["cifar10", "8/255"]);
    assert_eq!([&found["additional_data"], &found["reported"]], [&Value::Bool(false), &Value::Null]);
    write(&suite(Norm::L2, "0.5", "autoattack"));
    done(&folder, "export @net.onnx --robustbench @info.json --additional-data true --reported 44 --attacked @r.json");
    let found = info();
    assert_eq!([&found["eps"], &found["reported"]], ["0.5", "44.00"]);
    assert_eq!(found["additional_data"], true);

    let usual = suite(Norm::Linf, "8/255", "autoattack");
    let changed = |change: &dyn Fn(&mut Value), words: &[&str]| {
        let mut result = usual.clone();
        change(&mut result);
        write(&result);
        refused(&folder, &format!("{export} @r.json"), 3, words);
    };
    changed(&|r| r["ids"][9_999] = 12_000.into(), &["first 10000 test images"]);
    changed(&|r| r["sample"]["split"] = "validation".into(), &["`validation`"]);
    changed(&|r| r["robust"] = 9_000.into(), &["was changed"]);
    changed(&|r| r["plan"]["attacks"][3]["queries"] = 50.into(), &["is published"]);
    changed(&|r| r["attacks"][3]["config"]["queries"] = 50.into(), &["was changed"]);
    changed(&|r| drop(r["plan"]["attacks"].as_array_mut().unwrap().pop()), &["published are apgd-ce, apgd-t, fab-t"]);
    changed(&|r| r["plan"]["gradient_samples"] = 20.into(), &["means of 20"]);
    changed(&|r| r["schema_version"] = 99.into(), &["schema_version 99"]);
    write(&suite(Norm::Linf, "1/255", "autoattack"));
    refused(&folder, &format!("{export} @r.json"), 3, &["linf 8/255 and l2 0.5, not linf 1/255"]);
    write(&usual);
    let other = "export preact-resnet:18,width=2 --robustbench @info.json --additional-data false --attacked @r.json";
    refused(&folder, other, 3, &["is about the network"]);
    refused(&folder, "export @net.onnx --robustbench @info.json --attacked @r.json", 2, &["--additional-data"]);
    let reported = format!("{export} @r.json --reported 101");
    refused(&folder, &reported, 2, &["0 to 100"]);
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

/// What no network computes with is refused where it is read, with the tensor's name, whatever tensor it is in.
#[test]
fn weights_that_are_no_numbers_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    done(&folder, "export preact-resnet:18,width=2 --seed 3 --safetensors @own.safetensors --json @arch.json");
    let own = tensors(&at("own.safetensors"));
    std::fs::write(at("names.toml"), "layout = 'own'\n[names]\n'*' = '*'\n").unwrap();
    let named = |end: &str| own.keys().filter(|name| name.ends_with(end)).min().unwrap();
    let (scale, shift) = (named("bn1.weight"), named("bn1.bias"));
    let (mean, variance, stem) = (named(".running_mean"), named(".running_var"), named("stem.conv.weight"));
    let data = format!("npy:{}", net_a::folder().display());
    for (name, value, word) in [
        (stem, f32::NAN, "NaN"),
        (scale, f32::INFINITY, "inf"),
        (shift, f32::NEG_INFINITY, "-inf"),
        (mean, f32::NAN, "NaN"),
        (variance, f32::NAN, "NaN"),
        (variance, -0.25, "-0.25, a statistic that cannot be negative"),
    ] {
        let mut unfit = own.clone();
        let mut numbers: Vec<f32> = own[name].flatten_all().unwrap().to_vec1().unwrap();
        numbers[1] = value;
        unfit.insert(name.clone(), Tensor::from_vec(numbers, own[name].dims(), &Device::Cpu).unwrap());
        save(&unfit, at("weights.safetensors")).unwrap();
        let words = [name, word, "element 1 of", "weights.safetensors"];
        let attack = format!("attack --net @arch.json --data {data} --plan fgsm --n 4");
        let import =
            "import preact-resnet:18,width=2 --from @weights.safetensors --map @names.toml --out @in.safetensors";
        for command in ["export @arch.json --onnx @model.onnx", &attack, import] {
            refused(&folder, command, 3, &words);
        }
    }
    assert!(!at("model.onnx").exists() && !at("in.safetensors").exists());
}
