//! The program in everyday use: what it says about itself, short ways to name things, and arguments that no one should give.

use std::path::Path;
use std::process::{Command, Output, Stdio};

fn program(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_robustnas")).args(arguments).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[track_caller]
fn answers(arguments: &[&str], words: &[&str]) -> String {
    let output = program(arguments);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{arguments:?}: {}", said(&output));
    for word in words {
        assert!(text.contains(word), "{arguments:?} does not say `{word}`: {text}");
    }
    text
}

#[track_caller]
fn refuses(arguments: &[&str], code: i32, words: &[&str]) {
    let output = program(arguments);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", said(&output));
    for word in words {
        assert!(said(&output).contains(word), "{arguments:?} does not say `{word}`: {}", said(&output));
    }
}

#[test]
fn it_says_what_it_is_and_completes() {
    let version = concat!("robustnas ", env!("CARGO_PKG_VERSION"));
    answers(&["--version"], &[version, "features", "cli"]);
    answers(&["completions", "bash"], &["_robustnas", "frontier"]);
    answers(&["completions", "fish"], &["complete -c robustnas"]);
    answers(&["man"], &[".TH robustnas", "EXPORT", "\\-\\-origin"]);
    refuses(&["completions", "basch"], 2, &["bash"]);
}

#[test]
fn spaces_go_by_name_from_any_folder() {
    let names = answers(&["space", "list"], &["dsara-tiny", "dsara-small"]);
    let elsewhere = tempfile::tempdir().unwrap();
    for name in names.lines().map(|line| line.split_whitespace().next().unwrap()) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_robustnas"));
        let output = command.args(["space", "check", name]).current_dir(elsewhere.path()).output().unwrap();
        assert!(output.status.success(), "{name}: {}", said(&output));
        let shown = answers(&["space", "show", name], &["[supernet]"]);
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("search_spaces").join(format!("{name}.toml"));
        assert_eq!(shown, std::fs::read_to_string(file).unwrap());
    }
    refuses(&["search", "dsara-smal"], 2, &["did you mean `dsara-small`?"]);
    refuses(&["search", "src"], 2, &["is a folder", "--continue src"]);
    refuses(&["search", "--continue", "src"], 4, &["not a run folder"]);
}

#[test]
fn keys_are_found_by_their_ends() {
    let config = |set: &[&str]| answers(&[&["search", "--print-config"], set].concat(), &[]);
    assert!(config(&["--set", "train=1000"]).contains("[split]\ntrain = 1000"));
    let same = |a: &[&str], b: &[&str]| assert_eq!(config(a), config(b), "{a:?} {b:?}");
    same(&["--set", "weights.lr=0.5"], &["--set", "search.weights.lr=0.5"]);
    same(&["--set", "budgets=3M,5M"], &["--budgets", "3M,5M"]);
    same(
        &["--set", "robust.nodes=2", "--set", "robust.concat=[2, 3]"],
        &["--set", "cells.robust.nodes=2", "--set", "cells.robust.concat=[2, 3]"],
    );
    refuses(&["search", "--set", "lr=0.5"], 2, &["several keys end so", "search.weights.lr", "search.arch.lr"]);
    refuses(&["search", "--set", "trian=5"], 2, &["unknown key `trian`"]);
    refuses(&["search", "--budgets", "2M", "--budgets", "3M"], 2, &["--budgets"]);
}

/// Code 2 or 3 and words, whatever is asked for.
#[test]
fn senseless_numbers_are_refused() {
    refuses(&["search", "--checkpoint-every", "1e300"], 2, &["expected a number of seconds"]);
    refuses(
        &["train", "wrn:16-1", "--data", "synthetic", "--preset", "fgsm", "--out", "x", "--checkpoint-every", "-1"],
        2,
        &[],
    );
    refuses(&["cost", "wrn:16-1", "--threads", "20000"], 2, &["1024"]);
    refuses(&["search", "--set", &("a.".repeat(20_000) + "a=1")], 2, &["20001 steps"]);
    for (key, words) in [
        ("supernet.channels=9223372036854775807", "at most 16384"),
        ("placement.stem_multiplier=9223372036854775807", "at most 16384"),
        ("scaling.channel_multiple=4611686018427387904", "at most 16384"),
        ("search.batch=18446744073709551615", ""),
        ("split.validation=9223372036854775807", "at most"),
    ] {
        refuses(&["search", "--print-config", "--set", key], 2, &[key.split('=').next().unwrap(), words]);
    }
    refuses(&["cost", "wrn:16-1", "--image", "9999999999x9999999999x3"], 2, &["not an image size"]);
    refuses(&["cost", "wrn:16-1", "--image", "999999999x9999999x3"], 3, &["can be counted"]);
    refuses(&["cost", "wrn:16-1", "--classes", "9999999999999"], 3, &["can be counted"]);
    let output = program(&["cost", "wrn:16-1", "--image", "3x32x32"]);
    assert!(said(&output).contains("rows x columns x channels"), "{}", said(&output));
}

