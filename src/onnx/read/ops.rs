//! The operations that are supported, by name.

use super::lowering::Lowering;
use super::node::Node;
use super::pointwise::{self, Arithmetic};
use super::value::Value;
use super::{cut, linear, norm, product, reshape, windows};
use crate::arch::op::Act;

/// The rule that lowers a node.
type Rule = fn(&mut Lowering<'_>, &Node<'_>) -> Result<Value, String>;

/// Every operation with its rule, sorted by name.
const RULES: [(&str, Rule); 45] = [
    ("Add", |low, node| pointwise::arithmetic(low, node, Arithmetic::Add)),
    ("AveragePool", windows::average_pool),
    ("BatchNormalization", norm::batch),
    ("Cast", |low, node| reshape::cast(low, node)),
    ("Clip", pointwise::clip),
    ("Concat", pointwise::concat),
    ("Constant", reshape::constant),
    ("Conv", windows::conv),
    ("Div", |low, node| pointwise::arithmetic(low, node, Arithmetic::Div)),
    ("Dropout", |low, node| reshape::dropout(low, node)),
    ("Erf", |low, node| pointwise::act(low, node, Act::Erf)),
    ("Expand", |low, node| reshape::expand(low, node)),
    ("Flatten", reshape::flatten),
    ("Gather", reshape::gather),
    ("Gelu", pointwise::gelu),
    ("Gemm", linear::gemm),
    ("GlobalAveragePool", windows::global_average_pool),
    ("GlobalMaxPool", windows::global_max_pool),
    ("HardSigmoid", |low, node| pointwise::hard_sigmoid(low, node, false)),
    ("HardSwish", |low, node| pointwise::hard_sigmoid(low, node, true)),
    ("Identity", |low, node| reshape::same(low, node)),
    ("InstanceNormalization", norm::instance),
    ("LayerNormalization", norm::layer),
    ("LeakyRelu", pointwise::leaky_relu),
    ("MatMul", linear::matmul),
    ("MaxPool", windows::max_pool),
    ("Mul", |low, node| pointwise::arithmetic(low, node, Arithmetic::Mul)),
    ("Pad", windows::pad),
    ("Pow", pointwise::pow),
    ("ReduceL2", product::length),
    ("ReduceMean", windows::reduce_mean),
    ("Relu", |low, node| pointwise::act(low, node, Act::Relu)),
    ("Reshape", reshape::reshape),
    ("Shape", |low, node| reshape::shape(low, node)),
    ("Sigmoid", |low, node| pointwise::act(low, node, Act::Sigmoid)),
    ("Slice", cut::slice),
    ("Softmax", norm::softmax),
    ("Softplus", |low, node| pointwise::act(low, node, Act::Softplus)),
    ("Split", cut::split),
    ("Squeeze", |low, node| reshape::squeeze(low, node, false)),
    ("Sub", |low, node| pointwise::arithmetic(low, node, Arithmetic::Sub)),
    ("Sum", pointwise::sum),
    ("Tanh", |low, node| pointwise::act(low, node, Act::Tanh)),
    ("Transpose", reshape::transpose),
    ("Unsqueeze", |low, node| reshape::squeeze(low, node, true)),
];

/// Advice for a softmax at the end.
pub const WITHOUT_SOFTMAX: &str = "attacks need the logits: export the model without its last softmax; ";

/// The names of the operations that are supported.
pub fn supported() -> impl Iterator<Item = &'static str> {
    RULES.iter().map(|(name, _)| *name)
}

/// Lowers a node; returns its output.
pub fn lower(low: &mut Lowering<'_>, node: &Node<'_>) -> Result<Value, String> {
    let op = node.op();
    match RULES.iter().find(|(name, _)| *name == op) {
        Some((_, rule)) => rule(low, node),
        None => {
            let hint = match op.as_str() {
                "LogSoftmax" => WITHOUT_SOFTMAX,
                _ => "",
            };
            Err(format!("is not supported; {hint}supported: {}", supported().collect::<Vec<_>>().join(", ")))
        }
    }
}
