//! The program as a user meets it: exit codes, messages, and results that programs can read.

use std::path::Path;
use std::process::{Command, Output};

fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_robustnas")).args(arguments).output().unwrap()
}

fn refuses(arguments: &[&str], code: i32, words: &[&str]) {
    let output = run(arguments);
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {text}");
    for word in words {
        assert!(text.contains(word), "{arguments:?} does not say `{word}`: {text}");
    }
}

fn json(arguments: &[&str]) -> serde_json::Value {
    let output = run(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// A search of a second or two.
const QUICK: &[&str] = &[
    "--budgets",
    "2M",
    "--set",
    "split.train=128",
    "--set",
    "split.validation=32",
    "--set",
    "split.test=32",
    "--set",
    "supernet.channels=2",
    "--set",
    "search.epochs=1",
    "--set",
    "search.stage_one_epochs=0",
    "--set",
    "search.batch=32",
    "--set",
    "search.probe=16",
    "--set",
    "retrain.epochs=1",
    "--set",
    "retrain.batch=32",
    "--set",
    "derive.random=0",
    "--set",
    "scaling.tolerance=0.4",
    "--set",
    "scaling.depth_share=[0.5, 0.99]",
];

fn quick<'a>(out: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["search", "--out", out], QUICK, more].concat()
}

#[test]
fn counts_published_networks() {
    for (net, params, macs) in [
        ("dsara:search_spaces/genotypes/ARNAS.txt,channels=64,layers=20", 4_520_394, 1_240_151),
        ("dsara:search_spaces/genotypes/ARNAS.txt,channels=36,layers=20", 1_533_718, 423_796),
        ("darts:search_spaces/genotypes/DARTS_V2.txt,channels=36,layers=20", 3_349_342, 528_359),
    ] {
        let cost = json(&["cost", net, "--json"]);
        assert_eq!(cost["params"], params);
        assert_eq!(cost["macs"].as_u64().unwrap().div_euclid(1000), macs);
        assert_eq!(cost["rule"], "conv-linear-macs/1");
    }
}

#[test]
fn exit_codes_and_words() {
    refuses(&["serch"], 2, &["search"]);
    refuses(&["cost", "drats:x,channels=1,layers=5"], 2, &["darts"]);
    refuses(&["search", "--data", "cifar:x"], 2, &["cifar10"]);
    refuses(&["search", "--set", "search.epoch=3"], 2, &["[search]", "`epochs`"]);
    refuses(&["data", "check", "cifar10:nowhere"], 3, &["nowhere"]);
    refuses(&["space", "check", "README.md"], 3, &["README.md:"]);
    refuses(&["search", "--budgets", "1k", "--out", "unused"], 5, &["1.0k", "nearest"]);
    refuses(&["status", "src"], 4, &["not a run folder"]);
    refuses(&["schema", "rankd"], 2, &["ranked"]);
    assert!(!Path::new("unused").exists(), "an impossible budget leaves no folder behind");
}

#[test]
fn a_run_from_beginning_to_end() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    let run_folder = path("run");
    let ranked = json(&quick(&run_folder, &["--json"]));
    assert_eq!(ranked["schema_version"], 1);
    let schema = json(&["schema", "ranked"]);
    assert!(jsonschema::is_valid(&schema, &ranked), "ranked.json does not follow its schema");

    let status = json(&["status", &run_folder, "--json"]);
    assert_eq!(status["finished"], true);
    for picture in ["f.svg", "f.png", "f.json"] {
        let output = run(&["frontier", &run_folder, &run_folder, "--out", &path(picture)]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let output = run(&["export", &run_folder, "--rank", "1", "--json", &path("best.json")]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let arch: serde_json::Value = serde_json::from_slice(&std::fs::read(path("best.json")).unwrap()).unwrap();
    assert!(jsonschema::is_valid(&json(&["schema", "arch"]), &arch), "arch.json does not follow its schema");
    assert_eq!(json(&["cost", &path("best.json"), "--json"])["params"], arch["cost"]["params"]);

    // The same command again has nothing to do; another configuration is refused with the keys that differ.
    assert!(run(&quick(&run_folder, &[])).status.success());
    refuses(&quick(&run_folder, &["--set", "retrain.epochs=2"]), 4, &["retrain.epochs", "1 -> 2"]);
    refuses(&quick(&run_folder, &["--seed", "9"]), 4, &["seed"]);

    // A folder of a newer version is refused, and not touched.
    let file = folder.path().join("run").join("run.json");
    let newer = std::fs::read_to_string(&file).unwrap().replace("\"schema_version\": 1", "\"schema_version\": 99");
    std::fs::write(&file, &newer).unwrap();
    refuses(&quick(&run_folder, &[]), 4, &["99"]);
    refuses(&["rank", &run_folder], 4, &["99"]);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), newer);
}

#[test]
fn a_diverging_candidate_is_a_row() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run").to_string_lossy().into_owned();
    let settings = ["--set", "retrain.sgd.lr=1e30", "--set", "retrain.sgd.clip=1e30", "--json"];
    let ranked = json(&quick(&out, &settings));
    let entries = ranked["budgets"][0]["entries"].as_array().unwrap();
    assert!(entries.iter().any(|e| e["status"] == "failed" && e["kind"] == "nan"), "{entries:?}");
    assert!(entries.iter().filter(|e| e["status"] == "failed").all(|e| e["rank"].is_null()));
}

#[test]
fn two_processes_do_not_share_a_run() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run").to_string_lossy().into_owned();
    let arguments = quick(&out, &["--set", "split.train=2000"]);
    let mut first = Command::new(env!("CARGO_BIN_EXE_robustnas"))
        .args(&arguments)
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    while !folder.path().join("run").join("run.json").exists() {
        assert!(first.try_wait().unwrap().is_none(), "the first process ended before it began its run");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    refuses(&arguments, 4, &["another process"]);
    first.kill().unwrap();
    first.wait().unwrap();
}
