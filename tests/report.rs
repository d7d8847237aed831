//! Documents, the table and the picture, from hand-made records.

mod fixtures;

use std::path::Path;

use fixtures::{evaluation, failed, record};
use robustnas::error::Error;
use robustnas::record::{Check, Origin, Outcome, Record};
use robustnas::report::attacked::{AttackResultFile, Attacked, Source};
use robustnas::report::axes::Axes;
use robustnas::report::evaluated::Evaluated;
use robustnas::report::frontier::Frontier;
use robustnas::report::plot::plot;
use robustnas::report::protocol::Split;
use robustnas::report::ranked::Ranked;
use robustnas::report::schema::{NAMES, schema};
use robustnas::report::style::Style;
use robustnas::report::table::table;
use robustnas::report::{document, png};
use robustnas::store::history::History;
use robustnas::threat::{Attack, AttackPlan};
use robustnas::units::{Fraction, Macs, Params};
use serde_json::Value;

const M: u64 = 1_000_000;

fn searched(arch: &str, budget: u64, macs: u64, clean: u64, robust: u64) -> Record {
    record(arch, Origin::Searched { genotype: 0 }, budget * M, macs * M / 10, clean, robust)
}

fn records() -> Vec<Record> {
    let mut doubted = searched("5e5e5e5e", 20, 195, 70, 60);
    if let Outcome::Ok { validation, .. } = &mut doubted.outcome {
        validation.checks.push(Check::ZeroGradient);
    }
    vec![
        searched("aaaa0001", 20, 196, 61, 33),
        searched("aaaa0002", 20, 201, 63, 35),
        record("bbbb0001", Origin::Random { genotype: 0 }, 20 * M, 20 * M, 59, 30),
        record("cccc0001", Origin::HandMade, 20 * M, 20 * M + 1, 62, 29),
        failed("dddd0001", 20 * M),
        doubted,
        searched("aaaa0003", 40, 398, 66, 38),
        record("bbbb0002", Origin::Random { genotype: 0 }, 40 * M, 41 * M, 65, 36),
        record("cccc0002", Origin::HandMade, 40 * M, 40 * M, 68, 34),
    ]
}

fn ranked() -> Ranked {
    Ranked::new(7, &records()).unwrap()
}

fn with_evaluations(mut records: Vec<Record>, change: impl Fn(&mut robustnas::record::Evaluation)) -> Vec<Record> {
    for record in &mut records {
        if let Outcome::Ok { validation, .. } = &mut record.outcome {
            change(validation);
        }
    }
    records
}

#[test]
fn ranks_are_counted_per_budget_and_the_unranked_have_reasons() {
    let ranked = ranked();
    let small: Vec<(Option<u32>, &str)> =
        ranked.budgets[0].entries.iter().map(|e| (e.rank, e.record.arch.as_str())).collect();
    assert_eq!(
        small[..4],
        [(Some(1), "aaaa0002"), (Some(2), "aaaa0001"), (Some(3), "bbbb0001"), (Some(4), "cccc0001")]
    );
    assert!(small[4..].iter().all(|(rank, _)| rank.is_none()));
    assert!(ranked.budgets[0].entries[4..].iter().all(|e| e.unranked.is_some()));
    assert_eq!(ranked.budgets[1].entries[0].rank, Some(1));
}

#[test]
fn ranked_json_is_the_same_whatever_the_order_and_comes_back() {
    let mut turned = records();
    turned.reverse();
    let bytes = ranked().to_json().unwrap();
    assert_eq!(bytes, Ranked::new(7, &turned).unwrap().to_json().unwrap());
    let back = Ranked::from_json(Path::new("ranked.json"), &bytes).unwrap();
    assert_eq!(back, ranked());
    assert_eq!(back.to_json().unwrap(), bytes);
    let value: Value = serde_json::from_slice(&bytes).unwrap();
    assert_eq!(value["schema_version"], 1);
    assert_eq!(value["counting_rule"], "conv-linear-macs/1");
    assert_eq!(value["budgets"][0]["entries"][4]["rank"], Value::Null);
    assert_eq!(value["attacks"][0]["eps"], "8/255");
}

