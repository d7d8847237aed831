//! Cell networks: a stem, a sequence of cells, a head. DARTS, DSARA and their supernets.
//!
//! Source: Liu et al. 2019 (DARTS) for the skeleton; arXiv 2212.14049 and its released successor for DSARA's placement
//! and widths. Stem: 3x3 convolution to `stem_multiplier * C` and batch-norm. A cell reads the two preceding
//! outputs through 1x1 convolutions (a factorised reduction where the preceding cell halved the size). Head:
//! global average pool and a linear layer. For ImageNet the stem is three convolutions of stride 2, the first cell
//! reading the second's and the third's output.
//!
//! A supernet may send only a part of every state's channels through the candidate operations (Xu et al. 2020,
//! PC-DARTS, partial channel connections), which saves memory; the edge normalisation of that paper is not implemented.
//!
//! The auxiliary head of DARTS reads the output of the second reduction and is used in training only. A [`Net`] has one
//! output, so the head is the end of a second network ([`auxiliary`]) that shares the trunk up to there with the first:
//! nodes of the same name are the same layer, with the same parameters.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::arch::cell::{CellOp, factorized_reduce, lower, relu_conv_norm};
use crate::arch::chain::Chain;
use crate::arch::cost::AUXILIARY;
use crate::arch::elements::Elements;
use crate::arch::genotype::{CellGenotype, Edge, Genotype};
use crate::arch::net::{Net, NodeId};
use crate::arch::op::{Op, Shape, Window};
use crate::error::{Error, Result};

/// One cell of the sequence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Placed {
    /// The kind of cell.
    pub kind: String,
    /// Channels of each state.
    pub channels: usize,
    /// Whether the cell halves the size.
    pub reduction: bool,
}

/// A cell network without the insides of its cells.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Skeleton {
    /// Image `[h, w, c]`.
    pub image: Shape,
    /// Classes.
    pub classes: usize,
    /// Mean and deviation per channel of layer 0; absent: pixels enter as they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub normalize: Option<Normalize>,
    /// Output channels of the stem.
    pub stem: usize,
    /// The kind of stem.
    #[serde(default, skip_serializing_if = "StemKind::keeps_size")]
    pub stem_kind: StemKind,
    /// The cells in order.
    pub cells: Vec<Placed>,
}

/// The stem.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum StemKind {
    /// A 3x3 convolution and batch-norm.
    #[default]
    Cifar,
    /// Three 3x3 convolutions of stride 2, the first to half of the channels, with batch-norms.
    ImageNet,
}

impl StemKind {
    /// Whether the stem keeps the image's size.
    pub fn keeps_size(&self) -> bool {
        *self == StemKind::Cifar
    }

    /// Rows and columns of the stem's output.
    pub fn size(self, image: Shape) -> (usize, usize) {
        match self {
            StemKind::Cifar => (image.h, image.w),
            StemKind::ImageNet => (image.h.div_ceil(8), image.w.div_ceil(8)),
        }
    }
}

impl fmt::Display for StemKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            StemKind::Cifar => "cifar",
            StemKind::ImageNet => "imagenet",
        })
    }
}

impl FromStr for StemKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "cifar" => Ok(StemKind::Cifar),
            "imagenet" => Ok(StemKind::ImageNet),
            _ => Err("expected cifar or imagenet".into()),
        }
    }
}

/// Layer 0.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Normalize {
    /// Per channel.
    pub mean: Vec<f32>,
    /// Per channel.
    pub std: Vec<f32>,
}

/// The rule for the sequence of cells and their widths.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Placement {
    /// The kind that halves the size.
    pub reduction: String,
    /// The kind of the ordinary cells of each stage; there is a reduction between two stages.
    pub stages: Vec<String>,
    /// Channels of each stage as multiples of `C`; a reduction has its following stage's width.
    pub widths: Vec<usize>,
    /// Output channels of the stem as a multiple of `C`.
    pub stem_multiplier: usize,
}

