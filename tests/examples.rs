//! The programs of `examples/` run, and say what they are there to say.

use std::process::Command;

/// Builds an example, where it is not yet, and runs it; what it prints.
fn run(name: &str, arguments: &[&str]) -> String {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(env!("CARGO_MANIFEST_DIR")).args(["run", "--quiet", "--example", name]);
    if !cfg!(debug_assertions) {
        cargo.arg("--release");
    }
    let output = cargo.arg("--").args(arguments).output().unwrap();
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_network_is_counted_and_drawn() {
    let folder = tempfile::tempdir().unwrap();
    let picture = folder.path().join("net.svg");
    let text = run("count_and_draw", &["preact-resnet:18", picture.to_str().unwrap()]);
    assert!(text.starts_with("preact-resnet:18: 11.17M parameters"), "{text}");
    assert!(std::fs::read_to_string(picture).unwrap().starts_with("<svg"));
}

#[test]
fn a_network_is_trained_and_attacked() {
    let text = run("train_and_attack", &[]);
    assert!(text.contains("epoch 3: loss") && text.contains("under both attacks"), "{text}");
}

#[test]
fn a_search_is_run_and_ranked() {
    let folder = tempfile::tempdir().unwrap();
    let text = run("search", &[folder.path().to_str().unwrap()]);
    assert!(text.contains("budget 2.00M MACs") && text.contains("hand-made"), "{text}");
    assert!(folder.path().join("ranked.json").exists());
}

#[test]
fn a_found_network_is_used_in_candle() {
    let text = run("candle_module", &[]);
    assert!(text.starts_with("answers [") && text.contains("attacked ["), "{text}");
}
