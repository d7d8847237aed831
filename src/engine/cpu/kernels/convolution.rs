//! What a convolution is before anything is computed: its shapes, the choice between direct products and Winograd tiles, and
//! how its prepared weights lie.

use super::panels::Panels;
use crate::arch::op::{Shape, Window};
use crate::engine::call::{Convolution, Load};
use crate::engine::mode::Direction;

/// What it costs to prepare the weights of a place of Winograd tiles, in products of an image with them: some 250 of these,
/// among the 128 images of a common batch.
const PREPARED: usize = 2;

/// Below this many channels a tile of mirrored products is mostly empty, and scattering columns is faster.
const FEW: usize = 8;

/// How the products of a convolution are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Method {
    /// Tap by tap.
    Direct,
    /// In tiles of 2x2 outputs, 16 products instead of 36: F(2x2, 3x3).
    Winograd2,
    /// In tiles of 4x4 outputs, 36 products instead of 144: F(4x4, 3x3).
    Winograd4,
}

/// A convolution and how it is made.
#[derive(Clone, Copy, Debug)]
pub struct Conv {
    /// What is computed.
    pub shape: Convolution,
    /// How its products are made.
    pub method: Method,
}

impl Conv {
    /// Tap by tap.
    pub fn direct(shape: Convolution) -> Conv {
        Conv { shape, method: Method::Direct }
    }

    /// The same convolution by the fastest method for its shape.
    ///
    /// A Winograd tile trades products for sums: the rule counts 16 lane products of all tiles, and 7 sums for every place and
    /// channel, and the weights' way into tiles, and picks the cheapest; below 16 channels vectors are not full. Measured on one Zen 5 core, direct against F(2x2)
    /// and F(4x4), forward, in GFLOP/s of the direct convolution: 195, 160, 245 at 32x32x16; 256, 353, 518 at 32x32x32; 263, 436,
    /// 649 at 32x32x64; 265, 535, 709 at 4x4x512 with 32 images, where 8 images read the larger weights too often (268, 435,
    /// 334).
    pub fn fastest(self) -> Conv {
        let w = &self.shape.window;
        let fits = w.kernel == [3, 3] && w.stride == [1, 1] && w.dilation == [1, 1] && self.shape.groups == 1;
        let (c, out) = (self.shape.source.c, self.shape.output.c);
        if !fits || c.min(out) < 16 {
            return self;
        }
        let direct = 9 * self.shape.output.area() * c * out;
        let tiled = |method: Method| {
            let conv = Conv { method, ..self };
            let winograd = Winograd::of(&conv)?;
            let sums = winograd.places() * 7 * (c + out);
            let weights = PREPARED * winograd.places() * c * out;
            Some((winograd.tiles() * (winograd.places() * c * out + sums) + weights, method))
        };
        let [two, four] = [Method::Winograd2, Method::Winograd4].map(tiled);
        let method = [Some((direct, Method::Direct)), two, four].into_iter().flatten().min_by_key(|(cost, _)| *cost);
        Conv { method: method.map_or(Method::Direct, |(_, m)| m), ..self }
    }

    /// The convolution of the output's gradient that gives the source's (after cropping).
    pub(super) fn mirrored(&self) -> Option<Conv> {
        let (w, s, crop) = (&self.shape.window, self.shape.source, self.shape.load.crop);
        let [Some(top), Some(left)] = [0, 1].map(|a| (w.dilation[a] * (w.kernel[a] - 1)).checked_sub(w.pad[a])) else {
            return None;
        };
        (w.stride == [1, 1] && s.c / self.shape.groups >= FEW).then(|| Conv {
            shape: Convolution {
                source: self.shape.output,
                output: Shape::new(s.h - crop[0], s.w - crop[1], s.c),
                window: Window { pad: [top, left], ..*w },
                load: Load::default(),
                groups: self.shape.groups,
            },
            ..*self
        })
    }

    /// Columns of a scattered gradient: all taps and channels of a group, in whole vectors.
    pub(super) fn scattered_cols(&self) -> usize {
        (self.shape.window.taps() * self.shape.source.c / self.shape.groups).next_multiple_of(16)
    }

    /// How the prepared weights of a pass lie.
    pub fn panels(&self, direction: Direction) -> Panels {
        let (groups, taps) = (self.shape.groups, self.shape.window.taps());
        let taps = Winograd::of(self).map_or(taps, |w| w.places());
        let (c, out) = (self.shape.source.c / groups, self.shape.output.c / groups);
        match direction {
            Direction::Forward => Panels { groups, taps, terms: c, cols: out },
            Direction::Backward if self.mirrored().is_some() => Panels { groups, taps, terms: out, cols: c },
            Direction::Backward => Panels { groups, taps: 1, terms: out, cols: self.scattered_cols() },
        }
    }
}

/// A convolution in Winograd tiles.
#[derive(Clone, Copy, Debug)]
pub struct Winograd<'c> {
    /// The convolution.
    pub(super) conv: &'c Conv,
    /// Outputs of a tile along an axis.
    pub(super) m: usize,
    /// Tiles along each axis.
    pub(super) grid: [usize; 2],
}

impl<'c> Winograd<'c> {
    /// The tiles of a convolution that is made in tiles.
    pub fn of(conv: &'c Conv) -> Option<Self> {
        let m = match conv.method {
            Method::Direct => return None,
            Method::Winograd2 => 2,
            Method::Winograd4 => 4,
        };
        Some(Winograd { conv, m, grid: [conv.shape.output.h.div_ceil(m), conv.shape.output.w.div_ceil(m)] })
    }

    /// Sources of a tile, and so products.
    pub fn places(&self) -> usize {
        (self.m + 2) * (self.m + 2)
    }

    /// Tiles of an image.
    pub fn tiles(&self) -> usize {
        self.grid[0] * self.grid[1]
    }
}
