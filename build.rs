//! What `--version` says: the version, the commit of a release build, and the features.

use std::process::Command;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let var = |name: &str| std::env::var(name).unwrap_or_default();
    let mut words = vec![];
    // A build while one works changes with every commit for nothing else.
    if var("PROFILE") == "release" {
        for path in ["HEAD", "logs/HEAD", "index"] {
            if let Some(path) = git(&["rev-parse", "--git-path", path]) {
                println!("cargo:rerun-if-changed={path}");
            }
        }
        // Sources that come without their history have no commit to name.
        if let Some(commit) = git(&["rev-parse", "--short=12", "HEAD"]) {
            let changed = git(&["status", "--porcelain", "--untracked-files=no"]).is_some_and(|list| !list.is_empty());
            words.push(format!("commit {commit}{}", if changed { ", changed" } else { "" }));
        }
    }
    let features = std::env::vars().filter_map(|(name, _)| name.strip_prefix("CARGO_FEATURE_").map(str::to_lowercase));
    let mut features: Vec<String> = features.filter(|name| name != "default").collect();
    features.sort();
    let features =
        if features.is_empty() { "no features".to_owned() } else { format!("features {}", features.join(" ")) };
    words.push(features);
    println!("cargo:rustc-env=ROBUSTNAS_VERSION={} ({})", var("CARGO_PKG_VERSION"), words.join("; "));
}

/// What git says of this folder, if it is the root of a repository of its own.
fn git(arguments: &[&str]) -> Option<String> {
    let root = std::env::var("CARGO_MANIFEST_DIR").ok()?;
    let run = |arguments: &[&str]| {
        let output = Command::new("git").args(arguments).current_dir(&root).output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        output.status.success().then(|| text.trim().to_owned())
    };
    let top = run(&["rev-parse", "--show-toplevel"])?;
    let same = std::fs::canonicalize(top).ok()? == std::fs::canonicalize(&root).ok()?;
    if same { run(arguments) } else { None }
}
