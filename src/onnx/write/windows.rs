//! Convolutions and pools.

use super::graph::Attribute;
use super::transpose;
use super::writer::Writer;
use crate::arch::op::{Shape, Window};

/// `[n, c, h, w]` to `[n, out, h', w']`: the window, channel groups, and whether a bias is added.
pub fn conv(
    w: &mut Writer<'_, '_>,
    x: &str,
    shape: Shape,
    (window, groups, bias): (&Window, usize, bool),
) -> Result<String, String> {
    let (out, fan, [rows, columns]) = (w.node.shape.c, shape.c / groups, window.kernel);
    let values = w.values("weight", window.taps() * fan * out)?;
    let turned = transpose::convolution(values, [rows, columns, fan, out]);
    let weight = w.floats("weight", &[out, fan, rows, columns], &turned);
    let bias = if bias { Some(w.tensor("bias", &[out])?) } else { None };
    let operands: Vec<&str> = [x, &weight].into_iter().chain(bias.as_deref()).collect();
    let dilation = window.dilation.map(|n| n as i64);
    let more = [Attribute::Ints("dilations", &dilation), Attribute::Int("group", groups as i64)];
    Ok(sliding(w, "Conv", &operands, window, &more))
}

/// The operator pads with minus infinity, so padding is ignored.
pub fn max_pool(w: &mut Writer<'_, '_>, x: &str, window: &Window) -> String {
    let dilation = window.dilation.map(|n| n as i64);
    sliding(w, "MaxPool", &[x], window, &[Attribute::Ints("dilations", &dilation)])
}

/// Mean over the window. The operator has no dilation: with one, the mean is a depthwise convolution.
pub fn avg_pool(w: &mut Writer<'_, '_>, x: &str, shape: Shape, window: &Window, count_include_pad: bool) -> String {
    if window.dilation == [1; 2] {
        let include = Attribute::Int("count_include_pad", i64::from(count_include_pad));
        return sliding(w, "AveragePool", &[x], window, &[include]);
    }
    let [rows, columns] = window.kernel;
    let weight = w.floats("taps", &[shape.c, 1, rows, columns], &vec![1.0; shape.c * window.taps()]);
    let dilation = window.dilation.map(|n| n as i64);
    let more = [Attribute::Ints("dilations", &dilation), Attribute::Int("group", shape.c as i64)];
    let sum = sliding(w, "Conv", &[x, &weight], window, &more);
    let out = w.node.shape;
    let counts: Vec<f32> = (0..out.area())
        .map(|at| {
            let inside = |axis: usize, at: usize, n: usize| {
                let taps = (0..window.kernel[axis]).map(|k| at * window.stride[axis] + k * window.dilation[axis]);
                taps.filter(|p| count_include_pad || (window.pad[axis]..window.pad[axis] + n).contains(p)).count()
            };
            (inside(0, at / out.w, shape.h) * inside(1, at % out.w, shape.w)) as f32
        })
        .collect();
    let counts = w.floats("counts", &[1, 1, out.h, out.w], &counts);
    w.op("Div", &[&sum, &counts], &[])
}

/// An operation with a window.
fn sliding(w: &mut Writer<'_, '_>, op: &str, inputs: &[&str], window: &Window, more: &[Attribute<'_>]) -> String {
    let kernel = window.kernel.map(|n| n as i64);
    let stride = window.stride.map(|n| n as i64);
    let [rows, columns] = window.pad.map(|n| n as i64);
    let pads = [rows, columns, rows, columns];
    let own =
        [Attribute::Ints("kernel_shape", &kernel), Attribute::Ints("strides", &stride), Attribute::Ints("pads", &pads)];
    w.op(op, inputs, &[&own, more].concat())
}
