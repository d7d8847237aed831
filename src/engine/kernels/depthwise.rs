//! Depthwise convolution, and the depthwise separable pair (depthwise, then 1x1) as one kernel.
//!
//! The source is copied once into a zero-padded plane (ReLU and crop on the way), so the inner loops know no borders;
//! they run over groups of channels held in vector registers. In the separable kernel the depthwise result stays
//! in the scratch memory of one image and is computed anew in the backward pass: it is never written to the arena.

use super::gemm::{Mat, gemm};
use super::load::{Load, Source};
use super::pointwise::store_masked;
use crate::arch::op::{Shape, Window};
use crate::engine::isa::Isa;
use crate::engine::real::{Real, for_channels, lanes_mut, lanes_unchecked};

/// Output pixels whose accumulators are held in registers together.
const BLOCK: usize = 4;

/// A depthwise convolution of one image, weights `[kh, kw, c]`.
#[derive(Clone, Copy, Debug)]
pub struct Depthwise {
    /// Source `[h, w, c]`, before cropping.
    pub source: Shape,
    /// Output `[oh, ow, c]`.
    pub output: Shape,
    /// Where it looks.
    pub window: Window,
    /// What happens on the way in.
    pub load: Load,
}

impl Depthwise {
    /// The padded plane's rows and columns.
    fn padded(&self) -> (usize, usize) {
        let (w, crop) = (&self.window, self.load.crop);
        (self.source.h - crop[0] + 2 * w.pad[0], self.source.w - crop[1] + 2 * w.pad[1])
    }

    fn padded_len(&self) -> usize {
        let (h, w) = self.padded();
        h * w * self.source.c
    }

    /// Scalars of scratch memory that forward and backward need.
    pub fn scratch(&self) -> usize {
        let w = &self.window;
        let [h, wide] =
            [(self.output.h, 0), (self.output.w, 1)].map(|(n, a)| n + 2 * w.dilation[a] * (w.kernel[a] - 1));
        let transposed = h * wide * self.source.c;
        self.padded_len() + self.source.len() + transposed + w.taps() * self.source.c
    }

    /// Copies the source into the padded plane.
    #[inline(always)]
    fn pad<T: Real>(&self, x: Source<'_, T>, plane: &mut [T]) {
        let (ph, pw) = self.padded();
        let (c, pad, crop) = (self.source.c, self.window.pad, self.load.crop);
        let inner = (self.source.w - crop[1]) * c;
        for (py, row) in plane.chunks_exact_mut(pw * c).enumerate().take(ph) {
            let Some(y) = py.checked_sub(pad[0]).map(|y| y + crop[0]).filter(|y| *y < self.source.h) else {
                row.fill(T::zero());
                continue;
            };
            let src = &x.values[(y * self.source.w + crop[1]) * c..][..inner];
            let (left, rest) = row.split_at_mut(pad[1] * c);
            let (mid, right) = rest.split_at_mut(inner);
            left.fill(T::zero());
            right.fill(T::zero());
            if let Some((a, b)) = x.affine {
                for (d, s) in mid.chunks_exact_mut(c).zip(src.chunks_exact(c)) {
                    for i in 0..c {
                        let v = s[i].fma(a[i], b[i]);
                        d[i] = if self.load.relu { v.larger(T::zero()) } else { v };
                    }
                }
            } else if self.load.relu {
                for (d, s) in mid.iter_mut().zip(src) {
                    *d = s.larger(T::zero());
                }
            } else {
                mid.copy_from_slice(src);
            }
        }
    }

    /// `y = depthwise(load(x), weight)`.
    pub fn forward<T: Real>(&self, isa: Isa, x: Source<'_, T>, weight: &[T], y: &mut [T], scratch: &mut [T]) {
        let plane = &mut scratch[..self.padded_len()];
        isa.run(
            #[inline(always)]
            || self.pad(x, plane),
        );
        correlate(isa, plane, self.padded().1, weight, &self.window, self.output, y);
    }

    /// `dweight += sum over pixels of load(x) dy`.
    pub fn backward_weight<T: Real>(&self, isa: Isa, x: Source<'_, T>, dy: &[T], dweight: &mut [T], scratch: &mut [T]) {
        let plane = &mut scratch[..self.padded_len()];
        isa.run(
            #[inline(always)]
            || self.pad(x, plane),
        );
        correlate_weight(isa, plane, self.padded().1, dy, &self.window, self.output, dweight);
    }

