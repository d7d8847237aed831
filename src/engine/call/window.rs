//! Operations that look through a window: convolutions and pools.

use crate::arch::op::{Shape, Window};

/// ReLU and cropping in front of a convolution, done while it reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Load {
    /// Negative values count as zero.
    pub relu: bool,
    /// First source row and column that exist.
    pub crop: [usize; 2],
}

/// A dense or grouped convolution of one image, weights `[kh, kw, c / groups, out]`.
#[derive(Clone, Copy, Debug)]
pub struct Convolution {
    /// Source `[h, w, c]`, before cropping.
    pub source: Shape,
    /// Output `[oh, ow, out]`.
    pub output: Shape,
    /// Where it looks.
    pub window: Window,
    /// Channel groups.
    pub groups: usize,
    /// What happens on the way in.
    pub load: Load,
}

/// A depthwise convolution of one image, weights `[kh, kw, c]`.
#[derive(Clone, Copy, Debug)]
pub struct Depthwise {
    /// Source `[h, w, c]`, before cropping.
    pub source: Shape,
    /// Output `[oh, ow, c]`.
    pub output: Shape,
    /// Where it looks.
    pub window: Window,
    /// What happens on the way in.
    pub load: Load,
}

/// A depthwise convolution followed by a 1x1 convolution, weights `[kh, kw, c]` and `[c, out]`.
#[derive(Clone, Copy, Debug)]
pub struct Separable {
    /// The first half.
    pub depthwise: Depthwise,
    /// Output channels.
    pub out: usize,
}

/// A pool of one image.
#[derive(Clone, Copy, Debug)]
pub struct Pool {
    /// Source `[h, w, c]`.
    pub source: Shape,
    /// Output `[oh, ow, c]`.
    pub output: Shape,
    /// Where it looks.
    pub window: Window,
}