#[test]
fn documents_fit_their_schemas_and_the_schemas_refuse_others() {
    let ranked = ranked();
    let frontier = Frontier::combine(&[("night", &ranked)], Split::Validation).unwrap();
    assert!(NAMES.iter().all(|name| schema(name).is_some()));
    // `arch` is held to its schema by tests/program.rs, which exports one.
    let documents = [("ranked", ranked.to_json().unwrap()), ("frontier", frontier.to_json().unwrap())];
    for (name, bytes) in documents {
        let schema = serde_json::to_value(schema(name).unwrap()).unwrap();
        let validator = jsonschema::validator_for(&schema).unwrap();
        let good: Value = serde_json::from_slice(&bytes).unwrap();
        let errors: Vec<String> =
            validator.iter_errors(&good).map(|e| format!("{e} at {}", e.instance_path())).collect();
        assert!(errors.is_empty(), "{name}: {errors:#?}");
        let mut extended = good.clone();
        extended["later"] = Value::from(1);
        assert!(validator.is_valid(&extended), "{name}: unknown keys are accepted");
        for key in ["schema_version", "counting_rule", "attacks"] {
            let mut bad = good.clone();
            bad[key] = Value::from(-1);
            assert!(!validator.is_valid(&bad), "{name}: {key}");
        }
    }
    assert!(schema("nonsense").is_none());
}

#[test]
fn readers_accept_unknown_keys_and_refuse_newer_schemas() {
    let path = Path::new("somewhere/ranked.json");
    let mut value: Value = serde_json::from_slice(&ranked().to_json().unwrap()).unwrap();
    value["later"] = Value::from("x");
    value["budgets"][0]["entries"][0]["later"] = Value::from("x");
    let bytes = serde_json::to_vec(&value).unwrap();
    assert_eq!(Ranked::from_json(path, &bytes).unwrap(), ranked());
    let newer = br#"{"schema_version": 2, "moved": true}"#;
    for error in [Ranked::from_json(path, newer).unwrap_err(), Frontier::from_json(path, newer).unwrap_err()] {
        let message = error.to_string();
        assert!(message.contains("schema_version 2") && message.contains("up to 1"), "{message}");
        assert!(message.contains("somewhere/ranked.json"), "{message}");
    }
    assert!(matches!(Ranked::from_json(path, b"{}"), Err(Error::Data { .. })));
    assert_eq!(document::SCHEMA_VERSION, 1);
}

#[test]
fn records_of_different_protocols_do_not_share_a_table() {
    let mut mixed = records();
    if let Outcome::Ok { validation, .. } = &mut mixed[6].outcome {
        validation.sample.index_id = "other".into();
    }
    let message = Ranked::new(7, &mixed).unwrap_err().to_string();
    assert!(message.contains("aaaa0001") && message.contains("aaaa0003") && message.contains("index_id"), "{message}");
}

#[test]
fn a_run_where_all_failed_has_a_table_and_a_frontier() {
    let ranked = Ranked::new(7, &[failed("dddd0001", 20 * M)]).unwrap();
    assert!(ranked.protocol.data.is_none());
    assert!(table(&ranked).contains("the loss became NaN"));
    let frontier = Frontier::combine(&[("night", &ranked)], Split::Validation).unwrap();
    assert!(plot(&frontier).unwrap().contains("no candidate that may be ranked"));
    // It contradicts no other run.
    Frontier::combine(&[("night", &ranked), ("day", &self::ranked())], Split::Validation).unwrap();
}

