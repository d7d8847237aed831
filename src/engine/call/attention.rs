//! Attention and softmax.

/// The channels of every pixel seen as `[over, c / over]`, softmax along the first axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Softmax {
    /// Channels.
    pub c: usize,
    /// Alternatives.
    pub over: usize,
}

/// Scaled dot-product attention of one image, pixels to pixels (Vaswani et al. 2017).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attention {
    /// Pixels that ask.
    pub queries: usize,
    /// Pixels that answer.
    pub keys: usize,
    /// Channels of a query, of a key and of a value.
    pub d: usize,
    /// Heads.
    pub heads: usize,
    /// Whether queries have a plane of their own; otherwise they precede keys and values in one.
    pub apart: bool,
}

/// Attention of channels to channels (XCiT, El-Nouby et al. 2021), `[pixels, 3 d]` to `[pixels, d]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CrossCovariance {
    /// Pixels.
    pub pixels: usize,
    /// Channels of a query, of a key and of a value.
    pub d: usize,
    /// Heads.
    pub heads: usize,
}
