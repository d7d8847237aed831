//! Where images come from, in the short form of the command line: `synthetic`, `hf:DIR`, ...

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use super::{Dataset, Images, cifar, folder, hf, mnist, npy, synthetic};
use crate::arch::op::Shape;
use crate::error::{Error, Result, nearest};

/// A named place to read a [`Dataset`] from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Drawn by the program; see [`synthetic`].
    Synthetic,
    /// The binary or the Python version of CIFAR-10.
    Cifar10(PathBuf),
    /// The binary or the Python version of CIFAR-100, fine labels.
    Cifar100(PathBuf),
    /// Parquet files in the Hugging Face image layout.
    Hf(PathBuf),
    /// One folder of image files a class.
    Folder(PathBuf),
    /// Two NumPy arrays; images to attack.
    Npy(PathBuf),
    /// MNIST's files.
    Mnist(PathBuf),
    /// Another source whose images are grey, as images of one channel.
    Grey(Box<Source>),
}

const SCHEMES: [&str; 8] = ["synthetic", "cifar10", "cifar100", "hf", "folder", "npy", "mnist", "grey"];

impl Source {
    /// Reads `synthetic`, `cifar10:DIR`, `cifar100:DIR`, `hf:DIR`, `folder:DIR`, `npy:DIR`, `mnist:DIR`, or one of them behind
    /// `grey:`.
    ///
    /// # Errors
    /// [`Error::Usage`] with the nearest known word.
    pub fn parse(text: &str) -> Result<Self> {
        let (scheme, dir) = match text.split_once(':') {
            Some((scheme, dir)) => (scheme, Some(dir)),
            None => (text, None),
        };
        let make: fn(PathBuf) -> Source = match scheme {
            "synthetic" => {
                return match dir {
                    None => Ok(Source::Synthetic),
                    Some(_) => Err(Error::Usage(format!("data `{text}`: `synthetic` takes no folder"))),
                };
            }
            "cifar10" => Source::Cifar10,
            "cifar100" => Source::Cifar100,
            "hf" => Source::Hf,
            "folder" => Source::Folder,
            "npy" => Source::Npy,
            "mnist" => Source::Mnist,
            "grey" => return Source::parse(dir.unwrap_or_default()).map(|inner| Source::Grey(Box::new(inner))),
            _ => {
                let hint = nearest(scheme, SCHEMES).map(|k| format!("; did you mean `{k}`?")).unwrap_or(".".into());
                return Err(Error::Usage(format!(
                    "data `{text}`: unknown source `{scheme}`{hint} Known: synthetic, cifar10:DIR, cifar100:DIR, \
                     hf:DIR, folder:DIR, npy:DIR, mnist:DIR, and grey: in front of one for images of one channel"
                )));
            }
        };
        match dir {
            Some(dir) if !dir.is_empty() => Ok(make(PathBuf::from(dir))),
            _ => Err(Error::Usage(format!("data `{text}`: name the folder, as in `{scheme}:DIR`"))),
        }
    }

    /// Reads (or draws) every image.
    ///
    /// # Errors
    /// [`Error::Data`] for a missing or damaged file and for data that do not follow the format, [`Error::Io`] where a
    /// file cannot be read; both name the file.
    pub fn load(&self) -> Result<Dataset> {
        match self {
            Source::Synthetic => Ok(synthetic::generate(synthetic::TRAIN, synthetic::TEST)),
            Source::Cifar10(dir) => cifar::load10(dir),
            Source::Cifar100(dir) => cifar::load100(dir),
            Source::Hf(dir) => hf::load(dir),
            Source::Folder(dir) => folder::load(dir),
            Source::Npy(dir) => npy::load(dir),
            Source::Mnist(dir) => mnist::load(dir),
            Source::Grey(inner) => one_channel(inner.load()?, inner),
        }
    }
}

/// The first of three equal channels.
fn one_channel(data: Dataset, source: &Source) -> Result<Dataset> {
    let c = data.image.c;
    let half = |images: &Images, half: &str| -> Result<Images> {
        let coloured = images.pixels.chunks_exact(c).position(|pixel| pixel.iter().any(|v| *v != pixel[0]));
        if let Some(at) = coloured {
            let image = at / data.image.area();
            return Err(Error::Usage(format!(
                "data `grey:{source}`: {half} image {image} has colours; `grey:` is for images that have none"
            )));
        }
        Ok(Images { pixels: images.pixels.iter().step_by(c).copied().collect(), labels: images.labels.clone() })
    };
    let (train, test) = (half(&data.train, "training")?, half(&data.test, "test")?);
    Ok(Dataset { image: Shape { c: 1, ..data.image }, train, test, ..data })
}

impl FromStr for Source {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Source::parse(text)
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Synthetic => f.write_str("synthetic"),
            Source::Cifar10(dir) => write!(f, "cifar10:{}", dir.display()),
            Source::Cifar100(dir) => write!(f, "cifar100:{}", dir.display()),
            Source::Hf(dir) => write!(f, "hf:{}", dir.display()),
            Source::Folder(dir) => write!(f, "folder:{}", dir.display()),
            Source::Npy(dir) => write!(f, "npy:{}", dir.display()),
            Source::Mnist(dir) => write!(f, "mnist:{}", dir.display()),
            Source::Grey(inner) => write!(f, "grey:{inner}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_forms_round_trip() {
        for text in
            ["synthetic", "cifar10:a/b", "cifar100:/x", "hf:../data/c:d", "folder:.", "npy:x", "mnist:m", "grey:hf:a"]
        {
            assert_eq!(Source::parse(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn mistakes_name_the_nearest_word() {
        let message = |text| match Source::parse(text) {
            Err(Error::Usage(message)) => message,
            other => panic!("{text}: {other:?}"),
        };
        assert!(message("sinthetic").contains("`synthetic`"));
        assert!(message("cifar-10:/x").contains("`cifar10`"));
        assert!(message("hf:").contains("hf:DIR"));
        assert!(message("cifar10").contains("cifar10:DIR"));
        assert!(message("synthetic:3").contains("no folder"));
        assert!(message("").contains("Known"));
    }
}
