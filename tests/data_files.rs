//! CIFAR, MNIST and folders of images: what reads, and what damaged files are told.

use std::fs;
use std::io::Cursor;
use std::path::Path;

use image::{ImageFormat, Rgb, RgbImage};
use robustnas::arch::op::Shape;
use robustnas::data::attacked;
use robustnas::data::check::inspect;
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
        ("2.png", &b""[..], "none of PNG, JPEG"),
        ("2.png", &encode(8, 7, 9, ImageFormat::Png)[..], "one size"),
        ("2.avif", &b"...."[..], "convert it, or move it"),
        ("2", &png[..], "by their endings"),
        ("2.npy", &png[..], "by their endings"),
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

/// A picture without flat areas, as photographs are.
fn photograph(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| {
        let wave = |a: u32, b: u32| (128.0 + 90.0 * (f64::from(x * a + y * b) / 9.0).sin()) as u8;
        Rgb([wave(3, 5) ^ (x * y % 23) as u8, wave(7, 2), wave(1, 11)])
    })
}

fn jpeg(picture: &RgbImage) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    picture.write_to(&mut bytes, ImageFormat::Jpeg).unwrap();
    bytes.into_inner()
}

/// The pixels of the one test image of a folder, or what is said about it.
fn one_image(name: &str, bytes: &[u8]) -> Result<(Shape, Vec<u8>), String> {
    let dir = tempfile::tempdir().unwrap();
    put(dir.path(), &format!("test/a/{name}"), bytes);
    load("folder", dir.path()).map(|data| (data.image, data.test.pixels)).map_err(|why| why.to_string())
}

/// A cut JPEG is grey from somewhere on, and one with a hole is of wrong colours; neither is read without a word.
#[test]
fn damaged_jpegs_are_refused() {
    let grey = image::DynamicImage::from(photograph(48, 40)).into_luma8();
    let mut of_grey = Cursor::new(Vec::new());
    grey.write_to(&mut of_grey, ImageFormat::Jpeg).unwrap();
    let all = [(jpeg(&photograph(64, 64)), true), (jpeg(&photograph(33, 50)), true), (of_grey.into_inner(), false)];
    for (whole, has_detail) in all {
        let sound = one_image("0.jpg", &whole).unwrap();
        for share in [0.45, 0.6, 0.75, 0.9, 0.97] {
            let cut = (whole.len() as f64 * share) as usize;
            let why = one_image("0.jpg", &whole[..cut]).unwrap_err();
            assert!(why.contains("0.jpg") && why.contains("damaged or cut short"), "{share}: {why}");
        }
        // Of a few hundred bytes, what is behind a hole may come out even, and so may what is behind one near the end: a whole
        // image with a flat end looks the same.
        for (share, length) in [(0.5, 100), (0.6, 300)].into_iter().filter(|_| has_detail) {
            let mut bytes = whole.clone();
            let from = (whole.len() as f64 * share) as usize;
            let to = (from + length).min(whole.len() - 2);
            bytes[from..to].fill(0);
            assert!(one_image("0.jpg", &bytes).is_err(), "zeros from {from} to {to} of {}", whole.len());
        }
        // A mark of the end that is missing, or bytes behind it, take nothing from the image.
        assert_eq!(one_image("0.jpg", &whole[..whole.len() - 2]).unwrap(), sound);
        assert_eq!(one_image("0.jpg", &[&whole[..], b"a thumbnail"].concat()).unwrap(), sound);
    }
}

/// The tag of EXIF that says how a camera was held.
#[test]
fn images_are_turned_as_their_tag_says() {
    let mut picture = RgbImage::new(24, 16);
    (0..24).for_each(|x| (0..4).for_each(|y| picture.put_pixel(x, y, Rgb([255; 3]))));
    (0..3).for_each(|x| (8..16).for_each(|y| picture.put_pixel(x, y, Rgb([255; 3]))));
    let plain = jpeg(&picture);
    let tagged = |orientation: u8| {
        let ifd =
            [&b"Exif\0\0MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0"[..], &[orientation], &[0; 6]].concat();
        let length = (ifd.len() as u16 + 2).to_be_bytes();
        [&plain[..2], &[0xff, 0xe1], &length, &ifd, &plain[2..]].concat()
    };
    let (shape, upright) = one_image("0.jpg", &plain).unwrap();
    let of = image::DynamicImage::from(RgbImage::from_raw(24, 16, upright.clone()).unwrap());
    let turned = [
        of.clone(),
        of.fliph(),
        of.rotate180(),
        of.flipv(),
        of.rotate90().fliph(),
        of.rotate90(),
        of.rotate270().fliph(),
        of.rotate270(),
    ];
    assert_eq!(shape, Shape::new(16, 24, 3));
    for (orientation, want) in (1..).zip(turned) {
        let want = want.into_rgb8();
        let shape = Shape::new(want.height() as usize, want.width() as usize, 3);
        assert_eq!(one_image("0.jpg", &tagged(orientation)).unwrap(), (shape, want.into_raw()), "{orientation}");
    }
}

