//! Run folders: begin, continue, refuse.

mod fixtures;

use std::fs;
use std::path::Path;

use fixtures::{evaluation, failed, record};
use robustnas::error::{Error, Result};
use robustnas::record::{Origin, Outcome};
use robustnas::store::event::{Event, StageResult};
use robustnas::store::history::{self, History};
use robustnas::store::run::{Opened, RunAbout, RunDir, free_to_take, read_run};
use robustnas::units::Macs;

const CONFIG: &str = "seed = 7\n";

fn about() -> RunAbout {
    RunAbout {
        seed: 7,
        data: "synthetic".into(),
        data_id: "0011".into(),
        argv: vec!["robustnas".into(), "search".into()],
        instructions: "AVX2".into(),
    }
}

fn differences(stored: &str, given: &str) -> Result<Vec<String>> {
    Ok(if stored == given { vec![] } else { vec!["retrain.epochs: 10 -> 20".into()] })
}

fn open(path: &Path) -> Result<(RunDir, Opened)> {
    RunDir::open(path, CONFIG, about(), &differences)
}

fn candidate(arch: &str) -> Event {
    Event::Candidate { record: record(arch, Origin::Searched { genotype: 0 }, 20_000_000, 19_000_000, 60, 30) }
}

#[test]
fn begins_and_continues() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("results/night");
    let (mut run, opened) = open(&path).unwrap();
    assert_eq!(opened, Opened::New);
    run.append(&candidate("aa")).unwrap();
    run.append(&Event::Candidate { record: failed("bb", 20_000_000) }).unwrap();
    run.write_arch("aa", &[("arch.json", b"{}"), ("genotype.txt", b"g")]).unwrap();
    run.write_output("ranked.json", b"{}\n").unwrap();
    drop(run);
    assert_eq!(fs::read(path.join("archs/aa/genotype.txt")).unwrap(), b"g");
    assert_eq!(fs::read(path.join("ranked.json")).unwrap(), b"{}\n");
    let (_run, opened) = open(&path).unwrap();
    let Opened::Resumed { events, warnings } = opened else { panic!("not resumed") };
    assert_eq!(events, [candidate("aa"), Event::Candidate { record: failed("bb", 20_000_000) }]);
    assert!(warnings.is_empty());
}

#[test]
fn readers_need_no_lock() {
    let root = tempfile::tempdir().unwrap();
    let (mut run, _) = open(root.path()).unwrap();
    run.append(&Event::Stage(StageResult::Search { alpha: vec![1.0, 2.0], genotypes: vec![], spent: None })).unwrap();
    run.append(&candidate("aa")).unwrap();
    let read = read_run(root.path()).unwrap();
    assert_eq!((read.file.schema_version, read.file.seed, read.config.as_str()), (2, 7, CONFIG));
    assert_eq!(read.file.host.argv, about().argv);
    let history = History::read(root.path()).unwrap();
    assert_eq!((history.events.len(), history.records().len(), history.is_finished(root.path())), (2, 1, false));
}

#[test]
fn identical_runs_differ_in_the_host_section_only() {
    let files: Vec<serde_json::Value> = ["one", "two"]
        .map(|argument| {
            let root = tempfile::tempdir().unwrap();
            let about = RunAbout { argv: vec![argument.into()], ..about() };
            RunDir::open(root.path(), CONFIG, about, &differences).unwrap();
            let mut file: serde_json::Value =
                serde_json::from_slice(&fs::read(root.path().join("run.json")).unwrap()).unwrap();
            assert!(file.as_object_mut().unwrap().remove("host").is_some());
            file
        })
        .into();
    assert_eq!(files[0], files[1]);
}

#[test]
fn a_test_evaluation_is_attached_to_its_candidate_once() {
    let root = tempfile::tempdir().unwrap();
    let (mut run, _) = open(root.path()).unwrap();
    run.append(&candidate("aa")).unwrap();
    let test = |robust| Event::Test {
        arch: "aa".into(),
        origin: Origin::Searched { genotype: 0 },
        budget: Macs(20_000_000),
        evaluation: evaluation("test", 58, robust),
    };
    run.append(&test(28)).unwrap();
    run.append(&test(99)).unwrap();
    run.append(&candidate("aa")).unwrap();
    let records = History::read(root.path()).unwrap().records();
    assert_eq!(records.len(), 1);
    let Outcome::Ok { test: Some(test), .. } = &records[0].outcome else { panic!("no test evaluation") };
    assert_eq!(*test, evaluation("test", 58, 28));
}

