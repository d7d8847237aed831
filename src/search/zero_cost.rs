//! Zero-cost proxies: what one backward pass through a fresh network says of it, without training.
//!
//! Source: Abdelfattah et al. 2021 (arXiv 2101.08134) and its released code: `grad_norm` and `snip` of the loss on a batch,
//! `synflow` of the sum of logits for an image of ones. Ours: the first two also for images that an attack has moved. They are
//! reported beside the number of parameters and never decide anything: on adversarially trained networks of one size none was
//! found to say more than that number does (docs/search.md).

use std::ops::Range;

use candle_core::{DType, Device, Tensor};
use serde::{Deserialize, Serialize};

use crate::arch::net::Net;
use crate::arch::op::{Op, Shape};
use crate::attack::{Target, run};
use crate::data::loader::Batch;
use crate::engine::{Fusion, Logits, LossGradient, Network, NormMode, ParamLayout, Wrt};
use crate::error::{Error, Result};
use crate::loss::cross_entropy;
use crate::seed::Seed;
use crate::threat::Attack;

/// The proxies of a fresh network. Each is a sum over the weights of its convolutions and linear layers.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ZeroCost {
    /// `grad_norm`: the Euclidean norm of each layer's gradient of the loss, summed over layers.
    pub grad_norm: f64,
    /// The same under attack.
    pub robust_grad_norm: f64,
    /// `snip`: the absolute value of weight times gradient of the loss.
    pub snip: f64,
    /// The same under attack.
    pub robust_snip: f64,
    /// `synflow`: the absolute value of weight times gradient of the sum of logits, all weights positive.
    pub synflow: f64,
}

/// One of the proxies.
pub type Number = fn(&ZeroCost) -> f64;

