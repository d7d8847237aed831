//! Parquet files in the Hugging Face image layout: what `datasets` writes and the hub serves.
//!
//! A file is a shard of a split, by its name (`train-00000-of-00002.parquet`) or, where that is only a number, by that of its
//! folder (`train/0000.parquet`). A row holds an image, `{bytes, path}` or bytes alone, and a label, a whole number or a name.
//! Class names are in the file's metadata under the key `huggingface`; names as labels are classes in the order of the alphabet.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parquet::basic::{Compression, ConvertedType, LogicalType, Type as Physical};
use parquet::column::reader::get_typed_column_reader;
use parquet::data_type::{ByteArray, ByteArrayType, DataType, Int32Type, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::metadata::ParquetMetaData;
use parquet::file::reader::{FileReader, RowGroupReader};
use parquet::file::serialized_reader::SerializedFileReader;
use parquet::schema::types::ColumnDescriptor;

use super::decode::Stack;
use super::{Dataset, Images, name_of, named, numbered};
use crate::arch::op::Shape;
use crate::error::{Error, IoContext, Result};

/// Label columns in order of preference.
const LABELS: [&str; 7] = ["label", "labels", "fine_label", "target", "targets", "cls", "class"];
/// Image columns in order of preference, where there are several.
const PICTURES: [&str; 6] = ["image", "img", "jpg", "jpeg", "png", "webp"];

/// Reads the shards under `dir`. The test half is `test`, or `validation` (`valid`, `val`) where there is no `test`, or where it
/// has no labels (-1). Without a `train` split, there are only images to attack.
///
/// # Errors
/// [`Error::Data`] naming the file and, for an image or a label, its row group and row.
pub fn load(dir: &Path) -> Result<Dataset> {
    let Shards { train, test, validation, mut notes } = Shards::find(dir)?;
    let mut classes = None;
    let first = match train.is_empty() {
        true => None,
        false => Some(read(&train, None, &mut classes)?),
    };
    let shape = first.as_ref().map(|(shape, ..)| *shape);
    let tested = if test.is_empty() { &validation } else { &test };
    let has_other = !test.is_empty() && !validation.is_empty();
    let unlabelled = Shard::open(&tested[0], &mut classes)?.is_unlabelled()?;
    let tested = match (unlabelled, has_other) {
        (false, _) => tested,
        (true, true) => {
            notes.push("the labels of the test split are -1, so the validation split is the test half".into());
            &validation
        }
        (true, false) => {
            let why = "every label is -1: the labels of this split are not public; put a validation split beside it";
            return Err(Error::data(&tested[0], why));
        }
    };
    let (shape, test_pixels, test_labels) = read(tested, shape, &mut classes)?;
    let (train_pixels, train_labels) =
        first.map_or((vec![], Labels::default()), |(_, pixels, labels)| (pixels, labels));
    let split = train_labels.len();
    let (labels, classes) = match (train_labels.and(test_labels), classes) {
        (Some(Labels::Names(names)), None) => named(&names),
        (Some(Labels::Names(names)), Some(classes)) => {
            let label = |name: &String| classes.iter().position(|own| own == name);
            let labels: Option<Vec<u32>> = names.iter().map(|name| label(name).map(|at| at as u32)).collect();
            let labels =
                labels.ok_or_else(|| Error::data(dir, "a label is none of the class names in the metadata"))?;
            (labels, classes)
        }
        (Some(Labels::Numbers(labels)), Some(classes)) => (labels, classes),
        (Some(Labels::Numbers(labels)), None) => {
            let count = labels.iter().max().map_or(0, |l| l + 1);
            (labels, numbered(dir, count as usize)?)
        }
        (None, _) => return Err(Error::data(dir, "one split has numbers for labels and the other has names")),
    };
    let (of_train, of_test) = labels.split_at(split);
    let train = Images { pixels: train_pixels, labels: of_train.to_vec() };
    let test = Images { pixels: test_pixels, labels: of_test.to_vec() };
    Ok(Dataset { name: name_of(dir, shape, &classes), classes, image: shape, train, test, notes })
}

/// The labels of some rows.
#[derive(Debug)]
enum Labels {
    Numbers(Vec<u32>),
    Names(Vec<String>),
}

impl Default for Labels {
    fn default() -> Self {
        Labels::Numbers(vec![])
    }
}

impl Labels {
    fn len(&self) -> usize {
        match self {
            Labels::Numbers(list) => list.len(),
            Labels::Names(list) => list.len(),
        }
    }

    /// These and more; none where they are of two kinds.
    fn and(self, more: Labels) -> Option<Labels> {
        match (self, more) {
            (own, more) if own.len() == 0 => Some(more),
            (Labels::Numbers(own), Labels::Numbers(more)) => Some(Labels::Numbers([own, more].concat())),
            (Labels::Names(own), Labels::Names(more)) => Some(Labels::Names([own, more].concat())),
            _ => None,
        }
    }
}

/// The files of each split, in the order of their names.
struct Shards {
    train: Vec<PathBuf>,
    test: Vec<PathBuf>,
    validation: Vec<PathBuf>,
    /// What was found besides.
    notes: Vec<String>,
}

/// The splits that are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Half {
    Train,
    Test,
    Validation,
}

