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
    let (mut journal, found) = Journal::open(&path, true).unwrap();
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
        let (mut journal, found) = Journal::open(&path, false).unwrap();
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
    let error = Journal::<Value>::open(&path, false).unwrap_err();
    assert!(matches!(error, Error::Run { .. }));
    assert!(error.to_string().contains(&format!("line 2 at byte {second}")), "{error}");
    assert_eq!(fs::read(&path).unwrap(), bytes, "a damaged journal is left as it is");
}

/// What no single append leaves: an emptied disk page, other line breaks, a text from elsewhere, two damaged lines.
#[test]
fn more_damage_than_one_append_leaves_is_an_error_and_nothing_is_cut() {
    let folder = tempfile::tempdir().unwrap();
    let (path, bytes) = journal(folder.path());
    let text = String::from_utf8(bytes.clone()).unwrap();
    let second = text.find('\n').unwrap() + 1;
    let breaks = text.replace('\n', "\r\n");
    let two: String = text[..second].to_owned() + &text[second..].replace("\"crc\":\"", "\"crc\":\"x");
    let joined = text.trim_end().replace('\n', "");
    let zeros = "\0".repeat(text.len());
    let zeroed_end = text[..second].to_owned() + &"\0".repeat(40) + "\n" + &"\0".repeat(40) + "\n";
    for damaged in [&breaks, &two, &joined, &zeros, &zeroed_end, &"my notes".to_owned(), &"a\nb\n".to_owned()] {
        fs::write(&path, damaged).unwrap();
        let said = read::<Value>(&path).unwrap_err();
        let opened = Journal::<Value>::open(&path, false).unwrap_err();
        assert!(matches!(said, Error::Run { .. }), "{said}");
        assert_eq!(said.to_string(), opened.to_string(), "readers and writers say the same");
        assert_eq!(fs::read(&path).unwrap(), damaged.as_bytes(), "nothing is cut");
    }
}

/// A damaged line that has its line break may have been whole; it is kept.
#[test]
fn a_damaged_last_line_is_kept_aside() {
    let folder = tempfile::tempdir().unwrap();
    let (path, mut bytes) = journal(folder.path());
    let last = bytes[..bytes.len() - 1].iter().rposition(|b| *b == b'\n').unwrap() + 1;
    bytes[last + 40] ^= 1;
    fs::write(&path, &bytes).unwrap();
    let (_, found) = Journal::<Value>::open(&path, false).unwrap();
    assert!(found.warning.unwrap().contains("line 3"));
    assert_eq!(fs::read(&path).unwrap(), &bytes[..last]);
    assert_eq!(fs::read(folder.path().join("journal.damaged")).unwrap(), &bytes[last..]);
}

#[test]
fn a_missing_journal_and_a_link_are_errors() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.jsonl");
    for error in [Journal::<Value>::open(&path, false).unwrap_err(), read::<Value>(&path).unwrap_err()] {
        assert!(matches!(error, Error::Run { .. }) && error.to_string().contains("is missing"), "{error}");
    }
    assert!(!path.exists());
    fs::create_dir(&path).unwrap();
    assert!(matches!(Journal::<Value>::open(&path, false), Err(Error::Run { .. })));
    #[cfg(unix)]
    {
        let victim = folder.path().join("victim");
        fs::write(&victim, "not a journal").unwrap();
        fs::remove_dir(&path).unwrap();
        std::os::unix::fs::symlink(&victim, &path).unwrap();
        for error in [Journal::<Value>::open(&path, true).unwrap_err(), read::<Value>(&path).unwrap_err()] {
            assert!(error.to_string().contains("regular file") && matches!(error, Error::Run { .. }), "{error}");
        }
        assert_eq!(fs::read(&victim).unwrap(), b"not a journal");
    }
}

#[test]
fn files_are_known_by_what_they_hold() {
    let folder = tempfile::tempdir().unwrap();
    let (path, _) = journal(folder.path());
    let (mut journal, _) = Journal::<Value>::open(&path, false).unwrap();
    journal.append_file("a/b", b"one").unwrap();
    journal.append_file("a/b", b"one").unwrap();
    journal.append(&json!("between")).unwrap();
    journal.append_file("a/b", b"two").unwrap();
    journal.append_file("a/b", b"one").unwrap();
    assert_eq!(journal.lines(), 6, "a content is told once");
    let found = read::<Value>(&path).unwrap();
    assert_eq!(found.events.len(), 4);
    assert_eq!(&found.files, journal.files());
    let holds = |bytes| found.files.holds("a/b", bytes);
    assert!(holds(b"one") && holds(b"two") && !holds(b"three") && !holds(b""));
    assert!(found.files.knows("a/b") && !found.files.knows("a/c") && found.files.holds("a/c", b"anything"));
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
    let error = Journal::<u32>::open(&path, false).unwrap_err();
    assert!(matches!(error, Error::Run { .. }));
    assert!(error.to_string().contains("line 1 at byte 0"), "{error}");
    assert_eq!(fs::read(&path).unwrap(), bytes);
}

#[test]
fn an_event_that_could_not_be_read_back_is_not_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.jsonl");
    let (mut journal, _) = Journal::open(&path, true).unwrap();
    journal.append(&1.5f64).unwrap();
    assert!(matches!(journal.append(&f64::NAN), Err(Error::Run { .. })));
    journal.append(&2.5f64).unwrap();
    assert_eq!(read::<f64>(&path).unwrap().events, [1.5, 2.5]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// One flipped bit anywhere: an error, or, in the last line, a journal without it and a warning; never other events.
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
                prop_assert_eq!(&found.events[..], &events()[..2]);
            }
        }
    }
}
