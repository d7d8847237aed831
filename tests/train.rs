//! The verb `train`: what it leaves, that kills and threads change nothing of it, and that a failed training is an
//! outcome.

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use robustnas::seed::Seed;

/// A training of seconds: a scheduled rate, an average, a monitored attack and a part of every kind of state.
const SETTINGS: [&str; 8] = [
    "split.train=400",
    "split.validation=40",
    "watch.steps=2",
    "train.adversary.monitor=96",
    "train.average={ name = \"ema\", decay = 0.9, warmup = true, from = 1, statistics = \"copy\" }",
    "train.awp={ gamma = 0.01, from = 2 }",
    "train.augment={ cutmix = 1.0, share = 0.5 }",
    "train.schedule.warmup=1",
];

fn train(out: &Path, preset: &str, settings: &[&str], threads: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_robustnas"));
    command.args(["train", "wrn:channels=4-4-8-16,depths=1-1-1", "--data", "synthetic", "--preset", preset]);
    command.args(["--epochs", "4", "--batch", "32", "--checkpoint-every", "0.1", "--threads", threads]);
    for setting in settings {
        command.args(["--set", setting]);
    }
    command.arg("--out").arg(out).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn finish(mut command: Command) -> Output {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{:?}: {}", output.status, String::from_utf8_lossy(&output.stderr));
    output
}

/// Everything that a training leaves, byte by byte, and its table.
fn answer(out: &Path, output: &Output) -> Vec<Vec<u8>> {
    let names = ["weights.safetensors", "last.safetensors", "arch.json", "curves.csv", "curves.svg", "train.json"];
    let files = names.map(|name| std::fs::read(out.join(name)).unwrap_or_else(|_| panic!("{name} is not there")));
    files.into_iter().chain([output.stdout.clone()]).collect()
}

#[test]
fn kills_and_threads_change_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let [alone, single, killed] = ["a", "b", "c"].map(|name| folder.path().join(name));
    let start = Instant::now();
    let first = answer(&alone, &finish(train(&alone, "fw-at-adapt", &SETTINGS, "2")));
    let whole = start.elapsed();
    assert!(first == answer(&single, &finish(train(&single, "fw-at-adapt", &SETTINGS, "1"))), "threads disagree");
    let table = String::from_utf8_lossy(&first[6]).into_owned();
    for words in ["fw-at-adapt linf 8/255", "ema 0.9", "awp 0.01", "cutmix 1", "distortion", "kept: epoch", "pgd"] {
        assert!(table.to_lowercase().contains(words), "`{words}` is not in\n{table}");
    }
    assert_eq!(String::from_utf8_lossy(&first[3]).lines().count(), 5);

    let mut random = Seed::root(u64::from(std::process::id())).stream();
    let mut done = 0;
    for _ in 0..5 {
        let mut child = train(&killed, "fw-at-adapt", &SETTINGS, "2").spawn().unwrap();
        std::thread::sleep(whole.mul_f64(0.05 + 0.3 * f64::from(random.uniform())).max(Duration::from_millis(20)));
        if child.try_wait().unwrap().is_some() {
            break;
        }
        child.kill().unwrap();
        child.wait().unwrap();
        done += 1;
    }
    assert!(done > 0, "the training ended before it could be killed once");
    let last = finish(train(&killed, "fw-at-adapt", &SETTINGS, "2"));
    assert!(first == answer(&killed, &last), "{done} kills changed the answer");
    // A finished training says the same again.
    assert!(first == answer(&killed, &finish(train(&killed, "fw-at-adapt", &SETTINGS, "2"))));
    let other = train(&killed, "fw-at-adapt", &["split.train=400", "split.validation=50"], "2").output().unwrap();
    let said = String::from_utf8_lossy(&other.stderr).into_owned();
    assert!(other.status.code() == Some(4) && said.contains("belongs to another training"), "{said}");
    // What was trained is attacked like any other network.
    let net = killed.join("arch.json");
    let mut attack = Command::new(env!("CARGO_BIN_EXE_robustnas"));
    attack.args(["attack", "--data", "synthetic", "--plan", "fgsm", "--n", "16", "--net"]).arg(net);
    finish({
        attack.arg("--out").arg(folder.path().join("attacked"));
        attack
    });
}

