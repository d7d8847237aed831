//! Documents and code: what a page names is there.

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The README, the changelog and everything in `docs/`.
fn pages() -> Vec<PathBuf> {
    let mut pages: Vec<PathBuf> = fs::read_dir(root().join("docs"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "md"))
        .collect();
    pages.extend(["README.md", "CHANGELOG.md"].map(|name| root().join(name)));
    pages.sort();
    pages
}

/// The words between backquotes of a line.
fn quoted(line: &str) -> Vec<&str> {
    line.split('`').skip(1).step_by(2).collect()
}

/// `[words](target)`: the targets in this repository, without anchors.
fn links(text: &str) -> Vec<&str> {
    let ends = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let own = ends.filter(|target| !target.contains("://") && !target.starts_with('#') && !target.is_empty());
    own.map(|target| target.split('#').next().unwrap()).collect()
}

#[test]
fn links_lead_somewhere() {
    let mut count = 0;
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap();
        for target in links(&text) {
            assert!(page.parent().unwrap().join(target).exists(), "{}: `{target}` is not there", page.display());
            count += 1;
        }
    }
    assert!(count > 20, "{count} links");
}

/// Files of the source tree that a page names between backquotes.
#[test]
fn named_files_are_there() {
    let mut count = 0;
    for page in pages().into_iter().filter(|page| !page.ends_with("CHANGELOG.md")) {
        let text = fs::read_to_string(&page).unwrap();
        let folders = ["src/", "tests/", "benches/", "examples/"];
        let paths = text.lines().flat_map(quoted).filter(|word| folders.iter().any(|folder| word.starts_with(folder)));
        for path in paths.filter(|path| !path.contains(['<', '*', ' '])) {
            assert!(root().join(path).exists(), "{}: `{path}` is not there", page.display());
            count += 1;
        }
    }
    assert!(count > 60, "{count} files");
}

/// The lists of docs/architecture.md: where something is added, the file has the names that the row tells.
#[test]
fn lists_of_files_to_touch_hold() {
    let text = fs::read_to_string(root().join("docs/architecture.md")).unwrap();
    let (_, lists) = text.split_once("## Where to add what").unwrap();
    let mut names = 0;
    for row in lists.lines().filter(|line| line.starts_with("| `")) {
        let [file, what] = row.trim_matches('|').split(" | ").collect::<Vec<_>>()[..] else {
            panic!("a row of two columns: {row}")
        };
        let code = fs::read_to_string(root().join(quoted(file)[0])).unwrap();
        for name in quoted(what) {
            assert!(code.contains(name), "{row}: the file has no `{name}`");
            names += 1;
        }
    }
    assert!(names > 20, "{names} names");
}

/// Every key that a resolved space has, and every operation of cells, is on the page of spaces.
#[test]
fn the_page_of_spaces_has_every_key() {
    use robustnas::arch::cell::CellOp;
    use robustnas::config::Config;

    let page = fs::read_to_string(root().join("docs/spaces.md")).unwrap();
    let words: Vec<&str> = page.lines().flat_map(quoted).collect();
    let mut count = 0;
    let mut check = |key: &str| {
        let named = |word: &&str| *word == key || *word == format!("[{key}]") || *word == format!("[[{key}]]");
        assert!(words.iter().any(named), "docs/spaces.md does not tell of `{key}`");
        count += 1;
    };
    for file in fs::read_dir(root().join("search_spaces")).unwrap().map(|entry| entry.unwrap().path()) {
        if file.extension().is_none_or(|e| e != "toml") {
            continue;
        }
        let text = fs::read_to_string(&file).unwrap();
        let config = Config::from_toml(&text, &file, &[]).unwrap();
        let resolved: toml::Table = toml::from_str(&config.to_toml().unwrap()).unwrap();
        for (key, value) in &resolved {
            check(key);
            // A recipe has a page of its own.
            let inner = match value {
                toml::Value::Table(table) if key != "retrain" => table.keys().collect(),
                toml::Value::Array(list) => {
                    list.iter().filter_map(toml::Value::as_table).flat_map(|t| t.keys()).collect()
                }
                _ => Vec::new(),
            };
            inner.into_iter().for_each(|key| check(key));
        }
    }
    CellOp::ALL.iter().for_each(|op| check(&op.to_string()));
    assert!(count > 100, "{count} keys");
}
