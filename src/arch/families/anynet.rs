//! AnyNet: a stem, stages of equal blocks, and a head; the family whose subspaces are studied to find good ones.
//!
//! Source: Radosavovic et al. 2019 (On Network Design Spaces) and 2020 (Designing Network Design Spaces), and their
//! code (pycls). Blocks are post-activation. The first block of a stage has its stride and changes the width. A width's
//! bottleneck is given as a factor of it, as in the code; the papers' `b` is the reciprocal.

use std::fmt;
use std::str::FromStr;

use super::stem;
use crate::arch::chain::Chain;
use crate::arch::elements::{Elements, Gate, one_of};
use crate::arch::keys::{Fault, Keys, dashed};
use crate::arch::net::{Net, NodeId};
use crate::arch::op::{Op, Shape, Window};
use crate::error::{Error, Result};
use crate::units::Fraction;

/// The stem.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stem {
    /// A 3x3 convolution that keeps the size.
    Cifar,
    /// A 3x3 convolution that halves the size: that of RegNets on ImageNet.
    Simple,
    /// A 7x7 convolution and a 3x3 pool that halve the size each: that of ResNets on ImageNet.
    ImageNet,
}

/// What a stage is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Block {
    /// Two 3x3 convolutions without a shortcut.
    Vanilla,
    /// Two 3x3 convolutions with a shortcut.
    Basic,
    /// 1x1, grouped 3x3 and 1x1 convolution with a shortcut: the X block, and with a gate the Y block.
    Bottleneck,
    /// The same without the last activation, and with a shortcut only where shapes agree.
    LinearBottleneck,
}

impl Stem {
    /// All of them.
    pub const ALL: [Stem; 3] = [Stem::Cifar, Stem::Simple, Stem::ImageNet];

    /// Channels by default.
    pub fn usual_width(self) -> usize {
        match self {
            Stem::Cifar => 16,
            Stem::Simple => 32,
            Stem::ImageNet => 64,
        }
    }
}

impl Stem {
    /// Strides of the stages by default.
    fn usual_strides(self, stages: usize) -> Vec<usize> {
        let first = if self == Stem::Simple { 2 } else { 1 };
        (0..stages).map(|s| if s == 0 { first } else { 2 }).collect()
    }

    fn lower(self, chain: Chain<'_>, channels: usize) -> Result<Chain<'_>> {
        match self {
            Stem::Cifar => stem::Stem::Cifar.activated(chain, channels),
            Stem::Simple => chain.conv("conv", channels, Window::same(3, 2, 1))?.norm("bn")?.act("relu"),
            Stem::ImageNet => stem::Stem::ImageNet.activated(chain, channels),
        }
    }
}

impl fmt::Display for Stem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Stem::Cifar => "cifar",
            Stem::Simple => "simple",
            Stem::ImageNet => "imagenet",
        })
    }
}

impl FromStr for Stem {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        one_of(text, &Stem::ALL)
    }
}

impl Block {
    /// All of them.
    pub const ALL: [Block; 4] = [Block::Vanilla, Block::Basic, Block::Bottleneck, Block::LinearBottleneck];

    /// Whether it uses a bottleneck and a group width.
    pub fn is_bottleneck(self) -> bool {
        matches!(self, Block::Bottleneck | Block::LinearBottleneck)
    }
}

impl fmt::Display for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Block::Vanilla => "vanilla",
            Block::Basic => "basic",
            Block::Bottleneck => "bottleneck",
            Block::LinearBottleneck => "linear-bottleneck",
        })
    }
}

impl FromStr for Block {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        one_of(text, &Block::ALL)
    }
}

/// A sequence of equal blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Stage {
    /// Blocks.
    pub depth: usize,
    /// Output channels.
    pub width: usize,
    /// Stride of its first block.
    pub stride: usize,
    /// Channels of the 3x3 convolution as a factor of the width.
    pub bottleneck: Fraction,
    /// Channels a group of the 3x3 convolution.
    pub group: usize,
}

impl Stage {
    /// Channels of the 3x3 convolution: the product, rounded half to even.
    fn bottleneck_width(&self) -> usize {
        (self.width as f64 * self.bottleneck.value()).round_ties_even() as usize
    }
}

/// A network of the family, for any image and number of classes.
#[derive(Clone, Debug, PartialEq)]
pub struct AnyNet {
    /// The stem.
    pub stem: Stem,
    /// Channels of the stem.
    pub stem_width: usize,
    /// What the stages are made of.
    pub block: Block,
    /// The stages.
    pub stages: Vec<Stage>,
    /// A squeeze-and-excitation gate follows the 3x3 convolution, has biases, and its ratio is that of the hidden
    /// channels to the channels that enter the block; a residual gate is at the end of the branch.
    pub elements: Elements,
}

impl AnyNet {
    /// The keys of its form, those of the elements beside them.
    pub const KEYS: &[&str] = &["depths", "widths", "strides", "bottleneck", "group", "block", "stem", "stem-width"];

