//! Depthwise convolution and its two gradients.

use crate::engine::call::Depthwise as Described;
use crate::engine::cuda::address::{Address, Incoming, Source, Window, int};
use crate::engine::cuda::call::{Call, File, Grid, Kernel, Parts, file};

const FILE: File = file!("depthwise.cu");

/// A depthwise convolution of a batch.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Depthwise {
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
    crop: [i32; 2],
    accumulate: i32,
    window: Window,
}

/// A depthwise convolution of `n` images and its weights `[kh, kw, c]`.
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
    /// Scalars of the weights.
    pub fn weights(&self) -> usize {
        self.shape.window.taps() * self.shape.output.c
    }

    /// How the weights' gradient is added up.
    pub fn parts(&self) -> Parts {
        Parts::of(self.weights(), self.n * self.shape.output.area())
    }

    /// `to = depthwise(source) + bias`.
    pub fn forward(&self, source: Source, bias: Address, to: Address) -> Call<Depthwise> {
        let grid = Grid::flat(self.n * self.shape.output.len());
        self.call("depthwise_forward", grid, Depthwise { source, bias, to, ..self.arguments() })
    }

    /// `to (+)=` the gradient of what was read; `source` is looked at for the ReLU's derivative alone.
    pub fn input_gradient(
        &self,
        source: Source,
        incoming: Incoming,
        (to, accumulate): (Address, bool),
    ) -> Call<Depthwise> {
        let grid = Grid::flat(self.n * self.shape.source.len());
        let arguments = Depthwise { source, incoming, to, accumulate: accumulate.into(), ..self.arguments() };
        self.call("depthwise_input_gradient", grid, arguments)
    }

    /// The parts of the weights' gradient, `[parts, kh, kw, c]`.
    pub fn weight_gradient(&self, source: Source, incoming: Incoming, to: Address) -> Call<Depthwise> {
        let Parts { run, count } = self.parts();
        let grid = Grid::columns(self.shape.output.c, self.shape.window.taps(), count);
        let arguments = Depthwise { source, incoming, to, run: int(run) as u32, ..self.arguments() };
        self.call("depthwise_weight_gradient", grid, arguments)
    }

    fn arguments(&self) -> Depthwise {
        let Described { source, output, window, load } = self.shape;
        Depthwise {
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
            crop: load.crop.map(int),
            accumulate: 0,
            window: Window::from(window),
        }
    }

    fn call(&self, name: &'static str, grid: Grid, arguments: Depthwise) -> Call<Depthwise> {
        let [h, w] = self.shape.window.kernel;
        let kernel = Kernel { macros: [("KERNEL_H", h), ("KERNEL_W", w)], ..Kernel::of(FILE, name) };
        Call { kernel, grid, arguments }
    }
}