#[test]
#[cfg(unix)]
fn a_signal_saves_and_exits_75() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let mut child = train(&out, "pgd-3", &["split.train=2000"], "2").spawn().unwrap();
    while !out.join("checkpoint/LATEST").exists() && child.try_wait().unwrap().is_none() {
        std::thread::sleep(Duration::from_millis(20));
    }
    let status = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    assert!(status.success());
    assert_eq!(child.wait().unwrap().code(), Some(75));
}

/// Not a number is an outcome with its step, which the same command tells again.
#[test]
fn a_training_that_diverges_is_an_outcome() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let settings = ["split.train=400", "split.validation=40", "train.schedule.lr=1e30", "train.optimiser.momentum=0.0"];
    let told = [(); 2].map(|()| {
        let output = train(&out, "n-fgsm", &settings, "2").output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(7), "{said}");
        assert!(said.contains("diverged in epoch 1 behind") && said.contains("lower train.schedule.lr"), "{said}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    });
    assert!(told[0] == told[1] && told[0].contains("diverged: in epoch 1"), "{}", told[0]);
    assert!(out.join("curves.svg").exists() && !out.join("weights.safetensors").exists());
}

/// A folder a seed with what a training leaves, the attack and the event file among it, and a summary of both; what is
/// done is not done again.
#[test]
fn several_seeds_have_a_mean_and_a_spread() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("seeds");
    let settings = ["split.train=200", "split.validation=40", "watch.steps=1", "train.adversary.eps=1/255"];
    let told = [(); 2].map(|()| {
        let mut command = train(&out, "n-fgsm", &settings, "2");
        command.args(["--seeds", "2", "--seed", "3", "--tensorboard", "--attack", "fgsm", "--n", "24", "--json"]);
        finish(command).stdout
    });
    let summary: serde_json::Value = serde_json::from_slice(&told[0]).unwrap();
    let again: serde_json::Value = serde_json::from_slice(&told[1]).unwrap();
    assert_eq!(summary["lines"], again["lines"]);
    let kept: serde_json::Value = serde_json::from_slice(&std::fs::read(out.join("summary.json")).unwrap()).unwrap();
    assert_eq!(kept["lines"], summary["lines"]);
    assert_eq!(summary["seeds"], serde_json::json!([3, 4]));
    let lines = summary["lines"].as_array().unwrap();
    assert_eq!(lines.len(), 6);
    for line in lines {
        let shares: Vec<f64> = line["shares"].as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect();
        let mean = shares.iter().sum::<f64>() / 2.0;
        assert!((line["moments"]["mean"].as_f64().unwrap() - mean).abs() < 1e-12, "{line}");
    }
    let weights = ["seed-3", "seed-4"].map(|seed| std::fs::read(out.join(seed).join("weights.safetensors")).unwrap());
    assert!(weights[0] != weights[1]);
    for (i, seed) in ["seed-3", "seed-4"].into_iter().enumerate() {
        let result = std::fs::read(out.join(seed).join("attack/result.json")).unwrap();
        let result: serde_json::Value = serde_json::from_slice(&result).unwrap();
        let share = result["clean_correct"].as_f64().unwrap() / 24.0;
        assert!((lines[4]["shares"][i].as_f64().unwrap() - share).abs() < 1e-12);
        // A record for the version and one an epoch, each framed by its length.
        let events = std::fs::read(out.join(seed).join("events.out.tfevents.0.robustnas")).unwrap();
        let (mut at, mut records) = (0, 0);
        while at < events.len() {
            at += 16 + u64::from_le_bytes(events[at..at + 8].try_into().unwrap()) as usize;
            records += 1;
        }
        assert_eq!((at, records), (events.len(), 5));
    }
    let mut table = train(&out, "n-fgsm", &settings, "2");
    table.args(["--seeds", "2", "--seed", "3", "--tensorboard", "--attack", "fgsm", "--n", "24"]);
    let text = String::from_utf8_lossy(&finish(table).stdout).into_owned();
    assert!(text.contains("seed 4") && text.contains("sd") && text.contains("fgsm"), "{text}");
}

