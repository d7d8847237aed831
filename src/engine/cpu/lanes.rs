//! Channels taken a few at a time, so that inner loops over them become whole vector instructions.

/// Calls `$body` for every group of channels `c0..c0 + L`, `L` a constant of 16, 8, 4 or 1, so that the inner loops
/// over `[T; L]` become whole vector instructions whatever the number of channels.
macro_rules! for_channels {
    ($channels:expr, |$c0:ident, $lanes:ident| $body:block) => {{
        let channels = $channels;
        let mut $c0 = 0;
        while $c0 + 16 <= channels {
            const $lanes: usize = 16;
            $body
            $c0 += 16;
        }
        while $c0 + 8 <= channels {
            const $lanes: usize = 8;
            $body
            $c0 += 8;
        }
        while $c0 + 4 <= channels {
            const $lanes: usize = 4;
            $body
            $c0 += 4;
        }
        while $c0 < channels {
            const $lanes: usize = 1;
            $body
            $c0 += 1;
        }
    }};
}
pub(crate) use for_channels;

/// `slice[at..at + L]` as an array.
#[inline(always)]
pub fn lanes<T, const L: usize>(slice: &[T], at: usize) -> &[T; L] {
    slice[at..at + L].first_chunk().expect("the range has length L")
}

/// `slice[at..at + L]` as a mutable array.
#[inline(always)]
pub fn lanes_mut<T, const L: usize>(slice: &mut [T], at: usize) -> &mut [T; L] {
    slice[at..at + L].first_chunk_mut().expect("the range has length L")
}