impl Half {
    const ALL: [Half; 3] = [Half::Train, Half::Test, Half::Validation];

    /// By a word.
    fn of(word: &str) -> Option<Half> {
        match word {
            "train" => Some(Half::Train),
            "test" => Some(Half::Test),
            "validation" | "valid" | "val" => Some(Half::Validation),
            _ => None,
        }
    }

    /// By the first word of a split's name, as `test_ood` begins like `test`.
    fn like(split: &str) -> Option<Half> {
        Half::of(split.split(|c: char| !c.is_ascii_alphabetic()).next()?)
    }
}

/// The name of a split in that of a file or folder: what stands before its number, `test_ood` of `test_ood-00000-of-00001`.
fn split_of(stem: &str) -> &str {
    let bytes = stem.as_bytes();
    let number =
        |at: &usize| matches!(bytes[*at], b'-' | b'_' | b'.') && bytes.get(at + 1).is_some_and(u8::is_ascii_digit);
    &stem[..(0..bytes.len()).find(number).unwrap_or(stem.len())]
}

impl Shards {
    fn find(dir: &Path) -> Result<Self> {
        const EXPECTED: &str = "`hf:DIR` needs train*.parquet and test*.parquet (or validation*.parquet) in DIR or below, or \
                                the latter alone to attack";
        if !dir.is_dir() {
            return Err(Error::data(dir, format!("no such folder; {EXPECTED}")));
        }
        let mut files = Vec::new();
        walk(dir, &mut files)?;
        let mut splits: [BTreeMap<String, Vec<PathBuf>>; 3] = Default::default();
        let (mut home, mut others): (Option<PathBuf>, Vec<PathBuf>) = (None, vec![]);
        for file in files {
            let text =
                |part: Option<&std::ffi::OsStr>| part.map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
            let parent = file.parent().unwrap_or(dir);
            let (stem, folder) = (text(file.file_stem()), text(parent.file_name()));
            let (split, config) = match Half::like(split_of(&stem)) {
                Some(half) => (Some((half, split_of(&stem).to_owned())), parent),
                None if parent != dir => {
                    (Half::like(&folder).map(|half| (half, folder)), parent.parent().unwrap_or(dir))
                }
                None => (None, parent),
            };
            let Some((half, name)) = split else {
                others.push(file);
                continue;
            };
            let home = home.get_or_insert_with(|| config.to_owned());
            if home != config {
                return Err(Error::data(
                    dir,
                    format!(
                        "two data sets, in {} and {}; name one of the folders: `hf:{}`",
                        home.display(),
                        config.display(),
                        home.display()
                    ),
                ));
            }
            splits[half as usize].entry(name).or_default().push(file);
        }
        let mut notes = Vec::new();
        let mut halves: [Vec<PathBuf>; 3] = Default::default();
        for half in Half::ALL {
            let mut named = std::mem::take(&mut splits[half as usize]);
            let exact = named.keys().find(|name| Half::of(name) == Some(half)).cloned();
            let names: Vec<String> = named.keys().map(|name| format!("`{name}`")).collect();
            let chosen = match (exact, &names[..]) {
                (Some(exact), _) => exact,
                (None, []) => continue,
                (None, [_]) => named.keys().next().cloned().unwrap_or_default(),
                (None, _) => {
                    let why = format!("several splits, {}; leave one of them there", names.join(", "));
                    return Err(Error::data(dir, why));
                }
            };
            halves[half as usize] = named.remove(&chosen).unwrap_or_default();
            let left: Vec<String> = named.keys().map(|name| format!("`{name}`")).collect();
            if !left.is_empty() {
                notes.push(format!("the split `{chosen}` is read; not read: {}", left.join(", ")));
            }
        }
        if let Some(first) = others.first() {
            let (name, count) = (first.display(), others.len());
            notes.push(format!("{count} parquet files belong to no split and are not read, such as {name}"));
        }
        let [train, test, validation] = halves;
        if test.is_empty() && validation.is_empty() {
            return Err(Error::data(dir, format!("no test parquet file; {EXPECTED}")));
        }
        for files in [&train, if test.is_empty() { &validation } else { &test }] {
            complete(files)?;
        }
        if !test.is_empty() && !validation.is_empty() {
            notes.push("the split `test` is the test half; the validation split is not read".into());
        }
        Ok(Shards { train, test, validation, notes })
    }
}

