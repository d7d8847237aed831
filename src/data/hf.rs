//! Parquet files in the Hugging Face image layout: what `datasets` writes and the hub serves.
//!
//! A file is a shard of the training or the test half, by the first word of its name (`train-00000-of-00002.parquet`)
//! or, failing that, of its folder (`train/0000.parquet`). A row holds an image, `{bytes, path}`, and an
//! integer label. Class names are in the file's metadata under the key `huggingface`.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parquet::basic::{Compression, Type as Physical};
use parquet::column::reader::get_typed_column_reader;
use parquet::data_type::{ByteArray, ByteArrayType, DataType, Int32Type, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::metadata::ParquetMetaData;
use parquet::file::reader::{FileReader, RowGroupReader};
use parquet::file::serialized_reader::SerializedFileReader;
use parquet::schema::types::ColumnDescriptor;

use super::decode::Stack;
use super::{Dataset, Images, name_of};
use crate::arch::op::Shape;
use crate::error::{Error, IoContext, Result};

/// Label columns in order of preference.
const LABELS: [&str; 3] = ["label", "labels", "fine_label"];
/// Image columns in order of preference, where there are several.
const PICTURES: [&str; 2] = ["image", "img"];

/// Reads every shard under `dir`. The test half is `test`, or `validation` (`valid`, `val`) where there is no `test`.
///
/// # Errors
/// [`Error::Data`] naming the file and, for an image or a label, its row group and row.
pub fn load(dir: &Path) -> Result<Dataset> {
    let shards = Shards::find(dir)?;
    let mut classes = None;
    let (shape, train) = read(&shards.train, None, &mut classes)?;
    let (shape, test) = read(&shards.test, Some(shape), &mut classes)?;
    let classes = match classes {
        Some(names) => names,
        None => {
            let count = train.labels.iter().chain(&test.labels).max().map_or(0, |l| l + 1);
            (0..count).map(|label| label.to_string()).collect()
        }
    };
    Ok(Dataset { name: name_of(dir, shape, &classes), classes, image: shape, train, test })
}

/// The files of each half, in the order of their names.
struct Shards {
    train: Vec<PathBuf>,
    test: Vec<PathBuf>,
}

/// The halves a file can belong to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Half {
    Train,
    Test,
    Validation,
}

impl Half {
    /// By the first word of a file's or folder's name.
    fn of(name: &str) -> Option<Half> {
        match name.split(|c: char| !c.is_ascii_alphabetic()).next()? {
            "train" => Some(Half::Train),
            "test" => Some(Half::Test),
            "validation" | "valid" | "val" => Some(Half::Validation),
            _ => None,
        }
    }
}

