//! A network as typed on a command line, or named by a file.

mod file;

use std::fmt;
use std::path::{Path, PathBuf};

use super::families::Model;
use super::families::cells::{Placement, Skeleton, StemKind, derived};
use super::file::ArchFile;
use super::genotype::Genotype;
use super::keys::{Fault, Keys};
use super::net::Net;
use super::op::Shape;
use crate::error::{Error, Result, nearest, utf8};

/// The forms, for messages.
pub fn forms() -> String {
    let cells = ["darts:FILE,channels=36,layers=20", "dsara:FILE,channels=64,layers=20"].map(str::to_owned);
    let models = Model::WORDS.map(|(word, example)| format!("{word}:{example}"));
    format!("{}  {}  or the path of a net.toml, an arch.json or a model.onnx", cells.join("  "), models.join("  "))
}

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

    /// The word before the colon.
    pub fn word(self) -> &'static str {
        match self {
            Family::Darts => "darts",
            Family::Dsara => "dsara",
        }
    }

    /// The placement of its cells.
    pub fn placement(self) -> Placement {
        match self {
            Family::Darts => Placement::darts(),
            Family::Dsara => Placement::dsara(),
        }
    }
}

/// A network, named.
#[derive(Clone, Debug, PartialEq)]
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
        /// The stem.
        stem: StemKind,
    },
    /// A network of a family that needs no file.
    Model(Model),
    /// A network file: family, keys and elements as TOML.
    Toml(PathBuf),
    /// An `arch.json`.
    Arch(PathBuf),
}

/// A loaded network, with genotype and skeleton where it is made of cells.
pub type Loaded = (Net, Option<Genotype>, Option<Skeleton>);

impl NetSpec {
    /// Reads one of [`forms`] but a model.onnx, which is no description alone. Reads no file.
    ///
    /// # Errors
    /// [`Error::Usage`] naming what does not parse.
    pub fn parse(text: &str) -> Result<Self> {
        let usage = |why: String| Error::Usage(format!("network `{text}`: {why}"));
        let is_word =
            |head: &str| head.len() > 1 && head.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
        let Some((head, rest)) = text.split_once(':').filter(|(head, _)| is_word(head)) else {
            return match text {
                "" => Err(Error::Usage(format!("expected a network: {}", forms()))),
                path if has_ending(path, "toml") => Ok(NetSpec::Toml(path.into())),
                path if has_ending(path, "json") => Ok(NetSpec::Arch(path.into())),
                _ => {
                    let near = meant(text).map(|form| format!("did you mean `{form}`? "));
                    Err(usage(format!("{}expected {}", near.unwrap_or_default(), forms())))
                }
            };
        };
        if !known_words().contains(&head) {
            let near = nearest(head, known_words()).map(|word| format!("did you mean `{word}`? "));
            return Err(usage(format!("unknown form `{head}`; {}expected {}", near.unwrap_or_default(), forms())));
        }
        let keys = match Family::ALL.into_iter().any(|family| family.word() == head) {
            true => genotype_keys(rest),
            false => Keys::parse(rest),
        };
        keys.and_then(|keys| NetSpec::read(head, keys)).map_err(|fault| usage(fault.why))
    }

    /// Reads the keys of a family.
    fn read(word: &str, mut keys: Keys) -> Result<Self, Fault> {
        if let Some(family) = Family::ALL.into_iter().find(|family| family.word() == word) {
            return cells(family, &mut keys);
        }
        let unknown = || match nearest(word, known_words()) {
            Some(near) => format!("unknown family `{word}`; did you mean `{near}`?"),
            None => format!("unknown family `{word}`; known: {}", known_words().join(", ")),
        };
        Model::read(word, keys).unwrap_or_else(|| Err(unknown().into())).map(NetSpec::Model)
    }

    /// Builds the network for an image and a number of classes; `read` gives a file's bytes.
    ///
    /// # Errors
    /// Those of `read`; [`Error::Config`] for a network file that does not parse; [`Error::Data`] for a file that does
    /// not parse or a genotype of another family; [`Error::Usage`] for an `arch.json` made for another image or number
    /// of classes.
    pub fn load(&self, image: Shape, classes: usize, read: &dyn Fn(&Path) -> Result<Vec<u8>>) -> Result<Loaded> {
        let text = |path: &Path| utf8(read(path)?, path);
        match self {
            NetSpec::Cells { family, file, channels, layers, stem } => {
                let genotype = Genotype::parse(&text(file)?, file)?;
                let placement = family.placement();
                let skeleton = Skeleton {
                    image,
                    classes,
                    normalize: None,
                    stem: placement.stem_channels(*channels, *stem),
                    stem_kind: *stem,
                    cells: placement.row(*channels, *layers)?,
                };
                let net = derived(&skeleton, &genotype)
                    .map_err(|why| Error::data(file, format!("does not make a `{}` network: {why}", family.word())))?;
                Ok((net, Some(genotype), Some(skeleton)))
            }
            NetSpec::Model(model) => Ok((model.lower(image, classes)?, None, None)),
            NetSpec::Toml(path) => file::parse(&text(path)?, path)?.load(image, classes, read),
            NetSpec::Arch(path) => {
                let (file, net) = ArchFile::from_json(&text(path)?, path)?;
                fits(path, &net, image, classes)?;
                Ok((net, file.genotype, file.skeleton))
            }
        }
    }
}

