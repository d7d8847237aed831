//! A plan of attacks on a trained network.

use candle_core::Device;
use serde::Serialize;

use super::{Line, Needs};
use crate::attack::Target;
use crate::attack::suite::Suite;
use crate::data::Dataset;
use crate::data::loader::Loader;
use crate::engine::Network;
use crate::error::Result;
use crate::jobs::measure::work;
use crate::jobs::resident;
use crate::seed::Seed;
use crate::threat::AttackPlan;

/// The network, the plan, and its result.
#[derive(Clone, Debug, Serialize)]
pub struct Attacking {
    /// The network, as it was named.
    pub net: String,
    /// The plan's name.
    pub plan: String,
    /// Images attacked.
    pub n: usize,
    /// Correct on the clean image.
    pub clean_correct: u64,
    /// Correct under every attack.
    pub robust: u64,
}

/// The network, the plan and the images.
pub struct Attack<'a> {
    /// The network's name.
    pub net: &'a str,
    /// The network with its weights.
    pub network: Network,
    /// Its images.
    pub data: &'a Dataset,
    /// Their indices.
    pub ids: &'a [u32],
    /// The attacks.
    pub plan: &'a AttackPlan,
    /// The seed of their random numbers.
    pub seed: u64,
    /// Images a pass.
    pub batch: usize,
}

/// Times a plan from the clean images to the last attack, `steps` times after a warm-up.
///
/// # Errors
/// Those of the attacks.
pub fn measure(attack: Attack<'_>, steps: usize) -> Result<Line<Attacking>> {
    let Attack { net, mut network, data, ids, plan, seed, batch } = attack;
    let before = resident();
    let needs = Needs::of(&network, &work(batch.min(ids.len())), before)?;
    let seed = Seed::root(seed);
    let loader = Loader::new(&data.test, data.image, ids, batch, seed, &Device::Cpu);
    let suite = Suite { plan, loader: &loader, seed };
    let mut left = (0, 0);
    let nothing = Attacking { net: net.to_owned(), plan: plan.name.clone(), n: ids.len(), clean_correct: 0, robust: 0 };
    let mut line = Line::measure("attack", nothing, needs, steps, &mut || {
        let found = suite.run(&mut Target::deployed(&mut network), &[], &mut |_| Ok(()))?;
        left = (found.clean().hit, found.robust().hit);
        Ok(())
    })?;
    (line.subject.clean_correct, line.subject.robust) = left;
    Ok(line)
}
