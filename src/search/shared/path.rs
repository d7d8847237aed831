//! Which network trains at which step: uniform over edges, and fair over operations.

use crate::arch::cell::CellOp;
use crate::arch::families::cells::MixLayout;
use crate::arch::genotype::{CellGenotype, Edge, Genotype};
use crate::seed::Seed;

/// The network of a step. Every node keeps edges drawn at random (Guo et al. 2020, single-path one-shot); of the operations
/// of an edge each has its turn in as many steps as there are, in an order that is drawn anew for each round (Chu et al. 2021,
/// FairNAS). Ours: FairNAS makes one update of all turns of a round, here each is one; and an edge that is left out by its
/// node in a step loses that turn.
///
/// It depends on the step and the seed alone. `attempt` gives other networks for the same step, where one does not fit.
pub fn path(layout: &MixLayout, edges_per_node: usize, step: u64, attempt: u64, seed: Seed) -> Genotype {
    let mut stream = seed.child("edges").index(step).index(attempt).stream();
    let turns = seed.child("operations").index(attempt);
    let cells = layout.kinds.iter().map(|kind| {
        let nodes = (2..kind.nodes + 2).map(|to| {
            let mut edges: Vec<_> = kind.edges.iter().filter(|e| e.to == to).map(|e| (e, choices(&e.ops))).collect();
            edges.retain(|(_, ops)| !ops.is_empty());
            stream.shuffle(&mut edges);
            edges.truncate(edges_per_node);
            edges.sort_by_key(|(edge, _)| edge.from);
            let chosen = edges.into_iter().map(|(edge, mut ops)| {
                let n = ops.len() as u64;
                let round = turns.child(&kind.kind).index(edge.offset as u64).index(step / n);
                round.stream().shuffle(&mut ops);
                Edge { op: ops[(step % n) as usize], from: edge.from }
            });
            chosen.collect()
        });
        CellGenotype { kind: kind.kind.clone(), nodes: nodes.collect(), concat: kind.concat.clone() }
    });
    Genotype { cells: cells.collect() }
}

fn choices(ops: &[CellOp]) -> Vec<CellOp> {
    ops.iter().copied().filter(|op| *op != CellOp::None).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arch::families::cells::{MixEdge, MixKind};
    use std::collections::BTreeMap;

    const OPS: [CellOp; 4] = [CellOp::None, CellOp::SkipConnect, CellOp::SepConv(3), CellOp::DilConv(3)];

    fn layout() -> MixLayout {
        let edges = [(0, 2), (1, 2), (0, 3), (1, 3), (2, 3)].into_iter().enumerate();
        let edge = |(i, (from, to))| MixEdge { from, to, ops: OPS.to_vec(), offset: 4 * i };
        let kind = MixKind { kind: "a".into(), nodes: 2, edges: edges.map(edge).collect(), concat: vec![2, 3] };
        MixLayout { kinds: vec![kind], partial: 1 }
    }

    /// In three steps of a round every operation of an edge that is kept in all of them is used once.
    #[test]
    fn operations_have_their_turns() {
        let layout = layout();
        for round in 0..50 {
            let mut seen = BTreeMap::<usize, Vec<CellOp>>::new();
            for step in 3 * round..3 * round + 3 {
                let genotype = path(&layout, 2, step, 0, Seed::root(1));
                genotype.cells[0].validate().unwrap();
                // The first node keeps both of its edges always.
                genotype.cells[0].nodes[0].iter().for_each(|edge| seen.entry(edge.from).or_default().push(edge.op));
            }
            for mut ops in seen.into_values() {
                ops.sort_unstable();
                assert_eq!(ops, OPS[1..]);
            }
        }
    }

    #[test]
    fn edges_are_kept_alike() {
        let layout = layout();
        let mut kept = [0; 3];
        for step in 0..3000 {
            let genotype = path(&layout, 2, step, 0, Seed::root(2));
            genotype.cells[0].nodes[1].iter().for_each(|edge| kept[edge.from] += 1);
        }
        assert!(kept.iter().all(|n| (1900..2100).contains(n)), "{kept:?}");
        assert_eq!(path(&layout, 2, 7, 0, Seed::root(2)), path(&layout, 2, 7, 0, Seed::root(2)));
        assert_ne!(path(&layout, 2, 7, 0, Seed::root(2)), path(&layout, 2, 7, 1, Seed::root(2)));
    }
}
