//! The official binary versions of CIFAR-10 and CIFAR-100 (Krizhevsky 2009,
//! <https://www.cs.toronto.edu/~kriz/cifar.html>).
//!
//! A record is the label (CIFAR-100: the coarse, then the fine label, one byte each) and 3,072 bytes: the red, green and
//! blue planes of 32 rows of 32 pixels. The Python versions hold the same in pickles, with the labels in lists.

use std::path::{Path, PathBuf};

use super::pickle::{self, Pickled};
use super::{Dataset, Images};
use crate::arch::op::Shape;
use crate::error::{Error, IoContext, Result};

const SHAPE: Shape = Shape::new(32, 32, 3);

const CLASSES_10: [&str; 10] =
    ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"];

/// The differences between the two data sets.
struct Layout {
    name: &'static str,
    /// The folder inside the official archive.
    folder: &'static str,
    archive: &'static str,
    train: &'static [&'static str],
    test: &'static [&'static str],
    names: &'static str,
    /// Of the Python version: its folder, its files, the key of its labels, and the file and key of its classes' names.
    python: Python,
    /// Label bytes before the pixels; the last one counts.
    label_bytes: usize,
    classes: usize,
}

/// The Python version of a data set.
struct Python {
    folder: &'static str,
    train: &'static [&'static str],
    test: &'static [&'static str],
    labels: &'static str,
    names: [&'static str; 2],
}

const CIFAR_10: Layout = Layout {
    name: "cifar10",
    folder: "cifar-10-batches-bin",
    archive: "cifar-10-binary.tar.gz",
    train: &["data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin"],
    test: &["test_batch.bin"],
    names: "batches.meta.txt",
    python: Python {
        folder: "cifar-10-batches-py",
        train: &["data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5"],
        test: &["test_batch"],
        labels: "labels",
        names: ["batches.meta", "label_names"],
    },
    label_bytes: 1,
    classes: 10,
};

const CIFAR_100: Layout = Layout {
    name: "cifar100",
    folder: "cifar-100-binary",
    archive: "cifar-100-binary.tar.gz",
    train: &["train.bin"],
    test: &["test.bin"],
    names: "fine_label_names.txt",
    python: Python {
        folder: "cifar-100-python",
        train: &["train"],
        test: &["test"],
        labels: "fine_labels",
        names: ["meta", "fine_label_names"],
    },
    label_bytes: 2,
    classes: 100,
};

/// Reads CIFAR-10 from the folder that holds `data_batch_1.bin` to `data_batch_5.bin` and `test_batch.bin`, or from the
/// one above it. Class names come from `batches.meta.txt`, or are the official ones.
///
/// # Errors
/// [`Error::Data`] for a missing file, an incomplete record and a label out of range (with the byte), and a wrong
/// number of class names; [`Error::Io`] where a file cannot be read.
pub fn load10(dir: &Path) -> Result<Dataset> {
    load(&CIFAR_10, dir, || CLASSES_10.iter().map(|c| (*c).to_owned()).collect())
}

/// Reads CIFAR-100 with its fine labels from the folder that holds `train.bin` and `test.bin`, or from the one above
/// it. Class names come from `fine_label_names.txt`; without that file they are the labels.
///
/// # Errors
/// As [`load10`].
pub fn load100(dir: &Path) -> Result<Dataset> {
    load(&CIFAR_100, dir, || (0..100).map(|label| label.to_string()).collect())
}

/// The name of the data set that has such images and these classes, whatever format it is read from; `None` for any
/// other.
pub(super) fn known(image: Shape, classes: &[String]) -> Option<&'static str> {
    // The fine classes of CIFAR-100 are sorted, and these are its first and last.
    let hundred = || {
        let ends = classes.first().map(String::as_str) == Some("apple") && classes.last().is_some_and(|c| c == "worm");
        ends && classes.len() == CIFAR_100.classes && classes.is_sorted()
    };
    match () {
        () if image != SHAPE => None,
        () if classes == CLASSES_10 => Some(CIFAR_10.name),
        () if hundred() => Some(CIFAR_100.name),
        () => None,
    }
}

fn load(layout: &Layout, dir: &Path, default_names: impl Fn() -> Vec<String>) -> Result<Dataset> {
    let python = [dir.join(layout.python.folder), dir.to_owned()];
    let is_python = |folder: &&PathBuf| layout.python.test.iter().all(|file| folder.join(file).is_file());
    let inner = dir.join(layout.folder);
    if let Some(folder) = python.iter().find(is_python).filter(|_| !inner.is_dir()) {
        return of_pickles(layout, folder, default_names);
    }
    let dir = if inner.is_dir() { inner } else { dir.to_owned() };
    let files: Vec<PathBuf> = layout.train.iter().chain(layout.test).map(|f| dir.join(f)).collect();
    if let Some(missing) = files.iter().find(|f| !f.is_file()) {
        return Err(Error::data(
            missing,
            format!(
                "no such file; `{}:DIR` needs a folder with {} (the binary version, unpacked from {}), or {} as torchvision \
                 leaves it. Other layouts: `hf:DIR` for parquet, `folder:DIR` for image files",
                layout.name,
                layout.train.iter().chain(layout.test).copied().collect::<Vec<_>>().join(", "),
                layout.archive,
                layout.python.folder
            ),
        ));
    }
    let (train, test) = files.split_at(layout.train.len());
    Ok(Dataset {
        name: layout.name.into(),
        classes: class_names(layout, &dir.join(layout.names))?.unwrap_or_else(default_names),
        image: SHAPE,
        train: read(layout, train)?,
        test: read(layout, test)?,
        notes: Vec::new(),
    })
}

