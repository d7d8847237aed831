//! Arguments that several verbs share.

use std::str::FromStr;

use super::files;
use crate::arch::op::Shape;
use crate::error::Result;
use crate::model::Model;

/// Reads a number that is at least 1.
pub fn positive<T: FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| "expected a positive whole number".into())
}

/// The images and the classes of a network.
#[derive(clap::Args)]
pub struct ImageArguments {
    /// Image size.
    #[arg(long, default_value = "32x32x3")]
    pub image: Shape,
    /// Classes.
    #[arg(long, default_value_t = 10)]
    pub classes: usize,
}

impl ImageArguments {
    /// Both.
    pub fn image_and_classes(&self) -> (Shape, usize) {
        (self.image, self.classes)
    }

    /// Builds a network by name.
    pub fn load(&self, net: &str) -> Result<Model> {
        Model::load_for(net, self.image, self.classes, &files::bytes)
    }
}

/// A network and the images it takes.
#[derive(clap::Args)]
pub struct NetArguments {
    /// A family and its keys, such as wrn:28-10, resnet:50, preact-resnet:18,act=silu, nb201:CELL or
    /// darts:FILE,channels=36,layers=20; a net.toml, an arch.json, or a model.onnx. docs/networks.md has all.
    net: String,
    #[command(flatten)]
    image: ImageArguments,
}

impl NetArguments {
    /// Builds it.
    pub fn load(&self) -> Result<Model> {
        self.image.load(&self.net)
    }
}
