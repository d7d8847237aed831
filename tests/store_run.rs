//! Run folders: begin, continue, refuse.

mod fixtures;

use std::fs;
use std::path::Path;

use fixtures::{evaluation, failed, record};
use robustnas::error::{Error, Result};
use robustnas::record::{Origin, Outcome};
use robustnas::store::event::{Event, StageResult};
use robustnas::store::run::{Opened, RunAbout, RunDir, read_events, read_records, read_run};
use robustnas::units::Macs;

const CONFIG: &str = "seed = 7\n";

fn about() -> RunAbout {
    RunAbout {
        seed: 7,
        data: "synthetic".into(),
        data_id: "0011".into(),
        argv: vec!["robustnas".into(), "search".into()],
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
    run.append(&Event::Stage(StageResult::Search { alpha: vec![1.0, 2.0] })).unwrap();
    run.append(&candidate("aa")).unwrap();
    let read = read_run(root.path()).unwrap();
    assert_eq!((read.file.schema_version, read.file.seed, read.config.as_str()), (1, 7, CONFIG));
    assert_eq!(read.file.host.argv, about().argv);
    assert_eq!(read_events(root.path()).unwrap().events.len(), 2);
    assert_eq!(read_records(root.path()).unwrap().len(), 1);
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
    let records = read_records(root.path()).unwrap();
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
    fs::write(root.path().join("run.json"), r#"{"schema_version": 2, "all_else": "moved"}"#).unwrap();
    for error in [open(root.path()).unwrap_err(), read_run(root.path()).unwrap_err()] {
        assert!(error.to_string().contains("schema_version 2") && error.to_string().contains("up to 1"), "{error}");
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
    let (run, _) = open(root.path()).unwrap();
    for name in ["../x", "a/b", "", ".hidden", "run.json", "journal.jsonl", "lock", "archs"] {
        assert!(matches!(run.write_output(name, b""), Err(Error::Run { .. })), "{name}");
    }
    assert!(run.write_arch("../aa", &[]).is_err());
    assert!(run.write_arch("aa", &[("../../x", b"")]).is_err());
}
