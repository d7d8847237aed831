//! Families of networks, one file each; every one lowers to a [`Net`].

pub mod cells;
pub mod convnext;
pub mod nb201;
pub mod preact;
pub mod preact_resnet;
pub mod sknet;
mod token;
pub mod vit;
pub mod wrn;
pub mod xcit;

use std::fmt;
use std::path::Path;

use convnext::ConvNeXt;
use nb201::Nb201Net;
use preact_resnet::PreActResNet;
use sknet::SkNet;
use vit::Vit;
use wrn::Wrn;
use xcit::Xcit;

use super::keys::{Fault, Keys, MODEL};
use super::nb201::Nb201Cell;
use super::net::Net;
use super::op::Shape;
use crate::error::Result;

/// A network of a family that needs no file besides: the family's word, a colon, and what the family reads.
#[derive(Clone, Debug, PartialEq)]
pub enum Model {
    /// A NAS-Bench-201 cell in the benchmark's network.
    Nb201(Nb201Cell),
    /// The pre-activation residual network of a known depth.
    PreActResNet(PreActResNet),
    /// A wide residual network.
    Wrn(Wrn),
    /// A selective kernel network.
    SkNet(SkNet),
    /// A ConvNeXt.
    ConvNeXt(ConvNeXt),
    /// A vision transformer.
    Vit(Vit),
    /// An XCiT.
    Xcit(Xcit),
}

impl Model {
    /// The words in front of the colon, with an example of what comes behind.
    pub const WORDS: [(&str, &str); 7] = [
        ("nb201", "CELL"),
        ("preact-resnet", "18"),
        ("wrn", "depth=28,width=10"),
        ("sknet", "50"),
        ("convnext", "tiny"),
        ("vit", "b-16"),
        ("xcit", "small-12"),
    ];

    /// Reads what stands behind the word; nothing where no family has this word.
    pub fn parse(word: &str, rest: &str) -> Option<Result<Self, Fault>> {
        Self::WORDS.iter().find(|(known, _)| *known == word)?;
        Some(Keys::parse(rest).and_then(|keys| Self::read(word, keys)))
    }

    /// Reads a family's keys.
    ///
    /// # Errors
    /// What the family says, or a word that no family has.
    pub fn read(word: &str, mut keys: Keys) -> Result<Self, Fault> {
        let model = match word {
            "nb201" => {
                let cell = keys.text(MODEL).unwrap_or_default();
                let cell = Nb201Cell::parse(&cell, Path::new("nb201"));
                Model::Nb201(cell.map_err(|why| Fault::of(MODEL, why.to_string()))?)
            }
            "preact-resnet" => Model::PreActResNet(PreActResNet::parse(&mut keys)?),
            "wrn" => Model::Wrn(Wrn::parse(&mut keys)?),
            "sknet" => Model::SkNet(SkNet::parse(&mut keys)?),
            "convnext" => Model::ConvNeXt(ConvNeXt::parse(&mut keys)?),
            "vit" => Model::Vit(Vit::parse(&mut keys)?),
            "xcit" => Model::Xcit(Xcit::parse(&mut keys)?),
            _ => return Err(format!("no family is called `{word}`").into()),
        };
        keys.finish()?;
        Ok(model)
    }

    /// The word in front of the colon.
    pub fn word(&self) -> &'static str {
        match self {
            Model::Nb201(_) => "nb201",
            Model::PreActResNet(_) => "preact-resnet",
            Model::Wrn(_) => "wrn",
            Model::SkNet(_) => "sknet",
            Model::ConvNeXt(_) => "convnext",
            Model::Vit(_) => "vit",
            Model::Xcit(_) => "xcit",
        }
    }

    /// Builds the network for an image and a number of classes.
    ///
    /// # Errors
    /// [`Error::Net`](crate::error::Error::Net) where the image is too small or elements and widths do not fit together.
    pub fn lower(&self, image: Shape, classes: usize) -> Result<Net> {
        match self {
            Model::Nb201(cell) => Nb201Net::benchmark(image, classes, *cell).lower(),
            Model::PreActResNet(net) => net.lower(image, classes),
            Model::Wrn(net) => net.lower(image, classes),
            Model::SkNet(net) => net.lower(image, classes),
            Model::ConvNeXt(net) => net.lower(image, classes),
            Model::Vit(net) => net.lower(image, classes),
            Model::Xcit(net) => net.lower(image, classes),
        }
    }
}

impl fmt::Display for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.word())?;
        match self {
            Model::Nb201(cell) => cell.fmt(f),
            Model::PreActResNet(net) => net.fmt(f),
            Model::Wrn(net) => net.fmt(f),
            Model::SkNet(net) => net.fmt(f),
            Model::ConvNeXt(net) => net.fmt(f),
            Model::Vit(net) => net.fmt(f),
            Model::Xcit(net) => net.fmt(f),
        }
    }
}
