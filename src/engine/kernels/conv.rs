//! Dense and grouped convolution as matrix products over tiles of gathered patches.
//!
//! A tile is a few output rows whose patches fit the second-level cache. ReLU and cropping in front of a convolution
//! happen while its input is gathered, so neither is ever written to memory.

use super::gemm::{Mat, gemm};
use super::load::{Load, Source};
use crate::arch::op::{Shape, Window};
use crate::engine::isa::Isa;
use crate::engine::real::Real;

/// Elements of gathered patches kept at a time: 256 KB of f32, a quarter of a common second-level cache.
const TILE: usize = 1 << 16;

/// A convolution of one image.
#[derive(Clone, Copy, Debug)]
pub struct Conv {
    /// Source `[h, w, c]`, before cropping.
    pub source: Shape,
    /// Output `[oh, ow, out]`.
    pub output: Shape,
    /// Where it looks.
    pub window: Window,
    /// Channel groups.
    pub groups: usize,
    /// What happens on the way in.
    pub load: Load,
}

impl Conv {
    fn taps_in(&self) -> usize {
        self.window.taps() * self.source.c / self.groups
    }

    /// A 1x1 convolution at stride 1 whose patches are the source itself.
    fn is_plain_product(&self) -> bool {
        self.window == Window::square(1, 1, 0) && self.groups == 1 && self.load.crop == [0, 0]
    }

    fn tile_rows(&self) -> usize {
        (TILE / (self.output.w * self.taps_in())).clamp(1, self.output.h)
    }

    /// Scalars of scratch memory that forward and backward need.
    pub fn scratch(&self) -> usize {
        self.tile_rows() * self.output.w * self.taps_in() + self.source.len()
    }

    /// The source row (or column) under a tap, if it exists.
    #[inline(always)]
    fn tap(&self, axis: usize, out: usize, k: usize) -> Option<usize> {
        let w = &self.window;
        let crop = self.load.crop[axis];
        let side = if axis == 0 { self.source.h } else { self.source.w };
        let at = (out * w.stride[axis] + k * w.dilation[axis] + crop).checked_sub(w.pad[axis])?;
        (at >= crop && at < side).then_some(at)
    }

    /// Gathers the patches of output rows `rows` for one group: `[rows * ow, taps * c / groups]`.
    fn gather<T: Real>(&self, x: Source<'_, T>, group: usize, rows: std::ops::Range<usize>, col: &mut [T]) {
        let (c, cg, ow, k) = (self.source.c, self.source.c / self.groups, self.output.w, self.window.kernel);
        let width = self.taps_in();
        for (r, oy) in rows.enumerate() {
            for ky in 0..k[0] {
                let iy = self.tap(0, oy, ky);
                for kx in 0..k[1] {
                    let at = (ky * k[1] + kx) * cg;
                    for ox in 0..ow {
                        let dst = &mut col[(r * ow + ox) * width + at..][..cg];
                        match (iy, self.tap(1, ox, kx)) {
                            (Some(iy), Some(ix)) => {
                                let src = &x.values[(iy * self.source.w + ix) * c + group * cg..][..cg];
                                if let Some((a, b)) = x.affine {
                                    let (a, b) = (&a[group * cg..], &b[group * cg..]);
                                    for (((d, s), a), b) in dst.iter_mut().zip(src).zip(a).zip(b) {
                                        *d = s.fma(*a, *b);
                                        if self.load.relu {
                                            *d = d.larger(T::zero());
                                        }
                                    }
                                } else if self.load.relu {
                                    for (d, s) in dst.iter_mut().zip(src) {
                                        *d = s.larger(T::zero());
                                    }
                                } else {
                                    dst.copy_from_slice(src);
                                }
                            }
                            _ => dst.fill(T::zero()),
                        }
                    }
                }
            }
        }
    }

    /// Adds gathered patch gradients back onto the plane they came from (before the ReLU mask).
    fn scatter<T: Real>(&self, col: &[T], group: usize, rows: std::ops::Range<usize>, dx: &mut [T]) {
        let (c, cg, ow, k) = (self.source.c, self.source.c / self.groups, self.output.w, self.window.kernel);
        let width = self.taps_in();
        for (r, oy) in rows.enumerate() {
            for ky in 0..k[0] {
                let Some(iy) = self.tap(0, oy, ky) else { continue };
                for kx in 0..k[1] {
                    let at = (ky * k[1] + kx) * cg;
                    for ox in 0..ow {
                        let Some(ix) = self.tap(1, ox, kx) else { continue };
                        let src = &col[(r * ow + ox) * width + at..][..cg];
                        let dst = &mut dx[(iy * self.source.w + ix) * c + group * cg..][..cg];
                        for (d, s) in dst.iter_mut().zip(src) {
                            *d += *s;
                        }
                    }
                }
            }
        }
    }

