//! Pools.

use crate::arch::op::Shape;
use crate::engine::call::Pool as Described;
use crate::engine::cuda::address::{Address, Incoming, Window, int};
use crate::engine::cuda::call::{Call, File, Grid, Kernel, file};

const FILE: File = file!("pool.cu");

/// A pool of a batch.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Pool {
    x: Address,
    incoming: Incoming,
    to: Address,
    n: i32,
    h: i32,
    w: i32,
    c: i32,
    oh: i32,
    ow: i32,
    include_pad: i32,
    accumulate: i32,
    window: Window,
}

impl Pool {
    /// A pool of `n` images.
    pub fn new(pool: &Described, n: usize) -> Pool {
        Pool { window: Window::from(&pool.window), ..Pool::between(pool.source, pool.output, n) }
    }

    /// The pool over all pixels of `n` images.
    pub fn global(source: Shape, n: usize) -> Pool {
        Pool::between(source, Shape::new(1, 1, source.c), n)
    }

    fn between(source: Shape, output: Shape, n: usize) -> Pool {
        Pool {
            x: Address::NONE,
            incoming: Incoming::default(),
            to: Address::NONE,
            n: int(n),
            h: int(source.h),
            w: int(source.w),
            c: int(source.c),
            oh: int(output.h),
            ow: int(output.w),
            include_pad: 0,
            accumulate: 0,
            window: Window::default(),
        }
    }

    /// Whether the padding counts in a mean.
    pub fn include_pad(self, include: bool) -> Pool {
        Pool { include_pad: include.into(), ..self }
    }

    fn source_len(&self) -> usize {
        [self.n, self.h, self.w, self.c].map(|v| v as usize).iter().product()
    }

    fn output_len(&self) -> usize {
        [self.n, self.oh, self.ow, self.c].map(|v| v as usize).iter().product()
    }

    /// The largest value under every window.
    pub fn max_forward(self, x: Address, to: Address) -> Call<Pool> {
        self.call("max_forward", Grid::flat(self.output_len()), Pool { x, to, ..self })
    }

    /// The whole gradient goes to the first largest value in raster order.
    pub fn max_backward(self, x: Address, incoming: Incoming, to: (Address, bool)) -> Call<Pool> {
        self.call("max_backward", Grid::flat(self.source_len()), Pool { x, ..self.backward(incoming, to) })
    }

    /// The mean under every window.
    pub fn avg_forward(self, x: Address, to: Address) -> Call<Pool> {
        self.call("avg_forward", Grid::flat(self.output_len()), Pool { x, to, ..self })
    }

    /// Every value under a window gets its share of the gradient.
    pub fn avg_backward(self, incoming: Incoming, to: (Address, bool)) -> Call<Pool> {
        self.call("avg_backward", Grid::flat(self.source_len()), self.backward(incoming, to))
    }

    /// The mean over all pixels.
    pub fn global_forward(self, x: Address, to: Address) -> Call<Pool> {
        let grid = Grid::columns(self.c as usize, self.n as usize, 1);
        self.call("global_forward", grid, Pool { x, to, ..self })
    }

    /// Every pixel gets an equal share.
    pub fn global_backward(self, incoming: Incoming, to: (Address, bool)) -> Call<Pool> {
        self.call("global_backward", Grid::flat(self.source_len()), self.backward(incoming, to))
    }

    fn backward(self, incoming: Incoming, (to, accumulate): (Address, bool)) -> Pool {
        Pool { incoming, to, accumulate: accumulate.into(), ..self }
    }

    fn call(self, name: &'static str, grid: Grid, arguments: Pool) -> Call<Pool> {
        Call { kernel: Kernel::of(FILE, name), grid, arguments }
    }
}