/// Parquet files under `dir`, hidden ones left out, in the order of their paths.
fn walk(dir: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(dir).at(dir)? {
        let entry = entry.at(dir)?;
        if !entry.file_name().to_string_lossy().starts_with('.') {
            paths.push(entry.path());
        }
    }
    paths.sort();
    for path in paths {
        if path.is_dir() {
            walk(&path, files)?;
        } else if path.extension().is_some_and(|e| e == "parquet") {
            files.push(path);
        }
    }
    Ok(())
}

/// Checks that all shards are there, by names such as `train-00000-of-00002`, so that an incomplete download is
/// refused.
fn complete(files: &[PathBuf]) -> Result<()> {
    let Some(first) = files.first() else { return Ok(()) };
    let stem = first.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
    let count = stem.split_once("-of-").and_then(|(_, rest)| rest.split('-').next()?.parse::<usize>().ok());
    match count {
        Some(count) if count != files.len() => Err(Error::data(
            first,
            format!("the name says there are {count} shards, {} found; fetch the missing ones", files.len()),
        )),
        _ => Ok(()),
    }
}

/// The pixels and labels of a split.
fn read(
    files: &[PathBuf],
    shape: Option<Shape>,
    classes: &mut Option<Vec<String>>,
) -> Result<(Shape, Vec<u8>, Labels)> {
    let mut stack = Stack::of(shape);
    let mut labels = Labels::default();
    for path in files {
        let more = Shard::open(path, classes)?.read(&mut stack)?;
        let mixed = || Error::data(path, "has labels of another kind than the files before");
        labels = labels.and(more).ok_or_else(mixed)?;
    }
    match stack.shape {
        Some(shape) if labels.len() > 0 => Ok((shape, stack.pixels, labels)),
        _ => Err(Error::data(&files[0], "no rows")),
    }
}

/// One open file and the places of its two columns.
struct Shard<'a> {
    path: &'a Path,
    reader: SerializedFileReader<File>,
    picture: usize,
    label: usize,
    /// Number of classes, where the metadata have it.
    classes: Option<usize>,
}

