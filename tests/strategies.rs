//! Every strategy in a run: one that is killed anywhere ends with the bytes of one that was left alone, on any number of
//! threads; what it found is trained anew beside the controls.

#[path = "fixtures/dying.rs"]
mod dying;
#[path = "fixtures/quarters.rs"]
mod quarters;

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use dying::Dying;
use robustnas::config::strategy::Method;
use robustnas::config::{Config, Setting};
use robustnas::error::Result;
use robustnas::jobs::Interrupt;
use robustnas::jobs::search::{Job, run};
use robustnas::record::Origin;
use robustnas::report::ranked::Ranked;
use robustnas::store::event::{self, Event};
use robustnas::store::history::History;
use robustnas::units::Macs;

const SPACE: &str = include_str!("../search_spaces/dsara-tiny.toml");

/// The images' side.
const SIDE: usize = 8;

/// Two sizes, few and small images.
const BRIEF: [(&str, &str); 23] = [
    ("budgets", "['64k', '128k']"),
    ("split.train", "180"),
    ("split.validation", "48"),
    ("split.test", "48"),
    ("supernet.channels", "2"),
    ("search.epochs", "2"),
    ("search.stage_one_epochs", "1"),
    ("search.warmup_epochs", "0"),
    ("search.batch", "16"),
    ("search.probe", "16"),
    ("search.trials.spend", "3.2"),
    ("search.trials.halving", "{ networks = 4, eta = 2, rungs = 2, longest = 0.5 }"),
    ("search.trials.predictor", "{ drawn = 3, chosen = 3, pool = 8, share = 0.25, full = 1 }"),
    ("search.trials.pool", "{ networks = 6, images = 32, drawn = 1 }"),
    ("search.trials.single_path", "{ epochs = 1, candidates = 6, images = 32, population = 3, short = 2, eta = 2 }"),
    ("derive.images", "32"),
    ("derive.genotypes", "2"),
    ("derive.random", "1"),
    ("retrain.epochs", "1"),
    ("retrain.batch", "32"),
    ("scaling.tolerance", "0.1"),
    ("scaling.slack", "1"),
    ("evaluate.attacks.1.steps", "2"),
];

fn config(settings: &[(&str, &str)]) -> Config {
    let data = format!("'{}'", quarters::source(SIDE));
    let all = BRIEF.iter().chain(settings).copied().chain([("data", &data[..])]);
    let settings: Vec<Setting> = all.map(|(key, value)| Setting::new(key, value)).collect();
    Config::from_toml(SPACE, Path::new("dsara-tiny.toml"), &settings).unwrap()
}

fn search(settings: &[(&str, &str)], out: &Path, after: Option<u64>) -> Result<Ranked> {
    let job = Job { checkpoint_every: Duration::ZERO, estimate: false, ..Job::new(config(settings), out.into()) };
    run(&job, &Interrupt::never(), &mut Dying { after })
}

const ANSWER: [&str; 4] = ["journal.jsonl", "ranked.json", "frontier.json", "frontier.svg"];

fn answer(out: &Path) -> Vec<Vec<u8>> {
    ANSWER.iter().map(|name| std::fs::read(out.join(name)).unwrap()).collect()
}

/// Straight through, and killed again and again; returns the events.
fn killed_and_calm(word: &str) -> Vec<Event> {
    let folder = tempfile::tempdir().unwrap();
    let [calm, killed] = ["calm", "killed"].map(|name| folder.path().join(name));
    let settings = [("search.strategy", word)];
    let ranked = search(&settings, &calm, None).unwrap();
    for after in [2, 5, 9, 16] {
        let died = std::panic::catch_unwind(|| search(&settings, &killed, Some(after)));
        assert!(died.is_err(), "{word}: {after} steps are no search");
    }
    assert_eq!(search(&settings, &killed, None).unwrap(), ranked, "{word}");
    for (name, (a, b)) in ANSWER.iter().zip(answer(&calm).into_iter().zip(answer(&killed))) {
        assert!(a == b, "{word}: kills change {name}");
    }
    for left in ["shared", "checkpoint/state-0.safetensors", "tasks"] {
        assert!(!calm.join(left).exists(), "{word} leaves {left}");
    }
    History::read(&calm).unwrap().events
}

