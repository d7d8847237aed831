//! Local search (White et al. 2021): the neighbours of the best network so far in random order, and on from the first that is
//! better; where none is, from a new network drawn at random.

use serde::{Deserialize, Serialize};

use super::{Strategy, keys, untried};
use crate::search::space::Space;
use crate::search::trial::{Fidelity, History, Origin, Proposal};
use crate::seed::Seed;

/// Climbs from neighbour to neighbour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Local {}

impl<S: Space> Strategy<S> for Local {
    fn next(&self, space: &S, history: &History<S::Arch>, seed: Seed) -> Option<Proposal<S::Arch>> {
        let mut stream = seed.index(history.trials().len() as u64).stream();
        let fidelity = Fidelity::FULL;
        if let Some(parent) = place(history) {
            let tried = keys(space, history);
            let mut around = space.neighbours(&history.trials()[parent].proposal.arch);
            around.retain(|arch| !tried.contains(&space.key(arch)));
            if !around.is_empty() {
                let arch = around.swap_remove(stream.below(around.len()));
                return Some(Proposal { arch, fidelity, origin: Origin::Mutated { parent } });
            }
        }
        let arch = untried(space, history, &mut stream)?;
        Some(Proposal { arch, fidelity, origin: Origin::Drawn })
    }
}

/// The trial that the search stands at: the last one drawn, or the last of its neighbours that was better than the one before.
fn place<A>(history: &History<A>) -> Option<usize> {
    let trials = history.trials();
    (0..trials.len()).reduce(|at, next| {
        let begins = trials[next].proposal.origin == Origin::Drawn;
        if begins || trials[next].objective() > trials[at].objective() { next } else { at }
    })
}
