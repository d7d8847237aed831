//! The shape of `src/`: which module may know which, who alone may name what, and how long a file may grow.
//!
//! The layers are read from the table of `src/lib.rs`, so that the page people read and the rule they meet are one. The
//! files are read as tokens, not as text: comments, strings and `#[cfg(test)]` items do not count.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};

/// What only some places may name. A name is a path, or its inner part: `fs::write` is in `std::fs::write` too.
struct Only {
    names: &'static [&'static str],
    /// Modules (`store`) or files (`seed.rs`) under `src/`.
    places: &'static [&'static str],
    why: &'static str,
}

const ONLY: &[Only] = &[
    Only {
        names: &["candle_core", "candle_nn"],
        places: &["data", "engine", "loss", "model", "attack", "train", "search", "jobs", "bench", "cli"],
        why: "architectures, facts and reports are plain values",
    },
    Only {
        names: &["std::fs"],
        places: &["data", "model", "store", "jobs", "cli"],
        why: "everything else gets what was read and gives what is to be written",
    },
    Only {
        names: &[
            "fs::write",
            "fs::create_dir",
            "fs::create_dir_all",
            "fs::rename",
            "fs::copy",
            "fs::hard_link",
            "fs::remove_file",
            "fs::remove_dir",
            "fs::remove_dir_all",
            "File::create",
            "File::create_new",
            "File::options",
            "OpenOptions",
            "tempfile",
            "fs4",
        ],
        places: &["store"],
        why: "only the store writes, whole or not at all",
    },
    Only {
        names: &["std::time"],
        places: &["store", "jobs", "bench", "cli"],
        why: "what must be reproducible does not read a clock",
    },
    Only {
        names: &["rayon", "std::thread"],
        places: &["data", "engine", "loss", "model", "attack", "train", "search", "jobs", "bench", "cli"],
        why: "threads belong to the work on tensors",
    },
    Only { names: &["prost"], places: &["onnx", "report/events.rs"], why: "protocol buffers are files' alone" },
    Only { names: &["petgraph"], places: &["arch"], why: "the graph has one home" },
    Only {
        names: &["rand_chacha", "rand_core", "rand", "randn", "getrandom"],
        places: &["seed.rs"],
        why: "randomness comes through crate::seed alone",
    },
    Only {
        names: &["cudarc", "cuda_backend", "CudaDevice", "CudaStorage"],
        places: &["engine/device.rs", "engine/cuda"],
        why: "the default build needs no CUDA",
    },
    Only {
        names: &["unsafe"],
        places: &[
            "engine/cpu/vector.rs",
            "engine/cpu/pack.rs",
            "engine/cpu/kernels",
            "engine/cpu/pages.rs",
            "engine/cuda/launch.rs",
        ],
        why: "registers are filled through pointers, packs are seen where scalars lie, inner loops read behind one check of their furthest index, the \
              processor and the system are told what memory comes next, and a driver is handed addresses",
    },
];

/// What the table of `src/lib.rs` forbids besides the layers above: values below that a module must not know either,
/// and neighbours in its own layer.
const BLIND: &[(&str, &[&str])] = &[
    ("onnx", SPACES),
    ("data", RESULTS),
    ("engine", &["data", "record", "rank", "population", "study"]),
    ("model", RESULTS),
    ("attack", SPACES),
    ("attack", RESULTS),
    ("train", SPACES),
    ("train", RESULTS),
    ("report", &["store", "jobs", "bench", "cli"]),
    ("store", &["report", "jobs", "bench", "cli"]),
    ("jobs", &["bench", "cli"]),
    ("bench", &["store", "report", "cli"]),
];

const SPACES: &[&str] = &[
    "arch::cell",
    "arch::chain",
    "arch::design_space",
    "arch::elements",
    "arch::families",
    "arch::file",
    "arch::genotype",
    "arch::keys",
    "arch::nb201",
    "arch::scaling",
    "arch::spec",
];

