//! A network divided into blocks; equal consecutive blocks are one row, blocks of one kind are recognised.
//!
//! Blocks are read from the names: `stage1.block0.conv1` is of the block `stage1.block0`, because `stage1` has
//! numbered children; `block3.mlp.fc1` is of `block3`. A network without such names (an ONNX file with flat names) is
//! divided where only a single value is still used.

use std::collections::{BTreeSet, HashMap};
use std::ops::Range;

use super::strip::{Strip, likeness};
use crate::arch::cost::per_node;
use crate::arch::net::{Net, NodeId};
use crate::arch::op::{Op, Shape};

/// Names that give more rows than this are not used.
const MOST: usize = 80;

/// Consecutive nodes of one block.
#[derive(Debug)]
pub(super) struct Block {
    pub name: String,
    pub nodes: Vec<NodeId>,
    /// Earlier blocks it reads.
    pub reads: Vec<usize>,
    /// The output shape of its last node.
    pub shape: Shape,
    pub params: u64,
    pub macs: u64,
    /// Blocks of one kind differ in channels, sizes and strides only.
    pub kind: usize,
}

impl Block {
    /// Whether it is more than the image.
    pub fn computes(&self) -> bool {
        self.nodes.len() > 1 || !self.reads.is_empty()
    }
}

/// A network's blocks, and the runs of equal ones.
#[derive(Debug)]
pub(super) struct Groups {
    pub blocks: Vec<Block>,
    pub rows: Vec<Range<usize>>,
    /// How many kinds there are, numbered in order of appearance.
    pub kinds: usize,
}

impl Groups {
    /// Divides a network.
    pub fn of(net: &Net) -> Self {
        let named = Self::from_keys(net, keys_by_name(net));
        if named.rows.len() <= MOST && (net.len() < 8 || 2 * named.blocks.len() < net.len()) {
            return named;
        }
        Self::from_keys(net, keys_by_cut(net))
    }

    fn from_keys(net: &Net, keys: Vec<String>) -> Self {
        let mut blocks: Vec<Block> = Vec::new();
        let mut home: Vec<usize> = Vec::with_capacity(net.len());
        for (((id, node), cost), key) in net.nodes().zip(per_node(net)).zip(keys) {
            if blocks.last().is_none_or(|b| b.name != key) {
                let (nodes, reads) = (Vec::new(), Vec::new());
                blocks.push(Block { name: key, nodes, reads, shape: node.shape, params: 0, macs: 0, kind: 0 });
            }
            let here = blocks.len() - 1;
            let block = &mut blocks[here];
            block.nodes.push(id);
            block.shape = node.shape;
            block.params += cost.params.0;
            block.macs += cost.macs.0;
            for from in net.inputs(id).into_iter().map(|i| home[i.index()]) {
                if from != here && !block.reads.contains(&from) {
                    block.reads.push(from);
                }
            }
            home.push(here);
        }
        let mut kinds: HashMap<String, usize> = HashMap::new();
        let mut rows: Vec<Range<usize>> = Vec::new();
        let mut before = String::new();
        for (i, block) in blocks.iter_mut().enumerate() {
            name_whole(net, block);
            let next = kinds.len();
            block.kind = *kinds.entry(wiring(net, block, likeness)).or_insert(next);
            let exact = wiring(net, block, |net, id| format!("{} {}", Strip::of(net, id).label, net.node(id).shape));
            let distances: Vec<usize> = block.reads.iter().map(|r| i - r).collect();
            let exact = format!("{exact} {distances:?}");
            match rows.last_mut() {
                Some(row) if exact == before => row.end = i + 1,
                _ => rows.push(i..i + 1),
            }
            before = exact;
        }
        Groups { blocks, rows, kinds: kinds.len() }
    }

    /// The rows of a kind.
    pub fn rows_of(&self, kind: usize) -> impl Iterator<Item = &Range<usize>> {
        self.rows.iter().filter(move |row| self.blocks[row.start].kind == kind)
    }

    /// A row's name: the block's, or the first's and the last's last part.
    pub fn name_of(&self, row: &Range<usize>) -> String {
        let (first, last) = (&self.blocks[row.start].name, &self.blocks[row.end - 1].name);
        if row.len() == 1 { first.clone() } else { span(first, last) }
    }
}

/// `stage0.block1` and `stage0.block13` are `stage0.block1–13`.
fn span(first: &str, last: &str) -> String {
    let number = |text: &str| text.trim_end_matches(|c: char| c.is_ascii_digit()).len();
    let (a, b) = (number(first), number(last));
    if a < first.len() && first[..a] == last[..b] {
        return format!("{first}–{}", &last[b..]);
    }
    // `cell2.normal` to `cell5.normal`: the number is in the prefix.
    match (first.split_once('.'), last.split_once('.')) {
        (Some((head, kind)), Some((tail, other))) if kind == other => format!("{}.{kind}", span(head, tail)),
        _ => format!("{first} to {last}"),
    }
}

