//! MNIST and what has its format (LeCun et al. 1998: <http://yann.lecun.com/exdb/mnist/>; Fashion-MNIST, KMNIST): grey images
//! and labels in files of IDX, four of them, unpacked.
//!
//! A file is a magic number (two zero bytes, 8 for unsigned bytes, the number of axes), the sides as 32-bit numbers, the
//! highest byte first, and the bytes.

use std::path::{Path, PathBuf};

use super::{Dataset, Images, name_of, numbered};
use crate::arch::op::Shape;
use crate::error::{Error, IoContext, Result};

/// Where torchvision leaves the files within its folder of a data set.
const FOLDERS: [&str; 5] = ["", "raw", "MNIST/raw", "FashionMNIST/raw", "KMNIST/raw"];

/// Reads `train-images-idx3-ubyte`, `train-labels-idx1-ubyte`, `t10k-images-idx3-ubyte` and `t10k-labels-idx1-ubyte`.
///
/// # Errors
/// [`Error::Data`] for a missing or damaged file, with what was expected.
pub fn load(dir: &Path) -> Result<Dataset> {
    let home = FOLDERS.iter().map(|f| dir.join(f)).find(|f| f.join("t10k-images-idx3-ubyte").is_file());
    let home = home.ok_or_else(|| {
        let first = dir.join("t10k-images-idx3-ubyte");
        let packed = FOLDERS.iter().any(|f| dir.join(f).join("t10k-images-idx3-ubyte.gz").is_file());
        let hint = if packed { "only its packed form is there: gunzip *.gz" } else { "unpack the four files there" };
        Error::data(first, format!("no such file; `mnist:DIR` needs train- and t10k- images and labels: {hint}"))
    })?;
    let half = |name: &str| -> Result<(Shape, Images)> {
        let file = |what: &str| home.join(format!("{name}-{what}-ubyte"));
        let (images, labels) = (file("images-idx3"), file("labels-idx1"));
        let (sides, pixels) = idx(&images, 3)?;
        let (count, labels_read) = idx(&labels, 1)?;
        if sides[0] != count[0] {
            return Err(Error::data(labels, format!("{} labels for {} images", count[0], sides[0])));
        }
        if pixels.is_empty() {
            return Err(Error::data(images, "no images"));
        }
        let labels = labels_read.into_iter().map(u32::from).collect();
        Ok((Shape::new(sides[1], sides[2], 1), Images { pixels, labels }))
    };
    let ((image, train), (other, test)) = (half("train")?, half("t10k")?);
    if image != other {
        return Err(Error::data(home, format!("training images are {image}, test images {other}")));
    }
    let count = train.labels.iter().chain(&test.labels).max().map_or(0, |most| most + 1);
    let classes = numbered(&home, count as usize)?;
    Ok(Dataset { name: name_of(dir, image, &classes), classes, image, train, test, notes: Vec::new() })
}

/// The sides and the bytes of a file with a number of axes.
fn idx(path: &PathBuf, axes: usize) -> Result<(Vec<usize>, Vec<u8>)> {
    let bytes = std::fs::read(path).at(path)?;
    let header = 4 + 4 * axes;
    if bytes.len() < header || bytes[..4] != [0, 0, 8, axes as u8] {
        return Err(Error::data(path, format!("not an IDX file of unsigned bytes with {axes} axes; unpack it again")));
    }
    let side = |at: usize| u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]) as usize;
    let sides: Vec<usize> = (0..axes).map(|axis| side(4 + 4 * axis)).collect();
    let count = sides.iter().try_fold(1usize, |n, side| n.checked_mul(*side));
    if count != Some(bytes.len() - header) {
        let found = bytes.len() - header;
        return Err(Error::data(path, format!("has {found} bytes, its shape {sides:?} needs others: unpack it again")));
    }
    Ok((sides, bytes[header..].to_vec()))
}
