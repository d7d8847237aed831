//! How many entries every axis of a node's output has, by ONNX's own rules. What a rule of [`ops`](super::ops) makes of a
//! node is held to them: an operation that is taken for one that changes nothing, and does change something, is noticed.

use super::arrays::{over, place, places};
use super::lowering::Lowering;
use super::node::Node;
use super::value::Value;
use super::view::words;

/// How an operation's sides follow from those of its inputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gives {
    /// Those of the first input.
    Same,
    /// All inputs laid over one another.
    Over,
    /// One side is the sum.
    Concat,
    /// Places of a window with taps from the second input.
    Conv,
    /// Places of a window.
    Pool,
    /// One place.
    GlobalPool,
    /// The first input laid over a shape.
    Expand,
    /// Two sides.
    Flatten,
    /// Entries by their places.
    Gather,
    /// Entries of the first axis by their places.
    GatherNd,
    /// A matrix.
    Gemm,
    /// Rows of the one by columns of the other.
    MatMul,
    /// Sides become longer.
    Pad,
    /// Some sides become one, or go.
    Reduce,
    /// A shape.
    Reshape,
    /// Parts of sides.
    Slice,
    /// Several parts of one side.
    Split,
    /// Sides of one go.
    Squeeze,
    /// Sides of one come.
    Unsqueeze,
    /// Another order.
    Transpose,
}

impl Gives {
    /// Holds what was made of a node to these rules.
    ///
    /// # Errors
    /// Where the inputs do not fit, or the sides differ: the file is damaged, or the operation does what no layer here does.
    pub fn hold(self, low: &Lowering<'_>, node: &Node<'_>, made: &Value) -> Result<(), String> {
        let wanted = self.sides(low, node)?;
        let found = match made {
            Value::Parts(parts) => parts.iter().map(|part| low.sides(part)).collect(),
            one => vec![low.sides(one)],
        };
        if found == wanted {
            return Ok(());
        }
        let list = |all: &[Vec<i64>]| all.iter().map(|s| format!("[{}]", words(s))).collect::<Vec<_>>().join(" and ");
        Err(format!("gives {}, which no layer here makes: it would be read as {}", list(&wanted), list(&found)))
    }