impl ZeroCost {
    /// Each with its name.
    pub const NUMBERS: [(&'static str, Number); 5] = [
        ("grad_norm, untrained", |z| z.grad_norm),
        ("grad_norm under attack, untrained", |z| z.robust_grad_norm),
        ("snip, untrained", |z| z.snip),
        ("snip under attack, untrained", |z| z.robust_snip),
        ("synflow, untrained", |z| z.synflow),
    ];

    /// Of a network with fresh weights, on a batch with its own statistics.
    ///
    /// `synflow` is computed in double precision, on one image of ones, with the fresh running statistics, which divide by
    /// `sqrt(1 + eps)` where the released code leaves batch-norms out.
    ///
    /// # Errors
    /// [`Error::NotFinite`] for a gradient that is none; those of the attack.
    ///
    /// # Cost
    /// Two backward passes of the batch and the attack.
    pub fn of(net: &Net, batch: &Batch, attack: &Attack, seed: Seed) -> Result<Self> {
        let layers = layers(net);
        let mut network = Network::new(net.clone(), seed, &Device::Cpu)?;
        let target = &mut Target { network: &mut network, mix: &[], mode: NormMode::TrainNoRecord };
        let attacked = run(target, batch.samples(batch.seed.child("attack")), attack)?;
        let mut on = |images: &Tensor| {
            let loss = |logits: &Logits| cross_entropy(logits, &batch.labels);
            let found = network.gradients(images, &[], NormMode::TrainNoRecord, Wrt::PARAMS, &loss)?;
            let (weights, gradient) = (doubles(&network.weights()?)?, doubles(found.weights()?)?);
            let norms = layers.iter().map(|layer| gradient[layer.clone()].iter().map(|g| g * g).sum::<f64>().sqrt());
            Ok::<_, Error>((norms.sum(), flow(&layers, &weights, &gradient)))
        };
        let ((grad_norm, snip), (robust_grad_norm, robust_snip)) = (on(&batch.images)?, on(&attacked)?);
        let found = ZeroCost { grad_norm, robust_grad_norm, snip, robust_snip, synflow: synflow(net, &layers, seed)? };
        match ZeroCost::NUMBERS.into_iter().find(|(_, number)| !number(&found).is_finite()) {
            Some((name, number)) => Err(Error::NotFinite(format!("{name}: {}", number(&found)))),
            None => Ok(found),
        }
    }
}

/// Where the weights of convolutions and linear layers are, without their biases.
fn layers(net: &Net) -> Vec<Range<usize>> {
    let layout = ParamLayout::new(net);
    net.nodes()
        .filter(|(_, node)| matches!(node.op, Op::Conv2d { .. } | Op::ConvNorm { .. } | Op::Linear { .. }))
        .filter_map(|(id, _)| layout.of(id).first().cloned())
        .collect()
}

fn synflow(net: &Net, layers: &[Range<usize>], seed: Seed) -> Result<f64> {
    let mut network = Network::with(net.clone(), seed, &Device::Cpu, DType::F64, Fusion::ALL)?;
    let positive = network.weights()?.abs()?;
    network.set_weights(&positive)?;
    let Shape { h, w, c } = net.input_shape();
    let ones = Tensor::ones((1, h, w, c), DType::F64, &Device::Cpu)?;
    let sum =
        |logits: &Logits| LossGradient { value: logits.values.iter().sum(), dlogits: vec![1.0; logits.values.len()] };
    let found = network.gradients(&ones, &[], NormMode::Eval, Wrt::PARAMS, &sum)?;
    Ok(flow(layers, &doubles(&positive)?, &doubles(found.weights()?)?))
}

/// The sum of `|weight * gradient|` over some layers.
fn flow(layers: &[Range<usize>], weights: &[f64], gradient: &[f64]) -> f64 {
    layers.iter().flat_map(Clone::clone).map(|i| (weights[i] * gradient[i]).abs()).sum()
}

fn doubles(tensor: &Tensor) -> Result<Vec<f64>> {
    Ok(tensor.to_dtype(DType::F64)?.to_vec1()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::named;
    use crate::units::Fraction;

    fn batch(net: &Net, n: usize) -> Batch {
        let Shape { h, w, c } = net.input_shape();
        let mut stream = Seed::root(3).stream();
        let pixels: Vec<f32> = (0..n * h * w * c).map(|_| stream.uniform()).collect();
        Batch {
            images: Tensor::from_vec(pixels, (n, h, w, c), &Device::Cpu).unwrap(),
            labels: (0..n as u32).map(|i| i % 10).collect(),
            ids: (0..n as u32).collect(),
            seed: Seed::root(4),
        }
    }

    fn fgsm() -> Attack {
        Attack::Fgsm { eps: Fraction::of_255(8) }
    }

    /// With positive weights the sum of logits is homogeneous of degree one in the weights of a layer without a bias, so
    /// every such layer's share of `synflow` is that sum.
    #[test]
    fn synflow_is_the_same_in_every_layer_of_a_chain() {
        let net = named("resnet:20,width=4", Shape::new(16, 16, 3), 10).unwrap();
        let all = layers(&net);
        let of = |which: &[Range<usize>]| synflow(&net, which, Seed::root(0)).unwrap();
        let (first, whole) = (of(&all[..1]), of(&all));
        assert!(first > 0.0 && first.is_finite());
        assert!(whole > first);
        // The first convolution is in every path; what the linear layer's bias adds is in none of its weights.
        let last = of(&all[all.len() - 1..]);
        assert!((first - last).abs() < 1e-9 * first, "{first} {last}");
    }

    #[test]
    fn a_network_has_its_own_numbers_and_always_the_same() {
        let shape = Shape::new(16, 16, 3);
        let of = |name: &str| {
            let net = named(name, shape, 10).unwrap();
            ZeroCost::of(&net, &batch(&net, 8), &fgsm(), Seed::root(1)).unwrap()
        };
        let (narrow, wide) = (of("resnet:20,width=4"), of("resnet:20,width=8"));
        assert_eq!(narrow, of("resnet:20,width=4"));
        assert!(ZeroCost::NUMBERS.iter().all(|(_, of)| of(&narrow) > 0.0 && of(&narrow) != of(&wide)));
        assert_ne!(narrow.grad_norm, narrow.robust_grad_norm);
    }
}
