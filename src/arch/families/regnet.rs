//! RegNet: AnyNets whose widths follow a quantised line; X without and Y with squeeze-and-excitation.
//!
//! Source: Radosavovic et al. 2020 and its code (pycls). Blocks `j = 0, 1, ..` would be `w0 + wa j` wide; each width is
//! moved to the nearest `w0 wm^k` and then to the nearest multiple of eight, and blocks of one width are a stage.
//! Widths are then made multiples of their group width, which the two programs do differently, see [`Rounding`].

use std::fmt;
use std::str::FromStr;

use super::anynet::{AnyNet, Block, Stage, Stem};
use crate::arch::elements::{Elements, Gate, one_of};
use crate::arch::keys::{Fault, Keys, MODEL};
use crate::arch::net::Net;
use crate::arch::op::Shape;
use crate::error::{Error, Result, nearest};
use crate::units::Fraction;

/// Widths are multiples of this.
const QUANTUM: usize = 8;

/// No block is wider than this; far beyond any published network.
const WIDEST: f64 = 65536.0;

/// No network has more blocks.
const DEEPEST: usize = 1024;

/// The squeeze-and-excitation ratio of Y.
const SE_RATIO: f32 = 0.25;

/// How a width becomes a multiple of its group width. The published networks of two programs differ by it in five
/// sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rounding {
    /// To the nearest multiple, a half to the even one (pycls, timm).
    Pycls,
    /// To the nearest multiple, a half upwards, and one up again from below nine tenths (torchvision).
    Torchvision,
}

impl Rounding {
    /// Both.
    pub const ALL: [Rounding; 2] = [Rounding::Pycls, Rounding::Torchvision];

    /// A width near to one that is asked for whose 3x3 convolution the group width divides, and that group width, which
    /// is no larger than the convolution is wide.
    pub fn compatible(self, width: usize, bottleneck: Fraction, group: usize) -> (usize, usize) {
        let (numerator, denominator) = bottleneck.terms();
        let (numerator, denominator) = (numerator as usize, denominator as usize);
        let inner = (width * numerator / denominator).max(1);
        let (group, factor) = (group.min(inner), numerator / denominator);
        let unit = if factor > 1 && self == Rounding::Pycls { lcm(group, factor) } else { group };
        (self.apply(inner, unit) * denominator / numerator, group)
    }

    /// The multiple of `unit` for a width.
    fn apply(self, width: usize, unit: usize) -> usize {
        let multiple = match self {
            Rounding::Pycls => {
                let (whole, rest) = (width / unit, width % unit);
                let up = 2 * rest > unit || (2 * rest == unit && whole % 2 == 1);
                (whole + usize::from(up)) * unit
            }
            Rounding::Torchvision => {
                let near = (2 * width + unit) / (2 * unit) * unit;
                if 10 * near < 9 * width { near + unit } else { near }
            }
        };
        multiple.max(unit)
    }
}

impl fmt::Display for Rounding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Rounding::Pycls => "pycls",
            Rounding::Torchvision => "torchvision",
        })
    }
}

impl FromStr for Rounding {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        one_of(text, &Rounding::ALL)
    }
}

/// A network of the family, for any image and number of classes.
#[derive(Clone, Debug, PartialEq)]
pub struct RegNet {
    /// Blocks.
    pub depth: usize,
    /// Width of the first block, a multiple of eight.
    pub w0: usize,
    /// What every block adds to the width, before widths are quantised; at least 0.
    pub wa: f64,
    /// The ratio of one width to the next, above 1.
    pub wm: f64,
    /// Channels a group of the 3x3 convolutions, where the width has as many.
    pub group: usize,
    /// Channels of the 3x3 convolutions as a factor of the width.
    pub bottleneck: Fraction,
    /// How widths become multiples of group widths.
    pub rounding: Rounding,
    /// The stem.
    pub stem: Stem,
    /// Channels of the stem.
    pub stem_width: usize,
    /// X has no gate, Y one of ratio a quarter; see [`AnyNet::elements`].
    pub elements: Elements,
}

/// Name, depth, `w0`, `wa`, `wm` and group width of the published networks (pycls, dds_baselines).
const PUBLISHED: [(&str, usize, usize, f64, f64, usize); 24] = [
    ("x-200mf", 13, 24, 36.44, 2.49, 8),
    ("x-400mf", 22, 24, 24.48, 2.54, 16),
    ("x-600mf", 16, 48, 36.97, 2.24, 24),
    ("x-800mf", 16, 56, 35.73, 2.28, 16),
    ("x-1.6gf", 18, 80, 34.01, 2.25, 24),
    ("x-3.2gf", 25, 88, 26.31, 2.25, 48),
    ("x-4gf", 23, 96, 38.65, 2.43, 40),
    ("x-6.4gf", 17, 184, 60.83, 2.07, 56),
    ("x-8gf", 23, 80, 49.56, 2.88, 120),
    ("x-12gf", 19, 168, 73.36, 2.37, 112),
    ("x-16gf", 22, 216, 55.59, 2.1, 128),
    ("x-32gf", 23, 320, 69.86, 2.0, 168),
    ("y-200mf", 13, 24, 36.44, 2.49, 8),
    ("y-400mf", 16, 48, 27.89, 2.09, 8),
    ("y-600mf", 15, 48, 32.54, 2.32, 16),
    ("y-800mf", 14, 56, 38.84, 2.4, 16),
    ("y-1.6gf", 27, 48, 20.71, 2.65, 24),
    ("y-3.2gf", 21, 80, 42.63, 2.66, 24),
    ("y-4gf", 22, 96, 31.41, 2.24, 64),
    ("y-6.4gf", 25, 112, 33.22, 2.27, 72),
    ("y-8gf", 17, 192, 76.82, 2.19, 56),
    ("y-12gf", 19, 168, 73.36, 2.37, 112),
    ("y-16gf", 18, 200, 106.23, 2.48, 112),
    ("y-32gf", 20, 232, 115.89, 2.53, 232),
];