/// Sizes whose products do not fit into 64 bits; the id and the cost are right by wrapping arithmetic.
#[test]
fn an_arch_json_whose_sizes_wrap_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("arch.json");
    let layers = serde_json::json!([
        {"name": "image", "op": "input", "shape": [32, 32, 3]},
        {"name": "pool", "inputs": ["image"], "op": "global_avg_pool"},
        {"name": "wide", "inputs": ["pool"], "op": "linear", "out": 6_148_914_691_236_517_206u64, "bias": false},
        {"name": "fc", "inputs": ["wide"], "op": "linear", "out": 10, "bias": false},
    ]);
    let arch = serde_json::json!({
        "schema_version": 1, "id": "0000000000000000", "image": [32, 32, 3], "classes": 10, "summary": "",
        "cost": {"params": 2, "macs": 2, "rule": "conv-linear-macs/1"}, "layers": layers
    });
    std::fs::write(&file, arch.to_string()).unwrap();
    let (file, out) = (file.to_str().unwrap(), folder.path().join("w.safetensors"));
    refuses(&["cost", file], 3, &["node `wide`", "can be counted"]);
    refuses(&["export", file, "--safetensors", out.to_str().unwrap(), "--seed", "1"], 3, &["node `wide`"]);
}

#[test]
fn a_run_of_years_is_not_begun_by_accident() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let arguments = ["search", "--out", out.to_str().unwrap(), "--budgets", "4M", "--set", "search.epochs=16000000"];
    refuses(&arguments, 5, &["in all, which is more than 3.0 days", "--yes"]);
    assert!(!out.exists());
}

/// What the search needs is told before it is taken, against the limit of the process as well.
#[test]
#[cfg(target_os = "linux")]
fn memory_is_foretold() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let limit = "ulimit -v 3000000; exec \"$@\"";
    let output = Command::new("sh")
        .args(["-c", limit, "sh", env!("CARGO_BIN_EXE_robustnas"), "search", "--threads", "1", "--out"])
        .arg(&out)
        .args(["--set", "supernet.channels=512"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(5), "{}", said(&output));
    for words in ["the search needs", "MiB of memory are available", "Max address space", "supernet.channels"] {
        assert!(said(&output).contains(words), "no `{words}`: {}", said(&output));
    }
    assert!(!out.exists());
}

/// A signal during the estimate ends the program: there is nothing to wait for.
#[test]
#[cfg(unix)]
fn a_signal_before_anything_is_begun_is_answered_at_once() {
    use std::io::{BufRead, BufReader};
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    for (signal, second) in [("INT", false), ("TERM", false), ("HUP", false), ("INT", true)] {
        // HUP is ignored where tests are run by nohup, and a program that begins so goes on so.
        let mut command = Command::new("env");
        if cfg!(target_os = "linux") {
            command.arg("--default-signal=HUP");
        }
        let mut child = command
            .arg(env!("CARGO_BIN_EXE_robustnas"))
            // Large enough that the estimate alone takes long.
            .args(["search", "dsara", "--yes", "--data", "synthetic", "--budgets", "100M", "--threads", "1", "--out"])
            .arg(&out)
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let first = lines.next().unwrap().unwrap();
        assert!(first.contains("reading"), "{first}");
        for _ in 0..1 + u32::from(second) {
            drop(Command::new("kill").args([&format!("-{signal}"), &child.id().to_string()]).status());
        }
        let code = child.wait().unwrap().code();
        assert!(code == Some(75) || second && code == Some(130), "{signal}: {code:?}");
        assert!(!out.exists(), "nothing was begun");
    }
}

