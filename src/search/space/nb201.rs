//! NAS-Bench-201 as a search space: 15,625 cells of six edges, 6,466 networks.

use std::collections::BTreeMap;

use super::Space;
use crate::arch::nb201::Nb201Cell;
use crate::search::ridge::Features;
use crate::seed::Stream;

/// The number of cells.
pub const CELLS: usize = Nb201Cell::OPS.len().pow(Nb201Cell::EDGES.len() as u32);

/// All cells, and which of them are the same network by the benchmark's own rule ([`Nb201Cell::structure`]).
pub struct Nb201 {
    /// The key of each cell, by its number.
    keys: Vec<u16>,
    /// The networks.
    networks: usize,
}

impl Nb201 {
    /// Numbers the networks in the order of their first cells.
    pub fn new() -> Self {
        let mut known = BTreeMap::new();
        let keys = Nb201::cells()
            .map(|cell| {
                let next = known.len() as u16;
                *known.entry(cell.structure()).or_insert(next)
            })
            .collect();
        Nb201 { keys, networks: known.len() }
    }

    /// How many networks there are; their keys are the numbers below.
    pub fn networks(&self) -> usize {
        self.networks
    }

    /// Every cell, in the order of its number.
    pub fn cells() -> impl Iterator<Item = Nb201Cell> {
        (0..CELLS).map(|number| {
            let digits = Nb201Cell::EDGES.len() as u32;
            let digit = |edge: u32| number / Nb201Cell::OPS.len().pow(digits - 1 - edge) % Nb201Cell::OPS.len();
            Nb201Cell::of_indices(std::array::from_fn(|edge| digit(edge as u32)))
        })
    }

    /// A cell's number: its operations as digits, the first edge's first.
    fn number(cell: &Nb201Cell) -> usize {
        cell.indices().iter().fold(0, |number, digit| number * Nb201Cell::OPS.len() + digit)
    }
}

impl Default for Nb201 {
    fn default() -> Self {
        Nb201::new()
    }
}

impl Space for Nb201 {
    type Arch = Nb201Cell;
    type Key = u16;

    fn draw(&self, stream: &mut Stream) -> Nb201Cell {
        Nb201Cell::of_indices(std::array::from_fn(|_| stream.below(Nb201Cell::OPS.len())))
    }

    fn neighbours(&self, cell: &Nb201Cell) -> Vec<Nb201Cell> {
        let indices = cell.indices();
        let edges = 0..indices.len();
        edges
            .flat_map(|edge| {
                let others = (0..Nb201Cell::OPS.len()).filter(move |op| *op != indices[edge]);
                others.map(move |op| {
                    let mut changed = indices;
                    changed[edge] = op;
                    Nb201Cell::of_indices(changed)
                })
            })
            .collect()
    }

    /// Of each edge which operation it has.
    fn features(&self, cell: &Nb201Cell) -> Option<Features> {
        let has = |edge: usize, op: usize| f64::from(u8::from(cell.indices()[edge] == op));
        let of = |edge| (0..Nb201Cell::OPS.len()).map(move |op| has(edge, op));
        Some(vec![(0..Nb201Cell::EDGES.len()).flat_map(of).collect()])
    }

    fn key(&self, cell: &Nb201Cell) -> u16 {
        self.keys[Nb201::number(cell)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::Seed;

    /// The number of networks is that of the published table (Wu et al. 2024) and of the benchmark's paper.
    #[test]
    fn cells_and_networks_are_as_many_as_published() {
        assert_eq!((CELLS, Nb201::new().networks()), (15_625, 6_466));
        for (number, cell) in Nb201::cells().enumerate() {
            assert_eq!(Nb201::number(&cell), number);
        }
    }

    #[test]
    fn neighbours_differ_in_one_edge() {
        let space = Nb201::new();
        let cell = space.draw(&mut Seed::root(3).stream());
        let neighbours = space.neighbours(&cell);
        assert_eq!(neighbours.len(), 24);
        for (i, other) in neighbours.iter().enumerate() {
            assert_eq!(other.ops().iter().zip(cell.ops()).filter(|(a, b)| **a != *b).count(), 1);
            assert!(!neighbours[..i].contains(other));
        }
    }
}
