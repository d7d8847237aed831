//! Every operation in candle: a layer of `candle_nn` where there is one, else a composition with a gradient.

use candle_core::{Result, Tensor};
use candle_nn::{
    BatchNorm, BatchNormConfig, GroupNorm, Linear, Module, ModuleT, VarBuilder, batch_norm, linear_b, ops,
};

use super::planes::{ConvNorm, Planes, constant};
use super::tokens::{attention, cross_covariance, over_channels, shares};
use super::window::{Conv, MaxPool};
use crate::arch::op::BATCH_NORM_EPSILON;
use crate::arch::op::{Act, Op, Shape};
use crate::arch::position;

/// An operation with its weights. Activations are `[n, c, h, w]`; one value per channel is `[1, c, 1, 1]`.
#[derive(Clone, Debug)]
#[expect(clippy::enum_variant_names, reason = "layer normalisation has the name that it has everywhere")]
pub enum Layer {
    /// The identity: the input, dropout and stochastic depth.
    Same,
    Normalize {
        mean: Tensor,
        std: Tensor,
    },
    Conv(Conv),
    ConvNorm(ConvNorm),
    BatchNorm(BatchNorm),
    Branches(Vec<BatchNorm>),
    LayerNorm {
        weight: Tensor,
        bias: Tensor,
        epsilon: f64,
    },
    GroupNorm(GroupNorm),
    Act(Act),
    Clip {
        min: f64,
        max: f64,
    },
    MaxPool(MaxPool),
    Planes(Planes),
    Mean,
    Linear(Linear),
    Add,
    Mul,
    Scale(Tensor),
    Concat,
    Slice {
        from: usize,
        len: usize,
    },
    Reshape(Shape),
    Permute {
        dims: Vec<usize>,
        order: Vec<usize>,
        to: Shape,
    },
    Matmul,
    Crop {
        top: usize,
        left: usize,
        to: Shape,
    },
    Pad {
        rows: [usize; 2],
        columns: [usize; 2],
    },
    Softmax {
        over: usize,
    },
    Attention {
        heads: usize,
        d: usize,
    },
    CrossCovariance {
        heads: usize,
        d: usize,
        temperature: Tensor,
    },
    /// `[1, c, 1, 1]`.
    ClassToken(Tensor),
    /// `[1, c, h, w]`, added to every image.
    Position(Tensor),
    /// `[1, c, h, w]`, the same for every image.
    Constant(Tensor),
}

/// `[c]` or `[h, w, c]` as `[1, c, h, w]`.
fn planes(values: &Tensor) -> Result<Tensor> {
    match values.rank() {
        1 => values.reshape((1, (), 1, 1)),
        _ => values.permute((2, 0, 1))?.contiguous()?.unsqueeze(0),
    }
}

