//! GradAlign (Andriushchenko and Flammarion 2020, equation 6): how far the loss's gradient in the pixels turns within
//! the ball.
//!
//! The gradient of a function of gradients is a finite difference here, as the engine has no second derivatives: with
//! the gradient `a` at the clean images held fixed, as in the published code, `1 - cos(a, b)` depends on the weights
//! through the gradient `b` at a random point `z` alone, and `d/dw <u, grad_z L> = (grad_w L(z + h u) - grad_w L(z - h
//! u)) / 2h`, with `u` its derivative in `b`.

use candle_core::{DType, Tensor};

use crate::attack::Samples;
use crate::engine::{Network, NormMode, Wrt};
use crate::error::{Error, Result};
use crate::loss::Targets;

/// How far the difference's sides move the pixel that they move most: half a step of eight bits.
pub const REACH: f64 = 0.5 / 255.0;

/// The mean of `1 - cos(gradient at the clean image, gradient at a point uniform in the ball)` over the images that
/// have both, and its gradient in the weights, `[trainable]`. Batch-norms use the statistics of the batch; none is
/// recorded.
///
/// # Errors
/// [`Error::NotFinite`] where the loss is not a number.
///
/// # Cost
/// Two gradients in the pixels, two in the weights.
pub fn alignment(
    network: &mut Network,
    mix: &[f64],
    samples: Samples<'_>,
    targets: Targets<'_>,
    eps: f64,
    reach: f64,
) -> Result<(f64, Tensor)> {
    let mode = NormMode::TrainNoRecord;
    let images = samples.images;
    let per_image = images.elem_count() / samples.ids.len();
    let clean: Vec<f64> = images.flatten_all()?.to_dtype(DType::F64)?.to_vec1()?;
    let seed = samples.seed.child("alignment");
    let mut point = clean;
    for (id, image) in samples.ids.iter().zip(point.chunks_exact_mut(per_image)) {
        let mut stream = seed.index(u64::from(*id)).stream();
        image.iter_mut().for_each(|pixel| *pixel += eps * f64::from(stream.uniform_in(-1.0, 1.0)));
    }
    let tensor = |values: Vec<f64>| -> Result<Tensor> {
        Ok(Tensor::from_vec(values, images.dims(), images.device())?.to_dtype(images.dtype())?)
    };
    let mut slopes = Vec::with_capacity(2);
    for x in [images.clone(), tensor(point.clone())?] {
        let found = network.gradients(&x, mix, mode, Wrt::INPUT, &|logits| targets.cross_entropy(logits, 0.0))?;
        let slope = found.input.ok_or_else(|| Error::Internal("no input gradient was computed".into()))?;
        slopes.push(slope.flatten_all()?.to_dtype(DType::F64)?.to_vec1::<f64>()?);
    }
    let (value, direction) = turned(&slopes[0], &slopes[1], per_image);
    let largest = direction.iter().fold(0f64, |most, u| most.max(u.abs()));
    if largest == 0.0 {
        return Ok((value, network.weights()?.zeros_like()?));
    }
    let h = reach / largest;
    let mut side = |sign: f64| -> Result<Tensor> {
        let x = tensor(point.iter().zip(&direction).map(|(z, u)| z + sign * h * u).collect())?;
        let found = network.gradients(&x, mix, mode, Wrt::PARAMS, &|logits| targets.cross_entropy(logits, 0.0))?;
        found.weights().cloned()
    };
    let (above, below) = (side(1.0)?, side(-1.0)?);
    Ok((value, ((above - below)? * (0.5 / h))?))
}

