//! From edge distributions to genotypes.
//!
//! Source: DARTS section 2.3 and the released code of DSARA's successor: per node keep the incoming edges whose
//! strongest operation is strongest, and on each its strongest operation; `none` is never chosen. Samples are our own
//! addition.

use crate::arch::cell::CellOp;
use crate::arch::families::cells::{MixEdge, MixKind, MixLayout};
use crate::arch::genotype::{CellGenotype, Edge, Genotype};
use crate::record::CellState;
use crate::seed::{Seed, Stream};

/// The operations an edge may end up with, with their places in the mixture and their weights.
pub(super) fn choices<'a>(edge: &'a MixEdge, mix: &'a [f64]) -> impl Iterator<Item = (CellOp, usize, f64)> + 'a {
    let places = edge.ops.iter().zip(edge.offset..);
    places.map(|(op, at)| (*op, at, mix[at])).filter(|(op, ..)| *op != CellOp::None)
}

/// An edge's strongest operation and its weight; of equal ones the first.
fn strongest(edge: &MixEdge, mix: &[f64]) -> (CellOp, f64) {
    choices(edge, mix).fold((CellOp::None, 0.0), |best, (op, _, w)| if w > best.1 { (op, w) } else { best })
}

/// The arg-max genotype.
pub fn argmax(layout: &MixLayout, mix: &[f64], edges_per_node: usize) -> Genotype {
    build(layout, |edges| {
        let mut ranked: Vec<(&MixEdge, CellOp, f64)> = edges
            .iter()
            .map(|e| {
                let (op, weight) = strongest(e, mix);
                (*e, op, weight)
            })
            .collect();
        ranked.sort_by(|a, b| b.2.total_cmp(&a.2).then(a.0.from.cmp(&b.0.from)));
        ranked.into_iter().take(edges_per_node).map(|(e, op, _)| Edge { op, from: e.from }).collect()
    })
}

/// A genotype drawn from the distributions: per node, edges without replacement in proportion to their strongest
/// operation's weight; on each, an operation from its distribution.
pub fn sample(layout: &MixLayout, mix: &[f64], edges_per_node: usize, seed: Seed) -> Genotype {
    sample_from(layout, mix, edges_per_node, &mut seed.stream())
}

/// The same from a stream of random numbers.
pub fn sample_from(layout: &MixLayout, mix: &[f64], edges_per_node: usize, stream: &mut Stream) -> Genotype {
    build(layout, |edges| draw(edges, mix, edges_per_node, stream))
}

/// A genotype drawn uniformly from the space.
pub fn random(layout: &MixLayout, edges_per_node: usize, seed: Seed) -> Genotype {
    sample(layout, &vec![1.0; layout.len()], edges_per_node, seed)
}

fn draw(edges: &[&MixEdge], mix: &[f64], keep: usize, stream: &mut Stream) -> Vec<Edge> {
    let mut left: Vec<&MixEdge> = edges.to_vec();
    let mut drawn = Vec::new();
    while drawn.len() < keep && !left.is_empty() {
        let weights: Vec<f64> = left.iter().map(|e| strongest(e, mix).1).collect();
        let edge = left.remove(stream.weighted(&weights));
        let (ops, weights): (Vec<CellOp>, Vec<f64>) = choices(edge, mix).map(|(op, _, weight)| (op, weight)).unzip();
        drawn.push(Edge { op: ops[stream.weighted(&weights)], from: edge.from });
    }
    drawn.sort_by_key(|e| e.from);
    drawn
}

/// A genotype whose edges are picked node by node among those that may stand.
pub(super) fn build(layout: &MixLayout, mut pick: impl FnMut(&[&MixEdge]) -> Vec<Edge>) -> Genotype {
    let cells = layout
        .kinds
        .iter()
        .map(|kind| {
            let nodes = (2..kind.nodes + 2)
                .map(|to| {
                    let edges: Vec<&MixEdge> = kind.edges.iter().filter(|e| e.to == to && can_stand(e)).collect();
                    pick(&edges)
                })
                .collect();
            CellGenotype { kind: kind.kind.clone(), nodes, concat: kind.concat.clone() }
        })
        .collect();
    Genotype { cells }
}

/// The mixture that is a genotype: its operations at weight one, nothing else.
pub fn one_hot(layout: &MixLayout, genotype: &Genotype) -> Vec<f64> {
    let mut mix = vec![0.0; layout.len()];
    for (kind, edge) in layout.edges() {
        let cell = genotype.cells.iter().find(|cell| cell.kind == kind.kind);
        let node = cell.and_then(|cell| cell.nodes.get(edge.to - 2));
        for chosen in node.into_iter().flatten().filter(|chosen| chosen.from == edge.from) {
            if let Some(at) = edge.ops.iter().position(|op| *op == chosen.op) {
                mix[edge.offset + at] = 1.0;
            }
        }
    }
    mix
}

