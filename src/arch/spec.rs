//! A network as typed on a command line.

use std::fmt;
use std::path::{Path, PathBuf};

use super::families::cells::{Placement, Skeleton, derived};
use super::families::nb201::Nb201Net;
use super::families::preact_resnet::PreActResNet;
use super::file::ArchFile;
use super::genotype::Genotype;
use super::nb201::Nb201Cell;
use super::net::Net;
use super::op::Shape;
use crate::error::{Error, Result, nearest};
use crate::onnx;

/// The forms, for messages and help.
pub const FORMS: &str = "darts:FILE,channels=36,layers=20  dsara:FILE,channels=64,layers=20  nb201:CELL  \
    preact-resnet:18  wrn:depth=28,width=10  or the path of an arch.json or a model.onnx";

/// The words in front of the colon.
const WORDS: [&str; 5] = ["darts", "dsara", "nb201", "preact-resnet", "wrn"];

/// Which placement a genotype file goes into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// Kinds `normal` and `reduce`, widths `C : 2C : 4C`.
    Darts,
    /// Kinds `accurate`, `reduce` and `robust`, widths `C : 2C : 2C`.
    Dsara,
}

impl Family {
    /// Both.
    pub const ALL: [Family; 2] = [Family::Darts, Family::Dsara];

    /// The word in front of the colon.
    pub fn word(self) -> &'static str {
        match self {
            Family::Darts => "darts",
            Family::Dsara => "dsara",
        }
    }

    /// Where its cells stand.
    pub fn placement(self) -> Placement {
        match self {
            Family::Darts => Placement::darts(),
            Family::Dsara => Placement::dsara(),
        }
    }
}

/// A network, named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NetSpec {
    /// A genotype file in a family's placement.
    Cells {
        /// The family.
        family: Family,
        /// The genotype's file.
        file: PathBuf,
        /// Channels `C` of the first stage.
        channels: usize,
        /// Cells.
        layers: usize,
    },
    /// A NAS-Bench-201 cell in the benchmark's network.
    Nb201(Nb201Cell),
    /// The pre-activation residual network of a known depth.
    PreActResNet {
        /// Layers with weights on the longest path.
        depth: usize,
        /// Channels of the first stage; 64 unless said otherwise.
        width: usize,
    },
    /// A wide residual network.
    Wrn {
        /// Layers with weights on the longest path, `6 n + 4`.
        depth: usize,
        /// Channels as a multiple of 16 : 32 : 64.
        width: usize,
    },
    /// An `arch.json`.
    Arch(PathBuf),
    /// An ONNX model; it has its numbers, too.
    Onnx(PathBuf),
}

/// Channels of a pre-activation network's first stage where nothing is said.
const PREACT_WIDTH: usize = 64;

/// A loaded network, with its cells and their places where it is made of such.
pub type Loaded = (Net, Option<Genotype>, Option<Skeleton>);

impl NetSpec {
    /// Reads one of [`FORMS`]. Looks at no file.
    ///
    /// # Errors
    /// [`Error::Usage`] naming the part that does not parse.
    pub fn parse(text: &str) -> Result<Self> {
        let usage = |why: String| Error::Usage(format!("network `{text}`: {why}"));
        let is_word =
            |head: &str| head.len() > 1 && head.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
        let Some((head, rest)) = text.split_once(':').filter(|(head, _)| is_word(head)) else {
            return match text {
                "" => Err(Error::Usage(format!("expected a network: {FORMS}"))),
                path if path.ends_with(".json") => Ok(NetSpec::Arch(path.into())),
                path if path.ends_with(".onnx") => Ok(NetSpec::Onnx(path.into())),
                _ => Err(usage(format!("expected {FORMS}"))),
            };
        };
        let named = match head {
            "nb201" => Nb201Cell::parse(rest, Path::new("nb201")).map(NetSpec::Nb201).map_err(|why| why.to_string()),
            "preact-resnet" => preact_resnet(rest),
            "wrn" => wrn(rest),
            _ => match Family::ALL.into_iter().find(|f| f.word() == head) {
                Some(family) => cells(family, rest),
                None => {
                    let hint = nearest(head, WORDS).map(|w| format!("did you mean `{w}`? "));
                    Err(format!("unknown form `{head}`; {}expected {FORMS}", hint.unwrap_or_default()))
                }
            },
        };
        named.map_err(usage)
    }

