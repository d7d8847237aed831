//! NumPy arrays: `DIR/images.npy` and `DIR/labels.npy`. They are the test half of a data set without a training half: images
//! to attack. Images are unsigned bytes `[n, h, w, c]`, `[n, c, h, w]` or `[n, h, w]`, or real numbers that are such bytes, or
//! 255ths; labels are whole numbers of any type or names, `[n]` or `[n, 1]`. Names of numbered classes may stand in
//! `DIR/classes.txt`, one a line, also of classes without an image here.
//!
//! The format is version 1 to 3 of numpy/lib/format.py: a magic string, the length of the header, the header as a
//! Python dictionary, the values.

use std::fs;
use std::path::Path;

use super::{Dataset, Images, name_of, numbered};
use crate::arch::op::Shape;
use crate::error::{Error, IoContext, Result};

const MAGIC: &[u8] = b"\x93NUMPY";

/// Reads a folder of two arrays.
///
/// # Errors
/// [`Error::Data`] naming the file and what was expected.
pub fn load(dir: &Path) -> Result<Dataset> {
    let (images, labels) = (dir.join("images.npy"), dir.join("labels.npy"));
    let (bytes, at) = (fs::read(&images).at(&images)?, &images);
    let array = Array::parse(&bytes).map_err(|e| Error::data(at, e))?;
    let pixels = array.pixels().map_err(|e| Error::data(at, e))?;
    let (image, planes) = match array.shape[..] {
        [_, h, w] => (Shape::new(h, w, 1), false),
        // Colours are few and sides are not.
        [_, c, h, w] if c <= COLOURS && w > COLOURS => (Shape::new(h, w, c), true),
        [_, h, w, c] => (Shape::new(h, w, c), false),
        _ => return Err(unfit(at, "images of shape [n, h, w, c]", &array)),
    };
    if pixels.is_empty() {
        return Err(unfit(at, "at least one image of shape [n, h, w, c]", &array));
    }
    let mut notes = Vec::new();
    let pixels = match planes {
        true => {
            notes.push(format!("images.npy is taken as planes, [n, c, h, w] = {:?}", array.shape));
            interleaved(&pixels, image)
        }
        false => pixels,
    };
    let (label_bytes, at) = (fs::read(&labels).at(&labels)?, &labels);
    let numbers = Array::parse(&label_bytes).map_err(|e| Error::data(at, e))?;
    let n = array.shape[0];
    if numbers.shape != [n] && numbers.shape != [n, 1] {
        return Err(unfit(at, &format!("labels of shape [{n}]"), &numbers));
    }
    let (found, classes) = match numbers.names() {
        Some(names) => super::named(&names),
        None => {
            let whole = numbers.whole().ok_or_else(|| unfit(at, "whole numbers or names", &numbers))?;
            let label = |(i, v): (usize, i64)| {
                let label = u32::try_from(v).ok().filter(|l| *l < LARGEST);
                label.ok_or_else(|| Error::data(at, format!("label {i} is {v}; labels count from 0")))
            };
            let found = whole.into_iter().enumerate().map(label).collect::<Result<Vec<u32>>>()?;
            let count = found.iter().max().map_or(0, |most| most + 1);
            (found, numbered(dir, count as usize)?)
        }
    };
    Ok(Dataset {
        name: name_of(dir, image, &classes),
        classes,
        image,
        train: Images::default(),
        test: Images { pixels, labels: found },
        notes,
    })
}

/// The most colours of an image whose axes may lie in either order.
const COLOURS: usize = 4;

/// Planes as pixels of several channels.
fn interleaved(planes: &[u8], image: Shape) -> Vec<u8> {
    let area = image.area();
    let one =
        |planes: &[u8]| -> Vec<u8> { (0..image.len()).map(|at| planes[at % image.c * area + at / image.c]).collect() };
    planes.chunks_exact(image.len()).flat_map(one).collect()
}

/// More classes than any data set has.
const LARGEST: u32 = 1 << 20;

fn unfit(path: &Path, expected: &str, array: &Array<'_>) -> Error {
    Error::data(path, format!("expected {expected}, found `{}` of shape {:?}", array.kind, array.shape))
}

/// An array as stored in its file.
#[derive(Debug)]
struct Array<'a> {
    /// NumPy's dtype: `|u1`, `<i8`.
    kind: &'a str,
    shape: Vec<usize>,
    data: &'a [u8],
}