    /// Reads `depths=9-9-9,widths=16-32-64`, and beside these: `strides` (1 and then 2 after a stem that keeps or
    /// quarters the size, else 2), `block` (bottleneck), `bottleneck` (1), `group` (1; a number for all stages or one
    /// for each), `stem` (cifar), `stem-width` (16; 32 and 64 for the larger ones) and the elements.
    ///
    /// # Errors
    /// A key that is missing, unknown or does not fit.
    pub fn parse(keys: &mut Keys) -> Result<Self, Fault> {
        keys.among(&[Self::KEYS, Elements::KEYS])?;
        let stem = keys.value("stem")?.unwrap_or(Stem::Cifar);
        let block = keys.value("block")?.unwrap_or(Block::Bottleneck);
        if let Some(key) = ["group", "bottleneck"].into_iter().find(|key| keys.has(key) && !block.is_bottleneck()) {
            return Err(Fault::of(key, format!("`{key}` does not go with `block={block}`, which has no bottleneck")));
        }
        let list =
            |keys: &mut Keys, key: &str| keys.counts(key)?.ok_or_else(|| Fault::from(format!("`{key}` is missing")));
        let depths = list(keys, "depths")?;
        let widths = list(keys, "widths")?;
        let stages = depths.len();
        if widths.len() != stages {
            return Err(Fault::of("widths", format!("{} widths for {stages} depths", widths.len())));
        }
        let strides = each("strides", keys.counts("strides")?, stages)?.unwrap_or(stem.usual_strides(stages));
        let groups = each("group", keys.counts("group")?, stages)?.unwrap_or(vec![1; stages]);
        let factors = |text: &str| text.split('-').map(|f| f.parse().ok().filter(|f| *f != Fraction::ZERO)).collect();
        let factors: Option<Vec<Fraction>> = keys.read("bottleneck", "factors such as 1/4 or 1/2-1/4-1/4", factors)?;
        let factors = each("bottleneck", factors, stages)?.unwrap_or(vec![Fraction::new(1, 1); stages]);
        let stages = (0..stages)
            .map(|s| Stage {
                depth: depths[s],
                width: widths[s],
                stride: strides[s],
                bottleneck: factors[s],
                group: groups[s],
            })
            .collect();
        let stem_width = keys.count("stem-width")?.unwrap_or(stem.usual_width());
        let elements = Elements::take(keys, Elements::default())?;
        let network = AnyNet { stem, stem_width, block, stages, elements };
        network.check()?;
        Ok(network)
    }

    /// Whether the blocks support the elements, and widths and groups agree.
    fn check(&self) -> Result<(), Fault> {
        let Elements { gate, drop_path, layer_scale, .. } = self.elements;
        if self.block == Block::Vanilla && (gate != Gate::None || drop_path > 0.0 || layer_scale.is_some()) {
            let why = "a vanilla block has no residual branch for a gate, stochastic depth or layer scale";
            return Err(Fault::of("block", why));
        }
        for (s, stage) in self.stages.iter().enumerate().filter(|_| self.block.is_bottleneck()) {
            let inner = stage.bottleneck_width();
            if inner == 0 || !inner.is_multiple_of(stage.group) {
                return Err(Fault::of(
                    "group",
                    format!(
                        "stage {s} has a 3x3 convolution of {inner} channels, which groups of {} do not divide",
                        stage.group
                    ),
                ));
            }
        }
        Ok(())
    }

    /// Lowers to a network: nodes `stem.*`, `stage0.block0.*` and `head.*`.
    ///
    /// # Errors
    /// [`Error::Net`] for an image that is too small, and widths that groups do not divide.
    pub fn lower(&self, image: Shape, classes: usize) -> Result<Net> {
        self.check().map_err(|fault| Error::Net(fault.why))?;
        let mut net = Net::new();
        let input = net.add("image", Op::Input { shape: image }, &[])?;
        let entry = Chain::new(&mut net, "stem", input, &self.elements);
        let mut x = self.stem.lower(entry, self.stem_width)?.end();
        let blocks: usize = self.stages.iter().map(|stage| stage.depth).sum();
        let mut number = 0;
        for (s, stage) in self.stages.iter().enumerate() {
            for b in 0..stage.depth {
                let place = Place { prefix: format!("stage{s}.block{b}"), number, blocks };
                let stride = if b == 0 { stage.stride } else { 1 };
                x = self.lower_block(&mut net, &place, x, &Stage { stride, ..*stage })?;
                number += 1;
            }
        }
        let head = Chain::new(&mut net, "head", x, &self.elements).push("pool", Op::GlobalAvgPool)?;
        head.push("fc", Op::Linear { out: classes, bias: true })?;
        net.validate()?;
        Ok(net)
    }