/// The mean of `1 - cos(a, b)` over images, and its derivative in `b`. Images without one of the gradients do not
/// count.
fn turned(a: &[f64], b: &[f64], per_image: usize) -> (f64, Vec<f64>) {
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let pairs = || a.chunks_exact(per_image).zip(b.chunks_exact(per_image));
    let count = pairs().filter(|(a, b)| dot(a, a) > 0.0 && dot(b, b) > 0.0).count().max(1) as f64;
    let (mut value, mut derivative) = (0.0, Vec::with_capacity(b.len()));
    for (a, b) in pairs() {
        let (long, own) = (dot(a, a).sqrt(), dot(b, b).sqrt());
        if long == 0.0 || own == 0.0 {
            derivative.extend(std::iter::repeat_n(0.0, per_image));
            continue;
        }
        let cos = dot(a, b) / (long * own);
        value += (1.0 - cos) / count;
        derivative.extend(a.iter().zip(b).map(|(a, b)| (cos * b / own - a / long) / own / count));
    }
    (value, derivative)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arch::op::Shape;
    use crate::engine::Fusion;
    use crate::model;
    use crate::seed::Seed;
    use candle_core::Device;

    #[test]
    fn turned_by_hand() {
        // At right angles, along, and without a gradient.
        let (a, b) = ([1.0, 0.0, 1.0, 1.0, 0.0, 0.0], [0.0, 2.0, 2.0, 2.0, 1.0, 1.0]);
        let (value, derivative) = turned(&a, &b, 2);
        assert!((value - 0.5).abs() < 1e-12);
        let want = [-0.25, 0.0, 0.0, 0.0, 0.0, 0.0];
        assert!(derivative.iter().zip(want).all(|(d, w)| (d - w).abs() < 1e-12), "{derivative:?}");
    }

    /// A smooth network in double precision: the value's own finite difference, the clean gradient held fixed.
    #[test]
    fn gradient_is_that_of_finite_differences() {
        let net = model::named("wrn:channels=3-3-4-4,depths=1-1-1,act=silu", Shape::new(6, 6, 3), 3).unwrap();
        let mut network = Network::with(net, Seed::root(1), &Device::Cpu, DType::F64, Fusion::ALL).unwrap();
        let labels = [0, 1, 2, 1];
        let mut stream = Seed::root(2).stream();
        let pixels: Vec<f64> = (0..4 * 108).map(|_| f64::from(stream.uniform())).collect();
        let images = Tensor::from_vec(pixels, (4, 6, 6, 3), &Device::Cpu).unwrap();
        let samples = Samples { images: &images, labels: &labels, ids: &labels, seed: Seed::root(3) };
        let targets = Targets::Hard(&labels);
        let (_, gradient) = alignment(&mut network, &[], samples, targets, 0.1, 1e-4).unwrap();
        let gradient: Vec<f64> = gradient.to_vec1().unwrap();
        let weights: Vec<f64> = network.weights().unwrap().to_vec1().unwrap();
        let pixel_slope = |network: &mut Network, x: &Tensor| -> Vec<f64> {
            let loss = |logits: &crate::engine::Logits| targets.cross_entropy(logits, 0.0);
            let found = network.gradients(x, &[], NormMode::TrainNoRecord, Wrt::INPUT, &loss).unwrap();
            found.input.unwrap().flatten_all().unwrap().to_vec1().unwrap()
        };
        let fixed = pixel_slope(&mut network, &images);
        // The same random point.
        let mut point: Vec<f64> = images.flatten_all().unwrap().to_vec1().unwrap();
        for (id, image) in labels.iter().zip(point.chunks_exact_mut(108)) {
            let mut stream = samples.seed.child("alignment").index(u64::from(*id)).stream();
            image.iter_mut().for_each(|pixel| *pixel += 0.1 * f64::from(stream.uniform_in(-1.0, 1.0)));
        }
        let point = Tensor::from_vec(point, (4, 6, 6, 3), &Device::Cpu).unwrap();
        let mut value = |i: usize, h: f64| {
            let mut moved = weights.clone();
            moved[i] += h;
            network.set_weights(&Tensor::from_vec(moved, weights.len(), &Device::Cpu).unwrap()).unwrap();
            turned(&fixed, &pixel_slope(&mut network, &point), 108).0
        };
        let scale = gradient.iter().fold(0f64, |m, g| m.max(g.abs()));
        assert!(scale > 1e-3, "{scale}");
        for i in (0..gradient.len()).step_by(11) {
            let numeric = (value(i, 1e-5) - value(i, -1e-5)) / 2e-5;
            assert!((numeric - gradient[i]).abs() < 1e-4 * scale, "weight {i}: {} against {numeric}", gradient[i]);
        }
    }
}