impl<'a> Array<'a> {
    fn parse(bytes: &'a [u8]) -> Result<Self, String> {
        let short = || "the file ends within its header".to_owned();
        let version = match bytes.strip_prefix(MAGIC) {
            Some([major @ 1..=3, _, ..]) => *major,
            Some([major, ..]) => return Err(format!("version {major} of the .npy format is not known")),
            _ => return Err("not a .npy file; write one with numpy.save".to_owned()),
        };
        let rest = &bytes[MAGIC.len() + 2..];
        let (length, rest) = match version {
            1 => rest.split_first_chunk::<2>().map(|(n, rest)| (usize::from(u16::from_le_bytes(*n)), rest)),
            _ => rest.split_first_chunk::<4>().map(|(n, rest)| (u32::from_le_bytes(*n) as usize, rest)),
        }
        .ok_or_else(short)?;
        let (header, data) = rest.split_at_checked(length).ok_or_else(short)?;
        let header = std::str::from_utf8(header).map_err(|_| "the header is not text".to_owned())?;
        let lacks = |key: &str| format!("the header has no `{key}`: {}", header.trim());
        let kind = value(header, "descr")
            .and_then(|v| v.strip_prefix('\'')?.split_once('\''))
            .ok_or_else(|| lacks("descr"))?
            .0;
        if !value(header, "fortran_order").ok_or_else(|| lacks("fortran_order"))?.starts_with("False") {
            return Err("the array is in Fortran order; save numpy.ascontiguousarray(array)".to_owned());
        }
        let shape =
            value(header, "shape").and_then(|v| v.strip_prefix('(')?.split_once(')')).ok_or_else(|| lacks("shape"))?.0;
        let sides = shape.split(',').map(str::trim).filter(|s| !s.is_empty());
        let shape: Vec<usize> =
            sides.map(|s| s.parse().map_err(|_| format!("`{s}` is no side of a shape"))).collect::<Result<_, _>>()?;
        let one = kind.trim_start_matches(|c: char| !c.is_ascii_digit()).parse::<usize>().ok();
        let want = one.and_then(|one| shape.iter().try_fold(one, |n, side| n.checked_mul(*side)));
        // A letter of text takes four bytes.
        let letter = if kind.contains('U') { 4 } else { 1 };
        let Some(want) = want.and_then(|n| n.checked_mul(letter)) else {
            return Err(format!("`{kind}` of shape {shape:?} is no array that can be read"));
        };
        let fault = match data.len() {
            less if less < want => Some("the file is cut off"),
            more if more > want => Some("something is written behind the array"),
            _ => None,
        };
        match fault {
            Some(fault) => Err(format!("`{kind}` of shape {shape:?} takes {want} bytes, not {}: {fault}", data.len())),
            None => Ok(Array { kind, shape, data }),
        }
    }

    /// The type without the order of its bytes, and whether the highest byte comes first.
    fn plain(&self) -> (&str, bool) {
        (self.kind.trim_start_matches(['|', '<', '>', '=']), self.kind.starts_with('>'))
    }

    /// Every number's bytes, the lowest first.
    fn each<const N: usize>(&self) -> impl Iterator<Item = [u8; N]> {
        let high_first = self.plain().1;
        self.data.as_chunks::<N>().0.iter().map(move |chunk| {
            let mut bytes = *chunk;
            if high_first {
                bytes.reverse();
            }
            bytes
        })
    }

    /// Whole numbers, if they are such.
    fn whole(&self) -> Option<Vec<i64>> {
        Some(match self.plain().0 {
            "u1" | "b1" => self.data.iter().map(|v| i64::from(*v)).collect(),
            "i1" => self.data.iter().map(|v| i64::from(*v as i8)).collect(),
            "u2" => self.each().map(|b| i64::from(u16::from_le_bytes(b))).collect(),
            "i2" => self.each().map(|b| i64::from(i16::from_le_bytes(b))).collect(),
            "u4" => self.each().map(|b| i64::from(u32::from_le_bytes(b))).collect(),
            "i4" => self.each().map(|b| i64::from(i32::from_le_bytes(b))).collect(),
            "u8" => self.each().map(|b| i64::try_from(u64::from_le_bytes(b)).unwrap_or(i64::MAX)).collect(),
            "i8" => self.each().map(i64::from_le_bytes).collect(),
            _ => return None,
        })
    }

