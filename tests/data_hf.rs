//! Parquet in the Hugging Face layout: what reads, and what damaged or unsuitable files are told.

use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use image::{ImageFormat, Rgb, RgbImage};
use parquet::basic::{Compression, GzipLevel};
use parquet::data_type::{ByteArray, ByteArrayType, Int64Type};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use robustnas::arch::op::Shape;
use robustnas::data::check::inspect;
use robustnas::data::{Dataset, Source};
use robustnas::error::Error;

const SCHEMA: &str = "message schema { optional group image { optional binary bytes; optional binary path (UTF8); }
                      optional int64 label; }";
const NAMES: &str = r#"{"info": {"features": {"image": {"_type": "Image"},
                        "label": {"names": ["cat", "dog", "owl"], "_type": "ClassLabel"}}}}"#;

fn picture(shade: u8, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    RgbImage::from_pixel(8, 8, Rgb([shade, shade / 2, 3])).write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

fn png(shade: u8) -> Option<Vec<u8>> {
    Some(picture(shade, ImageFormat::Png))
}

/// One row: an image or null, and a label.
type Row = (Option<Vec<u8>>, i64);

/// Writes rows under `schema` (three leaves: bytes, path, label), `group` rows a row group.
fn write(path: &Path, schema: &str, names: Option<&str>, compression: Compression, rows: &[Row], group: usize) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let metadata = names.map(|n| vec![KeyValue::new("huggingface".to_owned(), Some(n.to_owned()))]);
    let properties = WriterProperties::builder().set_compression(compression).set_key_value_metadata(metadata).build();
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let mut writer = SerializedFileWriter::new(fs::File::create(path).unwrap(), schema, Arc::new(properties)).unwrap();
    // The level of a value that is there; one less is null.
    let full: Vec<i16> = (0..3).map(|leaf| writer.schema_descr().column(leaf).max_def_level()).collect();
    for rows in rows.chunks(group) {
        let mut rows_out = writer.next_row_group().unwrap();
        let bytes: Vec<ByteArray> = rows.iter().filter_map(|r| r.0.clone()).map(ByteArray::from).collect();
        let levels: Vec<i16> = rows.iter().map(|r| full[0] - i16::from(r.0.is_none())).collect();
        let mut column = rows_out.next_column().unwrap().unwrap();
        column.typed::<ByteArrayType>().write_batch(&bytes, Some(&levels), None).unwrap();
        column.close().unwrap();
        let mut column = rows_out.next_column().unwrap().unwrap();
        column.typed::<ByteArrayType>().write_batch(&[], Some(&vec![full[1] - 1; rows.len()]), None).unwrap();
        column.close().unwrap();
        let labels: Vec<i64> = rows.iter().map(|r| r.1).collect();
        let mut column = rows_out.next_column().unwrap().unwrap();
        column.typed::<Int64Type>().write_batch(&labels, Some(&vec![full[2]; rows.len()]), None).unwrap();
        column.close().unwrap();
        rows_out.close().unwrap();
    }
    writer.close().unwrap();
}

fn plain(path: &Path, rows: &[Row]) {
    write(path, SCHEMA, Some(NAMES), Compression::SNAPPY, rows, 4);
}

fn rows(n: u8) -> Vec<Row> {
    (0..n).map(|i| (png(i), i64::from(i % 3))).collect()
}

fn load(dir: &Path) -> Result<Dataset, Error> {
    Source::Hf(dir.to_owned()).load()
}

/// The file name and the text of the data error that loading must give.
fn data_error(dir: &Path) -> (String, String) {
    match load(dir) {
        Err(Error::Data { path, message, .. }) => (path.file_name().unwrap().to_string_lossy().into_owned(), message),
        other => panic!("expected a data error, got {:?}", other.map(|d| d.name)),
    }
}

#[test]
fn shards_are_read_in_order_with_their_names() {
    let dir = tempfile::tempdir().unwrap();
    let all = rows(10);
    let deep = dir.path().join("plain");
    write(&deep.join("train-00001-of-00002.parquet"), SCHEMA, Some(NAMES), Compression::UNCOMPRESSED, &all[6..], 4);
    write(&deep.join("train-00000-of-00002.parquet"), SCHEMA, Some(NAMES), Compression::SNAPPY, &all[..6], 4);
    plain(&deep.join("validation-00000-of-00001.parquet"), &[(Some(picture(9, ImageFormat::Jpeg)), 2)]);
    let data = load(dir.path()).unwrap();
    assert_eq!(data.classes, ["cat", "dog", "owl"]);
    assert_eq!((data.train.len(), data.test.len(), data.image), (10, 1, Shape::new(8, 8, 3)));
    for i in 0..10 {
        assert_eq!(data.train.image(i)[..3], [i as u8, i as u8 / 2, 3]);
        assert_eq!(data.train.labels[i], i as u32 % 3);
    }
    // A test shard takes the place of the validation shard.
    plain(&deep.join("test.parquet"), &rows(4));
    assert_eq!(load(dir.path()).unwrap().test.len(), 4);
    // A shard that its siblings' names promise is missed.
    fs::remove_file(deep.join("train-00001-of-00002.parquet")).unwrap();
    assert!(data_error(dir.path()).1.contains("2 shards, 1 found"));
}

