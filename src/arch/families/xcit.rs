//! XCiT (El-Nouby et al. 2021), the transformer of Debenedetti et al. 2023 for adversarial training: attention of
//! channels to channels, so that its cost is linear in the number of tokens.
//!
//! Patches by strided 3x3 convolutions, each with batch-norm, GELU between; sines of the position through a 1x1
//! convolution; blocks of cross-covariance attention, local patch interaction (depthwise 3x3, GELU, batch-norm, depthwise
//! 3x3) and a perceptron, each after a layer-norm and with layer scale `eta`; then a class token, two blocks in which it
//! alone attends to all tokens, layer-norm and a linear layer.
//!
//! As in the released code: class attention adds its normalised input to the other tokens; the second layer-norm of a
//! class-attention block is also the base of its sum, over all tokens (`tokens_norm`) or, in the nano networks, the class
//! token alone; stochastic depth has one rate in all blocks and none in class attention. Queries, keys and values of
//! class attention are layers of their own, as they are in published weights.
//!
//! Forms: `xcit:small-12`, `xcit:small-12,patch=4`, `xcit:depth=6,dim=64,heads=4,patch=4`. Layer scale starts at 1 with
//! twelve blocks and at 1e-5 with 24 (`eta`); other depths take that of the nearer.

use std::fmt;

use super::token::{self, depthwise, first, linear, norm, perceptron, replace_first, tiles};
use crate::arch::chain::Chain;
use crate::arch::elements::Elements;
use crate::arch::keys::{Fault, Keys, MODEL};
use crate::arch::net::{Net, NodeId};
use crate::arch::op::{Op, Shape, Window};
use crate::error::Result;

/// Channels of the sinusoidal position encoding.
const SINES: usize = 64;

/// Blocks of class attention.
const CLASS_BLOCKS: usize = 2;

/// An XCiT.
#[derive(Clone, Debug, PartialEq)]
pub struct Xcit {
    /// Blocks of cross-covariance attention.
    pub depth: usize,
    /// Channels of a token, a multiple of eight.
    pub dim: usize,
    /// Heads of every attention.
    pub heads: usize,
    /// How the image becomes patches.
    pub patch: Patch,
    /// Whether class attention's second layer-norm sees all tokens.
    pub tokens_norm: bool,
    /// Activation, stochastic depth, layer scale (`eta`).
    pub elements: Elements,
}

/// Pixels on a patch's side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patch {
    /// Four convolutions, the last two strided: images of 32 pixels (Debenedetti et al. 2023).
    P4,
    /// Three strided convolutions.
    P8,
    /// Four strided convolutions.
    P16,
}

impl Patch {
    /// All of them.
    pub const ALL: [Patch; 3] = [Patch::P4, Patch::P8, Patch::P16];

    /// Pixels on a side.
    pub fn side(self) -> usize {
        match self {
            Patch::P4 => 4,
            Patch::P8 => 8,
            Patch::P16 => 16,
        }
    }

    /// The strides of the convolutions; each doubles the channels up to the last.
    fn strides(self) -> &'static [usize] {
        match self {
            Patch::P4 => &[1, 1, 2, 2],
            Patch::P8 => &[2, 2, 2],
            Patch::P16 => &[2, 2, 2, 2],
        }
    }
}

