//! Pools of any kernel, stride and padding, forward and backward.

use crate::arch::op::{Shape, Window};
use crate::engine::isa::Isa;
use crate::engine::real::{Real, for_channels, lanes, lanes_mut};

/// A pool of one image.
#[derive(Clone, Copy, Debug)]
pub struct Pool {
    /// Source `[h, w, c]`.
    pub source: Shape,
    /// Output `[oh, ow, c]`.
    pub output: Shape,
    /// Where it looks.
    pub window: Window,
}

impl Pool {
    /// The source rows (or columns) under the window of output `out`, clipped to the source.
    #[inline(always)]
    fn under(&self, axis: usize, out: usize) -> impl ExactSizeIterator<Item = usize> + Clone + use<> {
        let w = &self.window;
        let side = if axis == 0 { self.source.h } else { self.source.w };
        let (start, pad, step) = (out * w.stride[axis], w.pad[axis], w.dilation[axis]);
        // The first tap that is not in the padding before the source, and the first one behind its end.
        let first = pad.saturating_sub(start).div_ceil(step);
        let end = (side + pad).saturating_sub(start).div_ceil(step).min(w.kernel[axis]);
        (first..end.max(first)).map(move |k| start + k * step - pad)
    }

    /// The largest value under the window.
    pub fn max_forward<T: Real>(&self, isa: Isa, x: &[T], y: &mut [T]) {
        let (c, sw) = (self.source.c, self.source.w);
        isa.run(
            #[inline(always)]
            || {
                for oy in 0..self.output.h {
                    for ox in 0..self.output.w {
                        let to = (oy * self.output.w + ox) * c;
                        for_channels!(c, |c0, L| {
                            let mut best = [T::from_f64(f64::NEG_INFINITY); L];
                            for iy in self.under(0, oy) {
                                for ix in self.under(1, ox) {
                                    let v: &[T; L] = lanes(x, (iy * sw + ix) * c + c0);
                                    for i in 0..L {
                                        best[i] = best[i].larger(v[i]);
                                    }
                                }
                            }
                            *lanes_mut(y, to + c0) = best;
                        });
                    }
                }
            },
        );
    }

    /// The whole gradient goes to the first largest value in raster order, as in PyTorch.
    pub fn max_backward<T: Real>(&self, isa: Isa, x: &[T], dy: &[T], dx: &mut [T], accumulate: bool) {
        let (c, sw) = (self.source.c, self.source.w);
        if !accumulate {
            dx.fill(T::zero());
        }
        isa.run(
            #[inline(always)]
            || {
                for oy in 0..self.output.h {
                    for ox in 0..self.output.w {
                        let from = (oy * self.output.w + ox) * c;
                        for_channels!(c, |c0, L| {
                            let mut best = [T::from_f64(f64::NEG_INFINITY); L];
                            let mut place = [0u32; L];
                            for iy in self.under(0, oy) {
                                for ix in self.under(1, ox) {
                                    let at = (iy * sw + ix) * c + c0;
                                    let v: &[T; L] = lanes(x, at);
                                    for i in 0..L {
                                        let better = v[i] > best[i];
                                        best[i] = if better { v[i] } else { best[i] };
                                        place[i] = if better { at as u32 } else { place[i] };
                                    }
                                }
                            }
                            for i in 0..L {
                                dx[place[i] as usize + i] += dy[from + c0 + i];
                            }
                        });
                    }
                }
            },
        );
    }

    /// One over the divisor at an output pixel.
    #[inline(always)]
    fn share<T: Real>(&self, oy: usize, ox: usize, count_include_pad: bool) -> T {
        let count =
            if count_include_pad { self.window.taps() } else { self.under(0, oy).len() * self.under(1, ox).len() };
        T::one() / T::from_f64(count as f64)
    }

    /// The mean under the window.
    pub fn avg_forward<T: Real>(&self, isa: Isa, x: &[T], count_include_pad: bool, y: &mut [T]) {
        let (c, sw) = (self.source.c, self.source.w);
        isa.run(
            #[inline(always)]
            || {
                for oy in 0..self.output.h {
                    for ox in 0..self.output.w {
                        let share: T = self.share(oy, ox, count_include_pad);
                        let to = (oy * self.output.w + ox) * c;
                        for_channels!(c, |c0, L| {
                            let mut sum = [T::zero(); L];
                            for iy in self.under(0, oy) {
                                for ix in self.under(1, ox) {
                                    let v: &[T; L] = lanes(x, (iy * sw + ix) * c + c0);
                                    for i in 0..L {
                                        sum[i] += v[i];
                                    }
                                }
                            }
                            let d: &mut [T; L] = lanes_mut(y, to + c0);
                            for i in 0..L {
                                d[i] = sum[i] * share;
                            }
                        });
                    }
                }
            },
        );
    }

    /// Every value under the window gets its share of the gradient.
    pub fn avg_backward<T: Real>(&self, isa: Isa, dy: &[T], count_include_pad: bool, dx: &mut [T], accumulate: bool) {
        let (c, sw) = (self.source.c, self.source.w);
        if !accumulate {
            dx.fill(T::zero());
        }
        isa.run(
            #[inline(always)]
            || {
                for oy in 0..self.output.h {
                    for ox in 0..self.output.w {
                        let share: T = self.share(oy, ox, count_include_pad);
                        let from = (oy * self.output.w + ox) * c;
                        for_channels!(c, |c0, L| {
                            let g: &[T; L] = lanes(dy, from + c0);
                            for iy in self.under(0, oy) {
                                for ix in self.under(1, ox) {
                                    let d: &mut [T; L] = lanes_mut(dx, (iy * sw + ix) * c + c0);
                                    for i in 0..L {
                                        d[i] = g[i].fma(share, d[i]);
                                    }
                                }
                            }
                        });
                    }
                }
            },
        );
    }

    /// The mean over all pixels.
    pub fn global_forward<T: Real>(x: &[T], y: &mut [T]) {
        let c = y.len();
        let share = T::one() / T::from_f64((x.len() / c) as f64);
        y.fill(T::zero());
        for pixel in x.chunks_exact(c) {
            for (s, v) in y.iter_mut().zip(pixel) {
                *s += *v;
            }
        }
        for s in y {
            *s *= share;
        }
    }

    /// Every pixel gets an equal share.
    pub fn global_backward<T: Real>(dy: &[T], dx: &mut [T], accumulate: bool) {
        let c = dy.len();
        let share = T::one() / T::from_f64((dx.len() / c) as f64);
        for pixel in dx.chunks_exact_mut(c) {
            for (d, g) in pixel.iter_mut().zip(dy) {
                *d = if accumulate { *d + *g * share } else { *g * share };
            }
        }
    }
}
