//! `arch.json` and networks as typed on a command line.

use std::path::Path;

use proptest::prelude::*;
use robustnas::arch::cell::CellOp;
use robustnas::arch::families::cells::{Placement, Skeleton, derived};
use robustnas::arch::families::preact::PreAct;
use robustnas::arch::file::{ArchFile, id_of};
use robustnas::arch::genotype::{CellGenotype, Edge, Genotype};
use robustnas::arch::net::Net;
use robustnas::arch::op::Shape;
use robustnas::arch::spec::{Family, NetSpec};
use robustnas::error::{Error, IoContext, Result};
use robustnas::units::Params;

const LABEL: &str = "arch.json";

fn resnet() -> Net {
    PreAct::basic(4, [(1, 4), (1, 8)]).lower(Shape::new(8, 8, 3), 4).unwrap()
}

fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).at(path)
}

fn genotype_file(name: &str) -> String {
    format!("{}/search_spaces/genotypes/{name}.txt", env!("CARGO_MANIFEST_DIR"))
}

#[track_caller]
fn refused(text: &str, words: &str) {
    match ArchFile::from_json(text, Path::new(LABEL)) {
        Err(Error::Data { path, message, .. }) => {
            assert_eq!(path, Path::new(LABEL));
            assert!(message.contains(words), "{message}");
        }
        other => panic!("expected a data error, got {other:?}"),
    }
}

#[test]
fn a_file_round_trips_byte_for_byte() {
    let file = ArchFile::new(&resnet(), "residual", None, None).unwrap();
    let text = file.to_json().unwrap();
    let (back, net) = ArchFile::from_json(&text, Path::new(LABEL)).unwrap();
    assert_eq!(back, file);
    assert_eq!(back.to_json().unwrap(), text);
    assert_eq!(id_of(&net).unwrap(), file.id);
    assert_eq!(net.layers(), resnet().layers());
    assert!(file.id.len() == 16 && file.id.bytes().all(|b| b.is_ascii_hexdigit()));
}

/// The id is part of the file format: the same network must have the same id in every later version.
#[test]
fn the_id_is_pinned() {
    assert_eq!(id_of(&resnet()).unwrap(), PINNED);
}
const PINNED: &str = "e4389dc831c99da6";

#[test]
fn ids_tell_networks_apart() {
    let other = PreAct::basic(4, [(1, 4), (1, 8)]).lower(Shape::new(8, 8, 3), 5);
    assert_ne!(id_of(&resnet()).unwrap(), id_of(&other.unwrap()).unwrap());
}

