//! Genotypes: which operation sits on which edge of each kind of cell.

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
