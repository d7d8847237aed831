//! Studies by training: one that is killed anywhere, or runs on one thread, ends as one that was left alone; more networks
//! and searches extend it; and what it says follows from its lines.

#[path = "fixtures/dying.rs"]
mod dying;
#[path = "fixtures/quarters.rs"]
mod quarters;

use std::path::Path;
use std::process::Command;

use dying::Dying;
use robustnas::config::Config;
use robustnas::error::Result;
use robustnas::jobs::Interrupt;
use robustnas::jobs::study::trained::{Job, run};
use robustnas::report::searches::SearchesReport;

/// A study of seconds: every strategy, networks that learn next to nothing.
const STUDY: &str = r#"
[study]
strategies = ["single-path", "random", "evolution", "local", "halving", "two-stage"]
searches = 2
trainings = 1
random = 5
repeated = 4
hand_made = 2
spend = 3.2

[study.objective]
attack = "fgsm"
eps = "8/255"

[study.expected]
architecture_sd = 0.93
searched_sd = 0.6
run_sd = 0.85

[study.single_path]
epochs = 1
candidates = 6
images = 32
population = 3
short = 2
eta = 2

[study.halving]
networks = 2
eta = 2
rungs = 1
longest = 0.5

[study.pool]
networks = 6
images = 32
"#;

/// Its strategies.
const ALL: &str = r#"["single-path", "random", "evolution", "local", "halving", "two-stage"]"#;

/// The tiny space with that study, on small images; `changes` are made to its text.
fn space(changes: &[(&str, &str)]) -> String {
    let tiny = Path::new(env!("CARGO_MANIFEST_DIR")).join("search_spaces/dsara-tiny.toml");
    let mut text = std::fs::read_to_string(tiny).unwrap() + STUDY;
    let data = format!("data = '{}'", quarters::source(8));
    let brief = [
        ("data = \"synthetic\"", &data[..]),
        ("budgets = [\"2M\", \"4M\"]", "budgets = [\"64k\"]"),
        ("train = 1500", "train = 180"),
        ("validation = 250", "validation = 48"),
        ("test = 250", "test = 48"),
        ("[supernet]\nchannels = 4", "[supernet]\nchannels = 2"),
        ("epochs = 6\nstage_one_epochs = 4\nwarmup_epochs = 2", "epochs = 1\nstage_one_epochs = 0\nwarmup_epochs = 0"),
        ("tolerance = 0.1", "tolerance = 0.05"),
        ("epochs = 7\nbatch = 32", "epochs = 1\nbatch = 32"),
        ("steps = 10", "steps = 2"),
    ];
    for (from, to) in brief.iter().chain(changes) {
        assert!(text.contains(from), "{from}");
        text = text.replace(from, to);
    }
    text
}

fn study(text: &str, out: &Path, after: Option<u64>) -> Result<SearchesReport> {
    let config = Config::from_toml(text, Path::new("space.toml"), &[])?;
    let job = Job { config, out: out.into(), checkpoint_every: std::time::Duration::ZERO };
    run(&job, &Interrupt::never(), &mut Dying { after })
}

fn bytes(folder: &Path, name: &str) -> Vec<u8> {
    std::fs::read(folder.join(name)).unwrap()
}

#[test]
#[ignore = "three studies take minutes; `make long` runs it"]
fn kills_and_threads_change_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let [calm, killed, single] = ["calm", "killed", "single"].map(|name| folder.path().join(name));
    let text = space(&[]);
    let report = study(&text, &calm, None).unwrap();
    // In a comparison, in shared weights, in trials of a search.
    for after in [3, 9, 14, 31] {
        let died = std::panic::catch_unwind(|| study(&text, &killed, Some(after)));
        assert!(died.is_err(), "{after} steps are no study");
    }
    assert_eq!(study(&text, &killed, None).unwrap(), report);

    let file = folder.path().join("space.toml");
    std::fs::write(&file, &text).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_robustnas"));
    command.args(["study", "--json", "--threads", "1"]).arg(&file).arg("--out").arg(&single);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("power: 2 searches") && told.contains("in all"), "{told}");
    assert_eq!(output.stdout, bytes(&calm, "study.json"));

    for name in ["about.json", "study.toml", "journal.jsonl", "study.json", "study.svg", "study.png"] {
        assert!(bytes(&calm, name) == bytes(&killed, name), "kills change {name}");
        assert!(bytes(&calm, name) == bytes(&single, name), "threads change {name}");
    }

    assert!(report.missing.is_empty(), "{:?}", report.missing);
    let methods: Vec<&str> = report.strategies.iter().map(|s| s.method.word()).collect();
    assert_eq!(methods, ["single-path", "random", "evolution", "local", "halving", "two-stage"]);
    for strategy in &report.strategies {
        let name = strategy.method.word();
        assert_eq!((strategy.searches, strategy.costs.len()), (2, 2), "{name}");
        assert!(strategy.costs.iter().all(|cost| cost.trained > 0 && cost.trainings <= 3.2 + 1e-9), "{name}");
        let scored = if ["single-path", "two-stage"].contains(&name) { 6 } else { 0 };
        assert!(strategy.costs.iter().all(|cost| cost.scored == scored), "{name}: {:?}", strategy.costs);
    }
    assert_eq!(report.noise.as_ref().map(|noise| noise.networks), Some(4));
    assert_eq!(report.networks.len(), 5 + 1 + 12);
    let off = |macs: u64| (macs as f64 / 64e3 - 1.0).abs();
    assert!(report.networks.iter().all(|n| off(n.network.macs.0) <= 0.05));
    // Networks that learnt nothing may all be equally good, so that nothing can be asked; chance can be told of always.
    assert!(report.text().contains("4 random networks trained twice"), "{}", report.text());
}

