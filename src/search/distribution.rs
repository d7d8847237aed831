//! Architecture parameters and their softmax, the distributions of the edges.

use serde::{Deserialize, Serialize};

use crate::arch::families::cells::MixLayout;
use crate::seed::Seed;

/// One real number per candidate operation, in the order of the mixing vector; a softmax per edge gives the mixture.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Alpha(pub Vec<f64>);

impl Alpha {
    /// Normal with a small standard deviation, as in DARTS.
    pub fn init(layout: &MixLayout, deviation: f64, seed: Seed) -> Self {
        let mut stream = seed.stream();
        Alpha((0..layout.len()).map(|_| deviation * f64::from(stream.normal())).collect())
    }

    /// The mixing vector: a softmax over every edge's operations.
    pub fn mix(&self, layout: &MixLayout) -> Vec<f64> {
        let mut mix = vec![0.0; layout.len()];
        for (_, edge) in layout.edges() {
            let range = edge.offset..edge.offset + edge.ops.len();
            let alpha = &self.0[range.clone()];
            let top = alpha.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let sum: f64 = alpha.iter().map(|a| (a - top).exp()).sum();
            for (m, a) in mix[range].iter_mut().zip(alpha) {
                *m = (a - top).exp() / sum;
            }
        }
        mix
    }

    /// From the gradient of the mixing vector to the gradient of the parameters, through the softmax.
    pub fn gradient(layout: &MixLayout, mix: &[f64], dmix: &[f64]) -> Vec<f64> {
        let mut grad = vec![0.0; mix.len()];
        for (_, edge) in layout.edges() {
            let range = edge.offset..edge.offset + edge.ops.len();
            let inner: f64 = range.clone().map(|i| mix[i] * dmix[i]).sum();
            for i in range {
                grad[i] = mix[i] * (dmix[i] - inner);
            }
        }
        grad
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arch::cell::CellOp;
    use crate::arch::families::cells::{MixEdge, MixKind};

    #[test]
    fn softmax_and_its_gradient() {
        let edge = |from, offset| MixEdge { from, to: 2, ops: vec![CellOp::SkipConnect, CellOp::SepConv(3)], offset };
        let kind = MixKind { kind: "a".into(), nodes: 1, edges: vec![edge(0, 0), edge(1, 2)], concat: vec![2] };
        let layout = MixLayout { kinds: vec![kind], partial: 1 };
        let value = |a: &[f64]| {
            let mix = Alpha(a.to_vec()).mix(&layout);
            mix.iter().enumerate().map(|(i, m)| m * m * (i + 1) as f64).sum::<f64>()
        };
        let a = [0.3, -0.2, 1.0, 2.0];
        let mix = Alpha(a.to_vec()).mix(&layout);
        assert!((mix[0] + mix[1] - 1.0).abs() < 1e-15);
        let dmix: Vec<f64> = mix.iter().enumerate().map(|(i, m)| 2.0 * m * (i + 1) as f64).collect();
        for (i, g) in Alpha::gradient(&layout, &mix, &dmix).iter().enumerate() {
            let (mut up, mut down) = (a, a);
            up[i] += 1e-6;
            down[i] -= 1e-6;
            assert!((g - (value(&up) - value(&down)) / 2e-6).abs() < 1e-8);
        }
    }
}