/// The prefixes of a name.
fn folders(name: &str) -> Vec<&str> {
    let parts: Vec<&str> = match name.strip_prefix('/') {
        Some(path) => path.split('/').collect(),
        None => name.split('.').collect(),
    };
    let most = parts.len().saturating_sub(1).max(1);
    parts.into_iter().take(most).collect()
}

fn numbered(part: &str) -> bool {
    part.ends_with(|c: char| c.is_ascii_digit())
}

fn keys_by_name(net: &Net) -> Vec<String> {
    let holders: BTreeSet<&str> = net
        .nodes()
        .filter_map(|(_, node)| match folders(&node.name)[..] {
            [holder, part, ..] if numbered(part) && (numbered(holder) || part.parse::<usize>().is_ok()) => Some(holder),
            _ => None,
        })
        .collect();
    net.nodes()
        .map(|(_, node)| match folders(&node.name)[..] {
            [holder, part, ..] if holders.contains(holder) => format!("{holder}.{part}"),
            [part, ..] => part.to_owned(),
            [] => String::new(),
        })
        .collect()
}

/// `cell3` is `cell3.normal` where all its nodes are of `normal`.
fn name_whole(net: &Net, block: &mut Block) {
    let seconds: BTreeSet<&str> =
        block.nodes.iter().map(|id| folders(&net.node(*id).name).get(1).copied().unwrap_or_default()).collect();
    if let (1, Some(second)) = (seconds.len(), seconds.first())
        && !second.is_empty()
        && !block.name.contains('.')
    {
        block.name = format!("{}.{second}", block.name);
    }
}

/// Divides after every node whose output is the only one still read; consecutive single nodes are one block, an
/// activation belongs to the block before it.
fn keys_by_cut(net: &Net) -> Vec<String> {
    let (mut keys, mut block, mut start) = (Vec::with_capacity(net.len()), 0, 0);
    let (mut reach, mut lone) = (0, false);
    for (id, node) in net.nodes() {
        let i = id.index();
        if reach <= i {
            let single = start == i;
            let joins = i > 0 && single && (lone || matches!(node.op, Op::Act { .. }));
            if !joins {
                block += 1;
                lone = single;
            }
            keys.resize(i + 1, format!("block{block}"));
            start = i + 1;
        }
        reach = net.readers(id).last().map_or(reach, |last| reach.max(last.index()));
    }
    keys.resize(net.len(), format!("block{}", block + 1));
    keys
}

/// A block's nodes as text, each with its inputs: indices within the block, or `x` for those from outside. Dropout and
/// stochastic depth are ignored, since a rate that differs between blocks does not make them different.
fn wiring(net: &Net, block: &Block, words: impl Fn(&Net, NodeId) -> String) -> String {
    let mut places: HashMap<NodeId, String> = HashMap::new();
    let mut text = String::new();
    for id in &block.nodes {
        let inputs: Vec<String> =
            net.inputs(*id).into_iter().map(|i| places.get(&i).cloned().unwrap_or_else(|| "x".into())).collect();
        if let (Op::StochasticDepth { .. } | Op::Dropout { .. }, [input]) = (&net.node(*id).op, &inputs[..]) {
            places.insert(*id, input.clone());
            continue;
        }
        text += &format!("{}({});", words(net, *id), inputs.join(","));
        places.insert(*id, places.len().to_string());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_named_by_their_ends() {
        assert_eq!(span("stage0.block1", "stage0.block13"), "stage0.block1–13");
        assert_eq!(span("cell2.normal", "cell5.normal"), "cell2–5.normal");
        assert_eq!(span("a", "b"), "a to b");
    }

    /// As PyTorch exports them to ONNX, and as our families call them.
    #[test]
    fn names_say_what_belongs_together() {
        let names = [
            "image",
            "/conv1/Conv",
            "/layer1/layer1.0/conv1/Conv",
            "/layer1/layer1.1/conv1/Conv",
            "stage2.down.conv",
            "stage2.block0.conv",
            "block3.mlp.fc1",
        ];
        let mut net = Net::new();
        let mut x = net.add(names[0], Op::Input { shape: Shape::new(4, 4, 2) }, &[]).unwrap();
        for name in &names[1..] {
            x = net.add(*name, Op::GlobalAvgPool, &[x]).unwrap();
        }
        let expected =
            ["image", "conv1", "layer1.layer1.0", "layer1.layer1.1", "stage2.down", "stage2.block0", "block3"];
        assert_eq!(keys_by_name(&net), expected);
    }
}
