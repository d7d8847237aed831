//! The memory that the engine estimates from a network's graph against what a process really takes: training steps and the
//! search's steps, each in a process of the program.
//!
//! A process grows from what it held before there was a network to its peak. What it grows by beside the plan (code that is
//! read in, stacks, the packing buffers of matrix products) is a few MiB; the cases are large enough for that to be little.

#![cfg(target_os = "linux")]

use std::process::Command;

/// How far the plan may be off, as a share of the growth.
const OFF: f64 = 0.1;

fn line(arguments: &[&str]) -> serde_json::Value {
    let output = Command::new(env!("CARGO_BIN_EXE_robustnas"))
        .arg("bench")
        .args(arguments)
        .args(["--steps", "1", "--threads", "2", "--json"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Runs a case alone and compares; returns its plan.
fn grows_as_planned(arguments: &[&str]) -> serde_json::Value {
    let line = line(arguments);
    let of = |field: &str| line[field].as_u64().unwrap_or_else(|| panic!("no `{field}` in {line}")) as f64;
    let (planned, grown) = (of("planned_bytes"), of("peak_bytes") - of("before_bytes"));
    let off = planned / grown - 1.0;
    println!("{arguments:?}: planned {planned}, grown by {grown}, {:+.1} %", 100.0 * off);
    assert!(planned >= 8e7, "{arguments:?} is too small to tell the plan from the program: {planned}");
    assert!(off.abs() <= OFF, "{arguments:?}: planned {planned}, grown by {grown}");
    line
}

/// By every method: where the arena is nearly everything, and where weights, momentum and gradients are half of it.
#[test]
fn training_steps() {
    let wide = ["train", "--net", "wrn:depth=16,width=4", "--image", "16x16x3", "--batch", "64", "--method"];
    let deep = ["train", "--net", "preact-resnet:18", "--image", "8x8x3", "--batch", "8", "--method"];
    for method in ["standard", "n-fgsm"] {
        grows_as_planned(&[&wide[..], &[method]].concat());
    }
    for method in ["standard", "pgd-1", "trades"] {
        grows_as_planned(&[&deep[..], &[method]].concat());
    }
}

#[test]
fn search_steps() {
    let size = ["step", "--batch", "8", "--pgd-steps", "1", "--cases"];
    for case in ["weight_step", "pgd", "first_order_step", "second_order_step"] {
        grows_as_planned(&[&size[..], &[case]].concat());
    }
}

/// `cost` says before a training what `bench` says in it.
#[test]
fn cost_estimates_the_same() {
    let net = ["--net", "wrn:depth=10,width=1", "--method", "trades", "--batch", "2"];
    let planned = line(&[&["train"][..], &net].concat());
    let cost = Command::new(env!("CARGO_BIN_EXE_robustnas"))
        .args(["cost", "wrn:depth=10,width=1", "--memory", "--method", "trades", "--batch", "2", "--json"])
        .output()
        .unwrap();
    let cost: serde_json::Value = serde_json::from_slice(&cost.stdout).unwrap();
    assert_eq!(cost["training_bytes"], planned["planned_bytes"]);
    assert_eq!(cost["memory"]["arena_bytes"], planned["arena_bytes"]);
    let parts = ["arena_bytes", "state_bytes", "vector_bytes", "image_bytes"];
    let sum: u64 = parts.iter().map(|part| cost["memory"][part].as_u64().unwrap()).sum();
    assert_eq!(cost["training_bytes"], sum);
    // Momentum and two gradients of 77850 numbers; three batches of two images.
    assert_eq!((&cost["memory"]["vector_bytes"], &cost["memory"]["image_bytes"]), (&934_200.into(), &73_728.into()));
}
