//! Batches on a device, taken from some samples of a data set.
//!
//! Everything about a batch depends on the seed, the epoch and the step, so a loop that is continued from its position
//! gives the same batches as one that was not interrupted.

use candle_core::{Device, Tensor};

use super::Images;
use super::batch::{Augment, epoch_order, fill, labels};
use crate::arch::op::Shape;
use crate::error::Result;
use crate::seed::Seed;

/// A batch on the device.
pub struct Batch {
    /// `[n, h, w, c]`, pixels in `[0, 1]`.
    pub images: Tensor,
    /// Labels.
    pub labels: Vec<u32>,
    /// Indices in the data set.
    pub ids: Vec<u32>,
    /// The step's seed; random numbers of the step are its children.
    pub seed: Seed,
}

impl Batch {
    /// The batch for an attack whose random numbers come from `seed`.
    pub fn samples(&self, seed: Seed) -> Samples<'_> {
        Samples { images: &self.images, labels: &self.labels, ids: &self.ids, seed }
    }
}

/// The images of an attack or a training step. A sample's random numbers come from its index in the data set, so its result
/// does not depend on the batch it is in.
#[derive(Clone, Copy)]
pub struct Samples<'a> {
    /// Pixels in `[0, 1]`, `[n, h, w, c]`.
    pub images: &'a Tensor,
    /// True labels.
    pub labels: &'a [u32],
    /// Indices in the data set.
    pub ids: &'a [u32],
    /// The seed of the attack or step.
    pub seed: Seed,
}

/// Makes batches of some samples of a data set.
pub struct Loader<'a> {
    /// The images.
    pub images: &'a Images,
    /// Their size.
    pub shape: Shape,
    /// The samples, as indices in the data set.
    pub ids: &'a [u32],
    /// Samples a batch.
    pub batch: usize,
    /// Crops and flips, if any.
    pub augment: Option<Augment>,
    /// Seed of order and augmentation.
    pub seed: Seed,
    /// Where batches go.
    pub device: &'a Device,
}

impl<'a> Loader<'a> {
    /// Makes batches of `batch` of the images `ids`, each of `shape`, as they are.
    pub fn new(images: &'a Images, shape: Shape, ids: &'a [u32], batch: usize, seed: Seed, device: &'a Device) -> Self {
        Loader { images, shape, ids, batch, augment: None, seed, device }
    }

    /// The loader that crops and flips the images of its epochs.
    #[must_use]
    pub fn augmented(self, augment: Augment) -> Self {
        Loader { augment: Some(augment), ..self }
    }

    /// A loader of other images of the same data.
    #[must_use]
    pub fn of<'b>(&'b self, ids: &'b [u32]) -> Loader<'b> {
        Loader { ids, ..*self }
    }

    /// Batches an epoch; a last one that is not full is left out, unless it is the only one.
    pub fn steps(&self) -> usize {
        (self.ids.len() / self.batch).max(1)
    }

    /// The order of an epoch.
    pub fn order(&self, epoch: u64) -> Vec<u32> {
        epoch_order(self.ids, self.seed.child("order").index(epoch))
    }

    /// Batch `step` of an epoch's order.
    ///
    /// # Errors
    /// [`Error::Tensor`](crate::error::Error::Tensor) where the device refuses the batch.
    pub fn batch(&self, order: &[u32], epoch: u64, step: usize) -> Result<Batch> {
        let from = step * self.batch;
        let ids = &order[from..(from + self.batch).min(order.len())];
        let seed = self.seed.child("step").index(epoch).index(step as u64);
        self.load(ids, self.augment.as_ref().map(|a| (a, seed.child("augment"))), seed)
    }

    /// All samples in the given order, without augmentation, a batch at a time.
    pub fn plain(&self) -> impl Iterator<Item = Result<Batch>> {
        self.ids.chunks(self.batch).map(|ids| self.load(ids, None, self.seed))
    }

    fn load(&self, ids: &[u32], augment: Option<(&Augment, Seed)>, seed: Seed) -> Result<Batch> {
        let Shape { h, w, c } = self.shape;
        let mut pixels = vec![0f32; ids.len() * self.shape.len()];
        fill(self.images, self.shape, ids, augment, &mut pixels);
        let images = Tensor::from_vec(pixels, (ids.len(), h, w, c), self.device)?;
        Ok(Batch { images, labels: labels(self.images, ids), ids: ids.to_vec(), seed })
    }
}
