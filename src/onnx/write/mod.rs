//! From a network to a file. Layers become operations of ONNX as they are in inference; dropout and stochastic depth
//! are left out.

mod attention;
mod graph;
mod layer;
mod norm;
mod spectral;
mod transpose;
mod view;
mod windows;
mod writer;

use prost::Message;

use super::proto::{
    DimensionProto, ModelProto, OperatorSetIdProto, TensorShapeProto, TensorTypeProto, TypeProto, ValueInfoProto, dtype,
};
use crate::arch::net::Net;
use crate::arch::op::{Op, Shape};
use crate::error::{Error, Result};

use graph::Graph;
use writer::{Tensor, Writer};

/// The operator set of the files: the first with `LayerNormalization`, so that older runtimes load them, too.
pub const OPSET: i64 = 17;

/// The version of the file format that came with [`OPSET`].
const IR_VERSION: i64 = 8;

/// The input: pixels in `[0, 1]`, `[n, c, h, w]`.
const INPUT: &str = "pixels";

/// The output, `[n, classes]`.
const OUTPUT: &str = "logits";

/// A network to be written.
#[derive(Clone, Copy)]
pub struct Export<'a> {
    /// The graph.
    pub net: &'a Net,
    /// A weight tensor in the engine's layout, by its name there (`node.weight`, `node.running_mean`).
    pub weights: &'a dyn Fn(&str) -> Option<&'a [f32]>,
    /// Which branch of multi-branch batch-norms is used.
    pub branch: usize,
    /// The mixing vector of a network with mixed sums.
    pub mix: &'a [f32],
}

/// The content of an ONNX file: operator set [`OPSET`], any number of images `n` a call.
///
/// # Errors
/// [`Error::Net`] naming the node whose weights are missing or of another length, a mixed sum beyond the length of
/// `mix`, or a branch that does not exist; for a network of more than 2 GiB.
pub fn write(export: &Export<'_>) -> Result<Vec<u8>> {
    let net = export.net;
    net.validate()?;
    let mut graph = Graph::default();
    let (input, output) = (graph.name(INPUT), graph.name(OUTPUT));
    let mut tensors: Vec<Tensor> = Vec::with_capacity(net.len());
    for (id, node) in net.nodes() {
        let inputs: Vec<Tensor> = net.inputs(id).into_iter().map(|i| tensors[i.index()].clone()).collect();
        let tensor = if let Op::Input { shape } = node.op {
            Tensor { name: input.clone(), shape, flat: false }
        } else {
            let writer = Writer { graph: &mut graph, export, node };
            layer::write(writer, inputs).map_err(|why| Error::Net(format!("node `{}`: {why}", node.name)))?
        };
        tensors.push(tensor);
    }
    let last = net.node(net.output());
    let mut end = Writer { graph: &mut graph, export, node: last };
    let logits = end.flat(&tensors[net.output().index()]);
    // A node of its own: the last layer may be one that is left out.
    end.op("Identity", &[&logits], &[]);
    graph.rename_last(output.clone());
    let Shape { h, w, c } = net.input_shape();
    let model = ModelProto {
        ir_version: IR_VERSION,
        producer_name: env!("CARGO_PKG_NAME").into(),
        producer_version: env!("CARGO_PKG_VERSION").into(),
        opset_import: vec![OperatorSetIdProto { domain: String::new(), version: OPSET }],
        graph: Some(graph.finish("network", value(&input, &[c, h, w]), value(&output, &[net.classes()]))),
    };
    let bytes = model.encoded_len();
    if i32::try_from(bytes).is_err() {
        return Err(Error::Net(format!(
            "the network has {bytes} bytes of weights; an ONNX file in one piece holds less than 2 GiB"
        )));
    }
    Ok(model.encode_to_vec())
}

/// An input or output: `[n, ..sides]`.
fn value(name: &str, sides: &[usize]) -> ValueInfoProto {
    let images = DimensionProto { dim_value: None, dim_param: Some("n".into()) };
    let side = |s: &usize| DimensionProto { dim_value: Some(*s as i64), dim_param: None };
    let dim = std::iter::once(images).chain(sides.iter().map(side)).collect();
    let tensor_type = Some(TensorTypeProto { elem_type: dtype::FLOAT, shape: Some(TensorShapeProto { dim }) });
    ValueInfoProto { name: name.to_owned(), r#type: Some(TypeProto { tensor_type }) }
}