#[test]
fn a_second_process_is_refused() {
    let root = tempfile::tempdir().unwrap();
    let _run = open(root.path()).unwrap();
    let error = open(root.path()).unwrap_err();
    assert_eq!(error.exit_code(), 4);
    assert!(error.to_string().contains("another process (pid "), "{error}");
}

#[test]
fn changed_settings_are_named() {
    let root = tempfile::tempdir().unwrap();
    drop(open(root.path()).unwrap());
    let error = RunDir::open(root.path(), "seed = 8\n", about(), &differences).unwrap_err();
    assert!(error.to_string().contains("retrain.epochs: 10 -> 20"), "{error}");
    let other = RunAbout { seed: 8, data_id: "ffff".into(), ..about() };
    let message = RunDir::open(root.path(), CONFIG, other, &differences).unwrap_err().to_string();
    assert!(message.contains("seed: 7 -> 8") && message.contains("0011 -> ffff"), "{message}");
    assert!(matches!(open(root.path()), Ok((_, Opened::Resumed { .. }))), "a refusal changes nothing");
}

#[test]
fn a_newer_schema_is_refused_with_both_numbers() {
    let root = tempfile::tempdir().unwrap();
    drop(open(root.path()).unwrap());
    fs::write(root.path().join("run.json"), r#"{"schema_version": 3, "all_else": "moved"}"#).unwrap();
    for error in [open(root.path()).unwrap_err(), read_run(root.path()).unwrap_err()] {
        assert!(error.to_string().contains("schema_version 3") && error.to_string().contains("up to 2"), "{error}");
    }
}

#[test]
fn unknown_keys_in_run_json_are_accepted() {
    let root = tempfile::tempdir().unwrap();
    drop(open(root.path()).unwrap());
    let path = root.path().join("run.json");
    let text = fs::read_to_string(&path).unwrap().replacen('{', "{\"later\": [1],", 1);
    fs::write(&path, text).unwrap();
    assert!(matches!(open(root.path()), Ok((_, Opened::Resumed { .. }))));
}

#[test]
fn folders_of_others_are_refused_and_left_alone() {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("thesis.tex"), "text").unwrap();
    let error = open(root.path()).unwrap_err();
    assert!(error.to_string().contains("thesis.tex"), "{error}");
    assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1);
    let file = root.path().join("thesis.tex");
    assert!(matches!(open(&file), Err(Error::Run { .. })));
    assert!(matches!(read_run(root.path()), Err(Error::Run { .. })));
}

#[test]
fn a_beginning_cut_short_begins_again() {
    let root = tempfile::tempdir().unwrap();
    drop(open(root.path()).unwrap());
    fs::remove_file(root.path().join("run.json")).unwrap();
    fs::write(root.path().join(".tmp-9"), "half").unwrap();
    assert!(matches!(open(root.path()), Ok((_, Opened::New))));
    assert!(!root.path().join(".tmp-9").exists());
}

#[test]
fn a_journal_without_its_run_json_is_never_taken_for_a_new_run() {
    let root = tempfile::tempdir().unwrap();
    let (mut run, _) = open(root.path()).unwrap();
    run.append(&candidate("aa")).unwrap();
    drop(run);
    fs::remove_file(root.path().join("run.json")).unwrap();
    assert!(open(root.path()).unwrap_err().to_string().contains("no run.json"));
}

#[test]
fn a_torn_tail_is_told_when_resuming() {
    let root = tempfile::tempdir().unwrap();
    let (mut run, _) = open(root.path()).unwrap();
    run.append(&candidate("aa")).unwrap();
    run.append(&candidate("bb")).unwrap();
    drop(run);
    let journal = root.path().join("journal.jsonl");
    let bytes = fs::read(&journal).unwrap();
    fs::write(&journal, &bytes[..bytes.len() - 5]).unwrap();
    let (_run, opened) = open(root.path()).unwrap();
    let Opened::Resumed { events, warnings } = opened else { panic!("not resumed") };
    assert_eq!(events, [candidate("aa")]);
    assert!(warnings[0].contains("not written whole"), "{warnings:?}");
}