#[test]
fn the_frontier_flags_the_dominated_and_measures_volumes() {
    let ranked = ranked();
    let frontier = Frontier::combine(&[("night", &ranked)], Split::Validation).unwrap();
    let run = &frontier.runs[0];
    let kept: Vec<&str> = run.points.iter().filter(|p| !p.dominated).map(|p| p.arch.as_str()).collect();
    assert_eq!(kept, ["aaaa0001", "cccc0001", "aaaa0002", "aaaa0003", "cccc0002"]);
    assert!(run.points.iter().all(|p| p.dominated == p.dominated_overall));
    assert_eq!(frontier.reference.macs, 40e6 * 1.1);
    let alone = &run.budgets[1].hypervolume;
    assert!((alone.searched - (1.0 - 39.8 / 44.0) * 0.66 * 0.38).abs() < 1e-12);
    assert!(run.hypervolume.all >= run.hypervolume.searched && run.hypervolume.searched > run.hypervolume.random);
    let bytes = frontier.to_json().unwrap();
    assert_eq!(Frontier::from_json(Path::new("frontier.json"), &bytes).unwrap(), frontier);
}

#[test]
fn another_run_can_dominate() {
    let (one, better) = (ranked(), Ranked::new(8, &[searched("ffff0001", 20, 100, 99, 90)]).unwrap());
    let frontier = Frontier::combine(&[("one", &one), ("better", &better)], Split::Validation).unwrap();
    assert!(frontier.runs[0].points.iter().any(|p| !p.dominated));
    assert!(frontier.runs[0].points.iter().all(|p| p.dominated_overall));
    assert!(!frontier.runs[1].points[0].dominated_overall);
}

#[test]
fn runs_that_were_measured_differently_are_not_combined() {
    let one = ranked();
    let refused = |records: Vec<Record>, what: &str| {
        let other = Ranked::new(8, &records).unwrap();
        let error = Frontier::combine(&[("one", &one), ("two", &other)], Split::Validation).unwrap_err();
        assert!(matches!(error, Error::Usage(_)));
        let message = error.to_string();
        assert!(message.contains("one") && message.contains("two") && message.contains(what), "{message}");
    };
    refused(with_evaluations(records(), |e| e.sample.data_id = "ffff".into()), "data_id");
    refused(with_evaluations(records(), |e| e.sample.split = "test".into()), "split");
    refused(with_evaluations(records(), |e| e.sample.index_id = "0000".into()), "index_id");
    let weak = Attack::Fgsm { eps: Fraction::of_255(4) };
    refused(with_evaluations(records(), |e| e.attacks[0].attack = weak), "FGSM linf 4/255");
    let mut counted = records();
    counted.iter_mut().for_each(|r| r.cost.rule = "thop/1".into());
    refused(counted, "counting rule (conv-linear-macs/1 against thop/1)");
    assert!(Frontier::combine(&[], Split::Validation).is_err());
}

#[test]
fn the_test_split_has_its_own_points() {
    let mut records = records();
    if let Outcome::Ok { test, .. } = &mut records[0].outcome {
        *test = Some(evaluation("test", 57, 31));
    }
    let ranked = Ranked::new(7, &records).unwrap();
    let frontier = Frontier::combine(&[("night", &ranked)], Split::Test).unwrap();
    assert_eq!(frontier.runs[0].points.len(), 1);
    assert_eq!(frontier.runs[0].points[0].robust.hit, 31);
    assert_eq!(frontier.protocol.data.unwrap().split, "test");
}

#[test]
fn the_table_is_aligned_and_says_what_it_shows() {
    let text = table(&ranked());
    println!("{text}");
    for part in [
        "synthetic validation, n = 100",
        "PGD-20 linf 8/255 step 2/255 x1",
        "conv-linear-macs/1",
        "budget 20.00M MACs",
        "the loss became NaN",
        "zero_gradient",
        "35.00%",
        "26.36..44.75",
    ] {
        assert!(text.contains(part), "{part} is missing in\n{text}");
    }
    let lines: Vec<&str> = text.lines().collect();
    let head = lines.iter().position(|l| l.starts_with("rank")).unwrap();
    let column = lines[head].find("network").unwrap();
    for row in &lines[head + 1..head + 7] {
        assert_eq!(row.find("cells 2/2/2"), Some(column), "{row}");
    }
    assert!(lines.iter().all(|l| l.trim_end() == *l && l.is_ascii()));
}

