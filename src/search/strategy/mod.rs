//! What a search tries next: strategies that ask for one network at a time and are told what it was worth.
//!
//! A strategy has no state of its own. What it asks for next follows from the trials so far and from the seed, so that the
//! trials, which a run keeps anyway, are all that is needed to go on after a kill between any two of them.

mod any;
mod evolution;
mod halving;
mod local;
mod predictor;
mod random;
mod step;

pub use any::AnyStrategy;
pub use evolution::Evolution;
pub use halving::Halving;
pub use local::Local;
pub use predictor::Predictor;
pub use random::Random;
pub use step::step;

use super::space::Space;
use super::trial::{History, Proposal};
use crate::seed::{Seed, Stream};

/// Draws or changes of a network before a space counts as used up.
const ATTEMPTS: usize = 1000;

/// A way to choose the next network.
pub trait Strategy<S: Space> {
    /// What to try next, given all trials so far. Nothing where no untried network was found.
    ///
    /// The same trials and the same seed give the same proposal; `history` has the trials of this strategy from its
    /// first one on.
    fn next(&self, space: &S, history: &History<S::Arch>, seed: Seed) -> Option<Proposal<S::Arch>>;
}

/// A network that was not tried yet, drawn at random.
fn untried<S: Space>(space: &S, history: &History<S::Arch>, stream: &mut Stream) -> Option<S::Arch> {
    let tried = keys(space, history);
    (0..ATTEMPTS).map(|_| space.draw(stream)).find(|arch| !tried.contains(&space.key(arch)))
}

/// The keys of all networks that were tried.
fn keys<S: Space>(space: &S, history: &History<S::Arch>) -> Vec<S::Key> {
    history.trials().iter().map(|trial| space.key(&trial.proposal.arch)).collect()
}

#[cfg(test)]
mod tests;
