//! Regularised evolution (Real et al. 2019, algorithm 1): the population is the latest trials, a parent is the best of a few of
//! them, a child is its parent with one change.
//!
//! Ours: a tournament has each member at most once, so that one as large as the population takes its best; and no network is
//! tried twice: where the space's table of keys knows a child already, its parent has another, and where all that are tried
//! out are known, changes are made to children.

use serde::{Deserialize, Serialize};

use super::{ATTEMPTS, Strategy, keys, untried};
use crate::error::{Error, Result};
use crate::search::space::Space;
use crate::search::trial::{Fidelity, History, Origin, Proposal};
use crate::seed::Seed;

/// Children of one parent before children of children are tried.
const SIBLINGS: usize = 50;

/// The constants of an evolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evolution {
    /// How many of the latest trials may be parents; as many are drawn at random first.
    pub population: usize,
    /// How many of them compete to be one.
    pub tournament: usize,
}

impl Evolution {
    /// For some tens of trials; docs/search.md tells what was tried.
    pub const USUAL: Evolution = Evolution { population: 10, tournament: 10 };

    /// Refuses what is no evolution.
    ///
    /// # Errors
    /// [`Error::Usage`] with the constant and what it may be.
    pub fn check(&self) -> Result<()> {
        if (1..=self.population).contains(&self.tournament) {
            return Ok(());
        }
        Err(Error::Usage(format!(
            "evolution: a tournament of {} in a population of {}; expected at least 1 and at most the population",
            self.tournament, self.population
        )))
    }
}

impl<S: Space> Strategy<S> for Evolution {
    fn next(&self, space: &S, history: &History<S::Arch>, seed: Seed) -> Option<Proposal<S::Arch>> {
        let count = history.trials().len();
        let mut stream = seed.index(count as u64).stream();
        if count < self.population {
            let arch = untried(space, history, &mut stream)?;
            return Some(Proposal { arch, fidelity: Fidelity::FULL, origin: Origin::Drawn });
        }
        let mut members: Vec<usize> = (count - self.population..count).collect();
        stream.shuffle(&mut members);
        members.truncate(self.tournament);
        let parent = history.best_of(members)?;
        let tried = keys(space, history);
        let mut from = history.trials()[parent].proposal.arch.clone();
        for attempt in 0..ATTEMPTS {
            let mut children = space.neighbours(&from);
            let child = children.swap_remove(stream.below(children.len()));
            if !tried.contains(&space.key(&child)) {
                return Some(Proposal { arch: child, fidelity: Fidelity::FULL, origin: Origin::Mutated { parent } });
            }
            if attempt >= SIBLINGS {
                from = child;
            }
        }
        None
    }
}
