//! The only training loop: epochs of shuffled, augmented batches, one call of a [`Learner`] each.
//!
//! Everything a step does depends on the seed and its [`Position`], so a run continued from a snapshot of the learner and
//! the position is the run that was never interrupted.

use serde::{Deserialize, Serialize};

use crate::data::loader::{Batch, Loader};
use crate::error::Result;

/// Where a loop stands: the next step to take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// Finished epochs.
    pub epoch: u32,
    /// Finished steps of the current epoch.
    pub step: usize,
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
