//! Weights laid out for [`super::product::Product`]: panels of a few columns, so that the weights that a register tile reads
//! one after the other stand one after the other in memory.

use std::ops::Range;

/// Columns of a panel: the widest register tile.
const WIDTH: usize = 32;

/// Weights `[groups, panels, taps, terms, columns of the panel]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Panels {
    /// Channel groups, each with its own columns.
    pub groups: usize,
    /// Kernel places, or places of a Winograd tile.
    pub taps: usize,
    /// Terms that a tap adds up.
    pub terms: usize,
    /// Columns of a group.
    pub cols: usize,
}

/// One panel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Panel {
    /// Its group.
    pub group: usize,
    /// Its first column in the group.
    pub col: usize,
    /// Its columns.
    pub width: usize,
    /// Where it stands.
    pub range: Range<usize>,
}

impl Panels {
    /// Scalars in all.
    pub const fn scalars(&self) -> usize {
        self.groups * self.taps * self.terms * self.cols
    }

    /// Every panel, in the order in which they stand.
    pub fn each(self) -> impl Iterator<Item = Panel> {
        let per_group = self.cols.div_ceil(WIDTH);
        (0..self.groups * per_group).map(move |k| {
            let (group, col) = (k / per_group, k % per_group * WIDTH);
            let width = WIDTH.min(self.cols - col);
            let at = (group * self.cols + col) * self.taps * self.terms;
            Panel { group, col, width, range: at..at + width * self.taps * self.terms }
        })
    }
}
