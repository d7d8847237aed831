//! Checkpoints: `state-<n>.safetensors` files of which the newest whole one counts.
//!
//! Each file is complete in itself: named f32 tensors, and in the header's metadata one JSON text with the caller's
//! `meta`, the tensors' order and a SHA-256 over all content. The last two are kept, so a file damaged after it was
//! written costs one interval, not the run. `LATEST` names the newest for people and other programs. Under a claim a file
//! also names the work and the length of the journal, so that the state of another run is not taken for this one's.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::atomic;
use super::claim::Claim;
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
    claim: Option<Arc<Claim>>,
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
    /// Of what work it is; absent in older files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    work: Option<String>,
    /// Whole lines of the journal when it was written; absent in older files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    lines: Option<u64>,
}

const SCHEMA_VERSION: u32 = 1;

impl Checkpoints {
    /// The checkpoints of a folder, which is created by the first [`Self::save`].
    ///
    /// # Errors
    /// [`Error::Io`] where the folder cannot be read, or a temporary file in it not removed.
    pub fn open(folder: &Path) -> Result<Checkpoints> {
        if folder.is_dir() {
            atomic::sweep(folder)?;
        }
        let newest = numbers(folder)?.last().copied();
        let next = newest.map_or(1, |n| n.saturating_add(1));
        Ok(Checkpoints { folder: folder.to_owned(), claim: None, good: newest, next })
    }

    /// Those of a run.
    pub(super) fn of(folder: &Path, claim: Arc<Claim>) -> Result<Checkpoints> {
        Ok(Checkpoints { claim: Some(claim), ..Checkpoints::open(folder)? })
    }

    /// Writes the next checkpoint and removes all but it and the last good one before it. Returns its number.
    ///
    /// # Errors
    /// [`Error::Disk`] or [`Error::Io`], with the earlier checkpoints untouched; [`Error::Run`] for a snapshot whose
    /// names repeat or whose shapes do not fit the values, and where the run's folder was removed or replaced.
    pub fn save(&mut self, snapshot: &Snapshot) -> Result<u64> {
        let path = self.path(self.next);
        let bytes = encode(snapshot, self.claim.as_deref()).map_err(|what| Error::run(&path, what))?;
        match &self.claim {
            None => atomic::create_folder(&self.folder)?,
            Some(claim) => {
                claim.check()?;
                atomic::create_inner(&self.folder)?;
            }
        }
        atomic::write(&path, &bytes)?;
        atomic::write(&self.folder.join("LATEST"), format!("{}\n", file_name(self.next)).as_bytes())?;
        let written = self.next;
        for number in numbers(&self.folder)? {
            if number != written && Some(number) != self.good {
                // A worker that took the task over may have removed it before.
                atomic::remove_file(&self.path(number))?;
            }
        }
        self.good = Some(written);
        self.next = written.saturating_add(1);
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
            match decode(&bytes, self.claim.as_deref()) {
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
        let advice = "no checkpoint can be used; remove this folder to do the stage again from its beginning";
        Err(Error::run(&self.folder, format!("{} ({advice})", damage.join("; "))))
    }

    /// Removes every checkpoint, once the stage they belong to is in the journal.
    ///
    /// # Errors
    /// [`Error::Io`] where a file cannot be removed.
    pub fn clear(&mut self) -> Result<()> {
        let names = atomic::names(&self.folder)?;
        names.iter().try_for_each(|name| atomic::remove_file(&self.folder.join(name)))?;
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

fn encode(snapshot: &Snapshot, claim: Option<&Claim>) -> Result<Vec<u8>, String> {
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
        work: claim.map(|claim| claim.work().to_owned()),
        lines: claim.map(Claim::lines),
    };
    let header = serde_json::to_string(&header).map_err(|e| e.to_string())?;
    let mut views = Vec::with_capacity(data.len());
    for (name, shape, bytes) in &data {
        let view = TensorView::new(Dtype::F32, shape.to_vec(), bytes).map_err(|e| format!("tensor `{name}`: {e}"))?;
        views.push((*name, view));
    }
    safetensors::serialize(views, Some(HashMap::from([(KEY.to_owned(), header)]))).map_err(|e| e.to_string())
}

fn decode(bytes: &[u8], claim: Option<&Claim>) -> Result<Snapshot, Unreadable> {
    let damaged = |e: &dyn std::fmt::Display| Unreadable::Damaged(e.to_string());
    let file = SafeTensors::deserialize(bytes).map_err(|e| damaged(&e))?;
    let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(|e| damaged(&e))?;
    let text = metadata.metadata().as_ref().and_then(|m| m.get(KEY));
    let text = text.ok_or_else(|| damaged(&format!("no `{KEY}` in the header")))?;
    let header: Header = serde_json::from_str(text).map_err(|e| damaged(&e))?;
    if header.schema_version > SCHEMA_VERSION {
        return Err(Unreadable::Newer(header.schema_version));
    }
    if let Some(claim) = claim {
        if header.work.as_ref().is_some_and(|work| work != claim.work()) {
            return Err(damaged(&"is of another run"));
        }
        if let Some(lines) = header.lines.filter(|lines| *lines > claim.lines()) {
            let own = claim.lines();
            let why = format!(
                "was saved when the journal had {lines} lines, and it has {own}: some are lost, or the folder was copied \
                 while a process worked in it; restore the journal"
            );
            return Err(damaged(&why));
        }
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