    /// The sides of every output.
    pub fn sides(self, low: &Lowering<'_>, node: &Node<'_>) -> Result<Vec<Vec<i64>>, String> {
        let of = |at: usize| low.value(node, at).map(|value| low.sides(value));
        let given = (0..node.inputs().len()).filter(|at| node.input(*at).is_some());
        let first = of(0)?;
        let unfit = |all: &[Vec<i64>]| {
            let shapes: Vec<String> = all.iter().map(|s| format!("[{}]", words(s))).collect();
            format!("takes {}, which do not fit together", shapes.join(" and "))
        };
        let one = match self {
            Gives::Same => first,
            Gives::Over => {
                let all = given.map(of).collect::<Result<Vec<_>, _>>()?;
                let laid = all.iter().try_fold(vec![], |sides, more| over(&sides, more));
                laid.ok_or_else(|| unfit(&all))?
            }
            Gives::Concat => {
                let all = given.map(of).collect::<Result<Vec<_>, _>>()?;
                let axis = place(node.int("axis", 0)?, first.len())?;
                let fits = |sides: &Vec<i64>| {
                    sides.len() == first.len() && (0..first.len()).all(|at| at == axis || sides[at] == first[at])
                };
                if !all.iter().all(fits) {
                    return Err(unfit(&all));
                }
                let mut sides = first;
                sides[axis] = all.iter().map(|s| s[axis]).sum();
                sides
            }
            Gives::Conv => {
                let weight = of(1)?;
                let (Some(taps), Some(out)) = (weight.get(2..), weight.first()) else {
                    return Err(unfit(&[first, weight]));
                };
                windows(node, &first, taps, *out)?
            }
            Gives::Pool => {
                let taps = node.ints("kernel_shape")?.ok_or("kernel_shape is missing")?;
                let channels = *first.get(1).ok_or_else(|| unfit(std::slice::from_ref(&first)))?;
                windows(node, &first, taps, channels)?
            }
            Gives::GlobalPool => first.iter().enumerate().map(|(at, s)| if at < 2 { *s } else { 1 }).collect(),
            Gives::Expand => {
                let target = low.constant(node, 1)?.ints()?.to_vec();
                over(&first, &target).ok_or_else(|| unfit(&[first, target]))?
            }
            Gives::Flatten => {
                let axis = node.int("axis", 1)?;
                let axis = if axis == first.len() as i64 { first.len() } else { place(axis, first.len())? };
                vec![product(&first[..axis])?, product(&first[axis..])?]
            }
            Gives::Gather => {
                let axis = place(node.int("axis", 0)?, first.len())?;
                [&first[..axis], &of(1)?, &first[axis + 1..]].concat()
            }
            Gives::GatherNd => {
                let at = of(1)?;
                let (Some((1, lead)), Some(rest)) = (at.split_last().map(|(last, lead)| (*last, lead)), first.get(1..))
                else {
                    return Err(unfit(&[first, at]));
                };
                [lead, rest].concat()
            }
            Gives::Gemm => {
                let second = of(1)?;
                let (&[a, b], &[c, d]) = (&first[..], &second[..]) else { return Err(unfit(&[first, second])) };
                let [rows, inner] = if node.int("transA", 0)? == 0 { [a, b] } else { [b, a] };
                let [other, columns] = if node.int("transB", 0)? == 0 { [c, d] } else { [d, c] };
                if inner != other {
                    return Err(unfit(&[first, second]));
                }
                vec![rows, columns]
            }
            Gives::MatMul => {
                let second = of(1)?;
                product_of(&first, &second).ok_or_else(|| unfit(&[first, second]))?
            }
            Gives::Pad => {
                let pads = low.ints(node, 1)?.ok_or("pads are missing")?;
                let axes = low.ints(node, 3)?.unwrap_or_else(|| (0..first.len() as i64).collect());
                if pads.len() != 2 * axes.len() {
                    return Err(format!("has {} pads for {} axes", pads.len(), axes.len()));
                }
                let mut sides = first;
                for (i, axis) in axes.iter().enumerate() {
                    let at = place(*axis, sides.len())?;
                    sides[at] += pads[i].saturating_add(pads[axes.len() + i]);
                }
                sides
            }
            Gives::Reduce => {
                let axes = low.axes(node)?.unwrap_or_default();
                if axes.is_empty() && node.int("noop_with_empty_axes", 0)? != 0 {
                    return Ok(vec![first]);
                }
                let taken = places(&axes, first.len())?;
                let is_taken = |at: usize| taken.is_empty() || taken.contains(&at);
                let kept = node.int("keepdims", 1)? != 0;
                let sides = first.iter().enumerate();
                let sides = sides.filter_map(|(at, s)| if !is_taken(at) { Some(*s) } else { kept.then_some(1) });
                sides.collect()
            }
            Gives::Reshape => {
                let target = low.constant(node, 1)?.ints()?.to_vec();
                reshaped(&first, &target, node.int("allowzero", 0)? == 0)?
            }
            Gives::Slice => {
                let list = |at: usize| low.ints(node, at);
                let (starts, ends) = (list(1)?.ok_or("has no starts")?, list(2)?.ok_or("has no ends")?);
                let axes = list(3)?.unwrap_or_else(|| (0..starts.len() as i64).collect());
                let steps = list(4)?.unwrap_or_else(|| vec![1; starts.len()]);
                let mut sides = first;
                for (((start, end), axis), step) in starts.iter().zip(&ends).zip(&axes).zip(&steps) {
                    let at = place(*axis, sides.len())?;
                    sides[at] = entries(*start, *end, *step, sides[at])?;
                }
                sides
            }
            Gives::Split => {
                let axis = place(node.int("axis", 0)?, first.len())?;
                let (len, count) = (first[axis], node.outputs().count() as i64);
                let each = (len + count - 1) / count.max(1);
                let given = node.ints("split")?.map(<[i64]>::to_vec);
                let parts = given.map_or_else(|| low.ints(node, 1), |parts| Ok(Some(parts)))?;
                let parts = parts.unwrap_or_else(|| (0..count).map(|k| (len - k * each).clamp(0, each)).collect());
                let with = |part: i64| [&first[..axis], &[part], &first[axis + 1..]].concat();
                return Ok(parts.into_iter().map(with).collect());
            }
            Gives::Squeeze => {
                let gone = match low.axes(node)? {
                    Some(axes) => places(&axes, first.len())?,
                    None => (0..first.len()).filter(|at| first[*at] == 1).collect(),
                };
                if let Some(at) = gone.iter().find(|at| first[**at] != 1) {
                    return Err(format!("takes away axis {at} of [{}], which has more than one entry", words(&first)));
                }
                (0..first.len()).filter(|at| !gone.contains(at)).map(|at| first[at]).collect()
            }
            Gives::Unsqueeze => {
                let axes = low.axes(node)?.ok_or("has no axes")?;
                let mut come = places(&axes, first.len() + axes.len())?;
                come.sort_unstable();
                let mut sides = first;
                come.into_iter().for_each(|at| sides.insert(at.min(sides.len()), 1));
                sides
            }
            Gives::Transpose => {
                let rank = first.len();
                let order = node.ints("perm")?.map_or_else(|| (0..rank as i64).rev().collect(), <[i64]>::to_vec);
                let order = places(&order, rank)?;
                if order.len() != rank {
                    return Err(format!("perm={order:?} does not fit [{}]", words(&first)));
                }
                order.into_iter().map(|at| first[at]).collect()
            }
        };
        Ok(vec![one])
    }
}