#[test]
fn names_that_leave_the_folder_or_hit_the_run_are_refused() {
    let root = tempfile::tempdir().unwrap();
    let (mut run, _) = open(root.path()).unwrap();
    for name in ["../x", "a/b", "", ".hidden", "run.json", "journal.jsonl", "lock", "archs"] {
        assert!(matches!(run.write_output(name, b""), Err(Error::Run { .. })), "{name}");
    }
    assert!(run.write_arch("../aa", &[]).is_err());
    assert!(run.write_arch("aa", &[("../../x", b"")]).is_err());
}

/// A run with a network, its answer, and the bytes of its journal.
fn finished(path: &Path) -> Vec<u8> {
    let (mut run, _) = open(path).unwrap();
    run.append(&Event::Stage(StageResult::Search { alpha: vec![1.0], genotypes: vec![], spent: None })).unwrap();
    run.write_arch("aa", &[("arch.json", b"{}"), ("weights.safetensors", b"numbers")]).unwrap();
    run.append(&candidate("aa")).unwrap();
    run.write_output("ranked.json", b"{}\n").unwrap();
    fs::read(path.join("journal.jsonl")).unwrap()
}

/// Whole lines that are gone are noticed by the files that the others do not know, by readers and writers in the same words.
#[test]
fn a_journal_that_lost_lines_is_damaged_for_everyone() {
    let root = tempfile::tempdir().unwrap();
    let bytes = finished(root.path());
    let lines: Vec<&[u8]> = bytes.split_inclusive(|b| *b == b'\n').collect();
    let journal = root.path().join("journal.jsonl");
    for kept in 0..lines.len() {
        fs::write(&journal, lines[..kept].concat()).unwrap();
        let said = History::read(root.path()).unwrap_err();
        assert!(matches!(said, Error::Run { .. }) && said.to_string().contains("lost lines"), "{kept}: {said}");
        assert_eq!(open(root.path()).unwrap_err().to_string(), said.to_string());
        assert_eq!(fs::read(&journal).unwrap(), lines[..kept].concat(), "nothing is cut");
    }
    fs::write(&journal, &bytes).unwrap();
    assert!(History::read(root.path()).unwrap().is_finished(root.path()));
    fs::write(root.path().join("ranked.json"), b"").unwrap();
    assert!(!History::read(root.path()).unwrap().is_finished(root.path()), "an answer that is not what was written");
    fs::remove_file(&journal).unwrap();
    let said = History::read(root.path()).unwrap_err().to_string();
    assert!(said.contains("is missing"), "{said}");
    assert_eq!(open(root.path()).unwrap_err().to_string(), said);
}

#[test]
fn files_are_held_to_the_journal() {
    let root = tempfile::tempdir().unwrap();
    finished(root.path());
    let arch = root.path().join("archs/aa/arch.json");
    assert_eq!(history::verify(&arch).unwrap(), None);
    let (run, _) = open(root.path()).unwrap();
    assert_eq!(run.whole("archs/aa/weights.safetensors").as_deref(), Some(&b"numbers"[..]));
    fs::write(root.path().join("archs/aa/weights.safetensors"), b"numbres").unwrap();
    assert_eq!(run.whole("archs/aa/weights.safetensors"), None);
    let error = history::verify(&arch).unwrap_err();
    assert!(error.exit_code() == 4 && error.to_string().contains("weights.safetensors"), "{error}");
    // Files of no run are as they are.
    let alone = root.path().join("elsewhere");
    fs::create_dir(&alone).unwrap();
    fs::write(alone.join("arch.json"), b"{}").unwrap();
    assert_eq!(history::verify(&alone.join("arch.json")).unwrap(), None);
}

/// What a process would leave without its folder is an error at the next write, and nothing is brought back.
#[test]
#[cfg(unix)]
fn a_folder_that_is_removed_under_a_run_is_noticed() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("run");
    let (mut run, _) = open(&path).unwrap();
    let mut checkpoints = run.checkpoints().unwrap();
    fs::remove_dir_all(&path).unwrap();
    let snapshot = robustnas::store::checkpoint::Snapshot { meta: 1.into(), tensors: Vec::new() };
    let errors = [
        run.append(&candidate("aa")).unwrap_err(),
        run.write_arch("aa", &[("arch.json", b"{}")]).unwrap_err(),
        run.write_output("ranked.json", b"{}").unwrap_err(),
        checkpoints.save(&snapshot).unwrap_err(),
    ];
    for error in errors {
        assert!(error.to_string().contains("removed or replaced"), "{error}");
    }
    assert!(!path.exists());
    // Another run in the same place is not touched.
    let (_other, _) = open(&path).unwrap();
    assert!(run.append(&candidate("aa")).is_err() && checkpoints.save(&snapshot).is_err());
    assert!(!path.join("checkpoint").exists());
}