/// A published size: name, channels, heads.
type Size = (&'static str, usize, usize);

/// The published sizes, of 12 or 24 blocks each.
const SIZES: [Size; 5] =
    [("nano", 128, 4), ("tiny", 192, 4), ("small", 384, 8), ("medium", 512, 8), ("large", 768, 16)];
const DEPTHS: [usize; 2] = [12, 24];

/// The size and the depth of a name such as `small-12`.
fn size(name: &str) -> Result<(Size, usize), Fault> {
    let found = name.rsplit_once('-').and_then(|(size, depth)| {
        let size = SIZES.iter().find(|(known, ..)| *known == size)?;
        let depth = DEPTHS.into_iter().find(|d| d.to_string() == depth)?;
        Some((*size, depth))
    });
    found.ok_or_else(|| {
        let known = SIZES.map(|(known, ..)| known).join(", ");
        Fault::of(MODEL, format!("`{name}` is no XCiT; expected SIZE-12 or SIZE-24, SIZE one of {known}"))
    })
}

/// The elements by default.
fn own(depth: usize) -> Elements {
    let eta = if 2 * depth > DEPTHS[0] + DEPTHS[1] { 1e-5 } else { 1.0 };
    Elements { layer_scale: Some(eta), ..token::gelu() }
}

/// Whether class attention's second layer-norm sees all tokens by default: not in the nano networks.
fn sees_all(dim: usize) -> bool {
    dim != SIZES[0].1
}

impl Xcit {
    /// Reads `small-12` or `depth=12,dim=384,heads=8`, `patch=16`, `tokens-norm=true`, and the elements of token
    /// networks.
    ///
    /// # Errors
    /// What does not parse, a size that is not known, channels that the stem cannot halve three times.
    pub fn parse(keys: &mut Keys) -> Result<Self, Fault> {
        keys.among(&[&[MODEL, "depth", "dim", "heads", "patch", "tokens-norm"], token::KEYS])?;
        let named = keys.text(MODEL).map(|name| size(&name)).transpose()?;
        let mut count = |key: &str, own| keys.count_or(key, own, "a size such as small-12, or depth, dim and heads");
        let depth = count("depth", named.map(|(_, depth)| depth))?;
        let dim = count("dim", named.map(|((_, dim, _), _)| dim))?;
        let heads = count("heads", named.map(|((.., heads), _)| heads))?;
        if dim % 8 != 0 {
            return Err(Fault::of(
                "dim",
                format!("the stem halves the channels three times; {dim} is no multiple of 8"),
            ));
        }
        let patch =
            keys.read("patch", "4, 8 or 16", |text| Patch::ALL.into_iter().find(|p| p.side().to_string() == text))?;
        let tokens_norm = keys.flag("tokens-norm")?.unwrap_or(sees_all(dim));
        let elements = Elements::take(keys, own(depth))?;
        Ok(Xcit { depth, dim, heads, patch: patch.unwrap_or(Patch::P16), tokens_norm, elements })
    }

    /// Lowers to a network.
    ///
    /// # Errors
    /// [`Error::Usage`](crate::error::Error::Usage) for an image that the patches do not tile,
    /// [`Error::Net`](crate::error::Error::Net) for heads that do not divide the channels.
    pub fn lower(&self, image: Shape, classes: usize) -> Result<Net> {
        tiles(image, self.patch.side())?;
        let mut net = Net::new();
        let pixels = net.add("image", Op::Input { shape: image }, &[])?;
        let mut x = self.patches(&mut net, pixels)?;
        x = self.position(&mut net, x)?;
        for i in 0..self.depth {
            x = self.block(&mut net, &format!("block{i}"), x)?;
        }
        x = net.add("tokens.class", Op::ClassToken, &[x])?;
        for i in 0..CLASS_BLOCKS {
            x = self.class_block(&mut net, &format!("class{i}"), x)?;
        }
        let class = first(&mut net, "head", x)?;
        let head = Chain::new(&mut net, "head", class, &self.elements).push("norm", norm())?;
        head.push("fc", Op::Linear { out: classes, bias: true })?;
        net.validate()?;
        Ok(net)
    }

    fn patches(&self, net: &mut Net, image: NodeId) -> Result<NodeId> {
        let strides = self.patch.strides();
        let mut chain = Chain::new(net, "patch", image, &self.elements);
        for (i, stride) in (1..).zip(strides) {
            let out = self.dim >> (strides.len() - i);
            let conv = Op::Conv2d { out, window: Window::same(3, *stride, 1), groups: 1, bias: false };
            chain = chain.push(&format!("conv{i}"), conv)?.push(&format!("bn{i}"), Op::BatchNorm { affine: true })?;
            if i < strides.len() {
                chain = chain.act(&format!("act{i}"))?;
            }
        }
        Ok(chain.end())
    }

    fn position(&self, net: &mut Net, patches: NodeId) -> Result<NodeId> {
        let chain =
            Chain::new(net, "position", patches, &self.elements).push("sine", Op::SinePosition { channels: SINES })?;
        let position = chain.push("proj", linear(self.dim))?.end();
        net.add("position.add", Op::Add, &[patches, position])
    }

    /// Stochastic depth has one rate in all blocks: every block counts as the last.
    fn block(&self, net: &mut Net, prefix: &str, x: NodeId) -> Result<NodeId> {
        let near = depthwise(self.dim, Window::same(3, 1, 1));
        let x = Chain::new(net, format!("{prefix}.attention"), x, &self.elements)
            .push("norm", norm())?
            .push("qkv", linear(3 * self.dim))?
            .push("heads", Op::CrossCovariance { heads: self.heads })?
            .push("proj", linear(self.dim))?
            .residual(x, 0, 1)?
            .end();
        let x = Chain::new(net, format!("{prefix}.local"), x, &self.elements)
            .push("norm", norm())?
            .push("conv1", near.clone())?
            .act("act")?
            .push("bn", Op::BatchNorm { affine: true })?
            .push("conv2", near)?
            .residual(x, 0, 1)?
            .end();
        let branch = Chain::new(net, format!("{prefix}.mlp"), x, &self.elements).push("norm", norm())?;
        Ok(perceptron(branch)?.residual(x, 0, 1)?.end())
    }

    fn class_block(&self, net: &mut Net, prefix: &str, x: NodeId) -> Result<NodeId> {
        let elements = Elements { drop_path: 0.0, ..self.elements };
        let (attention, mlp) = (format!("{prefix}.attention"), format!("{prefix}.mlp"));
        let tokens = Chain::new(net, &attention, x, &elements).push("norm", norm())?.end();
        let class = first(net, &attention, tokens)?;
        let linear_of =
            |net: &mut Net, name: &str, from| net.add(format!("{attention}.{name}"), linear(self.dim), &[from]);
        let [query, key, value] =
            [linear_of(net, "q", class)?, linear_of(net, "k", tokens)?, linear_of(net, "v", tokens)?];
        let key_value = net.add(format!("{attention}.kv"), Op::Concat, &[key, value])?;
        let heads = Op::Attention { heads: self.heads };
        let seen = Chain::new(net, &attention, query, &elements).join("heads", heads, &[query, key_value])?;
        let seen = seen.push("proj", linear(self.dim))?.end();
        let branch = replace_first(net, &attention, seen, tokens)?;
        let x = Chain::new(net, &attention, branch, &elements).residual(x, 0, 1)?.end();

        let tokens = if self.tokens_norm {
            Chain::new(net, &mlp, x, &elements).push("norm", norm())?.end()
        } else {
            let only = format!("{mlp}.base");
            let class = first(net, &only, x)?;
            let class = Chain::new(net, &mlp, class, &elements).push("norm", norm())?.end();
            replace_first(net, &only, class, x)?
        };
        let class = first(net, &mlp, tokens)?;
        let branch = perceptron(Chain::new(net, &mlp, class, &elements))?;
        let branch = match elements.layer_scale {
            Some(init) => branch.push("scale", Op::Scale { init })?,
            None => branch,
        };
        let class = branch.end();
        let branch = replace_first(net, &mlp, class, tokens)?;
        net.add(format!("{mlp}.add"), Op::Add, &[tokens, branch])
    }
}

impl fmt::Display for Xcit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Xcit { depth, dim, heads, patch, tokens_norm, elements } = self;
        match SIZES.iter().find(|(_, d, h)| (*d, *h) == (*dim, *heads) && DEPTHS.contains(depth)) {
            Some((name, ..)) => write!(f, "{name}-{depth}")?,
            None => write!(f, "depth={depth},dim={dim},heads={heads}")?,
        }
        if *patch != Patch::P16 {
            write!(f, ",patch={}", patch.side())?;
        }
        if *tokens_norm != sees_all(*dim) {
            write!(f, ",tokens-norm={tokens_norm}")?;
        }
        write!(f, "{}", elements.beside(&own(*depth)))
    }
}
