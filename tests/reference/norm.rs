//! Batch normalisation, and the statistics that a call records.

use robustnas::arch::op::Op;

use super::{Context, Gradients, spectral};

const EPSILON: f64 = 1e-5;

/// Where the branch's scale, shift and running moments stand.
struct Branch {
    /// Places of scale and shift in the state, if learned.
    affine: Option<[usize; 2]>,
    /// Place of the running mean; the variance stands behind it.
    running: usize,
}

fn branch(at: &Context<'_>) -> Branch {
    let c = at.shape.c;
    match at.op() {
        Op::BatchNorm { affine } => {
            Branch { affine: affine.then(|| [at.range(0).start, at.range(1).start]), running: at.running().start }
        }
        _ => {
            let k = at.call.mode.branch;
            let affine = Some([at.range(0).start + k * c, at.range(1).start + k * c]);
            Branch { affine, running: at.running().start + 2 * k * c }
        }
    }
}

/// Mean and biased variance a channel.
fn moments(x: &[f64], c: usize) -> (Vec<f64>, Vec<f64>) {
    let count = (x.len() / c) as f64;
    let mut mean = vec![0.0; c];
    for (i, v) in x.iter().enumerate() {
        mean[i % c] += v / count;
    }
    let mut var = vec![0.0; c];
    for (i, v) in x.iter().enumerate() {
        var[i % c] += (v - mean[i % c]).powi(2) / count;
    }
    (mean, var)
}

/// The moments that the call normalises with.
fn used(at: &Context<'_>, x: &[f64]) -> (Vec<f64>, Vec<f64>) {
    let c = at.shape.c;
    if at.batch() {
        return moments(x, c);
    }
    let from = branch(at).running;
    (at.call.state[from..from + c].to_vec(), at.call.state[from + c..from + 2 * c].to_vec())
}

pub fn forward(at: &Context<'_>, x: &[f64]) -> Vec<f64> {
    let c = at.shape.c;
    let (mean, var) = used(at, x);
    let Branch { affine, .. } = branch(at);
    let state = at.call.state;
    let of = |i: usize, v: f64| {
        let xhat = (v - mean[i]) / (var[i] + EPSILON).sqrt();
        affine.map_or(xhat, |[w, b]| xhat * state[w + i] + state[b + i])
    };
    x.iter().enumerate().map(|(i, v)| of(i % c, *v)).collect()
}

pub fn backward(at: &Context<'_>, x: &[f64], dy: &[f64], to: Gradients<'_>) {
    let c = at.shape.c;
    let count = (x.len() / c) as f64;
    let (mean, var) = used(at, x);
    let inverse: Vec<f64> = var.iter().map(|v| 1.0 / (v + EPSILON).sqrt()).collect();
    let xhat: Vec<f64> = x.iter().enumerate().map(|(i, v)| (v - mean[i % c]) * inverse[i % c]).collect();
    let (mut sum, mut product) = (vec![0.0; c], vec![0.0; c]);
    for (i, (d, h)) in dy.iter().zip(&xhat).enumerate() {
        sum[i % c] += d;
        product[i % c] += d * h;
    }
    let Branch { affine, .. } = branch(at);
    if let Some([w, b]) = affine {
        for i in 0..c {
            to.params[w + i] += product[i];
            to.params[b + i] += sum[i];
        }
    }
    let weight = |i: usize| affine.map_or(1.0, |[w, _]| at.call.state[w + i]);
    for (k, dx) in to.inputs[0].iter_mut().enumerate() {
        let i = k % c;
        let centred = if at.batch() { dy[k] - sum[i] / count - xhat[k] * product[i] / count } else { dy[k] };
        *dx = weight(i) * inverse[i] * centred;
    }
}

/// Moves running statistics towards the batch's: a tenth of the way, the variance unbiased; ConvNorm's by its schedule.
pub fn record(at: &Context<'_>, inputs: &[&[f64]], state: &mut [f64]) {
    match at.op() {
        Op::BatchNorm { .. } | Op::MultiBatchNorm { .. } => {
            let (c, from) = (at.shape.c, branch(at).running);
            let count = (inputs[0].len() / c) as f64;
            let (mean, var) = moments(inputs[0], c);
            for i in 0..c {
                let unbiased = var[i] * count / (count - 1.0).max(1.0);
                state[from + i] = 0.9 * state[from + i] + 0.1 * mean[i];
                state[from + c + i] = 0.9 * state[from + c + i] + 0.1 * unbiased;
            }
        }
        Op::ConvNorm { .. } => {
            let seen = spectral::inverse_amplitudes(at);
            let range = at.running();
            let (batches, amplitudes) = state[range].split_last_mut().unwrap();
            let passed = batches.min(40_000.0) / 40_000.0;
            let share = (0.5 * (1.0 + (std::f64::consts::PI * passed).cos())).max(0.01);
            for (r, v) in amplitudes.iter_mut().zip(seen) {
                *r = *r * (1.0 - share) + v * share;
            }
            *batches += 1.0;
        }
        _ => {}
    }
}
