//! Weighted sums, and the gradients of their weights.

use crate::engine::cuda::address::{Address, Incoming, Source, int};
use crate::engine::cuda::call::{Call, File, Grid, Kernel, Parts, file};

const FILE: File = file!("sum.cu");

/// Terms of a launch; `TERMS` in `sum.cu`.
pub const TERMS: usize = 16;

/// One addend.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Term {
    values: Address,
    scale: Address,
    shift: Address,
    weight: Address,
    total: Address,
}

impl Term {
    /// What is added, and the place of the number that it is multiplied by; none is 1.
    pub fn new(source: Source, weight: Address) -> Term {
        Term { values: source.values, scale: source.scale, shift: source.shift, weight, total: Address::NONE }
    }

    /// Where its weight's gradient is added up.
    pub fn total(self, total: Address) -> Term {
        Term { total, ..self }
    }
}

/// Up to [`TERMS`] addends.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Sum {
    terms: [Term; TERMS],
    incoming: Incoming,
    to: Address,
    len: u32,
    run: u32,
    parts: u32,
    c: i32,
    count: i32,
    accumulate: i32,
}

impl Sum {
    fn of(terms: &[Term], len: usize, c: usize) -> Sum {
        let mut all = [Term::default(); TERMS];
        all[..terms.len()].copy_from_slice(terms);
        Sum {
            terms: all,
            incoming: Incoming::default(),
            to: Address::NONE,
            len: int(len) as u32,
            run: 0,
            parts: 0,
            c: int(c),
            count: int(terms.len()),
            accumulate: 0,
        }
    }
}

/// `to = the sum of weight * term`, `len` numbers of `c` channels, in as many launches as the terms want.
pub fn forward(terms: &[Term], to: Address, len: usize, c: usize) -> impl Iterator<Item = Call<Sum>> + '_ {
    terms.chunks(TERMS).enumerate().map(move |(k, terms)| {
        let arguments = Sum { to, accumulate: i32::from(k > 0), ..Sum::of(terms, len, c) };
        Call { kernel: Kernel::of(FILE, "weighted_sum"), grid: Grid::flat(len), arguments }
    })
}

/// How the products of a term and a gradient are added up.
fn parts(len: usize) -> Parts {
    Parts::of(TERMS, len)
}

/// Scalars of scratch that [`gradients`] wants.
pub fn scratch(len: usize) -> usize {
    TERMS * parts(len).count
}

/// Adds the sum of `term * incoming` to every term's total.
pub fn gradients(
    terms: &[Term],
    incoming: Incoming,
    scratch: Address,
    len: usize,
) -> impl Iterator<Item = Call<Sum>> + '_ {
    let Parts { run, count } = parts(len);
    terms.chunks(TERMS).flat_map(move |terms| {
        let sum = Sum::of(terms, len, incoming.c as usize);
        let arguments = Sum { incoming, to: scratch, run: int(run) as u32, parts: int(count) as u32, ..sum };
        let dots = Grid { blocks: [count, terms.len(), 1], ..Grid::columns(1, 1, 1) };
        let add = Grid { blocks: [1; 3], threads: [TERMS, 1] };
        [("dots", dots), ("add_dots", add)].map(|(name, grid)| Call { kernel: Kernel::of(FILE, name), grid, arguments })
    })
}
