//! Operations in the frequency domain, as sums over waves.

use std::f64::consts::TAU;

use robustnas::arch::fourier::{Complex, flc_matrix};
use robustnas::arch::op::{Op, Shape, Window, amplitudes};

use super::Context;
use super::window::Conv;

/// `y = Re(A X B^T)` of one channel after the other.
pub fn pool(x: Shape, y: Shape, hamming: bool, values: &[f64]) -> Vec<f64> {
    let (a, b) = (flc_matrix(x.h, hamming), flc_matrix(x.w, hamming));
    let mut to = vec![0.0; y.len()];
    each(x, y, &a, &b, |at, from, share| to[at] += share * values[from]);
    to
}

pub fn pool_backward(x: Shape, y: Shape, hamming: bool, dy: &[f64]) -> Vec<f64> {
    let (a, b) = (flc_matrix(x.h, hamming), flc_matrix(x.w, hamming));
    let mut dx = vec![0.0; x.len()];
    each(x, y, &a, &b, |at, from, share| dx[from] += share * dy[at]);
    dx
}

/// Every entry of the output with every entry of the input and its share.
fn each(x: Shape, y: Shape, a: &Complex, b: &Complex, mut visit: impl FnMut(usize, usize, f64)) {
    for (m, n) in (0..y.h).flat_map(|m| (0..y.w).map(move |n| (m, n))) {
        for (i, j) in (0..x.h).flat_map(|i| (0..x.w).map(move |j| (i, j))) {
            let (p, q) = (m * x.h + i, n * x.w + j);
            let share = a.re[p] * b.re[q] - a.im[p] * b.im[q];
            for c in 0..x.c {
                visit((m * y.w + n) * y.c + c, (i * x.w + j) * x.c + c, share);
            }
        }
    }
}

/// ConvNorm's inverse amplitudes from its weights `[kh, kw, in, out]`, one-sided, `[rows, columns, out]`.
pub fn inverse_amplitudes(at: &Context<'_>) -> Vec<f64> {
    let Op::ConvNorm { out, window } = at.op() else { panic!("no ConvNorm") };
    let (weight, [kh, kw]) = (at.param(0), window.kernel);
    let inside = weight.len() / (kh * kw * out);
    let shape = amplitudes(at.shapes[0], window, *out);
    let full = full(at.shapes[0], window, *out);
    // A power below a billionth of the mean power counts as that.
    let mean: Vec<f64> = (0..*out).map(|o| weight.iter().skip(o).step_by(*out).map(|w| w * w).sum()).collect();
    let mut inverse = Vec::with_capacity(shape.len());
    for (u, v) in (0..shape.h).flat_map(|u| (0..shape.w).map(move |v| (u, v))) {
        for o in 0..*out {
            let mut power = 0.0;
            for i in 0..inside {
                let (mut re, mut im) = (0.0, 0.0);
                for (y, x) in (0..kh).flat_map(|y| (0..kw).map(move |x| (y, x))) {
                    let angle = TAU * (u as f64 * y as f64 / full.h as f64 + v as f64 * x as f64 / full.w as f64);
                    let w = weight[((y * kw + x) * inside + i) * out + o];
                    re += w * angle.cos();
                    im -= w * angle.sin();
                }
                power += re * re + im * im;
            }
            inverse.push(power.max(mean[o] * 1e-9).max(f64::MIN_POSITIVE).powf(-0.5));
        }
    }
    inverse
}

fn full(x: Shape, window: &Window, out: usize) -> Shape {
    let [kh, kw] = window.kernel;
    Shape::new(x.h + kh - 1, x.w + kw - 1, out)
}

/// The full convolution in front of the filter.
fn conv(at: &Context<'_>, out: usize, window: &Window) -> Conv {
    let x = at.shapes[0];
    let [kh, kw] = window.kernel;
    let wide = Window { kernel: [kh, kw], stride: [1; 2], pad: [kh - 1, kw - 1], dilation: [1; 2] };
    Conv { x, y: full(x, window, out), window: wide, groups: 1 }
}