/// Below every budget stands whether its search beat its controls; documents of older versions have no word of it.
#[test]
fn a_ranking_says_whether_the_search_beat_its_controls() {
    let ranked = ranked();
    let text = table(&ranked);
    let sentence = "The best searched network (35.00% robust) does not beat the best random control (30.00% robust) beyond \
                    the 95 % intervals, and does not beat the best hand-made control (29.00% robust) beyond the 95 % \
                    intervals.";
    assert!(text.contains(sentence), "{text}");
    assert_eq!(text.matches("The best searched network").count(), 2);
    let mut value: Value = serde_json::from_slice(&ranked.to_json().unwrap()).unwrap();
    assert_eq!(value["budgets"][0]["controls"]["random"], "overlaps");
    assert_eq!(value["budgets"][0]["controls"]["sentence"], sentence);
    value["budgets"][0].as_object_mut().unwrap().remove("controls");
    let old = Ranked::from_json(Path::new("ranked.json"), &serde_json::to_vec(&value).unwrap()).unwrap();
    assert_eq!((old.budgets[0].controls.clone(), old.records()), (None, ranked.records()));
    let none = Ranked::new(7, &[failed("dddd0001", 20 * M)]).unwrap();
    assert!(table(&none).contains("No searched network is here"));
}

/// What older versions left is read as it is.
#[test]
fn committed_results_are_read() {
    let run = Path::new(env!("CARGO_MANIFEST_DIR")).join("results/example");
    let bytes = |name: &str| std::fs::read(run.join(name)).unwrap();
    let ranked = Ranked::new(2, &History::read(&run).unwrap().records()).unwrap();
    let stored = Ranked::from_json(&run.join("ranked.json"), &bytes("ranked.json")).unwrap();
    assert_eq!(ranked.records(), stored.records());
    let frontier = Frontier::combine(&[("example", &ranked)], Split::Test).unwrap();
    let stored = Frontier::from_json(&run.join("frontier.json"), &bytes("frontier.json")).unwrap();
    assert_eq!(frontier.runs[0].points, stored.runs[0].points);
    assert_eq!(table(&ranked).matches("The best searched network").count(), ranked.budgets.len());
}

/// An `eval.json` of before it had flags is read, and written again as it was.
#[test]
fn committed_evaluations_are_written_as_they_were() {
    let archs = Path::new(env!("CARGO_MANIFEST_DIR")).join("results/example/archs");
    let mut read = 0;
    for arch in std::fs::read_dir(&archs).unwrap() {
        let path = arch.unwrap().path().join("eval.json");
        let bytes = std::fs::read(&path).unwrap();
        let document = Evaluated::from_json(&path, &bytes).unwrap();
        assert_eq!(document.flags, None);
        assert!(document.to_json().unwrap() == bytes, "{}", path.display());
        read += 1;
    }
    assert_eq!(read, 9);
}

/// A picture like that of a real night: two runs over four budgets.
/// What `attack --like` finds on a network that is in no run.
fn attacked(net: &str, macs: u64, clean: u64, robust: u64) -> AttackResultFile {
    let sample = evaluation("validation", clean, robust).sample;
    let n = sample.n;
    let digits = |hit: u64| "1".repeat(hit as usize) + &"0".repeat((n - hit) as usize);
    AttackResultFile {
        schema_version: 1,
        version: "0.1.0".into(),
        network: Attacked {
            net: net.into(),
            arch: "eeee0001".into(),
            weights: "w".into(),
            params: Params(1000),
            macs: Macs(macs),
        },
        source: None,
        sample,
        plan: AttackPlan { cascade: false, ..AttackPlan::new("evaluation", fixtures::attacks()) },
        seed: 7,
        n,
        clean_correct: clean,
        robust,
        robust_accuracy: robust as f64 / n as f64,
        interval: [0.0, 1.0],
        attacks: Vec::new(),
        checks: Vec::new(),
        ids: (0..n as u32).collect(),
        clean_flags: digits(clean),
        robust_flags: digits(robust),
    }
}

