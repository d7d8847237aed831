//! Cells of a space file as a search space: every node keeps some of its edges, each with one of its operations.

use sha2::{Digest, Sha256};

use super::Space;
use crate::arch::cell::CellOp;
use crate::arch::families::cells::{MixKind, MixLayout};
use crate::arch::genotype::{Edge, Genotype};
use crate::search::derive::sample_from;
use crate::search::ridge::Features;
use crate::seed::Stream;

/// The genotypes of a layout.
pub struct Cells {
    layout: MixLayout,
    edges_per_node: usize,
}

impl Cells {
    /// Genotypes that keep `edges_per_node` edges of a layout at each node, or all where there are fewer.
    pub fn new(layout: MixLayout, edges_per_node: usize) -> Self {
        Cells { layout, edges_per_node }
    }

    /// How many genotypes there are; those that differ in the order of edges are one.
    ///
    /// Of each node the ways to keep so many edges, each with one of its operations: the elementary symmetric polynomial of
    /// the edges' numbers of operations. In double precision, since spaces of the field exceed 64 bits.
    pub fn count(&self) -> f64 {
        let node = |(kind, to): (&MixKind, usize)| {
            let edges: Vec<f64> =
                (0..to).map(|from| choices(kind, from, to).count() as f64).filter(|n| *n > 0.0).collect();
            let keep = self.edges_per_node.min(edges.len());
            let mut ways = vec![0.0; keep + 1];
            ways[0] = 1.0;
            for operations in edges {
                (1..=keep).rev().for_each(|k| ways[k] += ways[k - 1] * operations);
            }
            ways[keep]
        };
        let nodes = self.layout.kinds.iter().flat_map(|kind| (2..2 + kind.nodes).map(move |to| (kind, to)));
        nodes.map(node).product()
    }

    /// The edges and operations to choose from.
    pub fn layout(&self) -> &MixLayout {
        &self.layout
    }
}

/// The operations of an edge that a genotype may have.
fn choices(kind: &MixKind, from: usize, to: usize) -> impl Iterator<Item = CellOp> {
    let edge = kind.edges.iter().find(|edge| (edge.from, edge.to) == (from, to));
    edge.into_iter().flat_map(|edge| edge.ops.iter().copied()).filter(|op| *op != CellOp::None)
}

impl Space for Cells {
    type Arch = Genotype;
    type Key = [u8; 16];

    /// Edges without replacement, on each an operation: all as likely as each other.
    fn draw(&self, stream: &mut Stream) -> Genotype {
        sample_from(&self.layout, &vec![1.0; self.layout.len()], self.edges_per_node, stream)
    }

    /// Another operation on an edge, or another source with one of its operations.
    fn neighbours(&self, arch: &Genotype) -> Vec<Genotype> {
        let mut around = Vec::new();
        for (place, (cell, kind)) in arch.cells.iter().zip(&self.layout.kinds).enumerate() {
            for (node, edges) in cell.nodes.iter().enumerate() {
                for (slot, edge) in edges.iter().enumerate() {
                    let to = node + 2;
                    let free = |from: usize| from == edge.from || edges.iter().all(|other| other.from != from);
                    for from in (0..to).filter(|from| free(*from)) {
                        for op in choices(kind, from, to).filter(|op| (*op, from) != (edge.op, edge.from)) {
                            let mut changed = arch.clone();
                            let own = &mut changed.cells[place].nodes[node];
                            own[slot] = Edge { op, from };
                            own.sort_by_key(|edge| edge.from);
                            around.push(changed);
                        }
                    }
                }
            }
        }
        around
    }

    /// Of each kind of cell how many edges have each operation.
    fn features(&self, arch: &Genotype) -> Option<Features> {
        let mut counts = Vec::new();
        for (cell, kind) in arch.cells.iter().zip(&self.layout.kinds) {
            let mut ops: Vec<CellOp> = Vec::new();
            for op in kind.edges.iter().flat_map(|edge| &edge.ops).filter(|op| **op != CellOp::None) {
                if !ops.contains(op) {
                    ops.push(*op);
                }
            }
            let count = |op: &CellOp| cell.nodes.iter().flatten().filter(|edge| edge.op == *op).count() as f64;
            counts.extend(ops.iter().map(count));
        }
        Some(vec![counts])
    }

