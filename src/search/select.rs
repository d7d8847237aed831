//! Selection by evaluation: a supernet keeps what it is worst without.
//!
//! Source: DARTS-PT (Wang et al. 2021, arXiv 2108.04392), whose supernets were better judges than their architecture
//! parameters. Ours: accuracy under attack comes first, then the mean of both accuracies, then the loss under attack, which
//! tells apart what few images cannot; every operation and every edge is taken away from the whole supernet, with nothing
//! trained in between, so that the order in which they are judged does not matter; a mixture without an operation is not
//! brought back to a sum of one.

use crate::arch::cell::CellOp;
use crate::arch::families::cells::{MixEdge, MixLayout};
use crate::arch::genotype::{Edge, Genotype};
use crate::error::Result;
use crate::search::derive::{build, choices};
use crate::units::Tally;

/// How a supernet with a mixture does on some images, all of them measured.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Seen {
    /// Right as they are.
    pub clean: Tally,
    /// Right under attack.
    pub attacked: Tally,
    /// The mean loss under attack.
    pub loss: f64,
}

impl Seen {
    /// Whether this is worse than another, measured on the same images.
    fn is_worse_than(&self, other: &Seen) -> bool {
        let by = |seen: &Seen| (seen.attacked.hit, seen.attacked.hit + seen.clean.hit);
        by(self) < by(other) || (by(self) == by(other) && self.loss > other.loss)
    }
}

/// The genotype of the operations without which a supernet is worst, on the edges without which it is worst. `judge` measures
/// the supernet with a mixture.
///
/// # Errors
/// Those of `judge`.
///
/// # Cost
/// A measurement for each operation of an edge that has several, and one for each edge of a node that has more than it keeps.
pub fn perturb(
    layout: &MixLayout,
    mix: &[f64],
    edges_per_node: usize,
    judge: &mut dyn FnMut(&[f64]) -> Result<Seen>,
) -> Result<Genotype> {
    let mut without = |gone: std::ops::Range<usize>| {
        let mut rest = mix.to_vec();
        rest[gone].fill(0.0);
        judge(&rest)
    };
    let mut chosen: Vec<Choice> = Vec::new();
    for (kind, edge) in layout.edges() {
        let candidates: Vec<(CellOp, usize)> = choices(edge, mix).map(|(op, at, _)| (op, at)).collect();
        let op = match &candidates[..] {
            [] => continue,
            [(only, _)] => *only,
            several => worst(several.iter().map(|(op, at)| Ok((*op, without(*at..*at + 1)?))))?,
        };
        let others = layout.edges().filter(|(k, e)| k.kind == kind.kind && e.to == edge.to);
        let contested = others.filter(|(_, other)| choices(other, mix).next().is_some()).count() > edges_per_node;
        let seen = if contested { without(edge.offset..edge.offset + edge.ops.len())? } else { Seen::default() };
        chosen.push(Choice { offset: edge.offset, op, seen });
    }
    Ok(build(layout, |edges| kept(edges, &chosen, edges_per_node)))
}

/// How often [`perturb`] measures the supernet.
pub fn measurements(layout: &MixLayout, edges_per_node: usize) -> usize {
    let mix = vec![0.0; layout.len()];
    let mut count = 0;
    perturb(layout, &mix, edges_per_node, &mut |_| {
        count += 1;
        Ok(Seen::default())
    })
    .map_or(0, |_| count)
}

/// What an edge is to have, and the supernet without the edge.
struct Choice {
    offset: usize,
    op: CellOp,
    seen: Seen,
}

/// Of some values, the one without which the supernet is worst; of equals, the first.
fn worst<T>(seen: impl Iterator<Item = Result<(T, Seen)>>) -> Result<T> {
    let mut worst: Option<(T, Seen)> = None;
    for next in seen {
        let next = next?;
        if worst.as_ref().is_none_or(|(_, worst)| next.1.is_worse_than(worst)) {
            worst = Some(next);
        }
    }
    worst.map(|(value, _)| value).ok_or_else(|| crate::error::Error::Internal("a choice of nothing".into()))
}

