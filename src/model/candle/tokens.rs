//! Attention, and normalisation over channels. Tokens are the pixels of `[n, c, h, w]`.

use candle_core::{Result, Tensor};
use candle_nn::ops::softmax;

/// Added to a squared length, so that zero counts as 1e-12, as in PyTorch's `normalize`, and has a gradient.
const SHORTEST: f64 = 1e-24;

/// A part of the channels, head by head: `[n, heads, d / heads, tokens]`.
fn part(x: &Tensor, at: usize, d: usize, heads: usize) -> Result<Tensor> {
    let (n, _, h, w) = x.dims4()?;
    x.narrow(1, at * d, d)?.reshape((n, heads, d / heads, h * w))
}

/// Scaled dot-product attention. One input holds queries, keys and values `[n, 3 d, h, w]`; of two, the first holds
/// queries `[n, d, h', w']`, the second keys and values `[n, 2 d, h, w]`.
pub fn attention(inputs: &[&Tensor], heads: usize, d: usize) -> Result<Tensor> {
    let (of_q, of_kv) = (inputs[0], inputs[inputs.len() - 1]);
    let keys = if inputs.len() == 1 { 1 } else { 0 };
    let q = part(of_q, 0, d, heads)?;
    let (k, v) = (part(of_kv, keys, d, heads)?, part(of_kv, keys + 1, d, heads)?);
    let scale = 1.0 / ((d / heads) as f64).sqrt();
    let shares = softmax(&(q.transpose(2, 3)?.contiguous()?.matmul(&k)? * scale)?, 3)?;
    let (n, _, h, w) = of_q.dims4()?;
    v.matmul(&shares.transpose(2, 3)?.contiguous()?)?.reshape((n, d, h, w))
}

/// Attention of channels to channels (XCiT), of `[n, 3 d, h, w]`, with the heads' inverse temperatures
/// `[1, heads, 1, 1]`.
pub fn cross_covariance(x: &Tensor, temperature: &Tensor, heads: usize, d: usize) -> Result<Tensor> {
    let unit = |x: &Tensor| x.broadcast_div(&(x.sqr()?.sum_keepdim(3)? + SHORTEST)?.sqrt()?);
    let (q, k, v) = (unit(&part(x, 0, d, heads)?)?, unit(&part(x, 1, d, heads)?)?, part(x, 2, d, heads)?);
    let alike = q.matmul(&k.transpose(2, 3)?.contiguous()?)?;
    let (n, _, h, w) = x.dims4()?;
    softmax(&alike.broadcast_mul(temperature)?, 3)?.matmul(&v)?.reshape((n, d, h, w))
}

/// `(x - mean) / sqrt(var + epsilon)` of every pixel over its channels. The layer of `candle_nn` wants channels last,
/// and its fused kernel has no backward pass.
pub fn over_channels(x: &Tensor, epsilon: f64) -> Result<Tensor> {
    let centred = x.broadcast_sub(&x.mean_keepdim(1)?)?;
    let variance = centred.sqr()?.mean_keepdim(1)?;
    centred.broadcast_div(&(variance + epsilon)?.sqrt()?)
}

/// Softmax over `over` alternatives, channels as `[over, c / over]`.
pub fn shares(x: &Tensor, over: usize) -> Result<Tensor> {
    let (n, c, h, w) = x.dims4()?;
    softmax(&x.reshape((n, over, c / over, h * w))?, 1)?.reshape((n, c, h, w))
}
