//! The only training loop: epochs of shuffled, augmented batches, one call of a [`Learner`] each.
//!
//! Everything a step does depends on the seed and its [`Position`], so a run continued from a snapshot of the learner and
//! the position is the run that was never interrupted.

use candle_core::{Device, Tensor};
use serde::{Deserialize, Serialize};

use crate::arch::op::Shape;
use crate::data::Images;
use crate::data::batch::{Augment, epoch_order, fill, labels};
use crate::error::Result;
use crate::seed::Seed;

/// Where a loop stands: the next step to take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// Finished epochs.
    pub epoch: u32,
    /// Finished steps of the current epoch.
    pub step: usize,
}

/// A batch on the device.
pub struct Batch {
    /// `[n, h, w, c]`, pixels in `[0, 1]`.
    pub images: Tensor,
    /// Labels.
    pub labels: Vec<u32>,
    /// Numbers in the data set.
    pub ids: Vec<u32>,
    /// The step's seed; random numbers of the step are its children.
    pub seed: Seed,
}

/// Deals batches out of some samples of a data set.
pub struct Loader<'a> {
    /// The images.
    pub images: &'a Images,
    /// Their size.
    pub shape: Shape,
    /// The samples, by number.
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

impl Loader<'_> {
    /// Batches an epoch; a last one that is not full is left out, unless it is the only one.
    pub fn steps(&self) -> usize {
        (self.ids.len() / self.batch).max(1)
    }

    /// The order of an epoch.
    pub fn order(&self, epoch: u64) -> Vec<u32> {
        epoch_order(self.ids, self.seed.child("order").index(epoch))
    }

    /// Batch `step` of an epoch's order.
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

/// Something that learns from batches.
pub trait Learner {
    /// Takes one step; returns the loss.
    fn step(&mut self, batch: &Batch, at: Position) -> Result<f64>;
}

/// Runs the loop from a position to the end of the last epoch. `after` is called behind every step with the position of the
/// next one and the loss of the step; it may save, report, or stop the loop with an error.
pub fn fit<L: Learner>(
    learner: &mut L,
    loader: &Loader<'_>,
    epochs: u32,
    from: Position,
    after: &mut dyn FnMut(&mut L, Position, f64) -> Result<()>,
) -> Result<()> {
    let steps = loader.steps();
    let mut at = from;
    while at.epoch < epochs {
        let order = loader.order(u64::from(at.epoch));
        while at.step < steps {
            let batch = loader.batch(&order, u64::from(at.epoch), at.step)?;
            let loss = learner.step(&batch, at)?;
            at.step += 1;
            if at.step == steps {
                at = Position { epoch: at.epoch + 1, step: 0 };
            }
            after(learner, at, loss)?;
            if at.step == 0 {
                break;
            }
        }
    }
    Ok(())
}
