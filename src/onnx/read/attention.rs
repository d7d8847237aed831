//! Attention, recognised by its products and softmax: `softmax(q k) v`, head by head.

use super::constant::{Constant, Data};
use super::draft::Weights;
use super::lowering::Lowering;
use super::node::Node;
use super::value::{Activation, Affine, Scores, Value};
use super::view::{Axis, Part, View};
use crate::arch::op::{Op, Shape};

/// A product of two activations: queries and keys, or attention weights and values.
pub fn product(low: &mut Lowering<'_>, node: &Node<'_>) -> Result<Value, String> {
    if let Value::Scores(scores) = low.value(node, 0)?.clone() {
        let values = low.settled(node, 1)?;
        // What is no attention of a layer is what it is made of.
        if let Ok(made) = layer(low, node, scores.clone(), values.clone()) {
            return Ok(made);
        }
        let shares = low.made_of_scores(scores)?;
        return low.matmul(shares, values).map(Value::Activation);
    }
    let (queries, keys) = (low.unpadded(node, 0)?, low.unpadded(node, 1)?);
    Ok(Value::Scores(Scores { queries, keys, factor: vec![1.0], shared: false }))
}

impl Lowering<'_> {
    /// The scores of attention, or the shares of the keys in them, as layers.
    pub fn made_of_scores(&mut self, scores: Scores) -> Result<Activation, String> {
        let Scores { queries, keys, factor, shared } = scores;
        let mut made = self.matmul(queries, keys)?;
        made = match factor[..] {
            [factor] => scaled(self, made, f64::from(factor))?,
            _ => {
                let constant = Constant { dims: vec![factor.len(), 1, 1], data: Data::Float(factor) };
                let numbers = self.laid_over(&made, &constant)?.ok_or("has a factor a head, and no heads")?;
                let numbers = self.numbers(made.layer, numbers)?;
                Activation { layer: self.draft.push("", Op::Mul, &[made.layer, numbers], Weights::default())?, ..made }
            }
        };
        if !shared {
            return Ok(made);
        }
        let over = self.shape(&made).c;
        Ok(Activation { layer: self.draft.push("", Op::Softmax { over }, &[made.layer], Weights::default())?, ..made })
    }
}

impl Scores {
    /// Multiplied by what a function makes of a constant: a number, or one a head, `[heads, 1, 1]`.
    pub fn times(&self, constant: &Constant, of: fn(f32) -> f32) -> Result<Value, String> {
        if self.shared {
            return Err("multiplies the shares of attention, which is not supported".into());
        }
        if constant.len() > 1 && !matches!(constant.dims[..], [_, 1, 1] | [1, _, 1, 1]) {
            return Err(format!(
                "multiplies attention's scores by a constant of shape {:?}; expected a number, or one a head, [heads, 1, 1]",
                constant.dims
            ));
        }
        let values: Vec<f32> = constant.floats()?.iter().map(|v| of(*v)).collect();
        let factor = match (&self.factor[..], &values[..]) {
            ([own], _) => values.iter().map(|v| v * own).collect(),
            (own, [v]) => own.iter().map(|o| v * o).collect(),
            (own, _) if own.len() == values.len() => own.iter().zip(values).map(|(o, v)| o * v).collect(),
            _ => return Err("multiplies attention's scores by values that are not one per head".into()),
        };
        Ok(Value::Scores(Scores { factor, ..self.clone() }))
    }

    /// The softmax over the keys.
    pub fn softmax(&self, axis: i64) -> Result<Value, String> {
        let rank = self.queries.view.axes.len() as i64;
        if axis != -1 && axis != rank - 1 || self.shared {
            return Err(format!("over axis {axis} of attention's scores is not supported, only over the keys"));
        }
        Ok(Value::Scores(Scores { shared: true, ..self.clone() }))
    }
}

/// All axes but the last two, merged; and the last two.
fn apart(view: &View) -> Option<(Axis, &Axis, &Axis)> {
    let [lead @ .., row, column] = &view.axes[..] else { return None };
    Some((Axis::of(lead.iter().flat_map(|a| a.0.clone())), row, column))
}

/// Images, and within them heads of `d` channels.
fn heads(low: &Lowering<'_>, count: usize, d: usize) -> Axis {
    let view = View { axes: vec![Axis::of([Part::Images, Part::Steps { len: count, stride: d }])] };
    low.of_images(view).axes.remove(0)
}

const UNKNOWN: &str = "of two activations is not the attention that is known: queries [n, heads, tokens, d] by keys \
                       [n, heads, d, tokens], or [n, heads, d, tokens] by [n, heads, tokens, d] of unit length";

