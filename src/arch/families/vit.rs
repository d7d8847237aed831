//! Vision transformers (Dosovitskiy et al. 2021; Touvron et al. 2021, DeiT, whose networks without distillation are the
//! same).
//!
//! Patches by a convolution of their size and stride, a class token in front, a learned position for every token;
//! blocks of layer-norm, attention, layer-norm and a perceptron of four times the channels with GELU, both with a
//! shortcut; layer-norm and a linear layer on the class token. Multiply-accumulates include the two products of
//! attention.
//!
//! The convolutional stem is that of Singh et al. 2023: four 3x3 convolutions of stride 2 to 48, 96, 192 and 384
//! channels, each with layer-norm and GELU, and a 1x1 convolution, in place of patches of 16.
//!
//! Forms: `vit:b-16`, `vit:small-16,stem=conv`, `vit:depth=6,dim=192,heads=3,patch=4`.

use std::fmt;

pub use super::token::Stem;
use super::token::{self, conv, first, linear, norm, perceptron, tiles};
use crate::arch::chain::Chain;
use crate::arch::elements::Elements;
use crate::arch::keys::{Fault, Keys, MODEL};
use crate::arch::net::{Net, NodeId};
use crate::arch::op::{Op, Shape, Window};
use crate::error::Result;

/// A vision transformer.
#[derive(Clone, Debug, PartialEq)]
pub struct Vit {
    /// Blocks.
    pub depth: usize,
    /// Channels of a token.
    pub dim: usize,
    /// Heads of every attention.
    pub heads: usize,
    /// Pixels on a patch's side.
    pub patch: usize,
    /// The stem.
    pub stem: Stem,
    /// Activation, stochastic depth, layer scale.
    pub elements: Elements,
}

/// Pixels on a side of the area that the convolutional stem reduces to one token.
const CONV_STEM: usize = 16;

/// A published size.
#[derive(Clone, Copy)]
struct Size {
    name: &'static str,
    /// What it is also called.
    short: &'static str,
    depth: usize,
    dim: usize,
    heads: usize,
}

/// The published sizes; DeiT has the first three.
const SIZES: [Size; 4] = [
    Size { name: "tiny", short: "t", depth: 12, dim: 192, heads: 3 },
    Size { name: "small", short: "s", depth: 12, dim: 384, heads: 6 },
    Size { name: "base", short: "b", depth: 12, dim: 768, heads: 12 },
    Size { name: "large", short: "l", depth: 24, dim: 1024, heads: 16 },
];

/// The size and the patch of a name such as `b-16`.
fn size(name: &str) -> Result<(Size, usize), Fault> {
    let found = name.rsplit_once('-').and_then(|(size, patch)| {
        let size = SIZES.iter().find(|s| [s.name, s.short].contains(&size))?;
        Some((*size, patch.parse().ok().filter(|p| *p > 0)?))
    });
    found.ok_or_else(|| {
        let known = SIZES.map(|s| s.name).join(", ");
        Fault::of(
            MODEL,
            format!("`{name}` is no vision transformer; expected SIZE-PATCH such as tiny-16, SIZE one of {known}"),
        )
    })
}

impl Vit {
    /// Reads `tiny-16` or `depth=12,dim=192,heads=3,patch=16`, `stem=conv`, and the elements of token networks.
    ///
    /// # Errors
    /// What does not parse, a size that is not known, or patches that do not go with the stem.
    pub fn parse(keys: &mut Keys) -> Result<Self, Fault> {
        keys.among(&[&[MODEL, "depth", "dim", "heads", "patch", "stem"], token::KEYS])?;
        let named = keys.text(MODEL).map(|name| size(&name)).transpose()?;
        let mut count =
            |key: &str, own| keys.count_or(key, own, "a size such as tiny-16, or all of depth, dim, heads, patch");
        let depth = count("depth", named.map(|n| n.0.depth))?;
        let dim = count("dim", named.map(|n| n.0.dim))?;
        let heads = count("heads", named.map(|n| n.0.heads))?;
        let patch = count("patch", named.map(|n| n.1))?;
        let stem = Stem::take(keys)?;
        if stem == Stem::Conv && patch != CONV_STEM {
            let why = format!("the convolutional stem makes patches of {CONV_STEM}, not {patch}");
            return Err(Fault::of("stem", why));
        }
        Ok(Vit { depth, dim, heads, patch, stem, elements: Elements::take(keys, token::gelu())? })
    }

    /// Lowers to a network.
    ///
    /// # Errors
    /// [`Error::Usage`](crate::error::Error::Usage) for an image that the patches do not tile,
    /// [`Error::Net`](crate::error::Error::Net) for heads that do not divide the channels.
    pub fn lower(&self, image: Shape, classes: usize) -> Result<Net> {
        tiles(image, self.patch)?;
        let mut net = Net::new();
        let pixels = net.add("image", Op::Input { shape: image }, &[])?;
        let patches = self.patches(&mut net, pixels)?;
        let tokens = Chain::new(&mut net, "tokens", patches, &self.elements).push("class", Op::ClassToken)?;
        let mut x = tokens.push("position", Op::Position)?.end();
        for i in 0..self.depth {
            x = self.block(&mut net, i, x)?;
        }
        let class = first(&mut net, "head", x)?;
        let head = Chain::new(&mut net, "head", class, &self.elements).push("norm", norm())?;
        head.push("fc", Op::Linear { out: classes, bias: true })?;
        net.validate()?;
        Ok(net)
    }

    fn patches(&self, net: &mut Net, image: NodeId) -> Result<NodeId> {
        let mut chain = Chain::new(net, "patch", image, &self.elements);
        match self.stem {
            Stem::Patch => Ok(chain.push("conv", conv(self.dim, Window::square(self.patch, self.patch, 0)))?.end()),
            Stem::Conv => {
                for i in 1..=4 {
                    chain = chain
                        .push(&format!("conv{i}"), conv(24 << i, Window::same(3, 2, 1)))?
                        .push(&format!("norm{i}"), norm())?
                        .act(&format!("act{i}"))?;
                }
                Ok(chain.push("proj", linear(self.dim))?.end())
            }
        }
    }

    fn block(&self, net: &mut Net, i: usize, x: NodeId) -> Result<NodeId> {
        let x = Chain::new(net, format!("block{i}.attention"), x, &self.elements)
            .push("norm", norm())?
            .push("qkv", linear(3 * self.dim))?
            .push("heads", Op::Attention { heads: self.heads })?
            .push("proj", linear(self.dim))?
            .residual(x, i, self.depth)?
            .end();
        let branch = Chain::new(net, format!("block{i}.mlp"), x, &self.elements).push("norm", norm())?;
        Ok(perceptron(branch)?.residual(x, i, self.depth)?.end())
    }
}

impl fmt::Display for Vit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Vit { depth, dim, heads, patch, stem, elements } = self;
        match SIZES.iter().find(|s| (s.depth, s.dim, s.heads) == (*depth, *dim, *heads)) {
            Some(size) => write!(f, "{}-{patch}", size.name)?,
            None => write!(f, "depth={depth},dim={dim},heads={heads},patch={patch}")?,
        }
        if *stem == Stem::Conv {
            f.write_str(",stem=conv")?;
        }
        write!(f, "{}", elements.beside(&token::gelu()))
    }
}
