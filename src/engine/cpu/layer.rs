//! The two directions of a [`Layer`], and the room that each wants.

use super::isa::Isa;
use super::kernels::attention::Planes;
use super::kernels::group_norm::Affine;
use super::kernels::load::Source;
use super::kernels::{channels, pointwise, tokens};
use super::vector::Number;
use crate::engine::call::Layer;
use crate::seed::Seed;

/// What a call reads.
#[derive(Clone, Copy)]
pub struct Reads<'a, 'x, T> {
    /// The instructions.
    pub isa: Isa,
    /// The inputs' values; those that a gradient does not need may be empty.
    pub inputs: &'x [&'a [T]],
    /// The first input's scale and shift, where it is a batch-norm that its readers apply.
    pub affine: Option<(&'a [T], &'a [T])>,
    /// The trainable numbers, one tensor after the other.
    pub params: &'a [T],
    /// What was prepared for the pass.
    pub prepared: &'a [T],
    /// What decides what is dropped, and the image's place in the batch.
    pub chance: Option<(Seed, usize)>,
}

impl<'a, T: Number> Reads<'a, '_, T> {
    fn source(&self) -> Source<'a, T> {
        Source { values: self.inputs[0], affine: self.affine }
    }

    /// Scale and shift of a normalisation.
    fn scale_and_shift(&self) -> Affine<'a, T> {
        let (weight, bias) = self.params.split_at(self.params.len() / 2);
        Affine { weight, bias }
    }
}

/// The generator of what a node drops of an image.
fn stream(seed: &str, (root, image): (Seed, usize)) -> crate::seed::Stream {
    root.child(seed).index(image as u64).stream()
}

impl Layer {
    /// Scalars that are prepared for a pass.
    pub fn prepared(&self) -> usize {
        match self {
            Layer::Precondition { map, .. } => map.amplitudes.len(),
            _ => 0,
        }
    }

    /// Scalars of scratch, for an output of `len` scalars.
    pub fn scratch(&self, len: usize) -> usize {
        match self {
            Layer::GroupNorm(norm) => norm.scratch(),
            Layer::Softmax(_) | Layer::Dropout { .. } => len,
            Layer::Attention(attention) => attention.scratch(),
            Layer::CrossCovariance(attention) => attention.scratch(),
            Layer::Matmul(product) => product.scratch(),
            Layer::FlcPool(pool) => pool.scratch(),
            Layer::Precondition { map, .. } => map.scratch(),
            Layer::Activation(_)
            | Layer::Mul
            | Layer::Scale
            | Layer::Slice { .. }
            | Layer::Reshape
            | Layer::Permute(_)
            | Layer::Pad { .. }
            | Layer::ClassToken
            | Layer::Position
            | Layer::SinePosition(_)
            | Layer::StochasticDepth { .. } => 0,
        }
    }

    /// The value.
    pub fn forward<T: Number>(&self, r: Reads<'_, '_, T>, y: &mut [T], scratch: &mut [T]) {
        let (isa, x) = (r.isa, r.inputs[0]);
        match self {
            Layer::Activation(f) => f.forward(isa, r.source(), y),
            Layer::Mul => channels::multiply(isa, x, r.inputs[1], y),
            Layer::Scale => channels::multiply(isa, x, r.params, y),
            Layer::GroupNorm(norm) => norm.forward(isa, x, r.scale_and_shift(), y, scratch),
            Layer::Slice { from, c } => {
                let len = y.len() / (x.len() / c);
                pointwise::take_channels(x, *c, *from, y, len, false);
            }
            Layer::Reshape => y.copy_from_slice(x),
            Layer::Permute(permute) => permute.forward(x, y),
            Layer::Matmul(product) => product.forward(isa, x, r.inputs[1], y),
            Layer::Pad { front, source, output } => pointwise::place(x, *source, *front, *output, (y, false)),
            Layer::Softmax(softmax) => softmax.forward(x, y),
            Layer::Attention(attention) => {
                attention.forward(isa, Planes { queries: x, keys: r.inputs[r.inputs.len() - 1] }, y, scratch);
            }
            Layer::CrossCovariance(attention) => attention.forward(isa, x, r.params, y, scratch),
            Layer::ClassToken => tokens::class_forward(x, r.params, y),
            Layer::Position => channels::add(isa, x, r.params, y),
            Layer::SinePosition(table) => {
                for (y, v) in y.iter_mut().zip(table) {
                    *y = T::of(*v);
                }
            }
            Layer::FlcPool(pool) => pool.forward(isa, x, y, scratch),
            Layer::Precondition { map, .. } => map.forward(isa, x, r.prepared, y, scratch),
            Layer::Dropout { .. } | Layer::StochasticDepth { .. } => self.drop(r, x, (y, false), scratch),
        }
    }

