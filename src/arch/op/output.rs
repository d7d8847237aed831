//! The output shape of an operation.

use super::{Op, Shape, Window};

impl Op {
    /// The output shape for the given input shapes, `[h, w, c]`.
    ///
    /// # Errors
    /// What does not fit, as text: the number of inputs, a shape, or a hyper-parameter.
    pub fn output(&self, inputs: &[Shape]) -> Result<Shape, String> {
        let one = || match inputs {
            [x] => Ok(*x),
            _ => Err(format!("takes one input, got {}", inputs.len())),
        };
        let windowed = |x: Shape, window: &Window| {
            let [h, w] = window.output(x.h, x.w).ok_or_else(|| {
                format!("window {:?} with padding {:?} does not fit into {x}", window.kernel, window.pad)
            })?;
            Ok::<_, String>((h, w))
        };
        let positive = |what: &str, n: usize| if n == 0 { Err(format!("{what} is zero")) } else { Ok(()) };
        let positive_number =
            |what: &str, n: f32| if n > 0.0 && n.is_finite() { Ok(()) } else { Err(format!("{what} is {n}")) };
        let divides = |what: &str, n: usize, x: Shape| {
            if n > 0 && x.c.is_multiple_of(n) {
                Ok(x)
            } else {
                Err(format!("{n} {what} do not divide {} channels", x.c))
            }
        };
        let shape = match self {
            Op::Input { shape } => match inputs {
                [] => *shape,
                _ => return Err("takes no input".into()),
            },
            Op::Normalize { mean, std } => {
                let x = one()?;
                if mean.len() != x.c || std.len() != x.c || std.iter().any(|s| s.is_nan() || *s <= 0.0) {
                    return Err(format!(
                        "has {} means and {} deviations for {x}; one of each per channel, deviations positive",
                        mean.len(),
                        std.len()
                    ));
                }
                x
            }
            Op::Conv2d { out, window, groups, .. } => {
                let x = one()?;
                positive("the number of output channels", *out)?;
                positive("the number of groups", *groups)?;
                if x.c % groups != 0 || out % groups != 0 {
                    return Err(format!("{groups} groups divide neither both of {} inputs and {out} outputs", x.c));
                }
                let (h, w) = windowed(x, window)?;
                Shape::new(h, w, *out)
            }
            Op::ConvNorm { out, window } => {
                let x = one()?;
                positive("the number of output channels", *out)?;
                if window.dilation != [1; 2] || (0..2).any(|a| window.pad[a] >= window.kernel[a]) {
                    return Err(format!("{window:?} has a dilation, or padding that is not smaller than the kernel"));
                }
                let (h, w) = windowed(x, window)?;
                Shape::new(h, w, *out)
            }
            Op::BatchNorm { .. } | Op::Act { .. } | Op::Position => one()?,
            Op::MultiBatchNorm { branches } => {
                positive("the number of branches", *branches)?;
                one()?
            }
            Op::LayerNorm { epsilon } => {
                positive_number("epsilon", *epsilon)?;
                one()?
            }
            Op::GroupNorm { groups, epsilon } => {
                positive_number("epsilon", *epsilon)?;
                divides("groups", *groups, one()?)?
            }
            Op::Clip { min, max } => {
                if min.is_nan() || max.is_nan() || min > max {
                    return Err(format!("nothing lies between {min} and {max}"));
                }
                one()?
            }
            Op::Scale { init } => {
                if !init.is_finite() {
                    return Err(format!("starts at {init}"));
                }
                one()?
            }
            Op::Dropout { rate } | Op::StochasticDepth { rate } => {
                if !(0.0..1.0).contains(rate) {
                    return Err(format!("drops a share of {rate}; expected at least 0, less than 1"));
                }
                one()?
            }
            Op::MaxPool { window } | Op::AvgPool { window, .. } => {
                let x = one()?;
                if (0..2).any(|a| window.pad[a].saturating_mul(2) > window.kernel[a]) {
                    return Err(format!("padding {:?} is over half of the kernel {:?}", window.pad, window.kernel));
                }
                let (h, w) = windowed(x, window)?;
                Shape::new(h, w, x.c)
            }
            Op::GlobalAvgPool => Shape::new(1, 1, one()?.c),
            Op::FlcPool { .. } => {
                let x = one()?;
                if x.h < 2 || x.w < 2 {
                    return Err(format!("cannot halve {x}"));
                }
                Shape::new(flc_side(x.h), flc_side(x.w), x.c)
            }
            Op::Linear { out, .. } => {
                let x = one()?;
                positive("the number of output features", *out)?;
                if x.area() != 1 {
                    return Err(format!("takes a vector, got {x}"));
                }
                Shape::new(1, 1, *out)
            }
            Op::Add => {
                let first = *inputs.first().ok_or("takes at least one input")?;
                if let Some(other) = inputs.iter().find(|s| **s != first) {
                    return Err(format!("cannot add {first} and {other}"));
                }
                first
            }
            Op::Mul => match inputs {
                [x, y] if x == y || (y.area() == 1 && y.c == x.c) => *x,
                [x, y] => return Err(format!("cannot multiply {x} by {y}; expected {x} or 1x1x{}", x.c)),
                _ => return Err(format!("takes two inputs, got {}", inputs.len())),
            },
            Op::Concat => {
                let first = *inputs.first().ok_or("takes at least one input")?;
                if let Some(other) = inputs.iter().find(|s| (s.h, s.w) != (first.h, first.w)) {
                    return Err(format!("cannot put {first} and {other} side by side"));
                }
                Shape { c: inputs.iter().fold(0, |sum: usize, s| sum.saturating_add(s.c)), ..first }
            }
            Op::Slice { from, len } => {
                let x = one()?;
                if from.checked_add(*len).is_none_or(|end| end > x.c) {
                    return Err(format!("channels {from} to {} are not all in {x}", from.saturating_add(*len)));
                }
                Shape { c: *len, ..x }
            }
            Op::Reshape { shape } => {
                let x = one()?;
                if Some(x.len()) != shape.checked_len() {
                    return Err(format!("{x} has {} entries, {shape} has another number", x.len()));
                }
                *shape
            }
            Op::Permute { dims, order, shape } => {
                let x = one()?;
                let entries = dims.iter().try_fold(1usize, |n, d| n.checked_mul(*d));
                if entries != Some(x.len()) || shape.checked_len() != entries {
                    return Err(format!("{x} has {} entries, {dims:?} or {shape} has another number", x.len()));
                }
                let mut sorted = order.clone();
                sorted.sort_unstable();
                if !sorted.iter().copied().eq(0..dims.len()) {
                    return Err(format!("{order:?} is no order of {} axes", dims.len()));
                }
                *shape
            }
            Op::Matmul => match inputs {
                [a, b] if a.h == b.h && a.c == b.w => Shape { c: b.c, ..*a },
                [a, b] => return Err(format!("cannot multiply {a} by {b}; expected {}x{} and any width", a.h, a.c)),
                _ => return Err(format!("takes two inputs, got {}", inputs.len())),
            },
            Op::Crop { top, left, bottom, right } => {
                let x = one()?;
                let (rows, columns) = (top.saturating_add(*bottom), left.saturating_add(*right));
                if rows >= x.h || columns >= x.w {
                    return Err(format!("cannot drop {rows} rows and {columns} columns of {x}"));
                }
                Shape::new(x.h - rows, x.w - columns, x.c)
            }
            Op::Pad { top, left, bottom, right } => {
                let x = one()?;
                let padded = |n: usize, a: &usize, b: &usize| n.saturating_add(*a).saturating_add(*b);
                Shape::new(padded(x.h, top, bottom), padded(x.w, left, right), x.c)
            }
            Op::Softmax { over } => divides("alternatives", *over, one()?)?,
            Op::Attention { heads } => match inputs {
                [qkv] if qkv.c % 3 == 0 => divides("heads", *heads, Shape { c: qkv.c / 3, ..*qkv })?,
                [q, kv] if kv.c == 2 * q.c => divides("heads", *heads, *q)?,
                [x] => return Err(format!("{x} holds no queries, keys and values of one width")),
                [q, kv] => return Err(format!("{kv} holds no keys and values for queries {q}")),
                _ => return Err(format!("takes one or two inputs, got {}", inputs.len())),
            },
            Op::CrossCovariance { heads } => {
                let x = one()?;
                if x.c % 3 != 0 {
                    return Err(format!("{x} holds no queries, keys and values of one width"));
                }
                divides("heads", *heads, Shape { c: x.c / 3, ..x })?
            }
            Op::ClassToken => {
                let x = one()?;
                Shape::new(1, 1 + x.area(), x.c)
            }
            Op::SinePosition { channels } => {
                if *channels == 0 || channels % 4 != 0 {
                    return Err(format!("{channels} channels are no multiple of four"));
                }
                Shape { c: *channels, ..one()? }
            }
            Op::Zero { stride } => {
                let x = one()?;
                positive("the stride", *stride)?;
                Shape::new(x.h.div_ceil(*stride), x.w.div_ceil(*stride), x.c)
            }
            Op::MixedSum { weights } => {
                if weights.len() != inputs.len() {
                    return Err(format!("has {} weights for {} inputs", weights.len(), inputs.len()));
                }
                if let Some(weight) = weights.iter().find(|w| **w as u64 >= MOST_SCALARS) {
                    return Err(format!("reads the mixing weight {weight}, which no vector has"));
                }
                Op::Add.output(inputs)?
            }
        };
        if shape.is_empty() {
            return Err(format!("would produce the empty shape {shape}"));
        }
        self.countable(inputs, shape)?;
        Ok(shape)
    }

