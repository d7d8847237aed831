//! RobustResNet: three stages of pre-activation bottlenecks whose 3x3 convolution is split into a hierarchy of grouped
//! ones, with a residual squeeze-and-excitation, deep and narrow, which suits adversarial training.
//!
//! Source: Huang et al. 2023 (Revisiting Residual Networks for Adversarial Robustness) and its code. Widening factors
//! multiply 16, 32 and 64 channels; a stage gives four times as many. Its form: `robust-resnet:a1`, or
//! `depths=14-14-7,widths=5-7-3`.
//!
//! The code leaves the last chunk of a hierarchy unfiltered, the paper draws the first one; the networks are mirror
//! images of each other but for the pool of strided blocks. We follow the code.

use std::fmt;

use super::published::{self, BASE, PUBLISHED, STAGES};
use crate::arch::chain::Chain;
use crate::arch::elements::{Elements, Gate};
use crate::arch::keys::{Fault, Keys, MODEL, dashed};
use crate::arch::net::{Net, NodeId};
use crate::arch::op::{Op, Shape, Window};
use crate::error::{Result, nearest};

/// A block gives this many times its planes.
const EXPANSION: usize = 4;

/// Channels of the stem.
const STEM: usize = 16;

/// A network of the family, for any image and number of classes.
#[derive(Clone, Debug, PartialEq)]
pub struct RobustResNet {
    /// Blocks of each stage.
    pub depths: [usize; STAGES],
    /// Widening factors of each stage.
    pub widths: [usize; STAGES],
    /// How the 3x3 convolution is split.
    pub split: Split,
    /// Whether the first 1x1 convolution of a block reads what enters the block instead of the activated normalisation
    /// of it. The code does, the paper's drawing does not. A block that keeps its shape then has a first
    /// normalisation that nothing reads; it is kept, as its parameters are among the published counts.
    pub raw_input: bool,
    /// Activation, normalisation and the other elements of the blocks.
    pub elements: Elements,
}

/// The hierarchy of 3x3 convolutions in a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Split {
    /// Chunks `S`; all but the last are filtered, and each is added to the next before that is. One is a plain
    /// bottleneck.
    pub scales: usize,
    /// `b` of a chunk's width `floor(P b / 160) c` at `P` planes.
    pub base_width: usize,
    /// Groups `c` of each 3x3 convolution.
    pub cardinality: usize,
}

impl Split {
    /// The published network's: with planes in multiples of 16, chunks of a quarter of the planes.
    pub const PAPER: Split = Split { scales: 8, base_width: 10, cardinality: 4 };

    /// Channels of a chunk.
    fn chunk(self, planes: usize) -> usize {
        planes * self.base_width / 160 * self.cardinality
    }
}

/// ReLU and residual squeeze-and-excitation, the baseline's. The advanced training's networks have SiLU (`act=silu`).
fn own() -> Elements {
    Elements { gate: Gate::ResidualSe { reduction: 64 }, ..Elements::default() }
}

impl RobustResNet {
    /// The keys of its form, those of the elements beside them.
    pub const KEYS: &[&str] = &[MODEL, "depths", "widths", "scales", "base-width", "cardinality", "raw-input"];

    /// The published block at any depths and widening factors.
    pub fn new(depths: [usize; STAGES], widths: [usize; STAGES]) -> Self {
        RobustResNet { depths, widths, split: Split::PAPER, raw_input: true, elements: own() }
    }

    /// Reads `a1`, or `depths=14-14-7,widths=5-7-3`, and beside these `scales` (8), `base-width` (10), `cardinality`
    /// (4), `raw-input` (true) and the elements.
    ///
    /// # Errors
    /// A key that is missing, unknown or does not fit.
    pub fn parse(keys: &mut Keys) -> Result<Self, Fault> {
        keys.among(&[Self::KEYS, Elements::KEYS])?;
        let (depths, widths) = match keys.text(MODEL) {
            Some(name) => {
                let known = || PUBLISHED.iter().map(|(name, ..)| *name);
                let found = PUBLISHED.iter().find(|(known, ..)| *known == name);
                let near =
                    || nearest(&name, known()).map(|near| format!("did you mean `{near}`? ")).unwrap_or_default();
                let listed = || known().collect::<Vec<_>>().join(", ");
                let why =
                    || Fault::of(MODEL, format!("no RobustResNet is called `{name}`; {}known: {}", near(), listed()));
                found.map(|(_, depths, widths)| (*depths, *widths)).ok_or_else(why)?
            }
            None => (stages(keys, "depths")?, stages(keys, "widths")?),
        };
        let split = Split {
            scales: keys.count("scales")?.unwrap_or(Split::PAPER.scales),
            base_width: keys.count("base-width")?.unwrap_or(Split::PAPER.base_width),
            cardinality: keys.count("cardinality")?.unwrap_or(Split::PAPER.cardinality),
        };
        if let Some(width) = widths.iter().find(|w| split.chunk(BASE[0] * **w) == 0) {
            let why = format!("a base width of {} leaves nothing of widening factor {width}", split.base_width);
            return Err(Fault::of("base-width", why));
        }
        let raw_input = keys.flag("raw-input")?.unwrap_or(true);
        Ok(RobustResNet { depths, widths, split, raw_input, elements: Elements::take(keys, own())? })
    }

