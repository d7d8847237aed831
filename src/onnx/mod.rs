//! Networks as ONNX files: classifiers of images `[n, c, h, w]` with pixels in `[0, 1]`. [`read`] turns a
//! file, such as PyTorch exports, into a [`Net`] and its weights, [`write`](write()) any network into a file.

mod proto;
mod read;
mod write;

use std::collections::HashMap;

use crate::arch::net::Net;

pub use read::{OPSETS, read, supported};
pub use write::{Export, OPSET, write};

/// A network with its weights.
#[derive(Clone, Debug)]
pub struct Model {
    /// The graph.
    pub net: Net,
    /// The weight tensors in the engine's layout, by their names there.
    pub tensors: HashMap<String, Vec<f32>>,
}
