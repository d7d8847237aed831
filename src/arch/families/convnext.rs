//! ConvNeXt (Liu et al. 2022): convolutional networks in the manner of transformers.
//!
//! Stem: 4x4 convolution of stride 4 and layer-norm. Between stages: layer-norm and a 2x2 convolution of stride 2.
//! Block: depthwise 7x7, layer-norm, linear to four times the channels, GELU, linear back, layer scale from 1e-6,
//! stochastic depth whose rate rises linearly over all blocks, plus the shortcut. Head: global average pool,
//! layer-norm, linear layer. Atto to nano are timm's small ones, with the same layers.
//!
//! The convolutional stem is that of Singh et al. 2023, who train these networks adversarially: 3x3 convolutions, each
//! with layer-norm and GELU, two of stride 2 to half of the channels and to all of them; from 128 channels on (their B
//! and L) two of stride 2 to a half and to three quarters, one of stride 1 to all.
//!
//! Forms: `convnext:tiny`, `convnext:tiny,stem=conv`, `convnext:depths=2-2-6-2,dims=32-64-128-256`.

use std::fmt;

pub use super::token::Stem;
use super::token::{self, conv, depthwise, norm, perceptron, tiles};
use crate::arch::chain::Chain;
use crate::arch::elements::Elements;
use crate::arch::keys::{Fault, Keys, MODEL};
use crate::arch::net::{Net, NodeId};
use crate::arch::op::{Op, Shape, Window};
use crate::error::{Result, nearest};

/// Initial layer scale.
const LAYER_SCALE: f32 = 1e-6;

/// From this many channels on the convolutional stem has three convolutions.
const WIDE_STEM: usize = 128;

/// A ConvNeXt.
#[derive(Clone, Debug, PartialEq)]
pub struct ConvNeXt {
    /// Blocks of every stage.
    pub depths: Vec<usize>,
    /// Channels of every stage.
    pub dims: Vec<usize>,
    /// The stem; either kind divides the sides by four.
    pub stem: Stem,
    /// Activation, stochastic depth, layer scale.
    pub elements: Elements,
}

