//! Operations with a sliding window: convolutions and pools, and their padding.

use super::arrays::places;
use super::concat::{as_layer, beside};
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
        let pads = node.sides("pads", 0)?.unwrap_or([0; 4]);
        Sliding::new(node, kernel, shape, (stride, dilation, pads))
    }

    /// Along a line, which is a map of one row.
    fn along(node: &Node<'_>, taps: usize, shape: Shape) -> Result<Self, String> {
        let [stride] = node.sides("strides", 1)?.unwrap_or([1]);
        let [dilation] = node.sides("dilations", 1)?.unwrap_or([1]);
        let [left, right] = node.sides("pads", 0)?.unwrap_or([0; 2]);
        Sliding::new(node, [1, taps], shape, ([1, stride], [1, dilation], [0, left, 0, right]))
    }

    fn new(
        node: &Node<'_>,
        kernel: [usize; 2],
        shape: Shape,
        (stride, dilation, [top, left, bottom, right]): ([usize; 2], [usize; 2], [usize; 4]),
    ) -> Result<Self, String> {
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

    /// By how much the padding at the ends of an axis differs.
    fn uneven(&self, axis: usize) -> usize {
        self.begin[axis].abs_diff(self.end[axis])
    }

    /// Draws its padding as a layer of its own, after which it has none.
    fn drawn(&mut self, low: &mut Lowering<'_>, x: &Activation) -> Result<Activation, String> {
        let pad = [self.begin[0], self.begin[1], self.end[0], self.end[1]];
        (self.begin, self.end) = ([0; 2], [0; 2]);
        zeros_around(low, x, pad)
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

    /// The window of an average, whose zeros must be even.
    fn average(&self, node: &Node<'_>, shape: Shape) -> Result<Window, String> {
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
        Ok(self.window())
    }

    fn window(&self) -> Window {
        Window { kernel: self.kernel, stride: self.stride, pad: self.begin, dilation: self.dilation }
    }

    /// Along an axis of `n` pixels, how many copies of the last pixel give a maximum the windows that it looks through at the
    /// end, and how many windows are too many then.
    fn maximum(&self, ceil: bool, axis: usize, n: usize) -> Result<(usize, usize), String> {
        let (begin, end, stride) = (self.begin[axis], self.end[axis], self.stride[axis]);
        let fits = || format!("has a window of {} on {n} pixels", self.span(axis));
        let free = (n + begin + end).checked_sub(self.span(axis)).ok_or_else(fits)?;
        let mut windows = free / stride + 1;
        if ceil && !free.is_multiple_of(stride) && windows * stride < n + begin {
            windows += 1;
        }
        let reach = (windows - 1) * stride + self.span(axis);
        // A window sees the last pixel wherever it sees a copy of it.
        let copies = reach.saturating_sub(n + 2 * begin);
        if copies > 0 && (self.dilation[axis] > 1 || (windows - 1) * stride >= n + begin) {
            return Err(format!(
                "pads {begin} and {end} at the ends of an axis of {n} pixels, with a window beyond it"
            ));
        }
        let made = self.outputs(axis, n + copies, 2 * begin).ok_or_else(fits)?;
        Ok((copies, made.checked_sub(windows).ok_or_else(fits)?))
    }
}

/// A layer whose output is planes.
fn planes(low: &mut Lowering<'_>, node: &Node<'_>, op: Op, x: &Activation, weights: Weights) -> Result<Value, String> {
    let layer = low.draft.push(node.name, op, &[x.layer], weights)?;
    Ok(Value::Activation(Activation::new(layer, low.planes_of(low.draft.shape(layer)))))
}

/// A 1x1 convolution of a constant `[1, in, h, w]`, as of a position encoding.
fn conv_of_constant(low: &Lowering<'_>, node: &Node<'_>, x: &Constant) -> Result<Constant, String> {
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
    Ok(Constant { dims: vec![1, out, h, w], data: Data::Float(given) })
}

/// `Conv`. Asymmetric padding becomes taps of weight zero.
pub fn conv(low: &mut Lowering<'_>, node: &Node<'_>) -> Result<Value, String> {
    match low.value(node, 0)? {
        Value::Constant(x) => return Ok(Value::Constant(conv_of_constant(low, node, x)?.into())),
        Value::Repeated(x) => return Ok(Value::Repeated(conv_of_constant(low, node, x)?.into())),
        _ => {}
    }
    let weight = low.constant(node, 1)?;
    let name = node.input(1).unwrap_or_default();
    let (out, fan, kh, kw) = match weight.dims[..] {
        [out, fan, kh, kw] => (out, fan, kh, kw),
        [out, fan, taps] => (out, fan, 1, taps),
        _ => return Err(format!("`{name}` has the shape {:?}, expected [out, in, rows, columns]", weight.dims)),
    };
    let is_line = weight.dims.len() == 3;
    let mut x = match is_line {
        false => low.applied_planes(node, 0)?,
        true => {
            let mut line = low.settled(node, 0)?;
            let row = line.view.axes.len() == 3;
            row.then(|| line.view.axes.insert(2, Axis::default())).ok_or("has a kernel of one axis")?;
            low.as_planes(line)?
        }
    };
    let mut shape = low.shape(&x);
    let values = weight.floats().map_err(|why| format!("`{name}` {why}"))?;
    let groups = usize::try_from(node.int("group", 1)?).ok().filter(|g| *g > 0).ok_or("group is not positive")?;
    if fan.checked_mul(groups) != Some(shape.c) || values.is_empty() {
        let dims = &weight.dims;
        return Err(format!(
            "`{name}` has the shape {dims:?} and {groups} groups, which {} channels do not fit",
            shape.c
        ));
    }
    let taps: Vec<i64> = weight.dims[2..].iter().map(|taps| *taps as i64).collect();
    if node.ints("kernel_shape")?.is_some_and(|kernel| kernel != taps) {
        return Err(format!("kernel_shape is not that of `{name}`, {:?}", weight.dims));
    }
    let pad = x.pad.unwrap_or_default();
    let mut sliding = match is_line {
        true => Sliding::along(node, kw, shape)?,
        false => Sliding::read(node, [kh, kw], enlarged(shape, pad))?,
    };
    sliding.widen(pad);
    let sides = [shape.h, shape.w];
    if (0..2)
        .any(|axis| !sliding.even(axis, sides[axis]) && !sliding.uneven(axis).is_multiple_of(sliding.dilation[axis]))
    {
        x = sliding.drawn(low, &x)?;
        shape = low.shape(&x);
    }
    let (mut kernel, mut lead, mut pad) = ([kh, kw], [0; 2], sliding.begin);
    for (axis, n) in [shape.h, shape.w].into_iter().enumerate() {
        let (begin, end, dilation) = (sliding.begin[axis], sliding.end[axis], sliding.dilation[axis]);
        if !sliding.even(axis, n) {
            let taps = sliding.uneven(axis) / dilation;
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
    let made = planes(low, node, op, &x, Weights { trainable, running: None })?;
    Ok(match made {
        Value::Activation(mut made) if is_line => {
            made.view.axes.remove(2);
            Value::Activation(made)
        }
        made => made,
    })
}

/// A map with zeros around it, as a layer.
fn zeros_around(low: &mut Lowering<'_>, x: &Activation, pad: [usize; 4]) -> Result<Activation, String> {
    let [top, left, bottom, right] = pad;
    let layer = low.draft.push("", Op::Pad { top, left, bottom, right }, &[x.layer], Weights::default())?;
    Ok(Activation::new(layer, low.planes_of(low.draft.shape(layer))))
}

/// A map's shape with zeros around it.
fn enlarged(shape: Shape, [top, left, bottom, right]: [usize; 4]) -> Shape {
    Shape { h: shape.h + top + bottom, w: shape.w + left + right, ..shape }
}

/// The largest factor by which asymmetric padding may enlarge a kernel.
const MOST_PADDED: usize = 64;

/// `MaxPool`.
pub fn max_pool(low: &mut Lowering<'_>, node: &Node<'_>) -> Result<Value, String> {
    if node.outputs().count() > 1 {
        return Err("gives indices, which are not supported".into());
    }
    let mut x = low.planes(node, 0)?;
    let shape = low.shape(&x);
    let sliding = Sliding::read(node, kernel(node)?, shape)?;
    let ceil = node.int("ceil_mode", 0)? != 0;
    let (rows, down) = sliding.maximum(ceil, 0, shape.h)?;
    let (columns, right) = sliding.maximum(ceil, 1, shape.w)?;
    if rows > 0 {
        let (top, bottom) = (shape.h - 1, rows);
        let last = Op::Crop { top, left: 0, bottom: 0, right: 0 };
        x = lengthened(low, x, last, Shape { h: rows, ..shape }, [bottom, 0])?;
    }
    if columns > 0 {
        let now = low.shape(&x);
        let last = Op::Crop { top: 0, left: now.w - 1, bottom: 0, right: 0 };
        x = lengthened(low, x, last, Shape { w: columns, ..now }, [0, columns])?;
    }
    let mut layer =
        low.draft.push(node.name, Op::MaxPool { window: sliding.window() }, &[x.layer], Weights::default())?;
    if down + right > 0 {
        let op = Op::Crop { top: 0, left: 0, bottom: down, right };
        layer = low.draft.push("", op, &[layer], Weights::default())?;
    }
    Ok(Value::Activation(Activation::new(layer, low.planes_of(low.draft.shape(layer)))))
}

/// Planes with copies of their last row or column behind them.
fn lengthened(
    low: &mut Lowering<'_>,
    x: Activation,
    last: Op,
    copies: Shape,
    [bottom, right]: [usize; 2],
) -> Result<Activation, String> {
    let whole = low.draft.push("", Op::Pad { top: 0, left: 0, bottom, right }, &[x.layer], Weights::default())?;
    let edge = low.draft.push("", last, &[x.layer], Weights::default())?;
    let own = low.draft.shape(edge);
    let mut view = low.planes_of(own);
    (view.axes[2], view.axes[3]) = match bottom > 0 {
        true => (Axis::repeated(copies.h), view.axes[3].clone()),
        false => (view.axes[2].clone(), Axis::repeated(copies.w)),
    };
    let edge = low.as_planes(Activation::new(edge, view))?;
    let Shape { h, w, .. } = low.shape(&x);
    let (top, left) = if bottom > 0 { (h, 0) } else { (0, w) };
    let behind = low.draft.push("", Op::Pad { top, left, bottom: 0, right: 0 }, &[edge.layer], Weights::default())?;
    let layer = low.draft.push("", Op::Add, &[whole, behind], Weights::default())?;
    Ok(Activation::new(layer, low.planes_of(low.draft.shape(layer))))
}

/// `AveragePool`.
pub fn average_pool(low: &mut Lowering<'_>, node: &Node<'_>) -> Result<Value, String> {
    let mut x = low.applied_planes(node, 0)?;
    let mut shape = low.shape(&x);
    let mut sliding = Sliding::read(node, kernel(node)?, enlarged(shape, x.pad.unwrap_or_default()))?;
    let mut count_include_pad = node.int("count_include_pad", 0)? != 0;
    if let Some(pad) = x.pad {
        // Zeros of a Pad count as pixels, the pool's own padding only with count_include_pad.
        let own = sliding.begin.iter().chain(&sliding.end).any(|p| *p > 0);
        if own && !count_include_pad {
            x = zeros_around(low, &x, pad)?;
            shape = low.shape(&x);
        } else {
            sliding.widen(pad);
            count_include_pad = true;
        }
    }
    let sides = [shape.h, shape.w];
    let unfit = |axis: usize| !sliding.even(axis, sides[axis]) || 2 * sliding.begin[axis] > sliding.kernel[axis];
    if count_include_pad && (0..2).any(unfit) {
        x = sliding.drawn(low, &x)?;
        shape = low.shape(&x);
    }
    let op = Op::AvgPool { window: sliding.average(node, shape)?, count_include_pad };
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
    let op = largest_of(low.shape(&x));
    planes(low, node, op, &x, Weights::default())
}

/// What becomes of the numbers that are reduced to one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reduced {
    /// `ReduceMean`.
    Mean,
    /// `ReduceSum`.
    Sum,
    /// `ReduceMax`.
    Max,
}

/// One number of all pixels, of all channels, or of both.
pub fn reduce(low: &mut Lowering<'_>, node: &Node<'_>, to: Reduced) -> Result<Value, String> {
    let axes = low.axes(node)?.unwrap_or_default();
    if axes.is_empty() && node.int("noop_with_empty_axes", 0)? != 0 {
        return Ok(low.value(node, 0)?.clone());
    }
    let mut x = low.settled(node, 0)?;
    let shape = low.shape(&x);
    let (rank, images) = (x.view.axes.len(), low.images());
    let taken = match axes.is_empty() {
        true => (0..rank).collect(),
        false => places(&axes, rank)?,
    };
    let sides = x.view.sides(images);
    let count: i64 = taken.iter().map(|at| sides[*at]).try_fold(1, i64::checked_mul).unwrap_or(0);
    let once = x.view.once();
    let channels = once.axes.iter().rposition(|a| *a == Axis::channels(shape.c) && shape.c > 1);
    let mut channels = channels.filter(|at| taken.contains(at));
    let rest: Vec<usize> = (0..rank).filter(|at| taken.contains(at) && Some(*at) != channels).collect();
    let pixels = Axis::of(rest.iter().flat_map(|at| once.axes[*at].0.clone()));
    let all_pixels = pixels == Axis::pixels(shape);
    if !all_pixels && !pixels.0.is_empty() {
        x = one_of(low, node, x, &taken, to)?;
        channels = None;
    } else if all_pixels && shape.area() > 1 {
        let op = if to == Reduced::Max { largest_of(shape) } else { Op::GlobalAvgPool };
        let name = if channels.is_some() { "" } else { node.name };
        x = Activation::new(low.draft.push(name, op, &[x.layer], Weights::default())?, x.view.of_one_pixel(shape.c));
    }
    if channels.is_some() {
        let now = low.shape(&x);
        let x_view = x.view.with_channels(now.c, 1);
        // Channels become columns of a plane.
        let line = low.reshaped(x, Shape { h: now.h, w: now.w * now.c, c: 1 })?;
        let window = Window { kernel: [1, now.c], stride: [1, now.c], pad: [0; 2], dilation: [1; 2] };
        let op = match to {
            Reduced::Max => Op::MaxPool { window },
            Reduced::Mean | Reduced::Sum => Op::AvgPool { window, count_include_pad: false },
        };
        x = Activation::new(low.draft.push(node.name, op, &[line.layer], Weights::default())?, x_view);
    }
    let kept = node.int("keepdims", 1)? != 0;
    let axis = |at: usize| if taken.contains(&at) { Axis::default() } else { x.view.axes[at].clone() };
    x.view = View { axes: (0..rank).filter(|at| kept || !taken.contains(at)).map(axis).collect() };
    Ok(match to {
        Reduced::Sum => {
            low.affine(x, |_, scale, shift| (*scale, *shift) = (*scale * count as f64, *shift * count as f64))
        }
        Reduced::Mean | Reduced::Max => Value::Activation(x),
    })
}

/// One number of all entries along some axes, which become those of the pixels.
fn one_of(
    low: &mut Lowering<'_>,
    node: &Node<'_>,
    x: Activation,
    taken: &[usize],
    to: Reduced,
) -> Result<Activation, String> {
    if taken.iter().any(|at| x.view.axes[*at].has_images()) {
        return Err("is over the images, which is not supported".into());
    }
    let x = low.copies_made(x)?;
    let others: Vec<usize> = (0..x.view.axes.len()).filter(|at| !taken.contains(at)).collect();
    let x = low.arranged(x, [&[], taken, &others])?;
    let shape = low.shape(&x);
    let op = if to == Reduced::Max { largest_of(shape) } else { Op::GlobalAvgPool };
    let layer = low.draft.push(node.name, op, &[x.layer], Weights::default())?;
    Ok(Activation::new(layer, x.view.of_one_pixel(shape.c)))
}

/// The largest of all pixels.
fn largest_of(Shape { h, w, .. }: Shape) -> Op {
    Op::MaxPool { window: Window { kernel: [h, w], stride: [1; 2], pad: [0; 2], dilation: [1; 2] } }
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
    if pads.len() != 2 * axes.len() {
        return Err(format!("has {} pads for {} axes", pads.len(), axes.len()));
    }
    if pads.iter().all(|p| *p == 0) {
        return Ok(low.value(node, 0)?.clone());
    }
    let mut x = low.applied_planes(node, 0)?;
    let mut channels = [0; 2];
    let kept = x.pad.unwrap_or_default();
    let mut around = kept;
    for (i, axis) in axes.iter().enumerate() {
        let place = match if *axis < 0 { axis + 4 } else { *axis } {
            2 => 0,
            3 => 1,
            _ if pads[i] == 0 && pads[axes.len() + i] == 0 => continue,
            1 => {
                let count = |v: i64| usize::try_from(v).ok().filter(|v| *v <= LARGEST_SIDE);
                let both = [count(pads[i]), count(pads[axes.len() + i])];
                let [Some(front), Some(back)] = both else { return Err(format!("has the pads {pads:?}")) };
                channels = [front, back];
                continue;
            }
            _ => return Err("pads the images, which is not supported".into()),
        };
        for (end, value) in [pads[i], pads[axes.len() + i]].into_iter().enumerate() {
            let value = usize::try_from(value).ok().filter(|v| *v <= LARGEST_SIDE);
            around[place + 2 * end] += value.ok_or_else(|| format!("has the pads {pads:?}"))?;
        }
    }
    if around.iter().any(|p| *p > LARGEST_SIDE) {
        return Err(format!("pads by {around:?} in all"));
    }
    if channels != [0; 2] {
        let inside = low.unpadded(node, 0)?;
        x = low.as_planes(inside).and_then(|x| low.apply("", x))?;
        // Zeros that were kept until now are a layer of it already.
        around = std::array::from_fn(|side| around[side] - kept[side]);
        let zeros = |low: &mut Lowering<'_>, count: usize| {
            let Shape { h, w, .. } = low.shape(&x);
            let numbers = Data::Float(vec![0.0; count * h * w]);
            as_layer(low, &x, 1, &Constant { dims: vec![1, count, h, w], data: numbers })
        };
        let mut list = Vec::new();
        if channels[0] > 0 {
            list.push(zeros(low, channels[0])?);
        }
        list.push(x.clone());
        if channels[1] > 0 {
            list.push(zeros(low, channels[1])?);
        }
        x = beside(low, node, list, 1)?;
    }
    let pad = (around != [0; 4]).then_some(around);
    Ok(Value::Activation(Activation { pad, ..x }))
}
