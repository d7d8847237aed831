//! Design spaces and populations: networks drawn are of their space and within its limits, a stopped job ends as an
//! undisturbed one, and what cannot be compared is refused.

#[path = "fixtures/dying.rs"]
mod dying;

use std::path::{Path, PathBuf};

use dying::Dying;
use robustnas::arch::design_space::{DesignSpace, Limits};
use robustnas::arch::families::Model;
use robustnas::arch::families::anynet::AnyNet;
use robustnas::arch::op::Shape;
use robustnas::arch::spec::NetSpec;
use robustnas::config::population::Population;
use robustnas::error::{Error, Result};
use robustnas::jobs::Interrupt;
use robustnas::jobs::population::{Job, run};
use robustnas::report::population::PopulationReport;
use robustnas::report::schema::schema;
use robustnas::seed::Seed;
use robustnas::store::journal;

const IMAGE: Shape = Shape::new(32, 32, 3);

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("search_spaces/populations").join(name)
}

fn file(name: &str) -> String {
    std::fs::read_to_string(folder(name)).unwrap()
}

fn read(text: &str) -> Result<Population> {
    Population::resolve(text, Path::new("space.toml"), &|_| unreachable!("it names no file"))
}

/// A space of the examples, trained on next to nothing.
fn brief(name: &str) -> Population {
    let text = file(name).replace("train = 2000", "train = 48").replace("validation = 300", "validation = 16");
    let text = text.replace("epochs = 5", "epochs = 1").replace("batch = 100", "batch = 16");
    let text = text.replace("steps = 5", "steps = 1").replace("[\"500k\", \"1M\"]", "[\"100k\", \"1M\"]");
    let space = read(&text).unwrap();
    assert_eq!((space.protocol.images.train, space.protocol.retrain.epochs), (48, 1));
    space
}

fn drawn(space: &Population, n: u64) -> Vec<Model> {
    let draw = |i| space.space.draw(&space.limits, IMAGE, 10, Seed::root(i));
    (0..n).map(|i| draw(i).unwrap_or_else(|why| panic!("{why}")).model).collect()
}

#[test]
fn examples_draw_networks_within_limits() {
    for name in ["anynet-a.toml", "regnet.toml"] {
        let space = read(&file(name)).unwrap();
        for i in 0..20 {
            let found = space.space.draw(&space.limits, IMAGE, 10, Seed::root(i)).unwrap();
            assert!((500_000..=1_000_000).contains(&found.macs.0), "{name} {i}: {}", found.macs);
            let again = space.space.draw(&space.limits, IMAGE, 10, Seed::root(i)).unwrap();
            assert_eq!(found.model, again.model, "{name} {i}");
            // The form that is written down is enough to build the network.
            let text = found.model.to_string();
            assert_eq!(NetSpec::parse(&text).unwrap(), NetSpec::Model(found.model));
        }
    }
}

/// Each level holds what the one before it does, and one thing more.
#[test]
fn levels_share_and_order() {
    let stages = |level: &str| -> Vec<AnyNet> {
        let text = file("anynet-a.toml").replace("level = \"a\"", &format!("level = \"{level}\""));
        let text = text.replace("macs = [\"500k\", \"1M\"]", "");
        let models = drawn(&read(&text).unwrap(), 60);
        models.into_iter().map(|m| if let Model::AnyNet(net) = m { net } else { panic!("{m}") }).collect()
    };
    type Holds = fn(&AnyNet) -> bool;
    let laws: [Holds; 4] = [
        |n| n.stages.windows(2).all(|s| s[0].bottleneck == s[1].bottleneck),
        // A group is capped by a stage that is narrower.
        |n| n.stages.windows(2).all(|s| s[0].group <= s[1].group || s[1].width < s[0].width),
        |n| n.stages.windows(2).all(|s| s[0].width <= s[1].width),
        |n| n.stages.windows(2).all(|s| s[0].depth <= s[1].depth),
    ];
    for (i, level) in ["a", "b", "c", "d", "e"].into_iter().enumerate() {
        let nets = stages(level);
        for (law, holds) in laws.iter().enumerate() {
            assert_eq!(nets.iter().all(holds), law < i, "level {level}, law {law}");
        }
    }
}

#[test]
fn stage_spaces_draw_wide_and_robust_networks() {
    for (family, word) in [("wrn", "wrn:"), ("robust-resnet", "robust-resnet:")] {
        let space: DesignSpace = toml::from_str(&format!("[{family}]\ndepth = [1, 2]\nwidth = [1, 3]")).unwrap();
        let found = space.draw(&Limits::default(), IMAGE, 10, Seed::root(1)).unwrap();
        assert!(found.model.to_string().starts_with(word), "{}", found.model);
    }
}

