//! Weights by their place in a cell network of the space: the largest there is of each, of which a network takes slices.
//!
//! A tensor is at a stage, a cell of it and, within the cell, at an edge and its operation; so two networks share it wherever
//! both have that operation on that edge, at any depth and width. A narrower network has the first channels of every axis
//! (Cai et al. 2020, once-for-all); where an input is several states side by side, as behind a cell's concatenation, the first
//! of each. Ours: the halves of a factorised reduction are taken for one state.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::arch::families::cells::{MixLayout, Skeleton, derived};
use crate::arch::genotype::{CellGenotype, Edge, Genotype};
use crate::engine::ParamLayout;
use crate::error::{Error, Result};
use crate::seed::Seed;

/// A shared tensor.
#[derive(Clone, Debug, PartialEq)]
struct Shared {
    /// Its largest shape.
    shape: Vec<usize>,
    /// States side by side on the input axis.
    blocks: usize,
    /// Its place in vectors of all.
    range: Range<usize>,
}

/// Where every shared weight lies.
#[derive(Clone, Debug)]
pub struct Store {
    tensors: BTreeMap<String, Shared>,
    len: usize,
}

/// What a tensor of a network is in the store.
struct Named {
    key: String,
    blocks: usize,
}

impl Store {
    /// A store for all networks of a layout up to some sizes, and its fresh weights. The skeletons are the depths there are,
    /// each as wide as the widest network.
    ///
    /// # Errors
    /// [`Error::Net`] as [`derived`].
    pub fn new(largest: &[Skeleton], layout: &MixLayout, seed: Seed) -> Result<(Self, Vec<f32>)> {
        let (mut store, mut weights) = (Store { tensors: BTreeMap::new(), len: 0 }, Vec::new());
        let turns = layout.edges().map(|(_, edge)| edge.ops.len()).max().unwrap_or(0);
        for (skeleton, turn) in largest.iter().flat_map(|skeleton| (0..turns).map(move |turn| (skeleton, turn))) {
            let genotype = whole(layout, turn);
            let net = derived(skeleton, &genotype)?;
            let own = ParamLayout::new(&net);
            let fresh = own.init(&net, seed);
            for tensor in own.tensors().iter().filter(|tensor| tensor.range.end <= own.trainable()) {
                let Named { key, blocks } = named(&tensor.name, skeleton, &genotype)?;
                if !store.tensors.contains_key(&key) {
                    let range = store.len..store.len + tensor.range.len();
                    store.len = range.end;
                    weights.extend(fresh[tensor.range.clone()].iter().map(|value| *value as f32));
                    store.tensors.insert(key, Shared { shape: tensor.shape.clone(), blocks, range });
                }
            }
        }
        Ok((store, weights))
    }

    /// Weights in all.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// For every trainable number of a network, in its order, its place in the store.
    ///
    /// # Errors
    /// [`Error::Net`] naming the tensor of a network that the store does not have, or has smaller.
    pub fn places(&self, skeleton: &Skeleton, genotype: &Genotype, layout: &ParamLayout) -> Result<Vec<u32>> {
        let mut places = Vec::with_capacity(layout.trainable());
        for tensor in layout.tensors().iter().filter(|tensor| tensor.range.end <= layout.trainable()) {
            let Named { key, blocks } = named(&tensor.name, skeleton, genotype)?;
            let shared = self.tensors.get(&key).filter(|shared| {
                let fits = shared.shape.iter().zip(&tensor.shape).all(|(most, own)| own <= most);
                fits && shared.shape.len() == tensor.shape.len() && shared.blocks == blocks
            });
            let shared = shared.ok_or_else(|| {
                let (name, shape) = (&tensor.name, &tensor.shape);
                Error::Net(format!("the shared weights have no `{key}` of {shape:?} in {blocks} states, for `{name}`"))
            })?;
            shared.slice(&tensor.shape, &mut places);
        }
        Ok(places)
    }
}

impl Shared {
    /// The places of a slice, the last axis fastest.
    fn slice(&self, shape: &[usize], places: &mut Vec<u32>) {
        let axes = shape.len();
        let steps: Vec<Vec<usize>> = (0..axes)
            .map(|axis| {
                let stride: usize = self.shape[axis + 1..].iter().product();
                // The last axis is the output, the one before it the input.
                let blocks = if axes >= 2 && axis == axes - 2 { self.blocks } else { 1 };
                let (own, most) = (shape[axis] / blocks, self.shape[axis] / blocks);
                (0..shape[axis]).map(|i| (i / own * most + i % own) * stride).collect()
            })
            .collect();
        let mut at = vec![0; axes];
        for _ in 0..shape.iter().product::<usize>() {
            let offset: usize = at.iter().zip(&steps).map(|(i, steps)| steps[*i]).sum();
            places.push((self.range.start + offset) as u32);
            for axis in (0..axes).rev() {
                at[axis] += 1;
                if at[axis] < shape[axis] {
                    break;
                }
                at[axis] = 0;
            }
        }
    }
}