    /// Builds the network for an image and a number of classes; `read` gives a file's bytes.
    ///
    /// # Errors
    /// What `read` says; [`Error::Data`] for a file that does not parse or a genotype of another family;
    /// [`Error::Usage`] for an `arch.json` or ONNX model made for another image or number of classes.
    pub fn load(&self, image: Shape, classes: usize, read: &dyn Fn(&Path) -> Result<Vec<u8>>) -> Result<Loaded> {
        let text = |path: &Path| {
            String::from_utf8(read(path)?).map_err(|why| {
                Error::data_at(path, why.utf8_error().valid_up_to() as u64, "not a text in UTF-8; expected one")
            })
        };
        let for_own_data = |path: &Path, (own_image, own_classes): (Shape, usize)| {
            if (own_image, own_classes) == (image, classes) {
                return Ok(());
            }
            Err(Error::Usage(format!(
                "{}: the network takes {own_image} images and has {own_classes} classes; the data has {image} and \
                 {classes}",
                path.display()
            )))
        };
        match self {
            NetSpec::Cells { family, file, channels, layers } => {
                let genotype = Genotype::parse(&text(file)?, file)?;
                let placement = family.placement();
                let cells = placement.row(*channels, *layers)?;
                let skeleton =
                    Skeleton { image, classes, normalize: None, stem: placement.stem_multiplier * channels, cells };
                let net = derived(&skeleton, &genotype)
                    .map_err(|why| Error::data(file, format!("does not make a `{}` network: {why}", family.word())))?;
                Ok((net, Some(genotype), Some(skeleton)))
            }
            NetSpec::Nb201(cell) => Ok((Nb201Net::benchmark(image, classes, *cell).lower()?, None, None)),
            NetSpec::PreActResNet { depth, width } => {
                Ok((PreActResNet::basic(image, classes, *depth, *width)?.lower()?, None, None))
            }
            NetSpec::Wrn { depth, width } => {
                Ok((PreActResNet::wide(image, classes, *depth, *width)?.lower()?, None, None))
            }
            NetSpec::Arch(path) => {
                let (file, net) = ArchFile::from_json(&text(path)?, path)?;
                for_own_data(path, (file.image, file.classes))?;
                Ok((net, file.genotype, file.skeleton))
            }
            NetSpec::Onnx(path) => {
                let net = onnx::read(path, image, read)?.net;
                for_own_data(path, (net.input_shape(), net.classes()))?;
                Ok((net, None, None))
            }
        }
    }
}

/// `FILE,channels=36,layers=20`.
fn cells(family: Family, text: &str) -> Result<NetSpec, String> {
    let mut parts = text.split(',');
    let file = parts.next().filter(|f| !f.is_empty()).ok_or("expected a genotype file after the colon")?;
    let [channels, layers] = required(["channels", "layers"], parts)?;
    Ok(NetSpec::Cells { family, file: file.into(), channels, layers })
}

/// `18`, `18,width=64`.
fn preact_resnet(text: &str) -> Result<NetSpec, String> {
    let mut parts = text.split(',');
    let depth = parts.next().unwrap_or_default();
    let depth = positive(depth).ok_or_else(|| format!("`{depth}` is not a depth; expected preact-resnet:18"))?;
    let [width] = numbers(["width"], parts)?;
    PreActResNet::blocks(depth).map_err(|why| why.to_string())?;
    Ok(NetSpec::PreActResNet { depth, width: width.unwrap_or(PREACT_WIDTH) })
}

/// `depth=28,width=10`.
fn wrn(text: &str) -> Result<NetSpec, String> {
    let [depth, width] = required(["depth", "width"], text.split(',').filter(|part| !part.is_empty()))?;
    PreActResNet::wide_blocks(depth).map_err(|why| why.to_string())?;
    Ok(NetSpec::Wrn { depth, width })
}

/// The numbers of `KEY=NUMBER` parts, in the order of `keys`, none left out.
fn required<'a, const N: usize>(keys: [&str; N], parts: impl Iterator<Item = &'a str>) -> Result<[usize; N], String> {
    let found = numbers(keys, parts)?;
    match keys.iter().zip(found).find(|(_, number)| number.is_none()) {
        Some((key, _)) => Err(format!("`{key}=NUMBER` is missing")),
        None => Ok(found.map(Option::unwrap_or_default)),
    }
}

/// The numbers of `KEY=NUMBER` parts, in the order of `keys`.
fn numbers<'a, const N: usize>(
    keys: [&str; N],
    parts: impl Iterator<Item = &'a str>,
) -> Result<[Option<usize>; N], String> {
    let mut found = [None; N];
    for part in parts {
        let (key, value) = part.split_once('=').ok_or_else(|| format!("`{part}` is not KEY=VALUE"))?;
        let at = keys.iter().position(|known| *known == key).ok_or_else(|| match nearest(key, keys) {
            Some(known) => format!("unknown key `{key}`; did you mean `{known}`?"),
            None => format!("unknown key `{key}`; known: {}", keys.join(", ")),
        })?;
        let number = positive(value).ok_or_else(|| format!("`{part}`: expected a positive whole number"))?;
        if found[at].replace(number).is_some() {
            return Err(format!("`{key}` is given twice"));
        }
    }
    Ok(found)
}

fn positive(text: &str) -> Option<usize> {
    text.parse().ok().filter(|n| *n > 0)
}

impl fmt::Display for NetSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NetSpec::Cells { family, file, channels, layers } => {
                write!(f, "{}:{},channels={channels},layers={layers}", family.word(), file.display())
            }
            NetSpec::Nb201(cell) => write!(f, "nb201:{cell}"),
            NetSpec::PreActResNet { depth, width: PREACT_WIDTH } => write!(f, "preact-resnet:{depth}"),
            NetSpec::PreActResNet { depth, width } => write!(f, "preact-resnet:{depth},width={width}"),
            NetSpec::Wrn { depth, width } => write!(f, "wrn:depth={depth},width={width}"),
            NetSpec::Arch(path) | NetSpec::Onnx(path) => write!(f, "{}", path.display()),
        }
    }
}
