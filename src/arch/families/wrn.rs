//! Wide residual networks: three stages of pre-activation blocks, the networks adversarial training is usually measured
//! on, and their robust descendants.
//!
//! Sources: Zagoruyko and Komodakis 2016 for the family. Known models:
//!
//! | model | what | source |
//! |---|---|---|
//! | `28-10` and the like | depth 28, width 10 | Zagoruyko and Komodakis 2016 |
//! | `28-r`, `34-r`, `46-r`, `70-r` | channels 320 : 640 : 512, a narrow last stage | Huang et al. 2021 |
//! | `a1` to `a4` | basic blocks with the depths and widths of RobustResNet | Huang et al. 2023 |
//! | `ra-70-16` | SiLU, SE, a wide stem, zeros at one corner | Peng et al. 2023 (Robust Principles) |
//!
//! The code of WRN-34-R feeds the projection of a block that halves the size but keeps its channels with the block's
//! raw input. No published network has such a block; here the projection reads the activation as everywhere else,
//! unless `shortcut=raw`. The first convolution of every block type has the stride; the paper does not say.

use std::fmt;

use super::preact::{Block, Padding, PreAct, Shortcut};
use super::published::{BASE, PUBLISHED};
use super::stem::Stem;
use crate::arch::elements::{Activation, Downsampling, Elements, Gate};
use crate::arch::keys::{Fault, Keys, MODEL, MOST, dashed, positive};
use crate::arch::net::Net;
use crate::arch::op::Shape;
use crate::error::Result;

/// Channels of the stem at any width.
const STEM: usize = 16;

/// A wide residual network.
#[derive(Clone, Debug, PartialEq)]
pub struct Wrn {
    /// Channels of the stem.
    pub stem: usize,
    /// Channels of every stage.
    pub channels: [usize; 3],
    /// Blocks of every stage.
    pub depths: [usize; 3],
    /// Kernel sizes of a block's convolutions; `[3, 3]` is the basic block.
    pub kernels: Vec<usize>,
    /// The stem.
    pub entry: Stem,
    /// The input of a projection shortcut.
    pub shortcut: Shortcut,
    /// The padding of a strided convolution.
    pub padding: Padding,
    /// Activation, normalisation and the other elements of the blocks.
    pub elements: Elements,
}

/// Keys beside the elements.
const KEYS: &[&str] =
    &[MODEL, "depth", "width", "blocks", "depths", "widths", "channels", "block", "stem", "shortcut", "padding"];

impl Wrn {
    /// Reads a known model; or `depth` or `blocks` with `width`; or `depths` with `widths` or `channels`; and elements.
    ///
    /// `width` may be a fraction: a stage has `int(16 width)` channels, as in the authors' PyTorch code. `block=3-1-3`
    /// is B(3, 1, 3), of which `depth` counts every convolution: `9 n + 4`. Four `channels` are the stem's and the
    /// stages'.
    ///
    /// # Errors
    /// What does not parse, a depth that no whole number of blocks gives, or sizes given twice over or not at all.
    pub fn parse(keys: &mut Keys) -> Result<Self, Fault> {
        keys.among(&[KEYS, Elements::KEYS])?;
        let kernels = keys.counts("block")?.unwrap_or_else(|| vec![3, 3]);
        if kernels.iter().any(|k| k % 2 == 0) {
            let text = dashed(&kernels);
            return Err(Fault::of("block", format!("`block={text}`: expected odd kernel sizes, for example 3-1-3")));
        }
        let known = keys.text(MODEL).map(|name| Self::known(&name, kernels.len())).transpose()?;
        let base = match known {
            Some(known) => known,
            None => Self::sized(keys, kernels.len())?,
        };
        let net = Wrn {
            kernels,
            entry: keys.value("stem")?.unwrap_or(base.entry),
            shortcut: keys.value("shortcut")?.unwrap_or(base.shortcut),
            padding: keys.value("padding")?.unwrap_or(base.padding),
            elements: Elements::take(keys, base.elements)?,
            ..base
        };
        if net.padding == Padding::Corner && net.elements.down != Downsampling::Stride {
            let down = net.elements.down;
            return Err(Fault::of(
                "down",
                format!("`down={down}` has no strided convolution that `padding=corner` pads"),
            ));
        }
        Ok(net)
    }

    /// Basic blocks at any depths and widening factors.
    pub fn new(depths: [usize; 3], widths: [usize; 3]) -> Self {
        Self::of(STEM, widened(widths), depths)
    }

    fn of(stem: usize, channels: [usize; 3], depths: [usize; 3]) -> Self {
        Wrn {
            stem,
            channels,
            depths,
            kernels: vec![3, 3],
            entry: Stem::Cifar,
            shortcut: Shortcut::Activated,
            padding: Padding::Even,
            elements: Elements::default(),
        }
    }