impl Shards {
    fn find(dir: &Path) -> Result<Self> {
        const EXPECTED: &str =
            "`hf:DIR` needs train*.parquet and test*.parquet (or validation*.parquet) in DIR or below";
        if !dir.is_dir() {
            return Err(Error::data(dir, format!("no such folder; {EXPECTED}")));
        }
        let mut files = Vec::new();
        walk(dir, &mut files)?;
        let mut halves: [Vec<PathBuf>; 3] = Default::default();
        let mut home: Option<PathBuf> = None;
        for file in files {
            let name = |p: &Path| p.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
            let parent = file.parent().unwrap_or(dir);
            let (half, config) = match Half::of(&name(&file)) {
                Some(half) => (Some(half), parent),
                None if parent != dir => (Half::of(&name(parent)), parent.parent().unwrap_or(dir)),
                None => (None, parent),
            };
            let Some(half) = half else { continue };
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
            halves[half as usize].push(file);
        }
        let [train, mut test, validation] = halves;
        if test.is_empty() {
            test = validation;
        }
        for (half, files) in [("training", &train), ("test", &test)] {
            if files.is_empty() {
                return Err(Error::data(dir, format!("no {half} parquet file; {EXPECTED}")));
            }
            complete(files)?;
        }
        Ok(Shards { train, test })
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

fn read(files: &[PathBuf], shape: Option<Shape>, classes: &mut Option<Vec<String>>) -> Result<(Shape, Images)> {
    let mut stack = Stack::of(shape);
    let mut labels = Vec::new();
    for path in files {
        Shard::open(path, classes)?.read(&mut stack, &mut labels)?;
    }
    match stack.shape {
        Some(shape) if !labels.is_empty() => Ok((shape, Images { pixels: stack.pixels, labels })),
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

    fn read(&self, stack: &mut Stack, labels: &mut Vec<u32>) -> Result<()> {
        let mut row_of_file = 0;
        for group in 0..self.reader.num_row_groups() {
            let place = |row: usize| format!("row group {group}, row {row} (row {} of the file)", row_of_file + row);
            let metadata = self.reader.metadata().row_group(group);
            for column in [self.picture, self.label] {
                if let Compression::ZSTD(_) = metadata.column(column).compression() {
                    return Err(Error::data(
                        self.path,
                        "compressed with zstd, which this build does not read; rewrite it with snappy, for example in \
                         Python: `import pyarrow.parquet as pq; pq.write_table(pq.read_table(\"OLD\"), \"NEW\", \
                         compression=\"snappy\")`",
                    ));
                }
            }
            let rows = usize::try_from(metadata.num_rows())
                .map_err(|_| Error::data(self.path, format!("row group {group} has a negative number of rows")))?;
            let reader = guarded(|| self.reader.get_row_group(group))
                .map_err(|e| broken(self.path, &format!("row group {group}"), &e))?;
            let files = self.column::<ByteArrayType>(&*reader, self.picture, rows, &place)?;
            let files: Vec<&[u8]> = files.iter().map(ByteArray::data).collect();
            let numbers = self.labels(&*reader, rows, &place)?;
            stack.extend(&files).map_err(|(row, why)| Error::data(self.path, format!("{}: {why}", place(row))))?;
            let classes = self.classes.unwrap_or(MAX_CLASSES);
            for (row, number) in numbers.into_iter().enumerate() {
                let label = u32::try_from(number).ok().filter(|l| (*l as usize) < classes);
                labels.push(label.ok_or_else(|| {
                    Error::data(
                        self.path,
                        format!("{}: label {number} is out of range; expected 0 to {}", place(row), classes - 1),
                    )
                })?);
            }
            row_of_file += rows;
        }
        Ok(())
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

/// The column `<any>.bytes`.
fn picture_column(path: &Path, columns: &[Arc<ColumnDescriptor>]) -> Result<usize> {
    let structs: Vec<(usize, &str)> = columns
        .iter()
        .enumerate()
        .filter_map(|(i, c)| match c.path().parts() {
            [root, leaf] if leaf == "bytes" && c.physical_type() == Physical::BYTE_ARRAY => Some((i, root.as_str())),
            _ => None,
        })
        .collect();
    let preferred = PICTURES.iter().find_map(|name| structs.iter().find(|(_, root)| root == name));
    match (preferred, &structs[..]) {
        (Some((i, _)), _) | (None, [(i, _)]) => Ok(*i),
        (None, []) => Err(Error::data(
            path,
            format!(
                "no image column; expected a struct {{bytes, path}} named `image` or `img`, found {}",
                names(columns)
            ),
        )),
        (None, _) => Err(Error::data(
            path,
            format!("several image columns and none is named `image` or `img`: {}", names(columns)),
        )),
    }
}

/// The integer column named as a label, or the only one the metadata call a `ClassLabel`.
fn label_column(path: &Path, columns: &[Arc<ColumnDescriptor>], features: &[(String, Vec<String>)]) -> Result<usize> {
    let find = |name: &str| columns.iter().position(|c| c.path().string() == name);
    let only = match features {
        [(name, _)] => find(name),
        _ => None,
    };
    let Some(i) = LABELS.iter().find_map(|name| find(name)).or(only) else {
        return Err(Error::data(
            path,
            format!("no label column; expected one of `label`, `labels`, `fine_label`, found {}", names(columns)),
        ));
    };
    match columns[i].physical_type() {
        Physical::INT32 | Physical::INT64 => Ok(i),
        other => Err(Error::data(
            path,
            format!("column `{}` is {other}; expected integer labels", columns[i].path().string()),
        )),
    }
}