impl Placement {
    /// Output channels of the stem: `stem_multiplier * C`, or `C` where the stem makes the image smaller.
    pub fn stem_channels(&self, channels: usize, stem: StemKind) -> usize {
        if stem.keeps_size() { self.stem_multiplier * channels } else { channels }
    }

    /// DSARA: accurate cells before the second reduction, robust cells after it, widths `C : 2C : 2C`.
    pub fn dsara() -> Self {
        Placement {
            reduction: "reduce".into(),
            stages: ["accurate", "accurate", "robust"].map(String::from).into(),
            widths: vec![1, 2, 2],
            stem_multiplier: 3,
        }
    }

    /// DARTS: normal cells everywhere, widths `C : 2C : 4C`.
    pub fn darts() -> Self {
        Placement {
            reduction: "reduce".into(),
            stages: ["normal", "normal", "normal"].map(String::from).into(),
            widths: vec![1, 2, 4],
            stem_multiplier: 3,
        }
    }

    /// The sequence of `layers` cells whose reductions are at `layers * s / stages` (integer division).
    ///
    /// # Errors
    /// [`Error::Net`] for fewer cells than stages.
    pub fn row(&self, channels: usize, layers: usize) -> Result<Vec<Placed>> {
        let stages = self.stages.len();
        let at: Vec<usize> = (1..stages).map(|s| s * layers / stages).collect();
        if at.windows(2).any(|p| p[0] == p[1]) || at.first() == Some(&0) {
            return Err(Error::Net(format!("{layers} cells are too few for {stages} stages")));
        }
        let mut stage = 0;
        Ok((0..layers)
            .map(|i| {
                let reduction = at.contains(&i);
                stage += usize::from(reduction);
                let kind = if reduction { &self.reduction } else { &self.stages[stage] };
                Placed { kind: kind.clone(), channels: channels * self.widths[stage], reduction }
            })
            .collect())
    }

    /// The sequence with given ordinary cells and channels per stage, a reduction between stages.
    pub fn scaled_row(&self, depths: &[usize], channels: &[usize]) -> Vec<Placed> {
        let mut row = Vec::new();
        for (s, kind) in self.stages.iter().enumerate() {
            if s > 0 {
                row.push(Placed { kind: self.reduction.clone(), channels: channels[s], reduction: true });
            }
            let ordinary = Placed { kind: kind.clone(), channels: channels[s], reduction: false };
            row.extend(std::iter::repeat_n(ordinary, depths[s]));
        }
        row
    }
}

/// Where each kind of cell keeps its mixing weights in the flat vector: `[kind][edge][op]`, edges in node order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MixLayout {
    /// The kinds in order.
    pub kinds: Vec<MixKind>,
    /// `K`: one `K`-th of a state's channels goes through the operations, the others bypass them. 1: all go through.
    pub partial: usize,
}

/// One kind's candidate edges.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MixKind {
    /// The kind of cell.
    pub kind: String,
    /// Intermediate nodes.
    pub nodes: usize,
    /// For every edge, in order of target node and source state, the operations to choose from.
    pub edges: Vec<MixEdge>,
    /// The states whose channels are the cell's output.
    pub concat: Vec<usize>,
}

/// One candidate edge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MixEdge {
    /// Source state.
    pub from: usize,
    /// Target state (first intermediate node is 2).
    pub to: usize,
    /// The operations.
    pub ops: Vec<CellOp>,
    /// The first operation's place in the flat mixing vector.
    pub offset: usize,
}

impl MixLayout {
    /// Scalars in the mixing vector.
    pub fn len(&self) -> usize {
        self.edges().map(|(_, e)| e.offset + e.ops.len()).max().unwrap_or(0)
    }

    /// Whether there is nothing to choose.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All edges with their kind, in order of the mixing vector.
    pub fn edges(&self) -> impl Iterator<Item = (&MixKind, &MixEdge)> {
        self.kinds.iter().flat_map(|k| k.edges.iter().map(move |e| (k, e)))
    }
}

