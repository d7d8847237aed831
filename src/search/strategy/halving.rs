//! Successive halving (Jamieson and Talwalkar 2016): many networks trained a little, the best of them longer, and so on to a
//! few full trainings; then the same with new networks.
//!
//! Every rung trains its networks from the beginning, so that each can have a whole schedule of learning rates; a rung's price
//! is therefore its own share, not the difference to the one below.

use serde::{Deserialize, Serialize};

use super::{Strategy, untried};
use crate::error::{Error, Result};
use crate::search::space::Space;
use crate::search::trial::{Fidelity, History, Origin, Proposal};
use crate::seed::Seed;

/// The constants of successive halving.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Halving {
    /// Networks of the lowest rung.
    pub networks: usize,
    /// One of so many goes on to the next rung and is trained so many times as long.
    pub eta: usize,
    /// Rungs; the last one trains in full.
    pub rungs: usize,
}

impl Halving {
    /// 27 networks at a ninth, 9 at a third, 3 in full: as much as 9 full trainings.
    pub const USUAL: Halving = Halving { networks: 27, eta: 3, rungs: 3 };

    /// Refuses what is no halving.
    ///
    /// # Errors
    /// [`Error::Usage`] with the constant and what it may be.
    pub fn check(&self) -> Result<()> {
        if self.eta < 2 || self.rungs == 0 {
            let Halving { eta, rungs, .. } = self;
            return Err(Error::Usage(format!(
                "halving: eta {eta} and {rungs} rungs; expected an eta of at least 2 and at least 1 rung"
            )));
        }
        let least = u32::try_from(self.rungs - 1).ok().and_then(|power| self.eta.checked_pow(power));
        match least {
            Some(least) if self.networks >= least => Ok(()),
            _ => Err(Error::Usage(format!(
                "halving: {} networks leave none for the last of {} rungs with eta {}; expected at least eta^(rungs - 1)",
                self.networks, self.rungs, self.eta
            ))),
        }
    }

    /// Networks of a rung.
    fn width(&self, rung: usize) -> usize {
        (0..rung).fold(self.networks, |width, _| width / self.eta)
    }
}

impl<S: Space> Strategy<S> for Halving {
    fn next(&self, space: &S, history: &History<S::Arch>, seed: Seed) -> Option<Proposal<S::Arch>> {
        let count = history.trials().len();
        let bracket: usize = (0..self.rungs).map(|rung| self.width(rung)).sum();
        // Where the rung at work begins, and the one below it.
        let (mut below, mut begin, mut rung) = (0, count - count % bracket, 0);
        while count >= begin + self.width(rung) {
            (below, begin, rung) = (begin, begin + self.width(rung), rung + 1);
        }
        let fidelity = Fidelity::part(self.eta, self.rungs - 1 - rung);
        if rung == 0 {
            let arch = untried(space, history, &mut seed.index(count as u64).stream())?;
            return Some(Proposal { arch, fidelity, origin: Origin::Drawn });
        }
        let trials = history.trials();
        let mut order: Vec<usize> = (below..begin).collect();
        order.sort_by(|a, b| trials[*b].objective().total_cmp(&trials[*a].objective()));
        let from = order[count - begin];
        let arch = trials[from].proposal.arch.clone();
        Some(Proposal { arch, fidelity, origin: Origin::Promoted { from } })
    }
}