#[test]
fn a_finished_study_is_extended() {
    let folder = tempfile::tempdir().unwrap();
    let [direct, grown] = ["direct", "grown"].map(|name| folder.path().join(name));
    let small =
        [(ALL, "[\"single-path\", \"two-stage\"]"), ("random = 5", "random = 3"), ("repeated = 4", "repeated = 2")];
    let large = [(ALL, "[\"single-path\", \"two-stage\", \"random\"]"), ("searches = 2", "searches = 3")];
    study(&space(&small), &grown, None).unwrap();
    let report = study(&space(&large), &grown, None).unwrap();
    assert_eq!(study(&space(&large), &direct, None).unwrap(), report);
    assert!(bytes(&direct, "study.json") == bytes(&grown, "study.json"));
    let foretold = report.proxies.iter().filter(|proxy| proxy.name.contains("untrained"));
    assert_eq!(foretold.map(|proxy| proxy.networks).collect::<Vec<_>>(), [5; 5]);
    // The same question again is answered from the journal.
    let before = bytes(&grown, "journal.jsonl");
    study(&space(&large), &grown, Some(0)).unwrap();
    assert!(before == bytes(&grown, "journal.jsonl"));
    // A smaller one, too, and it says of itself what it has.
    assert_eq!(study(&space(&small), &grown, Some(0)).unwrap().strategies.len(), 2);
    let why = study(&space(&[("spend = 3.2", "spend = 4.2")]), &grown, None).unwrap_err().to_string();
    assert!(why.contains("belongs to another study: config"), "{why}");
}

#[test]
fn what_cannot_be_is_told_with_its_line() {
    let folder = tempfile::tempdir().unwrap();
    for (from, to, words) in [
        ("searches = 2", "searches = 1", "`study.searches` must be at least 2"),
        ("repeated = 4", "repeated = 6", "`study.repeated` must be at most `study.random`, got 6"),
        ("\"local\", ", "\"locale\", ", "did you mean `local`"),
        ("\"local\", ", "\"random\", ", "strategy `random` is listed twice"),
        ("images = 32", "images = 49", "`study.single_path.images` must be from 1 to `split.validation`"),
        ("spend = 3.2", "spend = 2.2", "`single-path` takes 3.05 full trainings"),
        ("eta = 2\n", "eta = 3\n", "`study.single_path.eta` must be from 2 to `short`"),
        ("budgets = [\"64k\"]", "budgets = [\"64k\", \"128k\"]", "has one, at which all are compared"),
    ] {
        let text = space(&[(from, to)]);
        let line = 1 + text[..text.find(to).unwrap()].matches('\n').count();
        let why = Config::from_toml(&text, Path::new("space.toml"), &[]).unwrap_err().to_string();
        assert!(why.contains(words) && why.contains(&format!("space.toml:{line}")), "{to}: {why}");
    }
    let none = space(&[]).split("[study]").next().unwrap().to_owned();
    let why = study(&none, folder.path(), None).unwrap_err().to_string();
    assert!(why.contains("the space `dsara-tiny` has no [study]"), "{why}");
    let unmet = space(&[("budgets = [\"64k\"]", "budgets = [1234567]"), ("tolerance = 0.05", "tolerance = 0.0001")]);
    let why = study(&unmet, folder.path(), None).unwrap_err().to_string();
    assert!(why.contains("the hand-made network nearest to"), "{why}");
}