#[test]
fn an_empty_space_says_what_was_drawn() {
    let space = read(&file("anynet-a.toml")).unwrap();
    let limits = Limits { macs: Some([1, 2]), ..Limits::default() };
    let why = space.space.draw(&limits, Shape::new(8, 8, 3), 10, Seed::root(1)).unwrap_err().to_string();
    assert!(why.contains("none is within its limits; they had"), "{why}");
}

#[test]
fn mistakes_in_files_name_the_line() {
    let text = file("anynet-a.toml");
    for (from, to, words) in [
        ("depth = [1, 6]", "depth = [6, 1]", "`depth` goes from 6 to 1"),
        ("width = [8, 128]", "width = [8, 100]", "multiples of 8"),
        ("level = \"a\"", "level = \"f\"", "unknown value `f`"),
        ("macs = [\"500k\", \"1M\"]", "macs = [\"1M\", \"500k\"]", "write the smaller one first"),
        ("validation = 300", "validation = 2000", "some left to train on"),
        ("lr = 0.1", "lr = 0.0", "`retrain.sgd.lr` must be above 0"),
        ("stem = \"simple\"", "stem = \"simpel\"", "did you mean `simple`"),
    ] {
        let broken = text.replace(from, to);
        assert_ne!(broken, text, "{from}");
        let line = 1 + broken[..broken.find(to).unwrap()].matches('\n').count();
        match read(&broken) {
            Err(Error::Config { line: found, message, .. }) => {
                assert!(message.contains(words), "{to}: {message}");
                assert!(
                    found == line || message.contains("level") || message.contains("cifar"),
                    "{to}: line {found}, not {line}"
                );
            }
            other => panic!("{to}: {other:?}"),
        }
    }
}

fn job(out: &Path, n: u64) -> Job {
    Job {
        spaces: vec![brief("anynet-a.toml"), brief("regnet.toml")],
        data: None,
        n,
        seed: 3,
        out: out.into(),
        bins: None,
    }
}

fn work(job: &Job, after: Option<u64>) -> Result<PopulationReport> {
    run(job, &Interrupt::never(), &mut Dying { after })
}

/// A job that dies in the middle of a network, is continued, and later asked for more networks leaves the bytes of one that
/// was left alone.
#[test]
fn a_stopped_job_ends_as_an_undisturbed_one() {
    let (calm, stormy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    work(&job(calm.path(), 2), None).unwrap();
    let died = std::panic::catch_unwind(|| work(&job(stormy.path(), 2), Some(5)));
    assert!(died.is_err(), "five steps are not two networks of each space");
    work(&job(stormy.path(), 1), None).unwrap();
    let report = work(&job(stormy.path(), 2), None).unwrap();
    for name in ["spaces.json", "population.json", "edf.svg", "edf.png"] {
        let read = |folder: &Path| std::fs::read(folder.join(name)).unwrap();
        assert!(read(calm.path()) == read(stormy.path()), "{name} differs");
    }
    // A smaller comparison in between leaves checksums of its files, but no other event.
    let events = |folder: &Path| journal::read::<serde_json::Value>(&folder.join("journal.jsonl")).unwrap().events;
    assert_eq!(events(calm.path()), events(stormy.path()));
    assert_eq!(report.spaces.iter().map(|s| s.networks.len()).collect::<Vec<_>>(), [2, 2]);
    assert_eq!(report.comparisons.len(), 1);
    let table = report.table();
    for words in ["anynet-a", "regnet-x", "mean bottleneck", "below that of", "indices"] {
        assert!(table.contains(words), "{words}:\n{table}");
    }
    let schema = serde_json::to_value(schema("population").unwrap()).unwrap();
    let document = serde_json::from_slice(&report.to_json().unwrap()).unwrap();
    assert!(jsonschema::validator_for(&schema).unwrap().is_valid(&document));
    let other = Job { seed: 4, ..job(stormy.path(), 2) };
    let why = work(&other, None).unwrap_err().to_string();
    assert!(why.contains("belongs to another population: seed: 3 -> 4"), "{why}");
}

#[test]
fn spaces_of_different_protocols_are_refused() {
    let out = tempfile::tempdir().unwrap();
    let mut job = job(out.path(), 1);
    job.spaces[1].protocol.retrain.epochs = 2;
    let why = work(&job, None).unwrap_err().to_string();
    assert!(why.contains("[retrain] of `anynet-a` and `regnet-x` differ"), "{why}");
    job.spaces[1] = brief("anynet-a.toml");
    let why = work(&job, None).unwrap_err().to_string();
    assert!(why.contains("two spaces are called `anynet-a`"), "{why}");
}
