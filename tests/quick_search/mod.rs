//! A search of seconds by the program, and what it leaves.

#[path = "../fixtures/quarters.rs"]
mod quarters;

use std::path::Path;
use std::process::{Child, Command, Stdio};

/// The images' side: a search takes long enough to be joined and killed in, and no longer.
const SIDE: usize = 16;

/// A search of seconds: every stage, few images, and networks that learn enough to be tested.
const SETTINGS: [&str; 22] = [
    "evaluate.attacks.1.steps=4",
    "split.train=500",
    "split.validation=100",
    "split.test=64",
    "split.weights_share=0.3",
    "supernet.channels=2",
    "search.epochs=2",
    "search.stage_one_epochs=1",
    "search.warmup_epochs=0",
    "search.batch=32",
    "search.probe=32",
    "search.trials.spend=0.5",
    "search.trials.halving={ networks = 2, eta = 2, rungs = 1, longest = 0.25 }",
    "search.trials.pool={ networks = 3, images = 32 }",
    "derive.images=32",
    "retrain.epochs=4",
    "retrain.batch=16",
    "retrain.method.eps=1/255",
    "derive.random=1",
    "derive.genotypes=2",
    "scaling.depth_share=[0.5, 0.99]",
    "scaling.tolerance=0.4",
];

/// The search, in a folder.
pub fn search(out: &Path, threads: &str) -> Command {
    let data = quarters::source(SIDE);
    let mut command = Command::new(env!("CARGO_BIN_EXE_robustnas"));
    command.args(["search", "--budgets", "500k", "--checkpoint-every", "0.2", "--threads", threads, "--data", &data]);
    for setting in SETTINGS {
        command.args(["--set", setting]);
    }
    command.arg("--out").arg(out).stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

/// Waits for an end without an error.
pub fn finish(child: Child) {
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{:?}: {}", output.status, String::from_utf8_lossy(&output.stderr));
}

/// The ranking, what is drawn of it, and the answers of every tested network to every image.
pub fn answer(out: &Path) -> Vec<Vec<u8>> {
    let archs = std::fs::read_dir(out.join("archs")).unwrap();
    let mut files: Vec<_> = archs.map(|arch| arch.unwrap().path().join("eval.json")).filter(|f| f.exists()).collect();
    files.sort();
    let top = ["ranked.json", "frontier.json", "frontier.svg"].map(|name| out.join(name));
    top.into_iter().chain(files).map(|file| std::fs::read(file).unwrap()).collect()
}
