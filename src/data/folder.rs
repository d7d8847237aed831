//! Folders of image files: `DIR/train/<class>/*.png` and `DIR/test/<class>/*.png`, or `DIR/<class>/*.png`.
//!
//! Without `train` and `test` folders, an image goes to the test half by the SHA-256 of `<class>/<file>` (one in
//! six on average): an image's half depends on its name alone, so adding files moves no other image.

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::decode::Stack;
use super::{Dataset, Images, name_of};
use crate::arch::op::Shape;
use crate::error::{Error, IoContext, Result};

const READABLE: [&str; 3] = ["png", "jpg", "jpeg"];
/// Pictures this program cannot read: to skip them silently would lose data.
const UNREADABLE: [&str; 8] = ["bmp", "gif", "webp", "tif", "tiff", "ppm", "avif", "jp2"];

/// Image files decoded at once; bounds the memory that undecoded files take.
const CHUNK: usize = 4096;

/// An image file and its label.
type Entry = (PathBuf, u32);

/// Reads a folder of classes. Classes and files are taken in the order of their names; hidden files and files that are
/// not pictures are ignored; every image must have one size.
///
/// # Errors
/// [`Error::Data`] for a missing or empty folder, a test class without a training class, an unreadable image.
pub fn load(dir: &Path) -> Result<Dataset> {
    if !dir.is_dir() {
        return Err(Error::data(dir, format!("no such folder; {EXPECTED}")));
    }
    let (train_dir, test_dir) = (dir.join("train"), dir.join("test"));
    let (classes, train, test) = match (train_dir.is_dir(), test_dir.is_dir()) {
        (true, true) => {
            let classes = class_names(&train_dir)?;
            for class in class_names(&test_dir)? {
                if !classes.contains(&class) {
                    return Err(Error::data(
                        test_dir.join(&class),
                        format!("class `{class}` has no folder in {}", train_dir.display()),
                    ));
                }
            }
            let (train, test) = (entries(&train_dir, &classes)?, entries(&test_dir, &classes)?);
            (classes, train, test)
        }
        (false, false) => {
            let classes = class_names(dir)?;
            let (test, train) =
                entries(dir, &classes)?.into_iter().partition(|(path, label)| is_test(&classes[*label as usize], path));
            (classes, train, test)
        }
        (has_train, _) => {
            let missing = if has_train { test_dir } else { train_dir };
            return Err(Error::data(missing, format!("no such folder; {EXPECTED}")));
        }
    };
    for (half, list) in [("training", &train), ("test", &test)] {
        if list.is_empty() {
            return Err(Error::data(dir, format!("no {half} images (png, jpg, jpeg); {EXPECTED}")));
        }
    }
    let (shape, train) = read(dir, train, None)?;
    let (shape, test) = read(dir, test, Some(shape))?;
    Ok(Dataset { name: name_of(dir, shape, &classes), classes, image: shape, train, test })
}

const EXPECTED: &str =
    "`folder:DIR` needs DIR/train/<class>/*.png and DIR/test/<class>/*.png, or DIR/<class>/*.png (png, jpg or jpeg)";

fn is_test(class: &str, path: &Path) -> bool {
    let mut hash = Sha256::new();
    hash.update(b"robustnas/folder/1");
    hash.update(class.as_bytes());
    hash.update(b"/");
    hash.update(path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default().as_bytes());
    let digest = hash.finalize();
    u16::from_le_bytes([digest[0], digest[1]]) % 6 == 0
}

/// What `dir` holds, hidden things left out, sorted by name.
fn listing(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(dir).at(dir)? {
        let entry = entry.at(dir)?;
        if !entry.file_name().to_string_lossy().starts_with('.') {
            paths.push(entry.path());
        }
    }
    paths.sort();
    Ok(paths)
}

fn class_names(dir: &Path) -> Result<Vec<String>> {
    let folders = listing(dir)?.into_iter().filter(|p| p.is_dir());
    let names: Option<Vec<String>> =
        folders.map(|p| p.file_name().and_then(|n| n.to_str()).map(str::to_owned)).collect();
    match names {
        None => Err(Error::data(dir, "a class folder has a name that is not UTF-8; rename it")),
        Some(names) if names.is_empty() => Err(Error::data(dir, format!("no class folders; {EXPECTED}"))),
        Some(names) => Ok(names),
    }
}

/// The images of every class under `dir`, class by class.
fn entries(dir: &Path, classes: &[String]) -> Result<Vec<Entry>> {
    let mut entries = Vec::new();
    for (label, class) in classes.iter().enumerate() {
        let folder = dir.join(class);
        if !folder.is_dir() {
            continue;
        }
        for path in listing(&folder)? {
            let extension = path.extension().map(|e| e.to_string_lossy().to_lowercase()).unwrap_or_default();
            if UNREADABLE.contains(&extension.as_str()) {
                return Err(Error::data(path, format!("`{extension}` images cannot be read; convert them to png")));
            }
            if READABLE.contains(&extension.as_str()) && path.is_file() {
                entries.push((path, label as u32));
            }
        }
    }
    Ok(entries)
}

fn read(dir: &Path, entries: Vec<Entry>, shape: Option<Shape>) -> Result<(Shape, Images)> {
    let mut stack = Stack::of(shape);
    for chunk in entries.chunks(CHUNK) {
        let files: Vec<Vec<u8>> = chunk.iter().map(|(path, _)| std::fs::read(path).at(path)).collect::<Result<_>>()?;
        stack.extend(&files).map_err(|(i, why)| Error::data(&chunk[i].0, why))?;
    }
    let labels = entries.iter().map(|(_, label)| *label).collect();
    let shape = stack.shape.ok_or_else(|| Error::data(dir, format!("no images; {EXPECTED}")))?;
    Ok((shape, Images { pixels: stack.pixels, labels }))
}