#[test]
fn a_checkpoint_is_of_one_run_and_not_newer_than_its_journal() {
    let root = tempfile::tempdir().unwrap();
    let (one, two) = (root.path().join("one"), root.path().join("two"));
    let snapshot = robustnas::store::checkpoint::Snapshot { meta: 1.into(), tensors: Vec::new() };
    let (mut run, _) = open(&one).unwrap();
    run.append(&candidate("aa")).unwrap();
    let mut checkpoints = run.checkpoints().unwrap();
    checkpoints.save(&snapshot).unwrap();
    assert!(checkpoints.load().unwrap().is_some());
    let copy = |to: &Path| {
        fs::create_dir_all(to.join("checkpoint")).unwrap();
        fs::copy(one.join("checkpoint/state-1.safetensors"), to.join("checkpoint/state-1.safetensors")).unwrap();
    };
    let (other, _) = RunDir::open(&two, "seed = 8\n", RunAbout { seed: 8, ..about() }, &differences).unwrap();
    copy(&two);
    let said = other.checkpoints().unwrap().load().unwrap_err().to_string();
    assert!(said.contains("is of another run"), "{said}");
    let three = root.path().join("three");
    let (same, _) = open(&three).unwrap();
    copy(&three);
    let said = same.checkpoints().unwrap().load().unwrap_err().to_string();
    assert!(said.contains("the journal had 2 lines, and it has 1"), "{said}");
}

#[test]
fn the_same_images_may_lie_elsewhere() {
    let root = tempfile::tempdir().unwrap();
    drop(open(root.path()).unwrap());
    let moved = RunAbout { data: "hf:/elsewhere".into(), ..about() };
    let changed = |_: &str, _: &str| Ok(vec!["data: synthetic -> hf:/elsewhere".to_owned()]);
    assert!(matches!(RunDir::open(root.path(), CONFIG, moved, &changed), Ok((_, Opened::Resumed { .. }))));
    let others = RunAbout { data_id: "ffff".into(), ..about() };
    assert!(RunDir::open(root.path(), CONFIG, others, &changed).is_err());
}

/// `search night/config.toml --out night` must not overwrite what it was given.
#[test]
fn a_user_s_own_configuration_is_no_run_cut_short() {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("config.toml"), "mine").unwrap();
    for error in [open(root.path()).map(drop).unwrap_err(), free_to_take(root.path()).map(drop).unwrap_err()] {
        assert!(error.to_string().contains("config.toml"), "{error}");
    }
    assert_eq!(fs::read(root.path().join("config.toml")).unwrap(), b"mine");
    assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1);
}

/// Code 4 and the file's name, whatever is wrong with a file that the run is made of.
#[test]
fn damaged_files_of_a_run_are_run_errors() {
    let root = tempfile::tempdir().unwrap();
    type Damage = fn(&Path);
    let damages: [(&str, Damage); 6] = [
        ("run.json", |p| fs::write(p, b"{").unwrap()),
        ("run.json", |p| fs::write(p, b"\xff").unwrap()),
        ("run.json", |p| fs::remove_file(p).and_then(|()| fs::create_dir(p)).unwrap()),
        ("config.toml", |p| fs::write(p, b"\xff").unwrap()),
        ("config.toml", |p| fs::remove_file(p).unwrap()),
        ("config.toml", |p| fs::remove_file(p).and_then(|()| fs::create_dir(p)).unwrap()),
    ];
    for (i, (name, damage)) in damages.into_iter().enumerate() {
        let path = root.path().join(i.to_string());
        drop(open(&path).unwrap());
        damage(&path.join(name));
        for error in [open(&path).map(drop).unwrap_err(), History::read(&path).map(drop).unwrap_err()] {
            assert!(error.exit_code() == 4 && error.to_string().contains(name), "{i}: {error}");
        }
    }
}
