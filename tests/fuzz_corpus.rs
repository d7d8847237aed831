//! The readers of `fuzz/targets.rs` on well-formed inputs that were changed: bytes flipped, cut and repeated, numbers replaced by
//! extreme ones, with checksums, ids and lengths made right again. None may panic or take memory that the input does not pay for.
//!
//! `cargo test` tries some hundred inputs a reader, `make fuzz` as many as fit into a time (`ROBUSTNAS_FUZZ_SECONDS`) from
//! another seed.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::{Duration, Instant};

use candle_core::Device;
use robustnas::arch::file::ArchFile;
use robustnas::engine::Network;
use robustnas::model::layout::Layout;
use robustnas::model::{named, weights};
use robustnas::seed::{Seed, Stream};
use robustnas::store::checkpoint::{Checkpoints, Snapshot};
use robustnas::store::event::{Event, StageResult};
use robustnas::store::journal::Journal;
use serde_json::Value;

mod fixtures;
#[path = "../fuzz/targets.rs"]
mod targets;

use fixtures::record;
use robustnas::arch::op::Shape;
use robustnas::record::Origin;

/// Inputs a reader in `cargo test`.
const USUAL: u64 = 120;
/// The most memory that the process may come to hold beside what it had.
const MOST_BYTES: u64 = 1 << 30;
/// The longest that an input may take in `make fuzz`.
const LONGEST: Duration = Duration::from_secs(5);

/// Numbers at the edges of types and of sense.
const NUMBERS: [&str; 21] = [
    "0",
    "1",
    "2",
    "3",
    "7",
    "-1",
    "255",
    "256",
    "65535",
    "65536",
    "1048576",
    "2147483647",
    "2147483648",
    "4294967295",
    "4611686018427387904",
    "9223372036854775807",
    "9223372036854775808",
    "18446744073709551615",
    "1e308",
    "0.5",
    "1e-300",
];

fn small_net() -> robustnas::arch::net::Net {
    named("preact-resnet:18,width=1", Shape::new(8, 8, 3), 4).unwrap()
}

/// Well-formed inputs of a reader.
fn corpus(name: &str) -> Vec<Vec<u8>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let files = |folder: &str, ending: &str| -> Vec<Vec<u8>> {
        let mut paths: Vec<_> = std::fs::read_dir(root.join(folder)).unwrap().map(|e| e.unwrap().path()).collect();
        paths.retain(|path| path.to_string_lossy().ends_with(ending));
        paths.sort();
        paths.iter().map(|path| std::fs::read(path).unwrap()).filter(|bytes| bytes.len() < 1 << 17).collect()
    };
    let picture = |format: image::ImageFormat| {
        let mut bytes = std::io::Cursor::new(Vec::new());
        let pixels = image::RgbImage::from_fn(8, 8, |x, y| image::Rgb([(30 * x) as u8, (30 * y) as u8, 90]));
        pixels.write_to(&mut bytes, format).unwrap();
        vec![bytes.into_inner()]
    };
    let words = |list: &[&str]| list.iter().map(|word| word.as_bytes().to_vec()).collect::<Vec<_>>();
    match name {
        "onnx" => files("tests/fixtures/onnx", ".onnx"),
        "safetensors" => {
            let network = Network::new(small_net(), Seed::root(1), &Device::Cpu).unwrap();
            [Layout::Own, Layout::Pytorch].map(|layout| weights::encode(&network, layout).unwrap()).to_vec()
        }
        "npy" => {
            let header = format!("{:<117}\n", "{'descr': '|u1', 'fortran_order': False, 'shape': (2, 8, 8, 3), }");
            let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
            bytes.extend((header.len() as u16).to_le_bytes());
            bytes.extend(header.bytes());
            bytes.extend([7u8; 2 * 8 * 8 * 3]);
            vec![bytes]
        }
        "parquet" => files("tests/fixtures", "plain.parquet"),
        "jpeg" => picture(image::ImageFormat::Jpeg),
        "png" => picture(image::ImageFormat::Png),
        "genotype" => files("search_spaces/genotypes", ".txt"),
        "space" => files("search_spaces", ".toml"),
        "arch" => vec![ArchFile::new(&small_net(), "", None, None).unwrap().to_json().unwrap().into_bytes()],
        "layers" => vec![serde_json::to_vec(&small_net().layers()).unwrap()],
        "net_toml" => files("search_spaces/networks", ".toml"),
        "attack_plan" => words(&[
            "name = \"two\"\nnorm = \"linf\"\neps = \"8/255\"\n\
             attacks = [\"apgd-ce\", { attack = \"square\", queries = 1000, restarts = 1, p = \"0.8\" }]\n",
            "{\"name\": \"three\", \"norm\": \"linf\", \"eps\": \"1/2\", \"attacks\": [\"fgsm\", \"pgd-20\", \"fab-t\"]}",
        ]),
        "name_map" => words(&[
            "layout = \"pytorch\"\nignore = [\"*.n\"]\n[names]\n\"stage{s}.block{b}.*\" = \"layer{s}.{b-1}.*\"\n",
        ]),
        "journal" => {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("journal.jsonl");
            let (mut journal, _) = Journal::open(&path, true).unwrap();
            journal
                .append(&Event::Stage(StageResult::Search { alpha: vec![0.5, -1.0], genotypes: vec![], spent: None }))
                .unwrap();
            journal.append_file("archs/aa/arch.json", b"{}").unwrap();
            let record = record("aa", Origin::Searched { genotype: 0 }, 20_000_000, 19_000_000, 60, 30);
            journal.append(&Event::Candidate { record }).unwrap();
            vec![std::fs::read(path).unwrap()]
        }
        "checkpoint" => {
            let folder = tempfile::tempdir().unwrap();
            let meta =
                serde_json::json!({"of": {"stage": "search"}, "position": {"epoch": 1, "step": 2}, "learned": null});
            let snapshot = Snapshot { meta, tensors: vec![("a".into(), vec![2, 3], vec![0.5; 6])] };
            Checkpoints::open(folder.path()).unwrap().save(&snapshot).unwrap();
            vec![std::fs::read(folder.path().join("state-1.safetensors")).unwrap()]
        }
        "network_name" => {
            words(&["wrn:16-1,act=silu", "anynet:depths=1-1-1,widths=16-32-64", "vit:base-16,image=32", "resnet:20"])
        }
        other => panic!("no corpus of `{other}`"),
    }
}

