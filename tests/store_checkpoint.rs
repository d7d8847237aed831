//! Checkpoints: exact, and safe against damage of the newest.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use proptest::prelude::*;
use robustnas::error::Error;
use robustnas::store::checkpoint::{Checkpoints, Snapshot};
use serde_json::json;

fn snapshot(step: u32) -> Snapshot {
    let odd = vec![f32::from_bits(0x7fc0_1234), f32::NEG_INFINITY, -0.0, f32::from_bits(1), step as f32, 0.1];
    Snapshot {
        meta: json!({"step": step, "loss": 0.1 + f64::from(step), "stream": "18446744073709551615"}),
        tensors: vec![
            ("z.weight".into(), vec![2, 3], odd),
            ("a.bias".into(), vec![0], vec![]),
            ("m".into(), vec![], vec![step as f32]),
        ],
    }
}

/// Equality of bits: NaN payloads and signs of zero count.
fn same(a: &Snapshot, b: &Snapshot) -> bool {
    let bits = |s: &Snapshot| -> Vec<(String, Vec<usize>, Vec<u32>)> {
        s.tensors.iter().map(|(n, d, v)| (n.clone(), d.clone(), v.iter().map(|x| x.to_bits()).collect())).collect()
    };
    a.meta == b.meta && bits(a) == bits(b)
}

fn files(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Three saves in `folder/checkpoint`; the newest file.
fn saved(folder: &Path) -> (PathBuf, PathBuf) {
    let folder = folder.join("checkpoint");
    let mut checkpoints = Checkpoints::open(&folder).unwrap();
    assert_eq!(checkpoints.load().unwrap(), None);
    for step in 1..=3 {
        assert_eq!(checkpoints.save(&snapshot(step)).unwrap(), u64::from(step));
    }
    let newest = folder.join("state-3.safetensors");
    (folder, newest)
}

#[test]
fn keeps_the_last_two_bit_for_bit() {
    let root = tempfile::tempdir().unwrap();
    let (folder, _) = saved(root.path());
    assert_eq!(files(&folder), ["LATEST", "state-2.safetensors", "state-3.safetensors"]);
    assert_eq!(fs::read_to_string(folder.join("LATEST")).unwrap(), "state-3.safetensors\n");
    let loaded = Checkpoints::open(&folder).unwrap().load().unwrap().unwrap();
    assert_eq!((loaded.number, &loaded.warning), (3, &None));
    assert!(same(&loaded.snapshot, &snapshot(3)));
}

#[test]
fn the_same_snapshot_gives_the_same_bytes() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    assert_eq!(fs::read(saved(one.path()).1).unwrap(), fs::read(saved(two.path()).1).unwrap());
}

#[test]
fn after_falling_back_the_damaged_file_goes_and_the_good_one_stays() {
    let root = tempfile::tempdir().unwrap();
    let (folder, newest) = saved(root.path());
    fs::write(&newest, b"").unwrap();
    let mut checkpoints = Checkpoints::open(&folder).unwrap();
    let loaded = checkpoints.load().unwrap().unwrap();
    assert!(same(&loaded.snapshot, &snapshot(2)));
    let warning = loaded.warning.unwrap();
    assert!(warning.contains("state-3.safetensors") && warning.contains("state-2.safetensors"), "{warning}");
    assert_eq!(checkpoints.save(&snapshot(4)).unwrap(), 4);
    assert_eq!(files(&folder), ["LATEST", "state-2.safetensors", "state-4.safetensors"]);
}

#[test]
fn a_process_killed_between_file_and_latest_loses_nothing() {
    let root = tempfile::tempdir().unwrap();
    let (folder, _) = saved(root.path());
    fs::write(folder.join("LATEST"), "state-2.safetensors\n").unwrap();
    fs::write(folder.join(".tmp-x1"), "half a file").unwrap();
    let mut checkpoints = Checkpoints::open(&folder).unwrap();
    assert_eq!(checkpoints.load().unwrap().unwrap().number, 3);
    assert!(!files(&folder).contains(&".tmp-x1".to_owned()));
}

