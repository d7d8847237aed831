//! Folders of image files: `DIR/train/<class>/` and `DIR/test/<class>/`, or `DIR/<class>/`, as ImageNet and Tiny-ImageNet are
//! unpacked. Where `test` has no labels or is not there, `val` (`valid`, `validation`) takes its place; the images of
//! Tiny-ImageNet's `val` have their classes in `val_annotations.txt`. A folder without `train` holds images to attack.
//!
//! Without such folders, an image goes to the test half when the SHA-256 of `<class>/<file>` says so (one in six on average):
//! an image's side depends on its own name alone, so adding files moves no other.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::decode::{ENDINGS, READABLE, Stack};
use super::{Dataset, Images, name_of};
use crate::arch::op::Shape;
use crate::error::{Error, IoContext, Result};

/// Files that are no data and lie beside such.
const ASIDE: [&str; 12] = ["txt", "csv", "tsv", "json", "xml", "md", "yaml", "yml", "html", "mat", "ini", "db"];

/// What the folder of a test half is called, in order of preference.
const TESTS: [&str; 4] = ["test", "val", "valid", "validation"];

/// The classes of Tiny-ImageNet's validation images, one a line: file, class, box.
const ANNOTATIONS: &str = "val_annotations.txt";

/// Image files decoded at once; bounds the memory that undecoded files take.
const CHUNK: usize = 4096;

/// How deep within a class's folder images may lie.
const DEEPEST: usize = 8;

/// An image file and its label.
type Entry = (PathBuf, u32);

/// Reads a folder of classes. Classes and files are taken in the order of their names, folders within a class with it; hidden
/// files and notes (`txt`, `json`, ...) are passed over; every image must have one size.
///
/// # Errors
/// [`Error::Data`] for a missing or empty folder, a test class without a training class, a file that is no image.
pub fn load(dir: &Path) -> Result<Dataset> {
    if !dir.is_dir() {
        return Err(Error::data(dir, format!("no such folder; {EXPECTED}")));
    }
    let train_dir = dir.join("train");
    let tests: Vec<PathBuf> = TESTS.iter().map(|name| dir.join(name)).filter(|path| path.is_dir()).collect();
    let mut notes = Vec::new();
    let (classes, train, test) = match (train_dir.is_dir(), tests.is_empty()) {
        (true, false) => {
            let classes = class_names(&train_dir)?;
            let train = entries(&train_dir, &classes)?;
            let (half, test) = test_half(&tests, &classes)?;
            note(&mut notes, &tests, &half);
            (classes, train, test)
        }
        (false, false) => {
            let half = &tests[0];
            let classes = class_names(half)?;
            note(&mut notes, &tests, half);
            (classes.clone(), vec![], entries(half, &classes)?)
        }
        (false, true) => {
            let classes = class_names(dir)?;
            let (test, train) =
                entries(dir, &classes)?.into_iter().partition(|(path, label)| is_test(&classes[*label as usize], path));
            (classes, train, test)
        }
        (true, true) => return Err(Error::data(dir.join(TESTS[0]), format!("no such folder; {EXPECTED}"))),
    };
    let divided = !train_dir.is_dir() && tests.is_empty();
    for (half, list, needed) in [("training", &train, train_dir.is_dir() || divided), ("test", &test, true)] {
        if list.is_empty() && needed {
            return Err(Error::data(dir, format!("no {half} images; {EXPECTED}")));
        }
    }
    let (shape, train) = match train.is_empty() {
        true => (None, Images::default()),
        false => read(dir, train, None).map(|(shape, images)| (Some(shape), images))?,
    };
    let (shape, test) = read(dir, test, shape)?;
    Ok(Dataset { name: name_of(dir, shape, &classes), classes, image: shape, train, test, notes })
}

/// Says which folders were not read.
fn note(notes: &mut Vec<String>, all: &[PathBuf], read: &Path) {
    let others: Vec<String> = all.iter().filter(|path| *path != read).map(|path| path.display().to_string()).collect();
    if !others.is_empty() {
        notes.push(format!("the test half is {}; not read: {}", read.display(), others.join(", ")));
    }
}

