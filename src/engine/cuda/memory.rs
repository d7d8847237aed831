//! Where everything that a pass touches lies on the device: one lane of the whole batch, every buffer `[n, h, w, c]`.

use std::ops::Range;

use super::address::Address;
use crate::engine::arena::Place;
use crate::engine::call::Kind;
use crate::engine::layout::ArenaLayout;
use crate::engine::plan::Plan;
use crate::error::{Error, Result};

/// Numbers of a call that are written to the device before a pass, in one copy: the mixing vector, then what nodes are told.
/// They stand behind the batch-norms' numbers in the shared part of the arena.
#[derive(Clone, Debug)]
pub struct Uploads {
    /// The first of them, in the shared part.
    start: usize,
    mix: usize,
    constants: Vec<f32>,
    /// Where every node's begin among the constants.
    of_node: Vec<usize>,
}

impl Uploads {
    /// What a plan wants.
    pub fn of(plan: &Plan) -> Uploads {
        let (mut constants, mut of_node) = (Vec::new(), Vec::with_capacity(plan.nodes.len()));
        for node in &plan.nodes {
            of_node.push(constants.len());
            if let Kind::Normalize { mean, std } = &node.kind {
                // `(x - mean) / std` as scale and shift.
                constants.extend(std.iter().map(|s| 1.0 / s));
                constants.extend(mean.iter().zip(std).map(|(m, s)| (-f64::from(*m) / f64::from(*s)) as f32));
            }
        }
        Uploads { start: plan.shared_len.next_multiple_of(16), mix: plan.mix_len, constants, of_node }
    }

    /// Their place in the shared part.
    pub fn range(&self) -> Range<usize> {
        self.start..self.start + self.mix + self.constants.len()
    }

    /// The numbers, for a mixing vector.
    pub fn values(&self, mix: &[f64]) -> Vec<f32> {
        mix[..self.mix].iter().map(|v| *v as f32).chain(self.constants.iter().copied()).collect()
    }
}

/// How a batch lies in an arena whose first usable scalar is `start`.
pub fn lay_out(plan: &Plan, uploads: &Uploads, scratch: usize, batch: usize, start: usize) -> ArenaLayout {
    let gathered = plan.gathered_len().next_multiple_of(16);
    ArenaLayout {
        batch,
        pack: 1,
        per_lane: batch,
        lanes: 1,
        start,
        shared: uploads.range().end.next_multiple_of(16),
        lane: batch * plan.image_len + gathered + scratch.next_multiple_of(16),
        gathered,
        gradient: 0,
        spare: 0,
    }
}

/// Where a batch and a network are.
#[derive(Clone, Copy, Debug)]
pub struct Memory<'a> {
    /// The plan.
    pub plan: &'a Plan,
    /// What was written before the pass.
    pub uploads: &'a Uploads,
    /// How the batch lies.
    pub layout: ArenaLayout,
    /// The arena's first scalar.
    pub arena: Address,
    /// The network's numbers.
    pub state: Address,
    /// Images forward, gradients of the logits backward.
    pub batch: Address,
}

impl Memory<'_> {
    /// # Errors
    /// [`Error::Impossible`] where a plane of the batch has more numbers than kernels count.
    pub fn check(&self) -> Result<()> {
        let largest = self.plan.nodes.iter().map(|node| node.shape.len()).max().unwrap_or(0);
        match i32::try_from(self.layout.batch * largest) {
            Ok(_) => Ok(()),
            Err(_) => Err(Error::Impossible(format!(
                "a batch of {} images whose largest plane has {largest} numbers: CUDA kernels count to 2^31; take smaller \
                 batches",
                self.layout.batch
            ))),
        }
    }

    /// Images.
    pub fn images(&self) -> usize {
        self.layout.batch
    }

    fn lane(&self, at: usize) -> Address {
        self.arena.at(self.layout.start + self.layout.shared + at)
    }

    /// A buffer of all images, one after the other.
    pub fn place(&self, place: Place) -> Address {
        self.lane(place.start * self.layout.batch)
    }

    /// A part of what all images share.
    pub fn shared(&self, range: Range<usize>) -> Address {
        self.arena.at(self.layout.start + range.start)
    }

    /// A part of the network's numbers.
    pub fn state(&self, range: &Range<usize>) -> Address {
        self.state.at(range.start)
    }

    /// Where a gradient is added up over the batch, counted as [`Plan::gathered_len`] does.
    pub fn gathered(&self, at: usize) -> Address {
        self.lane(self.layout.batch * self.plan.image_len + at)
    }

    /// Where a weight of the mixing vector has its gradient.
    pub fn mixing_gradient(&self, weight: usize) -> Address {
        self.gathered(self.plan.weights_len() + weight)
    }

    /// Memory to work in.
    pub fn scratch(&self) -> Address {
        self.lane(self.layout.batch * self.plan.image_len + self.layout.gathered)
    }

    /// A weight of the mixing vector.
    pub fn mix(&self, weight: usize) -> Address {
        self.arena.at(self.layout.start + self.uploads.start + weight)
    }

    /// What a node is told.
    pub fn constants(&self, node: usize) -> Address {
        self.mix(self.uploads.mix + self.uploads.of_node[node])
    }
}
