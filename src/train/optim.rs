//! Optimisers: momentum SGD on a network's weights, in place; Adam on the few architecture parameters.

use std::ops::Range;
use std::sync::Mutex;

use candle_core::{CpuStorage, InplaceOp1, InplaceOp2, Layout, Tensor};
use rayon::prelude::*;

use super::vectors::{RUN, run, run_mut};
use crate::engine::euclidean_norm;
use crate::error::{Error, Result};
use crate::recipe::{Adam as AdamConfig, Momentum, Sgd as SgdConfig};

/// Momentum SGD with L2 decay and gradient clipping; dampening 0, as PyTorch's:
/// `v = momentum v + (g + decay w)`, `w -= lr v`, with Nesterov `w -= lr (g + decay w + momentum v)`.
pub struct Sgd {
    config: Momentum,
    clip: Option<f64>,
    /// The weights that decay, ascending; none: all do.
    decayed: Option<Vec<Range<usize>>>,
    momentum: Tensor,
}

impl Sgd {
    /// A fresh optimiser for a weight vector `[n]`, all of which decays.
    ///
    /// # Errors
    /// As [`Sgd::with`].
    pub fn new(config: SgdConfig, weights: &Tensor) -> Result<Self> {
        let SgdConfig { momentum, weight_decay, clip, .. } = config;
        let config = Momentum { momentum, nesterov: false, weight_decay, decayed: Default::default() };
        Sgd::with(config, Some(clip), None, weights)
    }

    /// A fresh optimiser for a weight vector `[n]` of which some parts decay, or all.
    ///
    /// # Errors
    /// [`Error::Tensor`] where the device has no memory for the momentum.
    pub fn with(
        config: Momentum,
        clip: Option<f64>,
        decayed: Option<Vec<Range<usize>>>,
        weights: &Tensor,
    ) -> Result<Self> {
        Ok(Sgd { config, clip, decayed, momentum: weights.zeros_like()? })
    }

    /// The momentum buffer, `[n]`.
    pub fn momentum(&self) -> &Tensor {
        &self.momentum
    }

    /// Replaces the momentum buffer.
    pub fn set_momentum(&mut self, momentum: Tensor) {
        self.momentum = momentum;
    }

    /// One step; returns the gradient's norm before clipping.
    ///
    /// # Errors
    /// [`Error::NotFinite`] where the gradient is not a number; the weights are then untouched.
    pub fn step(&mut self, weights: &Tensor, grad: &Tensor, lr: f64) -> Result<f64> {
        let (norm, scale) = clipped(grad, self.clip)?;
        let Momentum { momentum, nesterov, weight_decay, .. } = self.config;
        let decay = weight_decay as f32;
        let rule = Rule { scale, decay, momentum: momentum as f32, nesterov, lr: lr as f32 };
        self.momentum.inplace_op1(&Push { rule, decayed: self.decayed.as_deref(), weights, grad })?;
        Ok(norm)
    }
}

/// The norm of a gradient, and the factor that clips it.
///
/// # Errors
/// [`Error::NotFinite`] where it is not a number.
pub(super) fn clipped(grad: &Tensor, clip: Option<f64>) -> Result<(f64, f32)> {
    let norm = euclidean_norm(grad)?;
    if !norm.is_finite() {
        return Err(Error::NotFinite(format!("the gradient's norm is {norm}")));
    }
    // PyTorch's clip_grad_norm_ adds 1e-6 to the norm.
    let scale = clip.map_or(1.0, |clip| (clip / (norm + 1e-6)).min(1.0));
    Ok((norm, scale as f32))
}

/// `v = momentum v + (scale g + decay w)`, then `w -= lr v`.
#[derive(Clone, Copy)]
struct Rule {
    scale: f32,
    decay: f32,
    momentum: f32,
    nesterov: bool,
    lr: f32,
}

impl Rule {
    fn apply(self, v: &mut [f32], w: &mut [f32], g: &[f32]) {
        let plain = v.iter_mut().zip(w).zip(g);
        if self.nesterov {
            for ((v, w), g) in plain {
                let d = self.scale * *g + self.decay * *w;
                *v = self.momentum * *v + d;
                *w -= self.lr * (d + self.momentum * *v);
            }
        } else {
            for ((v, w), g) in plain {
                *v = self.momentum * *v + (self.scale * *g + self.decay * *w);
                *w -= self.lr * *v;
            }
        }
    }
}

/// The parts of `at..at + len` in order, each with whether it decays.
pub(super) fn parts(decayed: Option<&[Range<usize>]>, at: usize, len: usize) -> Vec<(Range<usize>, bool)> {
    let Some(decayed) = decayed else { return vec![(0..len, true)] };
    let (mut parts, mut done, end) = (Vec::new(), at, at + len);
    let first = decayed.partition_point(|range| range.end <= at);
    for range in decayed[first..].iter().take_while(|range| range.start < end) {
        let (from, to) = (range.start.max(at), range.end.min(end));
        parts.push((done - at..from - at, false));
        parts.push((from - at..to - at, true));
        done = to;
    }
    parts.push((done - at..len, false));
    parts.retain(|(range, _)| !range.is_empty());
    parts
}