#[test]
fn images_of_every_format_and_depth_are_found() {
    let dir = tempfile::tempdir().unwrap();
    let formats = [
        ("a.png", ImageFormat::Png),
        ("b.BMP", ImageFormat::Bmp),
        ("c.gif", ImageFormat::Gif),
        ("d.tif", ImageFormat::Tiff),
        ("e.webp", ImageFormat::WebP),
        ("f.ppm", ImageFormat::Pnm),
        ("deep/g.png", ImageFormat::Png),
        ("deep/down/h.tiff", ImageFormat::Tiff),
    ];
    for (shade, (name, format)) in (1..).zip(formats) {
        let mut bytes = Cursor::new(Vec::new());
        let pixel = Rgb([shade, shade, shade]);
        let picture = image::DynamicImage::from(RgbImage::from_pixel(5, 4, pixel));
        let picture = if format == ImageFormat::Gif { picture.into_rgba8().into() } else { picture };
        picture.write_to(&mut bytes, format).unwrap();
        put(dir.path(), &format!("train/x/{name}"), &bytes.into_inner());
    }
    put(dir.path(), "train/x/i.jfif", &encode(5, 4, 9, ImageFormat::Jpeg));
    put(dir.path(), "train/x/j.jpe", &encode(5, 4, 9, ImageFormat::Jpeg));
    put(dir.path(), "train/x/readme.md", b"not a picture");
    put(dir.path(), "val/x/a.png", &encode(5, 4, 1, ImageFormat::Png));
    let data = load("folder", dir.path()).unwrap();
    assert_eq!((data.train.len(), data.test.len()), (10, 1));
    // In the order of their names, and of those in folders within: a, b, c, d, deep/down/h, deep/g, e, f.
    let shades: Vec<u8> = (0..8).map(|i| data.train.image(i)[0]).collect();
    assert_eq!(shades, [1, 2, 3, 4, 8, 7, 5, 6]);
}

/// A class without an image is a download that broke off, or a folder too many.
#[test]
fn empty_classes_are_refused() {
    for empty in ["train/b", "test/b", "train/b/deep"] {
        let dir = tempfile::tempdir().unwrap();
        for half in ["train", "test"] {
            put(dir.path(), &format!("{half}/a/1.png"), &encode(4, 4, 1, ImageFormat::Png));
            if !empty.starts_with(half) {
                put(dir.path(), &format!("{half}/b/1.png"), &encode(4, 4, 1, ImageFormat::Png));
            }
        }
        fs::create_dir_all(dir.path().join(empty)).unwrap();
        let (file, _, message) = data_error("folder", dir.path());
        assert!(file == "b" && message.contains("class without an image"), "{empty}: {file}: {message}");
    }
}

#[test]
fn folders_are_read_as_they_are_unpacked() {
    let dir = tempfile::tempdir().unwrap();
    let png = |shade: u8| encode(4, 4, shade, ImageFormat::Png);
    // Tiny-ImageNet: images in a folder of a class's, validation images with a list, test images without classes.
    let tiny = dir.path().join("tiny");
    for (k, class) in ["n01", "n02"].into_iter().enumerate() {
        for i in 0..2 {
            put(&tiny, &format!("train/{class}/images/{class}_{i}.png"), &png((k * 2 + i) as u8));
        }
        put(&tiny, &format!("test/images/test_{k}.png"), &png(50));
        put(&tiny, &format!("val/images/val_{k}.png"), &png(100 + k as u8));
    }
    put(&tiny, "val/val_annotations.txt", b"val_0.png\tn02\t0\t0\t3\t3\nval_1.png\tn01\t0\t0\t3\t3\n");
    let data = load("folder", &tiny).unwrap();
    assert_eq!((data.classes.clone(), data.train.labels.clone()), (vec!["n01".into(), "n02".into()], vec![0, 0, 1, 1]));
    assert_eq!((data.test.labels.clone(), data.test.image(0)[0]), (vec![1, 0], 100));
    assert!(data.notes.iter().any(|n| n.contains("not read") && n.contains("test")), "{:?}", data.notes);
    put(&tiny, "val/images/val_2.png", &png(1));
    assert!(data_error("folder", &tiny).2.contains("has no class for it"));
    fs::write(tiny.join("val/val_annotations.txt"), "val_0.png\tn09\n").unwrap();
    assert!(data_error("folder", &tiny).2.contains("class `n09`"));
    // A test half alone, to attack.
    for half in ["test", "val"] {
        let alone = dir.path().join(half);
        put(&alone, &format!("{half}/b/1.png"), &png(9));
        put(&alone, &format!("{half}/a/1.png"), &png(7));
        let data = load("folder", &alone).unwrap();
        assert_eq!((data.train.len(), data.test.labels.clone(), data.classes.len()), (0, vec![0, 1], 2));
        let report = inspect("folder".into(), &data);
        assert!((report.mean[0] - 8.0 / 255.0).abs() < 1e-12 && report.warnings.is_empty(), "{report}");
    }
    // Images without classes are no test half.
    let plain = dir.path().join("plain");
    put(&plain, "train/a/1.png", &png(1));
    put(&plain, "test/images/1.png", &png(1));
    assert!(data_error("folder", &plain).2.contains("class `images` has no folder"));
}