impl Layer {
    /// An operation on inputs of some shapes; `vb` has the prefix of the node's name.
    pub fn new(op: &Op, inputs: &[Shape], y: Shape, vb: &VarBuilder) -> Result<Self> {
        let x = inputs.first().copied().unwrap_or(y);
        let channels = |name: &str| planes(&vb.get(x.c, name)?);
        let fixed = |values: &[f32]| {
            let values: Vec<f64> = values.iter().map(|v| f64::from(*v)).collect();
            planes(&constant(&values, x.c, vb)?)
        };
        Ok(match op {
            Op::Input { .. } | Op::Dropout { .. } | Op::StochasticDepth { .. } => Layer::Same,
            Op::Normalize { mean, std } => Layer::Normalize { mean: fixed(mean)?, std: fixed(std)? },
            Op::Conv2d { out, window, groups, bias } => {
                let [kh, kw] = window.kernel;
                let weight = vb.get((*out, x.c / groups, kh, kw), "weight")?;
                let bias = bias.then(|| vb.get(*out, "bias")).transpose()?;
                Layer::Conv(Conv::new(weight, bias, x, window, *groups)?)
            }
            Op::ConvNorm { window, .. } => Layer::ConvNorm(ConvNorm::new(x, y, window, vb)?),
            Op::BatchNorm { affine } => {
                let config = BatchNormConfig { eps: BATCH_NORM_EPSILON, affine: *affine, ..BatchNormConfig::default() };
                Layer::BatchNorm(batch_norm(x.c, config, vb.clone())?)
            }
            Op::MultiBatchNorm { branches } => {
                let [weight, bias] = ["weight", "bias"].map(|name| vb.get((*branches, x.c), name));
                let (weight, bias) = (weight?, bias?);
                let branch = |k: usize| {
                    let [mean, var] = ["running_mean", "running_var"].map(|name| vb.pp(k).get(x.c, name));
                    BatchNorm::new(x.c, mean?, var?, weight.get(k)?, bias.get(k)?, BATCH_NORM_EPSILON)
                };
                Layer::Branches((0..*branches).map(branch).collect::<Result<_>>()?)
            }
            Op::LayerNorm { epsilon } => {
                let (weight, bias) = (channels("weight")?, channels("bias")?);
                Layer::LayerNorm { weight, bias, epsilon: f64::from(*epsilon) }
            }
            Op::GroupNorm { groups, epsilon } => {
                let (weight, bias) = (vb.get(x.c, "weight")?, vb.get(x.c, "bias")?);
                Layer::GroupNorm(GroupNorm::new(weight, bias, x.c, *groups, f64::from(*epsilon))?)
            }
            Op::Act { act } => Layer::Act(*act),
            Op::Clip { min, max } => Layer::Clip { min: f64::from(*min), max: f64::from(*max) },
            Op::MaxPool { window } => Layer::MaxPool(MaxPool::new(x, y, window, vb.device())?),
            Op::AvgPool { window, count_include_pad } => {
                Layer::Planes(Planes::average(x, y, window, *count_include_pad, vb)?)
            }
            Op::GlobalAvgPool => Layer::Mean,
            Op::FlcPool { hamming } => Layer::Planes(Planes::flc(x, *hamming, vb)?),
            Op::Linear { out, bias } => Layer::Linear(linear_b(x.c, *out, *bias, vb.clone())?),
            Op::Add => Layer::Add,
            Op::Mul => Layer::Mul,
            Op::Scale { .. } => Layer::Scale(channels("weight")?),
            Op::Concat => Layer::Concat,
            Op::Slice { from, len } => Layer::Slice { from: *from, len: *len },
            Op::Reshape { shape } => Layer::Reshape(*shape),
            Op::Permute { dims, order, shape } => {
                Layer::Permute { dims: dims.clone(), order: order.clone(), to: *shape }
            }
            Op::Matmul => Layer::Matmul,
            Op::Crop { top, left, .. } => Layer::Crop { top: *top, left: *left, to: y },
            Op::Pad { top, left, bottom, right } => Layer::Pad { rows: [*top, *bottom], columns: [*left, *right] },
            Op::Softmax { over } => Layer::Softmax { over: *over },
            Op::Attention { heads } => Layer::Attention { heads: *heads, d: y.c },
            Op::CrossCovariance { heads } => {
                let temperature = planes(&vb.get(*heads, "temperature")?)?;
                Layer::CrossCovariance { heads: *heads, d: y.c, temperature }
            }
            Op::ClassToken => Layer::ClassToken(channels("weight")?),
            Op::Position => Layer::Position(planes(&vb.get((x.h, x.w, x.c), "weight")?)?),
            Op::SinePosition { .. } => Layer::Constant(planes(&constant(&position::sine(y), (y.h, y.w, y.c), vb)?)?),
            Op::Zero { .. } => Layer::Constant(Tensor::zeros((1, y.c, y.h, y.w), vb.dtype(), vb.device())?),
            Op::MixedSum { .. } => candle_core::bail!(
                "its inputs are weighed by a mixing vector that comes with each call, which a module has no place for; derive \
                 a network of single operations from the supernet (`robustnas search` does) and take that"
            ),
        })
    }

