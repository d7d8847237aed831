//! Runs of several seeds in one folder, and runs against runs.

#[expect(dead_code, reason = "other tests use the rest")]
mod quick_search;

use std::path::Path;
use std::process::Command;

use quick_search::{finish, search};
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
    let before = folder.path().join("before");
    let after = before.join("seed-3");
    let name = |path: &Path| path.display().to_string();
    finish(search(&before, "2").args(["--seeds", "2", "--seed", "2"]).spawn().unwrap());
    let (code, table, err) = robustnas(&["rank", &name(&before)]);
    assert_eq!(code, Some(0), "{err}");
    assert!(table.contains(&format!("== {} over 2 seeds, test images", name(&before))), "{table}");
    let runs = json(&["rank", "--json", &name(&before)]);
    let seeds: Vec<_> = runs.as_array().unwrap().iter().map(|run| run["ranked"]["seed"].as_u64().unwrap()).collect();
    assert_eq!(seeds, [2, 3]);
    assert_eq!(json(&["status", "--json", &name(&before)]).as_array().unwrap().len(), 2);
    let out = folder.path().join("frontier.json");
    assert_eq!(robustnas(&["frontier", &name(&before), "--out", &name(&out)]).0, Some(0));
    let frontier: Value = serde_json::from_slice(&std::fs::read(&out).unwrap()).unwrap();
    assert_eq!(frontier["runs"][1]["name"], "before/seed-3");

    // Both seeds as one band: the mean, from the one to the other.
    let [csv, svg] = ["bands.csv", "bands.svg"].map(|file| folder.path().join(file));
    for out in [&csv, &svg] {
        let (code, _, err) = robustnas(&["frontier", "--bands", &name(&before), "--out", &name(out)]);
        assert_eq!(code, Some(0), "{err}");
    }
    let robust = |run: usize| {
        let points = frontier["runs"][run]["points"].as_array().unwrap();
        let point = points.iter().find(|point| point["origin"] == "hand_made").unwrap();
        point["robust"]["hit"].as_f64().unwrap() / point["robust"]["total"].as_f64().unwrap()
    };
    let table = std::fs::read_to_string(csv).unwrap();
    let line = table.lines().find(|line| line.starts_with("before,hand-made,")).unwrap();
    let numbers: Vec<f64> = line.split(',').skip(3).map(|number| number.parse().unwrap()).collect();
    let (a, b) = (robust(0), robust(1));
    assert_eq!(numbers[..4], [2.0, f64::midpoint(a, b), a.min(b), a.max(b)], "{table}");
    assert!(std::fs::read_to_string(svg).unwrap().contains("seeds 2, 3"));
    let (code, _, err) = robustnas(&["frontier", "--bands", &name(&before), "--out", &name(&out)]);
    assert!(code == Some(2) && err.contains("a document has the runs themselves"), "{err}");

    // A network that is attacked as those of a run were tested has their numbers, and is a point beside them.
    let own = folder.path().join("own");
    let (code, _, err) = robustnas(&["attack", "--net", &name(&after), "--like", &name(&after), "--out", &name(&own)]);
    assert_eq!(code, Some(0), "{err}");
    let (code, _, err) = robustnas(&["frontier", &name(&after), &name(&own), "--out", &name(&out)]);
    assert_eq!(code, Some(0), "{err}");
    let both: Value = serde_json::from_slice(&std::fs::read(&out).unwrap()).unwrap();
    let point = &both["networks"][0];
    assert_eq!(point["name"], "own");
    let points = both["runs"][0]["points"].as_array().unwrap();
    let same = points.iter().find(|known| known["arch"] == point["arch"]).unwrap();
    assert_eq!((&same["clean"], &same["robust"], &same["macs"]), (&point["clean"], &point["robust"], &point["macs"]));
    std::fs::remove_file(own.join("result.json")).unwrap();
    let (code, _, err) = robustnas(&["frontier", &name(&after), &name(&own), "--out", &name(&out)]);
    assert!(code == Some(0) && err.contains("the attack has not finished, left out"), "{err}");
    let (code, _, err) = robustnas(&["frontier", &name(&own), "--out", &name(&out)]);
    assert!(code == Some(2) && err.contains("no run is among the folders"), "{err}");

    // Both seeds against one of them: the same configuration but for the seed, which is no change.
    let compared = json(&["compare", "--json", &name(&before), &name(&after)]);
    assert_eq!(compared["changed"], serde_json::json!([]));
    assert_eq!((&compared["runs"], &compared["images"]), (&serde_json::json!([2, 1]), &64.into()));
    for line in compared["lines"].as_array().unwrap() {
        let [low, number, high] = ["low", "number", "high"].map(|key| line["difference"][key].as_f64().unwrap());
        assert!(low <= number && number <= high, "{line}");
        let [was, is] = ["before", "after"].map(|side| line[side]["number"].as_f64().unwrap());
        assert!((is - was - number).abs() < 1e-12, "{line}");
    }
    let (code, text, _) = robustnas(&["compare", &name(&before), &name(&after)]);
    assert_eq!(code, Some(0));
    assert!(text.contains("configurations: the same") && text.contains("hypervolume of the searched"), "{text}");
    let (code, _, err) = robustnas(&["compare", &name(&before), &name(&after.join("archs"))]);
    assert!(code == Some(2) && err.contains("neither a run nor a folder of runs"), "{err}");
}