impl<'a> Shard<'a> {
    /// Opens a file and takes its class names, which must be those of the files before it.
    fn open(path: &'a Path, classes: &mut Option<Vec<String>>) -> Result<Self> {
        let file = File::open(path).at(path)?;
        let reader = guarded(|| SerializedFileReader::new(file)).map_err(|e| broken(path, "its footer", &e))?;
        let metadata = reader.metadata();
        let columns = metadata.file_metadata().schema_descr().columns();
        let features = features(path, metadata)?;
        let picture = picture_column(path, columns)?;
        let label = label_column(path, columns, &features)?;
        for column in [picture, label] {
            if columns[column].max_rep_level() != 0 {
                let name = columns[column].path().string();
                return Err(Error::data(path, format!("column `{name}` is a list; expected one value a row")));
            }
        }
        unpackable(path, metadata)?;
        let name = columns[label].path().string();
        if let Some((_, names)) = features.into_iter().find(|(feature, _)| *feature == name) {
            match classes {
                Some(known) if *known != names => {
                    return Err(Error::data(path, format!("the class names of `{name}` differ from the files before")));
                }
                Some(_) => {}
                None => *classes = Some(names),
            }
        }
        let classes = classes.as_ref().map(Vec::len);
        Ok(Shard { path, reader, picture, label, classes })
    }

    fn group(&self, group: usize) -> Result<(Box<dyn RowGroupReader + '_>, usize)> {
        let rows = usize::try_from(self.reader.metadata().row_group(group).num_rows())
            .map_err(|_| Error::data(self.path, format!("row group {group} has a negative number of rows")))?;
        let reader = guarded(|| self.reader.get_row_group(group))
            .map_err(|e| broken(self.path, &format!("row group {group}"), &e))?;
        Ok((reader, rows))
    }

    /// Whether its first rows have -1 for labels, as splits with secret ones have.
    fn is_unlabelled(&self) -> Result<bool> {
        if self.reader.num_row_groups() == 0 || self.has_names() {
            return Ok(false);
        }
        let (reader, rows) = self.group(0)?;
        let numbers = self.labels(&*reader, rows, &|row| format!("row group 0, row {row}"))?;
        Ok(!numbers.is_empty() && numbers.iter().all(|n| *n == -1))
    }

    fn has_names(&self) -> bool {
        self.reader.metadata().file_metadata().schema_descr().column(self.label).physical_type() == Physical::BYTE_ARRAY
    }

    fn read(&self, stack: &mut Stack) -> Result<Labels> {
        let mut labels = if self.has_names() { Labels::Names(vec![]) } else { Labels::default() };
        let mut row_of_file = 0;
        for group in 0..self.reader.num_row_groups() {
            let place = |row: usize| format!("row group {group}, row {row} (row {} of the file)", row_of_file + row);
            let (reader, rows) = self.group(group)?;
            let files = self.column::<ByteArrayType>(&*reader, self.picture, rows, &place)?;
            let files: Vec<&[u8]> = files.iter().map(ByteArray::data).collect();
            let at = |row: usize, why: &str| Error::data(self.path, format!("{}: {why}", place(row)));
            match &mut labels {
                Labels::Names(list) => {
                    let names = self.column::<ByteArrayType>(&*reader, self.label, rows, &place)?;
                    for (row, name) in names.iter().enumerate() {
                        let name = std::str::from_utf8(name.data()).map_err(|_| at(row, "the label is no text"))?;
                        list.push(name.to_owned());
                    }
                }
                Labels::Numbers(list) => {
                    let classes = self.classes.unwrap_or(MAX_CLASSES);
                    for (row, number) in self.labels(&*reader, rows, &place)?.into_iter().enumerate() {
                        let label = u32::try_from(number).ok().filter(|l| (*l as usize) < classes);
                        let why = || format!("label {number} is out of range; expected 0 to {}", classes - 1);
                        list.push(label.ok_or_else(|| at(row, &why()))?);
                    }
                }
            }
            stack.extend(&files).map_err(|(row, why)| at(row, &why))?;
            row_of_file += rows;
        }
        Ok(labels)
    }

