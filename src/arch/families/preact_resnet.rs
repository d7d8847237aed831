//! PreActResNet: the four-stage pre-activation residual networks, CIFAR style, that single-step adversarial training is
//! usually measured on.
//!
//! Source: He et al. 2016 (identity mappings). Depths 18 and 34 are of basic blocks, 50 to 152 of bottlenecks. The
//! networks of FLC pooling (Grabinski et al. 2022) are `preact-resnet:18,down=flc,shortcut=raw`; their code leaves the
//! strided convolution of a bottleneck out by mistake, we do not.

use std::fmt;

use super::preact::{Block, Padding, PreAct, Shortcut};
use super::stem::Stem;
use crate::arch::elements::Elements;
use crate::arch::keys::{Fault, Keys, MODEL};
use crate::arch::net::Net;
use crate::arch::op::Shape;
use crate::error::{Error, Result};

/// A network of a known depth.
#[derive(Clone, Debug, PartialEq)]
pub struct PreActResNet {
    /// Layers with weights on the longest path.
    pub depth: usize,
    /// Channels of the stem and of the convolutions of the first stage; every further stage doubles them.
    pub width: usize,
    /// The stem.
    pub stem: Stem,
    /// The input of a projection shortcut.
    pub shortcut: Shortcut,
    /// Activation, normalisation and the other elements of the blocks.
    pub elements: Elements,
}

/// Known depths with the blocks of their four stages, and whether these are bottlenecks (He et al. 2016).
pub(super) const DEPTHS: [(usize, [usize; 4], bool); 5] = [
    (18, [2, 2, 2, 2], false),
    (34, [3, 4, 6, 3], false),
    (50, [3, 4, 6, 3], true),
    (101, [3, 4, 23, 3], true),
    (152, [3, 8, 36, 3], true),
];

impl PreActResNet {
    /// Channels of the first stage by default.
    const WIDTH: usize = 64;

    /// Reads `18`, `18,width=64,stem=cifar,shortcut=activated`, and elements.
    ///
    /// # Errors
    /// What does not parse, or a depth that is not known.
    pub fn parse(keys: &mut Keys) -> Result<Self, Fault> {
        keys.among(&[&[MODEL, "width", "stem", "shortcut"], Elements::KEYS])?;
        let depth = keys.text(MODEL).unwrap_or_default();
        let depth: usize = depth
            .parse()
            .map_err(|_| Fault::of(MODEL, format!("`{depth}` is not a depth; expected preact-resnet:18")))?;
        if !DEPTHS.iter().any(|(known, ..)| *known == depth) {
            let known = DEPTHS.map(|(d, ..)| d.to_string()).join(", ");
            return Err(Fault::of(MODEL, format!("no pre-activation network has depth {depth}; known: {known}")));
        }
        Ok(PreActResNet {
            depth,
            width: keys.count("width")?.unwrap_or(Self::WIDTH),
            stem: keys.value("stem")?.unwrap_or(Stem::Cifar),
            shortcut: keys.value("shortcut")?.unwrap_or(Shortcut::Activated),
            elements: Elements::take(keys, Elements::default())?,
        })
    }

    /// Lowers to a network.
    ///
    /// # Errors
    /// [`Error::Net`] for a depth that is not known, and where elements and widths do not fit.
    pub fn lower(&self, image: Shape, classes: usize) -> Result<Net> {
        let known = DEPTHS.iter().find(|(depth, ..)| *depth == self.depth);
        let (_, blocks, bottleneck) =
            known.ok_or_else(|| Error::Net(format!("no network has depth {}", self.depth)))?;
        let (block, expansion) = if *bottleneck { (Block::Bottleneck, 4) } else { (Block::Plain(vec![3, 3]), 1) };
        let stages = blocks.iter().enumerate().map(|(s, blocks)| (*blocks, (expansion * self.width) << s)).collect();
        PreAct {
            entry: self.stem,
            stem: self.width,
            stages,
            block,
            shortcut: self.shortcut,
            padding: Padding::Even,
            elements: self.elements,
        }
        .lower(image, classes)
    }
}

impl fmt::Display for PreActResNet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.depth)?;
        if self.width != Self::WIDTH {
            write!(f, ",width={}", self.width)?;
        }
        if self.stem != Stem::Cifar {
            write!(f, ",stem={}", self.stem)?;
        }
        if self.shortcut != Shortcut::Activated {
            write!(f, ",shortcut={}", self.shortcut)?;
        }
        write!(f, "{}", self.elements.beside(&Elements::default()))
    }
}
