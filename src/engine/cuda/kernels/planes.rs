//! Numbers that go from one plane's places to another's: channels side by side, rows and columns cropped.

use crate::arch::op::Shape;
use crate::engine::cuda::address::{Address, Incoming, int};
use crate::engine::cuda::call::{Call, File, Grid, Kernel, file};

const FILE: File = file!("planes.cu");

/// Some channels of every pixel, from one plane into another.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Channels {
    from: Incoming,
    to: Address,
    pixels: u32,
    c: i32,
    from_width: i32,
    from_at: i32,
    to_width: i32,
    to_at: i32,
    accumulate: i32,
}

/// A plane's width, and the first of its channels that are meant.
#[derive(Clone, Copy, Debug)]
pub struct Among {
    /// Channels a pixel.
    pub width: usize,
    /// The first one.
    pub at: usize,
}

/// `to[.., k] (+)= from[.., k]` for `c` channels of every pixel, each counted from its plane's first one.
pub fn channels(
    from: (Incoming, Among),
    (to, among, accumulate): (Address, Among, bool),
    pixels: usize,
    c: usize,
) -> Call<Channels> {
    let arguments = Channels {
        from: from.0,
        to,
        pixels: int(pixels) as u32,
        c: int(c),
        from_width: int(from.1.width),
        from_at: int(from.1.at),
        to_width: int(among.width),
        to_at: int(among.at),
        accumulate: accumulate.into(),
    };
    Call { kernel: Kernel::of(FILE, "move_channels"), grid: Grid::flat(pixels * c), arguments }
}

/// A plane's pixels at other places.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Shift {
    from: Incoming,
    to: Address,
    n: i32,
    from_h: i32,
    from_w: i32,
    to_h: i32,
    to_w: i32,
    c: i32,
    down: i32,
    right: i32,
    accumulate: i32,
}

/// `to (+)= from[top.., left..]`, as many rows and columns as `to` has.
pub fn crop(from: (Incoming, Shape), to: (Address, Shape, bool), [top, left]: [usize; 2], n: usize) -> Call<Shift> {
    shift(from, to, [int(top), int(left)], n)
}

/// `to[top.., left..] (+)= from`, zero around it: the transposed [`crop`].
pub fn place(from: (Incoming, Shape), to: (Address, Shape, bool), [top, left]: [usize; 2], n: usize) -> Call<Shift> {
    shift(from, to, [-int(top), -int(left)], n)
}

fn shift(
    (from, source): (Incoming, Shape),
    (to, target, accumulate): (Address, Shape, bool),
    [down, right]: [i32; 2],
    n: usize,
) -> Call<Shift> {
    let arguments = Shift {
        from,
        to,
        n: int(n),
        from_h: int(source.h),
        from_w: int(source.w),
        to_h: int(target.h),
        to_w: int(target.w),
        c: int(source.c),
        down,
        right,
        accumulate: accumulate.into(),
    };
    Call { kernel: Kernel::of(FILE, "shift"), grid: Grid::flat(n * target.len()), arguments }
}