    /// `dx = load'(x) * (dy depthwise^T weight)`, added to what is there where `accumulate`.
    pub fn backward_input<T: Real>(
        &self,
        isa: Isa,
        x: Option<Source<'_, T>>,
        weight: &[T],
        dy: &[T],
        dx: &mut [T],
        accumulate: bool,
        scratch: &mut [T],
    ) {
        let (c, win) = (self.source.c, &self.window);
        let (plane, scratch) = scratch.split_at_mut(self.padded_len());
        let (plain, rest) = scratch.split_at_mut(self.source.len());
        let complementary = [0, 1].map(|a| (win.dilation[a] * (win.kernel[a] - 1)).checked_sub(win.pad[a]));
        if let ([1, 1], [0, 0], [Some(top), Some(left)]) = (win.stride, self.load.crop, complementary) {
            // The transposed stride-1 convolution is the convolution with mirrored taps and complementary padding.
            let (padded, flipped) = rest.split_at_mut(rest.len() - win.taps() * c);
            for (tap, w) in weight.chunks_exact(c).rev().enumerate() {
                flipped[tap * c..][..c].copy_from_slice(w);
            }
            let back = Depthwise {
                source: self.output,
                output: self.source,
                window: Window { pad: [top, left], ..*win },
                load: Load::default(),
            };
            let padded = &mut padded[..back.padded_len()];
            isa.run(
                #[inline(always)]
                || back.pad(Source::plain(dy), padded),
            );
            correlate(isa, padded, back.padded().1, flipped, &back.window, back.output, plain);
        } else {
            let pw = self.padded().1;
            isa.run(
                #[inline(always)]
                || transpose(plane, pw, weight, dy, win, self.output),
            );
            let crop = self.load.crop;
            plain.fill(T::zero());
            for y in crop[0]..self.source.h {
                let from = ((y - crop[0] + win.pad[0]) * pw + win.pad[1]) * c;
                let to = (y * self.source.w + crop[1]) * c;
                let len = (self.source.w - crop[1]) * c;
                plain[to..to + len].copy_from_slice(&plane[from..from + len]);
            }
        }
        store_masked(isa, plain, x.filter(|_| self.load.relu), dx, accumulate);
    }
}

/// `out[oy, ox] = sum over taps of plane[oy s + ky d, ox s + kx d] * weight[tap]`, channel by channel.
fn correlate<T: Real>(isa: Isa, plane: &[T], pw: usize, weight: &[T], win: &Window, out: Shape, y: &mut [T]) {
    match win.kernel {
        [3, 3] => isa.run(
            #[inline(always)]
            || correlate_k::<T, 3>(plane, pw, weight, win, out, y),
        ),
        [5, 5] => isa.run(
            #[inline(always)]
            || correlate_k::<T, 5>(plane, pw, weight, win, out, y),
        ),
        _ => isa.run(
            #[inline(always)]
            || correlate_k::<T, 0>(plane, pw, weight, win, out, y),
        ),
    }
}

/// [`correlate`] for a square kernel of the constant size `K`, or for any kernel where `K` is 0.
#[inline(always)]
fn correlate_k<T: Real, const K: usize>(plane: &[T], pw: usize, weight: &[T], win: &Window, out: Shape, y: &mut [T]) {
    let c = out.c;
    let [kh, kw] = if K == 0 { win.kernel } else { [K, K] };
    let (sx, dx) = (win.stride[1] * c, win.dilation[1] * c);
    check_reach(plane.len(), pw, win, out);
    assert!(weight.len() >= kh * kw * c && win.kernel == [kh, kw]);
    for oy in 0..out.h {
        let row = &mut y[oy * out.w * c..][..out.w * c];
        for_channels!(c, |c0, L| {
            let mut ox = 0;
            while ox < out.w {
                let n = BLOCK.min(out.w - ox);
                let mut acc = [[T::zero(); L]; BLOCK];
                for ky in 0..kh {
                    let base = (oy * win.stride[0] + ky * win.dilation[0]) * pw * c + ox * sx + c0;
                    for kx in 0..kw {
                        let at = base + kx * dx;
                        // SAFETY: `c0 + L <= c`, and `check_reach` has compared the furthest tap of the last output
                        // with the plane's length; the weights' length was asserted.
                        unsafe {
                            let w: &[T; L] = lanes_unchecked(weight, (ky * kw + kx) * c + c0);
                            if n == BLOCK {
                                for (b, acc) in acc.iter_mut().enumerate() {
                                    fma(acc, lanes_unchecked(plane, at + b * sx), w);
                                }
                            } else {
                                for (b, acc) in acc.iter_mut().enumerate().take(n) {
                                    fma(acc, lanes_unchecked(plane, at + b * sx), w);
                                }
                            }
                        }
                    }
                }
                for (b, acc) in acc.iter().enumerate().take(n) {
                    *lanes_mut(row, (ox + b) * c + c0) = *acc;
                }
                ox += n;
            }
        });
    }
}