/// Reads the Python version.
fn of_pickles(layout: &Layout, dir: &Path, default_names: impl Fn() -> Vec<String>) -> Result<Dataset> {
    let [file, key] = layout.python.names;
    let meta = dir.join(file);
    let classes = match meta.is_file() {
        false => default_names(),
        true => {
            let value = unpickled(&meta)?;
            let names = value.get(key).and_then(Pickled::list).map(|l| l.iter().filter_map(Pickled::text));
            let names: Vec<String> = names.into_iter().flatten().map(str::to_owned).collect();
            if names.len() != layout.classes {
                let message = format!("{} class names under `{key}`, expected {}", names.len(), layout.classes);
                return Err(Error::data(meta, message));
            }
            names
        }
    };
    let half = |files: &[&str]| -> Result<Images> {
        let mut images = Images::default();
        for file in files {
            batch(layout, &dir.join(file), &mut images)?;
        }
        Ok(images)
    };
    let (train, test) = (half(layout.python.train)?, half(layout.python.test)?);
    Ok(Dataset { name: layout.name.into(), classes, image: SHAPE, train, test, notes: Vec::new() })
}

fn unpickled(path: &Path) -> Result<Pickled> {
    let bytes = std::fs::read(path).at(path)?;
    pickle::parse(&bytes).map_err(|why| Error::data(path, format!("not a pickle that can be read: {why}")))
}

/// The images of one pickle: `data` of shape `[n, 3072]`, in planes, and labels.
fn batch(layout: &Layout, path: &Path, images: &mut Images) -> Result<()> {
    let value = unpickled(path)?;
    let bad = |message: String| Error::data(path, message);
    let key = layout.python.labels;
    let (Some(Pickled::Array(sides, planes)), Some(labels)) =
        (value.get("data"), value.get(key).and_then(Pickled::list))
    else {
        return Err(bad(format!("has no array `data` or no list `{key}`; unpack the archive again")));
    };
    if sides[..] != [labels.len(), SHAPE.len()] || labels.is_empty() {
        return Err(bad(format!("`data` has the shape {sides:?}, expected [{}, {}]", labels.len(), SHAPE.len())));
    }
    for (i, label) in labels.iter().enumerate() {
        let found = if let Pickled::Int(v) = label { usize::try_from(*v).ok() } else { None };
        let found = found.filter(|l| *l < layout.classes);
        let found = found.ok_or_else(|| {
            bad(format!("label {label:?} of image {i} is out of range; expected 0 to {}", layout.classes - 1))
        })?;
        images.labels.push(found as u32);
    }
    planes.chunks_exact(SHAPE.len()).for_each(|planes| interleave(planes, images));
    Ok(())
}

fn interleave(planes: &[u8], images: &mut Images) {
    let area = SHAPE.area();
    images.pixels.extend((0..area).flat_map(|p| [planes[p], planes[area + p], planes[2 * area + p]]));
}

/// One name a line; `None` when the file is not there.
fn class_names(layout: &Layout, path: &Path) -> Result<Option<Vec<String>>> {
    if !path.is_file() {
        return Ok(None);
    }
    let text = std::fs::read_to_string(path).at(path)?;
    let names: Vec<String> = text.lines().map(str::trim).filter(|l| !l.is_empty()).map(str::to_owned).collect();
    if names.len() != layout.classes {
        return Err(Error::data(path, format!("{} class names, expected {}", names.len(), layout.classes)));
    }
    Ok(Some(names))
}

fn read(layout: &Layout, files: &[PathBuf]) -> Result<Images> {
    let record = layout.label_bytes + SHAPE.len();
    let mut images = Images::default();
    for path in files {
        let bytes = std::fs::read(path).at(path)?;
        let torn = bytes.len() % record;
        if torn != 0 || bytes.is_empty() {
            return Err(Error::data_at(
                path,
                (bytes.len() - torn) as u64,
                format!(
                    "the record that starts here has {torn} of {record} bytes: the file ({} bytes) is cut short or of \
                     another data set; fetch {} again",
                    bytes.len(),
                    layout.archive
                ),
            ));
        }
        images.pixels.reserve(bytes.len() / record * SHAPE.len());
        for (i, record_bytes) in bytes.chunks_exact(record).enumerate() {
            let (labels, planes) = record_bytes.split_at(layout.label_bytes);
            let label = labels[layout.label_bytes - 1];
            if usize::from(label) >= layout.classes {
                return Err(Error::data_at(
                    path,
                    (i * record + layout.label_bytes - 1) as u64,
                    format!("label {label} of image {i} is out of range; expected 0 to {}", layout.classes - 1),
                ));
            }
            images.labels.push(u32::from(label));
            interleave(planes, &mut images);
        }
    }
    Ok(images)
}