/// A step, in place on the momentum. An in-place operation has one vector to write and a step writes two, in one pass
/// over both: it is an operation on the weights within one on the momentum.
struct Push<'a> {
    rule: Rule,
    decayed: Option<&'a [Range<usize>]>,
    weights: &'a Tensor,
    grad: &'a Tensor,
}

impl InplaceOp1 for Push<'_> {
    fn name(&self) -> &'static str {
        "sgd-momentum"
    }

    fn cpu_fwd(&self, v: &mut CpuStorage, layout: &Layout) -> candle_core::Result<()> {
        let momentum = Mutex::new(run_mut(v, layout)?);
        self.weights.inplace_op2(self.grad, &Descend { rule: self.rule, decayed: self.decayed, momentum })
    }
}

/// The part of a step that knows all three vectors, in place on the weights.
struct Descend<'a> {
    rule: Rule,
    decayed: Option<&'a [Range<usize>]>,
    momentum: Mutex<&'a mut [f32]>,
}

impl InplaceOp2 for Descend<'_> {
    fn name(&self) -> &'static str {
        "sgd-descend"
    }

    fn cpu_fwd(&self, w: &mut CpuStorage, lw: &Layout, g: &CpuStorage, lg: &Layout) -> candle_core::Result<()> {
        let (w, g) = (run_mut(w, lw)?, run(g, lg)?);
        let Ok(mut v) = self.momentum.lock() else { candle_core::bail!("a thread failed within a step") };
        if v.len() != w.len() || w.len() != g.len() {
            candle_core::bail!("{} weights, {} of momentum, a gradient of {}", w.len(), v.len(), g.len());
        }
        let tasks = v.par_chunks_mut(RUN).zip(w.par_chunks_mut(RUN)).zip(g.par_chunks(RUN)).enumerate();
        tasks.for_each(|(i, ((v, w), g))| {
            for (part, decays) in parts(self.decayed, i * RUN, w.len()) {
                let rule = if decays { self.rule } else { Rule { decay: 0.0, ..self.rule } };
                rule.apply(&mut v[part.clone()], &mut w[part.clone()], &g[part]);
            }
        });
        Ok(())
    }
}

/// Adam with L2 decay added to the gradient, bias-corrected, epsilon 1e-8, as PyTorch's default.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Adam {
    config: AdamConfig,
    first: Vec<f64>,
    second: Vec<f64>,
    steps: i32,
}

impl Adam {
    /// A fresh optimiser for `n` parameters.
    pub fn new(config: AdamConfig, n: usize) -> Self {
        Adam { config, first: vec![0.0; n], second: vec![0.0; n], steps: 0 }
    }

    /// Parameters that it is for.
    pub fn len(&self) -> usize {
        self.first.len().min(self.second.len())
    }

    /// Whether it is for none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How far a number of steps in random directions bring a parameter, root mean square: each is about the learning
    /// rate long.
    pub fn random_walk(&self) -> f64 {
        self.config.lr * f64::from(self.steps).sqrt()
    }

