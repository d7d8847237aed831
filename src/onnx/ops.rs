//! The operations that are supported, by name.

use super::lowering::Lowering;
use super::node::Node;
use super::pointwise::{self, Arithmetic};
use super::value::Value;
use super::{linear, reshape, windows};

/// What makes a node's layer.
type Rule = fn(&mut Lowering<'_>, &Node<'_>) -> Result<Value, String>;

/// Every operation with its rule, sorted by name.
const RULES: [(&str, Rule); 28] = [
    ("Add", |low, node| pointwise::arithmetic(low, node, Arithmetic::Add)),
    ("AveragePool", windows::average_pool),
    ("BatchNormalization", pointwise::batch_norm),
    ("Cast", |low, node| reshape::cast(low, node)),
    ("Concat", pointwise::concat),
    ("Constant", reshape::constant),
    ("Conv", windows::conv),
    ("Div", |low, node| pointwise::arithmetic(low, node, Arithmetic::Div)),
    ("Dropout", |low, node| reshape::dropout(low, node)),
    ("Flatten", |low, node| reshape::flatten(low, node)),
    ("Gather", |low, node| reshape::gather(low, node)),
    ("Gemm", linear::gemm),
    ("GlobalAveragePool", windows::global_average_pool),
    ("GlobalMaxPool", windows::global_max_pool),
    ("Identity", |low, node| reshape::same(low, node)),
    ("MatMul", linear::matmul),
    ("MaxPool", windows::max_pool),
    ("Mul", |low, node| pointwise::arithmetic(low, node, Arithmetic::Mul)),
    ("Pad", windows::pad),
    ("ReduceMean", windows::reduce_mean),
    ("Relu", pointwise::relu),
    ("Reshape", |low, node| reshape::reshape(low, node)),
    ("Shape", |low, node| reshape::shape(low, node)),
    ("Squeeze", |low, node| reshape::squeeze(low, node, false)),
    ("Sub", |low, node| pointwise::arithmetic(low, node, Arithmetic::Sub)),
    ("Sum", pointwise::sum),
    ("Transpose", |low, node| reshape::transpose(low, node)),
    ("Unsqueeze", |low, node| reshape::squeeze(low, node, true)),
];

/// The names of the operations that are supported.
pub fn supported() -> impl Iterator<Item = &'static str> {
    RULES.iter().map(|(name, _)| *name)
}

/// What a node gives; layers are added for it.
pub fn lower(low: &mut Lowering<'_>, node: &Node<'_>) -> Result<Value, String> {
    let op = node.op();
    match RULES.iter().find(|(name, _)| *name == op) {
        Some((_, rule)) => rule(low, node),
        None => {
            let hint = match op.as_str() {
                "Softmax" | "LogSoftmax" => "attacks need the logits: export the model without its last softmax; ",
                _ => "",
            };
            Err(format!("is not supported; {hint}supported: {}", supported().collect::<Vec<_>>().join(", ")))
        }
    }
}