    /// Lowers to a network: nodes `stem.conv`, `stage0.block0.*` and `head.*`.
    ///
    /// # Errors
    /// [`Error::Net`](crate::error::Error::Net) for an image that is too small, and for elements that do not fit.
    pub fn lower(&self, image: Shape, classes: usize) -> Result<Net> {
        let mut net = Net::new();
        let input = net.add("image", Op::Input { shape: image }, &[])?;
        let stem = Chain::new(&mut net, "stem", input, &self.elements);
        let mut x = stem.conv("conv", STEM, Window::same(3, 1, 1))?.end();
        let mut number = 0;
        for (s, depth) in self.depths.into_iter().enumerate() {
            for b in 0..depth {
                let block = Block {
                    prefix: format!("stage{s}.block{b}"),
                    planes: BASE[s] * self.widths[s],
                    stride: if s > 0 && b == 0 { 2 } else { 1 },
                    number,
                };
                x = self.block(&mut net, &block, x)?;
                number += 1;
            }
        }
        let head = Chain::new(&mut net, "head", x, &self.elements).norm("bn")?.act("relu")?;
        head.push("pool", Op::GlobalAvgPool)?.push("fc", Op::Linear { out: classes, bias: true })?;
        net.validate()?;
        Ok(net)
    }

    fn block(&self, net: &mut Net, block: &Block, x: NodeId) -> Result<NodeId> {
        let Block { prefix, planes, stride, number } = block;
        let (chunk, out, point) = (self.split.chunk(*planes), EXPANSION * planes, Window::square(1, 1, 0));
        let pre = Chain::new(net, prefix.clone(), x, &self.elements).norm("bn1")?.act("relu1")?.end();
        let shortcut = if *stride != 1 || net.node(x).shape.c != out {
            let chain = Chain::new(net, prefix.clone(), pre, &self.elements);
            chain.conv("shortcut", out, Window::square(1, *stride, 0))?.end()
        } else {
            x
        };
        let entry = Chain::new(net, prefix.clone(), if self.raw_input { x } else { pre }, &self.elements);
        let hidden = entry.conv("conv1", self.split.scales * chunk, point)?.norm("bn2")?.act("relu2")?.end();
        let filtered = self.hierarchy(net, block, hidden)?;
        let exit = Chain::new(net, prefix.clone(), filtered, &self.elements).conv("conv3", out, point)?;
        let blocks = self.depths.iter().sum();
        Ok(exit.gate("se")?.residual(shortcut, *number, blocks)?.end())
    }

    /// The chunks of a block, filtered one after another. At stride 1 each is added to the next one before that is
    /// filtered; at stride 2 each is filtered by itself, and the last one pooled.
    fn hierarchy(&self, net: &mut Net, block: &Block, hidden: NodeId) -> Result<NodeId> {
        let Block { prefix, planes, stride, .. } = block;
        let (scales, chunk) = (self.split.scales, self.split.chunk(*planes));
        let window = Window::same(3, *stride, 1);
        let filtered = if scales == 1 { 1 } else { scales - 1 };
        let mut chunks = Vec::with_capacity(scales);
        for j in 0..filtered {
            let mut u = hidden;
            if scales > 1 {
                u = net.add(format!("{prefix}.scale{j}.slice"), Op::Slice { from: j * chunk, len: chunk }, &[u])?;
            }
            if let (1, Some(previous)) = (stride, chunks.last()) {
                u = net.add(format!("{prefix}.scale{j}.add"), Op::Add, &[u, *previous])?;
            }
            let chain = Chain::new(net, format!("{prefix}.scale{j}"), u, &self.elements);
            chunks.push(chain.grouped("conv", chunk, window, self.split.cardinality)?.norm("bn")?.act("relu")?.end());
        }
        if scales == 1 {
            return Ok(chunks[0]);
        }
        let chain = Chain::new(net, format!("{prefix}.scale{filtered}"), hidden, &self.elements);
        let last = chain.push("slice", Op::Slice { from: filtered * chunk, len: chunk })?;
        let pool = Op::AvgPool { window, count_include_pad: true };
        chunks.push(last.when(*stride != 1, |chain| chain.push("pool", pool))?.end());
        net.add(format!("{prefix}.concat"), Op::Concat, &chunks)
    }
}

/// A block and its position.
struct Block {
    prefix: String,
    planes: usize,
    stride: usize,
    number: usize,
}

/// One number for each stage.
fn stages(keys: &mut Keys, key: &str) -> Result<[usize; STAGES], Fault> {
    let found = keys.counts(key)?.ok_or_else(|| Fault::from(format!("`{key}=N-N-N` is missing")))?;
    let count = found.len();
    found.try_into().map_err(|_| Fault::of(key, format!("`{key}` has {count} numbers for {STAGES} stages")))
}

impl fmt::Display for RobustResNet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match published::published(self.depths, self.widths) {
            Some(name) => f.write_str(name)?,
            None => write!(f, "depths={},widths={}", dashed(&self.depths), dashed(&self.widths))?,
        }
        let Split { scales, base_width, cardinality } = self.split;
        for (key, value, usual) in [
            ("scales", scales, Split::PAPER.scales),
            ("base-width", base_width, Split::PAPER.base_width),
            ("cardinality", cardinality, Split::PAPER.cardinality),
        ] {
            if value != usual {
                write!(f, ",{key}={value}")?;
            }
        }
        if !self.raw_input {
            f.write_str(",raw-input=false")?;
        }
        write!(f, "{}", self.elements.beside(&own()))
    }
}
