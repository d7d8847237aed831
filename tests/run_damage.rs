//! A run whose files were damaged: every verb sees the same, nothing is cut away, and the same command makes anew what it can,
//! to the byte. One search of seconds is made, and copies of its folder are damaged.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

#[path = "fixtures/quick.rs"]
mod quick;
#[path = "fixtures/run_folder.rs"]
mod run_folder;

use run_folder::{content, copy};

fn program(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_robustnas")).args(arguments).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The first network's folder.
fn network(run: &Path) -> PathBuf {
    let mut archs: Vec<PathBuf> = fs::read_dir(run.join("archs")).unwrap().map(|e| e.unwrap().path()).collect();
    archs.sort();
    archs.retain(|arch| arch.join("eval.json").exists());
    archs.remove(0)
}

#[test]
fn damage_is_seen_by_every_verb_and_made_good() {
    let root = tempfile::tempdir().unwrap();
    let whole = root.path().join("whole");
    let out = whole.to_string_lossy().into_owned();
    // Standard error that takes nothing stops nothing.
    let mut search = Command::new(env!("CARGO_BIN_EXE_robustnas"));
    search.args(quick::search(&out, &[]));
    if let Ok(full) = fs::File::options().write(true).open("/dev/full") {
        search.stderr(full);
    }
    assert!(search.status().unwrap().success());
    let right = content(&whole);
    assert!(!whole.join("progress.json").exists(), "a job that ends leaves no progress");

    lines_that_are_lost(root.path(), &whole);
    files_that_are_made_anew(root.path(), &whole, &right);
    a_network_by_its_run(&whole);
}

fn lines_that_are_lost(root: &Path, whole: &Path) {
    let journal = fs::read_to_string(whole.join("journal.jsonl")).unwrap();
    let lines: Vec<&str> = journal.split_inclusive('\n').collect();
    let head = |n: usize| lines[..n].concat();
    let cases = [
        ("emptied", String::new()),
        ("four lines", head(4)),
        ("all but the last", head(lines.len() - 1)),
        ("other line breaks", journal.replace('\n', "\r\n")),
        ("zeros", "\0".repeat(journal.len())),
        ("two bad lines", head(lines.len() - 2) + "bad\nbad\n"),
        ("a line twice", journal.clone() + lines[lines.len() - 1]),
        ("a line less", head(2) + &lines[3..].concat()),
    ];
    for (i, (name, text)) in cases.into_iter().enumerate() {
        let run = root.join(format!("lines-{i}"));
        copy(whole, &run);
        fs::write(run.join("journal.jsonl"), &text).unwrap();
        let before = content(&run);
        let (folder, out) = (run.to_str().unwrap(), root.join("out.json"));
        let out = out.to_str().unwrap();
        let verbs: [&[&str]; 6] = [
            &["status", folder],
            &["rank", folder],
            &["export", folder, "--json", out],
            &["frontier", folder, "--out", out],
            &["cost", folder],
            &["search", "--continue", folder],
        ];
        let answers: Vec<Output> = verbs.iter().map(|verb| program(verb)).collect();
        for (verb, answer) in verbs.iter().zip(&answers) {
            assert_eq!(answer.status.code(), Some(4), "{name}: {verb:?}: {}", said(answer));
            let last = |output: &Output| said(output).lines().last().unwrap_or_default().to_owned();
            assert_eq!(last(answer), last(&answers[0]), "{name}: {verb:?} says something else");
        }
        assert!(content(&run) == before, "{name}: a refusal changes nothing");
    }
}

fn files_that_are_made_anew(root: &Path, whole: &Path, right: &BTreeMap<PathBuf, Vec<u8>>) {
    type Damage = fn(&Path);
    let page: Damage = |path| {
        let mut bytes = fs::read(path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle..middle + 400].fill(0);
        fs::write(path, bytes).unwrap();
    };
    let cut: Damage = |path| {
        let bytes = fs::read(path).unwrap();
        fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
    };
    let gone: Damage = |path| fs::remove_file(path).unwrap();
    let cases: [(&str, Damage); 8] = [
        ("weights.safetensors", page),
        ("weights.safetensors", cut),
        ("weights.safetensors", gone),
        ("arch.json", page),
        ("genotype.txt", gone),
        ("eval.json", cut),
        ("../../ranked.json", cut),
        ("../../frontier.svg", gone),
    ];
    for (i, (name, damage)) in cases.into_iter().enumerate() {
        let run = root.join(format!("files-{i}"));
        copy(whole, &run);
        let file = network(&run).join(name);
        if name == "genotype.txt" && !file.exists() {
            continue;
        }
        damage(&file);
        let folder = run.to_str().unwrap();
        let damaged_network = !name.starts_with("..") && file.exists();
        let arch = network(whole).file_name().unwrap().to_owned();
        if damaged_network {
            let out = root.join("out.onnx");
            let named = format!("{folder}/{}", arch.to_str().unwrap());
            let answer = program(&["export", &named, "--onnx", out.to_str().unwrap()]);
            assert_eq!(answer.status.code(), Some(4), "{name}: {}", said(&answer));
            assert!(said(&answer).contains(name), "{}", said(&answer));
        }
        let again = program(&["search", "--continue", folder]);
        assert!(again.status.success(), "{name}: {}", said(&again));
        if !name.starts_with("..") {
            assert!(said(&again).contains(name) && said(&again).contains("made anew"), "{name}: {}", said(&again));
        }
        assert!(&content(&run) == right, "{name} is not as it was");
    }
}

/// A run folder, or the beginning of an id, wherever a network is taken.
fn a_network_by_its_run(whole: &Path) {
    let folder = whole.to_str().unwrap();
    let arch = network(whole);
    let id = arch.file_name().unwrap().to_str().unwrap();
    let short = format!("{folder}/{}", &id[..6]);
    for name in [folder, &short, &format!("{folder}/archs/{id}"), &format!("{folder}/archs/{id}/arch.json")] {
        let answer = program(&["cost", name]);
        assert!(answer.status.success(), "{name}: {}", said(&answer));
    }
    let measured = program(&["attack", "--net", &short, "--data", "synthetic", "--plan", "fgsm", "--n", "8"]);
    assert!(measured.status.success(), "{}", said(&measured));
    for (name, words) in
        [(format!("{folder}/00ff00ff00ff"), "no network's id begins"), (format!("{folder}/archs"), "no arch.json")]
    {
        let answer = program(&["cost", &name]);
        assert_eq!(answer.status.code(), Some(2), "{name}: {}", said(&answer));
        assert!(said(&answer).contains(words), "{name}: {}", said(&answer));
    }
    let several = program(&["status", folder, folder, "--json"]);
    let several: serde_json::Value = serde_json::from_slice(&several.stdout).unwrap();
    assert_eq!(several.as_array().map(Vec::len), Some(2));
    assert!(several[0]["finished"] == true && several[0]["worker"].is_null());
}
