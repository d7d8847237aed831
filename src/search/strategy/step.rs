//! One trial of a search, within what it may spend.

use super::Strategy;
use crate::error::{Error, Result};
use crate::search::evaluator::Evaluator;
use crate::search::space::Space;
use crate::search::trial::{History, Outcome, Trial};
use crate::seed::Seed;

/// What may stand behind the sum of a search's shares of trainings: rounding.
const ROUNDING: f64 = 1e-9;

/// Tries one network more and writes it into the history. `false`, and nothing tried, where the strategy has nothing to ask or
/// what it asks costs more than is left of `trainings`, the number of full trainings the search may spend.
///
/// # Errors
/// Whatever the evaluator fails with; [`Error::NotFinite`] for an objective that is no number.
pub fn step<S: Space>(
    strategy: &impl Strategy<S>,
    space: &S,
    evaluator: &mut impl Evaluator<S::Arch>,
    trainings: f64,
    seed: Seed,
    history: &mut History<S::Arch>,
) -> Result<bool> {
    let Some(proposal) = strategy.next(space, history, seed) else { return Ok(false) };
    if history.ledger().trainings + proposal.fidelity.share() > trainings + ROUNDING {
        return Ok(false);
    }
    let number = history.trials().len();
    let answer = evaluator.evaluate(number, &proposal)?;
    if let Outcome::Measured { objective } = answer.outcome
        && !objective.is_finite()
    {
        return Err(Error::NotFinite(format!(
            "trial {number}: the objective is {objective}; expected a finite number"
        )));
    }
    history.push(Trial { proposal, answer });
    Ok(true)
}
