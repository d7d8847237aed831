//! The only training loop: epochs of shuffled, augmented batches, one call of a [`Learner`] each.
//!
//! Everything a step does depends on the seed, its [`Position`] and the learner's [`State`], so a run continued from
//! these two is the run that was never interrupted.

use candle_core::Tensor;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::data::loader::{Batch, Loader};
use crate::error::{Error, Result};
use crate::recipe::Time;

/// Where a loop stands: the next step to take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// Finished epochs.
    pub epoch: u32,
    /// Finished steps of the current epoch.
    pub step: usize,
}

/// All that a learner has learned, by name.
#[derive(Clone, Debug, Default)]
pub struct State {
    /// Everything that is no vector.
    pub values: Value,
    /// Vectors by name.
    pub tensors: Vec<(String, Tensor)>,
}

impl State {
    /// A state of small values and vectors.
    pub fn new(values: Value, tensors: Vec<(&str, Tensor)>) -> Self {
        State { values, tensors: tensors.into_iter().map(|(name, tensor)| (name.to_owned(), tensor)).collect() }
    }

    /// Takes out the vectors whose names begin with `prefix`, which they lose.
    pub fn part(&mut self, prefix: &str) -> State {
        let (own, others): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.tensors).into_iter().partition(|(name, _)| name.starts_with(prefix));
        self.tensors = others;
        let tensors = own.into_iter().map(|(name, tensor)| (name[prefix.len()..].to_owned(), tensor)).collect();
        State { values: Value::Null, tensors }
    }

    /// Takes a vector out.
    ///
    /// # Errors
    /// [`Error::Net`] where there is none of the name, or of another length than it had.
    pub fn take(&mut self, name: &str, len: usize) -> Result<Tensor> {
        let found = self.tensors.iter().position(|(own, _)| own == name);
        let at = found.ok_or_else(|| Error::Net(format!("the saved state has no `{name}`")))?;
        let (_, tensor) = self.tensors.swap_remove(at);
        match tensor.elem_count() {
            n if n == len => Ok(tensor),
            n => Err(Error::Net(format!("`{name}` of the saved state has {n} numbers, expected {len}"))),
        }
    }
}

/// Something that learns from batches.
pub trait Learner {
    /// Takes one step; returns the loss.
    ///
    /// # Errors
    /// [`Error::NotFinite`] where the training diverges.
    fn step(&mut self, batch: &Batch, at: Time) -> Result<f64>;

    /// All that it has learned. The vectors may be handles on its own memory: keep copies.
    ///
    /// # Errors
    /// [`Error::Internal`] for what cannot be written down.
    fn state(&self) -> Result<State>;

    /// Takes up a saved state.
    ///
    /// # Errors
    /// [`Error::Net`] naming what is missing or does not fit.
    fn restore(&mut self, state: State) -> Result<()>;
}

/// Runs the loop from a position to the end of the last epoch. `after` is called behind every step with the position of
/// the next one and the loss of the step; it may save, report, or stop the loop with an error.
///
/// # Errors
/// Those of the learner and of `after`.
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
            let loss = learner.step(&batch, Time { epoch: at.epoch, step: at.step, steps, epochs })?;
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