/// Whether the edge has a candidate other than `none`.
fn can_stand(edge: &MixEdge) -> bool {
    edge.ops.iter().any(|op| *op != CellOp::None)
}

/// The state of every kind of cell: the entropy of its edges, the share of operations without weights in the arg-max
/// genotype (a sign of collapse), and how far its parameters moved, of which `apart` has the distances.
pub fn cell_states(layout: &MixLayout, mix: &[f64], edges_per_node: usize, apart: &[f64]) -> Vec<CellState> {
    let genotype = argmax(layout, mix, edges_per_node);
    let state = |kind: &MixKind, cell: &CellGenotype| {
        let entropy = kind
            .edges
            .iter()
            .map(|e| {
                mix[e.offset..e.offset + e.ops.len()].iter().map(|p| if *p > 0.0 { -p * p.ln() } else { 0.0 }).sum()
            })
            .collect();
        let ops: Vec<CellOp> = cell.nodes.iter().flatten().map(|e| e.op).collect();
        let share =
            |of: &dyn Fn(CellOp) -> bool| ops.iter().filter(|op| of(**op)).count() as f64 / ops.len().max(1) as f64;
        CellState {
            kind: kind.kind.clone(),
            entropy,
            skip_share: share(&|op| op == CellOp::SkipConnect),
            weightless_share: share(&|op| !op.has_weights()),
            moved: Some(rms(kind.edges.iter().flat_map(|e| &apart[e.offset..e.offset + e.ops.len()]))),
        }
    };
    layout.kinds.iter().zip(&genotype.cells).map(|(k, c)| state(k, c)).collect()
}

/// The root mean square; 0 of nothing.
pub(super) fn rms<'a>(numbers: impl IntoIterator<Item = &'a f64>) -> f64 {
    let (sum, n) = numbers.into_iter().fold((0.0, 0usize), |(sum, n), x| (sum + x * x, n + 1));
    (sum / n.max(1) as f64).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout() -> MixLayout {
        let ops = vec![CellOp::None, CellOp::SkipConnect, CellOp::SepConv(3)];
        let edges = [(0, 2), (1, 2), (0, 3), (1, 3), (2, 3)];
        let edges = edges.iter().enumerate().map(|(i, (from, to))| MixEdge {
            from: *from,
            to: *to,
            ops: ops.clone(),
            offset: 3 * i,
        });
        MixLayout {
            kinds: vec![MixKind { kind: "a".into(), nodes: 2, edges: edges.collect(), concat: vec![2, 3] }],
            partial: 1,
        }
    }

    #[test]
    fn argmax_keeps_the_strongest_edges_and_never_none() {
        let mix = [
            0.9, 0.05, 0.05, 0.2, 0.5, 0.3, // node 2
            0.1, 0.2, 0.7, 0.98, 0.01, 0.01, 0.1, 0.6, 0.3, // node 3
        ];
        let g = argmax(&layout(), &mix, 2);
        let e = |op, from| Edge { op, from };
        assert_eq!(g.cells[0].nodes[0], [e(CellOp::SkipConnect, 1), e(CellOp::SkipConnect, 0)]);
        assert_eq!(g.cells[0].nodes[1], [e(CellOp::SepConv(3), 0), e(CellOp::SkipConnect, 2)]);
    }

    #[test]
    fn samples_follow_the_distribution() {
        let mix = [0.0, 0.9, 0.1].repeat(5);
        let mut skips = 0;
        for i in 0..500 {
            let g = sample(&layout(), &mix, 2, Seed::root(1).index(i));
            g.cells[0].validate().unwrap();
            for node in &g.cells[0].nodes {
                assert_eq!(node.len(), 2);
                assert_ne!(node[0].from, node[1].from);
                skips += node.iter().filter(|e| e.op == CellOp::SkipConnect).count();
            }
        }
        assert!((1740..1860).contains(&skips), "{skips} of 2000 are skips, 1800 expected");
    }

    #[test]
    fn a_genotype_as_a_mixture() {
        let genotype = random(&layout(), 2, Seed::root(3));
        let mix = one_hot(&layout(), &genotype);
        assert_eq!(mix.iter().sum::<f64>(), 4.0);
        let mut again = argmax(&layout(), &mix, 2);
        again.cells.iter_mut().flat_map(|cell| &mut cell.nodes).for_each(|edges| edges.sort_by_key(|edge| edge.from));
        assert_eq!(again, genotype);
    }

    #[test]
    fn entropy_of_a_uniform_edge() {
        let states = cell_states(&layout(), &[1.0 / 3.0; 15], 2, &[0.1; 15]);
        assert!((states[0].moved.unwrap() - 0.1).abs() < 1e-12);
        assert!((states[0].entropy[0] - 3f64.ln()).abs() < 1e-12);
    }
}
