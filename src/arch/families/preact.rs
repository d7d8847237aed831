//! Pre-activation residual networks by their stages: what PreActResNet and the wide networks share.
//!
//! Source: He et al. 2016 (identity mappings). A block is norm-act-conv, twice or more, plus a shortcut; the shortcut
//! of a block that changes size or channels is a 1x1 convolution.

use std::fmt;
use std::str::FromStr;

use super::stem::Stem;
use crate::arch::chain::Chain;
use crate::arch::elements::Elements;
use crate::arch::net::{Net, NodeId};
use crate::arch::op::{Op, Shape, Window};
use crate::error::Result;

/// The convolutions of a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Block {
    /// Square kernels of these sizes, each as wide as the block: B(3, 3), B(3, 1, 3), ... of Zagoruyko and Komodakis.
    /// The first has the stride.
    Plain(Vec<usize>),
    /// 1x1, 3x3, 1x1, of which the first two are a quarter as wide as the block. The 3x3 has the stride.
    Bottleneck,
}

impl Block {
    /// Kernel size, channels and stride of every convolution.
    fn convolutions(&self, channels: usize, stride: usize) -> Vec<(usize, usize, usize)> {
        match self {
            Block::Plain(kernels) => {
                let strides = std::iter::once(stride).chain(std::iter::repeat(1));
                kernels.iter().zip(strides).map(|(kernel, stride)| (*kernel, channels, stride)).collect()
            }
            Block::Bottleneck => vec![(1, channels / 4, 1), (3, channels / 4, stride), (1, channels, 1)],
        }
    }
}

/// The input of a projection shortcut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Shortcut {
    /// The first activation of the block.
    Activated,
    /// The block's input, as in the code of FLC pooling.
    Raw,
}

impl fmt::Display for Shortcut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Shortcut::Activated => "activated",
            Shortcut::Raw => "raw",
        })
    }
}

impl FromStr for Shortcut {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "activated" => Ok(Shortcut::Activated),
            "raw" => Ok(Shortcut::Raw),
            _ => Err("expected activated or raw".into()),
        }
    }
}

/// The padding of a strided convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Padding {
    /// On all sides.
    Even,
    /// Below and to the right only (RaWRN).
    Corner,
}

impl fmt::Display for Padding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Padding::Even => "even",
            Padding::Corner => "corner",
        })
    }
}

impl FromStr for Padding {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "even" => Ok(Padding::Even),
            "corner" => Ok(Padding::Corner),
            _ => Err("expected even or corner".into()),
        }
    }
}

/// A stem, stages of which every one but the first halves the size, and a linear head.
#[derive(Clone, Debug, PartialEq)]
pub struct PreAct {
    /// The stem.
    pub entry: Stem,
    /// Channels of the stem.
    pub stem: usize,
    /// `(blocks, channels)` per stage.
    pub stages: Vec<(usize, usize)>,
    /// The convolutions of a block.
    pub block: Block,
    /// The input of a projection shortcut.
    pub shortcut: Shortcut,
    /// The padding of a strided convolution.
    pub padding: Padding,
    /// Activation, normalisation and the other elements of the blocks.
    pub elements: Elements,
}

impl PreAct {
    /// In words: the stem, and blocks and channels per stage.
    pub fn summary(&self) -> String {
        let stages: Vec<String> = self.stages.iter().map(|(blocks, c)| format!("{blocks}x{c}")).collect();
        format!("preact-resnet stem {} stages {}", self.stem, stages.join("-"))
    }

    /// A network of basic blocks, CIFAR style, with the default elements.
    pub fn basic(stem: usize, stages: impl Into<Vec<(usize, usize)>>) -> Self {
        PreAct {
            entry: Stem::Cifar,
            stem,
            stages: stages.into(),
            block: Block::Plain(vec![3, 3]),
            shortcut: Shortcut::Activated,
            padding: Padding::Even,
            elements: Elements::default(),
        }
    }

    /// Lowers to a network.
    ///
    /// # Errors
    /// [`Error::Net`](crate::error::Error::Net) where image, elements and widths do not fit together.
    pub fn lower(&self, image: Shape, classes: usize) -> Result<Net> {
        let mut net = Net::new();
        let image = net.add("image", Op::Input { shape: image }, &[])?;
        let mut x = self.entry.bare(Chain::new(&mut net, "stem", image, &self.elements), self.stem)?.end();
        let blocks = self.stages.iter().map(|(blocks, _)| blocks).sum();
        let mut placed = 0;
        for (s, &(count, channels)) in self.stages.iter().enumerate() {
            for b in 0..count {
                let stride = if s > 0 && b == 0 { 2 } else { 1 };
                let chain = Chain::new(&mut net, format!("stage{s}.block{b}"), x, &self.elements);
                x = self.block(chain, channels, stride, (placed, blocks))?;
                placed += 1;
            }
        }
        let head = Chain::new(&mut net, "head", x, &self.elements).norm("bn")?.act("relu")?;
        head.push("pool", Op::GlobalAvgPool)?.push("fc", Op::Linear { out: classes, bias: true })?;
        net.validate()?;
        Ok(net)
    }

    fn block(&self, x: Chain<'_>, channels: usize, stride: usize, (nth, of): (usize, usize)) -> Result<NodeId> {
        let (raw, changes) = (x.at(), stride != 1 || x.shape().c != channels);
        let mut chain = x.norm("bn1")?.act("relu1")?;
        let activated = chain.at();
        let mut shortcut = raw;
        if changes {
            let from = match self.shortcut {
                Shortcut::Activated => activated,
                Shortcut::Raw => raw,
            };
            chain = chain.back(from).conv("shortcut", channels, Window::square(1, stride, 0))?;
            shortcut = chain.at();
        }
        chain = chain.back(activated);
        let convolutions = self.block.convolutions(channels, stride);
        let last = convolutions.len();
        for (i, (kernel, out, stride)) in (1..).zip(convolutions) {
            if i > 1 {
                chain = chain.norm(&format!("bn{i}"))?.act(&format!("relu{i}"))?;
                chain = chain.when(i == last, |chain| chain.dropout("dropout"))?;
            }
            chain = self.convolution(chain, i, kernel, out, stride)?;
        }
        Ok(chain.gate("se")?.residual(shortcut, nth, of)?.end())
    }

    fn convolution<'a>(
        &self,
        chain: Chain<'a>,
        i: usize,
        kernel: usize,
        out: usize,
        stride: usize,
    ) -> Result<Chain<'a>> {
        let name = format!("conv{i}");
        match self.padding {
            Padding::Corner if stride > 1 && kernel > 1 => {
                let beyond = kernel - stride;
                let pad = Op::Pad { top: 0, left: 0, bottom: beyond, right: beyond };
                chain.push(&format!("pad{i}"), pad)?.conv(&name, out, Window::square(kernel, stride, 0))
            }
            Padding::Even | Padding::Corner => chain.conv(&name, out, Window::same(kernel, stride, 1)),
        }
    }
}
