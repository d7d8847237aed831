//! From a plan to a tape: every step of every segment in order, each for the whole batch.
//!
//! Nothing here knows a driver. The tape depends on shapes and places alone, so the one that is made for a device that is not
//! there says which kernels a plan wants, and how much memory to work in.

mod backward;
mod forward;
mod layers;
mod norms;

use super::address::{Address, Incoming, Source};
use super::call::Parts;
use super::kernels::{parts, pointwise};
use super::memory::Memory;
use super::tape::Tape;
use crate::engine::arena::BufferId;
use crate::engine::mode::Direction;
use crate::engine::plan::{Action, Gradient, Merge, Plan, Step};
use crate::error::{Error, Result};

/// A tape in the making.
pub struct Trace<'a> {
    memory: Memory<'a>,
    poison: bool,
    tape: Tape,
    /// Scalars of scratch that the running step has taken, and the most that any step took.
    scratch: usize,
    most: usize,
}

/// What a pass launches, and the scalars of scratch that it wants.
pub struct Traced {
    /// The launches.
    pub tape: Tape,
    /// The scratch.
    pub scratch: usize,
}

/// Traces one direction. Where `poison`, buffers that hold nothing more are filled with NaN.
///
/// # Errors
/// [`Error::Impossible`] for an operation without a kernel, and for a batch that is too large; [`Error::Internal`] for a plan that
/// says one thing here and another there.
pub fn trace(memory: Memory<'_>, direction: Direction, poison: bool) -> Result<Traced> {
    memory.check()?;
    let plan = memory.plan;
    let mut trace = Trace { memory, poison, tape: Tape::default(), scratch: 0, most: 0 };
    let segments = match direction {
        Direction::Forward => &plan.forward,
        Direction::Backward => {
            trace.tape.push(pointwise::fill(memory.gathered(0), plan.gathered_len(), 0.0));
            &plan.backward
        }
    };
    for segment in segments {
        for merge in &segment.before {
            trace.merge(*merge)?;
        }
        trace.bury(&segment.dead_before);
        for step in &segment.steps {
            trace.step(step)?;
            trace.bury(&step.dead);
        }
        trace.bury(&segment.dead_behind);
    }
    Ok(Traced { tape: trace.tape, scratch: trace.most })
}

/// What moves running statistics towards those of the batch that was run forward last.
pub fn recording(memory: &Memory<'_>) -> Tape {
    let mut tape = Tape::default();
    for (_, norm) in (0..memory.plan.nodes.len()).filter_map(|node| norms::norm(memory, node)) {
        tape.push(norm.record());
    }
    tape
}

/// A plan that says one thing and a schedule that says another.
fn disagree(node: usize, what: &str) -> Error {
    Error::Internal(format!("node {node} of a plan {what}"))
}

impl<'a> Trace<'a> {
    fn plan(&self) -> &'a Plan {
        self.memory.plan
    }

    fn images(&self) -> usize {
        self.memory.images()
    }

    /// Numbers of a node's value in the whole batch.
    fn len(&self, node: usize) -> usize {
        self.images() * self.plan().nodes[node].shape.len()
    }

    fn step(&mut self, step: &Step) -> Result<()> {
        self.scratch = 0;
        match &step.action {
            Action::Forward => self.forward(step.node),
            Action::Moments => self.moments(step.node),
            Action::Normalize => self.normalize(step.node),
            Action::LossGradient => {
                if let Some(place) = self.plan().own_gradient(step.node) {
                    let c = self.plan().nodes[step.node].shape.c;
                    let to = (self.memory.place(place), false);
                    self.tape.push(pointwise::carry(Incoming::plain(self.memory.batch, c), to, self.len(step.node)));
                }
                Ok(())
            }
            Action::Backward { accumulate, .. } => self.backward(step.node, accumulate),
            Action::Sums => self.gradient_sums(step.node),
            Action::NormBackward { accumulate } => self.norm_backward(step.node, *accumulate),
        }
    }

    fn merge(&mut self, merge: Merge) -> Result<()> {
        match merge {
            Merge::Fold(node) => self.fold_running(node),
            Merge::Moments(node) => self.merge_moments(node),
            Merge::Line(node) => self.merge_line(node),
        }
    }

    /// Fills what holds nothing more with numbers that are none, where that is asked for.
    fn bury(&mut self, dead: &[BufferId]) {
        for buffer in dead.iter().filter(|_| self.poison) {
            let place = self.plan().place(*buffer);
            self.tape.push(pointwise::fill(self.memory.place(place), self.images() * place.len, f32::NAN));
        }
    }

    /// Memory that the running step alone uses.
    fn take(&mut self, len: usize) -> Address {
        let at = self.memory.scratch().at(self.scratch);
        self.scratch += len.next_multiple_of(16);
        self.most = self.most.max(self.scratch);
        at
    }

    /// A node's value as its readers read it: with the batch-norm that they apply, if there is one.
    fn source(&self, node: usize) -> Source {
        let values = self.memory.place(self.plan().value[node]);
        match self.plan().lazy_norm(node) {
            Some(norm) => {
                let affine = self.memory.shared(norm.affine());
                Source { values, scale: affine, shift: affine.at(norm.c), relu: 0 }
            }
            None => Source::plain(values),
        }
    }

    /// A node's value as it stands.
    fn value(&self, node: usize) -> Address {
        self.memory.place(self.plan().value[node])
    }

    /// Where the gradient of a node's value comes from.
    fn incoming(&self, node: usize) -> Result<Incoming> {
        let c = self.plan().nodes[node].shape.c;
        match self.plan().grad[node] {
            Some(Gradient::Own(place) | Gradient::Shared { place, factor: None }) => {
                Ok(Incoming::plain(self.memory.place(place), c))
            }
            Some(Gradient::Shared { place, factor: Some(weight) }) => {
                let factor = self.memory.mix(weight);
                Ok(Incoming { factor, ..Incoming::plain(self.memory.place(place), c) })
            }
            Some(Gradient::Line(norm)) => self.line(norm),
            None => Err(disagree(node, "goes backward and has no gradient")),
        }
    }

    /// Where a node's gradient is written, and whether it is added to what is there; none where it is not wanted.
    fn target(&self, node: usize, accumulate: bool) -> Option<(Address, bool)> {
        self.plan().own_gradient(node).map(|place| (self.memory.place(place), accumulate))
    }

    /// Where the parts of a sum of `len` numbers go, and what adds them up to `to` behind it: a single part is the sum.
    fn parts(&mut self, parts: Parts, len: usize, to: Address) -> Address {
        if parts.count == 1 { to } else { self.take(parts.count * len) }
    }

    fn add_parts(&mut self, from: Address, parts: Parts, len: usize, to: Address) {
        if parts.count > 1 {
            self.tape.push(parts::add(from, parts.count, to, len));
        }
    }
}