/// An input that was changed; what it claims about itself is made right where that is known.
fn changed(name: &str, input: &[u8], random: &mut Stream) -> Vec<u8> {
    let mut bytes = if random.uniform() < 0.6 { numbers(input, random) } else { damaged(input, random) };
    if name == "journal" && random.uniform() < 0.8 {
        bytes = with_checksums(&bytes);
    }
    if ["safetensors", "checkpoint"].contains(&name) && random.uniform() < 0.8 {
        bytes = with_length(&bytes, input);
    }
    bytes
}

/// One or two of an input's decimal numbers become others.
fn numbers(input: &[u8], random: &mut Stream) -> Vec<u8> {
    let mut bytes = input.to_vec();
    for _ in 0..1 + random.below(2) {
        let mut runs = Vec::new();
        let mut at = 0;
        while at < bytes.len() {
            let end = at + bytes[at..].iter().take_while(|b| b.is_ascii_digit()).count();
            if end > at {
                runs.push(at..end);
            }
            at = end.max(at + 1);
        }
        let Some(run) = runs.get(random.below(runs.len().max(1))).cloned() else { return damaged(input, random) };
        bytes.splice(run, NUMBERS[random.below(NUMBERS.len())].bytes());
    }
    bytes
}

/// Bytes flipped, cut, repeated or set to extremes.
fn damaged(input: &[u8], random: &mut Stream) -> Vec<u8> {
    let mut bytes = input.to_vec();
    for _ in 0..1 + random.below(4) {
        if bytes.is_empty() {
            break;
        }
        let (at, end) = (random.below(bytes.len()), random.below(bytes.len()));
        match random.below(6) {
            0 => bytes[at] ^= 1 << random.below(8),
            1 => bytes[at] = [0, 1, 0x7f, 0x80, 0xff][random.below(5)],
            2 => bytes.truncate(at),
            3 => drop(bytes.drain(at.min(end)..at.max(end))),
            4 => {
                let part = bytes[at.min(end)..at.max(end)].to_vec();
                bytes.splice(at..at, part.into_iter().take(256));
            }
            _ => {
                let extreme = [u64::MAX, 1 << 63, 1 << 32, u64::from(u32::MAX)][random.below(4)].to_le_bytes();
                let end = (at + 8).min(bytes.len());
                bytes[at..end].copy_from_slice(&extreme[..end - at]);
            }
        }
    }
    bytes
}