#[test]
fn other_names_and_folders_are_understood() {
    let dir = tempfile::tempdir().unwrap();
    let schema = "message m { required group img { required binary bytes; optional binary path (UTF8); }
                  required int64 fine_label; }";
    for half in ["train", "test"] {
        let path = dir.path().join(half).join("0000.parquet");
        write(&path, schema, None, Compression::UNCOMPRESSED, &rows(5), 2);
    }
    let data = load(dir.path()).unwrap();
    assert_eq!((data.train.len(), data.classes), (5, vec!["0".to_owned(), "1".into(), "2".into()]));
    // Two data sets in one folder are not mixed.
    for half in ["train", "test"] {
        plain(&dir.path().join("other").join(half).join("0000.parquet"), &rows(5));
    }
    assert!(data_error(dir.path()).1.contains("two data sets"));
}

#[test]
fn missing_things_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let (train, test) = (dir.path().join("train.parquet"), dir.path().join("test.parquet"));
    assert!(data_error(&dir.path().join("nowhere")).1.contains("no such folder"));
    plain(&train, &rows(3));
    assert!(data_error(dir.path()).1.contains("no test parquet file"));
    plain(&test, &rows(3));
    load(dir.path()).unwrap();

    let cases = [
        ("group image { optional binary bytes; optional binary path; } optional int64 answer;", "no label column"),
        ("group picture { optional binary data; optional binary path; } optional int64 label;", "no image column"),
    ];
    for (fields, words) in cases {
        write(&train, &format!("message m {{ optional {fields} }}"), None, Compression::SNAPPY, &rows(3), 4);
        let (file, message) = data_error(dir.path());
        assert_eq!(file, "train.parquet");
        assert!(message.contains(words) && message.contains("INT64"), "{message}");
    }
    plain(&train, &[]);
    assert!(data_error(dir.path()).1.contains("no rows"));
    write(&train, SCHEMA, Some("{"), Compression::SNAPPY, &rows(3), 4);
    assert!(data_error(dir.path()).1.contains("not JSON"));
    plain(&train, &rows(3));
    write(&test, SCHEMA, Some(&NAMES.replace("owl", "ant")), Compression::SNAPPY, &rows(3), 4);
    assert!(data_error(dir.path()).1.contains("class names"));
}

#[test]
fn bad_rows_are_named() {
    let dir = tempfile::tempdir().unwrap();
    plain(&dir.path().join("test.parquet"), &rows(3));
    let mut small = Cursor::new(Vec::new());
    RgbImage::new(8, 7).write_to(&mut small, ImageFormat::Png).unwrap();
    let jpeg = picture(5, ImageFormat::Jpeg);
    let cases: [(Row, &str); 7] = [
        ((Some(b"nonsense".to_vec()), 0), "none of PNG, JPEG"),
        ((png(1).map(|p| p[..p.len() - 20].to_vec()), 0), "damaged"),
        ((Some(jpeg[..100].to_vec()), 0), "damaged"),
        ((Some(small.into_inner()), 0), "one size"),
        ((None, 0), "null"),
        ((png(1), 3), "label 3 is out of range; expected 0 to 2"),
        ((png(1), -1), "label -1 is out of range"),
    ];
    for (row, words) in cases {
        let mut all = rows(10);
        all[6] = row;
        plain(&dir.path().join("train.parquet"), &all);
        let (file, message) = data_error(dir.path());
        assert_eq!(file, "train.parquet");
        assert!(message.contains("row group 1, row 2 (row 6 of the file)") && message.contains(words), "{message}");
    }
}

