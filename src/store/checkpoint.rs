//! Checkpoints: `state-<n>.safetensors` files of which the newest whole one counts.
//!
//! Each file is complete in itself: named f32 tensors, and in the header's metadata one JSON text with the caller's
//! `meta`, the tensors' order and a SHA-256 over all content. The last two are kept, so a file damaged after it was
//! written costs one interval, not the run. `LATEST` names the newest for people and other programs.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::atomic;
use crate::error::{Error, IoContext, Result};

/// The metadata key of the header. One key, because the format does not fix the order of several.
const KEY: &str = "robustnas";

/// What a step of training needs to go on as if it had never stopped.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// Everything that is not a tensor: counters, positions of random streams, histories.
    pub meta: serde_json::Value,
    /// Name, shape and values; kept in this order and bit for bit, NaN payloads included. Names are unique.
    pub tensors: Vec<(String, Vec<usize>, Vec<f32>)>,
}

/// A snapshot read back.
#[derive(Clone, Debug, PartialEq)]
pub struct Loaded {
    /// Its file.
    pub path: PathBuf,
    /// The number of its file.
    pub number: u64,
    /// The content.
    pub snapshot: Snapshot,
    /// Said when a newer file was damaged.
    pub warning: Option<String>,
}

/// The checkpoints in one folder. Use it only under the run's lock.
#[derive(Debug)]
pub struct Checkpoints {
    folder: PathBuf,
    /// The newest file that is believed whole; kept beside the next one.
    good: Option<u64>,
    next: u64,
}

#[derive(Serialize, Deserialize)]
struct Header {
    schema_version: u32,
    sha256: String,
    order: Vec<String>,
    meta: serde_json::Value,
}

const SCHEMA_VERSION: u32 = 1;

impl Checkpoints {
    /// The checkpoints of a folder, which is created by the first [`Self::save`].
    ///
    /// # Errors
    /// [`Error::Io`] where the folder cannot be read, or a temporary file in it not removed.
    pub fn open(folder: &Path) -> Result<Checkpoints> {
        atomic::sweep(folder)?;
        let newest = numbers(folder)?.last().copied();
        Ok(Checkpoints { folder: folder.to_owned(), good: newest, next: newest.map_or(1, |n| n + 1) })
    }

    /// Writes the next checkpoint and removes all but it and the last good one before it. Returns its number.
    ///
    /// # Errors
    /// [`Error::Disk`] or [`Error::Io`], with the earlier checkpoints untouched; [`Error::Run`] for a snapshot whose
    /// names repeat or whose shapes do not fit the values.
    pub fn save(&mut self, snapshot: &Snapshot) -> Result<u64> {
        let path = self.path(self.next);
        let bytes = encode(snapshot).map_err(|what| Error::run(&path, what))?;
        atomic::create_folder(&self.folder)?;
        atomic::write(&path, &bytes)?;
        atomic::write(&self.folder.join("LATEST"), format!("{}\n", file_name(self.next)).as_bytes())?;
        let written = self.next;
        for number in numbers(&self.folder)? {
            if number != written && Some(number) != self.good {
                let old = self.path(number);
                fs::remove_file(&old).at(&old)?;
            }
        }
        self.good = Some(written);
        self.next = written + 1;
        Ok(written)
    }

    /// The newest whole checkpoint; `None` when there is none at all.
    ///
    /// # Errors
    /// [`Error::Run`] when there are checkpoints but every one is damaged, or was written by a newer version.
    pub fn load(&mut self) -> Result<Option<Loaded>> {
        let mut damage = Vec::new();
        for number in numbers(&self.folder)?.into_iter().rev() {
            let path = self.path(number);
            let bytes = fs::read(&path).at(&path)?;
            match decode(&bytes) {
                Ok(snapshot) => {
                    self.good = Some(number);
                    let warning = (!damage.is_empty())
                        .then(|| format!("{}; going on from {}", damage.join("; "), file_name(number)));
                    return Ok(Some(Loaded { path, number, snapshot, warning }));
                }
                Err(Unreadable::Damaged(what)) => damage.push(format!("{}: {what}", path.display())),
                Err(Unreadable::Newer(version)) => {
                    let ours = format!("this version reads up to {SCHEMA_VERSION}");
                    return Err(Error::run(path, format!("checkpoint of schema_version {version}; {ours}; upgrade")));
                }
            }
        }
        if damage.is_empty() {
            return Ok(None);
        }
        let advice = "no checkpoint is whole; remove this folder to do the stage again from its beginning";
        Err(Error::run(&self.folder, format!("{} ({advice})", damage.join("; "))))
    }