/// The elements of X, or with a gate those of Y.
fn own(gated: bool) -> Elements {
    let gate = if gated { Gate::Se { ratio: SE_RATIO } } else { Gate::None };
    Elements { gate, ..Elements::default() }
}

impl RegNet {
    /// The keys of its form, those of the elements beside them.
    pub const KEYS: &[&str] =
        &[MODEL, "depth", "w0", "wa", "wm", "group", "bottleneck", "rounding", "stem", "stem-width"];

    /// The names of published networks.
    pub fn names() -> impl Iterator<Item = &'static str> {
        PUBLISHED.iter().map(|(name, ..)| *name)
    }

    /// A published network, `x-400mf` or `y-4.0gf`, rounded as pycls does.
    ///
    /// # Errors
    /// A name that is not known, with the nearest one.
    pub fn published(name: &str) -> Result<Self, String> {
        let plain = name.replace(".0gf", "gf");
        let Some(&(name, depth, w0, wa, wm, group)) = PUBLISHED.iter().find(|(known, ..)| *known == plain) else {
            let hint = match nearest(&plain, Self::names()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("known: {}", Self::names().collect::<Vec<_>>().join(", ")),
            };
            return Err(format!("no published RegNet is called `{name}`; {hint}"));
        };
        let elements = own(name.starts_with('y'));
        let (bottleneck, rounding, stem) = (Fraction::new(1, 1), Rounding::Pycls, Stem::Simple);
        let stem_width = stem.usual_width();
        Ok(RegNet { depth, w0, wa, wm, group, bottleneck, rounding, stem, stem_width, elements })
    }

    /// Reads `x-400mf`, or `depth=22,w0=24,wa=24.48,wm=2.54,group=16`, and beside these `bottleneck` (1), `rounding`
    /// (pycls), `stem` (simple), `stem-width` (32) and the elements; `se=true` is the gate of Y.
    ///
    /// # Errors
    /// A key that is missing, unknown or does not fit.
    pub fn parse(keys: &mut Keys) -> Result<Self, Fault> {
        keys.among(&[Self::KEYS, Elements::KEYS])?;
        let mut network = match keys.text(MODEL) {
            Some(name) => Self::published(&name).map_err(|why| Fault::of(MODEL, why))?,
            None => {
                let number = |keys: &mut Keys, key: &str| {
                    let read = |text: &str| text.parse::<f64>().ok().filter(|x| x.is_finite() && *x >= 0.0);
                    let found = keys.read(key, "a number of at least 0", read)?;
                    found.ok_or_else(|| Fault::from(format!("`{key}=NUMBER` is missing")))
                };
                let (depth, w0) = (keys.needed("depth")?, keys.needed("w0")?);
                let (wa, wm) = (number(keys, "wa")?, number(keys, "wm")?);
                let (group, bottleneck) = (keys.needed("group")?, Fraction::new(1, 1));
                let (rounding, stem) = (Rounding::Pycls, Stem::Simple);
                let stem_width = stem.usual_width();
                RegNet { depth, w0, wa, wm, group, bottleneck, rounding, stem, stem_width, elements: own(false) }
            }
        };
        if let Some(bottleneck) = keys.value("bottleneck")? {
            network.bottleneck = bottleneck;
        }
        if let Some(rounding) = keys.value("rounding")? {
            network.rounding = rounding;
        }
        if let Some(stem) = keys.value::<Stem>("stem")? {
            (network.stem, network.stem_width) = (stem, stem.usual_width());
        }
        if let Some(width) = keys.count("stem-width")? {
            network.stem_width = width;
        }
        match keys.text("se").as_deref() {
            Some("true") => network.elements = own(true),
            Some("false") => network.elements = own(false),
            Some(ratio) => keys.put("se", ratio)?,
            None => {}
        }
        network.elements = Elements::take(keys, network.elements)?;
        network.check().map_err(Fault::from)?;
        Ok(network)
    }

    fn check(&self) -> Result<(), String> {
        let RegNet { depth, w0, wa, wm, .. } = *self;
        if !(1..=DEEPEST).contains(&depth) {
            return Err(format!("a RegNet has from 1 to {DEEPEST} blocks, not {depth}"));
        }
        if w0 == 0 || !w0.is_multiple_of(QUANTUM) {
            return Err(format!("w0 = {w0} is not a positive multiple of {QUANTUM}"));
        }
        if !(wa >= 0.0 && wm > 1.0) {
            return Err(format!("expected wa of at least 0 and wm above 1, got wa = {wa} and wm = {wm}"));
        }
        // The quantised width is at most sqrt(wm) times the width on the line.
        let widest = (w0 as f64 + wa * (depth - 1) as f64) * wm.sqrt();
        if !widest.is_finite() || widest > WIDEST {
            return Err(format!(
                "the last block would be about {widest:.0} channels wide; at most {WIDEST} are possible"
            ));
        }
        if self.bottleneck == Fraction::ZERO || self.group == 0 {
            return Err("a bottleneck and a group are not empty".to_owned());
        }
        Ok(())
    }

    /// The blocks' widths on the quantised line, and whether every level of it up to the last is some block's.
    fn line(&self) -> (Vec<usize>, bool) {
        let w0 = self.w0 as f64;
        let level = |j: usize| (((w0 + self.wa * j as f64) / w0).ln() / self.wm.ln()).round_ties_even();
        let quantum = QUANTUM as f64;
        let width = |k: f64| ((w0 * self.wm.powf(k) / quantum).round_ties_even() * quantum) as usize;
        let levels: Vec<f64> = (0..self.depth).map(level).collect();
        let widths: Vec<usize> = levels.iter().map(|k| width(*k)).collect();
        let mut distinct = widths.clone();
        distinct.dedup();
        let full = levels.last().is_some_and(|last| *last as usize + 1 == distinct.len());
        (widths, full)
    }

    /// Whether no level of the line is skipped; pycls samples only such networks.
    pub fn is_gapless(&self) -> bool {
        self.line().1
    }

    /// The stages.
    pub fn stages(&self) -> Vec<Stage> {
        let (widths, _) = self.line();
        widths
            .chunk_by(|a, b| a == b)
            .map(|blocks| {
                let (width, group) = self.rounding.compatible(blocks[0], self.bottleneck, self.group);
                Stage { depth: blocks.len(), width, stride: 2, bottleneck: self.bottleneck, group }
            })
            .collect()
    }

    /// The same network stage by stage.
    pub fn anynet(&self) -> AnyNet {
        let RegNet { stem, stem_width, elements, .. } = *self;
        AnyNet { stem, stem_width, block: Block::Bottleneck, stages: self.stages(), elements }
    }

    /// Lowers to a network: nodes `stem.*`, `stage0.block0.*` and `head.*`.
    ///
    /// # Errors
    /// Those of [`AnyNet::lower`], and parameters outside of the family.
    pub fn lower(&self, image: Shape, classes: usize) -> Result<Net> {
        self.check().map_err(Error::Net)?;
        self.anynet().lower(image, classes)
    }
}