/// Every compression that `datasets` and pandas write.
#[test]
fn files_of_every_compression_are_read() {
    let dir = tempfile::tempdir().unwrap();
    let gzip = Compression::GZIP(GzipLevel::default());
    plain(&dir.path().join("test.parquet"), &rows(3));
    let mut found = Vec::new();
    for compression in [Compression::UNCOMPRESSED, Compression::SNAPPY, gzip, Compression::LZ4_RAW] {
        write(&dir.path().join("train.parquet"), SCHEMA, Some(NAMES), compression, &rows(5), 4);
        found.push(load(dir.path()).unwrap().content_id());
    }
    found.dedup();
    assert_eq!(found.len(), 1);
}

/// Without the C library, a file compressed by zstd is refused with what to do. The fixture is pyarrow's:
///
/// ```python
/// import pyarrow as pa, pyarrow.parquet as pq
/// image = pa.array([{"bytes": b"", "path": ""}])
/// pq.write_table(pa.table({"image": image, "label": pa.array([0])}), "zstd.parquet", compression="zstd")
/// ```
#[test]
fn zstd_is_refused_with_what_to_do() {
    if cfg!(feature = "zstd") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    for split in ["train", "test"] {
        let fixture = include_bytes!("fixtures/zstd.parquet");
        std::fs::write(dir.path().join(format!("{split}.parquet")), fixture).unwrap();
    }
    let why = load(dir.path()).unwrap_err().to_string();
    assert!(why.contains("is compressed by zstd") && why.contains("compression=\"snappy\""), "{why}");
}

/// Splits whose names begin alike are not mixed, and what is not read is said.
#[test]
fn splits_whose_names_begin_alike_stay_apart() {
    let places: [[&str; 3]; 3] = [
        ["train-00000-of-00001", "test-00000-of-00001", "test_ood-00000-of-00001"],
        ["train/0000", "test/0000", "test_ood/0000"],
        ["train", "test-00000-of-00001", "test-matched-00000-of-00001"],
    ];
    for [train, test, other] in places {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(format!("{name}.parquet"));
        plain(&at(train), &rows(6));
        plain(&at(test), &rows(5));
        plain(&at(other), &rows(4));
        let data = load(dir.path()).unwrap();
        assert_eq!((data.train.len(), data.test.len()), (6, 5), "{test} beside {other}");
        assert!(data.notes.iter().any(|n| n.contains("not read")), "{:?}", data.notes);
        assert!(inspect("hf".into(), &data).warnings.iter().any(|w| w.contains("not read")));
        // Without one that has the very name, one is taken and of two none is.
        fs::remove_file(at(test)).unwrap();
        assert_eq!(load(dir.path()).unwrap().test.len(), 4);
        plain(&at(&other.replace("test", "test-b")), &rows(3));
        let (_, message) = data_error(dir.path());
        assert!(message.contains("several splits") && message.contains("leave one"), "{message}");
    }
    let dir = tempfile::tempdir().unwrap();
    for name in ["train", "test", "data-00000"] {
        plain(&dir.path().join(format!("{name}.parquet")), &rows(3));
    }
    assert!(load(dir.path()).unwrap().notes[0].contains("data-00000.parquet"));
}

#[test]
fn a_test_split_needs_no_training_split_and_has_labels() {
    let unlabelled = |n: u8| -> Vec<Row> { (0..n).map(|i| (png(i), -1)).collect() };
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(format!("{name}.parquet"));
    plain(&at("test"), &rows(5));
    let data = load(dir.path()).unwrap();
    assert_eq!((data.train.len(), data.test.len(), data.classes.len()), (0, 5, 3));
    plain(&at("test"), &unlabelled(6));
    assert!(data_error(dir.path()).1.contains("every label is -1"));
    plain(&at("validation"), &rows(4));
    let data = load(dir.path()).unwrap();
    assert_eq!(data.test.labels, [0, 1, 2, 0]);
    assert!(data.notes.iter().any(|n| n.contains("-1")), "{:?}", data.notes);
    // One label that is missing is no secret but damage.
    let mut some = rows(6);
    some[3].1 = -1;
    plain(&at("test"), &some);
    assert!(data_error(dir.path()).1.contains("label -1 is out of range"));
}