    /// Of the text: genotypes with their edges in another order are one network, since nodes add up what they read.
    fn key(&self, arch: &Genotype) -> [u8; 16] {
        let mut sorted = arch.clone();
        sorted.cells.iter_mut().flat_map(|cell| &mut cell.nodes).for_each(|edges| edges.sort_by_key(|edge| edge.from));
        let digest: [u8; 32] = Sha256::digest(sorted.to_string().as_bytes()).into();
        std::array::from_fn(|i| digest[i])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arch::families::cells::MixEdge;
    use crate::search::space::pool::Pool;
    use crate::search::strategy::{Random, Strategy};
    use crate::search::trial::{Answer, History, Outcome, Spent, Trial};
    use crate::seed::Seed;
    use crate::units::Macs;

    fn space() -> Cells {
        let ops = vec![CellOp::None, CellOp::SkipConnect, CellOp::SepConv(3), CellOp::DilConv(3)];
        let edges = [(0, 2), (1, 2), (0, 3), (1, 3), (2, 3)].into_iter().enumerate();
        let edge = |(i, (from, to))| MixEdge { from, to, ops: ops.clone(), offset: 4 * i };
        let kind = MixKind { kind: "a".into(), nodes: 2, edges: edges.map(edge).collect(), concat: vec![2, 3] };
        Cells::new(MixLayout { kinds: vec![kind], partial: 1 }, 2)
    }

    #[test]
    fn neighbours_differ_in_one_choice_and_come_back() {
        let space = space();
        let arch = space.draw(&mut Seed::root(1).stream());
        let around = space.neighbours(&arch);
        // Two other operations on each of four edges; at the second node, each edge from the one free state by three.
        assert_eq!(around.len(), 4 * 2 + 2 * 3);
        let mut keys: Vec<_> = around.iter().map(|a| space.key(a)).collect();
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), around.len());
        for neighbour in &around {
            neighbour.cells[0].validate().unwrap();
            assert!(space.neighbours(neighbour).iter().any(|back| space.key(back) == space.key(&arch)));
        }
    }

    /// Two edges at the first node, of three operations each; two of three at the second. And DARTS' cells with its seven
    /// operations, as Liu et al. (2019) count them: about 10^9 for each of two kinds.
    #[test]
    fn genotypes_are_counted() {
        assert_eq!(space().count(), (3.0 * 3.0) * (3.0 * 3.0 * 3.0));
        let mut drawn: Vec<_> = (0..4000).map(|i| space().draw(&mut Seed::root(i).stream())).collect();
        let space_of_all = space();
        drawn.sort_by_key(|genotype| space_of_all.key(genotype));
        drawn.dedup_by_key(|genotype| space_of_all.key(genotype));
        assert_eq!(drawn.len(), 243);
        let edges = (2..6).flat_map(|to| (0..to).map(move |from| (from, to)));
        let edges =
            edges.map(|(from, to)| MixEdge { from, to, ops: vec![CellOp::SkipConnect; 7], offset: 0 }).collect();
        let kind = MixKind { kind: "normal".into(), nodes: 4, edges, concat: vec![2, 3, 4, 5] };
        let darts = Cells::new(MixLayout { kinds: vec![kind], partial: 1 }, 2).count();
        assert_eq!(darts, 180.0 * 7f64.powi(8));
    }

    #[test]
    fn order_of_edges_is_no_choice() {
        let space = space();
        let arch = space.draw(&mut Seed::root(2).stream());
        let mut turned = arch.clone();
        turned.cells[0].nodes[1].reverse();
        assert_ne!(arch, turned);
        assert_eq!(space.key(&arch), space.key(&turned));
    }

    #[test]
    fn a_pool_is_drawn_to_its_end() {
        let space = space();
        let mut stream = Seed::root(3).stream();
        let pool = Pool { space: &space, networks: (0..6).map(|_| space.draw(&mut stream)).collect() };
        let mut history = History::default();
        let random = Random {};
        while let Some(proposal) = random.next(&pool, &history, Seed::root(4)) {
            let spent = Spent { trainings: 1.0, training: Macs(0), evaluation: Macs(0) };
            let answer = Answer { outcome: Outcome::Measured { objective: 0.0 }, spent };
            history.push(Trial { proposal, answer });
        }
        let mut keys: Vec<_> = pool.networks.iter().map(|a| space.key(a)).collect();
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(history.trials().len(), keys.len());
    }
}