/// As Python 2 pickled the batches, and as Python 3 does.
fn pickled(labels_key: &str, labels: &[u8], data: &[u8], modern: bool) -> Vec<u8> {
    let mut out: Vec<u8> = if modern { b"\x80\x04\x95\0\0\0\0\0\0\0\0".to_vec() } else { b"\x80\x02".to_vec() };
    let text = |word: &str| {
        let kind = if modern { b'C' } else { b'U' };
        let remember: &[u8] = if modern { b"\x94" } else { b"q\x01" };
        [&[kind, word.len() as u8][..], word.as_bytes(), remember].concat()
    };
    let word = |word: &str| [&[if modern { 0x8c } else { b'U' }, word.len() as u8][..], word.as_bytes()].concat();
    let global = |module: &str, name: &str| match modern {
        true => [word(module), b"\x94".to_vec(), word(name), b"\x94\x93\x94".to_vec()].concat(),
        false => format!("c{module}\n{name}\n").into_bytes(),
    };
    out.extend(b"}(");
    out.extend(text("batch_label"));
    out.extend(text("training batch 1 of 5"));
    out.extend(text(labels_key));
    out.extend(b"](");
    labels.iter().for_each(|l| out.extend([b'K', *l]));
    out.extend(b"e");
    out.extend(text("data"));
    let core = if modern { "numpy._core.multiarray" } else { "numpy.core.multiarray" };
    out.extend([global(core, "_reconstruct"), global("numpy", "ndarray"), b"K\x00\x85".to_vec(), word("b")].concat());
    out.extend(b"\x87R(K\x01K");
    out.push(labels.len() as u8);
    out.extend(b"M\x00\x0c\x86");
    out.extend([global("numpy", "dtype"), word("u1"), b"\x89\x88\x87R(K\x03".to_vec(), word("|")].concat());
    out.extend(b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89");
    out.push(if modern { b'B' } else { b'T' });
    out.extend((data.len() as u32).to_le_bytes());
    out.extend(data);
    out.extend(b"tb");
    out.extend(b"u.");
    out
}

#[test]
fn cifar_is_read_as_torchvision_leaves_it() {
    let dir = tempfile::tempdir().unwrap();
    let planes =
        |n: usize| -> Vec<u8> { (0..n).flat_map(|i| (0..3072).map(move |k| value(i, k / 1024, k % 1024))).collect() };
    for modern in [false, true] {
        let home = dir.path().join(format!("{modern}/cifar-10-batches-py"));
        for batch in 1..=5u8 {
            let bytes = pickled("labels", &[batch, 0, 9, 3], &planes(4), modern);
            put(&home, &format!("data_batch_{batch}"), &bytes);
        }
        put(&home, "test_batch", &pickled("labels", &[5, 6], &planes(2), modern));
        for at in [home.parent().unwrap(), home.as_path()] {
            let data = load("cifar10", at).unwrap();
            assert_eq!((data.train.len(), data.test.len(), data.image), (20, 2, Shape::new(32, 32, 3)));
            assert_eq!((&data.train.labels[..5], data.classes[9].as_str()), (&[1, 0, 9, 3, 2][..], "truck"));
            assert_eq!(data.train.image(1)[33 * 3 + 2], value(1, 2, 33));
        }
        put(&home, "test_batch", &pickled("labels", &[10], &planes(1), modern));
        assert!(data_error("cifar10", &home).2.contains("out of range; expected 0 to 9"));
        let whole = pickled("labels", &[1, 2], &planes(2), modern);
        for bytes in [&whole[..whole.len() / 2], &whole[..whole.len() - 2], &b"\x80\x02cos\nsystem\nU\x02ls\x85R."[..]]
        {
            put(&home, "test_batch", bytes);
            let (file, _, message) = data_error("cifar10", &home);
            assert!(file == "test_batch" && message.contains("not a pickle that can be read"), "{message}");
        }
    }
    let hundred = dir.path().join("cifar-100-python");
    put(&hundred, "train", &pickled("fine_labels", &[99, 7], &planes(2), false));
    put(&hundred, "test", &pickled("fine_labels", &[42], &planes(1), false));
    let data = load("cifar100", dir.path()).unwrap();
    assert_eq!((data.train.labels, data.test.labels, data.classes.len()), (vec![99, 7], vec![42], 100));
}

#[test]
fn mnist_is_read_from_its_four_files() {
    let dir = tempfile::tempdir().unwrap();
    let idx = |sides: &[u32], bytes: &[u8]| -> Vec<u8> {
        let head = [0, 0, 8, sides.len() as u8].into_iter();
        head.chain(sides.iter().flat_map(|s| s.to_be_bytes())).chain(bytes.iter().copied()).collect()
    };
    let pixels: Vec<u8> = (0..24).collect();
    for (half, labels) in [("train", [3, 1]), ("t10k", [0, 2])] {
        put(dir.path(), &format!("MNIST/raw/{half}-images-idx3-ubyte"), &idx(&[2, 3, 4], &pixels));
        put(dir.path(), &format!("MNIST/raw/{half}-labels-idx1-ubyte"), &idx(&[2], &labels));
    }
    let data = load("mnist", dir.path()).unwrap();
    assert_eq!((data.image, data.classes.len()), (Shape::new(3, 4, 1), 4));
    assert_eq!((data.train.labels.clone(), data.test.pixels.clone()), (vec![3, 1], pixels.clone()));
    assert_eq!(load("mnist", &dir.path().join("MNIST/raw")).unwrap().content_id(), data.content_id());
    for (bytes, words) in [
        (idx(&[2, 3, 4], &pixels[..23]), "its shape"),
        (idx(&[3, 3, 4], &[0; 36]), "2 labels for 3 images"),
        (b"\x1f\x8b\x08\x08".to_vec(), "not an IDX file"),
    ] {
        put(dir.path(), "MNIST/raw/t10k-images-idx3-ubyte", &bytes);
        assert!(data_error("mnist", dir.path()).2.contains(words));
    }
    let packed = tempfile::tempdir().unwrap();
    put(packed.path(), "t10k-images-idx3-ubyte.gz", b"");
    assert!(data_error("mnist", packed.path()).2.contains("gunzip"));
}

/// Images without colours, for networks of one channel.
#[test]
fn grey_images_may_have_one_channel() {
    let dir = tempfile::tempdir().unwrap();
    for (k, half) in ["train", "test"].into_iter().enumerate() {
        let mut bytes = Cursor::new(Vec::new());
        let grey = image::GrayImage::from_fn(4, 3, |x, y| image::Luma([(x * 10 + y) as u8 + k as u8]));
        grey.write_to(&mut bytes, ImageFormat::Png).unwrap();
        put(dir.path(), &format!("{half}/a/1.png"), &bytes.into_inner());
    }
    let (three, one) = (load("folder", dir.path()).unwrap(), load("grey:folder", dir.path()).unwrap());
    assert_eq!((three.image, one.image), (Shape::new(3, 4, 3), Shape::new(3, 4, 1)));
    assert_eq!(one.test.pixels, three.test.pixels.iter().step_by(3).copied().collect::<Vec<u8>>());
    put(dir.path(), "test/a/2.png", &encode(4, 3, 9, ImageFormat::Png));
    let why = load("grey:folder", dir.path()).unwrap_err().to_string();
    assert!(why.contains("test image 1 has colours"), "{why}");
}

/// An image that is there several times would count several times.
#[test]
fn attacked_images_are_each_there_once() {
    use candle_core::{DType, Device, Tensor};
    let images = Tensor::zeros((4, 2, 2, 3), DType::F32, &Device::Cpu).unwrap();
    let of = |ids: [u32; 4]| {
        attacked::decode(&attacked::encode(&images, &ids, &[0; 4]).unwrap(), Path::new("a.safetensors"))
    };
    assert_eq!(of([7, 0, 3, 1]).unwrap().ids, [7, 0, 3, 1]);
    for (ids, words) in [
        ([0, 0, 0, 0], "image 0"),
        ([5, 1, 2, 5], "image 5 is there twice, in rows 0 and 3"),
        ([1, 2, 2, 3], "image 2"),
    ] {
        let why = of(ids).err().unwrap().to_string();
        assert!(why.starts_with("a.safetensors") && why.contains(words), "{why}");
    }
}
