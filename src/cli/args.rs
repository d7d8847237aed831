//! Arguments that several verbs share.

use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use super::console::Console;
use super::files;
use super::named::network;
use crate::arch::op::Shape;
use crate::arch::spec::fits;
use crate::error::{Error, Result};
use crate::model::Model;

/// The command line, as it is kept for people.
pub fn command_line() -> Vec<String> {
    std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect()
}

/// This program's own file, to begin it again.
///
/// # Errors
/// [`Error::Usage`] where the system does not tell.
pub fn program() -> Result<PathBuf> {
    std::env::current_exe().map_err(|why| {
        Error::Usage(format!("this program's own file is not known, and must be, to begin it again: {why}"))
    })
}

/// Reads a number that is at least 1.
pub fn positive<T: FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| "expected a positive whole number".into())
}

/// A time between two things.
#[derive(Clone, Copy)]
pub struct Seconds(pub Duration);

impl FromStr for Seconds {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let seconds = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        seconds.map(Seconds).ok_or_else(|| "expected a number of seconds of at least 0, for example 60".to_owned())
    }
}

/// The images and the classes of a network.
#[derive(clap::Args)]
pub struct ImageArguments {
    /// Image size, rows x columns x channels. Default: 32x32x3; a file's own.
    #[arg(long)]
    image: Option<Shape>,
    /// Classes. Default: 10; a file's own.
    #[arg(long, value_parser = positive::<NonZero<usize>>)]
    classes: Option<NonZero<usize>>,
}

/// CIFAR's.
const IMAGE: Shape = Shape::new(32, 32, 3);
const CLASSES: usize = 10;

impl ImageArguments {
    /// Both.
    pub fn image_and_classes(&self) -> (Shape, usize) {
        (self.image.unwrap_or(IMAGE), self.classes.map_or(CLASSES, NonZero::get))
    }

    /// Builds a network by name or by where a run left it. A file's own images and classes must be those that are given.
    pub fn load(&self, net: &str, console: Console) -> Result<Model> {
        self.load_named(&network(net, console)?, console)
    }

    /// Builds a network by name alone.
    pub fn load_named(&self, net: &str, console: Console) -> Result<Model> {
        let (image, classes) = self.image_and_classes();
        if image.h < image.c && image.h <= 4 {
            console.warn(&format!(
                "--image {image} has {} rows and {} channels; rows x columns x channels are meant, as in 32x32x3",
                image.h, image.c
            ));
        }
        let model = Model::load(net, image, classes, &files::bytes)?;
        let own = (model.net.input_shape(), model.net.classes());
        fits(Path::new(net), &model.net, self.image.unwrap_or(own.0), self.classes.map_or(own.1, NonZero::get))?;
        Ok(model)
    }
}

/// A network and the images it takes.
#[derive(clap::Args)]
pub struct NetArguments {
    /// A family and its keys, such as wrn:28-10, resnet:50, preact-resnet:18,act=silu, nb201:CELL or
    /// darts:FILE,channels=36,layers=20; a net.toml, an arch.json, or a model.onnx; or a run folder, or RUN/ID.
    /// docs/networks.md has all.
    net: String,
    #[command(flatten)]
    image: ImageArguments,
}

impl NetArguments {
    /// Builds it.
    pub fn load(&self, console: Console) -> Result<Model> {
        self.image.load(&self.net, console)
    }
}
