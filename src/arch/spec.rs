//! A network as typed on a command line.

use std::fmt;
use std::path::{Path, PathBuf};

use super::families::cells::{Placement, Skeleton, derived};
use super::families::nb201::Nb201Net;
use super::file::ArchFile;
use super::genotype::Genotype;
use super::nb201::Nb201Cell;
use super::net::Net;
use super::op::Shape;
use crate::error::{Error, Result, nearest};

/// The forms, for messages and help.
pub const FORMS: &str =
    "darts:FILE,channels=36,layers=20  dsara:FILE,channels=64,layers=20  nb201:CELL  or the path of an arch.json";

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
    /// An `arch.json`.
    Arch(PathBuf),
}

/// A loaded network, with its cells and their places where it is made of such.
pub type Loaded = (Net, Option<Genotype>, Option<Skeleton>);

impl NetSpec {
    /// Reads one of [`FORMS`]. Looks at no file.
    ///
    /// # Errors
    /// [`Error::Usage`] naming the part that does not parse.
    pub fn parse(text: &str) -> Result<Self> {
        let usage = |why: String| Error::Usage(format!("network `{text}`: {why}"));
        let is_word = |head: &str| head.len() > 1 && head.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        let Some((head, rest)) = text.split_once(':').filter(|(head, _)| is_word(head)) else {
            return match text {
                "" => Err(Error::Usage(format!("expected a network: {FORMS}"))),
                path if path.ends_with(".json") => Ok(NetSpec::Arch(path.into())),
                _ => Err(usage(format!("expected {FORMS}"))),
            };
        };
        if head == "nb201" {
            return Nb201Cell::parse(rest, Path::new("nb201"))
                .map(NetSpec::Nb201)
                .map_err(|why| usage(why.to_string()));
        }
        let Some(family) = Family::ALL.into_iter().find(|f| f.word() == head) else {
            let hint = nearest(head, ["darts", "dsara", "nb201"]).map(|w| format!("did you mean `{w}`? "));
            return Err(usage(format!("unknown form `{head}`; {}expected {FORMS}", hint.unwrap_or_default())));
        };
        let mut parts = rest.split(',');
        let file = parts
            .next()
            .filter(|f| !f.is_empty())
            .ok_or_else(|| usage("expected a genotype file after the colon".into()))?;
        let (mut channels, mut layers) = (None, None);
        for part in parts {
            let (key, value) = part.split_once('=').ok_or_else(|| usage(format!("`{part}` is not KEY=VALUE")))?;
            let slot = match key {
                "channels" => &mut channels,
                "layers" => &mut layers,
                _ => {
                    let hint = nearest(key, ["channels", "layers"]).map(|k| format!("; did you mean `{k}`?"));
                    return Err(usage(format!(
                        "unknown key `{key}`{}",
                        hint.unwrap_or("; known: channels, layers".into())
                    )));
                }
            };
            let number = value.parse().ok().filter(|n: &usize| *n > 0);
            let number = number.ok_or_else(|| usage(format!("`{key}={value}`: expected a positive whole number")))?;
            if slot.replace(number).is_some() {
                return Err(usage(format!("`{key}` is given twice")));
            }
        }
        let missing = |key: &str| usage(format!("`{key}=NUMBER` is missing"));
        Ok(NetSpec::Cells {
            family,
            file: file.into(),
            channels: channels.ok_or_else(|| missing("channels"))?,
            layers: layers.ok_or_else(|| missing("layers"))?,
        })
    }

    /// Builds the network for an image and a number of classes; `read` gives a file's text.
    ///
    /// # Errors
    /// What `read` says; [`Error::Data`] for a file that does not parse or a genotype of another family;
    /// [`Error::Usage`] for an `arch.json` made for another image or number of classes.
    pub fn load(&self, image: Shape, classes: usize, read: &dyn Fn(&Path) -> Result<String>) -> Result<Loaded> {
        match self {
            NetSpec::Cells { family, file, channels, layers } => {
                let genotype = Genotype::parse(&read(file)?, file)?;
                let placement = family.placement();
                let cells = placement.row(*channels, *layers)?;
                let skeleton =
                    Skeleton { image, classes, normalize: None, stem: placement.stem_multiplier * channels, cells };
                let net = derived(&skeleton, &genotype)
                    .map_err(|why| Error::data(file, format!("does not make a `{}` network: {why}", family.word())))?;
                Ok((net, Some(genotype), Some(skeleton)))
            }
            NetSpec::Nb201(cell) => Ok((Nb201Net::benchmark(image, classes, *cell).lower()?, None, None)),
            NetSpec::Arch(path) => {
                let (file, net) = ArchFile::from_json(&read(path)?, path)?;
                if (file.image, file.classes) != (image, classes) {
                    return Err(Error::Usage(format!(
                        "{}: the network takes {} images and has {} classes; the data has {image} and {classes}",
                        path.display(),
                        file.image,
                        file.classes
                    )));
                }
                Ok((net, file.genotype, file.skeleton))
            }
        }
    }
}

impl fmt::Display for NetSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NetSpec::Cells { family, file, channels, layers } => {
                write!(f, "{}:{},channels={channels},layers={layers}", family.word(), file.display())
            }
            NetSpec::Nb201(cell) => write!(f, "nb201:{cell}"),
            NetSpec::Arch(path) => write!(f, "{}", path.display()),
        }
    }
}
