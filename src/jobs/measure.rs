//! Clean and adversarial accuracy of a trained network, with the checks that it raises.

use crate::attack::Target;
use crate::attack::checks::raised;
use crate::attack::suite::Suite;
use crate::config::Evaluate;
use crate::data::loader::Loader;
use crate::engine::Network;
use crate::error::Result;
use crate::record::{AttackResult, Evaluation, Sample};
use crate::seed::Seed;
use crate::threat::AttackPlan;

/// Evaluates a network on all samples of a loader, in evaluation mode. Only samples that are right on the clean image are
/// attacked, each by every attack. Every [`crate::threat::Check`] that is raised is in the result, once.
///
/// `stop` is asked after every batch of work, so that a long evaluation can be interrupted.
///
/// # Errors
/// Those of the attacks, and what `stop` fails with.
pub fn evaluate(
    network: &mut Network,
    loader: &Loader<'_>,
    protocol: &Evaluate,
    sample: Sample,
    seed: u64,
    stop: &mut dyn FnMut() -> Result<()>,
) -> Result<Evaluation> {
    let Evaluate { gradient_samples, probe, .. } = *protocol;
    let plan = AttackPlan::new("evaluation", protocol.attacks.clone());
    let plan = AttackPlan { cascade: false, gradient_samples, ..plan }.for_classes(network.net().classes())?;
    let target = &mut Target::deployed(network);
    stop()?;
    let found = Suite { plan: &plan, loader, seed: Seed::root(seed) }.run(target, &[], &mut |_| stop())?;
    let checks = raised(target, &plan, loader, &found, probe)?.into_iter().collect();
    let attacks = plan.attacks.iter().enumerate().map(|(i, a)| AttackResult { attack: *a, robust: found.under(i) });
    let (clean, robust) = (found.clean(), found.robust());
    Ok(Evaluation { sample, clean, gradient_samples, attacks: attacks.collect(), robust, checks, seed })
}