/// Whether a path ends like a kind of file, in whichever case: `model.ONNX` is one.
pub fn has_ending(path: &str, ending: &str) -> bool {
    Path::new(path).extension().is_some_and(|own| own.eq_ignore_ascii_case(ending))
}

/// The form that a name of another library stands for: `resnet:18` of `resnet18`, `wide-resnet:50-2` of `wide_resnet50_2`; else
/// an example of the family that its letters are nearest to.
fn meant(text: &str) -> Option<String> {
    let plain = text.to_ascii_lowercase().replace('_', "-");
    let bare = |text: &str| text.replace('-', "");
    let mut words = known_words();
    // The longest first: `wide-resnet` before `resnet`.
    words.sort_unstable_by_key(|word| std::cmp::Reverse(word.len()));
    for word in words {
        let rests = plain.char_indices().map(|(at, _)| at).chain([plain.len()]);
        for at in rests.filter(|at| bare(&plain[..*at]) == bare(word)) {
            let rest = plain[at..].trim_matches('-');
            let form = format!("{word}:{rest}");
            if !rest.is_empty() && NetSpec::parse(&form).is_ok() {
                return Some(form);
            }
        }
    }
    let letters: String = plain.chars().take_while(|c| c.is_ascii_alphabetic() || *c == '-').collect();
    let near = nearest(letters.trim_end_matches('-'), Model::WORDS.map(|(word, _)| word))?;
    Model::WORDS.iter().find(|(word, _)| *word == near).map(|(word, example)| format!("{word}:{example}"))
}

/// Whether the network of a file is one for some images and classes.
///
/// # Errors
/// [`Error::Usage`] with what it takes and what it was to take.
pub fn fits(file: &Path, net: &Net, image: Shape, classes: usize) -> Result<()> {
    let (own_image, own_classes) = (net.input_shape(), net.classes());
    if (own_image, own_classes) == (image, classes) {
        return Ok(());
    }
    Err(Error::Usage(format!(
        "{}: the network takes {own_image} images and has {own_classes} classes; the data has {image} and {classes}",
        file.display()
    )))
}

/// The words before the colon.
fn known_words() -> Vec<&'static str> {
    Family::ALL.into_iter().map(Family::word).chain(Model::WORDS.map(|(word, _)| word)).collect()
}

/// The key of a cell network's file.
const GENOTYPE: &str = "genotype";

/// The keys of `FILE,channels=36,layers=20`; a file's name may have an `=`.
fn genotype_keys(text: &str) -> Result<Keys, Fault> {
    let (file, rest) = text.split_once(',').unwrap_or((text, ""));
    let mut keys = Keys::parse(rest)?;
    if !file.is_empty() {
        keys.put(GENOTYPE, file)?;
    }
    Ok(keys)
}

/// `FILE,channels=36,layers=20`, `FILE,channels=48,layers=14,stem=imagenet`.
fn cells(family: Family, keys: &mut Keys) -> Result<NetSpec, Fault> {
    keys.among(&[&[GENOTYPE, "channels", "layers", "stem"]])?;
    let file = keys.text(GENOTYPE).ok_or("expected a genotype file after the colon, or as `genotype`")?.into();
    let (channels, layers) = (keys.needed("channels")?, keys.needed("layers")?);
    let stem = keys.value("stem")?.unwrap_or_default();
    Ok(NetSpec::Cells { family, file, channels, layers, stem })
}

impl fmt::Display for NetSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NetSpec::Cells { family, file, channels, layers, stem } => {
                write!(f, "{}:{},channels={channels},layers={layers}", family.word(), file.display())?;
                if stem.keeps_size() { Ok(()) } else { write!(f, ",stem={stem}") }
            }
            NetSpec::Model(model) => model.fmt(f),
            NetSpec::Toml(path) | NetSpec::Arch(path) => write!(f, "{}", path.display()),
        }
    }
}
