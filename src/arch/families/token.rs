//! Layers of token networks. A token is a pixel: a linear layer on tokens is a 1x1 convolution with a bias, and
//! layer normalisation works on every pixel's channels.

use crate::arch::chain::Chain;
use crate::arch::elements::{Activation, Elements, Norm};
use crate::arch::keys::{Fault, Keys};
use crate::arch::net::{Net, NodeId};
use crate::arch::op::{Op, Shape, Window};
use crate::error::{Error, Result};

/// The stem.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stem {
    /// One convolution of a patch's size and stride.
    Patch,
    /// Strided 3x3 convolutions (Singh et al. 2023).
    Conv,
}

impl Stem {
    /// Takes `stem`; patches by default.
    pub(super) fn take(keys: &mut Keys) -> Result<Self, Fault> {
        let stem = keys.read("stem", "patch or conv", |text| match text {
            "patch" => Some(Stem::Patch),
            "conv" => Some(Stem::Conv),
            _ => None,
        })?;
        Ok(stem.unwrap_or(Stem::Patch))
    }
}

/// A linear layer on every token.
pub(super) fn linear(out: usize) -> Op {
    conv(out, Window::square(1, 1, 0))
}

/// A convolution with a bias.
pub(super) fn conv(out: usize, window: Window) -> Op {
    Op::Conv2d { out, window, groups: 1, bias: true }
}

/// A depthwise convolution of `channels` with a bias.
pub(super) fn depthwise(channels: usize, window: Window) -> Op {
    Op::Conv2d { out: channels, window, groups: channels, bias: true }
}

/// Layer normalisation; ConvNeXt, ViT and XCiT all add 1e-6 to the variance.
pub(super) fn norm() -> Op {
    Op::LayerNorm { epsilon: Norm::LAYER_EPSILON }
}

/// The first token alone, of `[1, n, c]`; the node is called `prefix.class`.
pub(super) fn first(net: &mut Net, prefix: &str, tokens: NodeId) -> Result<NodeId> {
    let right = net.node(tokens).shape.w - 1;
    net.add(format!("{prefix}.class"), Op::Crop { top: 0, left: 0, bottom: 0, right }, &[tokens])
}

/// `class` in the place of the first of `tokens`, `[1, n, c]`. Only channels can be put side by side, so both parts are
/// padded with zeros to `n` tokens and added: `prefix.tokens`.
pub(super) fn replace_first(net: &mut Net, prefix: &str, class: NodeId, tokens: NodeId) -> Result<NodeId> {
    let right = net.node(tokens).shape.w - 1;
    let pad = |left, right| Op::Pad { top: 0, left, bottom: 0, right };
    let class = net.add(format!("{prefix}.class_pad"), pad(0, right), &[class])?;
    let others = net.add(format!("{prefix}.others"), Op::Crop { top: 0, left: 1, bottom: 0, right: 0 }, &[tokens])?;
    let others = net.add(format!("{prefix}.others_pad"), pad(1, 0), &[others])?;
    net.add(format!("{prefix}.tokens"), Op::Add, &[class, others])
}

/// The elements a network of tokens leaves open; it has its own normalisation and downsampling.
pub(super) const KEYS: &[&str] = &["act", "drop-path", "layer-scale"];

/// Those of the published networks: GELU.
pub(super) fn gelu() -> Elements {
    Elements { act: Activation::Gelu, ..Elements::default() }
}

/// A perceptron on every token: `fc1` to four times the channels, the network's activation, `fc2` back.
pub(super) fn perceptron(tokens: Chain<'_>) -> Result<Chain<'_>> {
    let c = tokens.shape().c;
    tokens.push("fc1", linear(4 * c))?.act("act")?.push("fc2", linear(c))
}

/// Checks that patches of `side` pixels tile the image.
pub(super) fn tiles(image: Shape, side: usize) -> Result<()> {
    if image.h.is_multiple_of(side) && image.w.is_multiple_of(side) {
        return Ok(());
    }
    Err(Error::Usage(format!(
        "patches of {side}x{side} pixels do not tile a {image} image; take a divisor of both sides"
    )))
}
