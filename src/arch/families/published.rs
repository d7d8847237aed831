//! Residual networks of three stages: the channels that widening factors multiply, and the depths and widths of the
//! published ones (Huang et al. 2023).

/// Stages of a wide residual network, and of its robust descendants.
pub const STAGES: usize = 3;

/// Channels of a stage at widening factor 1.
pub const BASE: [usize; STAGES] = [16, 32, 64];

/// Blocks and widening factors of the published networks, by name.
pub const PUBLISHED: [(&str, [usize; STAGES], [usize; STAGES]); 4] = [
    ("a1", [14, 14, 7], [5, 7, 3]),
    ("a2", [17, 17, 8], [7, 9, 4]),
    ("a3", [22, 22, 11], [8, 11, 5]),
    ("a4", [27, 28, 13], [10, 14, 6]),
];

/// The name of the published network of these depths and widening factors, if it is one.
pub fn published(depths: [usize; STAGES], widths: [usize; STAGES]) -> Option<&'static str> {
    PUBLISHED.iter().find(|(_, d, w)| (*d, *w) == (depths, widths)).map(|(name, ..)| *name)
}
