//! A network's score on a few images: right as they are, and right under one cheap attack.

use serde::{Deserialize, Serialize};

use crate::attack::{Classifier, Target, run};
use crate::data::loader::Loader;
use crate::engine::Network;
use crate::error::Result;
use crate::loss::correct;
use crate::threat::Attack;
use crate::units::Tally;

/// What became of some images.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Score {
    /// Right as they are.
    pub clean: Tally,
    /// Right as they are and attacked.
    pub attacked: Tally,
}

impl Score {
    /// What a search makes large: the mean of both shares. Of trained networks either orders the others nearly as it orders
    /// itself (docs/search.md), and from few images their mean is surer.
    pub fn objective(&self) -> f64 {
        f64::midpoint(self.clean.rate(), self.attacked.rate())
    }
}

/// Measures a network, or a supernet with a mixture, on the images of a loader, each batch with `mode`'s statistics: running
/// ones of a trained network, the batch's own of one that inherited its weights.
///
/// # Errors
/// Those of the attack.
///
/// # Cost
/// [`passes`] an image.
pub fn score(
    network: &mut Network,
    mix: &[f64],
    loader: &Loader<'_>,
    attack: &Attack,
    mode: crate::engine::NormMode,
) -> Result<Score> {
    let mut found = Score::default();
    for batch in loader.plain() {
        let batch = batch?;
        let target = &mut Target { network, mix, mode };
        let clean: Vec<bool> = correct(&target.logits(&batch.images)?, &batch.labels).collect();
        let attacked = run(target, batch.samples(loader.seed.child("attack")), attack)?;
        let logits = target.logits(&attacked)?;
        let stands = correct(&logits, &batch.labels);
        found.attacked += clean.iter().zip(stands).map(|(clean, stands)| *clean && stands).collect();
        found.clean += clean.into_iter().collect();
    }
    Ok(found)
}

/// Forward passes of [`score`] an image.
pub fn passes(attack: &Attack) -> f64 {
    1.0 + attack.passes()
}
