//! CIFAR binaries and folders of images: what reads, and what damaged files are told.

use std::fs;
use std::io::Cursor;
use std::path::Path;

use image::{ImageFormat, Rgb, RgbImage};
use robustnas::arch::op::Shape;
use robustnas::data::{Dataset, Source};
use robustnas::error::Error;

fn load(scheme: &str, dir: &Path) -> Result<Dataset, Error> {
    Source::parse(&format!("{scheme}:{}", dir.display()))?.load()
}

/// The file name, the byte and the text of the data error that loading must give.
fn data_error(scheme: &str, dir: &Path) -> (String, Option<u64>, String) {
    match load(scheme, dir) {
        Err(Error::Data { path, at, message }) => {
            (path.file_name().unwrap().to_string_lossy().into_owned(), at, message)
        }
        other => panic!("expected a data error, got {:?}", other.map(|d| d.name)),
    }
}

/// Records whose byte `k` of plane `c` of image `i` is a known function of all three.
fn records(n: usize, labels: impl Fn(usize) -> Vec<u8>) -> Vec<u8> {
    (0..n)
        .flat_map(|i| {
            let planes = (0..3072).map(move |k| value(i, k / 1024, k % 1024));
            labels(i).into_iter().chain(planes).collect::<Vec<u8>>()
        })
        .collect()
}

fn value(image: usize, plane: usize, pixel: usize) -> u8 {
    ((image * 31 + plane * 85 + pixel * 7) % 251) as u8
}

fn write_cifar10(dir: &Path) {
    for batch in 1..=5 {
        fs::write(dir.join(format!("data_batch_{batch}.bin")), records(4, |i| vec![((i + batch) % 10) as u8])).unwrap();
    }
    fs::write(dir.join("test_batch.bin"), records(3, |i| vec![i as u8])).unwrap();
}

#[test]
fn cifar10_planes_become_interleaved_pixels() {
    let dir = tempfile::tempdir().unwrap();
    write_cifar10(dir.path());
    let data = load("cifar10", dir.path()).unwrap();
    assert_eq!((data.train.len(), data.test.len(), data.image), (20, 3, Shape::new(32, 32, 3)));
    assert_eq!(data.classes[9], "truck");
    assert_eq!(data.train.labels[..6], [1, 2, 3, 4, 2, 3]);
    for (i, pixel, c) in [(0, 0, 0), (1, 33, 1), (3, 1023, 2)] {
        assert_eq!(data.train.image(i)[pixel * 3 + c], value(i, c, pixel));
    }

    // Names from the file, and the archive's own folder, are taken when they are there.
    let inner = dir.path().join("cifar-10-batches-bin");
    fs::create_dir(&inner).unwrap();
    write_cifar10(&inner);
    fs::write(inner.join("batches.meta.txt"), "a\nb\nc\nd\ne\nf\ng\nh\ni\nj\n\n").unwrap();
    let named = load("cifar10", dir.path()).unwrap();
    assert_eq!(named.classes[9], "j");
    assert_eq!(named.content_id(), data.content_id());
    fs::write(inner.join("batches.meta.txt"), "a\nb\n").unwrap();
    assert!(data_error("cifar10", dir.path()).2.contains("2 class names, expected 10"));
}

#[test]
fn cifar100_takes_the_fine_label() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("train.bin"), records(5, |i| vec![19, 90 + i as u8])).unwrap();
    fs::write(dir.path().join("test.bin"), records(2, |_| vec![0, 7])).unwrap();
    let data = load("cifar100", dir.path()).unwrap();
    assert_eq!(data.train.labels, [90, 91, 92, 93, 94]);
    assert_eq!((data.classes.len(), data.classes[42].as_str()), (100, "42"));

    fs::write(dir.path().join("test.bin"), records(2, |i| vec![0, 99 + i as u8])).unwrap();
    let (file, at, message) = data_error("cifar100", dir.path());
    assert_eq!((file.as_str(), at), ("test.bin", Some(3074 + 1)));
    assert!(message.contains("label 100"), "{message}");
}

#[test]
fn damaged_cifar_files_name_file_and_byte() {
    let dir = tempfile::tempdir().unwrap();
    write_cifar10(dir.path());
    let batch = dir.path().join("data_batch_3.bin");
    let whole = fs::read(&batch).unwrap();

    fs::write(&batch, &whole[..whole.len() - 1]).unwrap();
    let (file, at, message) = data_error("cifar10", dir.path());
    assert_eq!((file.as_str(), at), ("data_batch_3.bin", Some(3 * 3073)));
    assert!(message.contains("3072 of 3073 bytes"), "{message}");

    fs::write(&batch, []).unwrap();
    assert_eq!(data_error("cifar10", dir.path()).1, Some(0));

    let mut bad = whole.clone();
    bad[2 * 3073] = 10;
    fs::write(&batch, &bad).unwrap();
    let (file, at, message) = data_error("cifar10", dir.path());
    assert_eq!((file.as_str(), at), ("data_batch_3.bin", Some(2 * 3073)));
    assert!(message.contains("label 10") && message.contains("0 to 9"), "{message}");

    fs::remove_file(&batch).unwrap();
    let (file, _, message) = data_error("cifar10", dir.path());
    assert_eq!(file, "data_batch_3.bin");
    assert!(message.contains("test_batch.bin") && message.contains("cifar-10-binary.tar.gz"), "{message}");
}

