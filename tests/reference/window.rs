//! Operations that look through a window: convolutions and pools.

use robustnas::arch::op::{Shape, Window};

/// Calls `visit(place in the output, place in the input, tap)` for every pixel that every window sees.
pub fn walk(x: Shape, y: Shape, window: &Window, mut visit: impl FnMut(usize, usize, usize)) {
    let Window { kernel, stride, pad, dilation } = *window;
    for (row, column) in (0..y.h).flat_map(|r| (0..y.w).map(move |c| (r, c))) {
        for (ky, kx) in (0..kernel[0]).flat_map(|r| (0..kernel[1]).map(move |c| (r, c))) {
            let (iy, ix) = (row * stride[0] + ky * dilation[0], column * stride[1] + kx * dilation[1]);
            let (Some(iy), Some(ix)) = (iy.checked_sub(pad[0]), ix.checked_sub(pad[1])) else { continue };
            if iy < x.h && ix < x.w {
                visit(row * y.w + column, iy * x.w + ix, ky * kernel[1] + kx);
            }
        }
    }
}

/// Shapes, window and groups of a convolution with weights `[kh, kw, in / groups, out]`.
pub struct Conv {
    pub x: Shape,
    pub y: Shape,
    pub window: Window,
    pub groups: usize,
}

impl Conv {
    /// Every product of the convolution: its entries of input and weight, and the outputs' first entry, `run` in a row.
    fn products(&self, mut visit: impl FnMut(usize, usize, usize, usize)) {
        let (inside, run) = (self.x.c / self.groups, self.y.c / self.groups);
        walk(self.x, self.y, &self.window, |to, from, tap| {
            for group in 0..self.groups {
                for i in 0..inside {
                    let weight = (tap * inside + i) * self.y.c + group * run;
                    visit(from * self.x.c + group * inside + i, weight, to * self.y.c + group * run, run);
                }
            }
        });
    }

    pub fn forward(&self, x: &[f64], weight: &[f64]) -> Vec<f64> {
        let mut y = vec![0.0; self.y.len()];
        self.products(|from, at, to, run| {
            for (y, w) in y[to..to + run].iter_mut().zip(&weight[at..at + run]) {
                *y += x[from] * w;
            }
        });
        y
    }

    pub fn backward(&self, x: &[f64], weight: &[f64], dy: &[f64], dx: &mut [f64], dweight: &mut [f64]) {
        self.products(|from, at, to, run| {
            for k in 0..run {
                dx[from] += weight[at + k] * dy[to + k];
                dweight[at + k] += x[from] * dy[to + k];
            }
        });
    }
}

/// For every output entry the input entry that is the largest, the first of equals.
pub fn largest(x: Shape, y: Shape, window: &Window, values: &[f64]) -> Vec<usize> {
    let mut best: Vec<Option<usize>> = vec![None; y.len()];
    walk(x, y, window, |to, from, _| {
        for c in 0..x.c {
            let (best, at) = (&mut best[to * x.c + c], from * x.c + c);
            if best.is_none_or(|b| values[at] > values[b]) {
                *best = Some(at);
            }
        }
    });
    best.into_iter().map(Option::unwrap).collect()
}

/// For every output pixel what its sum is divided by.
pub fn divisors(x: Shape, y: Shape, window: &Window, count_include_pad: bool) -> Vec<f64> {
    let mut counts = vec![0.0; y.area()];
    walk(x, y, window, |to, _, _| counts[to] += 1.0);
    if count_include_pad {
        // PyTorch counts padding that the padded image has, which windows that fit do not leave.
        counts.fill(window.taps() as f64);
    }
    counts
}