const RESULTS: &[&str] = &["record", "rank", "population", "study"];

/// How a training loop begins.
const LOOPS: [&str; 2] = ["while at . epoch", "for epoch in"];
const THE_LOOP: &str = "train/fit.rs";

const LONGEST: usize = 600;

#[test]
fn imports_point_down() {
    let layers = layers();
    let layer = |module: &str| layers.iter().position(|l| l.iter().any(|m| m == module));
    let mut broken = Vec::new();
    for file in sources() {
        let Some(own) = layer(file.module()) else { continue };
        for (line, path) in file.paths() {
            let Some(known) = file.within_crate(&path) else { continue };
            let Some(other) = known.first().and_then(|m| layer(m)) else { continue };
            let blind = BLIND.iter().filter(|(module, _)| *module == file.module()).flat_map(|(_, unseen)| *unseen);
            let unseen = blind.into_iter().any(|unseen| known.join("::").starts_with(unseen));
            if other > own || unseen {
                broken.push(format!("{file}:{line}: `{}` must not know crate::{}", file.module(), known.join("::")));
            }
        }
    }
    assert!(broken.is_empty(), "the layers are in src/lib.rs:\n{}", broken.join("\n"));
}

/// A module without a layer would escape every rule.
#[test]
fn every_module_has_one_layer() {
    let listed: Vec<String> = layers().into_iter().flatten().collect();
    let found: BTreeSet<String> = sources().iter().map(|f| f.module().to_owned()).collect();
    let programs = ["lib", "main"].map(str::to_owned);
    let mut expected: BTreeSet<String> = listed.iter().cloned().collect();
    assert_eq!(expected.len(), listed.len(), "a module stands in two layers of src/lib.rs");
    expected.extend(programs);
    assert_eq!(found, expected, "the modules of src/ (left) are those of the table in src/lib.rs (right)");
}

/// Modules of the crate among each other, and all files among each other. A folder's `mod.rs` declares and re-exports what is
/// beneath it; that alone is no arrow.
#[test]
fn no_module_imports_itself_by_way_of_others() {
    let sources = sources();
    let files: BTreeSet<Vec<String>> = sources.iter().map(Source::path_of_module).collect();
    let (mut modules, mut all) = (Arrows::new(), Arrows::new());
    for file in &sources {
        let own = file.path_of_module();
        for (_, path) in file.paths() {
            let Some(mut known) = file.within_crate(&path) else { continue };
            while !known.is_empty() && !files.contains(&known) {
                known.pop();
            }
            if known.is_empty() || known == own {
                continue;
            }
            all.entry(own.join("/")).or_default().insert(known.join("/"));
            if known[0] != own[0] {
                modules.entry(own[0].clone()).or_default().insert(known[0].clone());
            }
        }
    }
    assert!(modules.values().map(BTreeSet::len).sum::<usize>() > 80, "the reader sees too few imports");
    assert!(all.values().map(BTreeSet::len).sum::<usize>() > 600, "the reader sees too few imports");
    for arrows in [modules, all] {
        assert_eq!(cycle(&arrows), None, "each imports the next, the last one the first");
    }
}

#[test]
fn a_cycle_is_found() {
    let arrows = |list: &[(&str, &str)]| {
        let mut arrows = Arrows::new();
        for (from, to) in list {
            arrows.entry((*from).to_owned()).or_default().insert((*to).to_owned());
        }
        arrows
    };
    assert_eq!(cycle(&arrows(&[("a", "b"), ("b", "c"), ("a", "c")])), None);
    let found = cycle(&arrows(&[("a", "b"), ("b", "c"), ("c", "d"), ("d", "b")])).unwrap();
    assert_eq!(found, ["b", "c", "d"]);
}