fn encode(width: u32, height: u32, shade: u8, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    RgbImage::from_pixel(width, height, Rgb([shade, 10, 200])).write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

fn put(dir: &Path, file: &str, bytes: &[u8]) {
    let path = dir.join(file);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

#[test]
fn folders_are_read_in_the_order_of_names() {
    let dir = tempfile::tempdir().unwrap();
    for (file, shade) in [("train/cat/b.png", 2), ("train/cat/a.png", 1), ("train/ant/z.png", 3), ("test/cat/q.png", 4)]
    {
        put(dir.path(), file, &encode(6, 4, shade, ImageFormat::Png));
    }
    put(dir.path(), "train/cat/notes.txt", b"not a picture");
    put(dir.path(), "train/cat/.hidden.png", b"not a picture");
    let data = load("folder", dir.path()).unwrap();
    assert_eq!(data.classes, ["ant", "cat"]);
    assert_eq!(data.image, Shape::new(4, 6, 3));
    assert_eq!(data.train.labels, [0, 1, 1]);
    assert_eq!((0..3).map(|i| data.train.image(i)[0]).collect::<Vec<_>>(), [3, 1, 2]);
    assert_eq!((data.test.labels, data.test.pixels[0]), (vec![1], 4));
}

/// A data set has one name in every format: that of a known one is known by its images and classes.
#[test]
fn a_data_set_keeps_its_name_whatever_its_format() {
    let dir = tempfile::tempdir().unwrap();
    write_cifar10(dir.path());
    let binary = load("cifar10", dir.path()).unwrap();
    let (known, own) = (dir.path().join("some pictures"), dir.path().join("my own"));
    for (folder, side, classes) in [(&known, 32, &binary.classes[..]), (&own, 32, &binary.classes[..9])] {
        for class in classes {
            for half in ["train", "test"] {
                put(folder, &format!("{half}/{class}/0.png"), &encode(side, side, 1, ImageFormat::Png));
            }
        }
    }
    assert_eq!((binary.name.as_str(), load("folder", &known).unwrap().name.as_str()), ("cifar10", "cifar10"));
    assert_eq!(load("folder", &own).unwrap().name, "my own");
    assert_eq!(load("folder", &own.join("train/..")).unwrap().name, "my own");
}

#[test]
fn one_folder_is_divided_by_name() {
    let dir = tempfile::tempdir().unwrap();
    for i in 0..120 {
        put(dir.path(), &format!("{}/{i:03}.png", i % 2), &encode(2, 2, i, ImageFormat::Png));
    }
    let before = load("folder", dir.path()).unwrap();
    assert_eq!(before.train.len() + before.test.len(), 120);
    assert!((10..=30).contains(&before.test.len()), "{} of 120 in the test half", before.test.len());
    let shades = |d: &Dataset| d.test.pixels.iter().step_by(12).copied().collect::<Vec<u8>>();
    for i in 120..150 {
        put(dir.path(), &format!("0/{i:03}.png"), &encode(2, 2, i, ImageFormat::Png));
    }
    let after = load("folder", dir.path()).unwrap();
    let kept: Vec<u8> = shades(&after).into_iter().filter(|s| *s < 120).collect();
    assert_eq!(kept, shades(&before), "adding files must move no other");
}

#[test]
fn damaged_folders_name_the_file() {
    let dir = tempfile::tempdir().unwrap();
    assert!(data_error("folder", &dir.path().join("nowhere")).2.contains("no such folder"));
    assert!(data_error("folder", dir.path()).2.contains("no class folders"));
    put(dir.path(), "train/a/1.jpg", &encode(8, 8, 9, ImageFormat::Jpeg));
    let (file, _, message) = data_error("folder", dir.path());
    assert_eq!(file, "test");
    assert!(message.contains("DIR/test/<class>"), "{message}");
    put(dir.path(), "test/b/1.png", &encode(8, 8, 9, ImageFormat::Png));
    assert!(data_error("folder", dir.path()).2.contains("class `b` has no folder"));
    fs::rename(dir.path().join("test/b"), dir.path().join("test/a")).unwrap();
    load("folder", dir.path()).unwrap();

    let png = encode(8, 8, 9, ImageFormat::Png);
    for (name, bytes, word) in [
        ("2.png", &png[..png.len() / 2], "damaged"),
        ("2.png", &b""[..], "neither PNG nor JPEG"),
        ("2.png", &encode(8, 7, 9, ImageFormat::Png)[..], "one size"),
        ("2.webp", &b"RIFF"[..], "convert"),
    ] {
        put(dir.path(), &format!("train/a/{name}"), bytes);
        let (file, _, message) = data_error("folder", dir.path());
        assert_eq!(file, name);
        assert!(message.contains(word), "{message}");
        fs::remove_file(dir.path().join("train/a").join(name)).unwrap();
    }

    let mut glass = Cursor::new(Vec::new());
    image::RgbaImage::from_pixel(8, 8, image::Rgba([1, 2, 3, 128])).write_to(&mut glass, ImageFormat::Png).unwrap();
    put(dir.path(), "train/a/3.png", glass.get_ref());
    assert!(data_error("folder", dir.path()).2.contains("transparent"));
}