/// A journal whose lines have the right checksums.
fn with_checksums(bytes: &[u8]) -> Vec<u8> {
    let line = |line: &[u8]| match line.get(18..) {
        Some(rest) => format!("{{\"crc\":\"{:08x}\",", crc32fast::hash(rest))
            .into_bytes()
            .into_iter()
            .chain(rest.iter().copied())
            .chain([b'\n'])
            .collect(),
        None => line.to_vec(),
    };
    bytes.split(|b| *b == b'\n').filter(|l| !l.is_empty()).flat_map(line).collect()
}

/// A safetensors file whose first eight bytes say how long its header is now.
fn with_length(bytes: &[u8], before: &[u8]) -> Vec<u8> {
    let header = before.get(..8).map_or(0, |head| u64::from_le_bytes(head.try_into().unwrap()));
    let grown = header.wrapping_add(bytes.len() as u64).wrapping_sub(before.len() as u64);
    let mut bytes = bytes.to_vec();
    if let Some(head) = bytes.get_mut(..8) {
        head.copy_from_slice(&grown.to_le_bytes());
    }
    bytes
}

fn peak() -> u64 {
    robustnas::jobs::peak_resident().unwrap_or(0)
}

#[test]
fn changed_inputs_are_read_or_refused() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seconds = number("ROBUSTNAS_FUZZ_SECONDS");
    let only = std::env::var("ROBUSTNAS_FUZZ_TARGET").unwrap_or_default();
    let seed = Seed::root(number("ROBUSTNAS_SEED").unwrap_or(1));
    for (name, target) in targets::TARGETS.into_iter().filter(|(name, _)| name.contains(&*only)) {
        let corpus = corpus(name);
        assert!(!corpus.is_empty(), "{name}: no input");
        let (before, begun) = (peak(), Instant::now());
        let (mut tried, mut accepted, mut slowest) = (0u64, 0u64, Duration::ZERO);
        let go_on = |tried: u64| seconds.map_or(tried < USUAL, |s| begun.elapsed() < Duration::from_secs(s));
        while go_on(tried) {
            let random = &mut seed.child(name).index(tried).stream();
            let input = &corpus[random.below(corpus.len())];
            // The inputs themselves first: they are well-formed.
            let own = tried < corpus.len() as u64;
            let bytes = if own { corpus[tried as usize].clone() } else { changed(name, input, random) };
            let folder = tempfile::tempdir().unwrap();
            let start = Instant::now();
            let read = catch_unwind(AssertUnwindSafe(|| target(&bytes, folder.path())));
            slowest = slowest.max(start.elapsed());
            let fault = |what: &str| {
                let kept = std::env::temp_dir().join(format!("robustnas-{name}-{tried}"));
                std::fs::write(&kept, &bytes).unwrap();
                panic!("{name}: input {tried} {what}; it is in {}", kept.display());
            };
            match read {
                Err(_) => fault("panics"),
                Ok(read) => accepted += u64::from(read),
            }
            if peak() > before + MOST_BYTES {
                fault("takes more than a gibibyte");
            }
            if seconds.is_some() && start.elapsed() > LONGEST {
                fault("takes more than five seconds");
            }
            tried += 1;
        }
        println!("{name:14} {tried:7} inputs, {accepted:7} accepted, slowest {slowest:?}");
        assert!(accepted > 0, "{name}: nothing is accepted, not even what is well-formed");
    }
}

/// The sizes of a layer that are products of its numbers, each set to extremes alone: every field of every layer.
#[test]
fn every_number_of_a_network_at_its_extremes() {
    let layers = serde_json::to_value(small_net().layers()).unwrap();
    let count = layers.as_array().unwrap().len();
    let folder = tempfile::tempdir().unwrap();
    // The first layers have every kind of operation of this network.
    for layer in (0..count).filter(|layer| *layer < 12 || *layer + 3 >= count) {
        let fields: Vec<String> = layers[layer].as_object().unwrap().keys().cloned().collect();
        for field in fields.iter().filter(|field| !["name", "op", "inputs"].contains(&field.as_str())) {
            for text in NUMBERS {
                let number: Value = serde_json::from_str(text).unwrap();
                let mut other = layers.clone();
                set(&mut other[layer][field.as_str()], &number);
                targets::layers(other.to_string().as_bytes(), folder.path());
            }
        }
    }
}

/// Every number in a value becomes another.
fn set(value: &mut Value, number: &Value) {
    match value {
        Value::Number(_) => *value = number.clone(),
        Value::Array(items) => items.iter_mut().for_each(|item| set(item, number)),
        Value::Object(map) => map.values_mut().for_each(|item| set(item, number)),
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}