    /// Names, if they are such.
    fn names(&self) -> Option<Vec<String>> {
        let letters = self.plain().0.strip_prefix('U')?.parse::<usize>().ok().filter(|n| *n > 0)?;
        let all: Vec<u32> = self.each().map(u32::from_le_bytes).collect();
        let one = |word: &[u32]| word.iter().filter(|l| **l != 0).filter_map(|l| char::from_u32(*l)).collect();
        Some(all.chunks_exact(letters).map(one).collect())
    }

    /// Pixels as bytes; of real numbers, where they are such.
    fn pixels(&self) -> Result<Vec<u8>, String> {
        let real: Vec<f64> = match self.plain().0 {
            "u1" => return Ok(self.data.to_vec()),
            "f2" => self.each().map(|b| half::f16::from_le_bytes(b).to_f64()).collect(),
            "f4" => self.each().map(|b| f64::from(f32::from_le_bytes(b))).collect(),
            "f8" => self.each().map(f64::from_le_bytes).collect(),
            _ => {
                let whole = self.whole().ok_or_else(|| {
                    format!("expected images of bytes or real numbers, found `{}` of shape {:?}", self.kind, self.shape)
                })?;
                whole.into_iter().map(|v| v as f64).collect()
            }
        };
        // From 0 to 1 or from 0 to 255, whichever the largest says.
        let most = real.iter().copied().fold(0.0, f64::max);
        let (times, range) = if most <= 1.0 { (255.0, "0 to 1") } else { (1.0, "0 to 255") };
        let near = if self.plain().0 == "f2" { 0.1 } else { 1e-3 };
        let byte = |(i, v): (usize, &f64)| {
            let level = v * times;
            let fits = (0.0..=255.0).contains(&level.round()) && (level - level.round()).abs() < near;
            if fits { Ok(level.round() as u8) } else { Err((i, *v)) }
        };
        real.iter().enumerate().map(byte).collect::<Result<Vec<u8>, _>>().map_err(|(i, v)| {
            format!(
                "number {i} is {v}: pixels from {range} that are no bytes, such as normalised or resized ones, lose what an \
                 attack of 1/255 changes; save the images as bytes, numpy.uint8, and leave normalisation to the network"
            )
        })
    }
}

