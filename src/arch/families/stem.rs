//! The stem of residual networks.

use std::fmt;
use std::str::FromStr;

use crate::arch::chain::Chain;
use crate::arch::op::Window;
use crate::error::Result;

/// The stem of a residual network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stem {
    /// A 3x3 convolution that keeps the size.
    Cifar,
    /// A 7x7 convolution of stride 2, normalisation, activation, and a 3x3 pool of stride 2: a quarter of the size.
    ImageNet,
}

impl Stem {
    /// The default stem for an image of `rows` rows.
    pub fn of(rows: usize) -> Self {
        if rows < 64 { Stem::Cifar } else { Stem::ImageNet }
    }

    /// The stem of pre-activation networks, whose blocks activate its output.
    ///
    /// # Errors
    /// As [`Chain::conv`].
    pub fn bare(self, chain: Chain<'_>, channels: usize) -> Result<Chain<'_>> {
        match self {
            Stem::Cifar => chain.conv("conv", channels, Window::same(3, 1, 1)),
            Stem::ImageNet => self.activated(chain, channels),
        }
    }

    /// The stem with normalisation and activation.
    ///
    /// # Errors
    /// As [`Chain::conv`].
    pub fn activated(self, chain: Chain<'_>, channels: usize) -> Result<Chain<'_>> {
        match self {
            Stem::Cifar => chain.conv("conv", channels, Window::same(3, 1, 1))?.norm("bn")?.act("relu"),
            Stem::ImageNet => {
                let conv = chain.conv("conv", channels, Window::same(7, 2, 1))?.norm("bn")?.act("relu")?;
                conv.pool("pool", Window::same(3, 2, 1))
            }
        }
    }
}

impl fmt::Display for Stem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Stem::Cifar => "cifar",
            Stem::ImageNet => "imagenet",
        })
    }
}

impl FromStr for Stem {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "cifar" => Ok(Stem::Cifar),
            "imagenet" => Ok(Stem::ImageNet),
            _ => Err("expected cifar or imagenet".into()),
        }
    }
}
