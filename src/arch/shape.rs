//! Sizes: of an activation, and of a window that slides over it.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The shape of one image's activation, `[h, w, c]`; a vector is `[1, 1, c]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(from = "[usize; 3]", into = "[usize; 3]")]
#[schemars(with = "[usize; 3]")]
pub struct Shape {
    /// Rows.
    pub h: usize,
    /// Columns.
    pub w: usize,
    /// Channels.
    pub c: usize,
}

impl Shape {
    /// `[h, w, c]`.
    pub const fn new(h: usize, w: usize, c: usize) -> Self {
        Shape { h, w, c }
    }

    /// Scalars in one image's activation.
    pub const fn len(self) -> usize {
        self.h * self.w * self.c
    }

    /// Scalars in one image's activation, if they can be counted.
    pub fn checked_len(self) -> Option<usize> {
        self.h.checked_mul(self.w)?.checked_mul(self.c)
    }

    /// Pixels.
    pub const fn area(self) -> usize {
        self.h * self.w
    }

    /// Whether a side is zero.
    pub const fn is_empty(self) -> bool {
        self.h == 0 || self.w == 0 || self.c == 0
    }
}

impl From<[usize; 3]> for Shape {
    fn from([h, w, c]: [usize; 3]) -> Self {
        Shape { h, w, c }
    }
}

impl From<Shape> for [usize; 3] {
    fn from(s: Shape) -> Self {
        [s.h, s.w, s.c]
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}x{}x{}", self.h, self.w, self.c))
    }
}

impl std::str::FromStr for Shape {
    type Err = String;

    /// Reads `32x32x3`.
    fn from_str(text: &str) -> Result<Self, String> {
        let sides: Vec<usize> = text.split('x').map(str::parse).collect::<Result<_, _>>().unwrap_or_default();
        match sides[..] {
            [h, w, c] if Shape::new(h, w, c).checked_len().is_some_and(|len| len > 0) => Ok(Shape { h, w, c }),
            _ => Err(format!("`{text}` is not an image size; write HEIGHTxWIDTHxCHANNELS, for example 32x32x3")),
        }
    }
}

/// A sliding window: `[rows, columns]` of kernel, stride, zero padding on both sides, and dilation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Window {
    /// Taps.
    pub kernel: [usize; 2],
    /// Step between outputs.
    pub stride: [usize; 2],
    /// Padding on each side.
    pub pad: [usize; 2],
    /// Distance between taps.
    pub dilation: [usize; 2],
}

impl Window {
    /// A square window without dilation.
    pub const fn square(kernel: usize, stride: usize, pad: usize) -> Self {
        Window { kernel: [kernel; 2], stride: [stride; 2], pad: [pad; 2], dilation: [1; 2] }
    }

    /// A square window of odd size whose padding keeps the size at stride 1.
    pub const fn same(kernel: usize, stride: usize, dilation: usize) -> Self {
        let pad = dilation * (kernel - 1) / 2;
        Window { kernel: [kernel; 2], stride: [stride; 2], pad: [pad; 2], dilation: [dilation; 2] }
    }

    /// Output `[rows, columns]`, or `None` where the window does not fit or is degenerate.
    pub fn output(&self, h: usize, w: usize) -> Option<[usize; 2]> {
        let side = |n: usize, axis: usize| {
            let (k, s, p, d) = (self.kernel[axis], self.stride[axis], self.pad[axis], self.dilation[axis]);
            if k == 0 || s == 0 || d == 0 {
                return None;
            }
            let span = d.checked_mul(k - 1)?.checked_add(1)?;
            Some(p.checked_mul(2)?.checked_add(n)?.checked_sub(span)? / s + 1)
        };
        Some([side(h, 0)?, side(w, 1)?])
    }

    /// Taps in the window.
    pub const fn taps(&self) -> usize {
        self.kernel[0] * self.kernel[1]
    }
}
