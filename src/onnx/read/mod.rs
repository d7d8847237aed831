//! From a file to a network. The graph becomes a [`Net`](crate::arch::net::Net) and the initializers its weights; an
//! operation that no layer can express is refused by name.

mod arrange;
mod arrays;
mod attention;
mod concat;
mod constant;
mod copies;
mod cut;
mod draft;
mod fold;
mod graph;
mod linear;
mod lowering;
mod node;
mod norm;
mod ops;
mod pointwise;
mod product;
mod reshape;
mod sides;
mod value;
mod view;
mod windows;

use std::ops::RangeInclusive;
use std::path::Path;

use prost::Message;

use super::{Model, proto};
use crate::arch::op::Shape;
use crate::error::{Error, Result};

/// The operator sets whose operations are read as they are meant.
pub const OPSETS: RangeInclusive<i64> = 11..=22;

/// The names of the operations that are supported.
pub fn supported() -> impl Iterator<Item = &'static str> {
    ops::supported()
}

/// Reads a model; `read` gives the bytes of its file, and of its external data files. `image` gives dimensions that
/// are dynamic in the file.
///
/// # Errors
/// Those of `read`; [`Error::Data`] naming the file, the node, what was expected and what to do.
pub fn read(path: &Path, image: Shape, read: &dyn Fn(&Path) -> Result<Vec<u8>>) -> Result<Model> {
    let bytes = read(path)?;
    let proto = proto::ModelProto::decode(&bytes[..])
        .map_err(|why| Error::data(path, format!("not an ONNX model, or cut short: {why}")))?;
    drop(bytes);
    graph::model(&proto, path, image, read)
}
