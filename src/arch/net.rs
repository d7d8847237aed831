//! `Net`: every network, as one value. A directed acyclic graph of primitive operations with shapes on the edges.

use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};

use petgraph::Direction;
use petgraph::graph::{DiGraph, NodeIndex};
use petgraph::visit::EdgeRef;
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use super::op::{Op, Shape, checked_output};
use crate::error::{Error, Result};

/// The most nodes of a network. Compiling one takes time that grows with the square of its length.
pub const MOST_NODES: usize = 1 << 16;

/// A node's index in its network; nodes are numbered in topological order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(usize);

impl NodeId {
    /// The index.
    pub fn index(self) -> usize {
        self.0
    }
}

/// A named operation.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Unique within the network; parameters are called `name.weight`, `name.bias`.
    pub name: String,
    /// What it does.
    pub op: Op,
    /// Output shape, `[h, w, c]`.
    pub shape: Shape,
}

/// An edge: operand position and shape.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Operand {
    position: usize,
    shape: Shape,
}

/// A network. Built by adding nodes whose inputs exist, so it is acyclic and shape-checked by construction.
#[derive(Clone, Debug, Default)]
pub struct Net {
    graph: DiGraph<Node, Operand>,
    /// Nodes by the hash of their name, with linear probing.
    places: HashMap<u64, NodeId>,
}

/// One layer of a network file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Layer {
    /// Unique name.
    pub name: String,
    /// Names of the inputs, in operand order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inputs: Vec<String>,
    /// The operation and its hyper-parameters.
    #[serde(flatten)]
    pub op: Op,
}

impl Net {
    /// An empty network.
    pub fn new() -> Self {
        Net::default()
    }

    /// Adds a node.
    ///
    /// # Errors
    /// [`Error::Net`] naming the node, the operation and the shapes, when they do not fit or the name is taken.
    pub fn add(&mut self, name: impl Into<String>, op: Op, inputs: &[NodeId]) -> Result<NodeId> {
        let name = name.into();
        let shapes: SmallVec<[Shape; 2]> = inputs.iter().map(|i| self.node(*i).shape).collect();
        let shape = checked_output(&name, &op, &shapes)?;
        let id = NodeId(self.graph.node_count());
        if id.0 >= MOST_NODES {
            return Err(Error::Net(format!("node `{name}` is one too many; a network has at most {MOST_NODES}")));
        }
        match self.place(&name) {
            (_, Some(_)) => return Err(Error::Net(format!("two nodes are called `{name}`"))),
            (free, None) => self.places.insert(free, id),
        };
        let index = self.graph.add_node(Node { name, op, shape });
        for (position, input) in inputs.iter().enumerate() {
            let shape = self.node(*input).shape;
            self.graph.add_edge(NodeIndex::new(input.0), index, Operand { position, shape });
        }
        Ok(id)
    }

    /// A node.
    pub fn node(&self, id: NodeId) -> &Node {
        &self.graph[NodeIndex::new(id.0)]
    }

    /// All nodes in topological order.
    pub fn nodes(&self) -> impl Iterator<Item = (NodeId, &Node)> {
        self.graph.node_weights().enumerate().map(|(i, n)| (NodeId(i), n))
    }

    /// Number of nodes.
    pub fn len(&self) -> usize {
        self.graph.node_count()
    }

    /// Whether there are no nodes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A node's inputs in operand order.
    pub fn inputs(&self, id: NodeId) -> SmallVec<[NodeId; 2]> {
        self.operands(id, |source, _| NodeId(source.index()))
    }

    /// The shapes of a node's inputs in operand order.
    pub fn input_shapes(&self, id: NodeId) -> SmallVec<[Shape; 2]> {
        self.operands(id, |_, operand| operand.shape)
    }

    /// `of` every edge into a node, in operand order.
    fn operands<T>(&self, id: NodeId, of: impl Fn(NodeIndex, &Operand) -> T) -> SmallVec<[T; 2]> {
        let edges = || self.graph.edges_directed(NodeIndex::new(id.0), Direction::Incoming);
        let mut list: SmallVec<[T; 2]> = edges().map(|edge| of(edge.source(), edge.weight())).collect();
        // The newest edge comes first, and edges were added in operand order.
        debug_assert!(edges().zip((0..list.len()).rev()).all(|(edge, position)| edge.weight().position == position));
        list.reverse();
        list
    }

