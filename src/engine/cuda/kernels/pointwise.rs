//! Every number once: what is applied, carried and filled.

use crate::engine::cuda::address::{Address, Incoming, Source, int};
use crate::engine::cuda::call::{Call, File, Grid, Kernel, file};

const FILE: File = file!("pointwise.cu");

/// `to = from`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Apply {
    from: Source,
    to: Address,
    len: u32,
    c: i32,
}

/// `to = from` for `len` numbers of `c` channels; both may be one plane.
pub fn apply(from: Source, to: Address, len: usize, c: usize) -> Call<Apply> {
    let arguments = Apply { from, to, len: int(len) as u32, c: int(c) };
    Call { kernel: Kernel::of(FILE, "apply"), grid: Grid::flat(len), arguments }
}

/// `to (+)= from`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Carry {
    from: Incoming,
    mask: Source,
    factor: Address,
    gain: Address,
    to: Address,
    len: u32,
    c: i32,
    accumulate: i32,
}

/// `to = from` for `len` numbers; `to += from` where `accumulate`.
pub fn carry(from: Incoming, (to, accumulate): (Address, bool), len: usize) -> Call<Carry> {
    let arguments = Carry {
        from,
        mask: Source::default(),
        factor: Address::NONE,
        gain: Address::NONE,
        to,
        len: int(len) as u32,
        c: from.c,
        accumulate: accumulate.into(),
    };
    Call { kernel: Kernel::of(FILE, "carry"), grid: Grid::flat(len), arguments }
}

impl Call<Carry> {
    /// At places alone where `mask` is positive (the ReLU's derivative).
    pub fn masked(mut self, mask: Source) -> Self {
        self.arguments.mask = mask;
        self
    }

    /// Times a number in memory, where there is one.
    pub fn times(mut self, factor: Address) -> Self {
        self.arguments.factor = factor;
        self
    }

    /// Times a number a channel, `[c]`.
    pub fn times_channels(mut self, gain: Address) -> Self {
        self.arguments.gain = gain;
        self
    }
}

/// `to = value`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Fill {
    to: Address,
    len: u32,
    value: f32,
}

/// `to = value` for `len` numbers.
pub fn fill(to: Address, len: usize, value: f32) -> Call<Fill> {
    let arguments = Fill { to, len: int(len) as u32, value };
    Call { kernel: Kernel::of(FILE, "fill"), grid: Grid::flat(len), arguments }
}
