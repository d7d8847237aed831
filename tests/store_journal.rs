//! The journal under truncation, damage and reopening.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use proptest::prelude::*;
use robustnas::error::Error;
use robustnas::store::journal::{Journal, read};
use serde_json::{Value, json};

fn events() -> Vec<Value> {
    vec![json!({"stage": "search", "loss": 0.1}), json!("two\nlines"), json!({"n": 3, "deep": [1, null, "é"]})]
}

/// A journal with [`events`] and its bytes.
fn journal(folder: &Path) -> (PathBuf, Vec<u8>) {
    let path = folder.join("journal.jsonl");
    let (mut journal, found) = Journal::open(&path).unwrap();
    assert_eq!(found.events, Vec::<Value>::new());
    events().iter().for_each(|e| journal.append(e).unwrap());
    let bytes = fs::read(&path).unwrap();
    (path, bytes)
}

#[test]
fn lines_have_the_documented_form() {
    let folder = tempfile::tempdir().unwrap();
    let (_, bytes) = journal(folder.path());
    let text = String::from_utf8(bytes).unwrap();
    assert_eq!(text.lines().count(), 3);
    for (n, line) in text.lines().enumerate() {
        let value: Value = serde_json::from_str(line).unwrap();
        assert_eq!(value["seq"], n);
        assert_eq!(value["event"], events()[n]);
        let rest = line.strip_prefix(&format!("{{\"crc\":{},", value["crc"])).unwrap();
        assert_eq!(value["crc"], format!("{:08x}", crc32fast::hash(rest.as_bytes())));
    }
}

#[test]
fn truncation_at_every_byte_keeps_the_whole_lines_and_appending_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let (path, bytes) = journal(folder.path());
    for cut in 0..=bytes.len() {
        fs::write(&path, &bytes[..cut]).unwrap();
        let whole = bytes[..cut].iter().filter(|b| **b == b'\n').count();
        let torn = cut > 0 && bytes[cut - 1] != b'\n';
        let unlocked = read::<Value>(&path).unwrap();
        assert_eq!(fs::read(&path).unwrap().len(), cut, "reading changes nothing");
        let (mut journal, found) = Journal::open(&path).unwrap();
        assert_eq!(found, unlocked);
        assert_eq!(found.events, events()[..whole], "cut at {cut}");
        assert_eq!(found.warning.is_some(), torn, "cut at {cut}");
        journal.append(&json!("after")).unwrap();
        let again = read::<Value>(&path).unwrap();
        assert_eq!(again.warning, None);
        assert_eq!(again.events[..whole], events()[..whole]);
        assert_eq!(again.events[whole..], [json!("after")]);
    }
}

#[test]
fn damage_before_whole_lines_is_an_error_with_line_and_byte() {
    let folder = tempfile::tempdir().unwrap();
    let (path, mut bytes) = journal(folder.path());
    let second = bytes.iter().position(|b| *b == b'\n').unwrap() + 1;
    bytes[second + 30] ^= 1;
    fs::write(&path, &bytes).unwrap();
    let error = Journal::<Value>::open(&path).unwrap_err();
    assert!(matches!(error, Error::Run { .. }));
    assert!(error.to_string().contains(&format!("line 2 at byte {second}")), "{error}");
    assert_eq!(fs::read(&path).unwrap(), bytes, "a damaged journal is left as it is");
}

#[test]
fn missing_and_repeated_lines_are_errors() {
    let folder = tempfile::tempdir().unwrap();
    let (path, bytes) = journal(folder.path());
    let lines: Vec<&[u8]> = bytes.split_inclusive(|b| *b == b'\n').collect();
    for (content, line) in [([lines[0], lines[2]], 2), ([lines[0], lines[0]], 2), ([lines[1], lines[2]], 1)] {
        fs::write(&path, content.concat()).unwrap();
        let message = read::<Value>(&path).unwrap_err().to_string();
        assert!(message.contains(&format!("line {line}")) && message.contains("sequence number"), "{message}");
    }
}

#[test]
fn an_event_of_another_version_is_an_error_not_a_torn_tail() {
    let folder = tempfile::tempdir().unwrap();
    let (path, bytes) = journal(folder.path());
    let error = Journal::<u32>::open(&path).unwrap_err();
    assert!(matches!(error, Error::Run { .. }));
    assert!(error.to_string().contains("line 1 at byte 0"), "{error}");
    assert_eq!(fs::read(&path).unwrap(), bytes);
}

#[test]
fn an_event_that_could_not_be_read_back_is_not_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.jsonl");
    let (mut journal, _) = Journal::open(&path).unwrap();
    journal.append(&1.5f64).unwrap();
    assert!(matches!(journal.append(&f64::NAN), Err(Error::Run { .. })));
    journal.append(&2.5f64).unwrap();
    assert_eq!(read::<f64>(&path).unwrap().events, [1.5, 2.5]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// One flipped bit anywhere: an error, or a shorter journal with a warning; never other events.
    #[test]
    fn a_flipped_bit_never_gives_wrong_events(at in any::<prop::sample::Index>(), bit in 0u8..8) {
        static WHOLE: LazyLock<Vec<u8>> = LazyLock::new(|| journal(tempfile::tempdir().unwrap().path()).1);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.jsonl");
        let mut bytes = WHOLE.clone();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        fs::write(&path, &bytes).unwrap();
        match read::<Value>(&path) {
            Err(e) => prop_assert!(matches!(e, Error::Run { .. }), "{}", e),
            Ok(found) => {
                prop_assert!(found.warning.is_some());
                prop_assert!(found.events.len() < 3);
                prop_assert_eq!(&found.events[..], &events()[..found.events.len()]);
                // Only the last line, or the last two run together, may be lost without an error.
                prop_assert!(!found.events.is_empty());
            }
        }
    }
}
