//! `robustnas report --optuna`: the file's lines; `make optuna-check` opens it by Optuna itself.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

fn report(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_robustnas")).arg("report").args(arguments).output().unwrap()
}

fn example() -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("results/example").display().to_string()
}

#[test]
fn candidates_are_trials() {
    let folder = tempfile::tempdir().unwrap();
    let (log, page) = (folder.path().join("a.log"), folder.path().join("a.html"));
    let both = ["--optuna", log.to_str().unwrap(), "--out", page.to_str().unwrap()];
    let output = report(&[&[&example()[..]], &both[..]].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(page.exists());
    let text = std::fs::read_to_string(&log).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&lines[0]["op_code"], &lines[0]["study_name"]), (&0.into(), &"example".into()));
    assert_eq!(lines[0]["directions"], serde_json::json!([2, 2]));
    let trials: Vec<&Value> = lines.iter().filter(|line| line["op_code"] == 4).collect();
    assert_eq!(trials.len(), 9);
    let first = trials[0];
    assert_eq!(first["values"], serde_json::json!([0.241, 0.183]));
    assert_eq!(first["user_attrs"]["arch"], "9242d58724ece89e");
    assert_eq!((&first["state"], &first["params"]["macs"]), (&1.into(), &4_205_216.0.into()));
    let layouts: Value = serde_json::from_str(first["distributions"]["layout"].as_str().unwrap()).unwrap();
    let place = first["params"]["layout"].as_u64().unwrap() as usize;
    assert_eq!(layouts["attributes"]["choices"][place], "cells 4-4-1 channels 2-6-4");
    // The same run is the same bytes.
    report(&[&[&example()[..]], &both[..2]].concat());
    assert_eq!(text, std::fs::read_to_string(&log).unwrap());
}

#[test]
fn something_is_to_be_written_and_runs_have_names_of_their_own() {
    let output = report(&[&example()]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("--out"));
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("a.log");
    let output = report(&[&example(), &example(), "--optuna", log.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("two runs are called example"));
    assert!(!log.exists());
}