/// The first folder whose images have classes, and these images.
fn test_half(tests: &[PathBuf], classes: &[String]) -> Result<(PathBuf, Vec<Entry>)> {
    let mut refusal = None;
    for half in tests {
        let annotations = half.join(ANNOTATIONS);
        if annotations.is_file() {
            return Ok((half.clone(), annotated(half, &annotations, classes)?));
        }
        let own = folder_names(half)?;
        match own.iter().find(|class| !classes.contains(class)) {
            None if own.is_empty() => {
                let why = format!("no class folders, so its images have no labels; {EXPECTED}");
                refusal.get_or_insert(Error::data(half, why));
            }
            None => return Ok((half.clone(), entries(half, classes)?)),
            Some(class) => {
                let hint = if own == [IMAGES] { UNLABELLED } else { EXPECTED };
                let why = format!("class `{class}` has no folder in the training half; {hint}");
                refusal.get_or_insert(Error::data(half.join(class), why));
                // Images without classes are no test half; any other class is a mistake.
                if own != [IMAGES] {
                    break;
                }
            }
        }
    }
    Err(refusal.unwrap_or_else(|| Error::data(&tests[0], format!("no class folders; {EXPECTED}"))))
}

/// The images that a file of annotations names, in the order of their names.
fn annotated(half: &Path, annotations: &Path, classes: &[String]) -> Result<Vec<Entry>> {
    let text = std::fs::read_to_string(annotations).at(annotations)?;
    let mut labels = HashMap::new();
    for (at, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let mut words = line.split_whitespace();
        let (Some(file), Some(class)) = (words.next(), words.next()) else {
            return Err(Error::data(annotations, format!("line {}: expected a file and its class", at + 1)));
        };
        let label = classes.iter().position(|own| own == class).ok_or_else(|| {
            Error::data(annotations, format!("line {}: class `{class}` has no folder in the training half", at + 1))
        })?;
        labels.insert(file.to_owned(), label as u32);
    }
    let mut found = Vec::new();
    pictures(half, 0, &mut found)?;
    let entries = found.into_iter().map(|path| {
        let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        let label = labels.remove(&name);
        label
            .map(|label| (path.clone(), label))
            .ok_or_else(|| Error::data(&path, format!("{ANNOTATIONS} has no class for it")))
    });
    let entries = entries.collect::<Result<Vec<_>>>()?;
    match labels.keys().min() {
        Some(missing) => Err(Error::data(annotations, format!("`{missing}` is not there; unpack the images again"))),
        None => Ok(entries),
    }
}

/// The folder in which Tiny-ImageNet has images without their classes.
const IMAGES: &str = "images";

/// What to do about images without classes.
const UNLABELLED: &str = "images without classes are no test half; those of Tiny-ImageNet's `val` have theirs in \
                          val/val_annotations.txt, which belongs beside them";

const EXPECTED: &str = "`folder:DIR` needs DIR/train/<class>/ and DIR/test/<class>/ (or val), DIR/test/<class>/ alone to \
                        attack, or DIR/<class>/, with images in the folders of the classes";

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
    match folder_names(dir)? {
        names if names.is_empty() => Err(Error::data(dir, format!("no class folders; {EXPECTED}"))),
        names => Ok(names),
    }
}

fn folder_names(dir: &Path) -> Result<Vec<String>> {
    let folders = listing(dir)?.into_iter().filter(|p| p.is_dir());
    let names: Option<Vec<String>> =
        folders.map(|p| p.file_name().and_then(|n| n.to_str()).map(str::to_owned)).collect();
    names.ok_or_else(|| Error::data(dir, "a class folder has a name that is not UTF-8; rename it"))
}

/// The images of every class under `dir`, class by class. A class without a folder has none; one whose folder holds none is
/// a mistake.
fn entries(dir: &Path, classes: &[String]) -> Result<Vec<Entry>> {
    let mut entries = Vec::new();
    for (label, class) in classes.iter().enumerate() {
        let folder = dir.join(class);
        if !folder.is_dir() {
            continue;
        }
        let mut found = Vec::new();
        pictures(&folder, 0, &mut found)?;
        if found.is_empty() {
            let why = "the folder of a class without an image; remove it, or put its images there";
            return Err(Error::data(folder, why));
        }
        entries.extend(found.into_iter().map(|path| (path, label as u32)));
    }
    Ok(entries)
}

/// The image files of a folder and those within it.
fn pictures(folder: &Path, depth: usize, found: &mut Vec<PathBuf>) -> Result<()> {
    if depth > DEEPEST {
        return Err(Error::data(folder, format!("folders within folders, more than {DEEPEST} deep")));
    }
    for path in listing(folder)? {
        if path.is_dir() {
            pictures(&path, depth + 1, found)?;
            continue;
        }
        let ending = path.extension().map(|e| e.to_string_lossy().to_lowercase()).unwrap_or_default();
        if ENDINGS.contains(&ending.as_str()) {
            found.push(path);
        } else if !ASIDE.contains(&ending.as_str()) {
            let why = format!(
                "a file that is not read; images are {READABLE}, by their endings: convert it, or move it out of the data"
            );
            return Err(Error::data(path, why));
        }
    }
    Ok(())
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