/// The value of a key of the header.
fn value<'a>(header: &'a str, key: &str) -> Option<&'a str> {
    let quoted = format!("'{key}':");
    Some(header[header.find(&quoted)? + quoted.len()..].trim_start())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn npy(header: &str, data: &[u8]) -> Vec<u8> {
        let mut bytes = [MAGIC, &[1, 0], &(header.len() as u16).to_le_bytes()].concat();
        bytes.extend([header.as_bytes(), data].concat());
        bytes
    }

    fn folder(images: &[u8], labels: &[u8]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("images.npy"), images).unwrap();
        fs::write(dir.path().join("labels.npy"), labels).unwrap();
        dir
    }

    const IMAGES: &str = "{'descr': '|u1', 'fortran_order': False, 'shape': (2, 1, 2, 3), }\n";
    const LABELS: &str = "{'descr': '<i8', 'fortran_order': False, 'shape': (2,), }\n";

    fn labels(two: [i64; 2]) -> Vec<u8> {
        npy(LABELS, &two.map(i64::to_le_bytes).concat())
    }

    #[test]
    fn two_arrays_are_a_test_half() {
        let pixels: Vec<u8> = (0..12).collect();
        let dir = folder(&npy(IMAGES, &pixels), &labels([3, 0]));
        let data = load(dir.path()).unwrap();
        assert_eq!((data.image, data.classes.len()), (Shape::new(1, 2, 3), 4));
        assert_eq!(data.test, Images { pixels, labels: vec![3, 0] });
        assert!(data.train.is_empty());
    }

    /// What can only mean one thing is read, whatever its type.
    #[test]
    fn any_type_of_whole_number_is_a_label() {
        let images = npy(IMAGES, &[7; 12]);
        let letters = |words: [&str; 2]| -> Vec<u8> {
            words.iter().flat_map(|w| w.chars().flat_map(|l| u32::from(l).to_le_bytes())).collect()
        };
        for (kind, data) in [
            ("|u1", vec![2, 1]),
            ("|i1", vec![2, 1]),
            ("<i2", vec![2, 0, 1, 0]),
            (">i4", vec![0, 0, 0, 2, 0, 0, 0, 1]),
            ("<u4", vec![2, 0, 0, 0, 1, 0, 0, 0]),
            ("<u8", [2u64, 1].map(u64::to_le_bytes).concat()),
        ] {
            let header = LABELS.replace("<i8", kind);
            for header in [header.clone(), header.replace("(2,)", "(2, 1)")] {
                let data = load(folder(&images, &npy(&header, &data)).path()).unwrap();
                assert_eq!((data.test.labels, data.classes.len()), (vec![2, 1], 3), "{header}");
            }
        }
        let names =
            load(folder(&images, &npy(&LABELS.replace("<i8", "<U3"), &letters(["dog", "cat"]))).path()).unwrap();
        assert_eq!((names.test.labels, names.classes), (vec![1, 0], vec!["cat".to_owned(), "dog".into()]));
        // Classes that the first images do not hold.
        let dir = folder(&images, &labels([1, 0]));
        fs::write(dir.path().join("classes.txt"), "a\nb\nc\n").unwrap();
        assert_eq!(load(dir.path()).unwrap().classes, ["a", "b", "c"]);
        fs::write(dir.path().join("classes.txt"), "a\n").unwrap();
        assert!(load(dir.path()).unwrap_err().to_string().contains("1 class names, the labels count to 2"));
    }

    #[test]
    fn images_are_read_in_whichever_way_they_lie() {
        let with = |shape: &str, kind: &str, data: &[u8]| {
            let header = IMAGES.replace("(2, 1, 2, 3)", shape).replace("|u1", kind);
            load(folder(&npy(&header, data), &labels([1, 0])).path()).unwrap()
        };
        let bytes: Vec<u8> = (0..20).collect();
        let grey = with("(2, 2, 5)", "|u1", &bytes);
        assert_eq!((grey.image, &grey.test.pixels), (Shape::new(2, 5, 1), &bytes));
        let planes = with("(2, 2, 1, 5)", "|u1", &bytes);
        assert_eq!((planes.image, planes.test.pixels[..4].to_vec()), (Shape::new(1, 5, 2), vec![0, 5, 1, 6]));
        assert!(planes.notes[0].contains("[n, c, h, w]"));
        let shares: Vec<u8> = bytes.iter().flat_map(|v| (f32::from(*v) / 255.0).to_le_bytes()).collect();
        assert_eq!(with("(2, 2, 5)", "<f4", &shares).test, grey.test);
        let levels: Vec<u8> = bytes.iter().flat_map(|v| f64::from(*v).to_be_bytes()).collect();
        assert_eq!(with("(2, 2, 5)", ">f8", &levels).test, grey.test);
        let wide: Vec<u8> = bytes.iter().flat_map(|v| u16::from(*v).to_le_bytes()).collect();
        assert_eq!(with("(2, 2, 5)", "<u2", &wide).test, grey.test);
    }

    #[test]
    fn mistakes_say_what_was_expected() {
        let good = npy(IMAGES, &[0; 12]);
        for (images, labels, word) in [
            (good[..4].to_vec(), labels([0, 1]), "not a .npy file"),
            (good[..40].to_vec(), labels([0, 1]), "within its header"),
            (good[..good.len() - 1].to_vec(), labels([0, 1]), "cut off"),
            (
                npy(&IMAGES.replace("|u1", "<f4"), &0.3f32.to_le_bytes().repeat(12)),
                labels([0, 1]),
                "save the images as bytes",
            ),
            (npy(&IMAGES.replace("|u1", "<c8"), &[0; 96]), labels([0, 1]), "bytes or real numbers"),
            ([&good[..], b"more"].concat(), labels([0, 1]), "written behind the array"),
            (npy(&IMAGES.replace("(2, 1", "(0, 1"), &[]), labels([0, 1]), "at least one image"),
            (npy(&IMAGES.replace("False", "True"), &[0; 12]), labels([0, 1]), "Fortran"),
            (npy(&IMAGES.replace("shape", "shap"), &[0; 12]), labels([0, 1]), "no `shape`"),
            (good.clone(), labels([0, -1]), "label 1 is -1"),
            (good.clone(), npy(&LABELS.replace("(2,)", "(3,)"), &[0; 24]), "shape [2]"),
            (good, npy(&LABELS.replace("<i8", "<f4"), &[0; 8]), "whole numbers or names"),
        ] {
            let dir = folder(&images, &labels);
            let message = load(dir.path()).unwrap_err().to_string();
            assert!(message.contains(word) && message.contains(".npy"), "{word}: {message}");
        }
    }
}
