//! The backward pass of a strided window: a gradient is computed by correlations of stride 1, one for every *phase*.
//!
//! Along an axis, source place `i` is looked at by output `o` through tap `k` where `i + pad = o stride + k dilation`. Places
//! with the same remainder of `i + pad` by the stride share their taps; for them this is a correlation of the outputs with those
//! taps mirrored. At stride 1 there is one phase, and it is the convolution's transpose.

/// One axis of a window over a source.
#[derive(Clone, Copy, Debug)]
pub struct Axis {
    /// Places of the source.
    pub source: usize,
    /// Outputs.
    pub output: usize,
    /// Taps.
    pub kernel: usize,
    /// Places from an output's window to the next's.
    pub stride: usize,
    /// Places of zeros before the source.
    pub pad: usize,
    /// Places from a tap to the next.
    pub dilation: usize,
}

/// The source places `first, first + stride, ..` and where their correlation begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Phase {
    /// The first place.
    pub first: usize,
    /// How many there are.
    pub count: usize,
    /// Their taps: `tap, tap + every, ..`, this many. None: no output looks at these places.
    pub taps: usize,
    /// The first tap.
    pub tap: usize,
    /// Taps from one to the next.
    pub every: usize,
    /// Outputs from a tap's to the next one's.
    pub dilation: usize,
    /// The output under the last tap of the first place; negative ones stand before the first output.
    start: isize,
}

impl Axis {
    /// The phase of the places `i` with `(i + pad) mod stride = remainder`.
    pub fn phase(&self, remainder: usize) -> Phase {
        let Axis { source, kernel, stride, pad, dilation, .. } = *self;
        let every = (1..=stride).find(|t| (t * dilation).is_multiple_of(stride)).unwrap_or(stride);
        let first = (remainder + stride - pad % stride) % stride;
        let count = source.saturating_sub(first).div_ceil(stride);
        let step = every * dilation / stride;
        let tap = (0..every.min(kernel)).find(|k| k * dilation % stride == remainder);
        let taps = tap.map_or(0, |k| (kernel - k).div_ceil(every));
        let tap = tap.unwrap_or(0);
        let under = |n: usize| n as isize / stride as isize;
        let start = under(first + pad) - under(tap * dilation) - (taps.saturating_sub(1) * step) as isize;
        Phase { first, count, taps, tap, every, dilation: step, start }
    }

    fn phases(&self) -> impl Iterator<Item = Phase> {
        (0..self.stride).map(|r| self.phase(r)).filter(|p| p.taps > 0 && p.count > 0)
    }

    /// Zeros that the outputs need before the first of them.
    pub fn before(&self) -> usize {
        self.phases().map(|p| (-p.start).max(0) as usize).max().unwrap_or(0)
    }

    /// Outputs with the zeros that they need on both sides.
    pub fn padded(&self) -> usize {
        let before = self.before();
        let end = |p: Phase| self.start(p) + (p.taps - 1) * p.dilation + p.count;
        self.phases().map(end).max().unwrap_or(0).max(before + self.output)
    }

    /// Where a phase's correlation begins among the padded outputs.
    pub fn start(&self, phase: Phase) -> usize {
        (phase.start + self.before() as isize).max(0) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Against the definition: every pair of a place and an output that looks at it, by its tap.
        #[test]
        fn phases_lead_back_along_every_tap(
            source in 1usize..20, kernel in 1usize..6, stride in 1usize..5, pad in 0usize..6, dilation in 1usize..5,
        ) {
            let span = dilation * (kernel - 1) + 1;
            prop_assume!(source + 2 * pad >= span);
            let output = (source + 2 * pad - span) / stride + 1;
            let axis = Axis { source, output, kernel, stride, pad, dilation };
            let mut want = Vec::new();
            for o in 0..output {
                for k in 0..kernel {
                    if let Some(i) = (o * stride + k * dilation).checked_sub(pad).filter(|i| *i < source) {
                        want.push((i, o, k));
                    }
                }
            }
            let (mut found, mut places) = (Vec::new(), Vec::new());
            for r in 0..stride {
                let phase = axis.phase(r);
                for n in 0..phase.count {
                    let i = phase.first + n * stride;
                    places.push(i);
                    for j in 0..phase.taps {
                        let at = axis.start(phase) + n + (phase.taps - 1 - j) * phase.dilation;
                        prop_assert!(at < axis.padded());
                        if let Some(o) = at.checked_sub(axis.before()).filter(|o| *o < output) {
                            found.push((i, o, phase.tap + j * phase.every));
                        }
                    }
                }
            }
            places.sort_unstable();
            prop_assert_eq!(places, (0..source).collect::<Vec<_>>());
            want.sort_unstable();
            found.sort_unstable();
            prop_assert_eq!(found, want);
        }
    }
}