    /// The nodes that read a node, once per edge, in topological order.
    pub fn readers(&self, id: NodeId) -> Vec<NodeId> {
        let mut list: Vec<NodeId> = self
            .graph
            .edges_directed(NodeIndex::new(id.0), Direction::Outgoing)
            .map(|e| NodeId(e.target().index()))
            .collect();
        list.sort_unstable();
        list
    }

    /// The node called `name`.
    pub fn find(&self, name: &str) -> Option<NodeId> {
        self.place(name).1
    }

    /// A name's key in `places` and its node, or the free key for it. Names are not stored twice: a network has
    /// thousands, and copying them would be a large part of the time that building it takes.
    fn place(&self, name: &str) -> (u64, Option<NodeId>) {
        let mut place = BuildHasherDefault::<DefaultHasher>::default().hash_one(name);
        loop {
            match self.places.get(&place) {
                None => return (place, None),
                Some(id) if self.node(*id).name == name => return (place, Some(*id)),
                Some(_) => place = place.wrapping_add(1),
            }
        }
    }

    /// The image's shape.
    pub fn input_shape(&self) -> Shape {
        self.node(NodeId(0)).shape
    }

    /// The last node: the logits.
    pub fn output(&self) -> NodeId {
        NodeId(self.len() - 1)
    }

    /// Number of classes.
    pub fn classes(&self) -> usize {
        self.node(self.output()).shape.c
    }

    /// The length of the mixing vector the network expects; zero unless it has mixed sums.
    pub fn mix_len(&self) -> usize {
        self.nodes()
            .filter_map(|(_, n)| match &n.op {
                Op::MixedSum { weights } => weights.iter().max().map(|m| m + 1),
                _ => None,
            })
            .max()
            .unwrap_or(0)
    }

    /// Branches of its multi-branch batch-norms, one of which is selected in each call; 1 where there are none.
    pub fn branches(&self) -> usize {
        let of = |node: &Node| match node.op {
            Op::MultiBatchNorm { branches } => Some(branches),
            _ => None,
        };
        self.nodes().filter_map(|(_, node)| of(node)).min().unwrap_or(1)
    }

    /// Checks the whole network: the input is the first node and the only input, the last node is a vector of logits.
    ///
    /// # Errors
    /// [`Error::Net`] for fewer than two nodes, a first node that is not the input, a second input, and a last node of
    /// more than one pixel.
    pub fn validate(&self) -> Result<()> {
        if self.len() < 2 {
            return Err(Error::Net("a network needs an input and at least one layer".into()));
        }
        for (id, node) in self.nodes() {
            if matches!(node.op, Op::Input { .. }) != (id.0 == 0) {
                return Err(Error::Net(format!("node `{}`: exactly the first node is the input", node.name)));
            }
        }
        let last = self.node(self.output());
        if last.shape.area() != 1 {
            return Err(Error::Net(format!(
                "the last node `{}` gives {}, not a vector of logits",
                last.name, last.shape
            )));
        }
        Ok(())
    }

    /// The same graph with another answer: the logits, and behind them a vector that the network has anyway. Its
    /// parameters are the same, in the same places.
    ///
    /// # Errors
    /// [`Error::Net`] for a node of more than one pixel.
    pub fn answering(&self, also: NodeId) -> Result<Net> {
        let mut net = self.clone();
        net.add("answer", Op::Concat, &[self.output(), also])?;
        net.validate()?;
        Ok(net)
    }

    /// The network as a list of layers.
    pub fn layers(&self) -> Vec<Layer> {
        self.nodes()
            .map(|(id, n)| Layer {
                name: n.name.clone(),
                inputs: self.inputs(id).into_iter().map(|i| self.node(i).name.clone()).collect(),
                op: n.op.clone(),
            })
            .collect()
    }

    /// The network that a list of layers describes.
    ///
    /// # Errors
    /// [`Error::Net`] for an input that is not defined before its use (so also for a cycle), a shape that does not
    /// fit or a name used twice.
    pub fn from_layers(layers: &[Layer]) -> Result<Self> {
        let mut net = Net::new();
        for layer in layers {
            let inputs = layer
                .inputs
                .iter()
                .map(|name| {
                    net.find(name).ok_or_else(|| {
                        Error::Net(format!("layer `{}` reads `{name}`, which is not defined before it", layer.name))
                    })
                })
                .collect::<Result<Vec<_>>>()?;
            net.add(layer.name.clone(), layer.op.clone(), &inputs)?;
        }
        net.validate()?;
        Ok(net)
    }
}