/// The trials at a budget, as many full trainings as they amount to, and what was found there.
fn at(events: &[Event], budget: Macs) -> (usize, f64, Vec<String>) {
    let trials: Vec<_> = event::trials(events, Some(budget)).collect();
    let spent = trials.iter().map(|trial| trial.answer.spent.trainings).sum();
    let found = event::found(events).unwrap().iter().find(|found| found.budget == budget).unwrap();
    (trials.len(), spent, found.genotypes.clone())
}

/// What every strategy leaves: trials at both sizes within what it may spend, and the best of them as candidates.
fn holds(word: &str, events: &[Event]) {
    for budget in [Macs(64_000), Macs(128_000)] {
        let (trials, spent, found) = at(events, budget);
        let shared = event::shared(events, budget).map_or(0.0, |spent| spent.trainings);
        assert!(
            trials > 0 && spent > 0.0 && spent + shared <= 3.2 + 1e-9,
            "{word}: {trials} trials, {spent} + {shared}"
        );
        assert!((1..=2).contains(&found.len()), "{word}: {found:?}");
        let tried: Vec<&str> = event::trials(events, Some(budget)).map(|trial| &trial.genotype[..]).collect();
        assert!(found.iter().all(|genotype| tried.contains(&&genotype[..])), "{word}");
        let searched = event::records(events)
            .into_iter()
            .filter(|record| record.budget == budget && matches!(record.origin, Origin::Searched { .. }));
        assert_eq!(searched.count(), found.len(), "{word}");
    }
}

#[test]
fn two_stage() {
    let events = killed_and_calm("two-stage");
    holds("two-stage", &events);
    // The pool is scored once, in the supernet; the selected genotype is its first and is tried at every size.
    let scored: Vec<_> = event::trials(&events, None).collect();
    assert_eq!(scored.len(), 6);
    assert!(scored.iter().all(|trial| trial.answer.spent.trainings == 0.0 && trial.answer.spent.evaluation.0 > 0));
    let selected = &event::selected(&events).unwrap()[0];
    assert_eq!(*selected, scored[0].genotype);
    let mut tried = event::trials(&events, Some(Macs(64_000)));
    assert!(tried.any(|trial| trial.genotype == *selected));
    // One of the four is drawn at every size, without a score.
    for budget in [Macs(64_000), Macs(128_000)] {
        let first = event::trials(&events, Some(budget)).filter(|trial| trial.fidelity.share() == 0.25);
        let known: Vec<bool> = first.map(|t| scored.iter().any(|score| score.genotype == t.genotype)).collect();
        assert_eq!((known.len(), known.iter().filter(|known| **known).count()), (4, 3), "{budget}");
    }
    assert!(event::search_spent(&events).is_some_and(|spent| spent.training.0 > 0 && spent.evaluation.0 > 0));
}

#[test]
fn halving() {
    let events = killed_and_calm("halving");
    holds("halving", &events);
    // Four networks at a quarter, two at a half, and as many again: the first two rungs cost 2.
    let shares: Vec<f64> = event::trials(&events, Some(Macs(128_000))).map(|trial| trial.fidelity.share()).collect();
    assert_eq!(shares[..6], [0.25, 0.25, 0.25, 0.25, 0.5, 0.5]);
}

#[test]
fn single_path() {
    let events = killed_and_calm("single-path");
    holds("single-path", &events);
    assert!(event::shared(&events, Macs(128_000)).is_some_and(|spent| spent.training.0 > 0));
}

/// Three drawn and three chosen at a quarter of a training, the best of them in full.
#[test]
fn predictor() {
    let events = killed_and_calm("predictor");
    holds("predictor", &events);
    let shares: Vec<f64> = event::trials(&events, Some(Macs(64_000))).map(|trial| trial.fidelity.share()).collect();
    assert_eq!(shares, [0.25, 0.25, 0.25, 0.25, 0.25, 0.25, 1.0]);
}