    /// One step along `-grad`; `params` and `grad` are as many as it is for.
    pub fn step(&mut self, params: &mut [f64], grad: &[f64]) {
        self.steps += 1;
        let AdamConfig { lr, beta1, beta2, weight_decay } = self.config;
        let (c1, c2) = (1.0 - beta1.powi(self.steps), 1.0 - beta2.powi(self.steps));
        for (i, p) in params.iter_mut().enumerate() {
            let g = grad[i] + weight_decay * *p;
            self.first[i] = beta1 * self.first[i] + (1.0 - beta1) * g;
            self.second[i] = beta2 * self.second[i] + (1.0 - beta2) * g * g;
            *p -= lr * (self.first[i] / c1) / ((self.second[i] / c2).sqrt() + 1e-8);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::Decayed;
    use candle_core::Device;

    /// torch 2.15: SGD(lr .1, momentum .9, weight_decay .01) on w = [1, -2], gradients [.5, .5] then [-1, 0], each
    /// clipped to norm 0.5 by clip_grad_norm_.
    #[test]
    fn sgd_matches_pytorch() {
        let config = SgdConfig { lr: 0.1, lr_min: 0.0, momentum: 0.9, weight_decay: 0.01, clip: 0.5 };
        let w = Tensor::new(&[1f32, -2.0], &Device::Cpu).unwrap();
        let mut sgd = Sgd::new(config, &w).unwrap();
        for g in [[0.5f32, 0.5], [-1.0, 0.0]] {
            sgd.step(&w, &Tensor::new(&g, &Device::Cpu).unwrap(), 0.1).unwrap();
        }
        let got: Vec<f32> = w.to_vec1().unwrap();
        for (a, b) in got.iter().zip(SGD_TORCH) {
            assert!((a - b).abs() < 2e-6, "{got:?}");
        }
    }
    const SGD_TORCH: [f32; 2] = [0.979_961_2, -2.061_341_5];

    /// torch 2.15: Adam(lr .1, betas (.5, .999), weight_decay .01) on [1, -2], gradients [.5, .5] then [-1, 0].
    #[test]
    fn adam_matches_pytorch() {
        let config = AdamConfig { lr: 0.1, beta1: 0.5, beta2: 0.999, weight_decay: 0.01 };
        let mut adam = Adam::new(config, 2);
        let mut p = [1.0, -2.0];
        adam.step(&mut p, &[0.5, 0.5]);
        adam.step(&mut p, &[-1.0, 0.0]);
        for (a, b) in p.iter().zip(ADAM_TORCH) {
            assert!((a - b).abs() < 1e-9, "{p:?}");
        }
    }
    const ADAM_TORCH: [f64; 2] = [0.962_250_951_306, -2.142_985_262_795];

    /// Over several tasks' worth of weights: every one is moved, and the norm is the whole vector's.
    #[test]
    fn long_vectors_are_stepped_whole() {
        let config = SgdConfig { lr: 0.5, lr_min: 0.0, momentum: 0.0, weight_decay: 0.0, clip: 1e9 };
        let n = 2 * RUN + 5;
        let w = Tensor::zeros(n, candle_core::DType::F32, &Device::Cpu).unwrap();
        let g = Tensor::arange(0f32, n as f32, &Device::Cpu).unwrap();
        let found = Sgd::new(config, &w).unwrap().step(&w, &g, 0.5).unwrap();
        let squares = (n as f64 - 1.0) * n as f64 * (2.0 * n as f64 - 1.0) / 6.0;
        assert!((found / squares.sqrt() - 1.0).abs() < 1e-12, "{found}");
        assert!(w.to_vec1::<f32>().unwrap().iter().enumerate().all(|(i, w)| *w == -0.5 * i as f32));
    }

    /// By hand: after one step from rest, Nesterov's is `lr (1 + momentum)` of the decayed gradient.
    #[test]
    fn nesterov_looks_ahead() {
        let config = Momentum { momentum: 0.9, nesterov: true, weight_decay: 0.1, decayed: Decayed::All };
        let w = Tensor::new(&[1f32], &Device::Cpu).unwrap();
        let mut sgd = Sgd::with(config, None, None, &w).unwrap();
        let mut step = |w: &Tensor| {
            sgd.step(w, &Tensor::new(&[0.5f32], &Device::Cpu).unwrap(), 0.1).unwrap();
            f64::from(w.to_vec1::<f32>().unwrap()[0])
        };
        // d = 0.6, v = 0.6; then d = 0.5886, v = 1.1286.
        assert!((step(&w) - (1.0 - 0.1 * 1.9 * 0.6)).abs() < 1e-6);
        assert!((step(&w) - (0.886 - 0.1 * (0.5886 + 0.9 * 1.1286))).abs() < 1e-6);
    }

    /// What decays is decided weight by weight, wherever the vector is cut into tasks.
    #[test]
    fn only_some_weights_decay() {
        let config = Momentum { momentum: 0.0, nesterov: false, weight_decay: 1.0, decayed: Decayed::Kernels };
        let n = 2 * RUN + 5;
        let decayed = vec![1..3, 7..RUN + 4, 2 * RUN - 1..2 * RUN];
        let w = Tensor::ones(n, candle_core::DType::F32, &Device::Cpu).unwrap();
        let zero = w.zeros_like().unwrap();
        Sgd::with(config, None, Some(decayed.clone()), &w).unwrap().step(&w, &zero, 0.5).unwrap();
        for (i, w) in w.to_vec1::<f32>().unwrap().iter().enumerate() {
            let decays = decayed.iter().any(|range| range.contains(&i));
            assert_eq!(*w, if decays { 0.5 } else { 1.0 }, "{i}");
        }
    }

    #[test]
    fn a_gradient_that_is_no_number_is_refused() {
        let config = SgdConfig { lr: 0.1, lr_min: 0.0, momentum: 0.9, weight_decay: 0.0, clip: 5.0 };
        let w = Tensor::new(&[1f32], &Device::Cpu).unwrap();
        let g = Tensor::new(&[f32::NAN], &Device::Cpu).unwrap();
        assert!(matches!(Sgd::new(config, &w).unwrap().step(&w, &g, 0.1), Err(Error::NotFinite(_))));
        assert_eq!(w.to_vec1::<f32>().unwrap(), [1.0]);
    }
}