/// A published size: name, depths, channels of the first stage, the stochastic depth its paper trains it with.
type Size = (&'static str, [usize; 4], usize, f32);

/// The published sizes; widths double from stage to stage. No rate of stochastic depth is published for atto to nano,
/// which get none; that of XL is L's.
const SIZES: [Size; 9] = [
    ("atto", [2, 2, 6, 2], 40, 0.0),
    ("femto", [2, 2, 6, 2], 48, 0.0),
    ("pico", [2, 2, 6, 2], 64, 0.0),
    ("nano", [2, 2, 8, 2], 80, 0.0),
    ("tiny", [3, 3, 9, 3], 96, 0.1),
    ("small", [3, 3, 27, 3], 96, 0.4),
    ("base", [3, 3, 27, 3], 128, 0.5),
    ("large", [3, 3, 27, 3], 192, 0.5),
    ("xlarge", [3, 3, 27, 3], 256, 0.5),
];

impl ConvNeXt {
    /// Reads `tiny` or `depths=3-3-9-3,dims=96-192-384-768`, `stem=conv`, and the elements of token networks.
    ///
    /// # Errors
    /// What does not parse, a size that is not known, or depths and dims of different stages.
    pub fn parse(keys: &mut Keys) -> Result<Self, Fault> {
        keys.among(&[&[MODEL, "depths", "dims", "stem"], token::KEYS])?;
        let named = keys.text(MODEL).map(|name| size(&name)).transpose()?;
        let stages = |key: &str, own: Option<Vec<usize>>, keys: &mut Keys| match keys.counts(key)?.or(own) {
            Some(stages) => Ok(stages),
            None => {
                Err(Fault::of(key, format!("`{key}` is missing; expected a size such as tiny, or depths and dims")))
            }
        };
        let depths = stages("depths", named.map(|(_, depths, ..)| depths.to_vec()), keys)?;
        let dims = stages("dims", named.map(|(_, _, dim, _)| doubled(*dim)), keys)?;
        if depths.len() != dims.len() {
            return Err(Fault::of("dims", format!("{} depths, but {} dims", depths.len(), dims.len())));
        }
        let stem = Stem::take(keys)?;
        let elements = Elements::take(keys, own(&depths, &dims))?;
        Ok(ConvNeXt { depths, dims, stem, elements })
    }

    /// Lowers to a network.
    ///
    /// # Errors
    /// [`Error::Usage`](crate::error::Error::Usage) for an image that the stem's patches do not tile.
    pub fn lower(&self, image: Shape, classes: usize) -> Result<Net> {
        tiles(image, 4)?;
        let mut net = Net::new();
        let pixels = net.add("image", Op::Input { shape: image }, &[])?;
        let mut x = self.stem(&mut net, pixels)?;
        let blocks = self.depths.iter().sum();
        let mut behind = 0;
        for (s, (depth, dim)) in self.depths.iter().zip(&self.dims).enumerate() {
            if s > 0 {
                let down = Chain::new(&mut net, format!("stage{s}.down"), x, &self.elements).push("norm", norm())?;
                x = down.push("conv", conv(*dim, Window::square(2, 2, 0)))?.end();
            }
            for b in 0..*depth {
                let block = Chain::new(&mut net, format!("stage{s}.block{b}"), x, &self.elements);
                let branch = block.push("conv", depthwise(*dim, Window::same(7, 1, 1)))?.push("norm", norm())?;
                x = perceptron(branch)?.residual(x, behind + b, blocks)?.end();
            }
            behind += depth;
        }
        let head =
            Chain::new(&mut net, "head", x, &self.elements).push("pool", Op::GlobalAvgPool)?.push("norm", norm())?;
        head.push("fc", Op::Linear { out: classes, bias: true })?;
        net.validate()?;
        Ok(net)
    }

    fn stem(&self, net: &mut Net, image: NodeId) -> Result<NodeId> {
        let c = self.dims[0];
        let mut stem = Chain::new(net, "stem", image, &self.elements);
        let convs: &[(usize, usize)] = match self.stem {
            Stem::Patch => {
                return Ok(stem.push("conv", conv(c, Window::square(4, 4, 0)))?.push("norm", norm())?.end());
            }
            Stem::Conv if c < WIDE_STEM => &[(c / 2, 2), (c, 2)],
            Stem::Conv => &[(c / 2, 2), (c / 4 * 3, 2), (c, 1)],
        };
        for (i, (out, stride)) in (1..).zip(convs) {
            stem = stem
                .push(&format!("conv{i}"), conv(*out, Window::same(3, *stride, 1)))?
                .push(&format!("norm{i}"), norm())?
                .act(&format!("act{i}"))?;
        }
        Ok(stem.end())
    }
}

/// Channels of four stages.
fn doubled(dim: usize) -> Vec<usize> {
    (0..4).map(|s| dim << s).collect()
}

/// The size of a name.
fn size(name: &str) -> Result<&'static Size, Fault> {
    SIZES.iter().find(|(known, ..)| *known == name).ok_or_else(|| {
        let names = SIZES.map(|(known, ..)| known);
        let hint = nearest(name, names).map(|near| format!("; did you mean `{near}`?"));
        let known = hint.unwrap_or_else(|| format!("; known: {}", names.join(", ")));
        Fault::of(MODEL, format!("no ConvNeXt is called `{name}`{known}"))
    })
}

/// The published size of depths and dims.
fn published(depths: &[usize], dims: &[usize]) -> Option<&'static Size> {
    SIZES.iter().find(|(_, known, dim, _)| known == depths && doubled(*dim) == dims)
}

/// The elements by default.
fn own(depths: &[usize], dims: &[usize]) -> Elements {
    let drop_path = published(depths, dims).map_or(0.0, |(.., rate)| *rate);
    Elements { layer_scale: Some(LAYER_SCALE), drop_path, ..token::gelu() }
}

impl fmt::Display for ConvNeXt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let join = |stages: &[usize]| stages.iter().map(usize::to_string).collect::<Vec<_>>().join("-");
        match published(&self.depths, &self.dims) {
            Some((name, ..)) => f.write_str(name)?,
            None => write!(f, "depths={},dims={}", join(&self.depths), join(&self.dims))?,
        }
        if self.stem == Stem::Conv {
            f.write_str(",stem=conv")?;
        }
        write!(f, "{}", self.elements.beside(&own(&self.depths, &self.dims)))
    }
}
