//! NAS-Bench-201 cells and their text form, which indexes the tabular robustness benchmarks.
//!
//! Source: Dong and Yang 2020. Four states, every pair joined by one of five operations; state `i` is the sum of its
//! incoming edges. Text: `|op~0|+|op~0|op~1|+|op~0|op~1|op~2|`, edges in order of target and source.

use std::fmt;
use std::path::Path;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::cell::CellOp;
use crate::error::{Error, Result};

/// A cell: the operations of the edges 0-1, 0-2, 1-2, 0-3, 1-3, 2-3.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Nb201Cell {
    ops: [CellOp; 6],
}

impl Nb201Cell {
    /// The five operations, in the order the benchmark lists them.
    pub const OPS: [CellOp; 5] =
        [CellOp::None, CellOp::SkipConnect, CellOp::NorConv(1), CellOp::NorConv(3), CellOp::AvgPool(3)];

    /// `(source, target)` of every edge, in the order of the text.
    pub const EDGES: [(usize, usize); 6] = [(0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3)];

    /// A cell of the given operations, in the order of [`Self::EDGES`].
    ///
    /// # Errors
    /// [`Error::Net`] for an operation the space does not have.
    pub fn new(ops: [CellOp; 6]) -> Result<Self> {
        match ops.iter().find(|op| !Self::OPS.contains(op)) {
            Some(op) => Err(Error::Net(format!("NAS-Bench-201 has no `{op}`; expected one of {}", known()))),
            None => Ok(Nb201Cell { ops }),
        }
    }

    /// The operations, in the order of [`Self::EDGES`].
    pub fn ops(&self) -> [CellOp; 6] {
        self.ops
    }

    /// Reads a cell; `label` is the name of the text in errors.
    ///
    /// # Errors
    /// [`Error::Data`] with the byte and what was expected there.
    pub fn parse(text: &str, label: &Path) -> Result<Self> {
        let start = text.len() - text.trim_start().len();
        let text = text.trim_end();
        let mut at = start;
        let fail = |at: usize, message: String| Error::data_at(label, at as u64, message);
        let expect = |at: &mut usize, wanted: &str| {
            if !text[*at..].starts_with(wanted) {
                let message = format!("expected `{wanted}` of a cell such as `|op~0|+|op~0|op~1|+|op~0|op~1|op~2|`");
                return Err(fail(*at, message));
            }
            *at += wanted.len();
            Ok(())
        };
        let mut ops = [CellOp::None; 6];
        for (slot, (from, to)) in ops.iter_mut().zip(Self::EDGES) {
            if from == 0 {
                expect(&mut at, if to == 1 { "|" } else { "+|" })?;
            }
            let name = text[at..].split(['~', '|', '+']).next().unwrap_or_default();
            let op: CellOp = name.parse().map_err(|_| fail(at, format!("`{name}`: expected one of {}", known())))?;
            if !Self::OPS.contains(&op) {
                return Err(fail(at, format!("NAS-Bench-201 has no `{name}`; expected one of {}", known())));
            }
            *slot = op;
            at += name.len();
            expect(&mut at, &format!("~{from}|"))?;
        }
        if at != text.len() {
            return Err(fail(at, "expected the end after the third node".into()));
        }
        Ok(Nb201Cell { ops })
    }
}

fn known() -> String {
    Nb201Cell::OPS.map(|op| op.to_string()).join(", ")
}

impl fmt::Display for Nb201Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (op, (from, to)) in self.ops.iter().zip(Self::EDGES) {
            match (from, to) {
                (0, 1) => f.write_str("|")?,
                (0, _) => f.write_str("+|")?,
                _ => {}
            }
            write!(f, "{op}~{from}|")?;
        }
        Ok(())
    }
}

impl Serialize for Nb201Cell {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Nb201Cell {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        Nb201Cell::parse(&text, Path::new("cell")).map_err(serde::de::Error::custom)
    }
}
