//! NumPy arrays: `DIR/images.npy`, unsigned bytes `[n, h, w, c]`, and `DIR/labels.npy`, 64-bit integers `[n]`. They are
//! the test half of a data set without a training half: images to attack.
//!
//! The format is version 1 to 3 of numpy/lib/format.py: a magic string, the length of the header, the header as a
//! Python dictionary, the values.

use std::fs;
use std::path::Path;

use super::{Dataset, Images, name_of};
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
    let image = match (array.kind, &array.shape[..]) {
        ("|u1" | "<u1" | ">u1", &[_, h, w, c]) if h * w * c > 0 => Shape { h, w, c },
        _ => return Err(unfit(at, "unsigned bytes of shape [n, h, w, c]", &array)),
    };
    let (label_bytes, at) = (fs::read(&labels).at(&labels)?, &labels);
    let numbers = Array::parse(&label_bytes).map_err(|e| Error::data(at, e))?;
    if numbers.kind != "<i8" || numbers.shape != [array.shape[0]] {
        return Err(unfit(at, &format!("64-bit integers (<i8) of shape [{}]", array.shape[0]), &numbers));
    }
    let mut found = Vec::with_capacity(numbers.shape[0]);
    for (i, number) in numbers.data.chunks_exact(8).enumerate() {
        let mut eight = [0; 8];
        eight.copy_from_slice(number);
        let label = i64::from_le_bytes(eight);
        let label = u32::try_from(label).ok().filter(|l| *l < LARGEST);
        found.push(label.ok_or_else(|| {
            Error::data(at, format!("label {i} is {}; labels count from 0", i64::from_le_bytes(eight)))
        })?);
    }
    let classes = found.iter().max().map_or(0, |most| most + 1);
    let classes: Vec<String> = (0..classes).map(|k| k.to_string()).collect();
    Ok(Dataset {
        name: name_of(dir, image, &classes),
        classes,
        image,
        train: Images::default(),
        test: Images { pixels: array.data.to_vec(), labels: found },
    })
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
        if want != Some(data.len()) {
            return Err(format!("`{kind}` of shape {shape:?} does not take {} bytes: the file is cut off", data.len()));
        }
        Ok(Array { kind, shape, data })
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

    #[test]
    fn mistakes_say_what_was_expected() {
        let good = npy(IMAGES, &[0; 12]);
        for (images, labels, word) in [
            (good[..4].to_vec(), labels([0, 1]), "not a .npy file"),
            (good[..40].to_vec(), labels([0, 1]), "within its header"),
            (good[..good.len() - 1].to_vec(), labels([0, 1]), "cut off"),
            (npy(&IMAGES.replace("|u1", "<f4"), &[0; 48]), labels([0, 1]), "unsigned bytes"),
            (npy(&IMAGES.replace("False", "True"), &[0; 12]), labels([0, 1]), "Fortran"),
            (npy(&IMAGES.replace("shape", "shap"), &[0; 12]), labels([0, 1]), "no `shape`"),
            (good.clone(), labels([0, -1]), "label 1 is -1"),
            (good.clone(), npy(&LABELS.replace("(2,)", "(3,)"), &[0; 24]), "shape [2]"),
            (good, npy(&LABELS.replace("<i8", "<i4"), &[0; 8]), "<i8"),
        ] {
            let dir = folder(&images, &labels);
            let message = load(dir.path()).unwrap_err().to_string();
            assert!(message.contains(word) && message.contains(".npy"), "{word}: {message}");
        }
    }
}