    fn known(name: &str, convolutions: usize) -> Result<Self, Fault> {
        if let Some((_, depths, widths)) = PUBLISHED.iter().find(|(known, ..)| *known == name) {
            return Ok(Self::of(STEM, widened(*widths), *depths));
        }
        if name == "ra-70-16" {
            let elements = Elements { act: Activation::Silu, gate: Gate::Se { ratio: 0.25 }, ..Elements::default() };
            return Ok(Wrn { padding: Padding::Corner, elements, ..Self::of(96, [216, 432, 864], [30, 31, 10]) });
        }
        let unknown = || {
            Fault::of(MODEL, format!("`{name}` is no wide network; expected one such as 28-10, 34-r, a1 or ra-70-16"))
        };
        let (depth, width) = name.split_once('-').ok_or_else(unknown)?;
        let depth = positive(depth).ok_or_else(unknown)?;
        match width {
            "r" => Ok(Self::of(STEM, [320, 640, 512], [blocks(depth, convolutions)?; 3])),
            width => {
                let width: f64 = width.parse().ok().filter(|w| *w > 0.0 && *w <= MOST as f64).ok_or_else(unknown)?;
                Ok(Self::of(STEM, scaled(width), [blocks(depth, convolutions)?; 3]))
            }
        }
    }

    /// The sizes from the keys, for blocks of `convolutions` convolutions.
    fn sized(keys: &mut Keys, convolutions: usize) -> Result<Self, Fault> {
        if let Some(depths) = keys.counts("depths")? {
            let depths = stages("depths", &depths)?;
            let (stem, channels) = match (keys.counts("channels")?, keys.counts("widths")?) {
                (Some(all), None) if all.len() == 4 => (all[0], stages("channels", &all[1..])?),
                (Some(channels), None) => (STEM, stages("channels", &channels)?),
                (None, Some(widths)) => (STEM, widened(stages("widths", &widths)?)),
                _ => return Err("`depths` wants one of `channels=16-320-640-512` and `widths=5-7-3`".into()),
            };
            return Ok(Self::of(stem, channels, depths));
        }
        let count = match keys.count("blocks")? {
            Some(count) => count,
            None => blocks(keys.needed("depth")?, convolutions)?,
        };
        let width = keys.number("width")?.ok_or("`width=NUMBER` is missing")?;
        Ok(Self::of(STEM, scaled(width), [count; 3]))
    }

    /// Lowers to a network.
    ///
    /// # Errors
    /// That of [`PreAct::lower`].
    pub fn lower(&self, image: Shape, classes: usize) -> Result<Net> {
        PreAct {
            entry: self.entry,
            stem: self.stem,
            stages: self.depths.into_iter().zip(self.channels).collect(),
            block: Block::Plain(self.kernels.clone()),
            shortcut: self.shortcut,
            padding: self.padding,
            elements: self.elements,
        }
        .lower(image, classes)
    }

    /// The width of all stages, where they share one and the stem is the usual one.
    fn width(&self) -> Option<f64> {
        let width = self.channels[0] as f64 / BASE[0] as f64;
        (self.stem == STEM && scaled(width) == self.channels).then_some(width)
    }
}

/// Channels at a width; fractions are cut off.
fn scaled(width: f64) -> [usize; 3] {
    BASE.map(|c| (c as f64 * width) as usize)
}

/// Channels at a widening factor per stage.
fn widened(widths: [usize; 3]) -> [usize; 3] {
    [0, 1, 2].map(|s| BASE[s] * widths[s])
}

fn stages(key: &str, numbers: &[usize]) -> Result<[usize; 3], Fault> {
    let wrong = |_| Fault::of(key, format!("`{key}={}`: expected one number for each of 3 stages", dashed(numbers)));
    numbers.try_into().map_err(wrong)
}

/// The blocks of each stage of a network of a depth, every block having the same number of convolutions.
fn blocks(depth: usize, convolutions: usize) -> Result<usize, Fault> {
    let step = 3 * convolutions;
    match depth.checked_sub(4).filter(|layers| *layers > 0 && layers.is_multiple_of(step)) {
        Some(layers) => Ok(layers / step),
        None => {
            let below = step * (depth.max(4 + step) - 4).div_euclid(step) + 4;
            let nearest = format!("the nearest are {below} and {}", below + step);
            Err(Fault::of("depth", format!("a wide network has depth {step} n + 4, not {depth}; {nearest}")))
        }
    }
}

impl fmt::Display for Wrn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [first, ..] = self.depths;
        match self.width().filter(|_| self.depths == [first; 3]) {
            Some(width) => write!(f, "depth={},width={width}", 3 * self.kernels.len() * first + 4)?,
            None => {
                let channels = [&[self.stem][..], &self.channels].concat();
                write!(f, "channels={},depths={}", dashed(&channels), dashed(&self.depths))?;
            }
        }
        if self.kernels != [3, 3] {
            write!(f, ",block={}", dashed(&self.kernels))?;
        }
        if self.entry != Stem::Cifar {
            write!(f, ",stem={}", self.entry)?;
        }
        if self.shortcut != Shortcut::Activated {
            write!(f, ",shortcut={}", self.shortcut)?;
        }
        if self.padding != Padding::Even {
            write!(f, ",padding={}", self.padding)?;
        }
        write!(f, "{}", self.elements.beside(&Elements::default()))
    }
}
