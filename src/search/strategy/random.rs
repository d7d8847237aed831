//! Random search: networks drawn from the space, none twice. What every other strategy has to beat.

use serde::{Deserialize, Serialize};

use super::{Strategy, untried};
use crate::search::space::Space;
use crate::search::trial::{Fidelity, History, Origin, Proposal};
use crate::seed::Seed;

/// Draws from the space.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Random {}

impl<S: Space> Strategy<S> for Random {
    fn next(&self, space: &S, history: &History<S::Arch>, seed: Seed) -> Option<Proposal<S::Arch>> {
        let mut stream = seed.index(history.trials().len() as u64).stream();
        let arch = untried(space, history, &mut stream)?;
        Some(Proposal { arch, fidelity: Fidelity::FULL, origin: Origin::Drawn })
    }
}
