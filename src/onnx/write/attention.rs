//! Tokens: attention over pixels and over channels, and the class token. Channels `[n, heads d, h, w]` are reshaped to
//! `[n, heads, d, h w]`.

use super::graph::Attribute;
use super::transpose;
use super::writer::{Tensor, Writer};
use crate::arch::op::Shape;

/// Some of an activation's channels, by heads: `[n, heads, d, h w]`.
fn by_heads(w: &mut Writer<'_, '_>, x: &str, shape: Shape, heads: usize, from: usize) -> String {
    let d = w.node.shape.c;
    let some = if shape.c == d { x.to_owned() } else { w.slice(x, 1, from, from + d) };
    w.reshape(&some, &[heads, d / heads, shape.area()])
}

/// `softmax(q^T k / sqrt(d))` over the keys, times the values.
pub fn attention(w: &mut Writer<'_, '_>, names: &[String], inputs: &[Tensor], heads: usize) -> String {
    let (out, first, last) = (w.node.shape, inputs[0].shape, inputs[inputs.len() - 1].shape);
    let (own, other) = (&names[0], &names[names.len() - 1]);
    let behind = last.c - 2 * out.c;
    let queries = by_heads(w, own, first, heads, 0);
    let queries = w.transpose(&queries, &[0, 1, 3, 2]);
    let keys = by_heads(w, other, last, heads, behind);
    let values = by_heads(w, other, last, heads, behind + out.c);
    let values = w.transpose(&values, &[0, 1, 3, 2]);
    let scores = w.op("MatMul", &[&queries, &keys], &[]);
    let scale = w.float("scale", (1.0 / (out.c as f64 / heads as f64).sqrt()) as f32);
    let scores = w.op("Mul", &[&scores, &scale], &[]);
    let shares = w.op("Softmax", &[&scores], &[Attribute::Int("axis", -1)]);
    let sums = w.op("MatMul", &[&shares, &values], &[]);
    let sums = w.transpose(&sums, &[0, 1, 3, 2]);
    w.reshape(&sums, &[out.c, out.h, out.w])
}

/// `softmax(temperature q k^T)` over the keys' channels, times the values; queries and keys of unit length over the
/// pixels.
pub fn cross_covariance(w: &mut Writer<'_, '_>, x: &str, shape: Shape, heads: usize) -> Result<String, String> {
    let out = w.node.shape;
    let temperature = w.tensor("temperature", &[1, heads, 1, 1])?;
    let queries = by_heads(w, x, shape, heads, 0);
    let queries = unit(w, &queries);
    let keys = by_heads(w, x, shape, heads, out.c);
    let keys = unit(w, &keys);
    let keys = w.transpose(&keys, &[0, 1, 3, 2]);
    let values = by_heads(w, x, shape, heads, 2 * out.c);
    let scores = w.op("MatMul", &[&queries, &keys], &[]);
    let scores = w.op("Mul", &[&scores, &temperature], &[]);
    let shares = w.op("Softmax", &[&scores], &[Attribute::Int("axis", -1)]);
    let sums = w.op("MatMul", &[&shares, &values], &[]);
    Ok(w.reshape(&sums, &[out.c, out.h, out.w]))
}

/// PyTorch's lower bound on the length in `normalize`.
const LEAST_LENGTH: f32 = 1e-12;

/// `x / max(|x|, 1e-12)` along the last axis.
fn unit(w: &mut Writer<'_, '_>, x: &str) -> String {
    let axes = Attribute::Ints("axes", &[-1]);
    let length = w.op("ReduceL2", &[x], &[axes, Attribute::Int("keepdims", 1)]);
    let least = w.float("least_length", LEAST_LENGTH);
    let length = w.op("Clip", &[&length, &least], &[]);
    w.op("Div", &[x, &length], &[])
}

/// A learned token before the pixels.
pub fn class_token(w: &mut Writer<'_, '_>, x: &str, shape: Shape) -> Result<String, String> {
    let weight = w.values("weight", shape.c)?;
    let token = w.floats("weight", &[1, shape.c, 1, 1], &transpose::planes(weight, shape.c));
    let token = w.for_every_image(&token, x, &[shape.c, 1, 1]);
    let pixels = w.reshape(x, &[shape.c, 1, shape.area()]);
    Ok(w.op("Concat", &[&token, &pixels], &[Attribute::Int("axis", 3)]))
}