    fn lower_block(&self, net: &mut Net, place: &Place, x: NodeId, stage: &Stage) -> Result<NodeId> {
        let prefix = &place.prefix;
        let from = net.node(x).shape;
        let changes = stage.stride != 1 || from.c != stage.width;
        let chain = |net| Chain::new(net, prefix.clone(), x, &self.elements);
        let three = Window::same(3, stage.stride, 1);
        match self.block {
            Block::Vanilla => {
                let half = chain(net).conv("conv1", stage.width, three)?.norm("bn1")?.act("relu1")?;
                Ok(half.conv("conv2", stage.width, Window::same(3, 1, 1))?.norm("bn2")?.act("relu2")?.end())
            }
            Block::Basic => {
                let shortcut = self.shortcut(net, prefix, x, stage)?;
                let half = chain(net).conv("conv1", stage.width, three)?.norm("bn1")?.act("relu1")?;
                let branch = half.conv("conv2", stage.width, Window::same(3, 1, 1))?.norm("bn2")?;
                Ok(self.residual_gate(branch)?.residual(shortcut, place.number, place.blocks)?.act("relu2")?.end())
            }
            Block::Bottleneck => {
                let shortcut = self.shortcut(net, prefix, x, stage)?;
                let branch = self.bottleneck(chain(net), from.c, stage)?;
                Ok(branch.residual(shortcut, place.number, place.blocks)?.act("relu3")?.end())
            }
            Block::LinearBottleneck => {
                let branch = self.bottleneck(chain(net), from.c, stage)?;
                if changes { Ok(branch.end()) } else { Ok(branch.residual(x, place.number, place.blocks)?.end()) }
            }
        }
    }

    /// The shortcut: a projection where the shape changes.
    fn shortcut(&self, net: &mut Net, prefix: &str, x: NodeId, stage: &Stage) -> Result<NodeId> {
        if stage.stride == 1 && net.node(x).shape.c == stage.width {
            return Ok(x);
        }
        let chain = Chain::new(net, format!("{prefix}.shortcut"), x, &self.elements);
        Ok(chain.conv("conv", stage.width, Window::square(1, stage.stride, 0))?.norm("bn")?.end())
    }

    fn bottleneck<'a>(&self, chain: Chain<'a>, entering: usize, stage: &Stage) -> Result<Chain<'a>> {
        let (inner, point) = (stage.bottleneck_width(), Window::square(1, 1, 0));
        let chain = chain.conv("conv1", inner, point)?.norm("bn1")?.act("relu1")?;
        let chain = chain.grouped("conv2", inner, Window::same(3, stage.stride, 1), inner / stage.group)?;
        let chain = chain.norm("bn2")?.act("relu2")?;
        let chain = match self.elements.gate {
            Gate::Se { ratio } => {
                let hidden = (f64::from(ratio) * entering as f64).round_ties_even() as usize;
                chain.squeeze("se", hidden.max(1), true)?
            }
            Gate::None | Gate::ResidualSe { .. } => chain,
        };
        self.residual_gate(chain.conv("conv3", stage.width, point)?.norm("bn3")?)
    }

    /// The gate at the end of a branch, if that is its place.
    fn residual_gate<'a>(&self, branch: Chain<'a>) -> Result<Chain<'a>> {
        match (self.elements.gate, self.block) {
            (Gate::Se { .. }, Block::Bottleneck | Block::LinearBottleneck) => Ok(branch),
            (Gate::None | Gate::Se { .. } | Gate::ResidualSe { .. }, _) => branch.gate("se"),
        }
    }
}

/// A value for each stage from one for all, or as many as there are stages.
fn each<T: Copy>(key: &str, found: Option<Vec<T>>, stages: usize) -> Result<Option<Vec<T>>, Fault> {
    match found {
        Some(one) if one.len() == 1 => Ok(Some(vec![one[0]; stages])),
        Some(all) if all.len() != stages => {
            Err(Fault::of(key, format!("`{key}` has {} values for {stages} stages", all.len())))
        }
        other => Ok(other),
    }
}

/// Values as [`each`] reads them.
fn together(values: impl Iterator<Item = String>) -> String {
    let mut values: Vec<String> = values.collect();
    if values.windows(2).all(|pair| pair[0] == pair[1]) {
        values.truncate(1);
    }
    values.join("-")
}

/// A block's position.
struct Place {
    prefix: String,
    number: usize,
    blocks: usize,
}

impl fmt::Display for AnyNet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = |read: fn(&Stage) -> usize| self.stages.iter().map(read).collect::<Vec<_>>();
        write!(f, "depths={},widths={}", dashed(&all(|s| s.depth)), dashed(&all(|s| s.width)))?;
        let strides = all(|s| s.stride);
        if strides != self.stem.usual_strides(strides.len()) {
            write!(f, ",strides={}", dashed(&strides))?;
        }
        let group = together(self.stages.iter().map(|s| s.group.to_string()));
        let bottleneck = together(self.stages.iter().map(|s| s.bottleneck.to_string()));
        for (key, value) in [("group", group), ("bottleneck", bottleneck)] {
            if self.block.is_bottleneck() && value != "1" {
                write!(f, ",{key}={value}")?;
            }
        }
        if self.block != Block::Bottleneck {
            write!(f, ",block={}", self.block)?;
        }
        if self.stem != Stem::Cifar {
            write!(f, ",stem={}", self.stem)?;
        }
        if self.stem_width != self.stem.usual_width() {
            write!(f, ",stem-width={}", self.stem_width)?;
        }
        write!(f, "{}", self.elements.beside(&Elements::default()))
    }
}