    /// Refuses what cannot be counted in 64 bits: an output of more than [`MOST_SCALARS`] entries and work of more than
    /// [`MOST_MACS`]. Everything else about the operation is then countable, too.
    fn countable(&self, inputs: &[Shape], output: Shape) -> Result<(), String> {
        let product = |sides: &[usize]| sides.iter().fold(1u128, |all, side| all.saturating_mul(*side as u128));
        let scalars = |what: &str, sides: &[usize]| {
            let count = product(sides);
            let fits = count <= u128::from(MOST_SCALARS);
            if fits {
                Ok(())
            } else {
                Err(format!("has {count} {what}, more than the {MOST_SCALARS} that can be counted"))
            }
        };
        scalars("entries in its output", &[output.h, output.w, output.c])?;
        let c = inputs.first().map_or(0, |x| x.c);
        let macs = match self {
            Op::Conv2d { out, window: Window { kernel: [kh, kw], .. }, groups, .. } => {
                scalars("weights", &[*kh, *kw, c / groups, *out])?;
                product(&[output.h, output.w, *kh, *kw, c / groups, *out])
            }
            Op::ConvNorm { out, window: Window { kernel: [kh, kw], .. } } => {
                scalars("weights", &[*kh, *kw, c, *out])?;
                let full = |n: usize, k: usize| n.saturating_add(k);
                let (h, w) = inputs.first().map_or((0, 0), |x| (full(x.h, *kh), full(x.w, *kw)));
                scalars("entries before it is cut", &[h, w, *out])?;
                product(&[h, w, *kh, *kw, c, *out])
            }
            Op::Linear { out, .. } => {
                scalars("weights", &[c, *out])?;
                product(&[c, *out])
            }
            Op::MultiBatchNorm { branches } => {
                scalars("weights", &[4, *branches, c])?;
                0
            }
            Op::Attention { .. } => product(&[2, output.h, output.w, output.c, inputs.last().map_or(0, |x| x.area())]),
            Op::Matmul => product(&[output.h, output.w, output.c, c]),
            Op::CrossCovariance { .. } => product(&[2, output.h, output.w, output.c, output.c]),
            _ => 0,
        };
        if macs <= u128::from(MOST_MACS) {
            return Ok(());
        }
        Err(format!("has {macs} multiply-accumulates, more than the {MOST_MACS} that can be counted"))
    }
}

/// The most scalars of an output or of a layer's weights: 64 Gi.
const MOST_SCALARS: u64 = 1 << 36;
/// The most multiply-accumulates of a layer; those of the largest network can then be added up.
const MOST_MACS: u64 = 1 << 46;

/// Frequencies that [`Op::FlcPool`] keeps of `n`: those from `n / 4` to `3 n / 4` of the centred spectrum.
pub fn flc_side(n: usize) -> usize {
    3 * n / 4 - n / 4
}

/// The running inverse amplitudes of an [`Op::ConvNorm`] of `x` with `out` channels: one a channel and frequency of the
/// one-sided spectrum of the full output, `[h + kh - 1, (w + kw - 1) / 2 + 1, out]`; of a single tap one a channel.
pub fn amplitudes(x: Shape, window: &Window, out: usize) -> Shape {
    match window.kernel {
        [1, 1] => Shape::new(1, 1, out),
        [kh, kw] => Shape::new(x.h + kh - 1, (x.w + kw - 1) / 2 + 1, out),
    }
}
