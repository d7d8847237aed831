//! The program as a user meets it: exit codes, messages, and results that programs can read.

#[path = "fixtures/net_a.rs"]
mod net_a;
#[path = "fixtures/quick.rs"]
mod quick;

use std::path::Path;
use std::process::{Command, Output};

fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_robustnas")).args(arguments).output().unwrap()
}

fn refuses(arguments: &[&str], code: i32, words: &[&str]) {
    let output = run(arguments);
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {text}");
    for word in words {
        assert!(text.contains(word), "{arguments:?} does not say `{word}`: {text}");
    }
}

fn json(arguments: &[&str]) -> serde_json::Value {
    let output = run(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Results that come one a line.
fn json_lines(arguments: &[&str]) -> Vec<serde_json::Value> {
    let output = run(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn counts_published_networks() {
    for (net, params, macs) in [
        ("dsara:search_spaces/genotypes/ARNAS.txt,channels=64,layers=20", 4_520_394, 1_240_151),
        ("dsara:search_spaces/genotypes/ARNAS.txt,channels=36,layers=20", 1_533_718, 423_796),
        ("darts:search_spaces/genotypes/DARTS_V2.txt,channels=36,layers=20", 3_349_342, 528_359),
    ] {
        let cost = json(&["cost", net, "--json"]);
        assert_eq!(cost["params"], params);
        assert_eq!(cost["macs"].as_u64().unwrap().div_euclid(1000), macs);
        assert_eq!(cost["rule"], "conv-linear-macs/1");
    }
}

/// A genotype network has a second size, with the head that helps its training; no other network has.
#[test]
fn counts_the_auxiliary_head() {
    let net = "dsara:search_spaces/genotypes/ARNAS.txt,channels=64,layers=20";
    assert_eq!(json(&["cost", net, "--json"])["params_with_auxiliary_head"], 4_988_628);
    let text = String::from_utf8(run(&["cost", net]).stdout).unwrap();
    assert!(text.contains("4988628 parameters with the auxiliary head"), "{text}");
    assert!(json(&["cost", "wrn:16-1", "--json"]).get("params_with_auxiliary_head").is_none());
}

/// pycls' integers for its R-56; every rule names its operations, and the layers of a table are as wide as its columns.
#[test]
fn counts_under_every_rule() {
    let cost = json(&["cost", "resnet:56", "--rule", "pycls", "--json", "--per-layer"]);
    assert_eq!((&cost["flops"], &cost["activations"]), (&125_747_850.into(), &544_778.into()));
    assert_eq!((&cost["rule"], &cost["macs"]), (&"pycls-flops/1".into(), &serde_json::Value::Null));
    let layers = cost["layers"].as_array().unwrap().iter();
    assert_eq!(layers.map(|layer| layer["flops"].as_u64().unwrap()).sum::<u64>(), 125_747_850);
    let profiled = json(&["cost", "wrn:28-10", "--rule", "torchprofile", "--json"]);
    assert_eq!(profiled["macs"], 5_245_639_552u64);
    refuses(&["cost", "wrn:28-10", "--rule", "pycl"], 2, &["did you mean `pycls`"]);

    let output = run(&["cost", "wrn:16-1", "--per-layer"]);
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let (head, body) = (lines[0], &lines[1..lines.len() - 1]);
    let (output, macs) = (head.find("operation").unwrap(), head.find("MACs").unwrap() + "MACs".len());
    assert!(body.iter().all(|line| line[..output].ends_with("  ") && !line[output..].starts_with(' ')), "{text}");
    assert!(body.iter().filter(|line| line.contains("conv2d")).all(|line| !line[..macs].ends_with(' ')), "{text}");
    assert!(
        lines.last().unwrap().starts_with("175066 parameters, 26657408 MACs (175.1k and 26.66M; conv-linear-macs/1"),
        "{text}"
    );

    let file = json(&["cost", "search_spaces/networks/wrn-28-10-flc.toml", "--json"]);
    let form = json(&["cost", "wrn:28-10,act=silu,down=flc,se=0.25,drop-path=0.1", "--json"]);
    assert_eq!(file, form);
}

#[test]
fn exit_codes_and_words() {
    refuses(&["serch"], 2, &["search"]);
    refuses(&["cost", "drats:x,channels=1,layers=5"], 2, &["darts"]);
    refuses(&["search", "--data", "cifar:x"], 2, &["cifar10"]);
    refuses(&["search", "--budgets", "2M,4M,2M"], 2, &["--budgets 2.00M,4.00M,2.00M: ", "contains 2.00M twice"]);
    refuses(&["search", "--data", ""], 2, &["--data : `data` is empty"]);
    refuses(&["search", "--set", "search.epoch=3"], 2, &["[search]", "`epochs`"]);
    refuses(&["data", "check", "cifar10:nowhere"], 3, &["nowhere"]);
    refuses(&["space", "check", "README.md"], 3, &["README.md:"]);
    refuses(&["search", "--budgets", "1k", "--out", "unused"], 5, &["1.0k", "nearest"]);
    refuses(&["status", "src"], 4, &["not a run folder"]);
    refuses(&["schema", "rankd"], 2, &["ranked"]);
    assert!(!Path::new("unused").exists(), "an impossible budget leaves no folder behind");
}

/// What every measurement says; the peak of memory is there where the system tells it.
fn measured(line: &serde_json::Value, case: &str, batch: u64, params: u64) {
    assert_eq!((&line["case"], &line["batch"], &line["params"]), (&case.into(), &batch.into(), &params.into()));
    assert_eq!((&line["device"], &line["threads"], &line["steps"]), (&"cpu".into(), &1.into(), &2.into()));
    let of = |field: &str| line[field].as_f64().unwrap_or_else(|| panic!("no number `{field}` in {line}"));
    assert!(0.0 < of("ms_min") && of("ms_min") <= of("ms") && of("ms") <= of("ms_max"), "{line}");
    assert!(of("images_per_s") > 0.0 && of("arena_bytes") > 0.0, "{line}");
    assert_eq!(line.get("peak_bytes").is_some(), cfg!(target_os = "linux"), "{line}");
    assert!(line.get("peak_bytes").is_none_or(|peak| peak.as_u64().unwrap() > line["arena_bytes"].as_u64().unwrap()));
}

#[test]
fn a_search_step_is_timed() {
    let tiny =
        ["bench", "step", "--channels", "4", "--layers", "3", "--batch", "2", "--steps", "2", "--pgd-steps", "1"];
    let lines = json_lines(&[&tiny[..], &["--threads", "1", "--json"]].concat());
    let cases = ["forward", "weight_step", "pgd", "first_order_step", "second_order_step"];
    assert_eq!(lines.len(), cases.len());
    for (line, case) in lines.iter().zip(cases) {
        measured(line, case, 2, lines[0]["params"].as_u64().unwrap());
        assert_eq!((&line["channels"], &line["layers"], &line["pgd_steps"]), (&4.into(), &3.into(), &1.into()));
    }
    let arena = |i: usize| lines[i]["arena_bytes"].as_u64().unwrap();
    assert!(arena(0) < arena(1) && arena(1) <= arena(3), "a forward pass keeps less than a gradient's");

    let output = run(&[&tiny[..], &["--cases", "pgd,forward"]].concat());
    let table = String::from_utf8(output.stdout).unwrap();
    let rows: Vec<&str> = table.lines().map(|row| row.split_whitespace().next().unwrap()).collect();
    assert_eq!(rows[1..], ["case", "pgd", "forward"], "{table}");
    let of_the_default_size = json_lines(&["bench", "step", "--cases", "forward", "--batch", "1", "--json"]);
    assert_eq!(of_the_default_size[0]["params"], 944_378);
}

#[test]
fn a_training_step_is_timed() {
    for method in ["standard", "n-fgsm", "pgd-2", "trades"] {
        let tiny = ["bench", "train", "--net", "preact-resnet:18,width=2", "--image", "8x8x3", "--method", method];
        let lines = json_lines(&[&tiny[..], &["--batch", "3", "--steps", "2", "--threads", "1", "--json"]].concat());
        assert_eq!(lines.len(), 1);
        measured(&lines[0], method, 3, 11_364);
        assert_eq!((&lines[0]["net"], &lines[0]["method"]), (&"preact-resnet:18,width=2".into(), &method.into()));
    }
}

#[test]
fn benchmarks_name_what_they_know() {
    refuses(&["bench", "step", "--cases", "pdg"], 2, &["`pgd`", "first_order_step"]);
    refuses(&["bench", "step", "--cases", "pgd,everything"], 2, &["`everything`", "second_order_step"]);
    refuses(&["bench", "step", "--steps", "0"], 2, &["--steps", "expected a positive whole number"]);
    refuses(&["bench", "step", "--layers", "2", "--steps", "1"], 3, &["2 cells are too few"]);
    let method = ["bench", "train", "--net", "preact-resnet:18", "--method"];
    refuses(&[&method[..], &["trade"]].concat(), 2, &["did you mean `trades`?", "n-fgsm"]);
    refuses(&[&method[..], &["pgd-0"]].concat(), 2, &["pgd-STEPS"]);
    refuses(&["bench", "train", "--net", "preact-resnet:19", "--method", "trades"], 2, &["known: 18"]);
}

#[test]
fn a_run_from_beginning_to_end() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    let run_folder = path("run");
    let ranked = json(&quick::search(&run_folder, &["--json"]));
    assert_eq!(ranked["schema_version"], 1);
    let schema = json(&["schema", "ranked"]);
    assert!(jsonschema::is_valid(&schema, &ranked), "ranked.json does not follow its schema");

    let status = json(&["status", &run_folder, "--json"]);
    assert_eq!(status["finished"], true);
    for picture in ["f.svg", "f.png", "f.json"] {
        let output = run(&["frontier", &run_folder, &run_folder, "--out", &path(picture)]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let output = run(&["export", &run_folder, "--rank", "1", "--json", &path("best.json")]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let arch: serde_json::Value = serde_json::from_slice(&std::fs::read(path("best.json")).unwrap()).unwrap();
    assert!(jsonschema::is_valid(&json(&["schema", "arch"]), &arch), "arch.json does not follow its schema");
    assert_eq!(json(&["cost", &path("best.json"), "--json"])["params"], arch["cost"]["params"]);

    // What a rank is, is said; without the weights of its training it is not passed off with others.
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let first = &ranked["budgets"][0]["entries"][0];
    assert!(
        said.contains(&format!("rank 1: {} network", first["origin"].as_str().unwrap().replace('_', "-"))),
        "{said}"
    );
    let (rank, onnx) = (["export", &run_folder, "--origin"], path("best.onnx"));
    let output = run(&[&rank[..], &["searched", "--onnx", &onnx]].concat());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && said.contains(": searched network"), "{said}");
    refuses(&[&rank[..], &["random", "--onnx", &onnx]].concat(), 2, &["no rank 1", "0 random networks"]);
    refuses(&[&rank[..], &["serched", "--onnx", &onnx]].concat(), 2, &["searched, random, hand-made"]);
    for id in ranked["budgets"][0]["entries"].as_array().unwrap().iter().map(|e| e["arch"].as_str().unwrap()) {
        std::fs::remove_file(folder.path().join("run/archs").join(id).join("weights.safetensors")).unwrap();
    }
    refuses(&["export", &run_folder, "--onnx", &onnx], 3, &["weights.safetensors", "has no weights", "--seed"]);

    // Another seed is other luck on the same images: the two runs stand in one picture.
    let other = path("other");
    json(&quick::search(&other, &["--seed", "9", "--json"]));
    let output = run(&["frontier", &run_folder, &other, "--out", &path("f.json"), "--split", "validation"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let output = run(&["rank", &run_folder, &other]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text.matches("The best searched network (").count(), 2, "{text}");

    // The same command again has nothing to do; another configuration is refused with the keys that differ.
    assert!(run(&quick::search(&run_folder, &[])).status.success());
    refuses(&quick::search(&run_folder, &["--set", "retrain.epochs=2"]), 4, &["retrain.epochs", "4 -> 2"]);
    refuses(&quick::search(&run_folder, &["--seed", "9"]), 4, &["seed"]);

    // A folder of a newer version is refused, and not touched.
    let file = folder.path().join("run").join("run.json");
    let newer = std::fs::read_to_string(&file).unwrap().replace("\"schema_version\": 2", "\"schema_version\": 99");
    std::fs::write(&file, &newer).unwrap();
    refuses(&quick::search(&run_folder, &[]), 4, &["99"]);
    refuses(&["rank", &run_folder], 4, &["99"]);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), newer);
}

#[test]
fn a_diverging_candidate_is_a_row() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run").to_string_lossy().into_owned();
    let settings = ["--set", "retrain.sgd.lr=1e30", "--set", "retrain.sgd.clip=1e30", "--json"];
    let ranked = json(&quick::search(&out, &settings));
    let entries = ranked["budgets"][0]["entries"].as_array().unwrap();
    assert!(entries.iter().any(|e| e["status"] == "failed" && e["kind"] == "nan"), "{entries:?}");
    assert!(entries.iter().filter(|e| e["status"] == "failed").all(|e| e["rank"].is_null()));
}

#[test]
fn two_processes_do_not_share_a_run() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run").to_string_lossy().into_owned();
    let arguments = quick::search(&out, &["--set", "split.train=2000"]);
    let mut first = Command::new(env!("CARGO_BIN_EXE_robustnas"))
        .args(&arguments)
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    while !folder.path().join("run").join("run.json").exists() {
        assert!(first.try_wait().unwrap().is_none(), "the first process ended before it began its run");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    refuses(&arguments, 4, &["another process"]);
    first.kill().unwrap();
    first.wait().unwrap();
}

/// A file that PyTorch exported is counted and attacked as it is.
#[test]
fn an_onnx_file_is_a_network_with_numbers() {
    let model = net_a::folder().join("model.onnx");
    let (model, data) = (model.to_str().unwrap(), format!("npy:{}", net_a::folder().display()));
    assert_eq!(json(&["cost", model, "--json"])["macs"], 19_760_384);
    refuses(&["cost", model, "--classes", "100"], 2, &["has 10 classes"]);
    let attack = ["attack", "--net", model, "--data", &data, "--plan", "fgsm", "--json"];
    let found = json(&attack);
    // The official code's counts.
    assert_eq!(found["clean_correct"], 61);
    assert!(found["robust"].as_u64().unwrap().abs_diff(25) <= 1, "{}", found["robust"]);
    let weights = net_a::folder().join("weights.safetensors");
    refuses(&[&attack[..], &["--weights", weights.to_str().unwrap()]].concat(), 2, &["has its own weights"]);
    refuses(&["cost", "README.onnx"], 6, &["README.onnx"]);
}

/// Attacks made on one network and measured on another: to itself they are the direct ones, from a stranger they are weaker.
#[test]
fn a_transfer_names_its_source_and_measures_the_target() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let model = net_a::folder().join("model.onnx");
    let (model, data) = (model.to_str().unwrap(), format!("npy:{}", net_a::folder().display()));
    let file = robustnas::arch::file::ArchFile::new(&net_a::net(), "net a", None, None).unwrap();
    std::fs::write(at("arch.json"), file.to_json().unwrap()).unwrap();
    let attack = ["attack", "--net", model, "--data", &data, "--plan", "pgd-5", "--n", "40", "--json"];
    let direct = json(&attack);
    assert_eq!(direct["source"], serde_json::Value::Null);
    let own = net_a::folder().join("weights.safetensors");
    let from = |weights: &str| {
        let source = ["--transfer-from", &at("arch.json"), "--source-weights", weights, "--out", &at("out")];
        json(&[&attack[..], &source].concat())
    };
    let same = from(own.to_str().unwrap());
    for key in ["clean_flags", "robust_flags"] {
        assert_eq!((&same[key], &same["source"][key]), (&direct[key], &direct[key]), "{key}");
    }
    assert_eq!(same["source"]["net"], at("arch.json"));

    let net = robustnas::engine::Network::new(net_a::net(), robustnas::seed::Seed::root(9), &candle_core::Device::Cpu);
    let stranger = at("stranger.safetensors");
    std::fs::write(
        &stranger,
        robustnas::model::weights::encode(&net.unwrap(), robustnas::model::layout::Layout::Own).unwrap(),
    )
    .unwrap();
    let other = ["--transfer-from", &at("arch.json"), "--source-weights", &stranger];
    refuses(&[&attack[..], &other, &["--out", &at("out")]].concat(), 4, &["another attack", "source"]);
    let over = json(&[&attack[..], &other].concat());
    assert_eq!(over["clean_flags"], direct["clean_flags"]);
    let hash = |value: &serde_json::Value| value["source"]["weights"].as_str().unwrap().to_owned();
    assert!(hash(&over).len() == 16 && hash(&over) != hash(&same));
    let robust = |value: &serde_json::Value| value["robust"].as_u64().unwrap();
    assert!(robust(&over) > robust(&direct), "{} against {}", over["robust"], direct["robust"]);
    assert!(robust(&over["source"]) <= over["source"]["clean_correct"].as_u64().unwrap());
    refuses(&[&attack[..], &["--source-weights", &stranger]].concat(), 2, &["--transfer-from"]);
    refuses(&[&attack[..], &["--transfer-from", "preact-resnet:18"]].concat(), 2, &["--source-weights is missing"]);
}

/// What is kept are the images in which the network errs, inside the ball, whoever wrote them; some are shown.
#[test]
fn adversarial_images_are_kept_and_shown() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let (model, data) = (net_a::folder().join("model.onnx"), format!("npy:{}", net_a::folder().display()));
    let attack = ["attack", "--net", model.to_str().unwrap(), "--data", &data, "--plan", "fgsm", "--n", "40", "--json"];
    refuses(&[&attack[..], &["--save-adversarial"]].concat(), 2, &["--out"]);
    let kept = [&attack[..], &["--batch", "16", "--out", out.to_str().unwrap(), "--save-adversarial"]].concat();
    let found = json(&kept);
    let files = || -> Vec<(std::path::PathBuf, Vec<u8>)> {
        let names = std::fs::read_dir(out.join("adversarial")).unwrap().map(|e| e.unwrap().path());
        let mut files: Vec<_> = names.map(|p| (p.clone(), std::fs::read(&p).unwrap())).collect();
        files.sort();
        files
    };
    let (written, mut network, clean) = (files(), net_a::network(), net_a::data().test);
    let mut count = 0;
    for (path, _) in &written {
        let tensors = candle_core::safetensors::load(path, &candle_core::Device::Cpu).unwrap();
        let (ids, labels): (Vec<u32>, Vec<u32>) =
            (tensors["ids"].to_vec1().unwrap(), tensors["labels"].to_vec1().unwrap());
        let logits = network.logits(&tensors["images"], &[], robustnas::engine::NormMode::Eval).unwrap();
        assert!(robustnas::loss::correct(&logits, &labels).all(|right| !right), "{}", path.display());
        let images: Vec<f32> = tensors["images"].flatten_all().unwrap().to_vec1().unwrap();
        for (i, id) in ids.iter().enumerate() {
            assert_eq!(labels[i], clean.labels[*id as usize]);
            let pixels = &clean.pixels[*id as usize * 3072..][..3072];
            let far = images[i * 3072..][..3072].iter().zip(pixels).map(|(a, c)| (a - f32::from(*c) / 255.0).abs());
            assert!(far.fold(0.0, f32::max) < 8.0 / 255.0 + 1e-6);
        }
        count += ids.len() as u64;
    }
    assert_eq!(count, found["clean_correct"].as_u64().unwrap() - found["robust"].as_u64().unwrap());
    // Measured on the network again, all of them fell; to a smaller ball they do not belong.
    let stored = out.join("adversarial");
    let measure = |path: &Path, eps: &str| {
        let path = path.to_str().unwrap();
        json(&[
            "attack",
            "--net",
            model.to_str().unwrap(),
            "--data",
            &data,
            "--adversarial",
            path,
            "--eps",
            eps,
            "--json",
        ])
    };
    let all = measure(&stored, "8/255");
    let expected: [serde_json::Value; 5] = [count.into(), count.into(), 0.into(), 0.into(), serde_json::json!([])];
    assert_eq!(["n", "clean_correct", "robust", "outside", "checks"].map(|key| all[key].clone()), expected);
    let outside = measure(&written[0].0, "4/255");
    assert_eq!((&outside["outside"], &outside["checks"]), (&outside["n"], &serde_json::json!(["out_of_bounds"])));
    let (model_name, stored) = (model.to_str().unwrap(), stored.to_str().unwrap());
    let again = ["attack", "--net", model_name, "--data", &data, "--adversarial"];
    refuses(&[&again[..], &[stored, "--plan", "fgsm"]].concat(), 2, &["--plan"]);
    refuses(&[&again[..], &[net_a::folder().join("weights.safetensors").to_str().unwrap()]].concat(), 3, &["images"]);
    let picture = image::open(out.join("examples.png")).unwrap();
    assert_eq!(
        (picture.width(), picture.height()),
        (70 + 8 * 134 + 6, 40 + 3 * 134 + 6),
        "eight examples of three images with their words"
    );
    // Killed after a file, before its verdicts: the file is written again as it was.
    std::fs::write(out.join("journal.jsonl"), "").unwrap();
    json(&kept);
    assert!(files() == written);
    let without: Vec<&str> = kept.iter().copied().filter(|a| *a != "--save-adversarial").collect();
    refuses(&without, 4, &["another attack", "adversarial"]);
}

/// Flags, counts and what is needed to repeat an attack; stopped anywhere, it goes on to the same result.
#[test]
fn an_attack_is_told_and_goes_on_where_it_was_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (arch, weights, out) = (at("arch.json"), net_a::folder().join("weights.safetensors"), at("out"));
    let file = robustnas::arch::file::ArchFile::new(&net_a::net(), "net a", None, None).unwrap();
    std::fs::write(&arch, file.to_json().unwrap()).unwrap();
    let data = format!("npy:{}", net_a::folder().display());
    let plan = at("plan.toml");
    let text = r#"
        name = "two"
        eps = "8/255"
        attacks = ["fgsm", { attack = "square", queries = 20, restarts = 1, p = "0.8" }, "pgd-5"]
    "#;
    std::fs::write(&plan, text).unwrap();
    let common = ["attack", "--net", &arch, "--weights", weights.to_str().unwrap(), "--data", &data, "--json"];
    let two = [&common[..], &["--plan", &plan, "--n", "40", "--batch", "8", "--out", &out]].concat();
    let whole = json(&two);
    assert_eq!((&whole["n"], &whole["sample"]["split"]), (&40.into(), &"test".into()));
    let clean = whole["clean_correct"].as_u64().unwrap();
    let attacks = whole["attacks"].as_array().unwrap();
    let names: Vec<&str> = attacks.iter().map(|a| a["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["fgsm", "square", "pgd-5"]);
    let mut left = clean;
    for attack in attacks {
        assert_eq!(attack["attacked"], left);
        left = attack["robust_after"].as_u64().unwrap();
        assert!(left <= attack["attacked"].as_u64().unwrap());
    }
    assert_eq!(whole["robust"], left);
    let ones = |key: &str| whole[key].as_str().unwrap().matches('1').count() as u64;
    assert_eq!((ones("clean_flags"), ones("robust_flags")), (clean, left));
    assert_eq!(whole["checks"], serde_json::json!([]));
    // The journal cut in its middle, as a kill would leave it; batches of another size go on.
    let journal = Path::new(&out).join("journal.jsonl");
    let text = std::fs::read_to_string(&journal).unwrap();
    let timeless = |mut value: serde_json::Value| {
        value["attacks"].as_array_mut().unwrap().iter_mut().for_each(|a| a["seconds"] = 0.into());
        value
    };
    let lines: Vec<&str> = text.lines().collect();
    for keep in [0, 3, lines.len() - 1] {
        let torn = lines[..keep].iter().map(|l| format!("{l}\n")).collect::<String>() + &lines[keep][..20];
        std::fs::write(&journal, torn).unwrap();
        let again: Vec<&str> = two.iter().map(|a| if *a == "8" { "16" } else { a }).collect();
        assert_eq!(timeless(json(&again)), timeless(whole.clone()), "after {keep} batches");
    }
    let other = [&common[..], &["--plan", "fgsm", "--n", "40", "--out", &out]].concat();
    refuses(&other, 4, &["another attack", "plan"]);
    refuses(&[&common[..], &["--plan", "apgd-ec"]].concat(), 2, &["did you mean `apgd-ce`?"]);
    refuses(&[&common[..], &["--plan", "fgsm", "--norm", "l2"]].concat(), 2, &["--eps is missing"]);
    refuses(&["attack", "--net", "preact-resnet:18", "--data", &data], 2, &["--weights is missing"]);
    refuses(&["search", "--data", &data, "--out", &at("run")], 2, &["no training images"]);
}