/// A network with three batch-norms side by side gets the module, and is then a network like any other.
#[test]
fn a_selection_is_trained_and_attacked() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let run = |net: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_robustnas"));
        command.args(["train", net, "--data", "synthetic", "--preset", "multi-bn", "--epochs", "2", "--batch", "32"]);
        command.args(["--set", "split.train=100", "--set", "split.validation=36", "--set", "watch.steps=1"]);
        command.args(["--attack", "pgd-2", "--n", "16", "--out"]).arg(&out).output().unwrap()
    };
    let refused = run("wrn:channels=4-4-8-8,depths=1-1-1");
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(refused.status.code() == Some(2) && said.contains("norm=multi-batch:3"), "{said}");
    let output = run("wrn:channels=4-4-8-8,depths=1-1-1,norm=multi-batch:3");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let arch = std::fs::read_to_string(out.join("arch.json")).unwrap();
    assert!(arch.contains("selection.softmax") && !arch.contains("multi_batch_norm"));
    let mut export = Command::new(env!("CARGO_BIN_EXE_robustnas"));
    export.arg("export").arg(out.join("arch.json")).arg("--onnx").arg(folder.path().join("model.onnx"));
    finish({
        export.stdout(Stdio::piped()).stderr(Stdio::piped());
        export
    });
}

/// Ten classes of slow waves under other slow waves, in the layout of CIFAR-10's binary version: 100 images a file. Their
/// random numbers are a congruential generator's, so that the set is the same everywhere.
fn waves(folder: &Path) {
    let mut state = 1u64;
    let mut random = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as f64 / f64::from(1 << 30) - 1.0
    };
    let image = |random: &mut dyn FnMut() -> f64| -> Vec<f64> {
        let wave = |random: &mut dyn FnMut() -> f64| -> Vec<f64> {
            let terms: Vec<[f64; 4]> = (0..9)
                .map(|i| {
                    let size = random();
                    [f64::from(i / 3), f64::from(i % 3), size, std::f64::consts::PI * random()]
                })
                .collect();
            let at = |i: usize| -> f64 {
                let (row, column) = ((i / 32) as f64, (i % 32) as f64);
                let wave = |[a, b, size, phase]: &[f64; 4]| {
                    size * (2.0 * std::f64::consts::PI * (a * row + b * column) / 32.0 + phase).cos()
                };
                terms.iter().map(wave).sum::<f64>() / 2.0
            };
            (0..1024).map(at).collect()
        };
        (0..3).flat_map(|_| wave(random)).collect()
    };
    let classes: Vec<Vec<f64>> = (0..10).map(|_| image(&mut random)).collect();
    std::fs::create_dir_all(folder).unwrap();
    std::fs::write(folder.join("batches.meta.txt"), (0..10).map(|class| format!("{class}\n")).collect::<String>())
        .unwrap();
    let names = (1..=5).map(|i| format!("data_batch_{i}.bin")).chain(["test_batch.bin".to_owned()]);
    for name in names {
        let mut bytes = Vec::new();
        for i in 0..100u8 {
            let class = i % 10;
            let (other, size) = (image(&mut random), 0.6 + 0.4 * random());
            bytes.push(class);
            for (own, other) in classes[class as usize].iter().zip(other) {
                let pixel = 0.5 + 0.35 * size * own + 0.06 * other + 0.05 * random();
                bytes.push((pixel.clamp(0.0, 1.0) * 255.0).round() as u8);
            }
        }
        std::fs::write(folder.join(name), bytes).unwrap();
    }
}

/// Plain FGSM whose radius grows beyond what the images allow: from some epoch on its loss falls fast, as the network has
/// learnt to mislead the one step, and few images are right under PGD any more, where most were. The guard sees it and
/// ends the training.
#[test]
fn catastrophic_overfitting_of_fgsm_is_seen() {
    let folder = tempfile::tempdir().unwrap();
    let (images, out) = (folder.path().join("waves"), folder.path().join("run"));
    waves(&images);
    let data = format!("cifar10:{}", images.display());
    let mut command = Command::new(env!("CARGO_BIN_EXE_robustnas"));
    command.args(["train", "wrn:channels=8-8-16-32,depths=1-1-1", "--data", &data, "--preset", "fgsm"]);
    command.args(["--epochs", "16", "--batch", "16"]);
    for setting in [
        "split.validation=100",
        "split.crop_pad=0",
        "split.flip=false",
        "train.adversary.eps=96/255",
        "train.ramp={ epochs = 14 }",
        "train.optimiser.weight_decay=0.0",
        "train.schedule={ lr = 0.1, shape = { name = \"constant\" } }",
        "watch.eps=8/255",
        "watch.steps=4",
        "guard.drop=0.4",
        "guard.reaction=stop",
    ] {
        command.args(["--set", setting]);
    }
    command.arg("--out").arg(&out).stdout(Stdio::piped()).stderr(Stdio::piped());
    let table = String::from_utf8_lossy(&finish(command).stdout).into_owned();
    let curves = std::fs::read_to_string(out.join("curves.csv")).unwrap();
    let column = |i: usize| -> Vec<f64> {
        curves.lines().skip(1).map(|line| line.split(',').nth(i).unwrap().parse().unwrap()).collect()
    };
    let (losses, robust) = (column(1), column(5));
    let last = robust.len() - 1;
    assert!(
        table.contains(&format!("guard: behind epoch {} ", last + 1)) && table.contains("the training ends"),
        "{table}"
    );
    let best = (0..last).max_by(|a, b| robust[*a].total_cmp(&robust[*b])).unwrap();
    assert!(robust[best] > 0.4 && robust[last] < robust[best] - 0.4, "{curves}");
    assert!(losses[last] < losses[best], "{curves}");
}

