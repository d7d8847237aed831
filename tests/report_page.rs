//! The page of runs: one file that needs nothing else and holds what the folders hold.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn report(runs: &[&Path], out: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_robustnas"));
    command.arg("report").args(runs).arg("--out").arg(out).output().unwrap()
}

fn page(runs: &[&Path]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("page.html");
    let output = report(runs, &out);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    std::fs::read_to_string(out).unwrap()
}

fn example() -> PathBuf {
    root().join("results/example")
}

/// Whatever a browser would fetch: addresses, style sheets, scripts, pictures and fonts in other files.
#[test]
fn it_needs_nothing_else() {
    let page = page(&[&example()]);
    for outside in ["src=", "<link", "@import", "url(", "http-equiv", "<iframe", "<object", "fetch("] {
        assert!(!page.contains(outside), "the page has `{outside}`");
    }
    // An SVG element names its language by an address that nobody fetches.
    let addresses: Vec<&str> = page.split("://").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    assert!(addresses.iter().all(|rest| *rest == "www.w3.org/2000/svg"), "{addresses:?}");
    assert!(page.len() < 2_000_000, "{} bytes", page.len());
}

#[test]
fn it_holds_what_the_run_holds() {
    let text = std::fs::read(example().join("ranked.json")).unwrap();
    let ranked: serde_json::Value = serde_json::from_slice(&text).unwrap();
    let page = page(&[&example()]);
    let mut seen = 0;
    for budget in ranked["budgets"].as_array().unwrap() {
        for entry in budget["entries"].as_array().unwrap() {
            let arch = entry["arch"].as_str().unwrap();
            // A point of the frontier, a row and a drawing.
            assert!(page.contains(&format!("<a href=\"#run0-{arch}\"><title>")), "{arch} is no point");
            assert!(page.contains(&format!("data-anchor=\"run0-{arch}\"")), "{arch} has no row");
            assert_eq!(page.matches(&format!("<details id=\"run0-{arch}\">")).count(), 1, "{arch} has no drawing");
            let (hit, total) = (&entry["validation"]["robust"]["hit"], &entry["validation"]["robust"]["total"]);
            let share = 100.0 * hit.as_f64().unwrap() / total.as_f64().unwrap();
            assert!(page.contains(&format!("{share:.2}%")), "{arch}: {share:.2}% is not there");
            seen += 1;
        }
    }
    assert!(seen >= 9, "{seen} networks");
    // The verdict, the search, its choices, what it cost, and how to repeat it.
    for part in [
        "best searched network",
        "random walk",
        "Share of each operation",
        "How decided",
        "training, 3 searched",
        "epochs = 6",
    ] {
        assert!(page.contains(part), "`{part}` is not there");
    }
    for (open, close) in [
        ("<table", "</table>"),
        ("<section", "</section>"),
        ("<details", "</details>"),
        ("<svg", "</svg>"),
        ("<a ", "</a>"),
    ] {
        assert_eq!(page.matches(open).count(), page.matches(close).count(), "{open}");
    }
}

/// Names of folders are words of people: they are shown, not read as HTML.
#[test]
fn names_are_words() {
    let folder = tempfile::tempdir().unwrap();
    let odd = folder.path().join("<b>night & day");
    copy(&example(), &odd);
    let page = page(&[&odd, &example()]);
    assert!(!page.contains("<b>night"), "a name became an element");
    assert!(page.contains("&lt;b&gt;night &amp; day"));
    // Two runs of the same networks have anchors of their own.
    assert!(page.contains("id=\"run0\"") && page.contains("id=\"run1\"") && page.contains("data-anchor=\"run1-"));
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let (path, target) = entry.map(|e| (e.path(), to.join(e.file_name()))).unwrap();
        if path.is_dir() {
            copy(&path, &target);
        } else {
            std::fs::copy(&path, &target).unwrap();
        }
    }
}

#[test]
fn what_is_no_run_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let output = report(&[folder.path()], &folder.path().join("page.html"));
    assert_eq!(output.status.code(), Some(4));
    assert!(String::from_utf8_lossy(&output.stderr).contains("not a run folder"));
    assert!(!folder.path().join("page.html").exists());
}
