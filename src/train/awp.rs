//! Adversarial weight perturbation (Wu et al. 2020): the step's gradient is taken at the worst weights near by.

use std::ops::Range;

use candle_core::Tensor;

use crate::engine::euclidean_norm;
use crate::error::Result;

/// Keeps the denominator from zero, as in the published code.
const TINY: f64 = 1e-20;

/// The perturbation `[trainable]`: in each of the `kernels` the gradient's direction, `gamma` times as long as the
/// kernel (equation 7); zero elsewhere.
///
/// # Errors
/// [`crate::error::Error::Tensor`] for a gradient of another length than the weights.
pub fn perturbation(weights: &Tensor, gradient: &Tensor, kernels: &[Range<usize>], gamma: f64) -> Result<Tensor> {
    let (mut parts, mut at) = (Vec::with_capacity(2 * kernels.len() + 1), 0);
    let zeros = |n: usize| Tensor::zeros(n, weights.dtype(), weights.device());
    for Range { start, end } in kernels.iter().cloned() {
        parts.push(zeros(start - at)?);
        let (w, g) = (weights.narrow(0, start, end - start)?, gradient.narrow(0, start, end - start)?);
        let scale = gamma * euclidean_norm(&w)? / (euclidean_norm(&g)? + TINY);
        parts.push((g * scale)?);
        at = end;
    }
    parts.push(zeros(weights.elem_count() - at)?);
    parts.retain(|part| part.elem_count() > 0);
    Ok(Tensor::cat(&parts, 0)?)
}

#[cfg(test)]
mod tests {
    use super::super::kernels::kernels;
    use super::*;
    use crate::arch::op::Shape;
    use crate::engine::{Network, NormMode};
    use crate::error::Error;
    use crate::model;
    use crate::seed::Seed;
    use candle_core::{DType, Device};

    fn tensor(values: &[f64]) -> Tensor {
        Tensor::new(values, &Device::Cpu).unwrap()
    }

    /// Weights (3, 4) whose gradient is (1, 0): a hundredth of their length, along the first.
    #[test]
    fn known_answer() {
        let (weights, gradient) = (tensor(&[9.0, 3.0, 4.0, 9.0]), tensor(&[5.0, 1.0, 0.0, 5.0]));
        let found: Vec<f64> =
            perturbation(&weights, &gradient, &[Range { start: 1, end: 3 }], 0.01).unwrap().to_vec1().unwrap();
        assert!(found.iter().zip([0.0, 0.05, 0.0, 0.0]).all(|(a, b)| (a - b).abs() < 1e-15), "{found:?}");
    }

    #[test]
    fn a_kernel_without_a_gradient_stays() {
        let found =
            perturbation(&tensor(&[3.0, 4.0]), &tensor(&[0.0, 0.0]), &[Range { start: 0, end: 2 }], 0.01).unwrap();
        assert_eq!(found.to_vec1::<f64>().unwrap(), [0.0, 0.0]);
    }

    /// Bit by bit, also behind an error; the running statistics keep what was recorded meanwhile.
    #[test]
    fn weights_are_put_back() {
        let shape = Shape::new(8, 8, 3);
        let net = model::named("wrn:channels=4-4-8-8,depths=1-1-1", shape, 3).unwrap();
        let mut network = Network::new(net, Seed::root(1), &Device::Cpu).unwrap();
        let bits = |network: &Network| -> Vec<u32> {
            network.weights().unwrap().to_vec1::<f32>().unwrap().iter().map(|w| w.to_bits()).collect()
        };
        let before = bits(&network);
        let gradient = network.weights().unwrap().copy().unwrap();
        let by = perturbation(&network.weights().unwrap(), &gradient, &kernels(&network), 0.1).unwrap();
        let images = Tensor::rand(0f32, 1.0, (2, 8, 8, 3), &Device::Cpu).unwrap();
        let running: Vec<f32> = network.state().to_vec1().unwrap()[before.len()..].to_vec();
        let moved = (&network.weights().unwrap() + &by).unwrap();
        let meanwhile = network.with_weights(&moved, |network| {
            network.logits(&images, &[], NormMode::Train)?;
            Ok(bits(network))
        });
        assert!(meanwhile.unwrap() != before);
        assert_eq!(bits(&network), before);
        assert!(network.state().to_vec1::<f32>().unwrap()[before.len()..] != running);
        let failed: Result<()> = network.with_weights(&moved, |_| Err(Error::NotFinite("on purpose".into())));
        assert!(matches!(failed, Err(Error::NotFinite(_))));
        assert_eq!(bits(&network), before);
    }

    /// Only kernels are moved: each by the same share of its length.
    #[test]
    fn every_kernel_is_moved_by_its_share() {
        let net = model::named("vit:tiny-4", Shape::new(8, 8, 3), 3).unwrap();
        let network = Network::new(net, Seed::root(1), &Device::Cpu).unwrap();
        let weights = network.weights().unwrap();
        let gradient = Tensor::ones(weights.elem_count(), DType::F32, &Device::Cpu).unwrap();
        let kernels = kernels(&network);
        let by = perturbation(&weights, &gradient, &kernels, 0.01).unwrap();
        let length = |t: &Tensor, r: &Range<usize>| euclidean_norm(&t.narrow(0, r.start, r.len()).unwrap()).unwrap();
        assert!(kernels.len() > 10, "{}", kernels.len());
        for kernel in &kernels {
            let share = length(&by, kernel) / length(&weights, kernel);
            assert!((share - 0.01).abs() < 1e-6, "{kernel:?}: {share}");
        }
        let moved = by.to_vec1::<f32>().unwrap().iter().filter(|v| **v != 0.0).count();
        assert_eq!(moved, kernels.iter().map(Range::len).sum::<usize>());
    }
}