/// The filter's response to an impulse, `[h, w, c]` around its first entry: even, and periodic.
fn response(at: &Context<'_>, full: Shape) -> Vec<f64> {
    let running = at.running();
    let amplitudes = match at.batch() {
        true => inverse_amplitudes(at),
        false => at.call.state[running.start..running.end - 1].to_vec(),
    };
    let Shape { h, w, c } = full;
    if amplitudes.len() == c {
        let mut impulse = vec![0.0; full.len()];
        impulse[..c].copy_from_slice(&amplitudes);
        return impulse;
    }
    let columns = w / 2 + 1;
    // Rows first, then columns: the spectrum is real and even.
    let mut rows = vec![0.0; h * columns * c * 2];
    for (y, v) in (0..h).flat_map(|y| (0..columns).map(move |v| (y, v))) {
        for u in 0..h {
            let angle = TAU * (u * y % h) as f64 / h as f64;
            for o in 0..c {
                let a = amplitudes[(u * columns + v) * c + o] / h as f64;
                rows[((y * columns + v) * c + o) * 2] += a * angle.cos();
                rows[((y * columns + v) * c + o) * 2 + 1] += a * angle.sin();
            }
        }
    }
    let mut response = vec![0.0; full.len()];
    for (y, x) in (0..h).flat_map(|y| (0..w).map(move |x| (y, x))) {
        for v in 0..columns {
            let angle = TAU * (v * x % w) as f64 / w as f64;
            let twice = if v == 0 || 2 * v == w { 1.0 } else { 2.0 };
            for o in 0..c {
                let at = ((y * columns + v) * c + o) * 2;
                let part = rows[at] * angle.cos() - rows[at + 1] * angle.sin();
                response[(y * w + x) * c + o] += twice * part / w as f64;
            }
        }
    }
    response
}

/// Where an output pixel stands in the full plane.
fn kept(window: &Window, row: usize, column: usize) -> [usize; 2] {
    [0, 1].map(|a| window.kernel[a] - 1 - window.pad[a] + window.stride[a] * [row, column][a])
}

/// Every output entry with every entry of the full plane and its share.
fn filtered(full: Shape, y: Shape, window: &Window, response: &[f64], mut visit: impl FnMut(usize, usize, f64)) {
    for (row, column) in (0..y.h).flat_map(|r| (0..y.w).map(move |c| (r, c))) {
        let [top, left] = kept(window, row, column);
        for (i, j) in (0..full.h).flat_map(|i| (0..full.w).map(move |j| (i, j))) {
            let (down, right) = ((top + full.h - i) % full.h, (left + full.w - j) % full.w);
            for c in 0..full.c {
                let share = response[(down * full.w + right) * full.c + c];
                visit((row * y.w + column) * y.c + c, (i * full.w + j) * full.c + c, share);
            }
        }
    }
}

pub fn conv_norm(at: &Context<'_>, out: usize, window: &Window, x: &[f64]) -> Vec<f64> {
    let conv = conv(at, out, window);
    let (plane, response) = (conv.forward(x, at.param(0)), response(at, conv.y));
    let mut y = vec![0.0; at.shape.len()];
    filtered(conv.y, at.shape, window, &response, |to, from, share| y[to] += share * plane[from]);
    y
}

/// No gradient passes through the amplitudes.
pub fn conv_norm_backward(
    at: &Context<'_>,
    (out, window): (usize, &Window),
    x: &[f64],
    dy: &[f64],
    dx: &mut [f64],
    dweight: &mut [f64],
) {
    let conv = conv(at, out, window);
    let response = response(at, conv.y);
    let mut dplane = vec![0.0; conv.y.len()];
    filtered(conv.y, at.shape, window, &response, |to, from, share| dplane[from] += share * dy[to]);
    conv.backward(x, at.param(0), &dplane, dx, dweight);
}
