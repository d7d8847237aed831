//! What a network costs, under a named counting rule.

use serde::{Deserialize, Serialize};

use super::net::Net;
use crate::units::{Macs, Params};

/// The counting rule: multiply-accumulates of convolutions and linear layers, one image, biases not counted.
pub const RULE: &str = "conv-linear-macs/1";

/// Counts for one image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Cost {
    /// Trainable scalars.
    pub params: Params,
    /// Multiply-accumulates under `rule`.
    pub macs: Macs,
    /// The counting rule.
    pub rule: String,
}

/// One node's share.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NodeCost {
    /// The node's name.
    pub name: String,
    /// The operation.
    pub op: &'static str,
    /// Output `[h, w, c]`.
    pub shape: super::op::Shape,
    /// Trainable scalars.
    pub params: Params,
    /// Multiply-accumulates.
    pub macs: Macs,
}

/// Counts per node, in topological order.
pub fn per_node(net: &Net) -> Vec<NodeCost> {
    net.nodes()
        .map(|(id, node)| {
            let inputs = net.input_shapes(id);
            let params = node.op.params(&inputs).iter().map(|(_, shape)| shape.iter().product::<usize>() as u64).sum();
            NodeCost {
                name: node.name.clone(),
                op: node.op.name(),
                shape: node.shape,
                params: Params(params),
                macs: Macs(node.op.macs(&inputs, node.shape)),
            }
        })
        .collect()
}

/// Counts of the whole network.
pub fn cost(net: &Net) -> Cost {
    let nodes = per_node(net);
    Cost {
        params: Params(nodes.iter().map(|n| n.params.0).sum()),
        macs: Macs(nodes.iter().map(|n| n.macs.0).sum()),
        rule: RULE.to_owned(),
    }
}
