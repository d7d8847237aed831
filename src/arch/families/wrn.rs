//! Wide residual networks: three stages of pre-activation blocks, the networks adversarial training is usually measured
//! on.
//!
//! Source: Zagoruyko and Komodakis 2016. Form: `wrn:depth=28,width=10`.

use std::fmt;

use super::preact::PreAct;
use crate::arch::elements::Elements;
use crate::arch::keys::{Fault, Keys};
use crate::arch::net::Net;
use crate::arch::op::Shape;
use crate::error::Result;

/// WRN-depth-width: a stem of 16, three stages of 16, 32 and 64 times `width`.
#[derive(Clone, Debug, PartialEq)]
pub struct Wrn {
    /// Layers with weights on the longest path, `6 n + 4`.
    pub depth: usize,
    /// Channels as a multiple of 16 : 32 : 64.
    pub width: usize,
    /// What the blocks are made of.
    pub elements: Elements,
}

impl Wrn {
    /// Reads `depth=28,width=10`, and elements.
    ///
    /// # Errors
    /// What does not parse, or a depth that is not `6 n + 4`.
    pub fn parse(keys: &mut Keys) -> Result<Self, Fault> {
        keys.among(&[&["depth", "width"], Elements::KEYS])?;
        let (depth, width) = (keys.needed("depth")?, keys.needed("width")?);
        if depth < 10 || !(depth - 4).is_multiple_of(6) {
            let below = 6 * ((depth.max(10) - 4) / 6) + 4;
            let nearest = format!("the nearest are {below} and {}", below + 6);
            return Err(Fault::of("depth", format!("a wide network has depth 6 n + 4, not {depth}; {nearest}")));
        }
        Ok(Wrn { depth, width, elements: Elements::take(keys, Elements::default())? })
    }

    /// Lowers to a network.
    ///
    /// # Errors
    /// That of [`PreAct::lower`].
    pub fn lower(&self, image: Shape, classes: usize) -> Result<Net> {
        let blocks = (self.depth - 4) / 6;
        let stages = [16, 32, 64].map(|c| (blocks, c * self.width)).into();
        PreAct { stem: 16, stages, elements: self.elements }.lower(image, classes)
    }
}

impl fmt::Display for Wrn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "depth={},width={}{}", self.depth, self.width, self.elements.beside(&Elements::default()))
    }
}
