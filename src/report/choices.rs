//! How sure a search is of its choices, edge by edge.

use crate::record::SearchEpoch;

/// An edge of a kind of cell, and the share of the mixture that each of its operations ended with.
#[derive(Clone, Debug, PartialEq)]
pub struct EdgeShares {
    /// The kind of cell.
    pub kind: String,
    /// Source and target state.
    pub edge: (usize, usize),
    /// Operations and their shares.
    pub shares: Vec<(String, f64)>,
}

impl EdgeShares {
    /// The edge with its kind of cell.
    pub fn name(&self) -> String {
        format!("{} {}", self.kind, arrow(self.edge))
    }

    /// The operation of the largest share.
    pub fn largest(&self) -> Option<&(String, f64)> {
        self.shares.iter().max_by(|a, b| a.1.total_cmp(&b.1))
    }
}

/// An edge of a kind of cell, and how its choice went.
#[derive(Clone, Debug, PartialEq)]
pub struct EdgeCourse {
    /// The kind of cell.
    pub kind: String,
    /// The edge in its cell: `0→2`.
    pub arrow: String,
    /// How decided it was behind each epoch, as [`certainty`].
    pub certainty: Vec<Option<f64>>,
    /// The operation of the largest share of the mixture, and that share; none before the search ended.
    pub largest: Option<(String, f64)>,
}

/// An edge from a source to a target state: `0→2`.
pub fn arrow((from, to): (usize, usize)) -> String {
    format!("{from}→{to}")
}

/// How decided the `at`-th edge of an epoch is among `ops` operations, `1 - H / ln(ops)`: 0 where all are alike, 1 where one
/// is left; none where the epoch does not have the edge.
pub fn certainty(epoch: &SearchEpoch, at: usize, ops: usize) -> Option<f64> {
    let entropy = epoch.cells.iter().flat_map(|cell| &cell.entropy).nth(at)?;
    Some(if ops > 1 { (1.0 - entropy / (ops as f64).ln()).max(0.0) } else { 1.0 })
}

/// The distance of the architecture parameters from where they began and that of a random walk of as many steps, both root
/// mean squares, behind the last epoch. Parameters that moved no further say little about the operations.
pub fn moved(epochs: &[SearchEpoch]) -> Option<(f64, f64)> {
    let last = epochs.last()?;
    Some((last.alpha_moved?, last.random_walk.filter(|walk| *walk > 0.0)?))
}