/// Columns as webdataset, scikit-learn and pandas call them, and labels that are names.
#[test]
fn columns_and_labels_of_other_programs_are_understood() {
    let structs = [("image", "target"), ("img", "targets"), ("picture", "label"), ("jpg", "cls")];
    for (image, label) in structs {
        let dir = tempfile::tempdir().unwrap();
        let schema = format!(
            "message m {{ optional group {image} {{ optional binary bytes; optional binary path (UTF8); }}
             optional int64 {label}; }}"
        );
        for half in ["train", "test"] {
            write(&dir.path().join(format!("{half}.parquet")), &schema, None, Compression::SNAPPY, &rows(5), 2);
        }
        assert_eq!(load(dir.path()).unwrap().train.labels, [0, 1, 2, 0, 1], "{image}, {label}");
    }
    let dir = tempfile::tempdir().unwrap();
    let words = |half: &str, names: &[&str], bytes_alone: bool| {
        let image = match bytes_alone {
            true => "optional binary jpg; optional binary path (UTF8);",
            false => "optional group image { optional binary bytes; optional binary path (UTF8); }",
        };
        let schema =
            Arc::new(parse_message_type(&format!("message m {{ {image} optional binary label (UTF8); }}")).unwrap());
        let file = fs::File::create(dir.path().join(format!("{half}.parquet"))).unwrap();
        let mut writer = SerializedFileWriter::new(file, schema, Arc::default()).unwrap();
        let full: Vec<i16> = (0..3).map(|leaf| writer.schema_descr().column(leaf).max_def_level()).collect();
        let mut group = writer.next_row_group().unwrap();
        let pictures = (0..names.len()).map(|i| ByteArray::from(picture(i as u8, ImageFormat::Png))).collect();
        let labels = names.iter().map(|n| ByteArray::from(*n)).collect();
        let columns: [Vec<ByteArray>; 3] = [pictures, vec![ByteArray::from("p"); names.len()], labels];
        for (leaf, values) in columns.iter().enumerate() {
            let mut column = group.next_column().unwrap().unwrap();
            column.typed::<ByteArrayType>().write_batch(values, Some(&vec![full[leaf]; values.len()]), None).unwrap();
            column.close().unwrap();
        }
        group.close().unwrap();
        writer.close().unwrap();
    };
    for bytes_alone in [false, true] {
        words("train", &["cat", "dog", "cow", "cat"], bytes_alone);
        words("test", &["dog", "ant"], bytes_alone);
        let data = load(dir.path()).unwrap();
        assert_eq!(data.classes, ["ant", "cat", "cow", "dog"]);
        assert_eq!((data.train.labels, data.test.labels), (vec![1, 3, 2, 1], vec![3, 0]));
    }
    plain(&dir.path().join("train.parquet"), &rows(3));
    assert!(load(dir.path()).is_err(), "numbers in one half and names in the other");
}

#[test]
fn damaged_files_are_errors() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("train.parquet");
    plain(&dir.path().join("test.parquet"), &rows(3));
    plain(&path, &rows(10));
    let whole = fs::read(&path).unwrap();
    for length in [0, 3, 12, whole.len() / 2, whole.len() - 1] {
        fs::write(&path, &whole[..length]).unwrap();
        let (file, message) = data_error(dir.path());
        assert_eq!(file, "train.parquet");
        assert!(message.contains("not a readable parquet file") && message.contains("fetch it again"), "{message}");
    }
    fs::write(&path, "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n").unwrap();
    assert!(data_error(dir.path()).1.contains("git lfs pull"));
    // One wrong byte anywhere: an error, or a change that the format cannot see, and nothing else.
    let mut errors = 0;
    for at in (0..whole.len()).step_by(whole.len() / 400) {
        let mut bad = whole.clone();
        bad[at] ^= (at * 37 % 255 + 1) as u8;
        fs::write(&path, bad).unwrap();
        match load(dir.path()) {
            Ok(_) => {}
            Err(Error::Data { .. }) => errors += 1,
            Err(other) => panic!("byte {at}: {other}"),
        }
    }
    assert!(errors > 100, "{errors} of 400 damaged files were noticed");
}

/// The real thing.
#[test]
#[ignore = "needs CIFAR-10 as parquet: make cifar-check IMAGES=DIR"]
fn cifar10_from_the_hub() {
    let dir = std::env::var_os("ROBUSTNAS_CIFAR10").map(PathBuf::from).expect("ROBUSTNAS_CIFAR10 names a folder");
    let data = load(&dir).unwrap();
    assert_eq!((data.train.len(), data.test.len(), data.image), (50_000, 10_000, Shape::new(32, 32, 3)));
    assert_eq!((data.classes[0].as_str(), data.classes[9].as_str()), ("airplane", "truck"));
    let report = inspect("hf:cifar-10".into(), &data);
    assert!(report.classes.iter().all(|c| (c.train, c.test) == (5_000, 1_000)));
    // The customary constants of CIFAR-10; JPEG moves them a little.
    for (found, known) in report.mean.iter().chain(&report.std).zip([0.4914, 0.4822, 0.4465, 0.2470, 0.2435, 0.2616]) {
        assert!((found - known).abs() < 0.005, "{found} against {known}");
    }
    println!("{report:#?}");
}
