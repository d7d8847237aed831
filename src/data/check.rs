//! Facts about a data set, and warnings about it, before hours are spent on it.

use std::collections::HashMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Dataset, Images, Source};
use crate::arch::op::Shape;
use crate::error::Result;

/// The findings of `robustnas data check`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Report {
    /// The source as it was named.
    pub source: String,
    /// The data set's name in tables.
    pub name: String,
    /// See [`Dataset::content_id`].
    pub content_id: String,
    /// Size of every image, `[h, w, c]`.
    pub image: Shape,
    /// Training images.
    pub train: usize,
    /// Test images.
    pub test: usize,
    /// Every class and its images.
    pub classes: Vec<ClassCount>,
    /// Mean of each channel of the training images, of the test images where there are no others; in `[0, 1]`.
    pub mean: Vec<f64>,
    /// Deviation of each channel over the same pixels.
    pub std: Vec<f64>,
    /// Empty classes, imbalance, duplicates, and test images among the training images.
    pub warnings: Vec<String>,
}

/// Images of one class.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ClassCount {
    /// The class.
    pub name: String,
    /// Training images.
    pub train: usize,
    /// Test images.
    pub test: usize,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {} training and {} test images of {}", self.source, self.train, self.test, self.image)?;
        writeln!(f, "content {}", self.content_id)?;
        let list = |v: &[f64]| v.iter().map(|x| format!("{x:.4}")).collect::<Vec<_>>().join(", ");
        writeln!(f, "mean {}  deviation {}", list(&self.mean), list(&self.std))?;
        for c in &self.classes {
            writeln!(f, "  {:20} {:>7} {:>7}", c.name, c.train, c.test)?;
        }
        match &self.warnings[..] {
            [] => writeln!(f, "no warnings"),
            all => all.iter().try_for_each(|w| writeln!(f, "warning: {w}")),
        }
    }
}

/// The ratio of class sizes from which on there is a warning.
const IMBALANCE: f64 = 1.5;

/// Loads a source and inspects every image.
///
/// # Errors
/// Those of [`Source::load`].
pub fn check(source: &Source) -> Result<Report> {
    Ok(inspect(source.to_string(), &source.load()?))
}

/// Inspects every image of a loaded data set.
pub fn inspect(source: String, data: &Dataset) -> Report {
    let (train, test) = (tally(&data.train, data.classes.len()), tally(&data.test, data.classes.len()));
    let classes: Vec<ClassCount> = data
        .classes
        .iter()
        .zip(train.iter().zip(&test))
        .map(|(name, (&train, &test))| ClassCount { name: name.clone(), train, test })
        .collect();
    let mut warnings = data.notes.clone();
    imbalance("training", &data.classes, &train, &mut warnings);
    imbalance("test", &data.classes, &test, &mut warnings);
    duplicates(data, &mut warnings);
    let (mean, std) = moments(if data.train.is_empty() { &data.test } else { &data.train }, data.image.c);
    Report {
        source,
        name: data.name.clone(),
        content_id: data.content_id(),
        image: data.image,
        train: data.train.len(),
        test: data.test.len(),
        classes,
        mean,
        std,
        warnings,
    }
}

fn tally(images: &Images, classes: usize) -> Vec<usize> {
    let mut counts = vec![0; classes];
    for &label in &images.labels {
        counts[label as usize] += 1;
    }
    counts
}

fn imbalance(half: &str, names: &[String], counts: &[usize], warnings: &mut Vec<String>) {
    // A half that is not there at all is said in the first line.
    if counts.iter().all(|n| *n == 0) {
        return;
    }
    let empty: Vec<&str> = names.iter().zip(counts).filter(|(_, n)| **n == 0).map(|(name, _)| name.as_str()).collect();
    if !empty.is_empty() {
        warnings.push(format!(
            "{} of {} classes have no {half} images: {}",
            empty.len(),
            names.len(),
            empty.join(", ")
        ));
    }
    let filled = || (0..counts.len()).filter(|&c| counts[c] > 0);
    let (Some(least), Some(most)) = (filled().min_by_key(|&c| counts[c]), filled().max_by_key(|&c| counts[c])) else {
        return;
    };
    if counts[most] as f64 > IMBALANCE * counts[least] as f64 {
        warnings.push(format!(
            "{half} classes are uneven: `{}` has {} images, `{}` has {}; accuracy is over images, not over classes",
            names[most], counts[most], names[least], counts[least]
        ));
    }
}

/// Test images that were trained on inflate accuracy; equal images with two labels cannot both be classified correctly.
fn duplicates(data: &Dataset, warnings: &mut Vec<String>) {
    let mut seen: HashMap<&[u8], u32> = HashMap::with_capacity(data.train.len());
    let (mut repeated, mut contradicted) = (0, 0);
    for (i, &label) in data.train.labels.iter().enumerate() {
        match seen.insert(data.train.image(i), label) {
            Some(other) if other != label => contradicted += 1,
            Some(_) => repeated += 1,
            None => {}
        }
    }
    if repeated > 0 {
        warnings.push(format!("{repeated} training images repeat another one of the same class"));
    }
    if contradicted > 0 {
        warnings.push(format!("{contradicted} training images repeat another one under a different label"));
    }
    let leaked = (0..data.test.len()).filter(|&i| seen.contains_key(data.test.image(i))).count();
    if leaked > 0 {
        warnings.push(format!("{leaked} of {} test images are also training images", data.test.len()));
    }
}

/// Mean and deviation per channel over all pixels; the sums are integers, so their order does not matter.
fn moments(images: &Images, channels: usize) -> (Vec<f64>, Vec<f64>) {
    let mut sums = vec![(0u64, 0u64); channels];
    for pixel in images.pixels.chunks_exact(channels) {
        for (sum, &byte) in sums.iter_mut().zip(pixel) {
            sum.0 += u64::from(byte);
            sum.1 += u64::from(byte) * u64::from(byte);
        }
    }
    let n = (images.pixels.len() / channels) as f64;
    sums.into_iter()
        .map(|(sum, squares)| {
            let mean = sum as f64 / n;
            (mean / 255.0, (squares as f64 / n - mean * mean).max(0.0).sqrt() / 255.0)
        })
        .unzip()
}
