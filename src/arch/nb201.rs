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

    /// The cell whose operations stand at these places of [`Self::OPS`].
    ///
    /// # Panics
    /// For a place beyond the last one.
    pub fn of_indices(places: [usize; 6]) -> Self {
        Nb201Cell { ops: places.map(|place| Self::OPS[place]) }
    }

    /// The places of its operations in [`Self::OPS`].
    pub fn indices(&self) -> [usize; 6] {
        self.ops.map(|op| Self::OPS.iter().position(|known| *known == op).expect("a cell has known operations only"))
    }

    /// The text that tells networks apart: cells of one text are one network of the benchmark, and 6,466 differ.
    ///
    /// This is the rule of the benchmark's own code (`Structure.to_unique_str` with zeros considered), quirks included:
    /// a convolution of nothing counts as nothing, a node with two empty inputs does not, and sums of sums are not merged, so
    /// that some of the 6,466 compute the same ([`Self::computation`] tells).
    pub fn structure(&self) -> String {
        let mut states = vec!["0".to_owned()];
        for target in 1..4 {
            let mut terms: Vec<String> = self
                .edges_into(target)
                .map(|(op, from)| match (op, states[from].as_str()) {
                    (CellOp::None, _) | (_, "#") => "#".to_owned(),
                    (CellOp::SkipConnect, state) => state.to_owned(),
                    (op, state) => format!("({state})@{op}"),
                })
                .collect();
            terms.sort_unstable();
            states.push(terms.join("+"));
        }
        states.swap_remove(3)
    }

    /// What the cell computes, as a sum in a fixed order: cells of one text are the same function of the same weights, so that
    /// what trainings of them differ by is chance.
    ///
    /// Skips are looked through, sums of sums are merged, edges that nothing reaches are left out. A convolution of
    /// nothing stays: its batch-norm's shift is learned.
    pub fn computation(&self) -> String {
        let mut states = vec![vec!["0".to_owned()]];
        for target in 1..4 {
            let mut terms = Vec::new();
            for (op, from) in self.edges_into(target) {
                match op {
                    CellOp::None => {}
                    CellOp::SkipConnect => terms.extend_from_slice(&states[from]),
                    CellOp::AvgPool(_) if states[from].is_empty() => {}
                    op => terms.push(format!("({})@{op}", states[from].join("+"))),
                }
            }
            terms.sort_unstable();
            states.push(terms);
        }
        states[3].join("+")
    }

    /// The operations that lead into a state, each with where it comes from.
    fn edges_into(&self, state: usize) -> impl Iterator<Item = (CellOp, usize)> {
        let edges = self.ops.into_iter().zip(Self::EDGES);
        edges.filter(move |(_, (_, to))| *to == state).map(|(op, (from, _))| (op, from))
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

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(text: &str) -> Nb201Cell {
        Nb201Cell::parse(text, Path::new("test")).unwrap()
    }

    /// Cells of the published table, among them what the benchmark tells apart although it is the same.
    #[test]
    fn structure_and_computation() {
        let a = cell("|nor_conv_3x3~0|+|nor_conv_3x3~0|avg_pool_3x3~1|+|skip_connect~0|nor_conv_3x3~1|skip_connect~2|");
        let b = cell("|nor_conv_3x3~0|+|skip_connect~0|avg_pool_3x3~1|+|nor_conv_3x3~0|nor_conv_3x3~1|skip_connect~2|");
        assert_ne!(a.structure(), b.structure());
        assert_eq!(a.computation(), b.computation());
        assert_eq!(
            a.computation(),
            "((0)@nor_conv_3x3)@avg_pool_3x3+((0)@nor_conv_3x3)@nor_conv_3x3+(0)@nor_conv_3x3+0"
        );
        // A skip from the input and the same path by way of a node.
        let direct = cell("|none~0|+|none~0|none~1|+|nor_conv_1x1~0|none~1|none~2|");
        let around = cell("|skip_connect~0|+|none~0|none~1|+|none~0|nor_conv_1x1~1|none~2|");
        assert_eq!(direct.structure(), "#+#+(0)@nor_conv_1x1");
        assert_eq!((direct.structure(), direct.computation()), (around.structure(), around.computation()));
        // A convolution of nothing is a learned constant.
        let constant = cell("|none~0|+|none~0|none~1|+|skip_connect~0|nor_conv_1x1~1|none~2|");
        assert_eq!(constant.computation(), "()@nor_conv_1x1+0");
    }

    #[test]
    fn places_and_operations() {
        let cell = Nb201Cell::of_indices([0, 1, 2, 3, 4, 0]);
        assert_eq!(cell.to_string(), "|none~0|+|skip_connect~0|nor_conv_1x1~1|+|nor_conv_3x3~0|avg_pool_3x3~1|none~2|");
        assert_eq!(cell.indices(), [0, 1, 2, 3, 4, 0]);
    }
}