fn product(sides: &[i64]) -> Result<i64, String> {
    sides.iter().try_fold(1, |n: i64, s| n.checked_mul(*s)).ok_or_else(|| format!("has the sides {sides:?}"))
}

/// Sides with zeros and the one that is -1 filled in.
pub fn reshaped(sides: &[i64], target: &[i64], zeros_copy: bool) -> Result<Vec<i64>, String> {
    let unfit = || format!("cannot make [{}] of [{}]", words(target), words(sides));
    let all = product(sides)?;
    let copied = target.iter().enumerate();
    let copied = copied.map(|(at, t)| if *t == 0 && zeros_copy { sides.get(at).copied() } else { Some(*t) });
    let mut wanted = copied.collect::<Option<Vec<i64>>>().ok_or_else(unfit)?;
    let known = product(&wanted.iter().copied().filter(|s| *s != -1).collect::<Vec<_>>())?;
    let open: Vec<usize> = (0..wanted.len()).filter(|at| wanted[*at] == -1).collect();
    if wanted.iter().any(|s| *s < -1) || open.len() > 1 {
        return Err(unfit());
    }
    if let [at] = open[..] {
        wanted[at] = all.checked_div(known).ok_or_else(unfit)?;
    }
    if product(&wanted)? == all { Ok(wanted) } else { Err(unfit()) }
}

/// How many entries a slice takes.
fn entries(start: i64, end: i64, step: i64, len: i64) -> Result<i64, String> {
    let from_end = |at: i64| if at < 0 { at.saturating_add(len) } else { at };
    let (start, end) = (from_end(start), from_end(end));
    let taken = match step {
        0 => return Err("has the step 0".into()),
        1.. => end.clamp(0, len) - start.clamp(0, len),
        // Backwards, from the last entry to before the first.
        _ => start.clamp(-1, len - 1) - end.clamp(-1, len - 1),
    };
    let step = step.unsigned_abs().min(i64::MAX as u64) as i64;
    Ok(taken.max(0) / step + i64::from(taken.max(0) % step != 0))
}

