//! Batch normalisation in pieces.

use crate::arch::op::{BATCH_NORM_EPSILON, BATCH_NORM_MOMENTUM};
use crate::engine::cuda::address::{Address, int};
use crate::engine::cuda::call::{Call, File, Grid, Kernel, file};

const FILE: File = file!("norm.cu");

/// A batch-norm of a batch: what it reads and where its numbers are. Places that a step does not touch are left out.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Norm {
    /// The input, `[n, area, c]`.
    pub x: Address,
    /// The output's gradient.
    pub dy: Address,
    /// Of every image two numbers a channel: its moments, then its gradient's sums, `[n, 2, c]`.
    pub images: Address,
    /// `[c]`; none is 1.
    pub weight: Address,
    /// `[c]`; none is 0.
    pub bias: Address,
    /// Running mean and variance, `[2, c]`.
    pub running: Address,
    /// A number that the gradient is still to be multiplied by.
    pub factor: Address,
    /// Mean and variance, `[2, c]`.
    pub stats: Address,
    /// Scale and shift, `[2, c]`.
    pub affine: Address,
    /// Unit and offset, `[2, c]`: `xhat = x unit + offset`.
    pub unit: Address,
    /// Gain, slope and level of the backward pass, `[3, c]`.
    pub line: Address,
    /// The gradient's sums over the batch, `[2, c]`.
    pub sums: Address,
    /// The weight's gradient, `[c]`.
    pub dweight: Address,
    /// The bias's gradient, `[c]`.
    pub dbias: Address,
    /// Images.
    pub n: i32,
    /// Pixels of an image.
    pub area: i32,
    /// Channels.
    pub c: i32,
    /// 1: it writes over its input.
    pub in_place: i32,
    /// 1: the batch's statistics, 0: the running ones.
    pub batch_statistics: i32,
    /// Added to the variance.
    pub epsilon: f32,
    /// What a batch weighs in the running statistics.
    pub momentum: f32,
}

impl Norm {
    /// One without places, for `n` images of `area` pixels.
    pub fn new(n: usize, area: usize, c: usize) -> Norm {
        let none = Address::NONE;
        Norm {
            x: none,
            dy: none,
            images: none,
            weight: none,
            bias: none,
            running: none,
            factor: none,
            stats: none,
            affine: none,
            unit: none,
            line: none,
            sums: none,
            dweight: none,
            dbias: none,
            n: int(n),
            area: int(area),
            c: int(c),
            in_place: 0,
            batch_statistics: 0,
            epsilon: BATCH_NORM_EPSILON as f32,
            momentum: BATCH_NORM_MOMENTUM as f32,
        }
    }

    fn images(self, name: &'static str) -> Call<Norm> {
        let grid = Grid::columns(self.c as usize, self.n as usize, 1);
        Call { kernel: Kernel::of(FILE, name), grid, arguments: self }
    }

    fn channels(self, name: &'static str) -> Call<Norm> {
        Call { kernel: Kernel::of(FILE, name), grid: Grid::flat(self.c as usize), arguments: self }
    }

    /// Mean and sum of squared deviations of every image.
    pub fn moments(self) -> Call<Norm> {
        self.images("moments")
    }

    /// Sums of the gradient, and of the gradient times the normalised input, of every image.
    pub fn gradient_sums(self) -> Call<Norm> {
        self.images("gradient_sums")
    }

    /// The images' moments into the batch's statistics, scale and shift.
    pub fn merge_moments(self) -> Call<Norm> {
        self.channels("merge_moments")
    }

    /// Running statistics into scale and shift.
    pub fn fold_running(self) -> Call<Norm> {
        self.channels("fold_running")
    }

    /// The images' gradient sums into the line of the backward pass.
    pub fn merge_line(self) -> Call<Norm> {
        self.channels("merge_line")
    }

    /// The images' gradient sums into the gradients of weight and bias.
    pub fn gradient_affine(self) -> Call<Norm> {
        self.channels("gradient_affine")
    }

    /// Running statistics, moved towards the batch's.
    pub fn record(self) -> Call<Norm> {
        self.channels("record")
    }
}