#[test]
fn some_names_have_few_homes() {
    let mut broken = Vec::new();
    for file in sources() {
        for Only { names, places, why } in ONLY {
            if places.iter().any(|place| file.name.starts_with(place)) {
                continue;
            }
            for (line, path) in file.paths() {
                if names.iter().any(|name| contains(&path, name)) {
                    broken.push(format!("{file}:{line}: `{}` only in {}: {why}", path.join("::"), places.join(", ")));
                }
            }
        }
    }
    assert!(broken.is_empty(), "\n{}", broken.join("\n"));
}

#[test]
fn one_training_loop() {
    let loops = |file: &Source| LOOPS.map(|l| file.text().matches(l).count()).iter().sum::<usize>();
    let found: Vec<_> = sources().iter().map(|f| (f.name.clone(), loops(f))).filter(|(_, n)| *n > 0).collect();
    assert_eq!(found, [(THE_LOOP.to_owned(), 1)], "files with a loop over epochs; a method is a `train::fit::Learner`");
}

#[test]
fn files_say_what_they_are_and_stay_short() {
    let mut broken = Vec::new();
    for file in sources() {
        if !file.documented {
            broken.push(format!("{file}:1: begins with no `//!` line that says what the file is"));
        }
        if file.lines > LONGEST {
            broken.push(format!("{file}: {} lines without tests; divide it, {LONGEST} is the limit", file.lines));
        }
    }
    assert!(broken.is_empty(), "\n{}", broken.join("\n"));
}

/// The rules above are only as good as the reader below.
#[test]
fn reader_sees_code_and_nothing_else() {
    let text = r##"//! crate::no
        use crate::{arch::{self, op::Shape as S}, units::*}; // crate::no
        /* crate::no /* crate::no */ crate::no */
        fn f<'a>(x: &'a str) -> char { let _ = ["crate::no \" crate::no", r#"crate::no " "#]; '"' }
        fn g() -> Vec<u8> { self::read::<u8>(super::super::seed::root()) }
        #[cfg(test)]
        mod tests { use crate::no; fn h() { {} } }
        fn k() { ::std::fs::write("a", '\''); unsafe { } }"##;
    let file = Source::new("arch/genotype/text.rs".into(), text);
    let known: Vec<String> =
        file.paths().iter().filter_map(|(_, p)| file.within_crate(p)).map(|p| p.join("::")).collect();
    let here = "arch::genotype::text::read";
    assert_eq!(known, ["arch::self", "arch::op::Shape", "units::*", here, "arch::seed::root"]);
    assert!(file.paths().iter().any(|(line, path)| *line == 8 && contains(path, "fs::write")));
    assert!(file.paths().iter().any(|(_, path)| contains(path, "unsafe")));
    assert!(!file.text().contains("no"));
    assert_eq!((file.lines, file.documented, file.module()), (6, true, "arch"));
}

/// What imports what.
type Arrows = BTreeMap<String, BTreeSet<String>>;

/// A cycle of arrows, if there is one.
fn cycle(arrows: &Arrows) -> Option<Vec<String>> {
    fn visit<'a>(
        at: &'a str,
        arrows: &'a Arrows,
        way: &mut Vec<&'a str>,
        done: &mut BTreeSet<&'a str>,
    ) -> Option<Vec<String>> {
        if let Some(first) = way.iter().position(|seen| *seen == at) {
            return Some(way[first..].iter().map(|&name| name.to_owned()).collect());
        }
        if done.contains(at) {
            return None;
        }
        way.push(at);
        let found = arrows.get(at).into_iter().flatten().find_map(|next| visit(next, arrows, way, done));
        way.pop();
        done.insert(at);
        found
    }
    let mut done = BTreeSet::new();
    arrows.keys().find_map(|from| visit(from, arrows, &mut Vec::new(), &mut done))
}

// Reading.

