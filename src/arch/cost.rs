//! The cost of a network, under a named counting rule.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::net::{Net, Node, NodeId};
use super::op::Shape;
use crate::error::nearest;
use crate::units::{Macs, Params};

/// The counting rule: multiply-accumulates of convolutions and linear layers, one image, biases not counted.
pub const RULE: &str = "conv-linear-macs/1";

/// What counts as an operation. Papers mean different things by "FLOPs"; these are the ones whose published figures we
/// reproduce. A name ends with its version: counts of one name can be compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Rule {
    /// Multiply-accumulates of convolutions, linear layers and attention's two products: torchvision's figures.
    #[default]
    ConvLinear,
    /// Those, and one addition an output channel for every bias: pycls (RegNet).
    Pycls,
    /// Multiply-accumulates, and one operation an output entry for normalisations, products and means: torchprofile
    /// (the "FLOPs" of RobustResNet).
    TorchProfile,
    /// Two operations a multiply-accumulate: ModelOpt, aw_nas.
    TwiceMacs,
}

impl Rule {
    /// All of them.
    pub const ALL: [Rule; 4] = [Rule::ConvLinear, Rule::Pycls, Rule::TorchProfile, Rule::TwiceMacs];

    /// The word on a command line.
    pub fn word(self) -> &'static str {
        match self {
            Rule::ConvLinear => "macs",
            Rule::Pycls => "pycls",
            Rule::TorchProfile => "torchprofile",
            Rule::TwiceMacs => "2x-macs",
        }
    }

    /// The name in files.
    pub fn name(self) -> &'static str {
        match self {
            Rule::ConvLinear => RULE,
            Rule::Pycls => "pycls-flops/1",
            Rule::TorchProfile => "torchprofile-macs/1",
            Rule::TwiceMacs => "2x-conv-linear-macs/1",
        }
    }

    /// What the rule calls its operations.
    pub fn unit(self) -> &'static str {
        match self {
            Rule::ConvLinear | Rule::TorchProfile => "MACs",
            Rule::Pycls | Rule::TwiceMacs => "FLOPs",
        }
    }

    fn count(self, node: &Node, inputs: &[Shape]) -> u64 {
        let macs = node.op.macs(inputs, node.shape);
        match self {
            Rule::ConvLinear => macs,
            Rule::Pycls => macs + node.op.bias_adds(),
            Rule::TorchProfile => macs + node.op.entry_wise(node.shape),
            Rule::TwiceMacs => 2 * macs,
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Rule {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let words = Rule::ALL.map(Rule::word);
        Rule::ALL.into_iter().find(|rule| [rule.word(), rule.name()].contains(&text)).ok_or_else(|| {
            let near = nearest(text, words).map(|near| format!("did you mean `{near}`? "));
            format!("{}expected one of {}", near.unwrap_or_default(), words.join(", "))
        })
    }
}

/// Counts for one image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Cost {
    /// Trainable scalars.
    pub params: Params,
    /// Operations under `rule`.
    pub macs: Macs,
    /// The counting rule.
    pub rule: String,
}

/// The cost of one node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NodeCost {
    /// The node's name.
    pub name: String,
    /// The operation.
    pub op: &'static str,
    /// Output `[h, w, c]`.
    pub shape: Shape,
    /// Trainable scalars.
    pub params: Params,
    /// Operations under the rule.
    pub macs: Macs,
    /// Activations: outputs of convolutions, linear layers and pools, in entries.
    pub activations: u64,
}

/// Counts per node under the default rule, in topological order.
pub fn per_node(net: &Net) -> Vec<NodeCost> {
    per_node_under(net, Rule::default())
}

/// Counts per node, in topological order.
pub fn per_node_under(net: &Net, rule: Rule) -> Vec<NodeCost> {
    net.nodes()
        .map(|(id, node)| {
            let inputs = net.input_shapes(id);
            NodeCost {
                name: node.name.clone(),
                op: node.op.name(),
                shape: node.shape,
                params: Params(params(node, &inputs)),
                macs: Macs(rule.count(node, &inputs)),
                activations: node.op.activations(&inputs, node.shape),
            }
        })
        .collect()
}

/// Counts of the whole network under the default rule.
pub fn cost(net: &Net) -> Cost {
    cost_under(net, Rule::default())
}

/// Counts of the whole network.
pub fn cost_under(net: &Net, rule: Rule) -> Cost {
    let (mut all, mut macs) = (0, 0);
    for (id, node) in net.nodes() {
        let inputs = net.input_shapes(id);
        all += params(node, &inputs);
        macs += rule.count(node, &inputs);
    }
    Cost { params: Params(all), macs: Macs(macs), rule: rule.name().to_owned() }
}

/// Activations of one image: outputs of convolutions, linear layers and pools, in entries (Radosavovic et al. 2020).
pub fn activations(net: &Net) -> u64 {
    net.nodes().map(|(id, node)| node.op.activations(&net.input_shapes(id), node.shape)).sum()
}

/// The prefix of the names of an auxiliary head's nodes. It is used in training only.
pub const AUXILIARY: &str = "auxiliary.";

/// The trainable scalars of the auxiliary head, of a network that has one.
pub fn auxiliary_params(net: &Net) -> Params {
    let of = |(id, node): (NodeId, &Node)| params(node, &net.input_shapes(id));
    Params(net.nodes().filter(|(_, node)| node.name.starts_with(AUXILIARY)).map(of).sum())
}

fn params(node: &Node, inputs: &[Shape]) -> u64 {
    node.op.params(inputs).iter().map(|(_, shape)| shape.iter().product::<usize>() as u64).sum()
}
