//! Sums over a whole batch, in parts of fixed size.

use crate::engine::cuda::address::{Address, Incoming, int};
use crate::engine::cuda::call::{self, Call, File, Grid, Kernel, file};

const FILE: File = file!("parts.cu");

/// Parts, and where their sum goes.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Parts {
    parts: Address,
    to: Address,
    len: u32,
    count: i32,
}

/// `to = the sum of count parts` of `len` numbers, in order.
pub fn add(parts: Address, count: usize, to: Address, len: usize) -> Call<Parts> {
    let arguments = Parts { parts, to, len: int(len) as u32, count: int(count) };
    Call { kernel: Kernel::of(FILE, "add_parts"), grid: Grid::flat(len), arguments }
}

/// A gradient, and where the parts of its sum over pixels go.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Columns {
    from: Incoming,
    to: Address,
    pixels: u32,
    run: u32,
    c: i32,
}

/// Sums over the pixels of every part, `[parts, c]`.
pub fn pixels(from: Incoming, parts: call::Parts, to: Address, pixels: usize) -> Call<Columns> {
    let arguments = Columns { from, to, pixels: int(pixels) as u32, run: int(parts.run) as u32, c: from.c };
    let grid = Grid::columns(from.c as usize, parts.count, 1);
    Call { kernel: Kernel::of(FILE, "add_pixels"), grid, arguments }
}