/// The layers of the table in `src/lib.rs`, lowest first.
fn layers() -> Vec<Vec<String>> {
    let text = std::fs::read_to_string(root().join("lib.rs")).unwrap();
    let rows = text.lines().filter(|l| l.starts_with("//! | ") && l.contains("[`"));
    let modules = |row: &str| row.split("[`").skip(1).map(|m| m.split('`').next().unwrap().to_owned()).collect();
    rows.map(|row| modules(row.split('|').nth(2).unwrap())).collect()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

fn sources() -> Vec<Source> {
    let (mut folders, mut found) = (vec![root()], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()) {
            if entry.is_dir() {
                folders.push(entry);
            } else if entry.extension().is_some_and(|e| e == "rs") {
                let name = entry.strip_prefix(root()).unwrap().to_str().unwrap().replace('\\', "/");
                found.push(Source::new(name, &std::fs::read_to_string(&entry).unwrap()));
            }
        }
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    found
}

/// Whether `name` is a run of segments of `path`.
fn contains(path: &[String], name: &str) -> bool {
    let name: Vec<&str> = name.split("::").collect();
    path.windows(name.len()).any(|part| part == name)
}

/// A file's code without its tests.
struct Source {
    /// Below `src/`, with `/`.
    name: String,
    tokens: Vec<Token>,
    lines: usize,
    documented: bool,
}

impl Source {
    fn new(name: String, text: &str) -> Self {
        let mut tokens = tokens(text);
        let mut lines = text.lines().count();
        while let Some(tests) = test_item(&tokens) {
            lines -= 1 + tokens[tests.end - 1].line - tokens[tests.start].line;
            tokens.drain(tests);
        }
        Source { name, tokens, lines, documented: text.starts_with("//!") }
    }

    /// The first segment of its module path; the name of a program or of the library.
    fn module(&self) -> &str {
        self.name.split('/').next().unwrap().trim_end_matches(".rs")
    }

    /// Its whole path; a folder's for its `mod.rs`.
    fn path_of_module(&self) -> Vec<String> {
        let name = self.name.trim_end_matches(".rs").trim_end_matches("/mod");
        name.split('/').map(str::to_owned).collect()
    }

    /// Every path in the code with its line, `use` groups taken apart. A lone word is a path of one segment.
    fn paths(&self) -> Vec<(usize, Vec<String>)> {
        let (mut found, mut at) = (Vec::new(), 0);
        while at < self.tokens.len() {
            at = if self.tokens[at].is_word() { self.path(at, Vec::new(), &mut found) } else { at + 1 };
        }
        found
    }

    /// Reads one path from a token on, behind a prefix; returns where it ends.
    fn path(&self, mut at: usize, mut path: Vec<String>, found: &mut Vec<(usize, Vec<String>)>) -> usize {
        let word = |at: usize| self.tokens.get(at).map_or("", |t| t.word.as_str());
        loop {
            match word(at) {
                "{" => {
                    at += 1;
                    while !["}", ""].contains(&word(at)) {
                        at = self.path(at, path.clone(), found);
                        while ![",", "}", ""].contains(&word(at)) {
                            at += 1;
                        }
                        at += usize::from(word(at) == ",");
                    }
                    return at + 1;
                }
                w if w == "*" || self.tokens.get(at).is_some_and(Token::is_word) => {
                    path.push(w.to_owned());
                    at += 1;
                    if word(at) != "::" || word(at + 1) == "<" {
                        found.push((self.tokens[at - 1].line, path));
                        return at;
                    }
                    at += 1;
                }
                _ => return at,
            }
        }
    }

    /// The path from the root of the crate, if it says where it starts.
    fn within_crate(&self, path: &[String]) -> Option<Vec<String>> {
        let here = self.name.trim_end_matches(".rs").trim_end_matches("/mod");
        let mut from: Vec<String> = here.split('/').map(str::to_owned).collect();
        if path[0] == "crate" {
            return Some(path[1..].to_vec());
        }
        let ups = path.iter().take_while(|s| *s == "super").count();
        if path[0] != "self" && ups == 0 || path.len() == 1 {
            return None;
        }
        from.truncate(from.len().saturating_sub(ups));
        from.extend_from_slice(&path[ups.max(1)..]);
        Some(from)
    }

    /// The code with one blank between tokens.
    fn text(&self) -> String {
        self.tokens.iter().map(|t| t.word.as_str()).collect::<Vec<_>>().join(" ")
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "src/{}", self.name)
    }
}