    fn labels(&self, group: &dyn RowGroupReader, rows: usize, place: &dyn Fn(usize) -> String) -> Result<Vec<i64>> {
        match group.metadata().column(self.label).column_type() {
            Physical::INT32 => {
                Ok(self.column::<Int32Type>(group, self.label, rows, place)?.into_iter().map(i64::from).collect())
            }
            _ => self.column::<Int64Type>(group, self.label, rows, place),
        }
    }

    /// Every value of a column of a row group; a null is an error.
    fn column<T: DataType>(
        &self,
        group: &dyn RowGroupReader,
        column: usize,
        rows: usize,
        place: &dyn Fn(usize) -> String,
    ) -> Result<Vec<T::T>> {
        let descriptor = group.metadata().column(column).column_descr();
        let (name, full) = (descriptor.path().string(), descriptor.max_def_level());
        let (values, levels) = guarded(|| {
            let mut reader = get_typed_column_reader::<T>(group.get_column_reader(column)?);
            let (mut values, mut levels) = (Vec::new(), Vec::new());
            let mut read = 0;
            while read < rows {
                match reader.read_records(rows - read, Some(&mut levels), None, &mut values)? {
                    (0, ..) => break,
                    (more, ..) => read += more,
                }
            }
            Ok((values, levels))
        })
        .map_err(|e| broken(self.path, &format!("{}, column `{name}`", place(0)), &e))?;
        if let Some(row) = levels.iter().position(|level| *level < full) {
            return Err(Error::data(self.path, format!("{}: `{name}` is null", place(row))));
        }
        if values.len() != rows {
            return Err(Error::data(
                self.path,
                format!("{}: column `{name}` has {} values, expected {rows}", place(0), values.len()),
            ));
        }
        Ok(values)
    }
}

/// More classes than any classification data set has: without metadata, a larger label counts as damage.
const MAX_CLASSES: usize = 100_000;

/// Calls the parquet library, which panics on some damaged pages; a panic becomes an error about the file.
fn guarded<T>(call: impl FnOnce() -> Result<T, ParquetError>) -> Result<T, ParquetError> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(call))
        .unwrap_or_else(|_| Err(ParquetError::General("a page cannot be decoded".into())))
}

fn broken(path: &Path, part: &str, e: &ParquetError) -> Error {
    let pointer = std::fs::File::open(path).ok().is_some_and(|mut file| {
        let mut head = [0; 19];
        std::io::Read::read_exact(&mut file, &mut head).is_ok() && &head == b"version https://git"
    });
    if pointer {
        return Error::data(path, "a Git LFS pointer, not the data; run `git lfs pull` in the data set's folder");
    }
    Error::data(path, format!("not a readable parquet file, {part}: {e}; fetch it again"))
}

/// Zstandard is a C library, so it is read only by builds that ask for it.
fn unpackable(path: &Path, metadata: &ParquetMetaData) -> Result<()> {
    let mut chunks = metadata.row_groups().iter().flat_map(|group| group.columns());
    if cfg!(feature = "zstd") || !chunks.any(|chunk| matches!(chunk.compression(), Compression::ZSTD(_))) {
        return Ok(());
    }
    let what = "is compressed by zstd, which this build does not read; write it anew with another compression (pyarrow: \
                `pq.write_table(pq.read_table(old), new, compression=\"snappy\")`), or build with `--features zstd`, for \
                which a C compiler is needed";
    Err(Error::data(path, what))
}