#[test]
#[ignore = "three more strategies, which share halving's way; `make long` runs it"]
fn strategies_of_full_trainings() {
    for method in [Method::Random, Method::Evolution, Method::Local] {
        let events = killed_and_calm(method.word());
        holds(method.word(), &events);
        let mut trials = event::trials(&events, Some(Macs(64_000)));
        assert!(trials.all(|trial| trial.fidelity.share() == 1.0));
    }
}

/// The paper's way, without trials: one selection for all sizes, by the largest parameters.
#[test]
fn arg_max_without_trials() {
    let folder = tempfile::tempdir().unwrap();
    // The table of trials cannot be taken away by a setting.
    let text: String = {
        let (before, rest) = SPACE.split_once("[search.trials]").unwrap();
        let (_, after) = rest.split_once("[search.weights]").unwrap();
        format!("{before}[search.weights]{after}")
    };
    let data = format!("'{}'", quarters::source(SIDE));
    let settings: Vec<Setting> = BRIEF
        .iter()
        .filter(|(key, _)| !key.starts_with("search.trials"))
        .chain(&[("derive.select", "argmax"), ("data", &data)])
        .map(|(key, value)| Setting::new(key, value))
        .collect();
    let config = Config::from_toml(&text, Path::new("space.toml"), &settings).unwrap();
    let job = Job { estimate: false, ..Job::new(config, folder.path().join("run")) };
    run(&job, &Interrupt::never(), &mut ()).unwrap();
    let events = History::read(&job.out).unwrap().events;
    let selected = event::selected(&events).unwrap();
    assert_eq!(selected.len(), 2);
    let genotypes = |budget: u64| -> Vec<String> {
        let of = |record: &robustnas::record::Record| {
            let file = job.out.join("archs").join(&record.arch).join("genotype.txt");
            std::fs::read_to_string(file).unwrap().trim().to_owned()
        };
        let records = event::records(&events).into_iter();
        let records = records.filter(|r| r.budget == Macs(budget) && matches!(r.origin, Origin::Searched { .. }));
        records.map(|record| of(&record)).collect()
    };
    for budget in [64_000, 128_000] {
        let found = genotypes(budget);
        assert!(!found.is_empty() && found.iter().all(|genotype| selected.contains(genotype)), "{found:?}");
    }
}

#[test]
fn threads_change_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let of = |threads: &str| {
        let out = folder.path().join(threads);
        let mut command = Command::new(env!("CARGO_BIN_EXE_robustnas"));
        command.args(["search", "dsara-tiny", "--threads", threads, "--yes", "--quiet"]);
        for (key, value) in BRIEF.iter().chain(&[("budgets", "['64k']")]) {
            command.arg("--set").arg(format!("{key}={value}"));
        }
        command.arg("--data").arg(quarters::source(SIDE));
        let output = command.arg("--out").arg(&out).stdout(Stdio::null()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        answer(&out)
    };
    assert!(of("1") == of("2"), "threads change the answer");
}

#[test]
fn a_strategy_of_trials_needs_them() {
    let why = |settings: &[(&str, &str)]| {
        let settings: Vec<Setting> = settings.iter().map(|(key, value)| Setting::new(key, value)).collect();
        Config::from_toml(SPACE, Path::new("space.toml"), &settings).unwrap_err().to_string()
    };
    let words = why(&[("search.strategy", "halving"), ("search.trials.spend", "0.5")]);
    assert!(words.contains("`halving` takes 3.00 full trainings"), "{words}");
    let words = why(&[("search.strategy", "halfing")]);
    assert!(words.contains("halving"), "{words}");
    let words = why(&[("search.trials.halving", "{ networks = 3, eta = 2, rungs = 3 }")]);
    assert!(words.contains("eta^(rungs - 1)"), "{words}");
    let words = why(&[("search.trials.pool", "{ networks = 2, images = 10 }")]);
    assert!(words.contains("at least `halving.networks`"), "{words}");
    let text = SPACE.replace("[search.trials]", "[search.other]");
    let settings = [Setting::new("search.strategy", "random")];
    let words = Config::from_toml(&text, Path::new("space.toml"), &settings).unwrap_err().to_string();
    assert!(words.contains("other"), "{words}");
}