/// A derived network: discrete cells, learned scale and shift in every batch-norm.
///
/// # Errors
/// [`Error::Net`] for a kind of cell that the genotype lacks, and for an image, channels or classes that do not fit.
pub fn derived(skeleton: &Skeleton, genotype: &Genotype) -> Result<Net> {
    build(skeleton, &mut discrete(genotype, true), true)
}

/// A network of discrete cells whose batch-norms learn no scale and shift (RobNet).
pub(super) fn plain(skeleton: &Skeleton, genotype: &Genotype) -> Result<Net> {
    build(skeleton, &mut discrete(genotype, false), false)
}

/// A supernet: every edge a mixed sum of its candidates, batch-norms in cells without scale and shift.
///
/// # Errors
/// [`Error::Net`] for a kind of cell that the layout lacks, and for an image, channels or classes that do not fit.
pub fn supernet(skeleton: &Skeleton, layout: &MixLayout) -> Result<Net> {
    build(
        skeleton,
        &mut |net, prefix, placed, s0, s1| {
            let kind = layout
                .kinds
                .iter()
                .find(|k| k.kind == placed.kind)
                .ok_or_else(|| Error::Net(format!("the space has no `{}` cell", placed.kind)))?;
            let cell = MixedCell { prefix, kind, partial: layout.partial, reduction: placed.reduction };
            cell.lower(net, [s0, s1])
        },
        false,
    )
}

/// The auxiliary classifier of a derived network (DARTS): the trunk up to the last reduction, then ReLU, a 5x5 average
/// pool that leaves 2x2 pixels, a 1x1 convolution to 128 channels and a 2x2 one to 768, each with batch-norm and ReLU,
/// and a linear layer. The head's nodes are called `auxiliary.*`.
///
/// Nothing where no such head is defined: without a reduction, or where the reduction does not give 8x8 pixels (CIFAR,
/// stride 3) or 7x7 (ImageNet, stride 2).
///
/// # Errors
/// That of [`derived`].
pub fn auxiliary(skeleton: &Skeleton, genotype: &Genotype) -> Result<Option<Net>> {
    let Some(last) = skeleton.cells.iter().rposition(|cell| cell.reduction) else { return Ok(None) };
    let (mut net, tap) = trunk(skeleton, last + 1, &mut discrete(genotype, true), true)?;
    let Shape { h, w, .. } = net.node(tap).shape;
    if h != w || ![7, 8].contains(&h) {
        return Ok(None);
    }
    let pool = Op::AvgPool { window: Window::square(5, h - 5, 0), count_include_pad: false };
    Chain::new(&mut net, AUXILIARY.trim_end_matches('.'), tap, &Elements::default())
        .relu("relu1")?
        .push("pool", pool)?
        .conv("conv1", 128, Window::square(1, 1, 0))?
        .norm("bn1")?
        .relu("relu2")?
        .conv("conv2", 768, Window::square(2, 1, 0))?
        .norm("bn2")?
        .relu("relu3")?
        .push("fc", Op::Linear { out: skeleton.classes, bias: true })?;
    Ok(Some(net))
}

type CellBuilder<'a> = &'a mut dyn FnMut(&mut Net, &str, &Placed, NodeId, NodeId) -> Result<NodeId>;

fn discrete(
    genotype: &Genotype,
    affine: bool,
) -> impl FnMut(&mut Net, &str, &Placed, NodeId, NodeId) -> Result<NodeId> + '_ {
    move |net, prefix, placed, s0, s1| {
        let cell = genotype.cell(&placed.kind)?;
        discrete_cell(net, prefix, cell, stride_of(placed.reduction), affine, [s0, s1])
    }
}

fn build(skeleton: &Skeleton, cell: CellBuilder<'_>, affine: bool) -> Result<Net> {
    let (mut net, last) = trunk(skeleton, skeleton.cells.len(), cell, affine)?;
    let tail = Chain::new(&mut net, "head", last, &Elements::default()).push("pool", Op::GlobalAvgPool)?;
    tail.push("fc", Op::Linear { out: skeleton.classes, bias: true })?;
    Ok(net)
}

