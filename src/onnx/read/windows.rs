//! Operations with a sliding window: convolutions and pools, and their padding.

use super::constant::{Constant, Data};
use super::draft::Weights;
use super::lowering::Lowering;
use super::node::{LARGEST_SIDE, Node};
use super::value::{Activation, Value};
use super::view::{Axis, View};
use crate::arch::op::{Op, Shape, Window};

/// A window of ONNX: padding at the start and the end of an axis may differ.
struct Sliding {
    kernel: [usize; 2],
    stride: [usize; 2],
    dilation: [usize; 2],
    begin: [usize; 2],
    end: [usize; 2],
}

impl Sliding {
    fn read(node: &Node<'_>, kernel: [usize; 2], shape: Shape) -> Result<Self, String> {
        let stride = node.sides("strides", 1)?.unwrap_or([1; 2]);
        let dilation = node.sides("dilations", 1)?.unwrap_or([1; 2]);
        let [top, left, bottom, right] = node.sides("pads", 0)?.unwrap_or([0; 4]);
        let mut sliding = Sliding { kernel, stride, dilation, begin: [top, left], end: [bottom, right] };
        if kernel.iter().any(|k| !(1..=LARGEST_SIDE).contains(k)) {
            return Err(format!("has the kernel {kernel:?}"));
        }
        let auto = node.text("auto_pad", "NOTSET")?;
        match auto.as_str() {
            "NOTSET" => {}
            "VALID" => (sliding.begin, sliding.end) = ([0; 2], [0; 2]),
            "SAME_UPPER" | "SAME_LOWER" => {
                for (axis, n) in [shape.h, shape.w].into_iter().enumerate() {
                    let reach = (n.div_ceil(stride[axis]) - 1) * stride[axis] + sliding.span(axis);
                    let total = reach.saturating_sub(n);
                    let (less, more) = (total / 2, total - total / 2);
                    let upper = auto == "SAME_UPPER";
                    (sliding.begin[axis], sliding.end[axis]) = if upper { (less, more) } else { (more, less) };
                }
            }
            other => return Err(format!("auto_pad={other} is not supported")),
        }
        Ok(sliding)
    }

    /// Adds the padding of its input.
    fn widen(&mut self, [top, left, bottom, right]: [usize; 4]) {
        for (axis, (begin, end)) in [(top, bottom), (left, right)].into_iter().enumerate() {
            self.begin[axis] += begin;
            self.end[axis] += end;
        }
    }

    fn span(&self, axis: usize) -> usize {
        self.dilation[axis] * (self.kernel[axis] - 1) + 1
    }

    /// Outputs along an axis of `n` pixels with this much padding in all.
    fn outputs(&self, axis: usize, n: usize, zeros: usize) -> Option<usize> {
        (n + zeros).checked_sub(self.span(axis)).map(|free| free / self.stride[axis] + 1)
    }

    /// Whether symmetric padding gives the same windows.
    fn even(&self, axis: usize, n: usize) -> bool {
        let (begin, end) = (self.begin[axis], self.end[axis]);
        self.outputs(axis, n, 2 * begin) == self.outputs(axis, n, begin + end)
    }

    /// The window of a pool, whose padding must be symmetric.
    fn pool(&self, node: &Node<'_>, shape: Shape) -> Result<Window, String> {
        let ceil = node.int("ceil_mode", 0)? != 0;
        for (axis, n) in [shape.h, shape.w].into_iter().enumerate() {
            let zeros = self.begin[axis] + self.end[axis];
            if !self.even(axis, n) {
                let (begin, end) = (self.begin, self.end);
                return Err(format!(
                    "pads {begin:?} at the beginning and {end:?} at the end; expected the same at both"
                ));
            }
            let rest = (n + zeros).checked_sub(self.span(axis)).map_or(0, |free| free % self.stride[axis]);
            if ceil && rest != 0 {
                return Err(format!("ceil_mode=1 adds a window at the end of {shape}, which is not supported"));
            }
        }
        Ok(Window { kernel: self.kernel, stride: self.stride, pad: self.begin, dilation: self.dilation })
    }
}

/// A layer whose output is planes.
fn planes(low: &mut Lowering<'_>, node: &Node<'_>, op: Op, x: &Activation, weights: Weights) -> Result<Value, String> {
    let layer = low.draft.push(node.name, op, &[x.layer], weights)?;
    Ok(Value::Activation(Activation::new(layer, View::planes(low.draft.shape(layer)))))
}

