//! AdamW on a network's weights, in place (Loshchilov and Hutter 2019).

use std::ops::Range;
use std::sync::Mutex;

use candle_core::{CpuStorage, InplaceOp2, Layout, Tensor};
use rayon::prelude::*;

use super::optim::{clipped, parts};
use super::vectors::{RUN, run, run_mut};
use crate::error::Result;
use crate::recipe::AdamW as Config;

/// AdamW, bias-corrected, as PyTorch's: `w -= lr decay w`, then `w -= lr m / (1 - b1^t) / (sqrt(v / (1 - b2^t)) +
/// epsilon)`.
pub struct AdamW {
    config: Config,
    clip: Option<f64>,
    /// The weights that decay, ascending; none: all do.
    decayed: Option<Vec<Range<usize>>>,
    first: Vec<f32>,
    second: Vec<f32>,
    steps: u64,
}

impl AdamW {
    /// A fresh optimiser for `n` weights of which some parts decay, or all.
    pub fn new(config: Config, clip: Option<f64>, decayed: Option<Vec<Range<usize>>>, n: usize) -> Self {
        AdamW { config, clip, decayed, first: vec![0.0; n], second: vec![0.0; n], steps: 0 }
    }

    /// Both moments, `[n]` each.
    pub fn moments(&self) -> (&[f32], &[f32]) {
        (&self.first, &self.second)
    }

    /// Steps taken.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// Takes up saved moments.
    pub fn restore(&mut self, first: Vec<f32>, second: Vec<f32>, steps: u64) {
        (self.first, self.second, self.steps) = (first, second, steps);
    }

    /// One step; returns the gradient's norm before clipping.
    ///
    /// # Errors
    /// [`crate::error::Error::NotFinite`] where the gradient is not a number; the weights are then untouched.
    pub fn step(&mut self, weights: &Tensor, grad: &Tensor, lr: f64) -> Result<f64> {
        let (norm, scale) = clipped(grad, self.clip)?;
        self.steps += 1;
        let Config { beta1, beta2, epsilon, weight_decay, .. } = self.config;
        let past = |beta: f64| 1.0 - beta.powf(self.steps as f64);
        let rule = Rule {
            scale,
            keep_first: beta1 as f32,
            take_first: (1.0 - beta1) as f32,
            keep_second: beta2 as f32,
            take_second: (1.0 - beta2) as f32,
            epsilon: epsilon as f32,
            keep: (1.0 - lr * weight_decay) as f32,
            lr: (lr / past(beta1)) as f32,
            root: past(beta2).sqrt() as f32,
        };
        let moments = Mutex::new((&mut self.first[..], &mut self.second[..]));
        weights.inplace_op2(grad, &Descend { rule, decayed: self.decayed.as_deref(), moments })?;
        Ok(norm)
    }
}

#[derive(Clone, Copy)]
struct Rule {
    scale: f32,
    keep_first: f32,
    /// Rounded once, as `1 - keep` in 32 bits would be off by some hundred-thousandths.
    take_first: f32,
    keep_second: f32,
    take_second: f32,
    epsilon: f32,
    /// What decay leaves of a weight.
    keep: f32,
    /// The learning rate, corrected for the first moment's bias.
    lr: f32,
    /// The correction of the second moment's root.
    root: f32,
}

impl Rule {
    fn apply(self, m: &mut [f32], v: &mut [f32], w: &mut [f32], g: &[f32]) {
        for (((m, v), w), g) in m.iter_mut().zip(v).zip(w).zip(g) {
            let g = self.scale * *g;
            *m = self.keep_first * *m + self.take_first * g;
            *v = self.keep_second * *v + self.take_second * g * g;
            *w = self.keep * *w - self.lr * *m / (v.sqrt() / self.root + self.epsilon);
        }
    }
}

struct Descend<'a> {
    rule: Rule,
    decayed: Option<&'a [Range<usize>]>,
    moments: Mutex<(&'a mut [f32], &'a mut [f32])>,
}

impl InplaceOp2 for Descend<'_> {
    fn name(&self) -> &'static str {
        "adamw-descend"
    }

    fn cpu_fwd(&self, w: &mut CpuStorage, lw: &Layout, g: &CpuStorage, lg: &Layout) -> candle_core::Result<()> {
        let (w, g) = (run_mut(w, lw)?, run(g, lg)?);
        let Ok(mut moments) = self.moments.lock() else { candle_core::bail!("a thread failed within a step") };
        let (m, v) = &mut *moments;
        if m.len() != w.len() || v.len() != w.len() || w.len() != g.len() {
            candle_core::bail!("{} weights, {} and {} moments, a gradient of {}", w.len(), m.len(), v.len(), g.len());
        }
        let tasks = m.par_chunks_mut(RUN).zip(v.par_chunks_mut(RUN)).zip(w.par_chunks_mut(RUN)).zip(g.par_chunks(RUN));
        tasks.enumerate().for_each(|(i, (((m, v), w), g))| {
            for (part, decays) in parts(self.decayed, i * RUN, w.len()) {
                let rule = if decays { self.rule } else { Rule { keep: 1.0, ..self.rule } };
                let own = part.clone();
                rule.apply(&mut m[own.clone()], &mut v[own.clone()], &mut w[own], &g[part]);
            }
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::Decayed;
    use candle_core::Device;

    /// The definition in double precision, two steps, with a weight that decays and one that does not.
    #[test]
    fn two_steps_by_the_definition() {
        let config = Config { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 0.5, decayed: Decayed::Kernels };
        let mut adamw = AdamW::new(config, Some(1.0), Some(vec![Range { start: 0, end: 1 }]), 2);
        let w = Tensor::new(&[1f32, -2.0], &Device::Cpu).unwrap();
        let (mut want, mut m, mut v) = ([1.0f64, -2.0], [0.0f64; 2], [0.0f64; 2]);
        for (t, g) in [(1, [0.3f64, 0.4]), (2, [-3.0, 4.0])] {
            adamw.step(&w, &Tensor::new(&g.map(|g| g as f32), &Device::Cpu).unwrap(), 0.1).unwrap();
            let norm = (g[0] * g[0] + g[1] * g[1]).sqrt();
            let g = g.map(|g| g * (1.0 / (norm + 1e-6)).min(1.0));
            for i in 0..2 {
                want[i] *= 1.0 - 0.1 * if i == 0 { 0.5 } else { 0.0 };
                m[i] = 0.9 * m[i] + 0.1 * g[i];
                v[i] = 0.999 * v[i] + 0.001 * g[i] * g[i];
                let (first, second) = (m[i] / (1.0 - 0.9f64.powi(t)), v[i] / (1.0 - 0.999f64.powi(t)));
                want[i] -= 0.1 * first / (second.sqrt() + 1e-8);
            }
        }
        let found: Vec<f32> = w.to_vec1().unwrap();
        assert!(found.iter().zip(want).all(|(a, b)| (f64::from(*a) - b).abs() < 1e-6), "{found:?} against {want:?}");
    }
}
