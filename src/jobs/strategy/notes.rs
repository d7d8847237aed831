//! What a search keeps of itself, in the journal of the job that it is a part of.

use std::path::PathBuf;

use crate::arch::genotype::Genotype;
use crate::error::Result;
use crate::search::trial::{History, Phase, Spent, Trial};

/// The lines of one search in a journal; everything that the search does follows from them and from its seed.
pub trait Notes {
    /// Its trials so far.
    ///
    /// # Errors
    /// [`crate::error::Error::Data`] for a line that is no trial.
    fn trials(&self, phase: Phase) -> Result<History<Genotype>>;

    /// Adds a trial; it is on the disk when this returns.
    ///
    /// # Errors
    /// [`crate::error::Error::Io`].
    fn keep(&mut self, phase: Phase, trial: &Trial<Genotype>) -> Result<()>;

    /// What the training of weights that its networks share cost, if that is over.
    fn shared(&self) -> Option<Spent>;

    /// Adds that.
    ///
    /// # Errors
    /// [`crate::error::Error::Io`].
    fn keep_shared(&mut self, spent: Spent) -> Result<()>;

    /// Whether the network of this number among those that the search does not see has its score.
    fn is_scored(&self, number: u32) -> bool;

    /// Adds that score; nothing for a network that has none.
    ///
    /// # Errors
    /// [`crate::error::Error::Io`].
    fn keep_score(&mut self, number: u32, objective: Option<f64>) -> Result<()>;

    /// Where weights that its networks share are kept.
    fn folder(&self) -> PathBuf;
}
