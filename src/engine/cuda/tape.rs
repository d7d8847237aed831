//! What a pass launches, in order: plain values, made from the plan without a device. Launches of one segment of the plan stand
//! side by side, so that they can be grouped.

use super::call::{Call, Grid, Kernel};
use super::kernels::convolution::Convolution;
use super::kernels::depthwise::Depthwise;
use super::kernels::norm::Norm;
use super::kernels::parts::{Columns, Parts};
use super::kernels::planes::{Channels, Shift};
use super::kernels::pointwise::{Apply, Carry, Fill};
use super::kernels::pool::Pool;
use super::kernels::sum::Sum;

/// The structure that a kernel takes.
macro_rules! arguments {
    ($($name:ident),+) => {
        /// What a kernel is told.
        #[derive(Clone, Debug)]
        pub enum Arguments {
            $(#[doc = concat!("Of a kernel that takes a [`", stringify!($name), "`].")] $name($name),)+
            /// Of a kernel that takes a [`Sum`], which is long.
            Sum(Box<Sum>),
        }

        $(impl From<$name> for Arguments {
            fn from(arguments: $name) -> Self {
                Arguments::$name(arguments)
            }
        })+
    };
}
arguments!(Apply, Carry, Fill, Channels, Shift, Parts, Columns, Norm, Pool, Convolution, Depthwise);

impl From<Sum> for Arguments {
    fn from(arguments: Sum) -> Self {
        Arguments::Sum(Box::new(arguments))
    }
}

/// A launch of any kernel.
#[derive(Clone, Debug)]
pub struct Launch {
    /// The kernel.
    pub kernel: Kernel,
    /// How many threads.
    pub grid: Grid,
    /// What it is told.
    pub arguments: Arguments,
}

/// Launches in order.
#[derive(Clone, Debug, Default)]
pub struct Tape {
    /// All of them.
    pub launches: Vec<Launch>,
}

impl Tape {
    /// Appends a launch; one without a block is none.
    pub fn push<A: Into<Arguments>>(&mut self, call: Call<A>) {
        let Call { kernel, grid, arguments } = call;
        if !grid.blocks.contains(&0) {
            self.launches.push(Launch { kernel, grid, arguments: arguments.into() });
        }
    }
}
