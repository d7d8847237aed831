//! Successive halving (Jamieson and Talwalkar 2016): many networks trained a little, the best of them longer, and so on to a
//! few full trainings, or trainings as long as it is told; then the same with new networks.
//!
//! Every rung trains its networks from the beginning, so that each can have a whole schedule of learning rates; a rung's price
//! is therefore its own share, not the difference to the one below.

use super::{Strategy, untried};
pub use crate::config::strategy::Halving;
use crate::search::space::Space;
use crate::search::trial::{Fidelity, History, Origin, Proposal};
use crate::seed::Seed;

impl Halving {
    /// How long a rung trains its networks.
    fn share(&self, rung: usize) -> Fidelity {
        Fidelity::of(self.share_of(rung))
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
        let fidelity = self.share(rung);
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
