//! The operations that are supported, by name.

use super::fold::{ON_CONSTANTS, fold};
use super::lowering::Lowering;
use super::node::Node;
use super::pointwise::{self, Arithmetic};
use super::sides::Gives;
use super::value::Value;
use super::windows::Reduced;
use super::{concat, cut, linear, norm, product, reshape, windows};
use crate::arch::op::Act;

/// The rule that lowers a node.
type Rule = fn(&mut Lowering<'_>, &Node<'_>) -> Result<Value, String>;

/// Every operation with its rule, and with how its sides follow from those of its inputs; sorted by name.
const RULES: [(&str, Rule, Gives); 53] = [
    ("Add", |low, node| pointwise::arithmetic(low, node, Arithmetic::Add), Gives::Over),
    ("AveragePool", windows::average_pool, Gives::Pool),
    ("BatchNormalization", norm::batch, Gives::Same),
    ("Cast", |low, node| reshape::cast(low, node), Gives::Same),
    ("Celu", pointwise::celu, Gives::Same),
    ("Clip", pointwise::clip, Gives::Same),
    ("Concat", concat::concat, Gives::Concat),
    ("Conv", windows::conv, Gives::Conv),
    ("Div", |low, node| pointwise::arithmetic(low, node, Arithmetic::Div), Gives::Over),
    ("Dropout", |low, node| reshape::dropout(low, node), Gives::Same),
    ("Elu", pointwise::elu, Gives::Same),
    ("Erf", |low, node| pointwise::act(low, node, Act::Erf), Gives::Same),
    ("Expand", reshape::expand, Gives::Expand),
    ("Flatten", reshape::flatten, Gives::Flatten),
    ("Gather", cut::gather, Gives::Gather),
    ("Gelu", pointwise::gelu, Gives::Same),
    ("Gemm", linear::gemm, Gives::Gemm),
    ("GatherND", cut::gather_nd, Gives::GatherNd),
    ("GlobalAveragePool", windows::global_average_pool, Gives::GlobalPool),
    ("GlobalMaxPool", windows::global_max_pool, Gives::GlobalPool),
    ("Greater", pointwise::above, Gives::Over),
    ("HardSigmoid", |low, node| pointwise::hard_sigmoid(low, node, false), Gives::Same),
    ("HardSwish", |low, node| pointwise::hard_sigmoid(low, node, true), Gives::Same),
    ("Identity", |low, node| reshape::same(low, node), Gives::Same),
    ("InstanceNormalization", norm::instance, Gives::Same),
    ("LayerNormalization", norm::layer, Gives::Same),
    ("LeakyRelu", pointwise::leaky_relu, Gives::Same),
    ("MatMul", linear::matmul, Gives::MatMul),
    ("MaxPool", windows::max_pool, Gives::Pool),
    ("Mish", pointwise::mish, Gives::Same),
    ("Mul", |low, node| pointwise::arithmetic(low, node, Arithmetic::Mul), Gives::Over),
    ("PRelu", pointwise::prelu, Gives::Over),
    ("Pad", windows::pad, Gives::Pad),
    ("Pow", pointwise::pow, Gives::Over),
    ("ReduceL2", product::length, Gives::Reduce),
    ("ReduceMax", |low, node| windows::reduce(low, node, Reduced::Max), Gives::Reduce),
    ("ReduceMean", |low, node| windows::reduce(low, node, Reduced::Mean), Gives::Reduce),
    ("ReduceSum", |low, node| windows::reduce(low, node, Reduced::Sum), Gives::Reduce),
    ("Relu", |low, node| pointwise::act(low, node, Act::Relu), Gives::Same),
    ("Reshape", reshape::reshape, Gives::Reshape),
    ("Selu", pointwise::selu, Gives::Same),
    ("Sigmoid", |low, node| pointwise::act(low, node, Act::Sigmoid), Gives::Same),
    ("Slice", cut::slice, Gives::Slice),
    ("Softmax", norm::softmax, Gives::Same),
    ("Softplus", |low, node| pointwise::act(low, node, Act::Softplus), Gives::Same),
    ("Split", cut::split, Gives::Split),
    ("Squeeze", |low, node| reshape::squeeze(low, node, false), Gives::Squeeze),
    ("Sub", |low, node| pointwise::arithmetic(low, node, Arithmetic::Sub), Gives::Over),
    ("Sum", pointwise::sum, Gives::Over),
    ("Tanh", |low, node| pointwise::act(low, node, Act::Tanh), Gives::Same),
    ("Transpose", reshape::transpose, Gives::Transpose),
    ("Unsqueeze", |low, node| reshape::squeeze(low, node, true), Gives::Unsqueeze),
    ("Where", pointwise::choice, Gives::Over),
];

/// Advice for a softmax at the end.
pub const WITHOUT_SOFTMAX: &str = "attacks need the logits: export the model without its last softmax; ";

fn on_images() -> String {
    RULES.iter().map(|(name, ..)| *name).collect::<Vec<_>>().join(", ")
}

/// The names of the operations that are supported, on images or on constants.
pub fn supported() -> impl Iterator<Item = &'static str> {
    let mut names: Vec<&str> = RULES.iter().map(|(name, ..)| *name).chain(ON_CONSTANTS).collect();
    names.sort_unstable();
    names.into_iter()
}

/// Lowers a node; returns its output.
pub fn lower(low: &mut Lowering<'_>, node: &Node<'_>) -> Result<Value, String> {
    let op = node.op();
    if let Some(folded) = fold(low, node)? {
        return Ok(folded);
    }
    match RULES.iter().find(|(name, ..)| *name == op) {
        Some((_, rule, gives)) => {
            let made = rule(low, node)?;
            gives.hold(low, node, &made)?;
            Ok(made)
        }
        None if ON_CONSTANTS.contains(&&op[..]) => {
            Err(format!("depends on the image, which is not supported; on images: {}", on_images()))
        }
        None => {
            let hint = match op.as_str() {
                "LogSoftmax" => WITHOUT_SOFTMAX,
                _ => "",
            };
            Err(format!("is not supported; {hint}supported: {}", on_images()))
        }
    }
}
