//! `robustnas watch`: lines where its output is no terminal, and the dashboard on a real terminal (tmux).

#[expect(dead_code, reason = "other tests use the rest")]
#[path = "fixtures/run_folder.rs"]
mod run_folder;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

const PROGRAM: &str = env!("CARGO_BIN_EXE_robustnas");

fn example() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("results/example")
}

fn watch(arguments: &[&str]) -> Output {
    Command::new(PROGRAM).arg("watch").args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// The example as it was after so many lines of its journal: without networks and without an answer.
fn early(folder: &Path, lines: usize) {
    fs::create_dir_all(folder).unwrap();
    for name in ["run.json", "config.toml"] {
        fs::copy(example().join(name), folder.join(name)).unwrap();
    }
    let journal = fs::read_to_string(example().join("journal.jsonl")).unwrap();
    let begun: String = journal.split_inclusive('\n').take(lines).collect();
    fs::write(folder.join("journal.jsonl"), begun).unwrap();
}

#[test]
fn a_finished_run_is_told_and_over() {
    let output = watch(&[example().to_str().unwrap(), "--plain"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let lines = text(&output.stdout);
    assert!(lines.starts_with("dsara-small on hf:"), "{lines}");
    assert_eq!(lines.matches("\nepoch ").count(), 6, "{lines}");
    assert_eq!(lines.matches(" test images (").count(), 9, "{lines}");
    assert!(lines.ends_with("\nfinished\n"), "{lines}");
    // Without a terminal it is the same.
    assert_eq!(text(&watch(&[example().to_str().unwrap()]).stdout), lines);
}

#[test]
fn two_runs_are_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("copy");
    run_folder::copy(&example(), &copy);
    let output = watch(&[example().to_str().unwrap(), copy.to_str().unwrap(), "--plain"]);
    let lines = text(&output.stdout);
    assert!(lines.contains("\nexample: finished\n") && lines.contains("\ncopy: finished\n"), "{lines}");
}

#[test]
fn once_is_the_present_state() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    early(&run, 1);
    let empty = folder.path().join("empty");
    fs::create_dir(&empty).unwrap();
    let output = watch(&["--once", run.to_str().unwrap(), empty.to_str().unwrap()]);
    let lines = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(lines.contains("search: 1 of 6 epochs") && lines.contains("empty: not begun yet"), "{lines}");
}

#[test]
fn what_is_no_run_is_refused() {
    for (path, words) in [("nowhere", "there is no such folder"), ("src", "not a run folder")] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
        let output = watch(&[path.to_str().unwrap(), "--plain"]);
        assert_eq!(output.status.code(), Some(4));
        assert!(text(&output.stderr).contains(words), "{}", text(&output.stderr));
    }
}

/// A terminal of tmux with a server of its own.
struct Pane {
    socket: String,
    folder: tempfile::TempDir,
}

impl Drop for Pane {
    fn drop(&mut self) {
        drop(self.tmux(&["kill-server"]));
    }
}

impl Pane {
    /// Shows runs on a terminal of 120 by 40; what the terminal's modes are is noted before and after.
    fn watch(name: &str, runs: &[&Path]) -> Pane {
        let pane =
            Pane { socket: format!("robustnas-{name}-{}", std::process::id()), folder: tempfile::tempdir().unwrap() };
        let at = |name: &str| pane.folder.path().join(name).display().to_string();
        let runs: Vec<String> = runs.iter().map(|run| run.display().to_string()).collect();
        let line = format!(
            "stty -g > {}; sh -c 'echo $$ > {}; exec {PROGRAM} watch {}'; echo ended $?; stty -g > {}; sleep 600",
            at("before"),
            at("pid"),
            runs.join(" "),
            at("after")
        );
        let shown = pane.tmux(&["-f", "/dev/null", "new-session", "-d", "-x", "120", "-y", "40", &line]);
        let shown = shown.expect("tmux is not installed; install it, this test is about a real terminal");
        assert!(shown.status.success(), "tmux: {}", text(&shown.stderr));
        pane
    }

    fn tmux(&self, arguments: &[&str]) -> std::io::Result<Output> {
        Command::new("tmux").args(["-L", &self.socket]).args(arguments).output()
    }

    fn press(&self, key: &str) {
        assert!(self.tmux(&["send-keys", key]).unwrap().status.success());
    }

    /// The picture, as soon as it has some words.
    fn with(&self, words: &str) -> String {
        self.until(&format!("`{words}` does not come"), |picture| picture.contains(words))
    }

    /// The picture, as soon as it is as it should be: a terminal may be looked at while it is written.
    fn until(&self, otherwise: &str, is: impl Fn(&str) -> bool) -> String {
        let begun = Instant::now();
        loop {
            let picture = text(&self.tmux(&["capture-pane", "-p"]).unwrap().stdout);
            if is(&picture) {
                return picture;
            }
            assert!(begun.elapsed() < Duration::from_secs(60), "{otherwise}:\n{picture}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Nothing of the dashboard is left, and the terminal's modes are as they were.
    fn is_restored(&self) {
        self.until("the dashboard is not taken away", |picture| {
            picture.contains("ended 0") && !picture.contains("robustnas watch")
        });
        let modes = |name: &str| fs::read_to_string(self.folder.path().join(name)).unwrap_or_default();
        let begun = Instant::now();
        while modes("after").is_empty() && begun.elapsed() < Duration::from_secs(10) {
            std::thread::sleep(Duration::from_millis(50));
        }
        assert_eq!(modes("before"), modes("after"));
    }
}

#[test]
#[ignore = "needs tmux; make watch-check"]
fn the_dashboard_of_a_finished_run() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("example");
    run_folder::copy(&example(), &run);
    let pane = Pane::watch("finished", &[&run, &example()]);
    for words in [
        "5 to 9 of 9",
        "finished: dsara-small on hf:",
        "supernet %",
        "how decided each edge is",
        "! the architecture parameters",
    ] {
        pane.with(words);
    }
    pane.press("Tab");
    pane.until("the curves do not come alone", |picture| {
        picture.contains("weights 1.99") && !picture.contains("5 to 9 of 9")
    });
    pane.press("?");
    pane.with("next and previous panel");
    pane.press("Escape");
    pane.press("Right");
    pane.with("run 2 of 2");
    pane.press("q");
    pane.is_restored();
}

#[test]
#[ignore = "needs tmux; make watch-check"]
fn the_dashboard_of_a_run_that_grows_until_a_signal() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("growing");
    fs::create_dir(&run).unwrap();
    let pane = Pane::watch("growing", &[&run]);
    pane.with("waiting for the run to begin");
    early(&run, 2);
    pane.with("2 of 6 epochs");
    early(&run, 9);
    pane.with("candidates: 2");
    let pid = fs::read_to_string(pane.folder.path().join("pid")).unwrap();
    assert!(Command::new("kill").args(["-TERM", pid.trim()]).status().unwrap().success());
    pane.is_restored();
}