/// A word, `::`, or one character of punctuation.
struct Token {
    line: usize,
    word: String,
}

impl Token {
    fn is_word(&self) -> bool {
        self.word.starts_with(|c: char| c.is_alphanumeric() || c == '_')
    }
}

/// The first item under `#[cfg(test)]`.
fn test_item(tokens: &[Token]) -> Option<std::ops::Range<usize>> {
    let attribute = ["#", "[", "cfg", "(", "test", ")", "]"];
    let start = tokens.windows(attribute.len()).position(|w| w.iter().map(|t| &t.word).eq(attribute))?;
    let mut depth = 0;
    for (at, token) in tokens.iter().enumerate().skip(start + attribute.len()) {
        match token.word.as_str() {
            "{" => depth += 1,
            "}" => depth -= 1,
            ";" => {}
            _ => continue,
        }
        if depth == 0 {
            return Some(start..at + 1);
        }
    }
    None
}

/// Drops comments, literals of text, and lifetimes.
fn tokens(text: &str) -> Vec<Token> {
    let text: Vec<char> = text.chars().collect();
    let starts = |at: usize, what: &str| what.chars().enumerate().all(|(i, c)| text.get(at + i) == Some(&c));
    let (mut found, mut at, mut line) = (Vec::<Token>::new(), 0, 1);
    while at < text.len() {
        let start = at;
        if starts(at, "//") {
            at += text[at..].iter().take_while(|c| **c != '\n').count();
        } else if starts(at, "/*") {
            let mut depth = 0;
            loop {
                match (starts(at, "/*"), starts(at, "*/")) {
                    (true, _) => (depth, at) = (depth + 1, at + 2),
                    (_, true) => (depth, at) = (depth - 1, at + 2),
                    _ => at += 1,
                }
                if depth == 0 || at >= text.len() {
                    break;
                }
            }
        } else if text[at] == '"' {
            at = string_end(&text, at);
        } else if text[at] == '\'' {
            // A character closes after one, or after a backslash; a lifetime does not close.
            at = match (text.get(at + 1), text.get(at + 2)) {
                (Some('\\'), _) => at + 3 + text[at + 3..].iter().take_while(|c| **c != '\'').count() + 1,
                (_, Some('\'')) => at + 3,
                _ => at + 1 + text[at + 1..].iter().take_while(|c| c.is_alphanumeric() || **c == '_').count(),
            };
        } else if text[at].is_alphanumeric() || text[at] == '_' {
            at += text[at..].iter().take_while(|c| c.is_alphanumeric() || **c == '_').count();
            let word: String = text[start..at].iter().collect();
            let hashes = text[at..].iter().take_while(|c| **c == '#').count();
            if ["r", "br", "cr"].contains(&word.as_str()) && starts(at + hashes, "\"") {
                let close: String = std::iter::once('"').chain(std::iter::repeat_n('#', hashes)).collect();
                at += hashes + 1;
                while at < text.len() && !starts(at, &close) {
                    at += 1;
                }
                at += close.len();
            } else {
                found.push(Token { line, word });
            }
        } else if starts(at, "::") {
            at += 2;
            found.push(Token { line, word: "::".into() });
        } else {
            at += 1;
            if !text[start].is_whitespace() {
                found.push(Token { line, word: text[start].into() });
            }
        }
        at = at.min(text.len());
        line += text[start..at].iter().filter(|c| **c == '\n').count();
    }
    found
}

/// Where an ordinary string that opens at `at` is over.
fn string_end(text: &[char], mut at: usize) -> usize {
    at += 1;
    while at < text.len() && text[at] != '"' {
        at += if text[at] == '\\' { 2 } else { 1 };
    }
    at + 1
}
