//! Runs of several seeds in one folder, and runs against runs.

mod quick_search;

use std::path::Path;
use std::process::Command;

use quick_search::{answer, finish, search};
use serde_json::Value;

fn robustnas(arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_robustnas")).args(arguments).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

fn json(arguments: &[&str]) -> Value {
    let (code, out, err) = robustnas(arguments);
    assert_eq!(code, Some(0), "{arguments:?}: {err}");
    serde_json::from_str(&out).unwrap()
}

#[test]
fn seeds_lie_in_one_folder_and_are_compared() {
    let folder = tempfile::tempdir().unwrap();
    let (before, after) = (folder.path().join("before"), folder.path().join("after"));
    let name = |path: &Path| path.display().to_string();
    finish(search(&before, "2").args(["--seeds", "2", "--seed", "3", "--set", "derive.genotypes=1"]).spawn().unwrap());
    let (code, table, err) = robustnas(&["rank", &name(&before)]);
    assert_eq!(code, Some(0), "{err}");
    assert!(table.contains(&format!("== {} over 2 seeds, test images", name(&before))), "{table}");
    let runs = json(&["rank", "--json", &name(&before)]);
    let seeds: Vec<_> = runs.as_array().unwrap().iter().map(|run| run["ranked"]["seed"].as_u64().unwrap()).collect();
    assert_eq!(seeds, [3, 4]);
    assert_eq!(json(&["status", "--json", &name(&before)]).as_array().unwrap().len(), 2);
    let out = folder.path().join("frontier.json");
    assert_eq!(robustnas(&["frontier", &name(&before), "--out", &name(&out)]).0, Some(0));
    let frontier: Value = serde_json::from_slice(&std::fs::read(out).unwrap()).unwrap();
    assert_eq!(frontier["runs"][1]["name"], "before/seed-4");

    // Another night: one key is another. What its seed finds is what that seed found among others.
    finish(
        search(&after, "2")
            .args(["--seed", "4", "--set", "derive.genotypes=1", "--set", "derive.random=2"])
            .spawn()
            .unwrap(),
    );
    let searched = |run: &Path| {
        let ranked: Value = serde_json::from_slice(&answer(run)[0]).unwrap();
        let entries = ranked["budgets"][0]["entries"].as_array().unwrap().clone();
        let mut searched: Vec<Value> = entries.into_iter().filter(|entry| entry["origin"] == "searched").collect();
        // Their places are among more controls.
        searched.iter_mut().for_each(|entry| drop(entry.as_object_mut().unwrap().remove("rank")));
        searched
    };
    assert_eq!(searched(&before.join("seed-4")), searched(&after));
    assert!(!searched(&after).is_empty());
    let compared = json(&["compare", "--json", &name(&before), &name(&after)]);
    assert_eq!(compared["changed"], serde_json::json!(["derive.random: 1 -> 2"]));
    assert_eq!((&compared["runs"], &compared["images"]), (&serde_json::json!([2, 1]), &64.into()));
    for line in compared["lines"].as_array().unwrap() {
        let [low, number, high] = ["low", "number", "high"].map(|key| line["difference"][key].as_f64().unwrap());
        assert!(low <= number && number <= high, "{line}");
        let [was, is] = ["before", "after"].map(|side| line[side]["number"].as_f64().unwrap());
        assert!((is - was - number).abs() < 1e-12, "{line}");
    }
    let (code, text, _) = robustnas(&["compare", &name(&before), &name(&after)]);
    assert_eq!(code, Some(0));
    assert!(text.contains("changed: derive.random: 1 -> 2") && text.contains("hypervolume of the searched"), "{text}");
    // A run that is not there, and one that is no run.
    assert_eq!(robustnas(&["compare", &name(&before), &name(folder.path())]).0, Some(2));
}
