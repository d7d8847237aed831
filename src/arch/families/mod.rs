//! Families of networks, one file each; every one lowers to a [`Net`].

pub mod anynet;
pub mod cells;
pub mod convnext;
pub mod nb201;
pub mod preact;
pub mod preact_resnet;
pub mod published;
pub mod regnet;
pub mod resnet;
pub mod robnet;
pub mod robust_resnet;
pub mod sknet;
pub mod stem;
mod token;
pub mod vit;
pub mod wrn;
pub mod xcit;

use std::fmt;
use std::path::Path;

use anynet::AnyNet;
use convnext::ConvNeXt;
use nb201::Nb201Net;
use preact_resnet::PreActResNet;
use regnet::RegNet;
use resnet::ResNet;
use robnet::RobNet;
use robust_resnet::RobustResNet;
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
    /// A residual network with the activation after the sum.
    ResNet(ResNet),
    /// A wide residual network.
    Wrn(Wrn),
    /// A selective kernel network.
    SkNet(SkNet),
    /// DARTS' sequence of cells of separable convolutions and shortcuts.
    RobNet(RobNet),
    /// A ConvNeXt.
    ConvNeXt(ConvNeXt),
    /// A vision transformer.
    Vit(Vit),
    /// An XCiT.
    Xcit(Xcit),
    /// A robust residual network.
    RobustResNet(RobustResNet),
    /// Stages of equal blocks.
    AnyNet(AnyNet),
    /// Stages whose widths follow a quantised line.
    RegNet(RegNet),
}

impl Model {
    /// The words before the colon, with an example of what follows.
    pub const WORDS: [(&str, &str); 14] = [
        ("nb201", "CELL"),
        ("preact-resnet", "18"),
        ("resnet", "50"),
        ("resnext", "50-32x4d"),
        ("wide-resnet", "50-2"),
        ("wrn", "depth=28,width=10"),
        ("robnet", "free"),
        ("sknet", "50"),
        ("convnext", "tiny"),
        ("vit", "base-16"),
        ("xcit", "small-12"),
        ("robust-resnet", "a1"),
        ("anynet", "depths=9-9-9,widths=16-32-64"),
        ("regnet", "x-400mf"),
    ];

    /// Reads a family's keys; nothing where no family has this word.
    pub fn read(word: &str, mut keys: Keys) -> Option<Result<Self, Fault>> {
        let model = match word {
            "nb201" => nb201(&mut keys).map(Model::Nb201),
            "preact-resnet" => PreActResNet::parse(&mut keys).map(Model::PreActResNet),
            "resnet" | "resnext" | "wide-resnet" => ResNet::parse(word, &mut keys).map(Model::ResNet),
            "wrn" => Wrn::parse(&mut keys).map(Model::Wrn),
            "robnet" => RobNet::parse(&mut keys).map(Model::RobNet),
            "sknet" => SkNet::parse(&mut keys).map(Model::SkNet),
            "convnext" => ConvNeXt::parse(&mut keys).map(Model::ConvNeXt),
            "vit" => Vit::parse(&mut keys).map(Model::Vit),
            "xcit" => Xcit::parse(&mut keys).map(Model::Xcit),
            "robust-resnet" => RobustResNet::parse(&mut keys).map(Model::RobustResNet),
            "anynet" => AnyNet::parse(&mut keys).map(Model::AnyNet),
            "regnet" => RegNet::parse(&mut keys).map(Model::RegNet),
            _ => return None,
        };
        Some(model.and_then(|model| keys.finish().map(|()| model)))
    }

    /// The word before the colon.
    pub fn word(&self) -> &'static str {
        match self {
            Model::Nb201(_) => "nb201",
            Model::PreActResNet(_) => "preact-resnet",
            Model::ResNet(net) => net.word(),
            Model::Wrn(_) => "wrn",
            Model::RobNet(_) => "robnet",
            Model::SkNet(_) => "sknet",
            Model::ConvNeXt(_) => "convnext",
            Model::Vit(_) => "vit",
            Model::Xcit(_) => "xcit",
            Model::RobustResNet(_) => "robust-resnet",
            Model::AnyNet(_) => "anynet",
            Model::RegNet(_) => "regnet",
        }
    }

    /// Builds the network for an image and a number of classes.
    ///
    /// # Errors
    /// [`Error::Net`](crate::error::Error::Net) where the image is too small or elements and widths do not fit
    /// together.
    pub fn lower(&self, image: Shape, classes: usize) -> Result<Net> {
        match self {
            Model::Nb201(cell) => Nb201Net::benchmark(image, classes, *cell).lower(),
            Model::PreActResNet(net) => net.lower(image, classes),
            Model::ResNet(net) => net.lower(image, classes),
            Model::Wrn(net) => net.lower(image, classes),
            Model::RobNet(net) => net.lower(image, classes),
            Model::SkNet(net) => net.lower(image, classes),
            Model::ConvNeXt(net) => net.lower(image, classes),
            Model::Vit(net) => net.lower(image, classes),
            Model::Xcit(net) => net.lower(image, classes),
            Model::RobustResNet(net) => net.lower(image, classes),
            Model::AnyNet(net) => net.lower(image, classes),
            Model::RegNet(net) => net.lower(image, classes),
        }
    }
}

fn nb201(keys: &mut Keys) -> Result<Nb201Cell, Fault> {
    keys.among(&[&[MODEL]])?;
    let cell = keys.text(MODEL).unwrap_or_default();
    Nb201Cell::parse(&cell, Path::new("nb201")).map_err(|why| Fault::of(MODEL, why.to_string()))
}

impl fmt::Display for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.word())?;
        match self {
            Model::Nb201(cell) => cell.fmt(f),
            Model::PreActResNet(net) => net.fmt(f),
            Model::ResNet(net) => net.fmt(f),
            Model::Wrn(net) => net.fmt(f),
            Model::RobNet(net) => net.fmt(f),
            Model::SkNet(net) => net.fmt(f),
            Model::ConvNeXt(net) => net.fmt(f),
            Model::Vit(net) => net.fmt(f),
            Model::Xcit(net) => net.fmt(f),
            Model::RobustResNet(net) => net.fmt(f),
            Model::AnyNet(net) => net.fmt(f),
            Model::RegNet(net) => net.fmt(f),
        }
    }
}
