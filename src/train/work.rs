//! What a recipe's steps hold in memory, from the same description of its passes that its time is estimated from.

use crate::engine::{NormMode, Work, Wrt};
use crate::recipe::{Kind, Recipe, Statistics};

/// The batch-norm mode of statistics.
pub fn norm_mode(statistics: impl Into<Statistics>) -> NormMode {
    match statistics.into() {
        Statistics::Eval => NormMode::Eval,
        Statistics::Batch => NormMode::TrainNoRecord,
        Statistics::Train => NormMode::Train,
    }
}

/// What a step by a recipe holds in memory in batches of a size.
pub fn work(recipe: &Recipe, batch: usize) -> Work {
    let passes = recipe.passes();
    let mut kinds = Vec::new();
    for pass in &passes.list {
        let wrt = match pass.kind {
            // Smaller than the others, one of which every recipe has.
            Kind::Forward => continue,
            Kind::Input => Wrt::INPUT,
            Kind::Weights => Wrt::PARAMS,
            Kind::Both => BOTH,
        };
        let kind = (wrt, norm_mode(pass.statistics));
        if !kinds.contains(&kind) {
            kinds.push(kind);
        }
    }
    Work { batch, passes: kinds, vectors: passes.vectors, images: passes.images }
}

/// Gradients in the weights and in the pixels, of one pass.
pub(super) const BOTH: Wrt = Wrt { mix: false, params: true, input: true };