    /// The gradient of an input.
    pub fn backward<T: Number>(
        &self,
        r: Reads<'_, '_, T>,
        input: usize,
        dy: &[T],
        (dx, accumulate): (&mut [T], bool),
        scratch: &mut [T],
    ) {
        let isa = r.isa;
        match self {
            Layer::Activation(f) => f.backward(isa, r.source(), dy, (dx, accumulate)),
            Layer::Mul if input == 0 => channels::multiply_backward(isa, dy, r.inputs[1], dx, accumulate),
            Layer::Mul => channels::factor_backward(isa, dy, r.inputs[0], dx, accumulate),
            Layer::Scale => channels::multiply_backward(isa, dy, r.params, dx, accumulate),
            Layer::GroupNorm(norm) => {
                norm.backward(isa, r.inputs[0], r.scale_and_shift().weight, dy, (dx, accumulate), scratch);
            }
            Layer::Slice { from, c } => {
                let len = dy.len() / (dx.len() / c);
                if !accumulate {
                    dx.fill(T::ZERO);
                }
                pointwise::put_channels(dy, len, dx, *c, *from, true);
            }
            Layer::Reshape | Layer::Position => pointwise::axpy(isa, T::ONE, dy, dx, accumulate),
            Layer::Permute(permute) => permute.backward(isa, dy, (dx, accumulate)),
            Layer::Matmul(product) if input == 0 => {
                product.backward_first(isa, r.inputs[1], dy, (dx, accumulate), scratch);
            }
            Layer::Matmul(product) => product.backward_second(isa, r.inputs[0], dy, (dx, accumulate)),
            Layer::Pad { front, source, output } => pointwise::crop(dy, *output, *front, *source, (dx, accumulate)),
            Layer::Softmax(softmax) => softmax.backward(r.inputs[0], dy, (dx, accumulate), scratch),
            Layer::Attention(attention) => {
                let planes = Planes { queries: r.inputs[0], keys: r.inputs[r.inputs.len() - 1] };
                attention.backward(isa, planes, input == 0, dy, (dx, accumulate), scratch);
            }
            Layer::CrossCovariance(attention) => {
                attention.backward(isa, r.inputs[0], r.params, dy, (dx, accumulate), scratch);
            }
            Layer::ClassToken => pointwise::axpy(isa, T::ONE, &dy[r.params.len()..], dx, accumulate),
            Layer::SinePosition(_) if accumulate => {}
            Layer::SinePosition(_) => dx.fill(T::ZERO),
            Layer::FlcPool(pool) => pool.backward(isa, dy, (dx, accumulate), scratch),
            Layer::Precondition { map, .. } => map.backward(isa, dy, r.prepared, (dx, accumulate), scratch),
            Layer::Dropout { .. } | Layer::StochasticDepth { .. } => self.drop(r, dy, (dx, accumulate), scratch),
        }
    }

    /// Adds to the gradient of the trainable numbers.
    pub fn backward_params<T: Number>(&self, r: Reads<'_, '_, T>, dy: &[T], dparams: &mut [T], scratch: &mut [T]) {
        let isa = r.isa;
        match self {
            Layer::Scale => channels::factor_backward(isa, dy, r.inputs[0], dparams, true),
            Layer::GroupNorm(norm) => {
                let halves = dparams.split_at_mut(norm.c);
                norm.backward_affine(isa, r.inputs[0], dy, halves, scratch);
            }
            Layer::CrossCovariance(attention) => {
                attention.backward_temperature(isa, r.inputs[0], r.params, dy, dparams, scratch);
            }
            Layer::ClassToken => channels::add_up(isa, &dy[..dparams.len()], dparams),
            Layer::Position => channels::add_up(isa, dy, dparams),
            Layer::Activation(_)
            | Layer::Mul
            | Layer::Slice { .. }
            | Layer::Reshape
            | Layer::Permute(_)
            | Layer::Matmul(_)
            | Layer::Pad { .. }
            | Layer::Softmax(_)
            | Layer::Attention(_)
            | Layer::SinePosition(_)
            | Layer::FlcPool(_)
            | Layer::Precondition { .. }
            | Layer::Dropout { .. }
            | Layer::StochasticDepth { .. } => {}
        }
    }

    /// `to (+)= from` times what is left by chance; forward and backward are the same.
    fn drop<T: Number>(&self, r: Reads<'_, '_, T>, from: &[T], (to, accumulate): (&mut [T], bool), scratch: &mut [T]) {
        match (self, r.chance) {
            (Layer::Dropout { rate, seed }, Some(chance)) => {
                let (mut stream, kept) = (stream(seed, chance), T::of(1.0 / (1.0 - f64::from(*rate))));
                let mask = &mut scratch[..to.len()];
                mask.fill_with(|| if stream.uniform() < *rate { T::ZERO } else { kept });
                channels::multiply_backward(r.isa, from, mask, to, accumulate);
            }
            (Layer::StochasticDepth { rate, seed }, Some(chance)) => {
                let dropped = stream(seed, chance).uniform() < *rate;
                let kept = if dropped { 0.0 } else { 1.0 / (1.0 - f64::from(*rate)) };
                pointwise::axpy(r.isa, T::of(kept), from, to, accumulate);
            }
            _ => pointwise::axpy(r.isa, T::ONE, from, to, accumulate),
        }
    }
}