#[test]
fn only_damaged_files_are_an_error_not_a_fresh_start() {
    let root = tempfile::tempdir().unwrap();
    let (folder, newest) = saved(root.path());
    fs::write(&newest, b"x").unwrap();
    fs::write(folder.join("state-2.safetensors"), b"y").unwrap();
    let error = Checkpoints::open(&folder).unwrap().load().unwrap_err();
    assert!(matches!(error, Error::Run { .. }));
    assert!(error.to_string().contains("remove this folder"), "{error}");
}

#[test]
fn clear_leaves_nothing() {
    let root = tempfile::tempdir().unwrap();
    let (folder, _) = saved(root.path());
    let mut checkpoints = Checkpoints::open(&folder).unwrap();
    checkpoints.clear().unwrap();
    assert_eq!(files(&folder), Vec::<String>::new());
    assert_eq!(checkpoints.load().unwrap(), None);
}

#[test]
fn unfit_snapshots_are_refused() {
    let root = tempfile::tempdir().unwrap();
    let mut checkpoints = Checkpoints::open(root.path()).unwrap();
    let tensor = |name: &str, shape: &[usize]| (name.to_owned(), shape.to_vec(), vec![1.0, 2.0]);
    for tensors in [vec![tensor("w", &[3])], vec![tensor("w", &[2]), tensor("w", &[2])]] {
        let error = checkpoints.save(&Snapshot { meta: json!(null), tensors }).unwrap_err();
        assert!(matches!(error, Error::Run { .. }), "{error}");
    }
    assert_eq!(files(root.path()), Vec::<String>::new());
}

#[test]
fn a_newer_schema_is_refused_with_both_numbers() {
    let root = tempfile::tempdir().unwrap();
    let (folder, newest) = saved(root.path());
    let text = fs::read(&newest).unwrap();
    let at = text.windows(20).position(|w| w == br#"schema_version\":1,\"#).unwrap() + 17;
    let mut newer = text.clone();
    newer[at] = b'9';
    fs::write(&newest, newer).unwrap();
    let message = Checkpoints::open(&folder).unwrap().load().unwrap_err().to_string();
    assert!(message.contains("schema_version 9") && message.contains("up to 1"), "{message}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Whatever happens to the newest file, what is loaded was saved: it, or the one before it with a warning.
    #[test]
    fn damage_to_the_newest_falls_back(
        at in any::<prop::sample::Index>(), flip in 1u8..=255, cut in any::<bool>(),
    ) {
        static WHOLE: LazyLock<[Vec<u8>; 2]> = LazyLock::new(|| {
            let root = tempfile::tempdir().unwrap();
            let mut checkpoints = Checkpoints::open(root.path()).unwrap();
            [1, 2].map(|step| {
                checkpoints.save(&snapshot(step)).unwrap();
                fs::read(root.path().join(format!("state-{step}.safetensors"))).unwrap()
            })
        });
        let root = tempfile::tempdir().unwrap();
        let folder = root.path();
        fs::write(folder.join("state-1.safetensors"), &WHOLE[0]).unwrap();
        let newest = folder.join("state-2.safetensors");
        let mut bytes = WHOLE[1].clone();
        let at = at.index(bytes.len());
        if cut { bytes.truncate(at) } else { bytes[at] ^= flip }
        fs::write(&newest, &bytes).unwrap();
        match Checkpoints::open(folder).unwrap().load() {
            Ok(Some(loaded)) if loaded.number == 2 => {
                prop_assert!(!cut);
                prop_assert!(same(&loaded.snapshot, &snapshot(2)));
            }
            Ok(Some(loaded)) => {
                prop_assert!(same(&loaded.snapshot, &snapshot(1)));
                prop_assert!(loaded.warning.is_some());
            }
            // A digit of the version may have become a larger one.
            Err(e) => prop_assert!(!cut && e.to_string().contains("schema_version"), "{e}"),
            Ok(None) => prop_assert!(false, "the checkpoints are gone"),
        }
    }
}
