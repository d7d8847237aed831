//! PreActResNet: the four-stage pre-activation residual networks, CIFAR style, that single-step adversarial training is
//! usually measured on.
//!
//! Source: He et al. 2016 (identity mappings). Form: `preact-resnet:18`, `preact-resnet:18,width=32,act=silu`.

use std::fmt;

use super::preact::PreAct;
use crate::arch::elements::Elements;
use crate::arch::keys::{Fault, Keys, MODEL};
use crate::arch::net::Net;
use crate::arch::op::Shape;
use crate::error::Result;

/// A network of a known depth.
#[derive(Clone, Debug, PartialEq)]
pub struct PreActResNet {
    /// Layers with weights on the longest path.
    pub depth: usize,
    /// Channels of the stem and of the first stage; every further stage doubles them.
    pub width: usize,
    /// What the blocks are made of.
    pub elements: Elements,
}

impl PreActResNet {
    /// Known depths with the blocks of their four stages.
    const DEPTHS: [(usize, [usize; 4]); 1] = [(18, [2, 2, 2, 2])];

    /// Channels of the first stage where nothing is said.
    const WIDTH: usize = 64;

    /// Reads `18`, `18,width=64`, and elements.
    ///
    /// # Errors
    /// What does not parse, or a depth that is not known.
    pub fn parse(keys: &mut Keys) -> Result<Self, Fault> {
        keys.among(&[&[MODEL, "width"], Elements::KEYS])?;
        let depth = keys.text(MODEL).unwrap_or_default();
        let depth: usize = depth
            .parse()
            .map_err(|_| Fault::of(MODEL, format!("`{depth}` is not a depth; expected preact-resnet:18")))?;
        if !Self::DEPTHS.iter().any(|(known, _)| *known == depth) {
            let known = Self::DEPTHS.map(|(d, _)| d.to_string()).join(", ");
            return Err(Fault::of(MODEL, format!("no pre-activation network has depth {depth}; known: {known}")));
        }
        let width = keys.count("width")?.unwrap_or(Self::WIDTH);
        Ok(PreActResNet { depth, width, elements: Elements::take(keys, Elements::default())? })
    }

    /// Lowers to a network.
    ///
    /// # Errors
    /// That of [`PreAct::lower`].
    pub fn lower(&self, image: Shape, classes: usize) -> Result<Net> {
        let blocks = Self::DEPTHS.iter().find(|(depth, _)| *depth == self.depth).map_or([0; 4], |(_, blocks)| *blocks);
        let stages = blocks.into_iter().enumerate().map(|(s, blocks)| (blocks, self.width << s)).collect();
        PreAct { stem: self.width, stages, elements: self.elements }.lower(image, classes)
    }
}

impl fmt::Display for PreActResNet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.depth)?;
        if self.width != Self::WIDTH {
            write!(f, ",width={}", self.width)?;
        }
        write!(f, "{}", self.elements.beside(&Elements::default()))
    }
}