/// # Panics
/// When the last output's furthest tap lies outside the plane: the inner loops rely on it and do not look again.
fn check_reach(len: usize, pw: usize, win: &Window, out: Shape) {
    let far = [out.h, out.w].map(|n| n.saturating_sub(1));
    let reach = |a: usize| far[a] * win.stride[a] + (win.kernel[a] - 1) * win.dilation[a];
    assert!(reach(1) < pw && (reach(0) * pw + reach(1) + 1) * out.c <= len, "{win:?} leaves a plane of {len}");
}

/// `acc += a * b`.
#[inline(always)]
fn fma<T: Real, const L: usize>(acc: &mut [T; L], a: &[T; L], b: &[T; L]) {
    for i in 0..L {
        acc[i] = a[i].fma(b[i], acc[i]);
    }
}

/// `dweight[tap] += sum over pixels of plane[..] * dy[..]`.
fn correlate_weight<T: Real>(isa: Isa, plane: &[T], pw: usize, dy: &[T], win: &Window, out: Shape, dweight: &mut [T]) {
    let c = out.c;
    let [kh, kw] = win.kernel;
    let (sx, dx) = (win.stride[1] * c, win.dilation[1] * c);
    check_reach(plane.len(), pw, win, out);
    assert!(dy.len() >= out.len());
    isa.run(
        #[inline(always)]
        || {
            for_channels!(c, |c0, L| {
                for ky in 0..kh {
                    for kx in 0..kw {
                        let mut acc = [[T::zero(); L]; BLOCK];
                        for oy in 0..out.h {
                            let base = (oy * win.stride[0] + ky * win.dilation[0]) * pw * c + kx * dx + c0;
                            let grad = oy * out.w * c + c0;
                            let whole = out.w / BLOCK * BLOCK;
                            // SAFETY: `c0 + L <= c`; `check_reach` covers the plane, the assertion `dy`.
                            unsafe {
                                for ox in (0..whole).step_by(BLOCK) {
                                    for (b, acc) in acc.iter_mut().enumerate() {
                                        let x = lanes_unchecked(plane, base + (ox + b) * sx);
                                        fma(acc, x, lanes_unchecked(dy, grad + (ox + b) * c));
                                    }
                                }
                                for ox in whole..out.w {
                                    let x = lanes_unchecked(plane, base + ox * sx);
                                    fma(&mut acc[0], x, lanes_unchecked(dy, grad + ox * c));
                                }
                            }
                        }
                        let d: &mut [T; L] = lanes_mut(dweight, (ky * kw + kx) * c + c0);
                        for acc in &acc {
                            for i in 0..L {
                                d[i] += acc[i];
                            }
                        }
                    }
                }
            });
        },
    );
}

