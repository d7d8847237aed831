//! Holds the kernel calls that a network was rewritten into to what they say of themselves: a rewrite that joins the wrong
//! nodes computes something else without a word.

use std::ops::Range;

use super::{KernelCall, Kind};
use crate::arch::op::Shape;

/// The first call that reads what it cannot, in words.
pub fn check(calls: &[KernelCall], input: Shape, output: Shape, trainable: usize) -> Result<(), String> {
    for (i, call) in calls.iter().enumerate() {
        check_call(calls, i).map_err(|why| format!("call {i}: {why}"))?;
        if matches!(call.kind, Kind::Image) != (i == 0) {
            return Err(format!("call {i}: exactly the first call is the image"));
        }
    }
    match (calls.first(), calls.last()) {
        (Some(first), Some(last)) if (first.shape, last.shape) == (input, output) => {}
        _ => return Err(format!("does not lead from {input} to {output}")),
    }
    let mut weights: Vec<Range<usize>> = calls.iter().flat_map(|call| weights(&call.kind)).collect();
    weights.retain(|range| !range.is_empty());
    weights.sort_unstable_by_key(|range| range.start);
    if let Some([a, b]) = weights.windows(2).find_map(|w| (w[0].end > w[1].start).then(|| [&w[0], &w[1]])) {
        return Err(format!("two calls have the weights {}..{}", b.start, a.end.min(b.end)));
    }
    match weights.last() {
        Some(last) if last.end > trainable => Err(format!("a call has weights up to {} of {trainable}", last.end)),
        _ => Ok(()),
    }
}

fn check_call(calls: &[KernelCall], i: usize) -> Result<(), String> {
    let KernelCall { kind, inputs, shape } = &calls[i];
    if let Some(x) = inputs.iter().find(|x| **x >= i) {
        return Err(format!("reads call {x}, which comes no earlier"));
    }
    let read: Vec<Shape> = inputs.iter().map(|x| calls[*x].shape).collect();
    let maps = |source: Shape, output: Shape| read == [source] && *shape == output;
    let fits = match kind {
        Kind::Image => inputs.is_empty(),
        Kind::Normalize { mean, std } => maps(*shape, *shape) && mean.len() == shape.c && std.len() == shape.c,
        Kind::Conv { conv, weight, .. } => {
            let len = conv.window.taps() * conv.source.c / conv.groups * conv.output.c;
            maps(conv.source, conv.output) && weight.len() == len
        }
        Kind::Depthwise { conv, weight, .. } => {
            maps(conv.source, conv.output) && weight.len() == conv.window.taps() * conv.output.c
        }
        Kind::Separable { conv, depthwise, pointwise } => {
            let Shape { h, w, c } = conv.depthwise.output;
            maps(conv.depthwise.source, Shape::new(h, w, conv.out))
                && depthwise.len() == conv.depthwise.window.taps() * c
                && pointwise.len() == c * conv.out
        }
        Kind::Norm { affine, running } => {
            let lines = affine.iter().all(|(scale, shift)| scale.len() == shape.c && shift.len() == shape.c);
            maps(*shape, *shape) && lines && running.len() == 2 * shape.c
        }
        Kind::Relu => maps(*shape, *shape),
        Kind::MaxPool(pool) | Kind::AvgPool { pool, .. } => maps(pool.source, pool.output),
        Kind::GlobalAvgPool => read.len() == 1 && *shape == Shape::new(1, 1, read[0].c),
        Kind::Sum { weights } => weights.len() == read.len() && !read.is_empty() && read.iter().all(|x| x == shape),
        Kind::Concat => {
            read.iter().map(|x| x.c).sum::<usize>() == shape.c && read.iter().all(|x| (x.h, x.w) == (shape.h, shape.w))
        }
        Kind::Crop { top, left } => {
            read.len() == 1 && read[0].c == shape.c && top + shape.h <= read[0].h && left + shape.w <= read[0].w
        }
        Kind::Zero => read.len() == 1 && read[0].c == shape.c,
        // What a layer may read was checked when its node was added to the network; no rewrite changes it.
        Kind::Layer { .. } => !read.is_empty(),
    };
    if fits { Ok(()) } else { Err(format!("{kind:?} does not make {shape} of {read:?}")) }
}

/// The places of a call's trainable numbers.
fn weights(kind: &Kind) -> Vec<Range<usize>> {
    match kind {
        Kind::Conv { weight, bias, .. } | Kind::Depthwise { weight, bias, .. } => {
            [Some(weight.clone()), bias.clone()].into_iter().flatten().collect()
        }
        Kind::Separable { depthwise, pointwise, .. } => vec![depthwise.clone(), pointwise.clone()],
        Kind::Norm { affine: Some((scale, shift)), .. } => vec![scale.clone(), shift.clone()],
        Kind::Layer { params, .. } => vec![params.clone()],
        Kind::Norm { affine: None, .. }
        | Kind::Image
        | Kind::Normalize { .. }
        | Kind::Relu
        | Kind::MaxPool(_)
        | Kind::AvgPool { .. }
        | Kind::GlobalAvgPool
        | Kind::Sum { .. }
        | Kind::Concat
        | Kind::Crop { .. }
        | Kind::Zero => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arch::families::preact::PreAct;
    use crate::engine::fuse::{Choice, Fusion, fuse};
    use crate::engine::params::ParamLayout;

    /// Every kind of slip that a rewrite can make is seen.
    #[test]
    fn wrong_calls_are_refused() {
        let net = PreAct::basic(4, [(1, 4), (1, 8)]).lower(Shape::new(8, 8, 3), 5).unwrap();
        let params = ParamLayout::new(&net);
        let (input, output) = (net.input_shape(), Shape::new(1, 1, 5));
        let calls = fuse(&net, &params, Fusion::ALL, Choice::default());
        let checked = |calls: &[KernelCall]| check(calls, input, output, params.trainable());
        checked(&calls).unwrap();
        let conv = calls.iter().rposition(|c| matches!(c.kind, Kind::Conv { .. })).unwrap();
        type Slip<'a> = &'a dyn Fn(&mut Vec<KernelCall>);
        let slips: [(&str, Slip<'_>); 5] = [
            ("comes no earlier", &|c| c[conv].inputs[0] = conv),
            ("does not make", &|c| c[conv].inputs[0] = 0),
            ("does not lead", &|c| drop(c.pop())),
            ("exactly the first", &|c| c[conv] = KernelCall { inputs: vec![], ..c[0].clone() }),
            ("two calls have the weights", &|c| {
                let again = c[conv].clone();
                c.push(again);
            }),
        ];
        for (words, slip) in slips {
            let mut wrong = calls.clone();
            slip(&mut wrong);
            let why = checked(&wrong).unwrap_err();
            assert!(why.contains(words), "{words}: {why}");
        }
    }
}
