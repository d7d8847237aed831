//! Networks from ONNX files: classifiers of images `[n, c, h, w]` with pixels in `[0, 1]`, as PyTorch exports them. The
//! graph becomes a [`Net`] and the initializers its numbers; an operation that no layer can express is refused by name.

mod constant;
mod draft;
mod graph;
mod linear;
mod lowering;
mod node;
mod ops;
mod pointwise;
mod proto;
mod reshape;
mod value;
mod windows;

use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::path::Path;

use prost::Message;

use crate::arch::net::Net;
use crate::arch::op::Shape;
use crate::error::{Error, Result};

/// The operator sets whose operations are read as they are meant.
pub const OPSETS: RangeInclusive<i64> = 13..=20;

/// A network with its numbers.
#[derive(Clone, Debug)]
pub struct Model {
    /// The graph.
    pub net: Net,
    /// The numbers of every tensor in the engine's layout, by its name there.
    pub tensors: HashMap<String, Vec<f32>>,
}

/// The names of the operations that are supported.
pub fn supported() -> impl Iterator<Item = &'static str> {
    ops::supported()
}

/// Reads a model; `read` gives the bytes of its file, and of files of data that it names. `image` stands in for sides that
/// the file leaves open.
///
/// # Errors
/// What `read` says; [`Error::Data`] naming the file, the node, what was expected and what to do.
pub fn read(path: &Path, image: Shape, read: &dyn Fn(&Path) -> Result<Vec<u8>>) -> Result<Model> {
    let bytes = read(path)?;
    let proto = proto::ModelProto::decode(&bytes[..])
        .map_err(|why| Error::data(path, format!("not an ONNX model, or cut short: {why}")))?;
    drop(bytes);
    graph::model(&proto, path, image, read)
}
