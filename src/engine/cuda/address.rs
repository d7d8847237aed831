//! Places in a device's memory, and what is read there on the way into a kernel. Structures are those of `kernels/common.cuh`,
//! field by field.

use crate::arch::op::Window as Look;

/// An address in bytes; 0 is none.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Address(u64);

impl Address {
    /// No place.
    pub const NONE: Address = Address(0);

    /// An address that the driver gave.
    pub fn new(bytes: u64) -> Address {
        Address(bytes)
    }

    /// The place of a number of 32 bits, counted from here.
    pub fn at(self, scalar: usize) -> Address {
        Address(self.0 + 4 * scalar as u64)
    }
}

/// A plane `[n, h, w, c]` to read: `value * scale + shift` where there is a scale, then the ReLU where it is asked for.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Source {
    /// What stands in memory.
    pub values: Address,
    /// `[c]`.
    pub scale: Address,
    /// `[c]`.
    pub shift: Address,
    /// 1: negative values count as zero.
    pub relu: i32,
}

impl Source {
    /// A plane read as it stands.
    pub fn plain(values: Address) -> Source {
        Source { values, ..Source::default() }
    }

    /// With the ReLU or without it.
    pub fn relu(self, relu: bool) -> Source {
        Source { relu: relu.into(), ..self }
    }
}

/// The gradient that reaches an operation's output, not yet computed: a kernel does it while it reads.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Incoming {
    /// What stands in memory.
    pub dy: Address,
    /// A number that it is multiplied by.
    pub factor: Address,
    /// Gain, slope and level of the batch-norm behind the operation, `[3, c]`.
    pub line: Address,
    /// That batch-norm's input; without it slope and level are 0.
    pub x: Address,
    /// Channels.
    pub c: i32,
}

impl Incoming {
    /// A gradient of `c` channels that stands in memory.
    pub fn plain(dy: Address, c: usize) -> Incoming {
        Incoming { dy, c: int(c), ..Incoming::default() }
    }
}

/// Where a window looks.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Window {
    kernel: [i32; 2],
    stride: [i32; 2],
    pad: [i32; 2],
    dilation: [i32; 2],
}

impl From<&Look> for Window {
    fn from(w: &Look) -> Self {
        let ints = |pair: [usize; 2]| pair.map(int);
        Window { kernel: ints(w.kernel), stride: ints(w.stride), pad: ints(w.pad), dilation: ints(w.dilation) }
    }
}

/// A count as kernels take it. A batch with more numbers than fit is refused before (`Memory::check`).
pub fn int(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}
