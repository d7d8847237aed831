//! Clean and adversarial accuracy of a trained network, with doubts.

use crate::attack::checks::{ENOUGH, judge, look};
use crate::attack::suite::Suite;
use crate::attack::{Samples, Target};
use crate::engine::Network;
use crate::error::Result;
use crate::record::{AttackResult, Evaluation, Sample};
use crate::seed::Seed;
use crate::threat::{Attack, AttackPlan};
use crate::train::fit::Loader;

/// Evaluates a network on all samples of a loader, in evaluation mode. Only samples that are right on the clean image are
/// attacked, each by every attack.
///
/// `stop` is asked after every batch of work, so that a long evaluation can be interrupted.
pub fn evaluate(
    network: &mut Network,
    loader: &Loader<'_>,
    attacks: &[Attack],
    sample: Sample,
    seed: u64,
    stop: &mut dyn FnMut() -> Result<()>,
) -> Result<Evaluation> {
    let plan = AttackPlan { cascade: false, ..AttackPlan::new("evaluation", attacks.to_vec()) };
    let plan = plan.for_classes(network.net().classes())?;
    let target = &mut Target::deployed(network);
    stop()?;
    let found = Suite { plan: &plan, loader, seed: Seed::root(seed) }.run(target, &[], &mut |_| stop())?;
    let right: Vec<u32> =
        loader.ids.iter().zip(&found.clean).filter(|(_, clean)| **clean).map(|(id, _)| *id).take(ENOUGH).collect();
    let mut checks = Vec::new();
    if !right.is_empty() {
        let few = Loader { ids: &right, batch: ENOUGH, augment: None, ..*loader };
        for batch in few.plain() {
            let batch = batch?;
            let samples = Samples { images: &batch.images, labels: &batch.labels, ids: &batch.ids, seed: batch.seed };
            checks.extend(look(target, samples)?);
        }
    }
    checks.extend(judge(&plan, &found));
    let attacks = plan.attacks.iter().enumerate().map(|(i, a)| AttackResult { attack: *a, robust: found.under(i) });
    let (clean, robust) = (found.clean(), found.robust());
    Ok(Evaluation { sample, clean, attacks: attacks.collect(), robust, checks, seed })
}
