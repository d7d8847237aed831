//! Networks as ONNX files: classifiers of images `[n, c, h, w]` with pixels in `[0, 1]`. [`read`] makes a
//! [`Net`] and its numbers of what PyTorch exports, [`write`](write()) makes a file of any network.

mod proto;
mod read;
mod write;

use std::collections::HashMap;

use crate::arch::net::Net;

pub use read::{OPSETS, read, supported};
pub use write::{Export, OPSET, write};

/// A network with its numbers.
#[derive(Clone, Debug)]
pub struct Model {
    /// The graph.
    pub net: Net,
    /// The numbers of every tensor in the engine's layout, by its name there.
    pub tensors: HashMap<String, Vec<f32>>,
}
