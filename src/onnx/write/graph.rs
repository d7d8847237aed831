//! The graph of a file that is being written: nodes, initializers, and names that are used once.

use std::collections::{HashMap, HashSet};

use crate::onnx::proto::{AttributeProto, GraphProto, NodeProto, TensorProto, ValueInfoProto, dtype, kind};

/// The graph so far.
#[derive(Debug, Default)]
pub struct Graph {
    nodes: Vec<NodeProto>,
    initializers: Vec<TensorProto>,
    names: HashSet<String>,
    /// Lists of integers by content: the same shape is written once.
    lists: HashMap<Vec<i64>, String>,
}

/// An attribute of a node.
#[derive(Clone, Copy, Debug)]
pub enum Attribute<'a> {
    /// An integer.
    Int(&'static str, i64),
    /// Integers.
    Ints(&'static str, &'a [i64]),
    /// A float.
    Float(&'static str, f32),
}

impl Attribute<'_> {
    fn message(self) -> AttributeProto {
        let of = |name: &str, r#type| AttributeProto { name: name.into(), r#type, ..AttributeProto::default() };
        match self {
            Attribute::Int(name, i) => AttributeProto { i, ..of(name, kind::INT) },
            Attribute::Ints(name, ints) => AttributeProto { ints: ints.to_vec(), ..of(name, kind::INTS) },
            Attribute::Float(name, f) => AttributeProto { f, ..of(name, kind::FLOAT) },
        }
    }
}

impl Graph {
    /// A unique name: the one wanted, or that one with a number appended.
    pub fn name(&mut self, wanted: &str) -> String {
        let mut name = wanted.to_owned();
        let mut k = 0;
        while !self.names.insert(name.clone()) {
            k += 1;
            name = format!("{wanted}_{k}");
        }
        name
    }

    /// Adds a node; returns its output, which has the node's name.
    pub fn node(&mut self, name: &str, op: &str, inputs: &[&str], attributes: &[Attribute<'_>]) -> String {
        let name = self.name(name);
        self.nodes.push(NodeProto {
            input: inputs.iter().map(|i| (*i).to_owned()).collect(),
            output: vec![name.clone()],
            name: name.clone(),
            op_type: op.to_owned(),
            domain: String::new(),
            attribute: attributes.iter().map(|a| a.message()).collect(),
        });
        name
    }

    /// Renames the last node, which nothing reads yet, and its output.
    pub fn rename_last(&mut self, name: String) -> String {
        if let Some(last) = self.nodes.last_mut() {
            self.names.remove(&last.name);
            last.name.clone_from(&name);
            last.output = vec![name.clone()];
        }
        name
    }

    /// A constant of floats.
    pub fn floats(&mut self, name: &str, dims: &[usize], values: &[f32]) -> String {
        let name = self.name(name);
        let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.push(name, dims, dtype::FLOAT, bytes)
    }

    /// A constant of integers: a shape, axes, the ends of a slice.
    pub fn ints(&mut self, values: &[i64]) -> String {
        if let Some(name) = self.lists.get(values) {
            return name.clone();
        }
        let words: Vec<String> = values.iter().map(i64::to_string).collect();
        let name = self.name(&format!("[{}]", words.join(",")));
        self.lists.insert(values.to_vec(), name.clone());
        let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.push(name, &[values.len()], dtype::INT64, bytes)
    }

    fn push(&mut self, name: String, dims: &[usize], data_type: i32, raw_data: Vec<u8>) -> String {
        let dims = dims.iter().map(|d| *d as i64).collect();
        self.initializers.push(TensorProto { dims, data_type, raw_data, name: name.clone(), ..TensorProto::default() });
        name
    }

    /// The message, with input and output.
    pub fn finish(self, name: &str, input: ValueInfoProto, output: ValueInfoProto) -> GraphProto {
        GraphProto {
            node: self.nodes,
            name: name.to_owned(),
            initializer: self.initializers,
            input: vec![input],
            output: vec![output],
        }
    }
}