/// The transposed correlation: `plane[p] = sum of dy[o] weight[k] over o s + k d = p`, row by row; every place of the plane
/// is written once.
#[inline(always)]
fn transpose<T: Real>(plane: &mut [T], pw: usize, weight: &[T], dy: &[T], win: &Window, out: Shape) {
    let c = out.c;
    let [kh, kw] = win.kernel;
    let [sy, sx] = win.stride;
    assert!(weight.len() >= kh * kw * c && dy.len() >= out.len());
    for (py, row) in plane.chunks_exact_mut(pw * c).enumerate() {
        for_channels!(c, |c0, L| {
            for px in 0..pw {
                let mut acc = [T::zero(); L];
                for ky in 0..kh {
                    let Some(oy) = source_of(py, ky * win.dilation[0], sy, out.h) else { continue };
                    for kx in 0..kw {
                        let Some(ox) = source_of(px, kx * win.dilation[1], sx, out.w) else { continue };
                        // SAFETY: `oy < out.h`, `ox < out.w`, `c0 + L <= c`; both lengths were asserted.
                        unsafe {
                            let g = lanes_unchecked(dy, (oy * out.w + ox) * c + c0);
                            fma(&mut acc, g, lanes_unchecked(weight, (ky * kw + kx) * c + c0));
                        }
                    }
                }
                *lanes_mut(row, px * c + c0) = acc;
            }
        });
    }
}

/// The output whose tap at a distance falls on a place, if there is one.
#[inline(always)]
fn source_of(place: usize, tap: usize, stride: usize, outputs: usize) -> Option<usize> {
    let from = place.checked_sub(tap)?;
    let o = if stride == 1 {
        from
    } else if stride == 2 {
        from >> 1
    } else {
        from / stride
    };
    (o * stride == from && o < outputs).then_some(o)
}

/// A depthwise convolution followed by a 1x1 convolution, weights `[kh, kw, c]` and `[c, out]`.
#[derive(Clone, Copy, Debug)]
pub struct Separable {
    /// The first half.
    pub depthwise: Depthwise,
    /// Output channels.
    pub out: usize,
}

/// The two weight gradients of a [`Separable`].
pub struct SeparableGrad<'a, T> {
    /// `[kh, kw, c]`.
    pub depthwise: &'a mut [T],
    /// `[c, out]`.
    pub pointwise: &'a mut [T],
}

impl Separable {
    fn mid(&self) -> Mat {
        Mat::dense(self.depthwise.output.area(), self.depthwise.output.c)
    }

    fn point(&self) -> Mat {
        Mat::dense(self.depthwise.output.c, self.out)
    }

    fn end(&self) -> Mat {
        Mat::dense(self.depthwise.output.area(), self.out)
    }

    /// Scalars of scratch memory that forward and backward need.
    pub fn scratch(&self) -> usize {
        self.depthwise.scratch() + 2 * self.depthwise.output.len()
    }

    /// `y = pointwise(depthwise(load(x)))`.
    pub fn forward<T: Real>(
        &self,
        isa: Isa,
        x: Source<'_, T>,
        depthwise: &[T],
        pointwise: &[T],
        y: &mut [T],
        scratch: &mut [T],
    ) {
        let (mid, scratch) = scratch.split_at_mut(self.depthwise.output.len());
        self.depthwise.forward(isa, x, depthwise, mid, scratch);
        gemm(isa, mid, self.mid(), pointwise, self.point(), y, self.end(), false);
    }

    /// Both weight gradients (added) where `grads`, and the input gradient where `dx` is `(target, accumulate)`.
    #[allow(clippy::too_many_arguments)]
    pub fn backward<T: Real>(
        &self,
        isa: Isa,
        x: Option<Source<'_, T>>,
        depthwise: &[T],
        pointwise: &[T],
        dy: &[T],
        grads: Option<SeparableGrad<'_, T>>,
        dx: Option<(&mut [T], bool)>,
        scratch: &mut [T],
    ) {
        let len = self.depthwise.output.len();
        let (mid, scratch) = scratch.split_at_mut(len);
        let (dmid, scratch) = scratch.split_at_mut(len);
        gemm(isa, dy, self.end(), pointwise, self.point().t(), dmid, self.mid(), false);
        if let (Some(grads), Some(x)) = (grads, x) {
            self.depthwise.forward(isa, x, depthwise, mid, scratch);
            gemm(isa, mid, self.mid().t(), dy, self.end(), grads.pointwise, self.point(), true);
            // The forward pass has just left the padded source at the start of the scratch memory.
            let d = &self.depthwise;
            correlate_weight(isa, &scratch[..d.padded_len()], d.padded().1, dmid, &d.window, d.output, grads.depthwise);
        }
        if let Some((dx, accumulate)) = dx {
            self.depthwise.backward_input(isa, x, depthwise, dmid, dx, accumulate, scratch);
        }
    }
}