/// The edges of a node without which the supernet is worst, worst first; of equals, the one from the earlier state.
fn kept(edges: &[&MixEdge], chosen: &[Choice], edges_per_node: usize) -> Vec<Edge> {
    let choice = |edge: &&MixEdge| chosen.iter().find(|choice| choice.offset == edge.offset).map(|c| (edge.from, c));
    let mut list: Vec<(usize, &Choice)> = edges.iter().filter_map(choice).collect();
    list.sort_by(|(_, a), (_, b)| {
        if a.seen.is_worse_than(&b.seen) {
            std::cmp::Ordering::Less
        } else if b.seen.is_worse_than(&a.seen) {
            std::cmp::Ordering::Greater
        } else {
            std::cmp::Ordering::Equal
        }
    });
    list.truncate(edges_per_node);
    list.into_iter().map(|(from, choice)| Edge { op: choice.op, from }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arch::families::cells::MixKind;

    const OPS: [CellOp; 3] = [CellOp::None, CellOp::SkipConnect, CellOp::SepConv(3)];

    fn layout() -> MixLayout {
        let edges = [(0, 2), (1, 2), (0, 3), (1, 3), (2, 3)].into_iter().enumerate();
        let edge = |(i, (from, to))| MixEdge { from, to, ops: OPS.to_vec(), offset: 3 * i };
        MixLayout {
            kinds: vec![MixKind { kind: "a".into(), nodes: 2, edges: edges.map(edge).collect(), concat: vec![2, 3] }],
            partial: 1,
        }
    }

    /// A supernet to which every place of the mixture is worth something.
    fn judge(worth: [u64; 15]) -> impl FnMut(&[f64]) -> Result<Seen> {
        move |mix| {
            let hit = mix.iter().zip(&worth).filter(|(m, _)| **m > 0.0).map(|(_, w)| w).sum();
            Ok(Seen { clean: Tally::default(), attacked: Tally { hit, total: 100 }, loss: 0.0 })
        }
    }

    #[test]
    fn what_is_missed_most_is_kept() {
        let mix = [1.0 / 3.0; 15];
        #[rustfmt::skip]
        let worth = [
            9, 1, 2,  0, 3, 1, // node 2
            9, 0, 1,  0, 5, 2,  0, 3, 4, // node 3
        ];
        let found = perturb(&layout(), &mix, 2, &mut judge(worth)).unwrap();
        let e = |op, from| Edge { op, from };
        let [skip, sep] = [CellOp::SkipConnect, CellOp::SepConv(3)];
        // `none` is no choice, whatever the supernet loses without it; but an edge counts with all that is on it.
        assert_eq!(found.cells[0].nodes[0], [e(sep, 0), e(skip, 1)]);
        assert_eq!(found.cells[0].nodes[1], [e(sep, 0), e(skip, 1)]);
        found.cells[0].validate().unwrap();
    }

    /// The loss decides where the images do not.
    #[test]
    fn equal_accuracies_are_told_apart_by_the_loss() {
        let mix = [1.0 / 3.0; 15];
        let mut judge = |mix: &[f64]| {
            let loss = if mix[2] == 0.0 { 2.0 } else { 1.0 };
            Ok(Seen { loss, ..Seen::default() })
        };
        let found = perturb(&layout(), &mix, 1, &mut judge).unwrap();
        assert_eq!(found.cells[0].nodes[0], [Edge { op: CellOp::SepConv(3), from: 0 }]);
    }

    #[test]
    fn measurements_are_those_that_decide() {
        // Two operations on five edges; the second node has three edges for two places.
        assert_eq!(measurements(&layout(), 2), 2 * 5 + 3);
        assert_eq!(measurements(&layout(), 3), 2 * 5);
    }
}
