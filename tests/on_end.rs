//! `--on-end`: what the command is told, and that it changes nothing of the job.

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// Notes what it is told into a file beside the run.
fn note(file: &Path) -> String {
    format!(
        "printf '%s|%s|%s|%s\\n' \"$ROBUSTNAS_RUN\" $ROBUSTNAS_OUTCOME $ROBUSTNAS_EXIT \"${{ROBUSTNAS_SUMMARY-none}}\" >> {}; \
         echo said",
        file.display()
    )
}

/// A training of a moment, or of hours where it has so many epochs.
fn train(out: &Path, epochs: &str, on_end: &str, more: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_robustnas"));
    command.args(["train", "wrn:channels=4-4-8-16,depths=1-1-1", "--data", "synthetic", "--preset", "rs-fgsm"]);
    command.args(["--epochs", epochs, "--batch", "16", "--set", "split.train=32", "--set", "split.validation=16"]);
    command.args(["--set", "watch.steps=1", "--on-end", on_end]).args(more).arg("--out").arg(out);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn words(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn told(file: &Path) -> Vec<String> {
    std::fs::read_to_string(file).unwrap_or_default().lines().map(str::to_owned).collect()
}

#[test]
fn a_job_that_finishes_and_its_figure() {
    let folder = tempfile::tempdir().unwrap();
    let [out, file, curves] = ["run", "told", "curves.pdf"].map(|name| folder.path().join(name));
    let figure = ["--figure", curves.to_str().unwrap(), "--width", "8.4cm", "--json"];
    let Output { status, stdout, stderr } = train(&out, "1", &note(&file), &figure).output().unwrap();
    assert_eq!(status.code(), Some(0), "{}", words(&stderr));
    let lines = told(&file);
    assert_eq!(lines.len(), 1, "{lines:?}");
    let begins = format!("{}|finished|0|", out.display());
    assert!(lines[0].starts_with(&begins) && lines[0].contains("epoch 1 of 1 kept, "), "{lines:?}");
    // What the command prints is not among the results.
    assert!(serde_json::from_slice::<serde_json::Value>(&stdout).is_ok(), "{}", words(&stdout));
    assert!(words(&stderr).contains("said"));
    assert!(std::fs::read(&curves).unwrap().starts_with(b"%PDF-"));
    assert!(words(&stderr).contains("caption: Training of wrn:"), "{}", words(&stderr));
    // Given again, a finished job ends again. A command that fails is a warning.
    let Output { status, stderr, .. } = train(&out, "1", "exit 3", &[]).output().unwrap();
    assert_eq!(status.code(), Some(0));
    assert!(words(&stderr).contains("warning: --on-end: `exit 3` ended with"), "{}", words(&stderr));
}

#[test]
fn a_job_that_is_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let [out, file] = ["run", "told"].map(|name| folder.path().join(name));
    let child = train(&out, "100000", &note(&file), &[]).spawn().unwrap();
    let begun = Instant::now();
    while !out.join("journal.jsonl").exists() {
        assert!(begun.elapsed() < Duration::from_secs(120), "it does not begin");
        std::thread::sleep(Duration::from_millis(20));
    }
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(75), "{}", words(&output.stderr));
    assert_eq!(told(&file), [format!("{}|stopped|75|none", out.display())]);
}

#[test]
fn a_job_that_fails() {
    let folder = tempfile::tempdir().unwrap();
    let [out, file] = ["run", "told"].map(|name| folder.path().join(name));
    let run = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_robustnas"));
        command.args(arguments).args(["--on-end", &note(&file), "--out", out.to_str().unwrap()]).output().unwrap()
    };
    for (i, arguments) in [
        &["search", "--set", "search.epochs=none"][..],
        &["search", "--data", "cifar10:nowhere"],
        &["study", "search_spaces/dsara-tiny.toml"],
        &["population", "search_spaces/nowhere.toml"],
        &["train", "wrn:10-1", "--data", "synthetic", "--preset", "no-such"],
    ]
    .into_iter()
    .enumerate()
    {
        let output = run(arguments);
        let code = output.status.code().unwrap();
        assert_ne!(code, 0, "{arguments:?}");
        let lines = told(&file);
        assert_eq!(lines.len(), i + 1, "{arguments:?}: {}", words(&output.stderr));
        assert_eq!(lines[i], format!("{}|failed|{code}|none", out.display()), "{arguments:?}");
    }
    assert!(!out.exists());
}

/// What only prints is no job.
#[test]
fn a_configuration_that_is_printed_does_not_end() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("told");
    let output = Command::new(env!("CARGO_BIN_EXE_robustnas"))
        .args(["search", "--print-config", "--on-end", &note(&file)])
        .output()
        .unwrap();
    assert!(output.status.success() && told(&file).is_empty());
}
