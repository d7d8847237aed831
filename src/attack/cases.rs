//! Per-sample state on the host, for the attacks that have one: samples, the classifier on flat images, and restarts.

use candle_core::{Device, Tensor};

use super::{Classifier, Samples};
use crate::engine::Logits;
use crate::error::Result;
use crate::loss::{Aim, is_correct, total};
use crate::seed::Seed;

/// One image under attack.
#[derive(Clone, Copy, Debug)]
pub struct Case<'a> {
    /// The clean image, flat `[h * w * c]`.
    pub clean: &'a [f32],
    /// Its class.
    pub label: usize,
    /// Its own seed.
    pub seed: Seed,
}

impl Case<'_> {
    /// Whether these logits misclassify it.
    pub fn fooled(&self, row: &[f64]) -> bool {
        !is_correct(row, self.label)
    }
}

/// A classifier that takes flat images.
pub struct View<'a> {
    classifier: &'a mut dyn Classifier,
    /// `[h, w, c]`.
    pub image: [usize; 3],
    device: Device,
}

impl View<'_> {
    fn tensor(&self, x: &[f32]) -> Result<Tensor> {
        let [h, w, c] = self.image;
        Ok(Tensor::from_slice(x, (x.len() / (h * w * c), h, w, c), &self.device)?)
    }

    /// Logits of at least one image, `[n * h * w * c]`.
    ///
    /// # Errors
    /// Those of the classifier.
    pub fn logits(&mut self, x: &[f32]) -> Result<Logits> {
        self.classifier.logits(&self.tensor(x)?)
    }

    /// Logits of images `[n * h * w * c]`, and the gradient of each image's loss in its pixels.
    ///
    /// # Errors
    /// Those of the classifier.
    pub fn gradient(&mut self, x: &[f32], aims: &[Aim<'_>]) -> Result<(Logits, Vec<f32>)> {
        let (logits, gradient) = self.classifier.input_gradient(&self.tensor(x)?, &|logits| total(logits, aims))?;
        Ok((logits, gradient.flatten_all()?.to_vec1()?))
    }
}

/// Runs an attack that works on the host; returns `[n, h, w, c]`, the clean image where the attack found nothing.
///
/// # Errors
/// [`Error::Tensor`](crate::error::Error::Tensor) for images that are not f32 `[n, h, w, c]`; those of the attack.
pub fn on_host(
    classifier: &mut dyn Classifier,
    samples: Samples<'_>,
    attack: impl FnOnce(&mut View<'_>, &[Case<'_>]) -> Result<Vec<Option<Vec<f32>>>>,
) -> Result<Tensor> {
    let (_, h, w, c) = samples.images.dims4()?;
    let mut pixels: Vec<f32> = samples.images.flatten_all()?.to_vec1()?;
    let size = h * w * c;
    let found = {
        let each = pixels.chunks_exact(size).zip(samples.labels).zip(samples.ids);
        let cases: Vec<Case<'_>> = each
            .map(|((clean, label), id)| Case {
                clean,
                label: *label as usize,
                seed: samples.seed.index(u64::from(*id)),
            })
            .collect();
        let device = samples.images.device().clone();
        attack(&mut View { classifier, image: [h, w, c], device }, &cases)?
    };
    for (clean, found) in pixels.chunks_exact_mut(size).zip(found) {
        if let Some(found) = found {
            clean.copy_from_slice(&found);
        }
    }
    Ok(Tensor::from_vec(pixels, samples.images.dims(), samples.images.device())?)
}

/// Runs an attack `runs` times, each time on the cases that are not misclassified yet.
///
/// # Errors
/// Those of a run.
pub fn until_fooled<'a>(
    cases: &[Case<'a>],
    runs: usize,
    mut run: impl FnMut(usize, &[Case<'a>], &[usize]) -> Result<Vec<Option<Vec<f32>>>>,
) -> Result<Vec<Option<Vec<f32>>>> {
    let mut found: Vec<Option<Vec<f32>>> = vec![None; cases.len()];
    for number in 0..runs {
        let left: Vec<usize> = (0..cases.len()).filter(|i| found[*i].is_none()).collect();
        if left.is_empty() {
            break;
        }
        let still: Vec<Case<'a>> = left.iter().map(|i| cases[*i]).collect();
        for (i, one) in left.iter().zip(run(number, &still, &left)?) {
            found[*i] = one;
        }
    }
    Ok(found)
}

/// The logits of the clean images, one row each.
///
/// # Errors
/// Those of the classifier.
pub fn clean_rows(view: &mut View<'_>, cases: &[Case<'_>]) -> Result<Vec<Vec<f64>>> {
    let pixels: Vec<f32> = cases.iter().flat_map(|c| c.clean.iter().copied()).collect();
    Ok(view.logits(&pixels)?.rows().map(<[f64]>::to_vec).collect())
}