fn lcm(a: usize, b: usize) -> usize {
    let (mut x, mut y) = (a, b);
    while y != 0 {
        (x, y) = (y, x % y);
    }
    a / x * b
}

impl fmt::Display for RegNet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let RegNet { depth, w0, wa, wm, group, bottleneck, rounding, stem, stem_width, elements } = self;
        let line = (*depth, *w0, *wa, *wm, *group);
        let gated = matches!(elements.gate, Gate::Se { ratio } if ratio == SE_RATIO);
        let published = PUBLISHED
            .iter()
            .find(|(name, d, w0, wa, wm, g)| (*d, *w0, *wa, *wm, *g) == line && name.starts_with('y') == gated);
        match published {
            Some((name, ..)) => f.write_str(name)?,
            None => {
                write!(f, "depth={depth},w0={w0},wa={wa},wm={wm},group={group}")?;
                if gated {
                    f.write_str(",se=true")?;
                }
            }
        }
        if *bottleneck != Fraction::new(1, 1) {
            write!(f, ",bottleneck={bottleneck}")?;
        }
        if *rounding != Rounding::Pycls {
            write!(f, ",rounding={rounding}")?;
        }
        if *stem != Stem::Simple {
            write!(f, ",stem={stem}")?;
        }
        if *stem_width != stem.usual_width() {
            write!(f, ",stem-width={stem_width}")?;
        }
        write!(f, "{}", elements.beside(&own(gated)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 136 is 8.5 groups of 16, 144 is 2.25 of 64: the cases in which the two roundings differ.
    #[test]
    fn roundings_part_at_halves_and_below_nine_tenths() {
        let both = |width, unit| [Rounding::Pycls, Rounding::Torchvision].map(|r| r.apply(width, unit));
        assert_eq!(both(136, 16), [128, 144]);
        assert_eq!(both(152, 16), [160, 160]);
        assert_eq!(both(96, 40), [80, 120]);
        assert_eq!(both(216, 64), [192, 256]);
        assert_eq!(both(104, 8), [104, 104]);
        assert_eq!(both(3, 8), [8, 8]);
    }
}