/// The genotype with every edge of a layout, each with the operation whose turn it is.
fn whole(layout: &MixLayout, turn: usize) -> Genotype {
    let cells = layout.kinds.iter().map(|kind| {
        let nodes = (2..kind.nodes + 2).map(|to| {
            let edges = kind.edges.iter().filter(|e| e.to == to && !e.ops.is_empty());
            edges.map(|e| Edge { op: e.ops[turn.min(e.ops.len() - 1)], from: e.from }).collect()
        });
        CellGenotype { kind: kind.kind.clone(), nodes: nodes.collect(), concat: kind.concat.clone() }
    });
    Genotype { cells: cells.collect() }
}

/// The place of a tensor that is called `name` in the network of a skeleton and a genotype.
fn named(name: &str, skeleton: &Skeleton, genotype: &Genotype) -> Result<Named> {
    let unknown = || Error::Internal(format!("`{name}` is no tensor of a cell network"));
    let states = |cell: Option<usize>| match cell {
        Some(cell) => Ok::<_, Error>(genotype.cell(&skeleton.cells[cell].kind)?.concat.len()),
        None => Ok(1),
    };
    let Some((cell, rest)) = name.strip_prefix("cell").and_then(|rest| rest.split_once('.')) else {
        let blocks = if name.starts_with("head.") { states(skeleton.cells.len().checked_sub(1))? } else { 1 };
        return Ok(Named { key: name.to_owned(), blocks: if name.ends_with("weight") { blocks } else { 1 } });
    };
    let cell: usize = cell.parse().map_err(|_| unknown())?;
    let before = &skeleton.cells[..cell];
    let stage = before.iter().chain([&skeleton.cells[cell]]).filter(|placed| placed.reduction).count();
    let since = before.iter().rev().take_while(|placed| !placed.reduction).count();
    let place =
        if skeleton.cells[cell].reduction { format!("reduction{stage}") } else { format!("stage{stage}.{since}") };
    let (_, inside) = rest.split_once('.').ok_or_else(unknown)?;
    let input = |back: usize| {
        Ok::<_, Error>(Named { key: format!("{place}.{inside}"), blocks: states(cell.checked_sub(back))? })
    };
    let mut parts = inside.splitn(3, '.');
    match (parts.next(), parts.next(), parts.next()) {
        (Some("pre0"), Some(part), _) if part.starts_with("conv") => input(2),
        (Some("pre1"), Some(part), _) if part.starts_with("conv") => input(1),
        (Some("pre0" | "pre1"), ..) => Ok(Named { key: format!("{place}.{inside}"), blocks: 1 }),
        (Some(node), Some(slot), Some(operation)) => {
            let number = node.strip_prefix("node").and_then(|n| n.parse::<usize>().ok()).and_then(|n| n.checked_sub(2));
            let nodes = &genotype.cell(&skeleton.cells[cell].kind)?.nodes;
            let edges = number.and_then(|number| nodes.get(number)).ok_or_else(unknown)?;
            let edge = slot.parse().ok().and_then(|slot: usize| edges.get(slot)).ok_or_else(unknown)?;
            Ok(Named { key: format!("{place}.{node}.from{}.{operation}", edge.from), blocks: 1 })
        }
        _ => Err(unknown()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arch::cell::CellOp;
    use crate::arch::families::cells::{MixEdge, MixKind, Placement};
    use crate::arch::op::Shape;
    use crate::search::derive::random;

    fn layout() -> MixLayout {
        let ops = vec![CellOp::SkipConnect, CellOp::MaxPool(3), CellOp::SepConv(3), CellOp::DilConv(5)];
        let mut offset = 0;
        let kinds = ["accurate", "reduce", "robust"].map(|kind| {
            let edges = [(0, 2), (1, 2), (0, 3), (1, 3), (2, 3)].map(|(from, to)| {
                offset += ops.len();
                MixEdge { from, to, ops: ops.clone(), offset: offset - ops.len() }
            });
            MixKind { kind: kind.into(), nodes: 2, edges: edges.to_vec(), concat: vec![2, 3] }
        });
        MixLayout { kinds: kinds.to_vec(), partial: 1 }
    }

    fn skeleton(cells: [usize; 3], channels: [usize; 3]) -> Skeleton {
        let placement = Placement::dsara();
        let stem = 3 * channels[0];
        let cells = placement.scaled_row(&cells, &channels);
        Skeleton {
            image: Shape::new(16, 16, 3),
            classes: 4,
            normalize: None,
            stem,
            stem_kind: Default::default(),
            cells,
        }
    }

    fn places(store: &Store, skeleton: &Skeleton, genotype: &Genotype) -> Vec<u32> {
        let own = ParamLayout::new(&derived(skeleton, genotype).unwrap());
        let places = store.places(skeleton, genotype, &own).unwrap();
        assert_eq!(places.len(), own.trainable());
        let mut once = places.clone();
        once.sort_unstable();
        once.dedup();
        assert_eq!(once.len(), places.len(), "no two weights of a network are one");
        places
    }

    /// The whole store is used by the largest networks, and every network of any size has its places in it.
    #[test]
    fn every_network_has_its_slice() {
        let (layout, largest) = (layout(), [skeleton([2, 2, 1], [8, 12, 16]), skeleton([3, 3, 2], [8, 12, 16])]);
        let (store, fresh) = Store::new(&largest, &layout, Seed::root(1)).unwrap();
        assert_eq!(fresh.len(), store.len());
        let mut used = vec![false; store.len()];
        for skeleton in &largest {
            for turn in 0..4 {
                let places = places(&store, skeleton, &whole(&layout, turn));
                places.into_iter().for_each(|place| used[place as usize] = true);
            }
        }
        assert!(used.iter().all(|used| *used));
        for draw in 0..10 {
            let genotype = random(&layout, 2, Seed::root(draw));
            for channels in [[2, 4, 2], [8, 12, 16], [6, 2, 12]] {
                for depth in [[2, 2, 1], [3, 3, 2]] {
                    places(&store, &skeleton(depth, channels), &genotype);
                }
            }
        }
        let wide = skeleton([2, 2, 1], [10, 12, 16]);
        let genotype = random(&layout, 2, Seed::root(0));
        let own = ParamLayout::new(&derived(&wide, &genotype).unwrap());
        let why = store.places(&wide, &genotype, &own).unwrap_err().to_string();
        assert!(why.contains("the shared weights have no `stem.conv.weight` of [3, 3, 3, 30]"), "{why}");
    }

    /// Two networks share what both have on one edge, wherever it stands in their lists, and nothing else of their cells.
    #[test]
    fn networks_share_an_edge_and_its_operation() {
        let layout = layout();
        let all = skeleton([2, 2, 1], [4, 4, 4]);
        let (store, _) = Store::new(std::slice::from_ref(&all), &layout, Seed::root(1)).unwrap();
        let at = |slot: usize, edges: [Edge; 2]| {
            let mut genotype = random(&layout, 2, Seed::root(3));
            genotype.cells[2].nodes[1] = edges.to_vec();
            let own = ParamLayout::new(&derived(&all, &genotype).unwrap());
            let places = store.places(&all, &genotype, &own).unwrap();
            let name = format!("cell6.robust.node3.{slot}.sep_conv_3x3.pointwise1.weight");
            let tensor = own.tensors().iter().find(|tensor| tensor.name == name).unwrap();
            places[tensor.range.clone()].to_vec()
        };
        let edge = |op, from| Edge { op, from };
        let (sep, pool) = (CellOp::SepConv(3), CellOp::MaxPool(3));
        let first = at(0, [edge(sep, 1), edge(pool, 2)]);
        assert_eq!(first, at(1, [edge(pool, 0), edge(sep, 1)]));
        let other = at(0, [edge(sep, 0), edge(pool, 2)]);
        assert!(first.iter().all(|place| !other.contains(place)));
    }

    /// Behind a concatenation a narrower network has the first channels of every state.
    #[test]
    fn slices_of_states_side_by_side() {
        let shared = Shared { shape: vec![1, 1, 6, 3], blocks: 2, range: 100..118 };
        let mut places = Vec::new();
        shared.slice(&[1, 1, 4, 2], &mut places);
        // Inputs 0 and 1 of each block of three, outputs 0 and 1 of three.
        assert_eq!(places, [100, 101, 103, 104, 109, 110, 112, 113]);
    }
}