    /// Removes every checkpoint, once the stage they belong to is in the journal.
    ///
    /// # Errors
    /// [`Error::Io`] where a file cannot be removed.
    pub fn clear(&mut self) -> Result<()> {
        for name in atomic::names(&self.folder)? {
            let path = self.folder.join(name);
            fs::remove_file(&path).at(&path)?;
        }
        self.good = None;
        Ok(())
    }

    fn path(&self, number: u64) -> PathBuf {
        self.folder.join(file_name(number))
    }
}

fn file_name(number: u64) -> String {
    format!("state-{number}.safetensors")
}

/// The numbers of the checkpoint files, ascending.
fn numbers(folder: &Path) -> Result<Vec<u64>> {
    let number = |name: &String| name.strip_prefix("state-")?.strip_suffix(".safetensors")?.parse().ok();
    let numbers: BTreeSet<u64> = atomic::names(folder)?.iter().filter_map(number).collect();
    Ok(numbers.into_iter().collect())
}

enum Unreadable {
    Damaged(String),
    Newer(u32),
}

fn encode(snapshot: &Snapshot) -> Result<Vec<u8>, String> {
    let names: BTreeSet<&String> = snapshot.tensors.iter().map(|t| &t.0).collect();
    if names.len() != snapshot.tensors.len() {
        return Err("two tensors of a snapshot have the same name".to_owned());
    }
    let data: Vec<(&String, &Vec<usize>, Vec<u8>)> = snapshot
        .tensors
        .iter()
        .map(|(name, shape, values)| (name, shape, values.iter().flat_map(|v| v.to_le_bytes()).collect()))
        .collect();
    let header = Header {
        schema_version: SCHEMA_VERSION,
        sha256: digest(&snapshot.meta, data.iter().map(|(name, shape, bytes)| (*name, *shape, bytes.as_slice()))),
        order: snapshot.tensors.iter().map(|t| t.0.clone()).collect(),
        meta: snapshot.meta.clone(),
    };
    let header = serde_json::to_string(&header).map_err(|e| e.to_string())?;
    let mut views = Vec::with_capacity(data.len());
    for (name, shape, bytes) in &data {
        let view = TensorView::new(Dtype::F32, shape.to_vec(), bytes).map_err(|e| format!("tensor `{name}`: {e}"))?;
        views.push((*name, view));
    }
    safetensors::serialize(views, Some(HashMap::from([(KEY.to_owned(), header)]))).map_err(|e| e.to_string())
}

fn decode(bytes: &[u8]) -> Result<Snapshot, Unreadable> {
    let damaged = |e: &dyn std::fmt::Display| Unreadable::Damaged(e.to_string());
    let file = SafeTensors::deserialize(bytes).map_err(|e| damaged(&e))?;
    let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(|e| damaged(&e))?;
    let text = metadata.metadata().as_ref().and_then(|m| m.get(KEY));
    let text = text.ok_or_else(|| damaged(&format!("no `{KEY}` in the header")))?;
    let header: Header = serde_json::from_str(text).map_err(|e| damaged(&e))?;
    if header.schema_version > SCHEMA_VERSION {
        return Err(Unreadable::Newer(header.schema_version));
    }
    let mut views = Vec::with_capacity(header.order.len());
    for name in &header.order {
        let view = file.tensor(name).map_err(|e| damaged(&e))?;
        if view.dtype() != Dtype::F32 {
            return Err(damaged(&format!("tensor `{name}` is not f32")));
        }
        views.push((name, view.shape().to_vec(), view.data()));
    }
    let found = digest(&header.meta, views.iter().map(|(name, shape, data)| (*name, shape, *data)));
    if file.len() != views.len() || found != header.sha256 {
        return Err(damaged(&"the content does not match its checksum"));
    }
    let value = |b: &[u8]| f32::from_le_bytes([b[0], b[1], b[2], b[3]]);
    let tensors = views
        .into_iter()
        .map(|(name, shape, data)| (name.clone(), shape, data.chunks_exact(4).map(value).collect()))
        .collect();
    Ok(Snapshot { meta: header.meta, tensors })
}

/// SHA-256 in hexadecimal over meta, names, shapes and values, each with its length so that none can run into the next.
fn digest<'a>(
    meta: &serde_json::Value,
    tensors: impl Iterator<Item = (&'a String, &'a Vec<usize>, &'a [u8])>,
) -> String {
    let mut hash = Sha256::new();
    let mut part = |bytes: &[u8]| {
        hash.update((bytes.len() as u64).to_le_bytes());
        hash.update(bytes);
    };
    part(meta.to_string().as_bytes());
    for (name, shape, data) in tensors {
        part(name.as_bytes());
        let shape: Vec<u8> = shape.iter().flat_map(|d| (*d as u64).to_le_bytes()).collect();
        part(&shape);
        part(data);
    }
    hash.finalize().iter().map(|b| format!("{b:02x}")).collect()
}
