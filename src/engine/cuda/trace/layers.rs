//! Operations that keep nothing: those that have kernels, and those that have none yet.

use super::Trace;
use crate::engine::call::Layer;
use crate::engine::cuda::address::{Address, Incoming};
use crate::engine::cuda::kernels::planes::{self, Among};
use crate::engine::cuda::kernels::pointwise;
use crate::error::{Error, Result};

/// What is said of an operation without a kernel.
fn missing(operation: &str) -> Error {
    Error::Impossible(format!("{operation} has no CUDA kernel yet; networks with it run on the CPU"))
}

/// What a layer comes down to.
enum Moved {
    /// The same numbers.
    Same,
    /// Channels from this one on, of so many.
    Channels { from: usize, c: usize },
    /// Zeros around.
    Inside([usize; 2]),
}

fn moved(layer: &Layer) -> Result<Moved> {
    let operation = match layer {
        Layer::Reshape => return Ok(Moved::Same),
        Layer::Slice { from, c } => return Ok(Moved::Channels { from: *from, c: *c }),
        Layer::Pad { front, .. } => return Ok(Moved::Inside(*front)),
        Layer::Activation(_) => "an activation other than ReLU",
        Layer::Mul => "a product of planes",
        Layer::Scale => "a learned factor a channel",
        Layer::GroupNorm(_) => "layer or group normalisation",
        Layer::Permute(_) => "a permutation",
        Layer::Matmul(_) => "a product of activations",
        Layer::Softmax(_) => "softmax",
        Layer::Attention(_) => "attention",
        Layer::CrossCovariance(_) => "cross-covariance attention",
        Layer::ClassToken => "a class token",
        Layer::Position | Layer::SinePosition(_) => "an encoding of positions",
        Layer::FlcPool(_) => "FLC pooling",
        Layer::Precondition { .. } => "ConvNorm",
        Layer::Dropout { .. } => "dropout",
        Layer::StochasticDepth { .. } => "stochastic depth",
    };
    Err(missing(operation))
}

impl Trace<'_> {
    pub(super) fn layer_forward(&mut self, node: usize, layer: &Layer) -> Result<()> {
        let (plan, n) = (self.plan(), self.images());
        let moved = moved(layer)?;
        let (call, x) = (&plan.nodes[node], plan.nodes[node].inputs[0]);
        let (source, to) = (plan.nodes[x].shape, self.value(node));
        let from = Incoming::plain(self.value(x), source.c);
        match moved {
            Moved::Same => self.tape.push(pointwise::carry(from, (to, false), self.len(node))),
            Moved::Channels { from: at, c: width } => {
                let (from, to) = ((from, Among { width, at }), (to, Among { width: call.shape.c, at: 0 }, false));
                self.tape.push(planes::channels(from, to, n * call.shape.area(), call.shape.c));
            }
            Moved::Inside(front) => {
                self.tape.push(planes::place((from, source), (to, call.shape, false), front, n));
            }
        }
        Ok(())
    }

    pub(super) fn layer_backward(
        &mut self,
        node: usize,
        layer: &Layer,
        incoming: Incoming,
        target: Option<(Address, bool)>,
    ) -> Result<()> {
        let (plan, n) = (self.plan(), self.images());
        let moved = moved(layer)?;
        let Some((to, accumulate)) = target else { return Ok(()) };
        let (call, source) = (&plan.nodes[node], plan.nodes[plan.nodes[node].inputs[0]].shape);
        match moved {
            Moved::Same => self.tape.push(pointwise::carry(incoming, (to, accumulate), self.len(node))),
            Moved::Channels { from: at, c: width } => {
                if !accumulate {
                    self.tape.push(pointwise::fill(to, n * source.len(), 0.0));
                }
                let (from, to) = ((incoming, Among { width: call.shape.c, at: 0 }), (to, Among { width, at }, true));
                self.tape.push(planes::channels(from, to, n * call.shape.area(), call.shape.c));
            }
            Moved::Inside(front) => {
                self.tape.push(planes::crop((incoming, call.shape), (to, source, accumulate), front, n));
            }
        }
        Ok(())
    }
}