/// The stem and the first `cells` cells, and the output of the last.
fn trunk(skeleton: &Skeleton, cells: usize, cell: CellBuilder<'_>, affine: bool) -> Result<(Net, NodeId)> {
    let mut net = Net::new();
    let mut x = net.add("image", Op::Input { shape: skeleton.image }, &[])?;
    if let Some(n) = &skeleton.normalize {
        x = net.add("normalize", Op::Normalize { mean: n.mean.clone(), std: n.std.clone() }, &[x])?;
    }
    let [mut before, mut last] = stem(&mut net, skeleton, x)?;
    let mut halved = !skeleton.stem_kind.keeps_size();
    for (i, placed) in skeleton.cells.iter().take(cells).enumerate() {
        let prefix = format!("cell{i}.{}", placed.kind);
        let pre0 = format!("{prefix}.pre0");
        let s0 = if halved {
            factorized_reduce(&mut net, &pre0, before, placed.channels, affine)?
        } else {
            relu_conv_norm(&mut net, &pre0, before, placed.channels, affine)?
        };
        let s1 = relu_conv_norm(&mut net, &format!("{prefix}.pre1"), last, placed.channels, affine)?;
        let out = cell(&mut net, &prefix, placed, s0, s1)?;
        (before, last, halved) = (last, out, placed.reduction);
    }
    Ok((net, last))
}

/// The two inputs of the first cell.
fn stem(net: &mut Net, skeleton: &Skeleton, x: NodeId) -> Result<[NodeId; 2]> {
    let (elements, channels) = (Elements::default(), skeleton.stem);
    match skeleton.stem_kind {
        StemKind::Cifar => {
            let stem = Chain::new(net, "stem", x, &elements).conv("conv", channels, Window::same(3, 1, 1))?;
            Ok([stem.norm("bn")?.end(); 2])
        }
        StemKind::ImageNet => {
            let half = Window::same(3, 2, 1);
            let first = Chain::new(net, "stem0", x, &elements)
                .conv("conv1", channels / 2, half)?
                .norm("bn1")?
                .relu("relu")?
                .conv("conv2", channels, half)?
                .norm("bn2")?
                .end();
            let second = Chain::new(net, "stem1", first, &elements).relu("relu")?.conv("conv", channels, half)?;
            Ok([first, second.norm("bn")?.end()])
        }
    }
}

/// The stride of an edge from a state.
fn stride_of(reduction: bool) -> impl Fn(usize) -> usize {
    move |from| if reduction && from < 2 { 2 } else { 1 }
}

fn discrete_cell(
    net: &mut Net,
    prefix: &str,
    cell: &CellGenotype,
    stride: impl Fn(usize) -> usize,
    affine: bool,
    inputs: [NodeId; 2],
) -> Result<NodeId> {
    cell.validate()?;
    let mut states = inputs.to_vec();
    for (i, edges) in cell.nodes.iter().enumerate() {
        let mut terms = Vec::with_capacity(edges.len());
        for (e, Edge { op, from }) in edges.iter().enumerate() {
            let name = format!("{prefix}.node{}.{e}.{op}", i + 2);
            terms.push(lower(net, &name, *op, states[*from], stride(*from), affine, false)?);
        }
        states.push(net.add(format!("{prefix}.node{}", i + 2), Op::Add, &terms)?);
    }
    let out: Vec<NodeId> = cell.concat.iter().map(|s| states[*s]).collect();
    net.add(format!("{prefix}.concat"), Op::Concat, &out)
}

/// A cell of a supernet.
struct MixedCell<'a> {
    prefix: &'a str,
    kind: &'a MixKind,
    /// That of [`MixLayout`].
    partial: usize,
    reduction: bool,
}

/// The channels of a state that its edges read.
struct State {
    /// The channels that go through operations.
    worked: NodeId,
    /// Those that bypass them, if any, at the size of the operations' output.
    passed: Option<NodeId>,
}