#[test]
fn the_list_has_every_method_and_mistakes_are_answered() {
    let run = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_robustnas")).arg("train").args(arguments).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        (output.status.code(), text)
    };
    let (code, list) = run(&["--list"]);
    assert_eq!(code, Some(0));
    for row in robustnas::recipe::PRESETS {
        assert!(list.contains(row.name) && list.contains(row.paper), "{}: {list}", row.name);
    }
    let (code, json) = run(&["--list", "--json"]);
    let rows: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((code, rows.as_array().unwrap().len()), (Some(0), robustnas::recipe::PRESETS.len()));
    let subject = ["preact-resnet:18", "--data", "synthetic", "--out", "nowhere"];
    for (more, code, words) in [
        (&["--preset", "n-fgms"][..], 2, &["did you mean `n-fgsm`?"][..]),
        (&["--preset", "n-fgsm", "--set", "train.adversery.eps=1/255"], 2, &["`adversery`", "`adversary`"]),
        (&["--preset", "mart", "--set", "train.augment={ mixup = 1.0, share = 1.0 }"], 2, &["one label an image"]),
        (&["--preset", "n-fgsm", "--set", "split.train"], 2, &["KEY=VALUE"]),
        (&[], 2, &["--preset"]),
    ] {
        let (found, said) = run(&[&subject[..], more].concat());
        assert!(found == Some(code) && words.iter().all(|w| said.contains(w)), "{more:?}: {found:?} {said}");
    }
    assert!(!Path::new("nowhere").exists());
}

/// A rate that is far too large from the middle on makes the network forget: the guard sees it, reacts as told, and
/// says so. Kills in between change nothing, as a reaction is part of what is saved.
#[test]
fn the_guard_sees_a_collapse_and_reacts() {
    let folder = tempfile::tempdir().unwrap();
    let settings = |reaction: &'static str| {
        [
            "split.train=1200",
            "split.validation=200",
            "train.adversary.eps=1/255",
            "train.schedule={ lr = 0.1, shape = { name = \"piecewise\", milestones = [0.5], factor = 300.0 } }",
            "train.clip=1.0",
            "guard.drop=0.1",
            reaction,
        ]
    };
    for (reaction, words, epochs) in [
        ("guard.reaction=stop", "the training ends", 3),
        ("guard.reaction=restore-best", "on from epoch", 4),
        ("guard.reaction=raise-noise", "with noise larger by a radius", 4),
    ] {
        let [alone, killed] = ["alone", "killed"].map(|name| folder.path().join(reaction).join(name));
        std::fs::create_dir_all(folder.path().join(reaction)).unwrap();
        let start = Instant::now();
        let first = answer(&alone, &finish(train(&alone, "n-fgsm", &settings(reaction), "2")));
        let whole = start.elapsed();
        let table = String::from_utf8_lossy(&first[6]).into_owned();
        assert!(table.contains("guard: behind epoch 3 ") && table.contains(words), "{table}");
        assert_eq!(String::from_utf8_lossy(&first[3]).lines().count(), 1 + epochs, "{table}");
        let mut child = train(&killed, "n-fgsm", &settings(reaction), "2").spawn().unwrap();
        std::thread::sleep(whole.mul_f64(0.8));
        child.kill().unwrap();
        child.wait().unwrap();
        let last = finish(train(&killed, "n-fgsm", &settings(reaction), "2"));
        assert!(first == answer(&killed, &last), "{reaction}: a kill changed the answer");
    }
}