/// Names that are not UTF-8 are names.
#[test]
#[cfg(target_os = "linux")]
fn names_that_are_not_utf8_are_no_panic() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let name = OsStr::from_bytes(b"no\xffname");
    let verbs: [&[&str]; 14] = [
        &["status"],
        &["rank", "--json"],
        &["rank"],
        &["search", "--continue"],
        &["search"],
        &["search", "--print-config", "--out"],
        &["frontier", "x", "--out"],
        &["export", "wrn:16-1", "--json"],
        &["export"],
        &["cost"],
        &["space", "check"],
        &["data", "check"],
        &["attack", "--net", "wrn:16-1", "--data", "synthetic", "--weights"],
        &["population", "--out", "x"],
    ];
    let folder = tempfile::tempdir().unwrap();
    for verb in verbs {
        let mut command = Command::new(env!("CARGO_BIN_EXE_robustnas"));
        let output = command.args(verb).arg(name).current_dir(folder.path()).output().unwrap();
        assert!(output.status.code().is_some_and(|code| code < 70), "{verb:?}: {:?} {}", output.status, said(&output));
        assert!(!said(&output).contains("panicked"), "{verb:?}: {}", said(&output));
    }
}

#[test]
#[cfg(target_os = "linux")]
fn standard_error_that_takes_nothing_is_no_panic() {
    let full = || std::fs::File::options().write(true).open("/dev/full").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("arch.json");
    let mut command = Command::new(env!("CARGO_BIN_EXE_robustnas"));
    let status = command.args(["export", "wrn:16-1", "--json"]).arg(&out).stderr(full()).status().unwrap();
    assert!(status.success() && out.exists());
    let mut command = Command::new(env!("CARGO_BIN_EXE_robustnas"));
    assert_eq!(command.args(["status", "nowhere"]).stderr(full()).status().unwrap().code(), Some(4));
    // A device is written to, not replaced.
    let written = program(&["export", "wrn:16-1", "--json", "/dev/stdout"]);
    assert!(written.status.success(), "{}", said(&written));
    assert_eq!(written.stdout, std::fs::read(&out).unwrap());
    // Nothing but a file is read as one.
    let endless = program(&["cost", "/dev/zero/model.onnx"]);
    assert_eq!(endless.status.code(), Some(6), "{}", said(&endless));
    std::os::unix::fs::symlink("/dev/zero", folder.path().join("model.onnx")).unwrap();
    refuses(&["cost", folder.path().join("model.onnx").to_str().unwrap()], 3, &["no regular file"]);
}

/// Data that a model keeps in a file beside it are read from a file alone: a link to an endless device, or a pipe that nobody
/// writes to, would be read for ever.
#[test]
#[cfg(unix)]
fn external_data_are_read_from_a_file_alone() {
    let folder = tempfile::tempdir().unwrap();
    let (model, data) = (folder.path().join("external.onnx"), folder.path().join("external.data"));
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/onnx");
    std::fs::copy(fixtures.join("external.onnx"), &model).unwrap();
    std::fs::copy(fixtures.join("external.data"), &data).unwrap();
    let cost = ["cost", model.to_str().unwrap()];
    assert!(program(&cost).status.success(), "{}", said(&program(&cost)));
    std::fs::remove_file(&data).unwrap();
    std::os::unix::fs::symlink("/dev/zero", &data).unwrap();
    refuses(&cost, 3, &["external.data", "no regular file"]);
    std::fs::remove_file(&data).unwrap();
    assert!(Command::new("mkfifo").arg(&data).status().unwrap().success());
    refuses(&cost, 3, &["external.data", "no regular file"]);
}

#[test]
fn quiet_is_quiet() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("arch.json");
    let export = ["export", "wrn:16-1", "--json", out.to_str().unwrap()];
    assert!(said(&program(&export)).contains("parameters"));
    assert_eq!(said(&program(&[&["-q"], &export[..]].concat())), "");
    refuses(&["-q", "-v", "cost", "wrn:16-1"], 2, &["--verbose"]);
}
