//! Spectral layers. ONNX Runtime and PyTorch support no common Fourier transform of images, so transforms are products
//! with constant matrices of cosines and sines.

use super::graph::Attribute;
use super::transpose;
use super::writer::Writer;
use crate::arch::fourier::{Complex, flc_matrix};
use crate::arch::op::{Shape, Window};

/// `Re(A X B^T)`: forward transform, crop and inverse transform of both axes at once.
pub fn flc_pool(w: &mut Writer<'_, '_>, x: &str, shape: Shape, hamming: bool) -> String {
    let rows = flc_matrix(shape.h, hamming);
    let columns = flc_matrix(shape.w, hamming).transposed();
    let part = |w: &mut Writer<'_, '_>, of: fn(&Complex) -> &[f64], suffix: &str| {
        let left = matrix(w, &format!("rows_{suffix}"), of(&rows), rows.sides);
        let right = matrix(w, &format!("columns_{suffix}"), of(&columns), columns.sides);
        let product = w.op("MatMul", &[&left, x], &[]);
        w.op("MatMul", &[&product, &right], &[])
    };
    let real = part(w, |m| &m.re, "re");
    let imaginary = part(w, |m| &m.im, "im");
    w.op("Sub", &[&real, &imaginary], &[])
}

/// ConvNorm: the full convolution, its output's spectrum multiplied by the running inverse amplitude, then the crop to
/// padding and stride.
pub fn conv_norm(w: &mut Writer<'_, '_>, x: &str, shape: Shape, window: &Window) -> Result<String, String> {
    let (out, [rows, columns]) = (w.node.shape, window.kernel);
    let whole = Shape::new(shape.h + rows - 1, shape.w + columns - 1, out.c);
    let values = w.values("weight", window.taps() * shape.c * out.c)?;
    let turned = transpose::convolution(values, [rows, columns, shape.c, out.c]);
    let weight = w.floats("weight", &[out.c, shape.c, rows, columns], &turned);
    let around = [rows - 1, columns - 1, rows - 1, columns - 1].map(|n| n as i64);
    let mut y = w.op("Conv", &[x, &weight], &[Attribute::Ints("pads", &around)]);
    y = if window.taps() == 1 {
        let factor = w.tensor("running_amplitude", &[1, out.c, 1, 1])?;
        w.op("Mul", &[&y, &factor], &[])
    } else {
        precondition(w, &y, whole)?
    };
    let starts: Vec<i64> = (0..2).map(|a| (window.kernel[a] - 1 - window.pad[a]) as i64).collect();
    let last = |start: i64, n: usize, stride: usize| start + ((n - 1) * stride + 1) as i64;
    let ends = [last(starts[0], out.h, window.stride[0]), last(starts[1], out.w, window.stride[1])];
    let steps = window.stride.map(|s| s as i64);
    let lists = [&starts[..], &ends, &[2, 3], &steps].map(|list| w.graph.ints(list));
    Ok(w.op("Slice", &[&y, &lists[0], &lists[1], &lists[2], &lists[3]], &[]))
}

/// Every plane's spectrum, one-sided in the columns, times a factor, and back.
fn precondition(w: &mut Writer<'_, '_>, y: &str, Shape { h, w: width, c }: Shape) -> Result<String, String> {
    let half = width / 2 + 1;
    let factor = transpose::planes(w.values("running_amplitude", h * half * c)?, c);
    let factor = w.floats("running_amplitude", &[1, c, h, half], &factor);
    let (rows, columns) = (Complex::fourier(h, h), Complex::fourier(width, half));
    let back = Complex::inverse_one_sided(h, width);
    let rows = [matrix(w, "rows_re", &rows.re, rows.sides), matrix(w, "rows_im", &rows.im, rows.sides)];
    let columns = columns.transposed();
    let columns =
        [matrix(w, "columns_re", &columns.re, columns.sides), matrix(w, "columns_im", &columns.im, columns.sides)];
    let back = [matrix(w, "back_re", &back.re, back.sides), matrix(w, "back_im", &back.im, back.sides)];
    // Of the columns, then of the rows; the image has no imaginary part.
    let [re, im] = columns.map(|m| w.op("MatMul", &[y, &m], &[]));
    let [re, im] = turned(w, &rows, [&re, &im], ["Sub", "Add"]);
    let [re, im] = [re, im].map(|part| w.op("Mul", &[&part, &factor], &[]));
    // The conjugate is the inverse transform.
    let [re, im] = turned(w, &rows, [&re, &im], ["Add", "Sub"]);
    let [re, im] = [w.op("MatMul", &[&re, &back[0]], &[]), w.op("MatMul", &[&im, &back[1]], &[])];
    Ok(w.op("Sub", &[&re, &im], &[]))
}

/// A complex matrix from the left, or its conjugate: `re re -+ im im` and `re im +- im re`.
fn turned(w: &mut Writer<'_, '_>, rows: &[String; 2], [re, im]: [&str; 2], signs: [&str; 2]) -> [String; 2] {
    let [rr, ri] = [re, im].map(|part| w.op("MatMul", &[&rows[0], part], &[]));
    let [ir, ii] = [re, im].map(|part| w.op("MatMul", &[&rows[1], part], &[]));
    [w.op(signs[0], &[&rr, &ii], &[]), w.op(signs[1], &[&ri, &ir], &[])]
}

fn matrix(w: &mut Writer<'_, '_>, suffix: &str, values: &[f64], sides: [usize; 2]) -> String {
    let values: Vec<f32> = values.iter().map(|v| *v as f32).collect();
    w.floats(suffix, &sides, &values)
}