/// A 1x1 convolution of a constant `[1, in, h, w]`, as of a position encoding.
fn conv_of_constant(low: &Lowering<'_>, node: &Node<'_>, x: &Constant) -> Result<Value, String> {
    let weight = low.constant(node, 1)?;
    let (&[1, fan, h, w], &[out, taps, 1, 1]) = (&x.dims[..], &weight.dims[..]) else {
        return Err("takes a constant; only a 1x1 convolution of one image may".into());
    };
    let groups = node.int("group", 1)?;
    if taps != fan || groups != 1 || node.sides::<4>("pads", 0)?.is_some_and(|p| p != [0; 4]) {
        return Err(format!("of a constant has {groups} groups or pads; expected neither"));
    }
    let bias = if node.input(2).is_some() { low.vector(node, 2, out)? } else { vec![0.0; out] };
    let (values, weights) = (x.floats()?, weight.floats()?);
    if values.len() != fan * h * w || weights.len() != out * fan {
        return Err("takes a constant whose data do not fit its shape".into());
    }
    let mut given = Vec::with_capacity(out * h * w);
    for (o, bias) in bias.iter().enumerate() {
        for pixel in 0..h * w {
            let sum = (0..fan).map(|i| f64::from(weights[o * fan + i]) * f64::from(values[i * h * w + pixel]));
            given.push((f64::from(*bias) + sum.sum::<f64>()) as f32);
        }
    }
    Ok(Value::Constant(Constant { dims: vec![1, out, h, w], data: Data::Float(given) }.into()))
}

/// `Conv`. Asymmetric padding becomes taps of weight zero.
pub fn conv(low: &mut Lowering<'_>, node: &Node<'_>) -> Result<Value, String> {
    if let Value::Constant(x) = low.value(node, 0)? {
        return conv_of_constant(low, node, x);
    }
    let x = low.applied_planes(node, 0)?;
    let shape = low.shape(&x);
    let weight = low.constant(node, 1)?;
    let name = node.input(1).unwrap_or_default();
    let &[out, fan, kh, kw] = &weight.dims[..] else {
        return Err(format!("`{name}` has the shape {:?}, expected [out, in, rows, columns]", weight.dims));
    };
    let values = weight.floats().map_err(|why| format!("`{name}` {why}"))?;
    let groups = usize::try_from(node.int("group", 1)?).ok().filter(|g| *g > 0).ok_or("group is not positive")?;
    if fan.checked_mul(groups) != Some(shape.c) || values.is_empty() {
        let dims = &weight.dims;
        return Err(format!(
            "`{name}` has the shape {dims:?} and {groups} groups, which {} channels do not fit",
            shape.c
        ));
    }
    if node.sides("kernel_shape", 1)?.is_some_and(|k| k != [kh, kw]) {
        return Err(format!("kernel_shape is not that of `{name}`, {:?}", weight.dims));
    }
    let mut sliding = Sliding::read(node, [kh, kw], shape)?;
    sliding.widen(x.pad.unwrap_or_default());
    let (mut kernel, mut lead, mut pad) = ([kh, kw], [0; 2], sliding.begin);
    for (axis, n) in [shape.h, shape.w].into_iter().enumerate() {
        let (begin, end, dilation) = (sliding.begin[axis], sliding.end[axis], sliding.dilation[axis]);
        if !sliding.even(axis, n) {
            let uneven = begin.abs_diff(end);
            if uneven % dilation != 0 {
                return Err(format!("pads {begin} and {end} at the ends of an axis of dilation {dilation}"));
            }
            let taps = uneven / dilation;
            // Before the first tap where the end has more padding: the window then starts earlier.
            lead[axis] = if end > begin { taps } else { 0 };
            kernel[axis] += taps;
            pad[axis] = begin.max(end);
        }
    }
    let size = kernel[0].checked_mul(kernel[1]).and_then(|taps| taps.checked_mul(fan * out));
    let size = size.filter(|n| *n <= values.len().saturating_mul(MOST_PADDED)).ok_or_else(|| {
        format!("pads {:?} at the beginning and {:?} at the end, too much for its kernel", sliding.begin, sliding.end)
    })?;
    // `[out, in, rows, columns]` to `[rows, columns, in, out]`.
    let mut own = vec![0f32; size];
    for (at, v) in values.iter().enumerate() {
        let (column, row, i, o) = (at % kw, at / kw % kh, at / (kw * kh) % fan, at / (kw * kh * fan));
        own[(((row + lead[0]) * kernel[1] + column + lead[1]) * fan + i) * out + o] = *v;
    }
    let mut trainable = vec![own];
    if node.input(2).is_some() {
        trainable.push(low.vector(node, 2, out)?);
    }
    let window = Window { kernel, stride: sliding.stride, pad, dilation: sliding.dilation };
    let op = Op::Conv2d { out, window, groups, bias: trainable.len() == 2 };
    planes(low, node, op, &x, Weights { trainable, running: None })
}

/// The largest factor by which asymmetric padding may enlarge a kernel.
const MOST_PADDED: usize = 64;

/// `MaxPool`.
pub fn max_pool(low: &mut Lowering<'_>, node: &Node<'_>) -> Result<Value, String> {
    if node.outputs().count() > 1 {
        return Err("gives indices, which are not supported".into());
    }
    let x = low.planes(node, 0)?;
    let shape = low.shape(&x);
    let window = Sliding::read(node, kernel(node)?, shape)?.pool(node, shape)?;
    planes(low, node, Op::MaxPool { window }, &x, Weights::default())
}

