//! Layers with a sliding window: convolutions and max pools.

use candle_core::{Device, Result, Tensor};
use candle_nn::{Conv2d, Conv2dConfig, Module};

use crate::arch::op::{Shape, Window};

impl Window {
    /// The pixels of an axis of `n` in the window of output `to`, ascending, without padding.
    pub(super) fn seen(&self, axis: usize, n: usize, to: usize) -> impl Iterator<Item = usize> {
        let (first, step, pad) = (to * self.stride[axis], self.dilation[axis], self.pad[axis]);
        let inside = move |at: usize| at.checked_sub(pad).filter(|from| *from < n);
        (0..self.kernel[axis]).filter_map(move |tap| inside(first + tap * step))
    }
}

/// A convolution, where candle has one stride, padding and dilation for both axes.
#[derive(Clone, Debug)]
pub struct Conv {
    conv: Conv2d,
    /// Crop and padding before it, by axis.
    frame: Option<[Side; 2]>,
    /// The rows and columns kept after it.
    every: Option<[Tensor; 2]>,
}

/// An axis of the image: pixels that are kept, and padding.
#[derive(Clone, Copy, Debug)]
struct Side {
    keep: usize,
    before: usize,
    after: usize,
}

impl Conv {
    /// Weights `[out, in / groups, rows, columns]`, bias `[out]`.
    pub fn new(weight: Tensor, bias: Option<Tensor>, x: Shape, window: &Window, groups: usize) -> Result<Self> {
        let same = |[rows, columns]: [usize; 2]| (rows == columns).then_some(rows);
        let (weight, dilation) = match same(window.dilation) {
            Some(dilation) => (weight, dilation),
            None => (spread(&weight, window.dilation)?, 1),
        };
        let stride = same(window.stride).unwrap_or(1);
        let sizes = [x.h, x.w];
        let spans = [0, 1].map(|axis| window.dilation[axis] * (window.kernel[axis] - 1) + 1);
        // Pixels at the end that no window reaches; candle's backward pass pads both axes alike.
        let free = [0, 1].map(|axis| sizes[axis] + 2 * window.pad[axis] - spans[axis]);
        let rest = free.map(|free| free % stride);
        let (padding, frame) = match (same(window.pad), same(rest)) {
            (Some(padding), Some(_)) => (padding, None),
            _ => (0, Some([0, 1].map(|axis| Side::new(sizes[axis], window.pad[axis], rest[axis])))),
        };
        let every = match same(window.stride) {
            Some(_) => None,
            None => {
                let step = |axis: usize| {
                    let kept: Vec<u32> = (0..=free[axis]).step_by(window.stride[axis]).map(|at| at as u32).collect();
                    Tensor::new(kept, weight.device())
                };
                Some([step(0)?, step(1)?])
            }
        };
        let config = Conv2dConfig { padding, stride, dilation, groups, ..Conv2dConfig::default() };
        Ok(Conv { conv: Conv2d::new(weight, bias, config), frame, every })
    }
}

impl Side {
    /// Of `n` pixels with padding on both sides, without `rest` of them at the end.
    fn new(n: usize, pad: usize, rest: usize) -> Self {
        Side { keep: n - rest.saturating_sub(pad).min(n), before: pad, after: pad.saturating_sub(rest) }
    }
}

/// A kernel with zeros between its taps.
fn spread(weight: &Tensor, dilation: [usize; 2]) -> Result<Tensor> {
    let mut weight = weight.clone();
    for (axis, step) in [2usize, 3].into_iter().zip(dilation) {
        let taps = weight.dim(axis)?;
        let wide = weight.unsqueeze(axis + 1)?.pad_with_zeros(axis + 1, 0, step - 1)?.flatten(axis, axis + 1)?;
        weight = wide.narrow(axis, 0, step * (taps - 1) + 1)?.contiguous()?;
    }
    Ok(weight)
}

impl Module for Conv {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let mut x = x.clone();
        for (axis, Side { keep, before, after }) in [2usize, 3].into_iter().zip(self.frame.into_iter().flatten()) {
            x = x.narrow(axis, 0, keep)?.pad_with_zeros(axis, before, after)?;
        }
        let y = self.conv.forward(&x)?;
        match &self.every {
            None => Ok(y),
            Some([rows, columns]) => y.index_select(rows, 2)?.index_select(columns, 3),
        }
    }
}

/// Maxima over windows: along the columns, then along the rows. Among equal values the first in raster order is taken
/// and gets the gradient.
#[derive(Clone, Debug)]
pub struct MaxPool {
    /// For every tap of an axis, the pixel that each window reads.
    taps: [Vec<Tensor>; 2],
}

impl MaxPool {
    /// A pool of planes `x` to planes `y`.
    pub fn new(x: Shape, y: Shape, window: &Window, device: &Device) -> Result<Self> {
        let taps = |axis: usize, n: usize, out: usize| -> Result<Vec<Tensor>> {
            let seen: Vec<Vec<usize>> = (0..out).map(|to| window.seen(axis, n, to).collect()).collect();
            if let Some(blind) = seen.iter().position(Vec::is_empty) {
                candle_core::bail!("the window at {blind} of axis {axis} sees padding alone");
            }
            // A window at the border has fewer pixels: other taps read its first again, which does not change the
            // maximum.
            let tap = |tap: usize| seen.iter().map(move |seen| seen[if tap < seen.len() { tap } else { 0 }] as u32);
            (0..window.kernel[axis]).map(|k| Tensor::new(tap(k).collect::<Vec<_>>(), device)).collect()
        };
        Ok(MaxPool { taps: [taps(0, x.h, y.h)?, taps(1, x.w, y.w)?] })
    }
}

impl Module for MaxPool {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let mut y = x.contiguous()?;
        for (axis, taps) in [(3usize, &self.taps[1]), (2, &self.taps[0])] {
            let seen = taps.iter().map(|tap| y.index_select(tap, axis)).collect::<Result<Vec<_>>>()?;
            y = seen[1..].iter().try_fold(seen[0].clone(), |most, next| next.gt(&most)?.where_cond(next, &most))?;
        }
        Ok(y)
    }
}
