//! Memory brought into the cache before it is wanted.
//!
//! Planes come from main memory and go there, and a kernel that computes on one leaves the memory idle: the hardware
//! follows a stream only where a kernel reads it at once, and a store to a line that is not there holds up those behind it.
//! So every kernel asks for the lines that it is about to write, a row at a time, and for a share of what the steps after it
//! will read ([`Prefetch`]). Nothing is computed differently: these are hints, and no-ops where the machine has none.

use std::ops::Range;

/// Bytes of a cache line.
const LINE: usize = 64;

/// The most planes that are fetched at a time.
const MOST: usize = 8;

/// Planes that later steps read, by their addresses: nothing of them is looked at.
#[derive(Clone, Copy, Debug, Default)]
pub struct Prefetch {
    planes: [(usize, usize); MOST],
    count: usize,
}

impl Prefetch {
    /// Nothing to fetch.
    pub const NOTHING: Prefetch = Prefetch { planes: [(0, 0); MOST], count: 0 };

    /// Adds a range of a slice; beyond eight of them it is left out.
    pub fn add<T>(&mut self, slice: &[T], range: Range<usize>) {
        if let Some(plane) = self.planes.get_mut(self.count) {
            let part = &slice[range];
            *plane = (part.as_ptr().addr(), size_of_val(part).div_ceil(LINE));
            self.count += 1;
        }
    }

    /// Asks for one of several shares of every plane.
    pub fn fetch(&self, share: usize, shares: usize) {
        for (first, lines) in &self.planes[..self.count] {
            for line in lines * share / shares..lines * (share + 1) / shares {
                read(first + line * LINE);
            }
        }
    }
}

/// Asks for the lines of a slice, to write to them.
pub fn for_writing<T>(slice: &[T]) {
    let first = slice.as_ptr().addr();
    for at in (first..first + size_of_val(slice)).step_by(LINE) {
        write(at);
    }
}

#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn read(address: usize) {
    // SAFETY: a hint; it never faults, whatever the address.
    unsafe {
        std::arch::asm!("prefetcht0 [{}]", in(reg) address, options(nostack, preserves_flags, nomem));
    }
}

// In assembly because the intrinsic becomes a fetch for reading unless the target is said to have this one. Processors
// without it take it for a no-op.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn write(address: usize) {
    // SAFETY: a hint; it never faults, whatever the address.
    unsafe {
        std::arch::asm!("prefetchw [{}]", in(reg) address, options(nostack, preserves_flags, nomem));
    }
}

#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
fn read(_: usize) {}

#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
fn write(_: usize) {}
