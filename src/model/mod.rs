//! A network by its name, and the forms that other programs take it in.

pub mod candle;
pub mod weights;

use std::path::Path;

use crate::arch::net::Net;
use crate::arch::op::Shape;
use crate::arch::spec::NetSpec;
use crate::error::{IoContext, Result};

/// The network of a name that the command line takes, too: a family and its keys (`wrn:28-10`, `resnet:50,act=silu`,
/// `darts:FILE,channels=36,layers=20`), or the path of a `net.toml`, an `arch.json` or a `model.onnx`. `docs/networks.md`
/// has all of them.
///
/// ```
/// use robustnas::arch::{cost::cost, op::Shape};
///
/// let net = robustnas::model::named("preact-resnet:18,act=silu", Shape::new(32, 32, 3), 10)?;
/// println!("{} multiply-accumulates", cost(&net).macs);
/// # Ok::<(), robustnas::error::Error>(())
/// ```
///
/// # Errors
/// [`Error::Usage`](crate::error::Error::Usage) naming the part of the name that does not parse, and for a file's network
/// of another image or number of classes; [`Error::Io`](crate::error::Error::Io) and
/// [`Error::Data`](crate::error::Error::Data) for a file that cannot be read or understood.
pub fn named(name: &str, image: Shape, classes: usize) -> Result<Net> {
    let read = |path: &Path| std::fs::read(path).at(path);
    NetSpec::parse(name)?.load(image, classes, &read).map(|(net, ..)| net)
}