#[test]
fn networks_of_no_run_are_points_beside_runs() {
    let ranked = ranked();
    let runs = || Frontier::combine(&[("night", &ranked)], Split::Validation).unwrap();
    let (good, bad) = (attacked("mine.onnx", 19 * M, 64, 36), attacked("wrn:16-1", 60 * M, 20, 10));
    let frontier = runs().beside(&[("mine", &good), ("wide", &bad)]).unwrap();
    let found: Vec<(&str, bool)> = frontier.networks.iter().map(|n| (&n.name[..], n.dominated)).collect();
    assert_eq!(found, [("mine", false), ("wide", true)]);
    // Smaller and better than every network of the smaller budget, and none of the larger one's concern in its own run.
    for point in &frontier.runs[0].points {
        let before = runs();
        let alone = before.runs[0].points.iter().find(|p| p.arch == point.arch).unwrap();
        assert_eq!(alone.dominated, point.dominated, "{}", point.arch);
        assert_eq!(point.dominated_overall, alone.dominated || point.budget == Macs(20 * M), "{}", point.arch);
    }
    assert_eq!(Frontier::from_json(Path::new("f.json"), &frontier.to_json().unwrap()).unwrap(), frontier);
    let schema = jsonschema::validator_for(&serde_json::to_value(schema("frontier").unwrap()).unwrap()).unwrap();
    assert!(schema.is_valid(&serde_json::from_slice(&frontier.to_json().unwrap()).unwrap()));
    // Without such networks the document and the picture are as they were.
    assert!(!String::from_utf8(runs().to_json().unwrap()).unwrap().contains("networks"));
    let (alone, beside) = (plot(&runs()).unwrap(), plot(&frontier).unwrap());
    assert!(beside.contains(">mine</text>") && beside.contains("of no run") && !alone.contains("of no run"));
    let figure = robustnas::report::plot::figure(&frontier, &Style::default()).unwrap();
    let line = "wide,eeee0001,attacked,,60000000,1000,0.2,0.1,";
    assert!(figure.csv.as_deref().is_some_and(|csv| csv.lines().any(|l| l.starts_with(line))), "{:?}", figure.csv);

    let refused = |found: &AttackResultFile| runs().beside(&[("mine", found)]).unwrap_err().to_string();
    let mut others = good.clone();
    others.plan.attacks.pop();
    assert!(refused(&others).contains("attacks") && refused(&others).contains("attack --like RUN"));
    let mut elsewhere = good.clone();
    elsewhere.sample.index_id = "other".into();
    assert!(refused(&elsewhere).contains("index_id"));
    let mut transferred = good.clone();
    let network = good.network.clone();
    let flags = good.clean_flags.clone();
    transferred.source = Some(Source {
        network,
        clean_correct: 64,
        robust: 36,
        robust_accuracy: 0.36,
        clean_flags: flags.clone(),
        robust_flags: flags,
    });
    assert!(refused(&transferred).contains("attacks on mine.onnx"));
}

