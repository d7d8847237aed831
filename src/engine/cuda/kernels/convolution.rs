//! Dense and grouped convolution and its two gradients, as one implicit matrix product.

use crate::engine::call::Convolution as Described;
use crate::engine::cuda::address::{Address, Incoming, Source, Window, int};
use crate::engine::cuda::call::{Call, File, Grid, Kernel, Parts, file};

const FILE: File = file!("convolution.cu");

/// Rows of a tile, and the square of it that a thread makes; `ROWS` and `OWN` in `convolution.cu`.
const ROWS: usize = 64;
const OWN: usize = 4;

/// A convolution of a batch.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Convolution {
    source: Source,
    incoming: Incoming,
    weight: Address,
    bias: Address,
    to: Address,
    run: u32,
    n: i32,
    h: i32,
    w: i32,
    c: i32,
    oh: i32,
    ow: i32,
    out: i32,
    groups: i32,
    crop: [i32; 2],
    accumulate: i32,
    window: Window,
}

/// A convolution of `n` images and its weights `[kh, kw, c / groups, out]`.
#[derive(Clone, Copy, Debug)]
pub struct Conv<'a> {
    /// What is computed.
    pub shape: &'a Described,
    /// Images.
    pub n: usize,
    /// The weights.
    pub weight: Address,
}

impl Conv<'_> {
    fn pixels(&self) -> usize {
        self.n * self.shape.output.area()
    }

    /// Scalars of the weights.
    pub fn weights(&self) -> usize {
        self.shape.window.taps() * self.shape.source.c / self.shape.groups * self.shape.output.c
    }

    /// How the weights' gradient is added up.
    pub fn parts(&self) -> Parts {
        Parts::of(self.weights(), self.pixels())
    }

    /// `to = conv(source) + bias`.
    pub fn forward(&self, source: Source, bias: Address, to: Address) -> Call<Convolution> {
        let rows = self.pixels();
        let columns = self.shape.output.c / self.shape.groups;
        let arguments = Convolution { source, bias, to, ..self.arguments() };
        self.call("conv_forward", rows, columns, self.shape.groups, arguments)
    }

    /// `to (+)=` the gradient of what was read; `source` is looked at for the ReLU's derivative alone.
    pub fn input_gradient(
        &self,
        source: Source,
        incoming: Incoming,
        (to, accumulate): (Address, bool),
    ) -> Call<Convolution> {
        let rows = self.n * self.shape.source.area();
        let columns = self.shape.source.c / self.shape.groups;
        let arguments = Convolution { source, incoming, to, accumulate: accumulate.into(), ..self.arguments() };
        self.call("conv_input_gradient", rows, columns, self.shape.groups, arguments)
    }

    /// The parts of the weights' gradient, `[parts, weights]`.
    pub fn weight_gradient(&self, source: Source, incoming: Incoming, to: Address) -> Call<Convolution> {
        let Described { source: from, output, groups, window, .. } = self.shape;
        let Parts { run, count } = self.parts();
        let rows = window.taps() * from.c / groups;
        let arguments = Convolution { source, incoming, to, run: int(run) as u32, ..self.arguments() };
        self.call("conv_weight_gradient", rows, output.c / groups, groups * count, arguments)
    }

    fn arguments(&self) -> Convolution {
        let Described { source, output, window, groups, load } = self.shape;
        Convolution {
            source: Source::default(),
            incoming: Incoming::default(),
            weight: self.weight,
            bias: Address::NONE,
            to: Address::NONE,
            run: 0,
            n: int(self.n),
            h: int(source.h),
            w: int(source.w),
            c: int(source.c),
            oh: int(output.h),
            ow: int(output.w),
            out: int(output.c),
            groups: int(*groups),
            crop: load.crop.map(int),
            accumulate: 0,
            window: Window::from(window),
        }
    }

    /// Tiles as wide as few columns want them, so that narrow networks compute little for nothing.
    fn call(
        &self,
        name: &'static str,
        rows: usize,
        columns: usize,
        z: usize,
        arguments: Convolution,
    ) -> Call<Convolution> {
        let width = columns.next_power_of_two().clamp(16, 64);
        let kernel = Kernel { macros: [("COLUMNS", width), ("", 0)], ..Kernel::of(FILE, name) };
        let grid = Grid {
            blocks: [rows.div_ceil(ROWS), columns.div_ceil(width), z],
            threads: [width / OWN * (ROWS / OWN), 1],
        };
        Call { kernel, grid, arguments }
    }
}
