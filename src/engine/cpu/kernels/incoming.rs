//! The gradient that reaches a kernel's output, not yet computed: a kernel makes the rows that it works on next.

use std::ops::Range;

use super::norm::{self, Line};
use super::pointwise;
use crate::engine::cpu::isa::Isa;
use crate::engine::cpu::vector::Number;

/// Where a gradient comes from.
#[derive(Clone, Copy, Debug)]
pub enum Incoming<'a, T> {
    /// It stands in memory.
    Plain(&'a [T]),
    /// A gradient times a factor: that of a weighted sum's addend.
    Scaled {
        /// The factor.
        factor: T,
        /// The sum's gradient.
        dy: &'a [T],
    },
    /// Through the batch-norm that alone reads the value.
    Line {
        /// The batch-norm's line.
        line: Line<&'a [T]>,
        /// The batch-norm's input, where the line needs it.
        x: Option<&'a [T]>,
        /// The batch-norm's own gradient.
        dy: &'a [T],
    },
}

impl<'a, T: Number> Incoming<'a, T> {
    /// A range of the gradient, whole pixels; computed into the beginning of `room` where it does not stand in memory.
    pub fn part<'r>(&self, isa: Isa, range: Range<usize>, room: &'r mut [T]) -> &'r [T]
    where
        'a: 'r,
    {
        match *self {
            Incoming::Plain(dy) => &dy[range],
            Incoming::Scaled { factor, dy } => {
                let room = &mut room[..range.len()];
                pointwise::axpy(isa, factor, &dy[range], room, false);
                room
            }
            Incoming::Line { line, x, dy } => {
                let room = &mut room[..range.len()];
                norm::backward(isa, line, x.map(|x| &x[range.clone()]), &dy[range], room, false);
                room
            }
        }
    }
}
