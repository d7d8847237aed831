//! What says how good a network is.

mod inherited;
mod relaxed;
mod score;
mod table;

pub use inherited::Inherited;
pub use relaxed::Relaxed;
pub use score::{Score, passes, score};
pub use table::{Column, Lookup, Table};

use super::trial::{Answer, Proposal};
use crate::error::Result;

/// Says how good networks are: by training them, or by reading what others measured.
pub trait Evaluator<A> {
    /// The answer to a search's trial of this number, the first being 0. The same number and proposal have the same answer,
    /// whatever was asked before, so that a trial that was cut short can be asked again.
    ///
    /// # Errors
    /// What ends the search. A network that cannot be trained or measured is an answer that says why.
    fn evaluate(&mut self, number: usize, proposal: &Proposal<A>) -> Result<Answer>;
}