    fn tiles(&self) -> impl Iterator<Item = std::ops::Range<usize>> + use<> {
        let (rows, oh) = (self.tile_rows(), self.output.h);
        (0..oh).step_by(rows).map(move |r| r..(r + rows).min(oh))
    }

    /// The weights of a group, `[taps * c / groups, out / groups]` inside `[.., out]`.
    fn weight_mat(&self) -> Mat {
        Mat::strided(self.taps_in(), self.output.c / self.groups, self.output.c)
    }

    /// The output pixels of a tile for one group.
    fn tile_mat(&self, rows: &std::ops::Range<usize>) -> Mat {
        Mat::strided(rows.len() * self.output.w, self.output.c / self.groups, self.output.c)
    }

    fn offset(&self, rows: &std::ops::Range<usize>, group: usize) -> usize {
        rows.start * self.output.w * self.output.c + group * (self.output.c / self.groups)
    }

    /// `y = conv(load(x), weight) + bias`.
    pub fn forward<T: Real>(
        &self,
        isa: Isa,
        x: Source<'_, T>,
        weight: &[T],
        bias: Option<&[T]>,
        y: &mut [T],
        scratch: &mut [T],
    ) {
        let og = self.output.c / self.groups;
        for rows in self.tiles() {
            let patches = rows.len() * self.output.w;
            for g in 0..self.groups {
                let ym = self.tile_mat(&rows);
                let at = self.offset(&rows, g);
                if self.is_plain_product() && !self.load.relu && x.affine.is_none() {
                    let first = rows.start * self.source.w * self.source.c;
                    let xm = Mat::dense(patches, self.source.c);
                    gemm(isa, &x.values[first..], xm, weight, self.weight_mat(), &mut y[at..], ym, false);
                } else {
                    let col = &mut scratch[..patches * self.taps_in()];
                    self.gather(x, g, rows.clone(), col);
                    let cm = Mat::dense(patches, self.taps_in());
                    gemm(isa, col, cm, &weight[g * og..], self.weight_mat(), &mut y[at..], ym, false);
                }
            }
        }
        if let Some(bias) = bias {
            for pixel in y.chunks_exact_mut(bias.len()) {
                for (v, b) in pixel.iter_mut().zip(bias) {
                    *v += *b;
                }
            }
        }
    }

    /// `dweight += patches^T dy`, `dbias += sum dy`.
    pub fn backward_weight<T: Real>(
        &self,
        isa: Isa,
        x: Source<'_, T>,
        dy: &[T],
        dweight: &mut [T],
        dbias: Option<&mut [T]>,
        scratch: &mut [T],
    ) {
        let og = self.output.c / self.groups;
        for rows in self.tiles() {
            let patches = rows.len() * self.output.w;
            for g in 0..self.groups {
                let col = &mut scratch[..patches * self.taps_in()];
                self.gather(x, g, rows.clone(), col);
                let cm = Mat::dense(patches, self.taps_in());
                let dym = self.tile_mat(&rows);
                let at = self.offset(&rows, g);
                gemm(isa, col, cm.t(), &dy[at..], dym, &mut dweight[g * og..], self.weight_mat(), true);
            }
        }
        if let Some(dbias) = dbias {
            for pixel in dy.chunks_exact(dbias.len()) {
                for (d, v) in dbias.iter_mut().zip(pixel) {
                    *d += *v;
                }
            }
        }
    }

    /// `dx = load'(x) * (dy conv^T weight)`, added to what is there where `accumulate`. `x` is read for the ReLU only.
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
        let og = self.output.c / self.groups;
        let (col, plane) = scratch.split_at_mut(self.tile_rows() * self.output.w * self.taps_in());
        let plane = &mut plane[..self.source.len()];
        if !self.is_plain_product() {
            plane.fill(T::zero());
        }
        for rows in self.tiles() {
            let patches = rows.len() * self.output.w;
            for g in 0..self.groups {
                let (dym, wm) = (self.tile_mat(&rows), self.weight_mat());
                let at = self.offset(&rows, g);
                let cm = Mat::dense(patches, self.taps_in());
                if self.is_plain_product() {
                    let first = rows.start * self.source.w * self.source.c;
                    gemm(isa, &dy[at..], dym, weight, wm.t(), &mut plane[first..], cm, false);
                } else {
                    let col = &mut col[..patches * self.taps_in()];
                    gemm(isa, &dy[at..], dym, &weight[g * og..], wm.t(), col, cm, false);
                    self.scatter(col, g, rows.clone(), plane);
                }
            }
        }
        super::pointwise::store_masked(isa, plane, x.filter(|_| self.load.relu), dx, accumulate);
    }
}