    /// The operation on its inputs; `branch` selects the batch normalisation of multi-branch ones.
    pub fn forward(&self, inputs: &[&Tensor], branch: usize) -> Result<Tensor> {
        let x = inputs[0];
        match self {
            Layer::Same => Ok(x.clone()),
            Layer::Normalize { mean, std } => x.broadcast_sub(mean)?.broadcast_div(std),
            Layer::Conv(conv) => conv.forward(x),
            Layer::ConvNorm(conv) => conv.forward(x),
            Layer::BatchNorm(norm) => norm.forward_t(x, false),
            Layer::Branches(norms) => norms[branch].forward_t(x, false),
            Layer::LayerNorm { weight, bias, epsilon } => {
                over_channels(x, *epsilon)?.broadcast_mul(weight)?.broadcast_add(bias)
            }
            Layer::GroupNorm(norm) => norm.forward(x),
            Layer::Act(act) => activate(*act, x),
            Layer::Clip { min, max } => {
                let inside = (x.ge(*min)? * x.le(*max)?)?;
                inside.where_cond(x, &x.clamp(*min, *max)?.detach())
            }
            Layer::MaxPool(pool) => pool.forward(x),
            Layer::Planes(planes) => planes.forward(x),
            Layer::Mean => x.mean_keepdim((2, 3)),
            Layer::Linear(linear) => linear.forward(&x.flatten_from(1)?)?.unsqueeze(2)?.unsqueeze(3),
            Layer::Add => inputs[1..].iter().try_fold(x.clone(), |sum, next| sum + *next),
            Layer::Mul => x.broadcast_mul(inputs[1]),
            Layer::Scale(factors) => x.broadcast_mul(factors),
            Layer::Concat => Tensor::cat(inputs, 1),
            Layer::Slice { from, len } => x.narrow(1, *from, *len),
            Layer::Reshape(to) => {
                let last = x.permute((0, 2, 3, 1))?.reshape(((), to.h, to.w, to.c))?;
                last.permute((0, 3, 1, 2))?.contiguous()
            }
            Layer::Permute { dims, order, to } => {
                let n = x.dim(0)?;
                let sides: Vec<usize> = std::iter::once(n).chain(dims.iter().copied()).collect();
                let order: Vec<usize> = std::iter::once(0).chain(order.iter().map(|axis| axis + 1)).collect();
                let permuted = x.permute((0, 2, 3, 1))?.reshape(sides)?.permute(order)?;
                permuted.reshape((n, to.h, to.w, to.c))?.permute((0, 3, 1, 2))?.contiguous()
            }
            Layer::Matmul => {
                let rows = |x: &Tensor| x.permute((0, 2, 3, 1))?.contiguous();
                rows(x)?.matmul(&rows(inputs[1])?)?.permute((0, 3, 1, 2))?.contiguous()
            }
            Layer::Crop { top, left, to } => x.narrow(2, *top, to.h)?.narrow(3, *left, to.w),
            Layer::Pad { rows, columns } => {
                x.pad_with_zeros(2, rows[0], rows[1])?.pad_with_zeros(3, columns[0], columns[1])
            }
            Layer::Softmax { over } => shares(x, *over),
            Layer::Attention { heads, d } => attention(inputs, *heads, *d),
            Layer::CrossCovariance { heads, d, temperature } => cross_covariance(x, temperature, *heads, *d),
            Layer::ClassToken(token) => {
                let (n, c, h, w) = x.dims4()?;
                let token = token.broadcast_as((n, c, 1, 1))?;
                Tensor::cat(&[&token, &x.reshape((n, c, 1, h * w))?], 3)
            }
            Layer::Position(planes) => x.broadcast_add(planes),
            Layer::Constant(planes) => {
                let (_, c, h, w) = planes.dims4()?;
                planes.broadcast_as((x.dim(0)?, c, h, w))?.contiguous()
            }
        }
    }
}

fn activate(act: Act, x: &Tensor) -> Result<Tensor> {
    match act {
        // candle's ReLU has gradient 1 at 0, the engine's and PyTorch's 0.
        Act::Relu => x.gt(0f64)?.where_cond(x, &x.zeros_like()?),
        Act::Sigmoid => ops::sigmoid(x),
        Act::Silu => x.silu(),
        Act::Gelu => x.gelu_erf(),
        Act::GeluTanh => x.gelu(),
        // Here the gradient 1 at 0 is wanted: less the half of the second term it is the sigmoid's.
        Act::Softplus => x.relu()? + (x.abs()?.neg()?.exp()? + 1.0)?.log()?,
        Act::Tanh => x.tanh(),
        Act::Erf => x.erf(),
        // Below 0 only: the gradient of candle's own is that of its branch at 0.
        Act::Elu => x.relu()? + (x.neg()?.relu()?.neg()?.exp()? - 1.0)?,
    }
}