/// The sides of a product as NumPy's `matmul` defines it.
fn product_of(first: &[i64], second: &[i64]) -> Option<Vec<i64>> {
    let (left, right) = match (first, second) {
        ([_], _) => ([&[1], first].concat(), second.to_vec()),
        (_, [_]) => (first.to_vec(), [second, &[1]].concat()),
        _ => (first.to_vec(), second.to_vec()),
    };
    let ([lead @ .., rows, inner], [other_lead @ .., other, columns]) = (&left[..], &right[..]) else { return None };
    let mut sides = over(lead, other_lead).filter(|_| inner == other)?;
    sides.extend((first.len() > 1).then_some(*rows));
    sides.extend((second.len() > 1).then_some(*columns));
    Some(sides)
}

/// The sides of what a window gives, `[n, channels, ..]`.
fn windows(node: &Node<'_>, sides: &[i64], taps: &[i64], channels: i64) -> Result<Vec<i64>, String> {
    let axes = sides.len().checked_sub(2).filter(|axes| *axes == taps.len());
    let axes = axes.ok_or_else(|| format!("has {} taps for [{}]", taps.len(), words(sides)))?;
    let list = |key: &str, default: i64, len: usize| -> Result<Vec<i64>, String> {
        let list = node.ints(key)?.map_or_else(|| vec![default; len], <[i64]>::to_vec);
        let fits = list.len() == len && list.iter().all(|v| (default.min(1)..1 << 20).contains(v));
        if fits { Ok(list) } else { Err(format!("the attribute `{key}` is {list:?}")) }
    };
    let (strides, dilations) = (list("strides", 1, axes)?, list("dilations", 1, axes)?);
    let pads = list("pads", 0, 2 * axes)?;
    let (auto, ceil) = (node.text("auto_pad", "NOTSET")?, node.int("ceil_mode", 0)? != 0);
    let mut all = vec![sides[0], channels];
    for axis in 0..axes {
        let (n, stride, begin) = (sides[2 + axis], strides[axis], pads[axis]);
        if auto.starts_with("SAME") {
            all.push((n + stride - 1) / stride);
            continue;
        }
        let (begin, end) = if auto == "VALID" { (0, 0) } else { (begin, pads[axes + axis]) };
        let span = dilations[axis].saturating_mul(taps[axis].saturating_sub(1)).saturating_add(1);
        let free = n.saturating_add(begin + end).saturating_sub(span);
        if free < 0 || taps[axis] < 1 {
            return Err(format!("has a window of {span} on [{}]", words(sides)));
        }
        let mut places = free / stride + 1;
        // A last window that is cut off by the edge, if it begins before it.
        if ceil && free % stride != 0 && places * stride < n + begin {
            places += 1;
        }
        all.push(places);
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_are_filled_in() {
        assert_eq!(reshaped(&[2, 3, 4], &[0, -1], true), Ok(vec![2, 12]));
        assert_eq!(reshaped(&[2, 3, 4], &[4, 6], true), Ok(vec![4, 6]));
        for bad in [&[5, -1][..], &[-1, -1], &[0, 0], &[2, 3, 4, 0]] {
            assert!(reshaped(&[2, 3, 4], bad, true).is_err(), "{bad:?}");
        }
        assert!(reshaped(&[0, 3], &[0, -1], false).is_err());
    }

    #[test]
    fn slices_count_their_entries() {
        let count = |start, end, step| entries(start, end, step, 5).unwrap();
        assert_eq!([count(0, 5, 1), count(1, -1, 1), count(0, 9, 2), count(4, 1, 1)], [5, 3, 3, 0]);
        assert_eq!([count(-1, i64::MIN, -1), count(4, 0, -2), count(9, 2, -1)], [5, 2, 2]);
        assert!(entries(0, 1, 0, 5).is_err());
    }

    #[test]
    fn products_have_numpys_sides() {
        assert_eq!(product_of(&[7, 2, 3], &[3, 4]), Some(vec![7, 2, 4]));
        assert_eq!(product_of(&[3], &[3, 4]), Some(vec![4]));
        assert_eq!(product_of(&[7, 1, 2, 3], &[5, 3, 1]), Some(vec![7, 5, 2, 1]));
        assert_eq!(product_of(&[2, 3], &[3]), Some(vec![2]));
        assert_eq!(product_of(&[2, 3], &[4, 3]), None);
    }
}
