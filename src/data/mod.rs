//! Data sets: bytes on disk (or none) to labelled images, and from there to batches of pixels in `[0, 1]`.
//!
//! Every source gives the same value, a [`Dataset`]. Normalisation is not done here: it is layer 0 of a network, so
//! that an attack and a clean pass see the same pixels.

pub mod attacked;
pub mod batch;
pub mod check;
pub mod cifar;
pub mod folder;
pub mod hf;
pub mod loader;
pub mod mnist;
pub mod npy;
pub mod source;
pub mod split;
pub mod synthetic;

mod decode;
mod pickle;

pub use source::Source;

use std::path::Path;

use sha2::{Digest, Sha256};

use crate::arch::op::Shape;
use crate::error::{Error, IoContext, Result};

/// Labelled images of one size, in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dataset {
    /// A word for tables, whatever the format on the disk: `synthetic`, `cifar10`, or the folder's name.
    pub name: String,
    /// Class names; a label is an index into them.
    pub classes: Vec<String>,
    /// Size of every image, `[h, w, c]`.
    pub image: Shape,
    /// Images to train on; validation images are taken from these.
    pub train: Images,
    /// Images for the final table only.
    pub test: Images,
    /// What was found and not read, and what was read otherwise than it lies there; in sentences.
    pub notes: Vec<String>,
}

/// Images and labels of one half of a data set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Images {
    /// `[n, h, w, c]`, eight bits a channel.
    pub pixels: Vec<u8>,
    /// `[n]`.
    pub labels: Vec<u32>,
}

impl Images {
    /// Number of images.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there is no image.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// The index of every image, ascending.
    pub fn ids(&self) -> Vec<u32> {
        (0..self.labels.len() as u32).collect()
    }

    /// Image `i`, `[h, w, c]`. Panics when `i` is not below [`Images::len`].
    pub fn image(&self, i: usize) -> &[u8] {
        let size = self.pixels.len() / self.labels.len();
        &self.pixels[i * size..(i + 1) * size]
    }
}

impl Dataset {
    /// What a network for these images must fit: their shape, and the number of classes.
    pub fn seen(&self) -> (Shape, usize) {
        (self.image, self.classes.len())
    }

    /// The first 16 hexadecimal digits of a SHA-256 over shapes, images and labels: two records are comparable only if
    /// they carry the same one. Names are not part of it: renaming a folder does not change what was measured.
    pub fn content_id(&self) -> String {
        let mut hash = Sha256::new();
        hash.update(b"robustnas/dataset/1");
        for side in [self.image.h, self.image.w, self.image.c, self.classes.len()] {
            hash.update((side as u64).to_le_bytes());
        }
        for images in [&self.train, &self.test] {
            hash.update((images.len() as u64).to_le_bytes());
            hash.update(&images.pixels);
            for label in &images.labels {
                hash.update(label.to_le_bytes());
            }
        }
        short_hex(hash)
    }
}

/// The names of classes that are numbers: those of `DIR/classes.txt`, one a line, else the numbers themselves.
fn numbered(dir: &Path, count: usize) -> Result<Vec<String>> {
    let path = dir.join("classes.txt");
    if !path.is_file() {
        return Ok((0..count).map(|label| label.to_string()).collect());
    }
    let text = std::fs::read_to_string(&path).at(&path)?;
    let names: Vec<String> = text.lines().map(str::trim).filter(|l| !l.is_empty()).map(str::to_owned).collect();
    match names.len() >= count {
        true => Ok(names),
        false => Err(Error::data(&path, format!("has {} class names, the labels count to {count}", names.len()))),
    }
}

/// Labels of names: classes are the names that there are, in the order of the alphabet.
fn named(names: &[String]) -> (Vec<u32>, Vec<String>) {
    let mut classes = names.to_vec();
    classes.sort_unstable();
    classes.dedup();
    let label = |name: &String| classes.binary_search(name).unwrap_or(0) as u32;
    (names.iter().map(label).collect(), classes)
}

/// What a data set is called that lies in a folder: the name by which its images and classes are known, else the folder's.
fn name_of(dir: &Path, image: Shape, classes: &[String]) -> String {
    if let Some(known) = cifar::known(image, classes) {
        return known.to_owned();
    }
    // `.` and `..` have no name of their own.
    let whole = dir.canonicalize().unwrap_or_else(|_| dir.to_owned());
    whole.file_name().map_or_else(|| "unnamed".to_owned(), |name| name.to_string_lossy().into_owned())
}

/// The first 16 hexadecimal digits of a finished hash.
fn short_hex(hash: Sha256) -> String {
    hash.finalize().iter().take(8).map(|b| format!("{b:02x}")).collect()
}