impl MixedCell<'_> {
    fn lower(&self, net: &mut Net, inputs: [NodeId; 2]) -> Result<NodeId> {
        let mut nodes = inputs.to_vec();
        let mut states = vec![self.state(net, 0, inputs[0])?, self.state(net, 1, inputs[1])?];
        for to in 2..self.kind.nodes + 2 {
            nodes.push(self.node(net, to, &states)?);
            states.push(self.state(net, to, nodes[to])?);
        }
        let out: Vec<NodeId> = self.kind.concat.iter().map(|s| nodes[*s]).collect();
        net.add(format!("{}.concat", self.prefix), Op::Concat, &out)
    }

    fn state(&self, net: &mut Net, i: usize, x: NodeId) -> Result<State> {
        if self.partial == 1 {
            return Ok(State { worked: x, passed: None });
        }
        let c = net.node(x).shape.c;
        let share = self.share(c)?;
        let name = format!("{}.state{i}", self.prefix);
        let worked = net.add(format!("{name}.worked"), Op::Slice { from: 0, len: share }, &[x])?;
        let mut passed = net.add(format!("{name}.passed"), Op::Slice { from: share, len: c - share }, &[x])?;
        if stride_of(self.reduction)(i) == 2 {
            passed = net.add(format!("{name}.pool"), Op::MaxPool { window: Window::square(2, 2, 0) }, &[passed])?;
        }
        Ok(State { worked, passed: Some(passed) })
    }

    /// Channels of `c` that go through operations.
    fn share(&self, c: usize) -> Result<usize> {
        let blocks = self.partial * self.partial;
        if self.partial == 0 || !c.is_multiple_of(blocks) {
            return Err(Error::Net(format!(
                "`{}`: with one channel in {} through the operations, channels are shuffled in {blocks} equal blocks, \
                 which {c} channels do not divide into",
                self.prefix, self.partial
            )));
        }
        Ok(c / self.partial)
    }

    fn node(&self, net: &mut Net, to: usize, states: &[State]) -> Result<NodeId> {
        let prefix = self.prefix;
        let (mut terms, mut weights, mut passed) = (Vec::new(), Vec::new(), Vec::new());
        for edge in self.kind.edges.iter().filter(|e| e.to == to) {
            let State { worked, passed: past } = &states[edge.from];
            passed.extend(past);
            for (k, op) in edge.ops.iter().enumerate() {
                if *op == CellOp::None {
                    continue; // zeros: it only takes its share of the softmax away from the others
                }
                let name = format!("{prefix}.edge{}_{to}.{op}", edge.from);
                terms.push(lower(net, &name, *op, *worked, stride_of(self.reduction)(edge.from), false, true)?);
                weights.push(edge.offset + k);
            }
        }
        let name = format!("{prefix}.node{to}");
        if passed.is_empty() {
            return net.add(name, Op::MixedSum { weights }, &terms);
        }
        let mixed = net.add(format!("{name}.mixed"), Op::MixedSum { weights }, &terms)?;
        let passed = net.add(format!("{name}.passed"), Op::Add, &passed)?;
        self.shuffle(net, &name, mixed, passed)
    }

    /// Concatenates mixed and bypassed channels and shuffles them (channel shuffle).
    ///
    /// The paper shuffles single channels, we shuffle blocks of a `K`-th of what goes through operations: the same
    /// channels go through the next operations, in another order among themselves. Sums over edges and the shuffle
    /// commute, so that a node shuffles once.
    fn shuffle(&self, net: &mut Net, name: &str, mixed: NodeId, passed: NodeId) -> Result<NodeId> {
        let share = net.node(mixed).shape.c;
        let len = share / self.partial;
        let mut blocks = Vec::with_capacity(self.partial * self.partial);
        for block in 0..self.partial {
            for group in 0..self.partial {
                let (from, x) = if group == 0 { (0, mixed) } else { ((group - 1) * share, passed) };
                let slice = Op::Slice { from: from + block * len, len };
                blocks.push(net.add(format!("{name}.block{block}_{group}"), slice, &[x])?);
            }
        }
        net.add(name, Op::Concat, &blocks)
    }
}
