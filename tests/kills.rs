//! What a run survives, at length: `make break`. Kills at random moments, a kill at every system call that changes the run's
//! folder (with strace), and files that are damaged: the same bytes in the end, or a clear error, in every verb.

#![cfg(target_os = "linux")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use robustnas::seed::{Seed, Stream};

#[path = "fixtures/quick.rs"]
mod quick;
#[path = "fixtures/run_folder.rs"]
mod run_folder;

use run_folder::{content, copy};

const PROGRAM: &str = env!("CARGO_BIN_EXE_robustnas");
const WHY: &str = "a search that is left alone ends well";

fn number(name: &str, usual: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}

fn search(out: &Path) -> Vec<String> {
    let more = ["--threads", "1", "--checkpoint-every", "0.1"];
    quick::search(out.to_str().unwrap(), &more).into_iter().map(str::to_owned).collect()
}

fn finish(out: &Path) -> Output {
    let output = Command::new(PROGRAM).args(search(out)).output().unwrap();
    assert!(output.status.success(), "{WHY}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

fn draws() -> Stream {
    let seed = number("ROBUSTNAS_SEED", 1);
    println!("seed {seed}");
    Seed::root(seed).child("break").stream()
}

/// The names of files that differ, or are in one of two folders only.
fn differing<'a>(a: &'a BTreeMap<PathBuf, Vec<u8>>, b: &'a BTreeMap<PathBuf, Vec<u8>>) -> Vec<&'a PathBuf> {
    let mut names: Vec<&PathBuf> = a.keys().chain(b.keys()).filter(|name| a.get(*name) != b.get(*name)).collect();
    names.sort();
    names.dedup();
    names
}

#[test]
#[ignore = "takes long; make break runs it"]
fn kills_at_random_moments() {
    let (kills, mut random) = (number("ROBUSTNAS_KILLS", 100), draws());
    let root = tempfile::tempdir().unwrap();
    let alone = root.path().join("alone");
    let start = Instant::now();
    finish(&alone);
    let (whole, right) = (start.elapsed(), content(&alone));
    let (mut done, mut rounds) = (0, 0);
    while done < kills {
        let out = root.path().join(format!("round-{rounds}"));
        // Until it ends by itself; a quarter of the moments lie in its first tenth.
        loop {
            let mut child =
                Command::new(PROGRAM).args(search(&out)).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
            let share = f64::from(random.uniform()) * if random.uniform() < 0.25 { 0.1 } else { 1.2 };
            std::thread::sleep(whole.mul_f64(share).max(Duration::from_millis(1)));
            let signal = ["KILL", "KILL", "KILL", "TERM", "HUP", "USR1"][random.below(6)];
            if child.try_wait().unwrap().is_some() || done >= kills {
                assert!(child.wait().unwrap().code().is_some_and(|code| [0, 75].contains(&code)), "round {rounds}");
                break;
            }
            let sent = Command::new("kill").args([&format!("-{signal}"), &child.id().to_string()]).status().unwrap();
            let status = child.wait().unwrap();
            if sent.success() && signal != "KILL" {
                assert!(status.code().is_none_or(|code| [0, 75].contains(&code)), "{signal}: {status:?}");
            }
            done += 1;
        }
        finish(&out);
        let found = content(&out);
        assert!(found == right, "round {rounds} differs in {:?}", differing(&found, &right));
        fs::remove_dir_all(&out).unwrap();
        rounds += 1;
    }
    println!("{done} kills in {rounds} rounds of a search of {whole:?}: the same bytes each time");
}

/// System calls that change a folder.
const CALLS: [&str; 12] = [
    "openat",
    "write",
    "rename",
    "renameat",
    "renameat2",
    "unlink",
    "unlinkat",
    "mkdir",
    "fdatasync",
    "fsync",
    "ftruncate",
    "flock",
];

#[test]
#[ignore = "takes long and needs strace; make break runs it"]
fn a_kill_at_every_system_call_that_changes_the_folder() {
    let strace = Command::new("strace").arg("-V").stdout(Stdio::null()).status();
    assert!(
        strace.is_ok_and(|status| status.success()),
        "there is no strace; `make break` leaves this out where there is none"
    );
    let stride = number("ROBUSTNAS_STRIDE", 1);
    let root = tempfile::tempdir().unwrap();
    let alone = root.path().join("alone");
    finish(&alone);
    let right = content(&alone);
    let (mut kills, mut counted) = (0, Vec::new());
    for call in CALLS {
        let (traced, out) = (root.path().join("trace"), root.path().join("run"));
        let all = |out: &Path| -> Vec<String> {
            let mut command = Command::new("strace");
            command.args(["-f", "-qq", "-y", "-e", &format!("trace={call}"), "-o"]).arg(&traced).arg("--");
            command.arg(PROGRAM).args(search(out)).stdout(Stdio::null()).stderr(Stdio::null());
            assert!(command.status().unwrap().success(), "{call}: {WHY}");
            fs::read_to_string(&traced).unwrap().lines().map(str::to_owned).collect()
        };
        // The numbers, among all calls of this kind, of those that name the folder.
        let lines = all(&out);
        let calls = lines.iter().filter(|line| line.contains(&format!("{call}(")));
        let folder = out.to_str().unwrap();
        let places: Vec<usize> = (1..).zip(calls).filter(|(_, line)| line.contains(folder)).map(|(k, _)| k).collect();
        fs::remove_dir_all(&out).unwrap();
        counted.push(format!("{call} {}", places.len()));
        for k in places.into_iter().step_by(stride as usize) {
            let inject = format!("inject={call}:signal=SIGKILL:when={k}");
            let trace = format!("trace={call}");
            let mut command = Command::new("strace");
            command
                .args(["-f", "-qq", "-e", &trace, "-e", &inject, "-o", "/dev/null", "--", PROGRAM])
                .args(search(&out));
            command.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap();
            finish(&out);
            let found = content(&out);
            assert!(found == right, "killed at {call} {k}: {:?}", differing(&found, &right));
            fs::remove_dir_all(&out).unwrap();
            kills += 1;
        }
    }
    println!("{kills} kills, one at every {stride} of {}: the same bytes each time", counted.join(", "));
}

#[test]
#[ignore = "takes long; make break runs it"]
fn damaged_files() {
    let (count, mut random) = (number("ROBUSTNAS_DAMAGED", 200), draws());
    let root = tempfile::tempdir().unwrap();
    let whole = root.path().join("whole");
    finish(&whole);
    let right = content(&whole);
    let names: Vec<PathBuf> = right.keys().cloned().chain([PathBuf::from("run.json")]).collect();
    let out = root.path().join("out.json");
    let verbs = |run: &Path| -> Vec<Vec<String>> {
        let (run, out) = (run.to_str().unwrap(), out.to_str().unwrap());
        let list: [&[&str]; 5] = [
            &["status", run],
            &["rank", run],
            &["export", run, "--json", out],
            &["frontier", run, "--out", out],
            &["search", "--continue", run],
        ];
        list.iter().map(|verb| verb.iter().map(|word| (*word).to_owned()).collect()).collect()
    };
    let run = root.path().join("run");
    let (mut same, mut refused) = (0, 0);
    for number in 0..count {
        copy(&whole, &run);
        let name = &names[random.below(names.len())];
        let file = run.join(name);
        let how = damage(&file, &mut random);
        let what = format!("{number}: {how} of {}", name.display());
        let mut answers = Vec::new();
        for verb in verbs(&run) {
            let output = Command::new(PROGRAM).args(&verb).output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            let code = output.status.code();
            assert!(code.is_some_and(|code| [0, 4, 6].contains(&code)), "{what}: {verb:?} gave {code:?}: {said}");
            assert!(!said.contains("panicked"), "{what}: {verb:?}: {said}");
            answers.push((code, said));
        }
        // The journal's damage is the same for all.
        if name == Path::new("journal.jsonl") {
            assert!(answers.iter().all(|(code, _)| *code == answers[0].0), "{what}: {answers:?}");
        }
        match answers.last() {
            Some((Some(0), said)) => {
                let mut found = content(&run);
                // What was taken out of a journal is kept.
                found.remove(Path::new("journal.damaged"));
                assert!(found == right, "{what} was not made good: {:?}; {said}", differing(&found, &right));
                same += 1;
            }
            _ => refused += 1,
        }
        fs::remove_dir_all(&run).unwrap();
    }
    println!("{count} damaged files: {same} made good to the byte, {refused} refused");
}

/// Damages a file; says how.
fn damage(file: &Path, random: &mut Stream) -> &'static str {
    let mut bytes = fs::read(file).unwrap();
    let at = random.below(bytes.len().max(1));
    match random.below(7) {
        0 => {
            bytes[at] ^= 1 << random.below(8);
            fs::write(file, bytes).unwrap();
            "a flipped bit"
        }
        1 => {
            fs::write(file, &bytes[..at]).unwrap();
            "a cut"
        }
        2 => {
            let end = (at + 4096).min(bytes.len());
            bytes[at..end].fill(0);
            fs::write(file, bytes).unwrap();
            "a page of zeros"
        }
        3 => {
            fs::write(file, b"").unwrap();
            "an emptying"
        }
        4 => {
            let tail = bytes[at..].to_vec();
            bytes.extend(tail);
            fs::write(file, bytes).unwrap();
            "a repeated end"
        }
        5 => {
            fs::remove_file(file).unwrap();
            "a removal"
        }
        _ => {
            fs::remove_file(file).unwrap();
            fs::create_dir(file).unwrap();
            "a replacement by a folder"
        }
    }
}
