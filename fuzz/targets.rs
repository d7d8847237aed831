//! Every reader of what people bring, as a function of bytes that must neither panic, nor take long, nor ask for memory that the
//! bytes do not pay for. The fuzz targets and `tests/fuzz_corpus.rs` call these; each returns whether the input was accepted.
//! What is accepted is taken a step further: a network is counted and laid out, a space's supernet is built.

use std::path::Path;

use robustnas::arch::cost::{activations, cost};
use robustnas::arch::families::cells;
use robustnas::arch::file::ArchFile;
use robustnas::arch::genotype::Genotype;
use robustnas::arch::net::{Layer, Net};
use robustnas::arch::op::Shape;
use robustnas::arch::spec::NetSpec;
use robustnas::config::Config;
use robustnas::data::Source;
use robustnas::engine::{Cpu, Fusion, Memory, NormMode, ParamLayout, Work, Wrt};
use robustnas::error::{Error, Result};
use robustnas::model::names::NameMap;
use robustnas::model::{named, weights};
use robustnas::onnx;
use robustnas::report::ranked::Ranked;
use robustnas::store::checkpoint::Checkpoints;
use robustnas::store::event::{Event, records};
use robustnas::store::journal;
use robustnas::threat::AttackPlan;

/// A target: its name and what it does. Those that read files are given a folder of their own.
pub type Target = (&'static str, fn(&[u8], &Path) -> bool);

/// All of them.
pub const TARGETS: [Target; 16] = [
    ("onnx", onnx),
    ("safetensors", safetensors),
    ("npy", npy),
    ("parquet", parquet),
    ("jpeg", jpeg),
    ("png", png),
    ("genotype", genotype),
    ("space", space),
    ("arch", arch),
    ("layers", layers),
    ("net_toml", net_toml),
    ("attack_plan", attack_plan),
    ("name_map", name_map),
    ("journal", run_journal),
    ("checkpoint", checkpoint),
    ("network_name", network_name),
];

const IMAGE: Shape = Shape::new(8, 8, 3);
/// Nodes above which a network's plans are not compiled here: that takes time with the square of them.
const FEW: usize = 300;

fn no_file<T>(_: &Path) -> Result<T> {
    Err(Error::Usage("no other file here".into()))
}

/// What `cost --memory` and a training would ask of a network before they run it.
fn taken(net: &Net) -> bool {
    let _ = (cost(net), activations(net), net.layers().len(), ParamLayout::new(net).len());
    if net.len() <= FEW {
        let work = Work { batch: 128, passes: vec![(Wrt::PARAMS, NormMode::Train)], vectors: 3, images: 4 };
        let _ = Memory::of(net, &work, Fusion::ALL, &Cpu::widest()).map(|memory| memory.total());
    }
    true
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap_or_default()
}

/// An ONNX file.
pub fn onnx(bytes: &[u8], _: &Path) -> bool {
    let read = |_: &Path| Ok(bytes.to_vec());
    onnx::read(Path::new("model.onnx"), IMAGE, &read).is_ok_and(|model| taken(&model.net))
}

/// Weights of a small network.
pub fn safetensors(bytes: &[u8], _: &Path) -> bool {
    let Ok(net) = named("preact-resnet:18,width=1", IMAGE, 4) else { return false };
    let _ = weights::classes_of(&net, bytes);
    weights::decode(&net, &ParamLayout::new(&net), bytes, Path::new("weights.safetensors")).is_ok()
}

/// Files of a data set, read as a source.
fn source(scheme: &str, files: &[(&str, &[u8])], folder: &Path) -> bool {
    for (name, bytes) in files {
        let path = folder.join(name);
        let made = path.parent().is_some_and(|parent| std::fs::create_dir_all(parent).is_ok());
        if !made || std::fs::write(&path, bytes).is_err() {
            return false;
        }
    }
    Source::parse(&format!("{scheme}:{}", folder.display())).and_then(|source| source.load()).is_ok()
}

/// `images.npy` beside good labels.
pub fn npy(bytes: &[u8], folder: &Path) -> bool {
    let header = "{'descr': '<i8', 'fortran_order': False, 'shape': (2,), }";
    let padded = format!("{header:<117}\n");
    let mut labels = b"\x93NUMPY\x01\x00".to_vec();
    labels.extend((padded.len() as u16).to_le_bytes());
    labels.extend(padded.bytes());
    labels.extend([0i64, 1].iter().flat_map(|label| label.to_le_bytes()));
    source("npy", &[("images.npy", bytes), ("labels.npy", &labels)], folder)
}

/// Both halves of a data set of the Hugging Face hub.
pub fn parquet(bytes: &[u8], folder: &Path) -> bool {
    let names = ["train-00000-of-00001.parquet", "test-00000-of-00001.parquet"];
    source("hf", &names.map(|name| (name, bytes)), folder)
}

/// An image among a class' files.
pub fn jpeg(bytes: &[u8], folder: &Path) -> bool {
    source("folder", &[("train/a/0.jpg", bytes), ("test/a/0.jpg", bytes)], folder)
}

/// An image among a class' files.
pub fn png(bytes: &[u8], folder: &Path) -> bool {
    source("folder", &[("train/a/0.png", bytes), ("test/a/0.png", bytes)], folder)
}

/// A genotype in any of its forms.
pub fn genotype(bytes: &[u8], _: &Path) -> bool {
    Genotype::parse(text(bytes), Path::new("genotype.txt")).is_ok_and(|genotype| !genotype.to_string().is_empty())
}

/// A search space, and its supernet.
pub fn space(bytes: &[u8], _: &Path) -> bool {
    let Ok(config) = Config::from_toml(text(bytes), Path::new("space.toml"), &[]) else { return false };
    let image = Shape::new(32, 32, 3);
    let skeleton = config.supernet_skeleton(image, 10);
    // Scaled as little as possible: the widths of a budget are found by many counts.
    let _ = config.stage_cells();
    let _ = skeleton.and_then(|skeleton| cells::supernet(&skeleton, &config.mix_layout())).map(|net| taken(&net));
    config.to_toml().is_ok()
}

/// An arch.json.
pub fn arch(bytes: &[u8], _: &Path) -> bool {
    ArchFile::from_json(text(bytes), Path::new("arch.json")).is_ok_and(|(_, net)| taken(&net))
}

/// The layers of an arch.json, whose id and cost are then made right.
pub fn layers(bytes: &[u8], _: &Path) -> bool {
    let Ok(layers) = serde_json::from_slice::<Vec<Layer>>(bytes) else { return false };
    let Ok(net) = Net::from_layers(&layers) else { return false };
    let file = ArchFile::new(&net, "", None, None).and_then(|file| file.to_json());
    file.is_ok_and(|text| ArchFile::from_json(&text, Path::new("arch.json")).is_ok_and(|(_, net)| taken(&net)))
}

/// A net.toml.
pub fn net_toml(bytes: &[u8], _: &Path) -> bool {
    let read = |_: &Path| Ok(bytes.to_vec());
    let found = NetSpec::parse("net.toml").and_then(|spec| spec.load(IMAGE, 10, &read));
    found.is_ok_and(|(net, ..)| taken(&net))
}

/// A plan of attacks.
pub fn attack_plan(bytes: &[u8], _: &Path) -> bool {
    let read =
        |name: &str| AttackPlan::from_text(text(bytes), Path::new(name), None).and_then(|plan| plan.for_classes(10));
    read("plan.toml").is_ok() | read("plan.json").is_ok()
}

/// A map of names.
pub fn name_map(bytes: &[u8], _: &Path) -> bool {
    NameMap::parse(text(bytes), Path::new("names.toml")).is_ok()
}

/// A run's journal, and its ranking.
pub fn run_journal(bytes: &[u8], folder: &Path) -> bool {
    let path = folder.join("journal.jsonl");
    if std::fs::write(&path, bytes).is_err() {
        return false;
    }
    journal::read::<Event>(&path).is_ok_and(|found| Ranked::new(0, &records(&found.events)).is_ok())
}

/// A checkpoint.
pub fn checkpoint(bytes: &[u8], folder: &Path) -> bool {
    if std::fs::write(folder.join("state-1.safetensors"), bytes).is_err() {
        return false;
    }
    Checkpoints::open(folder).and_then(|mut found| found.load()).is_ok_and(|loaded| loaded.is_some())
}

/// A network as it is named on a command line.
pub fn network_name(bytes: &[u8], _: &Path) -> bool {
    let found = NetSpec::parse(text(bytes)).and_then(|spec| spec.load(IMAGE, 10, &no_file));
    found.is_ok_and(|(net, ..)| taken(&net))
}
