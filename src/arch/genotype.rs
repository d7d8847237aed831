//! Genotypes: which operation sits on which edge of each kind of cell, and the text form used in the literature.
//!
//! Read: the tuple `Genotype(normal=[('sep_conv_3x3', 0), ...], normal_concat=range(2, 6), ...)` that DARTS prints,
//! with any kinds of cells, with or without `NAME = `; the same fields as a JSON object. A cell's edges are flat pairs
//! `(op, from)` (two per node, or every predecessor of every node in order), triples with the target, or a list per
//! node. Fields that are `None` are passed over. Also read are a line of a log that has the tuple in it, the numbers of NumPy 2
//! (`np.int64(0)`), NASLib's compact pairs and the dictionaries of NNI's DARTS.

mod foreign;
mod read;
mod text;

use std::fmt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::cell::CellOp;
use crate::error::{Error, Result};

/// One chosen edge into an intermediate node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Edge {
    /// The operation.
    pub op: CellOp,
    /// The state it reads: 0 and 1 are the outputs of the two preceding cells, 2 the first intermediate node.
    pub from: usize,
}

/// A discrete cell.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
pub struct CellGenotype {
    /// The kind of cell: `accurate`, `reduce`, `robust`, `normal`.
    pub kind: String,
    /// For each intermediate node, its incoming edges.
    pub nodes: Vec<Vec<Edge>>,
    /// The states whose channels are the cell's output.
    pub concat: Vec<usize>,
}

impl CellGenotype {
    /// Checks that edges point backwards and the output exists.
    ///
    /// # Errors
    /// [`Error::Net`] naming the cell and the node without an edge, the edge that points forwards, or the missing
    /// output state.
    pub fn validate(&self) -> Result<()> {
        let fail = |what: String| Err(Error::Net(format!("cell `{}`: {what}", self.kind)));
        for (i, edges) in self.nodes.iter().enumerate() {
            if edges.is_empty() {
                return fail(format!("node {} has no incoming edge", i + 2));
            }
            if let Some(e) = edges.iter().find(|e| e.from >= i + 2) {
                return fail(format!("node {} reads state {}, which does not come before it", i + 2, e.from));
            }
        }
        match self.concat.iter().find(|s| **s >= self.nodes.len() + 2) {
            Some(s) => fail(format!("the output takes state {s}, but there are only {}", self.nodes.len() + 2)),
            None if self.concat.is_empty() => fail("the output takes no state".into()),
            None => Ok(()),
        }
    }
}

/// A genotype: one discrete cell per kind, in the space's order of kinds.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(transparent)]
pub struct Genotype {
    /// The cells.
    pub cells: Vec<CellGenotype>,
}

impl Genotype {
    /// Reads a genotype from text; `label` is the name of the text in errors.
    ///
    /// # Errors
    /// [`Error::Data`] with the byte and what was expected there.
    pub fn parse(text: &str, label: &Path) -> Result<Self> {
        read::parse(text, label)
    }

    /// The cell of a kind.
    ///
    /// # Errors
    /// [`Error::Net`] listing the kinds there are.
    pub fn cell(&self, kind: &str) -> Result<&CellGenotype> {
        self.cells.iter().find(|c| c.kind == kind).ok_or_else(|| {
            let kinds: Vec<&str> = self.cells.iter().map(|c| c.kind.as_str()).collect();
            Error::Net(format!("the genotype has no `{kind}` cell; it has {}", kinds.join(", ")))
        })
    }
}

impl CellGenotype {
    /// Edges with the state they lead to, in order.
    pub fn edges(&self) -> impl Iterator<Item = (usize, Edge)> {
        self.nodes.iter().enumerate().flat_map(|(i, edges)| edges.iter().map(move |e| (i + 2, *e)))
    }

    /// Whether flat pairs determine which edge belongs to which node.
    fn is_flat(&self) -> bool {
        let sources: Vec<usize> = self.edges().map(|(_, e)| e.from).collect();
        read::distribution(&sources).is_some_and(|counts| counts.into_iter().eq(self.nodes.iter().map(Vec::len)))
    }
}

/// The canonical text: the tuple DARTS prints, on one line, the output as a list. A cell is flat pairs `(op, from)`
/// where these suffice, else triples `(op, to, from)`.
impl fmt::Display for Genotype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Genotype(")?;
        for (i, cell) in self.cells.iter().enumerate() {
            let flat = cell.is_flat();
            let edge = |(to, Edge { op, from }): (usize, Edge)| {
                if flat { format!("('{op}', {from})") } else { format!("('{op}', {to}, {from})") }
            };
            let edges: Vec<String> = cell.edges().map(edge).collect();
            let comma = if i == 0 { "" } else { ", " };
            write!(f, "{comma}{0}=[{1}], {0}_concat={2:?}", cell.kind, edges.join(", "), cell.concat)?;
        }
        f.write_str(")")
    }
}