/// `AveragePool`.
pub fn average_pool(low: &mut Lowering<'_>, node: &Node<'_>) -> Result<Value, String> {
    let x = low.applied_planes(node, 0)?;
    let shape = low.shape(&x);
    let mut sliding = Sliding::read(node, kernel(node)?, shape)?;
    let mut count_include_pad = node.int("count_include_pad", 0)? != 0;
    if let Some(pad) = x.pad {
        // Zeros of a Pad count as pixels, the pool's own padding only with count_include_pad.
        let own = sliding.begin.iter().chain(&sliding.end).any(|p| *p > 0);
        if own && !count_include_pad {
            return Err("a Pad before an AveragePool with pads of its own needs count_include_pad=1".into());
        }
        sliding.widen(pad);
        count_include_pad = true;
    }
    let op = Op::AvgPool { window: sliding.pool(node, shape)?, count_include_pad };
    planes(low, node, op, &x, Weights::default())
}

fn kernel(node: &Node<'_>) -> Result<[usize; 2], String> {
    node.sides("kernel_shape", 1)?.ok_or_else(|| "kernel_shape is missing".into())
}

/// `GlobalAveragePool`.
pub fn global_average_pool(low: &mut Lowering<'_>, node: &Node<'_>) -> Result<Value, String> {
    let x = low.planes(node, 0)?;
    planes(low, node, Op::GlobalAvgPool, &x, Weights::default())
}

/// `GlobalMaxPool`: a window as large as the image.
pub fn global_max_pool(low: &mut Lowering<'_>, node: &Node<'_>) -> Result<Value, String> {
    let x = low.planes(node, 0)?;
    let Shape { h, w, .. } = low.shape(&x);
    let window = Window { kernel: [h, w], stride: [1; 2], pad: [0; 2], dilation: [1; 2] };
    planes(low, node, Op::MaxPool { window }, &x, Weights::default())
}

/// `ReduceMean` over all pixels.
pub fn reduce_mean(low: &mut Lowering<'_>, node: &Node<'_>) -> Result<Value, String> {
    let axes = match node.ints("axes")? {
        Some(axes) => Some(axes.to_vec()),
        None => low.ints(node, 1)?,
    };
    let x = low.settled(node, 0)?;
    let shape = low.shape(&x);
    let rank = x.view.axes.len() as i64;
    let mut axes: Vec<i64> = axes.unwrap_or_default().into_iter().map(|a| if a < 0 { a + rank } else { a }).collect();
    axes.sort_unstable();
    let place = |at: &usize| axes.binary_search(&(*at as i64)).is_ok();
    let (taken, kept): (Vec<usize>, Vec<usize>) = (0..x.view.axes.len()).partition(place);
    let pixels = Axis::of(taken.iter().flat_map(|at| x.view.axes[*at].0.clone()));
    if pixels != Axis::pixels(shape) || taken.len() != axes.len() {
        return Err(format!(
            "takes the mean over the axes {axes:?} of [{}]; only that over all pixels, rows and columns, is supported",
            x.view.words()
        ));
    }
    let mut view = x.view.of_one_pixel(shape.c);
    if node.int("keepdims", 1)? == 0 {
        view = View { axes: kept.into_iter().map(|at| view.axes[at].clone()).collect() };
    }
    low.push(node, Op::GlobalAvgPool, &[x.layer], Weights::default(), view)
}

/// `Pad` with zeros: kept until a window reads it.
pub fn pad(low: &mut Lowering<'_>, node: &Node<'_>) -> Result<Value, String> {
    let mode = node.text("mode", "constant")?;
    if mode != "constant" {
        return Err(format!("mode={mode} is not supported, only zeros"));
    }
    if let Some(fill) = low.optional(node, 2)?
        && fill.floats().is_ok_and(|v| v.iter().any(|v| *v != 0.0))
    {
        return Err("pads with another value than zero, which is not supported".into());
    }
    let pads = low.ints(node, 1)?.ok_or("pads are missing")?;
    let axes = low.ints(node, 3)?.unwrap_or_else(|| (0..4).collect());
    let x = low.applied_planes(node, 0)?;
    if pads.len() != 2 * axes.len() {
        return Err(format!("has {} pads for {} axes", pads.len(), axes.len()));
    }
    let mut around = x.pad.unwrap_or_default();
    for (i, axis) in axes.iter().enumerate() {
        let place = match if *axis < 0 { axis + 4 } else { *axis } {
            2 => 0,
            3 => 1,
            _ if pads[i] == 0 && pads[axes.len() + i] == 0 => continue,
            _ => return Err("pads images or channels; only rows and columns can be padded".into()),
        };
        for (end, value) in [pads[i], pads[axes.len() + i]].into_iter().enumerate() {
            let value = usize::try_from(value).ok().filter(|v| *v <= LARGEST_SIDE);
            around[place + 2 * end] += value.ok_or_else(|| format!("has the pads {pads:?}"))?;
        }
    }
    if around.iter().any(|p| *p > LARGEST_SIDE) {
        return Err(format!("pads by {around:?} in all"));
    }
    let pad = (around != [0; 4]).then_some(around);
    Ok(Value::Activation(Activation { pad, ..x }))
}
