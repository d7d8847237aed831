//! Optimisers: momentum SGD on a network's weights, in place; Adam on the few architecture parameters.

use std::sync::Mutex;

use candle_core::{CpuStorage, InplaceOp1, InplaceOp2, Layout, Tensor};
use rayon::prelude::*;

use crate::engine::euclidean_norm;
use crate::error::{Error, Result};
use crate::recipe::{Adam as AdamConfig, Sgd as SgdConfig};

/// Scalars of a vector that one task takes: few enough for the first-level cache, so many that a task is worth it.
const RUN: usize = 1 << 13;

/// Momentum SGD with L2 decay and gradient clipping; dampening 0, no Nesterov, as PyTorch's default:
/// `v = momentum v + (g + decay w)`, `w -= lr v`.
pub struct Sgd {
    config: SgdConfig,
    momentum: Tensor,
}

impl Sgd {
    /// A fresh optimiser for a weight vector `[n]`.
    pub fn new(config: SgdConfig, weights: &Tensor) -> Result<Self> {
        Ok(Sgd { config, momentum: weights.zeros_like()? })
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
        let norm = euclidean_norm(grad)?;
        if !norm.is_finite() {
            return Err(Error::NotFinite(format!("the gradient's norm is {norm}")));
        }
        // PyTorch's clip_grad_norm_ adds 1e-6 to the norm.
        let scale = (self.config.clip / (norm + 1e-6)).min(1.0);
        let rule = Rule {
            scale: scale as f32,
            decay: self.config.weight_decay as f32,
            momentum: self.config.momentum as f32,
            lr: lr as f32,
        };
        self.momentum.inplace_op1(&Push { rule, weights, grad })?;
        Ok(norm)
    }
}

/// `into += other`, in place.
pub fn add(into: &Tensor, other: &Tensor) -> Result<()> {
    Ok(into.inplace_op2(other, &Add)?)
}

struct Add;

impl InplaceOp2 for Add {
    fn name(&self) -> &'static str {
        "add-in-place"
    }

    fn cpu_fwd(&self, a: &mut CpuStorage, la: &Layout, b: &CpuStorage, lb: &Layout) -> candle_core::Result<()> {
        let ((from, to), (other_from, other_to)) = (bounds(la)?, bounds(lb)?);
        if to - from != other_to - other_from {
            candle_core::bail!("{} numbers are not added to {}", other_to - other_from, to - from);
        }
        match (a, b) {
            (CpuStorage::F32(a), CpuStorage::F32(b)) => add_runs(&mut a[from..to], &b[other_from..other_to]),
            (CpuStorage::F64(a), CpuStorage::F64(b)) => add_runs(&mut a[from..to], &b[other_from..other_to]),
            _ => candle_core::bail!("vectors of one precision are added up"),
        }
        Ok(())
    }
}

fn add_runs<T: Copy + Send + Sync + std::ops::AddAssign>(into: &mut [T], other: &[T]) {
    into.par_chunks_mut(RUN).zip(other.par_chunks(RUN)).for_each(|(into, other)| {
        for (a, b) in into.iter_mut().zip(other) {
            *a += *b;
        }
    });
}

fn run<'a>(storage: &'a CpuStorage, layout: &Layout) -> candle_core::Result<&'a [f32]> {
    let (from, to) = bounds(layout)?;
    Ok(&storage.as_slice::<f32>()?[from..to])
}

fn run_mut<'a>(storage: &'a mut CpuStorage, layout: &Layout) -> candle_core::Result<&'a mut [f32]> {
    let (from, to) = bounds(layout)?;
    match storage {
        CpuStorage::F32(all) => Ok(&mut all[from..to]),
        _ => candle_core::bail!("optimisers work on f32"),
    }
}

fn bounds(layout: &Layout) -> candle_core::Result<(usize, usize)> {
    match layout.contiguous_offsets() {
        Some(bounds) => Ok(bounds),
        None => candle_core::bail!("optimisers work on contiguous vectors"),
    }
}

/// `v = momentum v + (scale g + decay w)`, then `w -= lr v`.
#[derive(Clone, Copy)]
struct Rule {
    scale: f32,
    decay: f32,
    momentum: f32,
    lr: f32,
}

impl Rule {
    fn apply(self, v: &mut [f32], w: &mut [f32], g: &[f32]) {
        for ((v, w), g) in v.iter_mut().zip(w).zip(g) {
            *v = self.momentum * *v + (self.scale * *g + self.decay * *w);
            *w -= self.lr * *v;
        }
    }
}

/// A step, in place on the momentum. An in-place operation has one vector to write and a step writes two, in one pass over
/// both: it is an operation on the weights within one on the momentum.
struct Push<'a> {
    rule: Rule,
    weights: &'a Tensor,
    grad: &'a Tensor,
}

impl InplaceOp1 for Push<'_> {
    fn name(&self) -> &'static str {
        "sgd-momentum"
    }

    fn cpu_fwd(&self, v: &mut CpuStorage, layout: &Layout) -> candle_core::Result<()> {
        let momentum = Mutex::new(run_mut(v, layout)?);
        self.weights.inplace_op2(self.grad, &Descend { rule: self.rule, momentum })
    }
}

/// The part of a step that knows all three vectors, in place on the weights.
struct Descend<'a> {
    rule: Rule,
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
        let parts = v.par_chunks_mut(RUN).zip(w.par_chunks_mut(RUN)).zip(g.par_chunks(RUN));
        parts.for_each(|((v, w), g)| self.rule.apply(v, w, g));
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

    /// How far a number of steps in random directions bring a parameter, root mean square: each is about the learning rate long.
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
        add(&w, &g).unwrap();
        assert!(w.to_vec1::<f32>().unwrap().iter().enumerate().all(|(i, w)| *w == 0.5 * i as f32));
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
