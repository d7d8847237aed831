//! A predictor learns from networks that were tried, and chooses the next among many that cost nothing (as in White et al. 2021,
//! "How Powerful are Performance Predictors in Neural Architecture Search?").
//!
//! Ours is linear regression on what a [space](Space::features) tells of a network. Of a few hundred networks, half of them drawn
//! and half changes of the best so far, it takes the one that is best under weights drawn from their posterior (Thompson
//! sampling), so that what is uncertain is tried as well. With few, noisy trials that is worth more than evolution
//! (docs/search.md). Where trials are parts of trainings, the best are then trained in full: best by the middle of what was
//! measured and what is predicted, since the one errs by chance and the other by what the features do not tell; how much by each
//! is not known, and the middle is our choice.

use super::{ATTEMPTS, Strategy, keys, untried};
pub use crate::config::strategy::Predictor;
use crate::search::ridge::{Features, Ridge};
use crate::search::space::Space;
use crate::search::trial::{Fidelity, History, Origin, Outcome, Proposal, Trial};
use crate::seed::{Seed, Stream};

/// Of so many of the best trials the pool has changes.
const PARENTS: usize = 5;

impl<S: Space> Strategy<S> for Predictor {
    fn next(&self, space: &S, history: &History<S::Arch>, seed: Seed) -> Option<Proposal<S::Arch>> {
        let count = history.trials().len();
        let mut stream = seed.index(count as u64).stream();
        let fidelity = Fidelity::of(self.share);
        let tried = self.drawn + self.chosen;
        if count < self.drawn {
            let known = |arch: &S::Arch| space.features(arch).is_some();
            let arch = (0..ATTEMPTS).find_map(|_| untried(space, history, &mut stream).filter(known))?;
            return Some(Proposal { arch, fidelity, origin: Origin::Drawn });
        }
        if self.full == 0 || count < tried {
            let (arch, origin) = self.choose(space, history, &mut stream)?;
            return Some(Proposal { arch, fidelity, origin });
        }
        let place = count - tried;
        let from = *self.best(space, &history.trials()[..tried]).get(place).filter(|_| place < self.full)?;
        let arch = history.trials()[from].proposal.arch.clone();
        Some(Proposal { arch, fidelity: Fidelity::FULL, origin: Origin::Promoted { from } })
    }
}

impl Predictor {
    /// The network of a pool that a draw of the regression takes for the best.
    fn choose<S: Space>(
        &self,
        space: &S,
        history: &History<S::Arch>,
        stream: &mut Stream,
    ) -> Option<(S::Arch, Origin)> {
        let trials = history.trials();
        let (numbers, rows, values) = measured(space, trials);
        let ridge = Ridge::fit(&rows, &values).drawn(stream);
        let mut order: Vec<usize> = (0..values.len()).collect();
        order.sort_by(|a, b| values[*b].total_cmp(&values[*a]));
        order.truncate(PARENTS);
        let around: Vec<(usize, Vec<S::Arch>)> =
            order.iter().map(|of| (numbers[*of], space.neighbours(&trials[numbers[*of]].proposal.arch))).collect();
        let tried = keys(space, history);
        let mut best: Option<(f64, S::Arch, Origin)> = None;
        for place in 0..self.pool {
            let (arch, origin) = match around.get(place / 2 % PARENTS).filter(|_| place % 2 == 1) {
                Some((parent, around)) if !around.is_empty() => {
                    (around[stream.below(around.len())].clone(), Origin::Mutated { parent: *parent })
                }
                _ => (space.draw(stream), Origin::Drawn),
            };
            if tried.contains(&space.key(&arch)) {
                continue;
            }
            let Some(features) = space.features(&arch) else { continue };
            let worth = if rows.is_empty() { 0.0 } else { ridge.predict(&features) };
            if best.as_ref().is_none_or(|(most, ..)| worth > *most) {
                best = Some((worth, arch, origin));
            }
        }
        match best {
            Some((_, arch, origin)) => Some((arch, origin)),
            None => untried(space, history, stream).map(|arch| (arch, Origin::Drawn)),
        }
    }

    /// The measured ones of some trials, best first.
    fn best<S: Space>(&self, space: &S, trials: &[Trial<S::Arch>]) -> Vec<usize> {
        let (numbers, rows, values) = measured(space, trials);
        let ridge = Ridge::fit(&rows, &values);
        let worth: Vec<f64> = rows.iter().zip(&values).map(|(row, v)| f64::midpoint(*v, ridge.predict(row))).collect();
        let mut order: Vec<usize> = (0..numbers.len()).collect();
        order.sort_by(|a, b| worth[*b].total_cmp(&worth[*a]));
        order.into_iter().map(|place| numbers[place]).collect()
    }
}

/// The trials that were measured: their numbers, features and objectives.
fn measured<S: Space>(space: &S, trials: &[Trial<S::Arch>]) -> (Vec<usize>, Vec<Features>, Vec<f64>) {
    let (mut numbers, mut rows, mut values) = (Vec::new(), Vec::new(), Vec::new());
    for (number, trial) in trials.iter().enumerate() {
        if let (Outcome::Measured { objective }, Some(features)) =
            (&trial.answer.outcome, space.features(&trial.proposal.arch))
        {
            numbers.push(number);
            rows.push(features);
            values.push(*objective);
        }
    }
    (numbers, rows, values)
}