/// The attention layer of scores and values.
fn layer(low: &mut Lowering<'_>, node: &Node<'_>, scores: Scores, values: Activation) -> Result<Value, String> {
    let Scores { queries, keys, factor, shared } = scores;
    let [q, k, v] = [&queries, &keys, &values].map(|x| low.shape(x));
    let parts = (apart(&queries.view), apart(&keys.view), apart(&values.view));
    let (Some(of_q), Some(of_k), Some(of_v), true) = (parts.0, parts.1, parts.2, shared) else {
        return Err(UNKNOWN.into());
    };
    let units = (&queries.unit, &keys.unit);
    let over_channels = units.0.is_some() && units.1.is_some();
    // A head has as many channels as the axis that is summed over, or that is not.
    let d = if over_channels { of_q.1 } else { of_q.2 }.len();
    if q.c != k.c || k != v || d == 0 || q.c % d != 0 {
        return Err(UNKNOWN.into());
    }
    let (count, channels) = (q.c / d, Axis::channels(d));
    let (tokens, others) = (&Axis::pixels(q), &Axis::pixels(k));
    let lead = heads(low, count, d);
    let wanted = if over_channels {
        [(&channels, tokens), (others, &channels), (&channels, others)]
    } else {
        [(tokens, &channels), (&channels, others), (others, &channels)]
    };
    for ((first, row, column), want) in [of_q, of_k, of_v].into_iter().zip(wanted) {
        if (&first, (row, column)) != (&lead, want) {
            return Err(UNKNOWN.into());
        }
    }
    // Divided by the length over the tokens, as what is multiplied is.
    let along = |unit: &Option<Axis>, tokens: &Axis| unit.as_ref().is_none_or(|axis| over_channels && axis == tokens);
    if !along(units.0, tokens) || !along(units.1, others) {
        return Err("has queries or keys of unit length over another axis than the one that is summed over".into());
    }
    let view = queries.view.clone();
    if over_channels {
        return cross_covariance(low, node, [queries, keys, values], count, factor);
    }
    let (scale, [queries, keys]) = scale(low, [queries, keys])?;
    let [factor] = factor[..] else { return Err("has a factor a head, which attention over tokens has not".into()) };
    let own = scale * f64::from(factor) * (d as f64).sqrt();
    let queries = scaled(low, queries, own)?;
    let inputs = match sources(low, &[&queries, &keys, &values], q.c) {
        Some(source) => vec![source],
        None if q == k => vec![side_by_side(low, &[&queries, &keys, &values])?],
        None => match sources(low, &[&keys, &values], q.c) {
            Some(source) => vec![queries.layer, source],
            None => vec![queries.layer, side_by_side(low, &[&keys, &values])?],
        },
    };
    low.push(node, Op::Attention { heads: count }, &inputs, Weights::default(), view)
}

fn cross_covariance(
    low: &mut Lowering<'_>,
    node: &Node<'_>,
    [queries, keys, values]: [Activation; 3],
    heads: usize,
    factor: Vec<f32>,
) -> Result<Value, String> {
    if [&queries, &keys].iter().any(|x| x.affine.is_some()) {
        return Err("scales queries or keys of unit length, which is not supported".into());
    }
    let temperature = if factor.len() == 1 { vec![factor[0]; heads] } else { factor };
    let all = [&queries, &keys, &values];
    let source = match sources(low, &all, low.shape(&values).c) {
        Some(source) => source,
        None => side_by_side(low, &all)?,
    };
    let weights = Weights { trainable: vec![temperature], running: None };
    low.push(node, Op::CrossCovariance { heads }, &[source], weights, values.view)
}

/// The scalar factors of queries and keys, taken out of both; any other affine map becomes a layer.
fn scale(low: &mut Lowering<'_>, list: [Activation; 2]) -> Result<(f64, [Activation; 2]), String> {
    let mut all = 1.0;
    let [queries, keys] = list.map(|mut x| {
        if let Some((scale, 0.0)) = x.affine.as_ref().and_then(Affine::uniform) {
            all *= scale;
            x.affine = None;
        }
        low.apply("", x)
    });
    Ok((all, [queries?, keys?]))
}

/// Queries times the factor that remains after attention's own division by `sqrt(d)`.
fn scaled(low: &mut Lowering<'_>, queries: Activation, factor: f64) -> Result<Activation, String> {
    if (factor - 1.0).abs() < 1e-5 {
        return Ok(queries);
    }
    let c = low.shape(&queries).c;
    let affine = Some(Affine { scale: vec![factor; c], shift: vec![0.0; c] });
    low.apply("", Activation { affine, ..queries })
}

/// The layer whose channels, in this order, these are.
fn sources(low: &Lowering<'_>, parts: &[&Activation], c: usize) -> Option<usize> {
    let mut source = None;
    for (at, part) in parts.iter().enumerate() {
        let from = low.draft.slice_of(part.layer, at * c..(at + 1) * c)?;
        if *source.get_or_insert(from) != from {
            return None;
        }
    }
    source.filter(|from| low.draft.shape(*from).c == parts.len() * c)
}

fn side_by_side(low: &mut Lowering<'_>, parts: &[&Activation]) -> Result<usize, String> {
    let shape = low.shape(parts[0]);
    let mut layers = Vec::new();
    for part in parts {
        let Shape { c, .. } = low.shape(part);
        layers.push(low.reshaped((*part).clone(), Shape { c, ..shape })?.layer);
    }
    low.draft.push("", Op::Concat, &layers, Weights::default())
}
