//! Attacks without a gradient that no norm bounds: occlusion by a rectangle (Wu, Tong and Vorobeychik 2020, with random
//! places instead of all), and salt and pepper of rising share (Rauber, Brendel and Bethge 2017).

use candle_core::Tensor;

use super::cases::{Case, View, on_host};
use super::{Classifier, Samples};
use crate::error::Result;
use crate::seed::Stream;
use crate::threat::{Occlusion, SaltPepper};

/// The colour of the rectangle.
const GREY: f32 = 0.5;

/// A grey rectangle at up to `tries` places: the first image that is misclassified, else the clean one.
///
/// # Cost
/// At most `tries` forward passes an image, until it is misclassified. Two copies of the batch are in memory.
pub fn occlusion(classifier: &mut dyn Classifier, samples: Samples<'_>, attack: &Occlusion) -> Result<Tensor> {
    on_host(classifier, samples, |view, cases| {
        let [h, w, c] = view.image;
        let (rows, columns) = ((attack.height as usize).min(h), (attack.width as usize).min(w));
        first_that_fools(view, cases, attack.tries, |x, _, stream| {
            let (top, left) = (stream.below(h - rows + 1), stream.below(w - columns + 1));
            for row in top..top + rows {
                let from = (row * w + left) * c;
                x[from..from + columns * c].fill(GREY);
            }
        })
    })
}

/// Pixels turned black or white in all channels, more of them at each try: the first image that is misclassified, else the clean
/// one.
///
/// # Cost
/// That of [`occlusion`].
pub fn salt_pepper(classifier: &mut dyn Classifier, samples: Samples<'_>, attack: &SaltPepper) -> Result<Tensor> {
    let share = attack.share.value() as f32;
    on_host(classifier, samples, |view, cases| {
        let [h, w, c] = view.image;
        let most = (f64::from(share) * (h * w) as f64) as usize;
        first_that_fools(view, cases, attack.tries, |x, try_, stream| {
            let count = most * (try_ as usize + 1) / attack.tries as usize;
            let mut order: Vec<usize> = (0..h * w).collect();
            stream.shuffle(&mut order);
            for pixel in &order[..count] {
                x[pixel * c..(pixel + 1) * c].fill(if stream.coin() { 1.0 } else { 0.0 });
            }
        })
    })
}

/// One changed image after the other, until the classifier errs.
fn first_that_fools(
    view: &mut View<'_>,
    cases: &[Case<'_>],
    tries: u32,
    change: impl Fn(&mut [f32], u32, &mut Stream),
) -> Result<Vec<Option<Vec<f32>>>> {
    let mut streams: Vec<Stream> = cases.iter().map(|c| c.seed.stream()).collect();
    let mut found: Vec<Option<Vec<f32>>> = vec![None; cases.len()];
    for number in 0..tries {
        let left: Vec<usize> = (0..cases.len()).filter(|i| found[*i].is_none()).collect();
        if left.is_empty() {
            break;
        }
        let mut images = Vec::with_capacity(left.len());
        for i in &left {
            let mut x = cases[*i].clean.to_vec();
            change(&mut x, number, &mut streams[*i]);
            images.push(x);
        }
        let logits = view.logits(&images.concat())?;
        for ((i, x), row) in left.into_iter().zip(images).zip(logits.rows()) {
            found[i] = cases[i].fooled(row).then_some(x);
        }
    }
    Ok(found)
}