/// The `ClassLabel` features in the metadata: column and class names. No metadata, no features.
fn features(path: &Path, metadata: &ParquetMetaData) -> Result<Vec<(String, Vec<String>)>> {
    let pairs = metadata.file_metadata().key_value_metadata();
    let Some(text) = pairs.and_then(|p| p.iter().find(|kv| kv.key == "huggingface")?.value.as_ref()) else {
        return Ok(Vec::new());
    };
    let json: serde_json::Value = serde_json::from_str(text)
        .map_err(|e| Error::data(path, format!("the metadata under `huggingface` are not JSON: {e}")))?;
    let Some(features) = json.pointer("/info/features").and_then(|f| f.as_object()) else { return Ok(Vec::new()) };
    let labelled = features.iter().filter(|(_, f)| f["_type"] == "ClassLabel" || f["names"].is_array());
    labelled
        .map(|(column, feature)| {
            let names: Option<Vec<String>> = feature["names"]
                .as_array()
                .and_then(|names| names.iter().map(|n| n.as_str().map(str::to_owned)).collect());
            match names {
                Some(names) if !names.is_empty() => Ok((column.clone(), names)),
                _ => Err(Error::data(path, format!("the metadata give no class names for the ClassLabel `{column}`"))),
            }
        })
        .collect()
}

fn names(columns: &[Arc<ColumnDescriptor>]) -> String {
    columns.iter().map(|c| format!("`{}` ({})", c.path().string(), c.physical_type())).collect::<Vec<_>>().join(", ")
}

/// Whether a column of bytes is text.
fn is_text(column: &ColumnDescriptor) -> bool {
    column.converted_type() == ConvertedType::UTF8 || matches!(column.logical_type_ref(), Some(LogicalType::String))
}

/// The column `<any>.bytes`, or bytes of a name that images have.
fn picture_column(path: &Path, columns: &[Arc<ColumnDescriptor>]) -> Result<usize> {
    let found: Vec<(usize, &str)> = columns
        .iter()
        .enumerate()
        .filter(|(_, c)| c.physical_type() == Physical::BYTE_ARRAY && !is_text(c))
        .filter_map(|(i, c)| match c.path().parts() {
            [root, leaf] if leaf == "bytes" => Some((i, root.as_str())),
            [name] if PICTURES.contains(&name.as_str()) => Some((i, name.as_str())),
            _ => None,
        })
        .collect();
    let preferred = PICTURES.iter().find_map(|name| found.iter().find(|(_, root)| root == name));
    match (preferred, &found[..]) {
        (Some((i, _)), _) | (None, [(i, _)]) => Ok(*i),
        (None, []) => Err(Error::data(
            path,
            format!(
                "no image column; expected a struct {{bytes, path}} or bytes named {}, found {}",
                PICTURES.join(", "),
                names(columns)
            ),
        )),
        (None, _) => {
            let all = PICTURES.join(", ");
            Err(Error::data(path, format!("several image columns and none is named {all}: {}", names(columns))))
        }
    }
}

/// The column named as a label, or the only one the metadata call a `ClassLabel`.
fn label_column(path: &Path, columns: &[Arc<ColumnDescriptor>], features: &[(String, Vec<String>)]) -> Result<usize> {
    let find = |name: &str| columns.iter().position(|c| c.path().string() == name);
    let only = match features {
        [(name, _)] => find(name),
        _ => None,
    };
    let Some(i) = LABELS.iter().find_map(|name| find(name)).or(only) else {
        let all = LABELS.map(|name| format!("`{name}`")).join(", ");
        return Err(Error::data(path, format!("no label column; expected one of {all}, found {}", names(columns))));
    };
    match columns[i].physical_type() {
        Physical::INT32 | Physical::INT64 => Ok(i),
        Physical::BYTE_ARRAY if is_text(&columns[i]) => Ok(i),
        other => Err(Error::data(
            path,
            format!("column `{}` is {other}; expected whole numbers or names", columns[i].path().string()),
        )),
    }
}
