//! A node of an ONNX graph with typed access to its attributes.

use crate::onnx::proto::{AttributeProto, NodeProto, TensorProto, kind};

/// A node, with the name used for it in messages and layers.
#[derive(Clone, Copy)]
pub struct Node<'a> {
    /// Its name, or that of its output.
    pub name: &'a str,
    proto: &'a NodeProto,
}

impl<'a> Node<'a> {
    /// Wraps a message.
    pub fn new(proto: &'a NodeProto) -> Self {
        let first = proto.output.first().map_or("", String::as_str);
        Node { name: if proto.name.is_empty() { first } else { &proto.name }, proto }
    }

    /// The operation, with its domain unless that is ONNX's.
    pub fn op(&self) -> String {
        match self.proto.domain.as_str() {
            "" | "ai.onnx" => self.proto.op_type.clone(),
            domain => format!("{domain}::{}", self.proto.op_type),
        }
    }

    /// The tensors it reads; an omitted input is empty, or missing at the end.
    pub fn inputs(&self) -> &'a [String] {
        &self.proto.input
    }

    /// The name of an input that is not omitted.
    pub fn input(&self, at: usize) -> Option<&'a str> {
        self.proto.input.get(at).map(String::as_str).filter(|name| !name.is_empty())
    }

    /// Its outputs.
    pub fn outputs(&self) -> impl Iterator<Item = &'a str> {
        self.proto.output.iter().map(String::as_str).filter(|name| !name.is_empty())
    }

    fn attribute(&self, key: &str, expected: i32) -> Result<Option<&'a AttributeProto>, String> {
        match self.proto.attribute.iter().find(|a| a.name == key) {
            // Files of the first versions leave the type out.
            Some(found) if found.r#type != expected && found.r#type != 0 => {
                Err(format!("the attribute `{key}` has the type {}, expected {expected}", found.r#type))
            }
            found => Ok(found),
        }
    }

    /// Whether it has an attribute.
    pub fn has(&self, key: &str) -> bool {
        self.proto.attribute.iter().any(|a| a.name == key)
    }

    /// An integer.
    pub fn int(&self, key: &str, default: i64) -> Result<i64, String> {
        Ok(self.attribute(key, kind::INT)?.map_or(default, |a| a.i))
    }

    /// A float.
    pub fn float(&self, key: &str, default: f32) -> Result<f32, String> {
        Ok(self.attribute(key, kind::FLOAT)?.map_or(default, |a| a.f))
    }

    /// A string.
    pub fn text(&self, key: &str, default: &str) -> Result<String, String> {
        Ok(self.attribute(key, kind::STRING)?.map_or(default.into(), |a| String::from_utf8_lossy(&a.s).into_owned()))
    }

    /// Integers.
    pub fn ints(&self, key: &str) -> Result<Option<&'a [i64]>, String> {
        Ok(self.attribute(key, kind::INTS)?.map(|a| a.ints.as_slice()))
    }

    /// Floats.
    pub fn floats(&self, key: &str) -> Result<Option<&'a [f32]>, String> {
        Ok(self.attribute(key, kind::FLOATS)?.map(|a| a.floats.as_slice()))
    }

    /// A tensor.
    pub fn tensor(&self, key: &str) -> Result<Option<&'a TensorProto>, String> {
        Ok(self.attribute(key, kind::TENSOR)?.and_then(|a| a.t.as_ref()))
    }

    /// `N` integers of a window, each from `least` to [`LARGEST_SIDE`].
    pub fn sides<const N: usize>(&self, key: &str, least: usize) -> Result<Option<[usize; N]>, String> {
        let Some(list) = self.ints(key)? else { return Ok(None) };
        let found: Option<Vec<usize>> =
            list.iter().map(|v| usize::try_from(*v).ok().filter(|v| (least..=LARGEST_SIDE).contains(v))).collect();
        let found = found.and_then(|list| <[usize; N]>::try_from(list).ok());
        found.map(Some).ok_or_else(|| {
            format!("the attribute `{key}` is {list:?}; expected {N} integers from {least} to {LARGEST_SIDE}")
        })
    }

    /// Refuses another value of an attribute.
    pub fn only(&self, key: &str, value: i64) -> Result<(), String> {
        match self.int(key, value)? {
            found if found == value => Ok(()),
            found => Err(format!("{key}={found} is not supported, only {key}={value}")),
        }
    }
}

/// The largest kernel, stride, padding or dilation; a larger one is a damaged file.
pub const LARGEST_SIDE: usize = 4096;