#[test]
fn changed_files_are_refused() {
    let text = ArchFile::new(&resnet(), "residual", None, None).unwrap().to_json().unwrap();
    let edit = |edit: &dyn Fn(&mut serde_json::Value)| {
        let mut value: serde_json::Value = serde_json::from_str(&text).unwrap();
        edit(&mut value);
        value.to_string()
    };
    refused(&edit(&|v| v["id"] = "0123456789abcdef".into()), "the stored id is 0123456789abcdef");
    refused(&edit(&|v| v["cost"]["macs"] = 1.into()), "1 MACs");
    refused(&edit(&|v| v["cost"]["rule"] = "other/1".into()), "other/1");
    refused(&edit(&|v| v["classes"] = 5.into()), "number of classes");
    refused(&edit(&|v| v["image"] = vec![16, 8, 3].into()), "image");
    refused(&edit(&|v| v["layers"][1]["out"] = 5.into()), "node `");
    refused(&edit(&|v| v["layers"][2]["inputs"][0] = "nowhere".into()), "nowhere");
    refused(&edit(&|v| v["schema_version"] = 2.into()), "schema_version 2; this program reads up to 1");
    refused(
        &edit(&|v| {
            v.as_object_mut().unwrap().remove("schema_version");
        }),
        "schema_version",
    );
    refused(
        &edit(&|v| {
            v.as_object_mut().unwrap().remove("layers");
        }),
        "layers",
    );
    refused("{", "not an arch.json");
    // A newer file is refused for its version even where nothing else is understood.
    refused(r#"{"schema_version": 7, "graph": []}"#, "newer");
    let unknown = edit(&|v| v["note"] = "by a later version".into());
    assert!(ArchFile::from_json(&unknown, Path::new(LABEL)).is_ok());
}

#[test]
fn the_schema_accepts_what_is_written() {
    let schema = serde_json::to_value(schemars::schema_for!(ArchFile)).unwrap();
    let text = std::fs::read_to_string(genotype_file("ARNAS")).unwrap();
    let genotype = Genotype::parse(&text, Path::new("ARNAS")).unwrap();
    let (net, skeleton) = dsara(&genotype);
    let file = ArchFile::new(&net, "ARNAS", Some(genotype), Some(skeleton)).unwrap();
    let value = serde_json::to_value(&file).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let complaints: Vec<String> = validator.iter_errors(&value).map(|e| e.to_string()).collect();
    assert!(complaints.is_empty(), "{complaints:?}");
    assert!(!validator.is_valid(&serde_json::json!({"schema_version": 1})));
}

fn dsara(genotype: &Genotype) -> (Net, Skeleton) {
    let cells = Placement::dsara().row(4, 4).unwrap();
    let skeleton = Skeleton {
        image: Shape::new(12, 12, 3),
        classes: 3,
        normalize: None,
        stem: 12,
        stem_kind: Default::default(),
        cells,
    };
    (derived(&skeleton, genotype).unwrap(), skeleton)
}

fn any_cell(kind: &'static str) -> impl Strategy<Value = CellGenotype> {
    let node = |to: usize| {
        let edge = (0..CellOp::ALL.len(), 0..to).prop_map(|(op, from)| Edge { op: CellOp::ALL[op], from });
        prop::collection::vec(edge, 1..3)
    };
    ((2..6).map(node).collect::<Vec<_>>(), prop::collection::vec(2usize..6, 1..5))
        .prop_map(move |(nodes, concat)| CellGenotype { kind: kind.into(), nodes, concat })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn any_genotype_keeps_its_id(a in any_cell("accurate"), r in any_cell("reduce"), b in any_cell("robust")) {
        let genotype = Genotype { cells: vec![a, r, b] };
        let (net, skeleton) = dsara(&genotype);
        let file = ArchFile::new(&net, "random", Some(genotype), Some(skeleton)).unwrap();
        let (back, rebuilt) = ArchFile::from_json(&file.to_json().unwrap(), Path::new(LABEL)).unwrap();
        prop_assert_eq!(&back, &file);
        prop_assert_eq!(id_of(&rebuilt).unwrap(), file.id);
    }
}

#[test]
fn specs_read_and_print() {
    for text in [
        "darts:a/b.txt,channels=36,layers=20",
        "dsara:ARNAS.txt,channels=64,layers=20",
        "nb201:|none~0|+|none~0|none~1|+|none~0|none~1|none~2|",
        "preact-resnet:18",
        "preact-resnet:18,width=16",
        "wrn:depth=28,width=10",
        "results/x/arch.json",
    ] {
        assert_eq!(NetSpec::parse(text).unwrap().to_string(), text);
    }
    let swapped = NetSpec::parse("darts:g.txt,layers=8,channels=16").unwrap();
    assert_eq!(
        swapped,
        NetSpec::Cells {
            family: Family::Darts,
            file: "g.txt".into(),
            channels: 16,
            layers: 8,
            stem: Default::default()
        }
    );
    assert_eq!(NetSpec::parse("preact-resnet:18,width=64").unwrap().to_string(), "preact-resnet:18");
}

#[test]
fn bad_specs_say_what_was_expected() {
    for (text, words) in [
        ("", "expected a network"),
        ("genotype.txt", "expected darts:FILE"),
        ("dart:g.txt,channels=1,layers=3", "did you mean `darts`"),
        ("darts:", "expected a genotype file"),
        ("darts:g.txt", "`channels=NUMBER` is missing"),
        ("darts:g.txt,channels=16", "`layers=NUMBER` is missing"),
        ("darts:g.txt,chanels=16,layers=8", "did you mean `channels`"),
        ("darts:g.txt,zzzzzzzzzz=16", "known: genotype, channels, layers"),
        ("darts:g.txt,channels=0,layers=8", "positive whole number"),
        ("darts:g.txt,channels=1,channels=2,layers=8", "twice"),
        ("darts:g.txt,channels", "KEY=VALUE"),
        ("nb201:|none~0|", "at byte 8"),
        ("preact_resnet:18", "did you mean `preact-resnet`"),
        ("preact-resnet:", "`` is not a depth; expected preact-resnet:18"),
        ("preact-resnet:19", "depth 19; known: 18, 34, 50, 101, 152"),
        ("preact-resnet:18,widht=64", "did you mean `width`"),
        ("wrm:depth=28,width=10", "did you mean `wrn`"),
        ("wrn:", "`depth=NUMBER` is missing"),
        ("wrn:28", "`28` is no wide network; expected one such as 28-10"),
        ("wrn:depth=28,width=99999999", "at most 16384"),
        ("wrn:27-10", "6 n + 4, not 27"),
        ("wrn:28-10,width=4", "`width=4` does not go with the other keys"),
        ("wrn:depths=4-4,widths=1-1-1", "one number for each of 3 stages"),
        ("wrn:depths=4-4-4", "one of `channels=16-320-640-512` and `widths=5-7-3`"),
        ("wrn:depth=28,width=10,block=3-2", "odd kernel sizes"),
        ("wrn:ra-70-16,down=flc", "no strided convolution that `padding=corner` pads"),
        ("resnet:51", "no `resnet` has depth 51; known: 18, 34, 50, 101, 152, 20, 32"),
        ("resnext:18-32x4d", "known: 50, 101, 152"),
        ("resnext:50", "expected one such as 50-32x4d"),
        ("resnet:50,stem=imagnet", "expected cifar or imagenet"),
        ("resnet:50,act=rleu", "did you mean `relu`"),
        ("wrn:depth=28", "`width=NUMBER` is missing"),
        ("wrn:depth=27,width=10", "6 n + 4, not 27; the nearest are 22 and 28"),
        ("wrn:depth=4,width=10", "the nearest are 10 and 16"),
    ] {
        match NetSpec::parse(text) {
            Err(Error::Usage(message)) => assert!(message.contains(words), "{text}: {message}"),
            other => panic!("{text}: {other:?}"),
        }
    }
}

#[test]
fn specs_load_networks() {
    let (image, classes) = (Shape::new(32, 32, 3), 10);
    let load = |text: &str| NetSpec::parse(text).unwrap().load(image, classes, &read);
    let params = |text: &str| robustnas::arch::cost::cost(&load(text).unwrap().0).params;
    assert_eq!(params(&format!("darts:{},channels=16,layers=8", genotype_file("DARTS_V2"))), Params(246_106));
    assert_eq!(params(&format!("dsara:{},channels=16,layers=8", genotype_file("ARNAS"))), Params(141_306));
    assert_eq!(params("nb201:|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"), Params(73_306));
    let wrong = load(&format!("darts:{},channels=16,layers=8", genotype_file("ARNAS"))).unwrap_err().to_string();
    assert!(wrong.contains("no `normal` cell; it has accurate, reduce, robust"), "{wrong}");
    assert!(matches!(load("darts:missing.txt,channels=16,layers=8"), Err(Error::Io { .. })));
}

#[test]
fn an_arch_file_loads_for_its_own_data_only() {
    let text = ArchFile::new(&resnet(), "residual", None, None).unwrap().to_json().unwrap();
    let spec = NetSpec::parse(LABEL).unwrap();
    let read = |_: &Path| Ok(text.clone().into_bytes());
    let (net, genotype, skeleton) = spec.load(Shape::new(8, 8, 3), 4, &read).unwrap();
    assert_eq!(net.layers(), resnet().layers());
    assert!(genotype.is_none() && skeleton.is_none());
    let why = spec.load(Shape::new(32, 32, 3), 4, &read).unwrap_err().to_string();
    assert!(why.contains("8x8x3") && why.contains("32x32x3"), "{why}");
}