/// Networks that are all right, or all wrong, are points like others: axes end at 0 and at 100 %.
#[test]
fn axes_hold_whatever_accuracies_there_are() {
    for (clean, robust, ends) in [(100, 100, (80.0, 100.0)), (96, 95, (80.0, 100.0)), (3, 0, (0.0, 20.0))] {
        let records = [searched("aaaa0001", 20, 196, clean, robust), searched("aaaa0002", 20, 201, clean, robust)];
        let ranked = Ranked::new(7, &records).unwrap();
        let frontier = Frontier::combine(&[("night", &ranked)], Split::Validation).unwrap();
        let axes = Axes::over(&frontier, (0.0, 100.0), (100.0, 0.0)).unwrap();
        assert_eq!(axes.accuracy.values, ends, "{clean} {robust}");
        assert!(plot(&frontier).is_ok());
    }
}

fn two_runs() -> Frontier {
    let budgets = [10, 20, 40, 80];
    let run = |shift: u64| -> Vec<Record> {
        let mut records = Vec::new();
        for (i, budget) in (0u64..).zip(budgets) {
            for g in 0..3u64 {
                let macs = budget * M - (g * 37 + shift * 11) * budget * M / 2000;
                let numbers = (55 + 6 * i + shift - g, 28 + 4 * i + shift - 2 * g);
                let arch = format!("{shift}{i}{g}");
                records.push(record(
                    &arch,
                    Origin::Searched { genotype: g as u32 },
                    budget * M,
                    macs,
                    numbers.0,
                    numbers.1,
                ));
            }
            let random = Origin::Random { genotype: 0 };
            records.push(record(&format!("r{i}"), random, budget * M, budget * M * 99 / 100, 53 + 5 * i, 24 + 3 * i));
            records.push(record(
                &format!("h{i}"),
                Origin::HandMade,
                budget * M,
                budget * M * 101 / 100,
                57 + 6 * i,
                23 + 3 * i,
            ));
        }
        records
    };
    let (a, b) = (Ranked::new(1, &run(0)).unwrap(), Ranked::new(2, &run(4)).unwrap());
    Frontier::combine(&[("dsara-baseline", &a), ("dsara with second-order search", &b)], Split::Validation).unwrap()
}

#[test]
fn the_picture_names_everything_and_becomes_pixels() {
    let svg = plot(&two_runs()).unwrap();
    assert_eq!(svg, plot(&two_runs()).unwrap());
    for part in [
        "conv-linear-macs/1",
        "PGD-20 linf 8/255",
        "n = 100",
        "dsara-baseline",
        "accuracy, %",
        "budget 20M",
        "random control",
    ] {
        assert!(svg.contains(part), "{part}");
    }
    let pixels = png::rasterise(&svg, 1.0).unwrap();
    assert!(pixels.starts_with(b"\x89PNG"));
    if let Some(folder) = std::env::var_os("ROBUSTNAS_PICTURES") {
        std::fs::write(Path::new(&folder).join("frontier.png"), png::rasterise(&svg, 1.5).unwrap()).unwrap();
        let one = Frontier::combine(&[("night", &ranked())], Split::Validation).unwrap();
        let one = png::rasterise(&plot(&one).unwrap(), 1.5).unwrap();
        std::fs::write(Path::new(&folder).join("one.png"), one).unwrap();
    }
}

#[test]
fn more_runs_than_colours_are_refused() {
    let ranked = ranked();
    let runs: Vec<(&str, &Ranked)> = ["a", "b", "c", "d", "e", "f", "g", "h"].map(|n| (n, &ranked)).into();
    assert!(plot(&Frontier::combine(&runs[..7], Split::Validation).unwrap()).is_ok());
    let error = plot(&Frontier::combine(&runs, Split::Validation).unwrap()).unwrap_err();
    assert!(error.to_string().contains("at most 7"), "{error}");
}

#[test]
fn names_cannot_break_the_picture() {
    let ranked = ranked();
    let frontier =
        Frontier::combine(&[("a<b>&\"a very long name that goes on and on and on\"", &ranked)], Split::Validation);
    let svg = plot(&frontier.unwrap()).unwrap();
    assert!(!svg.contains("a<b>") && svg.contains("a&lt;b&gt;"));
    png::rasterise(&svg, 1.0).unwrap();
}
